/* GraphProto: names first, then nodes, so that a node may be read in any order and the verifier
 * judges the order. */
#include <string.h>

#include "formats/onnx/onnx.h"
#include "ir/toposort.h"

struct value *onnx_lookup(const struct onnx_scope *scope, const char *name, bool *found) {
    for (; scope; scope = scope->outer)
        if (strmap_has(&scope->values, name)) {
            *found = true;
            return strmap_get(&scope->values, name);
        }
    *found = false;
    return NULL;
}

enum status onnx_declare(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                         struct value **out) {
    FAIL_IF(strmap_has(&scope->values, name), r->e, STATUS_CORRUPT, "value '%s' is defined twice",
            name);
    *out = graph_add_value(scope->graph, name);
    strmap_put(&scope->values, name, *out);
    return OK;
}

/* The graph's initializers: a constant each; one that is an input too is that input's default. */
static enum status read_initializer(struct onnx_reader *r, struct onnx_scope *scope,
                                    const struct pb_field *f, int index) {
    struct tensor *t = NULL;
    const char *name = "";
    struct span s = { f->begin, f->end };
    bool sparse = f->number == GRAPH_SPARSE_INITIALIZER;
    TRY(sparse ? onnx_read_sparse(r, s, &t, &name) : onnx_read_tensor(r, s, &t, &name));
    FAIL_IF(!name[0], r->e, STATUS_CORRUPT, "initializer %d at byte %zu has no name", index,
            f->begin);
    struct value *v = strmap_get(&scope->values, name);
    if (!v)
        TRY(onnx_declare(r, scope, name, &v));
    FAIL_IF(v->constant, r->e, STATUS_CORRUPT, "initializer '%s' is given twice", name);
    FAIL_IF(v->dtype != DT_NONE && v->dtype != t->dtype, r->e, STATUS_CORRUPT,
            "initializer '%s' is %s where its input is %s", name, dtype_name(t->dtype),
            dtype_name(v->dtype));
    v->constant = t;
    v->kind = KIND_TENSOR;
    v->dtype = t->dtype;
    v->rank = t->rank;
    memcpy(v->dim, t->dim, sizeof v->dim);
    v->origin.offset = (int64_t)f->begin;
    v->origin.index = index;
    if (sparse)
        v->origin.op = "sparse_initializer";
    return OK;
}

static enum status read_input(struct onnx_reader *r, struct onnx_scope *scope,
                              const struct pb_field *f) {
    struct span s = { f->begin, f->end };
    const char *name = "";
    struct value *v;
    TRY(onnx_read_value_info(r, s, NULL, &name));
    FAIL_IF(!name[0], r->e, STATUS_CORRUPT, "a graph input without a name at byte %zu", f->begin);
    TRY(onnx_declare(r, scope, name, &v));
    TRY(onnx_read_value_info(r, s, v, NULL));
    v->origin.offset = (int64_t)f->begin;
    graph_add_input(scope->graph, v);
    return OK;
}

/* The types that the file states for inner values. What it says of a value that is not here says
 * nothing. */
static enum status read_stated_type(struct onnx_reader *r, struct onnx_scope *scope,
                                    const struct pb_field *f) {
    struct span s = { f->begin, f->end };
    const char *name = "";
    TRY(onnx_read_value_info(r, s, NULL, &name));
    struct value *v = strmap_get(&scope->values, name);
    if (v && !v->is_input && !v->constant)
        TRY(onnx_read_value_info(r, s, v, NULL));
    return OK;
}

static enum status read_output(struct onnx_reader *r, struct onnx_scope *scope,
                               const struct pb_field *f) {
    const char *name = "";
    bool found;
    TRY(onnx_read_value_info(r, (struct span) { f->begin, f->end }, NULL, &name));
    struct value *v = onnx_lookup(scope, name, &found);
    FAIL_IF(!v, r->e, STATUS_CORRUPT, "output '%s' of graph '%s' is made by no node", name,
            scope->graph->name);
    TRY(read_stated_type(r, scope, f));
    graph_add_output(scope->graph, v);
    return OK;
}

typedef enum status field_fn(struct onnx_reader *r, struct onnx_scope *scope,
                             const struct pb_field *f);

static enum status each_field(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                              uint32_t number, field_fn *visit) {
    struct onnx_walk w = onnx_walk_of(r, s);
    struct pb_field f;
    while (onnx_next(r, scope, &w, &f))
        if (f.number == number && f.wire == PB_BYTES)
            TRY(visit(r, scope, &f));
    return w.c.failed ? onnx_bad_wire(r, &w.c, "GraphProto") : OK;
}

static enum status read_name(struct onnx_reader *r, struct onnx_scope *scope,
                             const struct pb_field *f) {
    scope->graph->name = onnx_string(r, f);
    return OK;
}

static enum status read_initializers(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                                     uint32_t field) {
    struct onnx_walk w = onnx_walk_of(r, s);
    struct pb_field f;
    int index = 0;
    while (onnx_next(r, scope, &w, &f))
        if (f.number == field && f.wire == PB_BYTES) {
            TRY(read_initializer(r, scope, &f, index++));
            onnx_touched(r, &f);
        }
    return OK;
}

/* An input of the main graph with an initializer is a constant of it: before IR version 4 every
 * initializer had to be listed as an input. Sub-graphs keep theirs, for their inputs are matched by
 * position. */
static void drop_constant_inputs(struct graph *g) {
    int n = 0;
    for (int i = 0; i < g->n_inputs; i++) {
        if (g->inputs[i]->constant)
            g->inputs[i]->is_input = false;
        else
            g->inputs[n++] = g->inputs[i];
    }
    /* PUSH grows at powers of two of the count, so the shortened list is made anew. */
    struct value **inputs = NULL;
    int count = 0;
    for (int i = 0; i < n; i++)
        PUSH(g->model->arena, inputs, count, g->inputs[i]);
    g->inputs = inputs;
    g->n_inputs = count;
}

static enum status fill_graph(struct onnx_reader *r, struct onnx_scope *scope, struct span s) {
    TRY(each_field(r, scope, s, GRAPH_NAME, read_name));
    TRY(each_field(r, scope, s, GRAPH_INPUT, read_input));
    TRY(read_initializers(r, scope, s, GRAPH_INITIALIZER));
    TRY(read_initializers(r, scope, s, GRAPH_SPARSE_INITIALIZER));
    TRY(onnx_declare_outputs(r, scope, s, GRAPH_NODE));
    TRY(each_field(r, scope, s, GRAPH_VALUE_INFO, read_stated_type));
    TRY(onnx_read_nodes(r, scope, s, GRAPH_NODE));
    TRY(each_field(r, scope, s, GRAPH_OUTPUT, read_output));
    /* The specification wants nodes in order; some exporters append theirs, and ONNX Runtime reads
     * them. */
    TRY(graph_sort(scope->graph, r->e));
    if (!scope->graph->parent)
        drop_constant_inputs(scope->graph);
    return OK;
}

enum status onnx_read_graph(struct onnx_reader *r, struct graph *parent,
                            const struct onnx_scope *outer, struct span s, struct graph **out) {
    TRY(onnx_deeper(r));
    struct graph *g = graph_new(r->m, parent, "");
    struct onnx_graph_place place = { .span = s };
    g->index = r->notes->n_graphs;
    PUSH(r->a, r->notes->graphs, r->notes->n_graphs, place);
    *out = g;
    if (!parent)
        r->m->graph = g;
    struct onnx_scope scope = { .outer = outer, .graph = g };
    strmap_init(&scope.values, r->a);
    TRY(fill_graph(r, &scope, s));
    r->depth--;
    return OK;
}
