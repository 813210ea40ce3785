/* C = init + A * B over tiles, the one loop nest that convolutions and matrix products share.
 *
 * Every element of C is one fma chain over k ascending, whatever the blocks, threads and
 * instruction set: a block of k takes up the chain where the one before left it, in C. A is M x K,
 * B is K x N, C is M x N with rows `ldc` apart. */
#ifndef KERNELS_GEMM_H
#define KERNELS_GEMM_H

#include "kernels/isa.h"
#include "ops/op.h"

enum { MAX_SPANS = 64 };

/* clang-format off */
#define GEMM(T, S)                                                                                 \
    struct gemm_##S {                                                                              \
        const struct micro_##S *micro;                                                             \
        int64_t m, n, k, items; /* items: independent products */                                  \
        /* A: panels of micro->rows rows, [panel][k][row]; or rows `lda` apart (a_rows); or made   \
         * for each block, as rows `ld` apart or panel by panel. */                                \
        const T *a;                                                                                \
        int64_t lda;                                                                               \
        bool a_rows;                                                                               \
        void (*pack_a)(const struct gemm_##S *g, int64_t k0, int64_t k1, int64_t m0, int64_t m1,   \
                       T *to, int64_t ld);                                                         \
        void (*pack_a_panel)(const struct gemm_##S *g, int width, int64_t k0, int64_t k1,          \
                             int64_t m0, int64_t m1, T *to);                                       \
        /* B: panels of micro->columns columns, [panel][k][column], or made panel by panel. */     \
        const T *b;                                                                                \
        void (*pack_b)(const struct gemm_##S *g, int width, int64_t k0, int64_t k1,                \
                       int64_t n0, int64_t n1, T *to);                                             \
        /* Lists a panel of B as at most MAX_SPANS spans, for tiles to make it on their way; 0: pack_b does. May be NULL. */ \
        int (*spans_b)(const struct gemm_##S *g, int64_t k0, int64_t k1, int64_t n0, int64_t n1,   \
                       struct span_##S *spans);                                                    \
        T *c;                                                                                      \
        int64_t ldc;                                                                               \
        const T *row_init, *column_init; /* one of them, or neither: 0 */                          \
        bool carry;                      /* the chains start from what lies in C */                \
        /* What else becomes of the results: see isa.h. The pointers belong to C's first element. */                         \
        bool hidden, limits;                                                                       \
        T limit[2], *sum, *limited;                                                                \
        const T *other;                                                                            \
        int64_t other_ld;                                                                          \
        /* Sets what differs in item i: pointers and `source`. */                                  \
        void (*item)(struct gemm_##S *g, int64_t i);                                               \
        /* Called when a block of C is complete; may be NULL. */                                   \
        void (*finish)(const struct gemm_##S *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1);  \
        const T *source;                                                                           \
        int64_t index;   /* of the item */                                                         \
        const void *arg; /* the caller's */                                                        \
    };                                                                                             \
    void gemm_run_##S(const struct gemm_##S *g, struct op_ctx *c);                                 \
    /* Packs a matrix whose element (row, k) lies at a[row * row_step + k * k_step] into panels of \
     * `width` rows. */                                                                            \
    void gemm_panels_##S(T *to, int width, int64_t rows, int64_t k, const T *a, int64_t row_step,  \
                         int64_t k_step);                                                          \
    /* Elements that the panels take. */                                                           \
    int64_t gemm_panels_size_##S(int width, int64_t rows, int64_t k);
GEMM(float, f)
GEMM(double, d)
#undef GEMM
/* clang-format on */

#endif
