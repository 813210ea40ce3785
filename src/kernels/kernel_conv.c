/* Fast convolutions: the bits of src/ops/conv.c.
 *
 * Dense (and grouped) convolution is a matrix product whose k runs over (kernel position, input
 * channel), the reference's order. Channels first: C is [output channel][position], vectors lie
 * along positions, B is gathered panel by panel. Channels last: C is [position][output channel],
 * vectors lie along output channels, A is gathered row by row.
 *
 * The reference skips taps in the padding; here they are multiplied with zero. With finite weights
 * that changes nothing but the sign of a zero sum, and only from -0 to +0: outputs at the border
 * that are +0 are computed again, tap by tap. Weights that are not finite go to the reference.
 *
 * Depthwise convolution skips as the reference does.
 *
 * A transposed convolution is one convolution of stride 1 for each phase: the outputs with the same
 * remainder by the strides meet the same kernel positions, and along them the input goes on by one.
 */
#include "ops/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "kernels/buffers.h"
#include "kernels/follow.h"
#include "kernels/gemm.h"
#include "kernels/geometry.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "ops/real.h"

static int64_t kernel_offset(const struct geometry *g, const int64_t at[AXES]) {
    int64_t offset = 0;
    for (int i = 0; i < g->p->w.n; i++)
        offset += at[AXES - g->p->w.n + i] * g->p->k_spatial[i];
    return offset;
}

/* Where the weights and the output of a convolution lie. */
struct conv_place {
    const void *k;
    void *y;
};

/* Names a packed form of the weights: all that says which of them stands where. One constant may be
 * read by several nodes, and a node's attributes may change. */
static uint64_t packed_layout(const struct geometry *g, int64_t offset, int width, size_t unit) {
    const struct conv_plan *p = g->p;
    int64_t all[12 + 2 * AXES] = { offset,     width,           (int64_t)unit,
                                   p->groups,  p->in_per_group, p->out_per_group,
                                   p->k_group, p->k_out,        p->k_in,
                                   p->w.n,     g->taps,         p->out_channels };
    for (int i = 0; i < AXES; i++) {
        all[12 + i] = g->kernel[i];
        all[12 + AXES + i] = i < p->w.n ? p->k_spatial[i] : 0;
    }
    return hash_bytes(all, sizeof all, 0);
}

/* The axes of a kernel with one input channel, the outermost first, and the place of a kernel
 * position in that order. */
static void tap_order(const struct geometry *g, int order[AXES]) {
    for (int i = 0; i < AXES; i++)
        order[i] = g->p->last_outermost ? AXES - 1 - i : i;
}

static int64_t tap_place(const struct geometry *g, const int order[AXES], const int64_t tap[AXES]) {
    int64_t place = 0;
    for (int i = 0; i < AXES; i++)
        place = place * g->kernel[order[i]] + tap[order[i]];
    return place;
}

enum { MAX_COLUMNS = 64, MAX_RUNS = 3 * MAX_COLUMNS, PANELS_OF_TASK = 4 };

static int add_run(struct run *runs, int count, int64_t to, int64_t from, int64_t n, int64_t step) {
    if (n <= 0)
        return count;
    struct run *last = count ? &runs[count - 1] : NULL;
    if (last &&
        (from < 0 ? last->from < 0 : last->from >= 0 && from == last->from + last->n * step))
        last->n += n;
    else
        runs[count++] = (struct run) { to, from, n };
    return count;
}

/* Output positions of a panel that lie in one row. */
struct segment {
    int64_t to, n, at[AXES];
};

static int list_segments(const struct geometry *g, int64_t n0, int64_t n1,
                         struct segment segments[MAX_COLUMNS]) {
    int count = 0;
    for (int64_t p = n0; p < n1; p += segments[count++].n) {
        struct segment *s = &segments[count];
        position_of(g, p, s->at);
        s->to = p - n0;
        s->n = g->out[2] - s->at[2] < n1 - p ? g->out[2] - s->at[2] : n1 - p;
    }
    return count;
}

/* How an image lies whose rows and columns are parted by their remainder by the strides: what one
 * kernel position reads for neighbouring outputs are neighbours. With strides of 1 it is the image
 * itself. */
struct parted {
    bool copied;
    bool aligned;       /* neighbours in the order of output positions, over the ends of rows too */
    int64_t x[AXES];    /* elements between neighbours along an axis */
    int64_t part[AXES]; /* between the part of one remainder and the next */
    int64_t plane, channel; /* elements of one part, of all parts of a channel */
};

static struct parted parted_of(const struct geometry *g) {
    struct parted s = { .aligned = true, .plane = 1, .channel = 1 };
    for (int i = AXES - 1; i >= 0; i--) {
        s.copied = s.copied || g->stride[i] > 1;
        s.x[i] = s.plane;
        s.plane *= (g->in[i] + g->stride[i] - 1) / g->stride[i];
    }
    for (int i = AXES - 1; i >= 0; s.channel *= g->stride[i--])
        s.part[i] = s.plane * s.channel;
    s.channel *= s.plane;
    int64_t step = 1;
    for (int i = AXES - 1; i >= 0; step *= g->out[i--])
        s.aligned = s.aligned && (g->out[i] == 1 || s.x[i] == step);
    return s;
}

/* Whether images are read that way: in rows of neighbours, by kernels that are not huge. */
static bool is_parted(const struct geometry *g) {
    int64_t step = 1;
    bool fits = true;
    for (int i = AXES - 1; i >= 0; step *= g->in[i--])
        fits = fits && g->kernel[i] <= MAX_SPANS && (g->in[i] == 1 || g->x[i] == step);
    return fits;
}

/* Kernel index t of axis i reads for output o element o + shift of the part `part` of the axis. */
struct tap_place {
    int64_t part, shift, size; /* of the part */
};

static struct tap_place place_of(const struct geometry *g, int i, int64_t t) {
    int64_t s = g->stride[i], at = t * g->dilation[i] - g->begin[i], part = (at % s + s) % s;
    return (struct tap_place) { part, (at - part) / s, (g->in[i] - part + s - 1) / s };
}

static bool is_needed(const struct geometry *g, int i, int64_t part) {
    bool needed = false;
    for (int64_t t = 0; t < g->kernel[i] && t < g->stride[i] && !needed; t++)
        needed = place_of(g, i, t).part == part;
    return needed;
}

/* For each axis and kernel index, the output positions of the segments whose tap lies inside the
 * image along that axis, as bits; and what it adds to the place of what is read. */
struct axis_taps {
    uint64_t inside[AXES][MAX_SPANS];
    int64_t offset[AXES][MAX_SPANS];
};

static void list_taps(const struct geometry *g, const struct parted *s,
                      const struct segment *segments, int n, struct axis_taps *taps) {
    for (int i = 0; i < AXES; i++)
        for (int64_t t = 0; t < g->kernel[i]; t++) {
            struct tap_place place = place_of(g, i, t);
            uint64_t inside = 0;
            for (int k = 0; k < n; k++) {
                int64_t lo = 0, hi = segments[k].n, at = segments[k].at[i] + place.shift;
                if (i < AXES - 1) {
                    hi = at >= 0 && at < place.size ? hi : 0;
                } else {
                    lo = at < 0 ? -at : 0;
                    hi = place.size - at < hi ? place.size - at : hi;
                }
                if (lo < hi)
                    inside |= (((UINT64_C(2) << (hi - lo - 1)) - 1) << lo) << segments[k].to;
            }
            taps->inside[i][t] = inside;
            taps->offset[i][t] = place.part * s->part[i] + place.shift * s->x[i];
        }
}

/* What one kernel position reads of a channel of x for the segments. */
static int list_runs(const struct geometry *g, const int64_t tap[AXES],
                     const struct segment *segments, int n_segments, struct run *runs) {
    int count = 0;
    const int64_t stride = g->stride[2], step = stride * g->x[2];
    for (int k = 0; k < n_segments; k++) {
        const struct segment *s = &segments[k];
        int64_t base = 0, lo = 0, hi = s->n;
        bool inside = true;
        for (int i = 0; i < AXES - 1; i++) {
            int64_t v = s->at[i] * g->stride[i] - g->begin[i] + tap[i] * g->dilation[i];
            inside = inside && v >= 0 && v < g->in[i];
            base += v * g->x[i];
        }
        int64_t start = s->at[2] * stride - g->begin[2] + tap[2] * g->dilation[2];
        if (start < 0)
            lo = (-start + stride - 1) / stride;
        if (start + (hi - 1) * stride >= g->in[2])
            hi = start < g->in[2] ? (g->in[2] - start + stride - 1) / stride : 0;
        if (!inside || lo >= hi)
            lo = hi = s->n;
        count = add_run(runs, count, s->to, -1, lo, step);
        count =
            add_run(runs, count, s->to + lo, base + (start + lo * stride) * g->x[2], hi - lo, step);
        count = add_run(runs, count, s->to + hi, -1, s->n - hi, step);
    }
    return count;
}

/* The part of an axis of a transposed convolution whose outputs have remainder `phase` by the
 * stride, as an axis of a convolution; gives the first kernel index and the step to the next. */
static void phase_axis(const struct window *from, int i, int64_t phase, struct window *w,
                       int64_t *first, int64_t *step) {
    int64_t s = from->stride[i], d = from->dilation[i], a = s, b = d % s;
    while (b) { /* the greatest common divisor */
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    *step = s / a;
    for (*first = 0; *first < *step; (*first)++)
        if ((phase + from->begin[i] - *first * d) % s == 0)
            break;
    w->in[i] = from->in[i];
    w->out[i] = from->out[i] > phase ? (from->out[i] - phase + s - 1) / s : 0;
    w->kernel[i] =
        *first < *step && *first < from->kernel[i] ? (from->kernel[i] - 1 - *first) / *step + 1 : 0;
    w->stride[i] = 1;
    w->dilation[i] = -(d * *step / s);
    w->begin[i] = -(phase + from->begin[i] - *first * d) / s;
}

#define EACH_REAL "kernels/kernel_conv.inc"
#include "ops/each_real.inc"
#define EACH_REAL "kernels/kernel_conv_transpose.inc"
#include "ops/each_real.inc"
#define EACH_REAL "kernels/kernel_depthwise.inc"
#include "ops/each_real.inc"

/* Operands of one float type, of ranks that the fast kernels know, with something to compute. */
static bool known_conv(const struct op_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    const struct tensor *bias = c->n_in > 2 ? c->in[2] : NULL;
    return (x->store == DT_F32 || x->store == DT_F64) &&
           (k->store == x->store || kernel_got_stored(c, 1)) &&
           (!bias || bias->store == x->store) && x->rank - 2 <= AXES &&
           tensor_count(c->out[0]) != 0;
}

enum status kernel_conv(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    struct geometry g;
    struct conv_place place = { .k = k->data, .y = c->out[0]->data };
    if (!known_conv(c))
        return kernel_reference(c);
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    if (p.in_per_group == 0)
        return kernel_reference(c);
    geometry_of(&p.w, p.x_spatial, &g);
    g.p = &p;
    bool alone = p.depthwise || p.last_outermost;
    if (alone)
        TRY(kernel_widen(c, 1));
    bool done = x->store == DT_F32 ? (alone ? depthwise_f(c, &g) : conv_f(c, &g, &place))
                                   : (alone ? depthwise_d(c, &g) : conv_d(c, &g, &place));
    return done ? OK : kernel_reference(c);
}

enum status kernel_conv_transpose(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    if (!known_conv(c))
        return kernel_reference(c);
    TRY(conv_transpose_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    if (p.in_per_group == 0)
        return kernel_reference(c);
    bool done = x->store == DT_F32 ? conv_transpose_f(c, &p) : conv_transpose_d(c, &p);
    return done ? OK : kernel_reference(c);
}
