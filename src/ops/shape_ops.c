/* Operators that give a tensor another shape, tell its shape, or make one from a shape. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

/* --- Reshape --- */

/* Replaces 0 (unless allowzero) by the input's dimension and checks what the list may hold; *at is
 * where -1 or the only entry that is unknown stands, or -1. False in *whole when an unknown entry
 * may be anything. */
static enum status reshape_resolve(struct shape_ctx *c, const int64_t *shape, int64_t n,
                                   int64_t *dim, int *at, bool *whole) {
    const struct fact *x = &c->in[0];
    bool allow_zero = attr_int(c->node, "allowzero") != 0, zero = false;
    int unknown = -1, n_unknown = 0;
    *at = -1;
    SHAPE_FAIL_IF(n > MAX_RANK, c, "a shape of %lld dimensions", (long long)n);
    for (int i = 0; i < n; i++) {
        dim[i] = shape[i];
        if (part_is_code(shape[i])) {
            dim[i] = dim_of_part(shape[i]);
            if (dim[i] == DIM_UNKNOWN) {
                unknown = i;
                n_unknown++;
            }
            continue;
        }
        if (shape[i] == 0 && !allow_zero) {
            SHAPE_FAIL_IF(x->rank >= 0 && i >= x->rank, c,
                          "the shape's entry %d is 0 but the input has rank %d", i, x->rank);
            dim[i] = x->rank >= 0 ? x->dim[i] : DIM_UNKNOWN;
        } else if (shape[i] == -1) {
            SHAPE_FAIL_IF(*at >= 0, c, "the shape has more than one -1");
            *at = i;
        }
        SHAPE_FAIL_IF(shape[i] < -1, c, "the shape's entry %d is %lld", i, (long long)shape[i]);
        zero |= shape[i] == 0;
    }
    SHAPE_FAIL_IF(allow_zero && zero && *at >= 0, c, "the shape has both 0 and -1 with allowzero");
    *whole = n_unknown == 0 || (n_unknown == 1 && *at < 0);
    if (n_unknown == 1 && *at < 0)
        *at = unknown;
    return OK;
}

/* Divides the symbols of `dim` out of those of the input: what is left of the input is *rest
 * (numbers in *known). False when unknowns remain on the output's side or more than one on the
 * input's. */
static bool cancel_symbols(const struct fact *x, const int64_t *dim, int n, int skip,
                           int64_t *known, int64_t *rest) {
    bool used[MAX_RANK] = { false };
    for (int i = 0; i < n; i++) {
        if (i == skip || dim[i] >= 0)
            continue;
        int k = -1;
        for (int j = 0; j < x->rank && k < 0; j++)
            if (!used[j] && x->dim[j] == dim[i] && (dim[i] != DIM_UNKNOWN || i == j))
                k = j;
        if (k < 0)
            return false;
        used[k] = true;
    }
    int64_t left[MAX_RANK], n_left = 0;
    *rest = 1;
    for (int j = 0; j < x->rank; j++) {
        if (x->dim[j] >= 0)
            left[n_left++] = x->dim[j];
        else if (!used[j] && *rest != 1)
            return false;
        else if (!used[j])
            *rest = x->dim[j];
    }
    return dims_count(left, (int)n_left, known);
}

static int64_t known_product(const int64_t *dim, int n, int skip) {
    int64_t p = 1;
    for (int i = 0; i < n; i++) {
        if (i == skip || dim[i] < 0)
            continue;
        if (dim[i] && p > INT64_MAX / dim[i])
            return -1;
        p *= dim[i];
    }
    return p;
}

static enum status shape_reshape(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *s = &c->in[1];
    const int64_t *shape;
    int64_t n, dim[MAX_RANK] = { 0 }, known, rest;
    int at;
    bool whole = false;
    c->out[0].dtype = x->dtype;
    SHAPE_FAIL_IF(s->rank >= 0 && s->rank != 1, c, "the shape must be a list, it has rank %d",
                  s->rank);
    if (!fact_parts(c, s, &shape, &n)) {
        if (s->rank == 1 && s->dim[0] >= 0 && s->dim[0] <= MAX_RANK)
            fact_set_unknown(&c->out[0], x->dtype, (int)s->dim[0]);
        return OK;
    }
    TRY(reshape_resolve(c, shape, n, dim, &at, &whole));
    if (x->rank >= 0 && whole && cancel_symbols(x, dim, (int)n, at, &known, &rest)) {
        int64_t have = known_product(dim, (int)n, at);
        SHAPE_FAIL_IF(have < 0, c, "the shape's product overflows");
        if (at >= 0) {
            SHAPE_FAIL_IF(rest == 1 && (have == 0 || known % have), c,
                          "%lld elements do not fit the shape", (long long)known);
            dim[at] = rest == 1 ? known / have : have == known ? rest : DIM_UNKNOWN;
        } else {
            SHAPE_FAIL_IF(rest == 1 && known != have, c, "%lld elements do not fit a shape of %lld",
                          (long long)known, (long long)have);
        }
    }
    fact_set(&c->out[0], x->dtype, (int)n, dim);
    return OK;
}

static enum status shape_flatten(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    fact_set_unknown(&c->out[0], x->dtype, 2);
    if (x->rank < 0)
        return OK;
    int64_t axis = attr_int(c->node, "axis");
    SHAPE_FAIL_IF(axis < -x->rank || axis > x->rank, c, "axis %lld is outside a tensor of rank %d",
                  (long long)axis, x->rank);
    if (axis < 0)
        axis += x->rank;
    c->out[0].dim[0] = dims_product_symbolic(x->dim, 0, (int)axis);
    c->out[0].dim[1] = dims_product_symbolic(x->dim, (int)axis, x->rank);
    return OK;
}

/* Marks the axes given by input 1 in a tensor of this rank. */
static enum status mark_axes(struct shape_ctx *c, const int64_t *axes, int64_t n, int rank,
                             bool *marked) {
    for (int64_t i = 0; i < n; i++) {
        int a;
        TRY(axis_normalise(axes[i], rank, &a, c->err));
        SHAPE_FAIL_IF(marked[a], c, "axis %d is given twice", a);
        marked[a] = true;
    }
    return OK;
}

static enum status shape_squeeze(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    bool given = c->n_in > 1 && !c->in[1].absent, gone[MAX_RANK] = { false };
    const int64_t *axes = NULL;
    int64_t n = 0, dim[MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (given && !fact_ints(c, &c->in[1], &axes, &n)) {
        if (x->rank >= 0 && c->in[1].rank == 1 && c->in[1].dim[0] >= 0 &&
            c->in[1].dim[0] <= x->rank)
            fact_set_unknown(&c->out[0], x->dtype, x->rank - (int)c->in[1].dim[0]);
        return OK;
    }
    if (x->rank < 0)
        return OK;
    TRY(mark_axes(c, axes, n, x->rank, gone));
    int rank = 0;
    for (int i = 0; i < x->rank; i++) {
        if (!given && x->dim[i] < 0)
            return OK;
        SHAPE_FAIL_IF(gone[i] && x->dim[i] >= 0 && x->dim[i] != 1, c,
                      "axis %d to be squeezed has dimension %lld", i, (long long)x->dim[i]);
        if (!gone[i] && (given || x->dim[i] != 1))
            dim[rank++] = x->dim[i];
    }
    fact_set(&c->out[0], x->dtype, rank, dim);
    return OK;
}

static enum status shape_unsqueeze(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    bool added[MAX_RANK] = { false };
    const int64_t *axes;
    int64_t n, dim[MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    if (!fact_ints(c, &c->in[1], &axes, &n)) {
        if (c->in[1].rank == 1 && c->in[1].dim[0] >= 0 && c->in[1].dim[0] + x->rank <= MAX_RANK)
            fact_set_unknown(&c->out[0], x->dtype, x->rank + (int)c->in[1].dim[0]);
        return OK;
    }
    FAIL_IF(n + x->rank > MAX_RANK, c->err, STATUS_UNSUPPORTED,
            "a tensor of more than %d dimensions", MAX_RANK);
    int rank = x->rank + (int)n;
    TRY(mark_axes(c, axes, n, rank, added));
    for (int i = 0, k = 0; i < rank; i++)
        dim[i] = added[i] ? 1 : x->dim[k++];
    fact_set(&c->out[0], x->dtype, rank, dim);
    return OK;
}

/* --- Transpose --- */

static enum status permutation(const struct node *n, int rank, int *perm, struct err *e) {
    int count;
    const int64_t *p = attr_ints(n, "perm", &count);
    bool seen[MAX_RANK] = { false };
    FAIL_IF(p && count != rank, e, STATUS_CORRUPT, "perm has %d entries for a tensor of rank %d",
            count, rank);
    for (int i = 0; i < rank; i++) {
        int64_t a = p ? p[i] : rank - 1 - i;
        FAIL_IF(a < 0 || a >= rank || seen[a], e, STATUS_CORRUPT,
                "perm is not a permutation of 0..%d", rank - 1);
        seen[a] = true;
        perm[i] = (int)a;
    }
    return OK;
}

static enum status shape_transpose(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int perm[MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    TRY(permutation(c->node, x->rank, perm, c->err));
    c->out[0].rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        c->out[0].dim[i] = x->dim[perm[i]];
    return OK;
}

static enum status eval_transpose(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct move m = { .dst = y->data, .src = x->data, .size = element_size(x), .rank = x->rank };
    int perm[MAX_RANK];
    int64_t step[MAX_RANK];
    TRY(permutation(c->node, x->rank, perm, c->err));
    dense_steps(x->dim, x->rank, step);
    dense_steps(y->dim, y->rank, m.dst_step);
    for (int i = 0; i < x->rank; i++) {
        m.dim[i] = y->dim[i];
        m.src_step[i] = step[perm[i]];
    }
    move_run(&m);
    own_strings(y);
    return OK;
}

/* --- Expand, Tile --- */

static enum status shape_expand(struct shape_ctx *c) {
    const int64_t *shape;
    int64_t n;
    c->out[0].dtype = c->in[0].dtype;
    SHAPE_FAIL_IF(c->in[1].rank >= 0 && c->in[1].rank != 1, c,
                  "the shape must be a list, it has rank %d", c->in[1].rank);
    if (!fact_parts(c, &c->in[1], &shape, &n)) {
        int64_t rank = c->in[1].rank == 1 ? c->in[1].dim[0] : -1;
        if (c->in[0].rank >= 0 && rank >= 0 && rank <= MAX_RANK)
            fact_set_unknown(&c->out[0], c->in[0].dtype,
                             rank > c->in[0].rank ? (int)rank : c->in[0].rank);
        return OK;
    }
    FAIL_IF(n > MAX_RANK, c->err, STATUS_UNSUPPORTED, "a shape of %lld dimensions", (long long)n);
    struct fact want = { .rank = (int)n };
    for (int i = 0; i < n; i++) {
        SHAPE_FAIL_IF(shape[i] < 0, c, "the shape's entry %d is %lld", i, (long long)shape[i]);
        want.dim[i] = dim_of_part(shape[i]);
    }
    return shape_broadcast(c, &c->in[0], &want, &c->out[0]);
}

static enum status eval_expand(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct move m = { .dst = y->data, .src = x->data, .size = element_size(x), .rank = y->rank };
    int64_t step[MAX_RANK];
    int lead = y->rank - x->rank;
    dense_steps(x->dim, x->rank, step);
    dense_steps(y->dim, y->rank, m.dst_step);
    for (int i = 0; i < y->rank; i++) {
        m.dim[i] = y->dim[i];
        m.src_step[i] = i < lead || x->dim[i - lead] == 1 ? 0 : step[i - lead];
    }
    move_run(&m);
    own_strings(y);
    return OK;
}

static enum status shape_tile(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *repeats;
    int64_t n;
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    fact_set_unknown(&c->out[0], x->dtype, x->rank);
    if (!fact_parts(c, &c->in[1], &repeats, &n))
        return OK;
    SHAPE_FAIL_IF(n != x->rank, c, "%lld repeats for a tensor of rank %d", (long long)n, x->rank);
    for (int i = 0; i < n; i++) {
        SHAPE_FAIL_IF(repeats[i] < 0, c, "a repeat is %lld", (long long)repeats[i]);
        if (part_is_code(repeats[i])) {
            c->out[0].dim[i] = x->dim[i] == 1   ? dim_of_part(repeats[i])
                               : x->dim[i] == 0 ? 0
                                                : DIM_UNKNOWN;
            continue;
        }
        SHAPE_FAIL_IF(x->dim[i] > 0 && repeats[i] > INT64_MAX / x->dim[i], c,
                      "repeat %lld overflows", (long long)repeats[i]);
        c->out[0].dim[i] = x->dim[i] >= 0    ? x->dim[i] * repeats[i]
                           : repeats[i] == 1 ? x->dim[i]
                           : repeats[i] == 0 ? 0
                                             : DIM_UNKNOWN;
    }
    return OK;
}

static enum status eval_tile(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct move m = {
        .dst = y->data, .src = x->data, .size = element_size(x), .rank = 2 * x->rank
    };
    int64_t from[MAX_RANK], to[MAX_RANK];
    if (tensor_count(y) == 0)
        return OK;
    dense_steps(x->dim, x->rank, from);
    dense_steps(y->dim, y->rank, to);
    for (int i = 0; i < x->rank; i++) {
        m.dim[2 * i] = y->dim[i] / x->dim[i];
        m.dst_step[2 * i] = to[i] * x->dim[i];
        m.src_step[2 * i] = 0;
        m.dim[2 * i + 1] = x->dim[i];
        m.dst_step[2 * i + 1] = to[i];
        m.src_step[2 * i + 1] = from[i];
    }
    move_run(&m);
    own_strings(y);
    return OK;
}

/* --- Shape, Size --- */

/* start and end are clamped to the rank, not checked (Shape-15). */
static void shape_range(const struct node *n, int rank, int64_t *start, int64_t *end) {
    int64_t s = attr_int(n, "start"), t = attr_find(n, "end") ? attr_int(n, "end") : rank;
    s = s < 0 ? s + rank : s;
    t = t < 0 ? t + rank : t;
    *start = s < 0 ? 0 : s > rank ? rank : s;
    *end = t < 0 ? 0 : t > rank ? rank : t;
    if (*end < *start)
        *end = *start;
}

static enum status shape_shape(struct shape_ctx *c) {
    int64_t start, end;
    fact_set_unknown(&c->out[0], DT_I64, 1);
    if (c->in[0].rank < 0)
        return OK;
    shape_range(c->node, c->in[0].rank, &start, &end);
    fact_set_ints(c, &c->out[0], c->in[0].dim + start, end - start, 1);
    return OK;
}

static enum status eval_shape(struct op_ctx *c) {
    int64_t start, end;
    shape_range(c->node, c->in[0]->rank, &start, &end);
    if (end > start)
        memcpy(c->out[0]->data, c->in[0]->dim + start, (size_t)(end - start) * sizeof(int64_t));
    return OK;
}

static enum status shape_size(struct shape_ctx *c) {
    fact_set(&c->out[0], DT_I64, 0, NULL);
    if (c->in[0].rank < 0)
        return OK;
    int64_t n = dims_product_symbolic(c->in[0].dim, 0, c->in[0].rank);
    fact_set_ints(c, &c->out[0], &n, 1, 0);
    return OK;
}

static enum status eval_size(struct op_ctx *c) {
    *(int64_t *)c->out[0]->data = tensor_count(c->in[0]);
    return OK;
}

/* clang-format off */
const struct op ops_shape_ops[] = {
    { ONNX("Reshape", 25, 2, 2), .whole = 2, .flags = OP_MOVES | OP_VIEW, .attrs = ATTRS(INT("allowzero", 0)), .shape = shape_reshape,
      .eval = eval_view, .grad = grad_view },
    { ONNX("Flatten", 25, 1, 1), .flags = OP_MOVES | OP_VIEW, .attrs = ATTRS(INT("axis", 1)), .shape = shape_flatten,
      .eval = eval_view, .grad = grad_view },
    { ONNX("Squeeze", 25, 1, 2), .whole = 2, .flags = OP_MOVES | OP_VIEW, .shape = shape_squeeze, .eval = eval_view, .grad = grad_view },
    { ONNX("Unsqueeze", 25, 2, 2), .whole = 2, .flags = OP_MOVES | OP_VIEW, .shape = shape_unsqueeze, .eval = eval_view, .grad = grad_view },
    { ONNX("Transpose", 25, 1, 1), .flags = OP_MOVES, .attrs = ATTRS(PLAIN("perm", INTS)), .shape = shape_transpose,
      .eval = eval_transpose, .grad = grad_moves },
    { ONNX("Expand", 13, 2, 2), .whole = 2, .flags = OP_MOVES, .shape = shape_expand, .eval = eval_expand, .grad = grad_moves },
    { ONNX("Tile", 13, 2, 2), .whole = 2, .flags = OP_MOVES, .shape = shape_tile, .eval = eval_tile, .grad = grad_moves },
    { ONNX("Shape", 25, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(INT("start", 0), PLAIN("end", INT)),
      .shape = shape_shape, .eval = eval_shape },
    { ONNX("Size", 25, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_size, .eval = eval_size },
    { 0 },
};
