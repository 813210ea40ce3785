/* Broadcasting, integer widths and NaN of the elementwise families. Expected values are NumPy's. */
#include "one_node.h"

#include <math.h>

static struct tensor *ints(struct arena *a, enum dtype type, int rank, const int64_t *dim,
                           const int64_t *v) {
    struct tensor *t = tensor_in_arena(a, type, type, rank, dim);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_i64(t, i, v[i]);
    return t;
}

static struct tensor *reals(struct arena *a, int rank, const int64_t *dim, const double *v) {
    struct tensor *t = tensor_in_arena(a, DT_F32, DT_F32, rank, dim);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_f64(t, i, v[i]);
    return t;
}

static void broadcasting(void **state) {
    (void)state;
    static const double expected[] = { 11, 21, 31, 12, 22, 32, 14, 24, 34, 15, 25, 35 };
    for (int p = PREC_F64; p <= PREC_F32; p++) {
        struct one_node t;
        one_node_open(&t, "", "Add", 2, 1);
        t.in[0] = reals(t.arena, 3, (int64_t[]) { 2, 2, 1 }, (double[]) { 1, 2, 4, 5 });
        t.in[1] = reals(t.arena, 1, (int64_t[]) { 3 }, (double[]) { 10, 20, 30 });
        assert_int_equal(one_node_run(&t, (enum precision)p), OK);
        assert_int_equal(tensor_count(t.out[0]), 12);
        assert_int_equal(t.out[0]->store, p == PREC_F64 ? DT_F64 : DT_F32);
        for (int i = 0; i < 12; i++)
            assert_true(tensor_f64(t.out[0], i) == expected[i]);
        one_node_close(&t);
    }
}

static void check_ints(const char *op, enum dtype type, int64_t a, int64_t b, int64_t expected) {
    struct one_node t;
    one_node_open(&t, "", op, 2, 1);
    t.in[0] = ints(t.arena, type, 0, NULL, &a);
    t.in[1] = ints(t.arena, type, 1, (int64_t[]) { 1 }, &b);
    assert_int_equal(one_node_run(&t, PREC_F64), OK);
    assert_int_equal(tensor_i64(t.out[0], 0), expected);
    one_node_close(&t);
}

static void integer_widths(void **state) {
    (void)state;
    check_ints("Add", DT_U8, 250, 10, 4);
    check_ints("Mul", DT_I8, 100, 2, -56);
    check_ints("Sub", DT_U32, 0, 1, 4294967295);
    check_ints("Div", DT_I32, -7, 2, -3);
    check_ints("Div", DT_U64, -1, 2, INT64_MAX);
    check_ints("Mod", DT_I32, -7, 3, 2);
    check_ints("Mod", DT_I8, 7, -3, -2);
    check_ints("Max", DT_U64, -1, 2, -1);
    check_ints("Max", DT_I64, -1, 2, 2);
    check_ints("Pow", DT_I32, 3, 4, 81);
    check_ints("Less", DT_U64, -1, 2, 0);
    check_ints("BitwiseXor", DT_U16, 0xff00, 0x0ff0, 0xf0f0);
}

static void nan_goes_through(void **state) {
    (void)state;
    static const char *const ops[] = { "Relu",    "LeakyRelu", "Sign", "HardSigmoid", "HardSwish",
                                       "Sigmoid", "Softplus",  "Clip", "Gelu" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct one_node t;
        one_node_open(&t, "", ops[i], 1, 1);
        t.in[0] = reals(t.arena, 1, (int64_t[]) { 2 }, (double[]) { NAN, 1 });
        assert_int_equal(one_node_run(&t, PREC_F64), OK);
        assert_true(isnan(tensor_f64(t.out[0], 0)));
        assert_false(isnan(tensor_f64(t.out[0], 1)));
        one_node_close(&t);
    }
}

static void refusals(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Add", 2, 1);
    t.in[0] = reals(t.arena, 1, (int64_t[]) { 2 }, (double[]) { 1, 2 });
    t.in[1] = reals(t.arena, 1, (int64_t[]) { 3 }, (double[]) { 1, 2, 3 });
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    t.in[1] = ints(t.arena, DT_I32, 0, NULL, (int64_t[]) { 1 });
    assert_int_equal(one_node_run(&t, PREC_F64), STATUS_CORRUPT);
    one_node_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting),
        cmocka_unit_test(integer_widths),
        cmocka_unit_test(nan_goes_through),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
