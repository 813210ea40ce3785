/* ONNX Runtime's quantized operators of com.microsoft. The QLinear ones are DequantizeLinear, the
 * operator on reals, QuantizeLinear; the products of MatMulInteger are exact. */
#include <math.h>
#include <string.h>

#include "ops/body.h"
#include "ops/broadcast.h"
#include "ops/call.h"
#include "ops/row.h"

enum { MOST_OPERANDS = 64, MOST_SIDE = 1 << 24 };

static const struct tensor *input(const struct op_ctx *c, int i) {
    return i >= 0 && i < c->n_in ? c->in[i] : NULL;
}

/* Input x with its scale and zero point as reals. */
static enum status dequantized(struct op_ctx *c, int x, int scale, int zero, struct tensor **out) {
    const struct tensor *in[] = { input(c, x), input(c, scale), input(c, zero) };
    FAIL_IF(!in[0] || !in[1], c->err, STATUS_CORRUPT, "input %d or its scale is missing", x);
    FAIL_IF(tensor_count(in[1]) != 1, c->err, STATUS_UNSUPPORTED, "a scale of %lld elements",
            (long long)tensor_count(in[1]));
    return op_call(c, "DequantizeLinear", c->precision, in, in[2] ? 3 : 2, out, 1);
}

/* Output 0 from reals; without a zero point it has the declared type and zero point 0. */
static enum status quantized(struct op_ctx *c, const struct tensor *y, int scale, int zero) {
    const struct tensor *in[] = { y, input(c, scale), input(c, zero) };
    FAIL_IF(!in[1], c->err, STATUS_CORRUPT, "the scale of the output is missing");
    if (!in[2]) {
        enum dtype type = c->out[0]->dtype;
        in[2] = tensor_in_arena(c->scratch, type, store_of(type, c->precision), in[1]->rank,
                                in[1]->dim);
    }
    struct tensor *q;
    TRY(op_call(c, "QuantizeLinear", c->precision, in, 3, &q, 1));
    bool fits = dims_equal(q->dim, q->rank, c->out[0]->dim, c->out[0]->rank) &&
                q->store == c->out[0]->store;
    if (fits)
        memcpy(c->out[0]->data, q->data, tensor_bytes(q));
    tensor_free(q);
    FAIL_IF(!fits, c->err, STATUS_CORRUPT, "the zero point of the output is not of its type");
    return OK;
}

/* operands[i]: the numbers of an operand, its scale and its zero point (scale -1: taken as it is).
 */
static enum status on_reals(struct op_ctx *c, const char *op, const int (*operands)[3], int n,
                            int y_scale, int y_zero) {
    struct tensor *real[MOST_OPERANDS] = { 0 }, *y = NULL;
    const struct tensor *in[MOST_OPERANDS] = { 0 };
    FAIL_IF(n > MOST_OPERANDS, c->err, STATUS_UNSUPPORTED, "%d operands", n);
    enum status s = OK;
    for (int i = 0; i < n && s == OK; i++) {
        if (operands[i][1] < 0)
            in[i] = input(c, operands[i][0]);
        else {
            s = dequantized(c, operands[i][0], operands[i][1], operands[i][2], &real[i]);
            in[i] = real[i];
        }
    }
    if (s == OK)
        s = op_call(c, op, c->precision, in, n, &y, 1);
    if (s == OK)
        s = quantized(c, y, y_scale, y_zero);
    tensor_free(y);
    for (int i = 0; i < n; i++)
        tensor_free(real[i]);
    return s;
}

static const int one[][3] = { { 0, 1, 2 } };
static const int two[][3] = { { 0, 1, 2 }, { 3, 4, 5 } };
static const int three[][3] = { { 0, -1, -1 }, { 1, 2, 3 }, { 4, 5, 6 } };

static enum status add_eval(struct op_ctx *c) {
    return on_reals(c, "Add", two, 2, 6, 7);
}

static enum status mul_eval(struct op_ctx *c) {
    return on_reals(c, "Mul", two, 2, 6, 7);
}

static enum status sigmoid_eval(struct op_ctx *c) {
    return on_reals(c, "Sigmoid", one, 1, 3, 4);
}

static enum status leaky_relu_eval(struct op_ctx *c) {
    return on_reals(c, "LeakyRelu", one, 1, 3, 4);
}

static enum status where_eval(struct op_ctx *c) {
    return on_reals(c, "Where", three, 3, 7, 8);
}

/* The node with one attribute more, which its row does not know: for what it calls. */
static const struct node *node_with(const struct node *n, struct arena *a, struct attr more) {
    struct node *copy = arena_copy(a, n, sizeof *n);
    copy->attrs = NEW_ARRAY(a, n->n_attrs + 1, struct attr);
    copy->n_attrs = 0;
    for (int i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, more.name) != 0)
            copy->attrs[copy->n_attrs++] = n->attrs[i];
    copy->attrs[copy->n_attrs++] = more;
    return copy;
}

/* t as a matrix: the axes before `axis`, and the others. */
static struct tensor as_matrix(const struct tensor *t, int axis) {
    struct tensor view = *t;
    view.rank = 2;
    view.dim[0] = view.dim[1] = 1;
    for (int i = 0; i < t->rank; i++)
        view.dim[i >= axis] *= t->dim[i];
    return view;
}

/* Below operator set 13 Softmax takes all axes from `axis` on as one. */
/* By its definition the softmax of a single element is 1. ONNX Runtime 1.31 gives the zero point
 * there, and of int8 the largest integer: a defect. */
static enum status softmax_eval(struct op_ctx *c) {
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), c->in[0]->rank, &axis, c->err));
    if (attr_int(c->node, "opset") >= 13)
        return on_reals(c, "Softmax", one, 1, 3, 4);
    struct tensor x = as_matrix(c->in[0], axis), y = as_matrix(c->out[0], axis), *out = &y;
    const struct tensor *in[5] = { &x };
    for (int i = 1; i < 5; i++)
        in[i] = input(c, i);
    struct op_ctx inner = *c;
    inner.in = in;
    inner.n_in = 5;
    inner.out = &out;
    inner.node =
        node_with(c->node, c->scratch, (struct attr) { .name = "axis", .type = ATTR_INT, .i = 1 });
    return on_reals(&inner, "Softmax", one, 1, 3, 4);
}

/* A pool's node in the layout that its attribute says. */
static const struct node *in_layout(const struct node *n, struct arena *a) {
    static const struct attr last = { .name = "layout", .type = ATTR_STRING, .s = "NHWC", .n = 4 };
    return attr_int(n, "channels_last") ? node_with(n, a, last) : n;
}

static enum status pool_eval(struct op_ctx *c, const char *op) {
    struct op_ctx inner = *c;
    inner.node = in_layout(c->node, c->scratch);
    return on_reals(&inner, op, one, 1, 3, 4);
}

static const int64_t *ints_or(struct op_ctx *c, const char *name, int n, int64_t otherwise) {
    int count;
    const int64_t *given = attr_ints(c->node, name, &count);
    int64_t *list = NEW_ARRAY(c->scratch, n + 1, int64_t);
    for (int i = 0; i < n; i++)
        list[i] = given && count == n ? given[i] : otherwise;
    return list;
}

static enum status wider_padding(struct op_ctx *c, const struct node **out) {
    const struct tensor *x = c->in[0], *y = c->out[0];
    int n = x->rank - 2, first = attr_int(c->node, "channels_last") ? 1 : 2;
    FAIL_IF(strcmp(attr_str(c->node, "auto_pad"), "NOTSET") != 0, c->err, STATUS_UNSUPPORTED,
            "auto_pad together with ceil_mode and count_include_pad");
    const int64_t *kernel = ints_or(c, "kernel_shape", n, 1), *stride = ints_or(c, "strides", n, 1),
                  *dilation = ints_or(c, "dilations", n, 1), *pads = ints_or(c, "pads", 2 * n, 0);
    int64_t *wider = arena_copy(c->scratch, pads, sizeof *pads * (size_t)(2 * n));
    for (int i = 0; i < n; i++) {
        int64_t reach = (y->dim[first + i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1,
                given = x->dim[first + i] + pads[i];
        wider[n + i] = reach - given > pads[n + i] ? reach - given : pads[n + i];
    }
    const struct attr more = { .name = "pads", .type = ATTR_INTS, .n = 2 * n, .ints = wider };
    *out = node_with(c->node, c->scratch, more);
    return OK;
}

/* Padding that counts, rounded up: windows that reach past it are divided by their whole size, as
 * if the padding at the end were as wide as they need. */
static enum status average_pool_eval(struct op_ctx *c) {
    struct op_ctx inner = *c;
    if (attr_int(c->node, "ceil_mode") && attr_int(c->node, "count_include_pad"))
        TRY(wider_padding(c, &inner.node));
    return pool_eval(&inner, "AveragePool");
}

static enum status global_pool_eval(struct op_ctx *c) {
    return pool_eval(c, "GlobalAveragePool");
}

static enum status concat_eval(struct op_ctx *c) {
    int operands[MOST_OPERANDS][3], n = (c->n_in - 2) / 3;
    FAIL_IF(c->n_in != 2 + 3 * n || n > MOST_OPERANDS, c->err, STATUS_UNSUPPORTED, "%d inputs",
            c->n_in);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            operands[i][k] = 2 + 3 * i + k;
    return on_reals(c, "Concat", (const int(*)[3])operands, n, 0, 1);
}

static enum status broadcast_0_3(struct shape_ctx *c) {
    TRY(shape_broadcast(c, &c->in[0], &c->in[3], &c->out[0]));
    c->out[0].dtype = c->in[0].dtype;
    return OK;
}

static enum status where_shape(struct shape_ctx *c) {
    struct fact choices = { .rank = -1 };
    TRY(shape_broadcast(c, &c->in[1], &c->in[4], &choices));
    TRY(shape_broadcast(c, &c->in[0], &choices, &c->out[0]));
    c->out[0].dtype = c->in[1].dtype;
    return OK;
}

static enum status pooled(struct shape_ctx *c, const char *op) {
    struct shape_ctx inner = *c;
    inner.node = in_layout(c->node, c->arena);
    TRY(op_shape_as(&inner, op, (int[]) { 0 }, 1));
    c->out[0].dtype = c->in[0].dtype;
    return OK;
}

static enum status average_pool_shape(struct shape_ctx *c) {
    return pooled(c, "AveragePool");
}

static enum status global_pool_shape(struct shape_ctx *c) {
    return pooled(c, "GlobalAveragePool");
}

static enum status concat_shape(struct shape_ctx *c) {
    int inputs[MOST_OPERANDS], n = (c->n_in - 2) / 3;
    SHAPE_FAIL_IF(n < 1 || n > MOST_OPERANDS, c, "%d inputs", c->n_in);
    for (int i = 0; i < n; i++)
        inputs[i] = 2 + 3 * i;
    TRY(op_shape_as(c, "Concat", inputs, n));
    c->out[0].dtype = c->in[1].absent ? c->in[2].dtype : c->in[1].dtype;
    return OK;
}

/* y = (a . b as integers) * (a_scale * b_scale) + bias, scales per tensor or per column of b. */
static enum status scaled(struct op_ctx *c, const struct tensor *sums, double a_scale,
                          const struct tensor *b_scale, const struct tensor *bias) {
    struct tensor *y = c->out[0];
    int64_t n = tensor_count(y), columns = y->rank ? y->dim[y->rank - 1] : 1,
            scales = tensor_count(b_scale);
    FAIL_IF(scales != 1 && scales != columns, c->err, STATUS_CORRUPT,
            "a scale of %lld elements for %lld columns", (long long)scales, (long long)columns);
    FAIL_IF(bias && tensor_count(bias) != columns, c->err, STATUS_CORRUPT,
            "a bias of %lld elements for %lld columns", (long long)tensor_count(bias),
            (long long)columns);
    for (int64_t i = 0; i < n; i++) {
        double scale = tensor_f64(b_scale, scales == 1 ? 0 : i % columns),
               sum = (double)tensor_i64(sums, i);
        double b = bias ? tensor_f64(bias, i % columns) : 0;
        tensor_set_f64(y, i,
                       y->store == DT_F64
                           ? sum * (a_scale * scale) + b
                           : (double)((float)sum * ((float)a_scale * (float)scale) + (float)b));
    }
    return OK;
}

static enum status matmul_to_float_eval(struct op_ctx *c) {
    const struct tensor *in[] = { c->in[0], c->in[1], input(c, 4), input(c, 5) };
    struct tensor *sums;
    FAIL_IF(tensor_count(c->in[2]) != 1, c->err, STATUS_UNSUPPORTED,
            "a scale of A with %lld elements", (long long)tensor_count(c->in[2]));
    TRY(op_call(c, "MatMulInteger", c->precision, in, 4, &sums, 1));
    enum status s = scaled(c, sums, tensor_f64(c->in[2], 0), c->in[3], input(c, 6));
    tensor_free(sums);
    return s;
}

static enum status dynamic_matmul_eval(struct op_ctx *c) {
    struct tensor *q[3], *sums = NULL;
    TRY(op_call(c, "DynamicQuantizeLinear", c->precision, c->in, 1, q, 3));
    const struct tensor *in[] = { q[0], c->in[1], q[2], input(c, 3) };
    enum status s = op_call(c, "MatMulInteger", c->precision, in, 4, &sums, 1);
    if (s == OK)
        s = scaled(c, sums, tensor_f64(q[1], 0), c->in[2], input(c, 4));
    for (int i = 0; i < 3; i++)
        tensor_free(q[i]);
    tensor_free(sums);
    return s;
}

static enum status dynamic_matmul_shape(struct shape_ctx *c) {
    TRY(op_shape_as(c, "MatMul", (int[]) { 0, 1 }, 2));
    c->out[0].dtype = DT_F32;
    return OK;
}

/* Number i of `bits` bits, the lowest bits of a byte first. */
static unsigned packed_bits(const struct tensor *t, int64_t byte, int64_t i, int bits) {
    int per = 8 / bits;
    return (unsigned)((const uint8_t *)t->data)[byte + i / per] >> (i % per * bits) &
           ((1u << bits) - 1);
}

struct n_bits {
    int64_t k, n, blocks, block_size, blob, zero_row;
    int bits;
};

static enum status read_n_bits(const struct node *node, struct n_bits *b, struct err *e) {
    *b = (struct n_bits) { .k = attr_int(node, "K"),
                           .n = attr_int(node, "N"),
                           .block_size = attr_int(node, "block_size"),
                           .bits = (int)attr_int(node, "bits") };
    FAIL_IF(b->bits != 2 && b->bits != 4 && b->bits != 8, e, STATUS_UNSUPPORTED,
            "weights of %d bits", b->bits);
    FAIL_IF(b->k <= 0 || b->n <= 0 || b->block_size < 16 || b->k > MOST_SIDE || b->n > MOST_SIDE ||
                b->block_size > MOST_SIDE,
            e, STATUS_CORRUPT, "a matrix of %lld by %lld in blocks of %lld", (long long)b->k,
            (long long)b->n, (long long)b->block_size);
    b->blocks = (b->k + b->block_size - 1) / b->block_size;
    b->blob = b->block_size * b->bits / 8;
    b->zero_row = (b->blocks * b->bits + 7) / 8;
    return OK;
}

/* B as reals [K, N]: (q - zero) * scale of the block; zero is 2^(bits - 1) when left out. */
static enum status unpack(struct op_ctx *c, const struct n_bits *b, struct tensor **out) {
    const struct tensor *packed = c->in[1], *scales = c->in[2], *zeros = input(c, 3);
    enum dtype store = store_of(DT_F32, c->precision);
    bool packed_zeros = zeros && zeros->store == DT_U8;
    FAIL_IF(packed->store != DT_U8 || tensor_count(packed) != b->n * b->blocks * b->blob, c->err,
            STATUS_CORRUPT, "B has %lld bytes; %lld are asked for", (long long)tensor_count(packed),
            (long long)(b->n * b->blocks * b->blob));
    FAIL_IF(tensor_count(scales) != b->n * b->blocks, c->err, STATUS_CORRUPT,
            "%lld scales; %lld are asked for", (long long)tensor_count(scales),
            (long long)(b->n * b->blocks));
    FAIL_IF(zeros && tensor_count(zeros) != b->n * (packed_zeros ? b->zero_row : b->blocks), c->err,
            STATUS_CORRUPT, "%lld elements of zero points do not fit",
            (long long)tensor_count(zeros));
    TRY(tensor_new(out, DT_F32, store, 2, (int64_t[]) { b->k, b->n }, c->err));
    for (int64_t n = 0; n < b->n; n++)
        for (int64_t k = 0; k < b->k; k++) {
            int64_t block = n * b->blocks + k / b->block_size;
            double zero = !zeros         ? (double)(1u << (b->bits - 1))
                          : packed_zeros ? (double)packed_bits(zeros, n * b->zero_row,
                                                               k / b->block_size, b->bits)
                                         : tensor_f64(zeros, block);
            double q = (double)packed_bits(packed, block * b->blob, k % b->block_size, b->bits);
            tensor_set_f64(*out, k * b->n + n, (q - zero) * tensor_f64(scales, block));
        }
    return OK;
}

static enum status matmul_n_bits_eval(struct op_ctx *c) {
    struct n_bits b;
    struct tensor *weights, *y = NULL;
    FAIL_IF(input(c, 4), c->err, STATUS_UNSUPPORTED, "a group index (g_idx)");
    TRY(read_n_bits(c->node, &b, c->err));
    TRY(unpack(c, &b, &weights));
    weights->dtype = c->in[0]->dtype;
    enum status s = op_call(c, "MatMul", c->precision,
                            (const struct tensor *const[]) { c->in[0], weights }, 2, &y, 1);
    tensor_free(weights);
    if (s == OK && input(c, 5)) {
        struct tensor *sum = NULL;
        s = op_call(c, "Add", c->precision, (const struct tensor *const[]) { y, c->in[5] }, 2, &sum,
                    1);
        tensor_free(y);
        y = sum;
    }
    if (s == OK)
        memcpy(c->out[0]->data, y->data, tensor_bytes(y));
    tensor_free(y);
    return s;
}

static enum status matmul_n_bits_shape(struct shape_ctx *c) {
    struct n_bits b;
    TRY(read_n_bits(c->node, &b, c->err));
    shape_copy(c, 0, 0);
    if (c->in[0].rank < 1)
        return OK;
    int64_t *last = &c->out[0].dim[c->in[0].rank - 1];
    SHAPE_FAIL_IF(*last >= 0 && *last != b.k, c, "A has %lld columns, K is %lld", (long long)*last,
                  (long long)b.k);
    *last = b.n;
    return OK;
}

#define POOL_ATTRS                                                                           \
    STRING("auto_pad", "NOTSET"), INT("ceil_mode", 0), INT("channels_last", 0),              \
        INT("count_include_pad", 0), PLAIN("dilations", INTS), NEEDED("kernel_shape", INTS), \
        PLAIN("pads", INTS), PLAIN("strides", INTS)

/* What the node gives with the inputs of `ones` as 1 and those of `none` left out, as a constant.
 */
static enum status given_constant(struct body *b, const struct tensor *first, unsigned ones,
                                  unsigned none, struct value **out) {
    struct grad_ctx *c = b->c;
    struct op_env env = { .precision = PREC_F64, .scratch = c->scratch };
    const struct tensor **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct tensor *y = NULL;
    for (int i = 0; i < c->n_in; i++) {
        in[i] = none >> i & 1 ? NULL : i == 0 && first ? first : c->in[i];
        if (in[i] && ones >> i & 1) {
            struct tensor *t =
                tensor_in_arena(c->scratch, in[i]->dtype, DT_F64, in[i]->rank, in[i]->dim);
            for (int64_t k = 0; k < tensor_count(t); k++)
                tensor_set_f64(t, k, 1);
            in[i] = t;
        }
    }
    TRY(op_run(&env, c->node, in, &y, c->err));
    *out = body_tensor(b, y->rank, y->dim, y->data);
    tensor_free(y);
    return OK;
}

/* The product of the integers times both scales, and the bias. */
static enum status write_to_float(struct body *b) {
    struct value *y;
    TRY(given_constant(b, NULL, 1u << 2 | 1u << 3, 1u << 6, &y));
    y = body_op(b, "Mul", body_op(b, "Mul", y, b->in[2], NULL), b->in[3], NULL);
    b->out[0] = body_has(b, 6) ? body_op(b, "Add", y, b->in[6], NULL) : y;
    return OK;
}

static enum status matmul_to_float_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_to_float);
}

/* The weights are what the identity gives; their scales are taken as constants. */
static enum status write_n_bits(struct body *b) {
    int64_t k = attr_int(b->c->node, "K"), dim[] = { k, k };
    struct tensor *identity = tensor_in_arena(b->c->scratch, DT_F64, DT_F64, 2, dim);
    struct value *w, *y;
    for (int64_t i = 0; i < k; i++)
        tensor_set_f64(identity, i * k + i, 1);
    TRY(given_constant(b, identity, 0, 1u << 5, &w));
    y = body_op(b, "MatMul", b->in[0], w, NULL);
    b->out[0] = body_has(b, 5) ? body_op(b, "Add", y, b->in[5], NULL) : y;
    return OK;
}

static enum status n_bits_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_n_bits);
}

/* clang-format off */
const struct op ops_qcontrib[] = {
    { MICROSOFT("QLinearAdd", 7, 8), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = broadcast_0_3, .eval = add_eval },
    { MICROSOFT("QLinearMul", 7, 8), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = broadcast_0_3, .eval = mul_eval },
    { MICROSOFT("QLinearSigmoid", 4, 5), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = shape_same, .eval = sigmoid_eval },
    { MICROSOFT("QLinearLeakyRelu", 4, 5), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .attrs = ATTRS(FLOAT("alpha", 0.01f)),
      .shape = shape_same,
      .eval = leaky_relu_eval },
    { MICROSOFT("QLinearWhere", 9, 9), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = where_shape, .eval = where_eval },
    { MICROSOFT("QLinearSoftmax", 5, 5), .flags = OP_NO_GRADIENT, .attrs = ATTRS(INT("axis", -1), NEEDED("opset", INT)),
      .shape = shape_same,
      .eval = softmax_eval },
    { MICROSOFT("QLinearAveragePool", 4, 5), .flags = OP_NO_GRADIENT, .attrs = ATTRS(POOL_ATTRS), .shape = average_pool_shape,
      .eval = average_pool_eval },
    { MICROSOFT("QLinearGlobalAveragePool", 5, 5), .flags = OP_NO_GRADIENT, .attrs = ATTRS(INT("channels_last", 0)),
      .shape = global_pool_shape,
      .eval = global_pool_eval },
    { MICROSOFT("QLinearConcat", 3, -1), .flags = OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("axis", INT)), .shape = concat_shape,
      .eval = concat_eval },
    { MICROSOFT("MatMulIntegerToFloat", 4, 7), .shape = dynamic_matmul_shape, .eval = matmul_to_float_eval, .grad = matmul_to_float_grad },
    { MICROSOFT("DynamicQuantizeMatMul", 3, 5), .flags = OP_NO_GRADIENT, .shape = dynamic_matmul_shape, .eval = dynamic_matmul_eval },
    { MICROSOFT("MatMulNBits", 3, 6), .attrs = ATTRS(NEEDED("K", INT), NEEDED("N", INT), INT("bits", 4), NEEDED("block_size", INT),
      INT("accuracy_level", 0)), .shape = matmul_n_bits_shape, .eval = matmul_n_bits_eval, .grad = n_bits_grad },
    { 0 },
};
