/* Sums of products of 8-bit integers less their zero points: what convolutions and matrix products
 * of every format share. Sums of integers have no order, so that only the result counts: the
 * differences fit 16 bits, and are multiplied pair by pair into sums of 32 bits that wrap. */
#ifndef KERNELS_KERNEL_INTEGERS_H
#define KERNELS_KERNEL_INTEGERS_H

#include "kernels/geometry.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/conv.h"
#include "ops/matmul.h"

struct int_sums {
    /* What is multiplied: one of the two. */
    const struct geometry *g;
    const struct matmul_plan *m;
    /* Input numbers of the node: activation and weights; zero points, one or one a column. */
    int left, right;
    int32_t left_zero;
    const int32_t *right_zero;
    bool zero_each;
    /* Turns the sums of n columns from `column` on into the output's integers; NULL: they are. */
    void (*finish)(const struct int_sums *j, int32_t *sum, int64_t n, int64_t column);
    const void *arg; /* of finish */
    struct tensor *y;

    /* Set by int_sums_run. */
    const int16_t *x, *packed;
    int64_t rows, columns, pairs; /* of an item: positions, output channels, half the depth */
    int64_t lda;                  /* of x where rows lie in it as they are, else 0 */
    int64_t blocks;               /* of rows */
    int64_t packs, packed_size;   /* item i reads pack i % packs */
    bool odd;                     /* the last pair's second is zero */
    struct buffers *buffers;
};

/* 8-bit integers. */
bool int_sums_narrow(const struct tensor *t);
/* Whether a convolution of this plan and these operands is known, and something is to compute. */
bool int_sums_takes_conv(const struct conv_plan *p, const struct tensor *x, const struct tensor *k,
                         const struct tensor *y);
/* y = the sums, finished. The plan is j->g->p or j->m. */
void int_sums_run(struct op_ctx *c, struct int_sums *j);

#endif
