/* Functions of quantized integers that are looked up: 256 values for 8 bits, 513 with straight
 * lines between for 16. */
#ifndef OPS_FIXED_TABLE_H
#define OPS_FIXED_TABLE_H

#include "ops/fixed.h"

enum { FIXED_TABLE = 513 };

/* exp(x) for x in [-10, 0] and 1 / (1 + x) for x in [0, 1], as 16-bit softmax looks them up. */
void fixed_table_exp(int16_t *table);
void fixed_table_reciprocal(int16_t *table);
int16_t fixed_table_at(const int16_t *table, int16_t x);

/* sigmoid and tanh of 16-bit integers with 15 fraction bits in the result; x is multiplied by
 * factor * 2^-shift first (factor 0: by 3 * 2^shift). */
int16_t fixed_sigmoid_wide(int32_t x, int32_t factor, int shift);
int16_t fixed_tanh_wide(int32_t x, int32_t factor, int shift);

/* The kernel of Rsqrt on 16-bit integers. */
op_eval_fn fixed_rsqrt_wide;

#endif
