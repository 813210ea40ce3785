/* Conversions by further routes, small and made by released converters (test/data/routes/README.md
 * says how): each with the verdict that their runtimes' outputs ask for. */
#define _XOPEN_SOURCE 700
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "formats/format.h"
#include "repair/verbs.h"

#define FOLDER "test/data/routes/"

struct pair_case {
    const char *source, *target;
    enum verdict verdict;
};

static const struct pair_case cases[] = {
    { "table.onnx", "table_half.onnx", VERDICT_QUANTIZED },
    { "rotary.onnx", "rotary_half.tflite", VERDICT_QUANTIZED },
    { "words.onnx", "words_dynamic.onnx", VERDICT_QUANTIZED },
    { "experts.tflite", "experts_int16.tflite", VERDICT_QUANTIZED },
    { "captured.onnx", "captured_no_bias.onnx", VERDICT_DIFFERENT },
};

static struct model *read_model(const char *name) {
    char path[128];
    struct err e = { 0 };
    struct model *m = NULL;
    snprintf(path, sizeof path, FOLDER "%s", name);
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

static void test_verdicts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *s = read_model(cases[i].source), *t = read_model(cases[i].target);
        struct compare_options o = { .samples = 8 };
        struct result *r = NULL;
        struct err e = { 0 };
        assert_int_equal(verb_compare(s, t, &o, &r, &e), OK);
        if (r->verdict != cases[i].verdict)
            fail_msg("%s against %s: verdict %d", cases[i].target, cases[i].source, r->verdict);
        result_free(r);
        model_free(s);
        model_free(t);
    }
}

/* Only a loop's graph reads what the faulty node made. */
static void test_captured(void **state) {
    (void)state;
    struct model *s = read_model("captured.onnx"), *t = read_model("captured_no_bias.onnx");
    struct compare_options o = { .samples = 4 };
    struct result *r = NULL;
    struct err e = { 0 };
    assert_int_equal(verb_locate(s, t, &o, &r, &e), OK);
    assert_int_equal(r->n_faults, 1);
    assert_string_equal(r->faults[0].node->name, "conv");
    assert_string_equal(r->faults[0].cause, "bias-misbinding");
    result_free(r);
    model_free(s);
    model_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_verdicts),
                                        cmocka_unit_test(test_captured) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
