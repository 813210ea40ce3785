/* Operators on quantized integers in integer arithmetic, domain "fixed": the forms that
 * passes/fixed_point.h gives to the quantized operators of a TensorFlow Lite file, so that a run in
 * native precision has the bits of the format's reference kernels.
 *
 * An operator keeps the name and the attributes of the operator on reals that it stands for. With D
 * data inputs and N outputs its inputs are
 *     data 0 .. D-1,  scale and zero point of data 0 .. D-1,  scale and zero point of output 0 ..
 * N-1 both left out where a tensor is not quantized. Scales are float32, one or one a channel.
 *
 * A real multiplier is a 31-bit fraction and a power of two. Multiplication rounds twice: the
 * doubled high half of the product to nearest (ties away from zero), then the shift to the right to
 * nearest (ties away from zero). 64-bit sums use a 15-bit fraction and round once, ties up. */
#ifndef OPS_FIXED_H
#define OPS_FIXED_H

#include "ops/op.h"

/* --- arithmetic --- */

/* multiplier * 2^(shift - 31) */
struct fixed_factor {
    int32_t multiplier;
    int shift;
};
struct fixed_factor fixed_factor_of(double real);

/* Wraps as two's complement does. */
static inline int32_t fixed_shift_left(int32_t x, int n) {
    return (int32_t)((uint32_t)x << n);
}

/* (2 * a * b) / 2^32 rounded to nearest, saturated. */
static inline int32_t fixed_high_product(int32_t a, int32_t b) {
    if (a == b && a == INT32_MIN)
        return INT32_MAX;
    int64_t product = (int64_t)a * b;
    int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
    return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

/* x / 2^n to nearest, ties away from zero; 0 <= n <= 31. Shifts of negative numbers are arithmetic
 * with every compiler that calque is built with. */
static inline int32_t fixed_round_shift(int32_t x, int n) {
    int32_t mask = (int32_t)((UINT32_C(1) << n) - 1);
    int32_t rest = x & mask, threshold = (mask >> 1) + (x < 0);
    return (x >> n) + (rest > threshold);
}

/* Shifts beyond the width, which the reference leaves undefined, are limited to it. */
static inline int32_t fixed_scale(int32_t x, struct fixed_factor f) {
    int left = f.shift > 0 ? f.shift : 0, right = f.shift > 0 ? 0 : -f.shift;
    if (right > 31)
        return 0;
    left = left < 31 ? left : 31;
    return fixed_round_shift(fixed_high_product(fixed_shift_left(x, left), f.multiplier), right);
}

static inline int32_t fixed_scale_wide(int64_t x, struct fixed_factor f) {
    int64_t reduced = f.multiplier < 0x7fff0000 ? (f.multiplier + (1 << 15)) >> 16 : 0x7fff;
    int shift = f.shift < 14 ? 15 - f.shift : 1;
    return (int32_t)((x * reduced + (INT64_C(1) << (shift - 1))) >> shift);
}

static inline int32_t fixed_clamp(int32_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : x;
}

/* To nearest, ties away from zero, whatever the rounding mode. */
double fixed_round(double x);

/* Fixed-point fractions: `bits` integer bits, 31 - bits fraction bits. */
int32_t fixed_rescale(int32_t x, int from_bits, int to_bits);
/* exp(a), a <= 0 with `bits` integer bits; the result has none. */
int32_t fixed_exp_negative(int32_t a, int bits);
/* 1 / (1 + x) for x in [0, 1], no integer bits on either side. */
int32_t fixed_reciprocal_of_one_plus(int32_t x);
/* Of 16-bit fractions: 15 - bits fraction bits; the result has no integer bits. */
int32_t fixed_logistic_narrow(int32_t a, int bits);
int32_t fixed_tanh_narrow(int32_t a, int bits);
int32_t fixed_product_narrow(int32_t a, int32_t b);
int32_t fixed_rescale_narrow(int32_t x, int from_bits, int to_bits);
/* 1 / x of a positive x with `bits` integer bits: a fraction to be shifted right by *over. */
int32_t fixed_reciprocal(int32_t x, int bits, int *over);
/* 1 / sqrt(x) as a factor, its shift to the left. */
struct fixed_factor fixed_inverse_root(int32_t x);

/* --- the inputs and outputs of an operator --- */

/* A tensor's quantization: n scales with their zero points; n == 0: not quantized. */
struct fixed_quant {
    enum dtype dtype;
    int64_t n;
    const float *scale;
    const struct tensor *zeros;
    int64_t zero;           /* of element 0 */
    int32_t least, largest; /* of the type */
};

int fixed_data_inputs(const struct node *n);
/* Quantization of data input i and of output i. */
enum status fixed_in(struct op_ctx *c, int i, struct fixed_quant *q);
enum status fixed_out(struct op_ctx *c, int i, struct fixed_quant *q);
/* The same, which must have one scale. */
enum status fixed_in_one(struct op_ctx *c, int i, struct fixed_quant *q);
enum status fixed_out_one(struct op_ctx *c, int i, struct fixed_quant *q);
/* The fused activation, attributes `low` and `high`, as limits of output 0. */
void fixed_limits(struct op_ctx *c, const struct fixed_quant *q, int32_t *low, int32_t *high);
/* A real number as quantized value, not limited to the type. */
int32_t fixed_quantized(const struct fixed_quant *q, double real);
/* Contents as int32 in scratch, `offset` added to each. */
int32_t *fixed_values(struct op_ctx *c, const struct tensor *t, int32_t offset);
/* int32 values into the narrow integers of t. */
void fixed_store(struct tensor *t, int64_t begin, int64_t n, const int32_t *from);
/* Add and Sub of operands a and b, shifted left by `shift`, into y: the factors of a and b to the
 * scale that they share (twice the larger), and of their sum. */
void fixed_add_factors(const struct fixed_quant *a, const struct fixed_quant *b,
                       const struct fixed_quant *y, int shift, struct fixed_factor f[3]);
/* The declared type is one that the reference has no kernel for. */
enum status fixed_bad_type(struct op_ctx *c, enum dtype t);

/* The shape rule of the operator on reals (where it has none: the shape of input 0), with the type
 * of the output's zero point. */
enum status fixed_shape(struct shape_ctx *c);

/* Attributes of every operator with a fused activation. */
#define FIXED_LIMITS FLOAT("low", -HUGE_VAL), FLOAT("high", HUGE_VAL)

/* The head of a row: name and number of data inputs, one output. */
#define FIXED(name_, least, most)                                                                  \
    .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, " name_, .min_in = least, \
    .max_in = 3 * (most) + 2, .min_out = 1, .max_out = 1, .shape = fixed_shape

#endif
