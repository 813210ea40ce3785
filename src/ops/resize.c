/* Resize.
 *
 * Coordinates and weights are computed in double. Linear and cubic interpolation go axis by axis,
 * the first axis first; each value along an axis is one fma chain from 0 over the neighbours with
 * ascending index. Integers are interpolated as float64, rounded half to even and kept in their
 * type's range (as the reference evaluator has it). Neighbours outside the tensor take the nearest
 * edge's value (exclude_outside: weight 0, the others scaled to sum 1). */
#include <math.h>
#include <string.h>

#include "ops/cores.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/call.h"
#include "ops/row.h"
#include "ops/split.h"

enum coordinates {
    HALF_PIXEL,
    HALF_PIXEL_SYMMETRIC,
    PYTORCH_HALF_PIXEL,
    ALIGN_CORNERS,
    ASYMMETRIC,
    CROP_AND_RESIZE
};
enum nearest { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, NEAREST_FLOOR, NEAREST_CEIL };
enum interpolation { NEAREST, LINEAR, CUBIC };

struct resize_axis {
    int64_t in, out;
    double scale, length; /* length: of the output before it was rounded */
    double start, end;    /* region of interest */
    bool same;            /* nothing to do */
    /* Output o reads index[first[o] .. first[o + 1]) with these weights. */
    int64_t *first, *index;
    double *weight;
    bool *outside; /* the coordinate is outside the tensor (CROP_AND_RESIZE), or NULL */
};

struct resize {
    int rank;
    struct resize_axis axis[MAX_RANK];
    enum interpolation mode;
    enum coordinates coordinates;
    enum nearest nearest;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
};

#define EACH_REAL "ops/resize.inc"
#include "ops/each_real.inc"

/* The position of the attribute's text in a list that ends with NULL. */
static enum status choice(const struct node *n, const char *name, const char *const *names,
                          int *out, struct err *e) {
    const char *s = attr_str(n, name);
    for (*out = 0; names[*out]; (*out)++)
        if (strcmp(s, names[*out]) == 0)
            return OK;
    return err_set(e, STATUS_CORRUPT, "%s '%s' of %s is not known", name, s, n->op);
}

static enum status read_modes(const struct node *n, struct resize *r, struct err *e) {
    static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
    static const char *const nearest[] = { "round_prefer_floor", "round_prefer_ceil", "floor",
                                           "ceil", NULL };
    static const char *const coordinates[] = { "half_pixel",
                                               "half_pixel_symmetric",
                                               "pytorch_half_pixel",
                                               "align_corners",
                                               "asymmetric",
                                               "tf_crop_and_resize",
                                               NULL };
    int mode, near, at;
    TRY(choice(n, "mode", modes, &mode, e));
    TRY(choice(n, "nearest_mode", nearest, &near, e));
    TRY(choice(n, "coordinate_transformation_mode", coordinates, &at, e));
    r->mode = (enum interpolation)mode;
    r->nearest = (enum nearest)near;
    r->coordinates = (enum coordinates)at;
    r->antialias = attr_int(n, "antialias") != 0;
    r->exclude_outside = attr_int(n, "exclude_outside") != 0;
    r->cubic_a = attr_float(n, "cubic_coeff_a");
    r->extrapolation = attr_float(n, "extrapolation_value");
    return OK;
}

/* Which axis the k-th element of roi, scales and sizes belongs to. */
static enum status read_axes(const struct node *n, int rank, int *axes, int *count, struct err *e) {
    const int64_t *given = attr_ints(n, "axes", count);
    if (!given)
        *count = rank;
    FAIL_IF(*count > MAX_RANK, e, STATUS_CORRUPT, "Resize lists %d axes", *count);
    for (int i = 0; i < *count; i++) {
        TRY(axis_normalise(given ? given[i] : i, rank, &axes[i], e));
        for (int k = 0; k < i; k++)
            FAIL_IF(axes[k] == axes[i], e, STATUS_CORRUPT, "Resize lists axis %d twice", axes[i]);
    }
    return OK;
}

static bool given(const struct tensor *t) {
    return t && tensor_count(t) > 0;
}

static enum status sizes_by_policy(const struct node *n, struct resize *r, const int *axes,
                                   int count, const struct tensor *sizes, struct err *e) {
    static const char *const names[] = { "stretch", "not_larger", "not_smaller", NULL };
    int policy;
    double scale = 0;
    TRY(choice(n, "keep_aspect_ratio_policy", names, &policy, e));
    for (int i = 0; i < count; i++) {
        struct resize_axis *a = &r->axis[axes[i]];
        a->out = tensor_i64(sizes, i);
        FAIL_IF(a->out < 0, e, STATUS_CORRUPT, "Resize to %lld elements on axis %d",
                (long long)a->out, axes[i]);
        if (a->in < 1)
            continue;
        a->scale = a->length = (double)a->out;
        a->scale /= (double)a->in;
        if (i == 0 || (policy == 1 ? a->scale < scale : a->scale > scale))
            scale = a->scale;
    }
    for (int i = 0; policy && i < count; i++) {
        struct resize_axis *a = &r->axis[axes[i]];
        a->scale = scale;
        a->length = scale * (double)a->in;
        a->out = (int64_t)floor(a->length + 0.5);
    }
    return OK;
}

/* Sizes of the output from roi, scales and sizes (all given ones with contents); in may be unknown
 * (negative). */
static enum status read_sizes(const struct node *n, int rank, const int64_t *dim,
                              const struct tensor *roi, const struct tensor *scales,
                              const struct tensor *sizes, struct resize *r, struct err *e) {
    int axes[MAX_RANK], count;
    r->rank = rank;
    TRY(read_axes(n, rank, axes, &count, e));
    FAIL_IF(given(scales) && given(sizes), e, STATUS_CORRUPT, "Resize has both scales and sizes");
    FAIL_IF(!given(scales) && !given(sizes) && count, e, STATUS_CORRUPT,
            "Resize has neither scales nor sizes");
    const struct tensor *list = given(scales) ? scales : sizes;
    FAIL_IF(count && tensor_count(list) != count, e, STATUS_CORRUPT,
            "Resize has %lld %s for %d axes", (long long)tensor_count(list),
            given(scales) ? "scales" : "sizes", count);
    bool crop = r->coordinates == CROP_AND_RESIZE;
    FAIL_IF(crop && (!given(roi) || tensor_count(roi) != 2 * count), e, STATUS_CORRUPT,
            "tf_crop_and_resize needs a roi of %d elements", 2 * count);
    for (int i = 0; i < rank; i++)
        r->axis[i] = (struct resize_axis) {
            .in = dim[i], .out = dim[i], .scale = 1, .length = (double)dim[i], .end = 1
        };
    for (int i = 0; i < count && crop; i++) {
        r->axis[axes[i]].start = tensor_f64(roi, i);
        r->axis[axes[i]].end = tensor_f64(roi, count + i);
    }
    if (!given(scales))
        return sizes_by_policy(n, r, axes, count, sizes, e);
    for (int i = 0; i < count; i++) {
        struct resize_axis *a = &r->axis[axes[i]];
        a->scale = tensor_f64(scales, i);
        FAIL_IF(!(a->scale > 0) || a->scale > 1e9, e, STATUS_CORRUPT,
                "Resize by a scale of %g on axis %d", a->scale, axes[i]);
        if (a->in < 0) {
            a->out = a->scale == 1 && !crop ? a->in : DIM_UNKNOWN;
            continue;
        }
        a->length = (double)a->in * a->scale;
        /* Sizes are computed in float32, the type of scales: 3 * 2.3333333 is 7. The text of
         * Resize-19 also multiplies by the region's extent; its shape rule, the reference evaluator
         * and ONNX Runtime do not. */
        float size = floorf((float)a->in * (float)a->scale);
        FAIL_IF(!(size >= 0 && size < 1e15f), e, STATUS_CORRUPT, "Resize to %g elements on axis %d",
                (double)size, axes[i]);
        a->out = (int64_t)size;
        if (!crop && a->in > 0 && (float)((double)a->out / (double)a->in) == (float)a->scale) {
            /* 0.6 in float32 is above 3 / 5; the ratio is what was meant, and where an index falls
             * on an element exactly the difference would show. */
            a->scale = (double)a->out / (double)a->in;
            a->length = (double)a->out;
        }
    }
    return OK;
}

static enum status shape_resize(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    struct resize r = { 0 };
    enum dtype t = x->dtype;
    const struct tensor *in[4] = { NULL };
    TRY(read_modes(c->node, &r, c->err));
    SHAPE_FAIL_IF(
        r.mode != NEAREST && (t == DT_BOOL || t == DT_STRING), c,
        "Resize in mode '%s' interpolates numbers; its input is %s, which mode 'nearest' takes",
        attr_str(c->node, "mode"), dtype_name(t));
    c->out[0].dtype = t;
    if (x->rank < 0)
        return OK;
    c->out[0].rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        c->out[0].dim[i] = DIM_UNKNOWN;
    for (int i = 1; i < c->n_in; i++) {
        in[i] = c->in[i].value;
        if (!c->in[i].absent && !in[i] && (i > 1 || r.coordinates == CROP_AND_RESIZE))
            return OK;
        SHAPE_FAIL_IF(in[i] && in[i]->kind != KIND_TENSOR, c, "input %d of Resize is not a tensor",
                      i);
        SHAPE_FAIL_IF(in[i] && i < 3 && !dtype_is_float(in[i]->dtype), c,
                      "input %d of Resize must be float", i);
        SHAPE_FAIL_IF(in[i] && i == 3 && !dtype_is_int(in[i]->dtype), c,
                      "sizes of Resize must be integers");
    }
    TRY(read_sizes(c->node, x->rank, x->dim, in[1], in[2], in[3], &r, c->err));
    for (int i = 0; i < x->rank; i++)
        c->out[0].dim[i] = r.axis[i].out;
    return OK;
}

/* The coordinate of output index o in the input. */
static double original(const struct resize *r, const struct resize_axis *a, int64_t o) {
    double x = (double)o, in = (double)a->in, half = (x + 0.5) / a->scale - 0.5;
    switch (r->coordinates) {
    case HALF_PIXEL:
        return half;
    case HALF_PIXEL_SYMMETRIC:
        return in / 2 * (1 - (double)a->out / a->length) + half;
    case PYTORCH_HALF_PIXEL:
        return a->out > 1 ? half : 0;
    case ALIGN_CORNERS:
        return a->length == 1 || a->out == 1 ? 0 : x * (in - 1) / (a->length - 1);
    case ASYMMETRIC:
        return x / a->scale;
    default:
        return a->out > 1
                   ? a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / (double)(a->out - 1)
                   : 0.5 * (a->start + a->end) * (in - 1);
    }
}

static double rounded(enum nearest how, double x) {
    switch (how) {
    case ROUND_PREFER_FLOOR:
        return ceil(x - 0.5);
    case ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case NEAREST_FLOOR:
        return floor(x);
    default:
        return ceil(x);
    }
}

/* The filter at distance t: the tent, or the cubic convolution of Keys (1981), equation 4. */
static double filter(const struct resize *r, double t) {
    double a = r->cubic_a;
    t = fabs(t);
    if (r->mode == LINEAR)
        return t < 1 ? 1 - t : 0;
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

static int64_t clamp(double v, int64_t n) {
    return !(v > 0) ? 0 : v >= (double)n ? n - 1 : (int64_t)v;
}

/* Adds the neighbours of coordinate x; gives how many. `room` of them may be written (index NULL:
 * only count). */
static int64_t neighbours(const struct resize *r, const struct resize_axis *a, double x,
                          int64_t *index, double *weight) {
    x = fmin(fmax(x, -4e9), 4e9); /* no tensor is that large: the nearest edge all the same */
    if (r->mode == NEAREST) {
        if (index) {
            *index = clamp(rounded(r->nearest, x), a->in);
            *weight = 1;
        }
        return 1;
    }
    double stretch = r->antialias && a->scale < 1 ? a->scale : 1,
           support = r->mode == LINEAR ? 1 : 2, sum = 0;
    double from = floor(x - support / stretch) + 1, to = ceil(x + support / stretch) - 1;
    int64_t n = 0;
    for (double i = from; i <= to; i++) {
        bool outside = i < 0 || i >= (double)a->in;
        if (outside && r->exclude_outside)
            continue;
        if (index) {
            index[n] = clamp(i, a->in);
            weight[n] = filter(r, (i - x) * stretch);
            sum += weight[n];
        }
        n++;
    }
    for (int64_t i = 0; index && i < n && (r->exclude_outside || stretch < 1); i++)
        weight[i] /= sum;
    return n;
}

static enum status plan_axis(struct arena *arena, const struct resize *r, struct resize_axis *a,
                             struct err *e) {
    bool crop = r->coordinates == CROP_AND_RESIZE;
    double reach = 2 * (r->antialias && a->scale < 1 ? 1 / a->scale : 1) * 2 + 2;
    FAIL_IF(reach * (double)a->out > 1e9, e, STATUS_UNSUPPORTED,
            "Resize from %lld to %lld elements", (long long)a->in, (long long)a->out);
    a->same = a->in == a->out && !crop &&
              (r->coordinates != HALF_PIXEL_SYMMETRIC || a->length == (double)a->out) &&
              (a->scale == 1 || r->coordinates == ALIGN_CORNERS) && a->length == (double)a->out;
    if (a->same || !a->out || !a->in)
        return OK;
    a->first = NEW_ARRAY(arena, a->out + 1, int64_t);
    for (int64_t o = 0; o < a->out; o++)
        a->first[o + 1] = a->first[o] + neighbours(r, a, original(r, a, o), NULL, NULL);
    a->index = NEW_ARRAY(arena, a->first[a->out] + 1, int64_t);
    a->weight = NEW_ARRAY(arena, a->first[a->out] + 1, double);
    a->outside = crop ? NEW_ARRAY(arena, a->out, bool) : NULL;
    for (int64_t o = 0; o < a->out; o++) {
        double x = original(r, a, o);
        neighbours(r, a, x, a->index + a->first[o], a->weight + a->first[o]);
        if (crop)
            a->outside[o] = !(x >= 0 && x <= (double)(a->in - 1));
    }
    return OK;
}

struct nearest_job {
    const struct resize *r;
    const struct tensor *x;
    struct tensor *y;
    int64_t step[MAX_RANK];
};

/* Lines along the last axis: every output element is an input element, found through per-axis
 * indices. */
static void nearest_lines(void *arg, struct part part) {
    const struct nearest_job *j = arg;
    const int last = j->r->rank - 1;
    const int64_t n = j->y->dim[last], *index = j->r->axis[last].index;
    size_t size = element_size(j->x);
    for (int64_t line = part.begin; line < part.end; line++) {
        int64_t from = 0, rest = line;
        for (int i = last - 1; i >= 0; i--) {
            int64_t at = rest % j->y->dim[i];
            rest /= j->y->dim[i];
            from += (j->r->axis[i].same ? at : j->r->axis[i].index[at]) * j->step[i];
        }
        const char *x = element_at(j->x, from);
        char *y = element_at(j->y, line * n);
        if (j->r->axis[last].same)
            memcpy(y, x, (size_t)n * size);
        else if (size == 4)
            for (int64_t i = 0; i < n; i++)
                memcpy(y + i * 4, x + index[i] * 4, 4);
        else if (size == 8)
            for (int64_t i = 0; i < n; i++)
                memcpy(y + i * 8, x + index[i] * 8, 8);
        else if (size == 1)
            for (int64_t i = 0; i < n; i++)
                y[i] = x[index[i]];
        else
            for (int64_t i = 0; i < n; i++)
                memcpy(y + (size_t)i * size, x + (size_t)index[i] * size, size);
    }
}

static void resize_nearest(struct op_ctx *c, const struct resize *r) {
    struct nearest_job j = { .r = r, .x = c->in[0], .y = c->out[0] };
    if (r->rank == 0) {
        memcpy(j.y->data, j.x->data, element_size(j.x));
    } else {
        int64_t n = j.y->dim[r->rank - 1];
        dense_steps(j.x->dim, j.x->rank, j.step);
        split_run(c, tensor_count(j.y) / n, n, nearest_lines, &j);
    }
    own_strings(j.y);
}

static void set_integers(struct tensor *y, const double *v) {
    int64_t n = tensor_count(y);
    bool is_signed = !dtype_is_unsigned(y->dtype);
    int bits = dtype_row(y->dtype)->bits - is_signed;
    /* The largest double that a 64-bit type holds. */
    double least = is_signed ? -ldexp(1, bits) : 0,
           largest = ldexp(1, bits) - (bits > 53 ? ldexp(1, bits - 53) : 1);
    for (int64_t i = 0; i < n; i++) {
        double r = rint(v[i]);
        tensor_set_f64(y, i, r < least ? least : r > largest ? largest : r);
    }
}

static void extrapolate(const struct resize *r, struct tensor *y) {
    int64_t at[MAX_RANK] = { 0 }, n = tensor_count(y);
    for (int64_t k = 0; k < n; k++) {
        bool outside = false;
        for (int i = 0; i < r->rank; i++)
            outside |= r->axis[i].outside && r->axis[i].outside[at[i]];
        if (outside)
            tensor_set_f64(y, k, r->extrapolation);
        for (int i = r->rank - 1; i >= 0 && ++at[i] == y->dim[i]; i--)
            at[i] = 0;
    }
}

static enum status resize_real(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct resize r = { 0 };
    TRY(read_modes(c->node, &r, c->err));
    TRY(read_sizes(c->node, x->rank, x->dim, c->n_in > 1 ? c->in[1] : NULL,
                   c->n_in > 2 ? c->in[2] : NULL, c->n_in > 3 ? c->in[3] : NULL, &r, c->err));
    if (!tensor_count(y))
        return OK;
    FAIL_IF(!tensor_count(x), c->err, STATUS_CORRUPT, "Resize of an empty tensor to %lld elements",
            (long long)tensor_count(y));
    for (int i = 0; i < r.rank; i++)
        TRY(plan_axis(c->scratch, &r, &r.axis[i], c->err));
    if (r.mode == NEAREST) {
        resize_nearest(c, &r);
    } else if (x->store == DT_F32) {
        const float *v = resize_run_f(c, &r, x->data);
        memcpy(y->data, v ? v : x->data, tensor_bytes(y));
    } else {
        const double *v = x->data, *done;
        if (x->store != DT_F64) {
            double *copy = NEW_ARRAY(c->scratch, tensor_count(x) + 1, double);
            tensor_load_f64(x, 0, tensor_count(x), copy);
            v = copy;
        }
        done = resize_run_d(c, &r, v);
        if (!done)
            copy_elements(y, x);
        else if (dtype_is_int(y->dtype))
            set_integers(y, done);
        else
            tensor_store_f64(y, 0, tensor_count(y), done);
    }
    if (r.coordinates == CROP_AND_RESIZE)
        extrapolate(&r, y);
    return OK;
}

static enum status resize(struct op_ctx *c) {
    struct resize r = { 0 };
    TRY(read_modes(c->node, &r, c->err));
    return r.mode == NEAREST ? resize_real(c) : op_by_parts(c, resize_real);
}

/* Undoes one axis: every neighbour gets its weight's share. */
static double *resize_back(struct arena *arena, const struct resize_axis *a, const double *gy,
                           int64_t outer, int64_t inner) {
    double *gx = NEW_ARRAY(arena, outer * a->in * inner + 1, double);
    for (int64_t u = 0; u < outer * a->out; u++)
        for (int64_t t = a->first[u % a->out]; t < a->first[u % a->out + 1]; t++)
            for (int64_t i = 0; i < inner; i++)
                gx[(u / a->out * a->in + a->index[t]) * inner + i] +=
                    a->weight[t] * gy[u * inner + i];
    return gx;
}

static enum status resize_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *y = c->out[0];
    struct resize r = { 0 };
    if (!c->grad_out[0] || !c->grad_in[0] || !tensor_count(y))
        return OK;
    TRY(read_modes(c->node, &r, c->err));
    TRY(read_sizes(c->node, x->rank, x->dim, c->n_in > 1 ? c->in[1] : NULL,
                   c->n_in > 2 ? c->in[2] : NULL, c->n_in > 3 ? c->in[3] : NULL, &r, c->err));
    for (int i = 0; i < r.rank; i++)
        TRY(plan_axis(c->scratch, &r, &r.axis[i], c->err));
    struct tensor *g = tensor_in_arena(c->scratch, DT_F64, DT_F64, y->rank, y->dim);
    memcpy(g->data, c->grad_out[0]->data, tensor_bytes(g));
    r.extrapolation = 0;
    if (r.coordinates == CROP_AND_RESIZE)
        extrapolate(&r, g);
    double *back = g->data;
    int64_t dim[MAX_RANK], n = tensor_count(x);
    memcpy(dim, y->dim, sizeof dim);
    for (int k = r.rank - 1; k >= 0; k--) {
        if (!r.axis[k].same)
            back = resize_back(c->scratch, &r.axis[k], back, dims_product(dim, 0, k),
                               dims_product(dim, k + 1, r.rank));
        dim[k] = r.axis[k].in;
    }
    for (int64_t i = 0; i < n; i++)
        ((double *)c->grad_in[0]->data)[i] += back[i];
    return OK;
}

static const struct attr_def resize_attrs[] = { RESIZE_ATTRS, { 0 } };

const struct op ops_resize[] = {
    { ONNX("Resize", 19, 1, 4), .whole = 8, .flags = OP_ANY_TYPE, .attrs = resize_attrs,
      .shape = shape_resize, .eval = resize, .grad = resize_grad },
    { 0 },
};
