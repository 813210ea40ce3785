/* Fast Add and Sub on quantized integers of 8 bits: the bits of src/ops/fixed_binary.c. */
#include <string.h>

#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/fixed.h"

static void put(struct int_add *s, int k, struct fixed_factor f, int64_t zero) {
    s->zero[k] = (int32_t)zero;
    s->multiplier[k] = f.multiplier;
    s->left[k] = f.shift > 31 ? 31 : f.shift > 0 ? f.shift : 0;
    s->right[k] = f.shift > 0 ? 0 : -f.shift;
}

enum status kernel_fixed_add(struct op_ctx *c) {
    const struct tensor *y = c->out[0];
    struct fixed_quant a, b, q;
    struct fixed_factor f[3];
    struct broadcast plan;
    struct int_add s = { .shift = 20, .difference = strcmp(c->node->op, "Sub") == 0 };
    bool narrow = y->dtype == DT_I8 || y->dtype == DT_U8;
    if (!narrow || c->in[0]->dtype != y->dtype || c->in[1]->dtype != y->dtype)
        return kernel_reference(c);
    TRY(fixed_in_one(c, 0, &a));
    TRY(fixed_in_one(c, 1, &b));
    TRY(fixed_out_one(c, 0, &q));
    fixed_add_factors(&a, &b, &q, s.shift, f);
    put(&s, 0, f[0], a.zero);
    put(&s, 1, f[1], b.zero);
    put(&s, 2, f[2], q.zero);
    fixed_limits(c, &q, &s.low, &s.high);
    TRY(broadcast_plan(&plan, y->rank, y->dim, 2,
                       (const struct tensor *const[]) { c->in[0], c->in[1] }, c->err));
    broadcast_run(&plan, c->in, c->out[0], isa_best()->int_add[y->dtype == DT_U8], &s, c->pool);
    return OK;
}
