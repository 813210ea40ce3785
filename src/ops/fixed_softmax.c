/* Softmax, LogSoftmax and L2Normalization of quantized integers along the last axis.
 *
 * 8 bits: x - max is scaled to 5 integer bits, exp of it is summed with 12, its reciprocal is
 * multiplied with each exp again. 16 bits: exp and reciprocal are looked up. */
#include <math.h>

#include "ops/fixed_table.h"
#include "ops/row.h"

struct soft {
    struct fixed_quant x, y;
    struct fixed_factor in, back;
    int32_t reach; /* differences below have no exp */
    int64_t depth, rows;
    const int32_t *v;
};

static enum status read_soft(struct op_ctx *c, struct soft *s) {
    const struct tensor *x = c->in[0];
    TRY(fixed_in_one(c, 0, &s->x));
    TRY(fixed_out_one(c, 0, &s->y));
    FAIL_IF(x->rank < 1, c->err, STATUS_CORRUPT, "%s of a scalar", c->node->op);
    s->depth = x->dim[x->rank - 1];
    s->rows = s->depth ? tensor_count(x) / s->depth : 0;
    s->v = fixed_values(c, x, 0);
    return OK;
}

static enum status need_last_axis(struct op_ctx *c) {
    int64_t axis = attr_int(c->node, "axis");
    FAIL_IF(axis != -1 && axis != c->in[0]->rank - 1, c->err, STATUS_UNSUPPORTED,
            "%s along axis %lld in integer arithmetic", c->node->op, (long long)axis);
    return OK;
}

/* The factor that brings differences to 5 integer bits. */
static void scale_differences(struct soft *s, double beta) {
    double real = beta * (double)s->x.scale[0] * (1 << 26), most = 0x1p31 - 1;
    s->in = fixed_factor_of(real < most ? real : most);
    int shift = s->in.shift < 0 ? 0 : s->in.shift;
    s->reach = -(int32_t)floor(31.0 * 67108864.0 / (double)(INT64_C(1) << shift));
}

static int32_t largest(const int32_t *v, int64_t n) {
    int32_t m = v[0];
    for (int64_t i = 1; i < n; i++)
        m = v[i] > m ? v[i] : m;
    return m;
}

/* x - max with 5 integer bits. */
static int32_t difference(const struct soft *s, int32_t d) {
    return fixed_scale(d, s->in);
}

static void softmax_row(const struct soft *s, const int32_t *v, int32_t *out) {
    int32_t max = largest(v, s->depth), sum = 0;
    int over, bits = s->y.dtype == DT_I16 ? 16 : 8;
    for (int64_t i = 0; i < s->depth; i++)
        if (v[i] - max >= s->reach)
            sum += fixed_rescale(fixed_exp_negative(difference(s, v[i] - max), 5), 0, 12);
    int32_t scale = fixed_reciprocal(sum, 12, &over), shift = over + 31 - bits;
    for (int64_t i = 0; i < s->depth; i++) {
        out[i] = s->y.least;
        if (v[i] - max < s->reach)
            continue;
        int32_t e = fixed_exp_negative(difference(s, v[i] - max), 5);
        int32_t q = fixed_round_shift(fixed_high_product(scale, e), shift) + s->y.least;
        out[i] = fixed_clamp(q, s->y.least, s->y.largest);
    }
}

static int16_t wide_exp(const struct soft *s, const int16_t *table, int32_t d) {
    int32_t x = fixed_scale(d, s->in) + 32767;
    return fixed_table_at(table, (int16_t)fixed_clamp(x, INT16_MIN, INT16_MAX));
}

static int leading_zeros(uint32_t x) {
    int n = 0;
    while (n < 32 && !(x & (UINT32_C(1) << (31 - n))))
        n++;
    return n;
}

static void softmax_row_wide(const struct soft *s, const int16_t *exps, const int16_t *reciprocals,
                             const int32_t *v, int32_t *out) {
    int32_t max = largest(v, s->depth), sum = 0;
    for (int64_t i = 0; i < s->depth; i++)
        sum += out[i] = wide_exp(s, exps, v[i] - max);
    int zeros = leading_zeros((uint32_t)sum), right = 31 - zeros;
    int32_t part = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14);
    int32_t x = fixed_clamp(part - (1 << 15) - (1 << 16), INT16_MIN, INT16_MAX);
    int64_t scale = fixed_table_at(reciprocals, (int16_t)x), half = INT64_C(1) << (right - 1);
    for (int64_t i = 0; i < s->depth; i++)
        out[i] = fixed_clamp((int32_t)((out[i] * scale + half) >> right), 0, 32767);
}

static enum status softmax(struct op_ctx *c) {
    struct soft s = { 0 };
    TRY(need_last_axis(c));
    TRY(read_soft(c, &s));
    /* The factor of the exponents, a constant. */
    double beta = fixed_data_inputs(c->node) > 1 && c->in[1] ? tensor_f64(c->in[1], 0) : 1;
    bool wide = s.x.dtype == DT_I16;
    if (wide ? s.y.dtype != DT_I16 : s.y.dtype != s.x.dtype && s.y.dtype != DT_I16)
        return fixed_bad_type(c, s.y.dtype);
    int16_t exps[FIXED_TABLE], reciprocals[FIXED_TABLE];
    if (wide) {
        fixed_table_exp(exps);
        fixed_table_reciprocal(reciprocals);
        s.in = fixed_factor_of((double)(s.x.scale[0] * (float)beta) / (10.0 / 65535.0));
    } else {
        scale_differences(&s, beta);
    }
    int32_t *out = NEW_ARRAY(c->scratch, s.depth + 1, int32_t);
    for (int64_t r = 0; r < s.rows; r++) {
        if (wide)
            softmax_row_wide(&s, exps, reciprocals, s.v + r * s.depth, out);
        else
            softmax_row(&s, s.v + r * s.depth, out);
        fixed_store(c->out[0], r * s.depth, s.depth, out);
    }
    return OK;
}

/* --- LogSoftmax --- */

static int32_t saturating(int64_t v) {
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

static int32_t shift_saturating(int32_t v, int n) {
    return saturating((int64_t)v * (INT64_C(1) << n));
}

/* log(x) of x >= 1 with 12 integer bits; the result has 5. x = r * 2^n with r near sqrt(sqrt(1/2)),
 * of the two ways to choose n the one with the smaller r. */
static int32_t log_of(int32_t x) {
    const int32_t log_2 = 1488522236, root4_half = 1805811301, root_half = 1518500250,
                  quarter = fixed_rescale(536870912, 0, 6), alpha_n = 117049297,
                  alpha_d = 127690142, alpha_i = 1057819769, alpha_f = 638450708;
    int zeros_a = leading_zeros((uint32_t)x);
    int32_t r_a =
        shift_saturating(fixed_high_product(shift_saturating(x, zeros_a - 1), root_half), 1);
    int32_t power_a = saturating((int64_t)shift_saturating(12 - zeros_a, 31 - 6) + quarter);
    int32_t b = fixed_high_product(x, root_half);
    int zeros_b = leading_zeros((uint32_t)b) - 1;
    int32_t r_b = shift_saturating(x, zeros_b);
    int32_t power_b = saturating((int64_t)shift_saturating(12 - zeros_b, 31 - 6) - quarter);
    int32_t r = r_a < r_b ? r_a : r_b, power = power_a > power_b ? power_a : power_b;
    int64_t both = (int64_t)r + root4_half;
    int32_t p = (int32_t)((both + (both >= 0 ? 1 : -1)) / 2);
    int32_t q = r - root4_half;
    q += q;
    int32_t square = fixed_high_product(q, q);
    int32_t over =
        fixed_high_product(q, r) + fixed_high_product(fixed_high_product(q, square), alpha_n);
    int32_t under = fixed_high_product(p, alpha_i + q + fixed_high_product(alpha_d, square)) +
                    fixed_high_product(alpha_f, q);
    int32_t inverse = fixed_reciprocal_of_one_plus(under);
    int32_t quotient = fixed_high_product(fixed_rescale(over, 0, 6), inverse);
    return fixed_rescale(fixed_high_product(power, log_2) + quotient, 6, 5);
}

static void log_softmax_row(const struct soft *s, const int32_t *v, int32_t *out) {
    int32_t max = largest(v, s->depth), sum = 0;
    for (int64_t i = 0; i < s->depth; i++)
        if (v[i] - max >= s->reach)
            sum += fixed_rescale(fixed_exp_negative(difference(s, v[i] - max), 5), 0, 12);
    int32_t log_sum = log_of(sum);
    int32_t least = fixed_scale((int32_t)((uint32_t)log_sum + (UINT32_C(1) << 31)), s->back);
    least = least > s->reach - 1 ? least : s->reach - 1;
    for (int64_t i = 0; i < s->depth; i++) {
        out[i] = s->y.least;
        if (v[i] - max <= least)
            continue;
        int32_t q =
            fixed_round_shift(difference(s, v[i] - max) - log_sum, 31 - 5 - 4) + s->y.largest;
        out[i] = fixed_clamp(q, s->y.least, s->y.largest);
    }
}

static enum status log_softmax(struct op_ctx *c) {
    struct soft s = { 0 };
    TRY(need_last_axis(c));
    TRY(read_soft(c, &s));
    if (s.x.dtype != s.y.dtype || s.x.dtype == DT_I16)
        return fixed_bad_type(c, s.x.dtype);
    FAIL_IF(s.y.scale[0] != 16.0f / 256, c->err, STATUS_UNSUPPORTED,
            "LogSoftmax with an output scale that is not 1/16");
    scale_differences(&s, 1);
    s.back = fixed_factor_of((double)(1 << (31 - s.in.shift)) / (double)s.in.multiplier);
    int32_t *out = NEW_ARRAY(c->scratch, s.depth + 1, int32_t);
    for (int64_t r = 0; r < s.rows; r++) {
        log_softmax_row(&s, s.v + r * s.depth, out);
        fixed_store(c->out[0], r * s.depth, s.depth, out);
    }
    return OK;
}

/* --- x / sqrt(sum of squares), output scale 1/128 --- */

static enum status l2_normalization(struct op_ctx *c) {
    struct soft s = { 0 };
    TRY(read_soft(c, &s));
    if (s.x.dtype != s.y.dtype || s.x.dtype == DT_I16)
        return fixed_bad_type(c, s.x.dtype);
    int32_t *out = NEW_ARRAY(c->scratch, s.depth + 1, int32_t);
    for (int64_t r = 0; r < s.rows; r++) {
        const int32_t *v = s.v + r * s.depth;
        int32_t sum = 0, zero = (int32_t)s.x.zero, middle = s.y.dtype == DT_U8 ? 128 : 0;
        for (int64_t i = 0; i < s.depth; i++)
            sum += (v[i] - zero) * (v[i] - zero);
        struct fixed_factor f = fixed_inverse_root(sum);
        f.shift += s.y.dtype == DT_U8 ? 0 : 7;
        for (int64_t i = 0; i < s.depth; i++) {
            int32_t d = v[i] - zero;
            int32_t q = fixed_scale(s.y.dtype == DT_U8 ? 128 * d : d, f) + middle;
            out[i] = fixed_clamp(q, s.y.least, s.y.largest);
        }
        fixed_store(c->out[0], r * s.depth, s.depth, out);
    }
    return OK;
}

const struct op ops_fixed_softmax[] = {
    { FIXED("Softmax", 1, 2), .attrs = ATTRS(INT("axis", -1)), .eval = softmax },
    { FIXED("LogSoftmax", 1, 1), .attrs = ATTRS(INT("axis", -1)), .eval = log_softmax },
    { FIXED("L2Normalization", 1, 2), .eval = l2_normalization },
    { 0 },
};
