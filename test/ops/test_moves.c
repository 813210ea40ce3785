/* Data movement: expected values are numpy's (reshape, transpose, slicing, pad, take) for small
 * arrays. */
#include "ops/one_node.h"

static struct tensor *ramp(struct one_node *t, int rank, const int64_t *dim) {
    struct tensor *x = tensor_in_arena(t->arena, DT_F32, DT_F32, rank, dim);
    for (int64_t i = 0; i < tensor_count(x); i++)
        tensor_set_f64(x, i, (double)i);
    return x;
}

static struct tensor *list(struct one_node *t, int64_t n, const int64_t *v) {
    return tensor_vec_i64(t->arena, v, n);
}
#define LIST(t, ...)                                                          \
    list(t, (int64_t)(sizeof((int64_t[]) { __VA_ARGS__ }) / sizeof(int64_t)), \
         (int64_t[]) { __VA_ARGS__ })
#define DIMS(...)                                                               \
    (int)(sizeof((int64_t[]) { __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]) { \
        __VA_ARGS__                                                             \
    }
#define VALUES(...)                                                          \
    (int)(sizeof((double[]) { __VA_ARGS__ }) / sizeof(double)), (double[]) { \
        __VA_ARGS__                                                          \
    }

static void expect(const struct tensor *y, int rank, const int64_t *dim, int n, const double *v) {
    assert_non_null(y);
    assert_true(dims_equal(y->dim, y->rank, dim, rank));
    assert_int_equal(tensor_count(y), n);
    for (int i = 0; i < n; i++)
        assert_true(tensor_f64(y, i) == v[i]);
}

/* In both precisions. */
static void check(struct one_node *t, int out, int rank, const int64_t *dim, int n,
                  const double *v) {
    assert_int_equal(one_node_run(t, PREC_F64), OK);
    expect(t->out[out], rank, dim, n, v);
    assert_int_equal(one_node_run(t, PREC_F32), OK);
    expect(t->out[out], rank, dim, n, v);
}

static void test_reshape(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Reshape", 2, 1);
    t.in[0] = ramp(&t, DIMS(2, 3));
    t.in[1] = LIST(&t, 0, -1, 1);
    check(&t, 0, DIMS(2, 3, 1), VALUES(0, 1, 2, 3, 4, 5));
    t.in[1] = LIST(&t, 4, -1);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

static void test_transpose(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Transpose", 1, 1);
    t.in[0] = ramp(&t, DIMS(2, 3, 2));
    check(&t, 0, DIMS(2, 3, 2), VALUES(0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11));
    node_set_ints(t.node, "perm", (int64_t[]) { 1, 0, 2 }, 3);
    check(&t, 0, DIMS(3, 2, 2), VALUES(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11));
    node_set_ints(t.node, "perm", (int64_t[]) { 1, 1, 2 }, 3);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

static void test_slice(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Slice", 5, 1);
    t.in[0] = ramp(&t, DIMS(3, 4));
    t.in[1] = LIST(&t, -1, 3);
    t.in[2] = LIST(&t, INT64_MIN, 0);
    t.in[3] = LIST(&t, 0, -1);
    t.in[4] = LIST(&t, -2, -1);
    check(&t, 0, DIMS(2, 3), VALUES(11, 10, 9, 3, 2, 1));
    t.in[1] = LIST(&t, 1, 0);
    t.in[2] = LIST(&t, INT64_MAX, -1);
    t.in[4] = LIST(&t, 1, 2);
    check(&t, 0, DIMS(2, 2), VALUES(4, 6, 8, 10));
    t.in[4] = LIST(&t, 1, 0);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

static void test_concat_split(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Concat", 2, 1);
    node_set_int(t.node, "axis", -1);
    t.in[0] = ramp(&t, DIMS(2, 1));
    t.in[1] = ramp(&t, DIMS(2, 2));
    check(&t, 0, DIMS(2, 3), VALUES(0, 0, 1, 1, 2, 3));
    one_node_close(&t);
    one_node_open(&t, "", "Split", 1, 3);
    node_set_int(t.node, "axis", 1);
    node_set_int(t.node, "num_outputs", 3);
    t.in[0] = ramp(&t, DIMS(1, 5));
    check(&t, 0, DIMS(1, 2), VALUES(0, 1));
    expect(t.out[2], DIMS(1, 1), VALUES(4));
    one_node_close(&t);
}

static void test_pad(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Pad", 4, 1);
    t.in[0] = ramp(&t, DIMS(2, 3));
    t.in[1] = LIST(&t, 0, 4, 0, 3);
    node_set_string(t.node, "mode", "reflect");
    check(&t, 0, DIMS(2, 10), VALUES(0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 3, 4, 5, 4, 3, 4, 5, 4, 3, 4));
    node_set_string(t.node, "mode", "edge");
    t.in[1] = LIST(&t, 1, 0);
    t.in[3] = LIST(&t, -2);
    check(&t, 0, DIMS(3, 3), VALUES(0, 1, 2, 0, 1, 2, 3, 4, 5));
    node_set_string(t.node, "mode", "wrap");
    t.in[1] = LIST(&t, 1, 2);
    t.in[3] = LIST(&t, 1);
    check(&t, 0, DIMS(2, 6), VALUES(2, 0, 1, 2, 0, 1, 5, 3, 4, 5, 3, 4));
    node_set_string(t.node, "mode", "constant");
    t.in[1] = LIST(&t, -1, 1);
    t.in[2] = tensor_scalar_f32(t.arena, 9);
    check(&t, 0, DIMS(2, 3), VALUES(1, 2, 9, 4, 5, 9));
    one_node_close(&t);
}

static void test_gather(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Gather", 2, 1);
    node_set_int(t.node, "axis", 1);
    t.in[0] = ramp(&t, DIMS(2, 3));
    t.in[1] = LIST(&t, -1, 0);
    check(&t, 0, DIMS(2, 2), VALUES(2, 0, 5, 3));
    t.in[1] = LIST(&t, 3);
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

/* Texts must outlive the input they came from. */
static void test_strings(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Expand", 2, 1);
    struct tensor *x;
    assert_int_equal(tensor_new(&x, DT_STRING, DT_STRING, 1, (int64_t[]) { 2 }, &t.err), OK);
    ((const char **)x->data)[0] = arena_str(tensor_string_arena(x), "a");
    ((const char **)x->data)[1] = arena_str(tensor_string_arena(x), "bc");
    t.in[0] = x;
    t.in[1] = LIST(&t, 2, 2);
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    tensor_free(x);
    assert_string_equal(((const char **)t.out[0]->data)[3], "bc");
    one_node_close(&t);
}

static void test_range(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Range", 3, 1);
    t.in[0] = tensor_scalar_f32(t.arena, 10);
    t.in[1] = tensor_scalar_f32(t.arena, 4);
    t.in[2] = tensor_scalar_f32(t.arena, -2);
    check(&t, 0, DIMS(3), VALUES(10, 8, 6));
    one_node_close(&t);
}

/* What a rule says of unknown sizes. */
static void test_symbols(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Reshape", 2, 1);
    int64_t n = model_symbol(t.model, "N"), m = model_symbol(t.model, "M");
    struct fact in[2] = { { .dtype = DT_F32, .rank = 4, .dim = { n, 3, m, 4 } },
                          { .dtype = DT_I64,
                            .rank = 1,
                            .dim = { 3 },
                            .value = LIST(&t, 0, -1, 12) } },
                out[1];
    assert_int_equal(op_shape(t.node, t.model, t.arena, in, out, &t.err), OK);
    assert_int_equal(out[0].rank, 3);
    assert_int_equal(out[0].dim[0], n);
    assert_int_equal(out[0].dim[1], m);
    in[1].value = NULL;
    assert_int_equal(op_shape(t.node, t.model, t.arena, in, out, &t.err), OK);
    assert_int_equal(out[0].rank, 3);
    assert_int_equal(out[0].dim[1], DIM_UNKNOWN);
    one_node_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reshape), cmocka_unit_test(test_transpose),
        cmocka_unit_test(test_slice),   cmocka_unit_test(test_concat_split),
        cmocka_unit_test(test_pad),     cmocka_unit_test(test_gather),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_range),
        cmocka_unit_test(test_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
