/* The last resort: the source's region is copied into the target in place of the target's. */
#include <string.h>

#include "base/map.h"
#include "locate/hunt.h"

struct graft {
    struct hunt *h;
    struct patch *p;
    struct graph *g;
    struct node *before; /* new nodes stand before it */
    struct intmap made;  /* source value id -> struct value * */
    int copied, depth;
};

enum { MOST_COPIED = 200 };

static struct value *add_node(struct graft *gr, const char *op, struct value *const *in, int n_in,
                              enum dtype dtype) {
    struct node *n = patch_node(gr->p, gr->g, gr->before, op, "", in, n_in, 1);
    n->out[0]->dtype = dtype;
    return n->out[0];
}

static struct value *reshape(struct graft *gr, struct value *v, int rank, const int64_t *dim,
                             bool free_first) {
    int64_t d[MAX_RANK];
    for (int i = 0; i < rank; i++)
        d[i] = i == 0 && free_first && rank > 1 ? -1 : dim[i];
    struct value *in[2] = { v, patch_constant(gr->p, gr->g, "shape",
                                              tensor_vec_i64(gr->h->target->arena, d, rank)) };
    return add_node(gr, "Reshape", in, 2, v->dtype);
}

static struct value *transpose(struct graft *gr, struct value *v, const int64_t *perm, int n) {
    struct value *in[1] = { v };
    struct value *out = add_node(gr, "Transpose", in, 1, v->dtype);
    node_set_ints(out->producer, "perm",
                  arena_copy(gr->h->target->arena, perm, (size_t)n * sizeof *perm), n);
    return out;
}

/* The view as nodes: source layout -> target layout, or back. shape: what the result is to be. */
static struct value *through_view(struct graft *gr, struct value *v, const struct pair_view *view,
                                  const struct tensor *have, const struct tensor *want, bool back) {
    if (view->n_permute == 0)
        return dims_equal(have->dim, have->rank, want->dim, want->rank)
                   ? v
                   : reshape(gr, v, want->rank, want->dim,
                             have->rank && have->dim[0] == want->dim[0]);
    int n = view->n_permute;
    int64_t before[MAX_RANK], after[MAX_RANK], perm[MAX_RANK];
    for (int k = 0; k < n; k++) {
        if (back)
            perm[view->permute[k]] = k;
        else
            perm[k] = view->permute[k];
    }
    for (int k = 0; k < n; k++)
        before[k] = back ? view->from[view->permute[k]] : view->from[k];
    for (int k = 0; k < n; k++)
        after[k] = before[perm[k]];
    bool free_first = perm[0] == 0;
    if (!dims_equal(before, n, have->dim, have->rank))
        v = reshape(gr, v, n, before, free_first && have->dim[0] == before[0]);
    v = transpose(gr, v, perm, n);
    if (!dims_equal(after, n, want->dim, want->rank))
        v = reshape(gr, v, want->rank, want->dim,
                    free_first && want->rank && want->dim[0] == after[0]);
    return v;
}

struct value *target_of(const struct hunt *h, const struct node *before, const struct value *s,
                        struct pair_view *view) {
    const struct zipper *z = h->z;
    const struct graph *g = z->target->model->graph;
    int limit = before ? before->id : g->n_nodes;
    for (int i = 0; i < g->n_values; i++) {
        struct value *t = g->values[i];
        if (t->id >= z->al.n_link || z->al.link[t->id].source != s || z->al.link[t->id].pinned ||
            z->al.target_order[t->id] >= limit)
            continue;
        *view = z->al.link[t->id].view;
        return t;
    }
    return NULL;
}

/* The target's value that holds this source value, in the source's layout. */
static struct value *from_target(struct graft *gr, const struct value *s) {
    struct pair_view view;
    struct value *t = target_of(gr->h, gr->before, s, &view);
    const struct tensor *have = t ? trace_value(gr->h->z->target, t, 0) : NULL,
                        *want = trace_value(gr->h->z->source, s, 0);
    return have && want ? through_view(gr, t, &view, have, want, true) : NULL;
}

struct value *graft_constant(struct hunt *h, struct patch *p, const struct value *s) {
    const struct tensor *c = s->constant;
    if (c->kind != KIND_TENSOR || c->store == DT_STRING)
        return NULL;
    struct tensor *t = tensor_in_arena(h->target->arena, c->dtype, c->store, c->rank, c->dim);
    memcpy(t->data, c->data, tensor_bytes(t));
    return patch_constant(p, h->target->graph, s->name[0] ? s->name : "constant", t);
}

static bool copy_node(struct graft *gr, const struct node *m);

static struct value *made(struct graft *gr, const struct value *s) {
    uint64_t at;
    if (intmap_get(&gr->made, (uint64_t)s->id, &at))
        return (struct value *)(uintptr_t)at;
    struct value *v =
        s->constant && !s->is_input ? graft_constant(gr->h, gr->p, s) : from_target(gr, s);
    if (v) {
        intmap_put(&gr->made, (uint64_t)s->id, (uint64_t)(uintptr_t)v);
        return v;
    }
    if (!s->producer || s->producer->graph != gr->h->z->source->model->graph ||
        gr->copied++ > MOST_COPIED || gr->depth > 100)
        return NULL;
    gr->depth++;
    bool ok = copy_node(gr, s->producer);
    gr->depth--;
    return ok && intmap_get(&gr->made, (uint64_t)s->id, &at) ? (struct value *)(uintptr_t)at : NULL;
}

static bool copy_attributes(struct graft *gr, struct node *n, const struct node *m) {
    for (int i = 0; i < m->n_attrs; i++) {
        if (!attr_copyable(&m->attrs[i]))
            return false;
        struct attr a = attr_copy(&m->attrs[i], gr->h->target->arena);
        *node_set_attr(n, a.name, a.type) = a;
    }
    return !m->body;
}

static bool copy_node(struct graft *gr, const struct node *m) {
    if (m->n_in > 32)
        return false;
    struct value *in[32];
    for (int i = 0; i < m->n_in; i++) {
        in[i] = m->in[i] ? made(gr, m->in[i]) : NULL;
        if (m->in[i] && !in[i])
            return false;
    }
    struct arena *a = gr->h->target->arena;
    struct node *n = patch_node(gr->p, gr->g, gr->before, arena_str(a, m->op),
                                arena_str(a, m->domain), in, m->n_in, m->n_out);
    if (!copy_attributes(gr, n, m))
        return false;
    for (int i = 0; i < m->n_out; i++) {
        if (!m->out[i]) {
            n->out[i] = NULL;
            continue;
        }
        n->out[i]->dtype = m->out[i]->dtype;
        intmap_put(&gr->made, (uint64_t)m->out[i]->id, (uint64_t)(uintptr_t)n->out[i]);
    }
    return true;
}

static bool any(const struct node *const *nodes, int n, const char *op) {
    for (int i = 0; i < n; i++)
        if (strcmp(nodes[i]->op, op) == 0)
            return true;
    return false;
}

static bool target_any(const struct hunt *h, const char *op) {
    return any(h->r->nodes, h->r->n_nodes, op);
}

static bool source_any(const struct hunt *h, const char *op) {
    return any(h->r->source_nodes, h->r->n_source_nodes, op);
}

static bool either(const struct hunt *h, const char *op) {
    return target_any(h, op) || source_any(h, op);
}

/* Is a tanh there to which something is added, as in 0.5 x (1 + tanh(...))? */
static bool adds_to_tanh(const struct node *const *nodes, int n) {
    for (int i = 0; i < n; i++)
        for (int k = 0; node_is(nodes[i], "Add") && k < nodes[i]->n_in; k++)
            if (nodes[i]->in[k] && nodes[i]->in[k]->producer &&
                node_is(nodes[i]->in[k]->producer, "Tanh"))
                return true;
    return false;
}

/* What the two sides' operators say about a region that no single edit explains. */
static const char *name_region(const struct hunt *h) {
    bool erf = either(h, "Erf") || either(h, "Gelu") ||
               adds_to_tanh(h->r->source_nodes, h->r->n_source_nodes);
    if (erf && either(h, "Mul") &&
        (target_any(h, "Gelu") || target_any(h, "Erf") || target_any(h, "Tanh") ||
         target_any(h, "Sigmoid")))
        return "gelu-form";
    if (target_any(h, "Softmax") && source_any(h, "Softmax"))
        return "axis-remap";
    if ((target_any(h, "InstanceNormalization") || target_any(h, "BatchNormalization")) &&
        source_any(h, "BatchNormalization"))
        return target_any(h, "Conv") ? "fold-shared" : "norm-mode";
    if (target_any(h, "MaxPool") && target_any(h, "Pad"))
        return "maxpool-zero-pad";
    if (target_any(h, "AveragePool") || target_any(h, "MaxPool"))
        return target_any(h, "Slice")         ? "pool-ceil-mode"
               : target_any(h, "AveragePool") ? "avgpool-count-include-pad"
                                              : "pad-side";
    if (either(h, "Resize"))
        return "resize-mode";
    if (source_any(h, "Div") && target_any(h, "Cast"))
        return "integer-rounding";
    if (source_any(h, "Mod") || (source_any(h, "Floor") && !target_any(h, "Floor")))
        return "integer-rounding";
    if (source_any(h, "Where") && !target_any(h, "Where"))
        return "frozen-or-lost-semantics";
    if (either(h, "ScatterElements") || either(h, "ScatterND"))
        return "frozen-or-lost-semantics";
    if (target_any(h, "Conv") && source_any(h, "BatchNormalization"))
        return "fold-shared";
    if (source_any(h, "Clip") || source_any(h, "ThresholdedRelu") || source_any(h, "Relu"))
        return target_any(h, "Conv") ? "structure" : "clip-bounds";
    if (source_any(h, "Transpose") != target_any(h, "Transpose"))
        return "transpose-equal-dims";
    return "structure";
}

bool region_is_formula(const struct hunt *h) {
    return strcmp(name_region(h), "gelu-form") == 0;
}

struct value *graft_value(struct hunt *h, struct patch *p, struct node *before,
                          const struct value *s) {
    struct graft gr = { .h = h, .p = p, .g = h->target->graph, .before = before };
    intmap_init(&gr.made, h->arena);
    if (!s->producer || !copy_node(&gr, s->producer))
        return NULL;
    return made(&gr, s);
}

void hunt_graft(struct hunt *h) {
    const struct value *t = h->r->target, *s = h->r->source;
    const struct tensor *have = trace_value(h->z->source, s, 0),
                        *want = trace_value(h->z->target, t, 0);
    if (!have || !want || !t->producer || h->r->n_source_nodes > 200)
        return;
    struct graft gr = {
        .h = h, .p = patch_new(h->target, "graft"), .g = h->target->graph, .before = t->producer
    };
    intmap_init(&gr.made, h->arena);
    struct value *out = s->producer && copy_node(&gr, s->producer) ? made(&gr, s) : NULL;
    if (!out)
        return;
    out = through_view(&gr, out, &h->r->view, have, want, false);
    patch_replace_uses(gr.p, (struct value *)(size_t)t, out);
    if (t->producer->n_out == 1)
        patch_remove_node(gr.p, t->producer);
    const char *cause = name_region(h);
    const struct node *blamed = t->producer;
    if (strcmp(cause, "structure") == 0 && h->r->frontier)
        blamed = h->r->n_nodes <= 2 ? t->producer : h->r->frontier;
    hunt_add(h, cause, blamed, s->producer, gr.p, 40);
}
