/* Compiled for the machine at hand, unlike the product. */
#define _POSIX_C_SOURCE 200809L
#include "peak.h"

#include <time.h>

#include "kernels/vec.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { TURNS = 2000000, TRIES = 20 };

#define PEAK(T, S)                                                                                \
    double peak_##S(void) {                                                                       \
        VEC_##S a = ALL_##S((T)0.999999), b = ALL_##S((T)1e-6), c0 = ALL_##S(1), c1 = ALL_##S(2), \
                c2 = ALL_##S(3), c3 = ALL_##S(4), c4 = ALL_##S(5), c5 = ALL_##S(6),               \
                c6 = ALL_##S(7), c7 = ALL_##S(8), c8 = ALL_##S(9), c9 = ALL_##S(10);              \
        double best = 0;                                                                          \
        for (int t = 0; t < TRIES; t++) {                                                         \
            double t0 = now();                                                                    \
            for (int i = 0; i < TURNS; i++) {                                                     \
                c0 = FMA_##S(a, c0, b), c1 = FMA_##S(a, c1, b), c2 = FMA_##S(a, c2, b);           \
                c3 = FMA_##S(a, c3, b), c4 = FMA_##S(a, c4, b), c5 = FMA_##S(a, c5, b);           \
                c6 = FMA_##S(a, c6, b), c7 = FMA_##S(a, c7, b), c8 = FMA_##S(a, c8, b);           \
                c9 = FMA_##S(a, c9, b);                                                           \
            }                                                                                     \
            double rate = 20e-9 * LANES_##S * TURNS / (now() - t0);                               \
            best = rate > best ? rate : best;                                                     \
        }                                                                                         \
        T sink[10 * LANES_##S];                                                                   \
        STORE_##S(sink, FMA_##S(FMA_##S(c0, c1, c2), FMA_##S(c3, c4, c5),                         \
                                FMA_##S(c6, c7, FMA_##S(c8, c9, c0))));                           \
        volatile T keep = sink[0];                                                                \
        (void)keep;                                                                               \
        return best;                                                                              \
    }
PEAK(float, f)
PEAK(double, d)
