/* The pool: every task runs once, on any number of threads. Under ThreadSanitizer this is the proof
 * of its locking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

enum { TASKS = 1000 };

struct job {
    int ran[TASKS]; /* plain: each is written by one task, and read after the run */
    _Atomic int total;
};

static void count(void *arg, size_t i) {
    struct job *j = arg;
    j->ran[i]++;
    atomic_fetch_add(&j->total, 1);
}

static void test_each_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p = pool_new(threads);
        assert_int_equal(pool_threads(p), threads);
        struct job *j = calloc(1, sizeof *j);
        static const size_t sizes[] = { 0, 1, 2, 3, 17, TASKS };
        int rounds = 0;
        for (int repeat = 0; repeat < 60; repeat++) {
            size_t n = sizes[repeat % 6];
            atomic_store(&j->total, 0);
            pool_run(p, n, count, j);
            assert_int_equal(atomic_load(&j->total), n);
            rounds += n == TASKS;
        }
        assert_int_equal(j->ran[TASKS - 1], rounds);
        free(j);
        pool_free(p);
    }
    pool_free(NULL);
}

/* Results do not depend on who computes them. */
static void square(void *arg, size_t i) {
    double *x = arg;
    for (int k = 0; k < 50; k++)
        x[i] = x[i] * 1.0000001 + 0.1;
}

static void test_same_bits(void **state) {
    (void)state;
    double one[TASKS], many[TASKS];
    for (int i = 0; i < TASKS; i++)
        one[i] = many[i] = i / 7.0;
    struct pool *p = pool_new(3);
    pool_run(NULL, TASKS, square, one);
    pool_run(p, TASKS, square, many);
    pool_free(p);
    assert_memory_equal(one, many, sizeof one);
}

/* A pool that never ran, and one that rests between runs long enough for its workers to stop
 * spinning. */
static void test_rest(void **state) {
    (void)state;
    pool_free(pool_new(4));
    struct pool *p = pool_new(2);
    struct job *j = calloc(1, sizeof *j);
    for (int i = 0; i < 5; i++) {
        pool_run(p, 8, count, j);
        for (volatile int spin = 0; spin < 2000000; spin++)
            ;
    }
    assert_int_equal(atomic_load(&j->total), 40);
    free(j);
    pool_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
