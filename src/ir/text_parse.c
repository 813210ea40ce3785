#include <limits.h>
#include <string.h>

#include "ir/text.h"
#include "ir/text_scan.h"
#include "ir/verify.h"

/* Attribute `attr` of a node names a graph of the model by number: set when all graphs are read. */
struct reference {
    struct node *node;
    int attr;
    int64_t number;
};

struct parser {
    struct scan s;
    struct model *m;
    struct arena *arena;   /* the model's */
    struct strmap handles; /* "name~k" -> value */
    struct reference *references;
    int n_references;
    int depth;
};

static enum status scan_small(struct parser *p, int *v, int64_t least, int64_t most) {
    int64_t wide;
    *v = 0;
    TRY(scan_int(&p->s, &wide));
    if (wide < least || wide > most)
        return scan_fail(&p->s, STATUS_CORRUPT, "%lld is out of range", (long long)wide);
    *v = (int)wide;
    return OK;
}

/* "%name", "%"odd name"~2", "%~3": name and the key under which the value is kept. */
static enum status scan_handle(struct parser *p, const char **name, const char **key) {
    *name = "";
    int k = 1;
    TRY(scan_expect(&p->s, "%"));
    if (!(p->s.at < p->s.end && *p->s.at == '~'))
        TRY(scan_word(&p->s, name, NULL));
    if (p->s.at < p->s.end && *p->s.at == '~') {
        p->s.at++;
        TRY(scan_small(p, &k, 1, INT_MAX));
    }
    *key = arena_printf(p->arena, "%s~%d", *name, k);
    return OK;
}

static enum status read_value(struct parser *p, struct value **v) {
    *v = NULL;
    if (scan_eat_word(&p->s, "_"))
        return OK;
    const char *name, *key;
    TRY(scan_handle(p, &name, &key));
    *v = strmap_get(&p->handles, key);
    return *v ? OK
              : scan_fail(&p->s, STATUS_CORRUPT, "value '%s' is not defined before this", name);
}

static enum status scan_dtype(struct parser *p, enum dtype *t) {
    const char *name = scan_bare(&p->s);
    *t = dtype_from_name(name);
    if (*t == DT_NONE && strcmp(name, dtype_name(DT_NONE)) != 0)
        return scan_fail(&p->s, STATUS_CORRUPT, "'%.40s' is no element type", name);
    return OK;
}

static enum status scan_dim(struct parser *p, int64_t *dim) {
    *dim = DIM_UNKNOWN;
    if (scan_eat(&p->s, "?"))
        return OK;
    char c = p->s.at < p->s.end ? *p->s.at : '\0';
    if (c >= '0' && c <= '9')
        return scan_int(&p->s, dim);
    const char *name;
    TRY(scan_word(&p->s, &name, NULL));
    *dim = model_symbol(p->m, name);
    return OK;
}

struct type {
    enum tensor_kind kind;
    enum dtype dtype;
    int rank;
    int64_t dim[MAX_RANK];
};

static enum status scan_type(struct parser *p, struct type *t) {
    static const char *const kinds[] = { "sequence", "optional", "map", "sparse" };
    *t = (struct type) { .kind = KIND_TENSOR, .rank = -1 };
    for (int i = 0; i < 4; i++)
        if (scan_eat_word(&p->s, kinds[i]))
            t->kind = (enum tensor_kind)(KIND_SEQUENCE + i);
    TRY(scan_dtype(p, &t->dtype));
    if (scan_eat(&p->s, "*"))
        return OK;
    TRY(scan_expect(&p->s, "["));
    t->rank = 0;
    while (!scan_eat(&p->s, "]")) {
        if (t->rank > 0)
            TRY(scan_expect(&p->s, ","));
        if (t->rank == MAX_RANK)
            return scan_fail(&p->s, STATUS_UNSUPPORTED, "more than %d dimensions", MAX_RANK);
        TRY(scan_dim(p, &t->dim[t->rank++]));
    }
    return OK;
}

static enum status scan_origin(struct parser *p, struct origin *o) {
    if (!scan_eat_word(&p->s, "from"))
        return OK;
    TRY(scan_word(&p->s, &o->name, NULL));
    if (scan_eat_word(&p->s, "operator"))
        TRY(scan_word(&p->s, &o->op, NULL));
    else
        o->op = NULL;
    int graph, index;
    TRY(scan_expect_word(&p->s, "at"));
    TRY(scan_int(&p->s, &o->offset));
    TRY(scan_small(p, &graph, INT_MIN, INT_MAX));
    TRY(scan_small(p, &index, INT_MIN, INT_MAX));
    o->graph = graph;
    o->index = index;
    return OK;
}

static enum status scan_quantization(struct parser *p, struct quant **out) {
    struct quant *q = *out = NEW(p->arena, struct quant);
    TRY(scan_expect_word(&p->s, "axis"));
    TRY(scan_small(p, &q->axis, INT_MIN, INT_MAX));
    TRY(scan_expect_word(&p->s, "block"));
    TRY(scan_int(&p->s, &q->block_size));
    TRY(scan_expect_word(&p->s, "scale"));
    TRY(scan_expect(&p->s, "["));
    float *scale = NULL;
    int n = 0, n_zero = 0;
    while (!scan_eat(&p->s, "]")) {
        double v;
        bool is_double, is_int;
        if (n > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_real(&p->s, &v, &is_double, &is_int));
        PUSH(p->arena, scale, n, (float)v);
    }
    q->n = n;
    q->scale = scale;
    if (!scan_eat_word(&p->s, "zero"))
        return OK;
    TRY(scan_expect(&p->s, "["));
    int64_t *zero = NEW_ARRAY(p->arena, n + 1, int64_t);
    while (!scan_eat(&p->s, "]")) {
        if (n_zero > 0)
            TRY(scan_expect(&p->s, ","));
        if (n_zero == n)
            return scan_fail(&p->s, STATUS_CORRUPT, "more zero points than scales");
        TRY(scan_int(&p->s, &zero[n_zero++]));
    }
    if (n_zero != n)
        return scan_fail(&p->s, STATUS_CORRUPT, "fewer zero points than scales");
    q->zero_point = zero;
    return OK;
}

static enum status define(struct parser *p, struct graph *g, struct value **out) {
    const char *name, *key;
    TRY(scan_handle(p, &name, &key));
    if (strmap_has(&p->handles, key))
        return scan_fail(&p->s, STATUS_CORRUPT, "value '%s' is defined twice", key);
    struct value *v = *out = graph_add_value(g, name);
    strmap_put(&p->handles, key, v);
    struct type t;
    TRY(scan_expect(&p->s, ":"));
    TRY(scan_type(p, &t));
    v->kind = t.kind;
    v->dtype = t.dtype;
    v->rank = t.rank;
    memcpy(v->dim, t.dim, sizeof v->dim);
    v->is_variable = scan_eat_word(&p->s, "variable");
    if (scan_eat_word(&p->s, "quantized"))
        TRY(scan_quantization(p, &v->quant));
    return scan_origin(p, &v->origin);
}

/* --- contents */

static enum status scan_element(struct parser *p, struct tensor *t, int64_t i) {
    if (t->store == DT_STRING)
        return scan_word(&p->s, &((const char **)t->data)[i], NULL);
    if (dtype_is_float(t->store)) {
        double v;
        bool is_double, is_int;
        TRY(scan_real(&p->s, &v, &is_double, &is_int));
        tensor_set_f64(t, i, v);
        return OK;
    }
    int64_t v;
    TRY(scan_element_int(&p->s, &v));
    if (t->store == DT_BOOL)
        ((unsigned char *)t->data)[i] = (unsigned char)v;
    else
        tensor_set_i64(t, i, v);
    return OK;
}

static enum status scan_list(struct parser *p, struct tensor *t, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (i > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_element(p, t, i));
    }
    return scan_expect(&p->s, "}");
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum status scan_hex(struct parser *p, struct tensor *t, size_t bytes) {
    unsigned char *to = t->data;
    for (size_t i = 0; i < bytes; i++, p->s.at += 2) {
        int high = hex_value(p->s.at[0]), low = hex_value(p->s.at[1]);
        if (high < 0 || low < 0)
            return scan_fail(&p->s, STATUS_CORRUPT, "a hexadecimal digit must stand here");
        to[i] = (unsigned char)(high * 16 + low);
    }
    return scan_expect(&p->s, "\"");
}

static enum status scan_tensor(struct parser *p, struct tensor **out);

static enum status scan_items(struct parser *p, struct tensor *t) {
    int n = 0;
    while (!scan_eat(&p->s, "]")) {
        struct tensor *item;
        if (n > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_tensor(p, &item));
        PUSH(p->arena, t->items, n, item);
        t->n_items = n;
    }
    return OK;
}

/* Memory is asked for only when the text still to come can fill it. */
static enum status scan_contents(struct parser *p, const struct type *type, struct tensor **out) {
    enum dtype store = type->dtype;
    int64_t n = 0;
    if (scan_eat_word(&p->s, "as"))
        TRY(scan_dtype(p, &store));
    struct tensor *t = *out = NEW(p->arena, struct tensor);
    *t = (struct tensor) {
        .kind = type->kind, .dtype = type->dtype, .store = store, .rank = type->rank
    };
    memcpy(t->dim, type->dim, sizeof t->dim);
    if (type->kind != KIND_TENSOR) {
        TRY(scan_expect_word(&p->s, "items"));
        TRY(scan_expect(&p->s, "["));
        return scan_items(p, t);
    }
    if (scan_eat(&p->s, "..."))
        return scan_fail(&p->s, STATUS_UNSUPPORTED,
                         "this text leaves constants out; print the model with all of them");
    if (type->rank < 0 || !dims_count(type->dim, type->rank, &n))
        return scan_fail(&p->s, STATUS_CORRUPT, "contents of unknown shape");
    size_t left = (size_t)(p->s.end - p->s.at), bytes = dtype_bytes(store, n);
    bool is_list = scan_eat(&p->s, "{");
    if (!is_list) {
        TRY(scan_expect_word(&p->s, "hex"));
        TRY(scan_expect(&p->s, "\""));
        left = (size_t)(p->s.end - p->s.at) / 2;
    }
    if (store == DT_NONE || (is_list ? (uint64_t)n > left : bytes > left))
        return scan_fail(&p->s, STATUS_CORRUPT, "fewer elements than the shape says");
    if (!is_list && store == DT_STRING)
        return scan_fail(&p->s, STATUS_CORRUPT, "strings have no hexadecimal form");
    t->data = arena_alloc(p->arena, bytes + 1);
    return is_list ? scan_list(p, t, n) : scan_hex(p, t, bytes);
}

static enum status scan_tensor(struct parser *p, struct tensor **out) {
    struct type type;
    if (++p->depth > TEXT_MAX_NESTING)
        return scan_fail(&p->s, STATUS_UNSUPPORTED, "more than %d levels", TEXT_MAX_NESTING);
    TRY(scan_type(p, &type));
    TRY(scan_contents(p, &type, out));
    p->depth--;
    return OK;
}

static enum status scan_constant(struct parser *p, struct value *v) {
    struct type type = { .kind = v->kind, .dtype = v->dtype, .rank = v->rank };
    memcpy(type.dim, v->dim, sizeof type.dim);
    return scan_contents(p, &type, &v->constant);
}

/* --- attributes */

static enum status read_block(struct parser *p, struct graph *parent, struct graph **out);

/* A block, or the number of a graph of the model. */
static enum status scan_graph(struct parser *p, struct node *n, struct graph **slot) {
    const char *back = p->s.at;
    TRY(scan_expect_word(&p->s, "graph"));
    char c = scan_at_end(&p->s) ? '\0' : *p->s.at;
    if (c < '0' || c > '9') {
        p->s.at = back;
        return read_block(p, n->graph, slot);
    }
    struct reference r = { .node = n, .attr = n->n_attrs };
    TRY(scan_int(&p->s, &r.number));
    PUSH(p->arena, p->references, p->n_references, r);
    return OK;
}

static enum status scan_attribute_real(struct parser *p, double *v, bool *is_int) {
    bool is_double;
    TRY(scan_real(&p->s, v, &is_double, is_int));
    if (!is_double)
        *v = (double)(float)*v;
    return OK;
}

/* Items of a list attribute of kind `type`, one after another in an array that grows by PUSH. */
static enum status scan_item(struct parser *p, struct node *n, struct attr *a, void **list,
                             int *count) {
    switch (a->type) {
    case ATTR_INTS: {
        int64_t v, *items = *list;
        TRY(scan_int(&p->s, &v));
        PUSH(p->arena, items, *count, v);
        a->ints = *list = items;
        return OK;
    }
    case ATTR_FLOATS: {
        double v, *items = *list;
        bool is_int;
        TRY(scan_attribute_real(p, &v, &is_int));
        PUSH(p->arena, items, *count, v);
        a->floats = *list = items;
        return OK;
    }
    case ATTR_STRINGS: {
        const char *v, **items = *list;
        TRY(scan_word(&p->s, &v, NULL));
        PUSH(p->arena, items, *count, v);
        *list = items;
        a->strings = items;
        return OK;
    }
    case ATTR_TENSORS: {
        struct tensor *v, **items = *list;
        TRY(scan_tensor(p, &v));
        PUSH(p->arena, items, *count, v);
        a->tensors = *list = items;
        return OK;
    }
    default: {
        struct graph *v = NULL, **items = *list;
        TRY(read_block(p, n->graph, &v));
        PUSH(p->arena, items, *count, v);
        a->graphs = *list = items;
        return OK;
    }
    }
}

static enum status scan_list_attribute(struct parser *p, struct node *n, struct attr *a) {
    void *list = NULL;
    int count = 0;
    TRY(scan_expect(&p->s, "["));
    while (!scan_eat(&p->s, "]")) {
        if (count > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_item(p, n, a, &list, &count));
    }
    a->n = count;
    return OK;
}

static enum status scan_number_attribute(struct parser *p, struct attr *a) {
    const char *back = p->s.at;
    bool is_int;
    TRY(scan_attribute_real(p, &a->f, &is_int));
    a->type = ATTR_FLOAT;
    if (!is_int)
        return OK;
    a->f = 0;
    a->type = ATTR_INT;
    p->s.at = back;
    return scan_int(&p->s, &a->i);
}

static enum status scan_attribute(struct parser *p, struct node *n, struct attr *a) {
    static const struct {
        const char *word;
        enum attr_type type;
    } lists[] = { { "ints", ATTR_INTS },
                  { "floats", ATTR_FLOATS },
                  { "strings", ATTR_STRINGS },
                  { "tensors", ATTR_TENSORS },
                  { "graphs", ATTR_GRAPHS } };
    for (int i = 0; i < 5; i++)
        if (scan_eat_word(&p->s, lists[i].word)) {
            a->type = lists[i].type;
            return scan_list_attribute(p, n, a);
        }
    if (scan_eat_word(&p->s, "none"))
        return OK;
    if (scan_eat_word(&p->s, "type")) {
        enum dtype t;
        a->type = ATTR_TYPE;
        TRY(scan_dtype(p, &t));
        a->i = t;
        return OK;
    }
    if (scan_eat_word(&p->s, "tensor")) {
        a->type = ATTR_TENSOR;
        return scan_tensor(p, &a->tensor);
    }
    char c = scan_at_end(&p->s) ? '\0' : *p->s.at;
    if (c == '"') {
        a->type = ATTR_STRING;
        return scan_word(&p->s, &a->s, &a->n);
    }
    if (c == 'g') {
        a->type = ATTR_GRAPH;
        return scan_graph(p, n, &a->graph);
    }
    return scan_number_attribute(p, a);
}

static enum status scan_attributes(struct parser *p, struct node *n) {
    for (int i = 0; !scan_eat(&p->s, "}"); i++) {
        struct attr a = { 0 };
        if (i > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_word(&p->s, &a.name, NULL));
        TRY(scan_expect(&p->s, "="));
        TRY(scan_attribute(p, n, &a));
        PUSH(p->arena, n->attrs, n->n_attrs, a);
    }
    return OK;
}

/* --- nodes and graphs */

static enum status scan_operator(struct parser *p, const char **domain, const char **op) {
    *domain = "";
    TRY(scan_word(&p->s, op, NULL));
    if (!scan_eat(&p->s, "::"))
        return OK;
    *domain = *op;
    return scan_word(&p->s, op, NULL);
}

static enum status scan_inputs(struct parser *p, struct value ***in, int *n) {
    TRY(scan_expect(&p->s, "("));
    while (!scan_eat(&p->s, ")")) {
        struct value *v;
        if (*n > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(read_value(p, &v));
        PUSH(p->arena, *in, *n, v);
    }
    return OK;
}

static enum status scan_outputs(struct parser *p, struct graph *g, struct value ***out, int *n) {
    do {
        struct value *v = NULL;
        if (!scan_eat_word(&p->s, "_"))
            TRY(define(p, g, &v));
        PUSH(p->arena, *out, *n, v);
    } while (scan_eat(&p->s, ","));
    return scan_expect(&p->s, "=");
}

static enum status scan_clauses(struct parser *p, struct node *n) {
    if (scan_eat_word(&p->s, "name"))
        TRY(scan_word(&p->s, &n->name, NULL));
    if (scan_eat_word(&p->s, "version"))
        TRY(scan_small(p, &n->version, INT_MIN, INT_MAX));
    if (scan_eat_word(&p->s, "group")) {
        int group;
        TRY(scan_small(p, &group, 0, INT_MAX - 1));
        n->group = group;
        if (group >= p->m->next_group)
            p->m->next_group = group + 1;
    }
    if (scan_eat(&p->s, "{"))
        TRY(scan_attributes(p, n));
    if (scan_eat_word(&p->s, "body"))
        TRY(read_block(p, NULL, &n->body));
    return scan_origin(p, &n->origin);
}

static enum status scan_node(struct parser *p, struct graph *g) {
    struct value **in = NULL, **out = NULL;
    int n_in = 0, n_out = 0;
    const char *domain, *op;
    if (!scan_eat_word(&p->s, "do"))
        TRY(scan_outputs(p, g, &out, &n_out));
    TRY(scan_operator(p, &domain, &op));
    TRY(scan_inputs(p, &in, &n_in));
    struct node *n = graph_add_node(g, op, domain, n_in, n_out);
    for (int i = 0; i < n_in; i++)
        n->in[i] = in[i];
    for (int i = 0; i < n_out; i++)
        if (out[i])
            node_set_output(n, i, out[i]);
    return scan_clauses(p, n);
}

static enum status scan_line(struct parser *p, struct graph *g) {
    struct value *v;
    if (scan_eat_word(&p->s, "input")) {
        TRY(define(p, g, &v));
        graph_add_input(g, v);
        return scan_eat(&p->s, "=") ? scan_constant(p, v) : OK;
    }
    if (scan_eat_word(&p->s, "constant")) {
        TRY(define(p, g, &v));
        TRY(scan_expect(&p->s, "="));
        return scan_constant(p, v);
    }
    if (scan_eat_word(&p->s, "value"))
        return define(p, g, &v);
    if (scan_eat_word(&p->s, "output")) {
        TRY(read_value(p, &v));
        if (!v)
            return scan_fail(&p->s, STATUS_CORRUPT, "a graph's output cannot be left out");
        graph_add_output(g, v);
        return OK;
    }
    return scan_node(p, g);
}

static enum status read_block(struct parser *p, struct graph *parent, struct graph **out) {
    const char *name;
    int index;
    if (++p->depth > TEXT_MAX_NESTING)
        return scan_fail(&p->s, STATUS_UNSUPPORTED, "more than %d levels", TEXT_MAX_NESTING);
    TRY(scan_expect_word(&p->s, "graph"));
    TRY(scan_word(&p->s, &name, NULL));
    struct graph *g = *out = graph_new(p->m, parent, name);
    TRY(scan_expect_word(&p->s, "number"));
    TRY(scan_small(p, &index, INT_MIN, INT_MAX));
    g->index = index;
    TRY(scan_expect(&p->s, "{"));
    while (!scan_eat(&p->s, "}"))
        TRY(scan_line(p, g));
    p->depth--;
    return OK;
}

/* --- the model */

static enum status scan_pair(struct parser *p, const char **a, const char **b) {
    TRY(scan_word(&p->s, a, NULL));
    return scan_word(&p->s, b, NULL);
}

static enum status scan_names(struct parser *p, const char *what, const char ***list, int *n) {
    TRY(scan_expect_word(&p->s, what));
    TRY(scan_expect(&p->s, "["));
    while (!scan_eat(&p->s, "]")) {
        const char *name;
        if (*n > 0)
            TRY(scan_expect(&p->s, ","));
        TRY(scan_word(&p->s, &name, NULL));
        PUSH(p->arena, *list, *n, name);
    }
    return OK;
}

static enum status scan_signature(struct parser *p) {
    struct signature s = { 0 };
    int graph;
    TRY(scan_word(&p->s, &s.key, NULL));
    TRY(scan_expect_word(&p->s, "graph"));
    TRY(scan_small(p, &graph, INT_MIN, INT_MAX));
    s.graph = graph;
    TRY(scan_names(p, "inputs", &s.input_names, &s.n_inputs));
    TRY(scan_names(p, "outputs", &s.output_names, &s.n_outputs));
    PUSH(p->arena, p->m->signatures, p->m->n_signatures, s);
    return OK;
}

static enum status scan_header(struct parser *p) {
    struct model *m = p->m;
    const char *key, *value;
    int version;
    TRY(scan_expect_word(&p->s, "calque"));
    TRY(scan_small(p, &version, 0, INT_MAX));
    if (version != TEXT_VERSION)
        return scan_fail(&p->s, STATUS_UNSUPPORTED, "text form %d; this program reads %d", version,
                         TEXT_VERSION);
    TRY(scan_expect_word(&p->s, "format"));
    TRY(scan_pair(p, &m->format, &m->format_version));
    TRY(scan_expect_word(&p->s, "producer"));
    TRY(scan_pair(p, &m->producer, &m->description));
    while (scan_eat_word(&p->s, "opset")) {
        TRY(scan_pair(p, &key, &value));
        model_add_property(m, &m->opsets, &m->n_opsets, key, value);
    }
    while (scan_eat_word(&p->s, "property")) {
        TRY(scan_pair(p, &key, &value));
        model_add_property(m, &m->properties, &m->n_properties, key, value);
    }
    while (scan_eat_word(&p->s, "symbol")) {
        TRY(scan_word(&p->s, &key, NULL));
        model_symbol(m, key);
    }
    while (scan_eat_word(&p->s, "signature"))
        TRY(scan_signature(p));
    return OK;
}

static enum status parse(struct parser *p) {
    struct model *m = p->m;
    TRY(scan_header(p));
    do {
        struct graph *g = NULL;
        TRY(read_block(p, NULL, &g));
        PUSH(p->arena, m->graphs, m->n_graphs, g);
    } while (!scan_at_end(&p->s));
    m->graph = m->graphs[0];
    for (int i = 0; i < p->n_references; i++) {
        const struct reference *r = &p->references[i];
        if (r->number >= m->n_graphs)
            return scan_fail(&p->s, STATUS_CORRUPT, "node '%s' names graph %lld of %d",
                             node_label(r->node, p->arena), (long long)r->number, m->n_graphs);
        r->node->attrs[r->attr].graph = m->graphs[r->number];
    }
    return model_verify(m, p->s.err);
}

enum status model_parse(const char *text, size_t length, struct model **out, struct err *e) {
    struct model *m = model_new();
    struct parser p = {
        .s = { .begin = text, .at = text, .end = text + length, .arena = m->arena, .err = e },
        .m = m,
        .arena = m->arena
    };
    strmap_init(&p.handles, m->arena);
    enum status s = parse(&p);
    if (s != OK) {
        model_free(m);
        m = NULL;
    }
    *out = m;
    return s;
}
