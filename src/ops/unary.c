/* Elementwise functions of one tensor: the kernels and gradients of unary.def, and those that are
 * not a real formula. */
#include <string.h>

#include "ops/elementwise.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"

#define floor_d floor
#define floor_f floorf
#define ceil_d ceil
#define ceil_f ceilf
#define rint_d rint
#define rint_f rintf
#define fabs_d fabs
#define fabs_f fabsf
#define sqrt_d sqrt
#define sqrt_f sqrtf

static double clamp_d(double v, double low, double high) {
    return v < low ? low : v > high ? high : v;
}

static float clamp_f(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

static double swish_slope_d(double x, double a) {
    double s = 1 / (1 + exp_d(-(a * x)));
    return s + a * x * s * (1 - s);
}

static double mish_slope_d(double x) {
    double t = tanh_d((x > 0 ? x : 0) + log1p_d(exp_d(x > 0 ? -x : x)));
    return t + x * (1 - t * t) / (1 + exp_d(-x));
}

#define K(constant) ((REAL)(constant))
#define VALUE(name, value)                                                                         \
    static void FN(name)(const REAL *restrict in, REAL *restrict out, int64_t n, REAL a, REAL b) { \
        (void)a, (void)b;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            REAL x = in[i];                                                                        \
            out[i] = value;                                                                        \
        }                                                                                          \
    }
#define SLOPE(name, slope)                                                                \
    static void name##_slope(const double *in, const double *out, const double *grad_out, \
                             double *grad_in, int64_t n, double a, double b) {            \
        (void)a, (void)b;                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                 \
            double x = in[i], y = out[i];                                                 \
            (void)x, (void)y;                                                             \
            grad_in[i] += grad_out[i] * (slope);                                          \
        }                                                                                 \
    }

#define UNARY(name, since, attrs, value, slope) VALUE(name, value)
#define REAL float
#define SUFFIX f
#include "ops/unary.def"
#undef REAL
#undef SUFFIX
#define REAL double
#define SUFFIX d
#include "ops/unary.def"
#undef UNARY
#define UNARY(name, since, attrs, value, slope) SLOPE(name, slope)
#include "ops/unary.def"
#undef UNARY

/* The same functions of integers; v is the element widened to 64 bits, signed or not as the type
 * is. */
static enum status integers(struct op_ctx *c, int64_t (*f)(int64_t v, bool is_signed)) {
    const struct tensor *x = c->in[0];
    bool is_signed = dtype_row(x->store)->class_ == CLASS_INT;
    int64_t n = tensor_count(x);
    for (int64_t i = 0; i < n; i++)
        tensor_set_i64(c->out[0], i, f(tensor_i64(x, i), is_signed));
    return OK;
}

static int64_t int_Abs(int64_t v, bool is_signed) {
    return is_signed && v < 0 ? (int64_t)(0 - (uint64_t)v) : v;
}

static int64_t int_Neg(int64_t v, bool is_signed) {
    (void)is_signed;
    return (int64_t)(0 - (uint64_t)v);
}

static int64_t int_Sign(int64_t v, bool is_signed) {
    return is_signed && v < 0 ? -1 : v != 0;
}

static int64_t int_Relu(int64_t v, bool is_signed) {
    return is_signed && v < 0 ? 0 : v;
}

static const struct {
    const char *op;
    int64_t (*f)(int64_t v, bool is_signed);
} integer_forms[] = {
    { "Abs", int_Abs },
    { "Neg", int_Neg },
    { "Sign", int_Sign },
    { "Relu", int_Relu },
};

/* Shrink: in float64, cut towards zero. */
static enum status shrink_integers(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    double lambd = attr_float(c->node, "lambd"), bias = attr_float(c->node, "bias");
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        double v = tensor_f64(x, i), y = v < -lambd ? v + bias : v > lambd ? v - bias : 0;
        if (y >= 9223372036854775808.0)
            tensor_set_i64(c->out[0], i, y < 18446744073709551616.0 ? (int64_t)(uint64_t)y : -1);
        else
            tensor_set_i64(c->out[0], i, y > -9223372036854775808.0 ? (int64_t)y : INT64_MIN);
    }
    return OK;
}

enum status unary_integer(struct op_ctx *c) {
    if (dtype_is_int(c->in[0]->store))
        for (size_t i = 0; i < sizeof integer_forms / sizeof *integer_forms; i++)
            if (strcmp(c->node->op, integer_forms[i].op) == 0)
                return integers(c, integer_forms[i].f);
    if (dtype_is_int(c->in[0]->store) && strcmp(c->node->op, "Shrink") == 0)
        return shrink_integers(c);
    return op_bad_type(c, 0);
}

#define UNARY(name, since, attrs, value, slope)          \
    static enum status name##_eval(struct op_ctx *c) {   \
        return unary_run(c, name##_f, name##_d);         \
    }                                                    \
    static enum status name##_grad(struct grad_ctx *c) { \
        return unary_grad(c, name##_slope);              \
    }
#include "ops/unary.def"
#undef UNARY

static enum status bool_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_BOOL;
    return OK;
}

static enum status not_eval(struct op_ctx *c) {
    const uint8_t *x = c->in[0]->data;
    uint8_t *y = c->out[0]->data;
    if (c->in[0]->store != DT_BOOL)
        return op_bad_type(c, 0);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        y[i] = !x[i];
    return OK;
}

static enum status bitwise_not_eval(struct op_ctx *c) {
    if (!dtype_is_int(c->in[0]->store))
        return op_bad_type(c, 0);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        tensor_set_i64(c->out[0], i, ~tensor_i64(c->in[0], i));
    return OK;
}

static enum status is_nan_eval(struct op_ctx *c) {
    uint8_t *y = c->out[0]->data;
    if (!dtype_is_float(c->in[0]->store))
        return op_bad_type(c, 0);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        y[i] = isnan(tensor_f64(c->in[0], i)) != 0;
    return OK;
}

static enum status is_inf_eval(struct op_ctx *c) {
    bool negative = attr_int(c->node, "detect_negative"),
         positive = attr_int(c->node, "detect_positive");
    uint8_t *y = c->out[0]->data;
    if (!dtype_is_float(c->in[0]->store))
        return op_bad_type(c, 0);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++) {
        double v = tensor_f64(c->in[0], i);
        y[i] = isinf(v) && (v < 0 ? negative : positive);
    }
    return OK;
}

static enum status identity_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].value = c->in[0].value;
    return OK;
}

static enum status identity_eval(struct op_ctx *c) {
    c->out[0] = tensor_alias(c->in[0]);
    return OK;
}

static enum status identity_grad(struct grad_ctx *c) {
    for (int64_t i = 0, n = tensor_count(c->in[0]); c->grad_in[0] && c->grad_out[0] && i < n; i++)
        ((double *)c->grad_in[0]->data)[i] += ((const double *)c->grad_out[0]->data)[i];
    return OK;
}

/* clang-format off */
const struct op ops_unary[] = {
#define UNARY(id, since, attrs_, value, slope)                                                     \
    { ONNX(#id, since, 1, 1), .flags = OP_ELEMENTWISE, .attrs = attrs_, .shape = shape_same,       \
      .eval = id##_eval, .grad = id##_grad },
#include "ops/unary.def"
    { ONNX("Not", 1, 1, 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = shape_same, .eval = not_eval },
    { ONNX("BitwiseNot", 18, 1, 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = shape_same, .eval = bitwise_not_eval },
    { ONNX("IsNaN", 20, 1, 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = bool_shape, .eval = is_nan_eval },
    { ONNX("IsInf", 20, 1, 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = bool_shape, .eval = is_inf_eval,
      .attrs = ATTRS(INT("detect_negative", 1), INT("detect_positive", 1)) },
    { ONNX("Identity", 25, 1, 1), .flags = OP_ELEMENTWISE | OP_MOVES | OP_VIEW | OP_KINDS, .shape = identity_shape,
      .eval = identity_eval, .grad = identity_grad },
    { 0 },
};
