/* How a scale and a zero point apply to the elements of a tensor: per tensor, per axis or in blocks
 * (ONNX QuantizeLinear). */
#ifndef OPS_QUANTIZE_H
#define OPS_QUANTIZE_H

#include "ops/op.h"

/* Elements are gone through in runs that share one parameter. */
struct quant_layout {
    int64_t outer, n, inner; /* around the axis; per tensor: n == 1 */
    int64_t block;           /* elements of the axis to a parameter; 1 per axis */
    int64_t parameters;      /* of the axis: ceil(n / block) */
    bool blocked;
};

/* axis and block_size as the attributes say; scale's shape decides. */
enum status quant_layout(struct quant_layout *q, const struct tensor *x, const struct tensor *scale,
                         int64_t axis, int64_t block_size, struct err *e);
/* Calls fn(arg, first element, elements, parameter) for every run in order. */
void quant_runs(const struct quant_layout *q,
                void (*fn)(void *arg, int64_t from, int64_t n, int64_t k), void *arg);

/* Least and largest value of a quantized integer type. */
void quant_range(enum dtype t, int64_t *least, int64_t *largest);

/* To the nearest integer, ties to even (the default rounding mode), without a call. */
static inline double quant_round(double v) {
    return v < 0x1p51 && v > -0x1p51 ? (v + 0x1.8p52) - 0x1.8p52 : v;
}

#endif
