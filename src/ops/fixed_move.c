/* Quantize, Requantize and Concat: integers to another scale.
 *
 * Quantize: x / scale in float32, to the nearest integer, ties away from zero, plus the zero point.
 * Requantize: the difference from the zero point times the quotient of the scales as a fixed-point
 * factor. Concat: operands that have the output's scale are copied, and all of int16, which the
 * reference does not rescale; other uint8 operands are computed as round(x * (scale / out_scale) +
 * (-zero * that quotient)) in float32. */
#include <math.h>

#include "ops/fixed.h"
#include "ops/move.h"
#include "ops/quantize.h"
#include "ops/row.h"

struct to_quantized {
    const struct tensor *x;
    const struct fixed_quant *q;
    struct tensor *y;
};

static void quantize_run(void *arg, int64_t from, int64_t n, int64_t k) {
    const struct to_quantized *j = arg;
    const float *x = j->x->data;
    double zero = (double)tensor_i64(j->q->zeros, k);
    for (int64_t i = from; i < from + n; i++) {
        double v = fixed_round((double)(x[i] / j->q->scale[k])) + zero;
        /* NaN, which the reference leaves undefined, becomes the least value. */
        tensor_set_i64(j->y, i,
                       v > j->q->least ? v < j->q->largest ? (int64_t)v : j->q->largest
                                       : j->q->least);
    }
}

static enum status quantize(struct op_ctx *c) {
    struct fixed_quant q;
    struct quant_layout l;
    TRY(fixed_out(c, 0, &q));
    if (c->in[0]->store != DT_F32 || !q.n)
        return fixed_bad_type(c, c->in[0]->dtype);
    struct to_quantized j = { c->in[0], &q, c->out[0] };
    TRY(quant_layout(&l, c->in[0], c->in[3], attr_int(c->node, "axis"), 0, c->err));
    quant_runs(&l, quantize_run, &j);
    return OK;
}

static enum status requantize(struct op_ctx *c) {
    struct fixed_quant x, y;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    if (y.dtype == DT_I32)
        y.least = INT32_MIN, y.largest = INT32_MAX;
    struct fixed_factor f = fixed_factor_of((double)x.scale[0] / (double)y.scale[0]);
    int32_t *v = fixed_values(c, c->in[0], (int32_t)-x.zero);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++) {
        int64_t sum = (int64_t)fixed_scale(v[i], f) + y.zero;
        v[i] = (int32_t)(sum < y.least ? y.least : sum > y.largest ? y.largest : sum);
    }
    fixed_store(c->out[0], 0, tensor_count(c->in[0]), v);
    return OK;
}

/* Operand i at the output's scale. */
static enum status operand(struct op_ctx *c, int i, const struct fixed_quant *y,
                           struct tensor **out) {
    struct fixed_quant x;
    const struct tensor *t = c->in[i];
    TRY(fixed_in_one(c, i, &x));
    FAIL_IF(x.dtype != y->dtype, c->err, STATUS_UNSUPPORTED, "Concat of %s into %s",
            dtype_name(x.dtype), dtype_name(y->dtype));
    if (x.dtype == DT_I16 || (x.scale[0] == y->scale[0] && x.zero == y->zero)) {
        *out = tensor_alias(t);
        return OK;
    }
    FAIL_IF(x.dtype != DT_U8, c->err, STATUS_UNSUPPORTED,
            "Concat of %s operands with different scales, which the interpreter refuses",
            dtype_name(x.dtype));
    TRY(tensor_new(out, t->dtype, t->store, t->rank, t->dim, c->err));
    float scale = x.scale[0] * (1.0f / y->scale[0]), bias = -(float)x.zero * scale;
    for (int64_t k = 0, n = tensor_count(t); k < n; k++) {
        float v = (float)((const uint8_t *)t->data)[k] * scale + bias;
        int64_t q = (int64_t)fixed_round((double)v) + y->zero;
        ((uint8_t *)(*out)->data)[k] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
    }
    return OK;
}

static enum status concat(struct op_ctx *c) {
    int n = fixed_data_inputs(c->node);
    struct fixed_quant y;
    TRY(fixed_out_one(c, 0, &y));
    struct tensor **in = NEW_ARRAY(c->scratch, n + 1, struct tensor *), *joined = NULL;
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = operand(c, i, &y, &in[i]);
    if (s == OK)
        s = join_tensors(&joined, (const struct tensor *const *)in, n, attr_int(c->node, "axis"),
                         false, false, c->err);
    if (s == OK)
        copy_elements(c->out[0], joined);
    tensor_free(joined);
    for (int i = 0; i < n; i++)
        tensor_free(in[i]);
    return s;
}

static enum status shape_cast(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = c->in[4].dtype;
    return OK;
}

#define QUANTIZES(name_, least)                                                     \
    .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, QUANTIZE", \
    .min_in = least, .max_in = 5, .min_out = 1, .max_out = 1,                       \
    .attrs = ATTRS(INT("axis", 1), INT("block_size", 0)), .shape = shape_cast

const struct op ops_fixed_move[] = {
    { QUANTIZES("Quantize", 1), .eval = quantize },
    { QUANTIZES("Requantize", 5), .eval = requantize },
    { FIXED("Concat", 1, 32), .attrs = ATTRS(NEEDED("axis", INT)), .eval = concat },
    { 0 },
};
