/* Shape inference of real models with free dimensions: what is claimed with symbols must be so when
 * the inputs' shapes are bound, and little may stay unknown. */
#include <dirent.h>
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

enum { MAX_SYMBOLS = 64 };

struct counts {
    int models, values, told; /* of values that come from a free input: every dimension is known */
};

/* The number that stands for a free dimension of an input. */
static int64_t number_of(const struct model *m, int64_t dim) {
    return dim <= DIM_SYMBOL && DIM_SYMBOL - dim < m->n_symbols ? 2 + (DIM_SYMBOL - dim) % 3 : 2;
}

/* What the file declares of computed values is taken away: the rules must find it. */
static void forget_declared(struct graph *g, void *arg) {
    (void)arg;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->producer)
            g->values[i]->rank = -1;
}

static bool free_input(const struct model *m) {
    for (int i = 0; i < m->graph->n_inputs; i++)
        for (int k = 0; k < m->graph->inputs[i]->rank; k++)
            if (m->graph->inputs[i]->dim[k] < 0)
                return true;
    return false;
}

/* Inputs without declared rank or dimension names cannot be bound to symbols: they are skipped. */
static struct fact *bound_facts(const struct model *m, struct arena *a) {
    struct fact *bound = NEW_ARRAY(a, m->next_value_id + 1, struct fact);
    for (int i = 0; i < m->next_value_id; i++)
        bound[i].rank = -1;
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        struct fact *f = &bound[v->id];
        if (v->rank < 0 || v->constant)
            continue;
        *f = (struct fact) { .kind = v->kind, .dtype = v->dtype, .rank = v->rank };
        for (int k = 0; k < v->rank; k++)
            f->dim[k] = v->dim[k] < 0 ? number_of(m, v->dim[k]) : v->dim[k];
    }
    return bound;
}

static void compare_facts(const char *path, const struct model *m, const struct value *v,
                          const struct fact *open, const struct fact *bound, struct counts *c) {
    bool told = open->rank >= 0;
    if (open->rank >= 0 && bound->rank >= 0 && open->rank != bound->rank)
        fail_msg("%s: '%s' has rank %d, bound %d", path, v->name, open->rank, bound->rank);
    for (int k = 0; k < open->rank; k++) {
        int64_t d = open->dim[k], want = d <= DIM_SYMBOL ? number_of(m, d) : d;
        told &= d != DIM_UNKNOWN;
        if (d != DIM_UNKNOWN && k < bound->rank && bound->dim[k] >= 0 && bound->dim[k] != want)
            fail_msg("%s: dimension %d of '%s' is claimed to be %lld, bound it is %lld", path, k,
                     v->name, (long long)want, (long long)bound->dim[k]);
    }
    c->values++;
    c->told += told;
}

static void check_model(const char *path, struct counts *c) {
    struct model *m;
    struct err e = { 0 };
    if (model_read(path, &m, &e) != OK)
        return;
    struct arena *a = arena_new();
    if (m->graph && free_input(m)) {
        struct counts before = *c;
        model_each_graph(m, forget_declared, NULL);
        struct fact *open = exec_infer(m, a, NULL, &e),
                    *bound = exec_infer(m, a, bound_facts(m, a), &e);
        for (int i = 0; i < m->graph->n_values; i++) {
            const struct value *v = m->graph->values[i];
            if (v->producer && !v->constant)
                compare_facts(path, m, v, &open[v->id], &bound[v->id], c);
        }
        c->models++;
        if (getenv("CALQUE_TELL"))
            printf("%s: %d of %d told\n", path, c->told - before.told, c->values - before.values);
    }
    arena_free(a);
    model_free(m);
}

static void walk(const char *folder, int depth, struct counts *c) {
    DIR *d = opendir(folder);
    for (struct dirent *f; d && depth < 12 && (f = readdir(d));) {
        char path[1024];
        size_t n = strlen(f->d_name);
        if (f->d_name[0] == '.' ||
            snprintf(path, sizeof path, "%s/%s", folder, f->d_name) >= (int)sizeof path)
            continue;
        if (n > 5 && strcmp(f->d_name + n - 5, ".onnx") == 0)
            check_model(path, c);
        else
            walk(path, depth + 1, c);
    }
    if (d)
        closedir(d);
}

static void free_dimensions(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    char folder[1024];
    struct counts c = { 0 };
    snprintf(folder, sizeof folder, "%s/models", corpus ? corpus : "../shared");
    walk(folder, 0, &c);
    snprintf(folder, sizeof folder, "%s/pairs", corpus ? corpus : "../shared");
    walk(folder, 0, &c);
    if (!c.models) {
        print_message("skipped free_dimensions: no models at %s\n", folder);
        skip();
    }
    print_message("%d models: %d of %d values told\n", c.models, c.told, c.values);
    assert_true(c.told * 100 >= c.values * 95);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(free_dimensions) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
