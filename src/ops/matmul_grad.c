/* Gradients of MatMul, FusedMatMul and Gemm: every product of the sum gives both its factors their
 * share. */
#include <string.h>

#include "ops/matmul.h"

static void product_grad(struct grad_ctx *c, const struct matmul_plan *p, double alpha) {
    const double *a = c->in[0]->data, *b = c->in[1]->data, *gy = c->grad_out[0]->data;
    double *ga = c->grad_in[0] ? c->grad_in[0]->data : NULL,
           *gb = c->grad_in[1] ? c->grad_in[1]->data : NULL;
    for (int64_t r = 0; r < p->n_batch * p->rows; r++) {
        int64_t batch = r / p->rows, from_a = p->a_batch[batch] + r % p->rows * p->a_row,
                from_b = p->b_batch[batch];
        for (int64_t k = 0; k < p->inner; k++) {
            int64_t at_a = from_a + k * p->a_inner, row_b = from_b + k * p->b_inner;
            double sum = 0;
            for (int64_t col = 0; col < p->columns; col++) {
                double g = alpha * gy[r * p->columns + col];
                sum += g * b[row_b + col * p->b_column];
                if (gb)
                    gb[row_b + col * p->b_column] += g * a[at_a];
            }
            if (ga)
                ga[at_a] += sum;
        }
    }
}

enum status matmul_grad(struct grad_ctx *c) {
    struct matmul_plan p;
    if (!c->grad_out[0])
        return OK;
    TRY(matmul_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    product_grad(c, &p, strcmp(c->node->op, "FusedMatMul") == 0 ? attr_float(c->node, "alpha") : 1);
    return OK;
}

enum status gemm_grad(struct grad_ctx *c) {
    struct matmul_plan p;
    if (!c->grad_out[0])
        return OK;
    TRY(gemm_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    product_grad(c, &p, attr_float(c->node, "alpha"));
    if (c->n_in < 3 || !c->in[2] || !c->grad_in[2])
        return OK;
    const struct tensor *t = c->in[2];
    const double *gy = c->grad_out[0]->data, beta = attr_float(c->node, "beta");
    double *gc = c->grad_in[2]->data;
    int64_t row, column;
    gemm_bias_steps(t, &row, &column);
    for (int64_t i = 0; i < p.rows * p.columns; i++)
        gc[i / p.columns * row + i % p.columns * column] += beta * gy[i];
    return OK;
}
