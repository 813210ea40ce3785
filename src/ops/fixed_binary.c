/* Two operands on quantized integers, broadcast.
 *
 * Add and Sub: the differences from the zero points, shifted left by 20 (16-bit: 15), are brought
 * to a common scale (twice the larger of the two), added, and brought to the output's.
 * SquaredDifference likewise with a shift of 7. Mul: the product of the differences at once.
 * Div: by the divisor's reciprocal in fixed point. FloorDiv and Mod take the integers as they are.
 * Max and Min compare the integers as they are. Comparisons scale both differences, shifted by 8;
 * the ordering ones compare int16 as it is. Add and Sub of int16 with scales that are powers of
 * two, where attribute `power_of_two` says so: the operand of the smaller scale is shifted to the
 * right.
 */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/fixed.h"
#include "ops/row.h"

struct binary {
    struct fixed_quant a, b, y;
    const int32_t *left, *right; /* differences from the zero points */
    struct fixed_factor fa, fb, fy;
    int shift;
    int32_t low, high;
};

typedef int32_t binary_fn(const struct binary *p, int32_t a, int32_t b);

static enum status read_pair(struct op_ctx *c, struct binary *p) {
    TRY(fixed_in_one(c, 0, &p->a));
    TRY(fixed_in_one(c, 1, &p->b));
    FAIL_IF(p->a.dtype != p->b.dtype, c->err, STATUS_UNSUPPORTED, "%s of %s and %s", c->node->op,
            dtype_name(p->a.dtype), dtype_name(p->b.dtype));
    p->left = fixed_values(c, c->in[0], (int32_t)-p->a.zero);
    p->right = fixed_values(c, c->in[1], (int32_t)-p->b.zero);
    return OK;
}

static enum status read_all(struct op_ctx *c, struct binary *p) {
    TRY(read_pair(c, p));
    TRY(fixed_out_one(c, 0, &p->y));
    FAIL_IF(p->a.dtype != p->y.dtype, c->err, STATUS_UNSUPPORTED, "%s of %s into %s", c->node->op,
            dtype_name(p->a.dtype), dtype_name(p->y.dtype));
    fixed_limits(c, &p->y, &p->low, &p->high);
    return OK;
}

static enum status apply(struct op_ctx *c, const struct binary *p, binary_fn *f) {
    struct broadcast plan;
    struct tensor *y = c->out[0];
    TRY(broadcast_plan(&plan, y->rank, y->dim, 2,
                       (const struct tensor *const[]) { c->in[0], c->in[1] }, c->err));
    for (int64_t i = 0, n = tensor_count(y); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        int32_t v = f(p, p->left[at[0]], p->right[at[1]]);
        fixed_store(y, i, 1, &v);
    }
    return OK;
}

static int32_t deliver(const struct binary *p, int32_t v) {
    return fixed_clamp((int32_t)((uint32_t)v + (uint32_t)(int32_t)p->y.zero), p->low, p->high);
}

static int32_t scaled(int32_t v, int shift, struct fixed_factor f) {
    return fixed_scale(fixed_shift_left(v, shift), f);
}

/* A scale that is a power of two, nearly. */
static bool power_of_two(float scale) {
    double l = log2((double)scale);
    return fabs(l - fixed_round(l)) < 1e-3;
}

/* Factors to twice the larger scale, which is given. */
static double common_scale(const struct fixed_quant *a, const struct fixed_quant *b,
                           struct fixed_factor f[2]) {
    double twice = (double)(2 * fmaxf(a->scale[0], b->scale[0]));
    f[0] = fixed_factor_of((double)a->scale[0] / twice);
    f[1] = fixed_factor_of((double)b->scale[0] / twice);
    return twice;
}

void fixed_add_factors(const struct fixed_quant *a, const struct fixed_quant *b,
                       const struct fixed_quant *y, int shift, struct fixed_factor f[3]) {
    double twice = common_scale(a, b, f);
    f[2] = fixed_factor_of(twice / (double)((float)(1 << shift) * y->scale[0]));
}

static int32_t sum_of(const struct binary *p, int32_t a, int32_t b) {
    return deliver(p, fixed_scale(scaled(a, p->shift, p->fa) + scaled(b, p->shift, p->fb), p->fy));
}

static int32_t difference_of(const struct binary *p, int32_t a, int32_t b) {
    return deliver(p, fixed_scale(scaled(a, p->shift, p->fa) - scaled(b, p->shift, p->fb), p->fy));
}

static int32_t shifted_sum_of(const struct binary *p, int32_t a, int32_t b) {
    return fixed_clamp(fixed_round_shift(a, p->fa.shift) + fixed_round_shift(b, p->fb.shift),
                       p->low, p->high);
}

static int32_t shifted_difference_of(const struct binary *p, int32_t a, int32_t b) {
    return fixed_clamp(fixed_round_shift(a, p->fa.shift) - fixed_round_shift(b, p->fb.shift),
                       p->low, p->high);
}

static int steps_below(float scale, float largest) {
    return (int)(fixed_round(log2((double)largest)) - fixed_round(log2((double)scale)));
}

/* The reference shifts one operand, to the right, and its Add does not broadcast then. */
static enum status shift_and_add(struct op_ctx *c, struct binary *p, bool difference) {
    p->fa.shift = steps_below(p->a.scale[0], p->y.scale[0]);
    p->fb.shift = steps_below(p->b.scale[0], p->y.scale[0]);
    bool same = dims_equal(c->in[0]->dim, c->in[0]->rank, c->in[1]->dim, c->in[1]->rank);
    FAIL_IF((p->fa.shift && p->fb.shift) || p->fa.shift < 0 || p->fb.shift < 0 ||
                p->fa.shift > 31 || p->fb.shift > 31 || (!difference && !same),
            c->err, STATUS_UNSUPPORTED, "16-bit %s with scales that are powers of two, %s",
            c->node->op,
            !difference && !same ? "broadcast" : "none of them that of the result and the largest");
    return apply(c, p, difference ? shifted_difference_of : shifted_sum_of);
}

static enum status add_or_sub(struct op_ctx *c, bool difference) {
    struct binary p = { 0 };
    TRY(read_all(c, &p));
    bool wide = p.y.dtype == DT_I16;
    if (wide && attr_int(c->node, "power_of_two") && power_of_two(p.a.scale[0]) &&
        power_of_two(p.b.scale[0]) && power_of_two(p.y.scale[0]))
        return shift_and_add(c, &p, difference);
    struct fixed_factor f[3];
    p.shift = wide ? 15 : 20;
    fixed_add_factors(&p.a, &p.b, &p.y, p.shift, f);
    p.fa = f[0], p.fb = f[1], p.fy = f[2];
    return apply(c, &p, difference ? difference_of : sum_of);
}

static enum status add(struct op_ctx *c) {
    return add_or_sub(c, false);
}

static enum status sub(struct op_ctx *c) {
    return add_or_sub(c, true);
}

static int32_t square_of(const struct binary *p, int32_t a, int32_t b) {
    int32_t d = scaled(a, p->shift, p->fa) - scaled(b, p->shift, p->fb);
    return deliver(p, fixed_scale((int32_t)((uint32_t)d * (uint32_t)d), p->fy));
}

static enum status squared_difference(struct op_ctx *c) {
    struct binary p = { .shift = 7 };
    TRY(read_all(c, &p));
    if (p.y.dtype != DT_I8)
        return fixed_bad_type(c, p.y.dtype);
    struct fixed_factor f[2];
    double twice = common_scale(&p.a, &p.b, f);
    p.fa = f[0], p.fb = f[1];
    p.fy = fixed_factor_of(twice * twice / (double)((float)(1 << 14) * p.y.scale[0]));
    return apply(c, &p, square_of);
}

static int32_t product_of(const struct binary *p, int32_t a, int32_t b) {
    return deliver(p, fixed_scale((int32_t)((uint32_t)a * (uint32_t)b), p->fy));
}

static enum status mul(struct op_ctx *c) {
    struct binary p = { 0 };
    TRY(read_all(c, &p));
    p.fy = fixed_factor_of((double)(p.a.scale[0] * p.b.scale[0] / p.y.scale[0]));
    return apply(c, &p, product_of);
}

/* --- quotients --- */

/* Copies of the sign bit after the first. */
static int spare_bits(int32_t v) {
    uint32_t u = (uint32_t)(v < 0 ? ~v : v);
    int n = 0;
    while (n < 31 && !(u & (UINT32_C(1) << (30 - n))))
        n++;
    return n;
}

/* The reciprocal of b to 31 bits, times a with as many bits as there are, times the factor. Where
 * the reference shifts by more than 31, which leaves it undefined, the quotient is 0. */
static int32_t quotient_of(const struct binary *p, int32_t a, int32_t b) {
    int over, room;
    if (b < 0) {
        a = -a;
        b = -b;
    }
    struct fixed_factor inverse = { .multiplier = fixed_reciprocal(b, 31, &over) };
    room = spare_bits(a);
    inverse.shift = room;
    struct fixed_factor f = { p->fy.multiplier, p->fy.shift - over - room };
    return deliver(p, fixed_scale(fixed_scale(a, inverse), f));
}

static enum status need_divisor(struct op_ctx *c, const int32_t *v) {
    for (int64_t i = 0, n = tensor_count(c->in[1]); i < n; i++)
        FAIL_IF(v[i] == 0, c->err, STATUS_UNSUPPORTED, "%s by zero in integer arithmetic",
                c->node->op);
    return OK;
}

static enum status divide(struct op_ctx *c) {
    struct binary p = { 0 };
    TRY(read_all(c, &p));
    TRY(need_divisor(c, p.right));
    p.fy = fixed_factor_of((double)(p.a.scale[0] / (p.b.scale[0] * p.y.scale[0])));
    return apply(c, &p, quotient_of);
}

static int32_t floor_of(const struct binary *p, int32_t a, int32_t b) {
    return fixed_clamp(a / b - (a % b != 0 && (a < 0) != (b < 0)), p->low, p->high);
}

static int32_t rest_of(const struct binary *p, int32_t a, int32_t b) {
    (void)p;
    int32_t rest = a % b;
    return rest && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Of the integers as they are, whatever their scales and zero points. */
static enum status divide_integers(struct op_ctx *c, binary_fn *f) {
    struct binary p = { 0 };
    TRY(read_all(c, &p));
    if (p.y.dtype == DT_U8)
        return fixed_bad_type(c, p.y.dtype);
    p.left = fixed_values(c, c->in[0], 0);
    p.right = fixed_values(c, c->in[1], 0);
    TRY(need_divisor(c, p.right));
    return apply(c, &p, f);
}

static enum status floor_divide(struct op_ctx *c) {
    return divide_integers(c, floor_of);
}

static enum status remainder_of(struct op_ctx *c) {
    return divide_integers(c, rest_of);
}

/* --- Max and Min --- */

static int32_t larger_of(const struct binary *p, int32_t a, int32_t b) {
    (void)p;
    return a > b ? a : b;
}

static int32_t smaller_of(const struct binary *p, int32_t a, int32_t b) {
    (void)p;
    return a < b ? a : b;
}

static enum status choose(struct op_ctx *c, binary_fn *f) {
    struct binary p = { 0 };
    FAIL_IF(fixed_data_inputs(c->node) != 2, c->err, STATUS_UNSUPPORTED, "%s of %d operands",
            c->node->op, fixed_data_inputs(c->node));
    TRY(read_all(c, &p));
    p.left = fixed_values(c, c->in[0], 0);
    p.right = fixed_values(c, c->in[1], 0);
    return apply(c, &p, f);
}

static enum status maximum(struct op_ctx *c) {
    return choose(c, larger_of);
}

static enum status minimum(struct op_ctx *c) {
    return choose(c, smaller_of);
}

/* --- comparisons --- */

static int32_t left_of(const struct binary *p, int32_t a) {
    return scaled(a, 8, p->fa);
}

static int32_t right_of(const struct binary *p, int32_t b) {
    return scaled(b, 8, p->fb);
}

#define COMPARISON(name, sign)                                          \
    static int32_t name(const struct binary *p, int32_t a, int32_t b) { \
        return left_of(p, a) sign right_of(p, b);                       \
    }
COMPARISON(is_equal, ==)
COMPARISON(is_less, <)
COMPARISON(is_less_or_equal, <=)
COMPARISON(is_greater, >)
COMPARISON(is_greater_or_equal, >=)

#define AS_IT_IS(name, sign)                                            \
    static int32_t name(const struct binary *p, int32_t a, int32_t b) { \
        (void)p;                                                        \
        return a sign b;                                                \
    }
AS_IT_IS(raw_less, <)
AS_IT_IS(raw_less_or_equal, <=)
AS_IT_IS(raw_greater, >)
AS_IT_IS(raw_greater_or_equal, >=)

static enum status compare(struct op_ctx *c) {
    static const struct {
        const char *op;
        binary_fn *f, *wide; /* wide: int16, which has no zero points */
    } rows[] = {
        { "Equal", is_equal, is_equal },
        { "Less", is_less, raw_less },
        { "LessOrEqual", is_less_or_equal, raw_less_or_equal },
        { "Greater", is_greater, raw_greater },
        { "GreaterOrEqual", is_greater_or_equal, raw_greater_or_equal },
    };
    struct binary p = { 0 };
    TRY(read_pair(c, &p));
    p.fa = fixed_factor_of((double)p.a.scale[0]);
    p.fb = fixed_factor_of((double)p.b.scale[0]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, c->node->op) == 0)
            return apply(c, &p, p.a.dtype == DT_I16 ? rows[i].wide : rows[i].f);
    return err_set(c->err, STATUS_BUG, "comparison %s", c->node->op);
}

static enum status shape_truth(struct shape_ctx *c) {
    TRY(shape_broadcast(c, &c->in[0], &c->in[1], &c->out[0]));
    c->out[0].dtype = DT_BOOL;
    return OK;
}

static enum status shape_pair(struct shape_ctx *c) {
    TRY(shape_broadcast(c, &c->in[0], &c->in[1], &c->out[0]));
    c->out[0].dtype = c->in[7].dtype;
    return OK;
}

#define PAIR(name_, eval_)                                                                         \
    {                                                                                              \
        .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, " name_, .min_in = 8, \
        .max_in = 8, .min_out = 1, .max_out = 1,                                                   \
        .attrs = ATTRS(FIXED_LIMITS, INT("power_of_two", 0), INT("fmod", 0)), .shape = shape_pair, \
        .eval = eval_                                                                              \
    }
#define TRUTH(name_)                                                                               \
    {                                                                                              \
        .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, " name_, .min_in = 6, \
        .max_in = 8, .min_out = 1, .max_out = 1, .shape = shape_truth, .eval = compare             \
    }

const struct op ops_fixed_binary[] = {
    PAIR("Div", divide),
    PAIR("FloorDiv", floor_divide),
    PAIR("Mod", remainder_of),
    PAIR("Add", add),
    PAIR("Sub", sub),
    PAIR("Mul", mul),
    PAIR("SquaredDifference", squared_difference),
    PAIR("Max", maximum),
    PAIR("Min", minimum),
    TRUTH("Equal"),
    TRUTH("Less"),
    TRUTH("LessOrEqual"),
    TRUTH("Greater"),
    TRUTH("GreaterOrEqual"),
    { 0 },
};
