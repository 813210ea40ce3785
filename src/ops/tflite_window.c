/* TensorFlow Lite's StableHLO windows: reduction over a sliding window, padding between elements.
 */
#include <string.h>

#include "ops/move.h"
#include "ops/row.h"

static const int64_t SIZE_LIMIT = INT64_C(1) << 31;

/* A list attribute of one integer per axis, or `fallback` for each. */
static enum status axis_list(const struct node *n, const char *name, int count, int64_t least,
                             int64_t fallback, int64_t *out, struct err *e) {
    int given;
    const int64_t *v = attr_ints(n, name, &given);
    FAIL_IF(v && given != count, e, STATUS_CORRUPT,
            "attribute '%s' has %d elements, the input asks for %d", name, given, count);
    for (int i = 0; i < count; i++) {
        out[i] = v ? v[i] : fallback;
        FAIL_IF(out[i] < least || out[i] >= SIZE_LIMIT, e, STATUS_CORRUPT,
                "attribute '%s' has the value %lld", name, (long long)out[i]);
    }
    return OK;
}

/* --- REDUCE_WINDOW --- */

struct reduce_window {
    int64_t window[MAX_RANK], stride[MAX_RANK], base[MAX_RANK], dilation[MAX_RANK],
        pads[2 * MAX_RANK], out[MAX_RANK];
};

static enum status window_read(struct reduce_window *w, const struct node *n, const int64_t *dim,
                               int rank, struct err *e) {
    TRY(axis_list(n, "window", rank, 1, 1, w->window, e));
    TRY(axis_list(n, "strides", rank, 1, 1, w->stride, e));
    TRY(axis_list(n, "base_dilations", rank, 1, 1, w->base, e));
    TRY(axis_list(n, "dilations", rank, 1, 1, w->dilation, e));
    TRY(axis_list(n, "pads", 2 * rank, -SIZE_LIMIT, 0, w->pads, e));
    for (int i = 0; i < rank; i++) {
        w->out[i] = DIM_UNKNOWN;
        if (dim[i] < 0)
            continue;
        int64_t size =
            (dim[i] ? (dim[i] - 1) * w->base[i] + 1 : 0) + w->pads[2 * i] + w->pads[2 * i + 1];
        int64_t reach = (w->window[i] - 1) * w->dilation[i] + 1;
        w->out[i] = size < reach ? 0 : (size - reach) / w->stride[i] + 1;
    }
    return OK;
}

static enum status shape_window(struct shape_ctx *c) {
    struct reduce_window w;
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank < 0)
        return OK;
    TRY(window_read(&w, c->node, c->in[0].dim, c->in[0].rank, c->err));
    fact_set(&c->out[0], c->in[0].dtype, c->in[0].rank, w.out);
    return OK;
}

enum reducer { REDUCER_ADD, REDUCER_MUL, REDUCER_MAX, REDUCER_MIN };

static enum status reducer_read(const struct node *n, enum reducer *out, struct err *e) {
    static const char *const names[] = { "add", "mul", "max", "min" };
    const char *s = attr_str(n, "reducer");
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (enum reducer)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "reducer '%s' is not known", s);
}

static double combine_real(enum reducer r, double a, double b, bool narrow) {
    double v = r == REDUCER_ADD   ? a + b
               : r == REDUCER_MUL ? a * b
               : r == REDUCER_MAX ? (b > a || b != b ? b : a)
                                  : (b < a || b != b ? b : a);
    return narrow ? (double)(float)v : v;
}

static int64_t combine_integer(enum reducer r, int64_t a, int64_t b) {
    return r == REDUCER_ADD   ? (int64_t)((uint64_t)a + (uint64_t)b)
           : r == REDUCER_MUL ? (int64_t)((uint64_t)a * (uint64_t)b)
           : r == REDUCER_MAX ? (b > a ? b : a)
                              : (b < a ? b : a);
}

/* The element of x in cell k of output i's window, or -1 in the padding. */
static int64_t element_of_cell(const struct reduce_window *w, const struct tensor *x,
                               const struct tensor *y, const int64_t *step, int64_t i, int64_t k) {
    int64_t at = 0;
    for (int d = x->rank - 1; d >= 0; d--) {
        int64_t p =
            i % y->dim[d] * w->stride[d] + k % w->window[d] * w->dilation[d] - w->pads[2 * d];
        i /= y->dim[d];
        k /= w->window[d];
        if (p < 0 || p % w->base[d] || p / w->base[d] >= x->dim[d])
            return -1;
        at += p / w->base[d] * step[d];
    }
    return at;
}

/* Every output: the initial value, then the window's elements in row-major order, one operation
 * each. Positions in the padding, and between elements of a dilated base, hold the initial value,
 * which is the reduction's identity. */
static enum status eval_window(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *init = c->in[1];
    struct tensor *y = c->out[0];
    struct reduce_window w;
    enum reducer r = REDUCER_ADD;
    TRY(window_read(&w, c->node, x->dim, x->rank, c->err));
    TRY(reducer_read(c->node, &r, c->err));
    FAIL_IF(tensor_count(init) != 1 || init->store != x->store, c->err, STATUS_CORRUPT,
            "the initial value must be one element");
    bool real = dtype_is_float(x->dtype), narrow = x->store == DT_F32;
    int64_t step[MAX_RANK], cells = dims_product(w.window, 0, x->rank), n = tensor_count(y);
    dense_steps(x->dim, x->rank, step);
    for (int64_t i = 0; i < n; i++) {
        double sum = real ? tensor_f64(init, 0) : 0;
        int64_t total = real ? 0 : tensor_i64(init, 0);
        for (int64_t k = 0; k < cells; k++) {
            int64_t at = element_of_cell(&w, x, y, step, i, k);
            if (at >= 0 && real)
                sum = combine_real(r, sum, tensor_f64(x, at), narrow);
            else if (at >= 0)
                total = combine_integer(r, total, tensor_i64(x, at));
        }
        if (real)
            tensor_set_f64(y, i, sum);
        else
            tensor_set_i64(y, i, total);
    }
    return OK;
}

/* The gradient of the initial value goes nowhere: it is the reduction's identity. A product divides
 * by the element; the first of the largest or least elements takes all. */
static enum status grad_window(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *y = c->out[0];
    struct reduce_window w;
    enum reducer r = REDUCER_ADD;
    int64_t step[MAX_RANK], n = tensor_count(y);
    TRY(window_read(&w, c->node, x->dim, x->rank, c->err));
    TRY(reducer_read(c->node, &r, c->err));
    dense_steps(x->dim, x->rank, step);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < n; i++) {
        double g = tensor_f64(c->grad_out[0], i), out = tensor_f64(y, i);
        bool taken = false;
        for (int64_t k = 0; k < dims_product(w.window, 0, x->rank); k++) {
            int64_t at = element_of_cell(&w, x, y, step, i, k);
            if (at < 0)
                continue;
            double v = tensor_f64(x, at);
            bool chosen = v == out && !taken;
            taken |= chosen;
            ((double *)c->grad_in[0]->data)[at] += r == REDUCER_ADD   ? g
                                                   : r == REDUCER_MUL ? g * out / v
                                                                      : g * chosen;
        }
    }
    return OK;
}

/* --- STABLEHLO_PAD and DILATE: edges (negative: cut away) and elements between --- */

static enum status padded_dims(const int64_t *dim, int rank, const int64_t *low,
                               const int64_t *high, const int64_t *between, int64_t *out,
                               struct err *e) {
    for (int i = 0; i < rank; i++) {
        out[i] = DIM_UNKNOWN;
        if (dim[i] < 0)
            continue;
        out[i] = low[i] + high[i] + (dim[i] ? (dim[i] - 1) * (between[i] + 1) + 1 : 0);
        FAIL_IF(out[i] < 0, e, STATUS_CORRUPT, "axis %d of %lld is cut to nothing", i,
                (long long)dim[i]);
    }
    return OK;
}

static void pad_into(struct tensor *y, const struct tensor *x, const struct tensor *fill,
                     const int64_t *low, const int64_t *between) {
    size_t size = element_size(x);
    fill_elements(y->data, element_at(fill, 0), size, tensor_count(y));
    int64_t n = tensor_count(x);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, at = 0, step = 1;
        bool inside = true;
        for (int d = x->rank - 1; d >= 0; d--) {
            int64_t p = low[d] + rest % x->dim[d] * (between[d] + 1);
            rest /= x->dim[d];
            inside &= p >= 0 && p < y->dim[d];
            at += p * step;
            step *= y->dim[d];
        }
        if (inside)
            memcpy(element_at(y, at), element_at(x, i), size);
    }
    own_strings(y);
}

static enum status pad_read(const struct node *n, int rank, int64_t *low, int64_t *high,
                            int64_t *between, struct err *e) {
    TRY(axis_list(n, "low", rank, -SIZE_LIMIT, 0, low, e));
    TRY(axis_list(n, "high", rank, -SIZE_LIMIT, 0, high, e));
    return axis_list(n, "interior", rank, 0, 0, between, e);
}

static enum status shape_pad(struct shape_ctx *c) {
    int64_t low[MAX_RANK], high[MAX_RANK], between[MAX_RANK], out[MAX_RANK];
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank < 0)
        return OK;
    TRY(pad_read(c->node, c->in[0].rank, low, high, between, c->err));
    TRY(padded_dims(c->in[0].dim, c->in[0].rank, low, high, between, out, c->err));
    fact_set(&c->out[0], c->in[0].dtype, c->in[0].rank, out);
    return OK;
}

static enum status check_fill(struct op_ctx *c, const struct tensor *fill) {
    FAIL_IF(tensor_count(fill) != 1 || fill->store != c->in[0]->store, c->err, STATUS_CORRUPT,
            "the padding value must be one element");
    return OK;
}

static enum status eval_pad(struct op_ctx *c) {
    int64_t low[MAX_RANK], high[MAX_RANK], between[MAX_RANK];
    TRY(pad_read(c->node, c->in[0]->rank, low, high, between, c->err));
    TRY(check_fill(c, c->in[1]));
    pad_into(c->out[0], c->in[0], c->in[1], low, between);
    return OK;
}

/* DILATE: input, steps between elements, padding value. */
static enum status shape_dilate(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *step;
    int64_t n, zero[MAX_RANK] = { 0 }, between[MAX_RANK], out[MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || !fact_ints(c, &c->in[1], &step, &n))
        return OK;
    SHAPE_FAIL_IF(n != x->rank, c, "%lld steps for rank %d", (long long)n, x->rank);
    for (int i = 0; i < x->rank; i++) {
        SHAPE_FAIL_IF(step[i] < 1 || step[i] >= SIZE_LIMIT, c, "a step of %lld",
                      (long long)step[i]);
        between[i] = step[i] - 1;
    }
    TRY(padded_dims(x->dim, x->rank, zero, zero, between, out, c->err));
    fact_set(&c->out[0], x->dtype, x->rank, out);
    return OK;
}

static enum status eval_dilate(struct op_ctx *c) {
    int64_t n, zero[MAX_RANK] = { 0 }, between[MAX_RANK];
    const int64_t *step = ints_of(c->scratch, c->in[1], &n);
    for (int i = 0; i < c->in[0]->rank; i++)
        between[i] = step[i] - 1;
    TRY(check_fill(c, c->in[2]));
    pad_into(c->out[0], c->in[0], c->in[2], zero, between);
    return OK;
}

/* clang-format off */
#define WINDOW(name_, least, most) .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = least, .max_in = most, .min_out = 1, .max_out = 1

const struct op ops_tflite_window[] = {
    { WINDOW("REDUCE_WINDOW", 2, 2), .shape = shape_window, .eval = eval_window, .grad = grad_window,
      .attrs = ATTRS(NEEDED("reducer", STRING), PLAIN("window", INTS), PLAIN("strides", INTS), PLAIN("base_dilations", INTS),
                     PLAIN("dilations", INTS), PLAIN("pads", INTS)) },
    { WINDOW("STABLEHLO_PAD", 2, 2), .flags = OP_MOVES, .shape = shape_pad, .eval = eval_pad, .grad = grad_moves,
      .attrs = ATTRS(PLAIN("low", INTS), PLAIN("high", INTS), PLAIN("interior", INTS)) },
    { WINDOW("DILATE", 3, 3), .flags = OP_MOVES, .shape = shape_dilate, .eval = eval_dilate, .grad = grad_moves },
    { 0 },
};
