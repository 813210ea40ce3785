/* Softmax, LogSoftmax, Hardmax along an axis.
 *
 * Order: the largest element m, then the sum of exp(x - m) in the axis's order, then exp(x - m) /
 * sum, or (x - m) - log(sum). */
#include <math.h>

#include "ops/axes.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"

typedef void double_fn(const double *x, double *y, int64_t n, int64_t step);
typedef void float_fn(const float *x, float *y, int64_t n, int64_t step);

#define KERNELS(T, S)                                                        \
    static T largest_##S(const T *x, int64_t n, int64_t step, int64_t *at) { \
        T m = x[0];                                                          \
        *at = 0;                                                             \
        for (int64_t i = 1; i < n && m == m; i++)                            \
            if (x[i * step] > m || x[i * step] != x[i * step]) {             \
                m = x[i * step];                                             \
                *at = i;                                                     \
            }                                                                \
        return m;                                                            \
    }                                                                        \
    static void softmax_##S(const T *x, T *y, int64_t n, int64_t step) {     \
        int64_t at;                                                          \
        T m = largest_##S(x, n, step, &at), sum = 0;                         \
        for (int64_t i = 0; i < n; i++) {                                    \
            y[i * step] = exp_##S(x[i * step] - m);                          \
            sum += y[i * step];                                              \
        }                                                                    \
        for (int64_t i = 0; i < n; i++)                                      \
            y[i * step] /= sum;                                              \
    }                                                                        \
    static void log_softmax_##S(const T *x, T *y, int64_t n, int64_t step) { \
        int64_t at;                                                          \
        T m = largest_##S(x, n, step, &at), sum = 0;                         \
        for (int64_t i = 0; i < n; i++)                                      \
            sum += exp_##S(x[i * step] - m);                                 \
        T log_sum = log_##S(sum);                                            \
        for (int64_t i = 0; i < n; i++)                                      \
            y[i * step] = (x[i * step] - m) - log_sum;                       \
    }                                                                        \
    static void hardmax_##S(const T *x, T *y, int64_t n, int64_t step) {     \
        int64_t at;                                                          \
        largest_##S(x, n, step, &at);                                        \
        for (int64_t i = 0; i < n; i++)                                      \
            y[i * step] = i == at;                                           \
    }
KERNELS(double, d)
KERNELS(float, f)

struct job {
    const struct tensor *x;
    struct tensor *y;
    struct axis_view v;
    double_fn *d;
    float_fn *f;
};

static void outer_task(void *arg, size_t outer) {
    const struct job *j = arg;
    for (int64_t i = 0; i < j->v.inner; i++) {
        int64_t at = (int64_t)outer * j->v.n * j->v.inner + i;
        if (j->x->store == DT_F64)
            j->d((const double *)j->x->data + at, (double *)j->y->data + at, j->v.n, j->v.inner);
        else
            j->f((const float *)j->x->data + at, (float *)j->y->data + at, j->v.n, j->v.inner);
    }
}

static enum status axis_of(const struct node *n, const struct tensor *x, int *axis, struct err *e) {
    *axis = 0;
    return x->rank ? axis_normalise(attr_int(n, "axis"), x->rank, axis, e) : OK;
}

static enum status along_axis(struct op_ctx *c, double_fn *d, float_fn *f) {
    struct job j = { .x = c->in[0], .y = c->out[0], .v = { 1, 1, 1 }, .d = d, .f = f };
    int axis;
    if (!dtype_is_float(j.x->store))
        return op_bad_type(c, 0);
    TRY(axis_of(c->node, j.x, &axis, c->err));
    if (j.x->rank)
        j.v = axis_view(j.x, axis);
    if (tensor_count(j.x))
        pool_run(tensor_count(j.x) > 16384 ? c->pool : NULL, (size_t)j.v.outer, outer_task, &j);
    return OK;
}

static enum status softmax_eval(struct op_ctx *c) {
    return along_axis(c, softmax_d, softmax_f);
}

static enum status log_softmax_eval(struct op_ctx *c) {
    return along_axis(c, log_softmax_d, log_softmax_f);
}

static enum status hardmax_eval(struct op_ctx *c) {
    return along_axis(c, hardmax_d, hardmax_f);
}

/* Softmax: y * (g - sum(g * y)). LogSoftmax: g - exp(y) * sum(g). */
static enum status axis_grad(struct grad_ctx *c, bool logarithm) {
    const struct tensor *x = c->in[0];
    struct axis_view v = { 1, 1, 1 };
    int axis;
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    TRY(axis_of(c->node, x, &axis, c->err));
    if (x->rank)
        v = axis_view(x, axis);
    const double *y = c->out[0]->data, *g = c->grad_out[0]->data;
    double *out = c->grad_in[0]->data;
    for (int64_t k = 0; k < v.outer * v.inner; k++) {
        int64_t at = k / v.inner * v.n * v.inner + k % v.inner;
        double sum = 0;
        for (int64_t i = 0; i < v.n; i++)
            sum += g[at + i * v.inner] * (logarithm ? 1 : y[at + i * v.inner]);
        for (int64_t i = 0; i < v.n; i++) {
            int64_t p = at + i * v.inner;
            out[p] += logarithm ? g[p] - exp_d(y[p]) * sum : y[p] * (g[p] - sum);
        }
    }
    return OK;
}

static enum status softmax_grad(struct grad_ctx *c) {
    return axis_grad(c, false);
}

static enum status log_softmax_grad(struct grad_ctx *c) {
    return axis_grad(c, true);
}

static const struct attr_def axis_attr[] = { INT("axis", -1), { 0 } };

/* clang-format off */
const struct op ops_softmax[] = {
    { ONNX("Softmax", 13, 1, 1), .attrs = axis_attr, .shape = shape_same, .eval = softmax_eval, .grad = softmax_grad },
    { ONNX("LogSoftmax", 13, 1, 1), .attrs = axis_attr, .shape = shape_same, .eval = log_softmax_eval,
      .grad = log_softmax_grad },
    { ONNX("Hardmax", 13, 1, 1), .flags = OP_NO_GRADIENT, .attrs = axis_attr, .shape = shape_same, .eval = hardmax_eval },
    { 0 },
};
