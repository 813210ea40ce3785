#include "align/trace.h"

#include <string.h>

/* Operators that look at an input's shape only. */
static bool shape_only(const struct node *n) {
    return node_is(n, "Shape") || node_is(n, "Size") ||
           (strcmp(n->domain, "tflite") == 0 &&
            (strcmp(n->op, "SHAPE") == 0 || strcmp(n->op, "RANK") == 0));
}

static bool reads_dynamic(const struct trace *t, const struct graph *g);

static bool node_dynamic(const struct trace *t, const struct node *n) {
    if (n->def && n->def->flags & (OP_RANDOM | OP_STATE))
        return true;
    if (shape_only(n))
        return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && t->dynamic[n->in[i]->id])
            return true;
    for (int i = 0; i < n->n_attrs; i++) {
        if (n->attrs[i].type == ATTR_GRAPH && reads_dynamic(t, n->attrs[i].graph))
            return true;
        for (int64_t k = 0; n->attrs[i].type == ATTR_GRAPHS && k < n->attrs[i].n; k++)
            if (reads_dynamic(t, n->attrs[i].graphs[k]))
                return true;
    }
    return false;
}

static bool reads_dynamic(const struct trace *t, const struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++)
        if (node_dynamic(t, g->nodes[i]))
            return true;
    for (int i = 0; i < g->n_outputs; i++)
        if (t->dynamic[g->outputs[i]->id])
            return true;
    return false;
}

static void mark_dynamic(struct trace *t, struct arena *a) {
    const struct graph *g = t->model->graph;
    t->n_dynamic = t->model->next_value_id;
    t->dynamic = NEW_ARRAY(a, t->n_dynamic + 1, bool);
    for (int i = 0; i < g->n_inputs; i++)
        t->dynamic[g->inputs[i]->id] = true;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->is_variable)
            t->dynamic[g->values[i]->id] = true;
    for (int i = 0; i < g->n_nodes; i++) {
        bool d = node_dynamic(t, g->nodes[i]);
        for (int k = 0; k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k])
                t->dynamic[g->nodes[i]->out[k]->id] = d;
    }
}

static enum status set_inputs(struct trace *t, struct tensor *const *inputs, struct exec_env *env,
                              struct err *e) {
    const struct graph *g = t->model->graph;
    for (int i = 0; i < g->n_inputs; i++) {
        if (!inputs[i]) {
            FAIL_IF(!g->inputs[i]->constant, e, STATUS_USAGE, "no array for input '%s'",
                    g->inputs[i]->name);
            continue;
        }
        struct tensor *x;
        struct tensor as = *inputs[i];
        if (dtype_is_float(as.dtype) && dtype_is_float(g->inputs[i]->dtype))
            as.dtype = g->inputs[i]->dtype;
        TRY(tensor_for_kernel(&x, &as, t->precision, e));
        tensor_to_paged(x, t->recycler);
        exec_env_set(env, g->inputs[i], x);
    }
    return OK;
}

void trace_set(struct trace *t, const struct value *v, int k, struct tensor *as) {
    tensor_to_paged(as, t->recycler);
    exec_env_set(t->env[k], v, as);
}

static bool inputs_there(const struct trace *t, const struct node *n, int k) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !trace_value(t, n->in[i], k))
            return false;
    return true;
}

enum status trace_new(struct trace **out, struct model *m, struct tensor ***samples, int n_samples,
                      const struct trace_options *o, struct arena *a, struct err *e) {
    struct trace *t = NEW(a, struct trace);
    *t = (struct trace) { .model = m,
                          .samples = n_samples,
                          .recycler = o->recycler,
                          .progress = o->progress,
                          .precision = o->precision };
    struct exec_options how = { .precision = o->precision,
                                .pool = o->pool,
                                .keep_values = true,
                                .keep_casts = o->precision == PREC_F64,
                                .deadline = o->deadline,
                                .recycler = o->recycler,
                                .constant_bytes = o->constant_bytes };
    TRY(exec_new(&t->exec, m, &how, e));
    mark_dynamic(t, a);
    t->env = NEW_ARRAY(a, n_samples + 1, struct exec_env *);
    t->failed = NEW_ARRAY(a, m->graph->n_nodes + 1, const char *);
    *out = t;
    for (int k = 0; k < n_samples; k++)
        t->env[k] = exec_env_new(t->exec);
    for (int k = 0; k < n_samples; k++)
        TRY(set_inputs(t, samples[k], t->env[k], e));
    return OK;
}

/* What was computed is read again much later, if at all. */
static void put_away(struct trace *t, struct exec_env *env, const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && env->at[n->out[i]->id])
            tensor_to_paged(env->at[n->out[i]->id], t->recycler);
}

enum status trace_node(struct trace *t, struct exec_env *env, const struct node *n, struct err *e) {
    if (t->recycler)
        paged_rest(recycler_paged(t->recycler));
    TRY(exec_node(t->exec, env, n, e));
    put_away(t, env, n);
    return OK;
}

static size_t bytes_held(const struct trace *t, int k) {
    size_t bytes = 0;
    for (int i = 0; i < t->env[k]->n; i++)
        if (t->env[k]->at[i])
            bytes += tensor_bytes(t->env[k]->at[i]);
    return bytes;
}

void trace_run(struct trace *t, const char *stage, size_t max_bytes, struct arena *a) {
    const struct graph *g = t->model->graph;
    for (int k = 0; k < t->samples; k++) {
        for (int i = 0; i < g->n_nodes; i++) {
            struct err why = { 0 };
            progress_show(t->progress, stage, (int64_t)k * g->n_nodes + i,
                          (int64_t)t->samples * g->n_nodes);
            if (t->failed[i] || !inputs_there(t, g->nodes[i], k) ||
                trace_node(t, t->env[k], g->nodes[i], &why) == OK)
                continue;
            t->failed[i] = arena_printf(a, "%s%s%s", why.where, why.where[0] ? ": " : "", why.what);
            t->n_failed++;
        }
        size_t bytes = bytes_held(t, 0) + 1;
        if (k == 0 && bytes * (size_t)t->samples > max_bytes)
            trace_keep(t, (int)(max_bytes / bytes));
    }
    exec_rest(t->exec);
}

void trace_keep(struct trace *t, int samples) {
    if (samples < 1)
        samples = 1;
    for (int k = samples; k < t->samples; k++) {
        exec_env_free(t->env[k]);
        t->env[k] = NULL;
    }
    t->samples = samples < t->samples ? samples : t->samples;
}

void trace_free(struct trace *t) {
    if (!t)
        return;
    for (int k = 0; k < t->samples; k++)
        exec_env_free(t->env[k]);
    exec_free(t->exec);
}

const struct tensor *trace_value(const struct trace *t, const struct value *v, int k) {
    const struct tensor *x = NULL;
    if (!v || exec_value(t->exec, t->env[k], v, &x, NULL) != OK)
        return NULL;
    return x;
}

bool trace_dynamic(const struct trace *t, const struct value *v) {
    return v && v->id < t->n_dynamic && t->dynamic[v->id];
}

const char *trace_still(const struct trace *t, const struct value *v) {
    bool zero = true, any = false;
    double first = 0;
    for (int k = 0; k < t->samples; k++) {
        const struct tensor *x = trace_value(t, v, k);
        if (!x || !tensor_is_real(x))
            return NULL;
        int64_t n = tensor_count(x);
        for (int64_t i = 0; i < n; i++) {
            double y = tensor_f64(x, i);
            if (!any)
                first = y;
            any = true;
            if (y != first && !(y != y && first != first))
                return NULL;
            zero = zero && y == 0;
        }
    }
    return !any ? NULL : zero ? "all zero" : "constant";
}

int trace_count_still(const struct trace *t) {
    const struct graph *g = t->model->graph;
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *v = g->nodes[i]->out[k];
            n += v && trace_dynamic(t, v) && trace_still(t, v) != NULL;
        }
    return n;
}
