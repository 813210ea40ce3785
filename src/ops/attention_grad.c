/* Gradients of Attention (by Y and the present key and value) and RotaryEmbedding. */
#include <math.h>
#include <string.h>

#include "ops/attention.h"
#include "ops/mathfn.h"

/* A kernel's view of a gradient's node: only output 0 is asked for, so that nothing is written. */
static struct op_ctx kernel_view(struct grad_ctx *c, struct tensor **out) {
    *out = (struct tensor *)(size_t)c->out[0];
    return (struct op_ctx) { .node = c->node,
                             .precision = PREC_F64,
                             .scratch = c->scratch,
                             .n_in = c->n_in,
                             .n_out = 1,
                             .in = c->in,
                             .out = out,
                             .err = c->err };
}

struct attention_back {
    const struct attention *a;
    const double *gy;
    double *gq, *gk, *gv; /* gq in q's layout, or NULL; gk and gv as the caches */
    double *gbias;        /* of bias[0], or NULL */
    double *p, *t;        /* a row each: probabilities; tanh(score / softcap) */
};

static bool masked(const struct attention *a, int64_t b, int64_t i, int64_t j) {
    int64_t p = a->offset[b] + i;
    return (a->causal && j > p) || (a->left >= 0 && j < p - a->left) ||
           (a->right >= 0 && j > p + a->right) || (a->valid && j >= a->valid[b]) ||
           (a->n_bias && j >= a->bias[0].keys);
}

static int64_t bias_at(const struct attention *a, int64_t b, int64_t h, int64_t i, int64_t j) {
    const int64_t *s = a->bias[0].stride;
    return b * s[0] + h * s[1] + i * s[2] + j * s[3];
}

/* The row's probabilities into p; false when no key is attended. */
static bool probabilities(const struct attention_back *k, int64_t b, int64_t h, int64_t i,
                          const double *q, const double *keys) {
    const struct attention *a = k->a;
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < a->keys; j++) {
        double s = 0, bias = masked(a, b, i, j) ? -INFINITY
                             : a->n_bias
                                 ? ((const double *)a->bias[0].values)[bias_at(a, b, h, i, j)]
                                 : 0;
        for (int64_t d = 0; d < a->head_size; d++)
            s += q[d] * keys[j * a->head_size + d];
        s *= a->scale;
        if (a->softcap > 0) {
            k->t[j] = tanh_d(s / a->softcap);
            s = k->t[j] * a->softcap;
        }
        k->p[j] = bias == -INFINITY ? bias : s + bias;
        most = k->p[j] > most ? k->p[j] : most;
    }
    for (int64_t j = 0; j < a->keys && most > -INFINITY; j++) {
        k->p[j] = exp_d(k->p[j] - most);
        sum += k->p[j];
    }
    for (int64_t j = 0; j < a->keys && most > -INFINITY; j++)
        k->p[j] /= sum;
    return most > -INFINITY;
}

static void row_back(const struct attention_back *k, int64_t row) {
    const struct attention *a = k->a;
    int64_t i = row % a->queries, h = row / a->queries % a->heads, b = row / a->queries / a->heads;
    int64_t kv = b * a->kv_heads + h / (a->heads / a->kv_heads),
            q_at = b * a->q_stride[0] + h * a->q_stride[1] + i * a->q_stride[2];
    const double *q = (const double *)a->q + q_at,
                 *gy = k->gy + b * a->y_stride[0] + h * a->y_stride[1] + i * a->y_stride[2];
    const double *keys = (const double *)a->k + kv * a->keys * a->head_size,
                 *values = (const double *)a->v + kv * a->keys * a->value_size;
    double *gk = k->gk + kv * a->keys * a->head_size, *gv = k->gv + kv * a->keys * a->value_size,
           along = 0;
    if (!probabilities(k, b, h, i, q, keys))
        return;
    for (int64_t j = 0; j < a->keys; j++)
        for (int64_t d = 0; d < a->value_size; d++) {
            along += k->p[j] * gy[d] * values[j * a->value_size + d];
            gv[j * a->value_size + d] += k->p[j] * gy[d];
        }
    for (int64_t j = 0; j < a->keys; j++) {
        double g = 0;
        for (int64_t d = 0; d < a->value_size; d++)
            g += gy[d] * values[j * a->value_size + d];
        g = k->p[j] * (g - along);
        if (k->gbias && !masked(a, b, i, j))
            k->gbias[bias_at(a, b, h, i, j)] += g;
        g *= a->scale * (a->softcap > 0 ? 1 - k->t[j] * k->t[j] : 1);
        for (int64_t d = 0; d < a->head_size; d++) {
            if (k->gq)
                k->gq[q_at + d] += g * keys[j * a->head_size + d];
            gk[j * a->head_size + d] += g * q[d];
        }
    }
}

/* Gives a cache's gradient back to the input and to the past. */
static void cache_back(struct grad_ctx *c, const struct attention *a, const double *g, int64_t size,
                       int input, int past) {
    double *new = c->grad_in[input] ? c->grad_in[input]->data : NULL;
    double *old = past < c->n_in && c->in[past] && c->grad_in[past] ? c->grad_in[past]->data : NULL;
    bool dense = c->in[input]->rank == 4;
    int64_t length = c->in[input]->dim[dense ? 2 : 1], held = a->keys - length;
    for (int64_t u = 0; u < a->batch * a->kv_heads * a->keys; u++) {
        int64_t i = u % a->keys, bh = u / a->keys, b = bh / a->kv_heads, h = bh % a->kv_heads,
                at = i - held;
        int64_t to = at < 0  ? bh * held + i
                     : dense ? bh * length + at
                             : (b * length + at) * a->kv_heads + h;
        double *p = at < 0 ? old : new;
        for (int64_t d = 0; p && d < size; d++)
            p[to * size + d] += g[u * size + d];
    }
}

static double *present_grad(struct grad_ctx *c, int out, int64_t n) {
    double *g = NEW_ARRAY(c->scratch, n + 1, double);
    if (out < c->n_out && c->grad_out[out])
        memcpy(g, c->grad_out[out]->data, (size_t)n * sizeof *g);
    return g;
}

enum status attention_grad(struct grad_ctx *c) {
    struct tensor *out;
    struct attention a;
    struct op_ctx view = kernel_view(c, &out);
    FAIL_IF(c->n_out > 3 && c->grad_out[3], c->err, STATUS_UNSUPPORTED,
            "the gradient of Attention by qk_matmul_output");
    TRY(attention_read(&view, &a));
    int64_t rows = a.batch * a.heads * a.queries;
    struct attention_back k = { .a = &a,
                                .gq = c->grad_in[0] ? c->grad_in[0]->data : NULL,
                                .p = NEW_ARRAY(c->scratch, a.keys + 1, double),
                                .t = NEW_ARRAY(c->scratch, a.keys + 1, double) };
    k.gk = present_grad(c, 1, a.batch * a.kv_heads * a.keys * a.head_size);
    k.gv = present_grad(c, 2, a.batch * a.kv_heads * a.keys * a.value_size);
    k.gbias = a.n_bias && c->grad_in[3] ? c->grad_in[3]->data : NULL;
    k.gy = c->grad_out[0] ? c->grad_out[0]->data : NULL;
    for (int64_t row = 0; k.gy && row < rows; row++)
        row_back(&k, row);
    cache_back(c, &a, k.gk, a.head_size, 1, 4);
    cache_back(c, &a, k.gv, a.value_size, 2, 5);
    return OK;
}

/* A rotation is undone by the opposite one. */
enum status rotary_grad(struct grad_ctx *c) {
    struct tensor *out;
    struct rotary r;
    struct op_ctx view = kernel_view(c, &out);
    bool contrib = c->node->domain[0] != 0;
    if (!c->grad_out[0])
        return OK;
    TRY(rotary_read(&view, &r));
    const double *gy = c->grad_out[0]->data, *x = r.x;
    double *gx = c->grad_in[0] ? c->grad_in[0]->data : NULL;
    struct tensor *by_cos = c->grad_in[contrib ? 2 : 1], *by_sin = c->grad_in[contrib ? 3 : 2];
    for (int64_t u = 0; u < r.batch * r.length * r.heads; u++) {
        int64_t i = u % r.length, h = u / r.length % r.heads, b = u / r.length / r.heads,
                half = r.size / 2;
        int64_t at = b * r.stride[0] + h * r.stride[1] + i * r.stride[2],
                row = r.position[b * r.length + i] * half;
        for (int64_t d = 0; d < r.head_size; d++) {
            if (d >= r.size && gx)
                gx[at + d] += gy[at + d];
            if (d >= half)
                continue;
            int64_t p = at + (r.interleaved ? 2 * d : d),
                    q = at + (r.interleaved ? 2 * d + 1 : d + half);
            double co = ((const double *)r.cos)[row + d], si = ((const double *)r.sin)[row + d];
            if (gx) {
                gx[p] += co * gy[p] + si * gy[q];
                gx[q] += co * gy[q] - si * gy[p];
            }
            if (by_cos)
                ((double *)by_cos->data)[row + d] += x[p] * gy[p] + x[q] * gy[q];
            if (by_sin)
                ((double *)by_sin->data)[row + d] += x[p] * gy[q] - x[q] * gy[p];
        }
    }
    return OK;
}
