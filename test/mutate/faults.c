/* Makes faults in real files and asks the program about them: see README.md.
 *
 * usage: faults CALQUE LIST ROOT [--count N] [--seed S] [--only TEXT] [--limit SECONDS]
 *               [--record FILE] [--keep FOLDER] [--verbose] */
#define _XOPEN_SOURCE 700
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mapfile.h"
#include "effect.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "mutation.h"
#include "record.h"

enum { MAX_FAULTS = 3, ROUNDS = 6, LINE = 2048, PATH = 1024, MOST_LOST = 40 };

struct bench {
    const char *calque, *root, *only, *keep;
    char folder[PATH], list[PATH];
    int count; /* faults to make */
    int limit; /* seconds that the program may take for a case */
    uint64_t seed;
    bool verbose;
    struct record record;
    double until; /* when the case's time is over */
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- the program under test --- */

/* Runs the program with its report in a file; returns its exit code, or 1000 and more when it
 * crashed or was stopped at the case's limit. */
static int call(struct bench *b, json_t **report, const char *const *words) {
    char out[PATH + 16];
    snprintf(out, sizeof out, "%s/report", b->folder);
    fflush(stdout);
    double left = b->until - now();
    pid_t child = fork();
    if (child == 0) {
        const char *argv[24] = { b->calque };
        int n = 1;
        for (int i = 0; words[i]; i++)
            argv[n++] = words[i];
        argv[n] = NULL;
        if (!freopen(out, "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(127);
        alarm(left > 1 ? (unsigned)left : 1); /* lasts over exec */
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

static bool fault_is_at(const json_t *fault, const struct mutation *m) {
    static const char *const keys[] = { "node", "output" };
    for (int i = 0; i < 2; i++)
        if (mutation_is_at(m, json_string_value(json_object_get(fault, keys[i]))))
            return true;
    size_t k;
    json_t *name;
    json_array_foreach(json_object_get(fault, "nodes"), k,
                       name) if (k < 3 && mutation_is_at(m, json_string_value(name))) return true;
    return false;
}

/* --- one case --- */

struct a_case {
    const char *source, *target, *suffix;
    const char *name; /* of the target, in the record */
    int number;       /* in its file */
    char faulty[PATH + 32];
    struct mutation made[MAX_FAULTS];
    int n;
};

static void keep_file(struct bench *b, const struct a_case *c) {
    if (!b->keep)
        return;
    char to[PATH + 64];
    const char *base = strrchr(c->target, '/');
    int stem = (int)(strrchr(base, '.') - base) - 1;
    snprintf(to, sizeof to, "%s/%.*s_%03d%s", b->keep, stem, base + 1, c->number, c->suffix);
    struct arena *a = arena_new();
    struct mapfile f;
    if (mapfile_open(&f, c->faulty, a, NULL) == OK) {
        struct piece piece = { f.data, f.size };
        file_write(to, &piece, 1, NULL);
        mapfile_close(&f);
    }
    arena_free(a);
}

static struct outcome outcome_of(const struct a_case *c, int fault, enum outcome_state state) {
    struct outcome o = { .number = c->number, .fault = fault, .state = state };
    snprintf(o.target, sizeof o.target, "%s", c->name);
    snprintf(o.kind, sizeof o.kind, "%s", fault < c->n ? c->made[fault].kind : "-");
    return o;
}

static void judge(struct bench *b, const struct a_case *c) {
    char fixed[PATH + 32];
    snprintf(fixed, sizeof fixed, "%s/fixed%s", b->folder, c->suffix);
    remove(fixed);
    for (int i = 0; i < c->n; i++) {
        struct outcome o = outcome_of(c, i, OUTCOME_BEGUN);
        record_add(&b->record, &o);
    }
    json_t *report = NULL;
    double began = now();
    b->until = began + b->limit;
    int compared = call(b, NULL, (const char *[]) { "compare", c->source, c->faulty, "-q", NULL });
    int located = call(
        b, &report, (const char *[]) { "locate", c->source, c->faulty, "--format", "json", NULL });
    int repaired =
        call(b, NULL, (const char *[]) { "repair", c->source, c->faulty, "-o", fixed, "-q", NULL });
    double took = now() - began;
    double left = repaired == 0 ? files_apart(c->target, fixed, 99 + b->seed) : NAN;
    bool whole = left <= 1e-5, perfect = compared == 1 && whole;
    json_t *faults = json_object_get(report, "faults");
    for (int i = 0; i < c->n; i++) {
        const struct mutation *m = &c->made[i];
        const char *cause = NULL;
        size_t k;
        json_t *fault;
        struct outcome o = outcome_of(c, i, OUTCOME_JUDGED);
        json_array_foreach(faults, k, fault) {
            if (!fault_is_at(fault, m))
                continue;
            cause = json_string_value(json_object_get(fault, "cause"));
            o.named |= cause && word_in(cause, m->causes);
        }
        o.detected = compared == 1;
        o.located = cause != NULL;
        o.repaired = whole;
        o.seconds = took;
        record_add(&b->record, &o);
        perfect &= o.named;
        if (b->verbose || !o.named || !whole || compared != 1)
            printf("%03d %s: %s (%s) at %.60s: compare %d, locate %d %s, repair %d, left %.2g, "
                   "%.1f s%s\n",
                   c->number, strrchr(c->target, '/') + 1, m->kind, m->what,
                   m->n_places ? m->places[0] : "?", compared, located, cause ? cause : "elsewhere",
                   repaired, left, took, took >= b->limit ? ", past the limit" : "");
    }
    if (!perfect)
        keep_file(b, c);
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
static bool make_faulty(struct bench *b, const struct shapes *shapes, struct a_case *c,
                        const char *kind, uint64_t seed, int n, struct arena *a) {
    const char *before = c->target;
    for (int k = 1; k <= n; k++) {
        struct chance chance = { seed };
        struct site site = {
            .arena = a, .chance = &chance, .shape = shape_of, .shape_arg = (void *)(size_t)shapes
        };
        struct file_image image;
        bool onnx = strcmp(c->suffix, ".onnx") == 0;
        int count = (onnx ? onnx_mutate : tflite_mutate)(
            &site, shapes->m->files[0].data, shapes->m->files[0].size, kind, k, &image, c->made);
        if (count != k)
            return false;
        snprintf(c->faulty, sizeof c->faulty, "%s/faulty%d%s", b->folder, k, c->suffix);
        struct piece piece = { image.data, image.size };
        if (file_write(c->faulty, &piece, 1, NULL) != OK)
            return false;
        double effect = files_apart(before, c->faulty, 4711);
        if (!(effect > 1e-4))
            return false;
        before = k == n ? before : arena_str(a, c->faulty);
    }
    if (n > 1 && !(files_apart(c->target, c->faulty, 4711) > 1e-4))
        return false; /* they undo each other */
    c->n = n;
    return true;
}

/* --- one pair of files --- */

static bool untouched_agree(struct bench *b, const struct a_case *pair) {
    if (record_has(&b->record, pair->name, -1))
        return true;
    b->until = now() + b->limit;
    int code =
        call(b, NULL, (const char *[]) { "compare", pair->source, pair->target, "-q", NULL });
    if (code != 0)
        printf("untouched %s: compare ends with %d\n", pair->target, code);
    struct outcome o = outcome_of(pair, 0, OUTCOME_UNTOUCHED);
    o.number = -1;
    o.detected = code == 1;
    record_add(&b->record, &o);
    return code == 0;
}

static void use_case(struct bench *b, const struct shapes *shapes, struct a_case *c,
                     const char *kind) {
    struct arena *a = arena_new();
    uint64_t seed = b->seed * 1000003u +
                    hash_bytes(c->target, strlen(c->target), (uint64_t)(unsigned)c->number);
    int n = 1 + (c->number / 64 + c->number % 64) % MAX_FAULTS;
    alarm((unsigned)(10 * b->limit)); /* what this program computes itself must end too */
    while (n && !make_faulty(b, shapes, c, kind, seed, n, a))
        n--;
    c->n = n;
    if (n) {
        judge(b, c);
    } else {
        struct outcome none = outcome_of(c, 0, OUTCOME_NONE);
        record_add(&b->record, &none);
    }
    alarm(0);
    arena_free(a);
}

/* Runs in a process of its own. */
static void use_pair(struct bench *b, const struct a_case *pair, int share) {
    struct err e = { 0 };
    struct shapes shapes = { 0 };
    const struct edit_row *rows = strcmp(pair->suffix, ".onnx") == 0 ? onnx_edits : tflite_edits;
    if (!untouched_agree(b, pair) || model_read(pair->target, &shapes.m, &e) != OK)
        return;
    struct arena *a = arena_new();
    shapes.facts = exec_infer(shapes.m, a, NULL, &e);
    for (int round = 0; round < ROUNDS; round++)
        for (int k = 0; rows[k].kind && record_count(&b->record, pair->name) < share; k++) {
            struct a_case c = *pair;
            c.number = round * 64 + k;
            if (!record_has(&b->record, c.name, c.number))
                use_case(b, &shapes, &c, rows[k].kind);
        }
    arena_free(a);
    model_free(shapes.m);
}

/* A process that dies loses the case it was at; another goes on behind it. */
static void use_pair_apart(struct bench *b, const struct a_case *pair, int share) {
    for (int died = 0; died < MOST_LOST; died++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            use_pair(b, pair, share);
            fflush(stdout);
            _exit(0);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) < 0)
            return;
        record_read(&b->record);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return;
        if (record_lose(&b->record) == 0) {
            printf("%s: ended by signal %d\n", pair->target, WTERMSIG(status));
            return;
        }
        printf("%s: a case was lost to signal %d\n", pair->target, WTERMSIG(status));
    }
}

static int recorded(const struct record *r) {
    int n = 0;
    for (int i = 0; i < r->n; i++)
        n += r->list[i].state == OUTCOME_JUDGED || r->list[i].state == OUTCOME_LOST;
    return n;
}

static void use_list(struct bench *b, FILE *list) {
    char line[LINE];
    while (fgets(line, sizeof line, list) && recorded(&b->record) < b->count) {
        char *source = strtok(line, "\t\n"), *target = strtok(NULL, "\t\n"),
             *share = strtok(NULL, "\t\n");
        if (!source || *source == '#' || !target || !share || (b->only && !strstr(target, b->only)))
            continue;
        char paths[2][PATH], name[512];
        snprintf(paths[0], PATH, "%s/%s", b->root, source);
        snprintf(paths[1], PATH, "%s/%s", b->root, target);
        snprintf(name, sizeof name, "%s|%s", strrchr(source, '/') + 1, target);
        struct a_case pair = { .source = paths[0],
                               .target = paths[1],
                               .suffix = strstr(target, ".tflite") ? ".tflite" : ".onnx",
                               .name = name };
        int left = b->count - recorded(&b->record), most = atoi(share);
        use_pair_apart(b, &pair, most < left ? most : left);
    }
}

/* The programs' bytes and the seed: other programs' outcomes say nothing. */
static uint64_t key_of(const char *calque, const char *self, uint64_t seed) {
    uint64_t key = seed;
    const char *files[2] = { calque, self };
    struct arena *a = arena_new();
    for (int i = 0; i < 2; i++) {
        struct mapfile f;
        if (mapfile_open(&f, files[i], a, NULL) != OK)
            continue;
        key = hash_bytes(f.data, f.size, key);
        mapfile_close(&f);
    }
    arena_free(a);
    return key;
}

static int usage(void) {
    fprintf(stderr, "usage: faults CALQUE LIST ROOT [--count N] [--seed S] [--only TEXT] "
                    "[--limit SECONDS] [--record FILE] [--keep FOLDER] [--verbose]\n");
    return 2;
}

static bool read_options(struct bench *b, int argc, char **argv) {
    for (int i = 4; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            b->verbose = true;
            continue;
        }
        if (i + 1 >= argc)
            return false;
        const char *name = argv[i], *value = argv[++i];
        if (strcmp(name, "--count") == 0)
            b->count = atoi(value);
        else if (strcmp(name, "--seed") == 0)
            b->seed = strtoull(value, NULL, 10);
        else if (strcmp(name, "--only") == 0)
            b->only = value;
        else if (strcmp(name, "--keep") == 0)
            b->keep = value;
        else if (strcmp(name, "--limit") == 0)
            b->limit = atoi(value);
        else if (strcmp(name, "--record") == 0)
            b->record.path = value;
        else
            return false;
    }
    return b->limit > 0;
}

int main(int argc, char **argv) {
    struct bench b = { .count = 1 << 30, .limit = 120, .folder = "/tmp/calque-faults-XXXXXX" };
    if (argc < 4 || !read_options(&b, argc, argv))
        return usage();
    b.calque = argv[1];
    b.root = argv[3];
    setvbuf(stdout, NULL, _IOLBF, 0); /* a long run is watched */
    FILE *list = fopen(argv[2], "r");
    if (!list || !mkdtemp(b.folder)) {
        fprintf(stderr, "faults: cannot open %s or make a folder\n", argv[2]);
        return 2;
    }
    snprintf(b.list, sizeof b.list, "%s/record", b.folder);
    b.record.path = b.record.path ? b.record.path : b.list;
    b.record.key = key_of(b.calque, argv[0], b.seed);
    record_read(&b.record);
    record_forget_begun(&b.record);
    use_list(&b, list);
    fclose(list);
    bool good = record_print(&b.record);
    int n = recorded(&b.record);
    record_free(&b.record);
    char command[PATH + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", b.folder);
    int removed = system(command);
    printf("cases: %d passed, %d failed, 0 skipped\n", good ? n : 0, good ? 0 : 1);
    return good && removed == 0 ? 0 : 1;
}
