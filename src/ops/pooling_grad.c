/* Gradients of the pools. */
#include <math.h>

#include "ops/mathfn.h"
#include "ops/pooling.h"

/* Shares the gradient g of one output among the window's elements. */
static void window_grad(const struct pool_plan *p, enum pool_kind kind, const double *x, double *gx,
                        double y, double g, int64_t at, const struct tap *taps, int64_t n) {
    if (kind == POOL_AVERAGE) {
        double share = g / (double)(p->count_pad ? pool_padded_count(&p->w, at) : n);
        for (int64_t t = 0; t < n; t++)
            gx[taps[t].x] += share;
        return;
    }
    for (int64_t t = 0; t < n; t++) {
        double v = x[taps[t].x], size = fabs(v), power = (double)p->lp;
        if (kind == POOL_MAX && v == y) { /* the first largest only */
            gx[taps[t].x] += g;
            return;
        }
        if (kind == POOL_LP && size > 0)
            gx[taps[t].x] += g * (v < 0 ? -1 : 1) * (power == 1 ? 1 : pow_d(size / y, power - 1));
    }
}

static enum status pool_grad(struct grad_ctx *c, bool global, enum pool_kind kind) {
    const struct tensor *x = c->in[0];
    struct pool_plan p;
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    TRY(pool_plan(c->node, global, kind, x->rank, x->dim, &p, c->err));
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&p.w), struct tap);
    int64_t out = window_out_count(&p.w);
    const double *gy = c->grad_out[0]->data, *y = c->out[0]->data;
    for (int64_t at = 0; at < out; at++) {
        int64_t n = window_taps(&p.w, at, p.x_spatial, NULL, false, false, taps);
        int64_t y_at = window_out_offset(&p.w, at, p.y_spatial);
        for (int64_t u = 0; u < p.batch * p.channels; u++) {
            int64_t b = u / p.channels, ch = u % p.channels,
                    from = b * p.x_batch + ch * p.x_channel;
            int64_t to = b * p.y_batch + ch * p.y_channel + y_at;
            window_grad(&p, kind, (const double *)x->data + from,
                        (double *)c->grad_in[0]->data + from, y[to], gy[to], at, taps, n);
        }
    }
    return OK;
}

enum status max_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, false, POOL_MAX);
}
enum status average_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, false, POOL_AVERAGE);
}
enum status lp_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, false, POOL_LP);
}
enum status global_max_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, true, POOL_MAX);
}
enum status global_average_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, true, POOL_AVERAGE);
}
enum status global_lp_pool_grad(struct grad_ctx *c) {
    return pool_grad(c, true, POOL_LP);
}
