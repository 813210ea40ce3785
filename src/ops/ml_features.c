/* Preparing features (ai.onnx.ml): Binarizer, Normalizer, Scaler, Imputer, ArrayFeatureExtractor,
 * FeatureVectorizer. */
#include <math.h>
#include <string.h>

#include "ops/ml_grad.h"
#include "ops/ml_scores.h"
#include "ops/move.h"
#include "ops/row.h"

static enum status float_like(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_F32;
    return OK;
}

static enum status binarizer_eval(struct op_ctx *c) {
    double threshold = attr_float(c->node, "threshold");
    int64_t rows, columns;
    TRY(c->in[0]->rank == 1 || c->in[0]->rank == 2 ? ml_matrix(c->in[0], &rows, &columns, c->err)
                                                   : OK);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        tensor_set_i64(c->out[0], i, tensor_f64(c->in[0], i) > threshold);
    return OK;
}

/* Computed in float64 in every precision, as the other operators of ai.onnx.ml. */
static enum status normalizer_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    const char *norm = attr_str(c->node, "norm");
    bool l1 = strcmp(norm, "L1") == 0, l2 = strcmp(norm, "L2") == 0;
    int64_t rows, columns;
    FAIL_IF(!l1 && !l2 && strcmp(norm, "MAX") != 0, c->err, STATUS_CORRUPT,
            "norm '%s' is not known", norm);
    TRY(ml_matrix(x, &rows, &columns, c->err));
    for (int64_t r = 0; r < rows; r++) {
        double sum = l1 || l2 || !columns ? 0 : tensor_f64(x, r * columns);
        for (int64_t i = 0; i < columns; i++) {
            double v = tensor_f64(x, r * columns + i);
            sum = l1 ? sum + fabs(v) : l2 ? fma(v, v, sum) : v > sum || isnan(v) ? v : sum;
        }
        double divisor = l2 ? sqrt(sum) : sum;
        for (int64_t i = r * columns; i < (r + 1) * columns; i++)
            tensor_set_f64(c->out[0], i,
                           divisor == 0 ? tensor_f64(x, i) : tensor_f64(x, i) / divisor);
    }
    return OK;
}

/* Element of a list that has one element, or one a feature. */
static double of_feature(const double *list, int n, int64_t column, double otherwise) {
    return n ? list[n == 1 ? 0 : column] : otherwise;
}

static enum status scaler_eval(struct op_ctx *c) {
    int n_offset, n_scale;
    const double *offset = attr_floats(c->node, "offset", &n_offset),
                 *scale = attr_floats(c->node, "scale", &n_scale);
    int64_t rows, columns;
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    FAIL_IF((n_offset > 1 && n_offset != columns) || (n_scale > 1 && n_scale != columns), c->err,
            STATUS_CORRUPT, "%d offsets and %d scales for %lld features", n_offset, n_scale,
            (long long)columns);
    for (int64_t i = 0; i < rows * columns; i++) {
        double v = tensor_f64(c->in[0], i) - of_feature(offset, n_offset, i % columns, 0);
        tensor_set_f64(c->out[0], i, v * of_feature(scale, n_scale, i % columns, 1));
    }
    return OK;
}

static enum status imputer_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    bool reals = dtype_is_float(x->store);
    int n_floats, n_ints;
    const double *floats = attr_floats(c->node, "imputed_value_floats", &n_floats);
    const int64_t *ints = attr_ints(c->node, "imputed_value_int64s", &n_ints);
    double missing = attr_float(c->node, "replaced_value_float");
    int64_t rows, columns, n = reals ? n_floats : n_ints;
    TRY(ml_matrix(x, &rows, &columns, c->err));
    FAIL_IF(n != 1 && n != columns, c->err, STATUS_CORRUPT, "%lld imputed values for %lld features",
            (long long)n, (long long)columns);
    for (int64_t i = 0; i < rows * columns; i++) {
        int64_t at = n == 1 ? 0 : i % columns;
        if (reals) {
            double v = tensor_f64(x, i);
            tensor_set_f64(c->out[0], i,
                           v == missing || (isnan(v) && isnan(missing)) ? floats[at] : v);
        } else {
            int64_t v = tensor_i64(x, i);
            tensor_set_i64(c->out[0], i,
                           v == attr_int(c->node, "replaced_value_int64") ? ints[at] : v);
        }
    }
    return OK;
}

static enum status extractor_shape(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int64_t n = 1;
    SHAPE_FAIL_IF(x->rank == 0, c, "a scalar has no features");
    for (int i = 0; i < c->in[1].rank; i++)
        n = n < 0 || c->in[1].dim[i] < 0 ? DIM_UNKNOWN : n * c->in[1].dim[i];
    shape_copy(c, 0, 0);
    if (x->rank < 0)
        return OK;
    c->out[0].dim[x->rank - 1] = c->in[1].rank < 0 ? DIM_UNKNOWN : n;
    if (x->rank == 1) { /* a vector gives a matrix of one row */
        c->out[0].rank = 2;
        c->out[0].dim[1] = c->out[0].dim[0];
        c->out[0].dim[0] = 1;
    }
    return OK;
}

static enum status extractor_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t last = x->dim[x->rank - 1], n = tensor_count(c->in[1]),
            rows = last ? tensor_count(x) / last : 0;
    size_t size = dtype_size(x->store);
    for (int64_t k = 0; k < n; k++) {
        int64_t from = tensor_i64(c->in[1], k);
        FAIL_IF(from < 0 || from >= last, c->err, STATUS_CORRUPT, "feature %lld of %lld",
                (long long)from, (long long)last);
        for (int64_t r = 0; r < rows; r++)
            memcpy((char *)c->out[0]->data + (size_t)(r * n + k) * size,
                   (const char *)x->data + (size_t)(r * last + from) * size, size);
    }
    return OK;
}

static enum status vectorizer_shape(struct shape_ctx *c) {
    int n;
    const int64_t *widths = attr_ints(c->node, "inputdimensions", &n);
    int64_t total = 0;
    SHAPE_FAIL_IF(n != c->n_in, c, "%d inputdimensions for %d inputs", n, c->n_in);
    for (int i = 0; i < n; i++) {
        SHAPE_FAIL_IF(widths[i] < 0 || widths[i] > INT32_MAX, c, "inputdimensions[%d] is %lld", i,
                      (long long)widths[i]);
        total += widths[i];
    }
    c->out[0].dtype = DT_F32;
    c->out[0].rank = 2;
    c->out[0].dim[0] = c->in[0].rank == 2 ? c->in[0].dim[0] : c->in[0].rank == 1 ? 1 : DIM_UNKNOWN;
    c->out[0].dim[1] = total;
    return OK;
}

/* Columns past an input's own are 0, columns past its inputdimensions are cut off. */
static enum status vectorizer_eval(struct op_ctx *c) {
    int n;
    const int64_t *widths = attr_ints(c->node, "inputdimensions", &n);
    int64_t column = 0, total = c->out[0]->dim[1], all_rows = c->out[0]->dim[0];
    for (int k = 0; k < n; k++) {
        int64_t rows, columns;
        TRY(ml_matrix(c->in[k], &rows, &columns, c->err));
        FAIL_IF(rows != all_rows, c->err, STATUS_CORRUPT,
                "input %d has %lld rows, the first has %lld", k, (long long)rows,
                (long long)all_rows);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < widths[k] && i < columns; i++)
                tensor_set_f64(c->out[0], r * total + column + i,
                               tensor_f64(c->in[k], r * columns + i));
        column += widths[k];
    }
    return OK;
}

/* clang-format off */
const struct op ops_ml_features[] = {
    { ONNX_ML("Binarizer", 1, 1, 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .attrs = ATTRS(FLOAT("threshold", 0)), .shape = shape_same,
      .eval = binarizer_eval },
    { ONNX_ML("Normalizer", 1, 1, 1), .attrs = ATTRS(STRING("norm", "MAX")), .shape = float_like, .eval = normalizer_eval, .grad = normalizer_grad },
    { ONNX_ML("Scaler", 1, 1, 1), .attrs = ATTRS(PLAIN("offset", FLOATS), PLAIN("scale", FLOATS)), .shape = float_like,
      .eval = scaler_eval, .grad = scaler_grad },
    { ONNX_ML("Imputer", 1, 1, 1), .attrs = ATTRS(PLAIN("imputed_value_floats", FLOATS), PLAIN("imputed_value_int64s", INTS),
      FLOAT("replaced_value_float", 0), INT("replaced_value_int64", 0)), .shape = shape_same, .eval = imputer_eval, .grad = imputer_grad },
    { ONNX_ML("ArrayFeatureExtractor", 1, 2, 2), .flags = OP_MOVES, .shape = extractor_shape, .eval = extractor_eval, .grad = grad_moves },
    { ONNX_ML("FeatureVectorizer", 1, 1, -1), .attrs = ATTRS(PLAIN("inputdimensions", INTS)), .shape = vectorizer_shape,
      .eval = vectorizer_eval, .grad = grad_moves },
    { 0 },
};
