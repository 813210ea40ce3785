/* Fast pools: the bits of src/ops/pooling.c for MaxPool without indices, AveragePool and the global
 * ones, of up to three spatial axes. Others: kernel_pool_any.c. */
#include <math.h>
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/geometry.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/real.h"

struct pooling {
    struct geometry g;
    int64_t batch, channels;
    bool average, count_pad, last; /* last: channels last */
};

/* Elements of the window that lie in the data or its declared padding. */
static int64_t padded_count(const struct geometry *g, const int64_t at[AXES]) {
    int64_t n = 1;
    for (int i = 0; i < AXES; i++) {
        int64_t room = g->in[i] + g->end[i] - (at[i] * g->stride[i] - g->begin[i]);
        int64_t most = (room + g->dilation[i] - 1) / g->dilation[i];
        n *= g->kernel[i] < most ? g->kernel[i] : most;
    }
    return n;
}

#define EACH_REAL "kernels/kernel_pool.inc"
#include "ops/each_real.inc"

static enum status plan(struct op_ctx *c, struct pooling *p) {
    const struct node *n = c->node;
    const struct tensor *x = c->in[0];
    bool global = strncmp(n->op, "Global", 6) == 0;
    struct layout l;
    struct window w = { 0 };
    int64_t stride[MAX_RANK];
    TRY(layout_read(n, x->rank, &l, c->err));
    w.n = l.n;
    for (int i = 0; i < l.n; i++) {
        w.in[i] = x->dim[l.spatial + i];
        w.kernel[i] = w.in[i] < 1 ? 1 : w.in[i];
        w.stride[i] = w.dilation[i] = w.out[i] = 1;
    }
    if (!global) {
        TRY(window_read(n, l.n, false, &w, c->err));
        TRY(window_fit(n, &w, attr_int(n, "ceil_mode") != 0, c->err));
    }
    strides_of(x->rank, x->dim, stride);
    geometry_of(&w, stride + l.spatial, &p->g);
    p->batch = x->dim[0];
    p->channels = x->dim[l.channel];
    p->last = l.channel != 1;
    p->average = strstr(n->op, "Average") != NULL;
    p->count_pad = p->average && !global && attr_int(n, "count_include_pad");
    return OK;
}

enum status kernel_pool(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct pooling p = { .batch = 0 };
    bool real = x->store == DT_F32 || x->store == DT_F64;
    if (!real || x->rank < 2 || tensor_count(c->out[0]) == 0 || tensor_count(x) == 0)
        return kernel_reference(c);
    if (x->rank - 2 > AXES || op_wanted(c, 1))
        return kernel_pool_any(c);
    TRY(plan(c, &p));
    if (x->store == DT_F32)
        pool_f(c, &p);
    else
        pool_d(c, &p);
    return OK;
}
