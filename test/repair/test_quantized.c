/* A float model and its 8-bit conversion: the same function but for what the declared steps
 * explain, and faults in the conversion found, named and repaired in integers. The files: see
 * tools/oracle/quantized_faults.py. */
#define _XOPEN_SOURCE 700
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/format.h"
#include "repair/verbs.h"

#define FOLDER "test/data/quantized/"

static struct model *read_model(const char *path) {
    struct err e = { 0 };
    struct model *m = NULL;
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

static enum verdict verdict_of(const char *source, const char *target, int *pairs) {
    struct model *s = read_model(source), *t = read_model(target);
    struct compare_options o = { .samples = 4 };
    struct result *r = NULL;
    struct err e = { 0 };
    assert_int_equal(verb_compare(s, t, &o, &r, &e), OK);
    enum verdict v = r->verdict;
    if (pairs)
        *pairs = r->n_pairs;
    result_free(r);
    model_free(s);
    model_free(t);
    return v;
}

static void test_verdicts(void **state) {
    (void)state;
    int pairs;
    assert_int_equal(verdict_of(FOLDER "float.tflite", FOLDER "int8.tflite", &pairs),
                     VERDICT_QUANTIZED);
    assert_true(pairs >= 24); /* layer by layer, not the outputs alone */
    assert_int_equal(verdict_of(FOLDER "float.tflite", FOLDER "int8io.tflite", NULL),
                     VERDICT_QUANTIZED);
    static const char *const onnx[] = { FOLDER "qdq.onnx", FOLDER "qoperator.onnx",
                                        FOLDER "dynamic.onnx" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(verdict_of(FOLDER "float.tflite", onnx[i], &pairs), VERDICT_QUANTIZED);
        assert_true(pairs >= 20);
    }
    /* rows of a quantized table, and a bias behind a product */
    assert_int_equal(verdict_of(FOLDER "gru.onnx", FOLDER "gru_dynamic.onnx", &pairs),
                     VERDICT_QUANTIZED);
    assert_true(pairs >= 10);
    /* integers at the boundary stand for the numbers that a QUANTIZE operator makes of floats */
    assert_int_equal(verdict_of(FOLDER "int8.tflite", FOLDER "int8io.tflite", NULL),
                     VERDICT_PROVED);
}

/* The fault is found and mended; `good`: the file before it was made faulty. */
static void mended(const char *name, const char *good, const char *node, const char *cause) {
    char path[128], fixed[64] = "/tmp/calque-quantized-XXXXXX";
    int fd = mkstemp(fixed);
    assert_true(fd >= 0);
    close(fd);
    unlink(fixed);
    strcat(fixed, strrchr(name, '.'));
    snprintf(path, sizeof path, FOLDER "%s", name);
    struct model *s = read_model(FOLDER "float.tflite"), *t = read_model(path);
    struct compare_options o = { .samples = 4 };
    struct result *r = NULL;
    struct err e = { 0 };
    if (verb_repair(s, t, &o, fixed, &r, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    assert_int_equal(r->n_faults, 1);
    assert_string_equal(node_label(r->faults[0].node, r->arena), node);
    assert_string_equal(r->faults[0].cause, cause);
    assert_string_equal(r->written, fixed);
    assert_int_equal(r->tensors_changed + r->nodes_changed, 1);
    result_free(r);
    model_free(s);
    model_free(t);
    /* The repaired file is what the converter wrote: bit for bit where integers were put back, and
     * within rounding where scales were. */
    enum verdict v = verdict_of(good, fixed, NULL);
    assert_true(v == VERDICT_PROVED || (strncmp(cause, "bias", 4) != 0 && v == VERDICT_SAME));
    unlink(fixed);
}

static void test_bias(void **state) {
    (void)state;
    mended("bias.tflite", FOLDER "int8.tflite", "#4", "bias-misbinding");
}

static void test_weights(void **state) {
    (void)state;
    mended("weights.tflite", FOLDER "int8.tflite", "#13", "weights");
}

static void test_scale(void **state) {
    (void)state;
    mended("scale.tflite", FOLDER "int8.tflite", "#4", "quant-params");
}

/* The edits are those of the operator on integers, not of what it was spelled out to. */
static void test_integer_operators(void **state) {
    (void)state;
    mended("qoperator_bias.onnx", FOLDER "qoperator.onnx",
           "StatefulPartitionedCall/lenet5_1/conv2d_1_2/BiasAdd_quant", "bias-misbinding");
    mended("qoperator_pads.onnx", FOLDER "qoperator.onnx",
           "StatefulPartitionedCall/lenet5_1/conv2d_1/BiasAdd_quant", "pad-side");
    mended("dynamic_weights.onnx", FOLDER "dynamic.onnx",
           "StatefulPartitionedCall/lenet5_1/dense_2/MatMul_quant", "weights");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),          cmocka_unit_test(test_bias),
        cmocka_unit_test(test_weights),           cmocka_unit_test(test_scale),
        cmocka_unit_test(test_integer_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
