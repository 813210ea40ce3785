/* Convolutions: fast against reference. */
#include "kernels/kernel_test.h"

enum { CASES = 400 };

/* Dims of an activation or, with `layout` of kernels, of a kernel, in the order the layout has. */
static void dims_in(const char *layout, int n, int64_t a, int64_t b, const int64_t *spatial,
                    int64_t *dim) {
    int at = 0;
    for (const char *c = layout; *c; c++) {
        if (*c == 'H')
            for (int i = 0; i < n; i++)
                dim[at++] = spatial[i];
        else if (*c == 'N' || *c == 'O')
            dim[at++] = a;
        else if (*c == 'C' || *c == 'I')
            dim[at++] = b;
    }
}

static void one_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 60) ? ORDINARY : random_chance(r, 50) ? TINY : SPECIAL;
    bool last = random_chance(r, 50), depthwise = random_chance(r, 35);
    int n = random_chance(r, 70) ? 2 : random_chance(r, 50) ? 1 : 3;
    int64_t groups = random_chance(r, 70) ? 1 : random_in(r, 2, 4), in = random_in(r, 1, 20),
            out = random_in(r, 1, 40);
    if (depthwise) {
        groups = random_in(r, 1, 70);
        in = 1;
        out = random_chance(r, 70) ? 1 : random_in(r, 1, 3);
    }
    if (random_chance(r, 3))
        in = 600; /* more than one block of k */
    int64_t batch = random_in(r, 1, 2), size[3], kernel[3], stride[3], dilation[3], pads[6], x[5],
            k[5];
    if (random_chance(r, 3))
        batch = 0;
    for (int i = 0; i < n; i++) {
        kernel[i] =
            random_chance(r, 40) ? 1 : random_in(r, 1, depthwise && random_chance(r, 20) ? 9 : 5);
        stride[i] = random_chance(r, 60) ? 1 : random_in(r, 1, 3);
        dilation[i] = random_chance(r, 80) ? 1 : random_in(r, 1, 3);
        int64_t reach = (kernel[i] - 1) * dilation[i] + 1;
        pads[i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        pads[n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
        size[i] = random_in(r, 1, n == 3 ? 7 : n == 2 ? 20 : 150);
        if (size[i] + pads[i] + pads[n + i] < reach)
            size[i] = reach;
    }
    static const char *const kernels[] = { "OIHW", "OHWI", "HWIO", "HWOI", "IOHW" };
    const char *layout = kernels[random_in(r, 0, 4)];
    dims_in(last ? "NHC" : "NCH", n, batch, in * groups, size, x);
    dims_in(layout, n, out * groups, in, kernel, k);
    bench_begin(b, "", "Conv", 3, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    node_set_string(b->node, "kernel_layout", layout);
    node_set_int(b->node, "group", groups);
    bench_ints(b, "strides", n, stride);
    bench_ints(b, "dilations", n, dilation);
    bench_ints(b, "pads", 2 * n, pads);
    bench_input(b, 0, t, n + 2, x, kind, false);
    bench_input(b, 1, t, n + 2, k, kind == SPECIAL && random_chance(r, 50) ? ORDINARY : kind,
                random_chance(r, 70));
    int64_t channels = out * groups;
    if (random_chance(r, 60))
        bench_input(b, 2, t, 1, &channels, kind, true);
    bench_compare(b, t == DT_F64 ? PREC_F64 : PREC_F32);
}

static void transposed_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 60) ? ORDINARY : random_chance(r, 50) ? TINY : SPECIAL;
    bool last = random_chance(r, 50);
    int n = random_chance(r, 70) ? 2 : random_chance(r, 50) ? 1 : 3;
    int64_t groups = random_chance(r, 70) ? 1 : random_in(r, 2, 5), in = random_in(r, 1, 20),
            out = random_in(r, 1, 30), batch = random_in(r, 1, 2);
    int64_t size[3], kernel[3], stride[3], dilation[3], pads[6], more[3], x[5], k[5];
    if (random_chance(r, 3))
        in = 300;
    if (random_chance(r, 3))
        batch = 0;
    for (int i = 0; i < n; i++) {
        kernel[i] = random_chance(r, 20) ? 1 : random_in(r, 1, 5);
        stride[i] = random_chance(r, 30) ? 1 : random_in(r, 1, 4);
        dilation[i] = random_chance(r, 70) ? 1 : random_in(r, 1, 4);
        size[i] = random_in(r, 1, n == 3 ? 5 : n == 2 ? 12 : 70);
        int64_t reach = (kernel[i] - 1) * dilation[i] + 1, full = (size[i] - 1) * stride[i] + reach;
        pads[i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach < full ? reach : full - 1);
        pads[n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, full - 1 - pads[i]);
        more[i] = random_chance(r, 60) ? 0 : random_in(r, 0, stride[i] - 1);
    }
    static const char *const kernels[] = { "IOHW", "OIHW", "OHWI", "HWOI", "HWIO" };
    const char *layout = kernels[random_in(r, 0, 4)];
    dims_in(last ? "NHC" : "NCH", n, batch, in * groups, size, x);
    dims_in(layout, n, out, in * groups, kernel, k);
    bench_begin(b, "", "ConvTranspose", 3, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    node_set_string(b->node, "kernel_layout", layout);
    node_set_int(b->node, "group", groups);
    bench_ints(b, "strides", n, stride);
    bench_ints(b, "dilations", n, dilation);
    bench_ints(b, "pads", 2 * n, pads);
    bench_ints(b, "output_padding", n, more);
    bench_input(b, 0, t, n + 2, x, kind, false);
    bench_input(b, 1, t, n + 2, k, kind == SPECIAL && random_chance(r, 50) ? ORDINARY : kind,
                random_chance(r, 70));
    int64_t channels = out * groups;
    if (random_chance(r, 60))
        bench_input(b, 2, t, 1, &channels, kind, true);
    bench_compare(b, t == DT_F64 ? PREC_F64 : PREC_F32);
}

static void test_conv(void **state) {
    (void)state;
    bench_cases(one_case, 1, CASES);
}

static void test_conv_transpose(void **state) {
    (void)state;
    bench_cases(transposed_case, 2, CASES);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_conv),
                                        cmocka_unit_test(test_conv_transpose) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
