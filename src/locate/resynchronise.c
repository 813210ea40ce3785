/* Resynchronisation: where the two models meet again behind a value without a counterpart. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "locate/zipper_parts.h"

enum {
    WINDOW = 24,
    BARREN = 6,
    DEEPEST = 5, /* values without a counterpart that are followed in a row */
    TARGETS = 40,
    SOURCES = 24,
    VIEWS = 6,
    MAX_TRIALS = 3000,
    MAX_REGIONS = 64,
    SURVEYED = 48 /* nodes of a region that ends at an output and may still only round */
};

/* Values that are no farther apart, relative to their scale, show how one is laid out as the other.
 */
#define NEARLY 0.02

struct saved {
    const struct value *v;
    struct tensor **at; /* [samples] */
    struct link link;
};

struct trial {
    struct zipper *z;
    struct saved *saved;
    int n_saved;
    /* By target value id: 0 not computed anew, 1 matched, more: so many values without a
     * counterpart in a row. */
    int *depth;
};

static void save(struct trial *t, const struct value *v) {
    if (t->depth[v->id])
        return;
    t->depth[v->id] = 1;
    struct saved s = { v, NEW_ARRAY(t->z->arena, t->z->target->samples, struct tensor *),
                       t->z->al.link[v->id] };
    for (int k = 0; k < t->z->target->samples; k++) {
        s.at[k] = t->z->target->env[k]->at[v->id];
        t->z->target->env[k]->at[v->id] = NULL;
        if (s.at[k])
            t->z->target->env[k]->at[v->id] = tensor_alias(s.at[k]);
    }
    PUSH(t->z->arena, t->saved, t->n_saved, s);
}

static void restore(struct trial *t) {
    for (int i = 0; i < t->n_saved; i++) {
        t->z->al.link[t->saved[i].v->id] = t->saved[i].link;
        for (int k = 0; k < t->z->target->samples; k++)
            exec_env_set(t->z->target->env[k], t->saved[i].v, t->saved[i].at[k]);
    }
}

/* Of the deepest input; 0: the trial does not reach the node. */
static int depth_of(const struct trial *t, const struct node *n) {
    int deepest = 0;
    struct reads r = node_reads(n, t->z->arena);
    for (int i = 0; i < r.n; i++)
        if (r.v[i] && r.v[i]->id < t->z->al.n_link && t->depth[r.v[i]->id] > deepest)
            deepest = t->depth[r.v[i]->id];
    return deepest;
}

/* The node's outputs lie behind values without a counterpart. */
static void give_up(struct trial *t, const struct node *n) {
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k])
            t->depth[n->out[k]->id] = DEEPEST + 1;
}

/* Runs the node and matches its outputs; returns how many are matched, those of values that have a
 * counterpart already by half. *ends: outputs of the model among them, minus those that are
 * another's. */
static double follow(struct trial *t, const struct node *n, const struct value *pinned, int depth,
                     int *ends) {
    struct zipper *z = t->z;
    struct err e;
    double matched = 0;
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k])
            save(t, n->out[k]);
    bool ran = zipper_evaluate(z, n, &e);
    for (int k = 0; k < n->n_out; k++) {
        struct link found;
        if (!n->out[k])
            continue;
        t->depth[n->out[k]->id] = depth + 1;
        if (!ran || !zipper_dynamic(z, n->out[k]) ||
            !(match_value(&z->al, n->out[k], 1e-6, &found) ||
              (zipper_coarse_match(z, n->out[k], false, &found) && found.source != pinned)))
            continue;
        t->depth[n->out[k]->id] = 1;
        z->al.link[n->out[k]->id] = found;
        matched += z->al.claims[found.source->id] > 0 && found.source != pinned ? 0.5 : 1;
        zipper_take_over(z, n->out[k], &found);
        if (n->out[k]->is_output)
            *ends += zipper_is_partner(z, n->out[k], found.source) ? 1 : -2;
    }
    return matched;
}

/* A value quantized and dequantized again stands for what it was: neither for nor against the pair.
 */
static bool follow_trip(struct trial *t, const struct node *n, int depth) {
    struct zipper *z = t->z;
    struct link found;
    struct err e;
    bool integers = node_is(n, "QuantizeLinear") ||
                    (zipper_commutes(n) && n->out[0] && dtype_is_int(n->out[0]->dtype));
    if (n->n_out != 1 || !(integers || node_is(n, "DequantizeLinear")))
        return false;
    save(t, n->out[0]);
    t->depth[n->out[0]->id] = depth;
    if (!zipper_evaluate(z, n, &e))
        return false;
    if (integers)
        return true;
    if (!zipper_round_trip(z, n->out[0], &found))
        return false;
    z->al.link[n->out[0]->id] = found;
    zipper_take_over(z, n->out[0], &found);
    return true;
}

/* How much of what follows matches once target value v is the source's: matched - missed, 0 when
 * nothing does. What depends on a miss tells less than the miss: another fault further on is no
 * argument against the pair. */
static double try_pair(struct zipper *z, const struct value *v, const struct link *l,
                       const bool *open) {
    struct trial t = { .z = z, .depth = NEW_ARRAY(z->arena, z->al.n_link + 1, int) };
    save(&t, v);
    zipper_take_over(z, v, l);
    const struct graph *g = z->target->model->graph;
    z->al.link[v->id] = *l;
    z->al.claims[l->source->id]++;
    double matched = 0, missed = 0;
    int evaluated = 0, ends = 0;
    for (int i = z->al.target_order[v->id] + 1; i < g->n_nodes && evaluated < WINDOW; i++) {
        const struct node *n = g->nodes[i];
        int depth = depth_of(&t, n);
        if (!depth || n->n_out == 0 || !n->out[0] || !open[n->out[0]->id])
            continue;
        if (depth > DEEPEST) {
            give_up(&t, n);
            continue;
        }
        if (follow_trip(&t, n, depth))
            continue;
        evaluated++;
        if (evaluated > BARREN && matched == 0)
            break;
        double found = follow(&t, n, l->source, depth, &ends);
        matched += found;
        if (found == 0)
            missed += depth == 1 ? 0.25 : 0.05;
    }
    z->al.claims[l->source->id]--;
    restore(&t);
    if (matched == 0)
        return 0;
    return matched + 2 * ends - missed;
}

static int lowest_source_order(const struct zipper *z, const struct node *f) {
    int low = INT32_MAX;
    struct reads r = node_reads(f, z->arena);
    for (int i = 0; i < r.n; i++)
        if (r.v[i] && r.v[i]->id < z->al.n_link && zipper_linked(z, r.v[i])) {
            int o = z->al.order[z->al.link[r.v[i]->id].source->id];
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

struct search {
    double score;
    const struct value *t;
    struct link link;
    int trials;
};

/* How far off t is from s through the view, relative to the scale of s, as things stand. */
static double apart(const struct zipper *z, const struct value *t, const struct value *s,
                    const struct pair_view *view) {
    const struct tensor *want = trace_value(z->source, s, 0), *got = trace_value(z->target, t, 0);
    struct tensor *as = NULL;
    struct err e;
    if (!want || !got || !tensor_is_real(want) || !tensor_is_real(got) ||
        layout_apply(&as, want, view, got->rank, got->dim, &e) != OK)
        return HUGE_VAL;
    double worst = 0;
    for (int64_t i = 0; i < tensor_count(got); i++)
        worst = fmax(worst, fabs(tensor_f64(as, i) - tensor_f64(got, i)));
    tensor_free(as);
    return worst / fmax(z->al.scale[s->id], 1e-300);
}

/* Where one view shows nearly the same numbers, the others are out of the question. */
static int keep_nearest(const struct zipper *z, const struct value *t, const struct value *s,
                        struct pair_view *views, int n) {
    double by[VIEWS], least = HUGE_VAL;
    int kept = 0;
    for (int i = 0; i < n; i++) {
        by[i] = n > 1 ? apart(z, t, s, &views[i]) : 0;
        least = fmin(least, by[i]);
    }
    if (n < 2 || least > NEARLY)
        return n;
    for (int i = 0; i < n; i++)
        if (by[i] <= 8 * least)
            views[kept++] = views[i];
    return kept;
}

static void try_target(struct zipper *z, const struct value *t, int low, const bool *open,
                       struct search *best) {
    struct option options[SOURCES];
    int n = source_options(z, t, low, options);
    const struct tensor *tt = trace_value(z->target, t, 0);
    for (int i = 0; i < n && best->score < 6; i++) {
        struct pair_view views[VIEWS], hints[4];
        int n_hints = region_hints(z, t, hints, 4);
        int n_views = layout_candidates(trace_value(z->source, options[i].s, 0), tt, hints, n_hints,
                                        views, VIEWS);
        n_views = keep_nearest(z, t, options[i].s, views, n_views);
        for (int k = 0; k < n_views && best->trials < MAX_TRIALS; k++) {
            if (!zipper_natural(z, t, options[i].s, &views[k]) ||
                !zipper_presents(z, t, options[i].s, &views[k]))
                continue;
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

/* Does the node only put linked values into integers, or move such integers? It has no counterpart
 * to look for. stored: by target value id. */
static bool stores_linked(const struct zipper *z, const struct node *n, bool *stored) {
    bool all = n->n_in > 0 && n->in[0] && n->n_out == 1 && n->out[0];
    if (all && node_is(n, "QuantizeLinear"))
        all = n->in[0]->id < z->al.n_link && zipper_linked(z, n->in[0]);
    else if (all && zipper_commutes(n))
        for (int k = 0; k < n->n_in; k++)
            all = all && (!n->in[k] || !zipper_dynamic(z, n->in[k]) || stored[n->in[k]->id]);
    else
        return false;
    if (all)
        stored[n->out[0]->id] = true;
    return all;
}

static const struct node *find_frontier(const struct zipper *z, const bool *open) {
    const struct graph *g = z->target->model->graph;
    bool *stored = NEW_ARRAY(z->arena, z->al.n_link + 1, bool);
    for (int i = 0; i < g->n_nodes; i++) {
        if (stores_linked(z, g->nodes[i], stored))
            continue;
        for (int k = 0; k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k] && open[g->nodes[i]->out[k]->id])
                return g->nodes[i];
    }
    return NULL;
}

static bool *descendants(const struct zipper *z, const struct node *f) {
    const struct graph *g = z->target->model->graph;
    bool *reach = NEW_ARRAY(z->arena, z->al.n_link + 1, bool);
    for (int i = f->id; i < g->n_nodes; i++) {
        bool hit = g->nodes[i] == f;
        struct reads r = node_reads(g->nodes[i], z->arena);
        for (int k = 0; !hit && k < r.n; k++)
            hit = r.v[k] && r.v[k]->id < z->al.n_link && reach[r.v[k]->id];
        for (int k = 0; hit && k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k])
                reach[g->nodes[i]->out[k]->id] = true;
    }
    return reach;
}

/* Records the region that ends at t, pins t to its source value and goes on behind it. What
 * rounding of constants explains is no region: t has its counterpart. */
static void pin(struct zipper *z, const struct value *t, const struct link *l, bool lost) {
    struct region r = { .target = t, .source = l->source, .view = l->view, .lost = lost };
    region_fill(z, &r);
    r.error = zipper_error(z, t, l->source, &l->view);
    r.floor = zipper_floor(z, &r);
    if (r.error <= r.floor) {
        struct link near = *l;
        near.pinned = false;
        near.error = r.error;
        near.scale = r.scale;
        zipper_pin(z, t, &near);
        return;
    }
    r.quantized = (!lost || r.n_nodes <= SURVEYED) && zipper_quantized(z, &r);
    PUSH(z->arena, z->regions, z->n_regions, r);
    struct link pinned = *l;
    pinned.pinned = true;
    pinned.error = r.error;
    pinned.scale = r.scale;
    zipper_pin(z, t, &pinned);
}

/* An output with no counterpart for its contents: its region is all that is unlinked before it. */
static bool pin_outputs(struct zipper *z, const bool *open) {
    const struct graph *g = z->target->model->graph, *s = z->source->model->graph;
    bool any = false;
    for (int i = 0; i < g->n_outputs; i++) {
        const struct value *t = g->outputs[i];
        if (t->id >= z->al.n_link || !open[t->id] || zipper_linked(z, t) || z->output_of[i] < 0)
            continue;
        const struct value *sv = s->outputs[z->output_of[i]];
        const struct tensor *a = trace_value(z->source, sv, 0), *b = trace_value(z->target, t, 0);
        if (!a || !b || a->kind != KIND_TENSOR || b->kind != KIND_TENSOR)
            continue;
        struct pair_view view = { .identity = true }, hints[4];
        if (tensor_count(a) == tensor_count(b)) {
            struct pair_view views[VIEWS];
            int n = layout_candidates(a, b, hints, region_hints(z, t, hints, 4), views, VIEWS);
            double best = HUGE_VAL;
            for (int k = 0; k < n; k++) {
                double error = zipper_presents(z, t, sv, &views[k])
                                   ? zipper_error(z, t, sv, &views[k])
                                   : HUGE_VAL;
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

static bool only_moves(const struct node *n) {
    static const char *const ops[] = { "Identity", "Cast",      "Reshape", "Transpose", "Flatten",
                                       "Squeeze",  "Unsqueeze", "Dropout", "Expand" };
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
        if (node_is(n, ops[k]))
            return true;
    return false;
}

/* A node that changed nothing looks like its own input, and may have been meant to change
 * something. When what follows goes wrong, its result is taken for unknown again. */
static bool doubt_inputs(struct zipper *z, const struct node *f) {
    bool any = false;
    for (int i = 0; i < f->n_in; i++) {
        const struct value *v = f->in[i];
        if (!v || v->id >= z->al.n_link || !zipper_linked(z, v) || z->al.link[v->id].pinned ||
            !v->producer || z->doubted[v->id])
            continue;
        bool moves = only_moves(v->producer), idle = false;
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

static bool is_all(const struct tensor *t, double x) {
    for (int64_t i = 0; i < tensor_count(t); i++)
        if (tensor_f64(t, i) != x)
            return false;
    return t->kind == KIND_TENSOR && dtype_is_float(t->dtype);
}

/* Adds nothing, or multiplies by one: a bias or a scale may have been lost there. */
static bool is_idle(const struct node *n) {
    bool adds = node_is(n, "Add") || node_is(n, "Sub"), scales = node_is(n, "Mul");
    const struct value *c = n->n_in == 2 ? n->in[1] : NULL;
    if (!(adds || scales) || n->n_out != 1)
        return false;
    if (!(c && c->constant) && !node_is(n, "Sub"))
        c = n->in[0];
    return c && c->constant && is_all(c->constant, adds ? 0 : 1);
}

/* Idle readers of the pair's target value belong to the region. */
static void take_idle_readers(const struct zipper *z, struct search *s) {
    const struct uses *u = z->al.target_uses;
    while (u->n[s->t->id] == 1 && !s->t->is_output) {
        const struct node *reader = u->of[s->t->id][0].node;
        if (!is_idle(reader) || reader->graph != z->target->model->graph ||
            zipper_linked(z, reader->out[0]))
            return;
        s->t = reader->out[0];
    }
}

/* Does the same operator, one that computes, make both sides of the pair, at the frontier itself?
 * Then a little that follows is enough: where each such node is faulty, more never does. */
static bool is_same_step(const struct search *s, const struct node *f) {
    const struct node *from = s->link.source->producer;
    return s->t->producer == f && from && same_operator(from, f) && !only_moves(f);
}

bool zipper_resynchronise(struct zipper *z) {
    const struct graph *g = z->target->model->graph;
    bool *open = zipper_open(z);
    const struct node *f = find_frontier(z, open);
    if (!f || z->n_regions >= MAX_REGIONS)
        return false;
    if (doubt_inputs(z, f))
        return true;
    struct search best = { .score = 0 };
    const bool *reach = descendants(z, f);
    int low = lowest_source_order(z, f), tried = 0, samples = z->target->samples;
    zipper_look_at(z, samples < 2 ? samples : 2);
    for (int i = f->id; i < g->n_nodes && tried < TARGETS && best.trials < MAX_TRIALS; i++) {
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *t = g->nodes[i]->out[k];
            if (!t || !open[t->id] || !reach[t->id] || zipper_linked(z, t))
                continue;
            tried++;
            try_target(z, t, low, open, &best);
        }
        if (best.score >= 1.5 || (best.score >= 0.5 && is_same_step(&best, f)))
            break;
    }
    zipper_look_at(z, samples);
    if (best.score <= 0)
        return pin_outputs(z, open);
    take_idle_readers(z, &best);
    pin(z, best.t, &best.link, false);
    zipper_zip(z, z->al.target_order[best.t->id] + 1);
    return true;
}
