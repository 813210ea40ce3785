/* Writing elements by index: ScatterElements, Scatter, ScatterND, TensorScatter. */
#include "ops/gather.h"
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

/* --- ScatterElements, Scatter --- */

static enum status shape_scatter_elements(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *indices = &c->in[1], *updates = &c->in[2];
    int axis;
    if (x->rank >= 0 && indices->rank >= 0) {
        TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
        TRY(check_elements(x, indices, axis, c->err));
        SHAPE_FAIL_IF(fact_known(indices) && fact_known(updates) &&
                          !dims_equal(indices->dim, indices->rank, updates->dim, updates->rank),
                      c, "indices and updates differ in shape");
    }
    return shape_same(c);
}

/* In the order of the updates: where several hit one element, each is applied to the result of the
 * one before. */
static enum status scatter_elements(struct op_ctx *c, enum combine how) {
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    struct tensor *y = c->out[0];
    int axis;
    int64_t step[MAX_RANK], at[MAX_RANK] = { 0 }, n = tensor_count(indices), to;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    FAIL_IF(updates->store != x->store, c->err, STATUS_CORRUPT, "updates are %s, data %s",
            dtype_name(updates->dtype), dtype_name(x->dtype));
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

/* --- ScatterND --- */

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
    SHAPE_FAIL_IF(!dims_equal(dim, rank, updates->dim, updates->rank), c,
                  "the updates' shape does not follow from data and indices");
    return OK;
}

/* In the order of the tuples, as ScatterElements. */
static enum status eval_scatter_nd(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    struct tensor *y = c->out[0];
    enum combine how;
    int64_t k = indices->dim[indices->rank - 1], step[MAX_RANK], at;
    TRY(combine_of(c->node, &how, c->err));
    FAIL_IF(updates->store != x->store, c->err, STATUS_CORRUPT, "updates are %s, data %s",
            dtype_name(updates->dtype), dtype_name(x->dtype));
    int64_t slice = dims_product(x->dim, (int)k, x->rank),
            tuples = dims_product(indices->dim, 0, indices->rank - 1);
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

static enum status tensor_scatter_axis(const struct node *n, int rank, int *axis, bool *circular,
                                       struct err *e) {
    const char *mode = attr_str(n, "mode");
    *circular = strcmp(mode, "circular") == 0;
    FAIL_IF(!*circular && strcmp(mode, "linear") != 0, e, STATUS_CORRUPT,
            "mode '%s' is neither linear nor circular", mode);
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
    SHAPE_FAIL_IF(x->rank != update->rank, c, "a cache of rank %d and an update of rank %d",
                  x->rank, update->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t a = x->dim[i], b = update->dim[i];
        SHAPE_FAIL_IF(a >= 0 && b >= 0 && (i == axis ? b > a : a != b), c,
                      "dimension %d of the cache is %lld, of the update %lld", i, (long long)a,
                      (long long)b);
    }
    return OK;
}

static enum status eval_tensor_scatter(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *update = c->in[1], *start = c->n_in > 2 ? c->in[2] : NULL;
    struct tensor *y = c->out[0];
    int axis;
    bool circular;
    TRY(tensor_scatter_axis(c->node, x->rank, &axis, &circular, c->err));
    FAIL_IF(start && tensor_count(start) != x->dim[0], c->err, STATUS_CORRUPT,
            "write_indices must have one entry a batch");
    FAIL_IF(update->store != x->store, c->err, STATUS_CORRUPT, "the update is %s, the cache %s",
            dtype_name(update->dtype), dtype_name(x->dtype));
    copy_elements(y, x);
    int64_t inner = dims_product(x->dim, axis + 1, x->rank), n = x->dim[axis],
            length = update->dim[axis];
    int64_t prefixes = dims_product(x->dim, 0, axis), per_batch = dims_product(x->dim, 1, axis);
    for (int64_t p = 0; p < prefixes && inner; p++) {
        int64_t first = start ? tensor_i64(start, p / per_batch) : 0;
        FAIL_IF(first < 0 || (!circular && first > n - length), c->err, STATUS_CORRUPT,
                "writing %lld entries at %lld of %lld", (long long)length, (long long)first,
                (long long)n);
        for (int64_t t = 0; t < length; t++) {
            int64_t at =
                circular ? (int64_t)(((uint64_t)first + (uint64_t)t) % (uint64_t)n) : first + t;
            memcpy(element_at(y, (p * n + at) * inner),
                   element_at(update, (p * length + t) * inner), (size_t)inner * element_size(x));
        }
    }
    own_strings(y);
    return OK;
}

/* --- gradients --- */

/* By element of the updates the element of the data that it goes to. */
static enum status scatter_targets(struct grad_ctx *c, int64_t *target) {
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    int64_t step[MAX_RANK], at[MAX_RANK] = { 0 }, n = tensor_count(updates);
    dense_steps(x->dim, x->rank, step);
    if (strcmp(c->node->op, "ScatterND") != 0) {
        int axis;
        TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
        for (int64_t k = 0; k < n; k++)
            TRY(element_target(x, indices, axis, step, k, at, &target[k], c->err));
        return OK;
    }
    int64_t slice = dims_product(x->dim, (int)indices->dim[indices->rank - 1], x->rank);
    for (int64_t t = 0; slice && t < n / slice; t++) {
        TRY(tuple_target(x, indices, 0, step, t, &target[t * slice], c->err));
        for (int64_t i = 1; i < slice; i++)
            target[t * slice + i] = target[t * slice] + i;
    }
    return OK;
}

static void add_to(struct grad_ctx *c, int input, int64_t i, double v) {
    if (c->grad_in[input])
        ((double *)c->grad_in[input]->data)[i] += v;
}

static void grad_add(struct grad_ctx *c, const int64_t *target) {
    const double *g = c->grad_out[0]->data;
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        add_to(c, 0, i, g[i]);
    for (int64_t k = 0, n = tensor_count(c->in[2]); k < n; k++)
        add_to(c, 2, k, g[target[k]]);
}

/* A factor's gradient is the product of the others: products of what is not 0 and the number of
 * zeros tell it. */
static void grad_mul(struct grad_ctx *c, const int64_t *target) {
    const double *g = c->grad_out[0]->data, *x = c->in[0]->data, *u = c->in[2]->data;
    int64_t n = tensor_count(c->in[0]), n_updates = tensor_count(c->in[2]);
    double *product = NEW_ARRAY(c->scratch, n + 1, double);
    int64_t *zeros = NEW_ARRAY(c->scratch, n + 1, int64_t);
    for (int64_t i = 0; i < n; i++) {
        product[i] = x[i] != 0 ? x[i] : 1;
        zeros[i] = x[i] == 0;
    }
    for (int64_t k = 0; k < n_updates; k++) {
        product[target[k]] *= u[k] != 0 ? u[k] : 1;
        zeros[target[k]] += u[k] == 0;
    }
    for (int64_t i = 0; i < n; i++)
        add_to(c, 0, i,
               zeros[i] > (x[i] == 0) ? 0 : g[i] * (x[i] != 0 ? product[i] / x[i] : product[i]));
    for (int64_t k = 0; k < n_updates; k++) {
        int64_t i = target[k];
        add_to(c, 2, k,
               zeros[i] > (u[k] == 0) ? 0 : g[i] * (u[k] != 0 ? product[i] / u[k] : product[i]));
    }
}

/* To the first element that has the winning value. */
static void grad_extreme(struct grad_ctx *c, const int64_t *target) {
    const double *g = c->grad_out[0]->data, *x = c->in[0]->data, *u = c->in[2]->data,
                 *y = c->out[0]->data;
    int64_t n = tensor_count(c->in[0]), n_updates = tensor_count(c->in[2]);
    bool *given = NEW_ARRAY(c->scratch, n + 1, bool);
    for (int64_t i = 0; i < n; i++) {
        given[i] = x[i] == y[i];
        if (given[i])
            add_to(c, 0, i, g[i]);
    }
    for (int64_t k = 0; k < n_updates; k++)
        if (!given[target[k]] && u[k] == y[target[k]]) {
            given[target[k]] = true;
            add_to(c, 2, k, g[target[k]]);
        }
}

static enum status grad_scatter(struct grad_ctx *c) {
    enum combine how;
    TRY(combine_of(c->node, &how, c->err));
    if (how == COMBINE_SET)
        return grad_moves(c);
    if (!c->grad_out[0] || c->in[0]->store != DT_F64)
        return OK;
    int64_t *target = NEW_ARRAY(c->scratch, tensor_count(c->in[2]) + 1, int64_t);
    TRY(scatter_targets(c, target));
    if (how == COMBINE_ADD)
        grad_add(c, target);
    else if (how == COMBINE_MUL)
        grad_mul(c, target);
    else
        grad_extreme(c, target);
    return OK;
}

/* clang-format off */
const struct op ops_scatter[] = {
    { ONNX("ScatterElements", 18, 3, 3), .whole = 2, .flags = OP_ANY_TYPE, .attrs = ATTRS(INT("axis", 0), STRING("reduction", "none")),
      .shape = shape_scatter_elements, .eval = eval_scatter_elements, .grad = grad_scatter },
    { ONNX("Scatter", 11, 3, 3), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("axis", 0)), .shape = shape_scatter_elements,
      .eval = eval_scatter, .grad = grad_moves },
    { ONNX("ScatterND", 18, 3, 3), .whole = 2, .flags = OP_ANY_TYPE, .attrs = ATTRS(STRING("reduction", "none")), .shape = shape_scatter_nd,
      .eval = eval_scatter_nd, .grad = grad_scatter },
    { ONNX("TensorScatter", 24, 2, 3), .whole = 4, .flags = OP_MOVES, .attrs = ATTRS(INT("axis", -2), STRING("mode", "linear")),
      .shape = shape_tensor_scatter, .eval = eval_tensor_scatter, .grad = grad_moves },
    { 0 },
};
