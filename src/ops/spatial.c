#include "ops/spatial.h"

#include <string.h>

/* Sizes and paddings are kept below this, so that sums and products of two of them fit 63 bits. */
static const int64_t SIZE_LIMIT = INT64_C(1) << 31;

enum status layout_read(const struct node *n, int rank, struct layout *out, struct err *e) {
    const char *s = attr_str(n, "layout");
    FAIL_IF(rank < 2, e, STATUS_CORRUPT, "%s needs a tensor of rank 2 or more, got rank %d", n->op,
            rank);
    bool last = strcmp(s, "NHWC") == 0;
    FAIL_IF(!last && strcmp(s, "NCHW") != 0, e, STATUS_CORRUPT,
            "layout '%s' is neither NCHW nor NHWC", s);
    *out =
        (struct layout) { .channel = last ? rank - 1 : 1, .spatial = last ? 1 : 2, .n = rank - 2 };
    return OK;
}

enum status kernel_layout_read(const struct node *n, int rank, struct kernel_layout *out,
                               struct err *e) {
    /* Axes from the end are written as -1, -2. */
    static const struct {
        const char *name;
        int out, in, spatial;
        bool depthwise;
    } rows[] = {
        { "OIHW", 0, 1, 2, false },  { "IOHW", 1, 0, 2, false },   { "OHWI", 0, -1, 1, false },
        { "IHWO", -1, 0, 1, true },  { "HWIO", -1, -2, 0, false }, { "HWOI", -2, -1, 0, false },
        { "HWIM", -1, -2, 0, true },
    };
    const char *s = attr_str(n, "kernel_layout");
    FAIL_IF(rank < 2, e, STATUS_CORRUPT, "the kernel of %s needs rank 2 or more, got rank %d",
            n->op, rank);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(s, rows[i].name) != 0)
            continue;
        int o = rows[i].out, in = rows[i].in;
        *out = (struct kernel_layout) { .out = o < 0 ? o + rank : o,
                                        .in = in < 0 ? in + rank : in,
                                        .spatial = rows[i].spatial,
                                        .depthwise = rows[i].depthwise };
        if (strcmp(s, "HWIM") == 0)
            out->in = -1;
        return OK;
    }
    return err_set(e, STATUS_CORRUPT, "kernel_layout '%s' is not known", s);
}

enum status spatial_list(const struct node *n, const char *name, int count, int64_t least,
                         int64_t fallback, int64_t *out, struct err *e) {
    int given;
    const int64_t *v = attr_ints(n, name, &given);
    FAIL_IF(v && given != count, e, STATUS_CORRUPT,
            "attribute '%s' of %s has %d elements, its input asks for %d", name, n->op, given,
            count);
    for (int i = 0; i < count; i++) {
        out[i] = v ? v[i] : fallback;
        FAIL_IF(out[i] < least || out[i] >= SIZE_LIMIT, e, STATUS_CORRUPT,
                "attribute '%s' of %s has the value %lld at %d", name, n->op, (long long)out[i], i);
    }
    return OK;
}

int64_t window_reach(const struct window *w, int axis) {
    return (w->kernel[axis] - 1) * w->dilation[axis] + 1;
}

enum status window_read(const struct node *n, int spatial, bool kernel_given, struct window *w,
                        struct err *e) {
    int64_t pads[2 * MAX_RANK];
    w->n = spatial;
    if (!kernel_given || attr_find(n, "kernel_shape")) {
        int64_t kernel[MAX_RANK];
        FAIL_IF(!kernel_given && !attr_find(n, "kernel_shape"), e, STATUS_CORRUPT,
                "%s needs attribute 'kernel_shape'", n->op);
        TRY(spatial_list(n, "kernel_shape", spatial, 1, 1, kernel, e));
        for (int i = 0; i < spatial; i++) {
            FAIL_IF(kernel_given && kernel[i] != w->kernel[i], e, STATUS_CORRUPT,
                    "attribute 'kernel_shape' of %s says %lld at %d, the kernel itself has %lld",
                    n->op, (long long)kernel[i], i, (long long)w->kernel[i]);
            w->kernel[i] = kernel[i];
        }
    }
    TRY(spatial_list(n, "strides", spatial, 1, 1, w->stride, e));
    TRY(spatial_list(n, "dilations", spatial, 1, 1, w->dilation, e));
    TRY(spatial_list(n, "pads", 2 * spatial, 0, 0, pads, e));
    for (int i = 0; i < spatial; i++) {
        FAIL_IF(w->kernel[i] < 1 || w->kernel[i] >= SIZE_LIMIT, e, STATUS_CORRUPT,
                "the kernel of %s has size %lld on axis %d", n->op, (long long)w->kernel[i], i);
        w->begin[i] = pads[i];
        w->end[i] = pads[spatial + i];
    }
    return OK;
}

/* How auto_pad divides the padding that makes the output as large as ceil(in / stride). */
static void pad_same(struct window *w, int i, bool upper) {
    int64_t s = w->stride[i], out = (w->in[i] + s - 1) / s,
            total = (out - 1) * s + window_reach(w, i) - w->in[i];
    if (total < 0)
        total = 0;
    w->begin[i] = upper ? total / 2 : total - total / 2;
    w->end[i] = total - w->begin[i];
    w->out[i] = out;
}

static enum status fit_explicit(const struct node *n, struct window *w, int i, bool ceil_mode,
                                struct err *e) {
    int64_t room = w->in[i] + w->begin[i] + w->end[i] - window_reach(w, i), s = w->stride[i];
    FAIL_IF(room < -s, e, STATUS_CORRUPT,
            "the kernel of %s reaches over %lld on spatial axis %d, the padded input has only %lld",
            n->op, (long long)window_reach(w, i), i,
            (long long)(w->in[i] + w->begin[i] + w->end[i]));
    if (room < 0) {
        w->out[i] = 0;
        return OK;
    }
    w->out[i] = room / s + 1;
    if (ceil_mode && room % s && w->out[i] * s < w->in[i] + w->begin[i])
        w->out[i]++;
    return OK;
}

enum status window_fit(const struct node *n, struct window *w, bool ceil_mode, struct err *e) {
    const char *mode = attr_str(n, "auto_pad");
    bool upper = strcmp(mode, "SAME_UPPER") == 0, same = upper || strcmp(mode, "SAME_LOWER") == 0;
    bool valid = strcmp(mode, "VALID") == 0;
    FAIL_IF(!same && !valid && strcmp(mode, "NOTSET") != 0 && mode[0], e, STATUS_CORRUPT,
            "auto_pad '%s' is not known", mode);
    for (int i = 0; i < w->n; i++) {
        if (valid)
            w->begin[i] = w->end[i] = 0;
        if (w->in[i] < 0) {
            bool kept =
                w->stride[i] == 1 && (same || w->begin[i] + w->end[i] == window_reach(w, i) - 1);
            w->out[i] = kept ? w->in[i] : DIM_UNKNOWN;
            continue;
        }
        FAIL_IF(w->in[i] >= SIZE_LIMIT, e, STATUS_UNSUPPORTED, "a spatial axis of %lld elements",
                (long long)w->in[i]);
        if (same)
            pad_same(w, i, upper);
        else
            TRY(fit_explicit(n, w, i, ceil_mode && !valid, e));
    }
    return OK;
}

/* Of a tensor without elements the product of the other dims may overflow: its strides are never
 * used. */
void strides_of(int rank, const int64_t *dim, int64_t *stride) {
    uint64_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = (int64_t)s;
        s *= (uint64_t)dim[i];
    }
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return a > 0 ? (a - 1) / b + 1 : -(-a / b);
}

/* The kernel positions of output index y that may meet x: [*from, *to). */
static void tap_range(const struct window *w, int axis, int64_t y, bool transposed, int64_t *from,
                      int64_t *to) {
    int64_t d = w->dilation[axis], k = w->kernel[axis];
    /* forward: 0 <= y * stride - begin + k * d < in; transposed: 0 <= y + begin - k * d <= (in - 1)
     * * stride */
    int64_t at = transposed ? y + w->begin[axis] : y * w->stride[axis] - w->begin[axis];
    int64_t lo =
        transposed ? ceil_div(at - (w->in[axis] - 1) * w->stride[axis], d) : ceil_div(-at, d);
    int64_t hi = transposed ? ceil_div(at + 1, d) : ceil_div(w->in[axis] - at, d);
    *from = lo < 0 ? 0 : lo;
    *to = hi < k ? hi : k;
}

/* The element of x that kernel position k of output index y meets, or -1. */
static int64_t tap_source(const struct window *w, int axis, int64_t y, int64_t k, bool transposed) {
    int64_t s = w->stride[axis];
    if (!transposed)
        return y * s - w->begin[axis] + k * w->dilation[axis];
    int64_t at = y + w->begin[axis] - k * w->dilation[axis];
    return at % s ? -1 : at / s;
}

int64_t window_taps(const struct window *w, int64_t at, const int64_t *x_stride,
                    const int64_t *k_stride, bool last_outermost, bool transposed,
                    struct tap *taps) {
    int64_t y[MAX_RANK], k[MAX_RANK], from[MAX_RANK], to[MAX_RANK], count = 0;
    for (int i = w->n - 1; i >= 0; i--) {
        y[i] = at % w->out[i];
        at /= w->out[i];
        tap_range(w, i, y[i], transposed, &from[i], &to[i]);
        k[i] = from[i];
        if (from[i] >= to[i])
            return 0;
    }
    for (;;) {
        struct tap t = { 0, 0 };
        bool inside = true;
        for (int i = 0; inside && i < w->n; i++) {
            int64_t x = tap_source(w, i, y[i], k[i], transposed);
            inside = x >= 0;
            t.x += x * x_stride[i];
            t.k += k_stride ? k[i] * k_stride[i] : 0;
        }
        if (inside)
            taps[count++] = t;
        int step = 0;
        for (; step < w->n; step++) {
            int i = last_outermost ? step : w->n - 1 - step;
            if (++k[i] < to[i])
                break;
            k[i] = from[i];
        }
        if (step == w->n)
            return count;
    }
}

int64_t window_tap_room(const struct window *w) {
    int64_t n = 1;
    for (int i = 0; i < w->n; i++)
        n *= w->kernel[i] < w->in[i] ? w->kernel[i] : w->in[i];
    return n;
}

int64_t window_out_count(const struct window *w) {
    int64_t n = 1;
    for (int i = 0; i < w->n; i++)
        n *= w->out[i];
    return n;
}

int64_t window_out_offset(const struct window *w, int64_t at, const int64_t *y_stride) {
    int64_t offset = 0;
    for (int i = w->n - 1; i >= 0; i--) {
        offset += at % w->out[i] * y_stride[i];
        at /= w->out[i];
    }
    return offset;
}
