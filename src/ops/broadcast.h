/* NumPy broadcasting as a loop nest: up to six operands read against one row-major output. */
#ifndef OPS_BROADCAST_H
#define OPS_BROADCAST_H

#include "ops/op.h"

enum { MAX_OPERANDS = 6 };

/* Dimensions of size 1 are gone and neighbours that all operands step through alike are merged, so
 * the innermost stride of every operand is 0 or 1. rank >= 1. */
struct broadcast {
    int rank, n;
    int64_t dim[MAX_RANK];
    int64_t stride[MAX_OPERANDS][MAX_RANK]; /* in elements; 0 where the operand is repeated */
};

/* One run of `n` output elements; operand k goes on by step[k] (0 or 1) elements. */
typedef void broadcast_fn(const void *const *operand, const int *step, void *out, int64_t n,
                          const void *arg);

/* The shapes must broadcast to `dim` (the shape rule saw to it; a BUG otherwise). */
enum status broadcast_plan(struct broadcast *b, int rank, const int64_t *dim, int n,
                           const struct tensor *const *in, struct err *e);
/* Calls fn for every innermost run, in row-major order, or on the pool's threads in parts. */
void broadcast_run(const struct broadcast *b, const struct tensor *const *in, struct tensor *out,
                   broadcast_fn *fn, const void *arg, struct pool *pool);
/* Flat operand offsets of output element i. */
void broadcast_offsets(const struct broadcast *b, int64_t i, int64_t *offset);

#endif
