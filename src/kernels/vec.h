/* Vectors of one instruction set under one set of names, chosen by the flags a file is compiled
 * with. s is f or d:
 *
 *     VEC_s                    LANES_s elements
 *     LOAD_s(p) STORE_s(p, v)  unaligned
 *     LOAD_N_s(p, n)           the first n lanes (1 <= n <= LANES_s), the others zero
 *     STORE_N_s(p, v, n)       the first n lanes
 *     ALL_s(x)                 x in every lane
 *     FMA_s(a, b, c)           a * b + c with one rounding
 *     ADD_s(a, b) DIV_s(a, b)
 *     LARGER_s(v, m)           v where it is larger than m or NaN, else m
 *     MOST_s(a, b) LEAST_s(a, b)  a where it is larger (smaller) than b, else b
 *     EVEN_s(a, b)             the elements 0, 2, 4, ... of a and b in a row
 *     MASK_s                   some lanes; MASK_OF_s(lo, hi): lanes [lo, hi), 0 <= lo <= hi
 *     MASK_BITS_s(b)           the lanes whose bits are set in b; higher bits are not looked at
 *     LOAD_M_s(p, m)           those lanes alone are read, the others zero
 *     FMA_M_s(m, a, b, c)      FMA_s in those lanes, c in the others
 *     TURN_s(p, ps, q, qs)     transposes a block of TURNED_s rows and columns, rows ps and qs
 * apart
 *
 * Integers: VEC_i holds LANES_f sums of 32 bits, PAIRS_i as many pairs of 16.
 *
 *     ZERO_i() LOAD_i(p) PAIR_i(p)  zeros; pairs; one pair in every lane
 *     WIDE_i(p)                     numbers side by side, each paired with zero
 *     DOT_i(a, b, c)                c + the sum of the products of a pair, wrapping
 *     STORE_N_i(p, v, n)            the first n sums
 *
 * A file defines VEC_PORTABLE to ask for plain C. Nothing here may change a bit from one set to the
 * next. */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

#include <stdint.h>
#include <string.h>

#if !defined(VEC_PORTABLE) && defined(__AVX512F__)

#include <immintrin.h>
enum { LANES_f = 16, LANES_d = 8, ROWS = 8 };
typedef __m512 VEC_f;
typedef __m512d VEC_d;
#define LOAD_f(p) _mm512_loadu_ps(p)
#define LOAD_d(p) _mm512_loadu_pd(p)
#define STORE_f(p, v) _mm512_storeu_ps(p, v)
#define STORE_d(p, v) _mm512_storeu_pd(p, v)
#define LOAD_N_f(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1u), p)
#define LOAD_N_d(p, n) _mm512_maskz_loadu_pd((__mmask8)((1u << (n)) - 1u), p)
#define STORE_N_f(p, v, n) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1u), v)
#define STORE_N_d(p, v, n) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (n)) - 1u), v)
#define ALL_f(x) _mm512_set1_ps(x)
#define ALL_d(x) _mm512_set1_pd(x)
#define FMA_f(a, b, c) _mm512_fmadd_ps(a, b, c)
#define FMA_d(a, b, c) _mm512_fmadd_pd(a, b, c)
#define ADD_f(a, b) _mm512_add_ps(a, b)
#define ADD_d(a, b) _mm512_add_pd(a, b)
#define DIV_f(a, b) _mm512_div_ps(a, b)
#define DIV_d(a, b) _mm512_div_pd(a, b)
#define MOST_f(a, b) _mm512_max_ps(a, b)
#define MOST_d(a, b) _mm512_max_pd(a, b)
#define LEAST_f(a, b) _mm512_min_ps(a, b)
#define LEAST_d(a, b) _mm512_min_pd(a, b)
#define EVEN_f(a, b)        \
    _mm512_permutex2var_ps( \
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b)
#define EVEN_d(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b)
typedef __mmask16 MASK_f;
typedef __mmask8 MASK_d;
#define MASK_OF_f(lo, hi) (__mmask16)((1u << (hi)) - (1u << (lo)))
#define MASK_OF_d(lo, hi) (__mmask8)((1u << (hi)) - (1u << (lo)))
#define MASK_BITS_f(b) (__mmask16)(b)
#define MASK_BITS_d(b) (__mmask8)(b)
#define LOAD_M_f(p, m) _mm512_maskz_loadu_ps(m, p)
#define LOAD_M_d(p, m) _mm512_maskz_loadu_pd(m, p)
#define FMA_M_f(m, a, b, c) _mm512_mask3_fmadd_ps(a, b, c, m)
#define FMA_M_d(m, a, b, c) _mm512_mask3_fmadd_pd(a, b, c, m)
/* The machine's maximum gives its second operand unless the first is larger. */
static inline __m512 LARGER_f(__m512 v, __m512 m) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), _mm512_max_ps(v, m), v);
}
static inline __m512d LARGER_d(__m512d v, __m512d m) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(v, v, _CMP_UNORD_Q), _mm512_max_pd(v, m), v);
}

typedef __m512i VEC_i, PAIRS_i;
#define ZERO_i() _mm512_setzero_si512()
#define LOAD_i(p) _mm512_loadu_si512(p)
#define WIDE_i(p) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define DOT_i(a, b, c) _mm512_add_epi32(c, _mm512_madd_epi16(a, b))
#define STORE_N_i(p, v, n) _mm512_mask_storeu_epi32(p, (__mmask16)((1u << (n)) - 1u), v)
static inline __m512i PAIR_i(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm512_set1_epi32(pair);
}

#elif !defined(VEC_PORTABLE) && defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>
enum { LANES_f = 8, LANES_d = 4, ROWS = 4 };
typedef __m256 VEC_f;
typedef __m256d VEC_d;
#define LOAD_f(p) _mm256_loadu_ps(p)
#define LOAD_d(p) _mm256_loadu_pd(p)
#define STORE_f(p, v) _mm256_storeu_ps(p, v)
#define STORE_d(p, v) _mm256_storeu_pd(p, v)
static inline __m256i first_lanes_f(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256i first_lanes_d(int n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#define LOAD_N_f(p, n) _mm256_maskload_ps(p, first_lanes_f(n))
#define LOAD_N_d(p, n) _mm256_maskload_pd(p, first_lanes_d(n))
#define STORE_N_f(p, v, n) _mm256_maskstore_ps(p, first_lanes_f(n), v)
#define STORE_N_d(p, v, n) _mm256_maskstore_pd(p, first_lanes_d(n), v)
#define ALL_f(x) _mm256_set1_ps(x)
#define ALL_d(x) _mm256_set1_pd(x)
#define FMA_f(a, b, c) _mm256_fmadd_ps(a, b, c)
#define FMA_d(a, b, c) _mm256_fmadd_pd(a, b, c)
#define ADD_f(a, b) _mm256_add_ps(a, b)
#define ADD_d(a, b) _mm256_add_pd(a, b)
#define DIV_f(a, b) _mm256_div_ps(a, b)
#define DIV_d(a, b) _mm256_div_pd(a, b)
#define MOST_f(a, b) _mm256_max_ps(a, b)
#define MOST_d(a, b) _mm256_max_pd(a, b)
#define LEAST_f(a, b) _mm256_min_ps(a, b)
#define LEAST_d(a, b) _mm256_min_pd(a, b)
static inline __m256 EVEN_f(__m256 a, __m256 b) {
    __m256d pairs = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(pairs, 0xd8));
}
#define EVEN_d(a, b) _mm256_permute4x64_pd(_mm256_unpacklo_pd(a, b), 0xd8)
typedef __m256i MASK_f, MASK_d;
#define MASK_OF_f(lo, hi) _mm256_andnot_si256(first_lanes_f(lo), first_lanes_f(hi))
#define MASK_OF_d(lo, hi) _mm256_andnot_si256(first_lanes_d(lo), first_lanes_d(hi))
static inline __m256i MASK_BITS_f(unsigned bits) {
    __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), each), each);
}
static inline __m256i MASK_BITS_d(unsigned bits) {
    __m256i each = _mm256_setr_epi64x(1, 2, 4, 8);
    return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((int)bits), each), each);
}
#define LOAD_M_f(p, m) _mm256_maskload_ps(p, m)
#define LOAD_M_d(p, m) _mm256_maskload_pd(p, m)
#define FMA_M_f(m, a, b, c) _mm256_blendv_ps(c, _mm256_fmadd_ps(a, b, c), _mm256_castsi256_ps(m))
#define FMA_M_d(m, a, b, c) _mm256_blendv_pd(c, _mm256_fmadd_pd(a, b, c), _mm256_castsi256_pd(m))
/* The machine's maximum gives its second operand unless the first is larger. */
static inline __m256 LARGER_f(__m256 v, __m256 m) {
    return _mm256_blendv_ps(_mm256_max_ps(v, m), v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}
static inline __m256d LARGER_d(__m256d v, __m256d m) {
    return _mm256_blendv_pd(_mm256_max_pd(v, m), v, _mm256_cmp_pd(v, v, _CMP_UNORD_Q));
}
typedef __m256i VEC_i, PAIRS_i;
#define ZERO_i() _mm256_setzero_si256()
#define LOAD_i(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define WIDE_i(p) _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define DOT_i(a, b, c) _mm256_add_epi32(c, _mm256_madd_epi16(a, b))
#define STORE_N_i(p, v, n) _mm256_maskstore_epi32(p, first_lanes_f(n), v)
static inline __m256i PAIR_i(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
}

#else

#if !defined(VEC_PORTABLE) && defined(__aarch64__)
#include <arm_neon.h>
enum { LANES_f = 4, LANES_d = 2, ROWS = 8 };
typedef float32x4_t VEC_f;
typedef float64x2_t VEC_d;
#define LOAD_f(p) vld1q_f32(p)
#define LOAD_d(p) vld1q_f64(p)
#define STORE_f(p, v) vst1q_f32(p, v)
#define STORE_d(p, v) vst1q_f64(p, v)
#define ALL_f(x) vdupq_n_f32(x)
#define ALL_d(x) vdupq_n_f64(x)
#define FMA_f(a, b, c) vfmaq_f32(c, a, b)
#define FMA_d(a, b, c) vfmaq_f64(c, a, b)
#define ADD_f(a, b) vaddq_f32(a, b)
#define ADD_d(a, b) vaddq_f64(a, b)
#define DIV_f(a, b) vdivq_f32(a, b)
#define DIV_d(a, b) vdivq_f64(a, b)
#define MOST_f(a, b) vbslq_f32(vcgtq_f32(a, b), a, b)
#define MOST_d(a, b) vbslq_f64(vcgtq_f64(a, b), a, b)
#define LEAST_f(a, b) vbslq_f32(vcltq_f32(a, b), a, b)
#define LEAST_d(a, b) vbslq_f64(vcltq_f64(a, b), a, b)
static inline float32x4_t LARGER_f(float32x4_t v, float32x4_t m) {
    return vbslq_f32(vorrq_u32(vcgtq_f32(v, m), vmvnq_u32(vceqq_f32(v, v))), v, m);
}
static inline float64x2_t LARGER_d(float64x2_t v, float64x2_t m) {
    uint64x2_t number = vceqq_f64(v, v), all = vceqq_u64(number, number);
    return vbslq_f64(vorrq_u64(vcgtq_f64(v, m), veorq_u64(number, all)), v, m);
}
#else
enum { LANES_f = 4, LANES_d = 4, ROWS = 4 };
typedef struct {
    float at[4];
} VEC_f;
typedef struct {
    double at[4];
} VEC_d;
#define PORTABLE(T, S, FMA)                                                        \
    static inline VEC_##S LOAD_##S(const T *p) {                                   \
        return (VEC_##S) { { p[0], p[1], p[2], p[3] } };                           \
    }                                                                              \
    static inline void STORE_##S(T *p, VEC_##S v) {                                \
        for (int i = 0; i < 4; i++)                                                \
            p[i] = v.at[i];                                                        \
    }                                                                              \
    static inline VEC_##S ALL_##S(T x) {                                           \
        return (VEC_##S) { { x, x, x, x } };                                       \
    }                                                                              \
    static inline VEC_##S FMA_##S(VEC_##S a, VEC_##S b, VEC_##S c) {               \
        for (int i = 0; i < 4; i++)                                                \
            c.at[i] = FMA(a.at[i], b.at[i], c.at[i]);                              \
        return c;                                                                  \
    }                                                                              \
    static inline VEC_##S ADD_##S(VEC_##S a, VEC_##S b) {                          \
        for (int i = 0; i < 4; i++)                                                \
            a.at[i] += b.at[i];                                                    \
        return a;                                                                  \
    }                                                                              \
    static inline VEC_##S DIV_##S(VEC_##S a, VEC_##S b) {                          \
        for (int i = 0; i < 4; i++)                                                \
            a.at[i] /= b.at[i];                                                    \
        return a;                                                                  \
    }                                                                              \
    static inline VEC_##S MOST_##S(VEC_##S a, VEC_##S b) {                         \
        for (int i = 0; i < 4; i++)                                                \
            b.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];                       \
        return b;                                                                  \
    }                                                                              \
    static inline VEC_##S LEAST_##S(VEC_##S a, VEC_##S b) {                        \
        for (int i = 0; i < 4; i++)                                                \
            b.at[i] = a.at[i] < b.at[i] ? a.at[i] : b.at[i];                       \
        return b;                                                                  \
    }                                                                              \
    static inline VEC_##S LARGER_##S(VEC_##S v, VEC_##S m) {                       \
        for (int i = 0; i < 4; i++)                                                \
            m.at[i] = v.at[i] > m.at[i] || v.at[i] != v.at[i] ? v.at[i] : m.at[i]; \
        return m;                                                                  \
    }
PORTABLE(float, f, __builtin_fmaf)
PORTABLE(double, d, __builtin_fma)
#undef PORTABLE
#endif

typedef struct {
    int16_t pair[2 * LANES_f];
} PAIRS_i;
typedef struct {
    int32_t at[LANES_f];
} VEC_i;
static inline VEC_i ZERO_i(void) {
    return (VEC_i) { { 0 } };
}
static inline PAIRS_i LOAD_i(const int16_t *p) {
    PAIRS_i v;
    memcpy(v.pair, p, sizeof v);
    return v;
}
static inline PAIRS_i WIDE_i(const int16_t *p) {
    PAIRS_i v;
    for (int i = 0; i < LANES_f; i++) {
        v.pair[2 * i] = p[i];
        v.pair[2 * i + 1] = 0;
    }
    return v;
}
static inline PAIRS_i PAIR_i(const int16_t *p) {
    PAIRS_i v;
    for (int i = 0; i < 2 * LANES_f; i++)
        v.pair[i] = p[i % 2];
    return v;
}
static inline VEC_i DOT_i(PAIRS_i a, PAIRS_i b, VEC_i c) {
    for (int i = 0; i < LANES_f; i++)
        c.at[i] = (int32_t)((uint32_t)c.at[i] + (uint32_t)((int32_t)a.pair[2 * i] * b.pair[2 * i]) +
                            (uint32_t)((int32_t)a.pair[2 * i + 1] * b.pair[2 * i + 1]));
    return c;
}
static inline void STORE_N_i(int32_t *p, VEC_i v, int n) {
    memcpy(p, v.at, (size_t)n * sizeof *p);
}

#define PARTIAL(T, S)                                        \
    static inline VEC_##S LOAD_N_##S(const T *p, int n) {    \
        T all[LANES_##S] = { 0 };                            \
        for (int i = 0; i < n; i++)                          \
            all[i] = p[i];                                   \
        return LOAD_##S(all);                                \
    }                                                        \
    static inline void STORE_N_##S(T *p, VEC_##S v, int n) { \
        T all[LANES_##S];                                    \
        STORE_##S(all, v);                                   \
        for (int i = 0; i < n; i++)                          \
            p[i] = all[i];                                   \
    }
PARTIAL(float, f)
PARTIAL(double, d)
#undef PARTIAL

typedef unsigned MASK_f, MASK_d; /* a bit a lane */
#define MASK_OF_f(lo, hi) ((1u << (hi)) - (1u << (lo)))
#define MASK_OF_d(lo, hi) ((1u << (hi)) - (1u << (lo)))
#define MASK_BITS_f(b) (b)
#define MASK_BITS_d(b) (b)
#define SELECTED(T, S)                                                             \
    static inline VEC_##S LOAD_M_##S(const T *p, MASK_##S m) {                     \
        T all[LANES_##S] = { 0 };                                                  \
        for (int i = 0; i < LANES_##S; i++)                                        \
            if (m >> i & 1u)                                                       \
                all[i] = p[i];                                                     \
        return LOAD_##S(all);                                                      \
    }                                                                              \
    static inline VEC_##S FMA_M_##S(MASK_##S m, VEC_##S a, VEC_##S b, VEC_##S c) { \
        T sum[LANES_##S], all[LANES_##S];                                          \
        STORE_##S(sum, FMA_##S(a, b, c));                                          \
        STORE_##S(all, c);                                                         \
        for (int i = 0; i < LANES_##S; i++)                                        \
            if (m >> i & 1u)                                                       \
                all[i] = sum[i];                                                   \
        return LOAD_##S(all);                                                      \
    }                                                                              \
    static inline VEC_##S EVEN_##S(VEC_##S a, VEC_##S b) {                         \
        T from[2 * LANES_##S], to[LANES_##S];                                      \
        STORE_##S(from, a);                                                        \
        STORE_##S(from + LANES_##S, b);                                            \
        for (int i = 0; i < LANES_##S; i++)                                        \
            to[i] = from[2 * i];                                                   \
        return LOAD_##S(to);                                                       \
    }
SELECTED(float, f)
SELECTED(double, d)
#undef SELECTED

#endif

/* Transposed blocks. */
#if !defined(VEC_PORTABLE) && defined(__AVX2__)
enum { TURNED_f = 8, TURNED_d = 4 };
static inline void TURN_f(const float *p, int64_t ps, float *q, int64_t qs) {
    __m256 r[8], s[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(p + i * ps);
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) { /* rows i + 2k and the next: pairs of elements */
            s[i + k] = _mm256_unpacklo_ps(r[i + 2 * k], r[i + 2 * k + 1]);
            s[i + k + 2] = _mm256_unpackhi_ps(r[i + 2 * k], r[i + 2 * k + 1]);
        }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) { /* columns 2k and 2k + 1 of four rows, and those 4 further */
            r[i + 2 * k] = _mm256_shuffle_ps(s[i + 2 * k], s[i + 2 * k + 1], 0x44);
            r[i + 2 * k + 1] = _mm256_shuffle_ps(s[i + 2 * k], s[i + 2 * k + 1], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(q + i * qs, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(q + (i + 4) * qs, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}
static inline void TURN_d(const double *p, int64_t ps, double *q, int64_t qs) {
    __m256d r[4], s[4];
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_loadu_pd(p + i * ps);
    for (int i = 0; i < 4; i += 2) {
        s[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_pd(q + i * qs, _mm256_permute2f128_pd(s[i], s[i + 2], 0x20));
        _mm256_storeu_pd(q + (i + 2) * qs, _mm256_permute2f128_pd(s[i], s[i + 2], 0x31));
    }
}
#else
enum { TURNED_f = 4, TURNED_d = 4 };
#define TURN(T, S)                                                          \
    static inline void TURN_##S(const T *p, int64_t ps, T *q, int64_t qs) { \
        for (int i = 0; i < 4; i++)                                         \
            for (int k = 0; k < 4; k++)                                     \
                q[k * qs + i] = p[i * ps + k];                              \
    }
TURN(float, f)
TURN(double, d)
#undef TURN
#endif

#endif
