/* Small TensorFlow Lite models, one an operator (test/data/tflite), against the outputs that the
 * interpreter's reference kernels gave (made by tools/oracle/make_tflite_cases.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "exec/exec.h"
#include "formats/format.h"
#include "npz/npz.h"
#include "passes/fixed_point.h"

static const char *folder;
static bool exact; /* floats must have the stored bits */

static void load(const char *name, const char *end, struct arena *a, struct named_tensors *out) {
    char path[640];
    struct err e = { 0 };
    snprintf(path, sizeof path, "%s/%s_%s.npz", folder, name, end);
    if (npz_read(path, a, out, &e) != OK)
        fail_msg("%s: %s", path, e.what);
}

static double part(const struct tensor *t, int64_t i) {
    if (t->store == DT_C64)
        return (double)((const float *)t->data)[i];
    return t->store == DT_C128 ? ((const double *)t->data)[i] : tensor_f64(t, i);
}

static void compare(const char *name, const struct tensor *have, const struct tensor *want) {
    assert_non_null(have);
    assert_non_null(want);
    if (!dims_equal(have->dim, have->rank, want->dim, want->rank))
        fail_msg("%s: another shape", name);
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

static void run_case(const char *name, enum precision p) {
    char path[640];
    struct model *m;
    struct exec *x;
    struct err e = { 0 };
    struct arena *a = arena_new();
    struct named_tensors in, out;
    snprintf(path, sizeof path, "%s/%s.tflite", folder, name);
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    if (p == PREC_NATIVE && fixed_point(m, &e) != OK)
        fail_msg("%s: %s: %s", name, e.where, e.what);
    load(name, "in", a, &in);
    load(name, "out", a, &out);
    struct exec_options o = { .precision = p };
    assert_int_equal(exec_new(&x, m, &o, &e), OK);
    struct exec_env *env = exec_env_new(x);
    const struct tensor *feed[16] = { NULL };
    assert_in_range(in.n, 0, 15);
    assert_int_equal(in.n, m->graph->n_inputs);
    assert_int_equal(out.n, m->graph->n_outputs);
    char key[16];
    for (int i = 0; i < in.n; i++) {
        snprintf(key, sizeof key, "%d", i);
        feed[i] = named_tensor_find(&in, key);
    }
    if (exec_run(x, NULL, feed, env, &e) != OK)
        fail_msg("%s: %s: %s", name, e.where, e.what);
    for (int i = 0; i < out.n; i++) {
        snprintf(key, sizeof key, "%d", i);
        compare(name, env->at[m->graph->outputs[i]->id], named_tensor_find(&out, key));
    }
    named_tensors_free(&in);
    named_tensors_free(&out);
    exec_env_free(env);
    exec_free(x);
    model_free(m);
    arena_free(a);
}

static int each_case(const char *cases, enum precision p) {
    char line[512], table[640];
    int n = 0;
    folder = cases;
    snprintf(table, sizeof table, "%s/cases.tsv", folder);
    FILE *f = fopen(table, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\t\n")] = '\0';
        /* The bits of a float are those of its declared type only in a run that has it. */
        if (p == PREC_F64 && strncmp(line, "BITCAST", 7) == 0)
            continue;
        /* exp, tanh and the order of float sums of the interpreter's cells are its own. */
        exact = p == PREC_NATIVE && !strstr(line, "RNN") && !strstr(line, "LSTM") &&
                !strstr(line, "SVDF_h");
        run_case(line, p);
        n++;
    }
    fclose(f);
    return n;
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
    assert_in_range(each_case("test/data/tflite_integers", PREC_NATIVE), 210, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_float32), cmocka_unit_test(in_float64),
                                        cmocka_unit_test(in_integers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
