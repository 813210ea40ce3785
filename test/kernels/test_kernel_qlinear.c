/* ONNX's integer products: fast against reference. */
#include "kernels/kernel_test.h"

static enum dtype narrow_type(struct random *r) {
    return random_chance(r, 50) ? DT_I8 : DT_U8;
}

/* Integers over the whole range of the type. */
static void integers(struct bench *b, int i, enum dtype t, int rank, const int64_t *dim,
                     bool constant) {
    struct tensor *x = bench_input(b, i, t, rank, dim, ORDINARY, constant);
    int64_t low = t == DT_U8 ? 0 : -128;
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_i64(x, k, random_in(&b->random, low, low + 255));
}

static void zero_point(struct bench *b, int i, enum dtype t, int64_t n) {
    integers(b, i, t, n > 0, &n, random_chance(&b->random, 80));
}

/* n of them (0: a scalar) of about `size`. */
static void scale(struct bench *b, int i, enum dtype t, int64_t n, double size) {
    struct random *r = &b->random;
    struct tensor *x = bench_input(b, i, t, n > 0, &n, ORDINARY, random_chance(r, 80));
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_f64(x, k,
                       random_chance(r, 2) ? random_value(r, SPECIAL, t)
                                           : size * (double)random_in(r, 1, 1000) / 1000);
}

static void bias(struct bench *b, int i, int64_t channels) {
    struct tensor *t = bench_input(b, i, DT_I32, 1, &channels, ORDINARY, true);
    for (int64_t k = 0; k < channels; k++)
        tensor_set_i64(t, k, random_in(&b->random, -100000, 100000));
    if (channels && random_chance(&b->random, 5))
        tensor_set_i64(t, 0, INT32_MAX);
}

static enum precision any_precision(struct random *r) {
    return (enum precision)random_in(r, PREC_F64, PREC_NATIVE);
}

static enum dtype scale_type(enum precision p) {
    return p == PREC_F64 ? DT_F64 : DT_F32;
}

struct shapes {
    int n;
    int64_t groups, x[5], k[5];
};

/* Attributes and shapes of a convolution. */
static struct shapes shapes_of(struct bench *b, int64_t stride[3], int64_t dilation[3],
                               int64_t pads[6], bool last) {
    struct random *r = &b->random;
    bool depthwise = random_chance(r, 35);
    struct shapes s = { .n = random_chance(r, 80)   ? 2
                             : random_chance(r, 50) ? 1
                                                    : 3,
                        .groups = depthwise              ? random_in(r, 2, 40)
                                  : random_chance(r, 75) ? 1
                                                         : random_in(r, 2, 4),
                        .x = { random_chance(r, 3) ? 0 : random_in(r, 1, 2) } };
    int64_t in = depthwise ? 1 : random_in(r, 1, 20), out = random_in(r, 1, depthwise ? 3 : 60);
    for (int i = 0; i < s.n; i++) {
        int64_t kernel = random_chance(r, 40) ? 1 : random_in(r, 1, 5);
        stride[i] = random_chance(r, 60) ? 1 : random_in(r, 1, 3);
        dilation[i] = random_chance(r, 80) ? 1 : random_in(r, 1, 3);
        int64_t reach = (kernel - 1) * dilation[i] + 1, size = random_in(r, 1, s.n == 3 ? 6 : 14);
        pads[i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        pads[s.n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        if (size + pads[i] + pads[s.n + i] < reach)
            size = reach;
        s.x[(last ? 1 : 2) + i] = size;
        s.k[2 + i] = kernel;
    }
    s.x[last ? s.n + 1 : 1] = in * s.groups;
    s.k[0] = out * s.groups;
    s.k[1] = in;
    return s;
}

static void conv_case(struct bench *b, bool qlinear) {
    struct random *r = &b->random;
    int64_t stride[3], dilation[3], pads[6];
    bool last = random_chance(r, 25);
    enum dtype t = narrow_type(r), kt = narrow_type(r), yt = narrow_type(r);
    enum precision precision = any_precision(r);
    struct shapes s = shapes_of(b, stride, dilation, pads, last);
    bench_begin(b, "", qlinear ? "QLinearConv" : "ConvInteger", qlinear ? 9 : 4, 1);
    if (last)
        node_set_string(b->node, "layout", "NHWC");
    node_set_int(b->node, "group", s.groups);
    bench_ints(b, "strides", s.n, stride);
    bench_ints(b, "dilations", s.n, dilation);
    bench_ints(b, "pads", 2 * s.n, pads);
    int64_t each = random_chance(r, 50) ? s.k[0] : 0;
    integers(b, 0, t, s.n + 2, s.x, false);
    integers(b, qlinear ? 3 : 1, kt, s.n + 2, s.k, random_chance(r, 80));
    if (qlinear || random_chance(r, 60))
        zero_point(b, 2, t, random_in(r, 0, 1));
    if (qlinear || (b->in[2] && random_chance(r, 60)))
        zero_point(b, qlinear ? 5 : 3, kt, each);
    if (qlinear) {
        scale(b, 1, scale_type(precision), 0, 0.02);
        scale(b, 4, scale_type(precision), each, 0.02);
        scale(b, 6, scale_type(precision), 0, 0.5);
        zero_point(b, 7, yt, 0);
        if (random_chance(r, 60))
            bias(b, 8, s.k[0]);
    }
    bench_compare(b, precision);
}

static void qlinear_conv_case(struct bench *b) {
    conv_case(b, true);
}

static void conv_integer_case(struct bench *b) {
    conv_case(b, false);
}

/* Zero points of columns, sometimes of rows (which the reference does). */
static void matmul_case(struct bench *b, bool qlinear) {
    struct random *r = &b->random;
    enum dtype t = narrow_type(r), kt = narrow_type(r), yt = narrow_type(r);
    enum precision precision = any_precision(r);
    int rank = (int)random_in(r, 1, 4), b_rank = (int)random_in(r, 1, 4);
    int64_t m = random_in(r, random_chance(r, 3) ? 0 : 1, random_chance(r, 20) ? 80 : 9),
            n = random_in(r, 1, 100), k = random_in(r, 1, random_chance(r, 10) ? 700 : 40);
    int64_t batch[2] = { random_in(r, 1, 3), random_in(r, 1, 3) };
    int64_t x[4] = { batch[0], batch[1], m, k },
            w[4] = { random_chance(r, 50) ? 1 : batch[0], batch[1], k, n };
    bench_begin(b, "", qlinear ? "QLinearMatMul" : "MatMulInteger", qlinear ? 8 : 4, 1);
    integers(b, 0, t, rank, rank == 1 ? &k : x + 4 - rank, false);
    integers(b, qlinear ? 3 : 1, kt, b_rank, b_rank == 1 ? &k : w + 4 - b_rank,
             random_chance(r, 60));
    int64_t each = b_rank == 2 && random_chance(r, 50) ? n : 0,
            rows = rank == 2 && random_chance(r, 10) ? m : 0;
    if (qlinear || random_chance(r, 60))
        zero_point(b, 2, t, rows);
    if (qlinear || (b->in[2] && random_chance(r, 60)))
        zero_point(b, qlinear ? 5 : 3, kt, each);
    if (qlinear) {
        scale(b, 1, scale_type(precision), rows, 0.02);
        scale(b, 4, scale_type(precision), each, 0.02);
        scale(b, 6, scale_type(precision), 0, 0.5);
        zero_point(b, 7, yt, 0);
    }
    bench_compare(b, precision);
}

static void qlinear_matmul_case(struct bench *b) {
    matmul_case(b, true);
}

static void matmul_integer_case(struct bench *b) {
    matmul_case(b, false);
}

static void qgemm_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = narrow_type(r), kt = narrow_type(r), yt = narrow_type(r);
    enum precision precision = any_precision(r);
    int64_t m = random_in(r, 1, random_chance(r, 20) ? 80 : 9), n = random_in(r, 1, 100),
            k = random_in(r, 1, random_chance(r, 10) ? 700 : 40);
    bool ta = random_chance(r, 40), tb = random_chance(r, 60);
    bench_begin(b, "com.microsoft", "QGemm", 9, 1);
    node_set_int(b->node, "transA", ta);
    node_set_int(b->node, "transB", tb);
    if (random_chance(r, 10))
        node_set_float(b->node, "alpha", 2);
    int64_t each = random_chance(r, 50) ? n : 0;
    integers(b, 0, t, 2, (int64_t[]) { ta ? k : m, ta ? m : k }, false);
    scale(b, 1, scale_type(precision), 0, 0.02);
    zero_point(b, 2, t, 0);
    integers(b, 3, kt, 2, (int64_t[]) { tb ? n : k, tb ? k : n }, random_chance(r, 80));
    scale(b, 4, scale_type(precision), each, 0.02);
    zero_point(b, 5, kt, each);
    if (random_chance(r, 60))
        bias(b, 6, n);
    if (random_chance(r, 90)) { /* else a real result */
        scale(b, 7, scale_type(precision), 0, 0.5);
        zero_point(b, 8, yt, 0);
    }
    bench_compare(b, precision);
}

BENCH_TEST(test_qlinear_conv, qlinear_conv_case, 40, 600)
BENCH_TEST(test_conv_integer, conv_integer_case, 41, 600)
BENCH_TEST(test_qlinear_matmul, qlinear_matmul_case, 42, 600)
BENCH_TEST(test_matmul_integer, matmul_integer_case, 43, 600)
BENCH_TEST(test_qgemm, qgemm_case, 44, 400)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qlinear_conv),   cmocka_unit_test(test_conv_integer),
        cmocka_unit_test(test_qlinear_matmul), cmocka_unit_test(test_matmul_integer),
        cmocka_unit_test(test_qgemm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
