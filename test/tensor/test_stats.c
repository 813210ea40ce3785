#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/stats.h"

static struct tensor *made(enum dtype store, const double *v, int64_t n) {
    struct tensor *t;
    assert_int_equal(tensor_new(&t, store, store, 1, &n, NULL), OK);
    tensor_store_f64(t, 0, n, v);
    return t;
}

static void test_by_hand(void **state) {
    (void)state;
    struct tensor *t =
        made(DT_F32, (const double[]) { 3, -5, 0, NAN, INFINITY, 2, -0.0, -INFINITY }, 8);
    struct stats s = stats_of(t);
    assert_int_equal(s.count, 8);
    assert_int_equal(s.finite, 5);
    assert_int_equal(s.nan, 1);
    assert_int_equal(s.infinite, 2);
    assert_int_equal(s.zero, 2);
    assert_true(s.min == -5 && s.max == 3 && s.mean == 0);
    assert_true(s.rms == sqrt(38.0 / 5));
    assert_int_equal(s.worst_index, 1);
    tensor_free(t);
    t = made(DT_F64, NULL, 0);
    s = stats_of(t);
    assert_int_equal(s.worst_index, -1);
    assert_true(s.mean == 0 && s.rms == 0);
    tensor_free(t);
}

/* A plain left-to-right float64 sum of 0.1 loses 1e-6 here; in pairs the mean is right to the last
 * places. */
static void test_sum_in_pairs(void **state) {
    (void)state;
    int64_t n = 3000001;
    struct tensor *t;
    assert_int_equal(tensor_new(&t, DT_F64, DT_F64, 1, &n, NULL), OK);
    for (int64_t i = 0; i < n; i++)
        ((double *)t->data)[i] = 0.1;
    struct stats s = stats_of(t);
    assert_true(fabs(s.mean - 0.1) < 1e-15);
    assert_true(fabs(s.rms - 0.1) < 1e-15);
    tensor_free(t);
}

enum { N = 5000 };

static void test_sketch(void **state) {
    (void)state;
    double v[N], w[N];
    uint64_t r = 7;
    for (int i = 0; i < N; i++) {
        r = r * UINT64_C(6364136223846793005) + 1442695040888963407;
        v[i] = (double)(int64_t)r / 1e18;
    }
    v[17] = -0.0;
    memcpy(w, v, sizeof w);
    for (int i = N - 1; i > 0; i--) {
        r = r * UINT64_C(6364136223846793005) + 1442695040888963407;
        int k = (int)((r >> 33) % (uint64_t)(i + 1));
        double swap = w[i];
        w[i] = w[k];
        w[k] = swap;
    }
    struct tensor *a = made(DT_F64, v, N), *b = made(DT_F64, w, N);
    struct sketch x, y;
    assert_int_equal(sketch_of(&x, a, NULL), OK);
    assert_int_equal(sketch_of(&y, b, NULL), OK);
    assert_memory_equal(&x, &y, sizeof x);
    assert_true(sketch_distance(&x, &y) == 0);
    struct stats s = stats_of(a);
    assert_true(x.order[0] == s.min && x.order[SKETCH_ORDERS - 1] == s.max);
    for (int k = 0; k < SKETCH_ORDERS; k++) { /* (n-1)*k/8 values are smaller */
        int below = 0;
        for (int i = 0; i < N; i++)
            below += v[i] < x.order[k];
        assert_int_equal(below, (N - 1) * k / 8);
    }
    tensor_set_f64(b, 100, tensor_f64(b, 100) * (1 + 1e-9));
    assert_int_equal(sketch_of(&y, b, NULL), OK);
    assert_true(sketch_distance(&x, &y) > 0 && sketch_distance(&x, &y) < 1e-8);
    tensor_set_f64(b, 100, 1000);
    assert_int_equal(sketch_of(&y, b, NULL), OK);
    assert_true(sketch_distance(&x, &y) > 0.1);
    tensor_set_f64(b, 100, NAN);
    assert_int_equal(sketch_of(&y, b, NULL), OK);
    assert_true(isinf(sketch_distance(&x, &y)));
    tensor_free(a);
    tensor_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_sum_in_pairs),
        cmocka_unit_test(test_sketch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
