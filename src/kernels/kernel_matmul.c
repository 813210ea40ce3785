/* Fast matrix products: the bits of src/ops/matmul.c. */
#include "ops/matmul.h"

#include "kernels/buffers.h"
#include "kernels/follow.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "ops/real.h"

/* A stack of matrices times one matrix is one taller matrix times it; again, this changes nothing.
 */
static void merge_batches(struct matmul_plan *p) {
    for (int64_t i = 0; i < p->n_batch; i++)
        if (p->b_batch[i] != 0 || p->a_batch[i] != i * p->rows * p->a_row || p->a_inner != 1)
            return;
    if (p->n_batch > 1) {
        p->rows *= p->n_batch;
        p->n_batch = 1;
    }
}

#define EACH_REAL "kernels/kernel_matmul.inc"
#include "ops/each_real.inc"

static bool same_float(const struct op_ctx *c, int n) {
    if (c->in[0]->store != DT_F32 && c->in[0]->store != DT_F64)
        return false;
    for (int i = 1; i < n && i < c->n_in; i++)
        if (c->in[i] && c->in[i]->store != c->in[0]->store && !kernel_got_stored(c, i))
            return false;
    return true;
}

enum status kernel_matmul(struct op_ctx *c) {
    struct matmul_plan p;
    if (!same_float(c, 2))
        return kernel_reference(c);
    TRY(matmul_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    merge_batches(&p);
    if (p.n_batch != 1)
        TRY(kernel_widen(c, 1));
    follow_begin(c);
    if (c->in[0]->store == DT_F32)
        product_f(c, &p, NULL, false);
    else
        product_d(c, &p, NULL, false);
    return OK;
}

enum status kernel_gemm(struct op_ctx *c) {
    struct matmul_plan p;
    if (!same_float(c, 3))
        return kernel_reference(c);
    TRY(gemm_plan(c->node, c->in[0], c->in[1], c->scratch, &p, c->err));
    double alpha = attr_float(c->node, "alpha"), beta = attr_float(c->node, "beta");
    if (c->in[0]->store == DT_F32)
        gemm_start_f(c, &p, alpha, beta);
    else
        gemm_start_d(c, &p, alpha, beta);
    return OK;
}
