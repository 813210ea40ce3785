/* Operators of com.microsoft that are written out as other operators: doubles of ONNX's, and what
 * ONNX Runtime's optimizers and quantizer put together. The arithmetic is that of the single
 * operators, in their order. */
#include <string.h>

#include "ops/body.h"
#include "ops/row.h"

static const struct tensor *given(const struct body *b, int i) {
    return i < b->c->n_in ? b->c->in[i] : NULL;
}

static struct value *pair(struct body *b, const char *op, struct value *x, struct value *y) {
    return body_op(b, op, x, y, NULL);
}

/* Attributes of the operator that the node's row knows too. */
static void keep_attrs(const struct body *b, struct node *n) {
    const struct op *row = op_find(n->domain, n->op);
    for (int i = 0; i < b->c->node->n_attrs; i++)
        for (const struct attr_def *d = row ? row->attrs : NULL; d && d->name; d++)
            if (strcmp(d->name, b->c->node->attrs[i].name) == 0)
                *node_set_attr(n, d->name, d->type) = b->c->node->attrs[i];
}

/* --- doubles --- */

/* An operator that is another one. Inputs in `scalars` and `lists` (bits) may have rank 1 or 0 and
 * 2 or more. When attribute `flag` is set, or always without one, the text attribute `name` is
 * added. outputs: which of the other's, by number + 1; all 0: as they come. */
struct twin {
    const char *op, *domain, *other;
    unsigned scalars, lists;
    const char *flag, *name, *value;
    unsigned char outputs[3];
};

static const struct twin twins[] = {
    { .op = "ExpandDims", .other = "Unsqueeze", .lists = 2 },
    { .op = "GatherND", .other = "GatherND" },
    { .op = "GridSample", .other = "GridSample" },
    { .op = "NhwcConv", .other = "Conv", .name = "layout", .value = "NHWC" },
    { .op = "NhwcFusedConv",
      .domain = "com.microsoft",
      .other = "FusedConv",
      .name = "layout",
      .value = "NHWC" },
    { .op = "NhwcMaxPool", .other = "MaxPool", .name = "layout", .value = "NHWC" },
    { .op = "Pad", .other = "Pad", .scalars = 4, .lists = 2 },
    { .op = "QLinearConv",
      .other = "QLinearConv",
      .flag = "channels_last",
      .name = "layout",
      .value = "NHWC" },
    { .op = "Range", .other = "Range", .scalars = 7 },
    { .op = "TransposeMatMul", .domain = "com.microsoft", .other = "FusedMatMul" },
    { .op = "Trilu", .other = "Trilu" },
    { .op = "Unique", .other = "Unique", .outputs = { 1, 3, 4 } },
};

static const struct twin *twin_of(const struct node *n) {
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++)
        if (strcmp(twins[i].op, n->op) == 0)
            return &twins[i];
    return NULL;
}

/* 1 of the type of input 0. */
static struct value *step_of_one(struct body *b) {
    enum dtype type = b->c->in[0]->dtype;
    struct tensor *t = tensor_in_arena(b->m->arena, type, type, 0, NULL);
    tensor_set_f64(t, 0, 1);
    return graph_add_constant(b->g, "", t);
}

static struct value *twin_input(struct body *b, const struct twin *t, int i) {
    const struct tensor *x = given(b, i);
    const int64_t all[] = { -1 };
    if (x && t->scalars >> i & 1 && x->rank == 1)
        return body_reshape(b, b->in[i], 0, NULL);
    if (x && t->lists >> i & 1 && x->rank != 1)
        return pair(b, "Reshape", b->in[i], body_ints(b, 1, all));
    if (!x && i == 2 && strcmp(t->op, "Range") == 0)
        return step_of_one(b);
    return b->in[i];
}

static void grid_mode(struct body *b, struct node *n) {
    const char *mode = attr_str(b->c->node, "mode");
    node_set_string(n, "mode",
                    strcmp(mode, "bilinear") == 0  ? "linear"
                    : strcmp(mode, "bicubic") == 0 ? "cubic"
                                                   : mode);
}

static enum status write_twin(struct body *b) {
    const struct node *from = b->c->node;
    const struct twin *t = twin_of(from);
    struct value *in[BODY_INPUTS];
    int n_in = from->n_in > 2 || strcmp(t->op, "Range") ? from->n_in : 3, n_out = 0;
    for (int i = 0; i < n_in; i++)
        in[i] = twin_input(b, t, i);
    for (int o = 0; o < from->n_out; o++)
        n_out = t->outputs[0] ? t->outputs[o] : o + 1;
    struct node *n = body_node(b, t->domain ? t->domain : "", t->other, in, n_in, n_out);
    keep_attrs(b, n);
    if (t->name && (!t->flag || attr_int(from, t->flag)))
        node_set_string(n, t->name, t->value);
    if (strcmp(t->op, "GridSample") == 0)
        grid_mode(b, n);
    if (t->outputs[0])
        node_set_int(n, "sorted", 0);
    for (int o = 0; o < from->n_out; o++)
        b->out[o] = n->out[t->outputs[0] ? t->outputs[o] - 1 : o];
    return OK;
}

/* --- biases and residuals --- */

static enum status write_bias_add(struct body *b) {
    b->out[0] = pair(b, "Add", pair(b, "Add", b->in[0], b->in[1]), b->in[2]);
    return OK;
}

static enum status write_bias_dropout(struct body *b) {
    const struct tensor *training = given(b, 4);
    FAIL_IF(training && training->data && tensor_i64(training, 0), b->c->err, STATUS_UNSUPPORTED,
            "BiasDropout in training mode");
    FAIL_IF(b->c->n_out > 1, b->c->err, STATUS_UNSUPPORTED, "BiasDropout with a mask");
    struct value *y = pair(b, "Add", b->in[0], b->in[1]);
    b->out[0] = given(b, 2) ? pair(b, "Add", y, b->in[2]) : y;
    return OK;
}

static enum status write_bias_split_gelu(struct body *b) {
    const struct tensor *x = given(b, 0);
    int64_t half = x->rank ? x->dim[x->rank - 1] / 2 : 0;
    struct value *y = pair(b, "Add", b->in[0], b->in[1]);
    struct value *gelu = pair(b, "Gelu", body_slice(b, y, -1, half, 2 * half), NULL);
    b->out[0] = pair(b, "Mul", body_slice(b, y, -1, 0, half), gelu);
    return OK;
}

static struct value *group_norm(struct body *b, struct value *x) {
    const struct node *from = b->c->node;
    struct value *in[] = { x, b->in[1], b->in[2] };
    struct node *n = body_node(b, "", "GroupNormalization", in, 3, 1);
    node_set_int(n, "num_groups", attr_int(from, "groups"));
    node_set_float(n, "epsilon", attr_float(from, "epsilon"));
    if (attr_int(from, "channels_last"))
        node_set_string(n, "layout", "NHWC");
    return attr_int(from, "activation")
               ? pair(b, "Mul", n->out[0], pair(b, "Sigmoid", n->out[0], NULL))
               : n->out[0];
}

static enum status write_group_norm(struct body *b) {
    b->out[0] = group_norm(b, b->in[0]);
    return OK;
}

/* What lies along the channels: [C] or [N, C] as a tensor that broadcasts to x. */
static struct value *along_channels(struct body *b, int i) {
    const struct tensor *x = given(b, 0), *t = given(b, i);
    int64_t dim[MAX_RANK];
    if (t->rank > 2 || t->rank < 1)
        return b->in[i];
    for (int k = 0; k < x->rank; k++)
        dim[k] = 1;
    dim[attr_int(b->c->node, "channels_last") ? x->rank - 1 : 1] = t->dim[t->rank - 1];
    if (t->rank == 2)
        dim[0] = t->dim[0];
    return body_reshape(b, b->in[i], x->rank, dim);
}

static enum status write_skip_group_norm(struct body *b) {
    FAIL_IF(given(b, 0)->rank < 3 || given(b, 3)->rank < 1, b->c->err, STATUS_CORRUPT,
            "SkipGroupNorm of rank %d", given(b, 0)->rank);
    struct value *sum = pair(b, "Add", b->in[0], along_channels(b, 3));
    if (given(b, 4))
        sum = pair(b, "Add", sum, along_channels(b, 4));
    b->out[0] = group_norm(b, sum);
    b->out[1] = sum;
    return OK;
}

/* --- products --- */

/* Pairs of real and imaginary parts along the last axis. */
static enum status write_complex_product(struct body *b) {
    bool conjugate = strcmp(b->c->node->op, "ComplexMulConj") == 0;
    struct value *part[2][2];
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            part[i][k] = body_slice(b, b->in[i], -1, k, k + 1);
    struct value *real = pair(b, "Mul", part[0][0], part[1][0]),
                 *cross = pair(b, "Mul", part[0][1], part[1][1]),
                 *left = pair(b, "Mul", part[0][1], part[1][0]),
                 *right = pair(b, "Mul", part[0][0], part[1][1]);
    real = pair(b, conjugate ? "Add" : "Sub", real, cross);
    b->out[0] =
        body_op_int(b, "Concat", real, pair(b, conjugate ? "Sub" : "Add", left, right), "axis", -1);
    return OK;
}

static enum status write_matmul_16(struct body *b) {
    struct value *in[2];
    for (int i = 0; i < 2; i++) {
        FAIL_IF(given(b, i)->dtype != DT_I16, b->c->err, STATUS_UNSUPPORTED,
                "MatMulInteger16 of %s", dtype_name(given(b, i)->dtype));
        in[i] = body_op_int(b, "Cast", b->in[i], NULL, "to", 6);
    }
    b->out[0] = pair(b, "MatMul", in[0], in[1]);
    return OK;
}

/* All distances between rows of A and rows of B. */
static enum status write_distances(struct body *b) {
    const char *metric = attr_str(b->c->node, "metric");
    const int64_t middle[] = { 1 }, last[] = { -1 };
    bool root = strcmp(metric, "euclidean") == 0;
    FAIL_IF(!root && strcmp(metric, "sqeuclidean") != 0, b->c->err, STATUS_UNSUPPORTED,
            "CDist with metric %s", metric);
    struct value *d =
        pair(b, "Sub", pair(b, "Unsqueeze", b->in[0], body_ints(b, 1, middle)), b->in[1]);
    d = body_op_int(b, "ReduceSumSquare", d, body_ints(b, 1, last), "keepdims", 0);
    b->out[0] = root ? pair(b, "Sqrt", d, NULL) : d;
    return OK;
}

/* X, W, pads, bias. */
static enum status write_conv_transpose(struct body *b) {
    const struct tensor *pads = given(b, 2);
    struct value *in[] = { b->in[0], b->in[1], b->c->n_in > 3 ? b->in[3] : NULL };
    struct node *n = body_node(b, "", "ConvTranspose", in, 3, 1);
    keep_attrs(b, n);
    if (pads) {
        int64_t count = tensor_count(pads), *v = NEW_ARRAY(b->m->arena, count + 1, int64_t);
        FAIL_IF(count > 2 * MAX_RANK, b->c->err, STATUS_CORRUPT, "%lld pads", (long long)count);
        for (int64_t i = 0; i < count; i++)
            v[i] = tensor_i64(pads, i);
        node_set_ints(n, "pads", v, count);
    }
    b->out[0] = n->out[0];
    return OK;
}

/* --- quantized --- */

static struct value *dequantized(struct body *b, int x, int scale, int zero) {
    struct value *in[] = { b->in[x], b->in[scale], zero < b->c->n_in ? b->in[zero] : NULL };
    const struct tensor *s = given(b, scale);
    for (int i = 1; i < 3; i++)
        if (in[i] && s->rank == 1 && s->dim[0] == 1) /* one for all */
            in[i] = body_reshape(b, in[i], 0, NULL);
    return body_node(b, "", "DequantizeLinear", in, 3, 1)->out[0];
}

/* input, weight, bias, their scales, mask, zero points, past. */
static enum status write_quantized_attention(struct body *b) {
    struct value *in[] = { dequantized(b, 0, 3, 6), dequantized(b, 1, 4, 7), b->in[2],
                           b->c->n_in > 5 ? b->in[5] : NULL, b->c->n_in > 8 ? b->in[8] : NULL };
    struct node *n = body_node(b, "com.microsoft", "Attention", in, 5, b->c->n_out);
    keep_attrs(b, n);
    for (int o = 0; o < b->c->n_out; o++)
        b->out[o] = n->out[o];
    return OK;
}

/* ids, segment ids, tables (words, positions, segments), gamma, beta, mask; their scales, their
 * zero points. */
static enum status write_quantized_embedding(struct body *b) {
    struct value *in[8] = { b->in[0], b->in[1] };
    static const int needed[] = { 2, 3, 5, 6, 8, 9, 11, 12, 13, 14, 16, 17 };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        FAIL_IF(!given(b, needed[i]), b->c->err, STATUS_CORRUPT,
                "input %d of QEmbedLayerNormalization is missing", needed[i]);
    FAIL_IF(given(b, 4) && (!given(b, 10) || !given(b, 15)), b->c->err, STATUS_CORRUPT,
            "the segments' scale or zero point is missing");
    for (int i = 0; i < 5; i++)
        in[2 + i] = given(b, 2 + i) ? dequantized(b, 2 + i, 8 + i, 13 + i) : NULL;
    in[7] = b->in[7];
    struct node *n = body_node(b, "com.microsoft", "EmbedLayerNormalization", in, 8, b->c->n_out);
    keep_attrs(b, n);
    for (int o = 0; o < b->c->n_out; o++)
        b->out[o] = n->out[o];
    return OK;
}

static enum status write_quantized_mean(struct body *b) {
    int count;
    const int64_t *axes = attr_ints(b->c->node, "axes", &count);
    FAIL_IF(!given(b, 3), b->c->err, STATUS_CORRUPT, "the output's scale is missing");
    struct value *y =
        body_op_int(b, "ReduceMean", dequantized(b, 0, 1, 2), body_ints(b, count, axes), "keepdims",
                    attr_int(b->c->node, "keepdims"));
    struct value *in[] = { y, b->in[3], b->c->n_in > 4 ? b->in[4] : NULL };
    struct node *n = body_node(b, "", "QuantizeLinear", in, 3, 1);
    if (!in[2])
        node_set_int(n, "output_dtype", given(b, 0)->dtype == DT_I8 ? 3 : 2);
    b->out[0] = n->out[0];
    return OK;
}

/* query, key, value, mask, attention bias, past key and value, ..., bias. */
static enum status write_decoder_attention(struct body *b) {
    struct value *in[8];
    static const int from[] = { 0, 1, 2, 10, 3, 4, 5, 6 };
    for (int i = 7; i < 10; i++)
        FAIL_IF(given(b, i), b->c->err, STATUS_UNSUPPORTED, "%s with input %d", b->c->node->op, i);
    FAIL_IF(attr_int(b->c->node, "past_present_share_buffer"), b->c->err, STATUS_UNSUPPORTED,
            "%s with past and present in one buffer", b->c->node->op);
    for (int i = 0; i < 8; i++)
        in[i] = from[i] < b->c->n_in ? b->in[from[i]] : NULL;
    struct node *n = body_node(b, "com.microsoft", "MultiHeadAttention", in, 8, b->c->n_out);
    keep_attrs(b, n);
    for (int o = 0; o < b->c->n_out; o++)
        b->out[o] = n->out[o];
    return OK;
}

/* --- rows --- */

static const struct {
    const char *op;
    body_fn *write;
} bodies[] = {
    { "BiasAdd", write_bias_add },
    { "BiasDropout", write_bias_dropout },
    { "BiasSplitGelu", write_bias_split_gelu },
    { "CDist", write_distances },
    { "ComplexMul", write_complex_product },
    { "ComplexMulConj", write_complex_product },
    { "ConvTransposeWithDynamicPads", write_conv_transpose },
    { "DecoderMaskedMultiHeadAttention", write_decoder_attention },
    { "GroupNorm", write_group_norm },
    { "MatMulInteger16", write_matmul_16 },
    { "QAttention", write_quantized_attention },
    { "QEmbedLayerNormalization", write_quantized_embedding },
    { "QLinearReduceMean", write_quantized_mean },
    { "SkipGroupNorm", write_skip_group_norm },
};

static body_fn *body_of(const struct node *n) {
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (strcmp(bodies[i].op, n->op) == 0)
            return bodies[i].write;
    return write_twin;
}

static enum status contrib_shape(struct shape_ctx *c) {
    return shape_of_body(c, body_of(c->node));
}

/* The output's shape depends on the contents of the pads. */
static enum status shape_conv_transpose(struct shape_ctx *c) {
    c->out[0].dtype = c->in[0].dtype;
    c->out[0].rank = c->in[0].rank;
    for (int i = 0; i < c->in[0].rank; i++)
        c->out[0].dim[i] = DIM_UNKNOWN;
    bool told = c->n_in < 3 || c->in[2].absent || c->in[2].value;
    return told ? shape_of_body(c, write_conv_transpose) : OK;
}

static enum status contrib_eval(struct op_ctx *c) {
    return eval_of_body(c, body_of(c->node));
}

static enum status contrib_grad(struct grad_ctx *c) {
    return grad_of_body(c, body_of(c->node));
}

#define WRITTEN(name_, least, most, outputs, flags_)                                       \
    .name = name_, .domain = "com.microsoft", .spec = "ONNX Runtime com.microsoft." name_, \
    .min_in = least, .max_in = most, .min_out = 1, .max_out = outputs,                     \
    .flags = OP_VIEW | (flags_), .shape = contrib_shape, .eval = contrib_eval
#define SMOOTH(name_, least, most, outputs) \
    WRITTEN(name_, least, most, outputs, 0), .grad = contrib_grad
#define FLAT(name_, least, most, outputs) WRITTEN(name_, least, most, outputs, OP_NO_GRADIENT)
#define WINDOW                                                                           \
    STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS), PLAIN("kernel_shape", INTS), \
        PLAIN("pads", INTS), PLAIN("strides", INTS)
#define GROUPS \
    INT("activation", 0), INT("channels_last", 1), FLOAT("epsilon", 1e-5f), NEEDED("groups", INT)

/* clang-format off */
const struct op ops_contrib[] = {
    { SMOOTH("BiasAdd", 3, 3, 1) },
    { SMOOTH("BiasDropout", 2, 5, 2), .attrs = ATTRS(PLAIN("seed", INT)) },
    { SMOOTH("BiasSplitGelu", 2, 2, 1) },
    { SMOOTH("CDist", 2, 2, 1), .attrs = ATTRS(STRING("metric", "sqeuclidean")) },
    { SMOOTH("ComplexMul", 2, 2, 1) },
    { SMOOTH("ComplexMulConj", 2, 2, 1) },
    { .name = "ConvTransposeWithDynamicPads", .domain = "com.microsoft", .spec = "ONNX Runtime com.microsoft.ConvTransposeWithDynamicPads",
      .min_in = 2, .max_in = 4, .min_out = 1, .max_out = 1, .flags = OP_VIEW,
      .attrs = ATTRS(STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS), INT("group", 1), PLAIN("kernel_shape", INTS),
                     PLAIN("output_padding", INTS), PLAIN("strides", INTS)),
      .shape = shape_conv_transpose, .eval = contrib_eval, .grad = contrib_grad },
    { SMOOTH("DecoderMaskedMultiHeadAttention", 1, 11, 4),
      .attrs = ATTRS(FLOAT("mask_filter_value", -10000), NEEDED("num_heads", INT), INT("output_qk", 0), INT("past_present_share_buffer", 0),
                     FLOAT("scale", 0)) },
    { WRITTEN("ExpandDims", 2, 2, 1, OP_ANY_TYPE), .grad = contrib_grad },
    { WRITTEN("GatherND", 2, 2, 1, OP_ANY_TYPE), .grad = contrib_grad },
    { SMOOTH("GridSample", 2, 2, 1), .attrs = ATTRS(INT("align_corners", 0), STRING("mode", "bilinear"), STRING("padding_mode", "zeros")) },
    { SMOOTH("GroupNorm", 3, 3, 1), .attrs = ATTRS(GROUPS) },
    { FLAT("MatMulInteger16", 2, 2, 1) },
    { SMOOTH("NhwcConv", 2, 3, 1), .attrs = ATTRS(WINDOW, INT("group", 1)) },
    { SMOOTH("NhwcFusedConv", 2, 4, 1), .attrs = ATTRS(WINDOW, INT("group", 1), STRING("activation", ""), PLAIN("activation_params", FLOATS)) },
    { FLAT("NhwcMaxPool", 1, 1, 1), .attrs = ATTRS(WINDOW, INT("ceil_mode", 0)) },
    { SMOOTH("Pad", 2, 3, 1), .attrs = ATTRS(STRING("mode", "constant")) },
    { FLAT("QAttention", 5, 9, 2),
      .attrs = ATTRS(INT("do_rotary", 0), FLOAT("mask_filter_value", -10000), NEEDED("num_heads", INT), INT("past_present_share_buffer", 0),
                     FLOAT("scale", 0), INT("unidirectional", 0)) },
    { FLAT("QEmbedLayerNormalization", 1, 18, 2), .attrs = ATTRS(FLOAT("epsilon", 1e-12f)) },
    { FLAT("QLinearConv", 8, 9, 1), .attrs = ATTRS(WINDOW, INT("channels_last", 0), INT("group", 1)) },
    { FLAT("QLinearReduceMean", 2, 5, 1), .attrs = ATTRS(NEEDED("axes", INTS), NEEDED("keepdims", INT)) },
    { SMOOTH("Range", 2, 3, 1) },
    { SMOOTH("SkipGroupNorm", 4, 5, 2), .attrs = ATTRS(GROUPS) },
    { SMOOTH("TransposeMatMul", 2, 2, 1), .attrs = ATTRS(FLOAT("alpha", 1), INT("transA", 0), INT("transB", 0)) },
    { SMOOTH("Trilu", 1, 2, 1), .attrs = ATTRS(INT("upper", 1)) },
    { WRITTEN("Unique", 1, 1, 3, OP_ANY_TYPE), .grad = contrib_grad },
    { 0 },
};
