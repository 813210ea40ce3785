/* Integer products: ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul, QGemm.
 *
 * The differences x - zero_point and their sums of products are small integers, which float64 holds
 * exactly: the operators run Conv or MatMul in float64 on them. A QLinear result is clip(rint(sum *
 * m) + zero_point) with m = (a_scale * b_scale) / y_scale, both products rounded in float64, or
 * float32 when the run is not in float64. */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/call.h"
#include "ops/cast.h"
#include "ops/conv.h"
#include "ops/quantize.h"
#include "ops/row.h"
#include "ops/spatial.h"

/* A parameter as an operand that broadcasts to `rank` dims: one element, a vector along `axis`, or
 * of that rank. */
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
static enum status shifted(struct op_ctx *c, struct tensor **out, const struct tensor *x,
                           const struct tensor *zero, int axis) {
    struct broadcast plan;
    bool reals = dtype_is_float(x->store);
    if (!zero) {
        TRY(tensor_convert(out, x, DT_F64, c->err));
        (*out)->dtype = DT_F64;
        return OK;
    }
    struct tensor view = parameter(zero, x->rank, axis);
    FAIL_IF(zero->store != x->store, c->err, STATUS_CORRUPT, "a zero point of type %s for %s",
            dtype_name(zero->dtype), dtype_name(x->dtype));
    enum status s =
        broadcast_plan(&plan, x->rank, x->dim, 1, (const struct tensor *const[]) { &view }, NULL);
    FAIL_IF(s != OK, c->err, STATUS_CORRUPT, "the shape of a zero point does not fit its tensor");
    TRY(tensor_new(out, DT_F64, DT_F64, x->rank, x->dim, c->err));
    double *y = (*out)->data;
    int64_t count = tensor_count(x);
    if (tensor_count(zero) == 1 && !reals) {
        int32_t z = (int32_t)tensor_i64(zero, 0);
        for (int64_t i = 0; x->store == DT_U8 && i < count; i++)
            y[i] = ((const uint8_t *)x->data)[i] - z;
        for (int64_t i = 0; x->store == DT_I8 && i < count; i++)
            y[i] = ((const int8_t *)x->data)[i] - z;
        for (int64_t i = 0; x->store != DT_U8 && x->store != DT_I8 && i < count; i++)
            y[i] = (double)(tensor_i64(x, i) - z);
        return OK;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        y[i] = reals ? tensor_f64(x, i) - tensor_f64(zero, at[0])
                     : (double)(tensor_i64(x, i) - tensor_i64(zero, at[0]));
    }
    return OK;
}

/* The exact product of a - a_zero and b - b_zero. */
static enum status product(struct op_ctx *c, const char *op, const struct tensor *a,
                           const struct tensor *a_zero, int a_axis, const struct tensor *b,
                           const struct tensor *b_zero, int b_axis, struct tensor **out) {
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

/* What requantization reads, all in float64: the sums, a_scale, b_scale, y_scale, y_zero, bias. */
enum { SUMS, A_SCALE, B_SCALE, Y_SCALE, Y_ZERO, BIAS, N_READ };

struct requant {
    bool single; /* float32 arithmetic */
    enum dtype type, store;
    double least, largest;
};

static double multiplier(bool single, double a, double b, double scale) {
    return single ? (double)((float)a * (float)b / (float)scale) : a * b / scale;
}

enum { PART = 256 };

static void requantize_run(const void *const *operand, const int *step, void *out, int64_t n,
                           const void *arg) {
    const struct requant *r = arg;
    const double *const *p = (const double *const *)operand;
    struct tensor y = { .dtype = r->type, .store = r->store, .rank = 1, .dim = { n }, .data = out };
    int64_t whole[PART];
    double q[PART], m = multiplier(r->single, *p[A_SCALE], *p[B_SCALE], *p[Y_SCALE]);
    bool reals = dtype_is_float(r->type),
         one_scale = !step[A_SCALE] && !step[B_SCALE] && !step[Y_SCALE];
    for (int64_t from = 0; from < n; from += PART) {
        int64_t count = n - from < PART ? n - from : PART;
        for (int64_t k = 0; k < count; k++) {
            int64_t i = from + k;
            double sum = p[SUMS][i * step[SUMS]] + p[BIAS][i * step[BIAS]],
                   zero = p[Y_ZERO][i * step[Y_ZERO]];
            if (!one_scale)
                m = multiplier(r->single, p[A_SCALE][i * step[A_SCALE]],
                               p[B_SCALE][i * step[B_SCALE]], p[Y_SCALE][i * step[Y_SCALE]]);
            double v = r->single ? (double)((float)sum * (float)m) : sum * m;
            q[k] = reals ? v + zero : quant_round(v) + zero;
        }
        if (reals) {
            for (int64_t k = 0; k < count; k++)
                q[k] = cast_to_float(r->type, q[k], true, ROUND_UP);
            tensor_store_f64(&y, from, count, q);
            continue;
        }
        for (int64_t k = 0; k < count; k++)
            whole[k] =
                (int64_t)(q[k] > r->least ? q[k] < r->largest ? q[k] : r->largest : r->least);
        tensor_store_i64(&y, from, count, whole);
    }
}

/* Output y from the sums. read[A_SCALE..BIAS] broadcast to y; read[BIAS] may be NULL. */
static enum status requantize(struct op_ctx *c, const struct tensor *sums,
                              const struct tensor *const read[N_READ]) {
    struct tensor *y = c->out[0], *real[N_READ] = { 0 };
    const struct tensor *in[N_READ];
    struct broadcast plan;
    struct requant r = { .single = c->precision != PREC_F64, .type = y->dtype, .store = y->store };
    struct tensor *zero = tensor_in_arena(c->scratch, DT_F64, DT_F64, 0, NULL);
    int64_t least, largest;
    if (!dtype_is_float(y->dtype)) {
        quant_range(y->dtype, &least, &largest);
        r.least = (double)least, r.largest = (double)largest;
    }
    enum status s = OK;
    for (int k = 0; k < N_READ && s == OK; k++) {
        s = tensor_convert(&real[k], k == SUMS ? sums : read[k] ? read[k] : zero, DT_F64, c->err);
        in[k] = real[k];
    }
    if (s == OK && broadcast_plan(&plan, y->rank, y->dim, N_READ, in, NULL) != OK)
        s = err_set(c->err, STATUS_CORRUPT,
                    "the shape of a scale, zero point or bias does not fit the result");
    if (s == OK)
        broadcast_run(&plan, in, y, requantize_run, &r, c->pool);
    for (int k = 0; k < N_READ; k++)
        tensor_free(real[k]);
    return s;
}

static enum status qlinear_conv_eval(struct op_ctx *c) {
    struct layout l;
    struct kernel_layout kl;
    struct tensor *sums, views[N_READ];
    TRY(layout_read(c->node, c->in[0]->rank, &l, c->err));
    TRY(kernel_layout_read(c->node, c->in[3]->rank, &kl, c->err));
    TRY(product(c, "Conv", c->in[0], c->in[2], -1, c->in[3], c->in[5], kl.out, &sums));
    int rank = sums->rank;
    views[A_SCALE] = parameter(c->in[1], rank, -1);
    views[B_SCALE] = parameter(c->in[4], rank, l.channel);
    views[Y_SCALE] = parameter(c->in[6], rank, -1);
    views[Y_ZERO] = parameter(c->in[7], rank, -1);
    if (input(c, 8))
        views[BIAS] = parameter(c->in[8], rank, l.channel);
    enum status s = requantize(
        c, sums,
        (const struct tensor *const[]) { NULL, &views[A_SCALE], &views[B_SCALE], &views[Y_SCALE],
                                         &views[Y_ZERO], input(c, 8) ? &views[BIAS] : NULL });
    tensor_free(sums);
    return s;
}

static enum status qlinear_matmul_eval(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[3];
    struct tensor *sums, views[N_READ];
    TRY(product(c, "MatMul", a, c->in[2], a->rank - 2, b, c->in[5], b->rank - 1, &sums));
    int rank = sums->rank;
    views[A_SCALE] = parameter(c->in[1], rank, rank - 2);
    views[B_SCALE] = parameter(c->in[4], rank, rank - 1);
    views[Y_SCALE] = parameter(c->in[6], rank, rank - 2);
    views[Y_ZERO] = parameter(c->in[7], rank, rank - 2);
    enum status s =
        requantize(c, sums,
                   (const struct tensor *const[]) { NULL, &views[A_SCALE], &views[B_SCALE],
                                                    &views[Y_SCALE], &views[Y_ZERO], NULL });
    tensor_free(sums);
    return s;
}

/* Inputs of QGemm. C is int32 with the scale alpha * a_scale * b_scale. */
enum { G_A, G_A_SCALE, G_A_ZERO, G_B, G_B_SCALE, G_B_ZERO, G_C, G_Y_SCALE, G_Y_ZERO };

/* alpha * C, or NULL. */
static struct tensor *scaled_bias(struct op_ctx *c) {
    const struct tensor *t = input(c, G_C);
    if (!t)
        return NULL;
    struct tensor *out = tensor_in_arena(c->scratch, DT_F64, DT_F64, t->rank, t->dim);
    for (int64_t i = 0, n = tensor_count(t); i < n; i++)
        tensor_set_f64(out, i, tensor_f64(t, i) * attr_float(c->node, "alpha"));
    return out;
}

/* The sums hold alpha: Gemm reads that attribute. Without a scale the output is real: its scale 1.
 */
static enum status qgemm_eval(struct op_ctx *c) {
    const struct tensor *one = tensor_in_arena(c->scratch, DT_F32, DT_F32, 0, NULL);
    tensor_set_f64((struct tensor *)one, 0, 1);
    int b_axis = attr_int(c->node, "transB") ? 0 : 1;
    struct tensor *sums, b_scale = parameter(c->in[G_B_SCALE], 2, 1),
                         a_scale = parameter(c->in[G_A_SCALE], 2, -1), *bias = scaled_bias(c);
    const struct tensor *y_scale = input(c, G_Y_SCALE), *y_zero = input(c, G_Y_ZERO);
    FAIL_IF(!y_scale != !y_zero, c->err, STATUS_CORRUPT,
            "the output has a scale or a zero point, not both");
    TRY(product(c, "Gemm", c->in[G_A], c->in[G_A_ZERO], -1, c->in[G_B], c->in[G_B_ZERO], b_axis,
                &sums));
    enum status s =
        requantize(c, sums,
                   (const struct tensor *const[]) { NULL, &a_scale, &b_scale,
                                                    y_scale ? y_scale : one, y_zero, bias });
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

static enum status qgemm_shape(struct shape_ctx *c) {
    bool real = c->n_in <= G_Y_ZERO || c->in[G_Y_ZERO].absent;
    return integer_shape(c, "Gemm", G_B, real ? DT_F32 : c->in[G_Y_ZERO].dtype);
}

static const struct attr_def conv_attrs[] = { CONV_ATTRS, { 0 } };

/* clang-format off */
const struct op ops_qlinear[] = {
    { ONNX("ConvInteger", 10, 2, 4), .flags = OP_NO_GRADIENT, .attrs = conv_attrs, .shape = conv_integer_shape, .eval = conv_integer_eval },
    { ONNX("MatMulInteger", 10, 2, 4), .flags = OP_NO_GRADIENT, .shape = matmul_integer_shape, .eval = matmul_integer_eval },
    { ONNX("QLinearConv", 10, 8, 9), .flags = OP_NO_GRADIENT, .attrs = conv_attrs, .shape = qlinear_conv_shape, .eval = qlinear_conv_eval },
    { ONNX("QLinearMatMul", 21, 8, 8), .flags = OP_NO_GRADIENT, .shape = qlinear_matmul_shape, .eval = qlinear_matmul_eval },
    { MICROSOFT("QGemm", 6, 9), .flags = OP_NO_GRADIENT, .attrs = ATTRS(FLOAT("alpha", 1), INT("transA", 0), INT("transB", 0)), .shape = qgemm_shape,
      .eval = qgemm_eval },
    { 0 },
};
