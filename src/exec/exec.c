#define _POSIX_C_SOURCE 200809L
#include "exec/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/follow.h"
#include "kernels/kernels.h"

enum { MAX_DEPTH = 64 }; /* of sub-graphs and function bodies in each other */

struct exec {
    struct model *model;
    struct exec_options o;
    struct arena *arena;
    struct arena *scratch[MAX_DEPTH];      /* by depth, made on first use */
    const struct graph *active[MAX_DEPTH]; /* by depth, the graph whose node runs */
    const struct tensor *
        *converted_from;       /* by value id: the constant that constants[] was made of */
    struct tensor **constants; /* by value id, converted on first use */
    size_t constant_bytes;     /* of constants[] */
    int n_values;
    bool *packed_only; /* by value id: nobody reads it but kernels that take weights as stored */
    int *last_use; /* by value id: position of the last node of its graph that needs it, -1 none */
    /* Values to let go after a node: from the node to the first one's id + 1, from there to the
     * next. */
    struct intmap first_dead;
    int *next_dead;
    struct pack_cache *packs;
    struct recycler *recycler;
    double started;
    int depth;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Marks, for each value of `top`, the last node of `top` that reads it, itself or through its
 * sub-graphs. */
static void mark_uses(struct exec *x, const struct graph *g, const struct graph *top, int at);

/* A graph that stands elsewhere (TFLite's numbered sub-graphs) sees no value of the node's graph.
 */
static void mark_inner(struct exec *x, const struct node *n, const struct graph *inner,
                       const struct graph *top, int at) {
    if (inner->parent == n->graph)
        mark_uses(x, inner, top, at);
}

static void mark_node(struct exec *x, const struct node *n, const struct graph *top, int at) {
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] && n->in[k]->graph == top) {
            x->last_use[n->in[k]->id] = at;
            x->packed_only[n->in[k]->id] &= kernel_takes_stored(n, k);
        }
    if (n->body)
        mark_inner(x, n, n->body, top, at);
    for (int k = 0; k < n->n_attrs; k++) {
        if (n->attrs[k].type == ATTR_GRAPH)
            mark_inner(x, n, n->attrs[k].graph, top, at);
        for (int64_t j = 0; n->attrs[k].type == ATTR_GRAPHS && j < n->attrs[k].n; j++)
            mark_inner(x, n, n->attrs[k].graphs[j], top, at);
    }
}

static void mark_uses(struct exec *x, const struct graph *g, const struct graph *top, int at) {
    for (int i = 0; i < g->n_nodes; i++)
        mark_node(x, g->nodes[i], top, at < 0 ? i : at);
    for (int i = 0; at >= 0 && i < g->n_outputs; i++)
        if (g->outputs[i]->graph == top)
            x->last_use[g->outputs[i]->id] = at;
}

/* Notes after which node each value of g that is neither an output nor kept between runs may go. */
static void mark_dead(struct exec *x, const struct graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        int at = x->last_use[v->id];
        if (at < 0 && v->producer && v->producer->graph == g)
            at = v->producer->id;
        if (at < 0 || at >= g->n_nodes || v->is_output || v->is_variable)
            continue;
        uint64_t key = (uint64_t)(uintptr_t)g->nodes[at], first = 0;
        intmap_get(&x->first_dead, key, &first);
        x->next_dead[v->id] = (int)first;
        intmap_put(&x->first_dead, key, (uint64_t)v->id + 1);
    }
}

static void mark_graph(struct graph *g, void *arg) {
    mark_uses(arg, g, g, -1);
    mark_dead(arg, g);
}

enum status exec_new(struct exec **out, struct model *m, const struct exec_options *o,
                     struct err *e) {
    (void)e;
    ops_bind(m);
    struct arena *a = arena_new();
    struct exec *x = NEW(a, struct exec);
    *x = (struct exec) { .model = m, .o = *o, .arena = a, .n_values = m->next_value_id };
    x->started = now();
    x->packs = pack_cache_new();
    x->recycler = o->recycler;
    if (x->recycler)
        recycler_hold(x->recycler);
    else
        x->recycler = recycler_new(NULL);
    x->converted_from = NEW_ARRAY(a, x->n_values + 1, const struct tensor *);
    x->constants = NEW_ARRAY(a, x->n_values + 1, struct tensor *);
    x->packed_only = NEW_ARRAY(a, x->n_values + 1, bool);
    x->last_use = NEW_ARRAY(a, x->n_values + 1, int);
    x->next_dead = NEW_ARRAY(a, x->n_values + 1, int);
    intmap_init(&x->first_dead, a);
    for (int i = 0; i < x->n_values; i++) {
        x->last_use[i] = -1;
        x->packed_only[i] = true;
    }
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
    recycler_drop(x->recycler);
    for (int i = 0; i < MAX_DEPTH; i++)
        arena_free(x->scratch[i]);
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

static void drop(struct exec_env *env, int id) {
    if (id >= env->n)
        return;
    tensor_free(env->at[id]);
    env->at[id] = NULL;
}

static void forget_constant(struct exec *x, int id) {
    if (x->constants[id])
        x->constant_bytes -= tensor_bytes(x->constants[id]);
    tensor_free(x->constants[id]);
    x->constants[id] = NULL;
    x->converted_from[id] = NULL;
}

void exec_rest(struct exec *x) {
    for (int i = 0; i < x->n_values; i++)
        forget_constant(x, i);
    pack_cache_free(x->packs);
    x->packs = pack_cache_new();
    for (int i = 0; i < x->model->n_files; i++)
        mapfile_forget(&x->model->files[i]);
    recycler_rest(x->recycler);
}

static enum status constant(struct exec *x, const struct value *v, const struct tensor **out,
                            struct err *e) {
    if (v->id >= x->n_values) {
        int n = v->id + 64;
        x->constants =
            arena_grow(x->arena, x->constants, (size_t)x->n_values * sizeof *x->constants,
                       (size_t)n * sizeof *x->constants);
        x->converted_from =
            arena_grow(x->arena, x->converted_from, (size_t)x->n_values * sizeof *x->converted_from,
                       (size_t)n * sizeof *x->converted_from);
        x->n_values = n;
    }
    struct tensor **slot = &x->constants[v->id];
    if (x->converted_from[v->id] !=
        v->constant) { /* first use, or a patch gave it other contents */
        forget_constant(x, v->id);
        TRY(tensor_for_kernel(slot, v->constant, x->o.precision, e));
        x->converted_from[v->id] = v->constant;
        x->constant_bytes += tensor_bytes(*slot);
    }
    *out = *slot;
    return OK;
}

static bool as_stored(const struct exec *x, const struct tensor *t) {
    return t && t->kind == KIND_TENSOR && dtype_is_float(t->store) &&
           t->store != store_of(t->dtype, x->o.precision);
}

enum status exec_value(struct exec *x, const struct exec_env *env, const struct value *v,
                       const struct tensor **out, struct err *e) {
    struct tensor **at = v->id < env->n ? &env->at[v->id] : NULL, *wide;
    if (at && as_stored(x, *at)) { /* somebody wants it after all */
        TRY(tensor_for_kernel(&wide, *at, x->o.precision, e));
        tensor_free(*at);
        *at = wide;
    }
    *out = at ? *at : NULL;
    if (*out)
        tensor_touch(*out);
    if (*out || !v->constant)
        return OK;
    return constant(x, v, out, e);
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs,
                             int n_inputs, struct tensor **outputs, int n_outputs);

struct call { /* what run_graph needs: passed through op_ctx.exec */
    struct exec *x;
    struct exec_env *env;
};

static enum status run_body(struct exec *x, struct exec_env *env, const struct node *n,
                            struct tensor **out, struct err *e);

/* Input i in the bits of the file, where the kernel packs it from there; else NULL. */
static const struct tensor *stored_weights(const struct exec *x, const struct exec_env *env,
                                           const struct node *n, int i) {
    const struct value *v = n->in[i];
    const struct tensor *t = v->id < env->n && env->at[v->id] ? env->at[v->id] : v->constant;
    bool taken = !x->o.reference_only && n->def && as_stored(x, t) && kernel_takes_stored(n, i);
    return taken ? t : NULL;
}

static enum status read_inputs(struct exec *x, const struct exec_env *env, const struct node *n,
                               const struct tensor **in, struct err *e) {
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        in[i] = stored_weights(x, env, n, i);
        if (in[i])
            continue;
        TRY(exec_value(x, env, n->in[i], &in[i], e));
        FAIL_IF(!in[i] && n->def, e, STATUS_MISMATCH, "value '%s' was not computed",
                n->in[i]->name);
    }
    return OK;
}

static enum status eval_node(struct exec *x, struct exec_env *env, const struct node *n,
                             struct follower *follower, struct tensor **out, struct err *e) {
    if (x->o.deadline > 0 && now() - x->started > x->o.deadline)
        return err_set(e, STATUS_UNSUPPORTED, "the time allowed (--timeout) ran out");
    FAIL_IF(x->depth >= MAX_DEPTH, e, STATUS_UNSUPPORTED, "sub-graphs more than %d deep",
            MAX_DEPTH);
    if (n->body)
        return run_body(x, env, n, out, e);
    if (!x->scratch[x->depth])
        x->scratch[x->depth] = arena_new();
    struct arena *scratch = x->scratch[x->depth];
    const struct tensor **in = NEW_ARRAY(scratch, n->n_in + 1, const struct tensor *);
    enum status s = read_inputs(x, env, n, in, e);
    if (s != OK)
        err_at(e, "node %s (%s)", node_label(n, scratch), n->op);
    if (s == OK) {
        struct call call = { x, env };
        struct op_env oe = {
            .precision = x->o.precision,
            .pool = x->o.pool,
            .scratch = scratch,
            .seed = x->o.seed ^ (uint64_t)(n->id + 1) * 0x9e3779b97f4a7c15u,
            .keep_casts = x->o.keep_casts,
            .fast = x->o.reference_only ? NULL : kernel_find,
            .run_graph = run_graph,
            .exec = &call,
            .packs = x->packs,
            .recycler = x->recycler,
            .follower = follower,
        };
        x->active[x->depth++] = n->graph;
        double t0 = x->o.profile ? now() : 0;
        s = op_run(&oe, n, in, out, e);
        if (x->o.profile)
            x->o.profile(x->o.arg, n, now() - t0);
        x->depth--;
    }
    arena_reset(scratch);
    return s;
}

enum status exec_node_detached(struct exec *x, const struct exec_env *env, const struct node *n,
                               struct tensor **out, struct err *e) {
    return eval_node(x, (struct exec_env *)(size_t)env, n, NULL, out, e);
}

static void store_outputs(struct exec *x, struct exec_env *env, const struct node *n,
                          struct tensor **out) {
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i]) {
            tensor_free(out[i]);
            continue;
        }
        exec_env_set(env, n->out[i], out[i]);
        if (x->o.tap && out[i])
            x->o.tap(x->o.arg, n->out[i], out[i]);
    }
}

enum status exec_node(struct exec *x, struct exec_env *env, const struct node *n, struct err *e) {
    if (x->o.constant_bytes && x->depth == 0 &&
        x->constant_bytes + pack_cache_bytes(x->packs) > x->o.constant_bytes)
        exec_rest(x); /* between nodes of the main graph nothing points at them */
    struct tensor **out = calloc((size_t)n->n_out + 1, sizeof *out);
    FAIL_IF(!out, e, STATUS_UNSUPPORTED, "not enough memory for a node of %d outputs", n->n_out);
    enum status s = eval_node(x, env, n, NULL, out, e);
    if (s == OK)
        store_outputs(x, env, n, out);
    free(out);
    return s;
}

/* Values whose last reader has run are let go, unless all are kept. */
static void release_dead(struct exec *x, struct exec_env *env, const struct node *n) {
    uint64_t id = 0;
    if (x->o.keep_values || !intmap_get(&x->first_dead, (uint64_t)(uintptr_t)n, &id))
        return;
    for (; id; id = (uint64_t)x->next_dead[id - 1])
        drop(env, (int)id - 1);
}

/* Whether somebody asks for the value of node i of g, other than node i + 1. */
static bool is_shown(const struct exec *x, const struct value *v, int i) {
    return x->o.tap || x->o.keep_values || v->is_output || v->is_variable ||
           x->last_use[v->id] != i + 1;
}

/* The nodes after node i that are elementwise on what the one before them makes. */
static enum status find_followers(struct exec *x, const struct graph *g, const struct exec_env *env,
                                  int i, struct arena *a, struct follower *f, struct err *e) {
    *f = (struct follower) { 0 };
    if (x->o.reference_only || x->o.profile || x->o.deadline > 0 || !kernel_leads(g->nodes[i]))
        return OK;
    const struct value *v = g->nodes[i]->out[0];
    for (int k = i + 1; v && k < g->n_nodes && f->n < FOLLOWERS; k++) {
        const struct node *n = g->nodes[k];
        if (!n->def || v->id >= x->n_values || !kernel_follows(n, v))
            break;
        const struct tensor **in = NEW_ARRAY(a, n->n_in + 1, const struct tensor *);
        bool known = true;
        for (int j = 0; j < n->n_in; j++) {
            if (n->in[j] && n->in[j] != v)
                TRY(exec_value(x, env, n->in[j], &in[j], e));
            known = known && (!n->in[j] || n->in[j] == v || in[j]);
        }
        if (!known)
            break;
        f->step[f->n++] =
            (struct follow_step) { .node = n, .in = in, .shown = is_shown(x, v, k - 1) };
        v = n->out[0];
    }
    return OK;
}

/* Node *i of g and those that were computed along with it; *i is the last of them then. */
static enum status run_chain(struct exec *x, const struct graph *g, struct exec_env *env, int *i,
                             struct follower *f, struct err *e) {
    const struct node *n = g->nodes[*i];
    struct tensor *out = NULL;
    enum status s = eval_node(x, env, n, f, &out, e);
    for (int k = 0; k < f->begun && s != OK; k++)
        tensor_free(f->step[k].out);
    if (s != OK)
        return s;
    if (f->begun == 0 || f->step[0].shown)
        store_outputs(x, env, n, &out);
    else
        tensor_free(out);
    release_dead(x, env, n);
    for (int k = 0; k < f->begun; k++) {
        const struct node *next = f->step[k].node;
        if (k + 1 == f->begun || f->step[k + 1].shown)
            store_outputs(x, env, next, &f->step[k].out);
        else
            tensor_free(f->step[k].out);
        release_dead(x, env, next);
    }
    *i += f->begun;
    return OK;
}

/* A cast of stored weights to a wider type whose result is only packed: the weights themselves,
 * under that type. */
static bool pass_on_stored(const struct exec *x, const struct node *n, struct exec_env *env) {
    const struct tensor *from = n->n_in == 1 && n->in[0] ? n->in[0]->constant : NULL;
    const struct value *v = n->n_out == 1 ? n->out[0] : NULL;
    if (!from || !v || strcmp(n->op, "Cast") != 0 || n->domain[0] || !n->def ||
        x->o.reference_only || x->o.keep_values || x->o.tap || x->o.profile || v->is_output ||
        v->is_variable || v->id >= x->n_values || !x->packed_only[v->id] || x->last_use[v->id] < 0)
        return false;
    enum dtype to = attr_dtype(n, "to", DT_NONE);
    bool wider =
        (to == DT_F32 || to == DT_F64) && (from->store == DT_F16 || from->store == DT_BF16);
    if (!wider || from->dtype != from->store)
        return false;
    struct tensor *t = tensor_alias(from);
    t->dtype = to;
    exec_env_set(env, v, t);
    return true;
}

static enum status run_nodes(struct exec *x, const struct graph *g, struct exec_env *env,
                             struct err *e) {
    struct arena *a = NULL;
    enum status s = OK;
    for (int i = 0; i < g->n_nodes && s == OK; i++) {
        const struct node *n = g->nodes[i];
        struct follower f = { 0 };
        if (pass_on_stored(x, n, env))
            continue;
        if (!a && n->def && kernel_leads(n))
            a = arena_new();
        if (a)
            s = find_followers(x, g, env, i, a, &f, e);
        if (s == OK && f.n) {
            s = run_chain(x, g, env, &i, &f, e);
            arena_reset(a);
            continue;
        }
        if (s == OK)
            s = exec_node(x, env, n, e);
        if (s == OK)
            release_dead(x, env, n);
    }
    arena_free(a);
    return s;
}

/* Nothing of an iteration is seen by the next. Variables keep what they hold. */
static void clear_graph(struct exec_env *env, const struct graph *g) {
    for (int i = 0; i < g->n_values; i++)
        if (!g->values[i]->is_variable)
            drop(env, g->values[i]->id);
}

/* References to the first n outputs of g. */
static enum status graph_outputs(struct exec *x, const struct graph *g, const struct exec_env *env,
                                 struct tensor **out, int n, struct err *e) {
    for (int i = 0; i < n; i++) {
        const struct tensor *t;
        TRY(exec_value(x, env, g->outputs[i], &t, e));
        FAIL_IF(!t, e, STATUS_CORRUPT, "output '%s' of sub-graph '%s' is not computed by it",
                g->outputs[i]->name, g->name);
        out[i] = tensor_alias(t);
    }
    return OK;
}

static void drop_all(struct tensor **t, int n) {
    for (int i = 0; i < n; i++) {
        tensor_free(t[i]);
        t[i] = NULL;
    }
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, struct tensor *const *inputs,
                             int n_inputs, struct tensor **outputs, int n_outputs) {
    struct call *call = c->exec;
    struct exec *x = call->x;
    FAIL_IF(n_inputs != g->n_inputs || n_outputs > g->n_outputs, c->err, STATUS_CORRUPT,
            "sub-graph '%s' has %d inputs and %d outputs; its node gives %d and asks for %d",
            g->name, g->n_inputs, g->n_outputs, n_inputs, n_outputs);
    for (int i = 0; i < x->depth; i++)
        FAIL_IF(x->active[i] == g, c->err, STATUS_CORRUPT, "sub-graph '%s' calls itself", g->name);
    clear_graph(call->env, g);
    for (int i = 0; i < n_inputs; i++)
        exec_env_set(call->env, g->inputs[i], inputs[i] ? tensor_alias(inputs[i]) : NULL);
    for (int i = 0; i < n_outputs; i++)
        outputs[i] = NULL;
    enum status s = run_nodes(x, g, call->env, c->err);
    if (s == OK)
        s = graph_outputs(x, g, call->env, outputs, n_outputs, c->err);
    if (s != OK)
        drop_all(outputs, n_outputs);
    if (!x->o.keep_values)
        clear_graph(call->env, g);
    return s;
}

/* A call of a model-local function. */
static enum status run_body(struct exec *x, struct exec_env *env, const struct node *n,
                            struct tensor **out, struct err *e) {
    const struct graph *g = n->body;
    clear_graph(env, g);
    for (int i = 0; i < g->n_inputs; i++) {
        const struct tensor *t = NULL;
        if (i < n->n_in && n->in[i])
            TRY(exec_value(x, env, n->in[i], &t, e));
        exec_env_set(env, g->inputs[i], t ? tensor_alias(t) : NULL);
    }
    x->active[x->depth++] = n->graph;
    enum status s = run_nodes(x, g, env, e);
    x->depth--;
    int n_out = n->n_out < g->n_outputs ? n->n_out : g->n_outputs;
    if (s == OK)
        s = graph_outputs(x, g, env, out, n_out, e);
    if (s != OK) {
        drop_all(out, n_out);
        err_at(e, "in function %s called by node %s", n->op, node_label(n, x->arena));
    }
    if (!x->o.keep_values)
        clear_graph(env, g);
    return s;
}

static enum status check_input(const struct model *m, const struct value *v, const struct tensor *t,
                               struct err *e) {
    if (v->kind != KIND_TENSOR || t->kind != KIND_TENSOR)
        return OK;
    FAIL_IF(v->dtype != DT_NONE && v->dtype != t->dtype &&
                !(dtype_is_float(v->dtype) && dtype_is_float(t->dtype)),
            e, STATUS_MISMATCH, "input '%s' is %s in the model, the array given is %s", v->name,
            dtype_name(v->dtype), dtype_name(t->dtype));
    bool fits = v->rank < 0 || v->rank == t->rank;
    for (int i = 0; fits && i < v->rank; i++)
        fits = v->dim[i] < 0 || v->dim[i] == t->dim[i];
    if (fits)
        return OK;
    char want[256] = "", have[256] = "";
    size_t w = 0, h = 0;
    char buf[64];
    for (int i = 0; i < v->rank && w + 70 < sizeof want; i++)
        w += (size_t)snprintf(want + w, sizeof want - w, "%s%s", i ? "," : "",
                              dim_text(m, v->dim[i], buf, sizeof buf));
    for (int i = 0; i < t->rank && h + 30 < sizeof have; i++)
        h += (size_t)snprintf(have + h, sizeof have - h, "%s%lld", i ? "," : "",
                              (long long)t->dim[i]);
    return err_set(e, STATUS_MISMATCH,
                   "input '%s' has shape [%s] in the model, the array given has [%s]", v->name,
                   want, have);
}

enum status exec_run(struct exec *x, const struct graph *g, const struct tensor *const *inputs,
                     struct exec_env *env, struct err *e) {
    if (!g)
        g = x->model->graph;
    x->started = now();
    for (int i = 0; i < g->n_inputs; i++) {
        const struct value *v = g->inputs[i];
        if (!inputs[i]) {
            FAIL_IF(!v->constant && v->kind != KIND_OPTIONAL, e, STATUS_USAGE,
                    "no array for input '%s'", v->name);
            exec_env_set(env, v, v->constant ? NULL : tensor_new_list(KIND_OPTIONAL, v->dtype, 0));
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
