#define _POSIX_C_SOURCE 200809L
#include "exec/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/kernels.h"

struct exec {
    struct model *model;
    struct exec_options o;
    struct arena *arena;
    struct arena *scratch;
    struct tensor **constants; /* by value id, converted on first use */
    int n_values;
    int *last_use; /* by value id: position of the last node of its graph that needs it, -1 none */
    bool *from_outside; /* by value id: read by a sub-graph of another node */
    struct pack_cache *packs;
    double started;
    int depth;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Marks, for each value of g, the last node of g that reads it, itself or through its sub-graphs. */
static void mark_uses(struct exec *x, const struct graph *g, const struct graph *top, int at);

static void mark_node(struct exec *x, const struct node *n, const struct graph *top, int at) {
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] && n->in[k]->graph == top)
            x->last_use[n->in[k]->id] = at;
    if (n->body)
        mark_uses(x, n->body, top, at);
    for (int k = 0; k < n->n_attrs; k++) {
        if (n->attrs[k].type == ATTR_GRAPH)
            mark_uses(x, n->attrs[k].graph, top, at);
        for (int64_t j = 0; n->attrs[k].type == ATTR_GRAPHS && j < n->attrs[k].n; j++)
            mark_uses(x, n->attrs[k].graphs[j], top, at);
    }
}

static void mark_uses(struct exec *x, const struct graph *g, const struct graph *top, int at) {
    for (int i = 0; i < g->n_nodes; i++)
        mark_node(x, g->nodes[i], top, at < 0 ? i : at);
    for (int i = 0; at >= 0 && i < g->n_outputs; i++)
        if (g->outputs[i]->graph == top)
            x->last_use[g->outputs[i]->id] = at;
}

static void mark_graph(struct graph *g, void *arg) {
    mark_uses(arg, g, g, -1);
}

enum status exec_new(struct exec **out, struct model *m, const struct exec_options *o, struct err *e) {
    (void)e;
    ops_bind(m);
    struct arena *a = arena_new();
    struct exec *x = NEW(a, struct exec);
    *x = (struct exec) { .model = m, .o = *o, .arena = a, .scratch = arena_new(), .n_values = m->next_value_id };
    x->packs = pack_cache_new();
    x->constants = NEW_ARRAY(a, x->n_values + 1, struct tensor *);
    x->last_use = NEW_ARRAY(a, x->n_values + 1, int);
    for (int i = 0; i < x->n_values; i++)
        x->last_use[i] = -1;
    model_each_graph(m, mark_graph, x);
    *out = x;
    return OK;
}

void exec_free(struct exec *x) {
    if (!x)
        return;
    for (int i = 0; i < x->n_values; i++)
        tensor_free(x->constants[i]);
    pack_cache_free(x->packs);
    arena_free(x->scratch);
    arena_free(x->arena);
}

struct exec_env *exec_env_new(const struct exec *x) {
    struct exec_env *env = calloc(1, sizeof *env);
    struct tensor **at = calloc((size_t)x->n_values + 1, sizeof *at);
    if (!env || !at) {
        arena_exhausted((size_t)x->n_values * sizeof *at);
        abort();
    }
    env->at = at;
    env->n = x->n_values;
    return env;
}

void exec_env_free(struct exec_env *env) {
    if (!env)
        return;
    for (int i = 0; i < env->n; i++)
        tensor_free(env->at[i]);
    free(env->at);
    free(env);
}

void exec_env_set(struct exec_env *env, const struct value *v, struct tensor *t) {
    if (v->id >= env->n) { /* a value that a patch added after the environment was made */
        int n = v->id + 64;
        struct tensor **at = realloc(env->at, (size_t)n * sizeof *at);
        if (!at) {
            arena_exhausted((size_t)n * sizeof *at);
            abort();
        }
        memset(at + env->n, 0, (size_t)(n - env->n) * sizeof *at);
        env->at = at;
        env->n = n;
    }
    tensor_free(env->at[v->id]);
    env->at[v->id] = t;
}

static enum status constant(struct exec *x, const struct value *v, const struct tensor **out, struct err *e) {
    if (v->id >= x->n_values) {
        int n = v->id + 64;
        x->constants = arena_grow(x->arena, x->constants, (size_t)x->n_values * sizeof *x->constants, (size_t)n * sizeof *x->constants);
        x->last_use = arena_grow(x->arena, x->last_use, (size_t)x->n_values * sizeof *x->last_use, (size_t)n * sizeof *x->last_use);
        for (int i = x->n_values; i < n; i++)
            x->last_use[i] = -1;
        x->n_values = n;
    }
    struct tensor **slot = &x->constants[v->id];
    if (!*slot)
        TRY(tensor_for_kernel(slot, v->constant, x->o.precision, e));
    *out = *slot;
    return OK;
}

enum status exec_value(struct exec *x, const struct exec_env *env, const struct value *v, const struct tensor **out, struct err *e) {
    *out = v->id < env->n ? env->at[v->id] : NULL;
    if (*out || !v->constant)
        return OK;
    return constant(x, v, out, e);
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs, int n_inputs,
                             struct tensor **outputs, int n_outputs);

struct call { /* what run_graph needs: passed through op_ctx.exec */
    struct exec *x;
    struct exec_env *env;
};

static enum status run_body(struct exec *x, struct exec_env *env, const struct node *n, struct tensor **out, struct err *e);

static enum status eval_node(struct exec *x, struct exec_env *env, const struct node *n, struct tensor **out, struct err *e) {
    if (x->o.deadline > 0 && now() - x->started > x->o.deadline)
        return err_set(e, STATUS_UNSUPPORTED, "the time allowed (--timeout) ran out");
    if (n->body)
        return run_body(x, env, n, out, e);
    const struct tensor **in = calloc((size_t)n->n_in + 1, sizeof *in);
    struct arena *scratch = x->depth ? arena_new() : x->scratch;
    enum status s = in ? OK : STATUS_BUG;
    for (int i = 0; s == OK && i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        s = exec_value(x, env, n->in[i], &in[i], e);
        if (s == OK && !in[i] && n->def) {
            s = err_set(e, STATUS_MISMATCH, "value '%s' was not computed", n->in[i]->name);
            err_at(e, "node %s (%s)", node_label(n, scratch), n->op);
        }
    }
    if (s == OK) {
        struct call call = { x, env };
        struct op_env oe = {
            .precision = x->o.precision, .pool = x->o.pool, .scratch = scratch, .seed = x->o.seed ^ (uint64_t)(n->id + 1) * 0x9e3779b97f4a7c15u,
            .keep_casts = x->o.keep_casts, .fast = x->o.reference_only ? NULL : kernel_find, .run_graph = run_graph, .exec = &call,
            .packs = x->packs,
        };
        x->depth++;
        double t0 = x->o.profile ? now() : 0;
        s = op_run(&oe, n, in, out, e);
        if (x->o.profile)
            x->o.profile(x->o.arg, n, now() - t0);
        x->depth--;
    }
    free(in);
    if (x->depth)
        arena_free(scratch);
    else
        arena_reset(x->scratch);
    return s;
}

enum status exec_node_detached(struct exec *x, const struct exec_env *env, const struct node *n, struct tensor **out, struct err *e) {
    return eval_node(x, (struct exec_env *)(size_t)env, n, out, e);
}

static enum status store_outputs(struct exec *x, struct exec_env *env, const struct node *n, struct tensor **out) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && out[i]) {
            exec_env_set(env, n->out[i], out[i]);
            if (x->o.tap)
                x->o.tap(x->o.arg, n->out[i], out[i]);
        }
    return OK;
}

enum status exec_node(struct exec *x, struct exec_env *env, const struct node *n, struct err *e) {
    struct tensor **out = calloc((size_t)n->n_out + 1, sizeof *out);
    enum status s = out ? eval_node(x, env, n, out, e) : STATUS_BUG;
    if (s == OK)
        s = store_outputs(x, env, n, out);
    free(out);
    return s;
}

/* Values whose last reader has run are let go, unless all are kept. */
static void release_inputs(struct exec *x, struct exec_env *env, const struct graph *g, int at) {
    const struct node *n = g->nodes[at];
    if (x->o.keep_values)
        return;
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        if (v && v->graph == g && x->last_use[v->id] == at && !v->is_output && !v->is_variable)
            exec_env_set(env, v, NULL);
    }
    for (int k = 0; k < n->n_out; k++) {
        const struct value *v = n->out[k];
        if (v && x->last_use[v->id] < 0 && !v->is_output)
            exec_env_set(env, v, NULL);
    }
}

static enum status run_nodes(struct exec *x, const struct graph *g, struct exec_env *env, struct err *e) {
    for (int i = 0; i < g->n_nodes; i++) {
        TRY(exec_node(x, env, g->nodes[i], e));
        release_inputs(x, env, g, i);
    }
    return OK;
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs, int n_inputs,
                             struct tensor **outputs, int n_outputs) {
    struct call *call = c->exec;
    FAIL_IF(n_inputs != g->n_inputs || n_outputs > g->n_outputs, c->err, STATUS_CORRUPT,
            "sub-graph '%s' has %d inputs and %d outputs; its node gives %d and asks for %d", g->name, g->n_inputs, g->n_outputs,
            n_inputs, n_outputs);
    for (int i = 0; i < n_inputs; i++)
        exec_env_set(call->env, g->inputs[i], inputs[i] ? tensor_alias(inputs[i]) : NULL);
    TRY(run_nodes(call->x, g, call->env, c->err));
    for (int i = 0; i < n_outputs; i++) {
        const struct tensor *t;
        TRY(exec_value(call->x, call->env, g->outputs[i], &t, c->err));
        FAIL_IF(!t, c->err, STATUS_CORRUPT, "output '%s' of sub-graph '%s' is not computed by it", g->outputs[i]->name, g->name);
        outputs[i] = tensor_alias(t);
    }
    return OK;
}

/* A call of a model-local function. */
static enum status run_body(struct exec *x, struct exec_env *env, const struct node *n, struct tensor **out, struct err *e) {
    const struct graph *g = n->body;
    for (int i = 0; i < g->n_inputs; i++) {
        const struct tensor *t = NULL;
        if (i < n->n_in && n->in[i])
            TRY(exec_value(x, env, n->in[i], &t, e));
        exec_env_set(env, g->inputs[i], t ? tensor_alias(t) : NULL);
    }
    x->depth++;
    enum status s = run_nodes(x, g, env, e);
    x->depth--;
    for (int i = 0; s == OK && i < n->n_out && i < g->n_outputs; i++) {
        const struct tensor *t = NULL;
        s = exec_value(x, env, g->outputs[i], &t, e);
        if (s == OK && n->out[i] && t)
            out[i] = tensor_alias(t);
    }
    if (s != OK)
        err_at(e, "in function %s called by node %s", n->op, node_label(n, x->arena));
    return s;
}

static enum status check_input(const struct model *m, const struct value *v, const struct tensor *t, struct err *e) {
    if (v->kind != KIND_TENSOR || t->kind != KIND_TENSOR)
        return OK;
    FAIL_IF(v->dtype != DT_NONE && v->dtype != t->dtype && !(dtype_is_float(v->dtype) && dtype_is_float(t->dtype)), e, STATUS_MISMATCH,
            "input '%s' is %s in the model, the array given is %s", v->name, dtype_name(v->dtype), dtype_name(t->dtype));
    bool fits = v->rank < 0 || v->rank == t->rank;
    for (int i = 0; fits && i < v->rank; i++)
        fits = v->dim[i] < 0 || v->dim[i] == t->dim[i];
    if (fits)
        return OK;
    char want[256] = "", have[256] = "";
    size_t w = 0, h = 0;
    char buf[64];
    for (int i = 0; i < v->rank && w + 70 < sizeof want; i++)
        w += (size_t)snprintf(want + w, sizeof want - w, "%s%s", i ? "," : "", dim_text(m, v->dim[i], buf, sizeof buf));
    for (int i = 0; i < t->rank && h + 30 < sizeof have; i++)
        h += (size_t)snprintf(have + h, sizeof have - h, "%s%lld", i ? "," : "", (long long)t->dim[i]);
    return err_set(e, STATUS_MISMATCH, "input '%s' has shape [%s] in the model, the array given has [%s]", v->name, want, have);
}

enum status exec_run(struct exec *x, const struct graph *g, const struct tensor *const *inputs, struct exec_env *env, struct err *e) {
    if (!g)
        g = x->model->graph;
    x->started = now();
    for (int i = 0; i < g->n_inputs; i++) {
        const struct value *v = g->inputs[i];
        if (!inputs[i]) {
            FAIL_IF(!v->constant && v->kind != KIND_OPTIONAL, e, STATUS_USAGE, "no array for input '%s'", v->name);
            continue;
        }
        TRY(check_input(x->model, v, inputs[i], e));
        struct tensor *t;
        struct tensor as = *inputs[i];
        if (v->kind == KIND_TENSOR && v->dtype != DT_NONE && dtype_is_float(v->dtype))
            as.dtype = v->dtype;
        TRY(tensor_for_kernel(&t, &as, x->o.precision, e));
        exec_env_set(env, v, t);
    }
    TRY(run_nodes(x, g, env, e));
    for (int i = 0; i < g->n_outputs; i++) {
        const struct tensor *t;
        TRY(exec_value(x, env, g->outputs[i], &t, e));
        FAIL_IF(!t, e, STATUS_CORRUPT, "output '%s' is computed by no node", g->outputs[i]->name);
        if (t != env->at[g->outputs[i]->id])
            exec_env_set(env, g->outputs[i], tensor_alias(t));
    }
    return OK;
}
