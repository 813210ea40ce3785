/* IR nodes as built-in operators of TensorFlow Lite, for the writer. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "formats/tflite/tflite_write.h"

static enum status refuse_node(const struct lowering *l, const char *what) {
    return err_set(l->err, STATUS_UNSUPPORTED,
                   "%s %s%s: %s cannot be written to a TensorFlow Lite file", l->node->op, "at ",
                   l->node->out[0] ? l->node->out[0]->name : "", what);
}

static struct lowered *add_op(struct lowering *l, enum builtin code, int n_in) {
    struct lowered *o = &l->op[l->n++];
    *o = (struct lowered) { .code = code, .n_in = n_in, .activation_slot = -1, .rank = -1 };
    o->in = NEW_ARRAY(l->arena, n_in + 1, struct lowered_input);
    return o;
}

static void field(struct lowered *o, int slot, int width, int64_t v) {
    o->fields[o->n_fields++] = (struct lowered_field) { slot, width, (uint64_t)v };
}

static void field_f32(struct lowered *o, int slot, double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    field(o, slot, 4, bits);
}

static int64_t int_attr(const struct node *n, const char *name, int64_t other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->i : other;
}

static double float_attr(const struct node *n, const char *name, double other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->f : other;
}

static const char *text_attr(const struct node *n, const char *name, const char *other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->s : other;
}

static const int64_t *list_attr(const struct node *n, const char *name, int64_t *count) {
    const struct attr *a = node_attr(n, name);
    *count = a ? a->n : 0;
    return a ? a->ints : NULL;
}

static const struct value *input_of(const struct node *n, int i) {
    return i < n->n_in ? n->in[i] : NULL;
}

static struct tensor *ints32(struct lowering *l, const int64_t *v, int64_t n, int rank) {
    struct tensor *t = tensor_in_arena(l->arena, DT_I32, DT_I32, rank, &n);
    for (int64_t i = 0; i < n; i++)
        tensor_set_i64(t, i, v[i] > INT32_MAX ? INT32_MAX : v[i] < INT32_MIN ? INT32_MIN : v[i]);
    return t;
}

/* Contents of a constant input as integers. */
static bool constant_list(const struct lowering *l, int i, const int64_t **v, int64_t *n) {
    const struct value *value = input_of(l->node, i);
    if (!value || !value->constant)
        return false;
    int64_t count = tensor_count(value->constant), *list = NEW_ARRAY(l->arena, count + 1, int64_t);
    for (int64_t k = 0; k < count; k++)
        list[k] = tensor_i64(value->constant, k);
    *v = list;
    *n = count;
    return true;
}

/* A list input as TFLite wants it: int32; a constant of another width is made anew. */
static enum status list_input(struct lowering *l, struct lowered *o, int slot, int i) {
    struct value *v = l->node->in[i];
    const int64_t *list;
    int64_t n;
    if (v->dtype == DT_I32) {
        o->in[slot].value = v;
        return OK;
    }
    if (!constant_list(l, i, &list, &n))
        return refuse_node(l, "a computed int64 list");
    o->in[slot].made = ints32(l, list, n, 1);
    return OK;
}

int tflite_activation_of(const struct node *n) {
    if (node_is(n, "Relu"))
        return ACTIVATION_RELU;
    if (node_is(n, "Tanh"))
        return ACTIVATION_TANH;
    if (!node_is(n, "Clip") || n->n_in < 3 || !n->in[1] || !n->in[2] || !n->in[1]->constant ||
        !n->in[2]->constant)
        return -1;
    double low = tensor_f64(n->in[1]->constant, 0), high = tensor_f64(n->in[2]->constant, 0);
    return low == 0 && high == 6    ? ACTIVATION_RELU6
           : low == -1 && high == 1 ? ACTIVATION_RELU_N1_TO_1
                                    : -1;
}

/* --- windows --- */

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
        return refuse_node(l, "a layout other than NHWC");
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
            return refuse_node(l, "SAME_LOWER on an unknown size");
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
    struct lowered *o = add_op(l, lowest ? BUILTIN_PADV2 : BUILTIN_PAD, lowest ? 3 : 2);
    const struct value *x = l->node->in[0];
    int64_t p[8] = { 0, 0, s->pads[0], s->pads[2], s->pads[1], s->pads[3], 0, 0 },
            dim[2] = { 4, 2 };
    o->in[0].value = l->node->in[0];
    struct tensor *t = ints32(l, p, 8, 1);
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
        return refuse_node(l, "its kernel layout");
    int64_t groups = int_attr(n, "group", 1),
            channels = n->in[0]->rank == 4 ? n->in[0]->dim[3] : -1;
    if (depthwise ? groups < 1 || w->dim[3] % groups || w->dim[0] != 1 ||
                        (channels >= 0 && channels != groups)
                  : channels >= 0 && channels != groups * w->dim[3])
        return refuse_node(l, "its number of groups");
    struct spatial s = { .kernel = { w->dim[1], w->dim[2] } };
    TRY(read_spatial(l, &s));
    if (s.padding < 0)
        add_padding(l, &s, false);
    struct lowered *o = add_op(l, depthwise ? BUILTIN_DEPTHWISE_CONV_2D : BUILTIN_CONV_2D, n->n_in);
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
    const struct value *w = input_of(n, 1), *x = n->in[0], *y = n->out[0];
    if (strcmp(text_attr(n, "kernel_layout", ""), "OHWI") != 0 ||
        strcmp(text_attr(n, "layout", ""), "NHWC") != 0 || w->rank != 4 || x->rank != 4 ||
        int_attr(n, "group", 1) != 1)
        return refuse_node(l, "its layout");
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
            return refuse_node(l, "its padding");
        out[i + 1] = (in - 1) * stride[i] + w->dim[i + 1] - begin - end + extra[i];
        int64_t forward = (out[i + 1] + stride[i] - 1) / stride[i],
                total = (forward - 1) * stride[i] + w->dim[i + 1] - out[i + 1];
        same &= begin == (total > 0 ? total / 2 : 0) && forward == in;
        valid &= begin == 0;
    }
    if (!same && !valid)
        return refuse_node(l, "its padding");
    out[0] = x->dim[0];
    out[3] = w->dim[0];
    struct lowered *o = add_op(l, BUILTIN_TRANSPOSE_CONV, n->n_in + 1);
    if (out[0] < 0)
        return refuse_node(l, "an unknown batch");
    (void)y;
    o->in[0].made = ints32(l, out, 4, 1);
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
        return refuse_node(l, "its dilation");
    if (int_attr(n, "ceil_mode", 0) && s.padding != PADDING_SAME)
        return refuse_node(l, "rounding its output size up");
    bool counted = int_attr(n, "count_include_pad", 0) != 0;
    if (s.padding == PADDING_SAME && counted) {
        /* Zeros that count must be there: TFLite's own padding never counts. */
        const struct value *x = n->in[0];
        for (int i = 0; i < 2; i++) {
            int64_t in = x->dim[i + 1], out = (in + s.stride[i] - 1) / s.stride[i],
                    total = (out - 1) * s.stride[i] + s.kernel[i] - in;
            if (in < 0)
                return refuse_node(l, "counted padding of an unknown size");
            total = total < 0 ? 0 : total;
            s.pads[i] = total / 2;
            s.pads[i + 2] = total - total / 2;
        }
        s.padding = -1;
    }
    if (s.padding < 0 && !max && !counted)
        return refuse_node(l, "padding that does not count and is not SAME");
    if (s.padding < 0 && max && n->in[0]->dtype != DT_F32)
        return refuse_node(l, "padding of a quantized maximum");
    if (s.padding < 0)
        add_padding(l, &s, max);
    struct lowered *o = add_op(l, max ? BUILTIN_MAX_POOL_2D : BUILTIN_AVERAGE_POOL_2D, 1);
    o->in[0] = (struct lowered_input) { .value = n->in[0], .previous = s.padding < 0 };
    field(o, 0, 1, s.padding < 0 ? PADDING_VALID : s.padding);
    field(o, 1, 4, s.stride[1]);
    field(o, 2, 4, s.stride[0]);
    field(o, 3, 4, s.kernel[1]);
    field(o, 4, 4, s.kernel[0]);
    o->activation_slot = 5;
    return OK;
}

/* --- matrices --- */

static enum status lower_gemm(struct lowering *l) {
    const struct node *n = l->node;
    const struct value *w = input_of(n, 1);
    if (float_attr(n, "alpha", 1) != 1 || float_attr(n, "beta", 1) != 1 ||
        int_attr(n, "transA", 0) || n->in[0]->rank > 2)
        return refuse_node(l, "its factors or transposed input");
    struct lowered *o = add_op(l, BUILTIN_FULLY_CONNECTED, n->n_in);
    for (int i = 0; i < n->n_in; i++)
        o->in[i].value = n->in[i];
    if (!int_attr(n, "transB", 0)) {
        if (!w->constant || w->rank != 2 || w->constant->store != DT_F32)
            return refuse_node(l, "weights that are not transposed");
        int64_t dim[2] = { w->dim[1], w->dim[0] };
        struct tensor *t = tensor_in_arena(l->arena, DT_F32, DT_F32, 2, dim);
        for (int64_t i = 0; i < dim[0]; i++)
            for (int64_t k = 0; k < dim[1]; k++)
                tensor_set_f64(t, i * dim[1] + k, tensor_f64(w->constant, k * dim[0] + i));
        o->in[1] = (struct lowered_input) { .made = t };
    }
    o->activation_slot = 0;
    field(o, 1, 1, 0);
    return OK;
}

static enum status lower_matmul(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_BATCH_MATMUL, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 1, 0);
    field(o, 1, 1, 0);
    return OK;
}

/* --- shapes --- */

static enum status lower_reshape(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *shape;
    int64_t count;
    struct lowered *o = add_op(l, BUILTIN_RESHAPE, 2);
    o->in[0].value = n->in[0];
    if (constant_list(l, 1, &shape, &count) && !int_attr(n, "allowzero", 0)) {
        int64_t *copy = arena_copy(l->arena, shape, sizeof *shape * (size_t)(count + 1));
        bool changed = false;
        for (int64_t i = 0; i < count; i++)
            if (shape[i] == 0) {
                if (i >= n->in[0]->rank || n->in[0]->dim[i] < 0)
                    return refuse_node(l, "a dim that is copied and unknown");
                copy[i] = n->in[0]->dim[i];
                changed = true;
            }
        if (changed) {
            o->in[1].made = ints32(l, copy, count, 1);
            return OK;
        }
    }
    return list_input(l, o, 1, 1);
}

/* Operators that only change the shape, by the shape of the output. */
static enum status lower_as_reshape(struct lowering *l) {
    const struct value *y = l->node->out[0];
    int64_t dim[MAX_RANK];
    int unknown = 0;
    for (int i = 0; i < y->rank; i++) {
        dim[i] = y->dim[i] < 0 ? -1 : y->dim[i];
        unknown += y->dim[i] < 0;
    }
    if (y->rank < 0 || unknown > 1)
        return refuse_node(l, "an unknown output shape");
    struct lowered *o = add_op(l, BUILTIN_RESHAPE, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].made = ints32(l, dim, y->rank, 1);
    return OK;
}

static enum status lower_transpose(struct lowering *l) {
    const struct node *n = l->node;
    int64_t count, back[MAX_RANK];
    const int64_t *perm = list_attr(n, "perm", &count);
    if (!perm) {
        count = n->in[0]->rank;
        if (count < 0)
            return refuse_node(l, "an unknown rank");
        for (int64_t i = 0; i < count; i++)
            back[i] = count - 1 - i;
        perm = back;
    }
    struct lowered *o = add_op(l, BUILTIN_TRANSPOSE, 2);
    o->in[0].value = n->in[0];
    o->in[1].made = ints32(l, perm, count, 1);
    return OK;
}

static enum status lower_concat(struct lowering *l) {
    const struct node *n = l->node;
    struct lowered *o = add_op(l, BUILTIN_CONCATENATION, n->n_in);
    for (int i = 0; i < n->n_in; i++)
        o->in[i].value = n->in[i];
    field(o, 0, 4, int_attr(n, "axis", 0));
    o->activation_slot = 1;
    return OK;
}

static enum status lower_slice(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *list[5] = { NULL };
    int64_t count[5] = { 0 }, begin[MAX_RANK] = { 0 }, end[MAX_RANK], step[MAX_RANK];
    int rank = n->in[0]->rank;
    for (int i = 1; i < 5 && i < n->n_in; i++)
        if (n->in[i] && !constant_list(l, i, &list[i], &count[i]))
            return refuse_node(l, "a computed list");
    if (rank < 0 || !list[1] || !list[2] || count[1] != count[2] ||
        (list[3] && count[3] != count[1]) || (list[4] && count[4] != count[1]))
        return refuse_node(l, "its lists");
    int32_t begin_mask = 0, end_mask = 0;
    for (int i = 0; i < rank; i++) {
        begin_mask |= 1 << i;
        end_mask |= 1 << i;
        end[i] = 0;
        step[i] = 1;
    }
    for (int64_t i = 0; i < count[1]; i++) {
        int64_t axis = list[3] ? list[3][i] : i, s = list[4] ? list[4][i] : 1;
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank)
            return refuse_node(l, "its axes");
        bool far_begin = s > 0 ? list[1][i] == 0 : list[1][i] == -1 || list[1][i] > INT32_MAX;
        bool far_end = s > 0 ? list[2][i] >= INT32_MAX : list[2][i] <= INT32_MIN;
        begin[axis] = far_begin ? 0 : list[1][i];
        end[axis] = far_end ? 0 : list[2][i];
        step[axis] = s;
        begin_mask = far_begin ? begin_mask : begin_mask & ~(1 << axis);
        end_mask = far_end ? end_mask : end_mask & ~(1 << axis);
    }
    struct lowered *o = add_op(l, BUILTIN_STRIDED_SLICE, 4);
    o->in[0].value = n->in[0];
    o->in[1].made = ints32(l, begin, rank, 1);
    o->in[2].made = ints32(l, end, rank, 1);
    o->in[3].made = ints32(l, step, rank, 1);
    field(o, 0, 4, begin_mask);
    field(o, 1, 4, end_mask);
    for (int i = 2; i < 5; i++)
        field(o, i, 4, 0);
    return OK;
}

static enum status lower_pad(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *p;
    int64_t count, rank = n->in[0]->rank, rows[2 * MAX_RANK], dim[2] = { rank, 2 };
    const char *mode = text_attr(n, "mode", "constant");
    bool reflect = strcmp(mode, "reflect") == 0;
    const struct value *fill = input_of(n, 2);
    if (!reflect && strcmp(mode, "constant") != 0)
        return refuse_node(l, "its mode");
    if (!constant_list(l, 1, &p, &count) || count != 2 * rank || input_of(n, 3))
        return refuse_node(l, "its list of paddings");
    for (int64_t i = 0; i < rank; i++) {
        rows[2 * i] = p[i];
        rows[2 * i + 1] = p[rank + i];
        if (p[i] < 0 || p[rank + i] < 0)
            return refuse_node(l, "negative paddings");
    }
    bool zero = !fill || (fill->constant && tensor_count(fill->constant) == 1 &&
                          tensor_f64(fill->constant, 0) == 0);
    struct lowered *o = add_op(l,
                               reflect ? BUILTIN_MIRROR_PAD
                               : zero  ? BUILTIN_PAD
                                       : BUILTIN_PADV2,
                               reflect || zero ? 2 : 3);
    o->in[0].value = n->in[0];
    struct tensor *t = ints32(l, rows, count, 1);
    t->rank = 2;
    memcpy(t->dim, dim, sizeof dim);
    o->in[1].made = t;
    if (reflect)
        field(o, 0, 1, 0);
    else if (!zero)
        o->in[2].value = n->in[2];
    return OK;
}

static enum status lower_gather(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_GATHER, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 4, int_attr(l->node, "axis", 0));
    field(o, 1, 4, 0);
    return OK;
}

static enum status lower_split(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", 0);
    bool sizes = input_of(n, 1) != NULL;
    struct lowered *o = add_op(l, sizes ? BUILTIN_SPLIT_V : BUILTIN_SPLIT, sizes ? 3 : 2);
    struct tensor *t = ints32(l, &axis, 1, 1);
    o->in[sizes ? 0 : 1].value = n->in[0];
    if (sizes)
        TRY(list_input(l, o, 1, 1));
    if (!sizes)
        t->rank = 0;
    o->in[sizes ? 2 : 0].made = t;
    field(o, 0, 4, n->n_out);
    return OK;
}

/* A second input that is a list: Tile, Expand, Unsqueeze of one axis. */
static enum status lower_with_list(struct lowering *l, enum builtin code) {
    struct lowered *o = add_op(l, code, 2);
    o->in[0].value = l->node->in[0];
    return list_input(l, o, 1, 1);
}

static enum status lower_cast(struct lowering *l) {
    const struct node *n = l->node;
    enum dtype to = dtype_from_onnx(int_attr(n, "to", 0));
    if (dtype_to_tflite(to) < 0 || dtype_to_tflite(n->in[0]->dtype) < 0)
        return refuse_node(l, "its type");
    struct lowered *o = add_op(l, BUILTIN_CAST, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 1, dtype_to_tflite(n->in[0]->dtype));
    field(o, 1, 1, dtype_to_tflite(to));
    return OK;
}

/* --- reductions, softmax, activations --- */

static enum status lower_reduce(struct lowering *l, enum builtin code) {
    const struct node *n = l->node;
    struct lowered *o = add_op(l, code, 2);
    int64_t all[MAX_RANK], count;
    const int64_t *axes = list_attr(n, "axes", &count);
    o->in[0].value = n->in[0];
    field(o, 0, 1, int_attr(n, "keepdims", 1));
    if (input_of(n, 1))
        return list_input(l, o, 1, 1);
    if (!axes) {
        if (n->in[0]->rank < 0)
            return refuse_node(l, "an unknown rank");
        for (count = 0; count < n->in[0]->rank; count++)
            all[count] = count;
        axes = all;
    }
    o->in[1].made = ints32(l, axes, count, 1);
    return OK;
}

static enum status lower_arg(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", 0);
    if (int_attr(n, "keepdims", 1) || int_attr(n, "select_last_index", 0))
        return refuse_node(l, "a kept axis or the last index");
    struct lowered *o = add_op(l, node_is(n, "ArgMax") ? BUILTIN_ARG_MAX : BUILTIN_ARG_MIN, 2);
    o->in[0].value = n->in[0];
    o->in[1].made = ints32(l, &axis, 1, 1);
    field(o, 0, 1, dtype_to_tflite(n->out[0] && n->out[0]->dtype == DT_I32 ? DT_I32 : DT_I64));
    return OK;
}

static enum status lower_softmax(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", -1);
    bool log = node_is(n, "LogSoftmax");
    if (axis != -1 && axis != n->in[0]->rank - 1)
        return refuse_node(l, "an axis that is not the last");
    struct lowered *o = add_op(l, log ? BUILTIN_LOG_SOFTMAX : BUILTIN_SOFTMAX, 1);
    o->in[0].value = n->in[0];
    if (!log)
        field_f32(o, 0, 1);
    return OK;
}

static void clip_half(struct lowering *l, enum builtin code, struct value *limit, bool previous) {
    struct lowered *o = add_op(l, code, 2);
    const struct value *x = l->node->in[0];
    o->in[0] = (struct lowered_input) { .value = l->node->in[0], .previous = previous };
    o->in[1].value = limit;
    o->rank = x->rank;
    memcpy(o->dim, x->dim, sizeof o->dim);
}

static enum status lower_clip(struct lowering *l) {
    const struct node *n = l->node;
    struct value *low = n->n_in > 1 ? n->in[1] : NULL, *high = n->n_in > 2 ? n->in[2] : NULL;
    double a = low && low->constant ? tensor_f64(low->constant, 0) : NAN,
           b = high && high->constant ? tensor_f64(high->constant, 0) : NAN;
    if (low && high && ((a == 0 && (b == 6 || b == 1)) || (a == -1 && b == 1))) {
        add_op(l,
               b == 6   ? BUILTIN_RELU6
               : a == 0 ? BUILTIN_RELU_0_TO_1
                        : BUILTIN_RELU_N1_TO_1,
               1)
            ->in[0]
            .value = n->in[0];
        return OK;
    }
    if (!low && !high)
        return lower_as_reshape(l);
    if (low)
        clip_half(l, BUILTIN_MAXIMUM, low, false);
    if (high)
        clip_half(l, BUILTIN_MINIMUM, high, low != NULL);
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
        return refuse_node(l, "other axes than height and width, or scales");
    if ((!linear && strcmp(mode, "nearest") != 0) || (!corners && !half && !plain) ||
        int_attr(n, "antialias", 0))
        return refuse_node(l, "its mode");
    if (!linear && strcmp(nearest, plain ? "floor" : "round_prefer_ceil") != 0)
        return refuse_node(l, "its rounding");
    struct lowered *o =
        add_op(l, linear ? BUILTIN_RESIZE_BILINEAR : BUILTIN_RESIZE_NEAREST_NEIGHBOR, 2);
    o->in[0].value = n->in[0];
    field(o, linear ? 2 : 0, 1, corners);
    field(o, linear ? 3 : 1, 1, half);
    return list_input(l, o, 1, 3);
}

static enum status lower_space(struct lowering *l) {
    const struct node *n = l->node;
    if (strcmp(text_attr(n, "layout", "NCHW"), "NHWC") != 0 ||
        strcmp(text_attr(n, "mode", "DCR"), "DCR") != 0)
        return refuse_node(l, "its layout or mode");
    struct lowered *o =
        add_op(l, node_is(n, "SpaceToDepth") ? BUILTIN_SPACE_TO_DEPTH : BUILTIN_DEPTH_TO_SPACE, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 4, int_attr(n, "blocksize", 1));
    return OK;
}

static enum status lower_lrn(struct lowering *l) {
    const struct node *n = l->node;
    int64_t size = int_attr(n, "size", 1);
    if (strcmp(text_attr(n, "layout", "NCHW"), "NHWC") != 0 || size % 2 == 0)
        return refuse_node(l, "its layout or an even size");
    struct lowered *o = add_op(l, BUILTIN_LOCAL_RESPONSE_NORMALIZATION, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 4, size / 2);
    field_f32(o, 1, float_attr(n, "bias", 1));
    field_f32(o, 2, float_attr(n, "alpha", 0.0001) / (double)size);
    field_f32(o, 3, float_attr(n, "beta", 0.75));
    return OK;
}

/* --- one input, perhaps with a parameter --- */

static enum status lower_leaky(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_LEAKY_RELU, 1);
    o->in[0].value = l->node->in[0];
    field_f32(o, 0, float_attr(l->node, "alpha", 0.01));
    return OK;
}

static enum status lower_gelu(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_GELU, 1);
    o->in[0].value = l->node->in[0];
    field(o, 0, 1, strcmp(text_attr(l->node, "approximate", "none"), "tanh") == 0);
    return OK;
}

static enum status lower_reciprocal(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_DIV, 2);
    o->in[0].made = tensor_in_arena(l->arena, DT_F32, DT_F32, 0, NULL);
    tensor_set_f64(o->in[0].made, 0, 1);
    o->in[1].value = l->node->in[0];
    o->activation_slot = 0;
    return OK;
}

static enum status lower_cumsum(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_CUMSUM, 2);
    o->in[0].value = l->node->in[0];
    field(o, 0, 1, int_attr(l->node, "exclusive", 0));
    field(o, 1, 1, int_attr(l->node, "reverse", 0));
    return list_input(l, o, 1, 1);
}

static enum status lower_reverse_sequence(struct lowering *l) {
    struct lowered *o = add_op(l, BUILTIN_REVERSE_SEQUENCE, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 4, int_attr(l->node, "time_axis", 0));
    field(o, 1, 4, int_attr(l->node, "batch_axis", 1));
    return OK;
}

static enum status lower_unsqueeze(struct lowering *l) {
    const int64_t *axes;
    int64_t n;
    return constant_list(l, 1, &axes, &n) && n == 1 ? lower_with_list(l, BUILTIN_EXPAND_DIMS)
                                                    : lower_as_reshape(l);
}

static enum status lower_tile(struct lowering *l) {
    return lower_with_list(l, BUILTIN_TILE);
}

static enum status lower_expand(struct lowering *l) {
    return lower_with_list(l, BUILTIN_BROADCAST_TO);
}

static enum status lower_plain(struct lowering *l, enum builtin code, int activation_slot) {
    struct lowered *o = add_op(l, code, l->node->n_in);
    for (int i = 0; i < l->node->n_in; i++)
        o->in[i].value = l->node->in[i];
    o->activation_slot = activation_slot;
    return OK;
}

typedef enum status lower_fn(struct lowering *l);

static const struct {
    const char *op;
    lower_fn *lower;
} rows[] = {
    { "Conv", lower_conv },
    { "ConvTranspose", lower_conv_transpose },
    { "AveragePool", lower_pool },
    { "MaxPool", lower_pool },
    { "Gemm", lower_gemm },
    { "MatMul", lower_matmul },
    { "Reshape", lower_reshape },
    { "Flatten", lower_as_reshape },
    { "Squeeze", lower_as_reshape },
    { "Identity", lower_as_reshape },
    { "Unsqueeze", lower_unsqueeze },
    { "Transpose", lower_transpose },
    { "Concat", lower_concat },
    { "Slice", lower_slice },
    { "Pad", lower_pad },
    { "Gather", lower_gather },
    { "Split", lower_split },
    { "Tile", lower_tile },
    { "Expand", lower_expand },
    { "Cast", lower_cast },
    { "ArgMax", lower_arg },
    { "ArgMin", lower_arg },
    { "Softmax", lower_softmax },
    { "LogSoftmax", lower_softmax },
    { "Clip", lower_clip },
    { "Resize", lower_resize },
    { "SpaceToDepth", lower_space },
    { "DepthToSpace", lower_space },
    { "LRN", lower_lrn },
    { "LeakyRelu", lower_leaky },
    { "Gelu", lower_gelu },
    { "Reciprocal", lower_reciprocal },
    { "CumSum", lower_cumsum },
    { "ReverseSequence", lower_reverse_sequence },
};

static const struct {
    const char *op;
    enum builtin code;
} plain_rows[] = {
    { "Where", BUILTIN_SELECT_V2 },    { "Sum", BUILTIN_ADD_N },
    { "GatherND", BUILTIN_GATHER_ND }, { "BitwiseXor", BUILTIN_BITWISE_XOR },
    { "Range", BUILTIN_RANGE },
};

static const struct {
    const char *op;
    enum builtin code;
} reduce_rows[] = {
    { "ReduceMean", BUILTIN_MEAN },        { "ReduceSum", BUILTIN_SUM },
    { "ReduceProd", BUILTIN_REDUCE_PROD }, { "ReduceMax", BUILTIN_REDUCE_MAX },
    { "ReduceMin", BUILTIN_REDUCE_MIN },
};

enum status tflite_lower(struct lowering *l, const struct node *n, struct arena *a, struct err *e) {
    *l = (struct lowering) { .node = n, .arena = a, .err = e };
    enum builtin code;
    int activation;
    if (strcmp(n->domain, "tflite") == 0) {
        struct lowered *o = add_op(l, 0, n->n_in);
        for (int i = 0; i < n->n_in; i++)
            o->in[i].value = n->in[i];
        return tflite_own_fields(o, n) ? OK : refuse_node(l, "a change of it");
    }
    if (n->domain[0])
        return refuse_node(l, "an operator of another domain");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, n->op) == 0)
            return rows[i].lower(l);
    for (size_t i = 0; i < sizeof reduce_rows / sizeof *reduce_rows; i++)
        if (strcmp(reduce_rows[i].op, n->op) == 0)
            return lower_reduce(l, reduce_rows[i].code);
    for (size_t i = 0; i < sizeof plain_rows / sizeof *plain_rows; i++)
        if (strcmp(plain_rows[i].op, n->op) == 0)
            return lower_plain(l, plain_rows[i].code, -1);
    if (int_attr(n, "fmod", 0) || (node_is(n, "Elu") && float_attr(n, "alpha", 1) != 1))
        return refuse_node(l, "its attribute");
    if (tflite_elementwise(n->op, &code, &activation))
        return lower_plain(l, code, activation);
    return refuse_node(l, "the operator");
}
