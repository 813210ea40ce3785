/* Gemm (fully connected) and MatMul of float activations and integer weights. Each row of the
 * activations is quantized on its own, by attribute `asymmetric`.
 *
 * Gemm: bias + sum * (scale of the column * scale of the row), the sum exact in 32 bits. MatMul:
 * the same without a bias, but the zero point's share is taken off the sum in float32.
 *
 * Float weights, in a file of quantized operators: products rounded to float32 and added from 0 in
 * order, the bias last. */
#include "ops/fixed_sums.h"
#include "ops/hybrid.h"
#include "ops/matmul.h"
#include "ops/split.h"

struct job {
    struct matmul_plan p;
    bool gemm, asymmetric;
    const float *x, *bias, *scale;
    int64_t step; /* of the scales */
    const int32_t *k;
    const float *real_k; /* instead, when the weights are float */
    int32_t *q;          /* a row a task */
    float *line, *y;
};

static float product(const struct job *j, const int32_t *q, struct hybrid_row row, const int32_t *k,
                     int64_t o) {
    const struct matmul_plan *p = &j->p;
    int32_t sum = fixed_dot(q, k, p->inner, 1, p->b_inner);
    uint32_t weights = 0;
    for (int64_t i = 0; row.zero && i < p->inner; i++)
        weights += (uint32_t)k[i * p->b_inner];
    if (j->gemm)
        sum = (int32_t)((uint32_t)sum - weights * (uint32_t)row.zero);
    else /* below 2^31: there are at most 2^16 elements */
        sum = (int32_t)((float)sum - (float)(int32_t)weights * (float)row.zero);
    return (float)sum * (j->scale[o * j->step] * row.scale);
}

static void real_rows(void *arg, struct part part) {
    const struct job *j = arg;
    const struct matmul_plan *p = &j->p;
    for (int64_t r = part.begin; r < part.end; r++) {
        int64_t batch = r / p->rows;
        const float *x = j->x + p->a_batch[batch] + r % p->rows * p->a_row;
        for (int64_t o = 0; o < p->columns; o++) {
            const float *k = j->real_k + p->b_batch[batch] + o * p->b_column;
            float sum = 0;
            for (int64_t i = 0; i < p->inner; i++)
                sum += x[i * p->a_inner] * k[i * p->b_inner];
            j->y[r * p->columns + o] = sum + (j->bias ? j->bias[o] : 0);
        }
    }
}

static void rows(void *arg, struct part part) {
    const struct job *j = arg;
    const struct matmul_plan *p = &j->p;
    int32_t *q = j->q + part.task * p->inner;
    float *line = j->line + part.task * p->inner;
    for (int64_t r = part.begin; r < part.end; r++) {
        int64_t batch = r / p->rows;
        const float *x = j->x + p->a_batch[batch] + r % p->rows * p->a_row;
        for (int64_t i = 0; i < p->inner; i++)
            line[i] = x[i * p->a_inner];
        struct hybrid_row row = hybrid_quantize(line, p->inner, j->asymmetric, q);
        for (int64_t o = 0; o < p->columns; o++)
            j->y[r * p->columns + o] =
                (j->bias ? j->bias[o] : 0) +
                product(j, q, row, j->k + p->b_batch[batch] + o * p->b_column, o);
    }
}

enum status hybrid_matmul(struct op_ctx *c, bool gemm) {
    struct job j = { .gemm = gemm, .x = c->in[0]->data, .y = c->out[0]->data };
    struct fixed_quant q;
    TRY((gemm ? gemm_plan : matmul_plan)(c->node, c->in[0], c->in[1], c->scratch, &j.p, c->err));
    int64_t n = j.p.n_batch * j.p.rows, cost = j.p.inner * j.p.columns;
    if (gemm)
        TRY(hybrid_bias(c, 2, j.p.columns, &j.bias));
    if (hybrid_input(c, 1)) {
        j.real_k = c->in[1]->data;
        split_run(c, n, cost, real_rows, &j);
        return OK;
    }
    TRY(hybrid_weights(c, 1, j.p.columns, &q, &j.k));
    FAIL_IF(!gemm && j.p.inner > 1 << 16, c->err, STATUS_UNSUPPORTED,
            "sums of %lld products of 8 bits", (long long)j.p.inner);
    j.asymmetric = attr_int(c->node, "asymmetric") != 0;
    j.scale = q.scale;
    j.step = q.n > 1;
    int tasks = split_tasks(c, n, cost);
    j.q = NEW_ARRAY(c->scratch, tasks * j.p.inner + 1, int32_t);
    j.line = NEW_ARRAY(c->scratch, tasks * j.p.inner + 1, float);
    split_run(c, n, cost, rows, &j);
    return OK;
}
