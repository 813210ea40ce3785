#include "ops/ml_grad.h"

#include <math.h>
#include <string.h>

#include "ops/body.h"

/* The rows of a vector or matrix. */
static int64_t columns_of(const struct tensor *x) {
    return x->rank ? x->dim[x->rank - 1] : 1;
}

enum status scaler_grad(struct grad_ctx *c) {
    int n;
    const double *scale = attr_floats(c->node, "scale", &n);
    int64_t columns = columns_of(c->in[0]), count = tensor_count(c->in[0]);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < count; i++)
        ((double *)c->grad_in[0]->data)[i] +=
            tensor_f64(c->grad_out[0], i) * (n ? scale[n == 1 ? 0 : i % columns] : 1);
    return OK;
}

/* What was imputed does not depend on the input. */
enum status imputer_grad(struct grad_ctx *c) {
    double missing = attr_float(c->node, "replaced_value_float");
    int64_t count = tensor_count(c->in[0]);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < count; i++) {
        double v = tensor_f64(c->in[0], i);
        if (v != missing && !(isnan(v) && isnan(missing)))
            ((double *)c->grad_in[0]->data)[i] += tensor_f64(c->grad_out[0], i);
    }
    return OK;
}

/* x / norm, the norm over each row; x itself where that is 0. */
static enum status write_normalizer(struct body *b) {
    const char *norm = attr_str(b->c->node, "norm");
    const char *reduce = strcmp(norm, "L1") == 0   ? "ReduceL1"
                         : strcmp(norm, "L2") == 0 ? "ReduceL2"
                                                   : "ReduceMax";
    struct value *x = b->in[0], *last = body_ints(b, 1, (const int64_t[]) { -1 });
    struct value *divisor = body_op(b, reduce, x, last, NULL);
    struct value *none = body_op(b, "Equal", divisor, body_number(b, 0), NULL);
    divisor = body_op(b, "Where", none, body_number(b, 1), divisor);
    b->out[0] = body_op(b, "Div", x, divisor, NULL);
    return OK;
}

enum status normalizer_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_normalizer);
}

static struct value *both(struct body *b, const char *op, struct value *x, struct value *y) {
    return body_op(b, op, x, y, NULL);
}

static struct value *as_matrix(struct body *b) {
    const int64_t dim[] = { -1, columns_of(b->c->in[0]) };
    return both(b, "Reshape", b->in[0], body_ints(b, 2, dim));
}

/* x C^T + intercepts. */
static struct value *linear_scores(struct body *b, int64_t rows) {
    int n_coefficients, n_intercepts;
    const double *coefficients = attr_floats(b->c->node, "coefficients", &n_coefficients),
                 *intercepts = attr_floats(b->c->node, "intercepts", &n_intercepts);
    const int64_t dim[] = { rows, columns_of(b->c->in[0]) };
    struct value *y = body_times_turned(b, as_matrix(b), body_tensor(b, 2, dim, coefficients), 2);
    return n_intercepts ? both(b, "Add", y, body_tensor(b, 1, &rows, intercepts)) : y;
}

static enum status transformed(struct body *b, struct value *y, struct value **out) {
    const char *post = attr_str(b->c->node, "post_transform");
    if (strcmp(post, "SOFTMAX") == 0)
        y = body_op_int(b, "Softmax", y, NULL, "axis", 1);
    else if (strcmp(post, "LOGISTIC") == 0)
        y = body_op(b, "Sigmoid", y, NULL, NULL);
    else
        FAIL_IF(strcmp(post, "NONE") != 0, b->c->err, STATUS_UNSUPPORTED,
                "the gradient of post_transform %s", post);
    *out = y;
    return OK;
}

static enum status write_regressor(struct body *b) {
    return transformed(b, linear_scores(b, attr_int(b->c->node, "targets")), &b->out[0]);
}

enum status linear_regressor_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_regressor);
}

/* One score for two labels: the other is 1 minus it, or its opposite before LOGISTIC. */
static enum status write_classifier(struct body *b) {
    int n;
    int64_t columns = columns_of(b->c->in[0]), labels = b->c->out[1]->dim[1];
    attr_floats(b->c->node, "coefficients", &n);
    int64_t rows = columns ? n / columns : 0;
    struct value *y = linear_scores(b, rows);
    if (rows == 1 && labels == 2) {
        bool plain = strcmp(attr_str(b->c->node, "post_transform"), "NONE") == 0;
        struct value *other = both(b, "Sub", body_number(b, plain), y);
        y = body_op_int(b, "Concat", other, y, "axis", 1);
    }
    return transformed(b, y, &b->out[1]);
}

enum status linear_classifier_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_classifier);
}

/* The kernel of every row with every support vector. */
static struct value *kernel(struct body *b, const double *vectors, int64_t n) {
    int n_params;
    const double *params = attr_floats(b->c->node, "kernel_params", &n_params);
    const char *kind = attr_str(b->c->node, "kernel_type");
    double gamma = n_params ? params[0] : 0, coef0 = n_params > 1 ? params[1] : 0,
           degree = n_params > 2 ? params[2] : 0;
    const int64_t dim[] = { n, columns_of(b->c->in[0]) }, one[] = { 1 }, last[] = { -1 };
    struct value *x = as_matrix(b), *v = body_tensor(b, 2, dim, vectors);
    if (strcmp(kind, "RBF") == 0) {
        struct value *d = both(b, "Sub", both(b, "Unsqueeze", x, body_ints(b, 1, one)), v);
        d = body_op_int(b, "ReduceSumSquare", d, body_ints(b, 1, last), "keepdims", 0);
        return body_op(b, "Exp", both(b, "Mul", d, body_number(b, -gamma)), NULL, NULL);
    }
    struct value *p = body_times_turned(b, x, v, 2);
    if (strcmp(kind, "LINEAR") == 0)
        return p;
    p = both(b, "Add", both(b, "Mul", p, body_number(b, gamma)), body_number(b, coef0));
    return strcmp(kind, "POLY") == 0 ? both(b, "Pow", p, body_number(b, degree))
                                     : body_op(b, "Tanh", p, NULL, NULL);
}

/* The coefficients times the kernels (or the features) and rho. */
static enum status write_svm(struct body *b) {
    int count, n_values;
    const double *coefficients = attr_floats(b->c->node, "coefficients", &count),
                 *vectors = attr_floats(b->c->node, "support_vectors", &n_values);
    int64_t n = attr_int(b->c->node, "n_supports");
    const int64_t column[] = { count, 1 };
    if (attr_int(b->c->node, "one_class")) /* a sign */
        return OK;
    struct value *k = n ? kernel(b, vectors, n) : as_matrix(b);
    b->out[0] = both(b, "MatMul", k, body_tensor(b, 2, column, coefficients));
    return OK;
}

enum status svm_regressor_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_svm);
}
