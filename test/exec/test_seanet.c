/* The stored cases of TensorFlow Lite Micro's seanet tests: integer networks of one operator, their
 * inputs and what the reference kernels gave, as numbers in text. Native precision must give the
 * same integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "exec/exec.h"
#include "formats/format.h"
#include "passes/fixed_point.h"

enum { MOST_INPUTS = 2, CASES = 127 };

static const char *folder(void) {
    static char path[1024];
    const char *corpus = getenv("CALQUE_CORPUS");
    snprintf(path, sizeof path,
             "%s/models/tensorflow__tflite-micro/tensorflow/lite/micro/integration_tests/seanet",
             corpus ? corpus : "../shared");
    return path;
}

/* What a case stores is called <case>_<what>_<type>.csv. */
static FILE *open_numbers(const char *name, const char *what) {
    static const char *const types[] = { "int16", "int32" };
    char path[2048];
    FILE *f = NULL;
    for (size_t i = 0; !f && i < sizeof types / sizeof *types; i++) {
        snprintf(path, sizeof path, "%s/%s_%s_%s.csv", folder(), name, what, types[i]);
        f = fopen(path, "r");
    }
    if (!f)
        fail_msg("%s has no %s", name, what);
    return f;
}

static struct tensor *read_input(const char *name, int i, const struct value *v) {
    char what[16];
    struct tensor *t;
    snprintf(what, sizeof what, "input%d", i);
    assert_int_equal(tensor_new(&t, v->dtype, v->dtype, v->rank, v->dim, NULL), OK);
    FILE *f = open_numbers(name, what);
    long long number;
    for (int64_t k = 0; k < tensor_count(t); k++) {
        assert_int_equal(fscanf(f, "%lld ,", &number), 1);
        tensor_set_i64(t, k, number);
    }
    assert_int_not_equal(fscanf(f, "%lld", &number), 1);
    fclose(f);
    return t;
}

static void compare(const char *name, const struct tensor *have) {
    FILE *f = open_numbers(name, "golden");
    long long want;
    int64_t n = 0;
    for (; fscanf(f, "%lld ,", &want) == 1; n++)
        if (n < tensor_count(have) && tensor_i64(have, n) != want)
            fail_msg("%s: element %lld is %lld, stored is %lld", name, (long long)n,
                     (long long)tensor_i64(have, n), want);
    fclose(f);
    assert_int_equal(n, tensor_count(have));
}

static void run_case(const char *path, const char *name) {
    struct model *m;
    struct exec *x;
    struct exec_options o = { .precision = PREC_NATIVE };
    struct tensor *in[MOST_INPUTS] = { 0 };
    struct err e = { 0 };
    if (model_read(path, &m, &e) != OK || fixed_point(m, &e) != OK || exec_new(&x, m, &o, &e) != OK)
        fail_msg("%s: %s: %s", name, e.where, e.what);
    const struct graph *g = m->graph;
    assert_in_range(g->n_inputs, 1, MOST_INPUTS);
    assert_int_equal(g->n_outputs, 1);
    for (int i = 0; i < g->n_inputs; i++)
        in[i] = read_input(name, i, g->inputs[i]);
    struct exec_env *env = exec_env_new(x);
    if (exec_run(x, g, (const struct tensor *const *)in, env, &e) != OK)
        fail_msg("%s: %s: %s", name, e.where, e.what);
    compare(name, env->at[g->outputs[0]->id]);
    for (int i = 0; i < g->n_inputs; i++)
        tensor_free(in[i]);
    exec_env_free(env);
    exec_free(x);
    model_free(m);
}

static void stored_cases(void **state) {
    (void)state;
    static const char *const operators[] = { "add", "conv",          "leaky_relu",
                                             "pad", "quantize",      "strided_slice",
                                             "sub", "transpose_conv" };
    int cases = 0;
    for (size_t k = 0; k < sizeof operators / sizeof *operators; k++)
        for (int i = 0;; i++, cases++) {
            char name[64], path[2048];
            snprintf(name, sizeof name, "%s/%s%d", operators[k], operators[k], i);
            snprintf(path, sizeof path, "%s/%s.tflite", folder(), name);
            FILE *f = fopen(path, "rb");
            if (!f)
                break;
            fclose(f);
            run_case(path, name);
        }
    if (!cases) {
        fprintf(stderr, "skipped seanet: no stored cases in %s\n", folder());
        skip();
    }
    assert_int_equal(cases, CASES);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(stored_cases) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
