/* GridSample, AffineGrid, CenterCropPad.
 *
 * GridSample and AffineGrid are computed in float64 in every precision. Order: the coordinates as
 * written in the functions below; interpolation is one fma chain from 0 over the neighbours
 * row-major, the first spatial axis outermost, each weight the product of the axes' weights, first
 * axis first. */
#include <math.h>
#include <string.h>

#include "ops/move.h"
#include "ops/real.h"
#include "ops/call.h"
#include "ops/row.h"
#include "ops/split.h"

enum sample_mode { SAMPLE_LINEAR, SAMPLE_NEAREST, SAMPLE_CUBIC };
enum outside_mode { OUTSIDE_ZEROS, OUTSIDE_BORDER, OUTSIDE_REFLECTION };

struct grid_job {
    const struct tensor *x, *grid;
    struct tensor *y;
    enum sample_mode mode;
    enum outside_mode outside;
    bool align;
    int n;             /* spatial axes */
    int64_t positions; /* output positions of an image */
    int64_t step[MAX_RANK];
};

static enum status read_grid_modes(const struct node *n, struct grid_job *j, struct err *e) {
    const char *mode = attr_str(n, "mode"), *outside = attr_str(n, "padding_mode");
    /* bilinear and bicubic are the names before version 20. */
    if (strcmp(mode, "linear") == 0 || strcmp(mode, "bilinear") == 0)
        j->mode = SAMPLE_LINEAR;
    else if (strcmp(mode, "cubic") == 0 || strcmp(mode, "bicubic") == 0)
        j->mode = SAMPLE_CUBIC;
    else if (strcmp(mode, "nearest") == 0)
        j->mode = SAMPLE_NEAREST;
    else
        return err_set(e, STATUS_CORRUPT, "mode '%s' of GridSample is not known", mode);
    if (strcmp(outside, "zeros") == 0)
        j->outside = OUTSIDE_ZEROS;
    else if (strcmp(outside, "border") == 0)
        j->outside = OUTSIDE_BORDER;
    else if (strcmp(outside, "reflection") == 0)
        j->outside = OUTSIDE_REFLECTION;
    else
        return err_set(e, STATUS_CORRUPT, "padding_mode '%s' of GridSample is not known", outside);
    j->align = attr_int(n, "align_corners") != 0;
    return OK;
}

static enum status shape_grid_sample(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *g = &c->in[1];
    struct grid_job j;
    TRY(read_grid_modes(c->node, &j, c->err));
    bool whole = dtype_is_int(x->dtype) || x->dtype == DT_BOOL;
    FAIL_IF(x->dtype == DT_STRING, c->err, STATUS_UNSUPPORTED, "GridSample of %s",
            dtype_name(x->dtype));
    /* The specification takes every type but does not say what a fraction of one becomes. */
    FAIL_IF(whole && j.mode != SAMPLE_NEAREST, c->err, STATUS_UNSUPPORTED,
            "GridSample of %s in mode '%s': only mode 'nearest' is defined for integers",
            dtype_name(x->dtype), attr_str(c->node, "mode"));
    TRY(need_float(c, 1));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || g->rank < 0)
        return OK;
    SHAPE_FAIL_IF(x->rank < 3 || g->rank != x->rank, c,
                  "GridSample: an input of rank %d and a grid of rank %d", x->rank, g->rank);
    int64_t n = x->rank - 2, size = g->dim[g->rank - 1];
    SHAPE_FAIL_IF(size >= 0 && size != n, c,
                  "the grid of GridSample holds vectors of %lld for %lld axes", (long long)size,
                  (long long)n);
    SHAPE_FAIL_IF(x->dim[0] >= 0 && g->dim[0] >= 0 && x->dim[0] != g->dim[0], c,
                  "GridSample: the batch sizes differ");
    out_shape(c, 0, x->dtype, x->rank, x->dim);
    for (int i = 0; i < n; i++)
        c->out[0].dim[2 + i] = g->dim[1 + i];
    return OK;
}

/* Reflects v between two borders until it lies inside. */
static double reflect(double v, double low, double high) {
    double range = high - low;
    if (!(range > 0))
        return low;
    double d = fabs(v - low), extra = fmod(d, range);
    return fmod(floor(d / range), 2) == 0 ? low + extra : high - extra;
}

/* A place on an axis of `size` elements after padding_mode. */
static double place(const struct grid_job *j, double v, int64_t size) {
    double high = (double)(size - 1);
    if (j->outside == OUTSIDE_BORDER)
        return v < 0 ? 0 : v > high ? high : v;
    if (j->outside == OUTSIDE_REFLECTION) {
        v = j->align ? reflect(v, 0, high) : reflect(v, -0.5, (double)size - 0.5);
        return v < 0 ? 0 : v > high ? high : v;
    }
    return v;
}

/* The cubic convolution of Keys with a = -0.75. */
static double cubic(double t) {
    const double a = -0.75;
    t = fabs(t);
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

struct neighbours {
    int n;
    int64_t at[4];              /* -1: outside, value 0 */
    double weight[4], slope[4]; /* slope: of the weight by the grid's value */
};

static double cubic_slope(double t) {
    const double a = -0.75;
    double s = fabs(t), v = s <= 1  ? (3 * (a + 2) * s - 2 * (a + 3)) * s
                            : s < 2 ? (3 * a * s - 10 * a) * s + 8 * a
                                    : 0;
    return t < 0 ? -v : v;
}

/* The slope of `place` at v: 1, -1 where reflected back, 0 on the border. */
static double place_slope(const struct grid_job *j, double v, int64_t size) {
    double h = 1e-3, up = place(j, v + h, size), down = place(j, v - h, size);
    return up > down ? 1 : up < down ? -1 : 0;
}

static void axis_neighbours(const struct grid_job *j, double v, int64_t size, bool slopes,
                            struct neighbours *out) {
    double x = j->align ? (v + 1) / 2 * (double)(size - 1) : ((v + 1) * (double)size - 1) / 2;
    if (!(fabs(x) < 1e15))
        x = -1e15; /* infinite or not a number: outside */
    double turned = slopes && j->mode == SAMPLE_LINEAR ? place_slope(j, x, size) : 1;
    if (j->mode != SAMPLE_CUBIC)
        x = place(j, x, size);
    double first = j->mode == SAMPLE_NEAREST  ? rint(x)
                   : j->mode == SAMPLE_LINEAR ? floor(x)
                                              : floor(x) - 1;
    out->n = j->mode == SAMPLE_NEAREST ? 1 : j->mode == SAMPLE_LINEAR ? 2 : 4;
    for (int i = 0; i < out->n; i++) {
        double at = first + i, d = x - at;
        double along = j->align ? (double)(size - 1) / 2 : (double)size / 2;
        if (slopes && j->mode == SAMPLE_LINEAR)
            out->slope[i] = (i ? 1 : -1) * along * turned;
        else if (slopes)
            out->slope[i] = j->mode == SAMPLE_NEAREST ? 0 : cubic_slope(d) * along;
        out->weight[i] = j->mode == SAMPLE_NEAREST  ? 1
                         : j->mode == SAMPLE_LINEAR ? 1 - fabs(d)
                                                    : cubic(d);
        at = j->mode == SAMPLE_CUBIC || j->mode == SAMPLE_NEAREST ? rint(place(j, at, size)) : at;
        out->at[i] = at >= 0 && at < (double)size ? (int64_t)at : -1;
    }
}

/* The neighbours of output position p on every axis. The last element of a grid vector belongs to
 * the first axis of the opposite order: x, y, z is W, H, D. */
static void position_neighbours(const struct grid_job *j, int64_t p, bool slopes,
                                struct neighbours *nb) {
    for (int i = 0; i < j->n; i++)
        axis_neighbours(j, tensor_f64(j->grid, p * j->n + j->n - 1 - i), j->x->dim[2 + i], slopes,
                        &nb[i]);
}

/* The offset within a channel of corner k and its weight; false when it is outside. */
static bool corner_of(const struct grid_job *j, const struct neighbours *nb, const int *k,
                      int64_t *offset, double *weight) {
    bool inside = true;
    *offset = 0;
    *weight = 1;
    for (int i = 0; i < j->n; i++) {
        inside &= nb[i].at[k[i]] >= 0;
        *offset += nb[i].at[k[i]] * j->step[2 + i];
        *weight *= nb[i].weight[k[i]];
    }
    return inside;
}

static bool next_corner(const struct grid_job *j, const struct neighbours *nb, int *k) {
    for (int i = j->n - 1; i >= 0; i--) {
        if (++k[i] < nb[i].n)
            return true;
        k[i] = 0;
    }
    return false;
}

/* The output positions of part, all channels. */
static void grid_part(void *arg, struct part part) {
    const struct grid_job *j = arg;
    int64_t channels = j->x->dim[1], offset;
    bool whole = !dtype_is_float(j->x->dtype);
    for (int64_t p = part.begin; p < part.end; p++) {
        int64_t b = p / j->positions, at = p % j->positions;
        struct neighbours nb[MAX_RANK];
        position_neighbours(j, p, false, nb);
        for (int64_t ch = 0; ch < channels; ch++) {
            int k[MAX_RANK] = { 0 };
            if (whole) { /* one neighbour of weight 1, or 0 */
                bool inside = corner_of(j, nb, k, &offset, &(double) { 0 });
                tensor_set_i64(j->y, (b * channels + ch) * j->positions + at,
                               inside ? tensor_i64(j->x, (b * channels + ch) * j->step[1] + offset)
                                      : 0);
                continue;
            }
            double acc = 0, w;
            do {
                if (corner_of(j, nb, k, &offset, &w))
                    acc =
                        fma_d(w, tensor_f64(j->x, (b * channels + ch) * j->step[1] + offset), acc);
            } while (next_corner(j, nb, k));
            tensor_set_f64(j->y, (b * channels + ch) * j->positions + at, acc);
        }
    }
}

static enum status grid_sample_real(struct op_ctx *c) {
    struct grid_job j = {
        .x = c->in[0], .grid = c->in[1], .y = c->out[0], .n = c->in[0]->rank - 2
    };
    TRY(read_grid_modes(c->node, &j, c->err));
    if (!tensor_count(j.y))
        return OK;
    dense_steps(j.x->dim, j.x->rank, j.step);
    j.positions = dims_product(j.y->dim, 2, j.y->rank);
    split_run(c, j.x->dim[0] * j.positions, j.x->dim[1] * 16, grid_part, &j);
    return OK;
}

static enum status grid_sample(struct op_ctx *c) {
    return op_by_parts(c, grid_sample_real);
}

static enum status grid_sample_grad(struct grad_ctx *c) {
    struct grid_job j = { .x = c->in[0], .grid = c->in[1], .n = c->in[0]->rank - 2 };
    const struct tensor *y = c->out[0];
    int64_t channels = y->dim[1], offset;
    TRY(read_grid_modes(c->node, &j, c->err));
    if (!c->grad_out[0] || !tensor_count(y))
        return OK;
    dense_steps(j.x->dim, j.x->rank, j.step);
    j.positions = dims_product(y->dim, 2, y->rank);
    double *gx = c->grad_in[0] ? c->grad_in[0]->data : NULL,
           *gg = c->grad_in[1] ? c->grad_in[1]->data : NULL, w;
    for (int64_t p = 0; p < y->dim[0] * j.positions; p++) {
        struct neighbours nb[MAX_RANK];
        position_neighbours(&j, p, true, nb);
        for (int64_t ch = 0; ch < channels; ch++) {
            int64_t plane = p / j.positions * channels + ch;
            double g =
                ((const double *)c->grad_out[0]->data)[plane * j.positions + p % j.positions];
            int k[MAX_RANK] = { 0 };
            do {
                if (!corner_of(&j, nb, k, &offset, &w))
                    continue;
                if (gx)
                    gx[plane * j.step[1] + offset] += g * w;
                for (int i = 0; gg && i < j.n; i++) {
                    double slope = nb[i].slope[k[i]];
                    for (int other = 0; other < j.n; other++)
                        slope *= other == i ? 1 : nb[other].weight[k[other]];
                    gg[p * j.n + j.n - 1 - i] +=
                        g * slope * tensor_f64(j.x, plane * j.step[1] + offset);
                }
            } while (next_corner(&j, nb, k));
        }
    }
    return OK;
}

static enum status shape_affine_grid(struct shape_ctx *c) {
    const struct fact *t = &c->in[0];
    const int64_t *size;
    int64_t n, dim[5];
    TRY(need_float(c, 0));
    TRY(need_shape(c, 0, 3, NULL));
    c->out[0].dtype = t->dtype;
    if (!fact_ints(c, &c->in[1], &size, &n))
        return OK;
    SHAPE_FAIL_IF(n != 4 && n != 5, c, "size of AffineGrid has %lld elements, not 4 or 5",
                  (long long)n);
    for (int i = 0; i < n; i++)
        SHAPE_FAIL_IF(size[i] < 0, c, "size of AffineGrid holds %lld", (long long)size[i]);
    TRY(need_shape(c, 0, 3, (const int64_t[]) { size[0], n - 2, n - 1 }));
    dim[0] = size[0];
    for (int i = 0; i < n - 2; i++)
        dim[1 + i] = size[2 + i];
    dim[n - 1] = n - 2;
    out_shape(c, 0, t->dtype, (int)n, dim);
    return OK;
}

/* Place o of n on the axis from -1 to 1. A single corner is the first: at -1. */
static double normalised(int64_t o, int64_t n, bool align) {
    if (!align)
        return (2 * (double)o + 1) / (double)n - 1;
    return n > 1 ? 2 * (double)o / (double)(n - 1) - 1 : -1;
}

/* Each coordinate is a fma chain from the translation over x, y (, z). */
static enum status affine_grid(struct op_ctx *c) {
    const struct tensor *t = c->in[0];
    struct tensor *y = c->out[0];
    int n = y->rank - 2;
    bool align = attr_int(c->node, "align_corners") != 0;
    int64_t positions = tensor_count(y) / n;
    for (int64_t p = 0; p < positions; p++) {
        double at[3];
        int64_t rest = p;
        for (int i = n - 1; i >= 0; i--) {
            at[n - 1 - i] = normalised(rest % y->dim[1 + i], y->dim[1 + i], align);
            rest /= y->dim[1 + i];
        }
        for (int r = 0; r < n; r++) {
            int64_t row = (rest * n + r) * (n + 1);
            double acc = tensor_f64(t, row + n);
            for (int i = 0; i < n; i++)
                acc = fma_d(tensor_f64(t, row + i), at[i], acc);
            tensor_set_f64(y, p * n + r, acc);
        }
    }
    return OK;
}

static enum status affine_grid_grad(struct grad_ctx *c) {
    const struct tensor *y = c->out[0];
    int n = y->rank - 2;
    bool align = attr_int(c->node, "align_corners") != 0;
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    double *gt = c->grad_in[0]->data;
    for (int64_t p = 0; p < tensor_count(y) / n; p++) {
        double at[4] = { 0 };
        int64_t rest = p;
        for (int i = n - 1; i >= 0; i--) {
            at[n - 1 - i] = normalised(rest % y->dim[1 + i], y->dim[1 + i], align);
            rest /= y->dim[1 + i];
        }
        at[n] = 1;
        for (int r = 0; r < n; r++)
            for (int i = 0; i <= n; i++)
                gt[(rest * n + r) * (n + 1) + i] +=
                    at[i] * ((const double *)c->grad_out[0]->data)[p * n + r];
    }
    return OK;
}

static enum status crop_axes(const struct node *n, int rank, int64_t count, int *axes,
                             struct err *e) {
    int given;
    const int64_t *list = attr_ints(n, "axes", &given);
    FAIL_IF((list ? given : rank) != count, e, STATUS_CORRUPT,
            "CenterCropPad: shape has %lld elements for %d axes", (long long)count,
            list ? given : rank);
    FAIL_IF(count > rank, e, STATUS_CORRUPT, "CenterCropPad lists %lld axes of a tensor of rank %d",
            (long long)count, rank);
    for (int i = 0; i < count; i++)
        TRY(axis_normalise(list ? list[i] : i, rank, &axes[i], e));
    return OK;
}

static enum status shape_center_crop(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *size;
    int64_t n;
    int axes[MAX_RANK];
    shape_copy(c, 0, 0);
    if (x->rank < 0)
        return OK;
    if (!fact_parts(c, &c->in[1], &size, &n)) {
        fact_set_unknown(&c->out[0], x->dtype, x->rank);
        return OK;
    }
    TRY(crop_axes(c->node, x->rank, n, axes, c->err));
    for (int64_t i = 0; i < n; i++) {
        SHAPE_FAIL_IF(size[i] < 0, c, "shape of CenterCropPad holds %lld", (long long)size[i]);
        c->out[0].dim[axes[i]] = dim_of_part(size[i]);
    }
    return OK;
}

static enum status center_crop(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct move m = { .size = element_size(x), .rank = x->rank };
    int64_t to = 0, from = 0;
    dense_steps(x->dim, x->rank, m.src_step);
    dense_steps(y->dim, y->rank, m.dst_step);
    for (int i = 0; i < x->rank; i++) {
        int64_t more = y->dim[i] - x->dim[i];
        m.dim[i] = more < 0 ? y->dim[i] : x->dim[i];
        to += more > 0 ? more / 2 * m.dst_step[i] : 0;
        from += more < 0 ? -more / 2 * m.src_step[i] : 0;
    }
    if (!tensor_count(y) || !tensor_count(x)) {
        own_strings(y);
        return OK;
    }
    m.src = element_at(x, from);
    m.dst = element_at(y, to);
    move_run(&m);
    own_strings(y);
    return OK;
}

static const struct attr_def grid_attrs[] = {
    INT("align_corners", 0),
    STRING("mode", "linear"),
    STRING("padding_mode", "zeros"),
    { 0 },
};
static const struct attr_def affine_attrs[] = { INT("align_corners", 0), { 0 } };
static const struct attr_def crop_attrs[] = { PLAIN("axes", INTS), { 0 } };

const struct op ops_grid[] = {
    { ONNX("GridSample", 22, 2, 2), .flags = OP_ANY_TYPE, .attrs = grid_attrs,
      .shape = shape_grid_sample, .eval = grid_sample, .grad = grid_sample_grad },
    { ONNX("AffineGrid", 20, 2, 2), .whole = 2, .attrs = affine_attrs, .shape = shape_affine_grid,
      .eval = affine_grid, .grad = affine_grid_grad },
    { ONNX("CenterCropPad", 18, 2, 2), .whole = 2, .attrs = crop_attrs, .flags = OP_MOVES,
      .shape = shape_center_crop, .eval = center_crop, .grad = grad_moves },
    { 0 },
};
