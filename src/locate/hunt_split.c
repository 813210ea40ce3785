/* Several faults in one region: a value of the target between them is pinned to the source's, and
 * each side is hunted apart. */
#include <stdlib.h>
#include <string.h>

#include "locate/hunt.h"
#include "locate/zipper_parts.h"

enum { MAX_CUTS = 24, MAX_VIEWS = 2, MAX_DEPTH = 4, MAX_HUNTS = 60, MAX_TRIED = 3000 };

struct cut {
    struct value *t;
    const struct value *s;
    double cost;
};

struct split {
    struct zipper *z;
    struct arena *arena;
    int hunts;    /* so far, of the whole region */
    int tried;    /* edits in them */
    bool doubles; /* edits that go together are tried where one edit explains nothing */
};

static bool has_time(const struct split *p) {
    return p->hunts < MAX_HUNTS && p->tried < MAX_TRIED;
}

static bool is_any(const struct node *n, const char *const *ops, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (node_is(n, ops[i]))
            return true;
    return false;
}

/* Operators of one kind stand for each other when one of them is the fault. */
static bool same_kind(const struct node *n, const struct node *m) {
    static const char *const products[] = { "Conv", "ConvTranspose",      "Gemm", "MatMul",
                                            "Add",  "BatchNormalization", "Mul" },
                             *const units[] = { "Relu",      "Clip",        "LeakyRelu",
                                                "Elu",       "Tanh",        "Sigmoid",
                                                "HardSwish", "HardSigmoid", "PRelu",
                                                "Max",       "Min",         "ThresholdedRelu",
                                                "Identity",  "Gelu",        "Swish",
                                                "Selu",      "Softplus",    "Erf" },
                             *const pools[] = { "MaxPool", "AveragePool", "GlobalAveragePool",
                                                "ReduceMean", "LpPool" };
    return (is_any(n, products, 7) && is_any(m, products, 7)) ||
           (is_any(n, units, sizeof units / sizeof *units) &&
            is_any(m, units, sizeof units / sizeof *units)) ||
           (is_any(n, pools, 5) && is_any(m, pools, 5));
}

/* Does m read the counterparts of all linked values that n reads? */
static bool reads_counterparts(const struct zipper *z, const struct node *n, const struct node *m) {
    bool any = false;
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        if (!v || !zipper_dynamic(z, v) || !zipper_linked(z, v))
            continue;
        bool read = false;
        for (int j = 0; j < m->n_in; j++)
            read = read || (m->in[j] && m->in[j] == z->al.link[v->id].source);
        if (!read)
            return false;
        any = true;
    }
    return any;
}

static bool moves(const struct node *n) {
    static const char *const ops[] = { "Transpose", "Reshape",  "Flatten", "Squeeze",
                                       "Unsqueeze", "Identity", "Cast",    "Pad" };
    return is_any(n, ops, sizeof ops / sizeof *ops);
}

static double cost_of(const struct split *p, const struct region *r, int i, int k) {
    const struct node *n = r->nodes[i], *m = r->source_nodes[k];
    double at = (i + 0.5) / r->n_nodes, there = (k + 0.5) / r->n_source_nodes,
           apart = at > there ? at - there : there - at;
    double cost = 6 * apart + 0.01 * i;
    if (!same_operator(n, m))
        cost += same_kind(n, m) ? 3 : 10;
    if (reads_counterparts(p->z, n, m))
        cost -= 3;
    return moves(n) ? cost + 6 : cost;
}

static int cheaper(const void *a, const void *b) {
    const struct cut *x = a, *y = b;
    return (x->cost > y->cost) - (x->cost < y->cost);
}

static bool same_size(const struct zipper *z, const struct value *t, const struct value *s) {
    const struct tensor *a = trace_value(z->target, t, 0), *b = trace_value(z->source, s, 0);
    return a && b && a->kind == KIND_TENSOR && b->kind == KIND_TENSOR && a->store != DT_STRING &&
           b->store != DT_STRING && tensor_count(a) == tensor_count(b);
}

/* Inner values of both sides that may stand for each other, the likeliest first. */
static int cuts_of(const struct split *p, const struct region *r, struct cut **out) {
    *out = NULL;
    int n = 0;
    for (int i = 0; i < r->n_nodes; i++)
        for (int k = 0; k < r->n_source_nodes; k++) {
            const struct node *a = r->nodes[i], *b = r->source_nodes[k];
            if (!a->n_out || !b->n_out || !a->out[0] || !b->out[0] || a->out[0] == r->target ||
                b->out[0] == r->source || !zipper_dynamic(p->z, a->out[0]) ||
                zipper_linked(p->z, a->out[0]) || !same_size(p->z, a->out[0], b->out[0]))
                continue;
            struct cut c = { a->out[0], b->out[0], cost_of(p, r, i, k) };
            if (c.cost < 14)
                PUSH(p->arena, *out, n, c);
        }
    if (n > 1)
        qsort(*out, (size_t)n, sizeof **out, cheaper);
    return n < MAX_CUTS ? n : MAX_CUTS;
}

static int explain(struct split *p, const struct region *r, struct fault *out, int max, int depth);

/* The value is unknown again. */
static void unpin(struct zipper *z, const struct value *v) {
    struct err e;
    alignment_unlink(&z->al, v);
    zipper_evaluate(z, v->producer, &e);
}

static int simple(struct split *p, const struct region *r, struct fault *out, int max) {
    struct hunt h = { .z = p->z, .r = r, .arena = p->arena, .target = p->z->target->model };
    p->hunts++;
    hunt_singles(&h);
    if (!h.solved && p->doubles)
        hunt_doubles(&h);
    p->tried += h.n;
    return hunt_report(&h, out, max);
}

/* Both sides of one cut. */
static int try_cut(struct split *p, const struct region *r, const struct cut *c,
                   const struct pair_view *view, struct fault *out, int max, int depth) {
    struct link l;
    struct region first, rest;
    zipper_split(p->z, r, c->t, c->s, view, &l, &first, &rest);
    int n = first.error > first.floor ? simple(p, &first, out, max) : 0;
    if (!n)
        return 0;
    zipper_pin(p->z, c->t, &l);
    int more = explain(p, &rest, out + n, max - n, depth + 1);
    if (!more)
        unpin(p->z, c->t);
    return more ? n + more : 0;
}

static int cut_in_two(struct split *p, const struct region *r, struct fault *out, int max,
                      int depth) {
    struct cut *cuts;
    int n = max > 1 && depth < MAX_DEPTH ? cuts_of(p, r, &cuts) : 0;
    for (int i = 0; i < n && has_time(p); i++) {
        struct pair_view views[MAX_VIEWS];
        int n_views = zipper_views(p->z, cuts[i].t, cuts[i].s, views, MAX_VIEWS);
        for (int k = 0; k < n_views && has_time(p); k++) {
            int found = try_cut(p, r, &cuts[i], &views[k], out, max, depth);
            if (found)
                return found;
        }
    }
    return 0;
}

/* One edit, or a cut, or edits that go together. */
static int explain(struct split *p, const struct region *r, struct fault *out, int max, int depth) {
    if (max < 1)
        return 0;
    int found = simple(p, r, out, max);
    if (!found)
        found = cut_in_two(p, r, out, max, depth);
    return found;
}

int hunt_split(struct zipper *z, const struct region *r, struct fault *out, int max,
               struct arena *a) {
    struct split p = { .z = z, .arena = a };
    int found = r->n_nodes > 1 ? cut_in_two(&p, r, out, max, 0) : 0;
    if (!found && r->n_nodes > 1) {
        p = (struct split) { .z = z, .arena = a, .doubles = true };
        found = cut_in_two(&p, r, out, max, 0);
    }
    return found;
}
