#include "effect.h"

#include <math.h>

#include "compare/inputs.h"
#include "exec/exec.h"
#include "formats/format.h"

struct outputs {
    struct tensor *at[3][32];
    int n;
};

static void outputs_free(struct outputs *o) {
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < o->n; i++)
            tensor_free(o->at[s][i]);
}

static bool run_on(struct model *m, struct tensor ***inputs, int samples, struct outputs *out) {
    struct exec *x;
    struct err e = { 0 };
    struct exec_options options = { .precision = PREC_F64, .deadline = 60 };
    *out = (struct outputs) { .n = m->graph->n_outputs < 32 ? m->graph->n_outputs : 32 };
    if (exec_new(&x, m, &options, &e) != OK)
        return false;
    bool good = true;
    for (int s = 0; good && s < samples; s++) {
        struct exec_env *env = exec_env_new(x);
        good = exec_run(x, m->graph, (const struct tensor *const *)inputs[s], env, &e) == OK;
        for (int i = 0; good && i < out->n; i++) {
            const struct tensor *t = NULL;
            good = exec_value(x, env, m->graph->outputs[i], &t, &e) == OK && t;
            if (good)
                out->at[s][i] = tensor_alias(t);
        }
        exec_env_free(env);
    }
    exec_free(x);
    return good;
}

/* Largest difference over the largest magnitude; NaN when shapes differ. */
static double apart(const struct outputs *a, const struct outputs *b, int samples) {
    double worst = 0;
    for (int i = 0; i < a->n; i++)
        for (int s = 0; s < samples; s++) {
            const struct tensor *x = a->at[s][i], *y = b->at[s][i];
            if (x->kind != KIND_TENSOR || y->kind != KIND_TENSOR ||
                !dims_equal(x->dim, x->rank, y->dim, y->rank) || x->store == DT_STRING)
                return NAN;
            double scale = 0, most = 0;
            for (int64_t k = 0; k < tensor_count(x); k++) {
                double u = tensor_f64(x, k), v = tensor_f64(y, k);
                if (isnan(u) != isnan(v))
                    most = INFINITY;
                if (isnan(u) || isnan(v))
                    continue;
                scale = fmax(scale, fabs(u));
                most = fmax(most, fabs(u - v));
            }
            worst = fmax(worst, most / (scale > 0 ? scale : 1));
        }
    return worst;
}

double files_apart(const char *one, const char *two, uint64_t seed) {
    struct model *a = NULL, *b = NULL;
    struct err e = { 0 };
    double result = NAN;
    struct arena *arena = arena_new();
    enum { SAMPLES = 3 };
    if (model_read(one, &a, &e) == OK && model_read(two, &b, &e) == OK &&
        a->graph->n_outputs == b->graph->n_outputs) {
        struct compare_options o = { .samples = SAMPLES, .seed = seed };
        struct input_pairs pairs;
        struct input_set set = { 0 };
        if (inputs_pair(&pairs, a, b, &o, arena, &e) == OK &&
            inputs_make(&set, a, b, &pairs, SAMPLES, seed, 0, arena, &e) == OK) {
            struct outputs ya = { .n = 0 }, yb = { .n = 0 };
            if (run_on(a, set.source, set.n, &ya) && run_on(b, set.target, set.n, &yb))
                result = apart(&ya, &yb, set.n);
            outputs_free(&ya);
            outputs_free(&yb);
            inputs_free(&set, a, b);
        }
    }
    model_free(a);
    model_free(b);
    arena_free(arena);
    return result;
}
