/* Fast convolutions and matrix products on quantized integers: the bits of src/ops/fixed_conv.c and
 * fixed_matmul.c. Sums of 64 bits go to the reference. */
#include <string.h>

#include "kernels/kernel_integers.h"
#include "ops/fixed_sums.h"

struct rescaled {
    struct fixed_sums s;
    struct int_rescale by; /* unless s.real */
};

/* 32-bit sums of values that fit 16 bits without their zero points. */
static bool fits(const struct fixed_sums *s) {
    return !s->wide && !fixed_sums_as_bytes(s) && s->x.zero >= -256 && s->x.zero <= 256 &&
           s->k.zero >= -256 && s->k.zero <= 256;
}

/* The channels' biases and factors side by side. */
static void plan_rescale(struct op_ctx *c, struct rescaled *r, int64_t channels) {
    int32_t *at = NEW_ARRAY(c->scratch, 4 * channels + 1, int32_t);
    const struct fixed_sums *s = &r->s;
    for (int64_t o = 0; o < channels; o++) {
        struct fixed_factor f = s->factor[o * s->step];
        at[o] = s->bias ? (int32_t)(uint32_t)(uint64_t)s->bias[o] : 0;
        at[channels + o] = f.multiplier;
        at[2 * channels + o] = f.shift > 31 ? 31 : f.shift > 0 ? f.shift : 0;
        at[3 * channels + o] = f.shift > 0 ? 0 : -f.shift;
    }
    r->by = (struct int_rescale) {
        at, at + channels, at + 2 * channels, at + 3 * channels, (int32_t)s->y.zero, s->low, s->high
    };
}

static void rescale(const struct int_sums *j, int32_t *sum, int64_t n, int64_t column) {
    const struct rescaled *r = j->arg;
    if (r->s.real)
        for (int64_t o = 0; o < n; o++)
            sum[o] = fixed_sums_narrow(&r->s, sum[o], column + o);
    else
        isa_best()->int_rescale(&r->by, sum, n, column);
}

static void run(struct op_ctx *c, struct int_sums *j, struct rescaled *r, int64_t channels) {
    const int32_t zero = (int32_t)r->s.k.zero;
    plan_rescale(c, r, channels);
    j->right = 1;
    j->left_zero = (int32_t)r->s.x.zero;
    j->right_zero = &zero;
    j->finish = rescale;
    j->arg = r;
    j->y = c->out[0];
    int_sums_run(c, j);
}

enum status kernel_fixed_conv(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    struct geometry g;
    struct rescaled r;
    struct int_sums j = { .g = &g };
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    if (!int_sums_takes_conv(&p, x, k, c->out[0]))
        return kernel_reference(c);
    TRY(fixed_sums_plan(c, &r.s, p.out_channels));
    if (!fits(&r.s))
        return kernel_reference(c);
    geometry_of(&p.w, p.x_spatial, &g);
    g.p = &p;
    run(c, &j, &r, p.out_channels);
    return OK;
}

enum status kernel_fixed_product(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[1];
    struct matmul_plan p;
    struct rescaled r;
    bool gemm = strcmp(c->node->op, "Gemm") == 0;
    struct int_sums j = { .m = &p };
    if (!int_sums_narrow(a) || !int_sums_narrow(b) || tensor_count(c->out[0]) == 0 ||
        tensor_count(a) == 0 || tensor_count(b) == 0 ||
        (gemm && (attr_float(c->node, "alpha") != 1 || attr_float(c->node, "beta") != 1)))
        return kernel_reference(c);
    if (gemm)
        TRY(gemm_plan(c->node, a, b, c->scratch, &p, c->err));
    else
        TRY(matmul_plan(c->node, a, b, c->scratch, &p, c->err));
    TRY(fixed_sums_plan(c, &r.s, p.columns));
    if (!fits(&r.s) || (!gemm && r.s.k.n > 1)) /* MatMul has no scale for each column */
        return kernel_reference(c);
    if (gemm)
        fixed_sums_in_reals(c, &r.s);
    run(c, &j, &r, p.columns);
    return OK;
}
