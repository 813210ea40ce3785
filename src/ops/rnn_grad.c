/* Gradients of RNN, GRU and LSTM: the steps are run again and kept, then walked back. */
#include "ops/rnn.h"

#include <math.h>
#include <string.h>

#include "ops/mathfn.h"

static double slope(const struct activation *a, double x) {
    double y = rnn_activate(a, x), t;
    switch (a->kind) {
    case ACT_RELU:
        return x > 0;
    case ACT_TANH:
        return 1 - y * y;
    case ACT_SIGMOID:
        return y * (1 - y);
    case ACT_AFFINE:
        return a->alpha;
    case ACT_LEAKY_RELU:
        return x < 0 ? a->alpha : 1;
    case ACT_THRESHOLDED_RELU:
        return x >= a->alpha;
    case ACT_SCALED_TANH:
        t = tanh_d(a->beta * x);
        return a->alpha * a->beta * (1 - t * t);
    case ACT_HARD_SIGMOID:
        t = a->alpha * x + a->beta;
        return t > 0 && t < 1 ? a->alpha : 0;
    case ACT_ELU:
        return x < 0 ? a->alpha * exp_d(x) : 1;
    case ACT_SOFTSIGN:
        t = 1 + fabs(x);
        return 1 / (t * t);
    default:
        return 1 / (1 + exp_d(-x));
    }
}

/* Of the activation after clipping. */
static double gate_slope(const struct rnn *r, const struct activation *a, double x) {
    return fabs(x) > r->clip ? 0 : slope(a, x);
}

static double gate(const struct rnn *r, const struct activation *a, double x) {
    return rnn_activate(a, fmin(fmax(x, -r->clip), r->clip));
}

/* One step as it was run, and the gradients that flow through it. */
struct step {
    const struct rnn *r;
    const struct rnn_cell *cell;
    const struct activation *act;
    const double *x, *h, *c, *c_new, *pre, *post;
    const double *dh, *dc;         /* of the states after */
    double *dh_before, *dc_before; /* of those before; set */
    double *dpre;                  /* [gates * hidden]; set */
    double *dx, *dw, *du, *dwb, *drb,
        *dp; /* of this direction or step; NULL: not wanted; added to */
};

/* Gate sums of rows [from, to) were bias + w * x + u * v with gradient s->dpre: adds to dw, du, dx
 * and dv. */
static void sums_back(const struct step *s, int64_t from, int64_t to, const double *v, double *dv) {
    const struct rnn *r = s->r;
    const double *w = s->cell->w, *u = s->cell->r;
    for (int64_t row = from; row < to; row++) {
        double g = s->dpre[row];
        for (int64_t k = 0; k < r->inputs; k++) {
            if (s->dx)
                s->dx[k] += g * w[row * r->inputs + k];
            if (s->dw)
                s->dw[row * r->inputs + k] += g * s->x[k];
        }
        for (int64_t k = 0; k < r->hidden && v; k++) {
            dv[k] += g * u[row * r->hidden + k];
            if (s->du)
                s->du[row * r->hidden + k] += g * v[k];
        }
        if (s->dwb)
            s->dwb[row] += g;
        if (s->drb && v)
            s->drb[row] += g;
    }
}

static void lstm_back(const struct step *s) {
    const struct rnn *r = s->r;
    const struct activation *act = s->act;
    const double *p = s->cell->p, *pre = s->pre, *post = s->post;
    int64_t n = r->hidden;
    for (int64_t j = 0; j < n; j++) {
        double in = post[j], out = post[n + j], forget = post[2 * n + j],
               candidate = post[3 * n + j];
        double dc = s->dc[j] + s->dh[j] * out * gate_slope(r, &act[2], s->c_new[j]);
        double d_out =
            s->dh[j] * gate(r, &act[2], s->c_new[j]) * gate_slope(r, &act[0], pre[n + j]);
        if (p)
            dc += d_out * p[n + j];
        double d_forget = dc * s->c[j], d_in = dc * candidate - (r->input_forget ? d_forget : 0);
        d_in *= gate_slope(r, &act[0], pre[j]);
        d_forget *= r->input_forget ? 0 : gate_slope(r, &act[0], pre[2 * n + j]);
        s->dc_before[j] = dc * forget + (p ? d_in * p[j] + d_forget * p[2 * n + j] : 0);
        s->dpre[j] = d_in;
        s->dpre[n + j] = d_out;
        s->dpre[2 * n + j] = d_forget;
        s->dpre[3 * n + j] = dc * in * gate_slope(r, &act[1], pre[3 * n + j]);
        s->dh_before[j] = 0;
        if (s->dp) {
            s->dp[j] += d_in * s->c[j];
            s->dp[n + j] += d_out * s->c_new[j];
            s->dp[2 * n + j] += d_forget * s->c[j];
        }
    }
    sums_back(s, 0, 4 * n, s->h, s->dh_before);
}

/* linear_before_reset: the hidden gate's sum was Wb + w * x + r (.) extra with extra = Rb + u * h.
 */
static void linear_back(const struct step *s, double *d_reset) {
    int64_t n = s->r->hidden;
    const double *u = (const double *)s->cell->r + 2 * n * n, *reset = s->post + n,
                 *extra = s->post + 3 * n;
    sums_back(s, 2 * n, 3 * n, NULL, NULL);
    for (int64_t j = 0; j < n; j++) {
        double g = s->dpre[2 * n + j] * reset[j];
        d_reset[j] = s->dpre[2 * n + j] * extra[j];
        if (s->drb)
            s->drb[2 * n + j] += g;
        for (int64_t k = 0; k < n; k++) {
            s->dh_before[k] += g * u[j * n + k];
            if (s->du)
                s->du[(2 * n + j) * n + k] += g * s->h[k];
        }
    }
}

/* `spare` has 2 * hidden elements. */
static void gru_back(const struct step *s, double *spare) {
    const struct rnn *r = s->r;
    int64_t n = r->hidden;
    const double *update = s->post, *reset = s->post + n, *candidate = s->post + 2 * n,
                 *extra = s->post + 3 * n;
    double *d_extra = spare, *d_reset = spare + n;
    for (int64_t j = 0; j < n; j++) {
        s->dpre[j] = s->dh[j] * (s->h[j] - candidate[j]) * gate_slope(r, &s->act[0], s->pre[j]);
        s->dpre[2 * n + j] =
            s->dh[j] * (1 - update[j]) * gate_slope(r, &s->act[1], s->pre[2 * n + j]);
        s->dh_before[j] = s->dh[j] * update[j];
        d_extra[j] = 0;
    }
    if (r->linear_before_reset) {
        linear_back(s, d_reset);
    } else {
        sums_back(s, 2 * n, 3 * n, extra, d_extra);
        for (int64_t j = 0; j < n; j++) {
            d_reset[j] = d_extra[j] * s->h[j];
            s->dh_before[j] += d_extra[j] * reset[j];
        }
    }
    for (int64_t j = 0; j < n; j++)
        s->dpre[n + j] = d_reset[j] * gate_slope(r, &s->act[0], s->pre[n + j]);
    sums_back(s, 0, 2 * n, s->h, s->dh_before);
}

static void rnn_back(const struct step *s) {
    for (int64_t j = 0; j < s->r->hidden; j++) {
        s->dpre[j] = s->dh[j] * gate_slope(s->r, &s->act[0], s->pre[j]);
        s->dh_before[j] = 0;
    }
    sums_back(s, 0, s->r->hidden, s->h, s->dh_before);
}

/* What a run of one sequence leaves: by step the gates, and the states before every step and after
 * the last. */
struct trace {
    double *pre, *post, *h, *c;
};

static void run_forward(const struct rnn_run *run, int64_t d, int64_t b, int64_t length,
                        struct trace *t) {
    const struct rnn *r = &run->r;
    int64_t n = r->hidden, state = rnn_state_at(r, d, b);
    for (int64_t j = 0; j < n; j++) {
        t->h[j] = run->h0 ? ((const double *)run->h0)[state + j] : 0;
        t->c[j] = run->c0 ? ((const double *)run->c0)[state + j] : 0;
    }
    for (int64_t k = 0; k < length; k++) {
        const double *x =
            (const double *)run->x + rnn_x_at(r, r->reverse[d] ? length - 1 - k : k, b);
        rnn_step_f64(r, &run->cell[d], r->act + 3 * d, x, t->h + k * n, t->c + k * n,
                     t->pre + 4 * k * n, t->post + 4 * k * n, t->h + (k + 1) * n,
                     t->c + (k + 1) * n);
    }
}

static double *wanted(struct grad_ctx *c, int i, int64_t at) {
    return i < c->n_in && c->grad_in[i] ? (double *)c->grad_in[i]->data + at : NULL;
}

static const double *given(struct grad_ctx *c, int i, int64_t at) {
    return i < c->n_out && c->grad_out[i] ? (const double *)c->grad_out[i]->data + at : NULL;
}

static void add(double *to, const double *from, int64_t n) {
    for (int64_t i = 0; to && from && i < n; i++)
        to[i] += from[i];
}

static void sequence_back(struct grad_ctx *c, const struct rnn_run *run, int64_t d, int64_t b,
                          int64_t length, const struct trace *t, double *spare) {
    const struct rnn *r = &run->r;
    int64_t n = r->hidden, rows = n * (int64_t)r->kind, state = rnn_state_at(r, d, b);
    double *dh = spare, *dc = spare + n, *dh_before = spare + 2 * n, *dc_before = spare + 3 * n;
    memset(spare, 0, 4 * (size_t)n * sizeof *spare);
    add(dh, given(c, 1, state), n);
    add(dc, given(c, 2, state), n);
    for (int64_t k = length - 1; k >= 0; k--) {
        int64_t time = r->reverse[d] ? length - 1 - k : k, x = rnn_x_at(r, time, b);
        add(dh, given(c, 0, rnn_y_at(r, time, d, b)), n);
        struct step s = {
            .r = r,
            .cell = &run->cell[d],
            .act = r->act + 3 * d,
            .x = (const double *)run->x + x,
            .h = t->h + k * n,
            .c = t->c + k * n,
            .c_new = t->c + (k + 1) * n,
            .pre = t->pre + 4 * k * n,
            .post = t->post + 4 * k * n,
            .dh = dh,
            .dc = dc,
            .dh_before = dh_before,
            .dc_before = dc_before,
            .dpre = spare + 6 * n,
            .dx = wanted(c, 0, x),
            .dw = wanted(c, 1, d * rows * r->inputs),
            .du = wanted(c, 2, d * rows * n),
            .dwb = wanted(c, 3, 2 * d * rows),
            .drb = wanted(c, 3, (2 * d + 1) * rows),
            .dp = wanted(c, 7, 3 * d * n),
        };
        if (r->kind == KIND_LSTM)
            lstm_back(&s);
        else if (r->kind == KIND_GRU)
            gru_back(&s, spare + 4 * n);
        else
            rnn_back(&s);
        memcpy(dh, dh_before, (size_t)n * sizeof *dh);
        memcpy(dc, dc_before, (size_t)n * sizeof *dc);
    }
    add(wanted(c, 5, state), dh, n);
    add(wanted(c, 6, state), dc, n);
}

enum status rnn_grad(struct grad_ctx *c) {
    struct rnn_run run;
    TRY(rnn_run_read(&run, c->node, c->in, c->n_in, c->scratch, c->err));
    FAIL_IF(!run.doubles, c->err, STATUS_BUG, "gradients are taken in float64");
    size_t n = (size_t)run.r.hidden, steps = (size_t)run.r.steps;
    struct trace t = {
        .pre = arena_array(c->scratch, 4 * n * steps + 1, sizeof(double)),
        .post = arena_array(c->scratch, 4 * n * steps + 1, sizeof(double)),
        .h = arena_array(c->scratch, n * (steps + 1) + 1, sizeof(double)),
        .c = arena_array(c->scratch, n * (steps + 1) + 1, sizeof(double)),
    };
    double *spare = arena_array(c->scratch, 10 * n + 1, sizeof(double));
    for (int64_t d = 0; d < run.r.directions; d++)
        for (int64_t b = 0; b < run.r.batch; b++) {
            int64_t length = run.lengths ? run.lengths[b] : run.r.steps;
            if (length == 0)
                continue;
            run_forward(&run, d, b, length, &t);
            sequence_back(c, &run, d, b, length, &t, spare);
        }
    return OK;
}
