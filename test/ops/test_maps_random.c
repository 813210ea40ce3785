/* Operators on maps by the specification's examples, and random numbers by their moments. */
#include "one_node.h"

#include <math.h>

static struct tensor *make_map(struct arena *a) {
    static const char *const keys[] = { "a", "c" };
    struct tensor *map = NEW(a, struct tensor);
    *map = (struct tensor) { .kind = KIND_MAP,
                             .dtype = DT_F32,
                             .store = DT_F32,
                             .n_items = 2,
                             .items = NEW_ARRAY(a, 2, struct tensor *) };
    map->items[0] = tensor_in_arena(a, DT_STRING, DT_STRING, 1, (int64_t[]) { 2 });
    memcpy(map->items[0]->data, keys, sizeof keys);
    map->items[1] = tensor_vec_f32(a, (float[]) { 4, 8 }, 2);
    return map;
}

/* ["a", "c", "b", "z"] and {"a": 4, "c": 8} give [4, 8, 0, 0]. */
static void dict_vectorizer(void **state) {
    (void)state;
    static const char *const words[] = { "a", "c", "b", "z" };
    static const double expected[] = { 4, 8, 0, 0 };
    struct one_node t;
    one_node_open(&t, "ai.onnx.ml", "DictVectorizer", 1, 1);
    struct attr *a = node_set_attr(t.node, "string_vocabulary", ATTR_STRINGS);
    a->strings = words;
    a->n = 4;
    t.in[0] = make_map(t.arena);
    if (one_node_run(&t, PREC_F32) != OK)
        fail_msg("%s", t.err.what);
    assert_int_equal(tensor_count(t.out[0]), 4);
    for (int i = 0; i < 4; i++)
        assert_true(tensor_f64(t.out[0], i) == expected[i]);
    one_node_close(&t);
}

static void zip_and_cast_map(void **state) {
    (void)state;
    struct one_node t, u;
    one_node_open(&t, "ai.onnx.ml", "ZipMap", 1, 1);
    node_set_ints(t.node, "classlabels_int64s", (int64_t[]) { 7, 3 }, 2);
    t.in[0] = tensor_in_arena(t.arena, DT_F32, DT_F32, 2, (int64_t[]) { 2, 2 });
    for (int i = 0; i < 4; i++)
        tensor_set_f64(t.in[0], i, i + 0.5);
    if (one_node_run(&t, PREC_F32) != OK)
        fail_msg("%s", t.err.what);
    assert_int_equal(t.out[0]->kind, KIND_SEQUENCE);
    assert_int_equal(t.out[0]->n_items, 2);
    const struct tensor *second = t.out[0]->items[1];
    assert_int_equal(tensor_i64(second->items[0], 1), 3);
    assert_true(tensor_f64(second->items[1], 1) == 3.5);
    /* The values in ascending order of their keys: 3 comes first. */
    one_node_open(&u, "ai.onnx.ml", "CastMap", 1, 1);
    u.in[0] = t.out[0]->items[1];
    assert_int_equal(one_node_run(&u, PREC_F32), OK);
    assert_int_equal(tensor_count(u.out[0]), 2);
    assert_true(tensor_f64(u.out[0], 0) == 3.5 && tensor_f64(u.out[0], 1) == 2.5);
    one_node_close(&u);
    one_node_close(&t);
}

/* Mean and variance of 20000 numbers within five standard errors. */
static void check_moments(const char *op, double mean, double variance) {
    static const int64_t n = 20000;
    struct one_node t;
    bool like = strstr(op, "Like") != NULL;
    one_node_open(&t, "", op, like, 1);
    if (like)
        t.in[0] = tensor_in_arena(t.arena, DT_F32, DT_F32, 1, &n);
    else
        node_set_ints(t.node, "shape", &n, 1);
    node_set_float(t.node, "seed", 3);
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = tensor_f64(t.out[0], i);
        sum += v;
        squares += (v - mean) * (v - mean);
    }
    double first = tensor_f64(t.out[0], 0), error = 5 * sqrt(variance / (double)n);
    assert_true(fabs(sum / (double)n - mean) < error);
    assert_true(fabs(squares / (double)n - variance) < 0.06 * variance);
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    assert_true(tensor_f64(t.out[0], 0) == first); /* the same seed, the same numbers */
    one_node_close(&t);
}

static void random_numbers(void **state) {
    (void)state;
    check_moments("RandomNormal", 0, 1);
    check_moments("RandomNormalLike", 0, 1);
    check_moments("RandomUniform", 0.5, 1.0 / 12);
    check_moments("RandomUniformLike", 0.5, 1.0 / 12);
}

/* Classes of log-probabilities log(1), log(3): the second three times as often. */
static void multinomial(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Multinomial", 1, 1);
    node_set_int(t.node, "sample_size", 10000);
    t.in[0] = tensor_in_arena(t.arena, DT_F32, DT_F32, 2, (int64_t[]) { 1, 2 });
    tensor_set_f64(t.in[0], 1, log(3));
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    assert_int_equal(t.out[0]->dtype, DT_I32);
    double sum = 0;
    for (int64_t i = 0; i < 10000; i++)
        sum += tensor_f64(t.out[0], i);
    assert_true(fabs(sum / 10000 - 0.75) < 0.025);
    one_node_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dict_vectorizer),
        cmocka_unit_test(zip_and_cast_map),
        cmocka_unit_test(random_numbers),
        cmocka_unit_test(multinomial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
