/* Gradients of the normalisations. A set's elements are x, its statistics mean and r (what is
 * divided by); with n = (x - mean) / r and h = gradient * scale: by mean and variance:  dx = (h -
 * mean(h) - n * mean(h * n)) / r by the mean square:    dx = (h - n * mean(h * n)) / r by the L2
 * norm:        dx = (h - n * sum(h * n)) / r by the L1 norm:        dx = (h - sign(x) * sum(h * n))
 * / r. */
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/norm.h"
#include "ops/spatial.h"
#include "ops/split.h"

/* Where each element's scale and bias lie, and where gradients go (NULL: not wanted). */
struct back {
    enum norm_kind kind;
    double epsilon;
    const double *x, *gy, *scale;
    const int64_t *scale_at, *bias_at; /* by element; NULL: no scale, no bias */
    double *gx, *g_scale, *g_bias;
    const int64_t *outer, *inner;
    int64_t n_outer, n_inner;
    const double *mean, *variance;      /* NORM_GIVEN */
    double *g_mean, *g_variance;        /* NORM_GIVEN */
    const double *gy_mean, *gy_inverse; /* gradients of the statistics as outputs, or NULL */
};

struct statistics {
    double mean, root, spread; /* spread: the variance */
};

static struct statistics statistics_of(const struct back *b, int64_t s) {
    const double *x = b->x + b->outer[s];
    double sum = 0, n = (double)b->n_inner;
    struct statistics t = { 0, 0, 0 };
    for (int64_t i = 0; i < b->n_inner; i++)
        sum += b->kind == NORM_L1    ? fabs(x[b->inner[i]])
               : b->kind >= NORM_RMS ? x[b->inner[i]] * x[b->inner[i]]
                                     : x[b->inner[i]];
    if (b->kind >= NORM_RMS) {
        t.root = b->kind == NORM_L1   ? sum
                 : b->kind == NORM_L2 ? sqrt(sum)
                                      : sqrt(sum / n + b->epsilon);
        return t;
    }
    t.mean = b->kind == NORM_GIVEN ? b->mean[s] : sum / n;
    for (int64_t i = 0; i < b->n_inner; i++)
        t.spread += (x[b->inner[i]] - t.mean) * (x[b->inner[i]] - t.mean) / n;
    if (b->kind == NORM_GIVEN)
        t.spread = b->variance[s];
    t.root = b->kind == NORM_MEAN_STD ? sqrt(t.spread) + b->epsilon : sqrt(t.spread + b->epsilon);
    return t;
}

static void set_back(const struct back *b, int64_t s) {
    struct statistics t = statistics_of(b, s);
    double sum = 0, along = 0, n = (double)b->n_inner;
    if (t.root == 0) /* LpNormalization of zeros: constant */
        return;
    for (int64_t i = 0; i < b->n_inner; i++) {
        int64_t at = b->outer[s] + b->inner[i];
        double norm = (b->x[at] - t.mean) / t.root,
               h = b->gy[at] * (b->scale_at ? b->scale[b->scale_at[at]] : 1);
        sum += h;
        along += h * norm;
        if (b->g_scale)
            b->g_scale[b->scale_at[at]] += b->gy[at] * norm;
        if (b->g_bias)
            b->g_bias[b->bias_at[at]] += b->gy[at];
    }
    if (b->g_mean)
        b->g_mean[s] -= sum / t.root;
    if (b->g_variance)
        b->g_variance[s] -= along / (2 * t.root * t.root);
    double gm = b->gy_mean ? b->gy_mean[s] : 0, gi = b->gy_inverse ? b->gy_inverse[s] : 0;
    for (int64_t i = 0; b->gx && i < b->n_inner; i++) {
        int64_t at = b->outer[s] + b->inner[i];
        double x = b->x[at], norm = (x - t.mean) / t.root,
               h = b->gy[at] * (b->scale_at ? b->scale[b->scale_at[at]] : 1);
        double d = h;
        if (b->kind == NORM_MEAN)
            d -= sum / n + norm * along / n;
        else if (b->kind == NORM_MEAN_STD) /* the root's slope is 1 / (2 * deviation) */
            d -= sum / n + (t.spread > 0 ? along * (x - t.mean) / (n * sqrt(t.spread)) : 0);
        else if (b->kind == NORM_RMS)
            d -= norm * along / n;
        else if (b->kind == NORM_L2)
            d -= norm * along;
        else if (b->kind == NORM_L1)
            d -= (x > 0 ? 1 : x < 0 ? -1 : 0) * along;
        b->gx[at] += d / t.root + gm / n - gi * norm / (n * t.root * t.root);
    }
}

static void back_run(const struct back *b) {
    for (int64_t s = 0; s < b->n_outer; s++)
        set_back(b, s);
}

static double *wanted(const struct grad_ctx *c, int i) {
    return i < c->n_in && c->in[i] && c->grad_in[i] ? c->grad_in[i]->data : NULL;
}

static struct back back_of(const struct grad_ctx *c, enum norm_kind kind) {
    const struct tensor *g = c->grad_out[0], *x = c->in[0];
    /* Without a gradient of y the statistics may still have one. */
    const double *gy = g ? g->data : NEW_ARRAY(c->scratch, tensor_count(x) + 1, double);
    return (struct back) { .kind = kind, .x = x->data, .gy = gy, .gx = wanted(c, 0) };
}

static void sets_over(const struct grad_ctx *c, struct back *b, const bool *in) {
    const struct tensor *x = c->in[0];
    bool out[MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        out[i] = !in[i];
    b->inner = axes_offsets(c->scratch, x->rank, x->dim, in, &b->n_inner);
    b->outer = axes_offsets(c->scratch, x->rank, x->dim, out, &b->n_outer);
}

/* The index along one axis of every element. */
static const int64_t *axis_index(const struct grad_ctx *c, int axis) {
    const struct tensor *x = c->in[0];
    int64_t n = tensor_count(x), step = 1, *at = NEW_ARRAY(c->scratch, n + 1, int64_t);
    for (int i = axis + 1; i < x->rank; i++)
        step *= x->dim[i];
    for (int64_t i = 0; i < n; i++)
        at[i] = i / step % x->dim[axis];
    return at;
}

/* Where element i of x reads input k, which broadcasts to it. */
static const int64_t *broadcast_index(const struct grad_ctx *c, int k) {
    const struct tensor *x = c->in[0], *t = c->in[k];
    int64_t n = tensor_count(x), *at = NEW_ARRAY(c->scratch, n + 1, int64_t);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, step = 1;
        for (int axis = t->rank - 1; axis >= 0; axis--) {
            int64_t size = x->dim[x->rank - t->rank + axis];
            at[i] += t->dim[axis] == 1 ? 0 : rest % size * step;
            step *= t->dim[axis];
            rest /= size;
        }
    }
    return at;
}

static void channel_weights(const struct grad_ctx *c, struct back *b, int channel) {
    b->scale_at = b->bias_at = axis_index(c, channel);
    b->scale = c->in[1]->data;
    b->g_scale = wanted(c, 1);
    b->g_bias = wanted(c, 2);
    b->epsilon = attr_float(c->node, "epsilon");
}

/* running = input * momentum + statistic * (1 - momentum), for the mean (1) and the variance (2).
 */
static void running_grad(const struct grad_ctx *c, const struct back *b, const double *g, int which,
                         double momentum) {
    double n = (double)b->n_inner, *g_given = wanted(c, 2 + which);
    for (int64_t s = 0; s < b->n_outer; s++) {
        struct statistics t = statistics_of(b, s);
        if (g_given)
            g_given[s] += g[s] * momentum;
        for (int64_t i = 0; b->gx && i < b->n_inner; i++) {
            int64_t at = b->outer[s] + b->inner[i];
            b->gx[at] += g[s] * (1 - momentum) * (which == 1 ? 1 / n : 2 * (b->x[at] - t.mean) / n);
        }
    }
}

enum status batch_norm_grad(struct grad_ctx *c) {
    struct layout l;
    bool training = attr_int(c->node, "training_mode") != 0, in[MAX_RANK];
    struct back b = back_of(c, training ? NORM_MEAN : NORM_GIVEN);
    TRY(layout_read(c->node, c->in[0]->rank, &l, c->err));
    for (int i = 0; i < c->in[0]->rank; i++)
        in[i] = i != l.channel;
    sets_over(c, &b, in);
    channel_weights(c, &b, l.channel);
    b.mean = c->in[3]->data;
    b.variance = c->in[4]->data;
    b.g_mean = training ? NULL : wanted(c, 3);
    b.g_variance = training ? NULL : wanted(c, 4);
    back_run(&b);
    for (int k = 1; k < 3 && k < c->n_out; k++)
        if (c->grad_out[k])
            running_grad(c, &b, c->grad_out[k]->data, k, attr_float(c->node, "momentum"));
    return OK;
}

enum status instance_norm_grad(struct grad_ctx *c) {
    struct layout l;
    bool in[MAX_RANK];
    struct back b = back_of(c, NORM_MEAN);
    TRY(layout_read(c->node, c->in[0]->rank, &l, c->err));
    for (int i = 0; i < c->in[0]->rank; i++)
        in[i] = i != 0 && i != l.channel;
    sets_over(c, &b, in);
    channel_weights(c, &b, l.channel);
    back_run(&b);
    return OK;
}

enum status group_norm_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    struct back b = back_of(c, NORM_MEAN);
    struct norm_job j = { 0 };
    TRY(layout_read(c->node, x->rank, &l, c->err));
    TRY(norm_group_sets(c->scratch, x, l.channel, attr_int(c->node, "num_groups"), &j, c->err));
    b.inner = j.inner;
    b.outer = j.outer;
    b.n_inner = j.n_inner;
    b.n_outer = j.n_outer;
    channel_weights(c, &b, l.channel);
    back_run(&b);
    return OK;
}

enum status norm_rows_grad(struct grad_ctx *c, enum norm_kind kind, int64_t first) {
    const struct tensor *x = c->in[0];
    struct back b = back_of(c, kind);
    bool in[MAX_RANK];
    int axis;
    TRY(axis_normalise(first, x->rank, &axis, c->err));
    for (int i = 0; i < x->rank; i++)
        in[i] = i >= axis;
    sets_over(c, &b, in);
    b.epsilon = attr_float(c->node, "epsilon");
    b.scale = c->in[1]->data;
    b.scale_at = broadcast_index(c, 1);
    b.g_scale = wanted(c, 1);
    b.g_bias = wanted(c, 2);
    if (b.g_bias)
        b.bias_at = broadcast_index(c, 2);
    b.gy_mean = kind == NORM_MEAN && c->n_out > 1 && c->grad_out[1] ? c->grad_out[1]->data : NULL;
    b.gy_inverse =
        kind == NORM_MEAN && c->n_out > 2 && c->grad_out[2] ? c->grad_out[2]->data : NULL;
    back_run(&b);
    return OK;
}

enum status layer_norm_grad(struct grad_ctx *c) {
    return norm_rows_grad(c, NORM_MEAN, attr_int(c->node, "axis"));
}

enum status rms_norm_grad(struct grad_ctx *c) {
    return norm_rows_grad(c, NORM_RMS, attr_int(c->node, "axis"));
}

enum status lp_norm_grad(struct grad_ctx *c) {
    struct back b = back_of(c, attr_int(c->node, "p") == 1 ? NORM_L1 : NORM_L2);
    bool in[MAX_RANK] = { false };
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0]->rank, &axis, c->err));
    in[axis] = true;
    sets_over(c, &b, in);
    back_run(&b);
    return OK;
}

enum status mean_variance_grad(struct grad_ctx *c) {
    struct back b = back_of(c, NORM_MEAN_STD);
    bool in[MAX_RANK];
    TRY(norm_mean_axes(c->node, c->in[0]->rank, in, c->err));
    sets_over(c, &b, in);
    b.epsilon = NORM_MEAN_EPSILON;
    back_run(&b);
    return OK;
}

/* With S the bracket of the definition: dx_j = g_j / S_j^beta - 2 alpha beta / size * x_j * (sum
 * over the i whose region holds j of g_i * x_i / S_i^(beta + 1)). */
enum status lrn_grad(struct grad_ctx *c) {
    const struct tensor *t = c->in[0];
    struct layout l;
    bool out[MAX_RANK];
    int64_t n, step[MAX_RANK], size = attr_int(c->node, "size");
    double factor = attr_float(c->node, "alpha") / (double)size, beta = attr_float(c->node, "beta"),
           *gx = wanted(c, 0);
    TRY(layout_read(c->node, t->rank, &l, c->err));
    if (!c->grad_out[0] || !gx)
        return OK;
    for (int i = 0; i < t->rank; i++)
        out[i] = i != l.channel;
    strides_of(t->rank, t->dim, step);
    const int64_t *outer = axes_offsets(c->scratch, t->rank, t->dim, out, &n),
                  channels = t->dim[l.channel], s = step[l.channel];
    const double *gy = c->grad_out[0]->data;
    for (int64_t u = 0; u < n * channels; u++) {
        const double *x = (const double *)t->data + outer[u / channels];
        int64_t i = u % channels, from = i - (size - 1) / 2, to = i + size / 2,
                base = outer[u / channels];
        double bracket = attr_float(c->node, "bias");
        from = from < 0 ? 0 : from;
        to = to >= channels ? channels - 1 : to;
        for (int64_t k = from; k <= to; k++)
            bracket += factor * x[k * s] * x[k * s];
        double g = gy[base + i * s], power = pow_d(bracket, -beta);
        gx[base + i * s] += g * power;
        for (int64_t k = from; k <= to; k++)
            gx[base + k * s] -= 2 * factor * beta * x[k * s] * g * x[i * s] * power / bracket;
    }
    return OK;
}
