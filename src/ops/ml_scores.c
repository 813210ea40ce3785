#include "ops/ml_scores.h"

#include <math.h>
#include <string.h>

#include "ops/mathfn.h"

enum status post_transform_read(const char *name, enum post_transform *out, struct err *e) {
    static const char *const names[] = { "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT" };
    for (int i = 0; i < 5; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (enum post_transform)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "post_transform '%s' is not known", name);
}

static double logistic(double v) {
    double p = 1 / (1 + exp_d(-fabs(v)));
    return v < 0 ? 1 - p : p;
}

/* The inverse of the normal distribution, by Winitzki's formula for the inverse of erf with 0.147,
 * as ONNX Runtime has it. */
static double probit(double v) {
    double x = v * 2 - 1, rest = (1 - x) * (1 + x);
    if (rest == 0)
        return 0;
    double l = log_d(rest), a = 2 / (3.141592653589793 * 0.147) + 0.5 * l, b = l / 0.147;
    double root = sqrt(sqrt(a * a - b) - a);
    return 1.41421356 * (x < 0 ? -root : root);
}

/* Softmax; with `zeros` what is nearly zero only shrinks. */
static void softmax(double *s, int64_t n, bool zeros) {
    double m = n ? s[0] : 0, sum = 0;
    for (int64_t i = 1; i < n; i++)
        m = s[i] > m ? s[i] : m;
    for (int64_t i = 0; i < n; i++) {
        bool small = zeros && s[i] <= 0.0000001 && s[i] >= -0.0000001;
        s[i] = small ? s[i] * exp_d(-m) : exp_d(s[i] - m);
        sum += s[i];
    }
    for (int64_t i = 0; i < n; i++)
        s[i] = sum == 0 ? 0.5 : s[i] / sum;
}

void post_transform_apply(enum post_transform t, double *scores, int64_t n) {
    if (t == POST_SOFTMAX || t == POST_SOFTMAX_ZERO)
        softmax(scores, n, t == POST_SOFTMAX_ZERO);
    for (int64_t i = 0; i < n; i++)
        if (t == POST_LOGISTIC || t == POST_PROBIT)
            scores[i] = t == POST_LOGISTIC ? logistic(scores[i]) : probit(scores[i]);
}

int64_t second_score(enum post_transform t, bool all_positive, double scores[2]) {
    double s = scores[0];
    if (t == POST_PROBIT) {
        post_transform_apply(t, scores, 1);
        return 1;
    }
    scores[0] = all_positive ? 1 - s : -s;
    scores[1] = s;
    if (!all_positive)
        post_transform_apply(t, scores, 2);
    return 2;
}

enum status labels_read(const struct node *n, const char *ints, const char *strings,
                        struct labels *out, struct err *e) {
    const struct attr *a = attr_find(n, ints), *b = attr_find(n, strings);
    *out = (struct labels) { .ints = a && a->n ? a->ints : NULL };
    out->strings = !out->ints && b && b->n ? b->strings : NULL;
    out->n = out->ints ? a->n : out->strings ? b->n : 0;
    FAIL_IF(!out->n, e, STATUS_CORRUPT, "one of %s and %s is asked for", ints, strings);
    return OK;
}

void labels_set(const struct labels *l, struct tensor *y, int64_t i, int64_t label) {
    if (l->strings)
        ((const char **)y->data)[i] = arena_str(tensor_string_arena(y), l->strings[label]);
    else
        tensor_set_i64(y, i, l->ints[label]);
}

enum status classifier_shape(struct shape_ctx *c, const struct labels *l, int64_t n_scores) {
    int64_t rows = c->in[0].rank == 2 ? c->in[0].dim[0] : c->in[0].rank == 1 ? 1 : DIM_UNKNOWN;
    c->out[0].dtype = l->strings ? DT_STRING : DT_I64;
    c->out[0].rank = 1;
    c->out[0].dim[0] = rows;
    if (c->n_out < 2)
        return OK;
    c->out[1].dtype = DT_F32;
    c->out[1].rank = 2;
    c->out[1].dim[0] = rows;
    c->out[1].dim[1] = n_scores;
    return OK;
}

enum status ml_matrix(const struct tensor *x, int64_t *rows, int64_t *columns, struct err *e) {
    FAIL_IF(x->rank < 1 || x->rank > 2, e, STATUS_CORRUPT,
            "an input of rank %d; 1 or 2 is asked for", x->rank);
    FAIL_IF(!dtype_is_float(x->store) && !dtype_is_int(x->store), e, STATUS_UNSUPPORTED,
            "an input of %s", dtype_name(x->dtype));
    *rows = x->rank == 2 ? x->dim[0] : 1;
    *columns = x->dim[x->rank - 1];
    return OK;
}
