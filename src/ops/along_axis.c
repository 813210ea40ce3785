/* What depends on the order of elements along an axis: ArgMax, ArgMin, TopK, and running sums and
 * products. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/axes.h"
#include "ops/row.h"
#include "ops/split.h"

/* -1, 0, 1 as element i is less than, equal to, greater than element k; NaN is the greatest. */
static int compare(const struct tensor *t, int64_t i, int64_t k) {
    if (dtype_is_float(t->store)) {
        double a = tensor_f64(t, i), b = tensor_f64(t, k);
        if (isnan(a) || isnan(b))
            return (isnan(a) != 0) - (isnan(b) != 0);
        return (a > b) - (a < b);
    }
    int64_t a = tensor_i64(t, i), b = tensor_i64(t, k);
    if (dtype_is_unsigned(t->store))
        return ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b);
    return (a > b) - (a < b);
}

static enum status arg_shape(struct shape_ctx *c) {
    bool reduced[MAX_RANK];
    c->out[0].dtype = DT_I64;
    if (c->in[0].rank < 0)
        return OK;
    int64_t axis = attr_int(c->node, "axis");
    if (c->in[0].rank) {
        TRY(axes_mark(&axis, 1, false, c->in[0].rank, reduced, c->err));
        axes_shape(&c->in[0], reduced, attr_int(c->node, "keepdims"), &c->out[0]);
    } else {
        c->out[0].rank = 0;
    }
    return OK;
}

/* The best of n elements `step` apart, by `sign`; of equal ones the first, or the last. */
struct arg_line {
    int64_t n, step;
    int sign;
    bool last;
};

/* NaN is the greatest; `v != v` holds for no integer. */
#define ARG(T, name)                                                                          \
    static int64_t arg_##name(const struct arg_line *l, const void *data, int64_t at) {       \
        const T *x = (const T *)data + at;                                                    \
        int64_t best = 0;                                                                     \
        T most = x[0];                                                                        \
        for (int64_t i = 1; i < l->n; i++) {                                                  \
            T v = x[i * l->step];                                                             \
            int order =                                                                       \
                v != v || most != most ? (v != v) - (most != most) : (v > most) - (v < most); \
            order *= l->sign;                                                                 \
            if (order > 0 || (order == 0 && l->last)) {                                       \
                most = v;                                                                     \
                best = i;                                                                     \
            }                                                                                 \
        }                                                                                     \
        return best;                                                                          \
    }
ARG(double, f64)
ARG(float, f32)
ARG(int64_t, i64)
ARG(int32_t, i32)
ARG(int16_t, i16)
ARG(int8_t, i8)
ARG(uint64_t, u64)
ARG(uint32_t, u32)
ARG(uint16_t, u16)
ARG(uint8_t, u8)

typedef int64_t arg_fn(const struct arg_line *l, const void *data, int64_t at);
static arg_fn *const arg_kernels[DT_COUNT] = {
    [DT_F64] = arg_f64, [DT_F32] = arg_f32, [DT_I64] = arg_i64, [DT_I32] = arg_i32,
    [DT_I16] = arg_i16, [DT_I8] = arg_i8,   [DT_U64] = arg_u64, [DT_U32] = arg_u32,
    [DT_U16] = arg_u16, [DT_U8] = arg_u8,   [DT_BOOL] = arg_u8,
};

struct arg_job {
    const struct tensor *x;
    struct axis_view v;
    struct arg_line line;
    int64_t *y;
};

static void arg_part(void *arg, struct part part) {
    const struct arg_job *j = arg;
    arg_fn *fn = arg_kernels[j->x->store];
    for (int64_t k = part.begin; k < part.end; k++)
        j->y[k] = fn(&j->line, j->x->data, k / j->v.inner * j->v.n * j->v.inner + k % j->v.inner);
}

static enum status arg_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int axis = 0;
    if (!x->rank)
        return OK;
    if (!arg_kernels[x->store])
        return op_bad_type(c, 0);
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    struct arg_job j = { .x = x, .v = axis_view(x, axis), .y = c->out[0]->data };
    j.line = (struct arg_line) { j.v.n, j.v.inner, node_is(c->node, "ArgMax") ? 1 : -1,
                                 attr_int(c->node, "select_last_index") != 0 };
    FAIL_IF(!j.v.n && j.v.outer * j.v.inner > 0, c->err, STATUS_CORRUPT,
            "%s over an axis without elements", c->node->op);
    split_run(c, j.v.outer * j.v.inner, j.v.n, arg_part, &j);
    return OK;
}

static enum status top_shape(struct shape_ctx *c) {
    int axis;
    for (int i = 0; i < c->n_out; i++)
        shape_copy(c, i, 0);
    if (c->n_out > 1)
        c->out[1].dtype = DT_I64;
    if (c->in[0].rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0].rank, &axis, c->err));
    const int64_t *k;
    int64_t n, wanted = DIM_UNKNOWN;
    if (fact_parts(c, &c->in[1], &k, &n)) {
        SHAPE_FAIL_IF(n != 1, c, "K has %lld elements; one is asked for", (long long)n);
        bool known = !part_is_code(k[0]), most = known && c->in[0].dim[axis] >= 0;
        SHAPE_FAIL_IF(k[0] < 0 || (most && k[0] > c->in[0].dim[axis]), c,
                      "the %lld largest of %lld elements", (long long)k[0],
                      (long long)c->in[0].dim[axis]);
        wanted = dim_of_part(k[0]);
    }
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dim[axis] = wanted;
    return OK;
}

struct ranked {
    const struct tensor *t;
    int64_t at, index;
    int sign;
};

/* Best first; the lower index first among equals. */
static int by_rank(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    int order = compare(x->t, x->at, y->at) * x->sign;
    return order ? -order : (x->index > y->index) - (x->index < y->index);
}

static void copy_element(struct tensor *y, int64_t i, const struct tensor *x, int64_t k) {
    size_t size = dtype_size(x->store);
    memcpy((char *)y->data + (size_t)i * size, (const char *)x->data + (size_t)k * size, size);
}

static enum status top_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    struct axis_view v = axis_view(x, axis);
    int64_t k = tensor_i64(c->in[1], 0);
    int sign = attr_int(c->node, "largest") ? 1 : -1;
    struct ranked *list = NEW_ARRAY(c->scratch, v.n + 1, struct ranked);
    for (int64_t o = 0; o < v.outer * v.inner; o++) {
        int64_t from = o / v.inner * v.n * v.inner + o % v.inner,
                to = o / v.inner * k * v.inner + o % v.inner;
        for (int64_t i = 0; i < v.n; i++)
            list[i] = (struct ranked) { x, from + i * v.inner, i, sign };
        qsort(list, (size_t)v.n, sizeof *list, by_rank);
        for (int64_t i = 0; i < k; i++) {
            if (op_wanted(c, 0))
                copy_element(c->out[0], to + i * v.inner, x, list[i].at);
            if (op_wanted(c, 1))
                ((int64_t *)c->out[1]->data)[to + i * v.inner] = list[i].index;
        }
    }
    return OK;
}

static enum status top_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *index = c->out[1];
    int axis;
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    FAIL_IF(!index, c->err, STATUS_UNSUPPORTED, "the gradient of TopK without its second output");
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    struct axis_view v = axis_view(x, axis);
    int64_t k = index->dim[axis];
    for (int64_t i = 0, n = tensor_count(index); i < n; i++) {
        int64_t outer = i / (k * v.inner), inner = i % v.inner;
        ((double *)c->grad_in[0]
             ->data)[(outer * v.n + ((const int64_t *)index->data)[i]) * v.inner + inner] +=
            ((const double *)c->grad_out[0]->data)[i];
    }
    return OK;
}

static enum status running_axis(const struct node *n, const struct tensor *x,
                                const struct tensor *axis_in, int *axis, struct err *e) {
    FAIL_IF(tensor_count(axis_in) != 1, e, STATUS_CORRUPT,
            "the axis of %s is %lld elements; one is asked for", n->op,
            (long long)tensor_count(axis_in));
    return axis_normalise(tensor_i64(axis_in, 0), x->rank, axis, e);
}

/* One chain along the axis, from its start or, reversed, from its end; integers wrap. */
static enum status running_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    bool product = node_is(c->node, "CumProd"), reverse = attr_int(c->node, "reverse");
    bool exclusive = attr_int(c->node, "exclusive");
    struct tensor *y = c->out[0];
    int axis;
    TRY(running_axis(c->node, x, c->in[1], &axis, c->err));
    struct axis_view v = axis_view(x, axis);
    for (int64_t o = 0; o < v.outer * v.inner; o++) {
        int64_t at = o / v.inner * v.n * v.inner + o % v.inner, whole = product ? 1 : 0;
        double d = product ? 1 : 0;
        float f = product ? 1 : 0;
        for (int64_t i = 0; i < v.n; i++) {
            int64_t p = at + (reverse ? v.n - 1 - i : i) * v.inner;
            if (x->store == DT_F64) {
                double next =
                    product ? d * ((const double *)x->data)[p] : d + ((const double *)x->data)[p];
                ((double *)y->data)[p] = exclusive ? d : next;
                d = next;
            } else if (x->store == DT_F32) {
                float next =
                    product ? f * ((const float *)x->data)[p] : f + ((const float *)x->data)[p];
                ((float *)y->data)[p] = exclusive ? f : next;
                f = next;
            } else {
                uint64_t a = (uint64_t)tensor_i64(x, p);
                int64_t next = (int64_t)(product ? (uint64_t)whole * a : (uint64_t)whole + a);
                tensor_set_i64(y, p, exclusive ? whole : next);
                whole = next;
            }
        }
    }
    return OK;
}

/* Position i of the chain reads the elements before it (and itself unless exclusive). */
static enum status running_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0];
    bool product = node_is(c->node, "CumProd"), reverse = attr_int(c->node, "reverse");
    bool exclusive = attr_int(c->node, "exclusive");
    int axis;
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    TRY(running_axis(c->node, x, c->in[1], &axis, c->err));
    struct axis_view v = axis_view(x, axis);
    const double *a = x->data, *g = c->grad_out[0]->data;
    double *out = c->grad_in[0]->data;
    for (int64_t o = 0; o < v.outer * v.inner; o++)
        for (int64_t k = 0; k < v.n; k++) {
            int64_t at = o / v.inner * v.n * v.inner + o % v.inner;
            double others = 1, sum = 0;
            for (int64_t i = 0; i < v.n; i++) {
                int64_t p = at + (reverse ? v.n - 1 - i : i) * v.inner;
                if (product && !exclusive && i != k)
                    others *= a[p];
                if (i > k || (i == k && !exclusive))
                    sum += g[p] * others;
                if (product && exclusive && i != k)
                    others *= a[p];
            }
            out[at + (reverse ? v.n - 1 - k : k) * v.inner] += sum;
        }
    return OK;
}

static const struct attr_def arg_attrs[] = {
    INT("axis", 0), INT("keepdims", 1), INT("select_last_index", 0), { 0 }
};
static const struct attr_def running_attrs[] = { INT("exclusive", 0), INT("reverse", 0), { 0 } };

/* clang-format off */
const struct op ops_along_axis[] = {
    { ONNX("ArgMax", 13, 1, 1), .flags = OP_NO_GRADIENT, .attrs = arg_attrs, .shape = arg_shape, .eval = arg_eval },
    { ONNX("ArgMin", 13, 1, 1), .flags = OP_NO_GRADIENT, .attrs = arg_attrs, .shape = arg_shape, .eval = arg_eval },
    { .name = "TopK", .domain = "", .whole = 2, .spec = "ONNX TopK-24", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 2,
      .attrs = ATTRS(INT("axis", -1), INT("largest", 1), INT("sorted", 1)), .shape = top_shape, .eval = top_eval,
      .grad = top_grad },
    { ONNX("CumSum", 14, 2, 2), .whole = 2, .attrs = running_attrs, .shape = shape_same, .eval = running_eval, .grad = running_grad },
    { ONNX("CumProd", 26, 2, 2), .whole = 2, .attrs = running_attrs, .shape = shape_same, .eval = running_eval, .grad = running_grad },
    { 0 },
};
