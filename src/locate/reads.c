/* What a node reads: its inputs, and the values of its graph that the graphs it holds take from
 * around them. */
#include "locate/zipper_parts.h"

static void add_outer(const struct value *v, const struct graph *top, struct arena *a,
                      struct reads *r) {
    if (!v || v->graph != top)
        return;
    for (int i = 0; i < r->n; i++)
        if (r->v[i] == v)
            return;
    PUSH(a, r->v, r->n, v);
}

static void add_held(const struct node *n, const struct graph *top, struct arena *a,
                     struct reads *r);

static void add_graph(const struct graph *g, const struct graph *top, struct arena *a,
                      struct reads *r) {
    for (int i = 0; i < g->n_nodes; i++) {
        for (int k = 0; k < g->nodes[i]->n_in; k++)
            add_outer(g->nodes[i]->in[k], top, a, r);
        add_held(g->nodes[i], top, a, r);
    }
    for (int i = 0; i < g->n_outputs; i++)
        add_outer(g->outputs[i], top, a, r);
}

static void add_held(const struct node *n, const struct graph *top, struct arena *a,
                     struct reads *r) {
    for (int i = 0; i < n->n_attrs; i++) {
        if (n->attrs[i].type == ATTR_GRAPH)
            add_graph(n->attrs[i].graph, top, a, r);
        for (int64_t k = 0; n->attrs[i].type == ATTR_GRAPHS && k < n->attrs[i].n; k++)
            add_graph(n->attrs[i].graphs[k], top, a, r);
    }
}

static bool holds_graphs(const struct node *n) {
    for (int i = 0; i < n->n_attrs; i++)
        if (n->attrs[i].type == ATTR_GRAPH || n->attrs[i].type == ATTR_GRAPHS)
            return true;
    return false;
}

struct reads node_reads(const struct node *n, struct arena *a) {
    struct reads r = { .v = (const struct value **)(size_t)n->in, .n = n->n_in };
    if (!holds_graphs(n))
        return r;
    r = (struct reads) { .n = 0 };
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            PUSH(a, r.v, r.n, n->in[i]);
    add_held(n, n->graph, a, &r);
    return r;
}
