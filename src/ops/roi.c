/* Pools over regions of interest, computed in float64 in every precision.
 *
 * Order of the floating-point operations: RoiAlign adds its samples row-major from 0 and divides by
 * their count; a sample is w1 * v1 + w2 * v2 + w3 * v3 + w4 * v4 over the corners row-major, each
 * operation rounded. */
#include <math.h>
#include <string.h>

#include "ops/row.h"
#include "ops/split.h"

static enum status shape_rois(struct shape_ctx *c, int64_t width, int64_t out_h, int64_t out_w) {
    const struct fact *x = &c->in[0], *r = &c->in[1];
    TRY(need_float(c, 0));
    TRY(need_float(c, 1));
    TRY(need_shape(c, 0, 4, NULL));
    TRY(need_shape(c, 1, 2, (const int64_t[]) { DIM_UNKNOWN, width }));
    SHAPE_FAIL_IF(out_h < 1 || out_w < 1 || out_h > INT64_C(1) << 31 || out_w > INT64_C(1) << 31, c,
                  "%s with an output of %lld x %lld", c->node->op, (long long)out_h,
                  (long long)out_w);
    int64_t dim[4] = { r->rank == 2 ? r->dim[0] : DIM_UNKNOWN,
                       x->rank == 4 ? x->dim[1] : DIM_UNKNOWN, out_h, out_w };
    out_shape(c, 0, x->dtype, 4, dim);
    return OK;
}

static enum status shape_roi_align(struct shape_ctx *c) {
    const char *mode = attr_str(c->node, "mode"),
               *at = attr_str(c->node, "coordinate_transformation_mode");
    SHAPE_FAIL_IF(strcmp(mode, "avg") != 0 && strcmp(mode, "max") != 0, c,
                  "mode '%s' of RoiAlign is not known", mode);
    SHAPE_FAIL_IF(strcmp(at, "half_pixel") != 0 && strcmp(at, "output_half_pixel") != 0, c,
                  "coordinate_transformation_mode '%s' of RoiAlign is not known", at);
    SHAPE_FAIL_IF(
        attr_int(c->node, "sampling_ratio") < 0 || attr_int(c->node, "sampling_ratio") > 1 << 15, c,
        "sampling_ratio of RoiAlign is %lld", (long long)attr_int(c->node, "sampling_ratio"));
    if (c->in[1].rank == 2)
        TRY(need_vector(c, 2, c->in[1].dim[0]));
    return shape_rois(c, 4, attr_int(c->node, "output_height"), attr_int(c->node, "output_width"));
}

/* Counts of elements depend on where a coordinate falls, so it is scaled in float32, the type of
 * the attribute: 5 * 0.8 is 4. */
static double scaled(double v, double scale) {
    return (double)((float)v * (float)scale);
}

struct align {
    const struct tensor *x;
    int64_t base, h, w; /* of the channel's plane */
    bool max;
};

/* Neighbours of v on an axis; false when it lies more than one element outside. */
static bool around(double v, int64_t size, int64_t *low, int64_t *high, double *part) {
    if (!(v >= -1 && v <= (double)size))
        return false;
    if (v < 0)
        v = 0;
    *low = (int64_t)v;
    *high = *low + 1;
    if (*low >= size - 1) {
        *low = *high = size - 1;
        v = (double)*low;
    }
    *part = v - (double)*low;
    return true;
}

/* One sample: the interpolated value, or in max mode the largest of the weighted corners. */
static double sample(const struct align *a, double y, double x) {
    int64_t y0, y1, x0, x1;
    double ly, lx;
    if (!around(y, a->h, &y0, &y1, &ly) || !around(x, a->w, &x0, &x1, &lx))
        return 0;
    double v[4] = { (1 - ly) * (1 - lx) * tensor_f64(a->x, a->base + y0 * a->w + x0),
                    (1 - ly) * lx * tensor_f64(a->x, a->base + y0 * a->w + x1),
                    ly * (1 - lx) * tensor_f64(a->x, a->base + y1 * a->w + x0),
                    ly * lx * tensor_f64(a->x, a->base + y1 * a->w + x1) };
    if (a->max)
        return fmax(fmax(v[0], v[1]), fmax(v[2], v[3]));
    return v[0] + v[1] + v[2] + v[3];
}

struct roi_box {
    double y, x, bin_h, bin_w;
    int64_t grid_h, grid_w;
};

static double align_bin(const struct align *a, const struct roi_box *r, int64_t ph, int64_t pw) {
    double sum = a->max ? -INFINITY : 0;
    for (int64_t iy = 0; iy < r->grid_h; iy++) {
        double y = r->y + (double)ph * r->bin_h + ((double)iy + 0.5) * r->bin_h / (double)r->grid_h;
        for (int64_t ix = 0; ix < r->grid_w; ix++) {
            double x =
                r->x + (double)pw * r->bin_w + ((double)ix + 0.5) * r->bin_w / (double)r->grid_w;
            double v = sample(a, y, x);
            sum = !a->max ? sum + v : v > sum ? v : sum;
        }
    }
    if (r->grid_h < 1 || r->grid_w < 1)
        return 0;
    return a->max ? sum : sum / (double)(r->grid_h * r->grid_w);
}

static enum status read_box(const struct node *n, const struct tensor *rois, const struct tensor *y,
                            int64_t i, struct roi_box *r, struct err *e) {
    double scale = attr_float(n, "spatial_scale"), v[4];
    bool half = strcmp(attr_str(n, "coordinate_transformation_mode"), "half_pixel") == 0;
    int64_t ratio = attr_int(n, "sampling_ratio");
    for (int k = 0; k < 4; k++) {
        v[k] = scaled(tensor_f64(rois, i * 4 + k), scale) - (half ? 0.5 : 0);
        FAIL_IF(!(fabs(v[k]) < 1e6), e, STATUS_UNSUPPORTED,
                "RoiAlign: region %lld has a coordinate of %g", (long long)i, v[k]);
    }
    double h = v[3] - v[1], w = v[2] - v[0];
    if (!half) { /* the older meaning: at least one element */
        h = fmax(h, 1);
        w = fmax(w, 1);
    }
    r->x = v[0];
    r->y = v[1];
    r->bin_h = h / (double)y->dim[2];
    r->bin_w = w / (double)y->dim[3];
    r->grid_h = ratio ? ratio : (int64_t)ceil(r->bin_h);
    r->grid_w = ratio ? ratio : (int64_t)ceil(r->bin_w);
    return OK;
}

static enum status roi_align(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct align a = {
        .x = x, .h = x->dim[2], .w = x->dim[3], .max = strcmp(attr_str(c->node, "mode"), "max") == 0
    };
    FAIL_IF(tensor_count(y) && !tensor_count(x), c->err, STATUS_CORRUPT,
            "RoiAlign of an empty image");
    for (int64_t i = 0, at = 0; i < y->dim[0]; i++) {
        struct roi_box r = { 0 };
        int64_t b = tensor_i64(c->in[2], i);
        TRY(read_box(c->node, c->in[1], y, i, &r, c->err));
        FAIL_IF(b < 0 || b >= x->dim[0], c->err, STATUS_CORRUPT,
                "RoiAlign: region %lld is of image %lld of %lld", (long long)i, (long long)b,
                (long long)x->dim[0]);
        for (int64_t ch = 0; ch < x->dim[1]; ch++) {
            a.base = (b * x->dim[1] + ch) * a.h * a.w;
            for (int64_t p = 0; p < y->dim[2] * y->dim[3]; p++)
                tensor_set_f64(y, at++, align_bin(&a, &r, p / y->dim[3], p % y->dim[3]));
        }
    }
    return OK;
}

/* Shares g among the corners of one sample. */
static void sample_back(const struct align *a, double *gx, double y, double x, double g) {
    int64_t y0, y1, x0, x1;
    double ly, lx;
    if (!around(y, a->h, &y0, &y1, &ly) || !around(x, a->w, &x0, &x1, &lx))
        return;
    gx[a->base + y0 * a->w + x0] += g * (1 - ly) * (1 - lx);
    gx[a->base + y0 * a->w + x1] += g * (1 - ly) * lx;
    gx[a->base + y1 * a->w + x0] += g * ly * (1 - lx);
    gx[a->base + y1 * a->w + x1] += g * ly * lx;
}

/* By the image; regions are taken as constants. */
static enum status roi_align_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *y = c->out[0];
    struct align a = { .x = x, .h = x->dim[2], .w = x->dim[3] };
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    FAIL_IF(strcmp(attr_str(c->node, "mode"), "avg") != 0, c->err, STATUS_UNSUPPORTED,
            "the gradient of RoiAlign's max mode");
    const double *gy = c->grad_out[0]->data;
    for (int64_t i = 0; i < y->dim[0]; i++) {
        struct roi_box r = { 0 };
        TRY(read_box(c->node, c->in[1], y, i, &r, c->err));
        for (int64_t u = 0; u < x->dim[1] * y->dim[2] * y->dim[3] * r.grid_h * r.grid_w; u++) {
            int64_t sample = u % (r.grid_h * r.grid_w), bin = u / (r.grid_h * r.grid_w),
                    pw = bin % y->dim[3];
            int64_t ph = bin / y->dim[3] % y->dim[2], ch = bin / y->dim[3] / y->dim[2];
            double at_y = r.y + (double)ph * r.bin_h +
                          ((double)(sample / r.grid_w) + 0.5) * r.bin_h / (double)r.grid_h;
            double at_x = r.x + (double)pw * r.bin_w +
                          ((double)(sample % r.grid_w) + 0.5) * r.bin_w / (double)r.grid_w;
            a.base = (tensor_i64(c->in[2], i) * x->dim[1] + ch) * a.h * a.w;
            sample_back(&a, c->grad_in[0]->data, at_y, at_x,
                        gy[i * x->dim[1] * y->dim[2] * y->dim[3] + bin] /
                            (double)(r.grid_h * r.grid_w));
        }
    }
    return OK;
}

static enum status shape_max_roi(struct shape_ctx *c) {
    int n;
    const int64_t *size = attr_ints(c->node, "pooled_shape", &n);
    SHAPE_FAIL_IF(n != 2, c, "pooled_shape of MaxRoiPool has %d elements, not 2", n);
    return shape_rois(c, 5, size[0], size[1]);
}

/* Where bin p of n begins (or, for p + 1 with `up`, ends), within [0, size]. */
static int64_t bin_edge(int64_t p, double bin, double start, int64_t size, bool up) {
    double v = (double)p * bin;
    v = (up ? ceil(v) : floor(v)) + start;
    return v < 0 ? 0 : v > (double)size ? size : (int64_t)v;
}

/* Fast R-CNN's pooling: whole elements from round(start) to round(end), both in; an empty bin is 0.
 * Writes y, or with gx gives each bin's gradient to its largest element. */
static enum status max_roi_run(const struct node *n, const struct tensor *x,
                               const struct tensor *rois, struct tensor *y, const double *gy,
                               double *gx, struct err *e) {
    int64_t h = x->dim[2], w = x->dim[3], bins = y->dim[2] * y->dim[3];
    double scale = attr_float(n, "spatial_scale");
    for (int64_t i = 0; i < y->dim[0]; i++) {
        double v[5];
        for (int k = 0; k < 5; k++) {
            v[k] = tensor_f64(rois, i * 5 + k);
            FAIL_IF(!(fabs(v[k] * scale) < 1e9 && fabs(v[k]) < 1e9), e, STATUS_CORRUPT,
                    "MaxRoiPool: region %lld holds %g", (long long)i, v[k]);
            if (k)
                v[k] = round(scaled(v[k], scale));
        }
        FAIL_IF(v[0] < 0 || v[0] >= (double)x->dim[0], e, STATUS_CORRUPT,
                "MaxRoiPool: region %lld is of image %g of %lld", (long long)i, v[0],
                (long long)x->dim[0]);
        double bin_h = fmax(v[4] - v[2] + 1, 1) / (double)y->dim[2],
               bin_w = fmax(v[3] - v[1] + 1, 1) / (double)y->dim[3];
        for (int64_t u = 0; u < x->dim[1] * bins; u++) {
            int64_t ph = u % bins / y->dim[3], pw = u % y->dim[3], best = -1;
            int64_t y0 = bin_edge(ph, bin_h, v[2], h, false),
                    y1 = bin_edge(ph + 1, bin_h, v[2], h, true);
            int64_t x0 = bin_edge(pw, bin_w, v[1], w, false),
                    x1 = bin_edge(pw + 1, bin_w, v[1], w, true);
            for (int64_t r = y0; r < y1; r++)
                for (int64_t q = x0; q < x1; q++) {
                    int64_t at = (((int64_t)v[0] * x->dim[1] + u / bins) * h + r) * w + q;
                    if (best < 0 || tensor_f64(x, at) > tensor_f64(x, best))
                        best = at;
                }
            if (!gx)
                tensor_set_f64(y, i * x->dim[1] * bins + u, best < 0 ? 0 : tensor_f64(x, best));
            else if (best >= 0)
                gx[best] += gy[i * x->dim[1] * bins + u];
        }
    }
    return OK;
}

static enum status max_roi_pool(struct op_ctx *c) {
    return max_roi_run(c->node, c->in[0], c->in[1], c->out[0], NULL, NULL, c->err);
}

static enum status max_roi_grad(struct grad_ctx *c) {
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    return max_roi_run(c->node, c->in[0], c->in[1], (struct tensor *)(size_t)c->out[0],
                       c->grad_out[0]->data, c->grad_in[0]->data, c->err);
}

static const struct attr_def align_attrs[] = {
    STRING("coordinate_transformation_mode", "half_pixel"),
    STRING("mode", "avg"),
    INT("output_height", 1),
    INT("output_width", 1),
    INT("sampling_ratio", 0),
    FLOAT("spatial_scale", 1),
    { 0 },
};
static const struct attr_def pool_attrs[] = { NEEDED("pooled_shape", INTS),
                                              FLOAT("spatial_scale", 1),
                                              { 0 } };

const struct op ops_roi[] = {
    { ONNX("RoiAlign", 22, 3, 3), .whole = 4, .attrs = align_attrs, .shape = shape_roi_align,
      .eval = roi_align, .grad = roi_align_grad },
    { ONNX("MaxRoiPool", 22, 2, 2), .attrs = pool_attrs, .shape = shape_max_roi,
      .eval = max_roi_pool, .grad = max_roi_grad },
    { 0 },
};
