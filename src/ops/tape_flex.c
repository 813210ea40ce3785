/* The way back through FlexAttention: its values are computed again, its sub-graphs gone through as
 * those of other operators. Sums of products are one fma chain each, over heads, queries, keys and
 * elements in their order. */
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/tape.h"

struct flex {
    struct tape *t;
    const struct node *n;
    const struct tensor *q, *k, *v; /* [batch, heads, rows, elements] */
    int64_t rows, keys;             /* rows: of all queries of all heads */
    double scale;
    const struct tape_turn *score_mod, *prob_mod;
};

/* The head of k and v that row `row` of the queries meets. */
static int64_t head_of(const struct flex *f, int64_t row) {
    int64_t heads = f->q->dim[1], shared = f->k->dim[1], head = row / f->q->dim[2];
    return head / heads * shared + head % heads / (heads / shared);
}

/* product[row, key] = a's row times b's key. */
static void by_keys(const struct flex *f, const double *a, const struct tensor *b,
                    double *product) {
    int64_t d = b->dim[3];
    for (int64_t at = 0; at < f->rows * f->keys; at++) {
        int64_t row = at / f->keys;
        const double *x = a + row * d,
                     *y = (const double *)b->data + (head_of(f, row) * f->keys + at % f->keys) * d;
        double acc = 0;
        for (int64_t i = 0; i < d; i++)
            acc = fma_d(x[i], y[i], acc);
        product[at] = acc;
    }
}

/* keys' += w^T rows, rows' += w keys: the gradients of by_keys, or the values themselves. */
static void spread(const struct flex *f, const double *w, const double *rows, const double *keys,
                   int64_t d, double *to_rows, double *to_keys) {
    for (int64_t at = 0; at < f->rows * f->keys; at++) {
        int64_t row = at / f->keys, key = head_of(f, row) * f->keys + at % f->keys;
        for (int64_t i = 0; to_rows && i < d; i++)
            to_rows[row * d + i] = fma_d(w[at], keys[key * d + i], to_rows[row * d + i]);
        for (int64_t i = 0; to_keys && i < d; i++)
            to_keys[key * d + i] = fma_d(w[at], rows[row * d + i], to_keys[key * d + i]);
    }
}

/* What the sub-graph made in its turn; the input itself without one. */
static enum status made(const struct flex *f, const struct tape_turn *turn, double *x) {
    if (!turn)
        return OK;
    TRY(tape_repeat(f->t, turn));
    const struct value *out = turn->graph->outputs[0];
    const struct tensor *y = out->constant ? out->constant : f->t->value[out->id];
    for (int64_t i = 0; i < f->rows * f->keys; i++)
        x[i] = tensor_f64(y, i);
    return OK;
}

/* Turns the gradient of what the sub-graph made into that of what it was given. */
static enum status back(const struct flex *f, const struct tape_turn *turn, double *g) {
    if (!turn)
        return OK;
    size_t bytes = (size_t)(f->rows * f->keys) * sizeof *g;
    TRY(tape_repeat(f->t, turn));
    struct tensor *out = tape_grad(f->t, turn->graph->outputs[0]);
    for (int64_t i = 0; out && i < f->rows * f->keys; i++)
        ((double *)out->data)[i] += g[i];
    TRY(tape_turn_back(f->t, turn));
    const struct tensor *in = f->t->grad[turn->graph->inputs[0]->id];
    memset(g, 0, bytes);
    if (in && bytes)
        memcpy(g, in->data, bytes);
    return OK;
}

static void softmax(const struct flex *f, double *p) {
    for (int64_t r = 0; f->keys && r < f->rows; r++, p += f->keys) {
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < f->keys; j++)
            most = p[j] > most ? p[j] : most;
        for (int64_t j = 0; j < f->keys; j++)
            sum += p[j] = exp_d(p[j] - most);
        for (int64_t j = 0; j < f->keys; j++)
            p[j] /= sum;
    }
}

static void softmax_back(const struct flex *f, const double *p, double *g) {
    for (int64_t r = 0; r < f->rows; r++, p += f->keys, g += f->keys) {
        double sum = 0;
        for (int64_t j = 0; j < f->keys; j++)
            sum = fma_d(p[j], g[j], sum);
        for (int64_t j = 0; j < f->keys; j++)
            g[j] = p[j] * (g[j] - sum);
    }
}

static double *grad_data(const struct flex *f, int input) {
    struct tensor *g = tape_grad(f->t, f->n->in[input]);
    return g ? g->data : NULL;
}

static enum status flex_open(struct flex *f) {
    struct tape *t = f->t;
    int64_t count;
    const struct tape_turn *turns = tape_turns(t, f->n, &count);
    f->q = t->value[f->n->in[0]->id];
    f->k = t->value[f->n->in[1]->id];
    f->v = t->value[f->n->in[2]->id];
    f->keys = f->k->dim[2];
    f->rows = f->q->dim[0] * f->q->dim[1] * f->q->dim[2];
    f->scale =
        attr_find(f->n, "scale") ? attr_float(f->n, "scale") : 1 / sqrt((double)f->q->dim[3]);
    for (int64_t i = 0; i < count; i++)
        *(turns[i].graph == attr_graph(f->n, "score_mod") ? &f->score_mod : &f->prob_mod) =
            &turns[i];
    return OK;
}

enum status tape_flex_backward(struct tape *t, const struct node *n) {
    struct flex f = { .t = t, .n = n };
    TRY(flex_open(&f));
    const struct tensor *g = t->grad[n->out[0]->id];
    int64_t size = f.rows * f.keys;
    double *p = NEW_ARRAY(t->a, size + 1, double), *seen = NEW_ARRAY(t->a, size + 1, double),
           *w = NEW_ARRAY(t->a, size + 1, double);
    by_keys(&f, f.q->data, f.k, p);
    for (int64_t i = 0; i < size; i++)
        p[i] *= f.scale;
    TRY(made(&f, f.score_mod, p));
    softmax(&f, p);
    if (size)
        memcpy(seen, p, (size_t)size * sizeof *p);
    TRY(made(&f, f.prob_mod, seen));
    spread(&f, seen, g->data, NULL, f.v->dim[3], NULL, grad_data(&f, 2));
    by_keys(&f, g->data, f.v, w);
    TRY(back(&f, f.prob_mod, w));
    softmax_back(&f, p, w);
    TRY(back(&f, f.score_mod, w));
    for (int64_t i = 0; i < size; i++)
        w[i] *= f.scale;
    spread(&f, w, f.q->data, f.k->data, f.q->dim[3], grad_data(&f, 0), grad_data(&f, 1));
    return OK;
}
