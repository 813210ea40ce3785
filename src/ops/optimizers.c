/* One step of an optimizer (ai.onnx.preview.training): Adagrad, Adam, Momentum. Inputs R, T, then
 * the lists of the tensors X, their gradients G and their states; outputs the new X and states in
 * the same grouping. Every product and sum is rounded once, in the order the specification's pseudo
 * code has them. */
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/row.h"

struct step {
    const struct node *node;
    double rate, count; /* R and T */
    double norm, alpha, beta, epsilon, decay, norm_post;
    bool nesterov, single; /* single: float32 arithmetic */
};

/* One element: x, g and states in; the new x and states out. */
typedef void step_fn(const struct step *s, double g, double *x, double *states);

#define R(expression) (s->single ? (double)(float)(expression) : (expression))

static double regularized(const struct step *s, double x, double g) {
    return R(R(s->norm * x) + g);
}

static void adagrad(const struct step *s, double g, double *x, double *states) {
    double r = R(s->rate / R(1 + R(s->count * s->decay)));
    g = regularized(s, *x, g);
    states[0] = R(states[0] + R(g * g));
    *x = R(*x - R(R(r * g) / R(R(sqrt(states[0])) + s->epsilon)));
}

static void adam(const struct step *s, double g, double *x, double *states) {
    g = regularized(s, *x, g);
    states[0] = R(R(s->alpha * states[0]) + R(R(1 - s->alpha) * g));
    states[1] = R(R(s->beta * states[1]) + R(R(R(1 - s->beta) * g) * g));
    double root = R(R(sqrt(states[1])) + s->epsilon), r = s->rate;
    if (s->count > 0)
        r = R(R(r * R(sqrt(R(1 - R(pow_d(s->beta, s->count)))))) /
              R(1 - R(pow_d(s->alpha, s->count))));
    *x = R(R(1 - s->norm_post) * R(*x - R(R(r * states[0]) / root)));
}

static void momentum(const struct step *s, double g, double *x, double *states) {
    g = regularized(s, *x, g);
    states[0] = R(R(s->alpha * states[0]) + R((s->count > 0 ? s->beta : 1) * g));
    double direction = s->nesterov ? R(g + R(s->alpha * states[0])) : states[0];
    *x = R(*x - R(s->rate * direction));
}

static enum status apply(struct op_ctx *c, struct step *s, int n_states, step_fn *fn) {
    int n = (c->n_in - 2) / (2 + n_states);
    s->node = c->node;
    s->single = c->precision != PREC_F64;
    s->rate = tensor_f64(c->in[0], 0);
    s->count = (double)tensor_i64(c->in[1], 0);
    for (int k = 0; k < n; k++)
        for (int64_t i = 0, count = tensor_count(c->in[2 + k]); i < count; i++) {
            double x = tensor_f64(c->in[2 + k], i), g = tensor_f64(c->in[2 + n + k], i),
                   states[2] = { 0 };
            for (int j = 0; j < n_states; j++)
                states[j] = tensor_f64(c->in[2 + (2 + j) * n + k], i);
            fn(s, g, &x, states);
            if (op_wanted(c, k))
                tensor_set_f64(c->out[k], i, x);
            for (int j = 0; j < n_states; j++)
                if (op_wanted(c, (1 + j) * n + k))
                    tensor_set_f64(c->out[(1 + j) * n + k], i, states[j]);
        }
    return OK;
}

static enum status adagrad_eval(struct op_ctx *c) {
    struct step s = { .norm = attr_float(c->node, "norm_coefficient"),
                      .decay = attr_float(c->node, "decay_factor"),
                      .epsilon = attr_float(c->node, "epsilon") };
    return apply(c, &s, 1, adagrad);
}

static enum status adam_eval(struct op_ctx *c) {
    struct step s = { .norm = attr_float(c->node, "norm_coefficient"),
                      .norm_post = attr_float(c->node, "norm_coefficient_post"),
                      .alpha = attr_float(c->node, "alpha"),
                      .beta = attr_float(c->node, "beta"),
                      .epsilon = attr_float(c->node, "epsilon") };
    return apply(c, &s, 2, adam);
}

static enum status momentum_eval(struct op_ctx *c) {
    const char *mode = attr_str(c->node, "mode");
    struct step s = { .norm = attr_float(c->node, "norm_coefficient"),
                      .alpha = attr_float(c->node, "alpha"),
                      .beta = attr_float(c->node, "beta"),
                      .nesterov = strcmp(mode, "nesterov") == 0 };
    FAIL_IF(!s.nesterov && strcmp(mode, "standard") != 0, c->err, STATUS_CORRUPT,
            "mode '%s' is not known", mode);
    return apply(c, &s, 1, momentum);
}

/* Every group of the inputs after R and T has the tensors' shapes. */
static enum status step_shape(struct shape_ctx *c, int n_states) {
    int n = (c->n_in - 2) / (2 + n_states);
    SHAPE_FAIL_IF(c->n_in != 2 + n * (2 + n_states) || n < 1 || c->n_out > n * (1 + n_states), c,
                  "%d inputs and %d outputs are not R, T and groups of %d", c->n_in, c->n_out,
                  2 + n_states);
    for (int i = n; i < n * (2 + n_states); i++) {
        const struct fact *x = &c->in[2 + i % n], *other = &c->in[2 + i];
        SHAPE_FAIL_IF(fact_known(x) && fact_known(other) &&
                          !dims_equal(x->dim, x->rank, other->dim, other->rank),
                      c, "input %d has another shape than its tensor", 2 + i);
    }
    for (int i = 0; i < c->n_out; i++)
        shape_copy(c, i, 2 + i % n);
    return OK;
}

static enum status one_state_shape(struct shape_ctx *c) {
    return step_shape(c, 1);
}

static enum status two_states_shape(struct shape_ctx *c) {
    return step_shape(c, 2);
}

#define TRAINING(name_, least)                                                       \
    .name = name_, .domain = "ai.onnx.preview.training", .spec = "ONNX " name_ "-1", \
    .min_in = least, .max_in = -1, .flags = OP_NO_GRADIENT, .min_out = 1, .max_out = -1

/* clang-format off */
const struct op ops_optimizers[] = {
    { TRAINING("Adagrad", 5), .attrs = ATTRS(FLOAT("decay_factor", 0), FLOAT("epsilon", 1e-6f), FLOAT("norm_coefficient", 0)),
      .shape = one_state_shape, .eval = adagrad_eval },
    { TRAINING("Adam", 6), .attrs = ATTRS(FLOAT("alpha", 0.9f), FLOAT("beta", 0.999f), FLOAT("epsilon", 1e-6f),
      FLOAT("norm_coefficient", 0), FLOAT("norm_coefficient_post", 0)), .shape = two_states_shape, .eval = adam_eval },
    { TRAINING("Momentum", 5), .attrs = ATTRS(NEEDED("alpha", FLOAT), NEEDED("beta", FLOAT), NEEDED("mode", STRING),
      NEEDED("norm_coefficient", FLOAT)), .shape = one_state_shape, .eval = momentum_eval },
    { 0 },
};
