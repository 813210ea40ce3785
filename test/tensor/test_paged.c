/* Memory of a temporary file keeps what is written to it, whatever is sent away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tensor/tensor.h"

enum { BLOCKS = 40, BLOCK = 300000 };

static unsigned char bytes[BLOCK];

static void contents_outlive_being_sent_away(void **state) {
    (void)state;
    struct paged *p = paged_new((size_t)1 << 20); /* of 12 MB */
    struct paged_block *b[BLOCKS];
    unsigned char *data[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        void *at;
        memset(bytes, i + 1, BLOCK);
        b[i] = paged_store(p, bytes, BLOCK, &at);
        assert_non_null(b[i]);
        data[i] = at;
    }
    for (int i = 0; i < BLOCKS; i += 3) {
        paged_touch(b[i]);
        data[i][0] = (unsigned char)(i + 1);
    }
    paged_rest(p);
    for (int i = 0; i < BLOCKS; i++)
        for (int k = 0; k < BLOCK; k += 997)
            assert_int_equal(data[i][k], i + 1);
    paged_drop(p); /* the blocks hold it */
    for (int i = 0; i < BLOCKS; i++)
        paged_give(b[i]);
}

static void freed_blocks_are_taken_again(void **state) {
    (void)state;
    struct paged *p = paged_new((size_t)1 << 20);
    void *first, *second;
    struct paged_block *b = paged_store(p, bytes, BLOCK, &first);
    paged_give(b);
    b = paged_store(p, bytes, BLOCK - 5000, &second);
    assert_ptr_equal(first, second);
    paged_give(b);
    paged_drop(p);
}

static void tensors_move_there_and_keep_their_elements(void **state) {
    (void)state;
    struct paged *p = paged_new((size_t)1 << 20);
    struct recycler *r = recycler_new(p);
    paged_drop(p);
    int64_t dim[2] = { 1000, 200 }, small = 10;
    struct tensor *t, *s;
    assert_int_equal(tensor_new(&t, DT_F32, DT_F64, 2, dim, NULL), OK);
    assert_int_equal(tensor_new_from(&s, r, true, DT_F64, DT_F64, 1, &small, NULL), OK);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_f64(t, i, (double)i);
    tensor_to_paged(t, r);
    tensor_touch(t);
    tensor_touch(s);
    struct tensor *alias = tensor_alias(t);
    tensor_free(t);
    for (int64_t i = 0; i < tensor_count(alias); i++)
        assert_true(tensor_f64(alias, i) == (double)i);
    assert_int_equal(alias->dtype, DT_F32);
    tensor_free(alias);
    tensor_free(s);
    recycler_drop(r);
}

/* A tensor that must be zero is, though its block was used before. */
static void cleared_tensors_are_zero(void **state) {
    (void)state;
    struct paged *p = paged_new((size_t)1 << 20);
    struct recycler *r = recycler_new(p);
    paged_drop(p);
    int64_t n = 100000; /* few enough bytes to be kept */
    struct tensor *t;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tensor_new_from(&t, r, true, DT_F64, DT_F64, 1, &n, NULL), OK);
        for (int64_t k = 0; k < n; k++) {
            assert_true(tensor_f64(t, k) == 0);
            tensor_set_f64(t, k, 7);
        }
        tensor_free(t);
        if (i == 1)
            recycler_rest(r);
    }
    recycler_drop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_outlive_being_sent_away),
        cmocka_unit_test(freed_blocks_are_taken_again),
        cmocka_unit_test(tensors_move_there_and_keep_their_elements),
        cmocka_unit_test(cleared_tensors_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
