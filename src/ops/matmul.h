/* Matrix products: the plan that the reference kernels (matmul.c) and the fast kernels share. */
#ifndef OPS_MATMUL_H
#define OPS_MATMUL_H

#include "ops/op.h"

/* y[batch, row, column] = sum over inner of a[batch, row, inner] * b[batch, inner, column]; y is
 * row-major. Strides count elements. */
struct matmul_plan {
    int64_t n_batch, rows, columns, inner;
    int64_t *a_batch, *b_batch; /* offset of each batch's matrix, [n_batch] */
    int64_t a_row, a_inner, b_inner, b_column;
    int rank; /* of y */
    int64_t y_dim[MAX_RANK];
};

/* NumPy's matmul: vectors get a row or column axis that is dropped again, leading axes broadcast.
 * Every dim known. */
enum status matmul_plan(const struct node *n, const struct tensor *a, const struct tensor *b,
                        struct arena *arena, struct matmul_plan *p, struct err *e);
/* Gemm's product with transA and transB (without alpha, beta and C). */
enum status gemm_plan(const struct node *n, const struct tensor *a, const struct tensor *b,
                      struct arena *arena, struct matmul_plan *p, struct err *e);

/* Where C of Gemm is read for an output's row and column: steps in elements, 0 where it is
 * broadcast. */
void gemm_bias_steps(const struct tensor *t, int64_t *row, int64_t *column);

op_grad_fn matmul_grad, gemm_grad;

#endif
