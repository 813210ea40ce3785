/* Gemm (fully connected) and MatMul on quantized integers, see fixed_conv.c. */
#include <math.h>

#include "ops/fixed_sums.h"
#include "ops/hybrid.h"
#include "ops/matmul.h"
#include "ops/row.h"
#include "ops/split.h"

struct job {
    struct fixed_sums s;
    struct matmul_plan p;
    struct tensor *y;
};

static void rows(void *arg, struct part part) {
    const struct job *j = arg;
    const struct matmul_plan *p = &j->p;
    for (int64_t r = part.begin; r < part.end; r++) {
        int64_t batch = r / p->rows, row = r % p->rows;
        const int32_t *a = j->s.left + p->a_batch[batch] + row * p->a_row,
                      *b = j->s.right + p->b_batch[batch];
        for (int64_t o = 0; o < p->columns; o++) {
            const int32_t *k = b + o * p->b_column;
            int32_t v =
                j->s.wide ? fixed_sums_wide(
                                &j->s, fixed_dot_wide(a, k, p->inner, p->a_inner, p->b_inner), o)
                          : fixed_sums_narrow(&j->s,
                                              fixed_dot(a, k, p->inner, p->a_inner, p->b_inner), o);
            fixed_store(j->y, r * p->columns + o, 1, &v);
        }
    }
}

static enum status run(struct op_ctx *c, struct job *j, bool in_reals) {
    TRY(fixed_sums_read(c, &j->s, j->p.columns));
    FAIL_IF(!in_reals && j->s.k.n > 1, c->err, STATUS_UNSUPPORTED,
            "MatMul in integer arithmetic with a scale for each channel");
    if (in_reals)
        fixed_sums_in_reals(c, &j->s);
    j->y = c->out[0];
    split_run(c, j->p.n_batch * j->p.rows, j->p.inner * j->p.columns, rows, j);
    return OK;
}

static enum status gemm(struct op_ctx *c) {
    struct job j = { 0 };
    FAIL_IF(attr_float(c->node, "alpha") != 1 || attr_float(c->node, "beta") != 1, c->err,
            STATUS_UNSUPPORTED, "alpha and beta in integer arithmetic");
    if (hybrid_input(c, 0))
        return hybrid_matmul(c, true);
    TRY(gemm_plan(c->node, c->in[0], c->in[1], c->scratch, &j.p, c->err));
    return run(c, &j, true);
}

static enum status matmul(struct op_ctx *c) {
    struct job j = { 0 };
    if (hybrid_input(c, 0))
        return hybrid_matmul(c, false);
    TRY(matmul_plan(c->node, c->in[0], c->in[1], c->scratch, &j.p, c->err));
    return run(c, &j, false);
}

const struct op ops_fixed_matmul[] = {
    { FIXED("Gemm", 2, 3),
      .attrs = ATTRS(FLOAT("alpha", 1), FLOAT("beta", 1), INT("transA", 0), INT("transB", 0),
                     INT("asymmetric", 0), FIXED_LIMITS),
      .eval = gemm },
    { FIXED("MatMul", 2, 2), .attrs = ATTRS(INT("asymmetric", 0), FIXED_LIMITS), .eval = matmul },
    { 0 },
};
