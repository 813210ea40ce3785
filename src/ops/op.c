#include "ops/op.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY(name) extern const struct op ops_##name[];
#include "ops/families.def"
#undef FAMILY

static const struct op *const families[] = {
#define FAMILY(name) ops_##name,
#include "ops/families.def"
#undef FAMILY
};

enum { MAX_OPS = 1024 };

static int by_name(const void *a, const void *b) {
    const struct op *x = *(const struct op *const *)a, *y = *(const struct op *const *)b;
    int c = strcmp(x->domain, y->domain);
    return c ? c : strcmp(x->name, y->name);
}

const struct op *const *op_all(void) {
    static const struct op *all[MAX_OPS + 1];
    static bool ready;
    if (!ready) {
        int n = 0;
        for (size_t f = 0; f < sizeof families / sizeof *families; f++)
            for (const struct op *o = families[f]; o->name && n < MAX_OPS; o++)
                all[n++] = o;
        all[n] = NULL;
        ready = true;
    }
    return all;
}

const struct op *op_find(const char *domain, const char *name) {
    static const struct op *sorted[MAX_OPS];
    static size_t n;
    if (!n) {
        const struct op *const *all = op_all();
        while (all[n]) {
            sorted[n] = all[n];
            n++;
        }
        qsort(sorted, n, sizeof *sorted, by_name);
    }
    struct op key = { .name = name, .domain = domain };
    const struct op *k = &key;
    const struct op **hit = bsearch(&k, sorted, n, sizeof *sorted, by_name);
    return hit ? *hit : NULL;
}

static void bind_graph(struct graph *g, void *arg) {
    (void)arg;
    for (int i = 0; i < g->n_nodes; i++)
        g->nodes[i]->def = op_find(g->nodes[i]->domain, g->nodes[i]->op);
}

void ops_bind(struct model *m) {
    model_each_graph(m, bind_graph, NULL);
}

static const struct attr_def *attr_row(const struct op *o, const char *name) {
    for (const struct attr_def *d = o->attrs; d && d->name; d++)
        if (strcmp(d->name, name) == 0)
            return d;
    return NULL;
}

static const char *const attr_type_names[] = { "nothing",
                                               "an integer",
                                               "a float",
                                               "a string",
                                               "a tensor",
                                               "a graph",
                                               "a list of integers",
                                               "a list of floats",
                                               "a list of strings",
                                               "a list of tensors",
                                               "a list of graphs",
                                               "a type" };

enum status op_check(const struct node *n, struct err *e) {
    const struct op *o = n->def;
    FAIL_IF(!o && strcmp(n->domain, "com.microsoft.nchwc") == 0, e, STATUS_UNSUPPORTED,
            "operator %s.%s lays data out for one kind of processor, which the file does not tell; "
            "save the optimized model at level 'extended'",
            n->domain, n->op);
    FAIL_IF(!o, e, STATUS_UNSUPPORTED, "operator %s%s%s is not implemented", n->domain,
            n->domain[0] ? "." : "", n->op);
    int given = n->n_in; /* what is left out at the end does not count */
    while (given > o->min_in && !n->in[given - 1])
        given--;
    FAIL_IF(given < o->min_in || (o->max_in >= 0 && given > o->max_in), e, STATUS_CORRUPT,
            "%s takes %d to %d inputs, the file gives %d", n->op, o->min_in, o->max_in, n->n_in);
    FAIL_IF(n->n_out < o->min_out || (o->max_out >= 0 && n->n_out > o->max_out), e, STATUS_CORRUPT,
            "%s gives %d to %d outputs, the file asks for %d", n->op, o->min_out, o->max_out,
            n->n_out);
    bool all = o->max_in < 0 && !(o->flags & OP_SUBGRAPH);
    for (int i = 0; i < (all ? n->n_in : o->min_in); i++)
        FAIL_IF(!n->in[i], e, STATUS_CORRUPT, "input %d of %s is missing", i, n->op);
    for (int i = 0; i < n->n_attrs; i++) {
        const struct attr_def *d = attr_row(o, n->attrs[i].name);
        FAIL_IF(!d, e, STATUS_UNSUPPORTED, "attribute '%s' of %s is not known", n->attrs[i].name,
                n->op);
        FAIL_IF(d->type != n->attrs[i].type, e, STATUS_CORRUPT,
                "attribute '%s' of %s must be %s, the file gives %s", d->name, n->op,
                attr_type_names[d->type], attr_type_names[n->attrs[i].type]);
    }
    for (const struct attr_def *d = o->attrs; d && d->name; d++)
        FAIL_IF(d->required && !node_attr(n, d->name), e, STATUS_CORRUPT, "%s needs attribute '%s'",
                n->op, d->name);
    return OK;
}

const struct attr *attr_find(const struct node *n, const char *name) {
    assert(!n->def || attr_row(n->def, name));
    return node_attr(n, name);
}

int64_t attr_int(const struct node *n, const char *name) {
    const struct attr *a = node_attr(n, name);
    const struct attr_def *d = attr_row(n->def, name);
    assert(d && d->type == ATTR_INT);
    return a ? a->i : d->i;
}

double attr_float(const struct node *n, const char *name) {
    const struct attr *a = node_attr(n, name);
    const struct attr_def *d = attr_row(n->def, name);
    assert(d && d->type == ATTR_FLOAT);
    return a ? a->f : d->f;
}

const char *attr_str(const struct node *n, const char *name) {
    const struct attr *a = node_attr(n, name);
    const struct attr_def *d = attr_row(n->def, name);
    assert(d && d->type == ATTR_STRING);
    return a ? a->s : d->s ? d->s : "";
}

enum dtype attr_dtype(const struct node *n, const char *name, enum dtype otherwise) {
    const struct attr *a = attr_find(n, name);
    return a && a->i ? dtype_from_onnx(a->i) : otherwise;
}

const int64_t *attr_ints(const struct node *n, const char *name, int *count) {
    const struct attr *a = attr_find(n, name);
    *count = a ? (int)a->n : 0;
    return a ? a->ints : NULL;
}

const double *attr_floats(const struct node *n, const char *name, int *count) {
    const struct attr *a = attr_find(n, name);
    *count = a ? (int)a->n : 0;
    return a ? a->floats : NULL;
}

struct graph *attr_graph(const struct node *n, const char *name) {
    const struct attr *a = attr_find(n, name);
    return a ? a->graph : NULL;
}
