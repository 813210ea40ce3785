#include "ops/hybrid.h"

#include <math.h>

#include "ops/fixed_sums.h"
#include "ops/split.h"

/* The range of the elements and 0. */
static void extremes(const float *x, int64_t n, float *least, float *largest) {
    *least = *largest = 0;
    for (int64_t i = 0; i < n; i++) {
        *least = x[i] < *least ? x[i] : *least;
        *largest = x[i] > *largest ? x[i] : *largest;
    }
}

/* Limits x * inverse, to the nearest integer, ties away from zero, plus zero. */
static void quantize(const float *x, int64_t n, float inverse, int32_t zero, int32_t low,
                     int32_t *q) {
    for (int64_t i = 0; i < n; i++) {
        double v = fixed_round((double)(x[i] * inverse)) + zero;
        q[i] = v > low ? v < 127 ? (int32_t)v : 127 : low;
    }
}

/* Computed from the end of the range that has the smaller error. */
static int32_t zero_point(double least, double largest, double scale) {
    double from_least = -128 - least / scale, from_largest = 127 - largest / scale;
    bool first = 128 + fabs(least / scale) < 127 + fabs(largest / scale);
    double zero = first ? from_least : from_largest;
    return zero <= -128 ? -128 : zero >= 127 ? 127 : (int32_t)fixed_round(zero);
}

struct hybrid_row hybrid_quantize(const float *x, int64_t n, bool asymmetric, int32_t *q) {
    struct hybrid_row r = { 1, 0 };
    float least, largest;
    extremes(x, n, &least, &largest);
    if (least == largest) { /* no element but zeros */
        for (int64_t i = 0; i < n; i++)
            q[i] = 0;
        return r;
    }
    if (asymmetric) {
        double scale = (double)(largest - least) / 255;
        r.scale = (float)scale;
        r.zero = isfinite(scale) ? zero_point((double)least, (double)largest, scale) : 0;
        quantize(x, n, 1 / r.scale, r.zero, -128, q);
        return r;
    }
    float range = -least > largest ? -least : largest;
    r.scale = range / 127;
    quantize(x, n, 127 / range, 0, -127, q);
    return r;
}

float hybrid_product(const struct hybrid_matrix *m, int64_t r, const struct hybrid_vector *v) {
    const int32_t *w = m->q + r * m->columns;
    uint32_t sum = 0, weights = 0;
    for (int64_t i = 0; i < m->columns; i++) {
        sum += (uint32_t)w[i] * (uint32_t)v->q[i];
        weights += (uint32_t)w[i];
    }
    int32_t total = (int32_t)(sum - weights * (uint32_t)v->row.zero);
    return (float)total * (m->scale[r * m->step] * v->row.scale);
}

bool hybrid_input(const struct op_ctx *c, int i) {
    int at = fixed_data_inputs(c->node) + 2 * i;
    return c->in[i] && c->in[i]->store == DT_F32 && (at >= c->n_in || !c->in[at]);
}

enum status hybrid_weights(struct op_ctx *c, int i, int64_t channels, struct fixed_quant *q,
                           const int32_t **values) {
    TRY(fixed_in(c, i, q));
    FAIL_IF(q->dtype != DT_I8 && q->dtype != DT_I4 && q->dtype != DT_I2, c->err, STATUS_UNSUPPORTED,
            "%s of float activations with weights of %s", c->node->op, dtype_name(q->dtype));
    FAIL_IF(q->n != 1 && q->n != channels, c->err, STATUS_UNSUPPORTED,
            "%lld scales for weights of %lld channels", (long long)q->n, (long long)channels);
    for (int64_t k = 0; k < q->n; k++)
        FAIL_IF(tensor_i64(q->zeros, k) != 0, c->err, STATUS_UNSUPPORTED,
                "weights with a zero point on float activations");
    *values = fixed_values(c, c->in[i], 0);
    return OK;
}

enum status hybrid_bias(struct op_ctx *c, int i, int64_t n, const float **out) {
    *out = NULL;
    if (fixed_data_inputs(c->node) <= i || !input_given(c, i))
        return OK;
    FAIL_IF(c->in[i]->store != DT_F32 || tensor_count(c->in[i]) != n, c->err, STATUS_UNSUPPORTED,
            "a bias of %lld %s for %lld channels of floats", (long long)tensor_count(c->in[i]),
            dtype_name(c->in[i]->dtype), (long long)n);
    *out = c->in[i]->data;
    return OK;
}
