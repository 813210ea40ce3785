/* Dynamic range quantization: float activations with integer weights. TensorFlow Lite's hybrid
 * kernels make 8-bit integers of the activations, row by row, add products of integers, and
 * multiply the sum by the scales. Operators of domain "fixed" whose input 0 has no scale are such.
 *
 * A row is quantized in float32: with a zero point (asymmetric: the range from the least, at most
 * 0, to the largest, at least 0, in 255 steps), or without (127 steps to the largest magnitude). */
#ifndef OPS_HYBRID_H
#define OPS_HYBRID_H

#include "ops/fixed.h"

struct hybrid_row {
    float scale;
    int32_t zero;
};

/* Quantizes n floats into q; NaN becomes the least integer. */
struct hybrid_row hybrid_quantize(const float *x, int64_t n, bool asymmetric, int32_t *q);

/* A matrix of integer weights, rows x columns, with one scale or one a row. */
struct hybrid_matrix {
    const int32_t *q;
    int64_t columns;
    const float *scale;
    int64_t step; /* of the scales: 0 or 1 */
};

/* A row as the recurrent kernels multiply it. */
struct hybrid_vector {
    struct hybrid_row row;
    const int32_t *q;
};
/* The product of row r of m and v. */
float hybrid_product(const struct hybrid_matrix *m, int64_t r, const struct hybrid_vector *v);

/* Input i of an operator of domain "fixed" is float32 without a scale. */
bool hybrid_input(const struct op_ctx *c, int i);
/* Weights: input i, which must be int8, int4 or int2 with zero points of 0 and as many scales as
 * it has channels, or one. */
enum status hybrid_weights(struct op_ctx *c, int i, int64_t channels, struct fixed_quant *q,
                           const int32_t **values);
/* A bias: input i in float32, of n elements; NULL when left out. */
enum status hybrid_bias(struct op_ctx *c, int i, int64_t n, const float **out);

/* Conv, ConvTranspose; Gemm, MatMul. Also of float weights, in the reference kernels' order. */
enum status hybrid_conv(struct op_ctx *c, bool transposed);
enum status hybrid_matmul(struct op_ctx *c, bool gemm);

#endif
