#include "report/facts.h"

#include <string.h>

#include "base/map.h"
#include "base/strbuf.h"
#include "exec/exec.h"

/* --- parameters --- */

static bool weight_reader(const struct use *u) {
    static const char *const readers[] = {
        "DequantizeLinear", "ConvInteger",        "MatMulInteger", "QLinearConv",
        "QLinearMatMul",    "MatMulNBits",        "QGemm",         "DynamicQuantizeMatMul",
        "QAttention",       "DynamicQuantizeLSTM"
    };
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strcmp(u->node->op, readers[i]) == 0)
            return true;
    return false;
}

bool is_parameter(const struct value *v, const struct uses *u) {
    const struct tensor *t = v->constant;
    if (!t || t->kind == KIND_SEQUENCE || t->kind == KIND_MAP || t->kind == KIND_OPTIONAL)
        return false;
    enum dtype_class c = dtype_row(t->dtype)->class_;
    if (c == CLASS_FLOAT || c == CLASS_COMPLEX || (v->quant && v->quant->n > 0))
        return true;
    for (int i = 0; c != CLASS_STRING && i < u->n[v->id]; i++)
        if (weight_reader(&u->of[v->id][i]))
            return true;
    return false;
}

struct counter {
    struct model_facts *out;
    const struct uses *uses;
    struct intmap groups, seen;
};

static void count_graph(struct graph *g, void *arg) {
    struct counter *c = arg;
    uint64_t known;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        if (n->group >= 0 && intmap_get(&c->groups, (uint64_t)n->group, &known))
            continue;
        if (n->group >= 0)
            intmap_put(&c->groups, (uint64_t)n->group, 1);
        c->out->nodes++;
    }
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        if (!is_parameter(v, c->uses))
            continue;
        uint64_t at = (uint64_t)(uintptr_t)v->constant->data;
        if (at && intmap_get(&c->seen, at, &known))
            continue;
        if (at)
            intmap_put(&c->seen, at, 1);
        int64_t count = v->constant->kind == KIND_SPARSE
                            ? v->constant->items[0] ? tensor_count(v->constant->items[0]) : 0
                            : tensor_count(v->constant);
        c->out->parameters += count;
        c->out->parameter_bytes += (int64_t)dtype_bytes(v->constant->dtype, count);
    }
}

void model_facts(struct model *m, struct model_facts *out) {
    *out = (struct model_facts) { 0 };
    for (int i = 0; i < m->n_files; i++)
        out->bytes += (int64_t)m->files[i].size;
    struct arena *a = arena_new();
    struct counter c = { .out = out, .uses = uses_build(m, a) };
    intmap_init(&c.groups, a);
    intmap_init(&c.seen, a);
    model_each_graph(m, count_graph, &c);
    arena_free(a);
}

/* --- operators --- */

struct lister {
    struct operator_list *out;
    struct arena *arena;
    const struct fact *facts;
    struct strmap rows;   /* operator name -> index + 1 */
    struct intmap groups; /* group -> 1 when counted, 2 when known not to run */
};

static const char *reason_not_to_run(const struct node *n, struct arena *a) {
    struct err e = { 0 };
    if (n->body)
        return NULL;
    if (!n->def)
        return arena_printf(a, "no operator %s%s%s", n->domain, *n->domain ? "." : "", n->op);
    if (!n->def->eval)
        return arena_printf(a, "%s has no kernel", n->op);
    if (op_check(n, &e) != OK)
        return arena_str(a, e.what);
    return NULL;
}

static struct operator_facts *row_of(struct lister *l, const struct node *n) {
    const char *op = n->origin.op ? n->origin.op : n->op;
    const char *key = arena_printf(l->arena, "%s|%s", n->domain, op);
    size_t index = (size_t)(uintptr_t)strmap_get(&l->rows, key);
    if (!index) {
        struct operator_facts row = { .op = op, .domain = n->domain };
        PUSH(l->arena, l->out->items, l->out->n, row);
        index = (size_t)l->out->n;
        strmap_put(&l->rows, key, (void *)(uintptr_t)index);
    }
    return &l->out->items[index - 1];
}

/* The nodes read from one operator of the file count once, under the first one's name. */
static void list_graph(struct graph *g, void *arg) {
    struct lister *l = arg;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        uint64_t state = 0;
        if (n->group >= 0)
            intmap_get(&l->groups, (uint64_t)n->group, &state);
        const char *why = reason_not_to_run(n, l->arena);
        uint64_t row_index = state >> 2;
        struct operator_facts *row = state ? &l->out->items[row_index] : row_of(l, n);
        if (!state) {
            row->count++;
            row->runs++;
            row_index = (uint64_t)(row - l->out->items);
            state = row_index << 2 | 1;
        }
        if (why && !(state & 2)) {
            row->runs--;
            state |= 2;
            if (!row->why_not)
                row->why_not = why;
        }
        if (n->group >= 0)
            intmap_put(&l->groups, (uint64_t)n->group, state);
        double macs = node_macs(n, l->facts);
        if (macs < 0)
            row->unknown_cost++;
        else
            row->macs += macs;
    }
}

void model_operators(struct model *m, struct arena *a, const struct fact *facts,
                     struct operator_list *out) {
    *out = (struct operator_list) { 0 };
    struct lister l = { .out = out, .arena = a, .facts = facts };
    strmap_init(&l.rows, a);
    intmap_init(&l.groups, a);
    model_each_graph(m, list_graph, &l);
    for (int i = 0; i < out->n; i++) {
        out->macs += out->items[i].macs;
        out->unknown_cost += out->items[i].unknown_cost;
    }
}

/* --- quantization --- */

struct scheme {
    const struct uses *uses;
    int64_t weights[DT_COUNT];
    int64_t values[DT_COUNT];
    bool per_axis, blocks, dynamic;
};

static void scheme_graph(struct graph *g, void *arg) {
    struct scheme *s = arg;
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        if (v->constant && is_parameter(v, s->uses))
            s->weights[v->constant->dtype] += (int64_t)tensor_bytes(v->constant);
        if (!v->quant)
            continue;
        s->per_axis |= v->quant->n > 1;
        s->blocks |= v->quant->block_size > 0;
        if (!v->constant && dtype_is_int(v->dtype))
            s->values[v->dtype]++;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        s->dynamic |= strcmp(n->op, "DynamicQuantizeLinear") == 0;
        if ((strcmp(n->op, "QuantizeLinear") == 0 || strncmp(n->op, "QLinear", 7) == 0) &&
            n->n_out && n->out[0])
            s->values[n->out[0]->dtype == DT_NONE ? DT_U8 : n->out[0]->dtype]++;
    }
}

const char *quantization_scheme(struct model *m, struct arena *a) {
    struct scheme s = { .uses = uses_build(m, a) };
    model_each_graph(m, scheme_graph, &s);
    enum dtype weight = DT_NONE, value = DT_NONE;
    for (int t = 1; t < DT_COUNT; t++) {
        if (s.weights[t] > (weight ? s.weights[weight] : 0))
            weight = (enum dtype)t;
        if (s.values[t] > (value ? s.values[value] : 0))
            value = (enum dtype)t;
    }
    const char *grain = s.blocks ? ", block-wise" : s.per_axis ? ", per channel" : "";
    if (value != DT_NONE && weight != DT_NONE)
        return arena_printf(a, "%s weights and %s values%s", dtype_name(weight), dtype_name(value),
                            grain);
    if (value != DT_NONE)
        return arena_printf(a, "%s values%s", dtype_name(value), grain);
    if (weight == DT_NONE)
        return "none (no weights)";
    if (dtype_is_int(weight))
        return arena_printf(a, "%s weights%s, float values%s", dtype_name(weight), grain,
                            s.dynamic ? " quantized while running" : "");
    return arena_printf(a, "none (%s weights)", dtype_name(weight));
}

/* --- shapes --- */

static const struct value *find_input(const struct model *m, const char *name) {
    for (int i = 0; i < m->graph->n_inputs; i++)
        if (strcmp(m->graph->inputs[i]->name, name) == 0)
            return m->graph->inputs[i];
    return NULL;
}

enum status model_shapes(struct model *m, struct arena *a, const struct shape_binding *shapes,
                         int n, bool batch_one, struct fact **out, struct err *e) {
    struct fact *bound = NEW_ARRAY(a, m->next_value_id + 1, struct fact);
    for (int i = 0; i <= m->next_value_id; i++)
        bound[i].rank = -1;
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        struct fact *f = &bound[v->id];
        if (v->kind != KIND_TENSOR)
            continue;
        *f = (struct fact) { .kind = v->kind, .dtype = v->dtype, .rank = v->rank };
        memcpy(f->dim, v->dim, sizeof f->dim);
        if (batch_one && f->rank > 0 && f->dim[0] < 0)
            f->dim[0] = 1;
    }
    for (int i = 0; i < n; i++) {
        const struct value *v = find_input(m, shapes[i].name);
        FAIL_IF(!v, e, STATUS_USAGE, "%s is no input of the model", shapes[i].name);
        FAIL_IF(v->rank >= 0 && v->rank != shapes[i].rank, e, STATUS_USAGE,
                "input %s has %d dimensions (%s), not %d", shapes[i].name, v->rank,
                shape_text(m, a, v->dim, v->rank), shapes[i].rank);
        for (int k = 0; k < shapes[i].rank; k++)
            FAIL_IF(v->rank >= 0 && v->dim[k] >= 0 && v->dim[k] != shapes[i].dim[k], e,
                    STATUS_USAGE, "input %s is %s: dimension %d is fixed", shapes[i].name,
                    shape_text(m, a, v->dim, v->rank), k);
        struct fact *f = &bound[v->id];
        *f = (struct fact) { .kind = KIND_TENSOR, .dtype = v->dtype, .rank = shapes[i].rank };
        memcpy(f->dim, shapes[i].dim, sizeof f->dim);
    }
    *out = exec_infer(m, a, bound, e);
    return OK;
}

const char *shape_text(const struct model *m, struct arena *a, const int64_t *dim, int rank) {
    if (rank < 0)
        return "?";
    if (rank == 0)
        return "scalar";
    struct strbuf b;
    strbuf_init(&b, a);
    for (int k = 0; k < rank; k++) {
        char text[64];
        strbuf_add(&b, k ? "x" : "");
        strbuf_add(&b, dim_text(m, dim[k], text, sizeof text));
    }
    return b.p;
}
