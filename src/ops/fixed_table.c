/* Tanh, Sigmoid, Exp, Log, Elu, Gelu on quantized integers: tables.
 *
 * 8 bits: round(f(scale * (q - zero)) * (1 / out_scale)) + out_zero for every integer q, in
 * float32. 16 bits: a table of samples, except Tanh and Sigmoid, which share one of sigmoid(i /
 * 24). */
#include "ops/fixed_table.h"

#include <math.h>

#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"

#define EACH_REAL "ops/fixed_table.inc"
#include "ops/each_real.inc"

typedef float real_fn(float x, float parameter);

static float real_tanh(float x, float unused) {
    (void)unused;
    return tanh_f(x);
}

static float real_sigmoid(float x, float unused) {
    (void)unused;
    return 1.0f / (1.0f + exp_f(-x));
}

static float real_exp(float x, float unused) {
    (void)unused;
    return exp_f(x);
}

static float real_elu(float x, float unused) {
    (void)unused;
    return x < 0 ? expm1_f(x) : x;
}

static float real_log(float x, float otherwise) {
    return x <= 0 ? otherwise : log_f(x);
}

static float real_rsqrt(float x, float otherwise) {
    return x <= 0 ? otherwise : 1.0f / sqrtf(x);
}

static float real_gelu(float x, float unused) {
    (void)unused;
    return 0.5f * x * (float)(1 - erf_d((double)(x * -0.70710678118654752f)));
}

static float real_gelu_tanh(float x, float unused) {
    (void)unused;
    const float root = 0.79788456080286536f; /* sqrt(2 / pi) */
    return 0.5f * x * (1.0f + tanh_f(root * (x + 0.044715f * x * x * x)));
}

static double exp_double(double x, double unused) {
    (void)unused;
    return exp_d(x);
}

static double reciprocal_double(double x, double unused) {
    (void)unused;
    return 1 / (1 + x);
}

void fixed_table_exp(int16_t *table) {
    const struct table_function_d t = { exp_double, 0 };
    table_wide_d(&t, 10.0 / 65535, INT16_MAX, 2.0 / 65535, 0, table);
}

void fixed_table_reciprocal(int16_t *table) {
    const struct table_function_d t = { reciprocal_double, 0 };
    table_wide_d(&t, 1.0 / 65535, INT16_MIN, 2.0 / 65535, 0, table);
}

int16_t fixed_table_at(const int16_t *table, int16_t x) {
    int at = 256 + (x >> 7), part = x & 0x7f;
    int16_t slope = (int16_t)(table[at + 1] - table[at]);
    return (int16_t)(table[at] + ((slope * part + 64) >> 7));
}

static void narrow_table(const struct fixed_quant *x, const struct fixed_quant *y, real_fn *f,
                         float parameter, int32_t *table) {
    const float inverse = 1 / y->scale[0];
    for (int32_t q = x->least; q <= x->largest; q++) {
        float real = x->scale[0] * (float)(q - (int32_t)x->zero);
        /* The zero point is added in float32. */
        float v = (float)fixed_round((double)(f(real, parameter) * inverse)) + (float)y->zero;
        table[q - x->least] =
            v > (float)y->least ? v < (float)y->largest ? (int32_t)v : y->largest : y->least;
    }
}

static enum status look_up(struct op_ctx *c, real_fn *f, float parameter, bool unsigned_too,
                           bool wide_too) {
    struct fixed_quant x, y;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    bool wide = x.dtype == DT_I16;
    if (x.dtype != y.dtype || (wide && !wide_too) || (x.dtype == DT_U8 && !unsigned_too))
        return fixed_bad_type(c, x.dtype);
    int64_t n = tensor_count(c->in[0]);
    int32_t *v = fixed_values(c, c->in[0], wide ? 0 : -x.least);
    if (wide) {
        int16_t table[FIXED_TABLE];
        const struct table_function_f t = { f, parameter };
        table_wide_f(&t, x.scale[0], (int32_t)x.zero, y.scale[0], (int32_t)y.zero, table);
        for (int64_t i = 0; i < n; i++)
            v[i] = fixed_table_at(table, (int16_t)v[i]);
    } else {
        int32_t table[256];
        narrow_table(&x, &y, f, parameter, table);
        for (int64_t i = 0; i < n; i++)
            v[i] = table[v[i]];
    }
    fixed_store(c->out[0], 0, n, v);
    return OK;
}

/* --- Tanh and Sigmoid of 16 bits --- */

/* 65536 * sigmoid(i / 24), rounded, at most 65535. The reference's table was not computed exactly:
 * some of its entries are one more than that. */
static const uint16_t *sigmoid_table(void) {
    static const uint8_t one_more[] = { 4,  8,  12, 14, 15, 16,  17,  19,  20,  21,  22,
                                        25, 27, 28, 29, 30, 31,  33,  34,  35,  37,  39,
                                        40, 41, 43, 44, 45, 46,  49,  50,  54,  62,  63,
                                        64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255 };
    static uint16_t table[256];
    static bool ready;
    for (int i = 0; !ready && i < 256; i++) {
        double v = fixed_round(65536 / (1 + exp_d(-i / 24.0)));
        table[i] = (uint16_t)(v > 65535 ? 65535 : v);
    }
    for (size_t i = 0; !ready && i < sizeof one_more; i++)
        table[one_more[i]]++;
    ready = true;
    return table;
}

static int32_t scaled_input(int32_t x, int32_t factor, int shift) {
    if (factor == 0)
        return x * (3 << shift);
    return (x * factor + (shift > 0 ? 1 << (shift - 1) : 0)) >> shift;
}

int16_t fixed_sigmoid_wide(int32_t x, int32_t factor, int shift) {
    const uint16_t *table = sigmoid_table();
    int32_t v = scaled_input(x, factor, shift);
    uint32_t size = (uint32_t)(v < 0 ? -v : v), at = size >> 9, result = 0x7fffu << 10;
    if (at < 255)
        result =
            ((uint32_t)table[at] << 9) + (size & 0x1ff) * (uint32_t)(table[at + 1] - table[at]);
    result = v >= 0 ? result + (1u << 9) : (1u << 25) - result + (1u << 9) - 1;
    return (int16_t)(result >> 10);
}

int16_t fixed_tanh_wide(int32_t x, int32_t factor, int shift) {
    const uint16_t *table = sigmoid_table();
    int32_t v = scaled_input(x, factor, shift), result = 0xffff << 8;
    uint32_t size = (uint32_t)(v < 0 ? -v : v), at = size >> 8;
    if (at < 255)
        result = (int32_t)(((uint32_t)table[at] << 8) +
                           (size & 0xff) * (uint32_t)(table[at + 1] - table[at]));
    result = v >= 0 ? result - (1 << 23) + (1 << 7) : -result + (1 << 23) + (1 << 7) - 1;
    return (int16_t)(result >> 8);
}

/* x * scale as a multiple of 3 / 2^12 of 10.7 / 2^15: a power of two where `most` allows. */
static void wide_factor(float scale, int most, int32_t *factor, int *shift) {
    double l = log2((double)scale), whole = fixed_round(l);
    *factor = 0;
    *shift = 12 + (int)whole;
    if (fabs(l - whole) < 1e-3 && *shift >= 0 && *shift <= most)
        return;
    double m = (double)scale * 4096.0 * 3.0;
    for (*shift = 0; m <= 32767.0 / 2.0 && *shift <= 30; m *= 2)
        ++*shift;
    *factor = (int32_t)m;
}

static enum status wide(struct op_ctx *c, int most, int16_t (*f)(int32_t, int32_t, int)) {
    struct fixed_quant x, y;
    int32_t factor;
    int shift;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    if (y.dtype != DT_I16)
        return fixed_bad_type(c, y.dtype);
    FAIL_IF(x.zero || y.zero || y.scale[0] != 1.0f / 32768, c->err, STATUS_UNSUPPORTED,
            "16-bit %s with an output scale that is not 2^-15", c->node->op);
    wide_factor(x.scale[0], most, &factor, &shift);
    int64_t n = tensor_count(c->in[0]);
    int32_t *v = fixed_values(c, c->in[0], 0);
    for (int64_t i = 0; i < n; i++)
        v[i] = f(v[i], factor, shift);
    fixed_store(c->out[0], 0, n, v);
    return OK;
}

static enum status tanh_eval(struct op_ctx *c) {
    return c->in[0]->dtype == DT_I16 ? wide(c, 1, fixed_tanh_wide)
                                     : look_up(c, real_tanh, 0, true, false);
}

static enum status sigmoid_eval(struct op_ctx *c) {
    struct fixed_quant y;
    if (c->in[0]->dtype == DT_I16)
        return wide(c, 0, fixed_sigmoid_wide);
    TRY(fixed_out_one(c, 0, &y));
    FAIL_IF(y.scale[0] != 1.0f / 256, c->err, STATUS_UNSUPPORTED,
            "Sigmoid with an output scale that is not 1/256");
    return look_up(c, real_sigmoid, 0, true, false);
}

static enum status exp_eval(struct op_ctx *c) {
    return look_up(c, real_exp, 0, false, true);
}

static enum status elu_eval(struct op_ctx *c) {
    return look_up(c, real_elu, 0, false, false);
}

static enum status log_eval(struct op_ctx *c) {
    struct fixed_quant y;
    TRY(fixed_out_one(c, 0, &y));
    return look_up(c, real_log, (float)(y.least - (int32_t)y.zero) * y.scale[0], false, true);
}

static enum status gelu_eval(struct op_ctx *c) {
    bool approximate = attr_str(c->node, "approximate")[0] == 't';
    return look_up(c, approximate ? real_gelu_tanh : real_gelu, 0, true, true);
}

/* The inverse root of 16 bits; that of 8 bits is computed. */
enum status fixed_rsqrt_wide(struct op_ctx *c) {
    struct fixed_quant y;
    TRY(fixed_out_one(c, 0, &y));
    return look_up(c, real_rsqrt, 32767 * y.scale[0], false, true);
}

const struct op ops_fixed_table[] = {
    { FIXED("Tanh", 1, 1), .eval = tanh_eval },
    { FIXED("Sigmoid", 1, 1), .eval = sigmoid_eval },
    { FIXED("Exp", 1, 1), .eval = exp_eval },
    { FIXED("Log", 1, 1), .eval = log_eval },
    { FIXED("Elu", 1, 1), .attrs = ATTRS(FLOAT("alpha", 1)), .eval = elu_eval },
    { FIXED("Gelu", 1, 1), .attrs = ATTRS(STRING("approximate", "none")), .eval = gelu_eval },
    { 0 },
};
