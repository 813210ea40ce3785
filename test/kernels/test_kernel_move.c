/* Gather and Concat: fast against reference. */
#include "kernels/kernel_test.h"

static enum dtype any_type(struct random *r) {
    static const enum dtype types[] = { DT_F32, DT_F64, DT_I64, DT_I32, DT_I16, DT_U8, DT_BOOL };
    return types[random_in(r, 0, 6)];
}

static void gather_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = any_type(r), index = random_chance(r, 50) ? DT_I64 : DT_I32;
    int rank = (int)random_in(r, 1, 4), axis = (int)random_in(r, 0, rank - 1),
        more = (int)random_in(r, 0, 2);
    int64_t dim[4], n[2];
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, random_chance(r, 8) ? 120 : 9);
    for (int i = 0; i < more; i++)
        n[i] = random_chance(r, 3) ? 0 : random_in(r, 1, 30);
    bench_begin(b, "", "Gather", 2, 1);
    node_set_int(b->node, "axis", axis - (random_chance(r, 50) ? rank : 0));
    bench_input(b, 0, t, rank, dim, ORDINARY, false);
    struct tensor *at = bench_input(b, 1, index, more, n, ORDINARY, false);
    for (int64_t i = 0; i < tensor_count(at); i++)
        tensor_set_i64(at, i,
                       dim[axis] && !random_chance(r, 1) ? random_in(r, -dim[axis], dim[axis] - 1)
                                                         : 200);
    bench_compare(b, bench_precision(t));
}

static void concat_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = any_type(r);
    int rank = (int)random_in(r, 1, 4), axis = (int)random_in(r, 0, rank - 1),
        n = (int)random_in(r, 1, 6);
    int64_t dim[4];
    for (int i = 0; i < rank; i++)
        dim[i] = random_chance(r, 3) ? 0 : random_in(r, 1, random_chance(r, 10) ? 150 : 9);
    bench_begin(b, "", "Concat", n, 1);
    node_set_int(b->node, "axis", axis - (random_chance(r, 50) ? rank : 0));
    for (int i = 0; i < n; i++) {
        dim[axis] = random_chance(r, 5) ? 0 : random_in(r, 1, random_chance(r, 10) ? 500 : 9);
        bench_input(b, i, t, rank, dim, ORDINARY, false);
    }
    bench_compare(b, bench_precision(t));
}

BENCH_TEST(test_gather, gather_case, 40, 500)
BENCH_TEST(test_concat, concat_case, 41, 500)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_gather),
                                        cmocka_unit_test(test_concat) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
