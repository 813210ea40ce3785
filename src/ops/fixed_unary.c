/* One operand on quantized integers, element by element, without a table: rectifiers, Abs, Neg,
 * Rsqrt, Sqrt, HardSwish. The difference from the zero point is multiplied by a fixed-point factor.
 */
#include <math.h>

#include "ops/broadcast.h"
#include "ops/fixed_table.h"
#include "ops/row.h"

struct unary {
    struct fixed_quant x, y;
    struct fixed_factor same, other; /* of the identity and of the other branch */
    bool negative;                   /* the other branch's factor is negative */
    int32_t low, high;
};

typedef int32_t unary_fn(const struct unary *p, int32_t x);

static enum status read_unary(struct op_ctx *c, struct unary *p) {
    TRY(fixed_in_one(c, 0, &p->x));
    TRY(fixed_out_one(c, 0, &p->y));
    FAIL_IF(p->x.dtype != p->y.dtype, c->err, STATUS_UNSUPPORTED, "%s of %s into %s", c->node->op,
            dtype_name(p->x.dtype), dtype_name(p->y.dtype));
    p->same = fixed_factor_of((double)(p->x.scale[0] / p->y.scale[0]));
    p->low = p->y.least;
    p->high = p->y.largest;
    return OK;
}

static int32_t deliver(const struct unary *p, int32_t v) {
    int64_t sum = v + p->y.zero;
    return (int32_t)(sum < p->low ? p->low : sum > p->high ? p->high : sum);
}

static enum status apply(struct op_ctx *c, const struct unary *p, unary_fn *f) {
    int64_t n = tensor_count(c->in[0]);
    int32_t *v = fixed_values(c, c->in[0], (int32_t)-p->x.zero);
    for (int64_t i = 0; i < n; i++)
        v[i] = f(p, v[i]);
    fixed_store(c->out[0], 0, n, v);
    return OK;
}

static int32_t identity_of(const struct unary *p, int32_t x) {
    return deliver(p, fixed_scale(x, p->same));
}

static void limit(struct unary *p, double low, double high) {
    int32_t least = isfinite(low) ? fixed_quantized(&p->y, low) : p->low;
    int32_t largest = isfinite(high) ? fixed_quantized(&p->y, high) : p->high;
    p->low = least > p->low ? least : p->low;
    p->high = largest < p->high ? largest : p->high;
}

static enum status relu(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    limit(&p, 0, HUGE_VAL);
    return apply(c, &p, identity_of);
}

static enum status clip(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    FAIL_IF(fixed_data_inputs(c->node) != 3 || !c->in[1] || !c->in[2], c->err, STATUS_UNSUPPORTED,
            "Clip without both limits");
    limit(&p, tensor_f64(c->in[1], 0), tensor_f64(c->in[2], 0));
    return apply(c, &p, identity_of);
}

static int32_t leaky_of(const struct unary *p, int32_t x) {
    if (x >= 0)
        return identity_of(p, x);
    int32_t v = fixed_scale(x, p->other);
    return deliver(p, p->negative ? -v : v);
}

static enum status leaky_relu(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    float alpha = (float)attr_float(c->node, "alpha");
    float factor = p.x.scale[0] * alpha / p.y.scale[0];
    p.negative = factor < 0;
    p.other = fixed_factor_of((double)fabsf(factor));
    return apply(c, &p, leaky_of);
}

static enum status prelu(struct op_ctx *c) {
    struct unary p = { 0 };
    struct fixed_quant slope;
    struct broadcast plan;
    TRY(read_unary(c, &p));
    TRY(fixed_in_one(c, 1, &slope));
    if (slope.dtype != (p.x.dtype == DT_I16 ? DT_I8 : p.x.dtype))
        return fixed_bad_type(c, slope.dtype);
    p.other = fixed_factor_of((double)(p.x.scale[0] * slope.scale[0] / p.y.scale[0]));
    const struct tensor *x = c->in[0];
    TRY(broadcast_plan(&plan, x->rank, x->dim, 2, (const struct tensor *const[]) { x, c->in[1] },
                       c->err));
    int32_t *v = fixed_values(c, x, (int32_t)-p.x.zero),
            *a = fixed_values(c, c->in[1], (int32_t)-slope.zero);
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        v[i] =
            v[i] >= 0 ? identity_of(&p, v[i]) : deliver(&p, fixed_scale(v[i] * a[at[1]], p.other));
    }
    fixed_store(c->out[0], 0, tensor_count(x), v);
    return OK;
}

/* Without a factor where the scales are equal. */
static int32_t abs_of(const struct unary *p, int32_t x) {
    int32_t v = x < 0 ? -x : x;
    return deliver(p, p->negative ? fixed_scale(v, p->same) : v);
}

static enum status absolute(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    if (p.x.dtype == DT_U8)
        return fixed_bad_type(c, p.x.dtype);
    p.negative = p.x.scale[0] != p.y.scale[0];
    return apply(c, &p, abs_of);
}

/* Of the integer as it is, whatever the zero point. */
static enum status negative(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    if (p.x.dtype == DT_U8)
        return fixed_bad_type(c, p.x.dtype);
    int64_t n = tensor_count(c->in[0]);
    int32_t *v = fixed_values(c, c->in[0], 0);
    for (int64_t i = 0; i < n; i++)
        v[i] = -v[i];
    fixed_store(c->out[0], 0, n, v);
    return OK;
}

/* 1 / sqrt(x) with 20 fraction bits, then to the output's scale. */
static int32_t inverse_root_of(const struct unary *p, int32_t x) {
    if (x == 0)
        return p->high;
    struct fixed_factor root = fixed_inverse_root(x), f = p->other;
    root.shift += 20;
    f.shift -= 20;
    return deliver(p, fixed_scale(fixed_scale(1, root), f));
}

static enum status need_not_negative(struct op_ctx *c, const struct unary *p) {
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        FAIL_IF(tensor_i64(c->in[0], i) < p->x.zero, c->err, STATUS_UNSUPPORTED,
                "%s of a negative value", c->node->op);
    return OK;
}

static enum status rsqrt(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    if (p.x.dtype == DT_U8)
        return fixed_bad_type(c, p.x.dtype);
    TRY(need_not_negative(c, &p));
    if (p.x.dtype == DT_I16)
        return fixed_rsqrt_wide(c);
    p.other = fixed_factor_of(1 / (double)(sqrtf(p.x.scale[0]) * p.y.scale[0]));
    return apply(c, &p, inverse_root_of);
}

/* The square root in float32, truncated. */
static int32_t root_of(const struct unary *p, int32_t x) {
    float q = sqrtf(p->x.scale[0] * (float)x) / p->y.scale[0];
    return deliver(p, q < 2147483520.0f ? (int32_t)q : 2147483520);
}

static enum status square_root(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    if (p.x.dtype == DT_U8)
        return fixed_bad_type(c, p.x.dtype);
    TRY(need_not_negative(c, &p));
    return apply(c, &p, root_of);
}

/* --- HardSwish, in 16 bits --- */

static int16_t narrow_shift(int32_t v, int n) {
    int64_t wide = (int64_t)v * (INT64_C(1) << n);
    return (int16_t)(wide > INT16_MAX ? INT16_MAX : wide < INT16_MIN ? INT16_MIN : wide);
}

/* (2 * a * b) / 2^16 rounded to nearest, ties away from zero. */
static int16_t narrow_product(int16_t a, int16_t b) {
    if (a == b && a == INT16_MIN)
        return INT16_MAX;
    int32_t product = a * b, nudge = product >= 0 ? 1 << 14 : 1 - (1 << 14);
    return (int16_t)((product + nudge) / (1 << 15));
}

static int16_t narrow_factor(struct fixed_factor f) {
    return (int16_t)(f.multiplier >= INT32_MAX - (1 << 15) ? INT16_MAX
                                                           : (f.multiplier + (1 << 15)) >> 16);
}

/* other: x to relu6(x + 3) / 6 with 3 as 2^15; same: x to the output's scale. */
static int32_t hard_swish_of(const struct unary *p, int32_t x) {
    int16_t fine = (int16_t)(x * (1 << 7)), gate = fine;
    int16_t value = narrow_product(fine, narrow_factor(p->same));
    int shift = p->other.shift;
    if (shift > 0)
        gate = narrow_shift(gate, shift - 1);
    gate = narrow_product(gate, narrow_factor(p->other));
    if (shift > 0)
        gate = narrow_shift(gate, 1);
    if (shift < 0)
        gate = (int16_t)fixed_round_shift(gate, -shift);
    gate = (int16_t)((gate + (1 << 15)) >> 1);
    int32_t product = gate * value / (1 << 15);
    return deliver(p, fixed_round_shift(product, -p->same.shift));
}

static enum status hard_swish(struct op_ctx *c) {
    struct unary p = { 0 };
    TRY(read_unary(c, &p));
    if (p.x.dtype == DT_I16)
        return fixed_bad_type(c, p.x.dtype);
    float fine = (1.0f / 128.0f) * p.x.scale[0];
    p.same = fixed_factor_of((double)(fine / p.y.scale[0]));
    p.other = fixed_factor_of((double)(fine / (3.0f / 32768.0f)));
    FAIL_IF(p.same.shift > 0, c->err, STATUS_UNSUPPORTED,
            "HardSwish with an output scale that is a hundredth of its input's");
    return apply(c, &p, hard_swish_of);
}

const struct op ops_fixed_unary[] = {
    { FIXED("Relu", 1, 1), .eval = relu },
    { FIXED("Clip", 1, 3), .eval = clip },
    { FIXED("LeakyRelu", 1, 1), .attrs = ATTRS(FLOAT("alpha", 0.01)), .eval = leaky_relu },
    { FIXED("PRelu", 2, 2), .eval = prelu },
    { FIXED("Neg", 1, 1), .eval = negative },
    { FIXED("Abs", 1, 1), .eval = absolute },
    { FIXED("Rsqrt", 1, 1), .eval = rsqrt },
    { FIXED("Sqrt", 1, 1), .eval = square_root },
    { FIXED("HardSwish", 1, 1), .eval = hard_swish },
    { 0 },
};
