/* Reductions of quantized integers.
 *
 * ReduceMean, ReduceSum: the sum of the differences from the zero point times a fixed-point factor
 * that holds 1 / count. ReduceProd: the differences in the order of the elements, each product
 * times a factor that holds its share of the scales. ReduceMax, ReduceMin: on the integers as they
 * are. */
#include <math.h>
#include <string.h>

#include "ops/axes.h"
#include "ops/call.h"
#include "ops/fixed.h"
#include "ops/mathfn.h"
#include "ops/row.h"
#include "ops/split.h"

/* The operator `op` on input 0 as int64. */
static enum status reduced(struct op_ctx *c, const char *op, struct tensor **out) {
    struct tensor *wide;
    int n = fixed_data_inputs(c->node);
    TRY(tensor_convert(&wide, c->in[0], DT_I64, c->err));
    wide->dtype = DT_I64;
    enum status s =
        op_call(c, op, PREC_NATIVE,
                (const struct tensor *const[]) { wide, n > 1 ? c->in[1] : NULL }, n, out, 1);
    tensor_free(wide);
    return s;
}

/* The factor of a mean of `count`: the multiplier is divided by the count after as large a shift to
 * the left as fits. */
static struct fixed_factor mean_factor(struct fixed_factor f, int64_t count) {
    int shift = 0;
    while (count >> (shift + 1))
        shift++;
    shift = shift < 32 ? shift : 32;
    shift = shift < 31 + f.shift ? shift : 31 + f.shift;
    f.multiplier = (int32_t)(((int64_t)f.multiplier << shift) / count);
    f.shift -= shift;
    return f;
}

static enum status mean_or_sum(struct op_ctx *c, bool mean) {
    struct fixed_quant x, y;
    struct tensor *sums;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    if (x.dtype != y.dtype)
        return fixed_bad_type(c, x.dtype);
    TRY(reduced(c, "ReduceSum", &sums));
    int64_t n = tensor_count(sums), count = n ? tensor_count(c->in[0]) / n : 0;
    struct fixed_factor f = fixed_factor_of((double)x.scale[0] / (double)y.scale[0]);
    if (mean && count)
        f = mean_factor(f, count);
    for (int64_t i = 0; i < n && count; i++) {
        int32_t sum = (int32_t)(uint64_t)(tensor_i64(sums, i) - x.zero * count);
        int64_t v = fixed_scale(sum, f) + y.zero;
        int32_t q = (int32_t)(v < y.least ? y.least : v > y.largest ? y.largest : v);
        fixed_store(c->out[0], i, 1, &q);
    }
    tensor_free(sums);
    return OK;
}

static enum status reduce_mean(struct op_ctx *c) {
    return mean_or_sum(c, true);
}

static enum status reduce_sum(struct op_ctx *c) {
    return mean_or_sum(c, false);
}

static enum status need_same_type(struct op_ctx *c, const struct fixed_quant *x,
                                  const struct fixed_quant *y) {
    if (x->dtype != y->dtype || x->dtype == DT_U8)
        return fixed_bad_type(c, x->dtype);
    return OK;
}

/* Axes that are reduced, and those that are left. */
static enum status split_axes(struct op_ctx *c, bool *reduced, bool *kept) {
    const struct tensor *x = c->in[0];
    int64_t n = 0, *axes = NULL;
    if (fixed_data_inputs(c->node) > 1 && input_given(c, 1)) {
        n = tensor_count(c->in[1]);
        axes = NEW_ARRAY(c->scratch, n + 1, int64_t);
        for (int64_t i = 0; i < n; i++)
            axes[i] = tensor_i64(c->in[1], i);
    }
    TRY(axes_mark(axes, n, attr_int(c->node, "noop_with_empty_axes") != 0, x->rank, reduced,
                  c->err));
    for (int i = 0; i < x->rank; i++)
        kept[i] = !reduced[i];
    return OK;
}

static enum status reduce_prod(struct op_ctx *c) {
    struct fixed_quant x, y;
    bool reduced[MAX_RANK], kept[MAX_RANK];
    int64_t n, count;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    TRY(need_same_type(c, &x, &y));
    TRY(split_axes(c, reduced, kept));
    const struct tensor *t = c->in[0];
    const int64_t *from = axes_offsets(c->scratch, t->rank, t->dim, kept, &n),
                  *offset = axes_offsets(c->scratch, t->rank, t->dim, reduced, &count);
    FAIL_IF(!count, c->err, STATUS_UNSUPPORTED, "a product of no integers");
    const int32_t *v = fixed_values(c, t, (int32_t)-x.zero);
    struct fixed_factor f =
        fixed_factor_of((double)x.scale[0] / pow_d((double)y.scale[0], 1 / (double)count));
    for (int64_t i = 0; i < n; i++) {
        int32_t product = v[from[i] + offset[0]];
        for (int64_t k = 1; k < count; k++)
            product = fixed_scale_wide((int64_t)product * v[from[i] + offset[k]], f);
        int64_t q = (int64_t)fixed_scale_wide(product, f) + y.zero;
        product = (int32_t)(q < y.least ? y.least : q > y.largest ? y.largest : q);
        fixed_store(c->out[0], i, 1, &product);
    }
    return OK;
}

static enum status reduce_as_it_is(struct op_ctx *c) {
    struct fixed_quant x, y;
    struct tensor *t;
    TRY(fixed_in_one(c, 0, &x));
    TRY(fixed_out_one(c, 0, &y));
    FAIL_IF(x.dtype != y.dtype || x.scale[0] != y.scale[0] || x.zero != y.zero, c->err,
            STATUS_UNSUPPORTED, "%s to another scale in integer arithmetic", c->node->op);
    TRY(reduced(c, c->node->op, &t));
    for (int64_t i = 0, n = tensor_count(t); i < n; i++)
        tensor_set_i64(c->out[0], i, tensor_i64(t, i));
    tensor_free(t);
    return OK;
}

#define REDUCE_ATTRS ATTRS(INT("keepdims", 1), INT("noop_with_empty_axes", 0))

const struct op ops_fixed_reduce[] = {
    { FIXED("ReduceMean", 1, 2), .attrs = REDUCE_ATTRS, .eval = reduce_mean },
    { FIXED("ReduceSum", 1, 2), .attrs = REDUCE_ATTRS, .eval = reduce_sum },
    { FIXED("ReduceProd", 1, 2), .attrs = REDUCE_ATTRS, .eval = reduce_prod },
    { FIXED("ReduceMax", 1, 2), .attrs = REDUCE_ATTRS, .eval = reduce_as_it_is },
    { FIXED("ReduceMin", 1, 2), .attrs = REDUCE_ATTRS, .eval = reduce_as_it_is },
    { 0 },
};
