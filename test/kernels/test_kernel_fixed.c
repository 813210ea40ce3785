/* Quantized convolutions and matrix products in integers: fast against reference. */
#include "kernels/kernel_test.h"

/* Integers over the whole range of the type. */
static struct tensor *quantized(struct bench *b, int i, enum dtype t, int rank, const int64_t *dim,
                                bool constant) {
    struct tensor *x = bench_input(b, i, t, rank, dim, ORDINARY, constant);
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_i64(x, k, random_in(&b->random, t == DT_U8 ? 0 : -128, t == DT_U8 ? 255 : 127));
    return x;
}

/* Scales and zero points of all operands from input `at` on; channels > 1: a scale a channel of the
 * weights. */
static void parameters(struct bench *b, int at, int operands, enum dtype t, int64_t channels) {
    struct random *r = &b->random;
    for (int k = 0; k <= operands; k++) {
        int64_t n = k == 1 ? channels : 1;
        struct tensor *scale = bench_input(b, at + 2 * k, DT_F32, 1, &n, ORDINARY, true);
        struct tensor *zero = bench_input(b, at + 2 * k + 1, k == 2 && operands == 3 ? DT_I32 : t,
                                          1, &n, ORDINARY, true);
        for (int64_t i = 0; i < n; i++) {
            double size = random_chance(r, 5) ? 40 : k == operands ? 0.5 : 0.02;
            tensor_set_f64(scale, i, size * (double)random_in(r, 1, 1000) / 1000);
            tensor_set_i64(zero, i,
                           n > 1 || (k == 2 && operands == 3)
                               ? 0
                               : random_in(r, t == DT_U8 ? 0 : -128, t == DT_U8 ? 255 : 127));
        }
    }
}

static void limits(struct bench *b) {
    if (random_chance(&b->random, 40))
        node_set_float(b->node, "low", 0);
    if (random_chance(&b->random, 30))
        node_set_float(b->node, "high", 6);
}

static void bias(struct bench *b, int64_t channels) {
    struct tensor *t = bench_input(b, 2, DT_I32, 1, &channels, ORDINARY, true);
    for (int64_t i = 0; i < channels; i++)
        tensor_set_i64(t, i, random_in(&b->random, -100000, 100000));
    if (random_chance(&b->random, 5))
        tensor_set_i64(t, 0, INT32_MAX);
}

static void conv_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 60) ? DT_I8 : DT_U8;
    bool depthwise = random_chance(r, 40), biased = random_chance(r, 60),
         last = random_chance(r, 90);
    int n = random_chance(r, 80) ? 2 : random_chance(r, 50) ? 1 : 3;
    int64_t groups = depthwise              ? random_in(r, 2, 40)
                     : random_chance(r, 80) ? 1
                                            : random_in(r, 2, 4),
            in = depthwise ? 1 : random_in(r, 1, 20),
            out = !depthwise             ? random_in(r, 1, 60)
                  : random_chance(r, 70) ? 1
                                         : random_in(r, 2, 5);
    int64_t stride[3], dilation[3], pads[6], x[5] = { random_in(r, 1, 2) }, k[5];
    for (int i = 0; i < n; i++) {
        int64_t kernel = random_chance(r, 40) ? 1 : random_in(r, 1, 5);
        stride[i] = random_chance(r, 60) ? 1 : random_in(r, 1, 3);
        dilation[i] = random_chance(r, 80) ? 1 : random_in(r, 1, 3);
        int64_t reach = (kernel - 1) * dilation[i] + 1, size = random_in(r, 1, n == 3 ? 6 : 12);
        pads[i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        pads[n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        if (size + pads[i] + pads[n + i] < reach)
            size = reach;
        x[(last ? 1 : 2) + i] = size;
        k[1 + i] = kernel;
    }
    x[last ? n + 1 : 1] = in * groups;
    k[0] = out * groups;
    k[n + 1] = in;
    int operands = biased ? 3 : 2;
    bench_begin(b, "fixed", "Conv", 3 * operands + 2, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    node_set_string(b->node, "kernel_layout", "OHWI");
    node_set_int(b->node, "group", groups);
    bench_ints(b, "strides", n, stride);
    bench_ints(b, "dilations", n, dilation);
    bench_ints(b, "pads", 2 * n, pads);
    limits(b);
    quantized(b, 0, t, n + 2, x, false);
    quantized(b, 1, t, n + 2, k, random_chance(r, 80));
    if (biased)
        bias(b, k[0]);
    parameters(b, operands, operands, t, t == DT_I8 && random_chance(r, 50) ? k[0] : 1);
    bench_compare(b, PREC_NATIVE);
}

static void product_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 60) ? DT_I8 : DT_U8;
    bool gemm = random_chance(r, 60), biased = gemm && random_chance(r, 60),
         turned = gemm && random_chance(r, 70);
    int64_t m = random_in(r, 1, random_chance(r, 20) ? 80 : 9), n = random_in(r, 1, 100),
            k = random_in(r, 1, random_chance(r, 10) ? 700 : 40);
    int rank = gemm ? 2 : (int)random_in(r, 2, 4), operands = biased ? 3 : 2;
    int64_t a[4] = { random_in(r, 1, 3), random_in(r, 1, 3) },
            w[2] = { turned ? n : k, turned ? k : n };
    a[rank - 2] = m;
    a[rank - 1] = k;
    bench_begin(b, "fixed", gemm ? "Gemm" : "MatMul", 3 * operands + 2, 1);
    if (turned)
        node_set_int(b->node, "transB", 1);
    limits(b);
    quantized(b, 0, t, rank, a, false);
    if (!gemm && random_chance(r, 50)) { /* a matrix for each batch, or for some */
        int64_t many[4] = { a[0], random_chance(r, 50) ? 1 : a[1], k, n };
        many[rank - 2] = k;
        many[rank - 1] = n;
        quantized(b, 1, t, rank, many, random_chance(r, 40));
    } else {
        quantized(b, 1, t, 2, w, random_chance(r, 80));
    }
    if (biased)
        bias(b, n);
    parameters(b, operands, operands, t, gemm && t == DT_I8 && random_chance(r, 50) ? n : 1);
    bench_compare(b, PREC_NATIVE);
}

/* Broadcast as any elementwise operator. */
static void add_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 60) ? DT_I8 : DT_U8;
    int rank = (int)random_in(r, 0, 4), whole = (int)random_in(r, 0, 1);
    int64_t dim[2][4];
    for (int i = 0; i < rank; i++) {
        int64_t n = random_chance(r, 3) ? 0 : random_in(r, 1, i == rank - 1 ? 70 : 6);
        dim[whole][i] = n;
        dim[!whole][i] = random_chance(r, 25) ? 1 : n;
    }
    bench_begin(b, "fixed", random_chance(r, 50) ? "Add" : "Sub", 8, 1);
    limits(b);
    quantized(b, 0, t, rank, dim[0], false);
    quantized(b, 1, t, rank, dim[1], random_chance(r, 30));
    parameters(b, 2, 2, t, 1);
    bench_compare(b, PREC_NATIVE);
}

BENCH_TEST(test_add, add_case, 32, 700)
BENCH_TEST(test_conv, conv_case, 30, 900)
BENCH_TEST(test_product, product_case, 31, 900)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_conv), cmocka_unit_test(test_product),
                                        cmocka_unit_test(test_add) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
