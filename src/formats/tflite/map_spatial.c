/* Convolutions, pools, dense layers, softmax and normalisations. Activations are N, spatial, C. */
#include <stdint.h>

#include "formats/tflite/tflite.h"

static void set_pair(struct op_reader *x, struct node *n, const char *name, int64_t h, int64_t w) {
    node_set_ints(n, name, kept_ints(x, (int64_t[]) { h, w }, 2), 2);
}

static enum status set_padding(struct op_reader *x, struct node *n) {
    int8_t padding = fb_i8(&x->options, 0, PADDING_SAME);
    FAIL_IF(padding != PADDING_SAME && padding != PADDING_VALID, x->r->err, STATUS_CORRUPT,
            "padding %d is not of the schema", padding);
    node_set_string(n, "auto_pad", padding == PADDING_SAME ? "SAME_UPPER" : "VALID");
    return OK;
}

static enum status check_steps(struct op_reader *x, const int64_t *v, int n) {
    for (int i = 0; i < n; i++)
        FAIL_IF(v[i] < 1, x->r->err, STATUS_CORRUPT, "a stride, dilation or filter size is %lld",
                (long long)v[i]);
    return OK;
}

/* A bias is int32 or int64 with a scale of its own in a quantized operator. */
static struct value *bias_in(struct op_reader *x, int i) {
    return scaled_in(x, i);
}

/* Where a convolution's options are, by axis: height, width; depth, height, width. */
static const struct conv_row {
    enum builtin code;
    const char *kernel; /* layout of the filter */
    int spatial, activation;
    int stride[3], dilation[3]; /* dilation 0: there is none */
    bool transposed;            /* inputs: output shape, filter, input, bias */
} conv_rows[] = {
    { BUILTIN_CONV_2D, "OHWI", 2, 3, { 2, 1 }, { 5, 4 }, false },
    { BUILTIN_DEPTHWISE_CONV_2D, "IHWO", 2, 4, { 2, 1 }, { 6, 5 }, false },
    { BUILTIN_CONV_3D, "HWIO", 3, 4, { 1, 3, 2 }, { 5, 7, 6 }, false },
    { BUILTIN_TRANSPOSE_CONV, "OHWI", 2, 3, { 2, 1 }, { 0 }, true },
    { BUILTIN_CONV_3D_TRANSPOSE, "HWOI", 3, 4, { 1, 3, 2 }, { 5, 7, 6 }, true },
};

static const struct conv_row *conv_row(enum builtin code) {
    for (size_t i = 0; i < sizeof conv_rows / sizeof *conv_rows; i++)
        if (conv_rows[i].code == code)
            return &conv_rows[i];
    return NULL;
}

/* The node with its tensors, strides and dilations. */
static enum status conv_node(struct op_reader *x, const struct conv_row *row, enum activation *act,
                             int64_t *stride, int64_t *dilation, struct node **out) {
    int first = row->transposed ? 2 : 0;
    TRY(need_inputs(x, row->transposed ? 3 : 2));
    TRY(activation_read(x, row->activation, act));
    struct value *input = real_in(x, first), *weights = real_in(x, 1),
                 *bias = bias_in(x, row->transposed ? 3 : 2);
    FAIL_IF(weights->rank != row->spatial + 2, x->r->err, STATUS_CORRUPT, "its filter has rank %d",
            weights->rank);
    struct node *n =
        emit(x, row->transposed ? "ConvTranspose" : "Conv", "", bias ? 3 : 2, 1, ROLE_MAIN);
    n->in[0] = input;
    n->in[1] = weights;
    /* A bias of one element or none is how some converters write "no bias"; it stays an input all
     * the same. */
    if (bias)
        n->in[2] = bias;
    node_set_string(n, "layout", "NHWC");
    node_set_string(n, "kernel_layout", row->kernel);
    for (int i = 0; i < row->spatial; i++) {
        stride[i] = fb_i32(&x->options, row->stride[i], row->spatial == 3 ? 1 : 0);
        dilation[i] = row->dilation[i] ? fb_i32(&x->options, row->dilation[i], 1) : 1;
    }
    TRY(check_steps(x, stride, row->spatial));
    TRY(check_steps(x, dilation, row->spatial));
    *out = n;
    return OK;
}

/* How many groups the filter means; 0: it does not say. */
static enum status conv_groups(struct op_reader *x, const struct node *n, int64_t *groups) {
    const struct value *input = n->in[0], *weights = n->in[1];
    int64_t channels = input->rank == 4 ? input->dim[3] : -1, last = weights->dim[3];
    *groups = 0;
    if (x->code == BUILTIN_CONV_2D)
        *groups = channels > 0 && last > 0 && channels % last == 0 ? channels / last : 1;
    if (x->code != BUILTIN_DEPTHWISE_CONV_2D)
        return OK;
    int64_t multiplier = fb_i32(&x->options, 3, 0);
    if (channels < 0 && multiplier > 0)
        channels = last / multiplier;
    FAIL_IF(channels < 1 || last % channels, x->r->err, STATUS_CORRUPT,
            "%lld channels with a filter of %lld", (long long)channels, (long long)last);
    *groups = channels;
    return OK;
}

static enum status read_conv(struct op_reader *x) {
    const struct conv_row *row = conv_row(x->code);
    int64_t stride[3], dilation[3], groups;
    enum activation act;
    struct node *n;
    TRY(conv_node(x, row, &act, stride, dilation, &n));
    TRY(conv_groups(x, n, &groups));
    if (groups)
        node_set_int(n, "group", groups);
    node_set_ints(n, "strides", kept_ints(x, stride, row->spatial), row->spatial);
    node_set_ints(n, "dilations", kept_ints(x, dilation, row->spatial), row->spatial);
    TRY(set_padding(x, n));
    return deliver(x, 0, n, 0, act);
}

/* The spatial size that a transposed convolution must give: from its constant, else from its
 * output's declared shape. */
static enum status transposed_size(struct op_reader *x, int spatial, int64_t *size) {
    const int64_t *shape;
    int64_t n;
    bool constant = const_ints(x, 0, &shape, &n) && n == spatial + 2;
    for (int i = 0; i < spatial; i++) {
        const struct value *out = x->out[0];
        size[i] = constant ? shape[i + 1] : out && out->rank == spatial + 2 ? out->dim[i + 1] : -1;
        FAIL_IF(size[i] < 1, x->r->err, STATUS_UNSUPPORTED, "its output size is computed");
    }
    return OK;
}

/* SAME pads as the forward convolution from the output to the input would; what the strides leave
 * over at the end is output_padding. */
static void transposed_pads(int spatial, bool same, const int64_t *in, const int64_t *out,
                            const int64_t *kernel, const int64_t *stride, const int64_t *dilation,
                            int64_t *pads, int64_t *extra) {
    for (int i = 0; i < spatial; i++) {
        int64_t reach = (kernel[i] - 1) * dilation[i] + 1;
        int64_t forward =
            same ? (out[i] + stride[i] - 1) / stride[i] : (out[i] - reach + stride[i]) / stride[i];
        int64_t total = (forward - 1) * stride[i] + reach - out[i];
        int64_t begin = same && total > 0 ? total / 2 : 0;
        int64_t end = (in[i] - 1) * stride[i] + reach - begin - out[i];
        pads[i] = begin;
        pads[spatial + i] = end > 0 ? end : 0;
        extra[i] = end < 0 ? -end : 0;
    }
}

static enum status set_transposed(struct op_reader *x, struct node *n, int spatial,
                                  const int64_t *kernel, const int64_t *stride,
                                  const int64_t *dilation) {
    int64_t out[3], pads[6], extra[3];
    const struct value *input = n->in[0];
    TRY(transposed_size(x, spatial, out));
    FAIL_IF(input->rank != spatial + 2, x->r->err, STATUS_CORRUPT, "its input has rank %d",
            input->rank);
    for (int i = 0; i < spatial; i++)
        FAIL_IF(input->dim[i + 1] < 1 || kernel[i] < 1, x->r->err, STATUS_UNSUPPORTED,
                "an input of unknown size");
    int8_t padding = fb_i8(&x->options, 0, PADDING_SAME);
    transposed_pads(spatial, padding == PADDING_SAME, input->dim + 1, out, kernel, stride, dilation,
                    pads, extra);
    node_set_ints(n, "strides", kept_ints(x, stride, spatial), spatial);
    node_set_ints(n, "dilations", kept_ints(x, dilation, spatial), spatial);
    node_set_ints(n, "pads", kept_ints(x, pads, 2 * spatial), 2 * spatial);
    node_set_ints(n, "output_padding", kept_ints(x, extra, spatial), spatial);
    return OK;
}

static enum status read_transposed_conv(struct op_reader *x) {
    const struct conv_row *row = conv_row(x->code);
    int64_t stride[3], dilation[3];
    enum activation act;
    struct node *n;
    TRY(conv_node(x, row, &act, stride, dilation, &n));
    const int64_t *kernel = n->in[1]->dim + (row->spatial == 2 ? 1 : 0);
    TRY(set_transposed(x, n, row->spatial, kernel, stride, dilation));
    return deliver(x, 0, n, 0, act);
}

static enum status set_window(struct op_reader *x, struct node *n) {
    int64_t s[] = { fb_i32(&x->options, 2, 0), fb_i32(&x->options, 1, 0), fb_i32(&x->options, 4, 0),
                    fb_i32(&x->options, 3, 0) };
    TRY(check_steps(x, s, 4));
    node_set_string(n, "layout", "NHWC");
    set_pair(x, n, "strides", s[0], s[1]);
    set_pair(x, n, "kernel_shape", s[2], s[3]);
    return set_padding(x, n);
}

static enum status read_pool(struct op_reader *x) {
    enum activation act;
    TRY(need_inputs(x, 1));
    TRY(activation_read(x, 5, &act));
    bool max = x->code == BUILTIN_MAX_POOL_2D;
    bool raw = max && act == ACTIVATION_NONE && same_quant(x, 0, 0);
    struct value *v = raw ? raw_in(x, 0) : real_in(x, 0);
    struct node *n = emit(x, max ? "MaxPool" : "AveragePool", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    TRY(set_window(x, n));
    if (!raw)
        return deliver(x, 0, n, 0, act);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

/* The root of the mean of the squares in the window. */
static enum status read_l2_pool(struct op_reader *x) {
    enum activation act;
    TRY(need_inputs(x, 1));
    TRY(activation_read(x, 5, &act));
    struct value *v = real_in(x, 0);
    struct value *square = then2(x, "Mul", v, v, v);
    struct node *pool = emit(x, "AveragePool", "", 1, 1, ROLE_MAIN);
    pool->in[0] = square;
    TRY(set_window(x, pool));
    struct value *mean = between(x, "mean", v->dtype, x->out[0]);
    node_set_output(pool, 0, mean);
    struct node *n = emit(x, "Sqrt", "", 1, 1, ROLE_HELPER);
    n->in[0] = mean;
    return deliver(x, 0, n, 0, act);
}

/* keep_num_dims: the shape of the input with the last dim replaced. */
static enum status dense_shape(struct op_reader *x, const struct value *input, int64_t units,
                               struct value **shape) {
    int64_t dim[MAX_RANK];
    int unknown = 0;
    for (int i = 0; i + 1 < input->rank; i++) {
        dim[i] = input->dim[i] < 0 ? -1 : input->dim[i];
        unknown += dim[i] < 0;
    }
    FAIL_IF(input->rank < 1 || unknown > 1, x->r->err, STATUS_UNSUPPORTED,
            "an input with several unknown dims");
    dim[input->rank - 1] = units;
    *shape = made_ints(x, "output_shape", dim, input->rank, -1);
    return OK;
}

static enum status read_fully_connected(struct op_reader *x) {
    enum activation act;
    TRY(need_inputs(x, 2));
    TRY(activation_read(x, 0, &act));
    if (fb_i8(&x->options, 1, 0) != 0)
        return refuse(x, "its shuffled weights");
    struct value *input = real_in(x, 0), *weights = real_in(x, 1), *bias = bias_in(x, 2);
    FAIL_IF(weights->rank != 2, x->r->err, STATUS_CORRUPT, "its weights have rank %d",
            weights->rank);
    bool keep = fb_bool(&x->options, 2, false) && input->rank != 2;
    struct value *rows = input;
    if (input->rank != 2 ||
        (input->dim[1] >= 0 && weights->dim[1] >= 0 && input->dim[1] != weights->dim[1])) {
        int64_t flat[] = { -1, weights->dim[1] };
        struct value *shape =
            made_ints(x, "flat_shape", arena_copy(x->r->m->arena, flat, sizeof flat), 2, -1);
        rows = then2(x, "Reshape", input, shape, NULL);
        rows->rank = 2;
        rows->dim[0] = DIM_UNKNOWN;
        rows->dim[1] = flat[1];
    }
    struct node *n = emit(x, "Gemm", "", bias ? 3 : 2, 1, ROLE_MAIN);
    n->in[0] = rows;
    n->in[1] = weights;
    if (bias)
        n->in[2] = bias;
    node_set_int(n, "transB", 1);
    if (!keep)
        return deliver(x, 0, n, 0, act);
    struct value *flat_out = between(x, "rows", DT_F32, NULL), *shape = NULL;
    node_set_output(n, 0, flat_out);
    TRY(dense_shape(x, input, weights->dim[0], &shape));
    struct node *r = emit(x, "Reshape", "", 2, 1, ROLE_HELPER);
    r->in[0] = flat_out;
    r->in[1] = shape;
    return deliver(x, 0, r, 0, act);
}

static enum status read_batch_matmul(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    /* int8 to int32 is the product of the integers as they are, without their zero points. */
    bool whole = raw_in(x, 0)->dtype == DT_I8 && raw_in(x, 1)->dtype == DT_I8 && x->out[0] &&
                 x->out[0]->dtype == DT_I32;
    struct value *in[2];
    for (int i = 0; i < 2; i++) {
        in[i] = whole ? raw_in(x, i) : real_in(x, i);
        if (!fb_bool(&x->options, i, false))
            continue;
        int rank = in[i]->rank;
        FAIL_IF(rank < 2, x->r->err, STATUS_CORRUPT, "its input %d has rank %d", i, rank);
        int64_t *perm = NEW_ARRAY(x->r->m->arena, rank, int64_t);
        struct value like = *in[i];
        for (int k = 0; k < rank; k++)
            perm[k] = k < rank - 2 ? k : 2 * rank - 3 - k;
        like.dim[rank - 1] = in[i]->dim[rank - 2];
        like.dim[rank - 2] = in[i]->dim[rank - 1];
        in[i] = then1(x, "Transpose", in[i], &like);
        node_set_ints(x->last, "perm", perm, rank);
    }
    struct node *n = emit(x, whole ? "MatMulInteger" : "MatMul", "", 2, 1, ROLE_MAIN);
    n->in[0] = in[0];
    n->in[1] = in[1];
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_softmax(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0);
    float beta = fb_f32(&x->options, 0, 0);
    bool log = x->code == BUILTIN_LOG_SOFTMAX;
    if (!log && beta != 1.0f)
        v = then2(x, "Mul", v, made_real(x, "beta", DT_F32, (double)beta), v);
    struct node *n = emit(x, log ? "LogSoftmax" : "Softmax", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_int(n, "axis", -1);
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* x / max(sqrt(sum of squares along the last axis), 1e-6) */
static enum status read_l2_normalization(struct op_reader *x) {
    enum activation act;
    TRY(need_inputs(x, 1));
    TRY(activation_read(x, 0, &act));
    int64_t last = -1;
    struct value *v = real_in(x, 0);
    struct value *axes =
        made_ints(x, "axes", arena_copy(x->r->m->arena, &last, sizeof last), 1, -1);
    struct value *norm = then2(x, "ReduceL2", v, axes, NULL);
    node_set_int(x->last, "keepdims", 1);
    norm = then2(x, "Max", norm, made_real(x, "epsilon", DT_F32, (double)1e-6f), NULL);
    struct node *n = emit(x, "Div", "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = norm;
    return deliver(x, 0, n, 0, act);
}

/* TFLite's alpha multiplies the sum over 2 * radius + 1 channels, ONNX's its mean over `size`. */
static enum status read_lrn(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0);
    struct node *n = emit(x, "LRN", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    int32_t radius = fb_i32(&x->options, 0, 0);
    FAIL_IF(radius < 0 || radius > INT32_MAX / 4, x->r->err, STATUS_CORRUPT, "radius %d", radius);
    int64_t size = 2 * (int64_t)radius + 1;
    node_set_string(n, "layout", "NHWC");
    node_set_int(n, "size", size);
    node_set_float(n, "alpha", (double)fb_f32(&x->options, 2, 0) * (double)size);
    node_set_float(n, "beta", (double)fb_f32(&x->options, 3, 0));
    node_set_float(n, "bias", (double)fb_f32(&x->options, 1, 0));
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_resize(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    bool linear = x->code == BUILTIN_RESIZE_BILINEAR;
    bool corners = fb_bool(&x->options, linear ? 2 : 0, false),
         half = fb_bool(&x->options, linear ? 3 : 1, false);
    bool raw = !linear && same_quant(x, 0, 0);
    struct value *v = raw ? raw_in(x, 0) : real_in(x, 0);
    struct node *n = emit(x, "Resize", "", 4, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[3] = raw_in(x, 1);
    int64_t axes[] = { 1, 2 };
    node_set_ints(n, "axes", arena_copy(x->r->m->arena, axes, sizeof axes), 2);
    node_set_string(n, "mode", linear ? "linear" : "nearest");
    FAIL_IF(corners && half, x->r->err, STATUS_UNSUPPORTED,
            "align_corners together with half_pixel_centers");
    node_set_string(n, "coordinate_transformation_mode",
                    corners ? "align_corners"
                    : half  ? "half_pixel"
                            : "asymmetric");
    /* floor((i + 0.5) * scale) is round half up of ONNX's (i + 0.5) * scale - 0.5; align_corners
     * rounds half up. */
    if (!linear)
        node_set_string(n, "nearest_mode", corners || half ? "round_prefer_ceil" : "floor");
    if (!raw)
        return deliver(x, 0, n, 0, ACTIVATION_NONE);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

read_fn *map_spatial(enum builtin code) {
    switch (code) {
    case BUILTIN_CONV_2D:
    case BUILTIN_DEPTHWISE_CONV_2D:
    case BUILTIN_CONV_3D:
        return read_conv;
    case BUILTIN_TRANSPOSE_CONV:
    case BUILTIN_CONV_3D_TRANSPOSE:
        return read_transposed_conv;
    case BUILTIN_AVERAGE_POOL_2D:
    case BUILTIN_MAX_POOL_2D:
        return read_pool;
    case BUILTIN_L2_POOL_2D:
        return read_l2_pool;
    case BUILTIN_FULLY_CONNECTED:
        return read_fully_connected;
    case BUILTIN_BATCH_MATMUL:
        return read_batch_matmul;
    case BUILTIN_SOFTMAX:
    case BUILTIN_LOG_SOFTMAX:
        return read_softmax;
    case BUILTIN_L2_NORMALIZATION:
        return read_l2_normalization;
    case BUILTIN_LOCAL_RESPONSE_NORMALIZATION:
        return read_lrn;
    case BUILTIN_RESIZE_BILINEAR:
    case BUILTIN_RESIZE_NEAREST_NEIGHBOR:
        return read_resize;
    default:
        return NULL;
    }
}
