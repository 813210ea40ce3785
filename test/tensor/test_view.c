#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/view.h"

static struct tensor *ramp(enum dtype store, int rank, const int64_t *dim) {
    struct tensor *t;
    assert_int_equal(tensor_new(&t, store, store, rank, dim, NULL), OK);
    for (int64_t i = 0; i < tensor_count(t) && store != DT_STRING; i++)
        tensor_set_i64(t, i, i % 7);
    return t;
}

static uint64_t next_random(uint64_t *s) {
    *s = *s * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *s >> 33;
}

/* The copy has the elements that the definition of a view says, one by one. */
static void check(const struct view *v) {
    struct tensor *t;
    assert_int_equal(view_materialise(&t, v, NULL), OK);
    assert_true(dims_equal(t->dim, t->rank, v->dim, v->rank));
    int64_t n = tensor_count(t), index[MAX_RANK] = { 0 };
    for (int64_t i = 0; i < n; i++) {
        int64_t at = v->offset;
        for (int k = 0; k < v->rank; k++)
            at += index[k] * v->stride[k];
        if (tensor_i64(t, i) != tensor_i64(v->base, at))
            fail_msg("element %d of a %s view is wrong", (int)i, dtype_name(t->store));
        assert_int_equal(view_index(v, i), at);
        for (int k = v->rank - 1; k >= 0 && ++index[k] == v->dim[k]; k--)
            index[k] = 0;
    }
    tensor_free(t);
}

static void test_random_views(void **state) {
    (void)state;
    static const enum dtype stores[] = { DT_U8, DT_I16, DT_F32, DT_F64, DT_I4, DT_U2 };
    uint64_t seed = 1;
    for (int round = 0; round < 600; round++) {
        int64_t dim[5];
        int rank = (int)(next_random(&seed) % 5), perm[5];
        for (int i = 0; i < rank; i++) {
            dim[i] = 1 + (int64_t)(next_random(&seed) % (round % 50 == 0 ? 40 : 6));
            perm[i] = i;
        }
        for (int i = rank - 1; i > 0; i--) {
            int k = (int)(next_random(&seed) % (uint64_t)(i + 1)), swap = perm[i];
            perm[i] = perm[k];
            perm[k] = swap;
        }
        struct tensor *t = ramp(stores[round % 6], rank, dim);
        struct view v = view_of(t), w = view_permute(&v, perm);
        check(&v);
        check(&w);
        if (rank > 0) {
            int axis = (int)(next_random(&seed) % (uint64_t)rank);
            w = view_reverse(&w, axis);
            check(&w);
            if (w.dim[axis] > 2)
                w = view_slice(&w, axis, 1, (w.dim[axis] - 1) / 2, 2);
            check(&w);
        }
        tensor_free(t);
    }
}

/* NumPy: x.reshape of a transposed array copies where these must refuse. */
static void test_reshape(void **state) {
    (void)state;
    struct tensor *t = ramp(DT_I32, 3, (const int64_t[]) { 4, 6, 5 });
    struct view v = view_of(t), w;
    assert_true(view_reshape(&v, 2, (const int64_t[]) { 24, 5 }, &w));
    assert_true(view_reshape(&v, 5, (const int64_t[]) { 2, 2, 1, 3, 10 }, &w));
    check(&w);
    assert_false(view_reshape(&v, 2, (const int64_t[]) { 24, 6 }, &w));
    struct view turned = view_permute(&v, (const int[]) { 2, 0, 1 });
    assert_true(view_reshape(&turned, 2, (const int64_t[]) { 5, 24 }, &w));
    check(&w);
    assert_true(view_reshape(&turned, 3, (const int64_t[]) { 5, 8, 3 }, &w));
    check(&w);
    assert_false(view_reshape(&turned, 2, (const int64_t[]) { 20, 6 }, &w));
    assert_false(view_reshape(&turned, 1, (const int64_t[]) { 120 }, &w));
    tensor_free(t);
    t = ramp(DT_I32, 2, (const int64_t[]) { 0, 3 });
    v = view_of(t);
    assert_true(view_reshape(&v, 2, (const int64_t[]) { 7, 0 }, &w));
    check(&w);
    tensor_free(t);
}

static void test_strings(void **state) {
    (void)state;
    struct tensor *t = ramp(DT_STRING, 2, (const int64_t[]) { 2, 2 }), *u;
    static const char *const words[] = { "a", "b", "c", "d" };
    for (int i = 0; i < 4; i++)
        ((const char **)t->data)[i] = arena_str(tensor_string_arena(t), words[i]);
    assert_int_equal(tensor_transpose(&u, t, (const int[]) { 1, 0 }, NULL), OK);
    tensor_free(t);
    assert_string_equal(((const char **)u->data)[1], "c");
    assert_string_equal(((const char **)u->data)[2], "b");
    tensor_free(u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_views),
        cmocka_unit_test(test_reshape),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
