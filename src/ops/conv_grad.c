/* Gradients of Conv and ConvTranspose: every product of the sum gives both its factors their share.
 */
#include "ops/conv.h"

typedef int64_t taps_fn(const struct conv_plan *p, int64_t at, struct tap *taps);

struct parts {
    const double *x, *k;
    double *gx, *gk, *gb; /* NULL: not wanted */
};

static void position_grad(const struct conv_plan *p, const struct parts *s, const double *gy,
                          int64_t at, const struct tap *taps, int64_t n) {
    int64_t y_at = window_out_offset(&p->w, at, p->y_spatial);
    for (int64_t u = 0; u < p->batch * p->out_channels; u++) {
        int64_t b = u / p->out_channels, o = u % p->out_channels, group = o / p->out_per_group;
        int64_t x = b * p->x_batch + group * p->in_per_group * p->x_channel;
        int64_t k = group * p->k_group + o % p->out_per_group * p->k_out;
        double g = gy[b * p->y_batch + o * p->y_channel + y_at];
        if (s->gb)
            s->gb[o] += g;
        for (int64_t t = 0; t < n; t++)
            for (int64_t i = 0; i < p->in_per_group; i++) {
                int64_t xi = x + taps[t].x + i * p->x_channel, ki = k + taps[t].k + i * p->k_in;
                if (s->gx)
                    s->gx[xi] += g * s->k[ki];
                if (s->gk)
                    s->gk[ki] += g * s->x[xi];
            }
    }
}

static double *wanted(const struct grad_ctx *c, int i) {
    return i < c->n_in && c->in[i] && c->grad_in[i] ? c->grad_in[i]->data : NULL;
}

static enum status run(struct grad_ctx *c, const struct conv_plan *p, taps_fn *list) {
    struct parts s = { c->in[0]->data, c->in[1]->data, wanted(c, 0), wanted(c, 1), wanted(c, 2) };
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&p->w), struct tap);
    int64_t n = window_out_count(&p->w);
    for (int64_t at = 0; at < n; at++)
        position_grad(p, &s, c->grad_out[0]->data, at, taps, list(p, at, taps));
    return OK;
}

enum status conv_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    return c->grad_out[0] ? run(c, &p, conv_taps) : OK;
}

enum status conv_transpose_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    TRY(conv_transpose_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    return c->grad_out[0] ? run(c, &p, conv_transpose_taps) : OK;
}
