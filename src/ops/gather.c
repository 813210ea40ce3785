/* Reading elements by index: Gather, GatherElements, GatherND. */
#include "ops/gather.h"
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

static enum status index_at(const struct tensor *indices, int64_t i, int64_t n, int64_t *out,
                            struct err *e) {
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
    int64_t outer = dims_product(x->dim, 0, axis), inner = dims_product(x->dim, axis + 1, x->rank),
            n = tensor_count(indices), at;
    for (int64_t k = 0; k < n; k++) {
        TRY(index_at(indices, k, x->dim[axis], &at, c->err));
        struct move m = { .dst = element_at(c->out[0], k * inner),
                          .src = element_at(x, at * inner),
                          .size = element_size(x),
                          .rank = 2,
                          .dim = { outer, inner },
                          .dst_step = { n * inner, 1 },
                          .src_step = { x->dim[axis] * inner, 1 } };
        move_run(&m);
    }
    own_strings(c->out[0]);
    return OK;
}

/* --- GatherElements --- */

enum status check_elements(const struct fact *x, const struct fact *part, int axis, struct err *e) {
    FAIL_IF(x->rank != part->rank, e, STATUS_CORRUPT, "data of rank %d and indices of rank %d",
            x->rank, part->rank);
    for (int i = 0; i < x->rank; i++)
        FAIL_IF(i != axis && x->dim[i] >= 0 && part->dim[i] > x->dim[i], e, STATUS_CORRUPT,
                "indices have dimension %lld on axis %d, data %lld", (long long)part->dim[i], i,
                (long long)x->dim[i]);
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

enum status element_target(const struct tensor *x, const struct tensor *indices, int axis,
                           const int64_t *step, int64_t k, int64_t *at, int64_t *out,
                           struct err *e) {
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

/* --- GatherND --- */

static enum status shape_gather_nd(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1];
    int64_t batch = attr_int(c->node, "batch_dims"), dim[2 * MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || indices->rank < 0)
        return OK;
    SHAPE_FAIL_IF(indices->rank < 1 || x->rank < 1, c, "data and indices must not be scalars");
    SHAPE_FAIL_IF(batch < 0 || batch >= x->rank || batch >= indices->rank, c,
                  "batch_dims %lld for data of rank %d and indices of rank %d", (long long)batch,
                  x->rank, indices->rank);
    for (int i = 0; i < batch; i++)
        SHAPE_FAIL_IF(x->dim[i] >= 0 && indices->dim[i] >= 0 && x->dim[i] != indices->dim[i], c,
                      "batch dimensions %lld and %lld differ", (long long)x->dim[i],
                      (long long)indices->dim[i]);
    int64_t k = indices->dim[indices->rank - 1];
    if (k < 0)
        return OK;
    SHAPE_FAIL_IF(k > x->rank - batch, c, "index tuples of %lld for %lld dimensions", (long long)k,
                  (long long)(x->rank - batch));
    int rank = 0;
    for (int i = 0; i < indices->rank - 1; i++)
        dim[rank++] = indices->dim[i];
    for (int i = (int)(batch + k); i < x->rank; i++)
        dim[rank++] = x->dim[i];
    FAIL_IF(rank > MAX_RANK, c->err, STATUS_UNSUPPORTED, "an output of rank %d", rank);
    fact_set(&c->out[0], x->dtype, rank, dim);
    return OK;
}

enum status tuple_target(const struct tensor *x, const struct tensor *indices, int batch,
                         const int64_t *step, int64_t t, int64_t *out, struct err *e) {
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
    int64_t slice = dims_product(x->dim, batch + (int)k, x->rank),
            whole = dims_product(x->dim, batch, x->rank);
    int64_t batches = dims_product(x->dim, 0, batch),
            tuples = dims_product(indices->dim, batch, indices->rank - 1);
    dense_steps(x->dim, x->rank, step);
    for (int64_t b = 0; b < batches; b++)
        for (int64_t t = 0; t < tuples; t++) {
            TRY(tuple_target(x, indices, batch, step, b * tuples + t, &at, c->err));
            if (slice)
                memcpy(element_at(c->out[0], (b * tuples + t) * slice),
                       element_at(x, b * whole + at), (size_t)slice * element_size(x));
        }
    own_strings(c->out[0]);
    return OK;
}

/* clang-format off */
const struct op ops_gather[] = {
    { ONNX("Gather", 13, 2, 2), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("axis", 0)), .shape = shape_gather, .eval = eval_gather,
      .grad = grad_moves },
    { ONNX("GatherElements", 13, 2, 2), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("axis", 0)), .shape = shape_gather_elements,
      .eval = eval_gather_elements, .grad = grad_moves },
    { ONNX("GatherND", 13, 2, 2), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("batch_dims", 0)), .shape = shape_gather_nd,
      .eval = eval_gather_nd, .grad = grad_moves },
    { 0 },
};
