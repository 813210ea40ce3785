/* Gradients through sub-graphs against central differences: tape_models.txt holds models of float64
 * inputs x, w, ... (values: 0.3, -0.5, 0.7, ...) and one output y whose elements are summed. */
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
#include "ir/text.h"
#include "ops/tape.h"

enum { MAX_INPUTS = 8 };

struct case_model {
    struct model *m;
    struct arena *a;
    struct tensor *in[MAX_INPUTS];
};

static struct case_model open_case(const char *text) {
    struct case_model c = { .a = arena_new() };
    struct err e = { 0 };
    if (model_parse(text, strlen(text), &c.m, &e) != OK)
        fail_msg("%s: %s\n%s", e.where, e.what, text);
    ops_bind(c.m);
    assert_true(c.m->graph->n_inputs <= MAX_INPUTS);
    double next = 0.3;
    for (int i = 0; i < c.m->graph->n_inputs; i++) {
        const struct value *v = c.m->graph->inputs[i];
        c.in[i] = tensor_in_arena(c.a, v->dtype, v->dtype, v->rank, v->dim);
        for (int64_t k = 0; k < tensor_count(c.in[i]); k++) {
            tensor_set_f64(c.in[i], k, next);
            next = -next + (next > 0 ? 0.1 : 0.17);
        }
    }
    return c;
}

static double loss(const struct case_model *c) {
    struct exec_options o = { .precision = PREC_F64 };
    struct exec *x;
    struct err e = { 0 };
    double sum = 0;
    assert_int_equal(exec_new(&x, c->m, &o, &e), OK);
    struct exec_env *env = exec_env_new(x);
    if (exec_run(x, c->m->graph, (const struct tensor *const *)c->in, env, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    const struct tensor *y = env->at[c->m->graph->outputs[0]->id];
    for (int64_t i = 0; i < tensor_count(y); i++)
        sum += (1 + 0.1 * (double)i) * tensor_f64(y, i);
    exec_env_free(env);
    exec_free(x);
    return sum;
}

static void check_case(const char *text) {
    struct case_model c = open_case(text);
    const struct graph *g = c.m->graph;
    struct tape t;
    struct err e = { 0 };
    tape_open(&t, c.m, c.a, &e);
    for (int i = 0; i < g->n_inputs; i++)
        assert_int_equal(tape_give(&t, g->inputs[i], c.in[i]), OK);
    if (tape_forward(&t, g) != OK)
        fail_msg("forward: %s: %s\n%s", e.where, e.what, text);
    struct tensor *seed = tape_grad(&t, g->outputs[0]);
    assert_non_null(seed);
    for (int64_t i = 0; i < tensor_count(seed); i++)
        ((double *)seed->data)[i] = 1 + 0.1 * (double)i;
    if (tape_backward(&t, g) != OK)
        fail_msg("backward: %s: %s\n%s", e.where, e.what, text);
    bool any = false;
    for (int i = 0; i < g->n_inputs; i++)
        for (int64_t k = 0; c.in[i]->store == DT_F64 && k < tensor_count(c.in[i]); k++) {
            double *x = (double *)c.in[i]->data + k, saved = *x, h = 1e-5;
            *x = saved + h;
            double up = loss(&c);
            *x = saved - h;
            double want = (up - loss(&c)) / (2 * h);
            *x = saved;
            const struct tensor *grad = t.grad[g->inputs[i]->id];
            double have = grad ? tensor_f64(grad, k) : 0;
            any |= want != 0;
            if (!(fabs(have - want) <= 1e-6 * (1 + fabs(want))))
                fail_msg("input %d element %d: gradient %.9g, central difference %.9g\n%s", i,
                         (int)k, have, want, text);
        }
    assert_true(any);
    tape_close(&t);
    model_free(c.m);
    arena_free(c.a);
}

/* Models are separated by lines of ---. */
static void sub_graphs(void **state) {
    (void)state;
    FILE *f = fopen("test/ops/tape_models.txt", "r");
    static char text[65536], line[512];
    size_t n = 0;
    int cases = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, "---", 3) == 0) {
            check_case(text);
            cases++;
            n = 0;
            text[0] = '\0';
            continue;
        }
        assert_true(n + strlen(line) < sizeof text);
        memcpy(text + n, line, strlen(line) + 1);
        n += strlen(line);
    }
    fclose(f);
    assert_true(cases >= 9);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(sub_graphs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
