/* Makes faults in real files and asks the program about them: see README.md.
 *
 * usage: faults CALQUE LIST ROOT [--count N] [--seed S] [--only TEXT] [--keep FOLDER] [--verbose]
 */
#define _XOPEN_SOURCE 700
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapfile.h"
#include "compare/inputs.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "mutation.h"

enum { MAX_FAULTS = 3, MAX_KINDS = 64, LINE = 2048, PATH = 1024 };

struct score {
    char kind[40];
    int made, detected, located, named, repaired;
};

struct bench {
    const char *calque, *root, *only, *keep;
    char folder[PATH];
    int count; /* faults to make */
    uint64_t seed;
    bool verbose;
    struct score rows[MAX_KINDS];
    int n_rows, untouched, false_alarms, files;
};

uint64_t chance_next(struct chance *c) { /* splitmix64 */
    uint64_t z = c->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int chance_below(struct chance *c, int n) {
    return n > 0 ? (int)(chance_next(c) % (uint64_t)n) : 0;
}

void mutation_place(struct mutation *m, struct arena *a, const char *name) {
    if (*name && m->n_places < PLACES)
        m->places[m->n_places++] = arena_str(a, name);
}

/* --- what a model computes, for judging effects and repairs --- */

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

/* How far apart two files compute; NaN when one cannot be read or run, or shapes differ. */
static double files_apart(const char *one, const char *two, uint64_t seed) {
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

/* --- the program under test --- */

/* Runs the program with its report in a file; returns its exit code, or 1000 and more when it
 * crashed. */
static int call(struct bench *b, json_t **report, const char *const *words) {
    char out[PATH + 16];
    snprintf(out, sizeof out, "%s/report", b->folder);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const char *argv[24] = { b->calque };
        int n = 1;
        for (int i = 0; words[i]; i++)
            argv[n++] = words[i];
        argv[n] = NULL;
        if (!freopen(out, "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(127);
        execv(b->calque, (char *const *)(size_t)argv);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return 1000;
    if (report)
        *report = json_load_file(out, 0, NULL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static bool word_in(const char *word, const char *list) {
    size_t n = strlen(word);
    for (const char *p = list; n && *p; p += strcspn(p, " "), p += *p == ' ')
        if (strncmp(p, word, n) == 0 && (p[n] == ' ' || !p[n]))
            return true;
    return false;
}

static bool is_place(const struct mutation *m, const char *name) {
    for (int i = 0; name && i < m->n_places; i++)
        if (strcmp(m->places[i], name) == 0)
            return true;
    return false;
}

static bool fault_is_at(const json_t *fault, const struct mutation *m) {
    static const char *const keys[] = { "node", "output" };
    for (int i = 0; i < 2; i++)
        if (is_place(m, json_string_value(json_object_get(fault, keys[i]))))
            return true;
    size_t k;
    json_t *name;
    json_array_foreach(json_object_get(fault, "nodes"), k,
                       name) if (k < 3 && is_place(m, json_string_value(name))) return true;
    return false;
}

/* --- one file --- */

static struct score *row_of(struct bench *b, const char *kind) {
    for (int i = 0; i < b->n_rows; i++)
        if (strcmp(b->rows[i].kind, kind) == 0)
            return &b->rows[i];
    struct score *row = &b->rows[b->n_rows < MAX_KINDS - 1 ? b->n_rows++ : MAX_KINDS - 1];
    snprintf(row->kind, sizeof row->kind, "%s", kind);
    return row;
}

static void keep_file(struct bench *b, const char *faulty, const char *suffix) {
    if (!b->keep)
        return;
    char to[PATH + 64];
    snprintf(to, sizeof to, "%s/%03d%s", b->keep, b->files, suffix);
    struct arena *a = arena_new();
    struct mapfile f;
    if (mapfile_open(&f, faulty, a, NULL) == OK) {
        struct piece piece = { f.data, f.size };
        file_write(to, &piece, 1, NULL);
        mapfile_close(&f);
    }
    arena_free(a);
}

static void judge(struct bench *b, const char *source, const char *target, const char *faulty,
                  const char *suffix, const struct mutation *made, int n) {
    char fixed[PATH + 32];
    snprintf(fixed, sizeof fixed, "%s/fixed%s", b->folder, suffix);
    remove(fixed);
    json_t *report = NULL;
    int compared = call(
        b, NULL, (const char *[]) { "compare", source, faulty, "-q", "--timeout", "120", NULL });
    int located = call(b, &report,
                       (const char *[]) { "locate", source, faulty, "--format", "json", "--timeout",
                                          "120", NULL });
    int repaired = call(
        b, NULL,
        (const char *[]) { "repair", source, faulty, "-o", fixed, "-q", "--timeout", "120", NULL });
    double left = repaired == 0 ? files_apart(target, fixed, 99 + b->seed) : NAN;
    bool whole = left <= 1e-5, perfect = compared == 1 && whole;
    json_t *faults = json_object_get(report, "faults");
    b->files++;
    for (int i = 0; i < n; i++) {
        struct score *row = row_of(b, made[i].kind);
        const char *cause = NULL;
        size_t k;
        json_t *fault;
        bool named = false;
        json_array_foreach(faults, k, fault) {
            if (!fault_is_at(fault, &made[i]))
                continue;
            cause = json_string_value(json_object_get(fault, "cause"));
            named |= cause && word_in(cause, made[i].causes);
        }
        row->made++;
        row->detected += compared == 1;
        row->located += cause != NULL;
        row->named += named;
        row->repaired += whole;
        perfect &= named;
        if (b->verbose || !named || !whole || compared != 1)
            printf("%03d %s: %s (%s) at %.60s: compare %d, locate %d %s, repair %d, left %.2g\n",
                   b->files, strrchr(target, '/') + 1, made[i].kind, made[i].what,
                   made[i].n_places ? made[i].places[0] : "?", compared, located,
                   cause ? cause : "elsewhere", repaired, left);
    }
    if (!perfect)
        keep_file(b, faulty, suffix);
    json_decref(report);
}

struct shapes {
    struct model *m;
    struct fact *facts;
};

static struct shape_of_value shape_of(void *arg, const char *name) {
    const struct shapes *s = arg;
    struct shape_of_value out = { .rank = -1 };
    for (int i = 0; i < s->m->graph->n_values; i++) {
        const struct value *v = s->m->graph->values[i];
        const struct fact *f = &s->facts[v->id];
        if (strcmp(v->name, name) != 0 || f->rank < 0 || f->rank > 16)
            continue;
        out.rank = f->rank;
        memcpy(out.dim, f->dim, (size_t)f->rank * sizeof *f->dim);
        return out;
    }
    return out;
}

/* Every fault alone must change what the model computes, or nothing could be asked of the program.
 */
static bool make_faulty(struct bench *b, const struct shapes *shapes, const char *target,
                        const char *suffix, const char *kind, uint64_t seed, int n, char *faulty,
                        struct mutation *made, struct arena *a) {
    bool onnx = strcmp(suffix, ".onnx") == 0;
    const char *before = target;
    for (int k = 1; k <= n; k++) {
        struct chance chance = { seed };
        struct site site = {
            .arena = a, .chance = &chance, .shape = shape_of, .shape_arg = (void *)(size_t)shapes
        };
        struct file_image image;
        int count = (onnx ? onnx_mutate : tflite_mutate)(
            &site, shapes->m->files[0].data, shapes->m->files[0].size, kind, k, &image, made);
        if (count != k)
            return false;
        snprintf(faulty, PATH, "%s/faulty%d%s", b->folder, k, suffix);
        struct piece piece = { image.data, image.size };
        if (file_write(faulty, &piece, 1, NULL) != OK)
            return false;
        double effect = files_apart(before, faulty, 4711);
        if (!(effect > 1e-4))
            return false;
        before = k == n ? before : arena_str(a, faulty);
    }
    return true;
}

static int made_so_far(const struct bench *b) {
    int n = 0;
    for (int i = 0; i < b->n_rows; i++)
        n += b->rows[i].made;
    return n;
}

static void use_pair(struct bench *b, const char *source, const char *target, int share) {
    struct err e = { 0 };
    struct shapes shapes = { 0 };
    const char *suffix = strstr(target, ".tflite") ? ".tflite" : ".onnx";
    const char *const *kinds = strcmp(suffix, ".onnx") == 0 ? onnx_kinds : tflite_kinds;
    int code = call(b, NULL,
                    (const char *[]) { "compare", source, target, "-q", "--timeout", "120", NULL });
    b->untouched++;
    if (code != 0) {
        printf("untouched %s: compare ends with %d\n", target, code);
        b->false_alarms += code == 1;
        return;
    }
    if (model_read(target, &shapes.m, &e) != OK)
        return;
    struct arena *a = arena_new(), *scratch = arena_new();
    shapes.facts = exec_infer(shapes.m, a, NULL, &e);
    int target_count = made_so_far(b) + share;
    for (uint64_t round = 0; round < 6 && made_so_far(b) < target_count; round++)
        for (int k = 0; kinds[k] && made_so_far(b) < target_count; k++) {
            struct mutation made[MAX_FAULTS];
            char faulty[PATH + 32];
            arena_reset(scratch);
            uint64_t seed =
                b->seed * 1000003u + hash_bytes(target, strlen(target), round * 64 + (uint64_t)k);
            int n = 1 + (int)((round + (uint64_t)k) % MAX_FAULTS);
            while (n && !make_faulty(b, &shapes, target, suffix, kinds[k], seed, n, faulty, made,
                                     scratch))
                n--;
            if (n)
                judge(b, source, target, faulty, suffix, made, n);
        }
    arena_free(scratch);
    arena_free(a);
    model_free(shapes.m);
}

/* --- the table --- */

static bool print_table(const struct bench *b) {
    struct score sum = { .kind = "all" };
    printf("\n%-26s %5s %9s %9s %9s %9s\n", "fault", "made", "detected", "located", "named",
           "repaired");
    for (int i = 0; i <= b->n_rows; i++) {
        const struct score *r = i < b->n_rows ? &b->rows[i] : &sum;
        double n = r->made ? r->made : 1;
        printf("%-26s %5d %7.1f %% %7.1f %% %7.1f %% %7.1f %%\n", r->kind, r->made,
               100 * r->detected / n, 100 * r->located / n, 100 * r->named / n,
               100 * r->repaired / n);
        if (i == b->n_rows)
            break;
        sum.made += r->made;
        sum.detected += r->detected;
        sum.located += r->located;
        sum.named += r->named;
        sum.repaired += r->repaired;
    }
    printf("%d faults in %d files; false alarms on untouched files: %d of %d\n", sum.made, b->files,
           b->false_alarms, b->untouched);
    double n = sum.made ? sum.made : 1;
    return sum.made > 0 && b->false_alarms == 0 && sum.detected >= 0.98 * n &&
           sum.located >= 0.95 * n && sum.named >= 0.90 * n && sum.repaired >= 0.90 * n;
}

static void use_list(struct bench *b, FILE *list) {
    char line[LINE];
    while (fgets(line, sizeof line, list) && made_so_far(b) < b->count) {
        char *source = strtok(line, "\t\n"), *target = strtok(NULL, "\t\n"),
             *share = strtok(NULL, "\t\n");
        if (!source || *source == '#' || !target || !share || (b->only && !strstr(target, b->only)))
            continue;
        char paths[2][PATH];
        snprintf(paths[0], PATH, "%s/%s", b->root, source);
        snprintf(paths[1], PATH, "%s/%s", b->root, target);
        use_pair(b, paths[0], paths[1], atoi(share));
    }
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: faults CALQUE LIST ROOT [--count N] [--seed S] [--only TEXT] "
                        "[--keep FOLDER] [--verbose]\n");
        return 2;
    }
    struct bench b = {
        .calque = argv[1], .root = argv[3], .count = 1 << 30, .folder = "/tmp/calque-faults-XXXXXX"
    };
    for (int i = 4; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            b.verbose = true;
        else if (i + 1 < argc && strcmp(argv[i], "--count") == 0)
            b.count = atoi(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            b.seed = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--only") == 0)
            b.only = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--keep") == 0)
            b.keep = argv[++i];
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* a long run is watched */
    FILE *list = fopen(argv[2], "r");
    if (!list || !mkdtemp(b.folder)) {
        fprintf(stderr, "faults: cannot open %s or make a folder\n", argv[2]);
        return 2;
    }
    use_list(&b, list);
    fclose(list);
    bool good = print_table(&b);
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", b.folder);
    int removed = system(command);
    printf("cases: %d passed, %d failed, 0 skipped\n", good ? made_so_far(&b) : 0, good ? 0 : 1);
    return good && removed == 0 ? 0 : 1;
}
