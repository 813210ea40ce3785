/* Conv and ConvTranspose on quantized integers: sums of products of the differences from the zero
 * points (positions in the padding left out), the bias, the factor to the output's scale, the
 * output's zero point, the limits. Integer sums have no order. */
#include <math.h>

#include "ops/conv.h"
#include "ops/fixed_sums.h"
#include "ops/hybrid.h"
#include "ops/row.h"
#include "ops/split.h"

typedef int64_t taps_fn(const struct conv_plan *p, int64_t at, struct tap *taps);

struct job {
    struct fixed_sums s;
    struct conv_plan p;
    taps_fn *list;
    struct tensor *y;
    struct tap *taps; /* one list a task */
    int32_t *out;     /* channels a task */
    int64_t room;
};

static int32_t channel_value(const struct job *j, int64_t batch, int64_t o, const struct tap *taps,
                             int64_t n) {
    const struct conv_plan *p = &j->p;
    int64_t g = o / p->out_per_group;
    const int32_t *x = j->s.left + batch * p->x_batch + g * p->in_per_group * p->x_channel;
    const int32_t *k = j->s.right + g * p->k_group + o % p->out_per_group * p->k_out;
    if (j->s.wide) {
        int64_t sum = 0;
        for (int64_t t = 0; t < n; t++)
            sum += fixed_dot_wide(x + taps[t].x, k + taps[t].k, p->in_per_group, p->x_channel,
                                  p->k_in);
        return fixed_sums_wide(&j->s, sum, o);
    }
    uint32_t sum = 0;
    for (int64_t t = 0; t < n; t++)
        sum += (uint32_t)fixed_dot(x + taps[t].x, k + taps[t].k, p->in_per_group, p->x_channel,
                                   p->k_in);
    return fixed_sums_narrow(&j->s, (int32_t)sum, o);
}

static void positions(void *arg, struct part part) {
    const struct job *j = arg;
    const struct conv_plan *p = &j->p;
    struct tap *taps = j->taps + part.task * j->room;
    int32_t *out = j->out + part.task * p->out_channels;
    for (int64_t at = part.begin; at < part.end; at++) {
        int64_t n = j->list(p, at, taps), y = window_out_offset(&p->w, at, p->y_spatial);
        for (int64_t b = 0; b < p->batch; b++) {
            for (int64_t o = 0; o < p->out_channels; o++)
                out[o] = channel_value(j, b, o, taps, n);
            for (int64_t o = 0; p->y_channel != 1 && o < p->out_channels; o++)
                fixed_store(j->y, b * p->y_batch + y + o * p->y_channel, 1, out + o);
            if (p->y_channel == 1)
                fixed_store(j->y, b * p->y_batch + y, p->out_channels, out);
        }
    }
}

static enum status run(struct op_ctx *c, bool transposed) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct job j = { .y = c->out[0], .list = transposed ? conv_transpose_taps : conv_taps };
    TRY((transposed ? conv_transpose_plan : conv_plan)(c->node, x->rank, x->dim, k->rank, k->dim,
                                                       &j.p, c->err));
    TRY(fixed_sums_read(c, &j.s, j.p.out_channels));
    int64_t n = window_out_count(&j.p.w);
    j.room = window_tap_room(&j.p.w);
    int64_t cost = j.p.batch * j.p.out_channels * j.p.in_per_group * j.room;
    int tasks = split_tasks(c, n, cost);
    j.taps = NEW_ARRAY(c->scratch, j.room * tasks, struct tap);
    j.out = NEW_ARRAY(c->scratch, j.p.out_channels * tasks, int32_t);
    split_run(c, n, cost, positions, &j);
    return OK;
}

static enum status conv(struct op_ctx *c) {
    return hybrid_input(c, 0) ? hybrid_conv(c, false) : run(c, false);
}

static enum status conv_transpose(struct op_ctx *c) {
    return hybrid_input(c, 0) ? hybrid_conv(c, true) : run(c, true);
}

const struct op ops_fixed_conv[] = {
    { FIXED("Conv", 2, 3), .attrs = ATTRS(CONV_ATTRS, FIXED_LIMITS), .eval = conv },
    { FIXED("ConvTranspose", 2, 3), .attrs = ATTRS(CONV_TRANSPOSE_ATTRS, FIXED_LIMITS),
      .eval = conv_transpose },
    { 0 },
};
