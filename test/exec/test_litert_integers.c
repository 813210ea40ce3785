/* A run in native precision gives the integers of LiteRT's reference kernels: every integer output
 * of the corpus's real models (tools/oracle/litert_integers.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "made.h"
#include "passes/fixed_point.h"

enum { LINE = 2048, MOST = 64 };

struct row {
    char model[1024], digest[65];
    int output;
};

static int models, outputs, differ;

static void compare(const struct row *rows, int n, const struct graph *g,
                    const struct exec_env *env) {
    for (int i = 0; i < n; i++) {
        char text[65];
        assert_in_range(rows[i].output, 0, g->n_outputs - 1);
        const struct tensor *t = env->at[g->outputs[rows[i].output]->id];
        sha256_hex(t->data, tensor_bytes(t), text);
        outputs++;
        if (strcmp(text, rows[i].digest) == 0)
            continue;
        differ++;
        fprintf(stderr, "%s: output %d has other integers than LiteRT\n", rows[i].model,
                rows[i].output);
    }
}

static enum status run(const char *path, const struct row *rows, int n, struct err *e) {
    struct model *m;
    struct exec *x = NULL;
    struct exec_options o = { .precision = PREC_NATIVE };
    struct tensor *in[MOST] = { 0 };
    TRY(model_read(path, &m, e));
    const struct graph *g = m->graph;
    assert_true(g->n_inputs <= MOST);
    TRY(fixed_point(m, e));
    for (int i = 0; i < g->n_inputs; i++)
        TRY(made_input(&in[i], g->inputs[i]->dtype, g->inputs[i]->rank, g->inputs[i]->dim,
                       (uint64_t)i, e));
    TRY(exec_new(&x, m, &o, e));
    struct exec_env *env = exec_env_new(x);
    enum status s = exec_run(x, g, (const struct tensor *const *)in, env, e);
    if (s == OK)
        compare(rows, n, g, env);
    for (int i = 0; i < g->n_inputs; i++)
        tensor_free(in[i]);
    exec_env_free(env);
    exec_free(x);
    model_free(m);
    return s;
}

static void check_model(const struct row *rows, int n) {
    const char *corpus = getenv("CALQUE_CORPUS");
    char path[2048];
    struct err e = { 0 };
    snprintf(path, sizeof path, "%s/%s", corpus ? corpus : "../shared", rows[0].model);
    FILE *f = n ? fopen(path, "rb") : NULL;
    if (!f)
        return;
    fclose(f);
    models++;
    if (run(path, rows, n, &e) != OK)
        fail_msg("%s: %s: %s", path, e.where, e.what);
}

static void integers(void **state) {
    (void)state;
    static struct row rows[MOST];
    static char line[LINE];
    FILE *f = fopen("test/data/litert/integers.tsv", "r");
    int n = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct row r;
        if (line[0] == '#' ||
            sscanf(line, "%1023[^\t]\t%d\t%64[^\n]", r.model, &r.output, r.digest) != 3)
            continue;
        if (n && strcmp(r.model, rows[0].model) != 0) {
            check_model(rows, n);
            n = 0;
        }
        assert_true(n < MOST);
        rows[n++] = r;
    }
    check_model(rows, n);
    fclose(f);
    if (!models) {
        fprintf(stderr, "the corpus of real models is not there\n");
        skip();
    }
    fprintf(stderr, "%d integer outputs of %d models, %d differ\n", outputs, models, differ);
    assert_int_equal(differ, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(integers) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
