/* ONNX Runtime's layer normalisations. The sums of their inputs are rounded one addition after the
 * other, in the order of the inputs named below; the normalisation itself is that of norm.c. */
#include <string.h>

#include "ops/broadcast.h"
#include "ops/norm.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

/* Adds a broadcast addend to the sum; one rounding in the store's type. */
static void add_to(struct tensor *sum, struct op_ctx *c, int input) {
    int64_t period, n = tensor_count(sum);
    if (!input_given(c, input))
        return;
    const void *v = input_broadcast(c, input, sum->store, sum->rank, sum->dim, &period);
    for (int64_t i = 0; i < n; i++) {
        if (sum->store == DT_F64)
            ((double *)sum->data)[i] += ((const double *)v)[i % period];
        else
            ((float *)sum->data)[i] += ((const float *)v)[i % period];
    }
}

/* Normalises the rows of `x` (last axis) into output 0; scale and bias are inputs (bias -1: none).
 * Outputs 1 and 2 get the mean and inverse deviation where the operator has them. */
static void normalise(struct op_ctx *c, const struct tensor *x, enum norm_kind kind, int scale,
                      int bias, bool statistics) {
    struct norm_job j = { .kind = kind, .store = x->store, .x = x->data, .y = c->out[0]->data };
    norm_rows(c, &j, x->rank, x->dim, x->rank - 1);
    norm_row_weights(c, &j, scale, bias, x->rank, x->dim);
    j.epsilon = attr_float(c->node, "epsilon");
    j.mean = statistics && kind == NORM_MEAN ? norm_statistic(c, &j, 1) : NULL;
    j.inverse = statistics ? norm_statistic(c, &j, 2) : NULL;
    norm_run(c, &j);
    if (statistics) {
        norm_statistic_done(c, &j, 1, j.mean);
        norm_statistic_done(c, &j, 2, j.inverse);
    }
}

/* --- SkipLayerNormalization: input, skip, gamma, [beta,] bias --- */

static bool simplified(const struct node *n) {
    return strcmp(n->op, "SkipSimplifiedLayerNormalization") == 0;
}

static enum status shape_skip(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int64_t dim[MAX_RANK];
    for (int i = 0; i < c->n_in; i++) {
        TRY(need_float(c, i));
        TRY(need_same_dtype(c, 0, i));
    }
    shape_copy(c, 0, 0);
    for (int i = 1; i < 3 && i < c->n_out; i++)
        c->out[i].dtype = DT_F32;
    if (c->n_out > 3)
        shape_copy(c, 3, 0);
    if (x->rank < 0)
        return OK;
    SHAPE_FAIL_IF(x->rank < 1, c, "%s of a scalar", c->node->op);
    TRY(need_broadcast(c, 1, x->rank, x->dim));
    for (int i = 2; i < c->n_in; i++)
        TRY(need_vector(c, i, x->dim[x->rank - 1]));
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = 1;
    out_shape(c, 1, DT_F32, x->rank, dim);
    out_shape(c, 2, DT_F32, x->rank, dim);
    return OK;
}

static enum status skip_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    bool simple = simplified(c->node);
    struct tensor *sum = op_wanted(c, 3)
                             ? c->out[3]
                             : tensor_in_arena(c->scratch, x->dtype, x->store, x->rank, x->dim);
    memcpy(sum->data, x->data, tensor_bytes(x));
    add_to(sum, c, 1);
    add_to(sum, c, simple ? 3 : 4);
    normalise(c, sum, simple ? NORM_RMS : NORM_MEAN, 2, simple ? -1 : 3, true);
    return OK;
}

/* Adds g, of the sum's shape, to the gradient of an input that was broadcast to it. */
static enum status addend_grad(struct grad_ctx *c, int input, const struct tensor *g) {
    struct broadcast plan;
    if (input >= c->n_in || !c->in[input] || !c->grad_in[input])
        return OK;
    TRY(broadcast_plan(&plan, g->rank, g->dim, 1, &c->in[input], c->err));
    for (int64_t i = 0, n = tensor_count(g); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        ((double *)c->grad_in[input]->data)[at[0]] += ((const double *)g->data)[i];
    }
    return OK;
}

/* Back through the rows of `sum`, into a new gradient of it; scale and bias are inputs (-1: none).
 */
static enum status rows_back(struct grad_ctx *c, enum norm_kind kind, const struct tensor *sum,
                             int scale, int bias, bool statistics, struct tensor **out) {
    *out = tensor_in_arena(c->scratch, DT_F64, DT_F64, sum->rank, sum->dim);
    bool has_bias = bias >= 0 && bias < c->n_in && c->in[bias];
    const struct tensor *in[3] = { sum, c->in[scale], has_bias ? c->in[bias] : NULL };
    struct tensor *grad_in[3] = { *out, c->grad_in[scale], has_bias ? c->grad_in[bias] : NULL };
    struct grad_ctx inner = *c;
    inner.in = in;
    inner.n_in = has_bias ? 3 : 2;
    inner.grad_in = grad_in;
    if (!statistics)
        inner.n_out = 1;
    return norm_rows_grad(&inner, kind, -1);
}

static enum status skip_grad(struct grad_ctx *c) {
    bool simple = simplified(c->node);
    const struct tensor *x = c->in[0];
    struct tensor *sum = tensor_in_arena(c->scratch, DT_F64, DT_F64, x->rank, x->dim), *g;
    const int addends[3] = { 0, 1, simple ? 3 : 4 };
    struct op_ctx view = { .node = c->node,
                           .precision = PREC_F64,
                           .scratch = c->scratch,
                           .n_in = c->n_in,
                           .in = c->in,
                           .err = c->err };
    for (int i = 0; i < 3; i++)
        add_to(sum, &view, addends[i]);
    FAIL_IF(simple && c->n_out > 2 && c->grad_out[2], c->err, STATUS_UNSUPPORTED,
            "the gradient of %s by its inverse deviation", c->node->op);
    TRY(rows_back(c, simple ? NORM_RMS : NORM_MEAN, sum, 2, simple ? -1 : 3, !simple, &g));
    if (c->n_out > 3 && c->grad_out[3])
        for (int64_t i = 0, n = tensor_count(g); i < n; i++)
            ((double *)g->data)[i] += ((const double *)c->grad_out[3]->data)[i];
    for (int i = 0; i < 3; i++)
        TRY(addend_grad(c, addends[i], g));
    return OK;
}

/* --- SimplifiedLayerNormalization: X, scale --- */

static enum status shape_simplified(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int64_t dim[MAX_RANK];
    int axis;
    TRY(need_float(c, 0));
    TRY(need_float(c, 1));
    shape_copy(c, 0, 0);
    if (c->in[1].dtype != DT_NONE)
        c->out[0].dtype = c->in[1].dtype;
    if (c->n_out > 1)
        c->out[1].dtype = DT_F32;
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    TRY(need_broadcast(c, 1, x->rank, x->dim));
    for (int i = 0; i < x->rank; i++)
        dim[i] = i < axis ? x->dim[i] : 1;
    out_shape(c, 1, DT_F32, x->rank, dim);
    return OK;
}

static enum status simplified_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct norm_job j = { .kind = NORM_RMS,
                          .store = c->out[0]->store,
                          .x = input_as(c, 0, c->out[0]->store),
                          .y = c->out[0]->data };
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    norm_rows(c, &j, x->rank, x->dim, axis);
    norm_row_weights(c, &j, 1, -1, x->rank, x->dim);
    j.epsilon = attr_float(c->node, "epsilon");
    j.inverse = norm_statistic(c, &j, 1);
    norm_run(c, &j);
    norm_statistic_done(c, &j, 1, j.inverse);
    return OK;
}

static enum status simplified_grad(struct grad_ctx *c) {
    FAIL_IF(c->n_out > 1 && c->grad_out[1], c->err, STATUS_UNSUPPORTED,
            "the gradient of %s by its inverse deviation", c->node->op);
    return norm_rows_grad(c, NORM_RMS, attr_int(c->node, "axis"));
}

/* --- EmbedLayerNormalization: ids, segment ids, three tables, gamma, beta, mask, position ids ---
 */

enum { IDS, SEGMENT_IDS, WORDS, POSITIONS, SEGMENTS, GAMMA, BETA, MASK, POSITION_IDS };

static enum status shape_embed(struct shape_ctx *c) {
    const struct fact *ids = &c->in[IDS], *words = &c->in[WORDS];
    TRY(need_shape(c, IDS, 2, NULL));
    TRY(need_shape(c, SEGMENT_IDS, 2, ids->rank == 2 ? ids->dim : NULL));
    for (int i = WORDS; i <= BETA; i++) {
        TRY(need_float(c, i));
        TRY(need_same_dtype(c, WORDS, i));
    }
    SHAPE_FAIL_IF(fact_given(c, SEGMENT_IDS) != fact_given(c, SEGMENTS), c,
                  "EmbedLayerNormalization has only one of segment ids and table");
    int64_t width = words->rank == 2 ? words->dim[1] : DIM_UNKNOWN,
            batch = ids->rank == 2 ? ids->dim[0] : DIM_UNKNOWN;
    for (int i = WORDS; i <= SEGMENTS; i++)
        TRY(need_shape(c, i, 2, (const int64_t[]) { DIM_UNKNOWN, width }));
    TRY(need_vector(c, GAMMA, width));
    TRY(need_vector(c, BETA, width));
    const int64_t dim[3] = { batch, ids->rank == 2 ? ids->dim[1] : DIM_UNKNOWN, width };
    out_shape(c, 0, words->dtype, 3, dim);
    out_shape(c, 1, DT_I32, 1, &batch);
    out_shape(c, 2, words->dtype, 3, dim);
    return OK;
}

/* Adds row `id` of a table to the row of the sum. */
static enum status add_row(struct op_ctx *c, int table, int64_t id, struct tensor *sum,
                           int64_t row) {
    const struct tensor *t = c->in[table];
    int64_t width = t->dim[1];
    FAIL_IF(id < 0 || id >= t->dim[0], c->err, STATUS_CORRUPT,
            "EmbedLayerNormalization: id %lld is outside a table of %lld rows", (long long)id,
            (long long)t->dim[0]);
    for (int64_t d = 0; d < width; d++)
        tensor_set_f64(sum, row * width + d,
                       tensor_f64(sum, row * width + d) + tensor_f64(t, id * width + d));
    return OK;
}

static enum status embed_norm(struct op_ctx *c) {
    const struct tensor *ids = c->in[IDS],
                        *places = input_given(c, POSITION_IDS) ? c->in[POSITION_IDS] : NULL;
    struct tensor *y = c->out[0];
    struct tensor *sum = op_wanted(c, 2)
                             ? c->out[2]
                             : tensor_in_arena(c->scratch, y->dtype, y->store, y->rank, y->dim);
    int64_t length = ids->dim[1], rows = tensor_count(ids),
            n_places = places ? tensor_count(places) : 0;
    FAIL_IF(places && n_places != rows && n_places != length, c->err, STATUS_CORRUPT,
            "EmbedLayerNormalization: %lld position ids for %lld tokens", (long long)n_places,
            (long long)rows);
    for (int64_t r = 0; r < rows; r++) {
        TRY(add_row(c, WORDS, tensor_i64(ids, r), sum, r));
        TRY(add_row(c, POSITIONS, places ? tensor_i64(places, r % n_places) : r % length, sum, r));
        if (input_given(c, SEGMENT_IDS))
            TRY(add_row(c, SEGMENTS, tensor_i64(c->in[SEGMENT_IDS], r), sum, r));
    }
    normalise(c, sum, NORM_MEAN, GAMMA, BETA, false);
    for (int64_t b = 0; op_wanted(c, 1) && b < ids->dim[0];
         b++) { /* how many tokens the mask keeps */
        int64_t kept = 0;
        for (int64_t i = 0; input_given(c, MASK) && i < length; i++)
            kept += tensor_i64(c->in[MASK], b * length + i) == 1;
        tensor_set_i64(c->out[1], b, kept);
    }
    return OK;
}

/* The rows that were looked up get the gradient of their sum. */
static enum status embed_grad(struct grad_ctx *c) {
    const struct tensor *ids = c->in[IDS],
                        *places = c->n_in > POSITION_IDS ? c->in[POSITION_IDS] : NULL,
                        *y = c->out[0];
    struct tensor *sum = tensor_in_arena(c->scratch, DT_F64, DT_F64, y->rank, y->dim), *g;
    int64_t length = ids->dim[1], width = y->dim[2], n_places = places ? tensor_count(places) : 1;
    int64_t *row[3] = { NEW_ARRAY(c->scratch, tensor_count(ids) + 1, int64_t),
                        NEW_ARRAY(c->scratch, tensor_count(ids) + 1, int64_t),
                        NEW_ARRAY(c->scratch, tensor_count(ids) + 1, int64_t) };
    static const int tables[] = { WORDS, POSITIONS, SEGMENTS };
    struct op_ctx view = { .node = c->node,
                           .precision = PREC_F64,
                           .scratch = c->scratch,
                           .n_in = c->n_in,
                           .in = c->in,
                           .err = c->err };
    for (int64_t r = 0; r < tensor_count(ids); r++) {
        row[0][r] = tensor_i64(ids, r);
        row[1][r] = places ? tensor_i64(places, r % n_places) : r % length;
        row[2][r] = c->in[SEGMENT_IDS] ? tensor_i64(c->in[SEGMENT_IDS], r) : 0;
        for (int t = 0; t < 3; t++)
            if (c->in[tables[t]])
                TRY(add_row(&view, tables[t], row[t][r], sum, r));
    }
    TRY(rows_back(c, NORM_MEAN, sum, GAMMA, BETA, false, &g));
    for (int64_t i = 0, n = tensor_count(g); i < n; i++)
        for (int t = 0; t < 3; t++)
            if (c->in[tables[t]] && c->grad_in[tables[t]])
                ((double *)c->grad_in[tables[t]]->data)[row[t][i / width] * width + i % width] +=
                    ((const double *)g->data)[i] + (c->n_out > 2 && c->grad_out[2]
                                                        ? ((const double *)c->grad_out[2]->data)[i]
                                                        : 0);
    return OK;
}

static enum status shape_embed_checked(struct shape_ctx *c) {
    static const int needed[] = { WORDS, POSITIONS, GAMMA,
                                  BETA }; /* what is optional lies between */
    for (int i = 0; i < 4; i++)
        SHAPE_FAIL_IF(!fact_given(c, needed[i]), c,
                      "input %d of EmbedLayerNormalization is missing", needed[i]);
    TRY(need_shape(c, MASK, 2, c->in[IDS].rank == 2 ? c->in[IDS].dim : NULL));
    return shape_embed(c);
}

static const struct attr_def skip_attrs[] = { FLOAT("epsilon", 1e-12f), { 0 } };
static const struct attr_def simplified_attrs[] = {
    FLOAT("epsilon", 1e-5f), INT("axis", -1), INT("stash_type", 1), { 0 }
};
static const struct attr_def embed_attrs[] = { FLOAT("epsilon", 1e-12f),
                                               INT("mask_index_type", 0),
                                               { 0 } };

#define SEVERAL(name_, domain_, least, most, outputs)                              \
    .name = name_, .domain = domain_, .spec = "ONNX Runtime com.microsoft." name_, \
    .min_in = least, .max_in = most, .min_out = 1, .max_out = outputs

const struct op ops_norm_contrib[] = {
    { SEVERAL("SkipLayerNormalization", "com.microsoft", 3, 5, 4), .attrs = skip_attrs,
      .shape = shape_skip, .eval = skip_norm, .grad = skip_grad },
    { SEVERAL("SkipSimplifiedLayerNormalization", "com.microsoft", 3, 4, 4), .attrs = skip_attrs,
      .shape = shape_skip, .eval = skip_norm, .grad = skip_grad },
    /* ONNX Runtime has it in the default domain. */
    { SEVERAL("SimplifiedLayerNormalization", "", 2, 2, 2), .attrs = simplified_attrs,
      .shape = shape_simplified, .eval = simplified_norm, .grad = simplified_grad },
    { SEVERAL("SimplifiedLayerNormalization", "com.microsoft", 2, 2, 2), .attrs = simplified_attrs,
      .shape = shape_simplified, .eval = simplified_norm, .grad = simplified_grad },
    { SEVERAL("EmbedLayerNormalization", "com.microsoft", 1, 9, 3), .attrs = embed_attrs,
      .shape = shape_embed_checked, .eval = embed_norm, .grad = embed_grad },
    { 0 },
};
