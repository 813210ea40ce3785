/* NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
 *
 * Order: the logarithm of the softmax as in softmax.c; the losses -x * weight in row-major order;
 * one chain for their sum and one for the sum of weights. */
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/row.h"

/* Scores are [N, C, positions]. */
struct loss {
    const struct tensor *scores, *labels, *weights;
    int64_t batch, classes, positions;
    bool mean, none, ignoring;
    int64_t ignored;
};

static enum status read_loss(const struct node *n, const struct tensor *const *in, int n_in,
                             struct loss *l, struct err *e) {
    const char *reduction = attr_str(n, "reduction");
    const struct attr *ignored = attr_find(n, "ignore_index");
    *l = (struct loss) { .scores = in[0], .labels = in[1], .weights = n_in > 2 ? in[2] : NULL };
    l->mean = strcmp(reduction, "mean") == 0;
    l->none = strcmp(reduction, "none") == 0;
    l->ignoring = ignored != NULL;
    l->ignored = ignored ? ignored->i : 0;
    FAIL_IF(!l->mean && !l->none && strcmp(reduction, "sum") != 0, e, STATUS_CORRUPT,
            "reduction '%s' is not known", reduction);
    const struct tensor *x = l->scores, *t = l->labels;
    FAIL_IF(x->rank < 2 || t->rank != x->rank - 1 || t->dim[0] != x->dim[0], e, STATUS_CORRUPT,
            "labels of rank %d do not fit scores of rank %d", t->rank, x->rank);
    l->batch = x->dim[0], l->classes = x->dim[1], l->positions = 1;
    for (int i = 2; i < x->rank; i++) {
        FAIL_IF(t->dim[i - 1] != x->dim[i], e, STATUS_CORRUPT,
                "dimension %d of the labels is %lld, the scores have %lld", i - 1,
                (long long)t->dim[i - 1], (long long)x->dim[i]);
        l->positions *= x->dim[i];
    }
    FAIL_IF(l->weights && tensor_count(l->weights) != l->classes, e, STATUS_CORRUPT,
            "%lld weights for %lld classes", (long long)tensor_count(l->weights),
            (long long)l->classes);
    for (int64_t i = 0, count = tensor_count(t); i < count; i++) {
        int64_t label = tensor_i64(t, i);
        FAIL_IF((label < 0 || label >= l->classes) && !(l->ignoring && label == l->ignored), e,
                STATUS_CORRUPT, "label %lld is not one of %lld classes", (long long)label,
                (long long)l->classes);
    }
    return OK;
}

/* The weight of label i, 0 when it is ignored. */
static double weight_of(const struct loss *l, int64_t i) {
    int64_t label = tensor_i64(l->labels, i);
    if (l->ignoring && label == l->ignored)
        return 0;
    return l->weights ? tensor_f64(l->weights, label) : 1;
}

/* Flat index of label i's score; of class 0 when it is ignored (its weight is 0). */
static int64_t score_of(const struct loss *l, int64_t i) {
    int64_t label = tensor_i64(l->labels, i);
    bool ignored = l->ignoring && label == l->ignored;
    return (i / l->positions * l->classes + (ignored ? 0 : label)) * l->positions +
           i % l->positions;
}

#define KERNELS(T, S)                                                                     \
    static void log_softmax_##S(const struct loss *l, T *y) {                             \
        const T *x = l->scores->data;                                                     \
        for (int64_t i = 0; i < l->batch * l->positions; i++) {                           \
            int64_t at = i / l->positions * l->classes * l->positions + i % l->positions; \
            T m = x[at], sum = 0;                                                         \
            for (int64_t k = 1; k < l->classes; k++)                                      \
                if (x[at + k * l->positions] > m)                                         \
                    m = x[at + k * l->positions];                                         \
            for (int64_t k = 0; k < l->classes; k++)                                      \
                sum += exp_##S(x[at + k * l->positions] - m);                             \
            T log_sum = log_##S(sum);                                                     \
            for (int64_t k = 0; k < l->classes; k++)                                      \
                y[at + k * l->positions] = (x[at + k * l->positions] - m) - log_sum;      \
        }                                                                                 \
    }                                                                                     \
    static void reduce_##S(const struct loss *l, const T *log_prob, T *y) {               \
        T sum = 0, weights = 0;                                                           \
        for (int64_t i = 0; i < l->batch * l->positions; i++) {                           \
            T w = (T)weight_of(l, i), v = w != 0 ? -log_prob[score_of(l, i)] * w : 0;     \
            if (l->none)                                                                  \
                y[i] = v;                                                                 \
            sum += v;                                                                     \
            weights += w;                                                                 \
        }                                                                                 \
        if (!l->none)                                                                     \
            *y = l->mean ? sum / weights : sum;                                           \
    }
KERNELS(double, d)
KERNELS(float, f)

static enum status nll_eval(struct op_ctx *c) {
    struct loss l;
    TRY(read_loss(c->node, c->in, c->n_in, &l, c->err));
    if (l.scores->store == DT_F64)
        reduce_d(&l, l.scores->data, c->out[0]->data);
    else
        reduce_f(&l, l.scores->data, c->out[0]->data);
    return OK;
}

static enum status cross_entropy_eval(struct op_ctx *c) {
    struct loss l;
    struct tensor *own = NULL, *log_prob = op_wanted(c, 1) ? c->out[1] : NULL;
    TRY(read_loss(c->node, c->in, c->n_in, &l, c->err));
    const struct tensor *x = l.scores;
    if (!log_prob) {
        TRY(tensor_new(&own, x->dtype, x->store, x->rank, x->dim, c->err));
        log_prob = own;
    }
    if (x->store == DT_F64) {
        log_softmax_d(&l, log_prob->data);
        if (op_wanted(c, 0))
            reduce_d(&l, log_prob->data, c->out[0]->data);
    } else {
        log_softmax_f(&l, log_prob->data);
        if (op_wanted(c, 0))
            reduce_f(&l, log_prob->data, c->out[0]->data);
    }
    tensor_free(own);
    return OK;
}

static enum status loss_shape(struct shape_ctx *c) {
    c->out[0].dtype = c->in[0].dtype;
    c->out[0].rank = 0;
    if (strcmp(attr_str(c->node, "reduction"), "none") == 0) {
        shape_copy(c, 0, 1);
        c->out[0].dtype = c->in[0].dtype;
    }
    if (c->n_out > 1)
        shape_copy(c, 1, 0);
    return OK;
}

/* d loss / d log_prob of label i, times grad_out. */
static double label_slope(const struct grad_ctx *c, const struct loss *l, int64_t i,
                          double weights) {
    const double *g = c->grad_out[0]->data;
    return -weight_of(l, i) * (l->none ? g[i] : l->mean ? g[0] / weights : g[0]);
}

static enum status loss_grad(struct grad_ctx *c, bool softmax) {
    struct loss l;
    double weights = 0, *out = c->grad_in[0] ? c->grad_in[0]->data : NULL;
    TRY(read_loss(c->node, c->in, c->n_in, &l, c->err));
    FAIL_IF(c->n_in > 2 && c->grad_in[2], c->err, STATUS_UNSUPPORTED,
            "the gradient of %s in the class weights", c->node->op);
    int64_t labels = l.batch * l.positions, scores = labels * l.classes;
    for (int64_t i = 0; i < labels; i++)
        weights += weight_of(&l, i);
    double *g = NEW_ARRAY(c->scratch, scores + 1, double); /* in log_prob */
    for (int64_t i = 0; i < labels && c->grad_out[0]; i++)
        g[score_of(&l, i)] += label_slope(c, &l, i, weights);
    for (int64_t i = 0; softmax && c->n_out > 1 && c->grad_out[1] && i < scores; i++)
        g[i] += ((const double *)c->grad_out[1]->data)[i];
    if (!softmax) {
        for (int64_t i = 0; out && i < scores; i++)
            out[i] += g[i];
        return OK;
    }
    double *log_prob = NEW_ARRAY(c->scratch, scores + 1, double);
    log_softmax_d(&l, log_prob);
    for (int64_t i = 0; out && i < labels; i++) {
        int64_t at = i / l.positions * l.classes * l.positions + i % l.positions;
        double sum = 0;
        for (int64_t k = 0; k < l.classes; k++)
            sum += g[at + k * l.positions];
        for (int64_t k = 0; k < l.classes; k++)
            out[at + k * l.positions] +=
                g[at + k * l.positions] - exp_d(log_prob[at + k * l.positions]) * sum;
    }
    return OK;
}

static enum status nll_grad(struct grad_ctx *c) {
    return loss_grad(c, false);
}

static enum status cross_entropy_grad(struct grad_ctx *c) {
    return loss_grad(c, true);
}

static const struct attr_def loss_attrs[] = { PLAIN("ignore_index", INT),
                                              STRING("reduction", "mean"),
                                              { 0 } };

/* clang-format off */
const struct op ops_losses[] = {
    { ONNX("NegativeLogLikelihoodLoss", 22, 2, 3), .whole = 2, .attrs = loss_attrs, .shape = loss_shape, .eval = nll_eval,
      .grad = nll_grad },
    { .name = "SoftmaxCrossEntropyLoss", .domain = "", .whole = 2, .spec = "ONNX SoftmaxCrossEntropyLoss-13", .min_in = 2, .max_in = 3,
      .min_out = 1, .max_out = 2, .attrs = loss_attrs, .shape = loss_shape, .eval = cross_entropy_eval,
      .grad = cross_entropy_grad },
    { 0 },
};
