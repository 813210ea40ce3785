/* Pools: fast against reference. */
#include "kernels/kernel_test.h"

static void pool_case(struct bench *b, const char *op) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 60) ? ORDINARY : (enum values)random_in(r, 0, VALUES - 1);
    bool last = random_chance(r, 50), global = strncmp(op, "Global", 6) == 0;
    bool indices = strcmp(op, "MaxPool") == 0 && random_chance(r, 50);
    int n = random_chance(r, 60) ? 2 : (int)random_in(r, indices ? 0 : 1, 5);
    int64_t channels = random_chance(r, 30)   ? random_in(r, 1, 150)
                       : random_chance(r, 30) ? 8 * random_in(r, 1, 4)
                                              : random_in(r, 1, 10),
            batch = random_chance(r, 3) ? 0 : random_in(r, 1, 2);
    int64_t x[7], kernel[5], stride[5], dilation[5], pads[10];
    x[0] = batch;
    x[last ? n + 1 : 1] = channels;
    for (int i = 0; i < n; i++) {
        kernel[i] = random_in(r, 1, n > 3 ? 2 : 4);
        stride[i] = random_in(r, 1, 3);
        dilation[i] = random_chance(r, 80) ? 1 : random_in(r, 1, 3);
        pads[i] = random_in(r, 0, kernel[i] - 1);
        pads[n + i] = random_in(r, 0, kernel[i] - 1);
        int64_t reach = (kernel[i] - 1) * dilation[i] + 1, size = random_in(r, 1,
                                                                            n == 1   ? 150
                                                                            : n == 2 ? 30
                                                                            : n == 3 ? 8
                                                                                     : 4);
        x[(last ? 1 : 2) + i] = size < reach ? reach : size;
    }
    bench_begin(b, "", op, 1, indices ? 2 : 1);
    if (indices)
        node_set_int(b->node, "storage_order", random_chance(r, 40));
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    if (!global) {
        bench_ints(b, "kernel_shape", n, kernel);
        bench_ints(b, "strides", n, stride);
        bench_ints(b, "dilations", n, dilation);
        bench_ints(b, "pads", 2 * n, pads);
        node_set_int(b->node, "ceil_mode", random_chance(r, 40));
        if (strcmp(op, "AveragePool") == 0)
            node_set_int(b->node, "count_include_pad", random_chance(r, 50));
    }
    bench_input(b, 0, t, n + 2, x, kind, false);
    bench_compare(b, bench_precision(t));
}

static void test_pool(void **state) {
    (void)state;
    static const char *const names[] = { "MaxPool", "AveragePool", "GlobalAveragePool",
                                         "GlobalMaxPool" };
    struct bench b;
    bench_open(&b, 8);
    for (int i = 0; i < 2400; i++)
        pool_case(&b, names[i % 8 < 3 ? 0 : i % 8 < 6 ? 1 : i % 4]);
    assert_true(b.computed >= 2000);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_pool) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
