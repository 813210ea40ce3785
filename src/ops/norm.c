/* Normalisations.
 *
 * Order of the floating-point operations: mean = (sum from 0, elements ascending) / n; variance =
 * (fma chain from 0 over (x - mean)^2) / n; inverse = 1 / sqrt(variance + epsilon); y = fma((x -
 * mean) * inverse, scale, bias), without a bias the product. RMSNormalization: x / sqrt((fma chain
 * over x^2) / n + epsilon), times scale. LpNormalization: x / norm. LRN: x / pow(fma(alpha / size,
 * fma chain over x^2, bias), beta). */
#include "ops/norm.h"

#include <math.h>
#include <string.h>

#include "ops/cores.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/spatial.h"
#include "ops/split.h"

struct lrn_job {
    const void *x;
    void *y;
    const int64_t *outer;
    int64_t channels, stride, size;
    double alpha, beta, bias;
};

#define EACH_REAL "ops/norm.inc"
#include "ops/each_real.inc"

void norm_run(struct op_ctx *c, struct norm_job *j) {
    if (j->weight_period < 1)
        j->weight_period = 1;
    if (c->cores && j->kind != NORM_GIVEN) {
        c->cores->norm(c, j);
        return;
    }
    split_run(c, j->n_outer, j->n_inner * 4, j->store == DT_F64 ? norm_part_d : norm_part_f, j);
}

void norm_rows(struct op_ctx *c, struct norm_job *j, int rank, const int64_t *dim, int axis) {
    bool in[MAX_RANK], out[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        in[i] = i >= axis;
        out[i] = i < axis;
    }
    j->inner = axes_offsets(c->scratch, rank, dim, in, &j->n_inner);
    j->outer = axes_offsets(c->scratch, rank, dim, out, &j->n_outer);
}

void norm_row_weights(struct op_ctx *c, struct norm_job *j, int i, int k, int rank,
                      const int64_t *dim) {
    int64_t periods[2], total = j->n_inner * j->n_outer;
    const void *scale = input_broadcast(c, i, j->store, rank, dim, &periods[0]);
    const void *bias = k < 0 ? NULL : input_broadcast(c, k, j->store, rank, dim, &periods[1]);
    int64_t width = j->n_inner;
    if ((scale && periods[0] > width) || (bias && periods[1] > width))
        width = total;
    size_t size = j->store == DT_F64 ? sizeof(double) : sizeof(float);
    const void *from[2] = { scale, bias };
    const void **to[2] = { &j->scale, &j->bias };
    for (int w = 0; w < 2; w++) {
        *to[w] = from[w];
        if (!from[w] || periods[w] == width)
            continue;
        char *full = arena_array(c->scratch, (size_t)width + 1, size);
        for (int64_t at = 0; at < width; at++)
            memcpy(full + (size_t)at * size,
                   (const char *)from[w] + (size_t)(at % periods[w]) * size, size);
        *to[w] = full;
    }
    j->weight_step = 1;
    j->weight_period = width == j->n_inner ? 1 : j->n_outer;
    j->weight_stride = j->n_inner;
}

void *norm_statistic(struct op_ctx *c, const struct norm_job *j, int out) {
    if (!op_wanted(c, out))
        return NULL;
    if (c->out[out]->store == j->store)
        return c->out[out]->data;
    return arena_array(c->scratch, (size_t)j->n_outer + 1, sizeof(double));
}

void norm_statistic_done(struct op_ctx *c, const struct norm_job *j, int out, const void *values) {
    if (!op_wanted(c, out) || c->out[out]->data == values)
        return;
    for (int64_t s = 0; s < j->n_outer; s++)
        tensor_set_f64(c->out[out], s,
                       j->store == DT_F64 ? ((const double *)values)[s]
                                          : (double)((const float *)values)[s]);
}

enum status norm_stash_type(const struct node *n, enum dtype *t, struct err *e) {
    *t = attr_dtype(n, "stash_type", DT_F32);
    FAIL_IF(!dtype_is_float(*t), e, STATUS_CORRUPT, "stash_type %lld of %s is no float type",
            (long long)attr_int(n, "stash_type"), n->op);
    return OK;
}

static struct norm_job job_of(struct op_ctx *c, enum norm_kind kind) {
    return (struct norm_job) {
        .kind = kind, .store = c->in[0]->store, .x = c->in[0]->data, .y = c->out[0]->data
    };
}

/* --- BatchNormalization, InstanceNormalization, GroupNormalization --- */

static int64_t channels_of(const struct shape_ctx *c, const struct layout *l) {
    return c->in[0].dim[l->channel];
}

/* Input 0 is float with channels, inputs 1 to n are vectors over them. */
static enum status shape_channels(struct shape_ctx *c, int n, struct layout *l) {
    TRY(need_float(c, 0));
    shape_copy(c, 0, 0);
    if (c->in[0].rank < 0)
        return OK;
    TRY(layout_read(c->node, c->in[0].rank, l, c->err));
    for (int i = 1; i <= n; i++) {
        TRY(need_float(c, i));
        TRY(need_vector(c, i, channels_of(c, l)));
    }
    return OK;
}

static enum status shape_batch(struct shape_ctx *c) {
    struct layout l;
    TRY(shape_channels(c, 4, &l));
    SHAPE_FAIL_IF(c->n_out > 1 && !attr_int(c->node, "training_mode"), c,
                  "BatchNormalization has running outputs only with training_mode");
    for (int i = 1; i < c->n_out; i++)
        shape_copy(c, i, i + 2);
    return OK;
}

/* Sets by channel: outer runs over the channel axis, inner over all others. */
static void channel_sets(struct op_ctx *c, struct norm_job *j, int channel) {
    const struct tensor *x = c->in[0];
    bool in[MAX_RANK], out[MAX_RANK];
    for (int i = 0; i < x->rank; i++) {
        in[i] = i != channel;
        out[i] = i == channel;
    }
    j->inner = axes_offsets(c->scratch, x->rank, x->dim, in, &j->n_inner);
    j->outer = axes_offsets(c->scratch, x->rank, x->dim, out, &j->n_outer);
    j->weight_period = j->n_outer;
    j->weight_stride = 1;
}

static enum status batch_norm(struct op_ctx *c) {
    struct layout l;
    struct norm_job j = job_of(c, NORM_GIVEN);
    TRY(layout_read(c->node, c->in[0]->rank, &l, c->err));
    channel_sets(c, &j, l.channel);
    j.epsilon = attr_float(c->node, "epsilon");
    j.scale = input_as(c, 1, j.store);
    j.bias = input_as(c, 2, j.store);
    if (!attr_int(c->node, "training_mode")) {
        j.mean = (void *)(size_t)input_as(c, 3, j.store);
        j.variance = (void *)(size_t)input_as(c, 4, j.store);
        norm_run(c, &j);
        return OK;
    }
    j.kind = NORM_MEAN;
    j.mean = arena_array(c->scratch, (size_t)j.n_outer + 1, sizeof(double));
    j.variance = arena_array(c->scratch, (size_t)j.n_outer + 1, sizeof(double));
    norm_run(c, &j);
    double momentum = attr_float(c->node, "momentum");
    void *now[2] = { j.mean, j.variance };
    for (int i = 0; i < 2; i++) {
        if (!op_wanted(c, 1 + i))
            continue;
        for (int64_t k = 0; k < j.n_outer; k++) {
            double v = j.store == DT_F64 ? ((double *)now[i])[k] : (double)((float *)now[i])[k];
            tensor_set_f64(c->out[1 + i], k,
                           tensor_f64(c->in[3 + i], k) * momentum + v * (1 - momentum));
        }
    }
    return OK;
}

static enum status shape_instance(struct shape_ctx *c) {
    struct layout l;
    return shape_channels(c, 2, &l);
}

static enum status instance_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    struct norm_job j = job_of(c, NORM_MEAN);
    bool in[MAX_RANK], out[MAX_RANK];
    TRY(layout_read(c->node, x->rank, &l, c->err));
    for (int i = 0; i < x->rank; i++) {
        out[i] = i == 0 || i == l.channel;
        in[i] = !out[i];
    }
    j.inner = axes_offsets(c->scratch, x->rank, x->dim, in, &j.n_inner);
    j.outer = axes_offsets(c->scratch, x->rank, x->dim, out, &j.n_outer);
    j.scale = input_as(c, 1, j.store);
    j.bias = input_as(c, 2, j.store);
    j.weight_period = x->dim[l.channel];
    j.weight_stride = 1;
    j.epsilon = attr_float(c->node, "epsilon");
    norm_run(c, &j);
    return OK;
}

static enum status shape_group(struct shape_ctx *c) {
    struct layout l;
    int64_t groups = attr_int(c->node, "num_groups");
    enum dtype t;
    TRY(norm_stash_type(c->node, &t, c->err));
    TRY(shape_channels(c, 2, &l));
    SHAPE_FAIL_IF(groups < 1, c, "num_groups of GroupNormalization is %lld", (long long)groups);
    if (c->in[0].rank >= 0 && channels_of(c, &l) >= 0)
        SHAPE_FAIL_IF(channels_of(c, &l) % groups, c,
                      "GroupNormalization: %lld channels cannot be divided into %lld groups",
                      (long long)channels_of(c, &l), (long long)groups);
    return OK;
}

enum status norm_group_sets(struct arena *a, const struct tensor *x, int channel, int64_t groups,
                            struct norm_job *j, struct err *e) {
    bool in[MAX_RANK + 1], out[MAX_RANK + 1];
    int64_t dim[MAX_RANK + 1];
    FAIL_IF(x->rank == MAX_RANK, e, STATUS_UNSUPPORTED, "GroupNormalization of rank %d", x->rank);
    for (int i = 0; i <= x->rank; i++) {
        dim[i] = i == channel       ? groups
                 : i == channel + 1 ? x->dim[channel] / groups
                                    : x->dim[i > channel ? i - 1 : i];
        out[i] = i == 0 || i == channel;
        in[i] = !out[i];
    }
    j->inner = axes_offsets(a, x->rank + 1, dim, in, &j->n_inner);
    j->outer = axes_offsets(a, x->rank + 1, dim, out, &j->n_outer);
    return OK;
}

/* The channel axis becomes two, [groups, channels in a group]; the scale and bias of an element are
 * found through a table by its place in the set. */
static enum status group_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    struct norm_job j = job_of(c, NORM_MEAN);
    int64_t groups = attr_int(c->node, "num_groups");
    TRY(layout_read(c->node, x->rank, &l, c->err));
    TRY(norm_group_sets(c->scratch, x, l.channel, groups, &j, c->err));
    int64_t step = 1, each = x->dim[l.channel] / groups, size = groups * j.n_inner;
    for (int i = l.channel + 1; i < x->rank; i++)
        step *= x->dim[i];
    const void **to[2] = { &j.scale, &j.bias };
    size_t width = j.store == DT_F64 ? sizeof(double) : sizeof(float);
    for (int w = 0; w < 2; w++) {
        const char *from = input_as(c, 1 + w, j.store);
        char *full = arena_array(c->scratch, (size_t)size + 1, width);
        for (int64_t at = 0; at < size; at++) {
            int64_t channel = at / j.n_inner * each + j.inner[at % j.n_inner] / step % each;
            memcpy(full + (size_t)at * width, from + (size_t)channel * width, width);
        }
        *to[w] = full;
    }
    j.weight_period = groups;
    j.weight_stride = j.n_inner;
    j.weight_step = 1;
    j.epsilon = attr_float(c->node, "epsilon");
    norm_run(c, &j);
    return OK;
}

/* --- LayerNormalization, RMSNormalization, LpNormalization, MeanVarianceNormalization --- */

static enum status shape_layer(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    enum dtype t;
    int axis;
    int64_t dim[MAX_RANK];
    TRY(norm_stash_type(c->node, &t, c->err));
    TRY(need_float(c, 0));
    TRY(need_float(c, 1));
    TRY(need_float(c, 2));
    shape_copy(c, 0, 0);
    if (c->in[1].dtype != DT_NONE && strcmp(c->node->op, "RMSNormalization") == 0)
        c->out[0].dtype = c->in[1].dtype; /* type V */
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    TRY(need_broadcast(c, 1, x->rank, x->dim));
    TRY(need_broadcast(c, 2, x->rank, x->dim));
    for (int i = 0; i < x->rank; i++)
        dim[i] = i < axis ? x->dim[i] : 1;
    out_shape(c, 1, t, x->rank, dim);
    out_shape(c, 2, t, x->rank, dim);
    return OK;
}

static enum status row_norm(struct op_ctx *c, enum norm_kind kind, int bias) {
    const struct tensor *x = c->in[0];
    struct norm_job j = job_of(c, kind);
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    norm_rows(c, &j, x->rank, x->dim, axis);
    norm_row_weights(c, &j, 1, bias, x->rank, x->dim);
    j.epsilon = attr_float(c->node, "epsilon");
    j.mean = norm_statistic(c, &j, 1);
    j.inverse = norm_statistic(c, &j, 2);
    struct tensor *y = c->out[0], *as_x = y;
    if (y->store != j.store) {
        as_x = tensor_in_arena(c->scratch, y->dtype, j.store, y->rank, y->dim);
        j.y = as_x->data;
    }
    norm_run(c, &j);
    int64_t n = as_x == y ? 0 : tensor_count(y);
    for (int64_t i = 0; i < n; i++)
        tensor_set_f64(y, i, tensor_f64(as_x, i));
    norm_statistic_done(c, &j, 1, j.mean);
    norm_statistic_done(c, &j, 2, j.inverse);
    return OK;
}

static enum status layer_norm(struct op_ctx *c) {
    return row_norm(c, NORM_MEAN, 2);
}

static enum status rms_norm(struct op_ctx *c) {
    return row_norm(c, NORM_RMS, -1);
}

static enum status shape_float_same(struct shape_ctx *c) {
    TRY(need_float(c, 0));
    return shape_same(c);
}

static enum status shape_lp(struct shape_ctx *c) {
    int axis;
    int64_t p = attr_int(c->node, "p");
    SHAPE_FAIL_IF(p != 1 && p != 2, c, "p of LpNormalization is %lld; only 1 and 2 are defined",
                  (long long)p);
    if (c->in[0].rank >= 0)
        TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0].rank, &axis, c->err));
    return shape_float_same(c);
}

static void axes_sets(struct op_ctx *c, struct norm_job *j, const bool *in) {
    const struct tensor *x = c->in[0];
    bool out[MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        out[i] = !in[i];
    j->inner = axes_offsets(c->scratch, x->rank, x->dim, in, &j->n_inner);
    j->outer = axes_offsets(c->scratch, x->rank, x->dim, out, &j->n_outer);
}

static enum status lp_norm(struct op_ctx *c) {
    struct norm_job j = job_of(c, attr_int(c->node, "p") == 1 ? NORM_L1 : NORM_L2);
    bool in[MAX_RANK] = { false };
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0]->rank, &axis, c->err));
    in[axis] = true;
    axes_sets(c, &j, in);
    norm_run(c, &j);
    return OK;
}

enum status norm_mean_axes(const struct node *n, int rank, bool *in, struct err *e) {
    static const int64_t usual[] = { 0, 2, 3 };
    int count, axis;
    const int64_t *axes = attr_ints(n, "axes", &count);
    if (!axes) {
        axes = usual;
        count = 3;
    }
    for (int i = 0; i < rank; i++)
        in[i] = false;
    for (int i = 0; i < count; i++) {
        TRY(axis_normalise(axes[i], rank, &axis, e));
        in[axis] = true;
    }
    return OK;
}

static enum status mean_variance_norm(struct op_ctx *c) {
    struct norm_job j = job_of(c, NORM_MEAN_STD);
    bool in[MAX_RANK];
    TRY(norm_mean_axes(c->node, c->in[0]->rank, in, c->err));
    axes_sets(c, &j, in);
    j.epsilon = NORM_MEAN_EPSILON;
    norm_run(c, &j);
    return OK;
}

/* --- LRN --- */

static enum status shape_lrn(struct shape_ctx *c) {
    struct layout l;
    int64_t size = attr_int(c->node, "size");
    SHAPE_FAIL_IF(size < 1, c, "size of LRN is %lld", (long long)size);
    if (c->in[0].rank >= 0)
        TRY(layout_read(c->node, c->in[0].rank, &l, c->err));
    return shape_float_same(c);
}

static enum status lrn(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    bool out[MAX_RANK];
    int64_t n, stride[MAX_RANK];
    TRY(layout_read(c->node, x->rank, &l, c->err));
    for (int i = 0; i < x->rank; i++)
        out[i] = i != l.channel;
    strides_of(x->rank, x->dim, stride);
    struct lrn_job j = { .x = x->data,
                         .y = c->out[0]->data,
                         .channels = x->dim[l.channel],
                         .stride = stride[l.channel],
                         .size = attr_int(c->node, "size"),
                         .alpha = attr_float(c->node, "alpha"),
                         .beta = attr_float(c->node, "beta"),
                         .bias = attr_float(c->node, "bias") };
    j.outer = axes_offsets(c->scratch, x->rank, x->dim, out, &n);
    split_run(c, n, j.channels * 64, x->store == DT_F64 ? lrn_part_d : lrn_part_f, &j);
    return OK;
}

#define EPSILON \
    { "epsilon", .type = ATTR_FLOAT, .f = 1e-5f }
#define LAYOUT \
    { "layout", .type = ATTR_STRING, .s = "NCHW" }

static const struct attr_def batch_attrs[] = {
    EPSILON,
    { "momentum", .type = ATTR_FLOAT, .f = 0.9f },
    { "training_mode", .type = ATTR_INT },
    LAYOUT,
    { 0 },
};
static const struct attr_def instance_attrs[] = { EPSILON, LAYOUT, { 0 } };
static const struct attr_def group_attrs[] = {
    EPSILON,
    { "num_groups", .type = ATTR_INT, .required = true },
    { "stash_type", .type = ATTR_INT, .i = 1 },
    LAYOUT,
    { 0 },
};
static const struct attr_def layer_attrs[] = {
    EPSILON,
    { "axis", .type = ATTR_INT, .i = -1 },
    { "stash_type", .type = ATTR_INT, .i = 1 },
    { 0 },
};
static const struct attr_def lp_attrs[] = { { "axis", .type = ATTR_INT, .i = -1 },
                                            { "p", .type = ATTR_INT, .i = 2 },
                                            { 0 } };
static const struct attr_def mvn_attrs[] = { { "axes", .type = ATTR_INTS }, { 0 } };
static const struct attr_def lrn_attrs[] = {
    { "alpha", .type = ATTR_FLOAT, .f = 1e-4f },
    { "beta", .type = ATTR_FLOAT, .f = 0.75 },
    { "bias", .type = ATTR_FLOAT, .f = 1 },
    { "size", .type = ATTR_INT, .required = true },
    LAYOUT,
    { 0 },
};

const struct op ops_norm[] = {
    { .name = "BatchNormalization",
      .domain = "",
      .spec = "ONNX BatchNormalization-15",
      .min_in = 5,
      .max_in = 5,
      .min_out = 1,
      .max_out = 3,
      .attrs = batch_attrs,
      .shape = shape_batch,
      .eval = batch_norm,
      .grad = batch_norm_grad },
    { .name = "InstanceNormalization",
      .domain = "",
      .spec = "ONNX InstanceNormalization-22",
      .min_in = 3,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .attrs = instance_attrs,
      .shape = shape_instance,
      .eval = instance_norm,
      .grad = instance_norm_grad },
    { .name = "GroupNormalization",
      .domain = "",
      .spec = "ONNX GroupNormalization-21",
      .min_in = 3,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .attrs = group_attrs,
      .shape = shape_group,
      .eval = group_norm,
      .grad = group_norm_grad },
    { .name = "LayerNormalization",
      .domain = "",
      .spec = "ONNX LayerNormalization-17",
      .min_in = 2,
      .max_in = 3,
      .min_out = 1,
      .max_out = 3,
      .attrs = layer_attrs,
      .shape = shape_layer,
      .eval = layer_norm,
      .grad = layer_norm_grad },
    { .name = "RMSNormalization",
      .domain = "",
      .spec = "ONNX RMSNormalization-23",
      .min_in = 2,
      .max_in = 2,
      .min_out = 1,
      .max_out = 1,
      .attrs = layer_attrs,
      .shape = shape_layer,
      .eval = rms_norm,
      .grad = rms_norm_grad },
    { .name = "LpNormalization",
      .domain = "",
      .spec = "ONNX LpNormalization-22",
      .min_in = 1,
      .max_in = 1,
      .min_out = 1,
      .max_out = 1,
      .attrs = lp_attrs,
      .shape = shape_lp,
      .eval = lp_norm,
      .grad = lp_norm_grad },
    { .name = "MeanVarianceNormalization",
      .domain = "",
      .spec = "ONNX MeanVarianceNormalization-13",
      .min_in = 1,
      .max_in = 1,
      .min_out = 1,
      .max_out = 1,
      .attrs = mvn_attrs,
      .shape = shape_float_same,
      .eval = mean_variance_norm,
      .grad = mean_variance_grad },
    { .name = "LRN",
      .domain = "",
      .spec = "ONNX LRN-13",
      .min_in = 1,
      .max_in = 1,
      .min_out = 1,
      .max_out = 1,
      .attrs = lrn_attrs,
      .shape = shape_lrn,
      .eval = lrn,
      .grad = lrn_grad },
    { 0 },
};
