#include "locate/zipper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/metrics.h"

static bool is_linked(const struct zipper *z, const struct value *v) {
    return v->id < z->al.n_link && z->al.link[v->id].source;
}

static bool is_dynamic(const struct zipper *z, const struct value *v) {
    return trace_dynamic(z->target, v);
}

/* The source's contents, in the target's layout, take the target value's place in every sample. */
static void take_over(struct zipper *z, const struct value *t, const struct link *l) {
    for (int k = 0; k < z->target->samples; k++) {
        const struct tensor *s = trace_value(z->source, l->source, k),
                            *old = trace_value(z->target, t, k);
        struct tensor *as = NULL;
        struct err e;
        if (!s || !old || layout_apply(&as, s, &l->view, old->rank, old->dim, &e) != OK)
            continue;
        if (as->store != old->store || as->dtype != old->dtype) {
            struct tensor *converted = NULL;
            enum dtype declared = old->dtype;
            if (tensor_convert(&converted, as, old->store, &e) != OK)
                converted = NULL;
            tensor_free(as);
            as = converted;
            if (!as)
                continue;
            as->dtype = declared;
        }
        exec_env_set(z->target->env[k], t, as);
    }
}

static void link_and_take(struct zipper *z, const struct value *t, const struct link *l) {
    alignment_link(&z->al, t, l);
    take_over(z, t, l);
}

static bool eval_all(struct zipper *z, const struct node *n, struct err *e) {
    for (int k = 0; k < z->target->samples; k++)
        if (exec_node(z->target->exec, z->target->env[k], n, e) != OK)
            return false;
    return true;
}

/* Linked, or made of linked values by nodes that only move, pad or retype them. */
static bool is_clean(const struct zipper *z, const struct value *v, int depth) {
    static const char *const plain[] = { "Pad",       "Transpose", "Reshape",
                                         "Cast",      "Identity",  "Squeeze",
                                         "Unsqueeze", "Flatten",   "DequantizeLinear" };
    if (!v || !is_dynamic(z, v) || is_linked(z, v))
        return true;
    bool moves = false;
    for (size_t i = 0; v->producer && i < sizeof plain / sizeof *plain; i++)
        moves = moves || node_is(v->producer, plain[i]);
    if (!moves || depth > 3)
        return false;
    for (int i = 0; i < v->producer->n_in; i++)
        if (!is_clean(z, v->producer->in[i], depth + 1))
            return false;
    return true;
}

/* A value that only nearly matches is taken for its counterpart when nothing unknown came before
 * it. */
static bool inputs_linked(const struct zipper *z, const struct node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (!is_clean(z, n->in[i], 0))
            return false;
    return true;
}

static bool any_output_pinned(const struct zipper *z, const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && z->al.link[n->out[i]->id].pinned)
            return true;
    return false;
}

/* A product without its bias is near the product with it; when the value's only reader, run on it
 * as it is, gives the source's value exactly, that reader is the counterpart. */
static bool completed_by_reader(struct zipper *z, const struct value *v,
                                const struct value *source) {
    const struct uses *u = z->al.target_uses;
    struct link l;
    struct err e;
    if (u->n[v->id] != 1 || v->is_output)
        return false;
    const struct node *reader = u->of[v->id][0].node;
    if (reader->graph != z->target->model->graph || reader->n_out != 1)
        return false;
    for (int i = 0; i < reader->n_in; i++)
        if (reader->in[i] && reader->in[i] != v && !trace_value(z->target, reader->in[i], 0))
            return false;
    return eval_all(z, reader, &e) && match_pair(&z->al, source, reader->out[0], 1e-6, &l);
}

/* Evaluates nodes from `first` on and links what matches. Nodes whose outputs are all linked
 * already keep them. */
static void zip_from(struct zipper *z, int first) {
    const struct graph *g = z->target->model->graph;
    for (int i = first; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        bool all_linked = n->n_out > 0;
        for (int k = 0; k < n->n_out; k++)
            all_linked = all_linked && (!n->out[k] || is_linked(z, n->out[k]));
        if (all_linked || any_output_pinned(z, n))
            continue;
        struct err e = { 0 };
        z->undetermined[i] = NULL;
        if (!eval_all(z, n, &e)) {
            z->undetermined[i] =
                arena_printf(z->arena, "%s%s%s", e.where, e.where[0] ? ": " : "", e.what);
            continue;
        }
        for (int k = 0; k < n->n_out; k++) {
            struct link l;
            if (n->out[k] && is_dynamic(z, n->out[k]) && !z->doubted[n->out[k]->id] &&
                match_value(&z->al, n->out[k], inputs_linked(z, n) ? MATCH_NEAR : 1e-6, &l) &&
                (l.error <= 1e-6 * l.scale || !completed_by_reader(z, n->out[k], l.source)))
                link_and_take(z, n->out[k], &l);
        }
    }
}

/* --- which unlinked values matter --- */

static bool *reaches(const struct zipper *z,
                     bool (*ends)(const struct zipper *z, const struct value *v)) {
    const struct graph *g = z->target->model->graph;
    bool *open = NEW_ARRAY(z->arena, z->al.n_link + 1, bool);
    for (int i = 0; i < g->n_outputs; i++)
        if (ends(z, g->outputs[i]))
            open[g->outputs[i]->id] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const struct node *n = g->nodes[i];
        bool matters = false;
        for (int k = 0; k < n->n_out; k++)
            matters = matters || (n->out[k] && open[n->out[k]->id]);
        for (int k = 0; matters && k < n->n_in; k++)
            if (n->in[k] && n->in[k]->id < z->al.n_link && !is_linked(z, n->in[k]))
                open[n->in[k]->id] = true;
    }
    return open;
}

static bool unlinked(const struct zipper *z, const struct value *v) {
    return !is_linked(z, v);
}

/* By target value id: unlinked, dynamic, and on a way to an output with no linked value between. */
static bool *open_values(const struct zipper *z) {
    bool *open = reaches(z, unlinked);
    for (int i = 0; i < z->target->model->graph->n_values; i++) {
        const struct value *v = z->target->model->graph->values[i];
        if (v->id < z->al.n_link && !is_dynamic(z, v))
            open[v->id] = false;
    }
    return open;
}

/* --- regions --- */

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
    if (!top && (is_linked(w->z, v) || !v->producer)) {
        if (is_linked(w->z, v))
            PUSH(w->z->arena, w->inputs, w->n_inputs, v);
        return;
    }
    if (!v->producer || v->graph != w->z->target->model->graph)
        return;
    for (int i = 0; i < v->producer->n_in; i++)
        walk_target(w, v->producer->in[i], false);
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
    for (int i = 0; i < v->producer->n_in; i++)
        walk_source(w, v->producer->in[i], stop, false, depth + 1);
    for (int i = 0; i < w->n_nodes; i++)
        if (w->nodes[i] == v->producer)
            return;
    PUSH(w->z->arena, w->nodes, w->n_nodes, v->producer);
}

static int by_id(const void *a, const void *b) {
    const struct node *x = *(const struct node *const *)a, *y = *(const struct node *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static void fill_region(const struct zipper *z, struct region *r) {
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
        if (o && is_dynamic(z, o)) {
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

/* --- resynchronisation --- */

enum {
    WINDOW = 24,
    BARREN = 6,
    TARGETS = 40,
    SOURCES = 24,
    VIEWS = 6,
    MAX_TRIALS = 3000,
    MAX_REGIONS = 64
};

struct saved {
    const struct value *v;
    struct tensor **at; /* [samples] */
};

struct trial {
    struct zipper *z;
    struct saved *saved;
    int n_saved;
    bool *touched; /* by target value id */
};

static void save(struct trial *t, const struct value *v) {
    if (t->touched[v->id])
        return;
    t->touched[v->id] = true;
    struct saved s = { v, NEW_ARRAY(t->z->arena, t->z->target->samples, struct tensor *) };
    for (int k = 0; k < t->z->target->samples; k++) {
        s.at[k] = t->z->target->env[k]->at[v->id];
        t->z->target->env[k]->at[v->id] = NULL;
        if (s.at[k])
            t->z->target->env[k]->at[v->id] = tensor_alias(s.at[k]);
    }
    PUSH(t->z->arena, t->saved, t->n_saved, s);
}

static void restore(struct trial *t) {
    for (int i = 0; i < t->n_saved; i++)
        for (int k = 0; k < t->z->target->samples; k++)
            exec_env_set(t->z->target->env[k], t->saved[i].v, t->saved[i].at[k]);
}

static bool reads_touched(const struct trial *t, const struct node *n) {
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && n->in[i]->id < t->z->al.n_link && t->touched[n->in[i]->id])
            return true;
    return false;
}

static bool is_partner(const struct zipper *z, const struct value *output,
                       const struct value *source) {
    const struct graph *t = z->target->model->graph;
    for (int i = 0; i < t->n_outputs; i++)
        if (t->outputs[i] == output &&
            (z->output_of[i] < 0 || z->source->model->graph->outputs[z->output_of[i]] == source))
            return true;
    return false;
}

/* Trials look at two samples; the rest follows when a pair is chosen. */
static void look_at(struct zipper *z, int samples) {
    z->source->samples = samples;
    z->target->samples = samples;
}

/* How much of what follows matches once target value v is the source's: matched - missed, 0 when
 * nothing does. */
static double try_pair(struct zipper *z, const struct value *v, const struct link *l,
                       const bool *open) {
    struct trial t = { .z = z, .touched = NEW_ARRAY(z->arena, z->al.n_link + 1, bool) };
    save(&t, v);
    take_over(z, v, l);
    const struct graph *g = z->target->model->graph;
    struct link kept = z->al.link[v->id];
    z->al.link[v->id] = *l;
    z->al.claims[l->source->id]++;
    double matched = 0;
    int evaluated = 0, ends = 0;
    for (int i = z->al.target_order[v->id] + 1; i < g->n_nodes && evaluated < WINDOW; i++) {
        const struct node *n = g->nodes[i];
        if (!reads_touched(&t, n) || n->n_out == 0 || !n->out[0] || !open[n->out[0]->id])
            continue;
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k])
                save(&t, n->out[k]);
        struct err e;
        evaluated++;
        if (evaluated > BARREN && matched == 0)
            break;
        if (!eval_all(z, n, &e))
            continue;
        for (int k = 0; k < n->n_out; k++) {
            struct link found;
            if (!n->out[k] || !is_dynamic(z, n->out[k]) ||
                !match_value(&z->al, n->out[k], 1e-6, &found))
                continue;
            bool claimed = z->al.claims[found.source->id] > 0 && found.source != l->source;
            matched += claimed ? 0.5 : 1;
            take_over(z, n->out[k], &found);
            if (n->out[k]->is_output)
                ends += is_partner(z, n->out[k], found.source) ? 1 : -2;
        }
    }
    z->al.link[v->id] = kept;
    z->al.claims[l->source->id]--;
    restore(&t);
    if (matched == 0)
        return 0;
    return matched + 2 * ends - 0.25 * (evaluated - matched);
}

static int lowest_source_order(const struct zipper *z, const struct node *f) {
    int low = INT32_MAX;
    for (int i = 0; i < f->n_in; i++)
        if (f->in[i] && f->in[i]->id < z->al.n_link && is_linked(z, f->in[i])) {
            int o = z->al.order[z->al.link[f->in[i]->id].source->id];
            low = o < low ? o : low;
        }
    return low == INT32_MAX ? -1 : low;
}

struct option {
    const struct value *s;
    int rank;
};

static int by_rank(const void *a, const void *b) {
    const struct option *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Source values that may stand for t: unclaimed, behind the frontier's inputs, of the same size;
 * the likeliest first. */
static int source_options(const struct zipper *z, const struct value *t, int low,
                          struct option *out) {
    const struct tensor *tt = trace_value(z->target, t, 0);
    struct option *all = NEW_ARRAY(z->arena, z->al.n_dynamic + 1, struct option);
    int n = 0;
    for (int i = 0; tt && i < z->al.n_dynamic; i++) {
        const struct value *s = z->al.dynamic[i];
        const struct tensor *st = trace_value(z->source, s, 0);
        if (z->al.order[s->id] < low || !st || st->kind != KIND_TENSOR ||
            tensor_count(st) != tensor_count(tt))
            continue;
        bool same = s->producer && t->producer && same_operator(s->producer, t->producer),
             claimed = z->al.claims[s->id] > 0;
        if (claimed && !same && z->al.order[s->id] > low)
            continue;
        all[n++] = (struct option) { s, z->al.order[s->id] - (same ? 100000 : 0) +
                                            (claimed ? 200000 : 0) };
    }
    if (n > 1)
        qsort(all, (size_t)n, sizeof *all, by_rank);
    n = n < SOURCES ? n : SOURCES;
    memcpy(out, all, (size_t)n * sizeof *all);
    return n;
}

static int hints_for(const struct zipper *z, const struct value *t, struct pair_view *out,
                     int max) {
    int n = 0;
    const struct graph *g = z->target->model->graph;
    for (int i = z->al.target_order[t->id]; i >= 0 && n < max; i--)
        for (int k = 0; k < g->nodes[i]->n_in && n < max; k++) {
            const struct value *v = g->nodes[i]->in[k];
            if (v && v->id < z->al.n_link && is_linked(z, v) && z->al.link[v->id].view.n_permute)
                out[n++] = z->al.link[v->id].view;
        }
    return n;
}

struct search {
    double score;
    const struct value *t;
    struct link link;
    int trials;
};

static void try_target(struct zipper *z, const struct value *t, int low, const bool *open,
                       struct search *best) {
    struct option options[SOURCES];
    int n = source_options(z, t, low, options);
    const struct tensor *tt = trace_value(z->target, t, 0);
    for (int i = 0; i < n && best->score < 6; i++) {
        struct pair_view views[VIEWS], hints[4];
        int n_hints = hints_for(z, t, hints, 4);
        int n_views = layout_candidates(trace_value(z->source, options[i].s, 0), tt, hints, n_hints,
                                        views, VIEWS);
        for (int k = 0; k < n_views && best->trials < MAX_TRIALS; k++) {
            struct link l = {
                .source = options[i].s, .view = views[k], .by = MATCHED_TOPOLOGY, .pinned = true
            };
            best->trials++;
            double score = try_pair(z, t, &l, open);
            if (score > best->score + 0.01) {
                best->score = score;
                best->t = t;
                best->link = l;
            }
            /* between axes of equal length the plain reading goes first: another is taken only
             * where it leads nowhere */
            if (views[k].identity && score > 0)
                break;
        }
    }
}

static const struct node *find_frontier(const struct zipper *z, const bool *open) {
    const struct graph *g = z->target->model->graph;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k] && open[g->nodes[i]->out[k]->id])
                return g->nodes[i];
    return NULL;
}

/* The output of the source that target output i stands for: by name, else by place. */
static int output_partner(const struct zipper *z, int i) {
    const struct graph *s = z->source->model->graph, *t = z->target->model->graph;
    for (int k = 0; k < s->n_outputs; k++)
        if (strcmp(s->outputs[k]->name, t->outputs[i]->name) == 0)
            return k;
    return s->n_outputs == t->n_outputs ? i : -1;
}

static bool *descendants(const struct zipper *z, const struct node *f) {
    const struct graph *g = z->target->model->graph;
    bool *reach = NEW_ARRAY(z->arena, z->al.n_link + 1, bool);
    for (int i = f->id; i < g->n_nodes; i++) {
        bool hit = g->nodes[i] == f;
        for (int k = 0; !hit && k < g->nodes[i]->n_in; k++)
            hit = g->nodes[i]->in[k] && g->nodes[i]->in[k]->id < z->al.n_link &&
                  reach[g->nodes[i]->in[k]->id];
        for (int k = 0; hit && k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k])
                reach[g->nodes[i]->out[k]->id] = true;
    }
    return reach;
}

/* Records the region that ends at t, pins t to its source value and goes on behind it. */
static void pin(struct zipper *z, const struct value *t, const struct link *l, bool lost) {
    struct region r = { .target = t, .source = l->source, .view = l->view, .lost = lost };
    fill_region(z, &r);
    r.error = zipper_error(z, t, l->source, &l->view);
    r.floor = zipper_floor(z, &r);
    r.quantized = !lost && zipper_quantized(z, &r);
    PUSH(z->arena, z->regions, z->n_regions, r);
    struct link pinned = *l;
    pinned.pinned = true;
    pinned.error = r.error;
    pinned.scale = r.scale;
    link_and_take(z, t, &pinned);
}

void zipper_pin(struct zipper *z, const struct value *v, const struct link *l) {
    link_and_take(z, v, l);
}

bool zipper_split(struct zipper *z, const struct region *r, const struct value *v,
                  const struct value *s, struct link *l, struct region *first,
                  struct region *rest) {
    const struct tensor *a = trace_value(z->source, s, 0), *b = trace_value(z->target, v, 0);
    if (!a || !b || a->kind != KIND_TENSOR || b->kind != KIND_TENSOR ||
        tensor_count(a) != tensor_count(b))
        return false;
    struct pair_view views[1], hints[4];
    if (layout_candidates(a, b, hints, hints_for(z, v, hints, 4), views, 1) < 1)
        return false;
    *l = (struct link) { .source = s, .view = views[0], .by = MATCHED_TOPOLOGY, .pinned = true };
    *first = (struct region) { .target = v, .source = s, .view = views[0] };
    fill_region(z, first);
    first->error = zipper_error(z, v, s, &views[0]);
    first->floor = zipper_floor(z, first);
    alignment_link(&z->al, v, l);
    *rest = *r;
    fill_region(z, rest);
    alignment_unlink(&z->al, v);
    return true;
}

/* An output with no counterpart for its contents: its region is all that is unlinked before it. */
static bool pin_outputs(struct zipper *z, const bool *open) {
    const struct graph *g = z->target->model->graph, *s = z->source->model->graph;
    bool any = false;
    for (int i = 0; i < g->n_outputs; i++) {
        const struct value *t = g->outputs[i];
        if (t->id >= z->al.n_link || !open[t->id] || is_linked(z, t) || z->output_of[i] < 0)
            continue;
        const struct value *sv = s->outputs[z->output_of[i]];
        const struct tensor *a = trace_value(z->source, sv, 0), *b = trace_value(z->target, t, 0);
        if (!a || !b || a->kind != KIND_TENSOR || b->kind != KIND_TENSOR)
            continue;
        struct pair_view view = { .identity = true }, hints[4];
        if (tensor_count(a) == tensor_count(b)) {
            struct pair_view views[VIEWS];
            int n = layout_candidates(a, b, hints, hints_for(z, t, hints, 4), views, VIEWS);
            double best = HUGE_VAL;
            for (int k = 0; k < n; k++) {
                double error = zipper_error(z, t, sv, &views[k]);
                if (error < best) {
                    best = error;
                    view = views[k];
                }
            }
        }
        struct link l = { .source = sv, .view = view, .by = MATCHED_TOPOLOGY };
        pin(z, t, &l, true);
        any = true;
    }
    return any;
}

/* A node that changed nothing looks like its own input, and may have been meant to change
 * something. When what follows goes wrong, its result is taken for unknown again. */
static bool doubt_inputs(struct zipper *z, const struct node *f) {
    static const char *const harmless[] = { "Identity",  "Cast",    "Reshape",
                                            "Transpose", "Flatten", "Squeeze",
                                            "Unsqueeze", "Dropout", "Expand" };
    bool any = false;
    for (int i = 0; i < f->n_in; i++) {
        const struct value *v = f->in[i];
        if (!v || v->id >= z->al.n_link || !is_linked(z, v) || z->al.link[v->id].pinned ||
            !v->producer || z->doubted[v->id])
            continue;
        bool moves = false, idle = false;
        for (size_t k = 0; k < sizeof harmless / sizeof *harmless; k++)
            moves = moves || node_is(v->producer, harmless[k]);
        for (int k = 0; !moves && k < v->producer->n_in; k++) {
            const struct value *u = v->producer->in[k];
            idle = idle || (u && u->id < z->al.n_link &&
                            z->al.link[u->id].source == z->al.link[v->id].source);
        }
        if (!idle)
            continue;
        z->doubted[v->id] = true;
        alignment_unlink(&z->al, v);
        any = true;
    }
    return any;
}

/* Finds where the models meet again behind the first divergence. False: nothing is left open. */
static bool resynchronise(struct zipper *z) {
    const struct graph *g = z->target->model->graph;
    bool *open = open_values(z);
    const struct node *f = find_frontier(z, open);
    if (!f || z->n_regions >= MAX_REGIONS)
        return false;
    if (doubt_inputs(z, f))
        return true;
    struct search best = { .score = 0 };
    const bool *reach = descendants(z, f);
    int low = lowest_source_order(z, f), tried = 0, samples = z->target->samples;
    look_at(z, samples < 2 ? samples : 2);
    for (int i = f->id; i < g->n_nodes && tried < TARGETS && best.trials < MAX_TRIALS; i++) {
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *t = g->nodes[i]->out[k];
            if (!t || !open[t->id] || !reach[t->id] || is_linked(z, t))
                continue;
            tried++;
            try_target(z, t, low, open, &best);
        }
        if (best.score >= 1.5)
            break;
    }
    look_at(z, samples);
    if (best.score <= 0)
        return pin_outputs(z, open);
    pin(z, best.t, &best.link, false);
    zip_from(z, z->al.target_order[best.t->id] + 1);
    return true;
}

/* Does t's own error, left as it is, change anything behind it? A mask of -1e9 + x instead of -1e9
 * does not. */
static bool spreads(const struct zipper *z, const struct value *t) {
    enum { LIMIT = 6 };
    const struct graph *g = z->target->model->graph;
    bool *stale = NEW_ARRAY(z->arena, z->al.n_link + 1, bool);
    struct zipper with = *z;
    with.stale = stale;
    with.n_stale = z->al.n_link;
    stale[t->id] = true;
    if (t->is_output)
        return true;
    int evaluated = 0;
    for (int i = z->al.target_order[t->id] + 1; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        bool hit = false;
        for (int k = 0; !hit && k < n->n_in; k++)
            hit = n->in[k] && n->in[k]->id < z->al.n_link && stale[n->in[k]->id];
        for (int k = 0; hit && k < n->n_out; k++) {
            const struct value *v = n->out[k];
            if (!v)
                continue;
            const struct link *l = &z->al.link[v->id];
            stale[v->id] = true;
            if (l->source && !l->pinned && l->error <= MATCH_EXACT * l->scale) {
                if (++evaluated > LIMIT)
                    return true;
                stale[v->id] = zipper_error(&with, v, l->source, &l->view) > MATCH_EXACT * l->scale;
            }
            if (stale[v->id] && v->is_output)
                return true;
        }
    }
    return false;
}

/* Linked values whose own error no rounding explains. */
static void near_regions(struct zipper *z) {
    const struct graph *g = z->target->model->graph;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *t = g->nodes[i]->out[k];
            const struct link *l = t ? &z->al.link[t->id] : NULL;
            if (!l || !l->source || l->pinned || l->error <= MATCH_EXACT * l->scale)
                continue;
            struct region r = {
                .target = t, .source = l->source, .view = l->view, .error = l->error
            };
            fill_region(z, &r);
            r.floor = zipper_floor(z, &r);
            r.quantized = r.error > r.floor && zipper_quantized(z, &r);
            int samples = z->target->samples;
            look_at(z, samples < 2 ? samples : 2);
            bool matters = r.error > r.floor && spreads(z, t);
            look_at(z, samples);
            if (matters)
                PUSH(z->arena, z->regions, z->n_regions, r);
        }
}

static void judge_outputs(struct zipper *z) {
    const struct graph *s = z->source->model->graph, *t = z->target->model->graph;
    for (int i = 0; i < t->n_outputs; i++) {
        struct link l;
        if (z->output_of[i] < 0)
            continue;
        const struct link *have = &z->al.link[t->outputs[i]->id];
        if (have->source == s->outputs[z->output_of[i]])
            z->output_ok[i] = !have->pinned;
        else
            z->output_ok[i] =
                match_pair(&z->al, s->outputs[z->output_of[i]], t->outputs[i], MATCH_NEAR, &l);
    }
}

/* An output that holds another value of the source than the one it stands for: outputs exchanged,
 * or a part of the model behind it is missing. */
static void output_regions(struct zipper *z) {
    const struct graph *s = z->source->model->graph, *t = z->target->model->graph;
    for (int i = 0; i < t->n_outputs; i++) {
        const struct value *v = t->outputs[i];
        struct link *l = &z->al.link[v->id];
        if (z->output_of[i] < 0 || z->output_ok[i] || !l->source || l->pinned ||
            l->source == s->outputs[z->output_of[i]])
            continue;
        struct region r = {
            .target = v, .source = s->outputs[z->output_of[i]], .contract = true, .output = i
        };
        struct pair_view view;
        const struct tensor *a = trace_value(z->source, r.source, 0),
                            *b = trace_value(z->target, v, 0);
        if (!a || !b || a->kind != KIND_TENSOR || b->kind != KIND_TENSOR)
            continue;
        r.view = (struct pair_view) { .identity = true };
        if (tensor_count(a) == tensor_count(b) && layout_candidates(a, b, NULL, 0, &view, 1) == 1)
            r.view = view;
        r.error =
            tensor_count(a) == tensor_count(b) ? zipper_error(z, v, r.source, &r.view) : INFINITY;
        fill_region(z, &r);
        r.nodes = NULL;
        r.n_nodes = 0;
        r.frontier = v->producer;
        PUSH(z->arena, z->regions, z->n_regions, r);
    }
}

static int by_place(const void *a, const void *b) {
    const struct region *x = a, *y = b;
    int i = x->target->producer ? x->target->producer->id : -1,
        k = y->target->producer ? y->target->producer->id : -1;
    return (i > k) - (i < k);
}

enum status zipper_run(struct zipper *z, struct trace *source, struct trace *target,
                       const struct link *input_links, const struct compare_options *o,
                       struct arena *a, struct err *e) {
    (void)e;
    *z = (struct zipper) { .arena = a, .source = source, .target = target };
    alignment_init(&z->al, source, target, a);
    z->al.hints = o->map;
    z->al.n_hints = o->n_map;
    const struct graph *t = target->model->graph;
    z->doubted = NEW_ARRAY(a, z->al.n_link + 1, bool);
    z->undetermined = NEW_ARRAY(a, t->n_nodes + 1, const char *);
    z->output_of = NEW_ARRAY(a, t->n_outputs + 1, int);
    z->output_ok = NEW_ARRAY(a, t->n_outputs + 1, bool);
    for (int i = 0; i < t->n_outputs; i++)
        z->output_of[i] = output_partner(z, i);
    for (int i = 0; i < t->n_inputs; i++)
        if (input_links[i].source)
            alignment_link(&z->al, t->inputs[i], &input_links[i]);
    zip_from(z, 0);
    while (resynchronise(z))
        ;
    near_regions(z);
    judge_outputs(z);
    output_regions(z);
    if (z->n_regions > 1)
        qsort(z->regions, (size_t)z->n_regions, sizeof *z->regions, by_place);
    bool *open = open_values(z);
    z->benign = NEW_ARRAY(a, z->al.n_link + 1, bool);
    for (int i = 0; i < t->n_values; i++)
        z->benign[t->values[i]->id] = !is_linked(z, t->values[i]) && !open[t->values[i]->id];
    return OK;
}
