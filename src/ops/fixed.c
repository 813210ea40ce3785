/* What all operators of domain "fixed" share: reading their inputs, and the fixed-point functions
 * of reals (gemmlowp's, which TensorFlow Lite's kernels are written with). */
#include "ops/fixed.h"

#include <math.h>
#include <string.h>

#include "ops/call.h"
#include "ops/quantize.h"
#include "ops/split.h"

double fixed_round(double x) {
    double whole = trunc(x);
    return fabs(x - whole) >= 0.5 ? whole + copysign(1, x) : whole;
}

struct fixed_factor fixed_factor_of(double real) {
    struct fixed_factor f = { 0 };
    if (real == 0 || !isfinite(real))
        return f;
    int64_t fraction = (int64_t)fixed_round(frexp(real, &f.shift) * 0x1p31);
    if (fraction == INT64_C(1) << 31) {
        fraction /= 2;
        f.shift++;
    }
    if (f.shift < -31) {
        f.shift = 0;
        fraction = 0;
    }
    f.multiplier = (int32_t)fraction;
    return f;
}

#define TOP 31
#define NAME(x) x##_31
#include "ops/fixed_functions.inc"
#define TOP 15
#define NAME(x) x##_15
#include "ops/fixed_functions.inc"

int32_t fixed_rescale(int32_t x, int from_bits, int to_bits) {
    return times_power_31(x, from_bits - to_bits);
}

int32_t fixed_exp_negative(int32_t a, int bits) {
    return exp_negative_31(a, bits);
}

int32_t fixed_reciprocal_of_one_plus(int32_t x) {
    return reciprocal_of_one_plus_31(x);
}

int32_t fixed_logistic_narrow(int32_t a, int bits) {
    return logistic_15(a, bits);
}

int32_t fixed_tanh_narrow(int32_t a, int bits) {
    return tanh_15(a, bits);
}

int32_t fixed_product_narrow(int32_t a, int32_t b) {
    return product_15(a, b);
}

int32_t fixed_rescale_narrow(int32_t x, int from_bits, int to_bits) {
    return times_power_15(x, from_bits - to_bits);
}

static int leading_zeros(uint32_t x) {
    int n = 0;
    while (n < 32 && !(x & (UINT32_C(1) << (31 - n))))
        n++;
    return n;
}

int32_t fixed_reciprocal(int32_t x, int bits, int *over) {
    int zeros = leading_zeros((uint32_t)x);
    *over = bits - zeros;
    int32_t minus_one = (int32_t)(((uint32_t)x << zeros) - (UINT32_C(1) << 31));
    return fixed_reciprocal_of_one_plus(minus_one);
}

struct fixed_factor fixed_inverse_root(int32_t x) {
    struct fixed_factor f = { INT32_MAX, 0 };
    if (x <= 1)
        return f;
    int right = 11;
    while (x >= 1 << 29) {
        x /= 4;
        right++;
    }
    int pairs = (leading_zeros((uint32_t)x) - 1) / 2 - 1;
    right -= pairs;
    x <<= 2 * pairs;
    /* Newton's method for 1 / sqrt with three integer bits. */
    int32_t half = fixed_round_shift(x >> 1, 1), three_halves = (1 << 28) + (1 << 27),
            root = 1 << 28;
    for (int i = 0; i < 5; i++) {
        int32_t cube =
            fixed_rescale(fixed_high_product(fixed_high_product(root, root), root), 9, 3);
        int32_t a = fixed_high_product(three_halves, root), b = fixed_high_product(half, cube);
        root = fixed_rescale(a - b, 6, 3);
    }
    const int32_t half_root_2 = 1518500250; /* sqrt(2) / 2 */
    f.multiplier = fixed_high_product(root, half_root_2);
    if (right < 0) {
        f.multiplier = fixed_shift_left(f.multiplier, -right);
        right = 0;
    }
    f.shift = -right;
    return f;
}

/* --- inputs --- */

int fixed_data_inputs(const struct node *n) {
    return (n->n_in - 2 * n->n_out) / 3;
}

static enum status read_quant(struct op_ctx *c, int at, enum dtype dtype, struct fixed_quant *q) {
    const struct tensor *scale = at < c->n_in ? c->in[at] : NULL,
                        *zero = at + 1 < c->n_in ? c->in[at + 1] : NULL;
    int64_t least = 0, largest = 0;
    *q = (struct fixed_quant) { .dtype = dtype };
    if (!scale)
        return OK;
    FAIL_IF(scale->store != DT_F32 || !zero || !dtype_is_int(zero->store) ||
                tensor_count(zero) != tensor_count(scale) || tensor_count(scale) < 1,
            c->err, STATUS_CORRUPT, "a scale without its zero point");
    q->n = tensor_count(scale);
    q->scale = scale->data;
    q->zeros = zero;
    q->zero = tensor_i64(zero, 0);
    for (int64_t i = 0; i < q->n; i++)
        FAIL_IF(!(q->scale[i] >= 0) || !isfinite(q->scale[i]), c->err, STATUS_CORRUPT,
                "scale %lld is %g", (long long)i, (double)q->scale[i]);
    quant_range(dtype, &least, &largest);
    FAIL_IF(q->zero < INT32_MIN || q->zero > INT32_MAX, c->err, STATUS_CORRUPT,
            "the zero point %lld", (long long)q->zero);
    q->least = (int32_t)least;
    q->largest = (int32_t)largest;
    return OK;
}

enum status fixed_in(struct op_ctx *c, int i, struct fixed_quant *q) {
    return read_quant(c, fixed_data_inputs(c->node) + 2 * i, c->in[i] ? c->in[i]->dtype : DT_NONE,
                      q);
}

enum status fixed_out(struct op_ctx *c, int i, struct fixed_quant *q) {
    return read_quant(c, 3 * fixed_data_inputs(c->node) + 2 * i, c->out_fact[i].dtype, q);
}

static enum status need_one(struct op_ctx *c, const struct fixed_quant *q) {
    FAIL_IF(q->n != 1 || !(q->scale[0] > 0), c->err, STATUS_UNSUPPORTED,
            "%s in integer arithmetic with %lld scales of an activation", c->node->op,
            (long long)q->n);
    return OK;
}

enum status fixed_in_one(struct op_ctx *c, int i, struct fixed_quant *q) {
    TRY(fixed_in(c, i, q));
    return need_one(c, q);
}

enum status fixed_out_one(struct op_ctx *c, int i, struct fixed_quant *q) {
    TRY(fixed_out(c, i, q));
    return need_one(c, q);
}

int32_t fixed_quantized(const struct fixed_quant *q, double real) {
    /* The quotient is a float32. */
    double v = fixed_round((double)((float)real / q->scale[0])) + (double)q->zero;
    return v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

void fixed_limits(struct op_ctx *c, const struct fixed_quant *q, int32_t *low, int32_t *high) {
    double least = attr_float(c->node, "low"), largest = attr_float(c->node, "high");
    *low = q->least;
    *high = q->largest;
    if (isfinite(least)) {
        int32_t v = fixed_quantized(q, least);
        *low = v > *low ? v : *low;
    }
    if (isfinite(largest)) {
        int32_t v = fixed_quantized(q, largest);
        *high = v < *high ? v : *high;
    }
}

#define LOAD_AS(T)                               \
    for (int64_t i = 0; i < n; i++)              \
        v[i] = ((const T *)t->data)[i] + offset; \
    break;

int32_t *fixed_values(struct op_ctx *c, const struct tensor *t, int32_t offset) {
    int64_t n = tensor_count(t);
    int32_t *v = NEW_ARRAY(c->scratch, n + 1, int32_t);
    switch (t->store) {
    case DT_I8:
        LOAD_AS(int8_t)
    case DT_U8:
        LOAD_AS(uint8_t)
    case DT_I16:
        LOAD_AS(int16_t)
    default:
        for (int64_t i = 0; i < n; i++)
            v[i] = (int32_t)((uint32_t)tensor_i64(t, i) + (uint32_t)offset);
    }
    return v;
}

#define STORE_AS(T)                             \
    for (int64_t i = 0; i < n; i++)             \
        ((T *)t->data)[begin + i] = (T)from[i]; \
    break;

void fixed_store(struct tensor *t, int64_t begin, int64_t n, const int32_t *from) {
    switch (t->store) {
    case DT_I8:
        STORE_AS(int8_t)
    case DT_U8:
        STORE_AS(uint8_t)
    case DT_I16:
        STORE_AS(int16_t)
    default:
        for (int64_t i = 0; i < n; i++)
            tensor_set_i64(t, begin + i, from[i]);
    }
}

enum status fixed_bad_type(struct op_ctx *c, enum dtype t) {
    return err_set(c->err, STATUS_UNSUPPORTED, "%s of %s in integer arithmetic", c->node->op,
                   dtype_name(t));
}

enum status fixed_shape(struct shape_ctx *c) {
    int inputs[64], n = fixed_data_inputs(c->node);
    FAIL_IF(n > 64, c->err, STATUS_UNSUPPORTED, "%d inputs", n);
    for (int i = 0; i < n; i++)
        inputs[i] = i;
    if (op_find("", c->node->op))
        TRY(op_shape_as(c, c->node->op, inputs, n));
    else
        shape_copy(c, 0, 0);
    int zero = 3 * n + 1;
    c->out[0].dtype = zero < c->n_in && !c->in[zero].absent ? c->in[zero].dtype : DT_F32;
    return OK;
}
