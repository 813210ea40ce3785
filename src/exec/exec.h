/* Running a graph: node by node in the file's order, with liveness, taps and sub-graphs.
 *
 * Two ways in. exec_run computes a whole model and shows values to a tap. exec_node computes one
 * node from an environment that the caller fills as it likes (the zipper of src/locate feeds it the
 * other model's values).
 */
#ifndef EXEC_EXEC_H
#define EXEC_EXEC_H

#include "base/pool.h"
#include "ir/ir.h"
#include "ops/op.h"

struct exec_options {
    enum precision precision;
    struct pool *pool; /* may be NULL */
    uint64_t seed;
    bool keep_casts;
    bool keep_values; /* keep every value in the environment after the run (else freed at last use)
                       */
    double deadline;  /* seconds of wall clock the run may take; 0 no limit. Past it:
                         STATUS_UNSUPPORTED */
    bool reference_only;       /* no fast kernels */
    struct recycler *recycler; /* where results lie; NULL: its own */
    size_t constant_bytes;     /* converted constants kept from node to node; 0: all */
    /* Called for every value as soon as it is computed (constants and inputs excepted); may be
     * NULL. */
    void (*tap)(void *arg, const struct value *v, const struct tensor *t);
    void (*profile)(void *arg, const struct node *n, double seconds);
    void *arg;
};

/* Values at run time, by value id: what lies there is owned by the environment. */
struct exec_env {
    struct tensor **at; /* [n], NULL: not computed */
    int n;
};

struct exec;

/* Prepares a model (binds operators, converts constants lazily once, finds last uses). The model
 * must outlive it. */
enum status exec_new(struct exec **out, struct model *m, const struct exec_options *o,
                     struct err *e);
void exec_free(struct exec *x);
/* Lets go of what can be made again: converted constants, packed weights, mapped pages of the
 * files. Not while a node runs. */
void exec_rest(struct exec *x);

struct exec_env *exec_env_new(const struct exec *x);
void exec_env_free(struct exec_env *env);
/* Puts t (ownership passes) at v, freeing what was there. */
void exec_env_set(struct exec_env *env, const struct value *v, struct tensor *t);

/* The value as kernels see it: env's, else the constant converted (kept in x); NULL when not
 * computed. Borrowed. */
enum status exec_value(struct exec *x, const struct exec_env *env, const struct value *v,
                       const struct tensor **out, struct err *e);

/* Computes one node from env into env. Missing inputs are a MISMATCH that names the value. */
enum status exec_node(struct exec *x, struct exec_env *env, const struct node *n, struct err *e);
/* Computes a node that need not be in the model's graph (a patched copy); outputs as new
 * references. */
enum status exec_node_detached(struct exec *x, const struct exec_env *env, const struct node *n,
                               struct tensor **out, struct err *e);

/* Runs the main graph (or `g`). inputs[i] belongs to g->inputs[i] (any store; borrowed); NULL uses
 * the input's default (an initializer of the same name) or fails. env receives all that stays:
 * outputs always, everything with keep_values. Checks dtype, rank and dims of the inputs against
 * the graph: MISMATCH names both. */
enum status exec_run(struct exec *x, const struct graph *g, const struct tensor *const *inputs,
                     struct exec_env *env, struct err *e);

/* Shape inference over a whole graph: shapes of inputs may be bound first (facts by value id, may
 * be NULL). Fills facts for every value; small known contents are computed through. Unknown
 * operators leave unknowns. */
struct fact *exec_infer(struct model *m, struct arena *a, const struct fact *bound_inputs,
                        struct err *e);

#endif
