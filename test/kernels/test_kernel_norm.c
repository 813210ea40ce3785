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
    bench_compare(b, bench_precision(t));
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
    bench_compare(b, bench_precision(t));
}

/* By instance, by group, with statistics, with a broadcast weight. */
static void instance_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    bool last = random_chance(r, 50), groups = random_chance(r, 50);
    int rank = (int)random_in(r, 3, 5);
    int64_t dim[5], count = groups ? random_in(r, 1, 7) : 1,
                    channels = count * random_in(r, 1, groups ? 5 : 30);
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 2) ? 0 : random_in(r, 1, 9);
    dim[last ? rank - 1 : 1] = channels;
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", groups ? "GroupNormalization" : "InstanceNormalization", 3, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    if (groups)
        node_set_int(b->node, "num_groups", count);
    bench_input(b, 0, t, rank, dim, kind, false);
    for (int i = 1; i < 3; i++)
        bench_input(b, i, t, 1, &channels, kind, true);
    bench_compare(b, bench_precision(t));
}

static void rows_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    int rank = (int)random_in(r, 1, 4), axis = (int)random_in(r, 0, rank - 1);
    int64_t dim[4], weight[4];
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 2) ? 0 : random_in(r, 1, 15);
    for (int i = axis; i < rank; i++)
        weight[i - axis] = random_chance(r, 20) ? 1 : dim[i];
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bool rms = random_chance(r, 60);
    bench_begin(b, "", rms ? "RMSNormalization" : "LpNormalization", rms ? 2 : 1, 1);
    node_set_int(b->node, "axis", axis - (random_chance(r, 50) ? rank : 0));
    if (!rms)
        node_set_int(b->node, "p", random_in(r, 1, 2));
    bench_input(b, 0, t, rank, dim, kind, false);
    if (rms)
        bench_input(b, 1, t, rank - axis, weight, kind, true);
    bench_compare(b, bench_precision(t));
}

/* The mean over any axes; training, whose statistics are outputs. */
static void moments_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    bool training = random_chance(r, 50);
    int rank = (int)random_in(r, 2, 4), count = 0;
    int64_t dim[4], axes[4];
    for (int i = 0; i < rank; i++) {
        dim[i] = random_in(r, 1, 9);
        if (random_chance(r, 60))
            axes[count++] = i;
    }
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", training ? "BatchNormalization" : "MeanVarianceNormalization",
                training ? 5 : 1, training ? 3 : 1);
    bench_input(b, 0, t, rank, dim, kind, false);
    if (training)
        node_set_int(b->node, "training_mode", 1);
    else
        bench_ints(b, "axes", count, axes);
    for (int i = 1; training && i < 5; i++)
        bench_input(b, i, t, 1, &dim[1], kind, true);
    bench_compare(b, bench_precision(t));
}

/* Across channels, which come first or last. */
static void lrn_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    bool last = random_chance(r, 50);
    int rank = (int)random_in(r, 2, 5);
    int64_t dim[5];
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 2) ? 0 : random_in(r, 1, i == rank - 1 ? 40 : 8);
    enum values kind = (enum values)random_in(r, 0, VALUES - 1);
    bench_begin(b, "", "LRN", 1, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    node_set_int(b->node, "size", random_in(r, 1, random_chance(r, 5) ? 80 : 9));
    if (random_chance(r, 60)) {
        node_set_float(b->node, "alpha", (double)random_in(r, -10, 1000) / 1000);
        node_set_float(b->node, "beta", (double)random_in(r, -4, 8) / 4);
        node_set_float(b->node, "bias", (double)random_in(r, 0, 8) / 4);
    }
    bench_input(b, 0, t, rank, dim, kind, false);
    bench_compare(b, bench_precision(t));
}

BENCH_TEST(test_lrn, lrn_case, 15, 500)
BENCH_TEST(test_instance, instance_case, 12, 700)
BENCH_TEST(test_rows, rows_case, 13, 800)
BENCH_TEST(test_moments, moments_case, 14, 700)
BENCH_TEST(test_batch, batch_case, 10, 400)
BENCH_TEST(test_layer, layer_case, 11, 400)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),    cmocka_unit_test(test_layer),
        cmocka_unit_test(test_instance), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_moments),  cmocka_unit_test(test_lrn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
