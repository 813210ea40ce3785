/* The differences of one graph: its nodes in their order, its inputs and outputs, constants that
 * are new. */
#include <limits.h>
#include <string.h>

#include "formats/onnx/onnx_encode.h"
#include "formats/onnx/onnx_write.h"

static bool has(const struct intmap *m, const struct node *n) {
    return intmap_get(m, (uint64_t)(size_t)n, NULL);
}

static bool origin_is(const struct value *v, const char *op) {
    return v->origin.op && strcmp(v->origin.op, op) == 0;
}

/* --- names --- */

const struct value *onnx_old_value(struct onnx_writer *w, const struct graph_before *b,
                                   const char *name) {
    for (const struct graph *g = b->graph; g; g = g->parent)
        for (int i = 0; i < g->n_values; i++) {
            const char *old = w->old_name[g->values[i]->id];
            if (old && strcmp(old, name) == 0)
                return g->values[i];
        }
    return NULL;
}

enum status onnx_written_name(struct onnx_writer *w, const struct value *v, const char **name) {
    *name = v ? v->name : "";
    if (!v)
        return OK;
    bool is_new = !w->old_name[v->id];
    bool stated_elsewhere = origin_is(v, "attribute") || origin_is(v, "upgrade");
    FAIL_IF(!v->constant && !is_new && stated_elsewhere, w->e, STATUS_UNSUPPORTED,
            "'%s' is inside an operator that the file has as one; it cannot be read from outside",
            v->name);
    if (!v->constant || (!is_new && !stated_elsewhere))
        return OK;
    struct graph_before *b = NULL;
    for (int i = 0; i < w->n_graphs; i++)
        if (w->graphs[i].graph == v->graph)
            b = &w->graphs[i];
    FAIL_IF(!b, w->e, STATUS_BUG, "constant '%s' is in no graph of the file", v->name);
    for (int i = 0; i < b->n_scheduled; i++)
        if (b->scheduled[i] == v)
            return OK;
    PUSH(w->a, b->scheduled, b->n_scheduled, (struct value *)(size_t)v);
    return OK;
}

/* --- the layout of the file --- */

static void find_files(struct onnx_writer *w, struct graph_before *b) {
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    struct pb_field f;
    uint32_t field = b->is_function ? (uint32_t)FUNCTION_NODE : (uint32_t)GRAPH_NODE;
    while (pb_next(&c, &f))
        if (f.number == field && f.wire == PB_BYTES) {
            struct file_node node = { .start = f.start, .span = { f.begin, f.end } };
            PUSH(w->a, b->files, b->n_files, node);
        }
}

/* Nodes that do not stand in this graph's own list of NodeProtos: the shell around an old Scan. */
static bool is_shell(const struct graph_before *b) {
    return b->n_nodes && b->copies[0].origin.graph != b->graph->index;
}

static enum status find_members(struct onnx_writer *w, struct graph_before *b) {
    for (int i = 0; i < b->n_nodes; i++) {
        int at = b->copies[i].origin.index;
        FAIL_IF(at < 0 || at >= b->n_files, w->e, STATUS_BUG,
                "node %s is not where it was in the file", node_label(b->nodes[i], w->a));
        struct file_node *f = &b->files[at];
        int n = f->n;
        PUSH(w->a, f->was, n, &b->copies[i]);
        PUSH(w->a, f->now, f->n, b->nodes[i]);
        f->n_alive += has(&w->alive, b->nodes[i]);
    }
    return OK;
}

static void find_renamed(struct onnx_writer *w, struct graph_before *b) {
    strmap_init(&b->renamed, w->a);
    for (int i = 0; i < b->graph->n_values; i++) {
        struct value *v = b->graph->values[i];
        const char *old = w->old_name[v->id];
        if (old && strcmp(old, v->name) != 0) {
            strmap_put(&b->renamed, old, v);
            strmap_put(&w->stale, old, v);
        }
    }
}

/* --- removed nodes --- */

static enum status remove_files(struct onnx_writer *w, struct graph_before *b) {
    for (int i = 0; i < b->n_files; i++) {
        struct file_node *f = &b->files[i];
        if (f->n_alive == f->n)
            continue;
        FAIL_IF(f->n_alive > 0, w->e, STATUS_UNSUPPORTED,
                "a part of node %s (%s) is taken out; the file has it as one node",
                node_label(f->now[0], w->a), f->was[0]->origin.op);
        b->touched = true;
        splice_replace(&w->s, b->span.begin, f->start, f->span.end, NULL, 0);
        for (int m = 0; m < f->n; m++)
            for (int k = 0; k < f->was[m]->n_out; k++)
                if (f->was[m]->out[k])
                    strmap_put(&w->stale, w->old_name[f->was[m]->out[k]->id], f);
    }
    return OK;
}

/* --- inputs and outputs --- */

static void rename_value_info(struct onnx_writer *w, const struct pb_field *f, const char *name) {
    struct cursor c = cursor_of(w->s.base, f->begin, f->end);
    struct pb_field g;
    struct pb_writer field;
    pb_writer_init(&field, w->a);
    pb_put_string(&field, 1, name);
    while (pb_next(&c, &g))
        if (g.number == 1)
            splice_writer(&w->s, f->begin, g.start, g.end, &field);
}

static const char *value_info_name(struct onnx_writer *w, const struct pb_field *f) {
    struct cursor c = cursor_of(w->s.base, f->begin, f->end);
    struct pb_field g;
    const char *name = "";
    while (pb_next(&c, &g))
        if (g.number == 1)
            name = arena_strn(w->a, (const char *)w->s.base + g.begin, g.end - g.begin);
    return name;
}

static enum status rewrite_outputs(struct onnx_writer *w, struct graph_before *b) {
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    struct pb_field f;
    int i = 0;
    while (pb_next(&c, &f)) {
        if (f.number != (b->is_function ? (uint32_t)FUNCTION_OUTPUT : (uint32_t)GRAPH_OUTPUT) ||
            f.wire != PB_BYTES)
            continue;
        if (i >= b->graph->n_outputs)
            break;
        const char *name,
            *old = b->is_function
                       ? arena_strn(w->a, (const char *)w->s.base + f.begin, f.end - f.begin)
                       : value_info_name(w, &f);
        TRY(onnx_written_name(w, b->graph->outputs[i++], &name));
        if (strcmp(old, name) == 0)
            continue;
        b->touched = true;
        FAIL_IF(!b->graph->parent, w->e, STATUS_UNSUPPORTED,
                "output '%s' of the model would be called '%s'", old, name);
        if (b->is_function) {
            struct pb_writer field;
            pb_writer_init(&field, w->a);
            pb_put_string(&field, FUNCTION_OUTPUT, name);
            splice_writer(&w->s, b->span.begin, f.start, f.end, &field);
        } else {
            rename_value_info(w, &f, name);
        }
    }
    return OK;
}

/* A permutation of the inputs: each place gets the bytes of the input that stands there now. */
static enum status reorder_inputs(struct onnx_writer *w, struct graph_before *b) {
    const struct graph *g = b->graph;
    struct pb_field *fields = NULL, f;
    int n = 0;
    bool same = true;
    for (int i = 0; i < g->n_inputs; i++)
        same &= g->inputs[i] == b->inputs[i];
    if (same)
        return OK;
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    while (pb_next(&c, &f))
        for (int i = 0; f.number == GRAPH_INPUT && i < g->n_inputs; i++)
            if (strcmp(value_info_name(w, &f), b->inputs[i]->name) == 0)
                PUSH(w->a, fields, n, f);
    FAIL_IF(b->is_function || n != g->n_inputs, w->e, STATUS_UNSUPPORTED,
            "another order of the inputs of '%s'", g->name);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++)
            if (g->inputs[i] == b->inputs[k] && i != k)
                splice_replace(&w->s, b->span.begin, fields[i].start, fields[i].end,
                               w->s.base + fields[k].start, fields[k].end - fields[k].start);
    return OK;
}

enum status onnx_rewrite_graph(struct onnx_writer *w, struct graph_before *b) {
    if (is_shell(b))
        return OK;
    find_files(w, b);
    TRY(find_members(w, b));
    find_renamed(w, b);
    TRY(remove_files(w, b));
    for (int i = 0; i < b->n_files; i++)
        if (b->files[i].n_alive == b->files[i].n)
            TRY(onnx_rewrite_node(w, b, &b->files[i]));
    for (int i = 0; i < b->graph->n_values; i++)
        if (w->old_name[b->graph->values[i]->id])
            TRY(onnx_rewrite_constant(w, b, b->graph->values[i]));
    TRY(reorder_inputs(w, b));
    return rewrite_outputs(w, b);
}

/* --- order: new and moved nodes, constants --- */

/* The bytes of a file node as a field, changes made. */
static void put_file_node(struct onnx_writer *w, const struct graph_before *b,
                          const struct file_node *f, struct pb_writer *out) {
    struct pb_writer inner;
    pb_writer_init(&inner, w->a);
    splice_message(&w->s, f->span, &inner);
    onnx_put_message(out, b->is_function ? (uint32_t)FUNCTION_NODE : (uint32_t)GRAPH_NODE, &inner);
}

/* A node that now stands before NodeProto number `at` reads no Constant that stands later: such a
 * one goes to the front. */
static void hoist_constants(struct graph_before *b, const struct node *n, int at) {
    for (int i = 0; i < n->n_in; i++) {
        const struct value *v = n->in[i];
        if (v && v->graph == b->graph && origin_is(v, "Constant") && v->origin.index >= at &&
            v->origin.index < b->n_files)
            b->files[v->origin.index].hoisted = true;
    }
}

/* The NodeProto that a node of the graph belongs to, when it is its last living part; NULL for new
 * nodes and other parts. */
static struct file_node *ends_file(struct onnx_writer *w, struct graph_before *b,
                                   const struct node *n, bool *is_new) {
    uint64_t at;
    *is_new = !intmap_get(&w->known, (uint64_t)(size_t)n, &at);
    if (*is_new)
        return NULL;
    struct file_node *f = &b->files[b->copies[at].origin.index];
    uint64_t mine = 0, other;
    intmap_get(&w->alive, (uint64_t)(size_t)n, &mine);
    for (int m = 0; m < f->n; m++)
        if (intmap_get(&w->alive, (uint64_t)(size_t)f->now[m], &other) && other > mine)
            return NULL;
    return f;
}

/* Walks the graph in its order: what does not stand in the file's order is put in before the next
 * node that does. */
static enum status place_nodes(struct onnx_writer *w, struct graph_before *b) {
    struct pb_writer pending;
    const struct node **waiting = NULL;
    int highest = -1, n_waiting = 0;
    size_t last_end = b->n_files ? b->files[b->n_files - 1].span.end : b->span.end;
    uint32_t field = b->is_function ? (uint32_t)FUNCTION_NODE : (uint32_t)GRAPH_NODE;
    pb_writer_init(&pending, w->a);
    for (int i = 0; i <= b->graph->n_nodes; i++) {
        const struct node *n = i < b->graph->n_nodes ? b->graph->nodes[i] : NULL;
        bool is_new = false;
        struct file_node *f = n ? ends_file(w, b, n, &is_new) : NULL;
        int at = f ? (int)(f - b->files) : -1;
        if (is_new) {
            struct pb_writer inner;
            pb_writer_init(&inner, w->a);
            TRY(onnx_new_node(w, b, n, &inner));
            onnx_put_message(&pending, field, &inner);
            PUSH(w->a, waiting, n_waiting, n);
        } else if (f && at < highest) {
            f->moved = true;
            put_file_node(w, b, f, &pending);
            splice_replace(&w->s, b->span.begin, f->start, f->span.end, NULL, 0);
            for (int m = 0; m < f->n; m++)
                PUSH(w->a, waiting, n_waiting, f->now[m]);
        } else if (f || !n) {
            int anchor = n ? at : b->n_files;
            for (int k = 0; k < n_waiting; k++)
                hoist_constants(b, waiting[k], anchor);
            for (int m = 0; f && m < f->n; m++)
                hoist_constants(b, f->now[m], anchor);
            if (pending.n)
                splice_insert(&w->s, b->span.begin, n ? f->start : last_end, pending.p, pending.n);
            n_waiting = 0;
            waiting = NULL;
            highest = n ? at : highest;
            pb_writer_init(&pending, w->a);
        }
    }
    return OK;
}

/* At the front of the nodes, before new nodes that were put in there. */
static void insert_in_front(struct onnx_writer *w, const struct graph_before *b,
                            const struct pb_writer *field) {
    size_t front = b->n_files ? b->files[0].start : b->span.end;
    splice_insert(&w->s, b->span.begin, front, field->p, field->n);
    w->s.items[w->s.n - 1].order -= INT_MAX;
}

static void front_constants(struct onnx_writer *w, struct graph_before *b) {
    for (int i = 0; i < b->n_files; i++) {
        struct file_node *f = &b->files[i];
        if (!f->hoisted)
            continue;
        struct pb_writer out;
        pb_writer_init(&out, w->a);
        put_file_node(w, b, f, &out);
        splice_replace(&w->s, b->span.begin, f->start, f->span.end, NULL, 0);
        insert_in_front(w, b, &out);
    }
}

/* New constants become initializers; where those must be inputs too (IR below 4) or cannot be
 * (functions), Constant nodes. */
static enum status put_constants(struct onnx_writer *w, struct graph_before *b) {
    bool nodes = b->is_function || w->notes->ir_version < 4;
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    struct pb_field f;
    size_t at = b->span.end;
    FAIL_IF(nodes && onnx_graph_version(w, b, "") <= 0, w->e, STATUS_UNSUPPORTED,
            "a new constant in '%s', which does not import the operator set that Constant is of",
            b->graph->name);
    while (pb_next(&c, &f))
        if (f.number == GRAPH_INITIALIZER)
            at = f.end;
    for (int i = 0; i < b->n_scheduled; i++) {
        const struct value *v = b->scheduled[i];
        struct pb_writer inner, field;
        pb_writer_init(&inner, w->a);
        pb_writer_init(&field, w->a);
        if (nodes) {
            struct attr value = { .name = "value", .type = ATTR_TENSOR, .tensor = v->constant };
            struct pb_writer attribute;
            pb_writer_init(&attribute, w->a);
            TRY(onnx_put_attribute(&attribute, &value, w->e));
            pb_put_string(&inner, NODE_OUTPUT, v->name);
            pb_put_string(&inner, NODE_OP_TYPE, "Constant");
            onnx_put_message(&inner, NODE_ATTRIBUTE, &attribute);
        } else {
            TRY(onnx_put_tensor(&inner, v->constant, v->name, w->e));
        }
        onnx_put_message(&field,
                         nodes ? b->is_function ? (uint32_t)FUNCTION_NODE : (uint32_t)GRAPH_NODE
                               : (uint32_t)GRAPH_INITIALIZER,
                         &inner);
        if (nodes)
            insert_in_front(w, b, &field);
        else
            splice_insert(&w->s, b->span.begin, at, field.p, field.n);
    }
    return OK;
}

/* What the file states of the type of a value that is gone or has another's name now would be
 * wrong. */
static void drop_stale_types(struct onnx_writer *w, const struct graph_before *b) {
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    struct pb_field f;
    uint32_t field = b->is_function ? (uint32_t)FUNCTION_VALUE_INFO : (uint32_t)GRAPH_VALUE_INFO;
    while (pb_next(&c, &f))
        if (f.number == field && f.wire == PB_BYTES &&
            strmap_has(&w->stale, value_info_name(w, &f)))
            splice_replace(&w->s, b->span.begin, f.start, f.end, NULL, 0);
}

enum status onnx_rewrite_finish(struct onnx_writer *w, struct graph_before *b) {
    if (is_shell(b)) {
        for (int i = 0; i < b->n_nodes; i++)
            FAIL_IF(b->copies[i].in != b->nodes[i]->in ||
                        b->copies[i].attrs != b->nodes[i]->attrs || b->graph->n_nodes != b->n_nodes,
                    w->e, STATUS_UNSUPPORTED, "a change of a Scan of operator set 8");
        return OK;
    }
    TRY(place_nodes(w, b));
    front_constants(w, b);
    if (b->n_scheduled)
        TRY(put_constants(w, b));
    if (w->stale.count)
        drop_stale_types(w, b);
    return OK;
}
