#include "locate/zipper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/inputs.h"
#include "locate/zipper_parts.h"

bool zipper_linked(const struct zipper *z, const struct value *v) {
    return v->id < z->al.n_link && z->al.link[v->id].source;
}

bool zipper_dynamic(const struct zipper *z, const struct value *v) {
    return trace_dynamic(z->target, v);
}

void zipper_take_over(struct zipper *z, const struct value *t, const struct link *l) {
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
        trace_set(z->target, t, k, as);
    }
}

void zipper_pin(struct zipper *z, const struct value *t, const struct link *l) {
    alignment_link(&z->al, t, l);
    zipper_take_over(z, t, l);
}

bool zipper_evaluate(struct zipper *z, const struct node *n, struct err *e) {
    for (int k = 0; k < z->target->samples; k++)
        if (trace_node(z->target, z->target->env[k], n, e) != OK)
            return false;
    return true;
}

/* Linked, or made of linked values by nodes that only move, pad or retype them. */
static bool is_clean(const struct zipper *z, const struct value *v, int depth) {
    static const char *const plain[] = { "Pad",       "Transpose", "Reshape",
                                         "Cast",      "Identity",  "Squeeze",
                                         "Unsqueeze", "Flatten",   "DequantizeLinear" };
    if (!v || !zipper_dynamic(z, v) || zipper_linked(z, v))
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
    struct reads r = node_reads(n, z->arena);
    for (int i = 0; i < r.n; i++)
        if (!is_clean(z, r.v[i], 0))
            return false;
    return true;
}

static bool any_output_pinned(const struct zipper *z, const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && z->al.link[n->out[i]->id].pinned)
            return true;
    return false;
}

/* Adds a bias, or scales. */
static bool completes(const struct node *n) {
    bool constant = false;
    for (int i = 0; i < n->n_in; i++)
        constant = constant || (n->in[i] && n->in[i]->constant);
    return constant && (node_is(n, "Add") || node_is(n, "Sub") || node_is(n, "Mul") ||
                        node_is(n, "BatchNormalization"));
}

/* A product without its bias is near the product with it. When the value's only reader, run on it
 * as it is, gives the source's value exactly, that reader is the counterpart; so it is when it adds
 * the bias and comes as near (a bias that was lost). */
static bool completed_by_reader(struct zipper *z, const struct value *v, const struct link *near) {
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
    return zipper_evaluate(z, reader, &e) &&
           match_pair(&z->al, near->source, reader->out[0],
                      completes(reader) ? fmax(MATCH_NEAR, 2 * near->error / near->scale) : 1e-6,
                      &l) &&
           (l.error <= 1e-6 * l.scale || l.error <= near->error);
}

static bool counterpart(struct zipper *z, const struct node *n, const struct value *v,
                        struct link *l) {
    if (zipper_round_trip(z, v, l))
        return true;
    bool clean = inputs_linked(z, n);
    if (match_value(&z->al, v, clean ? MATCH_NEAR : 1e-6, l))
        return zipper_presents(z, v, l->source, &l->view) &&
               (l->error <= 1e-6 * l->scale || !completed_by_reader(z, v, l));
    return zipper_coarse_match(z, v, clean, l) && !completed_by_reader(z, v, l);
}

void zipper_zip(struct zipper *z, int first) {
    const struct graph *g = z->target->model->graph;
    for (int i = first; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        progress_show(z->progress, "matching the values", i + 1, g->n_nodes);
        bool all_linked = n->n_out > 0;
        for (int k = 0; k < n->n_out; k++)
            all_linked = all_linked && (!n->out[k] || zipper_linked(z, n->out[k]));
        if (all_linked || any_output_pinned(z, n) ||
            (n->n_out && n->out[0] && z->refined[n->out[0]->id]))
            continue;
        struct err e = { 0 };
        z->undetermined[i] = NULL;
        if (!zipper_evaluate(z, n, &e)) {
            z->undetermined[i] =
                arena_printf(z->arena, "%s%s%s", e.where, e.where[0] ? ": " : "", e.what);
            continue;
        }
        for (int k = 0; k < n->n_out; k++) {
            struct link l;
            if (n->out[k] && zipper_dynamic(z, n->out[k]) && !z->doubted[n->out[k]->id] &&
                counterpart(z, n, n->out[k], &l))
                zipper_pin(z, n->out[k], &l);
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
        struct reads r = { .n = 0 };
        if (matters)
            r = node_reads(n, z->arena);
        for (int k = 0; k < r.n; k++)
            if (r.v[k] && r.v[k]->id < z->al.n_link && !zipper_linked(z, r.v[k]))
                open[r.v[k]->id] = true;
    }
    return open;
}

static bool unlinked(const struct zipper *z, const struct value *v) {
    return !zipper_linked(z, v);
}

bool *zipper_open(const struct zipper *z) {
    bool *open = reaches(z, unlinked);
    for (int i = 0; i < z->target->model->graph->n_values; i++) {
        const struct value *v = z->target->model->graph->values[i];
        if (v->id < z->al.n_link && !zipper_dynamic(z, v))
            open[v->id] = false;
    }
    return open;
}

void zipper_look_at(struct zipper *z, int samples) {
    z->source->samples = samples;
    z->target->samples = samples;
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
        struct reads r = node_reads(n, z->arena);
        bool hit = false;
        for (int k = 0; !hit && k < r.n; k++)
            hit = r.v[k] && r.v[k]->id < z->al.n_link && stale[r.v[k]->id];
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
            struct link *l = t ? &z->al.link[t->id] : NULL;
            if (!l || !l->source || l->pinned || l->error <= MATCH_EXACT * l->scale)
                continue;
            /* what it reads may have been linked since */
            double error = zipper_error(z, t, l->source, &l->view);
            l->error = error < l->error ? error : l->error;
            if (l->error <= MATCH_EXACT * l->scale)
                continue;
            struct region r = {
                .target = t, .source = l->source, .view = l->view, .error = l->error
            };
            region_fill(z, &r);
            r.floor = zipper_floor(z, &r);
            r.quantized = r.error > r.floor && zipper_quantized(z, &r);
            int samples = z->target->samples;
            zipper_look_at(z, samples < 2 ? samples : 2);
            bool matters = r.error > r.floor && spreads(z, t);
            zipper_look_at(z, samples);
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
                match_pair(&z->al, s->outputs[z->output_of[i]], t->outputs[i], MATCH_NEAR, &l) &&
                zipper_presents(z, t->outputs[i], l.source, &l.view);
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
        region_fill(z, &r);
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
    z->progress = o->progress;
    z->al.hints = o->map;
    z->al.n_hints = o->n_map;
    const struct graph *t = target->model->graph;
    z->doubted = NEW_ARRAY(a, z->al.n_link + 1, bool);
    z->undetermined = NEW_ARRAY(a, t->n_nodes + 1, const char *);
    z->output_of = NEW_ARRAY(a, t->n_outputs + 1, int);
    z->output_ok = NEW_ARRAY(a, t->n_outputs + 1, bool);
    for (int i = 0; i < t->n_outputs; i++)
        z->output_of[i] = output_partner(source->model->graph, t, i);
    for (int i = 0; i < t->n_inputs; i++)
        if (input_links[i].source)
            alignment_link(&z->al, t->inputs[i], &input_links[i]);
    zipper_refine(z);
    zipper_zip(z, 0);
    while (zipper_resynchronise(z))
        ;
    near_regions(z);
    judge_outputs(z);
    output_regions(z);
    if (z->n_regions > 1)
        qsort(z->regions, (size_t)z->n_regions, sizeof *z->regions, by_place);
    bool *open = zipper_open(z);
    z->benign = NEW_ARRAY(a, z->al.n_link + 1, bool);
    for (int i = 0; i < t->n_values; i++)
        z->benign[t->values[i]->id] = !zipper_linked(z, t->values[i]) && !open[t->values[i]->id];
    return OK;
}
