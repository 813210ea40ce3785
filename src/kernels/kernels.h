/* Fast kernels: the same bits as the reference kernel of src/ops, sooner. One table, kernels.c. */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include "ops/op.h"

/* A faster kernel for this node, or NULL. It has the reference kernel's contract; what it cannot do (a layout, a
 * dtype) it hands to node->def->eval itself. */
op_eval_fn *kernel_find(const struct node *n);

#endif
