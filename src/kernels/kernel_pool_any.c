/* Fast pools of any rank, with MaxPool's indices: the bits of src/ops/pooling.c. Neighbours along
 * the last spatial axis (channels first) or the channels (channels last) are taken side by side;
 * their windows are the same, moved by the stride. */
#include <math.h>
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/pooling.h"
#include "ops/real.h"

struct pooling {
    struct pool_plan p;
    bool average, last;            /* last: channels last */
    int64_t *indices;              /* NULL: not asked for */
    int64_t rows, width, inner[2]; /* outputs of the last axis whose windows lie inside x */
    int64_t room;                  /* taps at most */
    struct buffers *buffers;
    const void *x;
    void *y;
};

/* What a task needs: taps, where they lie, what index they have. */
struct pool_lists {
    struct tap *taps;
    const void **from;
    int64_t *base;
};

static size_t lists_size(const struct pooling *j) {
    return (size_t)j->room * (sizeof(struct tap) + sizeof(void *) + sizeof(int64_t));
}

static struct pool_lists lists_at(const struct pooling *j, void *at) {
    struct pool_lists l = { .taps = at };
    l.base = (int64_t *)(l.taps + j->room);
    l.from = (const void **)(l.base + j->room);
    return l;
}

static void last_axis(struct pooling *j) {
    const struct window *w = &j->p.w;
    const int k = w->n - 1;
    j->width = k < 0 ? 1 : w->out[k];
    j->rows = window_out_count(w) / j->width;
    if (k < 0)
        return;
    int64_t s = w->stride[k], most = w->in[k] + w->begin[k] - (w->kernel[k] - 1) * w->dilation[k];
    int64_t from = w->begin[k] > 0 ? (w->begin[k] + s - 1) / s : 0,
            to = most > 0 ? (most - 1) / s + 1 : 0;
    j->inner[1] = to < j->width ? to : j->width;
    j->inner[0] = from < j->inner[1] ? from : j->inner[1];
}

#define EACH_REAL "kernels/kernel_pool_any.inc"
#include "ops/each_real.inc"

enum status kernel_pool_any(struct op_ctx *c) {
    const struct node *n = c->node;
    const struct tensor *x = c->in[0];
    struct pooling j = { .average = strstr(n->op, "Average") != NULL,
                         .x = x->data,
                         .y = c->out[0]->data,
                         .indices = op_wanted(c, 1) ? c->out[1]->data : NULL };
    TRY(pool_plan(n, strncmp(n->op, "Global", 6) == 0, j.average ? POOL_AVERAGE : POOL_MAX, x->rank,
                  x->dim, &j.p, c->err));
    j.last = j.p.x_channel == 1;
    j.room = window_tap_room(&j.p.w);
    last_axis(&j);
    if (x->store == DT_F64)
        pool_any_d(c, &j);
    else
        pool_any_f(c, &j);
    return OK;
}
