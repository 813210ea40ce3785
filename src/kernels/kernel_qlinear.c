/* Fast integer products of ONNX: the bits of src/ops/qlinear.c. Sums of at most MOST_DEPTH products
 * of differences of 8 bits fit 32 bits; there integers have the exact sum of float64. Zero points
 * of rows, of types and shapes that the reference refuses, go to the reference. */
#include <string.h>

#include "kernels/kernel_integers.h"
#include "ops/quantize.h"

enum { MOST_DEPTH = 33000 }; /* * 255 * 255 < 2^31 */

/* Numbers of the inputs, -1: the operator has none. */
struct qlinear {
    int a, a_zero, b, b_zero;
    int a_scale, b_scale, y_scale, y_zero, bias; /* of the QLinear forms */
};

static const struct qlinear integer_inputs = { 0, 2, 1, 3, -1, -1, -1, -1, -1 },
                            qlinear_inputs = { 0, 2, 3, 5, 1, 4, 6, 7, 8 },
                            qgemm_inputs = { 0, 2, 3, 5, 1, 4, 7, 8, 6 };

static const struct tensor *input(const struct op_ctx *c, int i) {
    return i >= 0 && i < c->n_in ? c->in[i] : NULL;
}

/* One element, or with `columns` one a column. */
static bool fits(const struct tensor *t, int64_t columns) {
    return !t || tensor_count(t) == 1 || (t->rank == 1 && t->dim[0] == columns);
}

static bool known_zeros(const struct op_ctx *c, const struct qlinear *q, int64_t columns) {
    const struct tensor *a = input(c, q->a_zero), *b = input(c, q->b_zero);
    return fits(a, -1) && fits(b, columns) && (!a || a->store == c->in[q->a]->store) &&
           (!b || b->store == c->in[q->b]->store);
}

static void read_zeros(struct op_ctx *c, const struct qlinear *q, struct int_sums *j) {
    const struct tensor *a = input(c, q->a_zero), *b = input(c, q->b_zero);
    int64_t n = b ? tensor_count(b) : 1;
    int32_t *zero = NEW_ARRAY(c->scratch, n + 1, int32_t);
    for (int64_t i = 0; b && i < n; i++)
        zero[i] = (int32_t)tensor_i64(b, i);
    j->left = q->a;
    j->right = q->b;
    j->left_zero = a ? (int32_t)tensor_i64(a, 0) : 0;
    j->right_zero = zero;
    j->zero_each = n > 1;
    j->y = c->out[0];
}

static bool known_scales(const struct op_ctx *c, const struct qlinear *q, int64_t columns) {
    const struct tensor *y = c->out[0], *bias = input(c, q->bias);
    return fits(input(c, q->a_scale), -1) && fits(input(c, q->b_scale), columns) &&
           input(c, q->y_scale) && fits(input(c, q->y_scale), -1) && input(c, q->y_zero) &&
           fits(input(c, q->y_zero), -1) && int_sums_narrow(y) && dtype_row(y->dtype)->bits == 8 &&
           (!bias || (bias->rank == 1 && fits(bias, columns) && bias->store == DT_I32));
}

/* As `multiplier` of ops/qlinear.c. */
static double factor_of(bool single, double a, double b, double scale) {
    return single ? (double)((float)a * (float)b / (float)scale) : a * b / scale;
}

static void read_scales(struct op_ctx *c, const struct qlinear *q, int64_t columns,
                        struct int_requant *r) {
    const struct tensor *bias = input(c, q->bias), *b_scale = c->in[q->b_scale];
    double *at = NEW_ARRAY(c->scratch, 2 * columns + 1, double),
           a = tensor_f64(c->in[q->a_scale], 0), y = tensor_f64(c->in[q->y_scale], 0);
    int64_t least, largest;
    r->single = c->precision != PREC_F64;
    quant_range(c->out[0]->dtype, &least, &largest);
    r->least = (double)least;
    r->largest = (double)largest;
    r->zero = tensor_f64(c->in[q->y_zero], 0);
    for (int64_t o = 0; o < columns; o++) {
        at[o] = bias ? tensor_f64(bias, tensor_count(bias) > 1 ? o : 0) : 0;
        at[columns + o] =
            factor_of(r->single, a, tensor_f64(b_scale, tensor_count(b_scale) > 1 ? o : 0), y);
    }
    r->bias = at;
    r->factor = at + columns;
}

static void requantize(const struct int_sums *j, int32_t *sum, int64_t n, int64_t column) {
    isa_best()->int_requantize(j->arg, sum, n, column);
}

static void run(struct op_ctx *c, const struct qlinear *q, struct int_sums *j, int64_t columns) {
    struct int_requant r;
    read_zeros(c, q, j);
    if (q->a_scale >= 0) {
        read_scales(c, q, columns, &r);
        j->finish = requantize;
        j->arg = &r;
    }
    int_sums_run(c, j);
}

static bool known(const struct op_ctx *c, const struct qlinear *q, int64_t columns, int64_t depth) {
    return depth <= MOST_DEPTH && known_zeros(c, q, columns) &&
           (q->a_scale < 0 || known_scales(c, q, columns));
}

static enum status conv(struct op_ctx *c, const struct qlinear *q) {
    const struct tensor *x = c->in[q->a], *k = c->in[q->b];
    struct conv_plan p;
    struct geometry g;
    struct int_sums j = { .g = &g };
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    if (!int_sums_takes_conv(&p, x, k, c->out[0]))
        return kernel_reference(c);
    geometry_of(&p.w, p.x_spatial, &g);
    g.p = &p;
    if (!known(c, q, p.out_channels, g.taps * p.in_per_group))
        return kernel_reference(c);
    run(c, q, &j, p.out_channels);
    return OK;
}

enum status kernel_conv_integer(struct op_ctx *c) {
    return conv(c, &integer_inputs);
}

enum status kernel_qlinear_conv(struct op_ctx *c) {
    return conv(c, &qlinear_inputs);
}

/* QGemm's alpha enters the sums. */
static enum status product(struct op_ctx *c, const struct qlinear *q, bool gemm) {
    const struct tensor *a = c->in[q->a], *b = c->in[q->b];
    struct matmul_plan p;
    struct int_sums j = { .m = &p };
    if (!int_sums_narrow(a) || !int_sums_narrow(b) || tensor_count(c->out[0]) == 0 ||
        tensor_count(a) == 0 || tensor_count(b) == 0 || (gemm && attr_float(c->node, "alpha") != 1))
        return kernel_reference(c);
    if (gemm)
        TRY(gemm_plan(c->node, a, b, c->scratch, &p, c->err));
    else
        TRY(matmul_plan(c->node, a, b, c->scratch, &p, c->err));
    if (!known(c, q, b->rank > 1 ? p.columns : -1, p.inner))
        return kernel_reference(c);
    run(c, q, &j, p.columns);
    return OK;
}

enum status kernel_matmul_integer(struct op_ctx *c) {
    return product(c, &integer_inputs, false);
}

enum status kernel_qlinear_matmul(struct op_ctx *c) {
    return product(c, &qlinear_inputs, false);
}

enum status kernel_qgemm(struct op_ctx *c) {
    return product(c, &qgemm_inputs, true);
}
