/* The faster inner loops that a reference kernel is run with, see ops/cores.h. */
#ifndef KERNELS_KERNEL_CORES_H
#define KERNELS_KERNEL_CORES_H

#include "ops/cores.h"

/* The reference kernel with all of them: the fast kernel of each operator that shares a loop. */
enum status kernel_with_cores(struct op_ctx *c);

void core_attention(struct op_ctx *c, const struct attention *a);
void core_resize(struct op_ctx *c, const struct resize_lines *r);

#endif
