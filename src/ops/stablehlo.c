/* StableHLO's gather and scatter (openxla/stablehlo, docs/spec.md): windows of the operand at
 * places that index vectors name. */
#include <string.h>

#include "ops/body.h"
#include "ops/move.h"
#include "ops/row.h"

/* How the axes of the tensor of windows (the gather's result, the scatter's updates) are made: each
 * is a window's axis of the operand, or counts index vectors. */
struct windows {
    int rank, operand_rank, index_rank, depth;
    int operand_axis[MAX_RANK];    /* of each axis; -1: it counts index vectors */
    int64_t vector_step[MAX_RANK]; /* elements of the indices from one vector to the next */
    int64_t coordinate_step;       /* from one coordinate of a vector to the next */
    int64_t index_dim[MAX_RANK];   /* of the axes that count vectors, in order */
    int n_index;
    const int64_t *map; /* the operand's axis of each coordinate */
};

/* An ascending list of axes below `rank`. */
static enum status axes_attr(const struct node *n, const char *name, int rank, bool *set,
                             int *count, struct err *e) {
    const int64_t *v = attr_ints(n, name, count);
    memset(set, 0, sizeof *set * MAX_RANK);
    FAIL_IF(*count > rank, e, STATUS_CORRUPT, "attribute '%s' has %d axes of %d", name, *count,
            rank);
    for (int i = 0; i < *count; i++) {
        FAIL_IF(v[i] < 0 || v[i] >= rank || (i && v[i] <= v[i - 1]), e, STATUS_CORRUPT,
                "attribute '%s' has axis %lld of %d", name, (long long)v[i], rank);
        set[v[i]] = true;
    }
    return OK;
}

/* The steps inside the indices, whose axis `vector` holds the coordinates (its rank: each element
 * is a vector of one). */
static enum status index_steps(struct windows *w, const struct fact *indices, int64_t vector,
                               struct err *e) {
    int64_t step = 1, steps[MAX_RANK];
    FAIL_IF(vector < 0 || vector > indices->rank, e, STATUS_CORRUPT, "index_vector_dim is %lld",
            (long long)vector);
    w->index_rank = indices->rank;
    w->depth = vector == indices->rank ? 1 : (int)indices->dim[vector];
    w->coordinate_step = 0;
    for (int i = indices->rank - 1; i >= 0; i--) {
        steps[i] = step;
        step *= indices->dim[i] > 0 ? indices->dim[i] : 1;
        if (i == vector)
            w->coordinate_step = steps[i];
    }
    w->n_index = 0;
    for (int i = 0; i < indices->rank; i++)
        if (i != vector) {
            w->index_dim[w->n_index] = indices->dim[i];
            w->vector_step[w->n_index++] = steps[i];
        }
    return OK;
}

/* window_dims: the axes of the tensor of windows that are window axes; dropped: the operand's axes
 * that its windows lack. */
static enum status windows_read(struct windows *w, const struct node *n, const struct fact *operand,
                                const struct fact *indices, int rank, const char *window_dims,
                                const char *dropped, const char *map, struct err *e) {
    bool is_window[MAX_RANK], is_dropped[MAX_RANK];
    int n_window, n_dropped, n_map;
    *w = (struct windows) { .rank = rank, .operand_rank = operand->rank };
    TRY(index_steps(w, indices, attr_int(n, "index_vector_dim"), e));
    TRY(axes_attr(n, window_dims, rank, is_window, &n_window, e));
    TRY(axes_attr(n, dropped, operand->rank, is_dropped, &n_dropped, e));
    w->map = attr_ints(n, map, &n_map);
    FAIL_IF(n_window + n_dropped != operand->rank || w->n_index != rank - n_window, e,
            STATUS_CORRUPT, "%d window axes and %d left out, the operand has %d", n_window,
            n_dropped, operand->rank);
    FAIL_IF(n_map != w->depth, e, STATUS_CORRUPT, "vectors of %d coordinates for %d axes", w->depth,
            n_map);
    for (int i = 0; i < n_map; i++)
        FAIL_IF(w->map[i] < 0 || w->map[i] >= operand->rank, e, STATUS_CORRUPT,
                "attribute '%s' has axis %lld of %d", map, (long long)w->map[i], operand->rank);
    int64_t steps[MAX_RANK];
    memcpy(steps, w->vector_step, sizeof steps);
    for (int i = 0, axis = 0, k = 0; i < rank; i++) {
        w->operand_axis[i] = -1;
        w->vector_step[i] = 0;
        if (!is_window[i]) {
            w->vector_step[i] = steps[k++];
            continue;
        }
        while (is_dropped[axis])
            axis++;
        w->operand_axis[i] = axis++;
    }
    return OK;
}

static struct fact fact_of(const struct tensor *t) {
    struct fact f = { .dtype = t->dtype, .rank = t->rank };
    memcpy(f.dim, t->dim, sizeof f.dim);
    return f;
}

/* The operand's coordinates of element i of the tensor of windows; limit: the sizes of the windows
 * inside which a start is moved, NULL: it stays. */
static void place(const struct windows *w, const int64_t *dim, const struct tensor *indices,
                  int64_t i, const struct tensor *operand, const int64_t *sizes, int64_t *at) {
    int64_t offset[MAX_RANK] = { 0 }, vector = 0;
    memset(at, 0, sizeof *at * MAX_RANK);
    for (int d = w->rank - 1; d >= 0; d--) {
        int64_t k = i % dim[d];
        i /= dim[d];
        vector += k * w->vector_step[d];
        if (w->operand_axis[d] >= 0)
            offset[w->operand_axis[d]] = k;
    }
    for (int k = 0; k < w->depth; k++) {
        int64_t start = tensor_i64(indices, vector + k * w->coordinate_step), axis = w->map[k];
        int64_t last = sizes ? operand->dim[axis] - sizes[axis] : INT64_MAX;
        at[axis] = sizes && start < 0 ? 0 : start > last ? last : start;
    }
    for (int d = 0; d < w->operand_rank; d++) /* a hostile start must not wrap round */
        at[d] = at[d] > INT64_MAX - offset[d] ? -1 : at[d] + offset[d];
}

static bool element_of(const struct tensor *t, const int64_t *at, int64_t *out) {
    *out = 0;
    for (int d = 0; d < t->rank; d++) {
        if (at[d] < 0 || at[d] >= t->dim[d])
            return false;
        *out = *out * t->dim[d] + at[d];
    }
    return true;
}

/* --- STABLEHLO_GATHER: operand, indices --- */

static enum status gather_sizes(const struct node *n, const struct fact *operand,
                                const int64_t **sizes, struct err *e) {
    int count;
    *sizes = attr_ints(n, "slice_sizes", &count);
    FAIL_IF(count != operand->rank, e, STATUS_CORRUPT,
            "slice_sizes has %d elements, the operand's rank is %d", count, operand->rank);
    for (int i = 0; i < count; i++)
        FAIL_IF((*sizes)[i] < 0 || (operand->dim[i] >= 0 && (*sizes)[i] > operand->dim[i]), e,
                STATUS_CORRUPT, "slice_sizes has %lld for axis %d of %lld", (long long)(*sizes)[i],
                i, (long long)operand->dim[i]);
    return OK;
}

static enum status gather_windows(struct windows *w, const struct node *n,
                                  const struct fact *operand, const struct fact *indices,
                                  const int64_t **sizes, struct err *e) {
    int n_offset, vector = (int)attr_int(n, "index_vector_dim");
    attr_ints(n, "offset_dims", &n_offset);
    int rank = n_offset + indices->rank - (vector < indices->rank);
    FAIL_IF(rank > MAX_RANK || n_offset > MAX_RANK, e, STATUS_UNSUPPORTED, "a result of rank %d",
            rank);
    TRY(gather_sizes(n, operand, sizes, e));
    return windows_read(w, n, operand, indices, rank, "offset_dims", "collapsed_slice_dims",
                        "start_index_map", e);
}

static enum status shape_gather(struct shape_ctx *c) {
    struct windows w;
    const int64_t *sizes;
    int64_t dim[MAX_RANK];
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank < 0 || !fact_known(&c->in[1]))
        return OK;
    TRY(gather_windows(&w, c->node, &c->in[0], &c->in[1], &sizes, c->err));
    for (int i = 0, k = 0; i < w.rank; i++)
        dim[i] = w.operand_axis[i] >= 0 ? sizes[w.operand_axis[i]] : w.index_dim[k++];
    fact_set(&c->out[0], c->in[0].dtype, w.rank, dim);
    return OK;
}

static enum status eval_gather(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1];
    struct tensor *y = c->out[0];
    struct fact operand = fact_of(x), places = fact_of(indices);
    struct windows w;
    const int64_t *sizes;
    int64_t at[MAX_RANK], from;
    if (!dtype_is_int(indices->dtype))
        return op_bad_type(c, 1);
    TRY(gather_windows(&w, c->node, &operand, &places, &sizes, c->err));
    for (int64_t i = 0; i < tensor_count(y); i++) {
        place(&w, y->dim, indices, i, x, sizes, at);
        FAIL_IF(!element_of(x, at, &from), c->err, STATUS_CORRUPT, "a window past the operand");
        memcpy(element_at(y, i), element_at(x, from), element_size(x));
    }
    own_strings(y);
    return OK;
}

/* --- STABLEHLO_SCATTER: operand, indices, updates; what falls outside is left out --- */

static enum status scatter_windows(struct windows *w, const struct node *n,
                                   const struct fact *operand, const struct fact *indices,
                                   const struct fact *updates, struct err *e) {
    TRY(windows_read(w, n, operand, indices, updates->rank, "update_window_dims",
                     "inserted_window_dims", "scatter_dims_to_operand_dims", e));
    for (int i = 0, k = 0; i < w->rank; i++) {
        int64_t most =
            w->operand_axis[i] >= 0 ? operand->dim[w->operand_axis[i]] : w->index_dim[k++];
        bool counts = w->operand_axis[i] < 0;
        FAIL_IF(counts ? updates->dim[i] != most : updates->dim[i] > most, e, STATUS_CORRUPT,
                "axis %d of the updates has %lld elements, at most %lld fit", i,
                (long long)updates->dim[i], (long long)most);
    }
    return OK;
}

static enum status shape_scatter(struct shape_ctx *c) {
    struct windows w;
    shape_copy(c, 0, 0);
    if (!fact_known(&c->in[0]) || !fact_known(&c->in[1]) || !fact_known(&c->in[2]))
        return OK;
    return scatter_windows(&w, c->node, &c->in[0], &c->in[1], &c->in[2], c->err);
}

/* In the order of the updates' elements; one operation each. */
static enum status eval_scatter(struct op_ctx *c) {
    static const char *const names[] = { "set", "add", "mul", "max", "min" };
    const struct tensor *x = c->in[0], *indices = c->in[1], *updates = c->in[2];
    struct fact facts[] = { fact_of(x), fact_of(indices), fact_of(updates) };
    struct windows w;
    int64_t at[MAX_RANK], to;
    int how = -1;
    for (int i = 0; i < 5; i++)
        if (strcmp(names[i], attr_str(c->node, "reduction")) == 0)
            how = i;
    FAIL_IF(how < 0, c->err, STATUS_CORRUPT, "reduction '%s'", attr_str(c->node, "reduction"));
    if (!dtype_is_int(indices->dtype))
        return op_bad_type(c, 1);
    if (updates->store != x->store)
        return op_bad_type(c, 2);
    TRY(scatter_windows(&w, c->node, &facts[0], &facts[1], &facts[2], c->err));
    copy_elements(c->out[0], x);
    for (int64_t i = 0; i < tensor_count(updates); i++) {
        place(&w, updates->dim, indices, i, x, NULL, at);
        if (element_of(x, at, &to))
            TRY(combine_elements((enum combine)how, c->out[0], to, updates, i, 1, c->err));
    }
    own_strings(c->out[0]);
    return OK;
}

/* ScatterElements over the flat operand, of the updates that fall inside. */
static enum status write_scatter(struct body *b) {
    const struct tensor *x = b->c->in[0], *indices = b->c->in[1], *updates = b->c->in[2];
    struct fact facts[] = { fact_of(x), fact_of(indices), fact_of(updates) };
    int64_t n = tensor_count(updates), kept = 0, at[MAX_RANK], to;
    int64_t *from = NEW_ARRAY(b->c->scratch, n + 1, int64_t),
            *target = NEW_ARRAY(b->c->scratch, n + 1, int64_t);
    const int64_t flat[] = { -1 };
    struct windows w;
    TRY(scatter_windows(&w, b->c->node, &facts[0], &facts[1], &facts[2], b->c->err));
    for (int64_t i = 0; i < n; i++) {
        place(&w, updates->dim, indices, i, x, NULL, at);
        if (!element_of(x, at, &to))
            continue;
        from[kept] = i;
        target[kept++] = to;
    }
    if (!tensor_count(x) || !kept) {
        b->out[0] = body_op(b, "Identity", b->in[0], NULL, NULL);
        return OK;
    }
    struct value *y = body_op(b, "Reshape", b->in[0], body_ints(b, 1, flat), NULL),
                 *u = body_op(b, "Reshape", b->in[2], body_ints(b, 1, flat), NULL);
    u = body_op(b, "Gather", u, body_ints(b, kept, from), NULL);
    y = body_op(b, "ScatterElements", y, body_ints(b, kept, target), u);
    if (strcmp(attr_str(b->c->node, "reduction"), "set") != 0)
        node_set_string(y->producer, "reduction", attr_str(b->c->node, "reduction"));
    b->out[0] = body_reshape(b, y, x->rank, x->dim);
    return OK;
}

static enum status grad_scatter(struct grad_ctx *c) {
    return grad_of_body(c, write_scatter);
}

/* clang-format off */
#define STABLEHLO(name_, n)                                                                        \
    .name = "STABLEHLO_" name_, .domain = "tflite", .spec = "StableHLO " name_, .min_in = n, .max_in = n, .min_out = 1, .max_out = 1

const struct op ops_stablehlo[] = {
    { STABLEHLO("GATHER", 2), .flags = OP_MOVES, .shape = shape_gather, .eval = eval_gather,
      .attrs = ATTRS(PLAIN("offset_dims", INTS), PLAIN("collapsed_slice_dims", INTS), PLAIN("start_index_map", INTS),
                     INT("index_vector_dim", 0), NEEDED("slice_sizes", INTS)), .grad = grad_moves },
    { STABLEHLO("SCATTER", 3), .shape = shape_scatter, .eval = eval_scatter,
      .attrs = ATTRS(PLAIN("update_window_dims", INTS), PLAIN("inserted_window_dims", INTS), PLAIN("scatter_dims_to_operand_dims", INTS),
                     INT("index_vector_dim", 0), STRING("reduction", "set")), .grad = grad_scatter },
    { 0 },
};
