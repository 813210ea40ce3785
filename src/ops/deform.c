/* DeformConv and Col2Im, computed in float64 in every precision.
 *
 * Order of the floating-point operations: DeformConv as Conv, bias first, then kernel positions
 * row-major and within one the input channels ascending, one fma chain; a sample is itself one fma
 * chain from 0 over its neighbours row-major, times the mask where there is one. Col2Im adds the
 * blocks' elements that meet at a place from 0, kernel positions row-major. */
#include <math.h>
#include <string.h>

#include "ops/conv.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/call.h"
#include "ops/row.h"
#include "ops/split.h"

static enum status shape_deform(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *k = &c->in[1];
    struct conv_plan p;
    int64_t groups = attr_int(c->node, "offset_group"), dim[MAX_RANK];
    for (int i = 0; i < c->n_in; i++)
        TRY(need_float(c, i));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0 || !fact_known(k))
        return OK;
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    SHAPE_FAIL_IF(groups < 1 || p.in_channels % groups || groups > INT64_C(1) << 20, c,
                  "DeformConv has %lld offset groups for %lld channels", (long long)groups,
                  (long long)p.in_channels);
    memcpy(dim, p.y_dim, sizeof dim);
    int64_t positions = dims_product(p.w.kernel, 0, p.w.n);
    dim[1] = groups * positions * p.w.n;
    TRY(need_shape(c, 2, x->rank, dim));
    TRY(need_vector(c, 3, p.out_channels));
    dim[1] = groups * positions;
    TRY(need_shape(c, 4, x->rank, dim));
    out_shape(c, 0, x->dtype, x->rank, p.y_dim);
    return OK;
}

struct deform_job {
    const struct conv_plan *p;
    const struct tensor *x, *k, *offset, *bias, *mask;
    struct tensor *y;
    int64_t offset_groups, n_kernel, n_out;
    double *samples; /* [task][kernel position][channel] */
};

/* Linear interpolation between the elements around `at`; what lies outside is 0. */
static double sample(const struct deform_job *j, int64_t base, const double *at) {
    const struct window *w = &j->p->w;
    double acc = 0;
    for (int corner = 0; corner < 1 << w->n; corner++) {
        double weight = 1;
        int64_t offset = base;
        bool inside = true;
        for (int i = 0; i < w->n; i++) {
            int up = corner >> (w->n - 1 - i) & 1;
            double low = floor(at[i]), v = low + up;
            inside &= v >= 0 && v < (double)w->in[i];
            weight *= up ? at[i] - low : 1 - (at[i] - low);
            offset += inside ? (int64_t)v * j->p->x_spatial[i] : 0;
        }
        if (inside)
            acc = fma_d(weight, tensor_f64(j->x, offset), acc);
    }
    return acc;
}

/* Where kernel position k of output position `at` samples; row: of the offsets, over images, groups
 * and positions. */
static void sample_place(const struct deform_job *j, int64_t row, int64_t k, int64_t at,
                         double *place) {
    const struct window *w = &j->p->w;
    int64_t y = at;
    for (int i = w->n - 1; i >= 0; i--) {
        double moved = tensor_f64(j->offset, (row * w->n + i) * j->n_out + at);
        place[i] = (double)(y % w->out[i] * w->stride[i] - w->begin[i] +
                            k % w->kernel[i] * w->dilation[i]) +
                   moved;
        k /= w->kernel[i];
        y /= w->out[i];
    }
}

/* All samples of one image at one output position. */
static void sample_all(const struct deform_job *j, int64_t b, int64_t at, double *samples) {
    const struct conv_plan *p = j->p;
    int64_t per_group = p->in_channels / j->offset_groups;
    for (int64_t k = 0; k < j->n_kernel; k++)
        for (int64_t g = 0; g < j->offset_groups; g++) {
            int64_t row = (b * j->offset_groups + g) * j->n_kernel + k;
            double place[MAX_RANK], m = j->mask ? tensor_f64(j->mask, row * j->n_out + at) : 1;
            sample_place(j, row, k, at, place);
            for (int64_t ch = g * per_group; ch < (g + 1) * per_group; ch++) {
                double v = sample(j, b * p->x_batch + ch * p->x_channel, place);
                samples[k * p->in_channels + ch] = j->mask ? v * m : v;
            }
        }
}

static void deform_part(void *arg, struct part part) {
    const struct deform_job *j = arg;
    const struct conv_plan *p = j->p;
    double *samples = j->samples + part.task * j->n_kernel * p->in_channels;
    for (int64_t u = part.begin; u < part.end; u++) {
        int64_t b = u / j->n_out, at = u % j->n_out;
        sample_all(j, b, at, samples);
        for (int64_t o = 0; o < p->out_channels; o++) {
            int64_t g = o / p->out_per_group;
            double acc = j->bias ? tensor_f64(j->bias, o) : 0;
            for (int64_t k = 0; k < j->n_kernel; k++)
                for (int64_t i = 0; i < p->in_per_group; i++)
                    acc = fma_d(samples[k * p->in_channels + g * p->in_per_group + i],
                                tensor_f64(j->k, (o * p->in_per_group + i) * j->n_kernel + k), acc);
            tensor_set_f64(j->y, (b * p->out_channels + o) * j->n_out + at, acc);
        }
    }
}

static enum status deform_read(const struct node *n, const struct tensor *const *in, int n_in,
                               struct conv_plan *p, struct deform_job *j, struct err *e) {
    const struct tensor *x = in[0], *k = in[1];
    TRY(conv_plan(n, x->rank, x->dim, k->rank, k->dim, p, e));
    FAIL_IF(p->w.n > 6, e, STATUS_UNSUPPORTED, "DeformConv over %d spatial axes", p->w.n);
    *j = (struct deform_job) { .p = p,
                               .x = x,
                               .k = k,
                               .offset = in[2],
                               .bias = n_in > 3 ? in[3] : NULL,
                               .mask = n_in > 4 ? in[4] : NULL };
    j->offset_groups = attr_int(n, "offset_group");
    j->n_kernel = dims_product(p->w.kernel, 0, p->w.n);
    j->n_out = window_out_count(&p->w);
    return OK;
}

static enum status deform_conv(struct op_ctx *c) {
    struct conv_plan p;
    struct deform_job j;
    TRY(deform_read(c->node, c->in, c->n_in, &p, &j, c->err));
    j.y = c->out[0];
    int64_t cost = j.n_kernel * p.in_channels * (p.out_per_group + 8), units = p.batch * j.n_out;
    j.samples = NEW_ARRAY(
        c->scratch, (int64_t)split_tasks(c, units, cost) * j.n_kernel * p.in_channels, double);
    split_run(c, units, cost, deform_part, &j);
    return OK;
}

/* Shares g, the gradient of a sample at `at`, among its neighbours; adds the slopes by the place.
 */
static void sample_back(const struct deform_job *j, int64_t base, const double *at, double g,
                        double *gx, double *g_at) {
    const struct window *w = &j->p->w;
    for (int corner = 0; corner < 1 << w->n; corner++) {
        double part[MAX_RANK], weight = 1;
        int64_t offset = base;
        bool inside = true;
        for (int i = 0; i < w->n; i++) {
            int up = corner >> (w->n - 1 - i) & 1;
            double low = floor(at[i]), v = low + up;
            inside &= v >= 0 && v < (double)w->in[i];
            part[i] = up ? at[i] - low : 1 - (at[i] - low);
            weight *= part[i];
            offset += inside ? (int64_t)v * j->p->x_spatial[i] : 0;
        }
        if (!inside)
            continue;
        if (gx)
            gx[offset] += g * weight;
        for (int i = 0; i < w->n; i++) {
            double slope = corner >> (w->n - 1 - i) & 1 ? 1 : -1;
            for (int other = 0; other < w->n; other++)
                slope *= other == i ? 1 : part[other];
            g_at[i] += g * slope * tensor_f64(j->x, offset);
        }
    }
}

struct deform_back {
    const double *gy;
    double *gx, *gk, *g_offset, *gb, *g_mask; /* NULL: not wanted */
    double *samples, *g_samples;              /* [kernel position][channel] */
};

/* Through the sum of one output position: gradients of its samples, the kernel and the bias. */
static void deform_sum_back(const struct deform_job *j, const struct deform_back *d, int64_t b,
                            int64_t at) {
    const struct conv_plan *p = j->p;
    memset(d->g_samples, 0, (size_t)(j->n_kernel * p->in_channels) * sizeof *d->g_samples);
    for (int64_t o = 0; o < p->out_channels; o++) {
        double g = d->gy[(b * p->out_channels + o) * j->n_out + at];
        if (d->gb)
            d->gb[o] += g;
        for (int64_t k = 0; k < j->n_kernel; k++)
            for (int64_t i = 0; i < p->in_per_group; i++) {
                int64_t s = k * p->in_channels + o / p->out_per_group * p->in_per_group + i;
                int64_t w = (o * p->in_per_group + i) * j->n_kernel + k;
                d->g_samples[s] += g * tensor_f64(j->k, w);
                if (d->gk)
                    d->gk[w] += g * d->samples[s];
            }
    }
}

/* Through the samples: gradients of x, the offsets and the mask. */
static void deform_sample_back(const struct deform_job *j, const struct deform_back *d, int64_t b,
                               int64_t at) {
    const struct conv_plan *p = j->p;
    int64_t per_group = p->in_channels / j->offset_groups;
    for (int64_t u = 0; u < j->n_kernel * j->offset_groups; u++) {
        int64_t k = u / j->offset_groups, g = u % j->offset_groups,
                row = (b * j->offset_groups + g) * j->n_kernel + k;
        double place[MAX_RANK], g_at[MAX_RANK] = { 0 },
                                m = j->mask ? tensor_f64(j->mask, row * j->n_out + at) : 1;
        sample_place(j, row, k, at, place);
        for (int64_t ch = g * per_group; ch < (g + 1) * per_group; ch++) {
            int64_t base = b * p->x_batch + ch * p->x_channel;
            double gs = d->g_samples[k * p->in_channels + ch];
            if (d->g_mask)
                d->g_mask[row * j->n_out + at] += gs * sample(j, base, place);
            sample_back(j, base, place, gs * m, d->gx, g_at);
        }
        for (int i = 0; d->g_offset && i < p->w.n; i++)
            d->g_offset[(row * p->w.n + i) * j->n_out + at] += g_at[i];
    }
}

static double *deform_wanted(const struct grad_ctx *c, int i) {
    return i < c->n_in && c->in[i] && c->grad_in[i] ? c->grad_in[i]->data : NULL;
}

static enum status deform_grad(struct grad_ctx *c) {
    struct conv_plan p;
    struct deform_job j;
    if (!c->grad_out[0])
        return OK;
    TRY(deform_read(c->node, c->in, c->n_in, &p, &j, c->err));
    struct deform_back d = { c->grad_out[0]->data,
                             deform_wanted(c, 0),
                             deform_wanted(c, 1),
                             deform_wanted(c, 2),
                             deform_wanted(c, 3),
                             deform_wanted(c, 4),
                             NEW_ARRAY(c->scratch, j.n_kernel * p.in_channels + 1, double),
                             NEW_ARRAY(c->scratch, j.n_kernel * p.in_channels + 1, double) };
    for (int64_t u = 0; u < p.batch * j.n_out; u++) {
        sample_all(&j, u / j.n_out, u % j.n_out, d.samples);
        deform_sum_back(&j, &d, u / j.n_out, u % j.n_out);
        deform_sample_back(&j, &d, u / j.n_out, u % j.n_out);
    }
    return OK;
}

/* --- Col2Im --- */

/* The window whose taps run from the image to the blocks; needs contents of both shapes. */
static enum status fold_plan(const struct node *n, const int64_t *image, int64_t n_image,
                             const int64_t *block, int64_t n_block, struct window *w,
                             struct err *e) {
    FAIL_IF(n_image != n_block || n_image < 1 || n_image > MAX_RANK - 2, e, STATUS_CORRUPT,
            "Col2Im: image_shape has %lld elements, block_shape %lld", (long long)n_image,
            (long long)n_block);
    for (int64_t i = 0; i < n_image; i++) {
        FAIL_IF(image[i] < 0, e, STATUS_CORRUPT, "image_shape of Col2Im holds %lld",
                (long long)image[i]);
        w->in[i] = image[i];
        w->kernel[i] = block[i];
    }
    TRY(window_read(n, (int)n_image, true, w, e));
    return window_fit(n, w, false, e);
}

static enum status shape_col2im(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *image, *block;
    int64_t n_image, n_block, dim[MAX_RANK];
    struct window w;
    c->out[0].dtype = x->dtype;
    /* The specification takes every type but does not say what a sum of texts is. */
    FAIL_IF(x->dtype == DT_STRING, c->err, STATUS_UNSUPPORTED, "Col2Im of string tensors");
    TRY(need_shape(c, 0, 3, NULL));
    if (x->rank < 0 || !fact_ints(c, &c->in[1], &image, &n_image) ||
        !fact_ints(c, &c->in[2], &block, &n_block))
        return OK;
    TRY(fold_plan(c->node, image, n_image, block, n_block, &w, c->err));
    int64_t kernel = 1;
    for (int i = 0; i < w.n; i++) {
        SHAPE_FAIL_IF(kernel > INT64_MAX / w.kernel[i], c, "block_shape of Col2Im is too large");
        kernel *= w.kernel[i];
    }
    SHAPE_FAIL_IF(x->dim[1] >= 0 && x->dim[1] % kernel, c,
                  "Col2Im: %lld rows are no multiple of the block's %lld elements",
                  (long long)x->dim[1], (long long)kernel);
    SHAPE_FAIL_IF(x->dim[2] >= 0 && x->dim[2] != window_out_count(&w), c,
                  "Col2Im: the input has %lld blocks, the image %lld", (long long)x->dim[2],
                  (long long)window_out_count(&w));
    dim[0] = x->dim[0];
    dim[1] = x->dim[1] < 0 ? DIM_UNKNOWN : x->dim[1] / kernel;
    memcpy(dim + 2, image, (size_t)n_image * sizeof *dim);
    out_shape(c, 0, x->dtype, (int)n_image + 2, dim);
    return OK;
}

static enum status col2im_real(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    struct window w;
    int64_t n_image, n_block, step[MAX_RANK], k_step[MAX_RANK];
    const int64_t *image = ints_of(c->scratch, c->in[1], &n_image),
                  *block = ints_of(c->scratch, c->in[2], &n_block);
    TRY(fold_plan(c->node, image, n_image, block, n_block, &w, c->err));
    dense_steps(w.in, w.n, step);
    dense_steps(w.kernel, w.n, k_step);
    int64_t kernel = dims_product(w.kernel, 0, w.n), pixels = dims_product(w.in, 0, w.n),
            blocks = window_out_count(&w);
    int64_t planes = x->dim[0] * (x->dim[1] / kernel);
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&w), struct tap);
    double *sum = NEW_ARRAY(c->scratch, pixels + 1, double);
    for (int64_t p = 0; p < planes; p++) {
        memset(sum, 0, (size_t)pixels * sizeof *sum);
        for (int64_t b = 0; b < blocks; b++) {
            int64_t n = window_taps(&w, b, step, k_step, false, false, taps);
            for (int64_t t = 0; t < n; t++)
                sum[taps[t].x] += tensor_f64(x, (p * kernel + taps[t].k) * blocks + b);
        }
        for (int64_t i = 0; i < pixels; i++)
            tensor_set_f64(y, p * pixels + i, sum[i]);
    }
    return OK;
}

static enum status col2im(struct op_ctx *c) {
    return op_by_parts(c, col2im_real);
}

static enum status col2im_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0];
    struct window w;
    int64_t n_image, n_block, step[MAX_RANK], k_step[MAX_RANK];
    const int64_t *image = ints_of(c->scratch, c->in[1], &n_image),
                  *block = ints_of(c->scratch, c->in[2], &n_block);
    if (!c->grad_out[0] || !c->grad_in[0])
        return OK;
    TRY(fold_plan(c->node, image, n_image, block, n_block, &w, c->err));
    dense_steps(w.in, w.n, step);
    dense_steps(w.kernel, w.n, k_step);
    int64_t kernel = dims_product(w.kernel, 0, w.n), pixels = dims_product(w.in, 0, w.n),
            blocks = window_out_count(&w);
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&w), struct tap);
    for (int64_t u = 0; u < x->dim[0] * (x->dim[1] / kernel) * blocks; u++) {
        int64_t p = u / blocks, b = u % blocks,
                n = window_taps(&w, b, step, k_step, false, false, taps);
        for (int64_t t = 0; t < n; t++)
            ((double *)c->grad_in[0]->data)[(p * kernel + taps[t].k) * blocks + b] +=
                ((const double *)c->grad_out[0]->data)[p * pixels + taps[t].x];
    }
    return OK;
}

static const struct attr_def deform_attrs[] = {
    STRING("auto_pad", "NOTSET"),
    PLAIN("dilations", INTS),
    INT("group", 1),
    PLAIN("kernel_shape", INTS),
    INT("offset_group", 1),
    PLAIN("pads", INTS),
    PLAIN("strides", INTS),
    STRING("layout", "NCHW"),
    STRING("kernel_layout", "OIHW"),
    { 0 },
};
static const struct attr_def fold_attrs[] = {
    STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS),    PLAIN("pads", INTS),
    PLAIN("strides", INTS),       PLAIN("kernel_shape", INTS), { 0 },
};

const struct op ops_deform[] = {
    { ONNX("DeformConv", 22, 3, 5), .attrs = deform_attrs, .shape = shape_deform,
      .eval = deform_conv, .grad = deform_grad },
    { ONNX("Col2Im", 18, 3, 3), .whole = 6, .flags = OP_ANY_TYPE, .attrs = fold_attrs,
      .shape = shape_col2im, .eval = col2im, .grad = col2im_grad },
    { 0 },
};
