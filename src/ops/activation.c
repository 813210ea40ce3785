/* Activations that are not a formula of one tensor alone: Gelu and its kin, Clip, Dropout. */
#include <float.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/elementwise.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/body.h"
#include "ops/row.h"

/* Gelu, exact: (0.5 * x) * (1 + erf(x / sqrt(2))); tanh: (0.5 * x) * (1 + tanh(sqrt(2/pi) * (x +
 * 0.044715 * x^3))); Quick: x * sigmoid(alpha * x). */
#define GELU_VALUES(T, S)                                                   \
    static T gelu_value_##S(T x) {                                          \
        return ((T)0.5 * x) * (1 + erf_##S(x * (T)0.70710678118654752));    \
    }                                                                       \
    static T fast_gelu_value_##S(T x) {                                     \
        T inner = (T)0.79788456080286536 * (x + (T)0.044715 * (x * x * x)); \
        return ((T)0.5 * x) * (1 + tanh_##S(inner));                        \
    }                                                                       \
    static void gelu_##S(const T *in, T *out, int64_t n, T a, T b) {        \
        (void)a, (void)b;                                                   \
        for (int64_t i = 0; i < n; i++)                                     \
            out[i] = gelu_value_##S(in[i]);                                 \
    }                                                                       \
    static void fast_gelu_##S(const T *in, T *out, int64_t n, T a, T b) {   \
        (void)a, (void)b;                                                   \
        for (int64_t i = 0; i < n; i++)                                     \
            out[i] = fast_gelu_value_##S(in[i]);                            \
    }                                                                       \
    static void quick_gelu_##S(const T *in, T *out, int64_t n, T a, T b) {  \
        (void)b;                                                            \
        for (int64_t i = 0; i < n; i++)                                     \
            out[i] = in[i] * (1 / (1 + exp_##S(-(a * in[i]))));             \
    }
GELU_VALUES(double, d)
GELU_VALUES(float, f)

static double gelu_slope(double x) {
    return 0.5 * (1 + erf_d(x * 0.70710678118654752)) +
           x * 0.3989422804014327 * exp_d(-0.5 * x * x);
}

static double fast_gelu_slope(double x) {
    double t = tanh_d(0.79788456080286536 * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.79788456080286536 * (1 + 3 * 0.044715 * x * x);
}

static void gelu_slopes(const double *in, const double *out, const double *grad_out,
                        double *grad_in, int64_t n, double a, double b) {
    (void)out, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        grad_in[i] += grad_out[i] * gelu_slope(in[i]);
}

static void fast_gelu_slopes(const double *in, const double *out, const double *grad_out,
                             double *grad_in, int64_t n, double a, double b) {
    (void)out, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        grad_in[i] += grad_out[i] * fast_gelu_slope(in[i]);
}

static void quick_gelu_slopes(const double *in, const double *out, const double *grad_out,
                              double *grad_in, int64_t n, double a, double b) {
    (void)out, (void)b;
    for (int64_t i = 0; i < n; i++) {
        double s = 1 / (1 + exp_d(-(a * in[i])));
        grad_in[i] += grad_out[i] * (s + a * in[i] * s * (1 - s));
    }
}

static enum status approximation(const struct node *n, bool *tanh_form, struct err *e) {
    const char *name = attr_str(n, "approximate");
    *tanh_form = strcmp(name, "tanh") == 0;
    FAIL_IF(!*tanh_form && strcmp(name, "none") != 0, e, STATUS_UNSUPPORTED,
            "approximate '%s' is not known", name);
    return OK;
}

static enum status gelu_eval(struct op_ctx *c) {
    bool tanh_form;
    TRY(approximation(c->node, &tanh_form, c->err));
    return tanh_form ? unary_run(c, fast_gelu_f, fast_gelu_d) : unary_run(c, gelu_f, gelu_d);
}

static enum status gelu_grad(struct grad_ctx *c) {
    bool tanh_form;
    TRY(approximation(c->node, &tanh_form, c->err));
    return unary_grad(c, tanh_form ? fast_gelu_slopes : gelu_slopes);
}

static enum status microsoft_gelu_eval(struct op_ctx *c) {
    return unary_run(c, gelu_f, gelu_d);
}

static enum status microsoft_gelu_grad(struct grad_ctx *c) {
    return unary_grad(c, gelu_slopes);
}

static enum status quick_gelu_eval(struct op_ctx *c) {
    return unary_run(c, quick_gelu_f, quick_gelu_d);
}

static enum status quick_gelu_grad(struct grad_ctx *c) {
    return unary_grad(c, quick_gelu_slopes);
}

/* f(x + bias), the bias broadcast. */
static enum status biased(struct op_ctx *c, double (*d)(double), float (*f)(float)) {
    const struct tensor *x = c->in[0], *bias = c->n_in > 1 ? c->in[1] : NULL;
    struct broadcast plan;
    const struct tensor *in[] = { x, bias ? bias : x };
    TRY(broadcast_plan(&plan, x->rank, x->dim, 2, in, c->err));
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        double b = bias ? tensor_f64(bias, at[1]) : 0;
        if (x->store == DT_F64)
            tensor_set_f64(c->out[0], i, d(tensor_f64(x, i) + b));
        else
            tensor_set_f64(c->out[0], i, (double)f((float)tensor_f64(x, i) + (float)b));
    }
    return OK;
}

static enum status biased_grad(struct grad_ctx *c, double (*slope)(double)) {
    const struct tensor *x = c->in[0], *bias = c->n_in > 1 ? c->in[1] : NULL;
    struct broadcast plan;
    const struct tensor *in[] = { x, bias ? bias : x };
    TRY(broadcast_plan(&plan, x->rank, x->dim, 2, in, c->err));
    for (int64_t i = 0, n = c->grad_out[0] ? tensor_count(x) : 0; i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        double g = tensor_f64(c->grad_out[0], i) *
                   slope(tensor_f64(x, i) + (bias ? tensor_f64(bias, at[1]) : 0));
        if (c->grad_in[0])
            ((double *)c->grad_in[0]->data)[i] += g;
        if (bias && c->grad_in[1])
            ((double *)c->grad_in[1]->data)[at[1]] += g;
    }
    return OK;
}

static enum status bias_gelu_eval(struct op_ctx *c) {
    return biased(c, gelu_value_d, gelu_value_f);
}

static enum status bias_gelu_grad(struct grad_ctx *c) {
    return biased_grad(c, gelu_slope);
}

static enum status fast_gelu_eval(struct op_ctx *c) {
    return biased(c, fast_gelu_value_d, fast_gelu_value_f);
}

static enum status fast_gelu_grad(struct grad_ctx *c) {
    return biased_grad(c, fast_gelu_slope);
}

/* SwiGLU: Swish(a) * b, no broadcasting (ONNX SwiGLU-28, its function body). */
static enum status write_swiglu(struct body *b) {
    const struct tensor *x = b->c->in[0], *gate = b->c->in[1];
    FAIL_IF(x->rank != gate->rank ||
                memcmp(x->dim, gate->dim, (size_t)x->rank * sizeof *x->dim) != 0,
            b->c->err, STATUS_CORRUPT, "the inputs of SwiGLU have different shapes");
    struct node *swish = body_node(b, "", "Swish", &b->in[0], 1, 1);
    node_set_attr(swish, "alpha", ATTR_FLOAT)->f = attr_float(b->c->node, "alpha");
    b->out[0] = body_op(b, "Mul", swish->out[0], b->in[1], NULL);
    return OK;
}

static enum status swiglu_eval(struct op_ctx *c) {
    return eval_of_body(c, write_swiglu);
}

static enum status swiglu_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_swiglu);
}

/* Min(high, Max(x, low)); a bound that is left out does not bound. NaN stays. */
#define CLIP(T)                                     \
    {                                               \
        const T *in = x->data;                      \
        T *out = c->out[0]->data;                   \
        for (int64_t i = 0; i < n; i++) {           \
            T v = in[i];                            \
            if (low && v < *(const T *)low->data)   \
                v = *(const T *)low->data;          \
            if (high && v > *(const T *)high->data) \
                v = *(const T *)high->data;         \
            out[i] = v;                             \
        }                                           \
        break;                                      \
    }

static const struct tensor *bound(const struct tensor *const *in, int n_in, int i) {
    return i < n_in ? in[i] : NULL;
}

/* By side and type: float16, bfloat16, float32, float64. */
static float narrow_limits[2][3] = { { -65504.0F, -0x1.fep127F, -0x1.fffffep127F },
                                     { 65504.0F, 0x1.fep127F, 0x1.fffffep127F } };
static double wide_limits[2][4] = { { -65504, -0x1.fep127, -0x1.fffffep127,
                                      -0x1.fffffffffffffp1023 },
                                    { 65504, 0x1.fep127, 0x1.fffffep127, 0x1.fffffffffffffp1023 } };

#define NARROW(side, i, type) \
    { .dtype = type, .store = DT_F32, .data = &narrow_limits[side][i] }
#define WIDE(side, i, type) \
    { .dtype = type, .store = DT_F64, .data = &wide_limits[side][i] }
#define SIDE(s)                                                                                \
    {                                                                                          \
        NARROW(s, 0, DT_F16), NARROW(s, 1, DT_BF16), NARROW(s, 2, DT_F32), WIDE(s, 0, DT_F16), \
            WIDE(s, 1, DT_BF16), WIDE(s, 2, DT_F32), WIDE(s, 3, DT_F64)                        \
    }

const struct tensor *clip_limit(const struct tensor *given, const struct tensor *x, bool high) {
    static const struct tensor defaults[2][7] = { SIDE(0), SIDE(1) };
    for (int i = 0; !given && i < 7; i++)
        if (defaults[high][i].dtype == x->dtype && defaults[high][i].store == x->store)
            return &defaults[high][i];
    return given;
}

static enum status check_bound(struct op_ctx *c, const struct tensor *t) {
    FAIL_IF(t && (tensor_count(t) != 1 || t->store != c->in[0]->store), c->err, STATUS_CORRUPT,
            "a bound is %lld elements of %s; one of %s is asked for", (long long)tensor_count(t),
            dtype_name(t->dtype), dtype_name(c->in[0]->dtype));
    return OK;
}

static enum status clip_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *low = clip_limit(bound(c->in, c->n_in, 1), x, false),
                        *high = clip_limit(bound(c->in, c->n_in, 2), x, true);
    int64_t n = tensor_count(x);
    TRY(check_bound(c, low));
    TRY(check_bound(c, high));
    switch (x->store) {
    case DT_F64:
        CLIP(double)
    case DT_F32:
        CLIP(float)
    case DT_I64:
        CLIP(int64_t)
    case DT_I32:
        CLIP(int32_t)
    case DT_I16:
        CLIP(int16_t)
    case DT_I8:
        CLIP(int8_t)
    case DT_U64:
        CLIP(uint64_t)
    case DT_U32:
        CLIP(uint32_t)
    case DT_U16:
        CLIP(uint16_t)
    case DT_U8:
        CLIP(uint8_t)
    default:
        return op_bad_type(c, 0);
    }
    return OK;
}

static enum status clip_grad(struct grad_ctx *c) {
    const struct tensor *low = bound(c->in, c->n_in, 1), *high = bound(c->in, c->n_in, 2);
    for (int64_t i = 0, n = c->grad_out[0] ? tensor_count(c->in[0]) : 0; i < n; i++) {
        double x = tensor_f64(c->in[0], i), g = tensor_f64(c->grad_out[0], i);
        bool over =
            high && (low && tensor_f64(low, 0) > x ? tensor_f64(low, 0) : x) > tensor_f64(high, 0);
        int from = over ? 2 : low && x < tensor_f64(low, 0) ? 1 : 0;
        if (from < c->n_in && c->grad_in[from])
            ((double *)c->grad_in[from]->data)[from ? 0 : i] += g;
    }
    return OK;
}

/* clang-format off */
const struct op ops_activation[] = {
    { ONNX("Gelu", 20, 1, 1), .flags = OP_ELEMENTWISE, .attrs = ATTRS(STRING("approximate", "none")), .shape = shape_same,
      .eval = gelu_eval, .grad = gelu_grad },
    { ONNX("Clip", 13, 1, 3), .flags = OP_ELEMENTWISE, .shape = shape_same, .eval = clip_eval, .grad = clip_grad },
    { MICROSOFT("Gelu", 1, 1), .flags = OP_ELEMENTWISE, .shape = shape_same, .eval = microsoft_gelu_eval,
      .grad = microsoft_gelu_grad },
    { MICROSOFT("QuickGelu", 1, 1), .flags = OP_ELEMENTWISE, .attrs = ATTRS(FLOAT("alpha", 1.702f)), .shape = shape_same,
      .eval = quick_gelu_eval, .grad = quick_gelu_grad },
    { MICROSOFT("FastGelu", 1, 2), .flags = OP_ELEMENTWISE, .shape = shape_same, .eval = fast_gelu_eval,
      .grad = fast_gelu_grad },
    { MICROSOFT("BiasGelu", 2, 2), .flags = OP_ELEMENTWISE, .shape = shape_same, .eval = bias_gelu_eval,
      .grad = bias_gelu_grad },
    { ONNX("SwiGLU", 28, 2, 2), .flags = OP_ELEMENTWISE | OP_VIEW, .attrs = ATTRS(FLOAT("alpha", 1)), .shape = shape_same,
      .eval = swiglu_eval, .grad = swiglu_grad },
    { 0 },
};
