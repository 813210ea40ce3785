/* Runners of elementwise kernels: types, threads, parameters. */
#ifndef OPS_ELEMENTWISE_H
#define OPS_ELEMENTWISE_H

#include "ops/op.h"

/* n elements; a and b are the first two float attributes of the row (0 when it has none). */
typedef void unary_float_fn(const float *in, float *out, int64_t n, float a, float b);
typedef void unary_double_fn(const double *in, double *out, int64_t n, double a, double b);
/* Adds to grad_in. */
typedef void unary_slope_fn(const double *in, const double *out, const double *grad_out,
                            double *grad_in, int64_t n, double a, double b);

/* Input 0 to output 0. Integers go to unary_integer. */
enum status unary_run(struct op_ctx *c, unary_float_fn *f, unary_double_fn *d);
enum status unary_grad(struct grad_ctx *c, unary_slope_fn *slope);
/* The integer form of an operator of unary.def, or an error that names the type. */
enum status unary_integer(struct op_ctx *c);

/* A bound of Clip: what is given, or the lowest (high: largest) finite number of the element type,
 * which is the default that the specification states for every version; infinities are clipped by
 * it. The reference evaluator of onnx has it so up to set 10 only, ONNX Runtime always. NULL for
 * integers. */
const struct tensor *clip_limit(const struct tensor *given, const struct tensor *x, bool high);

#endif
