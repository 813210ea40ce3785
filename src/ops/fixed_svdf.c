/* SVDF on quantized integers. Per filter: the state moves on by one and takes the product of the
 * input and the feature weights, at the state's scale, in 16 bits. Per unit: the sum of the
 * products of states and time weights of its `rank` filters, plus the bias, at the output's scale.
 */
#include "ops/fixed_cells.h"
#include "ops/fixed_sums.h"
#include "ops/split.h"

struct svdf {
    struct fixed_quant x, feature, time, state, y;
    const int32_t *in, *f, *t, *s, *bias;
    int64_t inputs, filters, memory, rank;
    struct fixed_factor first, second;
};

enum { X, FEATURE, TIME, BIAS, STATE };

static enum status read_types(struct op_ctx *c, struct svdf *v) {
    TRY(fixed_in_one(c, X, &v->x));
    TRY(fixed_in_one(c, FEATURE, &v->feature));
    TRY(fixed_in_one(c, TIME, &v->time));
    TRY(fixed_in_one(c, STATE, &v->state));
    TRY(fixed_out_one(c, 0, &v->y));
    FAIL_IF(v->x.dtype != DT_I8 || v->feature.dtype != DT_I8 || v->time.dtype != DT_I16 ||
                v->state.dtype != DT_I16 || v->y.dtype != DT_I8,
            c->err, STATUS_UNSUPPORTED, "SVDF of %s with weights of %s and %s",
            dtype_name(v->x.dtype), dtype_name(v->feature.dtype), dtype_name(v->time.dtype));
    FAIL_IF(attr_int(c->node, "activation") != 1, c->err, STATUS_UNSUPPORTED,
            "SVDF in integer arithmetic without Relu");
    return OK;
}

static enum status read_svdf(struct op_ctx *c, struct svdf *v) {
    const struct tensor *const *in = c->in;
    FAIL_IF(!in[FEATURE] || !in[TIME] || !in[STATE] || in[FEATURE]->rank != 2 ||
                in[TIME]->rank != 2,
            c->err, STATUS_CORRUPT, "the weights or the state are missing");
    TRY(read_types(c, v));
    v->rank = attr_int(c->node, "rank");
    v->inputs = in[X]->dim[1];
    v->filters = in[FEATURE]->dim[0];
    v->memory = in[TIME]->dim[1];
    FAIL_IF(in[FEATURE]->dim[1] != v->inputs || in[TIME]->dim[0] != v->filters || v->memory < 1 ||
                tensor_count(in[STATE]) != in[X]->dim[0] * v->filters * v->memory ||
                (input_given(c, BIAS) && tensor_count(in[BIAS]) != v->filters / v->rank),
            c->err, STATUS_CORRUPT, "weights or a state of other sizes");
    v->in = fixed_values(c, in[X], (int32_t)-v->x.zero);
    v->f = fixed_values(c, in[FEATURE], 0);
    v->t = fixed_values(c, in[TIME], 0);
    v->s = fixed_values(c, in[STATE], 0);
    v->bias = input_given(c, BIAS) ? fixed_values(c, in[BIAS], 0) : NULL;
    v->first = fixed_factor_of((double)(v->x.scale[0] * v->feature.scale[0] / v->state.scale[0]));
    v->second = fixed_factor_of((double)(v->state.scale[0] * v->time.scale[0] / v->y.scale[0]));
    return OK;
}

/* The product of filter f's states, with the newest one, and its time weights. */
static uint32_t filter_sum(const struct svdf *v, int64_t b, int64_t f) {
    const int32_t *state = v->s + (b * v->filters + f) * v->memory, *time = v->t + f * v->memory;
    int32_t newest = fixed_scale(
        fixed_dot(v->in + b * v->inputs, v->f + f * v->inputs, v->inputs, 1, 1), v->first);
    newest = fixed_clamp(newest, INT16_MIN, INT16_MAX);
    return (uint32_t)fixed_dot(state + 1, time, v->memory - 1, 1, 1) +
           (uint32_t)newest * (uint32_t)time[v->memory - 1];
}

enum status fixed_svdf(struct op_ctx *c) {
    struct svdf v = { 0 };
    TRY(read_svdf(c, &v));
    int64_t units = v.filters / v.rank;
    for (int64_t i = 0; i < c->in[X]->dim[0] * units; i++) {
        int64_t b = i / units, u = i % units;
        uint32_t sum = v.bias ? (uint32_t)v.bias[u] : 0;
        for (int64_t k = 0; k < v.rank; k++)
            sum += filter_sum(&v, b, u * v.rank + k);
        int64_t q = (int64_t)fixed_scale((int32_t)sum, v.second) + v.y.zero;
        int32_t out = (int32_t)(q < v.y.least ? v.y.least : q > v.y.largest ? v.y.largest : q);
        fixed_store(c->out[0], i, 1, &out);
    }
    return OK;
}
