/* Times the engine on request: reads one command a line, answers one line, so that a script can
 * interleave it with an opponent.
 *
 *     model FILE f64|f32 THREADS all|outputs
 *                             loads a model and makes inputs: "ok" or "error ..."; `all` hands
 *                             every value to a tap, as comparisons do
 *     product M N K f64|f32 THREADS
 *                             the same for one matrix product
 *     run                     runs once: milliseconds
 *     nodes                   the same, with a table of nodes on standard error (BENCH_NODES is
 * set) open FILE               opens a model: milliseconds, and MiB that the process holds peak
 * f64|f32            a loop of independent fmas in registers: GFLOP/s
 *
 * With arguments, `calque-bench COMMAND ARGUMENT...` runs a command instead, its output thrown
 * away: milliseconds, milliseconds of processor time, MiB at most, exit code. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exec/exec.h"
#include "formats/format.h"
#include "peak.h"

struct subject {
    struct model *model;
    struct exec *exec;
    struct pool *pool;
    struct tensor *inputs[64];
};

static size_t seen; /* bytes that the tap was shown */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void tap(void *arg, const struct value *v, const struct tensor *t) {
    (void)arg;
    (void)v;
    seen += tensor_bytes(t);
}

static void profile(void *arg, const struct node *n, double seconds) {
    if (*(bool *)arg) {
        fprintf(stderr, "%9.3f ms %s %s", 1e3 * seconds, n->op, n->out[0] ? n->out[0]->name : "");
        if (n->n_in > 1 && n->in[1] && n->in[1]->constant)
            for (int i = 0; i < n->in[1]->constant->rank; i++)
                fprintf(stderr, "%c%lld", i ? 'x' : ' ', (long long)n->in[1]->constant->dim[i]);
        fprintf(stderr, "\n");
    }
}

static bool print_nodes;

static void subject_close(struct subject *s) {
    for (int i = 0; i < 64; i++)
        tensor_free(s->inputs[i]);
    if (s->exec)
        exec_free(s->exec);
    if (s->model)
        model_free(s->model);
    pool_free(s->pool);
    *s = (struct subject) { 0 };
}

static enum status make_inputs(struct subject *s, struct err *e) {
    const struct graph *g = s->model->graph;
    unsigned state = 12345;
    FAIL_IF(g->n_inputs > 64, e, STATUS_UNSUPPORTED, "more than 64 inputs");
    for (int i = 0; i < g->n_inputs; i++) {
        const struct value *v = g->inputs[i];
        int64_t dim[MAX_RANK];
        if (v->constant)
            continue;
        for (int k = 0; k < v->rank; k++)
            dim[k] = v->dim[k] < 0 ? 1 : v->dim[k];
        TRY(tensor_new(&s->inputs[i], v->dtype, v->dtype, v->rank, dim, e));
        for (int64_t k = 0; k < tensor_count(s->inputs[i]); k++) {
            state = state * 1664525u + 1013904223u;
            tensor_set_f64(s->inputs[i], k, (double)(state >> 8) / (1 << 23) - 1);
        }
    }
    return OK;
}

static enum status start(struct subject *s, enum precision precision, int threads, bool all,
                         struct err *e) {
    s->pool = pool_new(threads);
    struct exec_options o = { .precision = precision,
                              .pool = s->pool,
                              .tap = all ? tap : NULL,
                              .profile = getenv("BENCH_NODES") ? profile : NULL,
                              .arg = &print_nodes };
    TRY(exec_new(&s->exec, s->model, &o, e));
    return make_inputs(s, e);
}

static enum status run_once(struct subject *s, double *ms, struct err *e) {
    struct exec_env *env = exec_env_new(s->exec);
    double t0 = now();
    enum status st = exec_run(s->exec, NULL, (const struct tensor *const *)s->inputs, env, e);
    *ms = 1e3 * (now() - t0);
    exec_env_free(env);
    return st;
}

static void make_product(struct subject *s, long m, long n, long k) {
    struct model *mo = s->model = model_new();
    struct graph *g = mo->graph = graph_new(mo, NULL, "product");
    struct node *node = graph_add_node(g, "MatMul", "", 2, 1);
    int64_t dims[2][2] = { { m, k }, { k, n } };
    for (int i = 0; i < 2; i++) {
        struct value *v = graph_add_value(g, i ? "b" : "a");
        v->dtype = DT_F32;
        v->rank = 2;
        memcpy(v->dim, dims[i], sizeof dims[i]);
        graph_add_input(g, v);
        node->in[i] = v;
    }
    struct value *y = graph_add_value(g, "y");
    y->rank = -1;
    node_set_output(node, 0, y);
    graph_add_output(g, y);
}

static void answer(enum status s, const struct err *e) {
    if (s == OK)
        printf("ok\n");
    else
        printf("error %s: %s\n", e->where, e->what);
}

/* MiB of memory that this process held at most (proc(5), VmHWM). */
static double held(void) {
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib / 1024;
}

static int measure(char **arguments) {
    struct rusage used;
    int status = 0;
    double t0 = now();
    pid_t child = fork();
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr))
            execv(arguments[0], arguments);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) < 0)
        return 1;
    double ms = 1e3 * (now() - t0);
    printf("%.3f %.3f %.2f %d\n", ms,
           1e3 * (double)used.ru_utime.tv_sec + 1e-3 * (double)used.ru_utime.tv_usec,
           (double)used.ru_maxrss / 1024, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
    return 0;
}

static void command(struct subject *s, char *line) {
    char file[1024], type[8], which[16];
    long m, n, k;
    int threads;
    double ms = 0;
    struct err e = { 0 };
    enum status st = OK;
    if (sscanf(line, "model %1023s %7s %d %15s", file, type, &threads, which) == 4) {
        subject_close(s);
        st = model_read(file, &s->model, &e);
        if (st == OK)
            st = start(s, strcmp(type, "f64") == 0 ? PREC_F64 : PREC_F32, threads,
                       strcmp(which, "all") == 0, &e);
        answer(st, &e);
    } else if (sscanf(line, "product %ld %ld %ld %7s %d", &m, &n, &k, type, &threads) == 5) {
        subject_close(s);
        make_product(s, m, n, k);
        answer(start(s, strcmp(type, "f64") == 0 ? PREC_F64 : PREC_F32, threads, false, &e), &e);
    } else if (sscanf(line, "open %1023s", file) == 1) {
        subject_close(s);
        double t0 = now();
        st = model_read(file, &s->model, &e);
        ms = 1e3 * (now() - t0);
        if (st == OK)
            printf("%.4f %.2f\n", ms, held());
        else
            answer(st, &e);
    } else if (sscanf(line, "peak %7s", type) == 1) {
        printf("%.3f\n", strcmp(type, "f64") == 0 ? peak_d() : peak_f());
    } else if (strncmp(line, "run", 3) == 0 || strncmp(line, "nodes", 5) == 0) {
        print_nodes = line[0] == 'n';
        st = s->exec ? run_once(s, &ms, &e) : err_set(&e, STATUS_USAGE, "no model");
        print_nodes = false;
        if (st == OK)
            printf("%.4f\n", ms);
        else
            answer(st, &e);
    } else {
        printf("error unknown command\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    if (argc > 1)
        return measure(argv + 1);
    struct subject s = { 0 };
    char line[2048];
    while (fgets(line, sizeof line, stdin))
        command(&s, line);
    subject_close(&s);
    return 0;
}
