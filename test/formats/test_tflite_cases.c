/* Small TensorFlow Lite models, one an operator (test/data/tflite), against the outputs that the
 * interpreter's reference kernels gave (made by tools/oracle/make_tflite_cases.py). */
#include "stored_model.h"

static const char *folder;
static enum precision precision;
static bool exact; /* floats must have the stored bits */

static double part(const struct tensor *t, int64_t i) {
    if (t->store == DT_C64)
        return (double)((const float *)t->data)[i];
    return t->store == DT_C128 ? ((const double *)t->data)[i] : tensor_f64(t, i);
}

static void compare(const char *name, const struct tensor *have, const struct tensor *want) {
    bool complex = dtype_row(want->dtype)->class_ == CLASS_COMPLEX;
    int64_t n = tensor_count(want) * (complex ? 2 : 1);
    double range = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = part(have, i), b = part(want, i), d = a == b ? 0 : fabs(a - b);
        range = isfinite(b) ? fmax(range, fabs(b)) : range;
        worst = d <= worst ? worst : d; /* a NaN is the worst */
    }
    bool bits = exact || dtype_is_int(want->dtype) || want->dtype == DT_BOOL;
    double bound = bits ? 0 : 2e-6 * fmax(range, 1);
    if (!(worst <= bound))
        fail_msg("%s: off by %g of %g", name, worst, range);
}

static void run_case(char *line) {
    line[strcspn(line, "\t")] = '\0';
    /* The bits of a float are those of its declared type only in a run that has it. */
    if (precision == PREC_F64 && strncmp(line, "BITCAST", 7) == 0)
        return;
    /* exp, tanh and the order of float sums of the interpreter's cells are its own. */
    exact = precision == PREC_NATIVE && !strstr(line, "RNN") && !strstr(line, "LSTM_h") &&
            !strstr(line, "SVDF_h");
    stored_model(folder, line, "tflite", precision, compare);
}

static int each_case(const char *cases, enum precision p) {
    folder = cases;
    precision = p;
    return each_stored_case(cases, run_case);
}

static void in_float32(void **state) {
    (void)state;
    assert_in_range(each_case("test/data/tflite", PREC_F32), 50, 1000);
}

static void in_float64(void **state) {
    (void)state;
    assert_in_range(each_case("test/data/tflite", PREC_F64), 50, 1000);
}

/* Quantized operators: every bit of the reference kernels (make_integer_cases.py); of recurrent
 * cells with float activations all but the last. */
static void in_integers(void **state) {
    (void)state;
    assert_in_range(each_case("test/data/tflite_integers", PREC_NATIVE), 249, 1000);
}

/* What is exact on real numbers has the same integers in float64. */
static void exact_in_float64(void **state) {
    static const char *const names[] = { "PAD_int8", "SPACE_TO_BATCH_ND_int8",
                                         "SPACE_TO_BATCH_ND_uint8", "MAX_POOL_2D_int8",
                                         "BATCH_MATMUL_int8_int32" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        stored_model("test/data/tflite_integers", names[i], "tflite", PREC_F64, compare);
}

/* What the reference kernels do not define is refused by name. */
static void refused_in_integers(void **state) {
    static const char *const rows[][2] = {
        { "scales", "a scale for each channel" },
        { "scale", "one scale for 2 channels" },
        { "stablehlo", "the interpreter has no kernel for it" },
        { "rescaled", "different scales, which the interpreter refuses" },
        { "zero", "by zero" },
        { "kernel", "no integer kernel for it (Sin)" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[64];
        struct err e = { 0 };
        snprintf(name, sizeof name, "REFUSED_%s", rows[i][0]);
        enum status s =
            stored_model_run("test/data/tflite_integers", name, "tflite", PREC_NATIVE, NULL, &e);
        if (s != STATUS_UNSUPPORTED || !strstr(e.what, rows[i][1]))
            fail_msg("%s: status %d, %s", name, (int)s, e.what);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_float32), cmocka_unit_test(in_float64),
                                        cmocka_unit_test(in_integers),
                                        cmocka_unit_test(exact_in_float64),
                                        cmocka_unit_test(refused_in_integers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
