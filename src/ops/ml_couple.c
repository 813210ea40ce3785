/* The probabilities of a support vector classifier, with their derivatives: every number carries
 * the derivative in one pair's decision value along, so that both come from the same iterations. */
#include <math.h>

#include "ops/ml_scores.h"

static struct dual plus(struct dual a, struct dual b) {
    return (struct dual) { a.v + b.v, a.d + b.d };
}

static struct dual minus(struct dual a, struct dual b) {
    return (struct dual) { a.v - b.v, a.d - b.d };
}

static struct dual times(struct dual a, struct dual b) {
    return (struct dual) { a.v * b.v, a.d * b.v + a.v * b.d };
}

static struct dual over(struct dual a, struct dual b) {
    double q = a.v / b.v;
    return (struct dual) { q, (a.d - q * b.d) / b.v };
}

/* a * b + c, rounded once. */
static struct dual chain(struct dual a, struct dual b, struct dual c) {
    return (struct dual) { fma(a.v, b.v, c.v), a.d * b.v + a.v * b.d + c.d };
}

static const struct dual one = { 1, 0 }, two = { 2, 0 };

struct coupling {
    int64_t n;
    struct dual *r, *q, *p, *qp; /* r, q: n x n */
};

static void start(struct coupling *c) {
    int64_t n = c->n;
    for (int64_t t = 0; t < n; t++) {
        struct dual sum = { 0 };
        c->p[t] = (struct dual) { 1.0 / (double)n, 0 };
        for (int64_t j = 0; j < n; j++)
            if (j != t) {
                sum = plus(sum, times(c->r[j * n + t], c->r[j * n + t]));
                c->q[t * n + j] = times((struct dual) { -c->r[j * n + t].v, -c->r[j * n + t].d },
                                        c->r[t * n + j]);
            }
        c->q[t * n + t] = sum;
    }
}

/* One round over the classes; false when the probabilities are good. */
static bool improve(struct coupling *c) {
    int64_t n = c->n;
    struct dual pqp = { 0 }, *p = c->p, *qp = c->qp, *q = c->q;
    double error = 0;
    for (int64_t t = 0; t < n; t++) {
        qp[t] = (struct dual) { 0 };
        for (int64_t j = 0; j < n; j++)
            qp[t] = chain(q[t * n + j], p[j], qp[t]);
        pqp = chain(p[t], qp[t], pqp);
    }
    for (int64_t t = 0; t < n; t++)
        error = fmax(error, fabs(qp[t].v - pqp.v));
    if (error < 0.005 / (double)n)
        return false;
    for (int64_t t = 0; t < n; t++) {
        struct dual d = over(minus(pqp, qp[t]), q[t * n + t]), rest = plus(one, d);
        struct dual twice = plus(times(d, q[t * n + t]), times(two, qp[t]));
        p[t] = plus(p[t], d);
        pqp = over(plus(pqp, times(d, twice)), times(rest, rest));
        for (int64_t j = 0; j < n; j++) {
            qp[j] = over(plus(qp[j], times(d, q[t * n + j])), rest);
            p[j] = over(p[j], rest);
        }
    }
    return true;
}

/* p with the derivative in the decision value of pair `by`. */
static void couple(struct coupling *c, const double *scores, const double *a, const double *b,
                   int64_t by) {
    int64_t n = c->n, pair = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++, pair++) {
            double s = scores[pair] * a[pair] + b[pair];
            post_transform_apply(POST_LOGISTIC, &s, 1);
            double p = 1 - s, within = p < 1e-7 ? 1e-7 : p > 1 - 1e-7 ? 1 - 1e-7 : p;
            double slope = pair == by && within == p ? -s * (1 - s) * a[pair] : 0;
            c->r[i * n + j] = (struct dual) { within, slope };
            c->r[j * n + i] = (struct dual) { 1 - within, -slope };
        }
    start(c);
    for (int64_t round = 0; round < (n > 100 ? n : 100) && improve(c); round++)
        continue;
}

int64_t couple_work(int64_t n) {
    return 2 * n * n + 2 * n;
}

void couple_pairs(int64_t n, double *scores, const double *a, const double *b, struct dual *work,
                  double *slope) {
    struct coupling c = { n, work, work + n * n, work + 2 * n * n, work + 2 * n * n + n };
    for (int64_t pair = 0; slope && pair < n * (n - 1) / 2; pair++) {
        couple(&c, scores, a, b, pair);
        for (int64_t k = 0; k < n; k++)
            slope[pair * n + k] = c.p[k].d;
    }
    couple(&c, scores, a, b, -1);
    for (int64_t k = 0; k < n; k++)
        scores[k] = c.p[k].v;
}
