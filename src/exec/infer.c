/* Shape inference over a whole graph. */
#include "exec/infer.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL = 4096 }; /* contents of at most so many elements are computed through */

static int64_t bound_dim(const struct infer *x, int64_t dim) {
    if (dim >= 0)
        return x->dims_declared ? dim : DIM_UNKNOWN;
    return dim <= DIM_SYMBOL && DIM_SYMBOL - dim < x->m->n_symbols ? x->symbols[DIM_SYMBOL - dim]
                                                                   : dim;
}

static void declared(const struct infer *x, struct fact *f, const struct value *v) {
    f->kind = v->kind;
    f->dtype = v->dtype;
    f->rank = v->rank;
    for (int i = 0; i < v->rank; i++)
        f->dim[i] = bound_dim(x, v->dim[i]);
}

void infer_set(struct infer *x, const struct value *v, const struct fact *f) {
    struct fact *to = &x->facts[v->id], d = { .rank = -1 };
    declared(x, &d, v);
    *to = *f;
    to->absent = false;
    if (to->dtype == DT_NONE && to->rank < 0 && to->kind == KIND_TENSOR)
        to->kind = v->kind;
    if (to->dtype == DT_NONE)
        to->dtype = v->dtype;
    if (to->rank < 0 && d.rank >= 0 && to->kind == d.kind) {
        to->rank = d.rank;
        memcpy(to->dim, d.dim, sizeof to->dim);
    }
    for (int i = 0; i < to->rank && to->rank == d.rank; i++)
        if (to->dim[i] == DIM_UNKNOWN)
            to->dim[i] = d.dim[i];
}

/* --- contents computed through --- */

static bool all_known(const struct infer *x, const struct node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !x->facts[n->in[i]->id].value)
            return false;
    return !(n->def->flags & (OP_RANDOM | OP_SUBGRAPH | OP_STATE));
}

static bool small_count(const struct fact *f) {
    int64_t count;
    return dims_count(f->dim, f->rank, &count) && count <= SMALL;
}

static bool all_small(const struct infer *x, const struct node *n, const struct fact *out) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] &&
            (out[i].kind != KIND_TENSOR || (fact_known(&out[i]) && !small_count(&out[i]))))
            return false;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && (x->facts[n->in[i]->id].value->kind != KIND_TENSOR ||
                         tensor_count(x->facts[n->in[i]->id].value) > SMALL))
            return false;
    return true;
}

/* A copy of contents that lives as long as the facts; NULL for texts and for what has grown large.
 */
static const struct tensor *kept(struct infer *x, const struct tensor *from) {
    if (from->kind != KIND_TENSOR || from->store == DT_STRING || tensor_count(from) > SMALL)
        return NULL;
    struct tensor *t = NEW(x->a, struct tensor);
    *t = *from;
    t->buf = NULL;
    t->data = arena_copy(x->a, from->data, tensor_bytes(from));
    return t;
}

static void fold(struct infer *x, const struct node *n) {
    struct tensor **in = NEW_ARRAY(x->scratch, n->n_in + 1, struct tensor *),
                  **out = NEW_ARRAY(x->scratch, n->n_out + 1, struct tensor *);
    struct err e;
    enum status s = OK;
    for (int i = 0; s == OK && i < n->n_in; i++)
        if (n->in[i])
            s = tensor_for_kernel(&in[i], x->facts[n->in[i]->id].value, PREC_F64, &e);
    struct op_env env = { .precision = PREC_F64, .scratch = x->scratch };
    if (s == OK)
        s = op_run(&env, n, (const struct tensor *const *)in, out, &e);
    for (int i = 0; s == OK && i < n->n_out; i++)
        if (n->out[i] && out[i] && out[i]->kind == KIND_TENSOR) {
            struct fact *f = &x->facts[n->out[i]->id];
            f->rank = out[i]->rank;
            memcpy(f->dim, out[i]->dim, sizeof f->dim);
            f->value = kept(x, out[i]);
        }
    for (int i = 0; i < n->n_out; i++)
        tensor_free(out[i]);
    for (int i = 0; i < n->n_in; i++)
        tensor_free(in[i]);
}

/* --- nodes --- */

static void infer_node(struct infer *x, const struct node *n) {
    struct fact *in = NEW_ARRAY(x->scratch, n->n_in + 1, struct fact),
                *out = NEW_ARRAY(x->scratch, n->n_out + 1, struct fact);
    for (int i = 0; i < n->n_in; i++) {
        if (n->in[i])
            in[i] = x->facts[n->in[i]->id];
        else
            in[i] = (struct fact) { .absent = true, .rank = -1 };
    }
    for (int i = 0; i < n->n_out; i++)
        out[i] = (struct fact) { .rank = -1, .absent = !n->out[i] };
    struct err e;
    enum status s = OK;
    if (!infer_control(x, n, in, out))
        s = n->def ? op_shape(n, x->m, x->scratch, in, out, &e) : STATUS_UNSUPPORTED;
    for (int i = 0; i < n->n_out; i++) {
        if (!n->out[i])
            continue;
        const struct fact unknown = { .rank = -1 };
        infer_set(x, n->out[i], s == OK ? &out[i] : &unknown);
        struct fact *f = &x->facts[n->out[i]->id];
        f->value = f->value ? kept(x, f->value) : NULL;
        f->parts = f->parts ? kept(x, f->parts) : NULL;
    }
    if (s != OK || !n->def || n->body)
        return;
    if (!all_known(x, n))
        infer_parts(x, n, in);
    else if (all_small(x, n, out))
        fold(x, n);
}

void infer_graph(struct infer *x, struct graph *g) {
    for (int k = 0; k < g->n_nodes; k++) {
        if (x->depth == 0)
            arena_reset(x->scratch);
        infer_node(x, g->nodes[k]);
    }
}

/* --- the whole model --- */

/* What the caller's shapes of the inputs say of the symbols, and whether they go against a declared
 * number. */
static void bind_symbols(struct infer *x, const struct fact *bound) {
    struct model *m = x->m;
    x->symbols = NEW_ARRAY(x->a, m->n_symbols + 1, int64_t);
    x->dims_declared = true;
    for (int i = 0; i < m->n_symbols; i++)
        x->symbols[i] = DIM_SYMBOL - i;
    for (int i = 0; bound && i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        const struct fact *f = &bound[v->id];
        for (int k = 0; k < f->rank && f->rank == v->rank; k++) {
            int64_t d = v->dim[k];
            if (d <= DIM_SYMBOL && DIM_SYMBOL - d < m->n_symbols && f->dim[k] >= 0)
                x->symbols[DIM_SYMBOL - d] = f->dim[k];
            else if (d >= 0 && f->dim[k] != d)
                x->dims_declared = false;
        }
    }
}

static void init_graph(struct graph *g, void *arg) {
    struct infer *x = arg;
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        struct fact *f = &x->facts[v->id];
        declared(x, f, v);
        if (!v->constant)
            continue;
        f->rank = v->constant->rank;
        memcpy(f->dim, v->constant->dim, sizeof f->dim);
        f->value =
            v->is_input || v->is_variable || v->constant->kind != KIND_TENSOR ? NULL : v->constant;
    }
}

struct fact *exec_infer(struct model *m, struct arena *a, const struct fact *bound, struct err *e) {
    (void)e;
    ops_bind(m);
    struct infer x = { .m = m,
                       .a = a,
                       .scratch = arena_new(),
                       .facts = NEW_ARRAY(a, m->next_value_id + 1, struct fact) };
    for (int i = 0; i < m->next_value_id; i++)
        x.facts[i] = (struct fact) { .rank = -1 };
    if (m->graph) {
        bind_symbols(&x, bound);
        model_each_graph(m, init_graph, &x);
        for (int i = 0; bound && i < m->graph->n_inputs; i++)
            if (bound[m->graph->inputs[i]->id].rank >= 0)
                x.facts[m->graph->inputs[i]->id] = bound[m->graph->inputs[i]->id];
        infer_graph(&x, m->graph);
        for (int k = 0; k < m->n_graphs; k++)
            if (m->graphs[k] != m->graph)
                infer_graph(&x, m->graphs[k]);
    }
    arena_free(x.scratch);
    return x.facts;
}
