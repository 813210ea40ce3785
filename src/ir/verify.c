/* One walk over every graph, with a stack of its own: hostile nesting costs memory, not the call
 * stack. */
#include "ir/verify.h"

/* A graph being walked. */
struct frame {
    const struct graph *graph;
    uint32_t scope; /* values of another scope (the caller of a function body) are not visible */
    int node;       /* next node */
    int attr;       /* next attribute of that node, n_attrs: its body, past that: its own inputs */
    int64_t item;   /* next graph of a list attribute */
};

struct walk {
    const struct model *model;
    struct arena *arena; /* of the walk */
    uint32_t *visible;   /* by value id: the scope that may read it now, 0 none */
    bool *linked;        /* by value id: met in some graph's list of values */
    struct frame *stack;
    int depth, capacity;
    uint32_t n_scopes;
    struct err *err;
};

static const char *label(const struct walk *w, const struct node *n) {
    return node_label(n, w->arena);
}

static const char *value_label(const struct walk *w, const struct value *v) {
    return v->name[0] ? v->name : arena_printf(w->arena, "value %d", v->id);
}

static enum status check_value(const struct walk *w, const struct graph *g, const struct value *v) {
    struct err *e = w->err;
    FAIL_IF(!v || !v->name, e, STATUS_BUG, "graph '%s' has a value without a name", g->name);
    FAIL_IF(v->id < 0 || v->id >= w->model->next_value_id, e, STATUS_BUG,
            "value '%s' has number %d of %d", v->name, v->id, w->model->next_value_id);
    FAIL_IF(w->linked[v->id], e, STATUS_BUG,
            "value '%s' stands twice, or its number %d is another's", v->name, v->id);
    FAIL_IF(v->graph != g, e, STATUS_BUG, "value '%s' stands in a graph that is not its own",
            v->name);
    FAIL_IF(!v->origin.name, e, STATUS_BUG, "value '%s' has no origin", v->name);
    FAIL_IF(v->producer && (v->is_input || v->constant), e, STATUS_CORRUPT,
            "value '%s' is %s and is computed by node '%s' too", value_label(w, v),
            v->constant ? "a constant" : "an input", label(w, v->producer));
    FAIL_IF(v->rank > MAX_RANK || v->rank < -1, e, STATUS_BUG, "value '%s' has rank %d", v->name,
            v->rank);
    return OK;
}

/* Everything that is defined before the first node runs. */
static enum status enter(struct walk *w, const struct graph *g, uint32_t scope) {
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        TRY(check_value(w, g, v));
        w->linked[v->id] = true;
        if (v->is_input || v->constant || v->is_variable)
            w->visible[v->id] = scope;
    }
    for (int i = 0; i < g->n_inputs; i++)
        FAIL_IF(!g->inputs[i] || g->inputs[i]->graph != g || !g->inputs[i]->is_input, w->err,
                STATUS_BUG, "input %d of graph '%s' is not a value of it", i, g->name);
    if (w->depth == w->capacity) {
        int capacity = w->capacity ? w->capacity * 2 : 16;
        w->stack = arena_grow(w->arena, w->stack, (size_t)w->capacity * sizeof *w->stack,
                              (size_t)capacity * sizeof *w->stack);
        w->capacity = capacity;
    }
    w->stack[w->depth++] = (struct frame) { .graph = g, .scope = scope };
    return OK;
}

/* Whether the node at `start` comes after itself by way of the nodes of its graph. */
static bool on_cycle(const struct walk *w, const struct graph *g, const struct node *start) {
    bool *seen = NEW_ARRAY(w->arena, w->model->next_value_id + 1, bool);
    const struct node **reached = NULL;
    int n = 0;
    PUSH(w->arena, reached, n, start);
    while (n > 0) {
        const struct node *at = reached[--n];
        for (int i = 0; i < at->n_in; i++) {
            const struct value *v = at->in[i];
            if (!v || seen[v->id] || !v->producer || v->graph != g)
                continue;
            if (v->producer == start)
                return true;
            seen[v->id] = true;
            PUSH(w->arena, reached, n, v->producer);
        }
    }
    return false;
}

static enum status check_read(struct walk *w, const struct frame *f, const struct value *v,
                              const char *who, const struct node *reader) {
    struct err *e = w->err;
    FAIL_IF(v->id < 0 || v->id >= w->model->next_value_id, e, STATUS_BUG,
            "%s reads a value with number %d of %d", who, v->id, w->model->next_value_id);
    if (w->visible[v->id] == f->scope)
        return OK;
    const char *name = value_label(w, v);
    FAIL_IF(w->visible[v->id] != 0, e, STATUS_CORRUPT,
            "%s reads '%s', which belongs to the graph that calls this one", who, name);
    FAIL_IF(!v->producer, e, STATUS_CORRUPT,
            "%s reads '%s', which is no input, no constant and no node's output", who, name);
    FAIL_IF(reader && v->graph == f->graph && on_cycle(w, f->graph, reader), e, STATUS_CORRUPT,
            "%s reads '%s', which needs the node's own result: the graph has a cycle", who, name);
    FAIL_IF(v->graph == f->graph, e, STATUS_CORRUPT,
            "%s reads '%s' before node '%s' has computed it: the nodes are not in order", who, name,
            label(w, v->producer));
    return err_set(e, STATUS_CORRUPT, "%s reads '%s', which is not defined where it stands", who,
                   name);
}

/* The node itself, after the graphs it holds. */
static enum status check_node(struct walk *w, struct frame *f, struct node *n) {
    struct err *e = w->err;
    FAIL_IF(n->graph != f->graph, e, STATUS_BUG, "node '%s' stands in a graph that is not its own",
            label(w, n));
    FAIL_IF(n->id != f->node, e, STATUS_BUG, "node '%s' stands at %d and is numbered %d",
            label(w, n), f->node, n->id);
    FAIL_IF(!n->op || !n->domain || !n->name || !n->origin.name, e, STATUS_BUG,
            "node %d of graph '%s' lacks operator, domain, name or origin", n->id, f->graph->name);
    for (int i = 0; i < n->n_in; i++) {
        const struct value *v = n->in[i];
        if (!v || (v->id >= 0 && v->id < w->model->next_value_id && w->visible[v->id] == f->scope))
            continue;
        const char *who = arena_printf(w->arena, "node '%s' (%s)", label(w, n), n->op);
        TRY(check_read(w, f, v, who, n));
    }
    for (int i = 0; i < n->n_out; i++) {
        struct value *v = n->out[i];
        if (!v)
            continue;
        FAIL_IF(v->producer && v->producer != n, e, STATUS_CORRUPT,
                "value '%s' is computed twice, by node '%s' and by node '%s'", value_label(w, v),
                label(w, v->producer), label(w, n));
        FAIL_IF(v->producer != n || v->out_index != i, e, STATUS_CORRUPT,
                "output %d of node '%s' (%s), '%s', is an output, input or constant already", i,
                label(w, n), n->op, value_label(w, v));
        FAIL_IF(v->graph != f->graph || v->id < 0 || v->id >= w->model->next_value_id ||
                    !w->linked[v->id],
                e, STATUS_BUG, "output '%s' of node '%s' is no value of its graph", v->name,
                label(w, n));
        w->visible[v->id] = f->scope;
    }
    return OK;
}

static enum status leave(struct walk *w, struct frame *f) {
    const struct graph *g = f->graph;
    for (int i = 0; i < g->n_outputs; i++) {
        FAIL_IF(!g->outputs[i], w->err, STATUS_CORRUPT, "output %d of graph '%s' is missing", i,
                g->name);
        TRY(check_read(w, f, g->outputs[i],
                       arena_printf(w->arena, "output %d of graph '%s'", i, g->name), NULL));
    }
    for (int i = 0; i < g->n_values; i++)
        w->visible[g->values[i]->id] = 0;
    w->depth--;
    return OK;
}

/* The next graph that the current node of the frame holds, or NULL. */
static const struct graph *next_held(struct frame *f, const struct node *n, bool *own_scope) {
    *own_scope = false;
    for (; f->attr < n->n_attrs; f->attr++, f->item = 0) {
        const struct attr *a = &n->attrs[f->attr];
        /* Graphs without a parent are shared (TFLite sub-graphs) and walked as roots. */
        if (a->type == ATTR_GRAPH && f->item++ == 0 && a->graph && a->graph->parent == f->graph)
            return a->graph;
        while (a->type == ATTR_GRAPHS && f->item < a->n) {
            const struct graph *g = a->graphs[f->item++];
            if (g && g->parent == f->graph)
                return g;
        }
    }
    if (f->attr == n->n_attrs) {
        f->attr++;
        *own_scope = true;
        return n->body;
    }
    return NULL;
}

static enum status walk_root(struct walk *w, const struct graph *root) {
    TRY(enter(w, root, ++w->n_scopes));
    while (w->depth > 0) {
        struct frame *f = &w->stack[w->depth - 1];
        if (f->node == f->graph->n_nodes) {
            TRY(leave(w, f));
            continue;
        }
        struct node *n = f->graph->nodes[f->node];
        FAIL_IF(!n, w->err, STATUS_BUG, "graph '%s' has an empty node", f->graph->name);
        bool own_scope;
        const struct graph *held = next_held(f, n, &own_scope);
        if (held) {
            TRY(enter(w, held, own_scope ? ++w->n_scopes : f->scope));
            continue;
        }
        TRY(check_node(w, f, n));
        f->node++;
        f->attr = 0;
        f->item = 0;
    }
    return OK;
}

static enum status walk_model(struct walk *w) {
    const struct model *m = w->model;
    FAIL_IF(!m->graph, w->err, STATUS_CORRUPT, "the model has no graph");
    TRY(walk_root(w, m->graph));
    for (int i = 0; i < m->n_graphs; i++)
        if (m->graphs[i] != m->graph)
            TRY(walk_root(w, m->graphs[i]));
    return OK;
}

enum status model_verify(const struct model *m, struct err *e) {
    struct arena *a = arena_new();
    struct walk w = { .model = m, .arena = a, .err = e };
    w.visible = NEW_ARRAY(a, m->next_value_id + 1, uint32_t);
    w.linked = NEW_ARRAY(a, m->next_value_id + 1, bool);
    enum status s = walk_model(&w);
    arena_free(a);
    return s;
}
