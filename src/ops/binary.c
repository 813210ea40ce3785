/* Elementwise functions of two or more tensors: the kernels of binary.def and their rows. */
#include <string.h>

#include "ops/broadcast.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"

#define fmod_d fmod
#define fmod_f fmodf

/* Division by zero is not defined for integers: 0, as NumPy has it. */
static uint64_t divide_u(uint64_t a, uint64_t b) {
    return b ? a / b : 0;
}

static int64_t divide_i(int64_t a, int64_t b) {
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : b ? a / b : 0;
}

static uint64_t remainder_u(uint64_t a, uint64_t b) {
    return b ? a % b : 0;
}

static int64_t remainder_i(int64_t a, int64_t b) {
    return b == -1 || !b ? 0 : a % b;
}

/* The sign of the divisor. */
static int64_t modulo_i(int64_t a, int64_t b) {
    int64_t r = remainder_i(a, b);
    return r && (r < 0) != (b < 0) ? r + b : r;
}

#define modulo_u remainder_u

static double floor_mod_d(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static float floor_mod_f(float a, float b) {
    float r = fmodf(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

/* Squares are one product. */
static double power_d(double a, double b) {
    return b == 2 ? a * a : b == 1 ? a : pow_d(a, b);
}

static float power_f(float a, float b) {
    return b == 2 ? a * a : b == 1 ? a : pow_f(a, b);
}

static uint64_t power_u(uint64_t a, uint64_t b) {
    uint64_t y = 1;
    for (; b; b >>= 1, a *= a)
        if (b & 1)
            y *= a;
    return y;
}

/* A negative power of an integer is its truncated quotient. */
static int64_t power_i(int64_t a, int64_t b) {
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
    return (int64_t)power_u((uint64_t)a, (uint64_t)b);
}

static uint64_t prelu_u(uint64_t a, uint64_t b) {
    (void)b;
    return a;
}

static int64_t prelu_i(int64_t a, int64_t b) {
    return a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a;
}

/* What is left when every bit of a is shifted out to the right. */
static uint64_t no_bits_u(uint64_t a) {
    (void)a;
    return 0;
}

static int64_t no_bits_i(int64_t a) {
    return a < 0 ? -1 : 0;
}

#define INNER(name, OUT, expression)                                                     \
    static void PASTE(name, TAG)(const void *const *operand, const int *step, void *out, \
                                 int64_t n, const void *arg) {                           \
        const TYPE *pa = operand[0];                                                     \
        const TYPE *pb = operand[1];                                                     \
        OUT *y = out;                                                                    \
        (void)arg;                                                                       \
        if (step[0] && step[1]) {                                                        \
            for (int64_t i = 0; i < n; i++) {                                            \
                WIDE a = pa[i], b = pb[i];                                               \
                y[i] = (OUT)(expression);                                                \
            }                                                                            \
        } else if (step[0]) {                                                            \
            WIDE b = pb[0];                                                              \
            for (int64_t i = 0; i < n; i++) {                                            \
                WIDE a = pa[i];                                                          \
                y[i] = (OUT)(expression);                                                \
            }                                                                            \
        } else {                                                                         \
            WIDE a = pa[0];                                                              \
            for (int64_t i = 0; i < n; i++) {                                            \
                WIDE b = pb[i * step[1]];                                                \
                y[i] = (OUT)(expression);                                                \
            }                                                                            \
        }                                                                                \
    }

#define COMPARE(name, expression) INNER(name, uint8_t, expression)
#define LOGIC(name, expression)
/* Reals. */
#define ARITHMETIC(name, real, integer, slope_a, slope_b) INNER(name, TYPE, real)
#define CHOICE(name, real, integer) INNER(name, TYPE, real)
#define BITS(name, expression)
#define TYPE float
#define WIDE float
#define SUFFIX f
#define TAG f32
#include "ops/binary.def"
#undef TYPE
#undef WIDE
#undef SUFFIX
#undef TAG
#define TYPE double
#define WIDE double
#define SUFFIX d
#define TAG f64
#include "ops/binary.def"
#undef TYPE
#undef WIDE
#undef SUFFIX
#undef TAG
#undef ARITHMETIC
#undef CHOICE
#undef BITS
/* Integers. */
#define ARITHMETIC(name, real, integer, slope_a, slope_b) INNER(name, TYPE, integer)
#define CHOICE(name, real, integer) INNER(name, TYPE, integer)
#define BITS(name, expression) INNER(name, TYPE, expression)
#define SUFFIX i
#define WIDE int64_t
#define TYPE int64_t
#define TAG i64
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE int32_t
#define TAG i32
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE int16_t
#define TAG i16
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE int8_t
#define TAG i8
#include "ops/binary.def"
#undef TYPE
#undef TAG
#undef SUFFIX
#undef WIDE
#define SUFFIX u
#define WIDE uint64_t
#define TYPE uint64_t
#define TAG u64
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE uint32_t
#define TAG u32
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE uint16_t
#define TAG u16
#include "ops/binary.def"
#undef TYPE
#undef TAG
#define TYPE uint8_t
#define TAG u8
#include "ops/binary.def"
#undef TYPE
#undef TAG
#undef SUFFIX
#undef WIDE
#undef ARITHMETIC
#undef CHOICE
#undef BITS
#undef COMPARE
#undef LOGIC
/* Bools and strings. */
#define ARITHMETIC(name, real, integer, slope_a, slope_b)
#define CHOICE(name, real, integer)
#define BITS(name, expression)
#define COMPARE(name, expression)
#define LOGIC(name, expression) INNER(name, uint8_t, expression)
#define TYPE uint8_t
#define WIDE int
#define TAG b8
#include "ops/binary.def"
INNER(Equal, uint8_t, !a == !b)
#undef TYPE
#undef WIDE
#undef TAG
#undef LOGIC
typedef const char *text;
#define TYPE text
#define WIDE text
#define TAG string
INNER(Equal, uint8_t, strcmp(a, b) == 0)
#undef TYPE
#undef WIDE
#undef TAG
#undef ARITHMETIC
#undef CHOICE
#undef BITS
#undef COMPARE

#define INTEGER_KERNELS(name)                                                                 \
    [DT_I64] = name##_i64, [DT_I32] = name##_i32, [DT_I16] = name##_i16, [DT_I8] = name##_i8, \
    [DT_U64] = name##_u64, [DT_U32] = name##_u32, [DT_U16] = name##_u16, [DT_U8] = name##_u8
#define NUMBER_KERNELS(name) [DT_F64] = name##_f64, [DT_F32] = name##_f32, INTEGER_KERNELS(name)

typedef broadcast_fn *const kernels[DT_COUNT];

#define LOGIC(name, expression) static kernels name##_kernels = { [DT_BOOL] = name##_b8 };
#define BITS(name, expression) static kernels name##_kernels = { INTEGER_KERNELS(name) };
#define CHOICE(name, real, integer) static kernels name##_kernels = { NUMBER_KERNELS(name) };
#define COMPARE(name, expression) static kernels name##_numbers = { NUMBER_KERNELS(name) };
#define ARITHMETIC(name, real, integer, slope_a, slope_b)                    \
    static kernels name##_kernels = { NUMBER_KERNELS(name) };                \
    static void name##_slopes(double a, double b, double y, double *slope) { \
        (void)a, (void)b, (void)y;                                           \
        slope[0] = slope_a;                                                  \
        slope[1] = slope_b;                                                  \
    }
#include "ops/binary.def"
#undef ARITHMETIC
#undef CHOICE
#undef BITS
#undef COMPARE
#undef LOGIC
static kernels Equal_kernels = {
    NUMBER_KERNELS(Equal), [DT_BOOL] = Equal_b8, [DT_STRING] = Equal_string
};
#define Less_kernels Less_numbers
#define LessOrEqual_kernels LessOrEqual_numbers
#define Greater_kernels Greater_numbers
#define GreaterOrEqual_kernels GreaterOrEqual_numbers

static enum status pair(struct op_ctx *c, kernels table, const struct tensor *a,
                        const struct tensor *b) {
    const struct tensor *in[] = { a, b };
    FAIL_IF(a->store != b->store, c->err, STATUS_CORRUPT,
            "the inputs are of types %s and %s; they must be equal", dtype_name(a->dtype),
            dtype_name(b->dtype));
    if (!table[a->store])
        return op_bad_type(c, 0);
    struct tensor *y = c->out[0];
    struct broadcast plan;
    TRY(broadcast_plan(&plan, y->rank, y->dim, 2, in, c->err));
    broadcast_run(&plan, in, y, table[a->store], NULL, c->pool);
    return OK;
}

/* Adds grad_out * slope to the gradients of inputs 0 and 1. */
static enum status pair_grad(struct grad_ctx *c,
                             void (*slopes)(double a, double b, double y, double *slope)) {
    const struct tensor *y = c->out[0];
    struct broadcast plan;
    if (!c->grad_out[0])
        return OK;
    TRY(broadcast_plan(&plan, y->rank, y->dim, 2, c->in, c->err));
    const double *a = c->in[0]->data, *b = c->in[1]->data, *g = c->grad_out[0]->data,
                 *out = y->data;
    for (int64_t i = 0, n = tensor_count(y); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        double slope[2];
        broadcast_offsets(&plan, i, at);
        slopes(a[at[0]], b[at[1]], out[i], slope);
        for (int k = 0; k < 2; k++)
            if (c->grad_in[k])
                ((double *)c->grad_in[k]->data)[at[k]] += g[i] * slope[k];
    }
    return OK;
}

static enum status fmod_eval(struct op_ctx *c) {
    return pair(c, attr_int(c->node, "fmod") ? FMod_kernels : Mod_kernels, c->in[0], c->in[1]);
}

static enum status fmod_grad(struct grad_ctx *c) {
    return pair_grad(c, attr_int(c->node, "fmod") ? FMod_slopes : Mod_slopes);
}

static enum status shift_eval(struct op_ctx *c) {
    const char *direction = attr_str(c->node, "direction");
    bool left = strcmp(direction, "LEFT") == 0;
    FAIL_IF(!left && strcmp(direction, "RIGHT") != 0, c->err, STATUS_CORRUPT,
            "direction '%s' is neither LEFT nor RIGHT", direction);
    return pair(c, left ? ShiftLeft_kernels : ShiftRight_kernels, c->in[0], c->in[1]);
}

/* The result has the type of the base. An integer base with a real exponent goes through float64
 * and truncates. */
static enum status mixed_power(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[1];
    bool through_real = dtype_is_int(a->store) && dtype_is_float(b->store);
    enum dtype store = through_real ? DT_F64 : a->store;
    struct tensor *base = NULL, *exponent = NULL, *y = c->out[0], *wide = NULL;
    enum status s = tensor_convert(&base, a, store, c->err);
    if (s == OK)
        s = tensor_convert(&exponent, b, store, c->err);
    if (s == OK && through_real) {
        s = tensor_new(&wide, DT_F64, DT_F64, y->rank, y->dim, c->err);
        c->out[0] = wide;
    }
    if (s == OK)
        s = pair(c, Pow_kernels, base, exponent);
    if (s == OK && through_real)
        for (int64_t i = 0, n = tensor_count(y); i < n; i++)
            tensor_set_f64(y, i, tensor_f64(wide, i));
    c->out[0] = y;
    tensor_free(wide);
    tensor_free(base);
    tensor_free(exponent);
    return s;
}

static enum status pow_eval(struct op_ctx *c) {
    if (c->in[0]->store == c->in[1]->store)
        return pair(c, Pow_kernels, c->in[0], c->in[1]);
    return mixed_power(c);
}

/* In the order of the inputs: ((in0 f in1) f in2) ... */
static enum status fold(struct op_ctx *c, kernels table) {
    if (c->n_in == 1) {
        if (!table[c->in[0]->store])
            return op_bad_type(c, 0);
        memcpy(c->out[0]->data, c->in[0]->data, tensor_bytes(c->in[0]));
        return OK;
    }
    TRY(pair(c, table, c->in[0], c->in[1]));
    for (int i = 2; i < c->n_in; i++)
        TRY(pair(c, table, c->out[0], c->in[i]));
    return OK;
}

static enum status sum_eval(struct op_ctx *c) {
    return fold(c, Add_kernels);
}

static enum status max_eval(struct op_ctx *c) {
    return fold(c, Max_kernels);
}

static enum status min_eval(struct op_ctx *c) {
    return fold(c, Min_kernels);
}

static enum status mean_eval(struct op_ctx *c) {
    TRY(fold(c, Add_kernels));
    struct tensor *y = c->out[0];
    int64_t n = tensor_count(y);
    if (y->store == DT_F64)
        for (int64_t i = 0; i < n; i++)
            ((double *)y->data)[i] /= c->n_in;
    else if (y->store == DT_F32)
        for (int64_t i = 0; i < n; i++)
            ((float *)y->data)[i] /= (float)c->n_in;
    else
        return op_bad_type(c, 0);
    return OK;
}

/* Every input's share of grad_out: `scale` when `chosen` is false, else 1 for the first input that
 * equals the output. */
static enum status fold_grad(struct grad_ctx *c, double scale, bool chosen) {
    const struct tensor *y = c->out[0];
    int64_t n = c->grad_out[0] ? tensor_count(y) : 0;
    bool *taken = NEW_ARRAY(c->scratch, n + 1, bool);
    for (int k = 0; k < c->n_in; k++) {
        struct broadcast plan;
        TRY(broadcast_plan(&plan, y->rank, y->dim, 1, &c->in[k], c->err));
        for (int64_t i = 0; i < n; i++) {
            int64_t at[MAX_OPERANDS];
            broadcast_offsets(&plan, i, at);
            if (chosen && (taken[i] ||
                           ((const double *)c->in[k]->data)[at[0]] != ((const double *)y->data)[i]))
                continue;
            taken[i] = true;
            if (c->grad_in[k])
                ((double *)c->grad_in[k]->data)[at[0]] +=
                    scale * ((const double *)c->grad_out[0]->data)[i];
        }
    }
    return OK;
}

static enum status sum_grad(struct grad_ctx *c) {
    return fold_grad(c, 1, false);
}

static enum status mean_grad(struct grad_ctx *c) {
    return fold_grad(c, 1.0 / c->n_in, false);
}

static enum status chosen_grad(struct grad_ctx *c) {
    return fold_grad(c, 1, true);
}

static enum status compare_shape(struct shape_ctx *c) {
    TRY(shape_broadcast_all(c));
    c->out[0].dtype = DT_BOOL;
    return OK;
}

#define LOGIC(name, expression)                             \
    static enum status name##_eval(struct op_ctx *c) {      \
        return pair(c, name##_kernels, c->in[0], c->in[1]); \
    }
#define COMPARE(name, expression) LOGIC(name, expression)
#define BITS(name, expression)
#define ARITHMETIC(name, real, integer, slope_a, slope_b)
#define CHOICE(name, real, integer)
#include "ops/binary.def"
#undef LOGIC
#define PAIR_EVAL(name)                                     \
    static enum status name##_eval(struct op_ctx *c) {      \
        return pair(c, name##_kernels, c->in[0], c->in[1]); \
    }
#define PAIR_GRAD(name)                                  \
    static enum status name##_grad(struct grad_ctx *c) { \
        return pair_grad(c, name##_slopes);              \
    }
PAIR_EVAL(Add)
PAIR_EVAL(Sub)
PAIR_EVAL(Mul)
PAIR_EVAL(Div)
PAIR_EVAL(PRelu)
PAIR_EVAL(BitwiseAnd)
PAIR_EVAL(BitwiseOr)
PAIR_EVAL(BitwiseXor)
PAIR_GRAD(Add)
PAIR_GRAD(Sub)
PAIR_GRAD(Mul)
PAIR_GRAD(Div)
PAIR_GRAD(PRelu)
PAIR_GRAD(Pow)

/* clang-format off */
#define PAIR(name, since, flags_, shape_) ONNX(#name, since, 2, 2), .flags = OP_ELEMENTWISE | flags_, .shape = shape_, .eval = name##_eval

const struct op ops_binary[] = {
    { PAIR(Add, 14, OP_COMMUTATIVE, shape_broadcast_all), .grad = Add_grad },
    { PAIR(Sub, 14, 0, shape_broadcast_all), .grad = Sub_grad },
    { PAIR(Mul, 14, OP_COMMUTATIVE, shape_broadcast_all), .grad = Mul_grad },
    { PAIR(Div, 14, 0, shape_broadcast_all), .grad = Div_grad },
    { ONNX("Mod", 13, 2, 2), .flags = OP_ELEMENTWISE, .attrs = ATTRS(INT("fmod", 0)), .shape = shape_broadcast_all,
      .eval = fmod_eval, .grad = fmod_grad },
    { ONNX("Pow", 15, 2, 2), .flags = OP_ELEMENTWISE, .shape = shape_broadcast_all, .eval = pow_eval, .grad = Pow_grad },
    { PAIR(PRelu, 16, 0, shape_same), .grad = PRelu_grad },
    { ONNX("Sum", 13, 1, -1), .flags = OP_ELEMENTWISE | OP_COMMUTATIVE, .shape = shape_broadcast_all, .eval = sum_eval,
      .grad = sum_grad },
    { ONNX("Mean", 13, 1, -1), .flags = OP_ELEMENTWISE | OP_COMMUTATIVE, .shape = shape_broadcast_all, .eval = mean_eval,
      .grad = mean_grad },
    { ONNX("Max", 13, 1, -1), .flags = OP_ELEMENTWISE | OP_COMMUTATIVE, .shape = shape_broadcast_all, .eval = max_eval,
      .grad = chosen_grad },
    { ONNX("Min", 13, 1, -1), .flags = OP_ELEMENTWISE | OP_COMMUTATIVE, .shape = shape_broadcast_all, .eval = min_eval,
      .grad = chosen_grad },
    { PAIR(Equal, 19, OP_COMMUTATIVE | OP_ANY_TYPE | OP_NO_GRADIENT, compare_shape) },
    { PAIR(Less, 13, OP_NO_GRADIENT, compare_shape) },
    { PAIR(LessOrEqual, 16, OP_NO_GRADIENT, compare_shape) },
    { PAIR(Greater, 13, OP_NO_GRADIENT, compare_shape) },
    { PAIR(GreaterOrEqual, 16, OP_NO_GRADIENT, compare_shape) },
    { PAIR(And, 7, OP_COMMUTATIVE | OP_NO_GRADIENT, compare_shape) },
    { PAIR(Or, 7, OP_COMMUTATIVE | OP_NO_GRADIENT, compare_shape) },
    { PAIR(Xor, 7, OP_COMMUTATIVE | OP_NO_GRADIENT, compare_shape) },
    { PAIR(BitwiseAnd, 18, OP_COMMUTATIVE | OP_NO_GRADIENT, shape_broadcast_all) },
    { PAIR(BitwiseOr, 18, OP_COMMUTATIVE | OP_NO_GRADIENT, shape_broadcast_all) },
    { PAIR(BitwiseXor, 18, OP_COMMUTATIVE | OP_NO_GRADIENT, shape_broadcast_all) },
    { ONNX("BitShift", 11, 2, 2), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("direction", STRING)),
      .shape = shape_broadcast_all, .eval = shift_eval },
    { 0 },
};
