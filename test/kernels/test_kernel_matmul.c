/* Matrix products: fast against reference. */
#include "kernels/kernel_test.h"

enum { CASES = 350 };

static int64_t some_size(struct random *r) {
    if (random_chance(r, 4))
        return 0;
    return random_chance(r, 50) ? random_in(r, 1, 9) : random_in(r, 1, 110);
}

static void matmul_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_in(r, 0, VALUES - 1);
    int64_t m = some_size(r), k = random_chance(r, 8) ? 700 : some_size(r), n = some_size(r);
    int64_t lead[2] = { random_in(r, 1, 3), random_in(r, 1, 3) }, a[4], c[4];
    int ra = 0, rb = 0, la = (int)random_in(r, 0, 2), lb = (int)random_in(r, 0, 2);
    bool a_vector = random_chance(r, 10), b_vector = random_chance(r, 10);
    for (int i = 2 - la; i < 2 && !a_vector; i++)
        a[ra++] = random_chance(r, 20) ? 1 : lead[i];
    for (int i = 2 - lb; i < 2 && !b_vector; i++)
        c[rb++] = random_chance(r, 20) ? 1 : lead[i];
    if (!a_vector)
        a[ra++] = m;
    a[ra++] = k;
    c[rb++] = k;
    if (!b_vector)
        c[rb++] = n;
    bench_begin(b, "", "MatMul", 2, 1);
    bench_input(b, 0, t, ra, a, kind, false);
    bench_input(b, 1, t, rb, c, kind, random_chance(r, 50));
    bench_compare(b, bench_precision(t));
}

static void gemm_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_in(r, 0, VALUES - 1);
    int64_t m = some_size(r), k = random_chance(r, 8) ? 700 : some_size(r), n = some_size(r);
    bool ta = random_chance(r, 50), tb = random_chance(r, 50);
    int64_t a[2] = { ta ? k : m, ta ? m : k }, c[2] = { tb ? n : k, tb ? k : n };
    int64_t start[2] = { random_chance(r, 50) ? 1 : m, random_chance(r, 30) ? 1 : n };
    int rank = (int)random_in(r, 0, 2);
    bench_begin(b, "", "Gemm", 3, 1);
    node_set_int(b->node, "transA", ta);
    node_set_int(b->node, "transB", tb);
    if (random_chance(r, 30))
        node_set_float(b->node, "alpha", 0.3);
    if (random_chance(r, 30))
        node_set_float(b->node, "beta", -1.7);
    bench_input(b, 0, t, 2, a, kind, false);
    bench_input(b, 1, t, 2, c, kind, random_chance(r, 50));
    if (random_chance(r, 70))
        bench_input(b, 2, t, rank, start + 2 - rank, kind, true);
    bench_compare(b, bench_precision(t));
}

BENCH_TEST(test_matmul, matmul_case, 2, CASES)
BENCH_TEST(test_gemm, gemm_case, 3, CASES)

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_matmul),
                                        cmocka_unit_test(test_gemm) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
