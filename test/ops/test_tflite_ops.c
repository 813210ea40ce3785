/* Operators of the domain "tflite" that the stored cases (test/data/tflite) leave out, and what
 * they refuse. Expected values: TensorFlow's documentation of the operators, or worked by hand. */
#include "ops/one_node.h"

static struct tensor *array(struct one_node *t, enum dtype dtype, int rank, const int64_t *dim,
                            const double *v) {
    struct tensor *x = tensor_in_arena(t->arena, dtype, dtype, rank, dim);
    for (int64_t i = 0; i < tensor_count(x); i++)
        tensor_set_f64(x, i, v[i]);
    return x;
}
#define DIMS(...)                                                               \
    (int)(sizeof((int64_t[]) { __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]) { \
        __VA_ARGS__                                                             \
    }
#define INTS(t, n, ...) array(t, DT_I32, 1, (int64_t[]) { n }, (double[]) { __VA_ARGS__ })

static struct tensor *ramp(struct one_node *t, int rank, const int64_t *dim) {
    struct tensor *x = tensor_in_arena(t->arena, DT_F32, DT_F32, rank, dim);
    for (int64_t i = 0; i < tensor_count(x); i++)
        tensor_set_f64(x, i, (double)i);
    return x;
}

/* tf.math.segment_sum: c = [[1,2,3,4],[4,3,2,1],[5,6,7,8]], ids [0, 0, 1] -> [[5,5,5,5],[5,6,7,8]].
 */
static void segment_sum(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "tflite", "SEGMENT_SUM", 2, 1);
    t.in[0] = array(&t, DT_F32, DIMS(3, 4), (double[]) { 1, 2, 3, 4, 4, 3, 2, 1, 5, 6, 7, 8 });
    t.in[1] = INTS(&t, 3, 0, 0, 1);
    static const double want[] = { 5, 5, 5, 5, 5, 6, 7, 8 };
    for (int p = 0; p < 2; p++) {
        assert_int_equal(one_node_run(&t, p ? PREC_F32 : PREC_F64), OK);
        assert_true(dims_equal(t.out[0]->dim, t.out[0]->rank, (int64_t[]) { 2, 4 }, 2));
        for (int i = 0; i < 8; i++)
            assert_true(tensor_f64(t.out[0], i) == want[i]);
    }
    t.in[1] = INTS(&t, 3, 0, 1, 0); /* must not go back */
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

static void table_find(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "tflite", "HASHTABLE_FIND", 4, 1);
    t.in[0] = INTS(&t, 3, 7, 5, 9);
    t.in[1] = INTS(&t, 2, 5, 7);
    t.in[2] = INTS(&t, 2, 50, 70);
    t.in[3] = array(&t, DT_I32, 0, NULL, (double[]) { -1 });
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    assert_int_equal(tensor_i64(t.out[0], 0), 70);
    assert_int_equal(tensor_i64(t.out[0], 1), 50);
    assert_int_equal(tensor_i64(t.out[0], 2), -1);
    t.in[2] = INTS(&t, 1, 50);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

/* The numbers are calque's own: in range, spread, and the same for the same seed. */
static void random_numbers(void **state) {
    (void)state;
    static const char *const names[] = { "RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL" };
    for (int k = 0; k < 2; k++) {
        struct one_node t;
        one_node_open(&t, "tflite", names[k], 1, 1);
        t.in[0] = INTS(&t, 2, 40, 50);
        assert_int_equal(one_node_run(&t, PREC_F64), OK);
        double sum = 0, squares = 0, first = tensor_f64(t.out[0], 0);
        for (int64_t i = 0; i < 2000; i++) {
            double v = tensor_f64(t.out[0], i);
            assert_true(k || (v >= 0 && v < 1));
            sum += v;
            squares += v * v;
        }
        double mean = sum / 2000, variance = squares / 2000 - mean * mean;
        assert_true(mean > (k ? -0.1 : 0.46) && mean < (k ? 0.1 : 0.54));
        assert_true(variance > (k ? 0.9 : 0.07) && variance < (k ? 1.1 : 0.1));
        assert_int_equal(one_node_run(&t, PREC_F64), OK);
        assert_true(tensor_f64(t.out[0], 0) == first);
        one_node_close(&t);
    }
}

/* Handles only name a resource that the reader has followed; assigning gives nothing. */
static void resources(void **state) {
    (void)state;
    static const char *const handles[] = { "VAR_HANDLE", "HASHTABLE" };
    static const char *const assigns[] = { "ASSIGN_VARIABLE", "HASHTABLE_IMPORT" };
    for (int k = 0; k < 2; k++) {
        struct one_node t;
        one_node_open(&t, "tflite", handles[k], 0, 1);
        assert_int_equal(one_node_run(&t, PREC_F64), OK);
        assert_int_equal(tensor_count(t.out[0]), 1);
        one_node_close(&t);
        one_node_open(&t, "tflite", assigns[k], 2 + k, 0);
        for (int i = 0; i < 2 + k; i++)
            t.in[i] = INTS(&t, 1, 1);
        assert_int_equal(one_node_run(&t, PREC_F64), OK);
        one_node_close(&t);
    }
    assert_ptr_equal(op_find("tflite", "STABLEHLO_WHILE")->eval, op_find("tflite", "WHILE")->eval);
    assert_ptr_equal(op_find("tflite", "CALL")->eval,
                     op_find("tflite", "STABLEHLO_COMPOSITE")->eval);
}

/* Lists and indices that lie outside are refused with a reason. */
static void refused(void **state) {
    (void)state;
    static const struct {
        const char *op;
        int n_in;
        double list[3][4]; /* inputs 1, 2, 3 */
        int n;
    } cases[] = {
        { "SLICE", 3, { { 0, 5 }, { 1, 1 } }, 2 },
        { "SLICE", 3, { { 0, 0 }, { 1, 9 } }, 2 },
        { "STRIDED_SLICE", 4, { { 0, 0 }, { 2, 2 }, { 1, 0 } }, 2 },
        { "MIRROR_PAD", 2, { { 0, 0, 0, 9 } }, 4 },
        { "SPACE_TO_BATCH_ND", 3, { { 2 }, { 0, 0 } }, 1 },
        { "DILATE", 3, { { 0, 1 }, { 0 } }, 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct one_node t;
        one_node_open(&t, "tflite", cases[i].op, cases[i].n_in, 1);
        t.in[0] = ramp(&t, DIMS(4, 5));
        for (int k = 1; k < cases[i].n_in; k++)
            t.in[k] = array(&t, DT_I32, 1, (int64_t[]) { cases[i].n }, cases[i].list[k - 1]);
        assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
        assert_true(t.err.what[0] != '\0');
        one_node_close(&t);
    }
}

static void index_outside(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "tflite", "GATHER", 2, 1);
    t.in[0] = ramp(&t, DIMS(2, 3));
    t.in[1] = array(&t, DT_I32, DIMS(2, 1), (double[]) { 0, 3 });
    node_set_int(t.node, "axis", 1);
    node_set_int(t.node, "batch_dims", 1);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
    one_node_open(&t, "tflite", "SCATTER_ND", 3, 1);
    t.in[0] = array(&t, DT_I32, DIMS(1, 1), (double[]) { 4 });
    t.in[1] = ramp(&t, DIMS(1));
    t.in[2] = INTS(&t, 1, 4);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_sum),    cmocka_unit_test(table_find),
        cmocka_unit_test(random_numbers), cmocka_unit_test(resources),
        cmocka_unit_test(refused),        cmocka_unit_test(index_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
