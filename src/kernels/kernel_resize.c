/* Interpolation along one axis: the bits of src/ops/resize.inc. An output is a chain over its
 * neighbours, like a row of taps; along the last axis lines are turned first, so that vectors lie
 * across them. */
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/kernel_cores.h"
#include "kernels/isa.h"
#include "ops/real.h"

enum { LINES = 32 }; /* turned at once */

#define EACH_REAL "kernels/kernel_resize.inc"
#include "ops/each_real.inc"

void core_resize(struct op_ctx *c, const struct resize_lines *r) {
    if (r->outer * r->out * r->inner == 0)
        return;
    if (r->store == DT_F64)
        resize_d(c, r);
    else
        resize_f(c, r);
}
