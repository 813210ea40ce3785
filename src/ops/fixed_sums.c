#include "ops/fixed_sums.h"

#include "ops/split.h"

#include <string.h>

bool fixed_sums_as_bytes(const struct fixed_sums *s) {
    return (s->x.dtype == DT_I8 || s->x.dtype == DT_U8) && s->y.dtype == DT_I16;
}

/* Scales of the sums over the output's scale. uint8 multiplies the two scales in float32, as the
 * kernels of old did. */
static double real_factor(const struct fixed_sums *s, int64_t channel) {
    float x = s->x.scale[0], k = s->k.scale[s->k.n > 1 ? channel : 0], y = s->y.scale[0];
    if (s->x.dtype == DT_U8)
        return (double)(x * k) / (double)y;
    return (double)x * (double)k / (double)y;
}

static enum status read_operands(struct op_ctx *c, struct fixed_sums *s) {
    enum dtype x = s->x.dtype, k = s->k.dtype;
    bool weights = k == DT_I8 || k == DT_I4 || k == DT_I2, fits = false;
    if (fixed_sums_as_bytes(s)) /* of the fully connected kernels alone */
        fits = k == x && s->k.n == 1 && strcmp(c->node->op, "Gemm") == 0;
    else if (x == DT_U8)
        fits = k == DT_U8 && s->y.dtype == DT_U8;
    else if (x == DT_I8)
        fits = weights && s->y.dtype == DT_I8;
    else if (x == DT_I16)
        fits = (weights || k == DT_I16) && s->y.dtype == DT_I16;
    FAIL_IF(!fits, c->err, STATUS_UNSUPPORTED, "%s of %s with weights of %s to %s", c->node->op,
            dtype_name(x), dtype_name(k), dtype_name(s->y.dtype));
    for (int64_t i = 0; i < s->k.n && s->k.n > 1; i++)
        FAIL_IF(tensor_i64(s->k.zeros, i) != 0, c->err, STATUS_UNSUPPORTED,
                "a zero point for each channel of the weights");
    return OK;
}

enum status fixed_sums_plan(struct op_ctx *c, struct fixed_sums *s, int64_t channels) {
    *s = (struct fixed_sums) { 0 };
    TRY(fixed_in_one(c, 0, &s->x));
    TRY(fixed_in(c, 1, &s->k));
    TRY(fixed_out_one(c, 0, &s->y));
    FAIL_IF(s->k.n != 1 && s->k.n != channels, c->err, STATUS_UNSUPPORTED,
            "%lld scales for weights of %lld channels", (long long)s->k.n, (long long)channels);
    TRY(read_operands(c, s));
    bool biased = fixed_data_inputs(c->node) > 2 && input_given(c, 2);
    s->wide = s->x.dtype == DT_I16 && !(biased && c->in[2]->dtype == DT_I32);
    s->bias = biased ? input_as(c, 2, DT_I64) : NULL;
    FAIL_IF(biased && tensor_count(c->in[2]) != channels, c->err, STATUS_CORRUPT,
            "a bias of %lld for %lld channels", (long long)tensor_count(c->in[2]),
            (long long)channels);
    s->step = s->k.n > 1;
    s->factor = NEW_ARRAY(c->scratch, s->k.n, struct fixed_factor);
    for (int64_t i = 0; i < s->k.n; i++)
        s->factor[i] = fixed_factor_of(real_factor(s, i));
    fixed_limits(c, &s->y, &s->low, &s->high);
    return OK;
}

/* The differences from the zero point. */
static const int32_t *operand(struct op_ctx *c, const struct fixed_sums *s, int i, int64_t zero) {
    int32_t *v = fixed_values(c, c->in[i], 0);
    bool bytes = fixed_sums_as_bytes(s);
    for (int64_t k = 0, n = tensor_count(c->in[i]); k < n; k++)
        v[k] = (bytes ? v[k] & 255 : v[k]) - (int32_t)zero;
    return v;
}

enum status fixed_sums_read(struct op_ctx *c, struct fixed_sums *s, int64_t channels) {
    TRY(fixed_sums_plan(c, s, channels));
    s->left = operand(c, s, 0, s->x.zero);
    s->right = operand(c, s, 1, s->k.zero);
    return OK;
}

void fixed_sums_in_reals(struct op_ctx *c, struct fixed_sums *s) {
    if (s->k.dtype == DT_I16)
        return;
    s->real = NEW_ARRAY(c->scratch, s->k.n, double);
    for (int64_t i = 0; i < s->k.n; i++)
        s->real[i] = (double)s->x.scale[0] * (double)s->k.scale[i] / (double)s->y.scale[0];
}

static int32_t deliver(const struct fixed_sums *s, int64_t v) {
    v += s->y.zero;
    return (int32_t)(v < s->low ? s->low : v > s->high ? s->high : v);
}

static int32_t rounded(double v) {
    v = fixed_round(v);
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

int32_t fixed_sums_narrow(const struct fixed_sums *s, int32_t sum, int64_t channel) {
    if (s->bias)
        sum = (int32_t)((uint32_t)sum + (uint32_t)s->bias[channel]);
    if (s->real)
        return deliver(s, rounded((double)sum * s->real[channel * s->step]));
    return deliver(s, fixed_scale(sum, s->factor[channel * s->step]));
}

int32_t fixed_sums_wide(const struct fixed_sums *s, int64_t sum, int64_t channel) {
    if (s->bias)
        sum += s->bias[channel];
    if (s->real)
        return deliver(s, rounded((double)sum * s->real[channel * s->step]));
    return deliver(s, fixed_scale_wide(sum, s->factor[channel * s->step]));
}

int32_t fixed_dot(const int32_t *a, const int32_t *b, int64_t n, int64_t a_step, int64_t b_step) {
    uint32_t sum = 0;
    if (a_step == 1 && b_step == 1)
        for (int64_t i = 0; i < n; i++)
            sum += (uint32_t)a[i] * (uint32_t)b[i];
    else
        for (int64_t i = 0; i < n; i++)
            sum += (uint32_t)a[i * a_step] * (uint32_t)b[i * b_step];
    return (int32_t)sum;
}

int64_t fixed_dot_wide(const int32_t *a, const int32_t *b, int64_t n, int64_t a_step,
                       int64_t b_step) {
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (int64_t)a[i * a_step] * b[i * b_step];
    return sum;
}
