/* NodeProto. A Constant node is no node here: its output is a constant, with the node as its
 * origin. */
#include <string.h>

#include "formats/onnx/onnx.h"

struct node_fields {
    int n_in, n_out;
    const char *name, *op, *domain, *overload;
};

static enum status walk(struct onnx_reader *r, struct span s, struct node_fields *t) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    *t = (struct node_fields) { .name = "", .op = "", .domain = "", .overload = "" };
    while (pb_next(&c, &f)) {
        if (f.number == NODE_INPUT)
            t->n_in++;
        else if (f.number == NODE_OUTPUT)
            t->n_out++;
        else if (f.number == NODE_NAME)
            t->name = onnx_string(r, &f);
        else if (f.number == NODE_OP_TYPE)
            t->op = onnx_string(r, &f);
        else if (f.number == NODE_DOMAIN)
            t->domain = onnx_string(r, &f);
        else if (f.number == NODE_OVERLOAD)
            t->overload = onnx_string(r, &f);
    }
    return c.failed ? onnx_bad_wire(r, &c, "NodeProto") : OK;
}

static enum status declare_outputs_of(struct onnx_reader *r, struct onnx_scope *scope,
                                      struct cursor c, int index) {
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number != NODE_OUTPUT || f.wire != PB_BYTES || f.begin == f.end)
            continue;
        struct value *v;
        enum status s = onnx_declare(r, scope, onnx_string(r, &f), &v);
        if (s != OK) {
            err_at(r->e, "node #%d at byte %zu", index, c.at);
            return s;
        }
    }
    return c.failed ? onnx_bad_wire(r, &c, "NodeProto") : OK;
}

enum status onnx_declare_outputs(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                                 uint32_t field) {
    struct onnx_walk w = onnx_walk_of(r, s);
    struct pb_field f;
    int index = 0;
    while (onnx_next(r, scope, &w, &f))
        if (f.number == field && f.wire == PB_BYTES)
            TRY(declare_outputs_of(r, scope, pb_enter(&w.c, &f), index++));
    return w.c.failed ? onnx_bad_wire(r, &w.c, "list of nodes") : OK;
}

static enum status connect(struct onnx_reader *r, const struct onnx_scope *scope, struct node *n,
                           struct span s) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    int in = 0, out = 0;
    while (pb_next(&c, &f)) {
        if (f.number != NODE_INPUT && f.number != NODE_OUTPUT)
            continue;
        FAIL_IF(f.wire != PB_BYTES, r->e, STATUS_CORRUPT, "an input or output that is not a name");
        const char *name = onnx_string(r, &f);
        bool found = false;
        struct value *v = name[0] ? onnx_lookup(scope, name, &found) : NULL;
        FAIL_IF(name[0] && !found, r->e, STATUS_CORRUPT,
                "input '%s' is made by no node, input or initializer", name);
        FAIL_IF(
            v && f.number == NODE_INPUT && v->origin.op && strcmp(v->origin.op, ONNX_DROPPED) == 0,
            r->e, STATUS_UNSUPPORTED,
            "input '%s' is an output that the newest version of its operator does not have", name);
        if (f.number == NODE_INPUT)
            n->in[in++] = v;
        else if (v)
            node_set_output(n, out++, v);
        else
            out++;
    }
    return OK;
}

static struct tensor *text_tensor(struct onnx_reader *r, const char *const *strings, int rank,
                                  int64_t n) {
    struct tensor *t = tensor_in_arena(r->a, DT_STRING, DT_STRING, rank, &n);
    const char **to = t->data = NEW_ARRAY(r->a, n + 1, const char *);
    for (int64_t i = 0; i < n; i++)
        to[i] = strings[i];
    return t;
}

/* The contents of a Constant node (ONNX Constant-24): one of seven attributes. */
static enum status constant_of(struct onnx_reader *r, const struct node *n, struct tensor **out) {
    FAIL_IF(n->n_attrs != 1, r->e, STATUS_CORRUPT,
            "a Constant needs exactly one attribute and has %d", n->n_attrs);
    const struct attr *a = &n->attrs[0];
    bool value = strcmp(a->name, "value") == 0 || strcmp(a->name, "sparse_value") == 0;
    int rank = a->type == ATTR_INTS || a->type == ATTR_FLOATS || a->type == ATTR_STRINGS;
    int64_t count = rank ? a->n : 1;
    if (value && a->type == ATTR_TENSOR) {
        *out = a->tensor;
    } else if (!value && (a->type == ATTR_INT || a->type == ATTR_INTS)) {
        *out = tensor_in_arena(r->a, DT_I64, DT_I64, rank, &count);
        for (int64_t i = 0; i < count; i++)
            tensor_set_i64(*out, i, rank ? a->ints[i] : a->i);
    } else if (!value && (a->type == ATTR_FLOAT || a->type == ATTR_FLOATS)) {
        *out = tensor_in_arena(r->a, DT_F32, DT_F32, rank, &count);
        for (int64_t i = 0; i < count; i++)
            tensor_set_f64(*out, i, rank ? a->floats[i] : a->f);
    } else if (!value && (a->type == ATTR_STRING || a->type == ATTR_STRINGS)) {
        *out = text_tensor(r, rank ? a->strings : &a->s, rank, count);
    } else {
        return err_set(r->e, STATUS_CORRUPT,
                       "a Constant with attribute '%s' of another type than it has", a->name);
    }
    return OK;
}

static enum status read_constant(struct onnx_reader *r, const struct node *n) {
    FAIL_IF(n->n_in || n->n_out != 1 || !n->out[0], r->e, STATUS_CORRUPT,
            "a Constant has no inputs and one output");
    struct value *v = n->out[0];
    TRY(constant_of(r, n, &v->constant));
    v->producer = NULL;
    v->kind = KIND_TENSOR;
    v->dtype = v->constant->dtype;
    v->rank = v->constant->rank;
    memcpy(v->dim, v->constant->dim, sizeof v->dim);
    v->origin.op = "Constant";
    v->origin.offset = n->origin.offset;
    v->origin.index = n->origin.index;
    return OK;
}

static bool is_standard(const char *domain) {
    return !domain[0] || strcmp(domain, "ai.onnx") == 0;
}

/* Domains of calque's own rows are not the file's to use: they take what readers alone give them.
 */
static const char *foreign(const struct onnx_reader *r, const char *domain) {
    bool own = strcmp(domain, "tflite") == 0 || strcmp(domain, "fixed") == 0;
    return own ? arena_printf(r->m->arena, "custom.%s", domain) : domain;
}

static enum status finish(struct onnx_reader *r, struct node *n, const struct node_fields *t) {
    const char *key = arena_printf(r->a, "%s:%s:%s", n->domain, n->op, t->overload);
    if (r->functions.count && strmap_has(&r->functions, key)) {
        TRY(onnx_expand_call(r, n, key));
        n->id = n->graph->n_nodes;
        PUSH(r->a, n->graph->nodes, n->graph->n_nodes, n);
        return OK;
    }
    FAIL_IF(!n->domain[0] && !n->version, r->e, STATUS_CORRUPT,
            "the file imports no operator set of ai.onnx");
    n->domain = foreign(r, n->domain);
    if (!n->domain[0] && strcmp(n->op, "Constant") == 0)
        return read_constant(r, n);
    return onnx_upgrade(r, n);
}

static enum status read_node(struct onnx_reader *r, const struct onnx_scope *scope, struct span s,
                             int index) {
    struct node_fields t;
    TRY(walk(r, s, &t));
    FAIL_IF(!t.op[0], r->e, STATUS_CORRUPT, "the node has no operator");
    FAIL_IF(r->nodes_left-- <= 0, r->e, STATUS_UNSUPPORTED,
            "the file's functions expand to too many nodes");
    struct node *n =
        node_new(scope->graph, t.op, is_standard(t.domain) ? "" : t.domain, t.n_in, t.n_out);
    n->name = t.name;
    n->version = (int)onnx_opset(r, n->domain);
    n->group = r->m->next_group++;
    n->origin = (struct origin) { t.name, t.op, (int64_t)s.begin, scope->graph->index, index };
    TRY(onnx_read_attributes(r, scope, n, s, NODE_ATTRIBUTE));
    TRY(connect(r, scope, n, s));
    return finish(r, n, &t);
}

/* Puts the node's name, or its number, in front of an error. */
static enum status blame(struct onnx_reader *r, enum status status, struct span s, int index) {
    struct node_fields t;
    struct err kept = *r->e;
    if (status == OK)
        return OK;
    walk(r, s, &t);
    *r->e = kept;
    if (t.name[0])
        err_at(r->e, "node '%s' (%s, byte %zu)", t.name, t.op, s.begin);
    else
        err_at(r->e, "node #%d (%s, byte %zu)", index, t.op, s.begin);
    return status;
}

enum status onnx_read_nodes(struct onnx_reader *r, struct onnx_scope *scope, struct span s,
                            uint32_t field) {
    struct onnx_walk w = onnx_walk_of(r, s);
    struct pb_field f;
    int index = 0;
    while (onnx_next(r, scope, &w, &f)) {
        if (f.number != field || f.wire != PB_BYTES)
            continue;
        struct span at = { f.begin, f.end };
        TRY(blame(r, read_node(r, scope, at, index), at, index));
        index++;
    }
    return OK;
}
