#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/text.h"

enum {
    LIST_IN_FULL =
        64, /* constants of so many elements are lists of numbers, larger ones hexadecimal bytes */
    LIST_WHEN_SHORT = 8, /* without TEXT_CONSTANTS, larger ones are left out */
};

struct printer {
    struct strbuf *b;
    const struct model *model;
    struct arena *arena;
    unsigned flags;
    int *ordinal;        /* by value id: 0 not yet defined; the how-manieth of its name */
    struct strmap names; /* name -> how many so far (int *) */
    int depth;
    bool shallow; /* graphs of attributes are only named */
    struct err *err;
};

static void indent(struct printer *p) {
    strbuf_printf(p->b, "%*s", 2 * p->depth, "");
}

static bool is_bare(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("_./-;", c))))
            return false;
    }
    return n > 0;
}

static void quoted(struct strbuf *b, const char *s, size_t n) {
    strbuf_add(b, "\"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            strbuf_printf(b, "\\%c", c);
        else if (c == '\n')
            strbuf_add(b, "\\n");
        else if (c < 0x20 || c == 0x7f)
            strbuf_printf(b, "\\x%02x", c);
        else
            strbuf_addn(b, (const char *)&s[i], 1);
    }
    strbuf_add(b, "\"");
}

static void quoted_text(struct strbuf *b, const char *s) {
    quoted(b, s ? s : "", s ? strlen(s) : 0);
}

/* A word that stands without quotes where it can; one that begins like a number cannot. */
static void word(struct strbuf *b, const char *s) {
    if (is_bare(s, strlen(s)) && !strchr("0123456789.-", s[0]))
        strbuf_add(b, s);
    else
        quoted_text(b, s);
}

/* The shortest decimal that reads back as v, or, when `narrow`, as the float32 that v is. */
static void real(struct strbuf *b, double v, bool narrow) {
    if (!isfinite(v)) {
        strbuf_add(b, v != v ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (narrow ? (float)back == (float)v : back == v)
            break;
    }
    strbuf_add(b, text);
    if (!strpbrk(text, ".e"))
        strbuf_add(b, ".0");
}

/* Of an attribute: a float32, as the formats have it, or with a "d" behind. */
static void attribute_real(struct strbuf *b, double v) {
    bool narrow = (double)(float)v == v || v != v;
    real(b, v, narrow);
    if (!narrow)
        strbuf_add(b, "d");
}

/* --- values */

static void handle(struct printer *p, const struct value *v) {
    if (!v) {
        strbuf_add(p->b, "_");
        return;
    }
    strbuf_add(p->b, "%");
    size_t n = strlen(v->name);
    if (is_bare(v->name, n))
        strbuf_add(p->b, v->name);
    else if (n > 0)
        quoted(p->b, v->name, n);
    int k = p->ordinal ? p->ordinal[v->id] : n > 0 ? 1 : v->id + 1;
    if (k != 1 || n == 0)
        strbuf_printf(p->b, "~%d", k);
}

static void dims(struct printer *p, int rank, const int64_t *dim) {
    if (rank < 0) {
        strbuf_add(p->b, "*");
        return;
    }
    strbuf_add(p->b, "[");
    for (int i = 0; i < rank; i++) {
        if (i)
            strbuf_add(p->b, ", ");
        if (dim[i] >= 0)
            strbuf_printf(p->b, "%lld", (long long)dim[i]);
        else if (dim[i] <= DIM_SYMBOL && DIM_SYMBOL - dim[i] < p->model->n_symbols)
            word(p->b, p->model->symbols[DIM_SYMBOL - dim[i]]);
        else
            strbuf_add(p->b, "?");
    }
    strbuf_add(p->b, "]");
}

static const char *const kind_names[] = { [KIND_TENSOR] = "",
                                          [KIND_SEQUENCE] = "sequence ",
                                          [KIND_OPTIONAL] = "optional ",
                                          [KIND_MAP] = "map ",
                                          [KIND_SPARSE] = "sparse " };

static void type(struct printer *p, enum tensor_kind kind, enum dtype dtype, int rank,
                 const int64_t *dim) {
    strbuf_printf(p->b, "%s%s", kind_names[kind], dtype_name(dtype));
    dims(p, rank, dim);
}

static void origin(struct printer *p, const struct origin *o) {
    if (!(p->flags & TEXT_ORIGINS))
        return;
    strbuf_add(p->b, " from ");
    quoted_text(p->b, o->name);
    if (o->op) {
        strbuf_add(p->b, " operator ");
        quoted_text(p->b, o->op);
    }
    strbuf_printf(p->b, " at %lld %d %d", (long long)o->offset, (int)o->graph, (int)o->index);
}

static void quantization(struct printer *p, const struct quant *q) {
    strbuf_printf(p->b, " quantized axis %d block %lld scale [", q->axis, (long long)q->block_size);
    for (int64_t i = 0; i < q->n; i++) {
        strbuf_add(p->b, i ? ", " : "");
        real(p->b, (double)q->scale[i], true);
    }
    strbuf_add(p->b, "]");
    if (!q->zero_point)
        return;
    strbuf_add(p->b, " zero [");
    for (int64_t i = 0; i < q->n; i++)
        strbuf_printf(p->b, "%s%lld", i ? ", " : "", (long long)q->zero_point[i]);
    strbuf_add(p->b, "]");
}

static void define(struct printer *p, const struct value *v) {
    if (p->ordinal) {
        int *count = strmap_get(&p->names, v->name);
        if (!count) {
            count = NEW(p->arena, int);
            strmap_put(&p->names, v->name, count);
        }
        p->ordinal[v->id] = ++*count;
    }
    handle(p, v);
    strbuf_add(p->b, ": ");
    type(p, v->kind, v->dtype, v->rank, v->dim);
    if (v->is_variable)
        strbuf_add(p->b, " variable");
    if (v->quant)
        quantization(p, v->quant);
    origin(p, &v->origin);
}

/* --- contents */

static bool as_list(const struct printer *p, const struct tensor *t, int64_t n) {
    if (t->store == DT_STRING)
        return true;
    if (n > ((p->flags & TEXT_CONSTANTS) ? LIST_IN_FULL : LIST_WHEN_SHORT) ||
        dtype_row(t->store)->class_ == CLASS_COMPLEX)
        return false;
    for (int64_t i = 0; i < n && dtype_is_float(t->store); i++)
        if (isnan(tensor_f64(t, i))) /* which NaN it is shows in the bytes only */
            return false;
    return true;
}

static void element(struct printer *p, const struct tensor *t, int64_t i) {
    if (t->store == DT_STRING) {
        const char *const *texts = t->data;
        quoted_text(p->b, texts[i]);
    } else if (dtype_is_float(t->store)) {
        real(p->b, tensor_f64(t, i), t->store != DT_F64);
    } else if (t->store == DT_U64) {
        strbuf_printf(p->b, "%llu", (unsigned long long)tensor_i64(t, i));
    } else if (t->store == DT_BOOL) {
        strbuf_printf(p->b, "%u", ((const unsigned char *)t->data)[i]);
    } else {
        strbuf_printf(p->b, "%lld", (long long)tensor_i64(t, i));
    }
}

static void hexadecimal(struct printer *p, const struct tensor *t, size_t bytes) {
    static const char digits[] = "0123456789abcdef";
    const unsigned char *data = t->data;
    char piece[128];
    strbuf_add(p->b, "hex \"");
    for (size_t i = 0; i < bytes;) {
        size_t n = 0;
        for (; n < sizeof piece && i < bytes; i++) {
            piece[n++] = digits[data[i] >> 4];
            piece[n++] = digits[data[i] & 15];
        }
        strbuf_addn(p->b, piece, n);
    }
    strbuf_add(p->b, "\"");
}

static void contents(struct printer *p, const struct tensor *t) {
    if (t->store != t->dtype)
        strbuf_printf(p->b, "as %s ", dtype_name(t->store));
    if (t->kind != KIND_TENSOR) {
        strbuf_add(p->b, "items [");
        for (int64_t i = 0; i < t->n_items; i++) {
            strbuf_add(p->b, i ? ", " : "");
            type(p, t->items[i]->kind, t->items[i]->dtype, t->items[i]->rank, t->items[i]->dim);
            strbuf_add(p->b, " ");
            contents(p, t->items[i]);
        }
        strbuf_add(p->b, "]");
        return;
    }
    int64_t n = tensor_count(t);
    if (as_list(p, t, n)) {
        strbuf_add(p->b, "{");
        for (int64_t i = 0; i < n; i++) {
            strbuf_add(p->b, i ? ", " : "");
            element(p, t, i);
        }
        strbuf_add(p->b, "}");
    } else if (p->flags & TEXT_CONSTANTS) {
        hexadecimal(p, t, tensor_bytes(t));
    } else {
        strbuf_printf(p->b, "...%zu bytes", tensor_bytes(t));
    }
}

static void tensor(struct printer *p, const struct tensor *t) {
    type(p, t->kind, t->dtype, t->rank, t->dim);
    strbuf_add(p->b, " ");
    contents(p, t);
}

/* --- nodes */

static enum status block(struct printer *p, const struct graph *g);

static enum status graph_value(struct printer *p, const struct node *n, const struct graph *g) {
    if (g->parent == n->graph && p->shallow) {
        strbuf_add(p->b, "graph ");
        quoted_text(p->b, g->name);
        return OK;
    }
    if (g->parent == n->graph)
        return block(p, g);
    int k = 0;
    while (k < p->model->n_graphs && p->model->graphs[k] != g)
        k++;
    FAIL_IF(k == p->model->n_graphs, p->err, STATUS_BUG,
            "node '%s' holds a graph that is nowhere in the model", node_label(n, p->arena));
    strbuf_printf(p->b, "graph %d", k);
    return OK;
}

static const char *const list_words[] = { [ATTR_INTS] = "ints",
                                          [ATTR_FLOATS] = "floats",
                                          [ATTR_STRINGS] = "strings",
                                          [ATTR_TENSORS] = "tensors",
                                          [ATTR_GRAPHS] = "graphs" };

static enum status attribute(struct printer *p, const struct node *n, const struct attr *a) {
    struct strbuf *b = p->b;
    word(b, a->name);
    strbuf_add(b, " = ");
    switch (a->type) {
    case ATTR_NONE:
        strbuf_add(b, "none");
        return OK;
    case ATTR_INT:
        strbuf_printf(b, "%lld", (long long)a->i);
        return OK;
    case ATTR_FLOAT:
        attribute_real(b, a->f);
        return OK;
    case ATTR_STRING:
        quoted(b, a->s, (size_t)a->n);
        return OK;
    case ATTR_TYPE:
        strbuf_printf(b, "type %s", dtype_name((enum dtype)a->i));
        return OK;
    case ATTR_TENSOR:
        strbuf_add(b, "tensor ");
        tensor(p, a->tensor);
        return OK;
    case ATTR_GRAPH:
        return graph_value(p, n, a->graph);
    default:
        break;
    }
    strbuf_printf(b, "%s [", list_words[a->type]);
    for (int64_t i = 0; i < a->n; i++) {
        strbuf_add(b, i ? ", " : "");
        if (a->type == ATTR_INTS)
            strbuf_printf(b, "%lld", (long long)a->ints[i]);
        else if (a->type == ATTR_FLOATS)
            attribute_real(b, a->floats[i]);
        else if (a->type == ATTR_STRINGS)
            quoted_text(b, a->strings[i]);
        else if (a->type == ATTR_TENSORS)
            tensor(p, a->tensors[i]);
        else
            TRY(graph_value(p, n, a->graphs[i]));
    }
    strbuf_add(b, "]");
    return OK;
}

static void operation(struct printer *p, const struct node *n) {
    for (int i = 0; i < n->n_out; i++) {
        strbuf_add(p->b, i ? ", " : "");
        if (!n->out[i])
            strbuf_add(p->b, "_");
        else
            define(p, n->out[i]);
    }
    strbuf_add(p->b, n->n_out ? " = " : "do ");
    if (n->domain[0]) {
        word(p->b, n->domain);
        strbuf_add(p->b, "::");
    }
    word(p->b, n->op);
    strbuf_add(p->b, "(");
    for (int i = 0; i < n->n_in; i++) {
        strbuf_add(p->b, i ? ", " : "");
        handle(p, n->in[i]);
    }
    strbuf_add(p->b, ")");
}

static enum status attributes(struct printer *p, const struct node *n) {
    if (n->n_attrs == 0)
        return OK;
    strbuf_add(p->b, " {");
    for (int i = 0; i < n->n_attrs; i++) {
        strbuf_add(p->b, i ? ", " : "");
        TRY(attribute(p, n, &n->attrs[i]));
    }
    strbuf_add(p->b, "}");
    return OK;
}

static enum status node(struct printer *p, const struct node *n) {
    operation(p, n);
    if (n->name[0]) {
        strbuf_add(p->b, " name ");
        quoted_text(p->b, n->name);
    }
    if (n->version)
        strbuf_printf(p->b, " version %d", n->version);
    if (n->group >= 0)
        strbuf_printf(p->b, " group %d", (int)n->group);
    TRY(attributes(p, n));
    if (n->body && !p->shallow) {
        strbuf_add(p->b, " body ");
        TRY(block(p, n->body));
    }
    origin(p, &n->origin);
    return OK;
}

/* --- graphs */

static void constant_line(struct printer *p, const struct value *v) {
    indent(p);
    strbuf_add(p->b, v->constant ? "constant " : "value ");
    define(p, v);
    if (v->constant) {
        strbuf_add(p->b, " = ");
        contents(p, v->constant);
    }
    strbuf_add(p->b, "\n");
}

static enum status block(struct printer *p, const struct graph *g) {
    FAIL_IF(++p->depth > TEXT_MAX_NESTING, p->err, STATUS_UNSUPPORTED,
            "graphs more than %d deep cannot be printed", TEXT_MAX_NESTING);
    strbuf_add(p->b, "graph ");
    quoted_text(p->b, g->name);
    strbuf_printf(p->b, " number %d {\n", (int)g->index);
    for (int i = 0; i < g->n_inputs; i++) {
        const struct value *v = g->inputs[i];
        indent(p);
        strbuf_add(p->b, "input ");
        define(p, v);
        if (v->constant) {
            strbuf_add(p->b, " = ");
            contents(p, v->constant);
        }
        strbuf_add(p->b, "\n");
    }
    for (int i = 0; i < g->n_values; i++)
        if (!g->values[i]->is_input && !g->values[i]->producer)
            constant_line(p, g->values[i]);
    for (int i = 0; i < g->n_nodes; i++) {
        indent(p);
        TRY(node(p, g->nodes[i]));
        strbuf_add(p->b, "\n");
    }
    for (int i = 0; i < g->n_outputs; i++) {
        indent(p);
        strbuf_add(p->b, "output ");
        handle(p, g->outputs[i]);
        strbuf_add(p->b, "\n");
    }
    p->depth--;
    indent(p);
    strbuf_add(p->b, "}");
    return OK;
}

static void pair(struct strbuf *b, const char *what, const char *key, const char *value) {
    strbuf_printf(b, "%s ", what);
    quoted_text(b, key);
    strbuf_add(b, " ");
    quoted_text(b, value);
    strbuf_add(b, "\n");
}

static void names(struct strbuf *b, const char *what, const char *const *list, int n) {
    strbuf_printf(b, " %s [", what);
    for (int i = 0; i < n; i++) {
        strbuf_add(b, i ? ", " : "");
        quoted_text(b, list[i]);
    }
    strbuf_add(b, "]");
}

static void header(const struct model *m, struct strbuf *b) {
    strbuf_printf(b, "calque %d\n", TEXT_VERSION);
    pair(b, "format", m->format, m->format_version);
    pair(b, "producer", m->producer, m->description);
    for (int i = 0; i < m->n_opsets; i++)
        pair(b, "opset", m->opsets[i].key, m->opsets[i].value);
    for (int i = 0; i < m->n_properties; i++)
        pair(b, "property", m->properties[i].key, m->properties[i].value);
    for (int i = 0; i < m->n_symbols; i++) {
        strbuf_add(b, "symbol ");
        quoted_text(b, m->symbols[i]);
        strbuf_add(b, "\n");
    }
    for (int i = 0; i < m->n_signatures; i++) {
        const struct signature *s = &m->signatures[i];
        strbuf_add(b, "signature ");
        quoted_text(b, s->key);
        strbuf_printf(b, " graph %d", (int)s->graph);
        names(b, "inputs", s->input_names, s->n_inputs);
        names(b, "outputs", s->output_names, s->n_outputs);
        strbuf_add(b, "\n");
    }
}

static enum status print(struct printer *p) {
    const struct model *m = p->model;
    header(m, p->b);
    TRY(block(p, m->graph));
    strbuf_add(p->b, "\n");
    for (int i = 0; i < m->n_graphs; i++) {
        if (m->graphs[i] == m->graph)
            continue;
        TRY(block(p, m->graphs[i]));
        strbuf_add(p->b, "\n");
    }
    return OK;
}

enum status model_print(const struct model *m, unsigned flags, struct strbuf *b, struct err *e) {
    struct arena *a = arena_new();
    struct printer p = { .b = b, .model = m, .arena = a, .flags = flags, .err = e };
    p.ordinal = NEW_ARRAY(a, m->next_value_id + 1, int);
    strmap_init(&p.names, a);
    enum status s = print(&p);
    arena_free(a);
    return s;
}

void node_print(const struct node *n, struct strbuf *b) {
    struct printer p = { .b = b, .model = n->graph->model, .arena = b->arena, .shallow = true };
    node(&p, n);
}
