#include "ir/ir.h"

#include <stdio.h>
#include <string.h>

struct model *model_new(void) {
    struct arena *a = arena_new();
    struct model *m = NEW(a, struct model);
    m->arena = a;
    m->path = m->format = m->format_version = m->producer = m->description = "";
    return m;
}

void model_free(struct model *m) {
    if (!m)
        return;
    for (int i = 0; i < m->n_files; i++)
        mapfile_close(&m->files[i]);
    arena_free(m->arena);
}

void model_warn(struct model *m, const char *fmt, ...) {
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    PUSH(m->arena, m->warnings, m->n_warnings, arena_str(m->arena, text));
}

void model_add_property(struct model *m, struct property **list, int *n, const char *key,
                        const char *value) {
    struct property p = { arena_str(m->arena, key), arena_str(m->arena, value) };
    PUSH(m->arena, *list, *n, p);
}

int64_t model_symbol(struct model *m, const char *name) {
    if (!m->symbol_numbers.arena)
        strmap_init(&m->symbol_numbers, m->arena);
    int *number = strmap_get(&m->symbol_numbers, name);
    if (!number) {
        number = NEW(m->arena, int);
        *number = m->n_symbols;
        PUSH(m->arena, m->symbols, m->n_symbols, arena_str(m->arena, name));
        strmap_put(&m->symbol_numbers, m->symbols[*number], number);
    }
    return DIM_SYMBOL - *number;
}

const char *dim_text(const struct model *m, int64_t dim, char *buf, size_t size) {
    if (dim >= 0)
        snprintf(buf, size, "%lld", (long long)dim);
    else if (dim <= DIM_SYMBOL && DIM_SYMBOL - dim < m->n_symbols)
        snprintf(buf, size, "%s", m->symbols[DIM_SYMBOL - dim]);
    else
        snprintf(buf, size, "?");
    return buf;
}

struct graph *graph_new(struct model *m, struct graph *parent, const char *name) {
    struct graph *g = NEW(m->arena, struct graph);
    g->model = m;
    g->parent = parent;
    g->name = name ? name : "";
    return g;
}

struct value *value_new(struct graph *g, const char *name) {
    struct value *v = NEW(g->model->arena, struct value);
    v->name = name ? name : "";
    v->id = g->model->next_value_id++;
    v->rank = -1;
    v->graph = g;
    v->origin = (struct origin) { .name = v->name, .offset = -1, .index = -1, .graph = g->index };
    return v;
}

struct value *graph_add_value(struct graph *g, const char *name) {
    struct value *v = value_new(g, name);
    PUSH(g->model->arena, g->values, g->n_values, v);
    return v;
}

void value_set_constant(struct value *v, struct tensor *t) {
    v->constant = t;
    v->kind = t->kind;
    v->dtype = t->dtype;
    v->rank = t->rank;
    memcpy(v->dim, t->dim, sizeof v->dim);
}

struct value *graph_add_constant(struct graph *g, const char *name, struct tensor *t) {
    struct value *v = graph_add_value(g, name);
    value_set_constant(v, t);
    return v;
}

void graph_add_input(struct graph *g, struct value *v) {
    v->is_input = true;
    PUSH(g->model->arena, g->inputs, g->n_inputs, v);
}

void graph_add_output(struct graph *g, struct value *v) {
    v->is_output = true;
    PUSH(g->model->arena, g->outputs, g->n_outputs, v);
}

struct node *node_new(struct graph *g, const char *op, const char *domain, int n_in, int n_out) {
    struct arena *a = g->model->arena;
    struct node *n = NEW(a, struct node);
    n->op = op;
    n->domain = domain ? domain : "";
    n->name = "";
    n->id = -1;
    n->n_in = n_in;
    n->n_out = n_out;
    n->in = NEW_ARRAY(a, n_in + 1, struct value *);
    n->out = NEW_ARRAY(a, n_out + 1, struct value *);
    n->group = -1;
    n->graph = g;
    n->origin =
        (struct origin) { .name = "", .op = op, .offset = -1, .index = -1, .graph = g->index };
    return n;
}

struct node *graph_add_node(struct graph *g, const char *op, const char *domain, int n_in,
                            int n_out) {
    struct node *n = node_new(g, op, domain, n_in, n_out);
    n->id = g->n_nodes;
    PUSH(g->model->arena, g->nodes, g->n_nodes, n);
    return n;
}

void node_set_output(struct node *n, int i, struct value *v) {
    n->out[i] = v;
    v->producer = n;
    v->out_index = i;
}

void graph_renumber(struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++)
        g->nodes[i]->id = i;
}

struct attr *node_attr(const struct node *n, const char *name) {
    for (int i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0)
            return &n->attrs[i];
    return NULL;
}

struct attr *node_set_attr(struct node *n, const char *name, enum attr_type type) {
    struct attr *a = node_attr(n, name);
    if (!a) {
        struct attr fresh = { .name = name };
        PUSH(n->graph->model->arena, n->attrs, n->n_attrs, fresh);
        a = &n->attrs[n->n_attrs - 1];
    }
    const char *kept = a->name;
    *a = (struct attr) { .name = kept, .type = type };
    return a;
}

void node_set_int(struct node *n, const char *name, int64_t v) {
    node_set_attr(n, name, ATTR_INT)->i = v;
}

void node_set_float(struct node *n, const char *name, double v) {
    node_set_attr(n, name, ATTR_FLOAT)->f = v;
}

void node_set_string(struct node *n, const char *name, const char *v) {
    struct attr *a = node_set_attr(n, name, ATTR_STRING);
    a->s = v;
    a->n = (int64_t)strlen(v);
}

void node_set_ints(struct node *n, const char *name, const int64_t *v, int64_t n_v) {
    struct attr *a = node_set_attr(n, name, ATTR_INTS);
    a->ints = v;
    a->n = n_v;
}

void node_set_floats(struct node *n, const char *name, const double *v, int64_t n_v) {
    struct attr *a = node_set_attr(n, name, ATTR_FLOATS);
    a->floats = v;
    a->n = n_v;
}

void node_remove_attr(struct node *n, const char *name) {
    for (int i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, name) == 0) {
            memmove(&n->attrs[i], &n->attrs[i + 1],
                    (size_t)(n->n_attrs - i - 1) * sizeof *n->attrs);
            /* PUSH reallocates at powers of two by count, so the array must hold exactly a count's
             * worth. */
            struct attr *copy = NULL;
            int count = 0;
            for (int k = 0; k < n->n_attrs - 1; k++)
                PUSH(n->graph->model->arena, copy, count, n->attrs[k]);
            n->attrs = copy;
            n->n_attrs = count;
            return;
        }
}

static bool tensor_same_bits(const struct tensor *a, const struct tensor *b) {
    if (a->kind != b->kind || a->store != b->store || a->dtype != b->dtype ||
        !dims_equal(a->dim, a->rank, b->dim, b->rank))
        return false;
    if (a->kind != KIND_TENSOR)
        return false;
    if (a->store == DT_STRING) {
        const char *const *x = a->data, *const *y = b->data;
        for (int64_t i = 0; i < tensor_count(a); i++)
            if (strcmp(x[i], y[i]) != 0)
                return false;
        return true;
    }
    return memcmp(a->data, b->data, tensor_bytes(a)) == 0;
}

bool attr_equal(const struct attr *a, const struct attr *b) {
    if (a->type != b->type || a->n != b->n)
        return false;
    switch (a->type) {
    case ATTR_INT:
    case ATTR_TYPE:
        return a->i == b->i;
    case ATTR_FLOAT:
        return a->f == b->f || (a->f != a->f && b->f != b->f);
    case ATTR_STRING:
        return memcmp(a->s, b->s, (size_t)a->n) == 0;
    case ATTR_INTS:
        return a->n == 0 || memcmp(a->ints, b->ints, (size_t)a->n * sizeof *a->ints) == 0;
    case ATTR_FLOATS:
        return a->n == 0 || memcmp(a->floats, b->floats, (size_t)a->n * sizeof *a->floats) == 0;
    case ATTR_STRINGS:
        for (int64_t i = 0; i < a->n; i++)
            if (strcmp(a->strings[i], b->strings[i]) != 0)
                return false;
        return true;
    case ATTR_TENSOR:
        return tensor_same_bits(a->tensor, b->tensor);
    default:
        return false;
    }
}

bool node_is(const struct node *n, const char *op) {
    return n->domain[0] == '\0' && strcmp(n->op, op) == 0;
}

const char *node_label(const struct node *n, struct arena *a) {
    if (n->name[0])
        return n->name;
    if (n->origin.name && n->origin.name[0])
        return n->origin.name;
    int k = n->origin.index >= 0 ? n->origin.index : n->id;
    return n->graph->index > 0 ? arena_printf(a, "%d#%d", (int)n->graph->index, k)
                               : arena_printf(a, "#%d", k);
}

/* Graphs still to visit, the next one last. A stack of its own: nesting comes from the file. */
struct graph_stack {
    struct arena *arena;
    struct graph **graphs;
    int n;
};

static void push_held(struct graph_stack *s, const struct graph *g) {
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const struct node *n = g->nodes[i];
        for (int k = n->n_attrs - 1; k >= 0; k--) {
            const struct attr *a = &n->attrs[k];
            /* Graphs without a parent are shared and listed in the model. */
            for (int64_t j = a->type == ATTR_GRAPHS ? a->n - 1 : -1; j >= 0; j--)
                if (a->graphs[j] && a->graphs[j]->parent == g)
                    PUSH(s->arena, s->graphs, s->n, a->graphs[j]);
            if (a->type == ATTR_GRAPH && a->graph && a->graph->parent == g)
                PUSH(s->arena, s->graphs, s->n, a->graph);
        }
        if (n->body)
            PUSH(s->arena, s->graphs, s->n, n->body);
    }
}

void model_each_graph(struct model *m, void (*visit)(struct graph *g, void *arg), void *arg) {
    struct graph_stack s = { .arena = arena_new() };
    for (int i = m->n_graphs - 1; i >= 0; i--)
        if (m->graphs[i] != m->graph)
            PUSH(s.arena, s.graphs, s.n, m->graphs[i]);
    if (m->graph)
        PUSH(s.arena, s.graphs, s.n, m->graph);
    while (s.n > 0) {
        struct graph *g = s.graphs[--s.n];
        visit(g, arg);
        push_held(&s, g);
    }
    arena_free(s.arena);
}

struct uses_builder {
    struct uses *u;
    struct arena *a;
};

static void uses_of_graph(struct graph *g, void *arg) {
    struct uses_builder *b = arg;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_in; k++) {
            const struct value *v = g->nodes[i]->in[k];
            if (!v)
                continue;
            struct use use = { g->nodes[i], k };
            PUSH(b->a, b->u->of[v->id], b->u->n[v->id], use);
        }
}

struct uses *uses_build(const struct model *m, struct arena *a) {
    struct uses *u = NEW(a, struct uses);
    u->n_values = m->next_value_id;
    u->of = NEW_ARRAY(a, u->n_values + 1, struct use *);
    u->n = NEW_ARRAY(a, u->n_values + 1, int);
    struct uses_builder b = { u, a };
    model_each_graph((struct model *)(size_t)m, uses_of_graph, &b);
    return u;
}
