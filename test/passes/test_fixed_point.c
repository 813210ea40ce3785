/* Quantized groups of a file become one integer operator each, and the file's own values stay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "formats/format.h"
#include "ops/op.h"
#include "passes/fixed_point.h"

static const struct expected {
    const char *file; /* in test/data/tflite_integers: one operator each */
    const char *op;   /* in domain "fixed" */
} cases[] = {
    { "ADD_int8", "Add" },
    { "CONV_2D_int8_0", "Conv" },
    { "DIV_int8", "Div" },
    { "FLOOR_DIV_int8", "FloorDiv" },
    { "FLOOR_MOD_int8", "Mod" },
    { "FULLY_CONNECTED_hybrid", "Gemm" },
    { "FULLY_CONNECTED_uint8", "Gemm" },
    { "L2_NORMALIZATION_int8", "L2Normalization" },
    { "NOT_EQUAL_int8", "Equal" },
    { "QUANTIZE_int8", "Quantize" },
    { "QUANTIZE_int8_uint8", "Requantize" },
    { "RSQRT_int8", "Rsqrt" },
    { "SQUARED_DIFFERENCE", "SquaredDifference" },
    { "SOFTMAX_uint8", "Softmax" },
    { "SVDF_int8", "SVDF" },
    { "UNIDIRECTIONAL_SEQUENCE_LSTM_int8", "UNIDIRECTIONAL_SEQUENCE_LSTM" },
};

static int count(const struct graph *g, const char *domain, const char *op) {
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += strcmp(g->nodes[i]->domain, domain) == 0 && (!op || strcmp(g->nodes[i]->op, op) == 0);
    return n;
}

static void each_group_becomes_one_node(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[200];
        struct model *m;
        struct err e = { 0 };
        snprintf(path, sizeof path, "test/data/tflite_integers/%s.tflite", cases[i].file);
        assert_int_equal(model_read(path, &m, &e), OK);
        ops_bind(m);
        int inputs = m->graph->n_inputs, outputs = m->graph->n_outputs;
        const struct value *output = m->graph->outputs[0];
        assert_int_equal(count(m->graph, "fixed", NULL), 0);
        if (fixed_point(m, &e) != OK)
            fail_msg("%s: %s", cases[i].file, e.what);
        if (count(m->graph, "fixed", cases[i].op) != 1)
            fail_msg("%s: no node %s", cases[i].file, cases[i].op);
        if (count(m->graph, "", "DequantizeLinear") || count(m->graph, "", "QuantizeLinear"))
            fail_msg("%s: a quantizing node is left", cases[i].file);
        assert_int_equal(m->graph->n_inputs, inputs);
        assert_int_equal(m->graph->n_outputs, outputs);
        assert_string_equal(m->graph->outputs[0]->name, output->name);
        model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_group_becomes_one_node) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
