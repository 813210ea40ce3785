/* calque.h as a stranger uses it: on the shipped examples. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/status.h"
#include "calque.h"
#include "compare/result.h"

#define EXAMPLE "examples/ovc_resize_linear/"

static struct calque_model *open_or_fail(const char *path) {
    struct calque_model *m = NULL;
    struct calque_error e = { 0 };
    enum calque_status s = calque_model_open(path, &m, &e);
    if (s != CALQUE_OK)
        print_message("%s: %s\n", e.where, e.what);
    assert_int_equal(s, CALQUE_OK);
    return m;
}

static void lists_have_one_order(void **state) {
    (void)state;
    assert_int_equal(CALQUE_IO, (int)STATUS_IO);
    assert_int_equal(CALQUE_CORRUPT, (int)STATUS_CORRUPT);
    assert_int_equal(CALQUE_UNSUPPORTED, (int)STATUS_UNSUPPORTED);
    assert_int_equal(CALQUE_MISMATCH, (int)STATUS_MISMATCH);
    assert_int_equal(CALQUE_USAGE, (int)STATUS_USAGE);
    assert_int_equal(CALQUE_BUG, (int)STATUS_BUG);
    assert_int_equal(CALQUE_PROVED, (int)VERDICT_PROVED);
    assert_int_equal(CALQUE_INCONCLUSIVE, (int)VERDICT_INCONCLUSIVE);
    assert_string_equal(calque_verdict_name(CALQUE_QUANTIZED), "quantized");
}

static void errors_say_what_and_where(void **state) {
    (void)state;
    struct calque_model *m = NULL;
    struct calque_error e = { 0 };
    assert_int_equal(calque_model_open("no/such/file.onnx", &m, &e), CALQUE_IO);
    assert_null(m);
    assert_int_equal(e.status, CALQUE_IO);
    assert_non_null(strstr(e.where, "no/such/file.onnx"));
    assert_int_equal(calque_model_open(NULL, &m, NULL), CALQUE_USAGE);
    assert_int_equal(calque_model_open("README.md", &m, &e), CALQUE_CORRUPT);
    calque_model_close(NULL);
    calque_result_free(NULL);
}

static void a_model_tells_its_inputs(void **state) {
    (void)state;
    struct calque_model *m = open_or_fail("examples/osim0436_pad_maxpool/source.onnx");
    assert_string_equal(calque_model_format(m), "onnx");
    assert_int_equal(calque_model_inputs(m), 1);
    assert_string_equal(calque_model_input_name(m, 0), "image");
    assert_null(calque_model_input_name(m, 1));
    assert_null(calque_model_output_name(m, -1));
    assert_string_equal(calque_model_output_name(m, 0), "head_out");
    char *json = NULL;
    assert_int_equal(calque_model_inspect(m, &json, NULL), CALQUE_OK);
    assert_non_null(strstr(json, "\"verb\": \"inspect\""));
    calque_text_free(json);
    calque_model_close(m);
}

static void count_steps(void *arg, const char *stage, int64_t done, int64_t total) {
    assert_non_null(stage);
    assert_true(done <= total);
    ++*(int *)arg;
}

static void a_fault_is_located_and_repaired(void **state) {
    (void)state;
    struct calque_model *source = open_or_fail(EXAMPLE "source.onnx"),
                        *target = open_or_fail(EXAMPLE "target.onnx");
    struct calque_result *r = NULL;
    assert_int_equal(calque_compare(source, target, NULL, &r, NULL), CALQUE_OK);
    assert_int_equal(calque_result_verdict(r), CALQUE_DIFFERENT);
    assert_int_equal(calque_result_faults(r), 0);
    calque_result_free(r);
    int steps = 0;
    struct calque_options o = { .samples = 4,
                                .seed = 3,
                                .threads = 1,
                                .precision = CALQUE_F32,
                                .progress = count_steps,
                                .progress_arg = &steps };
    assert_int_equal(calque_locate(source, target, &o, &r, NULL), CALQUE_OK);
    assert_int_equal(calque_result_faults(r), 1);
    assert_true(steps > 4);
    assert_non_null(strstr(calque_result_json(r), "\"precision\": \"f32\""));
    struct calque_fault f;
    assert_int_equal(calque_result_fault(r, 0, &f), CALQUE_OK);
    assert_string_equal(f.node, "up");
    assert_string_equal(f.cause, "resize-mode");
    assert_true(f.own_error > f.noise_floor);
    assert_int_equal(calque_result_fault(r, 1, &f), CALQUE_USAGE);
    assert_non_null(strstr(calque_result_text(r), "coordinate_transformation_mode"));
    assert_non_null(strstr(calque_result_json(r), "\"verdict\": \"different\""));
    calque_result_free(r);
    char path[64];
    snprintf(path, sizeof path, "/tmp/calque-api-%ld.onnx", (long)getpid());
    assert_int_equal(calque_repair(source, target, NULL, EXAMPLE "target.onnx", &r, NULL),
                     CALQUE_USAGE);
    assert_int_equal(calque_repair(source, target, NULL, path, &r, NULL), CALQUE_OK);
    assert_true(calque_result_verdict(r) == CALQUE_SAME ||
                calque_result_verdict(r) == CALQUE_PROVED);
    calque_result_free(r);
    struct calque_model *fixed = open_or_fail(path);
    assert_int_equal(calque_compare(source, fixed, NULL, &r, NULL), CALQUE_OK);
    assert_true(calque_result_verdict(r) == CALQUE_SAME ||
                calque_result_verdict(r) == CALQUE_PROVED);
    calque_result_free(r);
    calque_model_close(fixed);
    remove(path);
    calque_model_close(target);
    calque_model_close(source);
}

static void a_model_runs_on_given_arrays(void **state) {
    (void)state;
    struct calque_model *m = open_or_fail(EXAMPLE "source.onnx");
    struct calque_error e = { 0 };
    assert_int_equal(calque_model_run(m, EXAMPLE "x.npz", "/tmp/calque-api-y.npz", &e), CALQUE_OK);
    remove("/tmp/calque-api-y.npz");
    assert_int_equal(
        calque_model_run(m, "examples/oscr056_shared_weight/none.npz", "/tmp/calque-api-y.npz", &e),
        CALQUE_IO);
    assert_int_equal(calque_model_run(m, NULL, NULL, NULL), CALQUE_USAGE);
    calque_model_close(m);
}

static void causes_are_listed(void **state) {
    (void)state;
    struct calque_cause c, d;
    int n = 0;
    while (calque_cause(n, &c) == CALQUE_OK) {
        assert_int_equal(calque_cause_find(c.name, &d), CALQUE_OK);
        assert_ptr_equal(c.what, d.what);
        n++;
    }
    assert_true(n > 10);
    assert_int_equal(calque_cause_find("no-such-cause", &c), CALQUE_USAGE);
    assert_int_equal(calque_cause(-1, &c), CALQUE_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_have_one_order),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(a_model_tells_its_inputs),
        cmocka_unit_test(a_fault_is_located_and_repaired),
        cmocka_unit_test(a_model_runs_on_given_arrays),
        cmocka_unit_test(causes_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
