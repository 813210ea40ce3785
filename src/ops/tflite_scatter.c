/* TensorFlow Lite's scatters and segment reductions. */
#include <math.h>
#include <string.h>

#include "ops/move.h"
#include "ops/row.h"

/* Output 0 has the dims that input `list` says and the type of input `like`. */
static enum status shape_of_list(struct shape_ctx *c, int list, int like) {
    const int64_t *dim;
    int64_t n;
    c->out[0].dtype = c->in[like].dtype;
    if (!fact_ints(c, &c->in[list], &dim, &n))
        return OK;
    SHAPE_FAIL_IF(n > MAX_RANK, c, "a shape of rank %lld", (long long)n);
    for (int64_t i = 0; i < n; i++)
        SHAPE_FAIL_IF(dim[i] < 0, c, "dimension %lld", (long long)dim[i]);
    fact_set(&c->out[0], c->in[like].dtype, (int)n, dim);
    return OK;
}

/* The flat place in output 0 of the `depth` indices from element `from` of `at` on. */
static enum status place_of(struct op_ctx *c, const struct tensor *at, int64_t from, int64_t depth,
                            int64_t *flat) {
    const struct tensor *y = c->out[0];
    *flat = 0;
    for (int64_t k = 0; k < depth; k++) {
        int64_t v = tensor_i64(at, from + k);
        FAIL_IF(v < 0 || v >= y->dim[k], c->err, STATUS_CORRUPT, "index %lld of %lld", (long long)v,
                (long long)y->dim[k]);
        *flat = *flat * y->dim[k] + v;
    }
    return OK;
}

/* --- SCATTER_ND: indices, updates, shape. Zeros, to which every update is added at its place ---
 */

static enum status shape_scatter(struct shape_ctx *c) {
    return shape_of_list(c, 2, 1);
}

static enum status eval_scatter(struct op_ctx *c) {
    const struct tensor *at = c->in[0], *updates = c->in[1];
    struct tensor *y = c->out[0];
    FAIL_IF(!y || at->rank < 1, c->err, STATUS_CORRUPT, "indices of rank %d", at->rank);
    int64_t depth = at->dim[at->rank - 1];
    FAIL_IF(depth > y->rank, c->err, STATUS_CORRUPT, "indices of %lld coordinates for rank %d",
            (long long)depth, y->rank);
    int64_t places = depth ? tensor_count(at) / depth : dims_product(at->dim, 0, at->rank - 1);
    int64_t inner = dims_product(y->dim, (int)depth, y->rank);
    FAIL_IF(places * inner != tensor_count(updates), c->err, STATUS_CORRUPT,
            "%lld updates for %lld places", (long long)tensor_count(updates), (long long)places);
    for (int64_t i = 0; i < places; i++) {
        int64_t flat;
        TRY(place_of(c, at, i * depth, depth, &flat));
        TRY(combine_elements(COMBINE_ADD, y, flat * inner, updates, i * inner, inner, c->err));
    }
    return OK;
}

static enum status grad_scatter(struct grad_ctx *c) {
    const struct tensor *at = c->in[0], *y = c->out[0];
    double *to = c->grad_in[1] ? c->grad_in[1]->data : NULL;
    const double *g = c->grad_out[0] ? c->grad_out[0]->data : NULL;
    int64_t depth = at->dim[at->rank - 1], inner = dims_product(y->dim, (int)depth, y->rank),
            places = inner ? tensor_count(c->in[1]) / inner : 0;
    for (int64_t i = 0; to && g && i < places; i++) {
        int64_t flat = 0;
        for (int64_t k = 0; k < depth; k++)
            flat = flat * y->dim[k] + tensor_i64(at, i * depth + k);
        for (int64_t k = 0; k < inner; k++)
            to[i * inner + k] += g[flat * inner + k];
    }
    return OK;
}

/* --- SPARSE_TO_DENSE: indices (scalar, [n] or [n, rank]), shape, values (one or n), default --- */

static enum status shape_dense(struct shape_ctx *c) {
    return shape_of_list(c, 1, 2);
}

static enum status eval_dense(struct op_ctx *c) {
    const struct tensor *at = c->in[0], *values = c->in[2], *other = c->in[3];
    struct tensor *y = c->out[0];
    FAIL_IF(!y || other->store != y->store || tensor_count(other) != 1, c->err, STATUS_CORRUPT,
            "the default must be one element");
    int64_t depth = at->rank == 2 ? at->dim[1] : 1, n = depth ? tensor_count(at) / depth : 0;
    FAIL_IF(depth != y->rank || (tensor_count(values) != n && tensor_count(values) != 1), c->err,
            STATUS_CORRUPT, "%lld indices of %lld coordinates and %lld values", (long long)n,
            (long long)depth, (long long)tensor_count(values));
    size_t size = element_size(y);
    fill_elements(y->data, element_at(other, 0), size, tensor_count(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t flat;
        TRY(place_of(c, at, i * depth, depth, &flat));
        memcpy(element_at(y, flat), element_at(values, tensor_count(values) == 1 ? 0 : i), size);
    }
    own_strings(y);
    return OK;
}

/* --- SEGMENT_SUM (sorted ids) and UNSORTED_SEGMENT_*: negative ids are left out --- */

static enum status shape_segment(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *ids = &c->in[1];
    const int64_t *list;
    int64_t n, dim[MAX_RANK], segments = DIM_UNKNOWN;
    bool sorted = c->n_in == 2;
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || ids->rank < 0)
        return OK;
    if (!sorted && fact_ints(c, &c->in[2], &list, &n) && n == 1)
        segments = list[0];
    if (sorted && fact_ints(c, ids, &list, &n)) {
        SHAPE_FAIL_IF(n > 0 && list[n - 1] == INT64_MAX, c, "segment %lld", (long long)list[n - 1]);
        segments = n ? list[n - 1] + 1 : 0;
    }
    SHAPE_FAIL_IF(segments < DIM_UNKNOWN || ids->rank > x->rank, c, "%lld segments",
                  (long long)segments);
    dim[0] = segments;
    for (int i = ids->rank; i < x->rank; i++)
        dim[1 + i - ids->rank] = x->dim[i];
    fact_set(&c->out[0], x->dtype, 1 + x->rank - ids->rank, dim);
    return OK;
}

/* What a segment without elements holds. */
static double identity_of(enum combine op, enum dtype t) {
    int bits = dtype_row(t)->bits;
    bool real = dtype_is_float(t), top = op == COMBINE_MIN;
    if (op == COMBINE_ADD || op == COMBINE_MUL)
        return op == COMBINE_MUL;
    if (real)
        return top ? (t == DT_F64 ? 1.7976931348623157e308 : 3.4028234663852886e38)
                   : (t == DT_F64 ? -1.7976931348623157e308 : -3.4028234663852886e38);
    if (dtype_is_unsigned(t))
        return top ? ldexp(1, bits) - 1 : 0;
    return top ? ldexp(1, bits - 1) - 1 : -ldexp(1, bits - 1);
}

static enum combine combine_by_name(const char *op) {
    const char *last = strrchr(op, '_');
    return strcmp(last, "_PROD") == 0  ? COMBINE_MUL
           : strcmp(last, "_MAX") == 0 ? COMBINE_MAX
           : strcmp(last, "_MIN") == 0 ? COMBINE_MIN
                                       : COMBINE_ADD;
}

static enum status eval_segment(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *ids = c->in[1];
    struct tensor *y = c->out[0];
    FAIL_IF(!y, c->err, STATUS_CORRUPT, "the number of segments is not one integer");
    bool sorted = c->n_in == 2;
    enum combine op = combine_by_name(c->node->op);
    int64_t n = tensor_count(ids), inner = dims_product(x->dim, ids->rank, x->rank), last = 0;
    FAIL_IF(n * inner != tensor_count(x), c->err, STATUS_CORRUPT, "%lld ids for %lld elements",
            (long long)n, (long long)tensor_count(x));
    double rest = identity_of(op, x->dtype);
    for (int64_t i = 0; op != COMBINE_ADD && i < tensor_count(y); i++)
        tensor_set_f64(y, i, rest);
    for (int64_t i = 0; i < n; i++) {
        int64_t id = tensor_i64(ids, i);
        FAIL_IF(id >= y->dim[0] || (sorted && id < last), c->err, STATUS_CORRUPT,
                "segment %lld of %lld", (long long)id, (long long)y->dim[0]);
        last = id;
        if (id >= 0)
            TRY(combine_elements(op, y, id * inner, x, i * inner, inner, c->err));
    }
    return OK;
}

/* The product of the elements of x that go to the same place as element `own`, without it. */
static double product_of_others(const struct grad_ctx *c, int64_t inner, int64_t own) {
    const struct tensor *ids = c->in[1];
    int64_t id = tensor_i64(ids, own / inner), n = tensor_count(ids);
    double p = 1;
    for (int64_t i = 0; i < n; i++)
        if (i != own / inner && tensor_i64(ids, i) == id)
            p *= tensor_f64(c->in[0], i * inner + own % inner);
    return p;
}

/* A largest or least element is where its value is. */
static enum status grad_segment(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *ids = c->in[1];
    enum combine op = combine_by_name(c->node->op);
    int64_t inner = dims_product(x->dim, ids->rank, x->rank), n = tensor_count(x);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < n; i++) {
        int64_t id = tensor_i64(ids, i / inner), at = id * inner + i % inner;
        if (id < 0)
            continue;
        double slope = op == COMBINE_ADD   ? 1
                       : op == COMBINE_MUL ? product_of_others(c, inner, i)
                                           : tensor_f64(c->out[0], at) == tensor_f64(x, i);
        ((double *)c->grad_in[0]->data)[i] += slope * tensor_f64(c->grad_out[0], at);
    }
    return OK;
}

/* clang-format off */
#define SCATTER(name_, n, shape_, eval_, grad_)                                                           \
    { .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = n, .max_in = n, .min_out = 1, .max_out = 1, .shape = shape_, .eval = eval_, .grad = grad_ }

const struct op ops_tflite_scatter[] = {
    SCATTER("SCATTER_ND", 3, shape_scatter, eval_scatter, grad_scatter),
    { .name = "SPARSE_TO_DENSE", .domain = "tflite", .spec = "TFLite SPARSE_TO_DENSE", .min_in = 4, .max_in = 4, .min_out = 1, .max_out = 1,
      .flags = OP_ANY_TYPE, .shape = shape_dense, .eval = eval_dense, .grad = grad_moves },
    SCATTER("SEGMENT_SUM", 2, shape_segment, eval_segment, grad_segment),
    SCATTER("UNSORTED_SEGMENT_SUM", 3, shape_segment, eval_segment, grad_segment),
    SCATTER("UNSORTED_SEGMENT_PROD", 3, shape_segment, eval_segment, grad_segment),
    SCATTER("UNSORTED_SEGMENT_MAX", 3, shape_segment, eval_segment, grad_segment),
    SCATTER("UNSORTED_SEGMENT_MIN", 3, shape_segment, eval_segment, grad_segment),
    { 0 },
};
