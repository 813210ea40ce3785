/* Integer products: ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul.
 *
 * The differences x - zero_point and their sums of products are small integers, which float64 holds exactly: the
 * operators run Conv or MatMul in float64 on them. A QLinear result is clip(rint(sum * m) + zero_point) with
 * m = (a_scale * b_scale) / y_scale, both products rounded in float64, or float32 when the run is not in float64. */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/call.h"
#include "ops/cast.h"
#include "ops/quantize.h"
#include "ops/row.h"
#include "ops/spatial.h"

/* A parameter as an operand that broadcasts to `rank` dims: one element, a vector along `axis`, or of that rank. */
static struct tensor parameter(const struct tensor *t, int rank, int axis) {
    struct tensor view = *t;
    if (tensor_count(t) == 1)
        view.rank = 0;
    else if (t->rank == 1 && axis >= 0 && axis < rank) {
        view.rank = rank;
        for (int i = 0; i < rank; i++)
            view.dim[i] = i == axis ? t->dim[0] : 1;
    }
    return view;
}

/* x - zero in float64. */
static enum status shifted(struct op_ctx *c, struct tensor **out, const struct tensor *x, const struct tensor *zero, int axis) {
    struct broadcast plan;
    bool reals = dtype_is_float(x->store);
    if (!zero) {
        TRY(tensor_convert(out, x, DT_F64, c->err));
        (*out)->dtype = DT_F64;
        return OK;
    }
    struct tensor view = parameter(zero, x->rank, axis);
    FAIL_IF(zero->store != x->store, c->err, STATUS_CORRUPT, "a zero point of type %s for %s", dtype_name(zero->dtype),
            dtype_name(x->dtype));
    enum status s = broadcast_plan(&plan, x->rank, x->dim, 1, (const struct tensor *const[]) { &view }, NULL);
    FAIL_IF(s != OK, c->err, STATUS_CORRUPT, "the shape of a zero point does not fit its tensor");
    TRY(tensor_new(out, DT_F64, DT_F64, x->rank, x->dim, c->err));
    double *y = (*out)->data;
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        y[i] = reals ? tensor_f64(x, i) - tensor_f64(zero, at[0]) : (double)(tensor_i64(x, i) - tensor_i64(zero, at[0]));
    }
    return OK;
}

/* The exact product of a - a_zero and b - b_zero. */
static enum status product(struct op_ctx *c, const char *op, const struct tensor *a, const struct tensor *a_zero, int a_axis,
                           const struct tensor *b, const struct tensor *b_zero, int b_axis, struct tensor **out) {
    struct tensor *left = NULL, *right = NULL;
    enum status s = shifted(c, &left, a, a_zero, a_axis);
    if (s == OK)
        s = shifted(c, &right, b, b_zero, b_axis);
    if (s == OK)
        s = op_call(c, op, PREC_F64, (const struct tensor *const[]) { left, right }, 2, out, 1);
    tensor_free(left);
    tensor_free(right);
    return s;
}

static const struct tensor *input(const struct op_ctx *c, int i) {
    return i < c->n_in ? c->in[i] : NULL;
}

static void to_int32(struct tensor *y, struct tensor *sums) {
    for (int64_t i = 0, n = tensor_count(y); i < n; i++)
        tensor_set_i64(y, i, tensor_i64(sums, i));
    tensor_free(sums);
}

static enum status conv_integer_eval(struct op_ctx *c) {
    struct tensor *sums;
    TRY(product(c, "Conv", c->in[0], input(c, 2), -1, c->in[1], input(c, 3), 0, &sums));
    to_int32(c->out[0], sums);
    return OK;
}

static enum status matmul_integer_eval(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[1];
    struct tensor *sums;
    TRY(product(c, "MatMul", a, input(c, 2), a->rank - 2, b, input(c, 3), b->rank - 1, &sums));
    to_int32(c->out[0], sums);
    return OK;
}

/* Output y from the sums; the parameters broadcast to y. bias may be NULL. */
static enum status requantize(struct op_ctx *c, const struct tensor *sums, const struct tensor *const parameters[4],
                              const struct tensor *bias) {
    struct tensor *y = c->out[0];
    struct broadcast plan, bias_plan = { 0 };
    int64_t least = 0, largest = 0;
    bool single = c->precision != PREC_F64, reals = dtype_is_float(y->dtype);
    FAIL_IF(broadcast_plan(&plan, y->rank, y->dim, 4, parameters, NULL) != OK, c->err, STATUS_CORRUPT,
            "the shape of a scale or zero point does not fit the result");
    if (bias)
        TRY(broadcast_plan(&bias_plan, y->rank, y->dim, 1, &bias, c->err));
    if (!reals)
        quant_range(y->dtype, &least, &largest);
    for (int64_t i = 0, n = tensor_count(y); i < n; i++) {
        int64_t at[MAX_OPERANDS], bias_at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        double a = tensor_f64(parameters[0], at[0]), b = tensor_f64(parameters[1], at[1]);
        double scale = tensor_f64(parameters[2], at[2]), zero = tensor_f64(parameters[3], at[3]), sum = tensor_f64(sums, i);
        if (bias) {
            broadcast_offsets(&bias_plan, i, bias_at);
            sum += (double)tensor_i64(bias, bias_at[0]);
        }
        double v = single ? (double)((float)sum * ((float)a * (float)b / (float)scale)) : sum * (a * b / scale);
        v = (reals ? v : rint(v)) + zero;
        if (reals)
            tensor_set_f64(y, i, cast_to_float(y->dtype, v, true, ROUND_UP));
        else
            tensor_set_i64(y, i, v > (double)least ? v < (double)largest ? (int64_t)v : largest : least);
    }
    return OK;
}

static enum status qlinear_conv_eval(struct op_ctx *c) {
    struct layout l;
    struct kernel_layout kl;
    struct tensor *sums, views[5];
    TRY(layout_read(c->node, c->in[0]->rank, &l, c->err));
    TRY(kernel_layout_read(c->node, c->in[3]->rank, &kl, c->err));
    TRY(product(c, "Conv", c->in[0], c->in[2], -1, c->in[3], c->in[5], kl.out, &sums));
    int rank = sums->rank;
    views[0] = parameter(c->in[1], rank, -1);
    views[1] = parameter(c->in[4], rank, l.channel);
    views[2] = parameter(c->in[6], rank, -1);
    views[3] = parameter(c->in[7], rank, -1);
    if (input(c, 8))
        views[4] = parameter(c->in[8], rank, l.channel);
    enum status s = requantize(c, sums, (const struct tensor *const[]) { &views[0], &views[1], &views[2], &views[3] },
                               input(c, 8) ? &views[4] : NULL);
    tensor_free(sums);
    return s;
}

static enum status qlinear_matmul_eval(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[3];
    struct tensor *sums, views[4];
    TRY(product(c, "MatMul", a, c->in[2], a->rank - 2, b, c->in[5], b->rank - 1, &sums));
    int rank = sums->rank;
    views[0] = parameter(c->in[1], rank, rank - 2);
    views[1] = parameter(c->in[4], rank, rank - 1);
    views[2] = parameter(c->in[6], rank, rank - 2);
    views[3] = parameter(c->in[7], rank, rank - 2);
    enum status s = requantize(c, sums, (const struct tensor *const[]) { &views[0], &views[1], &views[2], &views[3] }, NULL);
    tensor_free(sums);
    return s;
}

static enum status integer_shape(struct shape_ctx *c, const char *op, int b, enum dtype dtype) {
    TRY(op_shape_as(c, op, (int[]) { 0, b }, 2));
    c->out[0].dtype = dtype;
    return OK;
}

static enum status conv_integer_shape(struct shape_ctx *c) {
    return integer_shape(c, "Conv", 1, DT_I32);
}

static enum status matmul_integer_shape(struct shape_ctx *c) {
    return integer_shape(c, "MatMul", 1, DT_I32);
}

static enum status qlinear_conv_shape(struct shape_ctx *c) {
    return integer_shape(c, "Conv", 3, c->in[7].dtype);
}

static enum status qlinear_matmul_shape(struct shape_ctx *c) {
    return integer_shape(c, "MatMul", 3, c->in[7].dtype);
}

static const struct attr_def conv_attrs[] = {
    STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS), INT("group", 1),           PLAIN("kernel_shape", INTS),
    PLAIN("pads", INTS),          PLAIN("strides", INTS),   STRING("layout", "NCHW"), STRING("kernel_layout", "OIHW"),
    { 0 },
};

/* clang-format off */
const struct op ops_qlinear[] = {
    { ONNX("ConvInteger", 10, 2, 4), .attrs = conv_attrs, .shape = conv_integer_shape, .eval = conv_integer_eval },
    { ONNX("MatMulInteger", 10, 2, 4), .shape = matmul_integer_shape, .eval = matmul_integer_eval },
    { ONNX("QLinearConv", 10, 8, 9), .attrs = conv_attrs, .shape = qlinear_conv_shape, .eval = qlinear_conv_eval },
    { ONNX("QLinearMatMul", 21, 8, 8), .shape = qlinear_matmul_shape, .eval = qlinear_matmul_eval },
    { 0 },
};
