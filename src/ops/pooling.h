/* Pools: the plan that kernels and gradients share. */
#ifndef OPS_POOLING_H
#define OPS_POOLING_H

#include "ops/spatial.h"

enum pool_kind { POOL_MAX, POOL_AVERAGE, POOL_LP };

struct pool_plan {
    struct window w;
    int rank;
    int64_t batch, channels, lp;
    int64_t x_batch, x_channel, x_spatial[MAX_RANK];
    int64_t y_batch, y_channel, y_spatial[MAX_RANK];
    int64_t y_dim[MAX_RANK];
    bool count_pad, column_major;
};
/* Reads and checks the attributes; dims may be unknown (negative), then strides are not set. */
enum status pool_plan(const struct node *n, bool global, enum pool_kind kind, int rank,
                      const int64_t *dim, struct pool_plan *p, struct err *e);
/* Elements of the window at output position `at` that lie in the data or its padding; what
 * ceil_mode adds past that is not counted. */
int64_t pool_padded_count(const struct window *w, int64_t at);

/* MaxPool's index of the element at offset `at` within an image's channel: the offset itself, or
 * with storage_order 1 the position that it has when the first spatial axis varies fastest. */
int64_t pool_max_index(const struct pool_plan *p, int64_t at);

/* Attributes of every form of the pools, for tables of rows (ops/row.h). */
#define POOL_ATTRS                                                                  \
    NEEDED("kernel_shape", INTS), PLAIN("strides", INTS), PLAIN("dilations", INTS), \
        PLAIN("pads", INTS), STRING("auto_pad", "NOTSET"), INT("ceil_mode", 0),     \
        STRING("layout", "NCHW")
#define MAX_POOL_ATTRS POOL_ATTRS, INT("storage_order", 0)
#define AVERAGE_POOL_ATTRS POOL_ATTRS, INT("count_include_pad", 0)

op_grad_fn max_pool_grad, average_pool_grad, lp_pool_grad, global_max_pool_grad,
    global_average_pool_grad, global_lp_pool_grad;

#endif
