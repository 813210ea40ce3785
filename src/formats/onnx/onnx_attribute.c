/* AttributeProto. */
#include <string.h>

#include "formats/onnx/onnx.h"

enum { MAX_ATTRIBUTES = 4096 };

/* What a walk over an AttributeProto found, before its value is decoded. */
struct attribute_fields {
    const char *name, *reference;
    int64_t type;
    size_t n_floats, n_ints, n_strings, n_tensors, n_graphs;
    bool has_f, has_i, has_s, has_t, has_g, has_tp, has_sparse;
};

static enum status walk(struct onnx_reader *r, struct span s, struct attribute_fields *t) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    t->name = t->reference = "";
    while (pb_next(&c, &f)) {
        switch (f.number) {
        case ATTRIBUTE_NAME:
            t->name = onnx_string(r, &f);
            break;
        case ATTRIBUTE_REF_ATTR_NAME:
            t->reference = onnx_string(r, &f);
            break;
        case ATTRIBUTE_TYPE:
            t->type = (int64_t)f.value;
            break;
        case ATTRIBUTE_F:
            t->has_f = true;
            break;
        case ATTRIBUTE_I:
            t->has_i = true;
            break;
        case ATTRIBUTE_S:
            t->has_s = true;
            break;
        case ATTRIBUTE_T:
            t->has_t = true;
            break;
        case ATTRIBUTE_G:
            t->has_g = true;
            break;
        case ATTRIBUTE_TP:
            t->has_tp = true;
            break;
        case ATTRIBUTE_SPARSE_TENSOR:
            t->has_sparse = true;
            break;
        case ATTRIBUTE_FLOATS:
            t->n_floats += pb_count(&c, &f, PB_FIXED32);
            break;
        case ATTRIBUTE_INTS:
            t->n_ints += pb_count(&c, &f, PB_VARINT);
            break;
        case ATTRIBUTE_STRINGS:
            t->n_strings++;
            break;
        case ATTRIBUTE_TENSORS:
            t->n_tensors++;
            break;
        case ATTRIBUTE_GRAPHS:
            t->n_graphs++;
            break;
        default:
            break;
        }
    }
    return c.failed ? onnx_bad_wire(r, &c, "AttributeProto") : OK;
}

/* Files of IR versions below 2 leave the type out: it is that of the field present. */
static int64_t type_present(const struct attribute_fields *t) {
    if (t->type)
        return t->type;
    const struct {
        bool present;
        int64_t type;
    } rows[] = {
        { t->has_f, ONNX_FLOAT },
        { t->has_i, ONNX_INT },
        { t->has_s, ONNX_STRING },
        { t->has_t, ONNX_TENSOR },
        { t->has_g, ONNX_GRAPH },
        { t->n_floats > 0, ONNX_FLOATS },
        { t->n_ints > 0, ONNX_INTS },
        { t->n_strings > 0, ONNX_STRINGS },
        { t->n_tensors > 0, ONNX_TENSORS },
        { t->n_graphs > 0, ONNX_GRAPHS },
        { t->has_sparse, ONNX_SPARSE_TENSOR },
        { t->has_tp, ONNX_TYPE_PROTO },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].present)
            return rows[i].type;
    return 0;
}

static enum status type_of(struct onnx_reader *r, const struct attribute_fields *t,
                           enum attr_type *out) {
    static const enum attr_type types[] = {
        [ONNX_FLOAT] = ATTR_FLOAT,
        [ONNX_INT] = ATTR_INT,
        [ONNX_STRING] = ATTR_STRING,
        [ONNX_TENSOR] = ATTR_TENSOR,
        [ONNX_GRAPH] = ATTR_GRAPH,
        [ONNX_FLOATS] = ATTR_FLOATS,
        [ONNX_INTS] = ATTR_INTS,
        [ONNX_STRINGS] = ATTR_STRINGS,
        [ONNX_TENSORS] = ATTR_TENSORS,
        [ONNX_GRAPHS] = ATTR_GRAPHS,
        [ONNX_SPARSE_TENSOR] = ATTR_TENSOR,
        [ONNX_TYPE_PROTO] = ATTR_TYPE,
    };
    int64_t type = type_present(t);
    *out = type > 0 && type < (int64_t)(sizeof types / sizeof *types) ? types[type] : ATTR_NONE;
    FAIL_IF(*out == ATTR_NONE, r->e,
            type == ONNX_SPARSE_TENSORS || type == ONNX_TYPE_PROTOS ? STATUS_UNSUPPORTED
                                                                    : STATUS_CORRUPT,
            "attribute '%s' has the type %lld", t->name, (long long)type);
    return OK;
}

static void make_lists(struct onnx_reader *r, const struct attribute_fields *t, struct attr *a) {
    if (a->type == ATTR_FLOATS)
        a->floats = NEW_ARRAY(r->a, t->n_floats + 1, double);
    else if (a->type == ATTR_INTS)
        a->ints = NEW_ARRAY(r->a, t->n_ints + 1, int64_t);
    else if (a->type == ATTR_STRINGS)
        a->strings = NEW_ARRAY(r->a, t->n_strings + 1, const char *);
    else if (a->type == ATTR_TENSORS)
        a->tensors = NEW_ARRAY(r->a, t->n_tensors + 1, struct tensor *);
    else if (a->type == ATTR_GRAPHS)
        a->graphs = NEW_ARRAY(r->a, t->n_graphs + 1, struct graph *);
}

static enum status read_numbers(struct onnx_reader *r, const struct cursor *c,
                                const struct pb_field *f, struct attr *a) {
    struct cursor d = pb_elements(c, f);
    if (f->number == ATTRIBUTE_FLOATS ? f->wire != PB_BYTES && f->wire != PB_FIXED32
                                      : f->wire != PB_BYTES && f->wire != PB_VARINT)
        return OK; /* counted as nothing in walk() */
    while (cursor_left(&d)) {
        if (f->number == ATTRIBUTE_FLOATS) {
            struct pb_field one = { .value = pb_element(&d, PB_FIXED32) };
            if (!d.failed)
                ((double *)(size_t)a->floats)[a->n++] = (double)pb_float(&one);
        } else {
            int64_t v = (int64_t)pb_element(&d, PB_VARINT);
            if (!d.failed)
                ((int64_t *)(size_t)a->ints)[a->n++] = v;
        }
    }
    return d.failed ? onnx_bad_wire(r, &d, "list of an AttributeProto") : OK;
}

static enum status read_field(struct onnx_reader *r, const struct onnx_scope *scope,
                              const struct cursor *c, const struct pb_field *f, struct attr *a) {
    struct span s = { f->begin, f->end };
    bool bytes = f->wire == PB_BYTES;
    if (f->number == ATTRIBUTE_F && a->type == ATTR_FLOAT) {
        a->f = (double)pb_float(f);
    } else if (f->number == ATTRIBUTE_I && a->type == ATTR_INT) {
        a->i = (int64_t)f->value;
    } else if (f->number == ATTRIBUTE_S && a->type == ATTR_STRING) {
        a->s = onnx_string(r, f);
        a->n = bytes ? (int64_t)(f->end - f->begin) : 0;
    } else if (f->number == ATTRIBUTE_T && a->type == ATTR_TENSOR && bytes) {
        return onnx_read_tensor(r, s, &a->tensor, NULL);
    } else if (f->number == ATTRIBUTE_SPARSE_TENSOR && a->type == ATTR_TENSOR && bytes) {
        return onnx_read_sparse(r, s, &a->tensor, NULL);
    } else if (f->number == ATTRIBUTE_G && a->type == ATTR_GRAPH && bytes) {
        return onnx_read_graph(r, scope->graph, scope, s, &a->graph);
    } else if ((f->number == ATTRIBUTE_FLOATS && a->type == ATTR_FLOATS) ||
               (f->number == ATTRIBUTE_INTS && a->type == ATTR_INTS)) {
        return read_numbers(r, c, f, a);
    } else if (f->number == ATTRIBUTE_STRINGS && a->type == ATTR_STRINGS) {
        ((const char **)(size_t)a->strings)[a->n++] = onnx_string(r, f);
    } else if (f->number == ATTRIBUTE_TENSORS && a->type == ATTR_TENSORS && bytes) {
        return onnx_read_tensor(r, s, &a->tensors[a->n++], NULL);
    } else if (f->number == ATTRIBUTE_GRAPHS && a->type == ATTR_GRAPHS && bytes) {
        return onnx_read_graph(r, scope->graph, scope, s, &a->graphs[a->n++]);
    } else if (f->number == ATTRIBUTE_TP && a->type == ATTR_TYPE && bytes) {
        struct value v = { .name = a->name, .rank = -1 };
        TRY(onnx_read_type(r, s, &v));
        a->i = (int64_t)v.dtype;
        a->n = (int64_t)v.kind;
    }
    return OK;
}

static enum status decode(struct onnx_reader *r, const struct onnx_scope *scope,
                          const struct attribute_fields *t, struct span s, struct attr *a) {
    *a = (struct attr) { .name = t->name };
    TRY(type_of(r, t, &a->type));
    make_lists(r, t, a);
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f))
        TRY(read_field(r, scope, &c, &f, a));
    if (a->type == ATTR_STRING && !a->s)
        a->s = "";
    FAIL_IF((a->type == ATTR_TENSOR && !a->tensor) || (a->type == ATTR_GRAPH && !a->graph), r->e,
            STATUS_CORRUPT, "attribute '%s' lacks its value", a->name);
    FAIL_IF((a->type == ATTR_TENSORS && a->n != (int64_t)t->n_tensors) ||
                (a->type == ATTR_GRAPHS && a->n != (int64_t)t->n_graphs),
            r->e, STATUS_CORRUPT, "attribute '%s' has malformed values", a->name);
    return OK;
}

/* The default a function states for its attribute (FunctionProto.attribute_proto), or nothing. */
static enum status function_default(struct onnx_reader *r, const struct onnx_scope *scope,
                                    const char *name, struct attr *out, bool *found) {
    struct cursor c = cursor_of(r->base, scope->function->span.begin, scope->function->span.end);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number != FUNCTION_ATTRIBUTE_PROTO || f.wire != PB_BYTES)
            continue;
        struct attribute_fields t = { .type = 0 };
        TRY(walk(r, (struct span) { f.begin, f.end }, &t));
        if (strcmp(t.name, name) != 0)
            continue;
        *found = true;
        return decode(r, scope, &t, (struct span) { f.begin, f.end }, out);
    }
    return OK;
}

/* The value of the calling node's attribute, under this attribute's own name. Absent there and
 * without default: absent. */
static enum status resolve(struct onnx_reader *r, const struct onnx_scope *scope,
                           const struct attribute_fields *t, struct attr *out, bool *found) {
    const struct onnx_scope *s = scope;
    while (s && !s->call)
        s = s->outer;
    FAIL_IF(!s, r->e, STATUS_CORRUPT, "attribute '%s' refers to '%s' of a function, outside any",
            t->name, t->reference);
    const struct attr *given = node_attr(s->call, t->reference);
    *found = given != NULL;
    if (given)
        *out = *given;
    else
        TRY(function_default(r, s, t->reference, out, found));
    out->name = t->name;
    return OK;
}

static enum status read_attribute(struct onnx_reader *r, const struct onnx_scope *scope,
                                  struct node *n, struct span s) {
    struct attribute_fields t = { .type = 0 };
    TRY(walk(r, s, &t));
    FAIL_IF(!t.name[0], r->e, STATUS_CORRUPT, "an attribute without a name at byte %zu", s.begin);
    FAIL_IF(n->n_attrs == MAX_ATTRIBUTES, r->e, STATUS_UNSUPPORTED, "more than %d attributes",
            (int)MAX_ATTRIBUTES);
    FAIL_IF(node_attr(n, t.name) != NULL, r->e, STATUS_CORRUPT, "attribute '%s' occurs twice",
            t.name);
    struct attr a = { .name = t.name };
    bool found = true;
    if (t.reference[0])
        TRY(resolve(r, scope, &t, &a, &found));
    else
        TRY(decode(r, scope, &t, s, &a));
    if (found)
        PUSH(r->a, n->attrs, n->n_attrs, a);
    return OK;
}

enum status onnx_read_attributes(struct onnx_reader *r, const struct onnx_scope *scope,
                                 struct node *n, struct span s, uint32_t field) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f))
        if (f.number == field && f.wire == PB_BYTES)
            TRY(read_attribute(r, scope, n, (struct span) { f.begin, f.end }));
    return OK;
}
