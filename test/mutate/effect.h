/* What a fault does to a model's outputs, and what a repair leaves of it. */
#ifndef TEST_EFFECT_H
#define TEST_EFFECT_H

#include <stdint.h>

/* Largest difference of two files' outputs over their largest magnitude, on made inputs; NaN when
 * one cannot be read or run, or shapes differ. */
double files_apart(const char *one, const char *two, uint64_t seed);

#endif
