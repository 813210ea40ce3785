/* Runs ONNX and TensorFlow Lite files on stored inputs and compares with the outputs that the
 * formats' own runtimes stored, and with every value where golden_<name>_onnx.npz holds them.
 *
 *     stored_outputs CORPUS [SUBSTRING]
 *
 * Rows of CORPUS/pairs/pairs.tsv whose source or target is such a file. Float values must agree
 * within 1e-5 of the value's range, integers exactly. Where the row says "quantized" a TensorFlow
 * Lite file is run in native precision, everything else in float32. A quantized file
 * that has an operator without an integer kernel is run in float64 instead, where single steps grow
 * through the network: its bound is a fifth of the range, and it is counted apart. Prints a line
 * for every file that does not agree, and the counts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "npz/npz.h"
#include "passes/fixed_point.h"

enum { MAX_COLUMNS = 32 };

struct totals {
    int passed, exact, in_reals, failed, unsupported, inner;
    const char *only;
    bool quantized; /* the row says so: interpreter arithmetic is integer */
};

static const struct tensor *find(const struct named_tensors *t, const char *name, int index) {
    size_t stem = strcspn(name, ":");
    for (int i = 0; i < t->n; i++) {
        const char *key = t->items[i].name;
        if (strcmp(key, name) == 0 || (strlen(key) == stem && memcmp(key, name, stem) == 0))
            return t->items[i].tensor;
    }
    return t->n == 1 && index == 0 ? t->items[0].tensor : NULL;
}

/* Sample k of an array that counts samples in its first axis. */
static struct tensor *sample(const struct tensor *t, int64_t k) {
    struct tensor *s = tensor_alias(t);
    size_t step = tensor_bytes(t) / (size_t)t->dim[0];
    s->data = (char *)t->data + (size_t)k * step;
    s->dim[0] = 1;
    return s;
}

static double worst_error(const struct tensor *have, const struct tensor *want, int64_t offset) {
    double range = 0, worst = 0;
    for (int64_t i = 0; i < tensor_count(want); i++) {
        double v = fabs(tensor_f64(want, i));
        range = isfinite(v) && v > range ? v : range;
    }
    for (int64_t i = 0; i < tensor_count(have); i++) {
        double a = tensor_f64(have, i), b = tensor_f64(want, offset + i);
        if (a == b || (isnan(a) && isnan(b)))
            continue;
        double d = isfinite(a - b) ? fabs(a - b) : HUGE_VAL;
        if (d > worst)
            worst = d;
    }
    return dtype_is_float(want->dtype) ? worst / (range > 0 ? range : 1) : worst;
}

struct job {
    struct model *m;
    struct named_tensors in, out, golden; /* golden: the first sample's values; may be empty */
    int inner;                            /* values compared with golden ones */
    enum precision precision;
    bool refused; /* no integer kernel for one of its operators */
    double worst;
};

/* Names in npz files have | for /. */
static bool same_name(const char *name, const char *key) {
    for (; *name && (*name == *key || (*name == '/' && *key == '|')); name++)
        key++;
    return !*name && !*key;
}

/* Values are stored for the first sample; the file may compute several along axis 0. */
static enum status compare_inner(struct job *j, const struct exec_env *env, struct err *e) {
    const struct graph *g = j->m->graph;
    for (int i = 0; i < g->n_values; i++) {
        const struct tensor *want = NULL, *have = env->at[g->values[i]->id];
        for (int k = 0; k < j->golden.n; k++)
            if (same_name(g->values[i]->name, j->golden.items[k].name))
                want = j->golden.items[k].tensor;
        if (!want || !have || g->values[i]->constant)
            continue;
        FAIL_IF(tensor_count(have) < tensor_count(want) || have->rank != want->rank, e,
                STATUS_MISMATCH, "value '%s' has another shape than stored", g->values[i]->name);
        struct tensor first = *have;
        memcpy(first.dim, want->dim, sizeof first.dim);
        double d = worst_error(&first, want, 0);
        j->worst = d > j->worst ? d : j->worst;
        j->inner++;
    }
    return OK;
}

static enum status run_once(struct job *j, int64_t k, int64_t samples, struct err *e) {
    struct graph *g = j->m->graph;
    struct tensor **in = calloc((size_t)g->n_inputs + 1, sizeof *in);
    struct exec *x = NULL;
    struct exec_options o = { .precision = j->precision, .keep_values = j->golden.n > 0 };
    enum status s = exec_new(&x, j->m, &o, e);
    struct exec_env *env = exec_env_new(x);
    for (int i = 0; s == OK && i < g->n_inputs; i++) {
        const struct tensor *t = find(&j->in, g->inputs[i]->name, i);
        if (!t)
            s = err_set(e, STATUS_USAGE, "no stored input '%s'", g->inputs[i]->name);
        else
            in[i] = samples > 1 ? sample(t, k) : tensor_alias(t);
    }
    if (s == OK)
        s = exec_run(x, g, (const struct tensor *const *)in, env, e);
    for (int i = 0; s == OK && i < g->n_outputs; i++) {
        const struct tensor *want = find(&j->out, g->outputs[i]->name, i),
                            *have = env->at[g->outputs[i]->id];
        if (!want) {
            s = err_set(e, STATUS_USAGE, "no stored output '%s'", g->outputs[i]->name);
            break;
        }
        if (tensor_count(have) * (samples > 1 ? samples : 1) != tensor_count(want)) {
            s = err_set(e, STATUS_MISMATCH, "output %d has %lld elements, stored are %lld", i,
                        (long long)tensor_count(have), (long long)tensor_count(want));
            break;
        }
        double d = worst_error(have, want, samples > 1 ? k * tensor_count(have) : 0);
        j->worst = d > j->worst ? d : j->worst;
    }
    if (s == OK && k == 0 && j->golden.n)
        s = compare_inner(j, env, e);
    for (int i = 0; i < g->n_inputs; i++)
        tensor_free(in[i]);
    free(in);
    exec_env_free(env);
    exec_free(x);
    return s;
}

static int64_t count_samples(const struct job *j) {
    const struct graph *g = j->m->graph;
    if (g->n_inputs == 0)
        return 1;
    const struct tensor *t = find(&j->in, g->inputs[0]->name, 0);
    const struct value *v = g->inputs[0];
    return t && t->rank == v->rank && v->rank > 0 && v->dim[0] == 1 && t->dim[0] > 1 ? t->dim[0]
                                                                                     : 1;
}

static enum status run_all(struct job *j, struct err *e) {
    int64_t samples = count_samples(j);
    for (int64_t k = 0; k < samples; k++)
        TRY(run_once(j, k, samples, e));
    return OK;
}

/* folder/golden_<name>_onnx.npz of folder/<name>.onnx, when it is there. */
static enum status read_golden(struct job *j, const char *model, struct arena *a, struct err *e) {
    const char *slash = strrchr(model, '/'), *dot = strrchr(model, '.');
    if (!slash || !dot || strcmp(dot, ".onnx") != 0)
        return OK;
    const char *path = arena_printf(a, "%.*s/golden_%.*s_onnx.npz", (int)(slash - model), model,
                                    (int)(dot - slash - 1), slash + 1);
    FILE *f = fopen(path, "rb");
    if (!f)
        return OK;
    fclose(f);
    return npz_read(path, a, &j->golden, e);
}

static enum status run_file(struct job *j, const char *model, const char *in, const char *out,
                            struct err *e) {
    struct arena *a = arena_new();
    enum status s = model_read(model, &j->m, e);
    if (s == OK && j->precision == PREC_NATIVE) {
        s = fixed_point(j->m, e);
        j->refused = s == STATUS_UNSUPPORTED;
    }
    if (s == OK)
        s = npz_read(in, a, &j->in, e);
    if (s == OK)
        s = npz_read(out, a, &j->out, e);
    if (s == OK)
        s = read_golden(j, model, a, e);
    if (s == OK)
        s = run_all(j, e);
    named_tensors_free(&j->golden);
    named_tensors_free(&j->in);
    named_tensors_free(&j->out);
    model_free(j->m);
    arena_free(a);
    return s;
}

static void check(struct totals *t, const char *corpus, const char *model, const char *in,
                  const char *out) {
    char paths[3][1024];
    const char *names[] = { model, in, out };
    if (t->only && !strstr(model, t->only))
        return;
    for (int i = 0; i < 3; i++)
        snprintf(paths[i], sizeof paths[i], "%s/pairs/%s", corpus, names[i]);
    struct err e = { 0 };
    struct job j = { .precision = t->quantized ? PREC_NATIVE : PREC_F32 };
    enum status s = run_file(&j, paths[0], paths[1], paths[2], &e);
    bool reals = j.refused;
    if (reals) {
        printf("in reals %s: %s\n", model, e.where);
        e = (struct err) { 0 };
        j = (struct job) { .precision = PREC_F64 };
        s = run_file(&j, paths[0], paths[1], paths[2], &e);
    }
    /* An integer output that is off is off by one or more. */
    double bound = reals ? 0.2 : 1e-5;
    if (s == STATUS_UNSUPPORTED) {
        printf("unsupported %s: %s: %s\n", model, e.where, e.what);
        t->unsupported++;
    } else if (s != OK) {
        printf("failed %s: %s: %s\n", model, e.where, e.what);
        t->failed++;
    } else if (!(j.worst <= bound)) {
        printf("differs %s: %.3g%s\n", model, j.worst, t->quantized ? " (quantized)" : "");
        t->failed++;
    } else {
        t->inner += j.inner;
        t->passed += !t->quantized;
        t->exact += t->quantized && !reals;
        t->in_reals += reals;
    }
}

static int split(char *line, char **column) {
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *p = line; p && n < MAX_COLUMNS; n++) {
        column[n] = p;
        p = strchr(p, '\t');
        if (p)
            *p++ = '\0';
    }
    return n;
}

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), k = strlen(end);
    return n > k && strcmp(path + n - k, end) == 0;
}

/* Columns: id source target inputs source_outputs target_outputs expect ... */
static void check_row(struct totals *t, const char *corpus, char **c, struct strmap *seen,
                      struct arena *a) {
    char *second = strchr(c[3], ';');
    if (second)
        *second++ = '\0';
    for (int side = 0; side < 2; side++) {
        const char *model = c[1 + side], *out = c[4 + side];
        bool tflite = ends_with(model, ".tflite");
        if ((!tflite && !ends_with(model, ".onnx")) || !*out || strmap_has(seen, model))
            continue;
        t->quantized = tflite && strcmp(c[6], "quantized") == 0;
        strmap_put(seen, arena_str(a, model), NULL);
        check(t, corpus, model, side && second ? second : c[3], out);
    }
}

int main(int argc, char **argv) {
    const char *corpus = argc > 1 ? argv[1] : "../shared";
    char path[1024];
    snprintf(path, sizeof path, "%s/pairs/pairs.tsv", corpus);
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("skipped: no corpus at %s\n", corpus);
        return 77;
    }
    struct totals t = { .only = argc > 2 ? argv[2] : NULL };
    struct arena *a = arena_new();
    struct strmap seen;
    strmap_init(&seen, a);
    static char line[65536];
    char *column[MAX_COLUMNS];
    bool header = true;
    while (fgets(line, sizeof line, f)) {
        if (split(line, column) >= 7 && !header)
            check_row(&t, corpus, column, &seen, a);
        header = false;
        fflush(stdout);
    }
    fclose(f);
    arena_free(a);
    printf("%d passed (%d inner values), %d quantized as the reference kernels, %d quantized in "
           "reals, %d failed, %d unsupported\n",
           t.passed, t.inner, t.exact, t.in_reals, t.failed, t.unsupported);
    printf("cases: %d passed, %d failed, 0 skipped\n", t.passed + t.exact + t.in_reals,
           t.failed + t.unsupported);
    return t.failed || t.unsupported || (!t.only && !t.inner);
}
