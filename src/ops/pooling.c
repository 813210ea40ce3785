/* Pools.
 *
 * Order of the floating-point operations: the window's elements that are not padding are taken
 * row-major, the first spatial axis outermost. Averages are their sum from 0, one addition an
 * element, divided by the count. LpPool sums |x|^p (p = 2: one fma chain) from 0 and takes the root
 * (p = 2: square root, p = 1: none, else pow with 1 / p). The global pools are pools whose window
 * is the whole image. */
#include "ops/pooling.h"

#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

int64_t pool_max_index(const struct pool_plan *p, int64_t at) {
    if (!p->column_major)
        return at;
    int64_t index = 0, step = p->w.n ? p->x_spatial[p->w.n - 1] : 1;
    for (int i = 0; i < p->w.n; i++) {
        index += at / p->x_spatial[i] * step;
        at %= p->x_spatial[i];
        step *= p->w.in[i];
    }
    return index;
}

int64_t pool_padded_count(const struct window *w, int64_t at) {
    int64_t n = 1;
    for (int i = w->n - 1; i >= 0; i--) {
        int64_t start = at % w->out[i] * w->stride[i] - w->begin[i],
                room = w->in[i] + w->end[i] - start;
        int64_t most = (room + w->dilation[i] - 1) / w->dilation[i];
        n *= w->kernel[i] < most ? w->kernel[i] : most;
        at /= w->out[i];
    }
    return n;
}

#define EACH_REAL "ops/pooling.inc"
#include "ops/each_real.inc"

enum status pool_plan(const struct node *n, bool global, enum pool_kind kind, int rank,
                      const int64_t *dim, struct pool_plan *p, struct err *e) {
    struct layout l;
    int64_t x[MAX_RANK], y[MAX_RANK], count;
    *p = (struct pool_plan) { .rank = rank };
    TRY(layout_read(n, rank, &l, e));
    p->w.n = l.n;
    if (kind == POOL_LP) {
        p->lp = attr_int(n, "p");
        FAIL_IF(p->lp < 1, e, STATUS_CORRUPT, "attribute 'p' of %s is %lld", n->op,
                (long long)p->lp);
    }
    p->count_pad = kind == POOL_AVERAGE && !global && attr_int(n, "count_include_pad");
    p->column_major = kind == POOL_MAX && !global && attr_int(n, "storage_order");
    for (int i = 0; i < l.n; i++) {
        p->w.in[i] = dim[l.spatial + i];
        p->w.kernel[i] = p->w.in[i] < 1 ? 1 : p->w.in[i];
        p->w.stride[i] = p->w.dilation[i] = p->w.out[i] = 1;
    }
    if (!global) {
        TRY(window_read(n, l.n, false, &p->w, e));
        TRY(window_fit(n, &p->w, attr_int(n, "ceil_mode") != 0, e));
        for (int i = 0; i < l.n; i++) /* a window of padding alone has no maximum and no average */
            FAIL_IF(
                p->w.begin[i] >= window_reach(&p->w, i) || p->w.end[i] >= window_reach(&p->w, i), e,
                STATUS_CORRUPT,
                "attribute 'pads' of %s is as large as its window on spatial axis %d", n->op, i);
    }
    memcpy(p->y_dim, dim, (size_t)rank * sizeof *dim);
    for (int i = 0; i < l.n; i++)
        p->y_dim[l.spatial + i] = p->w.out[i];
    for (int i = 0; i < rank; i++)
        if (dim[i] < 0)
            return OK;
    FAIL_IF(!dims_count(p->y_dim, rank, &count), e, STATUS_UNSUPPORTED,
            "the output of %s is too large", n->op);
    strides_of(rank, dim, x);
    strides_of(rank, p->y_dim, y);
    p->batch = dim[0];
    p->channels = dim[l.channel];
    p->x_batch = x[0];
    p->y_batch = y[0];
    p->x_channel = x[l.channel];
    p->y_channel = y[l.channel];
    memcpy(p->x_spatial, x + l.spatial, (size_t)l.n * sizeof *x);
    memcpy(p->y_spatial, y + l.spatial, (size_t)l.n * sizeof *y);
    return OK;
}

static enum status shape_with(struct shape_ctx *c, bool global, enum pool_kind kind) {
    struct pool_plan p;
    const struct fact *x = &c->in[0];
    if (x->rank >= 0)
        TRY(pool_plan(c->node, global, kind, x->rank, x->dim, &p, c->err));
    for (int i = 0; i < c->n_out; i++)
        out_shape(c, i, i ? DT_I64 : x->dtype, x->rank, p.y_dim);
    return OK;
}

static enum status shape_average_pool(struct shape_ctx *c) {
    TRY(need_float(c, 0));
    return shape_with(c, false, POOL_AVERAGE);
}

static enum status shape_lp_pool(struct shape_ctx *c) {
    TRY(need_float(c, 0));
    return shape_with(c, false, POOL_LP);
}

static enum status shape_max_pool(struct shape_ctx *c) {
    enum dtype t = c->in[0].dtype;
    SHAPE_FAIL_IF(t != DT_NONE && !dtype_is_float(t) && !dtype_is_int(t), c,
                  "MaxPool does not take %s tensors", dtype_name(t));
    return shape_with(c, false, POOL_MAX);
}

static enum status shape_global(struct shape_ctx *c) {
    TRY(need_float(c, 0));
    return shape_with(c, true, POOL_MAX);
}

static enum status shape_global_lp(struct shape_ctx *c) {
    TRY(need_float(c, 0));
    return shape_with(c, true, POOL_LP);
}

/* MaxPool of integers. Without taps: the smallest value of the type, as the maximum of nothing. */
static void max_pool_int(struct op_ctx *c, const struct pool_plan *p) {
    const struct tensor *x = c->in[0];
    struct tap *taps = NEW_ARRAY(c->scratch, window_tap_room(&p->w), struct tap);
    bool is_unsigned = dtype_is_unsigned(x->dtype);
    int64_t n = window_out_count(&p->w);
    for (int64_t at = 0; at < n; at++) {
        int64_t n_taps = window_taps(&p->w, at, p->x_spatial, NULL, false, false, taps);
        int64_t y_at = window_out_offset(&p->w, at, p->y_spatial);
        for (int64_t k = 0; k < p->batch * p->channels; k++) {
            int64_t b = k / p->channels, ch = k % p->channels, best = -1;
            int64_t from = b * p->x_batch + ch * p->x_channel,
                    to = b * p->y_batch + ch * p->y_channel + y_at;
            int64_t value = is_unsigned ? 0 : -(INT64_C(1) << (dtype_row(x->dtype)->bits - 1) % 63);
            for (int64_t t = 0; t < n_taps; t++) {
                int64_t v = tensor_i64(x, from + taps[t].x);
                if (best < 0 || (is_unsigned ? (uint64_t)v > (uint64_t)value : v > value)) {
                    value = v;
                    best = taps[t].x;
                }
            }
            tensor_set_i64(c->out[0], to, value);
            if (op_wanted(c, 1))
                tensor_set_i64(c->out[1], to, best < 0 ? -1 : from + pool_max_index(p, best));
        }
    }
}

static enum status run_with(struct op_ctx *c, bool global, enum pool_kind kind) {
    struct pool_plan p;
    const struct tensor *x = c->in[0];
    TRY(pool_plan(c->node, global, kind, x->rank, x->dim, &p, c->err));
    if (x->store == DT_F64)
        pool_run_d(c, &p, kind);
    else if (x->store == DT_F32)
        pool_run_f(c, &p, kind);
    else
        max_pool_int(c, &p);
    return OK;
}

static enum status max_pool(struct op_ctx *c) {
    return run_with(c, false, POOL_MAX);
}
static enum status average_pool(struct op_ctx *c) {
    return run_with(c, false, POOL_AVERAGE);
}
static enum status lp_pool(struct op_ctx *c) {
    return run_with(c, false, POOL_LP);
}
static enum status global_max_pool(struct op_ctx *c) {
    return run_with(c, true, POOL_MAX);
}
static enum status global_average_pool(struct op_ctx *c) {
    return run_with(c, true, POOL_AVERAGE);
}
static enum status global_lp_pool(struct op_ctx *c) {
    return run_with(c, true, POOL_LP);
}

/* The size that undoes MaxPool: (in - 1) * stride + kernel - padding. */
static enum status unpool_plan(const struct node *n, int rank, const int64_t *dim, int64_t *out,
                               struct err *e) {
    struct window w;
    FAIL_IF(rank < 3, e, STATUS_CORRUPT, "the input of %s must have rank 3 or more, it has %d",
            n->op, rank);
    TRY(window_read(n, rank - 2, false, &w, e));
    memcpy(out, dim, (size_t)rank * sizeof *dim);
    for (int i = 0; i < rank - 2; i++) {
        if (dim[2 + i] < 0) {
            out[2 + i] = DIM_UNKNOWN;
            continue;
        }
        FAIL_IF(dim[2 + i] > INT64_C(1) << 31, e, STATUS_UNSUPPORTED,
                "a spatial axis of %lld elements", (long long)dim[2 + i]);
        out[2 + i] = (dim[2 + i] - 1) * w.stride[i] + w.kernel[i] - w.begin[i] - w.end[i];
        FAIL_IF(out[2 + i] < 0, e, STATUS_CORRUPT, "%s pads more than it has on spatial axis %d",
                n->op, i);
    }
    return OK;
}

static enum status shape_max_unpool(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *given;
    int64_t dim[MAX_RANK], n;
    TRY(need_float(c, 0));
    c->out[0].dtype = x->dtype;
    SHAPE_FAIL_IF(c->in[1].dtype != DT_NONE && !dtype_is_int(c->in[1].dtype), c,
                  "the indices of MaxUnpool must be integers");
    if (x->rank < 0)
        return OK;
    TRY(need_shape(c, 1, x->rank, x->dim));
    TRY(unpool_plan(c->node, x->rank, x->dim, dim, c->err));
    if (fact_given(c, 2)) {
        for (int i = 0; i < x->rank; i++)
            dim[i] = DIM_UNKNOWN;
        if (fact_ints(c, &c->in[2], &given, &n)) {
            SHAPE_FAIL_IF(n != x->rank, c,
                          "output_shape of MaxUnpool has %lld elements for rank %d", (long long)n,
                          x->rank);
            for (int i = 0; i < x->rank; i++) {
                SHAPE_FAIL_IF(given[i] < 0, c, "output_shape of MaxUnpool holds %lld",
                              (long long)given[i]);
                dim[i] = given[i];
            }
        }
    }
    out_shape(c, 0, x->dtype, x->rank, dim);
    return OK;
}

/* Indices count within the inferred size; a larger output_shape leaves zeros after it on each axis.
 */
static enum status max_unpool(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *index = c->in[1];
    struct tensor *y = c->out[0];
    int64_t dim[MAX_RANK], stride[MAX_RANK], n = tensor_count(x), room;
    TRY(unpool_plan(c->node, x->rank, x->dim, dim, c->err));
    FAIL_IF(!dims_count(dim, x->rank, &room), c->err, STATUS_UNSUPPORTED,
            "the output of MaxUnpool is too large");
    strides_of(y->rank, y->dim, stride);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = tensor_i64(index, i), to = 0;
        FAIL_IF(at < 0 || at >= room, c->err, STATUS_CORRUPT,
                "index %lld of MaxUnpool is outside its output of %lld elements", (long long)at,
                (long long)room);
        for (int k = x->rank - 1; k >= 0; k--) {
            int64_t here = at % dim[k];
            FAIL_IF(here >= y->dim[k], c->err, STATUS_CORRUPT,
                    "output_shape of MaxUnpool is smaller than what its indices reach");
            to += here * stride[k];
            at /= dim[k];
        }
        tensor_set_f64(y, to, tensor_f64(x, i));
    }
    return OK;
}

static const struct attr_def max_attrs[] = { MAX_POOL_ATTRS, { 0 } };
static const struct attr_def average_attrs[] = { AVERAGE_POOL_ATTRS, { 0 } };
static const struct attr_def lp_attrs[] = { POOL_ATTRS, { "p", .type = ATTR_INT, .i = 2 }, { 0 } };
static const struct attr_def global_attrs[] = { { "layout", .type = ATTR_STRING, .s = "NCHW" },
                                                { 0 } };
static const struct attr_def global_lp_attrs[] = {
    { "layout", .type = ATTR_STRING, .s = "NCHW" },
    { "p", .type = ATTR_INT, .i = 2 },
    { 0 },
};
static const struct attr_def unpool_attrs[] = {
    { "kernel_shape", .type = ATTR_INTS, .required = true },
    { "strides", .type = ATTR_INTS },
    { "pads", .type = ATTR_INTS },
    { "dilations", .type = ATTR_INTS },
    { 0 },
};

const struct op ops_pooling[] = {
    { .name = "MaxPool",
      .domain = "",
      .spec = "ONNX MaxPool-22",
      .min_in = 1,
      .max_in = 1,
      .min_out = 1,
      .max_out = 2,
      .attrs = max_attrs,
      .shape = shape_max_pool,
      .eval = max_pool,
      .grad = max_pool_grad },
    { ONNX("AveragePool", 22, 1, 1), .attrs = average_attrs, .shape = shape_average_pool,
      .eval = average_pool, .grad = average_pool_grad },
    { ONNX("LpPool", 22, 1, 1), .attrs = lp_attrs, .shape = shape_lp_pool, .eval = lp_pool,
      .grad = lp_pool_grad },
    { ONNX("GlobalMaxPool", 22, 1, 1), .attrs = global_attrs, .shape = shape_global,
      .eval = global_max_pool, .grad = global_max_pool_grad },
    { ONNX("GlobalAveragePool", 22, 1, 1), .attrs = global_attrs, .shape = shape_global,
      .eval = global_average_pool, .grad = global_average_pool_grad },
    { ONNX("GlobalLpPool", 22, 1, 1), .attrs = global_lp_attrs, .shape = shape_global_lp,
      .eval = global_lp_pool, .grad = global_lp_pool_grad },
    { ONNX("MaxUnpool", 22, 2, 3), .whole = 6, .flags = OP_MOVES, .attrs = unpool_attrs,
      .shape = shape_max_unpool, .eval = max_unpool, .grad = grad_moves },
    { 0 },
};
