#include "onnx_editor.h"

#include <string.h>

/* --- looking --- */

struct message *node_at(struct editor *x, int k) {
    return message_inner(x->graph, GRAPH_NODE, k);
}

const char *op_of(const struct message *n) {
    return message_text(n, NODE_OP, 0);
}

bool is_one_of(const struct message *n, const char *ops) {
    size_t length = strlen(op_of(n));
    for (const char *p = ops; *p; p += strcspn(p, " "), p += *p == ' ')
        if (strncmp(p, op_of(n), length) == 0 && (p[length] == ' ' || !p[length]))
            return true;
    return false;
}

struct message *attribute(struct message *n, const char *name) {
    for (int k = 0; k < message_count(n, NODE_ATTRIBUTE); k++) {
        struct message *a = message_inner(n, NODE_ATTRIBUTE, k);
        if (a && strcmp(message_text(a, ATTRIBUTE_NAME, 0), name) == 0)
            return a;
    }
    return NULL;
}

struct message *attribute_made(struct message *n, const char *name, int type) {
    struct message *a = attribute(n, name);
    if (a)
        return a;
    struct message_field *f = message_add(n, NODE_ATTRIBUTE, BYTES);
    f->inner = a = NEW(n->arena, struct message);
    a->arena = n->arena;
    message_set_text(a, ATTRIBUTE_NAME, 0, name);
    message_set_value(a, ATTRIBUTE_TYPE, VARINT, (uint64_t)type);
    return a;
}

int int_list_of(struct message *n, const char *name, int64_t *out) {
    struct message *a = attribute(n, name);
    return a ? message_varints(a, ATTRIBUTE_INTS, out, 2 * MAX_DIMS) : 0;
}

void set_ints(struct message *n, const char *name, const int64_t *v, int count) {
    message_set_varints(attribute_made(n, name, 7), ATTRIBUTE_INTS, v, count);
}

float float_of(struct message *n, const char *name, float otherwise) {
    struct message *a = attribute(n, name);
    struct message_field *f = a ? message_field(a, ATTRIBUTE_F, 0) : NULL;
    if (!f)
        return otherwise;
    uint32_t bits = (uint32_t)f->value;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void set_float(struct message *n, const char *name, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    message_set_value(attribute_made(n, name, 1), ATTRIBUTE_F, FIXED32, bits);
}

int64_t int_of(struct message *n, const char *name, int64_t otherwise) {
    struct message *a = attribute(n, name);
    struct message_field *f = a ? message_field(a, ATTRIBUTE_I, 0) : NULL;
    return f ? (int64_t)f->value : otherwise;
}

void set_int(struct message *n, const char *name, int64_t v) {
    message_set_value(attribute_made(n, name, 2), ATTRIBUTE_I, VARINT, (uint64_t)v);
}

struct message *tensor_named(struct editor *x, const char *name) {
    for (int k = 0; *name && k < message_count(x->graph, GRAPH_INITIALIZER); k++) {
        struct message *t = message_inner(x->graph, GRAPH_INITIALIZER, k);
        if (t && strcmp(message_text(t, TENSOR_NAME, 0), name) == 0)
            return t;
    }
    for (int k = 0; *name && k < x->n_nodes; k++) {
        struct message *n = node_at(x, k);
        if (strcmp(op_of(n), "Constant") == 0 &&
            strcmp(message_text(n, NODE_OUTPUT, 0), name) == 0 && attribute(n, "value"))
            return message_inner(attribute(n, "value"), ATTRIBUTE_T, 0);
    }
    return NULL;
}

bool open_numbers(struct editor *x, const char *name, struct numbers *out) {
    struct message *t = tensor_named(x, name);
    struct message_field *type = t ? message_field(t, TENSOR_TYPE, 0) : NULL;
    if (!type || type->value != FLOAT)
        return false;
    *out = (struct numbers) { .tensor = t, .n = 1 };
    out->rank = message_varints(t, TENSOR_DIMS, out->dim, MAX_DIMS);
    for (int i = 0; i < out->rank; i++)
        out->n *= out->dim[i];
    struct message_field *raw = message_field(t, TENSOR_RAW, 0);
    const struct message_field *f = raw ? raw : message_field(t, TENSOR_FLOATS, 0);
    if (!f || f->wire != BYTES || f->size != (size_t)out->n * 4 || out->n == 0)
        return false;
    out->v = arena_copy(x->arena, f->data, f->size);
    return true;
}

void put_numbers(const struct numbers *w) {
    struct message_field *f = message_field(w->tensor, TENSOR_RAW, 0);
    f = f ? f : message_field(w->tensor, TENSOR_FLOATS, 0);
    f->data = (const unsigned char *)w->v;
}

int readers(struct editor *x, const char *value) {
    int n = 0;
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; i < message_count(node_at(x, k), NODE_INPUT); i++)
            n += strcmp(message_text(node_at(x, k), NODE_INPUT, i), value) == 0;
    return n;
}

bool is_graph_output(struct editor *x, const char *value) {
    for (int k = 0; k < message_count(x->graph, GRAPH_OUTPUT); k++)
        if (strcmp(message_text(message_inner(x->graph, GRAPH_OUTPUT, k), 1, 0), value) == 0)
            return true;
    return false;
}

/* --- where the fault is --- */

void place_node(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *name = message_text(n, NODE_NAME, 0);
    if (*name)
        mutation_place(x->site->m, x->arena, name);
    else
        mutation_place(x->site->m, x->arena, arena_printf(x->arena, "#%d", k));
    for (int i = 0; i < message_count(n, NODE_OUTPUT); i++)
        mutation_place(x->site->m, x->arena, message_text(n, NODE_OUTPUT, i));
}

void place_readers(struct editor *x, const char *value) {
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; i < message_count(node_at(x, k), NODE_INPUT); i++)
            if (strcmp(message_text(node_at(x, k), NODE_INPUT, i), value) == 0)
                place_node(x, k);
}

bool done(struct editor *x, int k, const char *causes, const char *what) {
    x->site->m->causes = causes;
    x->site->m->what = what;
    place_node(x, k);
    return true;
}

void rename_reads(struct editor *x, const char *from, const char *to, int but) {
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; k != but && i < message_count(node_at(x, k), NODE_INPUT); i++)
            if (strcmp(message_text(node_at(x, k), NODE_INPUT, i), from) == 0)
                message_set_text(node_at(x, k), NODE_INPUT, i, to);
}
