#include "ops/ml_grad.h"

#include <math.h>
#include <string.h>

#include "ops/body.h"
#include "ops/ml_scores.h"

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

static struct value *alone(struct body *b, const char *op, struct value *x) {
    return body_op(b, op, x, NULL, NULL);
}

static struct value *scaled(struct body *b, struct value *x, double by) {
    return both(b, "Mul", x, body_number(b, by));
}

/* As post_transform_apply: what is nearly zero only shrinks. */
static struct value *softmax_zero(struct body *b, struct value *y) {
    struct value *last = body_ints(b, 1, (const int64_t[]) { -1 });
    struct value *most = both(b, "ReduceMax", y, last);
    struct value *small = both(b, "LessOrEqual", alone(b, "Abs", y), body_number(b, 0.0000001));
    struct value *shrunk = both(b, "Mul", y, alone(b, "Exp", alone(b, "Neg", most)));
    struct value *e = body_op(b, "Where", small, shrunk, alone(b, "Exp", both(b, "Sub", y, most)));
    return both(b, "Div", e, both(b, "ReduceSum", e, last));
}

static struct value *probit(struct body *b, struct value *y) {
    struct value *unit = body_number(b, 1), *x = both(b, "Sub", scaled(b, y, 2), unit);
    struct value *l = alone(b, "Log", both(b, "Sub", unit, both(b, "Mul", x, x)));
    struct value *a =
        both(b, "Add", scaled(b, l, 0.5), body_number(b, 2 / (3.141592653589793 * 0.147)));
    struct value *r = both(b, "Sub", both(b, "Mul", a, a), scaled(b, l, 1 / 0.147));
    r = alone(b, "Sqrt", both(b, "Sub", alone(b, "Sqrt", r), a));
    return both(b, "Mul", alone(b, "Sign", x), scaled(b, r, 1.41421356));
}

static struct value *transformed(struct body *b, struct value *y) {
    const char *post = attr_str(b->c->node, "post_transform");
    if (strcmp(post, "SOFTMAX") == 0)
        return body_op_int(b, "Softmax", y, NULL, "axis", 1);
    if (strcmp(post, "LOGISTIC") == 0)
        return alone(b, "Sigmoid", y);
    if (strcmp(post, "SOFTMAX_ZERO") == 0)
        return softmax_zero(b, y);
    return strcmp(post, "PROBIT") == 0 ? probit(b, y) : y;
}

static enum status write_regressor(struct body *b) {
    b->out[0] = transformed(b, linear_scores(b, attr_int(b->c->node, "targets")));
    return OK;
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
    b->out[1] = transformed(b, y);
    return OK;
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

/* --- SVMClassifier --- */

/* By support vector and pair of classes the coefficient. */
static struct value *pair_coefficients(struct body *b, const int64_t *per_class, int64_t classes,
                                       int64_t n) {
    int count;
    const double *coefficients = attr_floats(b->c->node, "coefficients", &count);
    int64_t pairs = classes * (classes - 1) / 2, pair = 0, from_i = 0;
    double *w = NEW_ARRAY(b->c->scratch, n * pairs + 1, double);
    for (int64_t i = 0; i < classes; from_i += per_class[i++]) {
        int64_t from_j = from_i + per_class[i];
        for (int64_t j = i + 1; j < classes; from_j += per_class[j++], pair++) {
            for (int64_t k = from_i; k < from_i + per_class[i]; k++)
                w[k * pairs + pair] = coefficients[(j - 1) * n + k];
            for (int64_t k = from_j; k < from_j + per_class[j]; k++)
                w[k * pairs + pair] = coefficients[i * n + k];
        }
    }
    return body_tensor(b, 2, (const int64_t[]) { n, pairs }, w);
}

/* What the post_transform is applied to when there are no probabilities. */
static struct value *decision_values(struct body *b) {
    int n_classes, n_coefficients, n_rho, n_values;
    const int64_t *per_class = attr_ints(b->c->node, "vectors_per_class", &n_classes);
    const double *coefficients = attr_floats(b->c->node, "coefficients", &n_coefficients),
                 *rho = attr_floats(b->c->node, "rho", &n_rho),
                 *vectors = attr_floats(b->c->node, "support_vectors", &n_values);
    int64_t columns = columns_of(b->c->in[0]), n = columns ? n_values / columns : 0;
    if (!n_classes) {
        const int64_t dim[] = { columns ? n_coefficients / columns : 0, columns };
        struct value *y =
            body_times_turned(b, as_matrix(b), body_tensor(b, 2, dim, coefficients), 2);
        return both(b, "Add", y, body_number(b, rho[0]));
    }
    const int64_t pairs = (int64_t)n_classes * (n_classes - 1) / 2;
    struct value *w = pair_coefficients(b, per_class, n_classes, n);
    return both(b, "Add", both(b, "MatMul", kernel(b, vectors, n), w),
                body_tensor(b, 1, &pairs, rho));
}

/* One score for two classes: 1 minus it or its opposite is the other. */
static struct value *second_score_of(struct body *b, struct value *y) {
    int n;
    const double *coefficients = attr_floats(b->c->node, "coefficients", &n);
    bool all_positive = true;
    for (int i = 0; i < n; i++)
        all_positive = all_positive && coefficients[i] >= 0;
    struct value *other = both(b, "Sub", body_number(b, all_positive), y);
    y = body_op_int(b, "Concat", other, y, "axis", 1);
    return all_positive ? y : transformed(b, y);
}

static enum status write_decisions(struct body *b) {
    b->out[1] = decision_values(b);
    return OK;
}

static enum status write_transform(struct body *b) {
    b->out[1] = transformed(b, b->in[0]);
    return OK;
}

static enum status write_svm_classifier(struct body *b) {
    int n_classes;
    attr_ints(b->c->node, "vectors_per_class", &n_classes);
    struct value *y = decision_values(b);
    b->out[1] = n_classes == 2 ? second_score_of(b, y) : transformed(b, y);
    return OK;
}

/* The probabilities of all rows, and by row, pair and class their slopes in the decision values. */
static enum status slopes_of(struct grad_ctx *c, int64_t classes, struct tensor *p, double *slope) {
    int n;
    const double *a = attr_floats(c->node, "prob_a", &n),
                 *prob_b = attr_floats(c->node, "prob_b", &n);
    int64_t pairs = classes * (classes - 1) / 2, wide = pairs > classes ? pairs : classes;
    double *scores = NEW_ARRAY(c->scratch, wide + 1, double);
    double *decisions = NEW_ARRAY(c->scratch, p->dim[0] * pairs + 1, double);
    struct dual *work = NEW_ARRAY(c->scratch, couple_work(classes), struct dual);
    TRY(svm_decisions(c->node, c->in[0], decisions, c->scratch, c->err));
    for (int64_t i = 0; i < p->dim[0]; i++) {
        memcpy(scores, decisions + i * pairs, (size_t)pairs * sizeof *scores);
        couple_pairs(classes, scores, a, prob_b, work, slope + i * pairs * classes);
        for (int64_t k = 0; k < classes; k++)
            tensor_set_f64(p, i * classes + k, scores[k]);
    }
    return OK;
}

/* Back through the post_transform, the coupling, and the decision values. */
static enum status probabilities_grad(struct grad_ctx *c) {
    const int64_t *dim = c->out[1]->dim, rows = dim[0], classes = dim[1];
    const int64_t pairs = classes * (classes - 1) / 2, decided[] = { rows, pairs };
    double *slope = NEW_ARRAY(c->scratch, rows * pairs * classes + 1, double);
    struct tensor *p = tensor_in_arena(c->scratch, DT_F64, DT_F64, 2, dim),
                  *by_p = tensor_in_arena(c->scratch, DT_F64, DT_F64, 2, dim),
                  *by_pair = tensor_in_arena(c->scratch, DT_F64, DT_F64, 2, decided);
    TRY(slopes_of(c, classes, p, slope));
    struct grad_ctx after = *c, before = *c;
    after.in = (const struct tensor *const[]) { p };
    after.grad_in = (struct tensor *[]) { by_p };
    TRY(grad_of_body(&after, write_transform));
    for (int64_t i = 0; i < rows * pairs; i++)
        for (int64_t k = 0; k < classes; k++)
            ((double *)by_pair->data)[i] +=
                slope[i * classes + k] * ((const double *)by_p->data)[i / pairs * classes + k];
    before.grad_out = (const struct tensor *const[]) { NULL, by_pair };
    return grad_of_body(&before, write_decisions);
}

enum status svm_classifier_grad(struct grad_ctx *c) {
    int n_prob, n_classes;
    attr_floats(c->node, "prob_a", &n_prob);
    attr_ints(c->node, "vectors_per_class", &n_classes);
    if (c->n_out < 2 || !c->grad_out[1])
        return OK;
    return n_prob && n_classes ? probabilities_grad(c) : grad_of_body(c, write_svm_classifier);
}
