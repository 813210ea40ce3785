/* Applying patches and taking them back.
 *
 * Every change is logged before it is made; taking back replays the log from its end. Lists of
 * inputs, outputs and attributes are replaced by changed copies, never changed in place, so a
 * struct copied into the log holds them. The long lists (nodes and values of a graph) are changed
 * in place and logged as single insertions and removals. */
#include <assert.h>
#include <string.h>

#include "ir/toposort.h"
#include "ir/patch.h"
#include "ir/verify.h"

enum change_kind {
    CHANGE_NODE,  /* `node` was as in `saved` */
    CHANGE_VALUE, /* `value` was as in `saved` */
    CHANGE_ENDS,  /* inputs and outputs of `graph` were as in `saved` */
    CHANGE_ORDER, /* the list of nodes of `graph` was `saved` */
    CHANGE_NODE_IN,
    CHANGE_NODE_OUT,
    CHANGE_VALUE_IN,
    CHANGE_VALUE_OUT, /* inserted or taken out at `at` of `graph` */
};

struct change {
    enum change_kind kind;
    struct node *node;
    struct value *value;
    struct graph *graph;
    int at;
    void *saved;
};

struct undo {
    struct change *changes;
    int n;
};

struct apply {
    struct patch *patch;
    struct model *model;
    struct arena *arena; /* the model's */
    struct arena *scratch;
    struct undo *undo;
    struct uses *uses; /* built by the first EDIT_REPLACE_USES; may hold uses that are no longer */
    bool rewired;
    struct err *err;
};

static void log_change(struct apply *x, struct change c) {
    PUSH(x->arena, x->undo->changes, x->undo->n, c);
}

static void save_node(struct apply *x, struct node *n) {
    log_change(x, (struct change) { .kind = CHANGE_NODE,
                                    .node = n,
                                    .saved = arena_copy(x->arena, n, sizeof *n) });
}

static void save_value(struct apply *x, struct value *v) {
    log_change(x, (struct change) { .kind = CHANGE_VALUE,
                                    .value = v,
                                    .saved = arena_copy(x->arena, v, sizeof *v) });
}

static void save_ends(struct apply *x, struct graph *g) {
    log_change(x, (struct change) { .kind = CHANGE_ENDS,
                                    .graph = g,
                                    .saved = arena_copy(x->arena, g, sizeof *g) });
}

static void *remove_at(void **list, int *n, int at) {
    void *gone = list[at];
    memmove(&list[at], &list[at + 1], (size_t)(*n - at - 1) * sizeof *list);
    (*n)--;
    return gone;
}

static void insert_at(void **list, int n, int at) {
    void *last = list[n - 1];
    memmove(&list[at + 1], &list[at], (size_t)(n - 1 - at) * sizeof *list);
    list[at] = last;
}

static void node_in(struct graph *g, struct node *n, int at) {
    PUSH(g->model->arena, g->nodes, g->n_nodes, n);
    insert_at((void **)g->nodes, g->n_nodes, at);
}

static void value_in(struct graph *g, struct value *v, int at) {
    PUSH(g->model->arena, g->values, g->n_values, v);
    insert_at((void **)g->values, g->n_values, at);
}

/* Place of a node in its graph, -1 when it is not there. */
static int node_place(const struct node *n) {
    const struct graph *g = n->graph;
    if (n->id >= 0 && n->id < g->n_nodes && g->nodes[n->id] == n)
        return n->id;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i] == n)
            return i;
    return -1;
}

static int value_place(const struct value *v) {
    for (int i = v->graph->n_values - 1; i >= 0; i--)
        if (v->graph->values[i] == v)
            return i;
    return -1;
}

static void take_back(struct change *c) {
    struct graph *g = c->graph;
    switch (c->kind) {
    case CHANGE_NODE:
        *c->node = *(const struct node *)c->saved;
        break;
    case CHANGE_VALUE:
        *c->value = *(const struct value *)c->saved;
        break;
    case CHANGE_ENDS: {
        const struct graph *old = c->saved;
        g->inputs = old->inputs;
        g->outputs = old->outputs;
        break;
    }
    case CHANGE_ORDER:
        g->nodes = c->saved;
        break;
    case CHANGE_NODE_IN:
        remove_at((void **)g->nodes, &g->n_nodes, c->at);
        break;
    case CHANGE_NODE_OUT:
        node_in(g, c->node, c->at);
        break;
    case CHANGE_VALUE_IN:
        remove_at((void **)g->values, &g->n_values, c->at);
        break;
    case CHANGE_VALUE_OUT:
        value_in(g, c->value, c->at);
        break;
    }
}

static void renumber(struct graph *g, void *arg) {
    (void)arg;
    graph_renumber(g);
}

static void take_back_all(struct model *m, struct undo *u) {
    for (int i = u->n - 1; i >= 0; i--)
        take_back(&u->changes[i]);
    u->n = 0;
    model_each_graph(m, renumber, NULL);
}

static void copy_attrs(struct apply *x, struct node *n) {
    struct attr *fresh = NULL;
    int count = 0;
    for (int i = 0; i < n->n_attrs; i++)
        PUSH(x->arena, fresh, count, n->attrs[i]);
    n->attrs = fresh;
}

static enum status set_attr(struct apply *x, const struct edit *edit) {
    struct node *n = edit->node;
    FAIL_IF(!edit->attr.name, x->err, STATUS_BUG, "an edit of node '%s' names no attribute",
            node_label(n, x->scratch));
    save_node(x, n);
    copy_attrs(x, n);
    if (edit->attr.type == ATTR_NONE)
        node_remove_attr(n, edit->attr.name);
    else
        *node_set_attr(n, edit->attr.name, edit->attr.type) = edit->attr;
    return OK;
}

static void set_input(struct apply *x, struct node *n, int index, struct value *v) {
    save_node(x, n);
    struct value **fresh = NEW_ARRAY(x->arena, n->n_in + 2, struct value *);
    if (n->n_in)
        memcpy(fresh, n->in, (size_t)n->n_in * sizeof *fresh);
    n->in = fresh;
    n->in[index] = v;
    if (index == n->n_in)
        n->n_in++;
    x->rewired = true;
    if (x->uses && v && v->id < x->uses->n_values) {
        struct use use = { n, index };
        PUSH(x->scratch, x->uses->of[v->id], x->uses->n[v->id], use);
    }
}

static void link_value(struct apply *x, struct value *v) {
    log_change(x, (struct change) {
                      .kind = CHANGE_VALUE_IN, .graph = v->graph, .at = v->graph->n_values });
    value_in(v->graph, v, v->graph->n_values);
}

static enum status add_node(struct apply *x, const struct edit *edit) {
    struct node *n = edit->node;
    struct graph *g = n->graph;
    FAIL_IF(node_place(n) >= 0, x->err, STATUS_BUG, "node '%s' is in the graph already",
            node_label(n, x->scratch));
    int at = g->n_nodes;
    if (edit->before) {
        at = edit->before->graph == g ? node_place(edit->before) : -1;
        FAIL_IF(at < 0, x->err, STATUS_BUG,
                "node '%s' was to stand before '%s', which is not in its graph",
                node_label(n, x->scratch), node_label(edit->before, x->scratch));
    }
    log_change(x, (struct change) { .kind = CHANGE_NODE_IN, .node = n, .graph = g, .at = at });
    node_in(g, n, at);
    n->id = -1; /* until all edits are made: the mark of a node added by this patch */
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            link_value(x, n->out[i]);
    x->rewired = true;
    return OK;
}

static enum status remove_node(struct apply *x, const struct edit *edit) {
    struct node *n = edit->node;
    struct graph *g = n->graph;
    int at = node_place(n);
    FAIL_IF(at < 0, x->err, STATUS_BUG, "node '%s' is not in the graph", node_label(n, x->scratch));
    log_change(x, (struct change) { .kind = CHANGE_NODE_OUT, .node = n, .graph = g, .at = at });
    remove_at((void **)g->nodes, &g->n_nodes, at);
    for (int i = 0; i < n->n_out; i++) {
        struct value *v = n->out[i];
        if (!v)
            continue;
        save_value(x, v);
        v->producer = NULL;
        int place = value_place(v);
        FAIL_IF(place < 0, x->err, STATUS_BUG, "value '%s' is not in the graph", v->name);
        log_change(
            x, (struct change) { .kind = CHANGE_VALUE_OUT, .value = v, .graph = g, .at = place });
        remove_at((void **)g->values, &g->n_values, place);
    }
    return OK;
}

static bool stands_alone(const struct graph *g) {
    if (g == g->model->graph)
        return true;
    for (int i = 0; i < g->model->n_graphs; i++)
        if (g->model->graphs[i] == g)
            return true;
    return false;
}

static bool is_output_of(const struct graph *g, const struct value *v) {
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i] == v)
            return true;
    return false;
}

/* Every output of `g` that is `old` (only number `index` when that is not negative) becomes `v`. */
static enum status change_outputs(struct apply *x, struct graph *g, struct value *old, int index,
                                  struct value *v) {
    bool is_public = stands_alone(g);
    FAIL_IF(is_public && (v->graph != g || v->is_input || v->is_output || old->is_input), x->err,
            STATUS_UNSUPPORTED,
            "'%s' cannot take the place of output '%s': one of them keeps a public name of its "
            "own; put an Identity node between",
            v->name, old->name);
    save_ends(x, g);
    struct value **fresh = NULL;
    int n = 0;
    for (int i = 0; i < g->n_outputs; i++)
        PUSH(x->arena, fresh, n,
             g->outputs[i] == old && (index < 0 || i == index) ? v : g->outputs[i]);
    g->outputs = fresh;
    save_value(x, old);
    save_value(x, v);
    if (old->graph == g)
        old->is_output = is_output_of(g, old);
    if (v->graph == g)
        v->is_output = true;
    if (is_public && !old->is_output) {
        const char *name = old->name;
        old->name = v->name;
        v->name = name;
    }
    x->rewired = true;
    return OK;
}

struct output_graphs {
    struct arena *arena;
    const struct value *value;
    struct graph **graphs;
    int n;
};

static void find_output(struct graph *g, void *arg) {
    struct output_graphs *o = arg;
    if (is_output_of(g, o->value))
        PUSH(o->arena, o->graphs, o->n, g);
}

static enum status replace_uses(struct apply *x, const struct edit *edit) {
    struct value *v = edit->value, *with = edit->with;
    FAIL_IF(v == with, x->err, STATUS_BUG, "value '%s' is to replace itself", v->name);
    if (!x->uses)
        x->uses = uses_build(x->model, x->scratch);
    int n_uses = v->id < x->uses->n_values ? x->uses->n[v->id] : 0;
    for (int i = 0; i < n_uses; i++) {
        struct use use = x->uses->of[v->id][i];
        bool added = use.node->id < 0;
        if (!added && use.input < use.node->n_in && use.node->in[use.input] == v)
            set_input(x, use.node, use.input, with);
    }
    struct output_graphs o = { .arena = x->scratch, .value = v };
    model_each_graph(x->model, find_output, &o);
    for (int i = 0; i < o.n; i++)
        TRY(change_outputs(x, o.graphs[i], v, -1, with));
    return OK;
}

static enum status set_input_order(struct apply *x, const struct edit *edit) {
    struct graph *g = edit->graph;
    FAIL_IF(edit->index < 0 || edit->index >= g->n_inputs || !edit->value->is_input ||
                edit->value->graph != g,
            x->err, STATUS_BUG, "'%s' cannot be input %d of graph '%s'", edit->value->name,
            edit->index, g->name);
    save_ends(x, g);
    struct value **fresh = NULL;
    int n = 0;
    for (int i = 0; i < g->n_inputs; i++)
        PUSH(x->arena, fresh, n, i == edit->index ? edit->value : g->inputs[i]);
    g->inputs = fresh;
    return OK;
}

static enum status apply_edit(struct apply *x, const struct edit *edit) {
    struct err *e = x->err;
    switch (edit->kind) {
    case EDIT_SET_ATTR:
        return set_attr(x, edit);
    case EDIT_SET_OP:
        save_node(x, edit->node);
        edit->node->op = edit->op;
        edit->node->domain = edit->domain;
        edit->node->def = NULL;
        return OK;
    case EDIT_SET_INPUT:
        FAIL_IF(edit->index < 0 || edit->index > edit->node->n_in, e, STATUS_BUG,
                "node '%s' has no input %d", node_label(edit->node, x->scratch), edit->index);
        set_input(x, edit->node, edit->index, edit->value);
        return OK;
    case EDIT_SET_CONSTANT:
        FAIL_IF(!edit->value->constant, e, STATUS_BUG, "value '%s' is no constant",
                edit->value->name);
        save_value(x, edit->value);
        value_set_constant(edit->value, edit->tensor);
        return OK;
    case EDIT_ADD_CONSTANT:
        FAIL_IF(value_place(edit->value) >= 0, e, STATUS_BUG, "value '%s' is in the graph already",
                edit->value->name);
        link_value(x, edit->value);
        return OK;
    case EDIT_ADD_NODE:
        return add_node(x, edit);
    case EDIT_REMOVE_NODE:
        return remove_node(x, edit);
    case EDIT_REPLACE_USES:
        return replace_uses(x, edit);
    case EDIT_SET_OUTPUT:
        FAIL_IF(edit->index < 0 || edit->index >= edit->graph->n_outputs, e, STATUS_BUG,
                "graph '%s' has no output %d", edit->graph->name, edit->index);
        return change_outputs(x, edit->graph, edit->graph->outputs[edit->index], edit->index,
                              edit->value);
    case EDIT_SET_INPUT_ORDER:
        return set_input_order(x, edit);
    }
    return err_set(e, STATUS_BUG, "an edit of unknown kind %d", (int)edit->kind);
}

/* Each input still stands once. */
static enum status check_inputs(const struct apply *x, const struct graph *g) {
    for (int i = 0; i < g->n_inputs; i++)
        for (int k = 0; k < i; k++)
            FAIL_IF(g->inputs[i] == g->inputs[k], x->err, STATUS_BUG,
                    "graph '%s' would have input '%s' twice", g->name, g->inputs[i]->name);
    return OK;
}

struct sorting {
    struct apply *apply;
    enum status status;
};

static void sort_graph(struct graph *g, void *arg) {
    struct sorting *s = arg;
    graph_renumber(g);
    if (s->status != OK || graph_in_order(g))
        return;
    log_change(s->apply, (struct change) { .kind = CHANGE_ORDER, .graph = g, .saved = g->nodes });
    s->status = graph_sort(g, s->apply->err);
}

static enum status apply_all(struct apply *x) {
    for (int i = 0; i < x->patch->n; i++)
        TRY(apply_edit(x, &x->patch->edits[i]));
    for (int i = 0; i < x->patch->n; i++)
        if (x->patch->edits[i].kind == EDIT_SET_INPUT_ORDER)
            TRY(check_inputs(x, x->patch->edits[i].graph));
    struct sorting s = { .apply = x };
    model_each_graph(x->model, sort_graph, &s);
    TRY(s.status);
    return model_verify(x->model, x->err);
}

enum status patch_apply(struct patch *p, struct err *e) {
    FAIL_IF(p->undo, e, STATUS_BUG, "the patch '%s' is applied already", p->title);
    struct apply x = {
        .patch = p, .model = p->model, .arena = p->model->arena, .scratch = arena_new(), .err = e
    };
    x.undo = NEW(x.arena, struct undo);
    enum status s = apply_all(&x);
    if (s == OK) {
        p->undo = x.undo;
        p->below = p->model->applied;
        p->model->applied = p;
    } else {
        take_back_all(p->model, x.undo);
        err_at(e, "patch '%s'", p->title);
    }
    arena_free(x.scratch);
    return s;
}

void patch_undo(struct patch *p) {
    if (!p->undo)
        return;
    assert(p->model->applied == p);
    take_back_all(p->model, p->undo);
    p->undo = NULL;
    p->model->applied = p->below;
    p->below = NULL;
}
