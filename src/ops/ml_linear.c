/* LinearRegressor, LinearClassifier, SVMRegressor, SVMClassifier. Sums of products are one fma
 * chain over the features or support vectors in their order, from 0; the intercept is added last.
 */
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/ml_grad.h"
#include "ops/ml_scores.h"
#include "ops/row.h"

static double dot(const struct tensor *x, int64_t from, const double *w, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum = fma(tensor_f64(x, from + i), w[i], sum);
    return sum;
}

struct linear {
    const double *coefficients, *intercepts;
    int64_t n, columns; /* coefficients is [n, columns] */
    int n_intercepts;
    enum post_transform post;
};

static enum status read_linear(const struct node *node, int64_t n, int64_t columns,
                               struct linear *l, struct err *e) {
    int count;
    *l = (struct linear) { .n = n, .columns = columns };
    l->coefficients = attr_floats(node, "coefficients", &count);
    l->intercepts = attr_floats(node, "intercepts", &l->n_intercepts);
    TRY(post_transform_read(attr_str(node, "post_transform"), &l->post, e));
    FAIL_IF(columns < 1 || (n ? count / columns != n : count < columns) || count % columns != 0, e,
            STATUS_CORRUPT, "%d coefficients for %lld features", count, (long long)columns);
    l->n = count / columns;
    FAIL_IF(l->n_intercepts && l->n_intercepts != l->n, e, STATUS_CORRUPT,
            "%d intercepts for %lld scores", l->n_intercepts, (long long)l->n);
    return OK;
}

static void linear_scores(const struct linear *l, const struct tensor *x, int64_t row,
                          double *scores) {
    for (int64_t k = 0; k < l->n; k++)
        scores[k] = dot(x, row * l->columns, l->coefficients + k * l->columns, l->columns) +
                    (l->n_intercepts ? l->intercepts[k] : 0);
}

static enum status linear_regressor_eval(struct op_ctx *c) {
    struct linear l;
    int64_t rows, columns;
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    TRY(read_linear(c->node, attr_int(c->node, "targets"), columns, &l, c->err));
    double *scores = NEW_ARRAY(c->scratch, l.n + 1, double);
    FAIL_IF(
        l.n == 1 && l.post != POST_NONE && l.post != POST_PROBIT, c->err, STATUS_UNSUPPORTED,
        "a post_transform of a single score (runtimes leave it out, the specification does not)");
    for (int64_t i = 0; i < rows; i++) {
        linear_scores(&l, c->in[0], i, scores);
        post_transform_apply(l.post, scores, l.n);
        for (int64_t k = 0; k < l.n; k++)
            tensor_set_f64(c->out[0], i * l.n + k, scores[k]);
    }
    return OK;
}

static enum status regressor_shape(struct shape_ctx *c, int64_t targets) {
    SHAPE_FAIL_IF(targets < 1, c, "%lld targets", (long long)targets);
    c->out[0].dtype = DT_F32;
    c->out[0].rank = 2;
    c->out[0].dim[0] = c->in[0].rank == 2 ? c->in[0].dim[0] : c->in[0].rank == 1 ? 1 : DIM_UNKNOWN;
    c->out[0].dim[1] = targets;
    return OK;
}

static enum status linear_regressor_shape(struct shape_ctx *c) {
    return regressor_shape(c, attr_int(c->node, "targets"));
}

static int64_t largest(const double *v, int64_t n) {
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

static enum status linear_classifier_eval(struct op_ctx *c) {
    struct linear l;
    struct labels labels;
    int64_t rows, columns;
    TRY(labels_read(c->node, "classlabels_ints", "classlabels_strings", &labels, c->err));
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    TRY(read_linear(c->node, 0, columns, &l, c->err));
    bool single = l.n == 1 && labels.n == 2;
    FAIL_IF(l.n != labels.n && !single, c->err, STATUS_CORRUPT, "%lld scores for %lld labels",
            (long long)l.n, (long long)labels.n);
    FAIL_IF(labels.n == 1 || (single && l.post != POST_NONE && l.post != POST_LOGISTIC), c->err,
            STATUS_UNSUPPORTED, "post_transform %s of a single score",
            attr_str(c->node, "post_transform"));
    double *scores = NEW_ARRAY(c->scratch, labels.n + 1, double);
    for (int64_t i = 0; i < rows; i++) {
        linear_scores(&l, c->in[0], i, scores);
        if (single) {
            scores[1] = scores[0];
            scores[0] =
                l.post == POST_NONE ? 1 - scores[1] : -scores[1]; /* as ONNX Runtime has it */
        }
        int64_t label = single ? scores[1] > 0 : largest(scores, labels.n);
        post_transform_apply(l.post, scores, labels.n);
        if (op_wanted(c, 0))
            labels_set(&labels, c->out[0], i, label);
        for (int64_t k = 0; op_wanted(c, 1) && k < labels.n; k++)
            tensor_set_f64(c->out[1], i * labels.n + k, scores[k]);
    }
    return OK;
}

static enum status linear_classifier_shape(struct shape_ctx *c) {
    struct labels labels;
    TRY(labels_read(c->node, "classlabels_ints", "classlabels_strings", &labels, c->err));
    return classifier_shape(c, &labels, labels.n);
}

enum kernel { LINEAR, POLY, RBF, SIGMOID };

struct svm {
    enum kernel kernel;
    double gamma, coef0, degree;
    const double *vectors, *coefficients, *rho, *prob_a, *prob_b;
    int64_t n_vectors, columns;
    int n_coefficients, n_rho, n_prob;
    enum post_transform post;
};

static enum status read_svm(const struct node *n, int64_t n_vectors, int64_t columns, struct svm *s,
                            struct err *e) {
    static const char *const kernels[] = { "LINEAR", "POLY", "RBF", "SIGMOID" };
    int n_params, n_floats;
    *s = (struct svm) { .kernel = (enum kernel)4, .n_vectors = n_vectors, .columns = columns };
    for (int i = 0; i < 4; i++)
        if (strcmp(attr_str(n, "kernel_type"), kernels[i]) == 0)
            s->kernel = (enum kernel)i;
    FAIL_IF((int)s->kernel == 4, e, STATUS_CORRUPT, "kernel_type '%s' is not known",
            attr_str(n, "kernel_type"));
    const double *params = attr_floats(n, "kernel_params", &n_params);
    FAIL_IF(n_params != 0 && n_params != 3, e, STATUS_CORRUPT, "%d kernel_params; 3 are asked for",
            n_params);
    if (n_params)
        s->gamma = params[0], s->coef0 = params[1], s->degree = params[2];
    s->vectors = attr_floats(n, "support_vectors", &n_floats);
    s->coefficients = attr_floats(n, "coefficients", &s->n_coefficients);
    s->rho = attr_floats(n, "rho", &s->n_rho);
    FAIL_IF(n_vectors &&
                (n_vectors < 0 || n_floats / n_vectors != columns || n_floats % n_vectors != 0),
            e, STATUS_CORRUPT, "%d numbers are not %lld support vectors of %lld features", n_floats,
            (long long)n_vectors, (long long)columns);
    FAIL_IF(!s->n_rho || !s->n_coefficients, e, STATUS_CORRUPT, "%s needs rho and coefficients",
            n->op);
    return post_transform_read(attr_str(n, "post_transform"), &s->post, e);
}

static double kernel_value(const struct svm *s, const struct tensor *x, int64_t row,
                           const double *v) {
    int64_t from = row * s->columns;
    if (s->kernel == RBF) {
        double sum = 0;
        for (int64_t i = 0; i < s->columns; i++) {
            double d = tensor_f64(x, from + i) - v[i];
            sum = fma(d, d, sum);
        }
        return exp_d(-s->gamma * sum);
    }
    double p = dot(x, from, v, s->columns);
    if (s->kernel == LINEAR)
        return p;
    p = s->gamma * p + s->coef0;
    return s->kernel == POLY ? pow_d(p, s->degree) : tanh_d(p);
}

static enum status svm_regressor_eval(struct op_ctx *c) {
    struct svm s;
    int64_t rows, columns, n = attr_int(c->node, "n_supports");
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    TRY(read_svm(c->node, n, columns, &s, c->err));
    FAIL_IF(s.post != POST_NONE, c->err, STATUS_UNSUPPORTED, "post_transform %s of a single score",
            attr_str(c->node, "post_transform"));
    FAIL_IF(s.n_coefficients != (n ? n : columns), c->err, STATUS_CORRUPT, "%d coefficients",
            s.n_coefficients);
    for (int64_t i = 0; i < rows; i++) {
        double sum = n ? 0 : dot(c->in[0], i * columns, s.coefficients, columns);
        for (int64_t k = 0; k < n; k++)
            sum =
                fma(s.coefficients[k], kernel_value(&s, c->in[0], i, s.vectors + k * columns), sum);
        sum += s.rho[0];
        tensor_set_f64(c->out[0], i, attr_int(c->node, "one_class") ? (sum > 0 ? 1 : -1) : sum);
    }
    return OK;
}

static enum status svm_regressor_shape(struct shape_ctx *c) {
    return regressor_shape(c, 1);
}

/* A classifier between k classes, by votes between each two of them. */
struct svc {
    struct svm s;
    int64_t classes;
    const int64_t *per_class; /* support vectors */
    int64_t *start;
    double *kernels, *scores, *votes;
    struct dual *work;
};

static enum status read_svc(const struct node *n, int64_t classes, int64_t columns, struct svc *v,
                            struct arena *a, struct err *e) {
    int count;
    int64_t vectors = 0;
    *v = (struct svc) { .classes = classes };
    v->per_class = attr_ints(n, "vectors_per_class", &count);
    v->start = NEW_ARRAY(a, classes + 1, int64_t);
    FAIL_IF(count && count != classes, e, STATUS_CORRUPT,
            "vectors_per_class has %d elements for %lld classes", count, (long long)classes);
    for (int i = 0; i < count; i++) {
        FAIL_IF(v->per_class[i] < 0 || v->per_class[i] > INT32_MAX, e, STATUS_CORRUPT,
                "vectors_per_class[%d] is %lld", i, (long long)v->per_class[i]);
        v->start[i] = vectors;
        vectors += v->per_class[i];
    }
    TRY(read_svm(n, vectors, columns, &v->s, e));
    int64_t pairs = classes * (classes - 1) / 2;
    struct svm *s = &v->s;
    int n_b;
    s->prob_a = attr_floats(n, "prob_a", &s->n_prob);
    s->prob_b = attr_floats(n, "prob_b", &n_b);
    FAIL_IF(vectors && (s->n_rho < pairs || s->n_coefficients != (classes - 1) * vectors), e,
            STATUS_CORRUPT, "%d coefficients and %d rho do not fit %lld classes", s->n_coefficients,
            s->n_rho, (long long)classes);
    FAIL_IF(!vectors && s->n_coefficients != classes * columns, e, STATUS_CORRUPT,
            "%d coefficients", s->n_coefficients);
    FAIL_IF(s->n_prob != n_b || (s->n_prob && s->n_prob < pairs), e, STATUS_CORRUPT,
            "%d prob_a, %d prob_b", s->n_prob, n_b);
    v->kernels = NEW_ARRAY(a, vectors + 1, double);
    v->scores = NEW_ARRAY(a, pairs + classes + 2, double);
    v->votes = NEW_ARRAY(a, classes + 1, double);
    v->work = NEW_ARRAY(a, couple_work(classes), struct dual);
    return OK;
}

/* Decision values of all pairs, and the votes. */
static void vote(struct svc *v, const struct tensor *x, int64_t row) {
    const struct svm *s = &v->s;
    int64_t pair = 0, n = s->n_vectors;
    for (int64_t k = 0; k < n; k++)
        v->kernels[k] = kernel_value(s, x, row, s->vectors + k * s->columns);
    memset(v->votes, 0, (size_t)v->classes * sizeof *v->votes);
    for (int64_t i = 0; i < v->classes; i++)
        for (int64_t j = i + 1; j < v->classes; j++, pair++) {
            double sum = 0;
            for (int64_t k = v->start[i]; k < v->start[i] + v->per_class[i]; k++)
                sum = fma(s->coefficients[(j - 1) * n + k], v->kernels[k], sum);
            for (int64_t k = v->start[j]; k < v->start[j] + v->per_class[j]; k++)
                sum = fma(s->coefficients[i * n + k], v->kernels[k], sum);
            v->scores[pair] = s->rho[pair] + sum;
            v->votes[v->scores[pair] > 0 ? i : j] += 1;
        }
}

/* Scores that a row writes. */
static int64_t svc_scores(const struct svm *s, int64_t classes) {
    int64_t pairs = classes * (classes - 1) / 2;
    return !s->n_vectors || s->n_prob || pairs == 1 ? classes : pairs;
}

static enum status svm_classifier_eval(struct op_ctx *c) {
    struct svc v;
    struct labels labels;
    int64_t rows, columns;
    TRY(labels_read(c->node, "classlabels_ints", "classlabels_strings", &labels, c->err));
    TRY(ml_matrix(c->in[0], &rows, &columns, c->err));
    TRY(read_svc(c->node, labels.n, columns, &v, c->scratch, c->err));
    bool all_positive = true, single = v.s.n_vectors && !v.s.n_prob && labels.n == 2;
    FAIL_IF(labels.n < 2 || (single && v.s.post != POST_NONE && v.s.post != POST_LOGISTIC), c->err,
            STATUS_UNSUPPORTED, "post_transform %s of a single score",
            attr_str(c->node, "post_transform"));
    for (int i = 0; i < v.s.n_coefficients; i++)
        all_positive = all_positive && v.s.coefficients[i] >= 0;
    int64_t n = svc_scores(&v.s, labels.n);
    for (int64_t i = 0; i < rows; i++) {
        int64_t label;
        if (v.s.n_vectors) {
            vote(&v, c->in[0], i);
            label = largest(v.votes, labels.n);
            if (v.s.n_prob)
                couple_pairs(labels.n, v.scores, v.s.prob_a, v.s.prob_b, v.work, NULL);
        } else {
            for (int64_t k = 0; k < labels.n; k++)
                v.scores[k] = dot(c->in[0], i * columns, v.s.coefficients + k * columns, columns) +
                              v.s.rho[0];
            label = largest(v.scores, labels.n);
        }
        if (single)
            second_score(v.s.post, all_positive, v.scores);
        else
            post_transform_apply(v.s.post, v.scores, n);
        if (op_wanted(c, 0))
            labels_set(&labels, c->out[0], i, label);
        for (int64_t k = 0; op_wanted(c, 1) && k < n; k++)
            tensor_set_f64(c->out[1], i * n + k, v.scores[k]);
    }
    return OK;
}

enum status svm_decisions(const struct node *n, const struct tensor *x, double *out,
                          struct arena *a, struct err *e) {
    struct labels labels;
    struct svc v;
    int64_t rows, columns;
    TRY(labels_read(n, "classlabels_ints", "classlabels_strings", &labels, e));
    TRY(ml_matrix(x, &rows, &columns, e));
    TRY(read_svc(n, labels.n, columns, &v, a, e));
    int64_t pairs = labels.n * (labels.n - 1) / 2;
    for (int64_t i = 0; i < rows; i++) {
        vote(&v, x, i);
        memcpy(out + i * pairs, v.scores, (size_t)pairs * sizeof *out);
    }
    return OK;
}

static enum status svm_classifier_shape(struct shape_ctx *c) {
    struct labels labels;
    struct svc v;
    TRY(labels_read(c->node, "classlabels_ints", "classlabels_strings", &labels, c->err));
    int n_per_class;
    v = (struct svc) { .classes = labels.n };
    attr_ints(c->node, "vectors_per_class", &n_per_class);
    attr_floats(c->node, "prob_a", &v.s.n_prob);
    v.s.n_vectors = n_per_class > 0;
    return classifier_shape(c, &labels, svc_scores(&v.s, labels.n));
}

#define POST STRING("post_transform", "NONE")
#define KERNEL PLAIN("kernel_params", FLOATS), STRING("kernel_type", "LINEAR")

/* clang-format off */
const struct op ops_ml_linear[] = {
    { ONNX_ML("LinearRegressor", 1, 1, 1), .attrs = ATTRS(PLAIN("coefficients", FLOATS), PLAIN("intercepts", FLOATS), POST,
      INT("targets", 1)), .shape = linear_regressor_shape, .eval = linear_regressor_eval, .grad = linear_regressor_grad },
    { .name = "LinearClassifier", .domain = "ai.onnx.ml", .spec = "ONNX-ML LinearClassifier-1", .min_in = 1, .max_in = 1,
      .min_out = 1, .max_out = 2, .attrs = ATTRS(PLAIN("classlabels_ints", INTS), PLAIN("classlabels_strings", STRINGS),
      NEEDED("coefficients", FLOATS), PLAIN("intercepts", FLOATS), INT("multi_class", 0), POST),
      .shape = linear_classifier_shape, .eval = linear_classifier_eval, .grad = linear_classifier_grad },
    { ONNX_ML("SVMRegressor", 1, 1, 1), .attrs = ATTRS(PLAIN("coefficients", FLOATS), KERNEL, INT("n_supports", 0),
      INT("one_class", 0), POST, PLAIN("rho", FLOATS), PLAIN("support_vectors", FLOATS)), .shape = svm_regressor_shape,
      .eval = svm_regressor_eval, .grad = svm_regressor_grad },
    { .name = "SVMClassifier", .domain = "ai.onnx.ml", .spec = "ONNX-ML SVMClassifier-1", .min_in = 1, .max_in = 1,
      .min_out = 1, .max_out = 2, .attrs = ATTRS(PLAIN("classlabels_ints", INTS), PLAIN("classlabels_strings", STRINGS),
      PLAIN("coefficients", FLOATS), KERNEL, POST, PLAIN("prob_a", FLOATS), PLAIN("prob_b", FLOATS), PLAIN("rho", FLOATS),
      PLAIN("support_vectors", FLOATS), PLAIN("vectors_per_class", INTS)), .shape = svm_classifier_shape,
      .eval = svm_classifier_eval, .grad = svm_classifier_grad },
    { 0 },
};
