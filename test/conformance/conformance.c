/* Runs the stored cases of the ONNX specification's own test suite (onnx/backend/test/data): see
 * README.md. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/exec.h"
#include "formats/format.h"
#include "formats/onnx/onnx_data.h"
#include "infer_check.h"
#include "match.h"

enum { MAX_PATH = 1024, TIME_LIMIT = 600 };

/* _exit leaves the counters of a coverage build behind. */
#ifdef CALQUE_COVERAGE
void __gcov_dump(void);
#define COUNTERS_OUT() __gcov_dump()
#else
#define COUNTERS_OUT() (void)0
#endif

struct options {
    const char *root, *only, *op, *excused, *group;
    bool f64, f32, here, passed_too, reference;
};

/* A case that is held to types and shapes only. */
struct excuse {
    char precision[8], name[160], reason[256];
};

struct run {
    struct options o;
    struct excuse *excuses;
    int n_excuses;
    enum precision precision;
    int passed, failed, excused;
};

struct verdict {
    bool ok;
    char why[1200];
};

/* --- one case --- */

static bool fail(struct verdict *v, const char *what, const struct err *e) {
    v->ok = false;
    snprintf(v->why, sizeof v->why, "%.40s: %s%s%s", what, e->where, e->where[0] ? ": " : "",
             e->what);
    return false;
}

static bool exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0;
}

static bool load_inputs(const struct model *m, const char *folder, struct arena *a,
                        struct tensor **in, struct verdict *v) {
    const struct graph *g = m->graph;
    for (int i = 0; i < g->n_inputs; i++) {
        const char *path = arena_printf(a, "%s/input_%d.pb", folder, i);
        struct err e = { .code = OK };
        if (exists(path) && onnx_data_read(path, g->inputs[i]->kind, a, &in[i], NULL, &e) != OK)
            return fail(v, "input", &e);
    }
    return true;
}

static bool check_output(const struct tensor *have, const struct value *out, const char *path,
                         bool types_only, struct verdict *v) {
    struct arena *a = arena_new();
    struct tensor *want;
    struct err e = { .code = OK };
    char why[400];
    bool ok = onnx_data_read(path, out->kind, a, &want, NULL, &e) == OK;
    if (!ok) {
        fail(v, "expected output", &e);
    } else if (!tensors_match(have, want, 1e-3, 1e-7, types_only, why, sizeof why)) {
        ok = v->ok = false;
        snprintf(v->why, sizeof v->why, "output '%.100s': %s", out->name, why);
    }
    tensor_free(want);
    arena_free(a);
    return ok;
}

typedef const char *path_fn(struct arena *a, const char *folder, int i);

static const char *output_in_set(struct arena *a, const char *folder, int i) {
    return arena_printf(a, "%s/output_%d.pb", folder, i);
}

/* light_x.onnx has its outputs beside it. */
static const char *output_beside(struct arena *a, const char *model, int i) {
    return arena_printf(a, "%.*s_output_%d.pb", (int)(strlen(model) - strlen(".onnx")), model, i);
}

static bool run_model(const struct run *r, struct model *m, struct tensor **in, path_fn *output,
                      const char *where, bool types_only, struct verdict *v) {
    struct arena *a = arena_new();
    struct infer_check inferred = { .n_facts = m->next_value_id };
    struct exec_options o = { .precision = r->precision,
                              .seed = 1,
                              .reference_only = r->o.reference,
                              .tap = infer_check_tap,
                              .arg = &inferred };
    struct exec *x;
    struct err e = { .code = OK };
    inferred.facts = exec_infer(m, a, NULL, &e);
    if (exec_new(&x, m, &o, &e) != OK)
        return fail(v, "prepare", &e);
    struct exec_env *env = exec_env_new(x);
    bool ok = exec_run(x, m->graph, (const struct tensor *const *)in, env, &e) == OK ||
              fail(v, "run", &e);
    int checked = 0;
    for (int i = 0; ok && i < m->graph->n_outputs; i++) {
        const struct value *out = m->graph->outputs[i];
        const char *path = output(a, where, i);
        if (!exists(path))
            continue;
        ok = check_output(env->at[out->id], out, path, types_only, v);
        checked++;
    }
    if (ok && checked == 0) {
        ok = v->ok = false;
        snprintf(v->why, sizeof v->why, "no stored output at %s", where);
    }
    if (ok && inferred.why[0]) {
        ok = v->ok = false;
        snprintf(v->why, sizeof v->why, "%s", inferred.why);
    }
    exec_env_free(env);
    exec_free(x);
    arena_free(a);
    return ok;
}

static void free_inputs(struct tensor **in, int n) {
    for (int i = 0; i < n; i++)
        tensor_free(in[i]);
    free(in);
}

/* Inputs of a light model, as the suite makes them: element i of n is i / n in float32. */
static bool make_inputs(const struct model *m, struct tensor **in, struct verdict *v) {
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *x = m->graph->inputs[i];
        int64_t dim[MAX_RANK];
        struct err e = { .code = OK };
        for (int k = 0; k < x->rank; k++)
            dim[k] = x->dim[k] < 0 ? 1 : x->dim[k];
        if (x->rank < 0 || x->dtype != DT_F32 ||
            tensor_new(&in[i], DT_F32, DT_F32, x->rank, dim, &e) != OK)
            return fail(v, "input of a light model", &e);
        int64_t n = tensor_count(in[i]);
        for (int64_t k = 0; k < n; k++)
            tensor_set_f64(in[i], k, (double)k / (double)n);
    }
    return true;
}

static void run_light(const struct run *r, struct model *m, const char *path, bool types_only,
                      struct verdict *v) {
    struct tensor **in = calloc((size_t)m->graph->n_inputs + 1, sizeof *in);
    if (make_inputs(m, in, v))
        run_model(r, m, in, output_beside, path, types_only, v);
    free_inputs(in, m->graph->n_inputs);
}

static void run_sets(const struct run *r, struct model *m, const char *folder, bool types_only,
                     struct verdict *v) {
    for (int set = 0; v->ok; set++) {
        char path[MAX_PATH + 32];
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, set);
        if (!exists(path)) {
            if (set == 0)
                *v = (struct verdict) { false, "the case has no data" };
            return;
        }
        struct arena *a = arena_new();
        struct tensor **in = calloc((size_t)m->graph->n_inputs + 1, sizeof *in);
        if (load_inputs(m, path, a, in, v))
            run_model(r, m, in, output_in_set, path, types_only, v);
        free_inputs(in, m->graph->n_inputs);
        arena_free(a);
    }
}

struct has_op {
    const char *op;
    bool found;
};

static void look_for_op(struct graph *g, void *arg) {
    struct has_op *h = arg;
    for (int i = 0; i < g->n_nodes; i++)
        h->found |= strcasecmp(g->nodes[i]->op, h->op) == 0;
}

static struct verdict run_case(const struct run *r, const char *path, bool light, bool types_only,
                               bool *wanted) {
    struct verdict v = { .ok = true };
    struct err e = { .code = OK };
    struct model *m;
    char file[MAX_PATH + 16];
    snprintf(file, sizeof file, light ? "%s" : "%s/model.onnx", path);
    *wanted = true;
    if (model_read(file, &m, &e) != OK) {
        fail(&v, "read", &e);
        return v;
    }
    struct has_op h = { r->o.op, false };
    if (r->o.op)
        model_each_graph(m, look_for_op, &h);
    *wanted = !r->o.op || h.found;
    if (*wanted && light)
        run_light(r, m, path, types_only, &v);
    else if (*wanted)
        run_sets(r, m, path, types_only, &v);
    model_free(m);
    return v;
}

/* --- all cases --- */

struct answer {
    bool wanted;
    struct verdict v;
};

/* In a process of its own, so that a crash or a hang is one failed case. */
static struct answer run_apart(const struct run *r, const char *path, bool light, bool types_only) {
    struct answer a = { true, { false, "the case crashed or took too long" } };
    int fd[2];
    if (pipe(fd) != 0)
        return a;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        alarm(TIME_LIMIT);
        a.v = run_case(r, path, light, types_only, &a.wanted);
        ssize_t n = write(fd[1], &a, sizeof a);
        COUNTERS_OUT();
        _exit(n == (ssize_t)sizeof a ? 0 : 1);
    }
    close(fd[1]);
    struct answer got;
    if (read(fd[0], &got, sizeof got) == (ssize_t)sizeof got)
        a = got;
    close(fd[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        a.v.ok = false;
        snprintf(a.v.why, sizeof a.v.why, "the case ended with signal %d", WTERMSIG(status));
    }
    return a;
}

static const struct excuse *excuse_of(const struct run *r, const char *name) {
    const char *precision = r->precision == PREC_F64 ? "f64" : "f32";
    for (int i = 0; i < r->n_excuses; i++) {
        const struct excuse *x = &r->excuses[i];
        if (strcmp(x->name, name) == 0 &&
            (strcmp(x->precision, "both") == 0 || strcmp(x->precision, precision) == 0))
            return x;
    }
    return NULL;
}

static void one_case(struct run *r, const char *group, const char *name, const char *path) {
    bool light = strcmp(group, "light") == 0;
    const struct excuse *excuse = excuse_of(r, name);
    struct answer a;
    if (r->o.here)
        a.v = run_case(r, path, light, excuse, &a.wanted);
    else
        a = run_apart(r, path, light, excuse);
    if (!a.wanted)
        return;
    const char *precision = r->precision == PREC_F64 ? "f64" : "f32";
    if (!a.v.ok)
        printf("FAILED %s %s/%s: %s\n", precision, group, name, a.v.why);
    else if (excuse)
        printf("excused %s %s/%s: %s\n", precision, group, name, excuse->reason);
    else if (r->o.passed_too)
        printf("passed %s %s/%s\n", precision, group, name);
    r->failed += !a.v.ok;
    r->excused += a.v.ok && excuse;
    r->passed += a.v.ok && !excuse;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **list(const char *folder, int *n) {
    char **names = NULL;
    DIR *d = opendir(folder);
    *n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        if (f->d_name[0] == '.')
            continue;
        names = realloc(names, (size_t)(*n + 1) * sizeof *names);
        names[(*n)++] = strdup(f->d_name);
    }
    if (d)
        closedir(d);
    if (*n)
        qsort(names, (size_t)*n, sizeof *names, by_name);
    return names;
}

static bool is_case(const struct run *r, const char *group, const char *name) {
    size_t n = strlen(name);
    bool light = strcmp(group, "light") == 0;
    if (light && (n < 5 || strcmp(name + n - 5, ".onnx") != 0))
        return false;
    return !r->o.only || strstr(name, r->o.only);
}

static bool run_group(struct run *r, const char *group) {
    char folder[MAX_PATH], path[2 * MAX_PATH];
    snprintf(folder, sizeof folder, "%s/%s", r->o.root, group);
    int n;
    char **names = list(folder, &n);
    r->passed = r->failed = r->excused = 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (is_case(r, group, names[i]))
            one_case(r, group, names[i], path);
        free(names[i]);
    }
    free(names);
    int all = r->passed + r->failed + r->excused;
    if (all) {
        printf("%s %s: %d of %d passed, %d failed, %d excused\n",
               r->precision == PREC_F64 ? "f64" : "f32", group, r->passed, all, r->failed,
               r->excused);
        printf("cases: %d passed, %d failed, %d skipped\n", r->passed, r->failed, r->excused);
    }
    return r->failed == 0 && (n > 0);
}

/* Lines of the list: precision, case, reason, separated by tabs. */
static bool read_excuses(struct run *r) {
    FILE *f = fopen(r->o.excused, "r");
    char line[512];
    if (!f) {
        fprintf(stderr, "cannot read %s\n", r->o.excused);
        return false;
    }
    while (fgets(line, sizeof line, f)) {
        struct excuse x;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        if (sscanf(line, "%7[^\t]\t%159[^\t]\t%255[^\n]", x.precision, x.name, x.reason) != 3) {
            fprintf(stderr, "%s: not three columns: %s", r->o.excused, line);
            fclose(f);
            return false;
        }
        r->excuses = realloc(r->excuses, (size_t)(r->n_excuses + 1) * sizeof *r->excuses);
        r->excuses[r->n_excuses++] = x;
    }
    fclose(f);
    return true;
}

static bool parse(struct options *o, int argc, char **argv) {
    *o = (struct options) { .f64 = true, .f32 = true };
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        const char **text = strcmp(a, "--only") == 0      ? &o->only
                            : strcmp(a, "--op") == 0      ? &o->op
                            : strcmp(a, "--group") == 0   ? &o->group
                            : strcmp(a, "--excused") == 0 ? &o->excused
                            : a[0] != '-' && !o->root     ? &o->root
                                                          : NULL;
        if (text == &o->root)
            o->root = a;
        else if (text && i + 1 < argc)
            *text = argv[++i];
        else if (strcmp(a, "--f64") == 0)
            o->f32 = false;
        else if (strcmp(a, "--f32") == 0)
            o->f64 = false;
        else if (strcmp(a, "--reference") == 0)
            o->reference = true;
        else if (strcmp(a, "--here") == 0)
            o->here = true;
        else if (strcmp(a, "--passed") == 0)
            o->passed_too = true;
        else
            return false;
    }
    return o->root && (o->f64 || o->f32);
}

int main(int argc, char **argv) {
    static const char *const groups[] = { "node", "pytorch-converted", "pytorch-operator", "simple",
                                          "light" };
    struct run r = { .passed = 0 };
    if (!parse(&r.o, argc, argv)) {
        fprintf(stderr, "usage: conformance DATA [--only TEXT] [--op OPERATOR] [--group NAME] "
                        "[--f64 | --f32] [--reference] [--excused FILE] [--here] [--passed]\n");
        return 2;
    }
    if (r.o.excused && !read_excuses(&r))
        return 2;
    bool ok = true;
    for (int p = 0; p < 2; p++) {
        if (p == 0 ? !r.o.f64 : !r.o.f32)
            continue;
        r.precision = p == 0 ? PREC_F64 : PREC_F32;
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
            if (!r.o.group || strcmp(r.o.group, groups[g]) == 0)
                ok &= run_group(&r, groups[g]);
    }
    free(r.excuses);
    return ok ? 0 : 1;
}
