/* Reductions over axes of one float type: what reduce.c and the fast kernels share. */
#ifndef OPS_REDUCE_H
#define OPS_REDUCE_H

#include "ops/axes.h"

#define REDUCE(name, since, start, step, join, finish, slope) REDUCTION_##name,
enum reduction {
#include "ops/reduce.def"
    REDUCTIONS
};
#undef REDUCE

enum { CHAINS = 8 }; /* partial results of a run that is reduced */

/* One slab: x is its base in the input, y its output, shift (may be NULL) goes along with y. */
typedef void reduce_fn_f(const struct slabs *s, const float *x, const float *shift, float *y);
typedef void reduce_fn_d(const struct slabs *s, const double *x, const double *shift, double *y);

#endif
