/* Fast attention: the bits of src/ops/attention.inc. */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/kernel_cores.h"
#include "kernels/gemm.h"
#include "ops/real.h"

enum { QUERIES = 32 }; /* of a block */

#define EACH_REAL "kernels/kernel_attention.inc"
#include "ops/each_real.inc"

void core_attention(struct op_ctx *c, const struct attention *a) {
    if (a->batch * a->heads * a->queries == 0)
        return;
    if (a->store == DT_F64)
        attention_d(c, a);
    else
        attention_f(c, a);
}
