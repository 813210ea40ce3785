/* Reductions, softmax, casts and quantization. Expected values are NumPy's and ml_dtypes'. */
#include "one_node.h"

#include <math.h>

static struct tensor *ramp(struct arena *a, enum dtype type, int rank, const int64_t *dim) {
    struct tensor *t = tensor_in_arena(a, type, type, rank, dim);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_f64(t, i, (double)(i % 7) - 2);
    return t;
}

static void check(struct one_node *t, const double *expected, int64_t n, double tolerance) {
    for (int p = PREC_F64; p <= PREC_F32; p++) {
        assert_int_equal(one_node_run(t, (enum precision)p), OK);
        assert_int_equal(tensor_count(t->out[0]), n);
        for (int64_t i = 0; i < n; i++)
            if (!(fabs(tensor_f64(t->out[0], i) - expected[i]) <= tolerance))
                fail_msg("%s: element %d is %g, expected %g", t->node->op, (int)i,
                         tensor_f64(t->out[0], i), expected[i]);
    }
    one_node_close(t);
}

static void reductions(void **state) {
    (void)state;
    struct one_node t;
    /* numpy: x = arange(24) % 7 - 2, shape (2, 3, 4) */
    one_node_open(&t, "", "ReduceSum", 2, 1);
    t.in[0] = ramp(t.arena, DT_F32, 3, (int64_t[]) { 2, 3, 4 });
    t.in[1] = tensor_vec_i64(t.arena, (int64_t[]) { 1 }, 1);
    check(&t, (double[]) { -1, 2, 5, 1, 7, 3, -1, 2 }, 8, 0);
    one_node_open(&t, "", "ReduceSum", 2, 1);
    t.in[0] = ramp(t.arena, DT_I32, 3, (int64_t[]) { 2, 3, 4 });
    t.in[1] = tensor_vec_i64(t.arena, (int64_t[]) { -1, 0 }, 2);
    check(&t, (double[]) { 2, 13, 3 }, 3, 0);
    one_node_open(&t, "", "ReduceLogSumExp", 1, 1);
    t.in[0] = ramp(t.arena, DT_F32, 3, (int64_t[]) { 2, 3, 4 });
    check(&t, (double[]) { 5.562165 }, 1, 1e-5);
    one_node_open(&t, "", "ArgMax", 1, 1);
    node_set_int(t.node, "axis", 1);
    t.in[0] = ramp(t.arena, DT_F32, 3, (int64_t[]) { 2, 3, 4 });
    check(&t, (double[]) { 1, 1, 1, 2, 2, 0, 1, 1 }, 8, 0);
    one_node_open(&t, "", "CumSum", 2, 1);
    node_set_int(t.node, "reverse", 1);
    t.in[0] = ramp(t.arena, DT_I32, 1, (int64_t[]) { 4 });
    t.in[1] = tensor_vec_i64(t.arena, (int64_t[]) { 0 }, 1);
    check(&t, (double[]) { -2, 0, 1, 1 }, 4, 0);
}

static void softmax(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "Softmax", 1, 1);
    t.in[0] = ramp(t.arena, DT_F32, 2, (int64_t[]) { 1, 3 });
    check(&t, (double[]) { 0.0900305732, 0.2447284711, 0.6652409558 }, 3, 1e-7);
}

static void casts(void **state) {
    (void)state;
    static const struct {
        enum dtype from, to;
        double in, out;
    } cases[] = {
        { DT_F32, DT_I8, 200.7, -56 },      { DT_I32, DT_U4, 18, 2 },
        { DT_I32, DT_I4, 9, -7 },           { DT_F32, DT_F16, 0.1, 0.0999755859375 },
        { DT_F32, DT_F8E4M3FN, 1000, 448 }, { DT_F32, DT_F8E5M2, 0.3, 0.3125 },
        { DT_F32, DT_BOOL, 0.1, 1 },        { DT_F32, DT_F8E8M0, 3, 4 },
        { DT_F32, DT_F4E2M1, 2.4, 2 },      { DT_U64, DT_F32, 5, 5 },
        { DT_F32, DT_BF16, 1.00390625, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct one_node t;
        one_node_open(&t, "", "Cast", 1, 1);
        node_set_int(t.node, "to", dtype_to_onnx(cases[i].to));
        t.in[0] = tensor_in_arena(t.arena, cases[i].from, cases[i].from, 0, NULL);
        tensor_set_f64(t.in[0], 0, cases[i].in);
        check(&t, &cases[i].out, 1, 0);
    }
}

static void quantization(void **state) {
    (void)state;
    struct one_node t;
    one_node_open(&t, "", "QuantizeLinear", 3, 1);
    node_set_int(t.node, "axis", 0);
    t.in[0] = ramp(t.arena, DT_F32, 2, (int64_t[]) { 2, 4 });
    t.in[1] = tensor_vec_f32(t.arena, (float[]) { 2, 0.015625f }, 2);
    t.in[2] = tensor_in_arena(t.arena, DT_I8, DT_I8, 1, (int64_t[]) { 2 });
    tensor_set_i64(t.in[2], 1, 3);
    check(&t, (double[]) { -1, 0, 0, 0, 127, 127, 127, -125 }, 8, 0);
    one_node_open(&t, "", "DequantizeLinear", 2, 1);
    node_set_int(t.node, "block_size", 2);
    t.in[0] = ramp(t.arena, DT_I8, 2, (int64_t[]) { 1, 3 });
    t.in[1] = tensor_in_arena(t.arena, DT_F32, DT_F32, 2, (int64_t[]) { 1, 2 });
    tensor_set_f64(t.in[1], 0, 0.5);
    tensor_set_f64(t.in[1], 1, 10);
    tensor_set_i64(t.in[0], 2, 7);
    check(&t, (double[]) { -1, -0.5, 70 }, 3, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reductions),
        cmocka_unit_test(softmax),
        cmocka_unit_test(casts),
        cmocka_unit_test(quantization),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
