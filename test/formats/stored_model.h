/* Small models with stored inputs and outputs, NAME_in.npz and NAME_out.npz, keyed by position; a
 * table cases.tsv whose first column is the name. */
#ifndef TEST_FORMATS_STORED_MODEL_H
#define TEST_FORMATS_STORED_MODEL_H

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

typedef void compare_fn(const char *name, const struct tensor *have, const struct tensor *want);

static inline void stored_arrays(const char *folder, const char *name, const char *end,
                                 struct arena *a, struct named_tensors *out) {
    char path[640];
    struct err e = { 0 };
    snprintf(path, sizeof path, "%s/%s_%s.npz", folder, name, end);
    if (npz_read(path, a, out, &e) != OK)
        fail_msg("%s: %s", path, e.what);
}

static inline const struct tensor *stored_array(const struct named_tensors *t, int i) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    return named_tensor_find(t, key);
}

/* Runs the model; compares every output unless compare is NULL. */
static inline enum status stored_model_run(const char *folder, const char *name, const char *suffix,
                                           enum precision p, compare_fn *compare, struct err *e) {
    char path[640];
    struct model *m;
    struct exec *x = NULL;
    struct exec_env *env = NULL;
    struct arena *a = arena_new();
    struct named_tensors in, out = { 0 };
    const struct tensor *feed[16] = { NULL };
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, suffix);
    if (model_read(path, &m, e) != OK)
        fail_msg("%s: %s", e->where, e->what);
    stored_arrays(folder, name, "in", a, &in);
    assert_in_range(in.n, 0, 15);
    assert_int_equal(in.n, m->graph->n_inputs);
    for (int i = 0; i < in.n; i++)
        feed[i] = stored_array(&in, i);
    struct exec_options o = { .precision = p };
    enum status s = p == PREC_NATIVE ? fixed_point(m, e) : OK;
    if (s == OK)
        s = exec_new(&x, m, &o, e);
    if (s == OK) {
        env = exec_env_new(x);
        s = exec_run(x, NULL, feed, env, e);
    }
    if (s == OK && compare) {
        stored_arrays(folder, name, "out", a, &out);
        assert_int_equal(out.n, m->graph->n_outputs);
    }
    for (int i = 0; s == OK && i < out.n; i++) {
        const struct tensor *have = env->at[m->graph->outputs[i]->id],
                            *want = stored_array(&out, i);
        assert_non_null(have);
        assert_non_null(want);
        if (!dims_equal(have->dim, have->rank, want->dim, want->rank))
            fail_msg("%s: another shape", name);
        compare(name, have, want);
    }
    named_tensors_free(&in);
    named_tensors_free(&out);
    exec_env_free(env);
    exec_free(x);
    model_free(m);
    arena_free(a);
    return s;
}

static inline void stored_model(const char *folder, const char *name, const char *suffix,
                                enum precision p, compare_fn *compare) {
    struct err e = { 0 };
    if (stored_model_run(folder, name, suffix, p, compare, &e) != OK)
        fail_msg("%s: %s: %s", name, e.where, e.what);
}

/* Calls run with each line of cases.tsv below the heading; gives their count. */
static inline int each_stored_case(const char *folder, void (*run)(char *line)) {
    char line[1024], table[640];
    int n = 0;
    snprintf(table, sizeof table, "%s/cases.tsv", folder);
    FILE *f = fopen(table, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    for (; fgets(line, sizeof line, f); n++) {
        line[strcspn(line, "\n")] = '\0';
        run(line);
    }
    fclose(f);
    return n;
}

#endif
