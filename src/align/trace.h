/* A model run on samples with every value of its main graph kept. */
#ifndef ALIGN_TRACE_H
#define ALIGN_TRACE_H

#include "base/progress.h"
#include "exec/exec.h"

struct trace {
    struct model *model;
    struct exec *exec;
    struct recycler *recycler; /* may be NULL */
    struct exec_env **env;     /* [samples] */
    int samples;
    bool *dynamic;       /* by value id: depends on the contents of the inputs */
    int n_dynamic;       /* entries in dynamic */
    const char **failed; /* by node position: why the node could not be run, or NULL */
    int n_failed;
    const struct progress *progress;
    enum precision precision;
};

/* What a trace may take. */
struct trace_options {
    struct pool *pool;               /* may be NULL */
    double deadline;                 /* seconds, 0: none */
    struct recycler *recycler;       /* where values lie; NULL: its own memory */
    size_t constant_bytes;           /* converted constants kept at a time; 0: all */
    const struct progress *progress; /* may be NULL */
    enum precision precision;        /* PREC_F64 unless said */
};

/* Sets the inputs of every sample; runs nothing. */
enum status trace_new(struct trace **out, struct model *m, struct tensor ***samples, int n_samples,
                      const struct trace_options *o, struct arena *a, struct err *e);
/* Puts `as` (ownership passes) at v in sample k. */
void trace_set(struct trace *t, const struct value *v, int k, struct tensor *as);
/* Runs the samples. Nodes that cannot be run are noted in `failed`; what depends on them is not
 * computed. When the first sample shows that all would take more than max_bytes, fewer are run (at
 * least one) and `samples` says how many. Progress is reported as `stage`. */
void trace_run(struct trace *t, const char *stage, size_t max_bytes, struct arena *a);
/* Runs one node on the values of env: a sample's or another. */
enum status trace_node(struct trace *t, struct exec_env *env, const struct node *n, struct err *e);
/* Lets go of all samples but the first so many. */
void trace_keep(struct trace *t, int samples);
void trace_free(struct trace *t);

/* Value v in sample k: run time value or constant in kernel form; NULL when not computed. */
const struct tensor *trace_value(const struct trace *t, const struct value *v, int k);
bool trace_dynamic(const struct trace *t, const struct value *v);
/* "constant" or "all zero" when all elements of v are the same in all samples; NULL when they move,
 * and for what is not made of real numbers. */
const char *trace_still(const struct trace *t, const struct value *v);
/* How many values that depend on the inputs do not move. */
int trace_count_still(const struct trace *t);

#endif
