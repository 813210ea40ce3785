/* Sums of products of quantized integers, brought to the output's scale: what convolutions and
 * matrix products of domain "fixed" share. */
#ifndef OPS_FIXED_SUMS_H
#define OPS_FIXED_SUMS_H

#include "ops/fixed.h"

struct fixed_sums {
    struct fixed_quant x, k, y;
    bool wide;                   /* 64-bit sums, as with 16-bit activations */
    const int32_t *left, *right; /* the operands without their zero points */
    const int64_t *bias;         /* NULL: none */
    /* One a channel, or one for all (step 0). `real`: products are rounded from float64 instead. */
    struct fixed_factor *factor;
    double *real;
    int64_t step;
    int32_t low, high;
};

/* Reads inputs 0 (activation), 1 (weights, perhaps with one scale a channel) and 2 (bias, when
 * bias_given). */
enum status fixed_sums_read(struct op_ctx *c, struct fixed_sums *s, int64_t channels);
/* The same without the operands. */
enum status fixed_sums_plan(struct op_ctx *c, struct fixed_sums *s, int64_t channels);
/* 8-bit operands with a 16-bit output: the reference's fully connected kernel reads both as
 * unsigned bytes, also where they are signed. */
bool fixed_sums_as_bytes(const struct fixed_sums *s);
/* The reference's fully connected kernel multiplies the sum by the exact factor in float64 and
 * rounds, ties away from zero; only 16-bit weights go by the fixed-point factor. */
void fixed_sums_in_reals(struct op_ctx *c, struct fixed_sums *s);
/* The output's integer of a sum without its bias. */
int32_t fixed_sums_narrow(const struct fixed_sums *s, int32_t sum, int64_t channel);
int32_t fixed_sums_wide(const struct fixed_sums *s, int64_t sum, int64_t channel);

/* sum of a[i] * b[i * step], wrapping. */
int32_t fixed_dot(const int32_t *a, const int32_t *b, int64_t n, int64_t a_step, int64_t b_step);
int64_t fixed_dot_wide(const int32_t *a, const int32_t *b, int64_t n, int64_t a_step,
                       int64_t b_step);

#endif
