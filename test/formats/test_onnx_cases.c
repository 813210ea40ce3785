/* Quantized ONNX models (test/data/onnx_integers, made by tools/oracle/make_onnx_integer_cases.py)
 * in native precision, within one step of the output's scale of ONNX Runtime's answers. */
#include "stored_model.h"

static const char folder[] = "test/data/onnx_integers";
static double step; /* 0: the output is not quantized */

static void compare(const char *name, const struct tensor *have, const struct tensor *want) {
    for (int64_t i = 0; i < tensor_count(want); i++) {
        double a = tensor_f64(have, i), b = tensor_f64(want, i);
        double bound = step > 0 ? step * 1.0001 : 1e-6 + 1e-5 * fabs(b);
        if (!(fabs(a - b) <= bound))
            fail_msg("%s: element %d is %.9g, expected %.9g", name, (int)i, a, b);
    }
}

static void run_case(char *line) {
    char *end = strchr(line, '\t');
    assert_non_null(end);
    *end = '\0';
    step = strtod(end + 1, NULL);
    stored_model(folder, line, "onnx", PREC_NATIVE, compare);
}

static void within_one_step(void **state) {
    (void)state;
    assert_in_range(each_stored_case(folder, run_case), 39, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(within_one_step) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
