/* Normalisations: fast against reference. */
#include "kernels/kernel_test.h"

static void batch_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    bool last = random_chance(r, 50);
    int rank = (int)random_in(r, 2, 4);
    int64_t dim[4], channels = random_in(r, 1, 40);
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, 9);
    dim[last ? rank - 1 : 1] = channels;
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", "BatchNormalization", 5, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    bench_input(b, 0, t, rank, dim, kind, false);
    for (int i = 1; i < 5; i++)
        bench_input(b, i, t, 1, &channels, kind, true);
    bench_compare(b, t == DT_F64 ? PREC_F64 : PREC_F32);
}

static void layer_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    int rank = (int)random_in(r, 1, 3), axis = (int)random_in(r, 0, rank - 1);
    int64_t dim[3], weight[3];
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, 30);
    for (int i = axis; i < rank; i++)
        weight[i - axis] = dim[i];
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", "LayerNormalization", 3, random_chance(r, 20) ? 3 : 1);
    node_set_int(b->node, "axis", axis - (random_chance(r, 50) ? rank : 0));
    bench_input(b, 0, t, rank, dim, kind, false);
    bench_input(b, 1, t, rank - axis, weight, kind, true);
    if (random_chance(r, 70))
        bench_input(b, 2, t, rank - axis, weight, kind, true);
    bench_compare(b, t == DT_F64 ? PREC_F64 : PREC_F32);
}

static void run(void (*one)(struct bench *b), uint64_t seed) {
    struct bench b;
    bench_open(&b, seed);
    for (int i = 0; i < 400; i++)
        one(&b);
    bench_close(&b);
}

static void test_batch(void **state) {
    (void)state;
    run(batch_case, 10);
}

static void test_layer(void **state) {
    (void)state;
    run(layer_case, 11);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_batch),
                                        cmocka_unit_test(test_layer) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
