/* Regions: which nodes of both sides lie between linked values and one that is not. */
#include <stdlib.h>

#include "locate/zipper_parts.h"

enum { MAX_VIEWS = 6 };

struct walk {
    const struct zipper *z;
    bool *seen; /* by value id */
    const struct node **nodes;
    int n_nodes;
    const struct value **inputs;
    int n_inputs;
};

static void walk_target(struct walk *w, const struct value *v, bool top) {
    if (!v || v->id >= w->z->al.n_link || w->seen[v->id])
        return;
    w->seen[v->id] = true;
    if (!top && (zipper_linked(w->z, v) || !v->producer)) {
        if (zipper_linked(w->z, v))
            PUSH(w->z->arena, w->inputs, w->n_inputs, v);
        return;
    }
    if (!v->producer || v->graph != w->z->target->model->graph)
        return;
    struct reads r = node_reads(v->producer, w->z->arena);
    for (int i = 0; i < r.n; i++)
        walk_target(w, r.v[i], false);
    for (int i = 0; i < w->n_nodes; i++)
        if (w->nodes[i] == v->producer)
            return;
    PUSH(w->z->arena, w->nodes, w->n_nodes, v->producer);
}

/* Back from the source value to the counterparts of the region's inputs and to whatever the target
 * has too. */
static void walk_source(struct walk *w, const struct value *v, const bool *stop, bool top,
                        int depth) {
    if (!v || w->seen[v->id] || depth > 400)
        return;
    w->seen[v->id] = true;
    if (!v->producer || v->graph != w->z->source->model->graph ||
        (!top && (stop[v->id] || w->z->al.claims[v->id] > 0)))
        return;
    struct reads r = node_reads(v->producer, w->z->arena);
    for (int i = 0; i < r.n; i++)
        walk_source(w, r.v[i], stop, false, depth + 1);
    for (int i = 0; i < w->n_nodes; i++)
        if (w->nodes[i] == v->producer)
            return;
    PUSH(w->z->arena, w->nodes, w->n_nodes, v->producer);
}

static int by_id(const void *a, const void *b) {
    const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

void region_fill(const struct zipper *z, struct region *r) {
    struct walk w = { .z = z,
                      .seen = NEW_ARRAY(z->arena, z->target->model->next_value_id + 1, bool) };
    walk_target(&w, r->target, true);
    if (w.n_nodes > 1)
        qsort(w.nodes, (size_t)w.n_nodes, sizeof *w.nodes, by_id);
    r->nodes = w.nodes;
    r->n_nodes = w.n_nodes;
    r->inputs = w.inputs;
    r->n_inputs = w.n_inputs;
    r->frontier = r->n_nodes ? r->nodes[0] : NULL;
    for (int i = 0; i < r->n_nodes; i++) { /* the first that depends on the inputs */
        const struct value *o = r->nodes[i]->n_out ? r->nodes[i]->out[0] : NULL;
        if (o && zipper_dynamic(z, o)) {
            r->frontier = r->nodes[i];
            break;
        }
    }
    bool *stop = NEW_ARRAY(z->arena, z->source->model->next_value_id + 1, bool);
    for (int i = 0; i < r->n_inputs; i++)
        stop[z->al.link[r->inputs[i]->id].source->id] = true;
    struct walk s = { .z = z,
                      .seen = NEW_ARRAY(z->arena, z->source->model->next_value_id + 1, bool) };
    walk_source(&s, r->source, stop, true, 0);
    if (s.n_nodes > 1)
        qsort(s.nodes, (size_t)s.n_nodes, sizeof *s.nodes, by_id);
    r->source_nodes = s.nodes;
    r->n_source_nodes = s.n_nodes;
    r->scale = z->al.scale[r->source->id];
}

int region_hints(const struct zipper *z, const struct value *t, struct pair_view *out, int max) {
    int n = 0;
    const struct graph *g = z->target->model->graph;
    for (int i = z->al.target_order[t->id]; i >= 0 && n < max; i--)
        for (int k = 0; k < g->nodes[i]->n_in && n < max; k++) {
            const struct value *v = g->nodes[i]->in[k];
            if (v && v->id < z->al.n_link && zipper_linked(z, v) &&
                z->al.link[v->id].view.n_permute)
                out[n++] = z->al.link[v->id].view;
        }
    return n;
}

int zipper_views(const struct zipper *z, const struct value *v, const struct value *s,
                 struct pair_view *out, int max) {
    const struct tensor *a = trace_value(z->source, s, 0), *b = trace_value(z->target, v, 0);
    struct pair_view hints[4];
    if (!a || !b || a->kind != KIND_TENSOR || b->kind != KIND_TENSOR ||
        tensor_count(a) != tensor_count(b))
        return 0;
    struct pair_view views[MAX_VIEWS];
    int n = layout_candidates(a, b, hints, region_hints(z, v, hints, 4), views, MAX_VIEWS),
        kept = 0;
    for (int i = 0; i < n && kept < max; i++)
        if (zipper_natural(z, v, s, &views[i]))
            out[kept++] = views[i];
    return kept;
}

void zipper_split(struct zipper *z, const struct region *r, const struct value *v,
                  const struct value *s, const struct pair_view *view, struct link *l,
                  struct region *first, struct region *rest) {
    *l = (struct link) { .source = s, .view = *view, .by = MATCHED_TOPOLOGY, .pinned = true };
    *first = (struct region) { .target = v, .source = s, .view = *view };
    region_fill(z, first);
    first->error = zipper_error(z, v, s, view);
    first->floor = zipper_floor(z, first);
    alignment_link(&z->al, v, l);
    *rest = *r;
    region_fill(z, rest);
    alignment_unlink(&z->al, v);
}
