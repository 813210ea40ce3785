/* Shape inference over a whole graph. */
#include <stdlib.h>
#include <string.h>

#include "exec/exec.h"

enum { SMALL = 4096 }; /* contents of at most so many elements are computed through */

static void fact_of_value(struct fact *f, const struct value *v) {
    f->kind = v->kind;
    f->dtype = v->dtype;
    f->rank = v->rank;
    memcpy(f->dim, v->dim, sizeof f->dim);
}

/* Where the rule knows less than the file declares, the file's declaration stands. */
static void merge_declared(struct fact *f, const struct value *v) {
    if (f->dtype == DT_NONE)
        f->dtype = v->dtype;
    if (f->rank < 0 && v->rank >= 0 && f->kind == v->kind)
        fact_of_value(f, v);
    for (int i = 0; i < f->rank && f->rank == v->rank; i++)
        if (f->dim[i] == DIM_UNKNOWN)
            f->dim[i] = v->dim[i];
}

struct infer {
    struct model *m;
    struct arena *a, *scratch;
    struct fact *facts;
};

static bool all_known(const struct infer *x, const struct node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !x->facts[n->in[i]->id].value)
            return false;
    return !(n->def->flags & (OP_RANDOM | OP_SUBGRAPH | OP_STATE));
}

static bool all_small(const struct infer *x, const struct node *n, const struct fact *out) {
    int64_t count;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && fact_known(&out[i]) && (!dims_count(out[i].dim, out[i].rank, &count) || count > SMALL))
            return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (x->facts[n->in[i]->id].kind != KIND_TENSOR || tensor_count(x->facts[n->in[i]->id].value) > SMALL))
            return false;
    return true;
}

static void fold(struct infer *x, const struct node *n) {
    struct tensor **in = NEW_ARRAY(x->scratch, n->n_in + 1, struct tensor *), **out = NEW_ARRAY(x->scratch, n->n_out + 1, struct tensor *);
    struct err e;
    enum status s = OK;
    for (int i = 0; s == OK && i < n->n_in; i++)
        if (n->in[i])
            s = tensor_for_kernel(&in[i], x->facts[n->in[i]->id].value, PREC_F64, &e);
    struct op_env env = { .precision = PREC_F64, .scratch = x->scratch };
    if (s == OK)
        s = op_run(&env, n, (const struct tensor *const *)in, out, &e);
    for (int i = 0; s == OK && i < n->n_out; i++)
        if (n->out[i] && out[i] && out[i]->kind == KIND_TENSOR && out[i]->store != DT_STRING) {
            struct tensor *t = NEW(x->a, struct tensor);
            *t = *out[i];
            t->buf = NULL;
            t->data = arena_copy(x->a, out[i]->data, tensor_bytes(out[i]));
            x->facts[n->out[i]->id].value = t;
        }
    for (int i = 0; i < n->n_out; i++)
        tensor_free(out[i]);
    for (int i = 0; i < n->n_in; i++)
        tensor_free(in[i]);
}

static void infer_graph(struct graph *g, void *arg) {
    struct infer *x = arg;
    for (int k = 0; k < g->n_nodes; k++) {
        const struct node *n = g->nodes[k];
        arena_reset(x->scratch);
        struct fact *in = NEW_ARRAY(x->scratch, n->n_in + 1, struct fact), *out = NEW_ARRAY(x->scratch, n->n_out + 1, struct fact);
        for (int i = 0; i < n->n_in; i++) {
            if (n->in[i])
                in[i] = x->facts[n->in[i]->id];
            else
                in[i] = (struct fact) { .absent = true, .rank = -1 };
        }
        struct err e;
        enum status s = n->def ? op_shape(n, x->m, x->scratch, in, out, &e) : STATUS_UNSUPPORTED;
        for (int i = 0; i < n->n_out; i++) {
            if (!n->out[i])
                continue;
            struct fact *f = &x->facts[n->out[i]->id];
            if (s == OK)
                *f = out[i];
            else
                *f = (struct fact) { .rank = -1 };
            merge_declared(f, n->out[i]);
            f->absent = false;
        }
        if (s == OK && all_known(x, n) && all_small(x, n, out))
            fold(x, n);
    }
}

struct fact *exec_infer(struct model *m, struct arena *a, const struct fact *bound, struct err *e) {
    (void)e;
    ops_bind(m);
    struct infer x = { m, a, arena_new(), NEW_ARRAY(a, m->next_value_id + 1, struct fact) };
    for (int i = 0; i < m->next_value_id; i++)
        x.facts[i] = (struct fact) { .rank = -1 };
    struct graph *g = m->graph;
    for (int i = 0; g && i < g->n_values; i++) {
        struct fact *f = &x.facts[g->values[i]->id];
        fact_of_value(f, g->values[i]);
        f->value = g->values[i]->is_input ? NULL : g->values[i]->constant;
        if (bound && g->values[i]->is_input && bound[g->values[i]->id].rank >= 0)
            *f = bound[g->values[i]->id];
    }
    for (int k = 1; k < m->n_graphs; k++)
        for (int i = 0; i < m->graphs[k]->n_values; i++)
            fact_of_value(&x.facts[m->graphs[k]->values[i]->id], m->graphs[k]->values[i]);
    if (g)
        infer_graph(g, &x);
    arena_free(x.scratch);
    return x.facts;
}
