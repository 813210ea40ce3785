/* Inputs and outputs are paired by the names that exporters dressed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "compare/inputs.h"
#include "compare/ports.h"
#include "ir/text.h"

static struct model *parsed(const char *text) {
    struct err e = { 0 };
    struct model *m = NULL;
    if (model_parse(text, strlen(text), &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

static const char plain[] = "calque 1\n"
                            "format \"onnx\" \"\"\nproducer \"\" \"\"\n"
                            "graph \"main\" number 0 {\n"
                            "  input %ids: int64[2, 6]\n"
                            "  input %mask: int64[2, 6]\n"
                            "  %hidden: int64[2, 6] = Add(%ids, %mask)\n"
                            "  %pooled: int64[2] = ReduceSum(%hidden)\n"
                            "  output %hidden\n"
                            "  output %pooled\n"
                            "}\n";

static const char dressed[] = "calque 1\n"
                              "format \"tflite\" \"\"\nproducer \"\" \"\"\n"
                              "graph \"main\" number 0 {\n"
                              "  input %\"serving_default_mask:0\": int64[2, 6]\n"
                              "  input %\"serving_default_ids:0\": int64[2, 6]\n"
                              "  %\"Call:0\": int64[2, 6] = Add(%\"serving_default_ids:0\", "
                              "%\"serving_default_mask:0\")\n"
                              "  %\"Call:1\": int64[2] = ReduceSum(%\"Call:0\")\n"
                              "  output %\"Call:1\"\n"
                              "  output %\"Call:0\"\n"
                              "}\n";

static void test_inputs(void **state) {
    (void)state;
    struct model *s = parsed(plain), *t = parsed(dressed);
    assert_true(same_input_name(s->graph, 0, t->graph, 1));
    assert_true(same_input_name(s->graph, 1, t->graph, 0));
    assert_false(same_input_name(s->graph, 0, t->graph, 0));
    struct input_pairs p;
    struct compare_options o = { .samples = 1 };
    struct arena *a = arena_new();
    struct err e;
    assert_int_equal(inputs_pair(&p, s, t, &o, a, &e), OK);
    assert_int_equal(p.of_target[0], 1);
    assert_int_equal(p.of_target[1], 0);
    arena_free(a);
    model_free(s);
    model_free(t);
}

/* No name tells them apart, but a vector is no matrix. */
static void test_outputs_by_shape(void **state) {
    (void)state;
    struct model *s = parsed(plain), *t = parsed(dressed);
    assert_int_equal(output_partner(s->graph, t->graph, 0), 1);
    assert_int_equal(output_partner(s->graph, t->graph, 1), 0);
    model_free(s);
    model_free(t);
}

/* A result with another number is another result. */
static void test_numbers(void **state) {
    (void)state;
    struct model *t = parsed(dressed);
    assert_false(same_output_name(t->graph, 0, t->graph, 1));
    assert_true(same_output_name(t->graph, 1, t->graph, 1));
    model_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_outputs_by_shape),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
