/* Convolutions: fast against reference. */
#include "kernels/kernel_test.h"

enum { CASES = 380, AXES_AT_MOST = 3 };

/* Everything about one convolution. Channels count within a group. */
struct convolution {
    enum dtype t;
    enum values kind;
    bool last; /* channels last */
    int n;     /* spatial axes */
    int64_t batch, groups, in, out;
    int64_t size[AXES_AT_MOST], kernel[AXES_AT_MOST], stride[AXES_AT_MOST], dilation[AXES_AT_MOST],
        pads[2 * AXES_AT_MOST];
};

static struct convolution some_convolution(struct random *r) {
    return (struct convolution) {
        .t = random_chance(r, 50) ? DT_F32 : DT_F64,
        .kind = random_chance(r, 60)   ? ORDINARY
                : random_chance(r, 50) ? TINY
                                       : SPECIAL,
        .last = random_chance(r, 50),
        .n = random_chance(r, 70)   ? 2
             : random_chance(r, 50) ? 1
                                    : 3,
        .batch = random_chance(r, 3) ? 0 : random_in(r, 1, 2),
        .groups = random_chance(r, 70) ? 1 : random_in(r, 2, 5),
        .in = random_chance(r, 3) ? 600 : random_in(r, 1, 20), /* 600: blocks of k */
        .out = random_in(r, 1, 40),
    };
}

/* Axis i of a window that slides; some sizes are as small as they can be, or nothing. */
static void slide(struct random *r, struct convolution *c, int i, int64_t most_kernel) {
    c->kernel[i] = random_chance(r, 40) ? 1 : random_in(r, 1, most_kernel);
    c->stride[i] = random_chance(r, 60) ? 1 : random_in(r, 1, 3);
    c->dilation[i] = random_chance(r, 80) ? 1 : random_in(r, 1, 3);
    int64_t reach = (c->kernel[i] - 1) * c->dilation[i] + 1;
    for (int end = 0; end < 2; end++)
        c->pads[end * c->n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach);
    c->size[i] = random_chance(r, 1) ? 0 : random_in(r, 1, c->n == 3 ? 7 : c->n == 2 ? 20 : 150);
    if (c->size[i] + c->pads[i] + c->pads[c->n + i] < reach)
        c->size[i] = reach;
}

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

/* The node, with a kernel of k_out x k_in channels; compares. */
static void compare(struct bench *b, const char *op, const struct convolution *c, int64_t k_out,
                    int64_t k_in, const int64_t *more) {
    static const char *const layouts[] = { "OIHW", "OHWI", "HWIO", "HWOI", "IOHW" };
    struct random *r = &b->random;
    const char *layout = layouts[random_in(r, 0, 4)];
    int64_t x[AXES_AT_MOST + 2], k[AXES_AT_MOST + 2], channels = c->out * c->groups;
    dims_in(c->last ? "NHC" : "NCH", c->n, c->batch, c->in * c->groups, c->size, x);
    dims_in(layout, c->n, k_out, k_in, c->kernel, k);
    bench_begin(b, "", op, 3, 1);
    node_set_string(b->node, "layout", c->last ? "NHWC" : "NCHW");
    node_set_string(b->node, "kernel_layout", layout);
    node_set_int(b->node, "group", c->groups);
    bench_ints(b, "strides", c->n, c->stride);
    bench_ints(b, "dilations", c->n, c->dilation);
    bench_ints(b, "pads", 2 * c->n, c->pads);
    if (more)
        bench_ints(b, "output_padding", c->n, more);
    bench_input(b, 0, c->t, c->n + 2, x, c->kind, false);
    bench_input(b, 1, c->t, c->n + 2, k,
                c->kind == SPECIAL && random_chance(r, 50) ? ORDINARY : c->kind,
                random_chance(r, 70));
    if (random_chance(r, 60))
        bench_input(b, 2, c->t, 1, &channels, c->kind, true);
    bench_compare(b, bench_precision(c->t));
}

static void dense_case(struct bench *b) {
    struct convolution c = some_convolution(&b->random);
    for (int i = 0; i < c.n; i++)
        slide(&b->random, &c, i, 5);
    compare(b, "Conv", &c, c.out * c.groups, c.in, NULL);
}

static void depthwise_case(struct bench *b) {
    struct random *r = &b->random;
    struct convolution c = some_convolution(r);
    c.groups = random_in(r, 1, 70);
    c.in = 1;
    c.out = random_chance(r, 70) ? 1 : random_in(r, 1, 3);
    for (int i = 0; i < c.n; i++)
        slide(r, &c, i, random_chance(r, 20) ? 9 : 5);
    compare(b, "Conv", &c, c.out * c.groups, c.in, NULL);
}

/* Pads cut off what the windows spread, less than all of it. */
static void transposed_case(struct bench *b) {
    struct random *r = &b->random;
    struct convolution c = some_convolution(r);
    int64_t more[AXES_AT_MOST];
    for (int i = 0; i < c.n; i++) {
        c.kernel[i] = random_chance(r, 20) ? 1 : random_in(r, 1, 5);
        c.stride[i] = random_chance(r, 30) ? 1 : random_in(r, 1, 4);
        c.dilation[i] = random_chance(r, 70) ? 1 : random_in(r, 1, 4);
        c.size[i] = random_in(r, 1, c.n == 3 ? 5 : c.n == 2 ? 12 : 70);
        int64_t reach = (c.kernel[i] - 1) * c.dilation[i] + 1,
                full = (c.size[i] - 1) * c.stride[i] + reach;
        c.pads[i] = random_chance(r, 40) ? 0 : random_in(r, 0, reach < full ? reach : full - 1);
        c.pads[c.n + i] = random_chance(r, 40) ? 0 : random_in(r, 0, full - 1 - c.pads[i]);
        more[i] = random_chance(r, 60) ? 0 : random_in(r, 0, c.stride[i] - 1);
    }
    compare(b, "ConvTranspose", &c, c.out, c.in * c.groups, more);
}

BENCH_TEST(test_dense, dense_case, 1, CASES)
BENCH_TEST(test_depthwise, depthwise_case, 3, CASES)
BENCH_TEST(test_transposed, transposed_case, 2, CASES)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dense),
                                        cmocka_unit_test(test_depthwise),
                                        cmocka_unit_test(test_transposed) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
