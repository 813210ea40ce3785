/* Splitting the outputs of a kernel over the pool, and its inputs as the float type it computes in.
 */
#ifndef OPS_SPLIT_H
#define OPS_SPLIT_H

#include "ops/op.h"

/* A task's part of n units: [begin, end). */
struct part {
    int64_t begin, end;
    int task; /* 0 .. split_tasks() - 1: index of its scratch memory */
};
/* How many tasks split_run makes of n units of `cost` elementary operations each. */
int split_tasks(const struct op_ctx *c, int64_t n, int64_t cost);
/* Runs f on every part. Results must not depend on the split. */
void split_run(const struct op_ctx *c, int64_t n, int64_t cost, void (*f)(void *arg, struct part p),
               void *arg);

/* The elements of input i as `store` (DT_F64, DT_F32, DT_I64, ...): its own, or a converted copy in
 * scratch. NULL when the input is left out. */
const void *input_as(struct op_ctx *c, int i, enum dtype store);

/* Input i as `store`, broadcast to a shape: element k of the shape is at k % *period of the result.
 * The input must broadcast to it. NULL when the input is left out. */
const void *input_broadcast(struct op_ctx *c, int i, enum dtype store, int rank, const int64_t *dim,
                            int64_t *period);
/* Fails unless input i, when given and known, broadcasts to the shape without enlarging it. */
enum status need_broadcast(struct shape_ctx *c, int i, int rank, const int64_t *dim);

/* Flat offsets of all index tuples over the chosen axes, row-major; the count is the product of
 * their dims. */
int64_t *axes_offsets(struct arena *a, int rank, const int64_t *dim, const bool *chosen,
                      int64_t *count);

/* True when input i is given. */
bool input_given(const struct op_ctx *c, int i);
bool fact_given(const struct shape_ctx *c, int i);

/* Fails unless the known dtype of input i is a float type. */
enum status need_float(struct shape_ctx *c, int i);
/* Fails unless the known dtypes of inputs i and j are equal. */
enum status need_same_dtype(struct shape_ctx *c, int i, int j);
/* Fails unless input i, when given and known, has this rank; and these dims where both are known
 * (dim may be NULL). */
enum status need_shape(struct shape_ctx *c, int i, int rank, const int64_t *dim);
/* Fails unless input i, when given, is a vector of n elements. */
enum status need_vector(struct shape_ctx *c, int i, int64_t n);
/* Output i, when there is one. */
void out_shape(struct shape_ctx *c, int i, enum dtype dtype, int rank, const int64_t *dim);

#endif
