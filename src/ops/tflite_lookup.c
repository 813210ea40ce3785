/* TensorFlow Lite's look-ups of rows by key and of weighted sums of rows. */
#include <math.h>
#include <string.h>

#include "ops/body.h"
#include "ops/move.h"
#include "ops/row.h"

/* --- HASHTABLE_LOOKUP: keys wanted [n], keys [k] in ascending order, values [k, ...]. The rows
 * found, zeros where none is, and whether each was found --- */

static enum status shape_lookup(struct shape_ctx *c) {
    const struct fact *wanted = &c->in[0], *keys = &c->in[1], *values = &c->in[2];
    int64_t dim[MAX_RANK];
    c->out[0].dtype = values->dtype;
    if (c->n_out > 1)
        fact_set(&c->out[1], DT_U8, 1,
                 wanted->rank == 1 ? wanted->dim : (int64_t[]) { DIM_UNKNOWN });
    if (wanted->rank < 0 || keys->rank < 0 || values->rank < 0)
        return OK;
    SHAPE_FAIL_IF(wanted->rank != 1 || keys->rank != 1 || values->rank < 1, c,
                  "keys must be lists and values have rows");
    SHAPE_FAIL_IF(keys->dim[0] >= 0 && values->dim[0] >= 0 && keys->dim[0] != values->dim[0], c,
                  "%lld keys for %lld rows", (long long)keys->dim[0], (long long)values->dim[0]);
    dim[0] = wanted->dim[0];
    for (int i = 1; i < values->rank; i++)
        dim[i] = values->dim[i];
    fact_set(&c->out[0], values->dtype, values->rank, dim);
    return OK;
}

/* The place of the key in the ascending list, or -1. */
static int64_t place_of(const struct tensor *keys, int64_t key) {
    int64_t low = 0, high = tensor_count(keys);
    while (low < high) {
        int64_t middle = low + (high - low) / 2, v = tensor_i64(keys, middle);
        if (v == key)
            return middle;
        if (v < key)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static enum status eval_lookup(struct op_ctx *c) {
    const struct tensor *values = c->in[2];
    struct tensor *y = c->out[0];
    if (!dtype_is_int(c->in[0]->dtype))
        return op_bad_type(c, 0);
    if (!dtype_is_int(c->in[1]->dtype))
        return op_bad_type(c, 1);
    if (values->store == DT_STRING)
        return op_bad_type(c, 2);
    int64_t inner = dims_product(values->dim, 1, values->rank);
    size_t row = (size_t)inner * element_size(values);
    for (int64_t i = 0; i < tensor_count(c->in[0]); i++) {
        int64_t k = place_of(c->in[1], tensor_i64(c->in[0], i));
        if (k >= 0 && row)
            memcpy(element_at(y, i * inner), element_at(values, k * inner), row);
        if (op_wanted(c, 1))
            tensor_set_i64(c->out[1], i, k >= 0);
    }
    return OK;
}

/* --- EMBEDDING_LOOKUP_SPARSE: ids [n], their places [n, rank] in a sparse table of dense_shape,
 * weights [n], rows [v, ...]. The last axis of the table is summed away --- */

enum combiner { COMBINER_SUM, COMBINER_MEAN, COMBINER_SQRTN };

static enum status shape_sparse(struct shape_ctx *c) {
    const struct fact *rows = &c->in[4];
    const int64_t *table;
    int64_t n, dim[MAX_RANK];
    c->out[0].dtype = rows->dtype;
    if (rows->rank < 0 || !fact_ints(c, &c->in[2], &table, &n))
        return OK;
    SHAPE_FAIL_IF(rows->rank < 1 || n < 1 || n - 1 + rows->rank - 1 > MAX_RANK, c,
                  "a table of rank %lld with rows of rank %d", (long long)n, rows->rank);
    for (int64_t i = 0; i < n; i++)
        SHAPE_FAIL_IF(table[i] < 0, c, "dimension %lld", (long long)table[i]);
    for (int64_t i = 0; i < n - 1; i++)
        dim[i] = table[i];
    for (int i = 1; i < rows->rank; i++)
        dim[n - 1 + i - 1] = rows->dim[i];
    fact_set(&c->out[0], rows->dtype, (int)(n - 1) + rows->rank - 1, dim);
    return OK;
}

/* Where id i is summed. */
static enum status bucket_of(struct op_ctx *c, int64_t i, int64_t rank, int64_t *out) {
    const struct tensor *places = c->in[1], *table = c->in[2];
    *out = 0;
    for (int64_t k = 0; k < rank - 1; k++) {
        int64_t v = tensor_i64(places, i * rank + k), size = tensor_i64(table, k);
        FAIL_IF(v < 0 || v >= size, c->err, STATUS_CORRUPT, "place %lld of %lld", (long long)v,
                (long long)size);
        *out = *out * size + v;
    }
    return OK;
}

/* Each output: products of weight and element in the order of the ids, one rounding each; then
 * divided by the sum of the weights, or by the root of the sum of their squares. */
static enum status eval_sparse(struct op_ctx *c) {
    const struct tensor *ids = c->in[0], *weights = c->in[3], *rows = c->in[4];
    struct tensor *y = c->out[0];
    int64_t combiner = attr_int(c->node, "combiner"), n = tensor_count(ids),
            rank = tensor_count(c->in[2]), inner = dims_product(rows->dim, 1, rows->rank);
    FAIL_IF(combiner < COMBINER_SUM || combiner > COMBINER_SQRTN, c->err, STATUS_CORRUPT,
            "combiner %lld", (long long)combiner);
    if (!dtype_is_float(rows->dtype) || !dtype_is_float(weights->dtype))
        return op_bad_type(c, 4);
    FAIL_IF(tensor_count(weights) != n || tensor_count(c->in[1]) != n * rank, c->err,
            STATUS_CORRUPT, "%lld ids, %lld weights and %lld coordinates", (long long)n,
            (long long)tensor_count(weights), (long long)tensor_count(c->in[1]));
    int64_t buckets = inner ? tensor_count(y) / inner : 0;
    double *total = NEW_ARRAY(c->scratch, buckets + 1, double);
    for (int64_t i = 0; i < n && inner; i++) {
        int64_t id = tensor_i64(ids, i), to;
        double w = tensor_f64(weights, i);
        FAIL_IF(id < 0 || id >= rows->dim[0], c->err, STATUS_CORRUPT, "id %lld of %lld rows",
                (long long)id, (long long)rows->dim[0]);
        TRY(bucket_of(c, i, rank, &to));
        total[to] += combiner == COMBINER_SQRTN ? w * w : w;
        for (int64_t k = 0; k < inner; k++)
            tensor_set_f64(y, to * inner + k,
                           tensor_f64(y, to * inner + k) + w * tensor_f64(rows, id * inner + k));
    }
    for (int64_t i = 0; combiner != COMBINER_SUM && i < buckets; i++) {
        double by = combiner == COMBINER_SQRTN ? sqrt(total[i]) : total[i];
        for (int64_t k = 0; by != 0 && k < inner; k++)
            tensor_set_f64(y, i * inner + k, tensor_f64(y, i * inner + k) / by);
    }
    return OK;
}

/* The weighted rows, summed where the places say, over the sums of the weights. */
static enum status write_sparse(struct body *b) {
    const struct tensor *rows = b->c->in[4], *y = b->c->out[0];
    int64_t combiner = attr_int(b->c->node, "combiner"), n = tensor_count(b->c->in[0]),
            rank = tensor_count(b->c->in[2]), inner = dims_product(rows->dim, 1, rows->rank),
            buckets = inner ? tensor_count(y) / inner : 0;
    int64_t *to = NEW_ARRAY(b->c->scratch, n + 1, int64_t);
    struct op_ctx places = { .in = b->c->in, .err = b->c->err };
    for (int64_t i = 0; i < n; i++)
        TRY(bucket_of(&places, i, rank, &to[i]));
    const int64_t column[] = { n, 1 }, matrix[] = { rows->dim[0], inner },
                  sums[] = { buckets, inner }, one[] = { buckets, 1 };
    double *zeros = NEW_ARRAY(b->m->arena, buckets * inner + buckets + 1, double);
    struct value *at = body_reshape(b, body_ints(b, n, to), 2, column),
                 *ids = body_reshape(b, b->in[0], 1, &n), *w = body_reshape(b, b->in[3], 2, column),
                 *total = w;
    struct value *x = body_op(b, "Gather", body_reshape(b, b->in[4], 2, matrix), ids, NULL);
    x = body_op(b, "Mul", x, w, NULL);
    struct value *sum = body_op(b, "ScatterND", body_tensor(b, 2, sums, zeros), at, x);
    node_set_string(sum->producer, "reduction", "add");
    if (combiner != COMBINER_SUM) {
        if (combiner == COMBINER_SQRTN)
            total = body_op(b, "Mul", w, w, NULL);
        total = body_op(b, "ScatterND", body_tensor(b, 2, one, zeros), at, total);
        node_set_string(total->producer, "reduction", "add");
        struct value *none = body_op(b, "Equal", total, body_number(b, 0), NULL);
        total = body_op(b, "Where", none, body_number(b, 1), total);
        if (combiner == COMBINER_SQRTN)
            total = body_op(b, "Sqrt", total, NULL, NULL);
        sum = body_op(b, "Div", sum, total, NULL);
    }
    b->out[0] = body_reshape(b, sum, y->rank, y->dim);
    return OK;
}

static enum status grad_sparse(struct grad_ctx *c) {
    return grad_of_body(c, write_sparse);
}

const struct op ops_tflite_lookup[] = {
    { .name = "HASHTABLE_LOOKUP",
      .domain = "tflite",
      .spec = "TFLite HASHTABLE_LOOKUP",
      .min_in = 3,
      .max_in = 3,
      .min_out = 1,
      .max_out = 2,
      .flags = OP_ANY_TYPE,
      .shape = shape_lookup,
      .eval = eval_lookup,
      .grad = grad_moves },
    { .name = "EMBEDDING_LOOKUP_SPARSE",
      .domain = "tflite",
      .spec = "TFLite EMBEDDING_LOOKUP_SPARSE",
      .min_in = 5,
      .max_in = 5,
      .min_out = 1,
      .max_out = 1,
      .attrs = ATTRS(INT("combiner", 0)),
      .shape = shape_sparse,
      .eval = eval_sparse,
      .grad = grad_sparse },
    { 0 },
};
