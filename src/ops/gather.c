/* Reading and writing elements by index: the Gather and Scatter operators. */
#include "ops/move.h"

#include <string.h>

static enum status index_at(const struct tensor *indices, int64_t i, int64_t n, int64_t *out, struct err *e) {
    *out = tensor_i64(indices, i);
    return index_normalise(out, n, e);
}

/* --- Gather --- */

static enum status shape_gather(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1];
    int axis, rank = 0;
    int64_t dim[2 * MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || indices->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    for (int i = 0; i < axis; i++)
        dim[rank++] = x->dim[i];
    for (int i = 0; i < indices->rank; i++)
        dim[rank++] = indices->dim[i];
    for (int i = axis + 1; i < x->rank; i++)
        dim[rank++] = x->dim[i];
    FAIL_IF(rank > MAX_RANK, c->err, STATUS_UNSUPPORTED, "an output of rank %d", rank);
    fact_set(&c->out[0], x->dtype, rank, dim);
    return OK;
}

static enum status eval_gather(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1];
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    int64_t outer = dims_product(x->dim, 0, axis), inner = dims_product(x->dim, axis + 1, x->rank), n = tensor_count(indices), at;
    for (int64_t k = 0; k < n; k++) {
        TRY(index_at(indices, k, x->dim[axis], &at, c->err));
        struct move m = { .dst = element_at(c->out[0], k * inner), .src = element_at(x, at * inner), .size = element_size(x), .rank = 2,
                          .dim = { outer, inner }, .dst_step = { n * inner, 1 }, .src_step = { x->dim[axis] * inner, 1 } };
        move_run(&m);
    }
    own_strings(c->out[0]);
    return OK;
}

/* --- GatherElements, ScatterElements, Scatter --- */

/* `part` may be smaller than x except on the axis, where it may have any size. */
static enum status check_elements(const struct fact *x, const struct fact *part, int axis, struct err *e) {
    FAIL_IF(x->rank != part->rank, e, STATUS_CORRUPT, "data of rank %d and indices of rank %d", x->rank, part->rank);
    for (int i = 0; i < x->rank; i++)
        FAIL_IF(i != axis && x->dim[i] >= 0 && part->dim[i] > x->dim[i], e, STATUS_CORRUPT, "indices have dimension %lld on axis %d, data %lld",
                (long long)part->dim[i], i, (long long)x->dim[i]);
    return OK;
}

static enum status shape_gather_elements(struct shape_ctx *c) {
    int axis;
    if (c->in[0].rank >= 0 && c->in[1].rank >= 0) {
        TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0].rank, &axis, c->err));
        TRY(check_elements(&c->in[0], &c->in[1], axis, c->err));
    }
    c->out[0].dtype = c->in[0].dtype;
    c->out[0].rank = c->in[1].rank;
    memcpy(c->out[0].dim, c->in[1].dim, sizeof c->in[1].dim);
    return OK;
}

/* Where in x element k of the indices points; `at` is the multi-index of k and moves on. */
static enum status element_target(const struct tensor *x, const struct tensor *indices, int axis, const int64_t *step, int64_t k,
                                  int64_t *at, int64_t *out, struct err *e) {
    int64_t index;
    TRY(index_at(indices, k, x->dim[axis], &index, e));
    *out = index * step[axis];
    for (int i = 0; i < x->rank; i++)
        if (i != axis)
            *out += at[i] * step[i];
    for (int i = x->rank - 1; i >= 0 && ++at[i] == indices->dim[i]; i--)
        at[i] = 0;
    return OK;
}

static enum status eval_gather_elements(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1];
    int axis;
    int64_t step[MAX_RANK], at[MAX_RANK] = { 0 }, n = tensor_count(indices), from;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    dense_steps(x->dim, x->rank, step);
    for (int64_t k = 0; k < n; k++) {
        TRY(element_target(x, indices, axis, step, k, at, &from, c->err));
        memcpy(element_at(c->out[0], k), element_at(x, from), element_size(x));
    }
    own_strings(c->out[0]);
    return OK;
}

static enum status shape_scatter_elements(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1], *updates = &c->in[2];
    int axis;
    if (x->rank >= 0 && indices->rank >= 0) {
        TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
        TRY(check_elements(x, indices, axis, c->err));
        SHAPE_FAIL_IF(fact_known(indices) && fact_known(updates) && !dims_equal(indices->dim, indices->rank, updates->dim, updates->rank), c,
                      "indices and updates differ in shape");
    }
    return shape_same(c);
}

/* In the order of the updates: where several hit one element, each is applied to the result of the one before. */
static enum status scatter_elements(struct op_ctx *c, enum combine how) {
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    struct tensor *y = c->out[0];
    int axis;
    int64_t step[MAX_RANK], at[MAX_RANK] = { 0 }, n = tensor_count(indices), to;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    FAIL_IF(updates->store != x->store, c->err, STATUS_CORRUPT, "updates are %s, data %s", dtype_name(updates->dtype), dtype_name(x->dtype));
    copy_elements(y, x);
    dense_steps(x->dim, x->rank, step);
    for (int64_t k = 0; k < n; k++) {
        TRY(element_target(x, indices, axis, step, k, at, &to, c->err));
        TRY(combine_elements(how, y, to, updates, k, 1, c->err));
    }
    own_strings(y);
    return OK;
}

static enum status eval_scatter_elements(struct op_ctx *c) {
    enum combine how;
    TRY(combine_of(c->node, &how, c->err));
    return scatter_elements(c, how);
}

static enum status eval_scatter(struct op_ctx *c) {
    return scatter_elements(c, COMBINE_SET);
}

/* --- GatherND, ScatterND --- */

static enum status shape_gather_nd(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1];
    int64_t batch = attr_int(c->node, "batch_dims"), dim[2 * MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || indices->rank < 0)
        return OK;
    SHAPE_FAIL_IF(indices->rank < 1 || x->rank < 1, c, "data and indices must not be scalars");
    SHAPE_FAIL_IF(batch < 0 || batch >= x->rank || batch >= indices->rank, c, "batch_dims %lld for data of rank %d and indices of rank %d",
                  (long long)batch, x->rank, indices->rank);
    for (int i = 0; i < batch; i++)
        SHAPE_FAIL_IF(x->dim[i] >= 0 && indices->dim[i] >= 0 && x->dim[i] != indices->dim[i], c, "batch dimensions %lld and %lld differ",
                      (long long)x->dim[i], (long long)indices->dim[i]);
    int64_t k = indices->dim[indices->rank - 1];
    if (k < 0)
        return OK;
    SHAPE_FAIL_IF(k > x->rank - batch, c, "index tuples of %lld for %lld dimensions", (long long)k, (long long)(x->rank - batch));
    int rank = 0;
    for (int i = 0; i < indices->rank - 1; i++)
        dim[rank++] = indices->dim[i];
    for (int i = (int)(batch + k); i < x->rank; i++)
        dim[rank++] = x->dim[i];
    FAIL_IF(rank > MAX_RANK, c->err, STATUS_UNSUPPORTED, "an output of rank %d", rank);
    fact_set(&c->out[0], x->dtype, rank, dim);
    return OK;
}

/* The element of x where tuple t of the indices points, the first `batch` dimensions left out. */
static enum status tuple_target(const struct tensor *x, const struct tensor *indices, int batch, const int64_t *step, int64_t t,
                                int64_t *out, struct err *e) {
    int64_t k = indices->dim[indices->rank - 1], index;
    *out = 0;
    for (int64_t i = 0; i < k; i++) {
        TRY(index_at(indices, t * k + i, x->dim[batch + i], &index, e));
        *out += index * step[batch + i];
    }
    return OK;
}

static enum status eval_gather_nd(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1];
    int batch = (int)attr_int(c->node, "batch_dims");
    int64_t k = indices->dim[indices->rank - 1], step[MAX_RANK], at;
    int64_t slice = dims_product(x->dim, batch + (int)k, x->rank), whole = dims_product(x->dim, batch, x->rank);
    int64_t batches = dims_product(x->dim, 0, batch), tuples = dims_product(indices->dim, batch, indices->rank - 1);
    dense_steps(x->dim, x->rank, step);
    for (int64_t b = 0; b < batches; b++)
        for (int64_t t = 0; t < tuples; t++) {
            TRY(tuple_target(x, indices, batch, step, b * tuples + t, &at, c->err));
            if (slice)
                memcpy(element_at(c->out[0], (b * tuples + t) * slice), element_at(x, b * whole + at), (size_t)slice * element_size(x));
        }
    own_strings(c->out[0]);
    return OK;
}

static enum status shape_scatter_nd(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1], *updates = &c->in[2];
    TRY(shape_same(c));
    if (!fact_known(x) || !fact_known(indices) || !fact_known(updates))
        return OK;
    SHAPE_FAIL_IF(x->rank < 1 || indices->rank < 1, c, "data and indices must not be scalars");
    int64_t k = indices->dim[indices->rank - 1], dim[2 * MAX_RANK];
    SHAPE_FAIL_IF(k > x->rank, c, "index tuples of %lld for %d dimensions", (long long)k, x->rank);
    int rank = 0;
    for (int i = 0; i < indices->rank - 1; i++)
        dim[rank++] = indices->dim[i];
    for (int i = (int)k; i < x->rank; i++)
        dim[rank++] = x->dim[i];
    SHAPE_FAIL_IF(!dims_equal(dim, rank, updates->dim, updates->rank), c, "the updates' shape does not follow from data and indices");
    return OK;
}

/* In the order of the tuples, as ScatterElements. */
static enum status eval_scatter_nd(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    struct tensor *y = c->out[0];
    enum combine how;
    int64_t k = indices->dim[indices->rank - 1], step[MAX_RANK], at;
    TRY(combine_of(c->node, &how, c->err));
    FAIL_IF(updates->store != x->store, c->err, STATUS_CORRUPT, "updates are %s, data %s", dtype_name(updates->dtype), dtype_name(x->dtype));
    int64_t slice = dims_product(x->dim, (int)k, x->rank), tuples = dims_product(indices->dim, 0, indices->rank - 1);
    copy_elements(y, x);
    dense_steps(x->dim, x->rank, step);
    for (int64_t t = 0; t < tuples; t++) {
        TRY(tuple_target(x, indices, 0, step, t, &at, c->err));
        TRY(combine_elements(how, y, at, updates, t * slice, slice, c->err));
    }
    own_strings(y);
    return OK;
}

/* --- TensorScatter --- */

static enum status tensor_scatter_axis(const struct node *n, int rank, int *axis, bool *circular, struct err *e) {
    const char *mode = attr_str(n, "mode");
    *circular = strcmp(mode, "circular") == 0;
    FAIL_IF(!*circular && strcmp(mode, "linear") != 0, e, STATUS_CORRUPT, "mode '%s' is neither linear nor circular", mode);
    TRY(axis_normalise(attr_int(n, "axis"), rank, axis, e));
    FAIL_IF(*axis == 0, e, STATUS_CORRUPT, "axis 0 is the batch and cannot be the sequence");
    return OK;
}

static enum status shape_tensor_scatter(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *update = &c->in[1];
    int axis;
    bool circular;
    TRY(shape_same(c));
    if (x->rank < 0 || update->rank < 0)
        return OK;
    TRY(tensor_scatter_axis(c->node, x->rank, &axis, &circular, c->err));
    SHAPE_FAIL_IF(x->rank != update->rank, c, "a cache of rank %d and an update of rank %d", x->rank, update->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t a = x->dim[i], b = update->dim[i];
        SHAPE_FAIL_IF(a >= 0 && b >= 0 && (i == axis ? b > a : a != b), c, "dimension %d of the cache is %lld, of the update %lld", i,
                      (long long)a, (long long)b);
    }
    return OK;
}

static enum status eval_tensor_scatter(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *update = c->in[1], *start = c->n_in > 2 ? c->in[2] : NULL;
    struct tensor *y = c->out[0];
    int axis;
    bool circular;
    TRY(tensor_scatter_axis(c->node, x->rank, &axis, &circular, c->err));
    FAIL_IF(start && tensor_count(start) != x->dim[0], c->err, STATUS_CORRUPT, "write_indices must have one entry a batch");
    FAIL_IF(update->store != x->store, c->err, STATUS_CORRUPT, "the update is %s, the cache %s", dtype_name(update->dtype),
            dtype_name(x->dtype));
    copy_elements(y, x);
    int64_t inner = dims_product(x->dim, axis + 1, x->rank), n = x->dim[axis], length = update->dim[axis];
    int64_t prefixes = dims_product(x->dim, 0, axis), per_batch = dims_product(x->dim, 1, axis);
    for (int64_t p = 0; p < prefixes && inner; p++) {
        int64_t first = start ? tensor_i64(start, p / per_batch) : 0;
        FAIL_IF(first < 0 || (!circular && first > n - length), c->err, STATUS_CORRUPT, "writing %lld entries at %lld of %lld",
                (long long)length, (long long)first, (long long)n);
        for (int64_t t = 0; t < length; t++) {
            int64_t at = circular ? (int64_t)(((uint64_t)first + (uint64_t)t) % (uint64_t)n) : first + t;
            memcpy(element_at(y, (p * n + at) * inner), element_at(update, (p * length + t) * inner), (size_t)inner * element_size(x));
        }
    }
    own_strings(y);
    return OK;
}

static const struct attr_def axis_attrs[] = { { .name = "axis", .type = ATTR_INT }, { 0 } };
static const struct attr_def gather_nd_attrs[] = { { .name = "batch_dims", .type = ATTR_INT }, { 0 } };
static const struct attr_def scatter_elements_attrs[] = { { .name = "axis", .type = ATTR_INT },
                                                          { .name = "reduction", .type = ATTR_STRING, .s = "none" }, { 0 } };
static const struct attr_def scatter_nd_attrs[] = { { .name = "reduction", .type = ATTR_STRING, .s = "none" }, { 0 } };
static const struct attr_def tensor_scatter_attrs[] = { { .name = "axis", .type = ATTR_INT, .i = -2 },
                                                        { .name = "mode", .type = ATTR_STRING, .s = "linear" }, { 0 } };

const struct op ops_gather[] = {
    { .name = "Gather", .domain = "", .spec = "ONNX Gather-13", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES, .attrs = axis_attrs, .shape = shape_gather, .eval = eval_gather },
    { .name = "GatherElements", .domain = "", .spec = "ONNX GatherElements-13", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES, .attrs = axis_attrs, .shape = shape_gather_elements, .eval = eval_gather_elements },
    { .name = "GatherND", .domain = "", .spec = "ONNX GatherND-13", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES, .attrs = gather_nd_attrs, .shape = shape_gather_nd, .eval = eval_gather_nd },
    { .name = "ScatterElements", .domain = "", .spec = "ONNX ScatterElements-18", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .attrs = scatter_elements_attrs, .shape = shape_scatter_elements, .eval = eval_scatter_elements },
    { .name = "Scatter", .domain = "", .spec = "ONNX Scatter-11", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES, .attrs = axis_attrs, .shape = shape_scatter_elements, .eval = eval_scatter },
    { .name = "ScatterND", .domain = "", .spec = "ONNX ScatterND-18", .min_in = 3, .max_in = 3, .min_out = 1, .max_out = 1,
      .attrs = scatter_nd_attrs, .shape = shape_scatter_nd, .eval = eval_scatter_nd },
    { .name = "TensorScatter", .domain = "", .spec = "ONNX TensorScatter-24", .min_in = 2, .max_in = 3, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES, .attrs = tensor_scatter_attrs, .shape = shape_tensor_scatter, .eval = eval_tensor_scatter },
    { 0 },
};
