/* Inner loops of reference kernels that src/kernels replaces by faster ones with the same bits.
 *
 * Operators that share a loop (attentions, normalisations, reductions, Resize) keep their own
 * reading of inputs and attributes; a fast kernel sets op_ctx.cores and calls the reference. */
#ifndef OPS_CORES_H
#define OPS_CORES_H

#include "ops/attention.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "ops/resize.h"

struct op_cores {
    void (*attention)(struct op_ctx *c, const struct attention *a);
    void (*norm)(struct op_ctx *c, const struct norm_job *j); /* of any kind but NORM_GIVEN */
    void (*resize)(struct op_ctx *c, const struct resize_lines *r);
    /* sum[r] = the chain from sum[r] of w[r * step + i] and x[i], i < n ascending, r < rows. */
    void (*chains_f)(const float *w, int64_t step, int64_t rows, const float *x, int64_t n,
                     float *sum);
    void (*chains_d)(const double *w, int64_t step, int64_t rows, const double *x, int64_t n,
                     double *sum);
    reduce_fn_f *const *reduce_f; /* by enum reduction */
    reduce_fn_d *const *reduce_d;
};

#endif
