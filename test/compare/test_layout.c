/* Views between layouts: found from contents, applied and undone. Expected values are worked by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "compare/layout.h"

static struct tensor *array(int rank, const int64_t *dim, const double *v) {
    struct tensor *t;
    assert_int_equal(tensor_new(&t, DT_F32, DT_F64, rank, dim, NULL), OK);
    memcpy(t->data, v, tensor_bytes(t));
    return t;
}

/* [1,2,2,3] channels first and the same numbers channels last. */
static const double first[12] = { 1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60 };
static const double last[12] = { 1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60 };

static bool find(const struct tensor *s, const struct tensor *t, struct layout_match *m) {
    return layout_find(&s, &t, 1, layout_scale(&s, 1), 1e-9, NULL, 0, m);
}

static void channels_last(void **state) {
    (void)state;
    const int64_t nchw[] = { 1, 2, 2, 3 }, nhwc[] = { 1, 2, 3, 2 }, flat[] = { 1, 12 };
    struct tensor *s = array(4, nchw, first), *t = array(4, nhwc, last), *f = array(2, flat, last),
                  *back;
    struct layout_match m;
    assert_true(find(s, t, &m));
    assert_false(m.view.identity);
    assert_true(m.max_abs == 0);
    assert_int_equal(layout_undo(&back, t, &m.view, 4, nchw, NULL), OK);
    assert_memory_equal(back->data, s->data, sizeof first);
    tensor_free(back);
    /* flattened channels last: a permutation and a reshape */
    assert_true(find(s, f, &m));
    assert_int_equal(layout_apply(&back, s, &m.view, 2, flat, NULL), OK);
    assert_memory_equal(back->data, f->data, sizeof last);
    tensor_free(back);
    tensor_free(s);
    tensor_free(t);
    tensor_free(f);
}

static void other_numbers(void **state) {
    (void)state;
    const int64_t dim[] = { 2, 6 };
    double near[12], off[12];
    for (int i = 0; i < 12; i++) {
        near[i] = first[i] * (1 + 1e-13);
        off[i] = first[i];
    }
    off[7] += 0.5;
    struct tensor *s = array(2, dim, first), *a = array(2, dim, near), *b = array(2, dim, off);
    struct layout_match m;
    assert_true(find(s, a, &m) && m.view.identity);
    assert_false(find(s, b, &m));
    tensor_free(s);
    tensor_free(a);
    tensor_free(b);
}

static void masks_do_not_widen(void **state) {
    (void)state;
    const int64_t dim[] = { 12 };
    double masked[12];
    memcpy(masked, first, sizeof masked);
    masked[3] = -1e9;
    struct tensor *s = array(1, dim, masked);
    const struct tensor *c = s;
    assert_true(layout_scale(&c, 1) < 1000);
    tensor_free(s);
}

/* Half of the elements are masked, by a number or by the least one there is. */
static void many_masks_do_not_widen(void **state) {
    (void)state;
    const int64_t dim[] = { 12 };
    double masked[12];
    const double stand_in[] = { -1e9, -3.4028234663852886e38, -1e4 };
    for (int k = 0; k < 3; k++) {
        memcpy(masked, first, sizeof masked);
        for (int i = 1; i < 12; i += 2)
            masked[i] = stand_in[k];
        for (int i = 0; i < 12; i += 2)
            masked[i] = 1e-2 * (1 + i);
        struct tensor *s = array(1, dim, masked);
        const struct tensor *c = s;
        assert_true(layout_scale(&c, 1) < 1000);
        tensor_free(s);
    }
    /* large numbers that vary are no mask */
    for (int i = 0; i < 12; i++)
        masked[i] = i % 2 ? 1e9 * i : 1;
    struct tensor *s = array(1, dim, masked);
    const struct tensor *c = s;
    assert_true(layout_scale(&c, 1) > 1e9);
    tensor_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(channels_last),
                                        cmocka_unit_test(other_numbers),
                                        cmocka_unit_test(masks_do_not_widen),
                                        cmocka_unit_test(many_masks_do_not_widen) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
