/* Pools and bilinear resizing of quantized integers.
 *
 * AveragePool: the sum over the elements inside, divided by their count to the nearest integer,
 * ties away from zero; scales are not looked at. MaxPool: on the integers as they are. Resize
 * (linear): positions with 10 fraction bits, products in 64 bits, to the nearest integer. */
#include <math.h>
#include <string.h>

#include "ops/fixed.h"
#include "ops/pooling.h"
#include "ops/resize.h"
#include "ops/row.h"

/* --- pools --- */

static int32_t average_of(const int32_t *v, const struct tap *taps, int64_t n, int64_t sum_from) {
    int64_t sum = 0;
    for (int64_t t = 0; t < n; t++)
        sum += v[sum_from + taps[t].x];
    return (int32_t)(sum > 0 ? (sum + n / 2) / n : (sum - n / 2) / n);
}

static int32_t largest_of(const int32_t *v, const struct tap *taps, int64_t n, int64_t from) {
    int32_t most = v[from + taps[0].x];
    for (int64_t t = 1; t < n; t++)
        most = v[from + taps[t].x] > most ? v[from + taps[t].x] : most;
    return most;
}

static enum status pool(struct op_ctx *c, enum pool_kind kind) {
    const struct tensor *x = c->in[0];
    struct fixed_quant q;
    struct pool_plan p;
    int32_t low, high;
    TRY(fixed_out_one(c, 0, &q));
    if (x->dtype != q.dtype)
        return fixed_bad_type(c, x->dtype);
    TRY(pool_plan(c->node, false, kind, x->rank, x->dim, &p, c->err));
    FAIL_IF(p.count_pad, c->err, STATUS_UNSUPPORTED, "a mean over padding in integer arithmetic");
    fixed_limits(c, &q, &low, &high);
    const int32_t *v = fixed_values(c, x, 0);
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&p.w), struct tap);
    for (int64_t at = 0, n = window_out_count(&p.w); at < n; at++) {
        int64_t count = window_taps(&p.w, at, p.x_spatial, NULL, false, false, taps),
                y = window_out_offset(&p.w, at, p.y_spatial);
        FAIL_IF(!count, c->err, STATUS_UNSUPPORTED, "a window of padding alone");
        for (int64_t i = 0; i < p.batch * p.channels; i++) {
            int64_t b = i / p.channels, channel = i % p.channels,
                    from = b * p.x_batch + channel * p.x_channel;
            int32_t m = kind == POOL_MAX ? largest_of(v, taps, count, from)
                                         : average_of(v, taps, count, from);
            m = fixed_clamp(m, low, high);
            fixed_store(c->out[0], b * p.y_batch + channel * p.y_channel + y, 1, &m);
        }
    }
    return OK;
}

static enum status average_pool(struct op_ctx *c) {
    return pool(c, POOL_AVERAGE);
}

static enum status max_pool(struct op_ctx *c) {
    return pool(c, POOL_MAX);
}

/* --- Resize --- */

struct axis_position {
    int32_t at;        /* 10 fraction bits */
    int32_t low, high; /* elements on either side */
};

static struct axis_position *positions(struct op_ctx *c, int64_t in, int64_t out, bool corners,
                                       bool half) {
    struct axis_position *p = NEW_ARRAY(c->scratch, out + 1, struct axis_position);
    int32_t n = (int32_t)in, m = (int32_t)out;
    int32_t step =
        corners && m > 1 ? (1024 * (n - 1) + (m - 1) / 2) / (m - 1) : (1024 * n + m / 2) / m;
    for (int32_t i = 0; i < m; i++) {
        p[i].at = i * step + (half ? step / 2 - 512 : 0);
        p[i].low = p[i].at / 1024 > 0 ? p[i].at / 1024 : 0;
        p[i].high = (p[i].at + 1023) / 1024 < n - 1 ? (p[i].at + 1023) / 1024 : n - 1;
    }
    return p;
}

static int32_t between(const int32_t *v, const struct axis_position *y,
                       const struct axis_position *x, int64_t row, int64_t channels) {
    int64_t dy = y->at - 1024 * y->low, dx = x->at - 1024 * x->low;
    const int32_t *top = v + y->low * row, *bottom = v + y->high * row;
    int64_t left = x->low * channels, right = x->high * channels;
    int64_t sum = top[left] * (1024 - dy) * (1024 - dx) + bottom[left] * dy * (1024 - dx) +
                  top[right] * (1024 - dy) * dx + bottom[right] * dy * dx;
    return (int32_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
}

/* uint8 is resized in float32: the four products of two weights each, added in this order, and a
 * half; then truncated. */
struct real_position {
    float at;
    int64_t low, high;
};

static struct real_position real_position(int64_t i, int64_t in, int64_t out, bool corners,
                                          bool half) {
    float step = corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
    struct real_position p = { half ? ((float)i + 0.5f) * step - 0.5f : (float)i * step, 0, 0 };
    p.low = p.at > 0 ? (int64_t)floorf(p.at) : 0;
    p.high = (int64_t)ceilf(p.at) < in - 1 ? (int64_t)ceilf(p.at) : in - 1;
    return p;
}

static int32_t between_real(const int32_t *v, struct real_position y, struct real_position x,
                            int64_t row, int64_t channels) {
    float dy = y.at - (float)y.low, dx = x.at - (float)x.low;
    const int32_t *top = v + y.low * row, *bottom = v + y.high * row;
    int64_t left = x.low * channels, right = x.high * channels;
    float sum = (float)top[left] * (1 - dy) * (1 - dx) + (float)bottom[left] * dy * (1 - dx) +
                (float)top[right] * (1 - dy) * dx + (float)bottom[right] * dy * dx + 0.5f;
    return fixed_clamp((int32_t)sum, 0, 255);
}

static enum status need_bilinear(struct op_ctx *c) {
    int n;
    const int64_t *axes = attr_ints(c->node, "axes", &n);
    const struct tensor *x = c->in[0], *y = c->out[0];
    FAIL_IF(strcmp(attr_str(c->node, "mode"), "linear") != 0 || x->rank != 4 || n != 2 ||
                axes[0] != 1 || axes[1] != 2 || x->dtype != y->dtype,
            c->err, STATUS_UNSUPPORTED,
            "Resize in integer arithmetic is linear, over height and width");
    for (int i = 1; i < 3; i++)
        FAIL_IF(x->dim[i] < 1 || x->dim[i] > 1 << 20 || y->dim[i] > 1 << 20, c->err,
                STATUS_UNSUPPORTED, "Resize of %lld to %lld in integer arithmetic",
                (long long)x->dim[i], (long long)y->dim[i]);
    return OK;
}

static enum status resize(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    TRY(need_bilinear(c));
    const char *mode = attr_str(c->node, "coordinate_transformation_mode");
    bool corners = strcmp(mode, "align_corners") == 0, half = strcmp(mode, "half_pixel") == 0;
    const struct axis_position *py = positions(c, x->dim[1], y->dim[1], corners, half),
                               *px = positions(c, x->dim[2], y->dim[2], corners, half);
    const int32_t *v = fixed_values(c, x, 0);
    int64_t channels = x->dim[3], row = x->dim[2] * channels, image = x->dim[1] * row, to = 0;
    for (int64_t b = 0; b < y->dim[0]; b++)
        for (int64_t i = 0; i < y->dim[1]; i++)
            for (int64_t j = 0; j < y->dim[2]; j++)
                for (int64_t k = 0; k < channels; k++) {
                    const int32_t *at = v + b * image + k;
                    int32_t q = x->dtype == DT_U8
                                    ? between_real(
                                          at, real_position(i, x->dim[1], y->dim[1], corners, half),
                                          real_position(j, x->dim[2], y->dim[2], corners, half),
                                          row, channels)
                                    : between(at, &py[i], &px[j], row, channels);
                    fixed_store(y, to++, 1, &q);
                }
    return OK;
}

const struct op ops_fixed_pool[] = {
    { FIXED("AveragePool", 1, 1), .attrs = ATTRS(AVERAGE_POOL_ATTRS, FIXED_LIMITS),
      .eval = average_pool },
    { FIXED("MaxPool", 1, 1), .attrs = ATTRS(MAX_POOL_ATTRS, FIXED_LIMITS), .eval = max_pool },
    { FIXED("Resize", 1, 4), .attrs = ATTRS(RESIZE_ATTRS), .eval = resize },
    { 0 },
};
