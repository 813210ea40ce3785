/* Makers of patches. Applying and taking back is apply.c. */
#include "ir/patch.h"

#include <string.h>

struct patch *patch_new(struct model *m, const char *title) {
    struct patch *p = NEW(m->arena, struct patch);
    p->title = arena_str(m->arena, title ? title : "");
    p->model = m;
    return p;
}

static struct edit *add(struct patch *p, enum edit_kind kind) {
    struct edit edit = { .kind = kind };
    PUSH(p->model->arena, p->edits, p->n, edit);
    return &p->edits[p->n - 1];
}

struct name_search {
    const char *name;
    bool found;
};

static void find_name(struct graph *g, void *arg) {
    struct name_search *s = arg;
    for (int i = 0; !s->found && i < g->n_values; i++)
        s->found = strcmp(g->values[i]->name, s->name) == 0;
    for (int i = 0; !s->found && i < g->n_nodes; i++)
        s->found = strcmp(g->nodes[i]->name, s->name) == 0;
}

const char *patch_name(struct model *m, const char *stem) {
    struct name_search s;
    do {
        s = (struct name_search) { .name = arena_printf(m->arena, "%s_%d", stem, ++m->next_name) };
        model_each_graph(m, find_name, &s);
    } while (s.found);
    return s.name;
}

struct value *patch_constant(struct patch *p, struct graph *g, const char *stem, struct tensor *t) {
    struct value *v = value_new(g, patch_name(p->model, stem));
    value_set_constant(v, t);
    add(p, EDIT_ADD_CONSTANT)->value = v;
    return v;
}

struct node *patch_node(struct patch *p, struct graph *g, struct node *before, const char *op,
                        const char *domain, struct value *const *in, int n_in, int n_out) {
    struct node *n = node_new(g, op, domain, n_in, n_out);
    n->name = n->origin.name = patch_name(p->model, op);
    for (int i = 0; i < n_in; i++)
        n->in[i] = in[i];
    for (int i = 0; i < n_out; i++)
        node_set_output(n, i, value_new(g, arena_printf(p->model->arena, "%s:%d", n->name, i)));
    struct edit *edit = add(p, EDIT_ADD_NODE);
    edit->node = n;
    edit->before = before;
    edit->graph = g;
    return n;
}

void patch_set_attr(struct patch *p, struct node *n, const struct attr *a) {
    struct edit *edit = add(p, EDIT_SET_ATTR);
    edit->node = n;
    edit->attr = *a;
}

void patch_set_int(struct patch *p, struct node *n, const char *name, int64_t v) {
    patch_set_attr(p, n, &(struct attr) { .name = name, .type = ATTR_INT, .i = v });
}

void patch_set_float(struct patch *p, struct node *n, const char *name, double v) {
    patch_set_attr(p, n, &(struct attr) { .name = name, .type = ATTR_FLOAT, .f = v });
}

void patch_set_string(struct patch *p, struct node *n, const char *name, const char *v) {
    patch_set_attr(p, n,
                   &(struct attr) { .name = name,
                                    .type = ATTR_STRING,
                                    .s = arena_str(p->model->arena, v),
                                    .n = (int64_t)strlen(v) });
}

void patch_set_ints(struct patch *p, struct node *n, const char *name, const int64_t *v, int n_v) {
    patch_set_attr(
        p, n,
        &(struct attr) { .name = name,
                         .type = ATTR_INTS,
                         .n = n_v,
                         .ints = arena_copy(p->model->arena, v, (size_t)n_v * sizeof *v) });
}

void patch_remove_attr(struct patch *p, struct node *n, const char *name) {
    patch_set_attr(p, n, &(struct attr) { .name = name, .type = ATTR_NONE });
}

void patch_set_op(struct patch *p, struct node *n, const char *op, const char *domain) {
    struct edit *edit = add(p, EDIT_SET_OP);
    edit->node = n;
    edit->op = op;
    edit->domain = domain ? domain : "";
}

void patch_set_input(struct patch *p, struct node *n, int index, struct value *v) {
    struct edit *edit = add(p, EDIT_SET_INPUT);
    edit->node = n;
    edit->index = index;
    edit->value = v;
}

void patch_set_constant(struct patch *p, struct value *v, struct tensor *t) {
    struct edit *edit = add(p, EDIT_SET_CONSTANT);
    edit->value = v;
    edit->tensor = t;
}

void patch_remove_node(struct patch *p, struct node *n) {
    add(p, EDIT_REMOVE_NODE)->node = n;
}

void patch_replace_uses(struct patch *p, struct value *v, struct value *with) {
    struct edit *edit = add(p, EDIT_REPLACE_USES);
    edit->value = v;
    edit->with = with;
}

void patch_set_output(struct patch *p, struct graph *g, int index, struct value *v) {
    struct edit *edit = add(p, EDIT_SET_OUTPUT);
    edit->graph = g;
    edit->index = index;
    edit->value = v;
}

void patch_set_input_order(struct patch *p, struct graph *g, int index, struct value *v) {
    struct edit *edit = add(p, EDIT_SET_INPUT_ORDER);
    edit->graph = g;
    edit->index = index;
    edit->value = v;
}
