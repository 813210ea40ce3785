/* Operators whose results are indices or come from them: OneHot, EyeLike, NonZero, Unique. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

/* --- OneHot --- */

static enum status one_hot_axis(const struct node *n, int rank, int *axis, struct err *e) {
    return axis_normalise(attr_int(n, "axis"), rank + 1, axis, e);
}

static enum status shape_one_hot(struct shape_ctx *c) {
    const struct fact *indices = &c->in[0];
    const int64_t *depth;
    int64_t n;
    int axis;
    c->out[0].dtype = c->in[2].dtype;
    if (indices->rank < 0)
        return OK;
    FAIL_IF(indices->rank >= MAX_RANK, c->err, STATUS_UNSUPPORTED, "an output of rank %d",
            indices->rank + 1);
    TRY(one_hot_axis(c->node, indices->rank, &axis, c->err));
    c->out[0].rank = indices->rank + 1;
    for (int i = 0; i <= indices->rank; i++)
        c->out[0].dim[i] = i == axis ? DIM_UNKNOWN : indices->dim[i > axis ? i - 1 : i];
    if (!fact_parts(c, &c->in[1], &depth, &n))
        return OK;
    SHAPE_FAIL_IF(n != 1 || depth[0] < 0, c, "depth must be one number that is not negative");
    c->out[0].dim[axis] = dim_of_part(depth[0]);
    return OK;
}

static enum status eval_one_hot(struct op_ctx *c) {
    const struct tensor *indices = c->in[0], *values = c->in[2];
    struct tensor *y = c->out[0];
    int axis;
    TRY(one_hot_axis(c->node, indices->rank, &axis, c->err));
    FAIL_IF(tensor_count(values) != 2, c->err, STATUS_CORRUPT,
            "values must be [off, on], it has %lld elements", (long long)tensor_count(values));
    int64_t depth = y->dim[axis], inner = dims_product(y->dim, axis + 1, y->rank),
            n = tensor_count(indices);
    fill_elements(y->data, values->data, element_size(y), tensor_count(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t at = tensor_i64(indices, i);
        if (at < -depth || at >= depth)
            continue;
        at = at < 0 ? at + depth : at;
        memcpy(element_at(y, (i / inner * depth + at) * inner + i % inner), element_at(values, 1),
               element_size(y));
    }
    own_strings(y);
    return OK;
}

/* --- EyeLike --- */

static enum status shape_eye_like(struct shape_ctx *c) {
    SHAPE_FAIL_IF(c->in[0].rank >= 0 && c->in[0].rank != 2, c,
                  "the input must be a matrix, it has rank %d", c->in[0].rank);
    TRY(shape_same(c));
    c->out[0].dtype = attr_dtype(c->node, "dtype", c->in[0].dtype);
    FAIL_IF(attr_find(c->node, "dtype") && !c->out[0].dtype, c->err, STATUS_UNSUPPORTED,
            "data type %lld is not known", (long long)attr_int(c->node, "dtype"));
    return OK;
}

static enum status eval_eye_like(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    int64_t k = attr_int(c->node, "k");
    FAIL_IF(y->store == DT_STRING || dtype_row(y->store)->class_ == CLASS_COMPLEX, c->err,
            STATUS_CORRUPT, "an identity matrix of %s", dtype_name(y->dtype));
    for (int64_t i = 0; i < y->dim[0]; i++)
        if (k > -y->dim[0] - 1 && k < y->dim[1] && i + k >= 0 && i + k < y->dim[1])
            tensor_set_f64(y, i * y->dim[1] + i + k, 1);
    return OK;
}

/* --- NonZero --- */

static bool is_zero(const struct tensor *t, int64_t i) {
    if (t->store == DT_STRING)
        return ((const char *const *)t->data)[i][0] == '\0';
    if (t->store == DT_C128)
        return ((const double *)t->data)[2 * i] == 0 && ((const double *)t->data)[2 * i + 1] == 0;
    if (t->store == DT_C64)
        return ((const float *)t->data)[2 * i] == 0 && ((const float *)t->data)[2 * i + 1] == 0;
    return tensor_f64(t, i) == 0;
}

static enum status shape_non_zero(struct shape_ctx *c) {
    if (c->in[0].rank >= 0)
        fact_set(&c->out[0], DT_I64, 2, (int64_t[]) { c->in[0].rank, DIM_UNKNOWN });
    else
        fact_set_unknown(&c->out[0], DT_I64, 2);
    return OK;
}

static enum status eval_non_zero(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t n = tensor_count(x), found = 0, step[MAX_RANK], k = 0;
    for (int64_t i = 0; i < n; i++)
        found += !is_zero(x, i);
    TRY(op_output(c, 0, DT_I64, 2, (int64_t[]) { x->rank, found }));
    dense_steps(x->dim, x->rank, step);
    int64_t *y = c->out[0]->data;
    for (int64_t i = 0; i < n; i++) {
        if (is_zero(x, i))
            continue;
        for (int a = 0; a < x->rank; a++)
            y[a * found + k] = i / step[a] % x->dim[a];
        k++;
    }
    return OK;
}

/* --- Unique --- */

/* The tensor as `n` rows (the slices along an axis, or single elements): element j of row i is
 * outer * n * inner + ... */
struct rows {
    const struct tensor *x;
    int64_t n, outer, inner;
};

static int64_t row_element(const struct rows *r, int64_t row, int64_t j) {
    return (j / r->inner * r->n + row) * r->inner + j % r->inner;
}

#define ORDER(a, b) ((a) < (b) ? -1 : (a) > (b) ? 1 : 0)

/* NaN is one value, above all others. */
static int order_f64(double a, double b) {
    if (a != a || b != b)
        return (a != a) - (b != b);
    return ORDER(a, b);
}

static int order_elements(const struct tensor *t, int64_t a, int64_t b) {
    if (t->store == DT_STRING)
        return strcmp(((const char *const *)t->data)[a], ((const char *const *)t->data)[b]);
    if (dtype_row(t->store)->class_ == CLASS_COMPLEX) {
        struct tensor parts = *t;
        parts.store = t->store == DT_C64 ? DT_F32 : DT_F64;
        int c = order_f64(tensor_f64(&parts, 2 * a), tensor_f64(&parts, 2 * b));
        return c ? c : order_f64(tensor_f64(&parts, 2 * a + 1), tensor_f64(&parts, 2 * b + 1));
    }
    if (dtype_is_float(t->store))
        return order_f64(tensor_f64(t, a), tensor_f64(t, b));
    int64_t u = tensor_i64(t, a), v = tensor_i64(t, b);
    return dtype_is_unsigned(t->store) ? ORDER((uint64_t)u, (uint64_t)v) : ORDER(u, v);
}

static int order_rows(const struct rows *r, int64_t a, int64_t b) {
    int64_t n = r->outer * r->inner;
    for (int64_t j = 0; j < n; j++) {
        int c = order_elements(r->x, row_element(r, a, j), row_element(r, b, j));
        if (c)
            return c;
    }
    return 0;
}

/* Stable merge sort of row numbers. */
static void sort_rows(const struct rows *r, int64_t *v, int64_t *spare, int64_t n) {
    if (n < 2)
        return;
    int64_t half = n / 2, i = 0, j = half, k = 0;
    sort_rows(r, v, spare, half);
    sort_rows(r, v + half, spare, n - half);
    memcpy(spare, v, (size_t)n * sizeof *v);
    while (i < half || j < n)
        v[k++] = j == n || (i < half && order_rows(r, spare[i], spare[j]) <= 0) ? spare[i++]
                                                                                : spare[j++];
}

static enum status shape_unique(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int axis;
    c->out[0].dtype = x->dtype;
    for (int i = 1; i < c->n_out; i++)
        fact_set_unknown(&c->out[i], DT_I64, 1);
    if (!attr_find(c->node, "axis")) {
        fact_set_unknown(&c->out[0], x->dtype, 1);
        return OK;
    }
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    fact_set(&c->out[0], x->dtype, x->rank, x->dim);
    c->out[0].dim[axis] = DIM_UNKNOWN;
    return OK;
}

/* What Unique finds: by distinct row its first occurrence and count, by row its distinct row. */
struct distinct {
    int64_t n, *first, *count, *of;
};

static void find_distinct(const struct rows *r, bool sorted, struct arena *a, struct distinct *d) {
    int64_t *order = NEW_ARRAY(a, r->n + 1, int64_t), *spare = NEW_ARRAY(a, r->n + 1, int64_t),
            *rank = NEW_ARRAY(a, r->n + 1, int64_t);
    d->first = NEW_ARRAY(a, r->n + 1, int64_t);
    d->count = NEW_ARRAY(a, r->n + 1, int64_t);
    d->of = NEW_ARRAY(a, r->n + 1, int64_t);
    for (int64_t i = 0; i < r->n; i++)
        order[i] = i;
    sort_rows(r, order, spare, r->n);
    for (int64_t i = 0; i < r->n; i++) {
        if (i == 0 || order_rows(r, order[i - 1], order[i]) != 0)
            d->first[d->n++] = order[i];
        d->of[order[i]] = d->n - 1;
    }
    if (!sorted) { /* renumber by first occurrence */
        int64_t next = 0;
        for (int64_t i = 0; i < r->n; i++)
            if (d->first[d->of[i]] == i)
                rank[d->of[i]] = next++;
        for (int64_t i = 0; i < r->n; i++)
            d->of[i] = rank[d->of[i]];
        for (int64_t i = r->n - 1; i >= 0; i--)
            d->first[d->of[i]] = i;
    }
    for (int64_t i = 0; i < r->n; i++)
        d->count[d->of[i]]++;
}

static enum status give_list(struct op_ctx *c, int output, const int64_t *v, int64_t n) {
    if (!op_wanted(c, output))
        return OK;
    TRY(op_output(c, output, DT_I64, 1, &n));
    if (n)
        memcpy(c->out[output]->data, v, (size_t)n * sizeof *v);
    return OK;
}

/* What is compared: elements, or what lies along an axis. dim: of x, or of all its elements. */
static enum status unique_rows(const struct node *n, const struct tensor *x, struct rows *r,
                               int64_t *dim, int *rank, int *axis, struct err *e) {
    *axis = 0;
    *rank = 1;
    dim[0] = tensor_count(x);
    if (attr_find(n, "axis")) {
        TRY(axis_normalise(attr_int(n, "axis"), x->rank, axis, e));
        *rank = x->rank;
        memcpy(dim, x->dim, sizeof x->dim);
    }
    *r = (struct rows) { x, dim[*axis], dims_product(dim, 0, *axis),
                         dims_product(dim, *axis + 1, *rank) };
    return OK;
}

static enum status eval_unique(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int axis, rank;
    int64_t dim[MAX_RANK];
    struct rows r;
    struct distinct d = { 0 };
    TRY(unique_rows(c->node, x, &r, dim, &rank, &axis, c->err));
    find_distinct(&r, attr_int(c->node, "sorted") != 0, c->scratch, &d);
    dim[axis] = d.n;
    if (op_wanted(c, 0)) {
        TRY(op_output(c, 0, x->dtype, rank, dim));
        struct rows to = { c->out[0], d.n, r.outer, r.inner };
        for (int64_t k = 0; k < d.n; k++)
            for (int64_t j = 0; j < r.outer * r.inner; j++)
                memcpy(element_at(c->out[0], row_element(&to, k, j)),
                       element_at(x, row_element(&r, d.first[k], j)), element_size(x));
        own_strings(c->out[0]);
    }
    TRY(give_list(c, 1, d.first, d.n));
    TRY(give_list(c, 2, d.of, r.n));
    return give_list(c, 3, d.count, d.n);
}

/* To the first of equal rows, which is the one that was taken. */
static enum status grad_unique(struct grad_ctx *c) {
    const struct tensor *g = c->grad_out[0];
    int axis, rank;
    int64_t dim[MAX_RANK];
    struct rows r;
    struct distinct d = { 0 };
    if (!g || !c->grad_in[0])
        return OK;
    TRY(unique_rows(c->node, c->in[0], &r, dim, &rank, &axis, c->err));
    find_distinct(&r, attr_int(c->node, "sorted") != 0, c->scratch, &d);
    struct rows from = { g, d.n, r.outer, r.inner };
    for (int64_t k = 0; k < d.n; k++)
        for (int64_t j = 0; j < r.outer * r.inner; j++)
            ((double *)c->grad_in[0]->data)[row_element(&r, d.first[k], j)] +=
                tensor_f64(g, row_element(&from, k, j));
    return OK;
}

/* clang-format off */
const struct op ops_search[] = {
    { ONNX("OneHot", 28, 3, 3), .flags = OP_MOVES, .attrs = ATTRS(INT("axis", -1)), .shape = shape_one_hot, .eval = eval_one_hot,
      .grad = grad_moves },
    { ONNX("EyeLike", 22, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 0), INT("k", 0)),
      .shape = shape_eye_like, .eval = eval_eye_like },
    { ONNX("NonZero", 13, 1, 1), .flags = OP_DATA_SHAPE | OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_non_zero, .eval = eval_non_zero },
    { .name = "Unique", .domain = "", .spec = "ONNX Unique-28", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 4,
      .flags = OP_DATA_SHAPE | OP_ANY_TYPE, .attrs = ATTRS(PLAIN("axis", INT), INT("sorted", 1)),
      .shape = shape_unique, .eval = eval_unique, .grad = grad_unique },
    { 0 },
};
