#include "passes/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "ops/op.h"

bool digest_equal(struct digest x, struct digest y) {
    return x.a == y.a && x.b == y.b;
}

static struct digest mix_bytes(struct digest d, const void *p, size_t n) {
    return (struct digest) { hash_bytes(p, n, d.a),
                             hash_bytes(p, n, d.b ^ UINT64_C(0x6a09e667f3bcc909)) };
}

static struct digest mix(struct digest d, struct digest e) {
    return mix_bytes(d, &e, sizeof e);
}

static struct digest mix_int(struct digest d, int64_t v) {
    return mix_bytes(d, &v, sizeof v);
}

static struct digest mix_text(struct digest d, const char *s) {
    return mix_bytes(d, s, strlen(s) + 1);
}

struct digest tensor_digest(const struct tensor *t) {
    struct digest d = { 11, 13 };
    d = mix_int(d, t->kind);
    d = mix_int(d, t->dtype);
    d = mix_int(d, t->rank);
    d = mix_bytes(d, t->dim, (size_t)t->rank * sizeof *t->dim);
    for (int64_t i = 0; i < t->n_items; i++)
        d = mix(d, tensor_digest(t->items[i]));
    if (t->kind != KIND_TENSOR)
        return d;
    if (t->store == DT_STRING) {
        const char *const *s = t->data;
        for (int64_t i = 0; i < tensor_count(t); i++)
            d = mix_text(d, s[i]);
        return d;
    }
    return mix_bytes(d, t->data, tensor_bytes(t));
}

struct walk {
    struct digest *of; /* by value id */
    uint64_t random;   /* makes every random node unlike any other */
};

static void graph_digests(struct walk *w, const struct graph *g);

static struct digest graph_attr_digest(struct walk *w, struct digest d, const struct graph *g) {
    for (int i = 0; i < g->n_inputs; i++)
        w->of[g->inputs[i]->id] = mix_int((struct digest) { 17, 19 }, i);
    graph_digests(w, g);
    for (int i = 0; i < g->n_outputs; i++)
        d = mix(d, w->of[g->outputs[i]->id]);
    return d;
}

static struct digest attr_digest(struct walk *w, struct digest d, const struct attr *a) {
    d = mix_text(d, a->name);
    d = mix_int(d, a->type);
    d = mix_int(d, a->n);
    switch (a->type) {
    case ATTR_INT:
    case ATTR_TYPE:
        return mix_int(d, a->i);
    case ATTR_FLOAT:
        return mix_bytes(d, &a->f, sizeof a->f);
    case ATTR_STRING:
        return mix_bytes(d, a->s, (size_t)a->n);
    case ATTR_INTS:
        return mix_bytes(d, a->ints, (size_t)a->n * sizeof *a->ints);
    case ATTR_FLOATS:
        return mix_bytes(d, a->floats, (size_t)a->n * sizeof *a->floats);
    case ATTR_STRINGS:
        for (int64_t i = 0; i < a->n; i++)
            d = mix_text(d, a->strings[i]);
        return d;
    case ATTR_TENSOR:
        return mix(d, tensor_digest(a->tensor));
    case ATTR_TENSORS:
        for (int64_t i = 0; i < a->n; i++)
            d = mix(d, tensor_digest(a->tensors[i]));
        return d;
    case ATTR_GRAPH:
        return graph_attr_digest(w, d, a->graph);
    case ATTR_GRAPHS:
        for (int64_t i = 0; i < a->n; i++)
            d = graph_attr_digest(w, d, a->graphs[i]);
        return d;
    case ATTR_NONE:
        return d;
    }
    return d;
}

/* An attribute that says what the row's default says is as if it were absent. */
static bool is_default(const struct op *o, const struct attr *a) {
    for (const struct attr_def *d = o ? o->attrs : NULL; d && d->name; d++) {
        if (strcmp(d->name, a->name) != 0 || d->type != a->type || d->required)
            continue;
        return (a->type == ATTR_INT && a->i == d->i) || (a->type == ATTR_FLOAT && a->f == d->f) ||
               (a->type == ATTR_STRING && d->s && strcmp(a->s, d->s) == 0);
    }
    return false;
}

static int by_attr_name(const void *x, const void *y) {
    return strcmp((*(const struct attr *const *)x)->name, (*(const struct attr *const *)y)->name);
}

static struct digest attrs_digest(struct walk *w, const struct node *n) {
    enum { MANY = 64 };
    struct digest d = { 3, 5 };
    d = mix_text(mix_text(d, n->domain), n->op);
    const struct attr *sorted[MANY];
    int k = 0;
    for (int i = 0; i < n->n_attrs; i++) {
        if (is_default(n->def, &n->attrs[i]))
            continue;
        if (k < MANY)
            sorted[k++] = &n->attrs[i];
        else
            d = attr_digest(w, d, &n->attrs[i]);
    }
    qsort(sorted, (size_t)k, sizeof *sorted, by_attr_name);
    for (int i = 0; i < k; i++)
        d = attr_digest(w, d, sorted[i]);
    return d;
}

static struct digest value_digest(const struct walk *w, const struct value *v) {
    if (!v)
        return (struct digest) { 1, 2 };
    return w->of[v->id];
}

static bool does_nothing(const struct node *n) {
    if (node_is(n, "Identity"))
        return true;
    if (node_is(n, "Dropout"))
        return n->n_in < 3 || !n->in[2];
    if (node_is(n, "Cast") && node_attr(n, "to"))
        return n->in[0]->dtype != DT_NONE && n->out[0]->dtype == n->in[0]->dtype;
    return false;
}

static void body_digest(struct walk *w, const struct node *n) {
    for (int i = 0; i < n->body->n_inputs; i++)
        w->of[n->body->inputs[i]->id] = value_digest(w, i < n->n_in ? n->in[i] : NULL);
    graph_digests(w, n->body);
    for (int i = 0; i < n->n_out && i < n->body->n_outputs; i++)
        if (n->out[i])
            w->of[n->out[i]->id] = w->of[n->body->outputs[i]->id];
}

static void node_digest(struct walk *w, const struct node *n) {
    if (n->n_in > 0 && n->in[0] && n->n_out > 0 && n->out[0] && does_nothing(n)) {
        w->of[n->out[0]->id] = value_digest(w, n->in[0]);
        return;
    }
    if (n->body) {
        body_digest(w, n);
        return;
    }
    struct digest d = attrs_digest(w, n);
    int n_in = n->n_in, first = 0;
    while (n_in > 0 && !n->in[n_in - 1])
        n_in--;
    if (n->def && n->def->flags & OP_COMMUTATIVE && n_in >= 2) {
        struct digest x = value_digest(w, n->in[0]), y = value_digest(w, n->in[1]);
        bool swap = x.a > y.a || (x.a == y.a && x.b > y.b);
        d = mix(mix(d, swap ? y : x), swap ? x : y);
        first = 2;
    }
    for (int i = first; i < n_in; i++)
        d = mix(d, value_digest(w, n->in[i]));
    if (n->def && n->def->flags & (OP_RANDOM | OP_STATE))
        d = mix_int(d, (int64_t)++w->random);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            w->of[n->out[i]->id] = mix_int(d, i);
}

static void graph_digests(struct walk *w, const struct graph *g) {
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->constant && !g->values[i]->is_input)
            w->of[g->values[i]->id] = tensor_digest(g->values[i]->constant);
    for (int i = 0; i < g->n_nodes; i++)
        node_digest(w, g->nodes[i]);
}

struct digest *canonical_digests(const struct model *m, const uint64_t *input_seed, uint64_t side,
                                 struct arena *a) {
    struct walk w = { NEW_ARRAY(a, m->next_value_id + 1, struct digest), side << 32 };
    for (int i = 0; i < m->graph->n_inputs; i++)
        w.of[m->graph->inputs[i]->id] = mix_int((struct digest) { 23, 29 }, (int64_t)input_seed[i]);
    graph_digests(&w, m->graph);
    return w.of;
}
