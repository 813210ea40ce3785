/* What one instruction set offers to the kernels: a row per set, chosen once at run time.
 *
 * Every function gives the same bits on every set. */
#ifndef KERNELS_ISA_H
#define KERNELS_ISA_H

#include <stdbool.h>
#include <stdint.h>

#include "ops/broadcast.h"
#include "ops/norm.h"
#include "ops/reduce.h"

/* clang-format off */
/* Elementwise functions, by the names of their operators: formulas of ops/unary.def without a call, and those around a
 * transcendental function. */
#define UNARY_PLAIN(DO)                                                                            \
    DO(Abs) DO(Neg) DO(Sign) DO(Floor) DO(Ceil) DO(Round) DO(Reciprocal) DO(Sqrt) DO(Softsign)     \
    DO(Relu) DO(LeakyRelu) DO(ThresholdedRelu) DO(HardSigmoid) DO(HardSwish) DO(Shrink)
#define UNARY_CALLING(DO)                                                                          \
    DO(Exp) DO(Log) DO(Sin) DO(Cos) DO(Tan) DO(Asin) DO(Acos) DO(Atan) DO(Sinh) DO(Cosh) DO(Tanh)  \
    DO(Asinh) DO(Acosh) DO(Atanh) DO(Erf) DO(Sigmoid) DO(Softplus) DO(Mish) DO(Elu) DO(Celu)       \
    DO(Selu) DO(Swish) DO(Gelu) DO(FastGelu)
#define BINARY_PLAIN(DO) DO(Add) DO(Sub) DO(Mul) DO(Div) DO(Max) DO(Min) DO(PRelu) DO(Pow)
#define UNARY_ID(name) UNARY_##name,
#define BINARY_ID(name) BINARY_##name,
enum { UNARY_PLAIN(UNARY_ID) UNARY_CALLING(UNARY_ID) UNARY_COUNT };
enum { BINARY_PLAIN(BINARY_ID) BINARY_COUNT };
#undef UNARY_ID
#undef BINARY_ID

enum { PLANE_TAPS = 16 }; /* kernel columns of a depthwise plane at most */

/* A run of columns of a panel: `n` elements from x[from], `step` apart, or zeros. */
struct run {
    int64_t to, from, n; /* from < 0: zeros */
};

/* Quantized integers and reals (ops/quantize.h): scale and zero point one, or one an element. */
struct quant_run {
    const void *x;
    void *y;
    int64_t n;
    const double *scale, *zero;
    int step;
    double least, largest; /* of the integers */
};
#define QUANT_TYPES(DO) DO(i8) DO(u8) DO(i16) DO(u16) DO(i32)
#define QUANT_ID(name) QUANT_##name,
enum { QUANT_TYPES(QUANT_ID) QUANT_COUNT };
#undef QUANT_ID
typedef void quant_fn(const struct quant_run *r);

#define MICRO(T, S)                                                                                \
    /* Rows of a panel: column i of row r is from[r * step + i] where bit i of `inside` is set, else zero. */                \
    struct span_##S {                                                                              \
        const T *from;                                                                             \
        int64_t step, rows;                                                                        \
        uint64_t inside;                                                                           \
    };                                                                                             \
    /* One tile of C = init + A * B: rows x columns, at most ROWS x 3 vectors. Each element is one \
     * fma chain over k ascending, c = fma(a, b, c). */                                            \
    struct tile_##S {                                                                              \
        int64_t k;                                                                                 \
        const T *a; /* panel: a[k * lda + row]; rows: a[row * lda + k] */                          \
        int64_t lda;                                                                               \
        const T *b; /* b[k * ldb + column], readable to the full last vector */                    \
        int64_t ldb;                                                                               \
        T *c;                                                                                      \
        int64_t ldc;                                                                               \
        const T *row_init, *column_init; /* what the chain starts from, one of them; neither: 0 */ \
        bool carry;                      /* the chain starts from what lies in c instead */        \
        /* What else becomes of a result, which is stored in c itself unless `hidden`. `other` not NULL: other[row * other_ld + \
         * column] is added to it; the sum goes where `sum` is to c, unless that is NULL. `limits` not NULL: the result or sum, \
         * raised to limits[0] and lowered to limits[1], goes where `limited` is to c. */          \
        bool hidden;                                                                               \
        const T *other, *limits;                                                                   \
        int64_t other_ld;                                                                          \
        T *sum, *limited;                                                                          \
        /* Not NULL: B is made on the way, by whole tiles with panels of A. Its rows are those of the spans, one after the \
         * other, and also go to `kept`, `columns` apart. */                                       \
        const struct span_##S *spans;                                                              \
        int n_spans;                                                                               \
        T *kept;                                                                                   \
        /* What the next tiles read from afar: a line at ahead + k * ahead_step is asked for with each k. */                 \
        const T *ahead;                                                                            \
        int64_t ahead_step;                                                                        \
    };                                                                                             \
    /* One plane of a depthwise convolution. Column tap q of output column j is                    \
     * column[q][across * j] in row 0, for from[q] <= j < to[q], else in the padding. Weights: w[q * taps_down + kernel row].*/ \
    struct plane_##S {                                                                             \
        const T *column[PLANE_TAPS];                                                               \
        int64_t from[PLANE_TAPS], to[PLANE_TAPS];                                                  \
        /* across: 1; or 2 when stride is 2, dilation 1 and taps_down 3 or 5 */                    \
        int taps_across, taps_down, across;                                                        \
        bool by_rows; /* taps run row by row, across 1; w as well */                               \
        int64_t row_step, in_rows, top, stride, dilation; /* of rows */                            \
        int64_t rows, columns;                            /* of y */                               \
        const T *w;                                                                                \
        T init, *y;                                                                                \
        /* Not NULL: each result, raised to limits[0] and lowered to limits[1], also goes where    \
         * `limited` is to y; when that is y, in place of it. */                                   \
        const T *limits;                                                                           \
        T *limited;                                                                                \
    };                                                                                             \
    struct micro_##S {                                                                             \
        int lanes, rows, columns; /* columns = 3 * lanes */                                        \
        void (*tile)(const struct tile_##S *t, bool panel, int rows, int columns);                 \
        /* Along a row of one channel of a depthwise convolution, i < n, taps in order:            \
         * y[i] = init, then y[i] = fma(x[tap][i], w[tap], y[i]). */                               \
        void (*taps_row)(T *y, int64_t n, T init, int taps, const T *const *x, const T *w);        \
        /* Channels last: y[i] = init[i] (NULL: 0), then fma(x[tap][i], w[w_at[tap] + i], y[i]). */\
        void (*taps_channels)(T *y, int64_t n, const T *init, int taps, const T *const *x,         \
                              const T *w, const int64_t *w_at);                                    \
        /* Each output of the plane: init, then the taps that lie inside in the order (column, row), or by rows. */ \
        void (*plane)(const struct plane_##S *d);                                                  \
        /* to[k * to_step + i] = from[i * from_step + k], i < rows, k < columns. */                \
        void (*turn)(const T *from, int64_t from_step, int64_t rows, int64_t columns, T *to,       \
                     int64_t to_step);                                                             \
        /* Fills `rows` rows of a panel, `width` apart, each by the same runs; row r reads from x + r * x_step. */           \
        void (*gather)(T *to, int64_t width, int64_t rows, const T *x, int64_t x_step, const struct run *runs,             \
                       int count, int64_t step);                                                   \
        void (*copy_spans)(T *to, int64_t width, const struct span_##S *spans, int n);             \
        /* a[i] = x[i * step]. */                                                                  \
        void (*every)(T *a, int64_t n, const T *x, int64_t step);                                  \
        /* `count` lines: `before` zeros, n elements of x `step` apart, `after` zeros. */           \
        void (*lines)(T *to, int64_t to_step, int64_t before, int64_t n, int64_t after, const T *x,                        \
                      int64_t x_step, int64_t step, int64_t count);                                \
        /* a and b: the operator's float attributes. */                                            \
        void (*unary[UNARY_COUNT])(const T *in, T *out, int64_t n, T a, T b);                      \
        broadcast_fn *binary[BINARY_COUNT];                                                        \
        void (*clip)(const T *in, T *out, int64_t n, const T *low, const T *high);                 \
        /* y[i] over x[tap][i] in order: the largest; the sum by the divisor. */                   \
        void (*pool_max)(T *y, int64_t n, int taps, const T *const *x);                            \
        void (*pool_mean)(T *y, int64_t n, int taps, const T *const *x, T divisor);                \
        /* Also its place: base[tap] + i * step. */                                                \
        void (*pool_max_at)(T *y, int64_t *at, int64_t n, int taps, const T *const *x, const int64_t *base, int64_t step);  \
        /* y[r] = the sum of x[r * n + i], i < n in order, by the divisor; r < 8. */                 \
        void (*mean_rows)(const T *x, int64_t n, T *y, T divisor);                                 \
        quant_fn *quantize[QUANT_COUNT], *dequantize[QUANT_COUNT];                                 \
        /* sum[r] = the chain from sum[r] of w[r * step + i] and x[i], i ascending. */             \
        void (*chains)(const T *w, int64_t step, int64_t rows, const T *x, int64_t n, T *sum);     \
        /* LRN along a row: the chain of the squares of x[tap][i], then centre[i] / pow(fma(factor, sum, bias), beta). */   \
        void (*lrn)(T *y, int64_t n, int taps, const T *const *x, const T *centre, T factor, T bias, T beta);               \
        /* Of x, or its logarithm. */                                                              \
        void (*softmax)(const T *x, T *y, int64_t n, bool logarithm);                                              \
        /* y = fma((x - mean) * inverse, scale, bias), each of these per element when `each`, else the first of them.       */ \
        void (*affine)(const T *x, T *y, int64_t n, bool each, const T *mean, const T *inverse,    \
                       const T *scale, const T *bias);                                             \
        /* LayerNormalization of up to 8 rows of n elements (ops/norm.c); bias may be NULL. */     \
        void (*norm_rows)(const T *x, T *y, int rows, int64_t n, T epsilon, const T *scale, const T *bias);                \
        /* Of scores: s[i] += bias[i], a bias of minus infinity stays; then the softmax of up to 8 rows in place, with one more \
         * score `sink` when `extra`; rows that attend to nothing become zeros (ops/attention.inc).*/                        \
        void (*scale)(T *s, T factor, int64_t n);                                                  \
        void (*cap)(T *s, T most, int64_t n); /* tanh(s / most) * most */                           \
        void (*add_bias)(T *s, const T *bias, int64_t n);                                          \
        void (*attend_rows)(T *s, int rows, int64_t n, const bool *attended, bool extra, T sink);  \
        /* Sets [s, s + sets) of a normalisation, sets <= 8; dense: j->inner[i] is i. */            \
        void (*norm_sets)(const struct norm_job *j, int64_t s, int sets, bool dense);              \
        reduce_fn_##S *reduce[REDUCTIONS];                                                         \
        /* `count` <= 64 side by side, elements `step` apart. */                                   \
        void (*softmax_columns)(const T *x, T *y, int64_t n, int64_t step, int64_t count, bool logarithm);         \
    };
/* clang-format off */
MICRO(float, f)
MICRO(double, d)
/* clang-format on */
#undef MICRO

/* Sums of products of 16-bit integers: `pairs` times two of them. Rows of A lie lda apart; B is a
 * panel of int_columns columns, [pair][column][2]. */
struct int_tile {
    int64_t pairs, lda, ldc;
    const int16_t *a, *b;
    int32_t *c;
};

/* One of each a channel: the bias, the factor multiplier * 2^(left - right - 31). */
struct int_rescale {
    const int32_t *bias, *multiplier, *left, *right;
    int32_t zero, low, high;
};

/* ONNX's way from sums to quantized integers (ops/qlinear.c): bias and factor one a column. */
struct int_requant {
    const double *bias, *factor;
    bool single; /* float32 arithmetic */
    double zero, least, largest;
};

/* Add and Sub on quantized integers (ops/fixed_binary.c): of the operands and of the result. */
struct int_add {
    int32_t zero[3], multiplier[3], left[3], right[3], low, high;
    int shift;
    bool difference;
};

enum { INT_VECTORS = 3 }; /* of a tile */

struct isa {
    const char *name; /* as CALQUE_ISA spells it */
    int int_rows, int_columns;
    void (*int_tile)(const struct int_tile *t, int rows, int columns);
    /* sum[i] = sum of x[tap][i] * w[w_at[tap] + i]. */
    void (*int_taps)(int32_t *sum, int64_t n, int taps, const int16_t *const *x, const int16_t *w,
                     const int64_t *w_at);
    /* Sums of n channels, the first `channel`, to the output's integers (ops/fixed_sums.h). */
    void (*int_rescale)(const struct int_rescale *s, int32_t *v, int64_t n, int64_t channel);
    void (*int_requantize)(const struct int_requant *s, int32_t *v, int64_t n, int64_t column);
    broadcast_fn *int_add[2];  /* int8, uint8; arg: struct int_add */
    quant_fn *int_quantize[3]; /* int8, uint8, int16, from float32: ties away from zero, step 0 */
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
