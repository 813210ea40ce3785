#include "kernels/geometry.h"

void geometry_of(const struct window *w, const int64_t *x_spatial, struct geometry *g) {
    *g = (struct geometry) { .missing = AXES - w->n, .positions = 1, .taps = 1, .plane = 1 };
    for (int i = 0; i < AXES; i++) {
        int s = i - g->missing;
        bool real = s >= 0;
        g->in[i] = real ? w->in[s] : 1;
        g->out[i] = real ? w->out[s] : 1;
        g->kernel[i] = real ? w->kernel[s] : 1;
        g->stride[i] = real ? w->stride[s] : 1;
        g->dilation[i] = real ? w->dilation[s] : 1;
        g->begin[i] = real ? w->begin[s] : 0;
        g->end[i] = real ? w->end[s] : 0;
        g->x[i] = real ? x_spatial[s] : 0;
        g->positions *= g->out[i];
        g->taps *= g->kernel[i];
        g->plane *= g->in[i];
        int64_t reach = (g->kernel[i] - 1) * g->dilation[i];
        int64_t before = g->begin[i] - (reach < 0 ? reach : 0);
        int64_t from = before > 0 ? (before + g->stride[i] - 1) / g->stride[i] : 0;
        int64_t room = g->in[i] + g->begin[i] - (reach > 0 ? reach : 0) - 1;
        int64_t to = room < 0 ? 0 : room / g->stride[i] + 1;
        g->inner[i][1] = to < g->out[i] ? to : g->out[i];
        g->inner[i][0] = from < g->inner[i][1] ? from : g->inner[i][1];
        if (g->inner[i][0] > 0 || g->inner[i][1] < g->out[i])
            g->padded = true;
    }
}

bool is_inner(const struct geometry *g, int axis, int64_t at) {
    return at >= g->inner[axis][0] && at < g->inner[axis][1];
}

void tap_range(const struct geometry *g, int axis, int64_t at, int64_t range[2]) {
    int64_t start = at * g->stride[axis] - g->begin[axis], d = g->dilation[axis],
            left = g->in[axis] - start;
    if (d < 0) { /* the same, from the other end */
        start = g->in[axis] - 1 - start;
        left = g->in[axis] - start;
        d = -d;
    }
    range[0] = start < 0 ? (-start + d - 1) / d : 0;
    range[1] = left <= 0 ? 0 : (left + d - 1) / d;
    if (range[1] > g->kernel[axis])
        range[1] = g->kernel[axis];
    if (range[0] > range[1])
        range[0] = range[1];
}

void position_of(const struct geometry *g, int64_t p, int64_t at[AXES]) {
    at[2] = p % g->out[2];
    at[1] = p / g->out[2] % g->out[1];
    at[0] = p / g->out[2] / g->out[1];
}

void tap_of(const struct geometry *g, int64_t tap, int64_t at[AXES]) {
    at[2] = tap % g->kernel[2];
    at[1] = tap / g->kernel[2] % g->kernel[1];
    at[0] = tap / g->kernel[2] / g->kernel[1];
}

static void next(const int64_t size[AXES], int64_t at[AXES]) {
    for (int i = AXES - 1; i >= 0; at[i--] = 0)
        if (++at[i] < size[i] || i == 0)
            return;
}

void next_position(const struct geometry *g, int64_t at[AXES]) {
    next(g->out, at);
}

void next_tap(const struct geometry *g, int64_t at[AXES]) {
    next(g->kernel, at);
}
