/* Convolutions.
 *
 * Order of the floating-point operations: each output is one fma chain that starts from the bias (0
 * without one) and runs over the kernel positions, and within a position over the input channels of
 * the group, ascending. Kernel positions are taken row-major, the first spatial axis outermost (kh,
 * kw). In a depthwise convolution (one input and one output channel to a group, at most 25 kernel
 * positions) they are taken with the last spatial axis outermost (kw, kh): so does LiteRT, whose
 * larger kernels and several outputs a channel run row-major.
 * Positions that fall into the padding are skipped, not multiplied with zero. ConvTranspose
 * gathers: the same chain with kernel positions row-major ascending, those skipped that meet no
 * input element. */
#include "ops/conv.h"

#include <string.h>

#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

enum { DEPTHWISE_POSITIONS = 25 };

#define EACH_REAL "ops/conv.inc"
#include "ops/each_real.inc"

static enum status read_groups(const struct node *n, struct conv_plan *p, struct err *e) {
    p->groups = attr_int(n, "group");
    FAIL_IF(p->groups < 1, e, STATUS_CORRUPT, "attribute 'group' of %s is %lld", n->op,
            (long long)p->groups);
    return OK;
}

static enum status read_kernel(const struct node *n, int x_rank, int k_rank, const int64_t *k_dim,
                               struct kernel_layout *kl, struct conv_plan *p, struct err *e) {
    FAIL_IF(x_rank < 3, e, STATUS_CORRUPT, "the input of %s must have rank 3 or more, it has %d",
            n->op, x_rank);
    FAIL_IF(k_rank != x_rank, e, STATUS_CORRUPT, "the kernel of %s has rank %d, its input rank %d",
            n->op, k_rank, x_rank);
    TRY(kernel_layout_read(n, k_rank, kl, e));
    p->rank = x_rank;
    for (int i = 0; i < x_rank - 2; i++)
        p->w.kernel[i] = k_dim[kl->spatial + i];
    TRY(window_read(n, x_rank - 2, true, &p->w, e));
    return read_groups(n, p, e);
}

/* Channels of the kernel against groups and the input's channels (negative: unknown). */
static enum status check_channels(const struct node *n, struct conv_plan *p, int64_t x_channels,
                                  struct err *e) {
    FAIL_IF(p->in_channels % p->groups || p->out_channels % p->groups, e, STATUS_CORRUPT,
            "%s has %lld groups; %lld input and %lld output channels cannot be divided into them",
            n->op, (long long)p->groups, (long long)p->in_channels, (long long)p->out_channels);
    FAIL_IF(x_channels >= 0 && x_channels != p->in_channels, e, STATUS_CORRUPT,
            "the kernel of %s is for %lld input channels, its input has %lld", n->op,
            (long long)p->in_channels, (long long)x_channels);
    p->in_per_group = p->in_channels / p->groups;
    p->out_per_group = p->out_channels / p->groups;
    return OK;
}

static enum status set_strides(const struct node *n, struct conv_plan *p, const struct layout *l,
                               const struct kernel_layout *kl, const int64_t *x_dim,
                               const int64_t *k_dim, struct err *e) {
    int64_t count, x[MAX_RANK], y[MAX_RANK], k[MAX_RANK];
    memcpy(p->y_dim, x_dim, (size_t)p->rank * sizeof *x_dim);
    p->batch = x_dim[0];
    p->y_dim[l->channel] = p->out_channels;
    for (int i = 0; i < p->w.n; i++)
        p->y_dim[l->spatial + i] = p->w.out[i];
    for (int i = 0; i < p->rank; i++)
        if (p->y_dim[i] < 0)
            return OK;
    FAIL_IF(!dims_count(p->y_dim, p->rank, &count), e, STATUS_UNSUPPORTED,
            "the output of %s is too large", n->op);
    strides_of(p->rank, x_dim, x);
    strides_of(p->rank, p->y_dim, y);
    strides_of(p->rank, k_dim, k);
    p->x_batch = x[0];
    p->y_batch = y[0];
    p->x_channel = x[l->channel];
    p->y_channel = y[l->channel];
    p->k_out = kl->in < 0 ? 1 : k[kl->out];
    p->k_in = kl->in < 0 ? 0 : k[kl->in];
    for (int i = 0; i < p->w.n; i++) {
        p->x_spatial[i] = x[l->spatial + i];
        p->y_spatial[i] = y[l->spatial + i];
        p->k_spatial[i] = k[kl->spatial + i];
    }
    return OK;
}

enum status conv_plan(const struct node *n, int x_rank, const int64_t *x_dim, int k_rank,
                      const int64_t *k_dim, struct conv_plan *p, struct err *e) {
    struct layout l;
    struct kernel_layout kl;
    *p = (struct conv_plan) { 0 };
    TRY(layout_read(n, x_rank, &l, e));
    TRY(read_kernel(n, x_rank, k_rank, k_dim, &kl, p, e));
    if (kl.in < 0) { /* HWIM */
        int64_t in = k_dim[k_rank - 2], m = k_dim[k_rank - 1];
        if (!attr_find(n, "group"))
            p->groups = in;
        FAIL_IF(in != p->groups, e, STATUS_CORRUPT,
                "a depthwise kernel for %lld channels with %lld groups", (long long)in,
                (long long)p->groups);
        p->in_channels = in;
        FAIL_IF(m >= INT64_C(1) << 31 || in >= INT64_C(1) << 31, e, STATUS_UNSUPPORTED,
                "the kernel of %s is too large", n->op);
        p->out_channels = in * m;
    } else {
        p->out_channels = k_dim[kl.out];
        int64_t in = k_dim[kl.in];
        FAIL_IF(in > 0 && p->groups > INT64_MAX / in, e, STATUS_CORRUPT,
                "attribute 'group' of %s is %lld", n->op, (long long)p->groups);
        p->in_channels = in * p->groups;
    }
    TRY(check_channels(n, p, x_dim[l.channel], e));
    int64_t positions = 1;
    for (int i = 0; i < p->w.n && positions <= DEPTHWISE_POSITIONS; i++)
        positions *= p->w.kernel[i];
    p->depthwise = p->in_per_group == 1 && (p->groups > 1 || kl.depthwise);
    p->last_outermost =
        p->in_per_group == 1 && p->out_per_group == 1 && positions <= DEPTHWISE_POSITIONS;
    for (int i = 0; i < p->w.n; i++)
        p->w.in[i] = x_dim[l.spatial + i];
    TRY(window_fit(n, &p->w, false, e));
    TRY(set_strides(n, p, &l, &kl, x_dim, k_dim, e));
    p->k_group = p->out_per_group * p->k_out;
    return OK;
}

/* ConvTranspose's output size and padding: ONNX ConvTranspose-22, `output_shape` and `auto_pad`. */
static enum status fit_transpose(const struct node *n, struct window *w, struct err *e) {
    const char *mode = attr_str(n, "auto_pad");
    bool upper = strcmp(mode, "SAME_UPPER") == 0, same = upper || strcmp(mode, "SAME_LOWER") == 0;
    bool valid = strcmp(mode, "VALID") == 0;
    FAIL_IF(!same && !valid && mode[0] && strcmp(mode, "NOTSET") != 0, e, STATUS_CORRUPT,
            "auto_pad '%s' is not known", mode);
    int64_t extra[MAX_RANK], wanted[MAX_RANK];
    TRY(spatial_list(n, "output_padding", w->n, 0, 0, extra, e));
    int given;
    const int64_t *shape = attr_ints(n, "output_shape", &given);
    /* The list may also name N and C. */
    FAIL_IF(shape && given != w->n && given != w->n + 2, e, STATUS_CORRUPT,
            "attribute 'output_shape' of %s has %d elements for %d axes", n->op, given, w->n);
    for (int i = 0; i < w->n; i++) {
        int64_t s = w->stride[i];
        wanted[i] = shape ? shape[given - w->n + i] : -1;
        FAIL_IF(shape && (wanted[i] < 0 || wanted[i] >= INT64_C(1) << 31), e, STATUS_CORRUPT,
                "attribute 'output_shape' of %s asks for %lld", n->op, (long long)wanted[i]);
        if (valid)
            w->begin[i] = w->end[i] = 0;
        w->out[i] = wanted[i] < 0 ? DIM_UNKNOWN : wanted[i];
        if (w->in[i] < 0)
            continue;
        FAIL_IF(w->in[i] >= INT64_C(1) << 31, e, STATUS_UNSUPPORTED,
                "a spatial axis of %lld elements", (long long)w->in[i]);
        int64_t full = s * (w->in[i] - 1) + extra[i] + window_reach(w, i);
        if (same && !shape)
            wanted[i] = w->in[i] * s;
        if (wanted[i] >= 0) { /* a negative total is room after all that the input reaches */
            int64_t total = full - wanted[i], half = total / 2;
            w->begin[i] = total < 0 ? 0 : upper ? half : total - half;
            w->end[i] = total - w->begin[i];
        }
        w->out[i] = full - w->begin[i] - w->end[i];
        FAIL_IF(w->out[i] < 0, e, STATUS_CORRUPT, "%s pads more than it has on spatial axis %d",
                n->op, i);
    }
    return OK;
}

enum status conv_transpose_plan(const struct node *n, int x_rank, const int64_t *x_dim, int k_rank,
                                const int64_t *k_dim, struct conv_plan *p, struct err *e) {
    struct layout l;
    struct kernel_layout kl;
    *p = (struct conv_plan) { 0 };
    TRY(layout_read(n, x_rank, &l, e));
    TRY(read_kernel(n, x_rank, k_rank, k_dim, &kl, p, e));
    FAIL_IF(kl.in < 0, e, STATUS_CORRUPT, "kernel_layout HWIM is for Conv, not for %s", n->op);
    FAIL_IF(k_dim[kl.out] > 0 && p->groups > INT64_MAX / k_dim[kl.out], e, STATUS_CORRUPT,
            "attribute 'group' of %s is %lld", n->op, (long long)p->groups);
    p->in_channels = k_dim[kl.in];
    p->out_channels = k_dim[kl.out] * p->groups;
    TRY(check_channels(n, p, x_dim[l.channel], e));
    for (int i = 0; i < p->w.n; i++)
        p->w.in[i] = x_dim[l.spatial + i];
    TRY(fit_transpose(n, &p->w, e));
    TRY(set_strides(n, p, &l, &kl, x_dim, k_dim, e));
    p->k_group = p->in_per_group * p->k_in;
    return OK;
}

int64_t conv_taps(const struct conv_plan *p, int64_t at, struct tap *taps) {
    return window_taps(&p->w, at, p->x_spatial, p->k_spatial, p->last_outermost, false, taps);
}

int64_t conv_transpose_taps(const struct conv_plan *p, int64_t at, struct tap *taps) {
    return window_taps(&p->w, at, p->x_spatial, p->k_spatial, false, true, taps);
}

typedef enum status plan_fn(const struct node *n, int x_rank, const int64_t *x_dim, int k_rank,
                            const int64_t *k_dim, struct conv_plan *p, struct err *e);

static enum status shape_with(struct shape_ctx *c, plan_fn *plan) {
    const struct fact *x = &c->in[0], *k = &c->in[1];
    struct conv_plan p;
    TRY(need_float(c, 0));
    TRY(need_same_dtype(c, 0, 1));
    TRY(need_same_dtype(c, 0, 2));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    c->out[0].rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        c->out[0].dim[i] = DIM_UNKNOWN;
    if (!fact_known(k))
        return OK;
    TRY(plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    TRY(need_vector(c, 2, p.out_channels));
    out_shape(c, 0, x->dtype, x->rank, p.y_dim);
    return OK;
}

static enum status shape_conv(struct shape_ctx *c) {
    return shape_with(c, conv_plan);
}

static enum status shape_conv_transpose(struct shape_ctx *c) {
    return shape_with(c, conv_transpose_plan);
}

static enum status run_with(struct op_ctx *c, plan_fn *plan,
                            int64_t (*list)(const struct conv_plan *p, int64_t at,
                                            struct tap *taps)) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    TRY(plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    if (x->store == DT_F64)
        conv_run_d(c, &p, list);
    else
        conv_run_f(c, &p, list);
    return OK;
}

static enum status conv(struct op_ctx *c) {
    return run_with(c, conv_plan, conv_taps);
}

static enum status conv_transpose(struct op_ctx *c) {
    return run_with(c, conv_transpose_plan, conv_transpose_taps);
}

static const struct attr_def conv_attrs[] = { CONV_ATTRS, { 0 } };
static const struct attr_def conv_transpose_attrs[] = { CONV_TRANSPOSE_ATTRS, { 0 } };

const struct op ops_conv[] = {
    { .name = "Conv",
      .domain = "",
      .spec = "ONNX Conv-22",
      .min_in = 2,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .attrs = conv_attrs,
      .shape = shape_conv,
      .eval = conv,
      .grad = conv_grad },
    { .name = "ConvTranspose",
      .domain = "",
      .spec = "ONNX ConvTranspose-22",
      .min_in = 2,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .attrs = conv_transpose_attrs,
      .shape = shape_conv_transpose,
      .eval = conv_transpose,
      .grad = conv_transpose_grad },
    { 0 },
};
