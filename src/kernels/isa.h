/* What one instruction set offers to the kernels: a row per set, chosen once at run time.
 *
 * Every function gives the same bits on every set. */
#ifndef KERNELS_ISA_H
#define KERNELS_ISA_H

#include <stdbool.h>
#include <stdint.h>

/* One tile of C = init + A * B: rows x columns, at most ROWS x 3 vectors. Each element is one fma
 * chain over k ascending, c = fma(a, b, c). */
#define TILE(T, S)                                                                              \
    struct tile_##S {                                                                           \
        int64_t k;                                                                              \
        const T *a; /* panel: a[k * lda + row]; rows: a[row * lda + k] */                       \
        int64_t lda;                                                                            \
        const T *b; /* b[k * ldb + column], readable to the full last vector */                 \
        int64_t ldb;                                                                            \
        T *c;                                                                                   \
        int64_t ldc;                                                                            \
        const T *row_init,                                                                      \
            *column_init; /* what the chain starts from, one of them or neither (0) */          \
        bool carry;       /* the chain starts from what lies in c instead */                    \
    };                                                                                          \
    struct micro_##S {                                                                          \
        int lanes, rows, columns; /* columns = 3 * lanes */                                     \
        void (*tile)(const struct tile_##S *t, bool panel, int rows, int columns);              \
        /* One channel of a depthwise convolution along a row: y[i] for i < n starts from init, \
         * taps in order: y[i] = fma(x[tap][i], w[tap], y[i]). */                               \
        void (*taps_row)(T * y, int64_t n, T init, int taps, const T *const *x, const T *w);    \
        /* Channels last: y[i] for i < n starts from init[i] (NULL: 0): y[i] = fma(x[tap][i],   \
         * w[tap * ldw + i], y[i]). */                                                          \
        void (*taps_channels)(T * y, int64_t n, const T *init, int taps, const T *const *x,     \
                              const T *w, const int64_t *w_at);                                 \
    };
TILE(float, f)
TILE(double, d)
#undef TILE

struct isa {
    const char *name; /* as CALQUE_ISA spells it */
    struct micro_f f;
    struct micro_d d;
};

/* The rows compiled in; NULL where the compiler's target lacks the set. */
extern const struct isa *const isa_portable_row, *const isa_avx2_row, *const isa_avx512_row,
                                                                          *const isa_neon_row;

/* The best set that this machine has, or the one named by the environment variable CALQUE_ISA when
 * the machine has it. */
const struct isa *isa_best(void);
/* The k-th set that this machine has, plain C first; NULL past the last. */
const struct isa *isa_at(int k);
/* For tests: the set to use from now on (NULL: the best again). Not while kernels run. */
void isa_force(const struct isa *isa);

#endif
