/* Two operands on quantized integers, broadcast.
 *
 * Add and Sub: the differences from the zero points, shifted left by 20 (16-bit: 15), are brought
 * to a common scale (twice the larger of the two), added, and brought to the output's.
 * SquaredDifference likewise with a shift of 7. Mul: the product of the differences at once.
 * Max and Min compare the integers as they are. Comparisons scale both differences, shifted by 8.
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

/* Both to the scale `twice`; the factor of the result is set by the caller. */
static double common_scale(struct binary *p) {
    double twice = (double)(2 * fmaxf(p->a.scale[0], p->b.scale[0]));
    p->fa = fixed_factor_of((double)p->a.scale[0] / twice);
    p->fb = fixed_factor_of((double)p->b.scale[0] / twice);
    return twice;
}

static int32_t sum_of(const struct binary *p, int32_t a, int32_t b) {
    return deliver(p, fixed_scale(scaled(a, p->shift, p->fa) + scaled(b, p->shift, p->fb), p->fy));
}

static int32_t difference_of(const struct binary *p, int32_t a, int32_t b) {
    return deliver(p, fixed_scale(scaled(a, p->shift, p->fa) - scaled(b, p->shift, p->fb), p->fy));
}

static enum status add_or_sub(struct op_ctx *c, binary_fn *f) {
    struct binary p = { 0 };
    TRY(read_all(c, &p));
    bool wide = p.y.dtype == DT_I16;
    FAIL_IF(wide && power_of_two(p.a.scale[0]) && power_of_two(p.b.scale[0]) &&
                power_of_two(p.y.scale[0]),
            c->err, STATUS_UNSUPPORTED,
            "16-bit %s with scales that are powers of two, which has two meanings", c->node->op);
    p.shift = wide ? 15 : 20;
    double twice = common_scale(&p);
    p.fy = fixed_factor_of(twice / (double)((float)(1 << p.shift) * p.y.scale[0]));
    return apply(c, &p, f);
}

static enum status add(struct op_ctx *c) {
    return add_or_sub(c, sum_of);
}

static enum status sub(struct op_ctx *c) {
    return add_or_sub(c, difference_of);
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
    double twice = common_scale(&p);
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

static enum status compare(struct op_ctx *c) {
    static const struct {
        const char *op;
        binary_fn *f;
    } rows[] = {
        { "Equal", is_equal },
        { "Less", is_less },
        { "LessOrEqual", is_less_or_equal },
        { "Greater", is_greater },
        { "GreaterOrEqual", is_greater_or_equal },
    };
    struct binary p = { 0 };
    TRY(read_pair(c, &p));
    p.fa = fixed_factor_of((double)p.a.scale[0]);
    p.fb = fixed_factor_of((double)p.b.scale[0]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, c->node->op) == 0)
            return apply(c, &p, rows[i].f);
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
        .max_in = 8, .min_out = 1, .max_out = 1, .attrs = ATTRS(FIXED_LIMITS),                     \
        .shape = shape_pair, .eval = eval_                                                         \
    }
#define TRUTH(name_)                                                                               \
    {                                                                                              \
        .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, " name_, .min_in = 6, \
        .max_in = 8, .min_out = 1, .max_out = 1, .shape = shape_truth, .eval = compare             \
    }

const struct op ops_fixed_binary[] = {
    PAIR("Add", add),        PAIR("Sub", sub),
    PAIR("Mul", mul),        PAIR("SquaredDifference", squared_difference),
    PAIR("Max", maximum),    PAIR("Min", minimum),
    TRUTH("Equal"),          TRUTH("Less"),
    TRUTH("LessOrEqual"),    TRUTH("Greater"),
    TRUTH("GreaterOrEqual"), { 0 },
};
