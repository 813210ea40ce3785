/* One source, two float types. A kernel body is written once as a macro over (T, S) with T the C
 * type and S its suffix for math functions (f, d), and picked by the store:
 *
 *     #define RELU(T, S) for (int64_t i = 0; i < n; i++) y_##S[i] = x_##S[i] > 0 ? x_##S[i] : 0;
 *
 * Long kernels live in a `.inc` file included twice with REAL and SUFFIX defined instead. */
#ifndef OPS_REAL_H
#define OPS_REAL_H

#include <math.h>

#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)
/* In a .inc file: FN(conv) is conv_f or conv_d. */
#define FN(name) PASTE(name, SUFFIX)

static inline double fma_d(double a, double b, double c) {
    return __builtin_fma(a, b, c);
}
static inline float fma_f(float a, float b, float c) {
    return __builtin_fmaf(a, b, c);
}

/* The functions that IEEE 754 rounds correctly, under names that a .inc file can form. */
static inline double sqrt_d(double v) {
    return sqrt(v);
}
static inline float sqrt_f(float v) {
    return sqrtf(v);
}
static inline double abs_d(double v) {
    return fabs(v);
}
static inline float abs_f(float v) {
    return fabsf(v);
}

#endif
