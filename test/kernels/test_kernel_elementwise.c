/* Elementwise operators and softmax: fast against reference. */
#include "kernels/kernel_test.h"

static enum dtype some_type(struct random *r) {
    return random_chance(r, 50) ? DT_F32 : DT_F64;
}

static void unary_case(struct bench *b, const char *domain, const char *op, enum values kind,
                       int64_t n) {
    enum dtype t = some_type(&b->random);
    bench_begin(b, domain, op, 1, 1);
    for (const struct attr_def *d = b->node->def->attrs; d && d->name; d++)
        if (d->type == ATTR_FLOAT && random_chance(&b->random, 50))
            node_set_float(b->node, d->name,
                           (double)(float)random_value(&b->random, ORDINARY, DT_F32));
    if (strcmp(op, "Gelu") == 0 && !domain[0] && random_chance(&b->random, 50))
        node_set_string(b->node, "approximate", "tanh");
    bench_input(b, 0, t, 1, &n, kind, false);
    bench_compare(b, bench_precision(t));
}

#define NAME(name) #name,
static const char *const unary_names[] = { UNARY_PLAIN(NAME) UNARY_CALLING(NAME) };
static const char *const binary_names[] = { BINARY_PLAIN(NAME) "Sum" };
#undef NAME

static void test_unary(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 4);
    for (size_t i = 0; i < sizeof unary_names / sizeof *unary_names; i++) {
        if (strcmp(unary_names[i], "FastGelu") == 0) /* Gelu's other form */
            continue;
        for (int k = 0; k < 300; k++)
            unary_case(&b, "", unary_names[i], k % VALUES, random_in(&b.random, 0, 70));
        unary_case(&b, "", unary_names[i], WIDE, 40000);
    }
    for (int k = 0; k < 300; k++) {
        unary_case(&b, "com.microsoft", "Gelu", k % VALUES, random_in(&b.random, 0, 600));
        unary_case(&b, "com.microsoft", "QuickGelu", k % VALUES, random_in(&b.random, 0, 600));
    }
    assert_true(b.computed >= 300 * UNARY_COUNT);
    bench_close(&b);
}

static void binary_case(struct bench *b, const char *op) {
    struct random *r = &b->random;
    enum dtype t = some_type(r);
    enum values kind = random_in(r, 0, VALUES - 1);
    int64_t dim[4], p[4], q[4];
    int rank = (int)random_in(r, 0, 4), rp = 0, rq = 0, from_p = (int)random_in(r, 0, rank),
        from_q = (int)random_in(r, 0, rank);
    if (from_p > 0 && from_q > 0)
        from_p = 0;
    if (strcmp(op, "PRelu") == 0) /* only the slope is broadcast */
        from_p = 0;
    for (int i = 0; i < rank; i++) {
        bool one = random_chance(r, 25), which = strcmp(op, "PRelu") != 0 && random_chance(r, 50);
        dim[i] = random_chance(r, 4) ? 0 : random_in(r, 1, i == rank - 1 ? 40 : 7);
        if (i >= from_p)
            p[rp++] = one && which ? 1 : dim[i];
        if (i >= from_q)
            q[rq++] = one && !which ? 1 : dim[i];
    }
    bench_begin(b, "", op, 2, 1);
    bench_input(b, 0, t, rp, p, kind, false);
    struct tensor *second = bench_input(b, 1, t, rq, q, kind, random_chance(r, 30));
    if (strcmp(op, "Pow") == 0 && random_chance(r, 50)) /* the usual exponents */
        for (int64_t i = 0; i < tensor_count(second); i++)
            tensor_set_f64(second, i, (double)random_in(r, -2, 4) / 2);
    bench_compare(b, bench_precision(t));
}

static void test_binary(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 5);
    for (size_t i = 0; i < sizeof binary_names / sizeof *binary_names; i++)
        for (int k = 0; k < 320; k++)
            binary_case(&b, binary_names[i]);
    assert_true(b.computed >= 300 * (BINARY_COUNT + 1));
    bench_close(&b);
}

static void test_clip(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 6);
    for (int i = 0; i < 400; i++) {
        enum dtype t = some_type(&b.random);
        int64_t n = random_in(&b.random, 0, 100);
        enum values kind = random_in(&b.random, 0, VALUES - 1);
        bench_begin(&b, "", "Clip", 3, 1);
        bench_input(&b, 0, t, 1, &n, kind, false);
        for (int k = 1; k < 3; k++)
            if (random_chance(&b.random, 75))
                bench_input(&b, k, t, 0, NULL, kind, true);
        bench_compare(&b, bench_precision(t));
    }
    bench_close(&b);
}

static void test_softmax(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 7);
    for (int i = 0; i < 700; i++) {
        struct random *r = &b.random;
        enum dtype t = some_type(r);
        int rank = (int)random_in(r, 0, 3);
        int64_t dim[3] = { random_in(r, 1, 5), random_in(r, 1, 30),
                           random_chance(r, 20) ? random_in(r, 60, 200) : random_in(r, 1, 20) };
        if (random_chance(r, 3))
            dim[random_in(r, 0, 2)] = 0;
        bench_begin(&b, "", i % 2 ? "LogSoftmax" : "Softmax", 1, 1);
        node_set_int(b.node, "axis", rank ? random_in(r, -rank, rank - 1) : 0);
        bench_input(&b, 0, t, rank, dim,
                    random_chance(r, 60) ? ORDINARY : (enum values)random_in(r, 0, VALUES - 1),
                    false);
        bench_compare(&b, bench_precision(t));
    }
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
