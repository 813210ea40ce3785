/* Convolutions, pools, resizing and normalisation across channels as built-in operators of
 * TensorFlow Lite. */
#include "formats/tflite/tflite_lower.h"

struct spatial {
    int64_t stride[2], dilation[2], kernel[2], pads[4];
    int padding; /* PADDING_SAME, PADDING_VALID, -1: pads must be made by an operator of its own */
};

static void pair_attr(const struct node *n, const char *name, int64_t v[2]) {
    int64_t count;
    const int64_t *list = list_attr(n, name, &count);
    for (int i = 0; i < 2; i++)
        v[i] = list && count == 2 ? list[i] : 1;
}

static enum status read_spatial(struct lowering *l, struct spatial *s) {
    const struct node *n = l->node;
    int64_t count;
    if (strcmp(text_attr(n, "layout", "NCHW"), "NHWC") != 0 || n->in[0]->rank != 4)
        return lower_refuse(l, "a layout other than NHWC");
    pair_attr(n, "strides", s->stride);
    pair_attr(n, "dilations", s->dilation);
    const char *mode = text_attr(n, "auto_pad", "NOTSET");
    const int64_t *pads = list_attr(n, "pads", &count);
    s->padding = strcmp(mode, "SAME_UPPER") == 0 ? PADDING_SAME
                 : strcmp(mode, "VALID") == 0    ? PADDING_VALID
                                                 : -1;
    if (s->padding >= 0)
        return OK;
    bool zero = true, same = true;
    for (int i = 0; i < 2; i++) {
        int64_t in = n->in[0]->dim[i + 1], step = s->stride[i], out = (in + step - 1) / step;
        int64_t total = (out - 1) * step + (s->kernel[i] - 1) * s->dilation[i] + 1 - in;
        total = total < 0 ? 0 : total;
        bool lower = strcmp(mode, "SAME_LOWER") == 0;
        if (lower && in < 0)
            return lower_refuse(l, "SAME_LOWER on an unknown size");
        s->pads[i] = lower ? total - total / 2 : pads && count == 4 ? pads[i] : 0;
        s->pads[i + 2] = lower ? total / 2 : pads && count == 4 ? pads[i + 2] : 0;
        zero &= s->pads[i] == 0 && s->pads[i + 2] == 0;
        same &= in >= 0 && s->pads[i] == total / 2 && s->pads[i + 2] == total - total / 2;
    }
    s->padding = zero ? PADDING_VALID : same ? PADDING_SAME : -1;
    return OK;
}

/* Padding that neither SAME nor VALID is: an operator before. */
static struct lowered *add_padding(struct lowering *l, const struct spatial *s, bool lowest) {
    struct lowered *o = lower_add(l, lowest ? BUILTIN_PADV2 : BUILTIN_PAD, lowest ? 3 : 2);
    const struct value *x = l->node->in[0];
    int64_t p[8] = { 0, 0, s->pads[0], s->pads[2], s->pads[1], s->pads[3], 0, 0 },
            dim[2] = { 4, 2 };
    o->in[0].value = l->node->in[0];
    struct tensor *t = lower_ints32(l, p, 8, 1);
    t->rank = 2;
    memcpy(t->dim, dim, sizeof dim);
    o->in[1].made = t;
    if (lowest) {
        o->in[2].made = tensor_in_arena(l->arena, x->dtype, x->dtype, 0, NULL);
        tensor_set_f64(o->in[2].made, 0, -3.4028234663852886e38);
    }
    o->rank = 4;
    for (int i = 0; i < 4; i++)
        o->dim[i] = x->dim[i] < 0 ? -1 : x->dim[i] + p[2 * i] + p[2 * i + 1];
    return o;
}

static enum status lower_conv(struct lowering *l) {
    const struct node *n = l->node;
    const struct value *w = input_of(n, 1);
    const char *order = text_attr(n, "kernel_layout", "OIHW");
    bool depthwise = strcmp(order, "IHWO") == 0;
    if ((!depthwise && strcmp(order, "OHWI") != 0) || !w || w->rank != 4)
        return lower_refuse(l, "its kernel layout");
    int64_t groups = int_attr(n, "group", 1),
            channels = n->in[0]->rank == 4 ? n->in[0]->dim[3] : -1;
    if (depthwise ? groups < 1 || w->dim[3] % groups || w->dim[0] != 1 ||
                        (channels >= 0 && channels != groups)
                  : channels >= 0 && channels != groups * w->dim[3])
        return lower_refuse(l, "its number of groups");
    struct spatial s = { .kernel = { w->dim[1], w->dim[2] } };
    TRY(read_spatial(l, &s));
    if (s.padding < 0)
        add_padding(l, &s, false);
    struct lowered *o =
        lower_add(l, depthwise ? BUILTIN_DEPTHWISE_CONV_2D : BUILTIN_CONV_2D, n->n_in);
    for (int i = 0; i < n->n_in; i++)
        o->in[i].value = n->in[i];
    o->in[0].previous = s.padding < 0;
    field(o, 0, 1, s.padding < 0 ? PADDING_VALID : s.padding);
    field(o, 1, 4, s.stride[1]);
    field(o, 2, 4, s.stride[0]);
    if (depthwise)
        field(o, 3, 4, w->dim[3] / groups);
    o->activation_slot = depthwise ? 4 : 3;
    field(o, depthwise ? 5 : 4, 4, s.dilation[1]);
    field(o, depthwise ? 6 : 5, 4, s.dilation[0]);
    return OK;
}

/* TFLite's SAME pads of the forward convolution, and none at the end beyond what the output's size
 * leaves. */
static enum status lower_conv_transpose(struct lowering *l) {
    const struct node *n = l->node;
    const struct value *w = input_of(n, 1), *x = n->in[0];
    if (strcmp(text_attr(n, "kernel_layout", ""), "OHWI") != 0 ||
        strcmp(text_attr(n, "layout", ""), "NHWC") != 0 || w->rank != 4 || x->rank != 4 ||
        int_attr(n, "group", 1) != 1)
        return lower_refuse(l, "its layout");
    int64_t stride[2], dilation[2], extra[2] = { 0, 0 }, n_pads, n_extra, out[4];
    const int64_t *pads = list_attr(n, "pads", &n_pads),
                  *padding = list_attr(n, "output_padding", &n_extra);
    pair_attr(n, "strides", stride);
    pair_attr(n, "dilations", dilation);
    bool same = true, valid = true;
    for (int i = 0; i < 2; i++) {
        int64_t in = x->dim[i + 1], begin = pads && n_pads == 4 ? pads[i] : 0,
                end = pads && n_pads == 4 ? pads[i + 2] : 0;
        extra[i] = padding && n_extra == 2 ? padding[i] : 0;
        if (in < 0 || dilation[i] != 1 || strcmp(text_attr(n, "auto_pad", "NOTSET"), "NOTSET") != 0)
            return lower_refuse(l, "its padding");
        out[i + 1] = (in - 1) * stride[i] + w->dim[i + 1] - begin - end + extra[i];
        int64_t forward = (out[i + 1] + stride[i] - 1) / stride[i],
                total = (forward - 1) * stride[i] + w->dim[i + 1] - out[i + 1];
        same &= begin == (total > 0 ? total / 2 : 0) && forward == in;
        valid &= begin == 0;
    }
    if (!same && !valid)
        return lower_refuse(l, "its padding");
    out[0] = x->dim[0];
    out[3] = w->dim[0];
    struct lowered *o = lower_add(l, BUILTIN_TRANSPOSE_CONV, n->n_in + 1);
    if (out[0] < 0)
        return lower_refuse(l, "an unknown batch");
    o->in[0].made = lower_ints32(l, out, 4, 1);
    o->in[1].value = n->in[1];
    o->in[2].value = n->in[0];
    if (n->n_in > 2)
        o->in[3].value = n->in[2];
    field(o, 0, 1, same ? PADDING_SAME : PADDING_VALID);
    field(o, 1, 4, stride[1]);
    field(o, 2, 4, stride[0]);
    o->activation_slot = 3;
    return OK;
}

static enum status lower_pool(struct lowering *l) {
    const struct node *n = l->node;
    bool max = node_is(n, "MaxPool");
    struct spatial s;
    pair_attr(n, "kernel_shape", s.kernel);
    TRY(read_spatial(l, &s));
    if (s.dilation[0] != 1 || s.dilation[1] != 1 || n->n_out > 1)
        return lower_refuse(l, "its dilation");
    if (int_attr(n, "ceil_mode", 0) && s.padding != PADDING_SAME)
        return lower_refuse(l, "rounding its output size up");
    bool counted = int_attr(n, "count_include_pad", 0) != 0;
    if (s.padding == PADDING_SAME && counted) {
        /* Zeros that count must be there: TFLite's own padding never counts. */
        const struct value *x = n->in[0];
        for (int i = 0; i < 2; i++) {
            int64_t in = x->dim[i + 1], out = (in + s.stride[i] - 1) / s.stride[i],
                    total = (out - 1) * s.stride[i] + s.kernel[i] - in;
            if (in < 0)
                return lower_refuse(l, "counted padding of an unknown size");
            total = total < 0 ? 0 : total;
            s.pads[i] = total / 2;
            s.pads[i + 2] = total - total / 2;
        }
        s.padding = -1;
    }
    if (s.padding < 0 && !max && !counted)
        return lower_refuse(l, "padding that does not count and is not SAME");
    if (s.padding < 0 && max && n->in[0]->dtype != DT_F32)
        return lower_refuse(l, "padding of a quantized maximum");
    if (s.padding < 0)
        add_padding(l, &s, max);
    struct lowered *o = lower_add(l, max ? BUILTIN_MAX_POOL_2D : BUILTIN_AVERAGE_POOL_2D, 1);
    o->in[0] = (struct lowered_input) { .value = n->in[0], .previous = s.padding < 0 };
    field(o, 0, 1, s.padding < 0 ? PADDING_VALID : s.padding);
    field(o, 1, 4, s.stride[1]);
    field(o, 2, 4, s.stride[0]);
    field(o, 3, 4, s.kernel[1]);
    field(o, 4, 4, s.kernel[0]);
    o->activation_slot = 5;
    return OK;
}

static enum status lower_resize(struct lowering *l) {
    const struct node *n = l->node;
    const char *mode = text_attr(n, "mode", "nearest"),
               *grid = text_attr(n, "coordinate_transformation_mode", "half_pixel");
    const char *nearest = text_attr(n, "nearest_mode", "round_prefer_floor");
    int64_t count;
    const int64_t *axes = list_attr(n, "axes", &count);
    bool linear = strcmp(mode, "linear") == 0, corners = strcmp(grid, "align_corners") == 0,
         half = strcmp(grid, "half_pixel") == 0;
    bool plain = strcmp(grid, "asymmetric") == 0;
    if (!axes || count != 2 || axes[0] != 1 || axes[1] != 2 || !input_of(n, 3) ||
        n->in[0]->rank != 4)
        return lower_refuse(l, "other axes than height and width, or scales");
    if ((!linear && strcmp(mode, "nearest") != 0) || (!corners && !half && !plain) ||
        int_attr(n, "antialias", 0))
        return lower_refuse(l, "its mode");
    if (!linear && strcmp(nearest, plain ? "floor" : "round_prefer_ceil") != 0)
        return lower_refuse(l, "its rounding");
    struct lowered *o =
        lower_add(l, linear ? BUILTIN_RESIZE_BILINEAR : BUILTIN_RESIZE_NEAREST_NEIGHBOR, 2);
    o->in[0].value = n->in[0];
    field(o, linear ? 2 : 0, 1, corners);
    field(o, linear ? 3 : 1, 1, half);
    return lower_list_input(l, o, 1, 3);
}

static enum status lower_space(struct lowering *l) {
    const struct node *n = l->node;
    if (strcmp(text_attr(n, "layout", "NCHW"), "NHWC") != 0 ||
        strcmp(text_attr(n, "mode", "DCR"), "DCR") != 0)
        return lower_refuse(l, "its layout or mode");
    struct lowered *o = lower_add(
        l, node_is(n, "SpaceToDepth") ? BUILTIN_SPACE_TO_DEPTH : BUILTIN_DEPTH_TO_SPACE, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 4, int_attr(n, "blocksize", 1));
    return OK;
}

static enum status lower_lrn(struct lowering *l) {
    const struct node *n = l->node;
    int64_t size = int_attr(n, "size", 1);
    if (strcmp(text_attr(n, "layout", "NCHW"), "NHWC") != 0 || size % 2 == 0)
        return lower_refuse(l, "its layout or an even size");
    struct lowered *o = lower_add(l, BUILTIN_LOCAL_RESPONSE_NORMALIZATION, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 4, size / 2);
    field_f32(o, 1, float_attr(n, "bias", 1));
    field_f32(o, 2, float_attr(n, "alpha", 0.0001) / (double)size);
    field_f32(o, 3, float_attr(n, "beta", 0.75));
    return OK;
}

static const struct {
    const char *op;
    lower_fn *lower;
} rows[] = {
    { "Conv", lower_conv },          { "ConvTranspose", lower_conv_transpose },
    { "AveragePool", lower_pool },   { "MaxPool", lower_pool },
    { "Resize", lower_resize },      { "SpaceToDepth", lower_space },
    { "DepthToSpace", lower_space }, { "LRN", lower_lrn },
};

lower_fn *lower_of_spatial(const char *op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return rows[i].lower;
    return NULL;
}
