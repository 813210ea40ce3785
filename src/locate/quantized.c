/* What declared quantization explains of a difference. */
#include <math.h>
#include <string.h>

#include "compare/ranges.h"
#include "locate/zipper_parts.h"
#include "ops/random.h"
#include "passes/fixed_point.h"

enum { MOST_TRIPS = 32 };
/* Values computed from 8-bit weights lie within this of their scale of the exact ones. */
#define MATCH_COARSE 0.1

static bool quantizes(const struct node *n) {
    for (int i = 0; i < n->n_attrs; i++)
        for (int k = 0; n->attrs[i].type == ATTR_GRAPH && k < n->attrs[i].graph->n_nodes; k++)
            if (quantizes(n->attrs[i].graph->nodes[k]))
                return true;
    static const char *const parts[] = { "DynamicQuantize", "QLinear",     "MatMulNBits",
                                         "MatMulInteger",   "ConvInteger", "QAttention" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(n->op, parts[i]))
            return true;
    return node_is(n, "QuantizeLinear") || node_is(n, "DequantizeLinear");
}

static bool narrow_constant(const struct node *n) {
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] && narrow_float(n->in[k]->constant))
            return true;
    return false;
}

static int count_quantizing(const struct node *const *nodes, int n) {
    int count = 0;
    for (int i = 0; i < n; i++)
        count += quantizes(nodes[i]) || narrow_constant(nodes[i]);
    return count;
}

bool zipper_narrow(const struct graph *g) {
    return count_quantizing((const struct node *const *)g->nodes, g->n_nodes) > 0;
}

/* --- a round trip through integers --- */

bool zipper_commutes(const struct node *n) {
    return moves_elements(n) || node_is(n, "MaxPool") || node_is(n, "Concat") ||
           node_is(n, "ReduceMax");
}

bool trip_begins(struct node *n, struct trip *out) {
    *out = (struct trip) { .quantize = n };
    if (!n || !quantizer_bounds(n, 0, &out->low, &out->high, &out->step) ||
        tensor_count(n->in[1]->constant) != 1)
        return false;
    out->before = n->in[0];
    return true;
}

/* Do both ends of a trip say the same scale and zero point? */
static bool same_ends(const struct node *q, const struct node *dq) {
    for (int i = 1; i < 3; i++) {
        const struct value *a = i < q->n_in ? q->in[i] : NULL, *b = i < dq->n_in ? dq->in[i] : NULL;
        if (a == b)
            continue;
        if (!a || !b || !a->constant || !b->constant || tensor_count(a->constant) != 1 ||
            tensor_count(b->constant) != 1 ||
            tensor_f64(a->constant, 0) != tensor_f64(b->constant, 0))
            return false;
    }
    return true;
}

bool trip_of(const struct value *v, struct trip *out) {
    enum { STEPS = 16 };
    const struct node *dq = v ? v->producer : NULL;
    if (!dq || !node_is(dq, "DequantizeLinear") || !dq->in[0])
        return false;
    struct node *q = dq->in[0]->producer;
    for (int i = 0; q && zipper_commutes(q) && q->in[0] && i < STEPS; i++)
        q = q->in[0]->producer;
    out->scale = NULL;
    if (q && node_is(q, "DynamicQuantizeLinear") && q == dq->in[0]->producer) {
        *out = (struct trip) { .before = q->in[0],
                               .quantize = q,
                               .low = -HUGE_VAL,
                               .high = HUGE_VAL,
                               .scale = q->out[1] };
        return out->scale != NULL;
    }
    if (!trip_begins(q, out))
        return false;
    out->moved = q != dq->in[0]->producer;
    return true;
}

/* The zero point of a computed grid is rounded, so its ends may lie a step off. */
double trip_step(const struct zipper *z, const struct trip *t, int k) {
    const struct tensor *s = t->scale ? trace_value(z->target, t->scale, k) : NULL;
    return s ? 2 * tensor_f64(s, 0) : t->step;
}

double trip_held(const struct trip *t, double x) {
    return x < t->low ? t->low : x > t->high ? t->high : x;
}

/* Is v, in every sample, the source's value as near as the integers can hold it? *error: how far it
 * is from the value itself; *sum: of all elements. */
static bool is_held(const struct zipper *z, const struct trip *trip, const struct value *v,
                    const struct value *source, const struct pair_view *view, double *error,
                    double *sum) {
    *error = *sum = 0;
    for (int k = 0; k < z->target->samples; k++) {
        const struct tensor *x = trace_value(z->source, source, k);
        struct tensor *as = NULL, *y = NULL;
        struct err e;
        double step = trip_step(z, trip, k);
        bool near = x && tensor_is_real(x) && zipper_replay(z, k, v, NULL, 0, &y, &e) == OK &&
                    tensor_count(x) == tensor_count(y) &&
                    layout_apply(&as, x, view, y->rank, y->dim, &e) == OK;
        for (int64_t i = 0; near && i < tensor_count(y); i++) {
            double from = tensor_f64(as, i), to = tensor_f64(y, i);
            near = fabs(to - trip_held(trip, from)) <= 0.500001 * step;
            *error = fmax(*error, fabs(to - from));
            *sum += fabs(to - from);
        }
        tensor_free(as);
        tensor_free(y);
        if (!near)
            return false;
    }
    return true;
}

enum { MOST_FOLLOWING = 12 };

/* s and the source values that follow it through operators which commute or cut off; returns how
 * many. */
static int following(const struct zipper *z, const struct value *s, const struct value **out) {
    const struct uses *u = z->al.source_uses;
    int n = 0;
    out[n++] = s;
    for (int at = 0; at < n; at++)
        for (int i = 0; i < u->n[out[at]->id] && n < MOST_FOLLOWING; i++) {
            const struct node *m = u->of[out[at]->id][i].node;
            bool goes_on = zipper_commutes(m) || node_is(m, "Relu") || node_is(m, "Clip");
            if (goes_on && m->graph == s->graph && m->n_out > 0 && m->out[0])
                out[n++] = m->out[0];
        }
    return n;
}

/* A source that quantizes the value itself says what the integers have to be. */
static bool source_quantizes(const struct zipper *z, const struct value *s) {
    const struct uses *u = z->al.source_uses;
    for (int i = 0; i < u->n[s->id]; i++)
        if (quantizes(u->of[s->id][i].node))
            return true;
    return s->producer && quantizes(s->producer);
}

/* Rows of a quantized table: the counterpart is looked up in the source's table. */
static bool looked_up(const struct zipper *z, const struct value *v, struct link *l) {
    const struct node *dq = v->producer;
    const struct node *gather =
        dq && node_is(dq, "DequantizeLinear") && dq->in[0] ? dq->in[0]->producer : NULL;
    while (gather && node_is(gather, "Transpose") && gather->in[0])
        gather = gather->in[0]->producer;
    const struct tensor *scale = gather && dq->in[1] ? dq->in[1]->constant : NULL;
    if (!scale || tensor_count(scale) != 1 || !node_is(gather, "Gather") || !gather->in[0] ||
        !gather->in[0]->constant)
        return false;
    const struct trip table = { .low = -HUGE_VAL,
                                .high = HUGE_VAL,
                                .step = 2 * fabs(tensor_f64(scale, 0)) };
    for (int i = 0; i < z->al.n_dynamic; i++) {
        const struct value *s = z->al.dynamic[i];
        const struct node *from = s->producer;
        while (from && node_is(from, "Transpose") && from->in[0])
            from = from->in[0]->producer;
        const struct tensor *c =
            from && node_is(from, "Gather") && from->in[0] ? from->in[0]->constant : NULL;
        const struct pair_view view = { .identity = true };
        double error, sum;
        if (!c || tensor_count(c) != tensor_count(gather->in[0]->constant) ||
            !is_held(z, &table, v, s, &view, &error, &sum))
            continue;
        *l = (struct link) { .source = s,
                             .view = view,
                             .error = error,
                             .scale = z->al.scale[s->id],
                             .by = MATCHED_WEIGHTS };
        return true;
    }
    return false;
}

bool zipper_round_trip(const struct zipper *z, const struct value *v, struct link *l) {
    enum { VIEWS = 6 };
    struct trip trip;
    if (!trip_of(v, &trip))
        return looked_up(z, v, l);
    if (trip.before->id >= z->al.n_link || !zipper_linked(z, trip.before))
        return false;
    const struct link *before = &z->al.link[trip.before->id];
    const struct value *list[MOST_FOLLOWING];
    if (source_quantizes(z, before->source))
        return false;
    int n = following(z, before->source, list);
    bool found = false;
    double least = 0;
    for (int i = 0; i < n; i++) {
        struct pair_view views[VIEWS];
        int n_views = 1;
        views[0] = before->view;
        if (trip.moved || i > 0)
            n_views = zipper_views(z, v, list[i], views, VIEWS);
        for (int k = 0; k < n_views; k++) {
            double error, sum;
            if (!is_held(z, &trip, v, list[i], &views[k], &error, &sum) ||
                (found && !(trip.moved ? sum <= least : sum < least)))
                continue;
            *l = (struct link) { .source = list[i],
                                 .view = views[k],
                                 .error = error,
                                 .scale = z->al.scale[list[i]->id],
                                 .by = before->by };
            found = true;
            least = sum;
            break;
        }
    }
    return found;
}

/* --- steps of the grids --- */

/* The step of the grid that a value's own range gives in 8 bits. */
static double range_step(const struct tensor *t) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        double v = tensor_f64(t, i);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    return (high - low) / 255;
}

static int quantized_moves(const struct zipper *z, const struct region *r, int k,
                           struct override *moves) {
    struct random random = { 11 };
    bool arrays = false;
    int n = replay_move_constants(z, r, false, moves, &arrays);
    for (int i = 0; i < r->n_inputs && n < MOST_CONSTANTS; i++) {
        const struct tensor *t = trace_value(z->target, r->inputs[i], k);
        if (!t || t->kind != KIND_TENSOR || !dtype_is_float(t->dtype))
            continue;
        struct tensor *m = replay_moved(t, range_step(t), false, &random);
        if (m)
            moves[n++] = (struct override) { r->inputs[i], m };
    }
    /* dequantized weights, by half a step of their grid and more */
    for (int i = 0; i < r->n_nodes && n < MOST_CONSTANTS; i++) {
        const struct value *out = r->nodes[i]->n_out ? r->nodes[i]->out[0] : NULL;
        struct tensor *t = NULL;
        struct err e;
        if (!out || !node_is(r->nodes[i], "DequantizeLinear") || trace_dynamic(z->target, out) ||
            zipper_replay(z, k, out, NULL, 0, &t, &e) != OK)
            continue;
        struct tensor *m = replay_moved(t, range_step(t), false, &random);
        tensor_free(t);
        if (m)
            moves[n++] = (struct override) { out, m };
    }
    return n;
}

/* The step of what movers hand on from a stored table; 0: v is nothing of the kind. */
static double table_step(const struct zipper *z, const struct value *v) {
    const struct node *dq = v ? v->producer : NULL;
    bool dynamic = dq && node_is(dq, "DequantizeLinear") && zipper_dynamic(z, dq->in[0]);
    const struct tensor *scale = dynamic ? dq->in[1]->constant : NULL;
    return scale && tensor_count(scale) == 1 ? fabs(tensor_f64(scale, 0)) : 0;
}

/* What a step of each round trip within the region does to its end, added up. */
static double trips_effect(const struct zipper *z, const struct region *r, int k) {
    struct random random = { 13 };
    double sum = 0;
    int found = 0;
    for (int i = 0; i < r->n_nodes && found < MOST_TRIPS; i++) {
        struct trip trip;
        const struct value *v = r->nodes[i]->n_out ? r->nodes[i]->out[0] : NULL;
        struct tensor *t = NULL;
        struct err e;
        double step = trip_of(v, &trip) ? trip_step(z, &trip, k) : table_step(z, v);
        if (step == 0 || zipper_replay(z, k, v, NULL, 0, &t, &e) != OK)
            continue;
        found++;
        struct override move = { v, replay_moved(t, step, false, &random) };
        tensor_free(t);
        if (!move.tensor)
            continue;
        double d = replay_effect(z, r, k, &move, 1);
        sum += d < HUGE_VAL ? d : 0;
        tensor_free(move.tensor);
    }
    return sum;
}

/* A region that is one round trip loses what its integers cannot hold, besides half a step. */
static bool is_round_trip(const struct zipper *z, struct region *r) {
    struct link l;
    struct trip trip;
    if (!zipper_round_trip(z, r->target, &l) || l.source != r->source)
        return false;
    r->cut = trip_of(r->target, &trip) && !trip.scale && l.error > trip.step ? l.error : 0;
    return true;
}

static bool is_linear(const struct node *n) {
    static const char *const names[] = { "Conv", "ConvTranspose", "Gemm", "MatMul" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (node_is(n, names[i]))
            return true;
    return false;
}

/* Does nothing but one linear operator, its bias and an activation stand on the source's side? Then
 * its constants are the target's, up to their steps. */
static bool plain_linear(const struct region *r) {
    int linear = 0;
    for (int i = 0; i < r->n_source_nodes; i++) {
        const struct node *n = r->source_nodes[i];
        bool constant = false;
        for (int k = 0; k < n->n_in; k++)
            constant = constant ||
                       (n->in[k] && n->in[k]->constant && tensor_count(n->in[k]->constant) > 1);
        linear += is_linear(n);
        if (constant && !is_linear(n) && !node_is(n, "Add") && !node_is(n, "Reshape"))
            return false;
    }
    return linear == 1;
}

/* A dequantized constant of the region for which the source has numbers of its own that lie
 * farther off than half a step. */
static bool unlike_source(const struct zipper *z, const struct region *r) {
    for (int i = 0; i < r->n_nodes; i++) {
        const struct node *n = r->nodes[i];
        if (!zipper_widens(z, n) || z->refined[n->out[0]->id])
            continue;
        const struct tensor *c = n->in[0]->constant;
        for (int k = 0; k < r->n_source_nodes; k++)
            for (int j = 0; j < r->source_nodes[k]->n_in; j++) {
                const struct value *v = r->source_nodes[k]->in[j];
                if (v && v->constant && dtype_is_float(v->constant->dtype) &&
                    tensor_count(v->constant) > 1 && tensor_count(v->constant) == tensor_count(c))
                    return true;
            }
    }
    return false;
}

bool region_narrows(const struct region *r) {
    return count_quantizing(r->nodes, r->n_nodes) > 0 &&
           count_quantizing(r->source_nodes, r->n_source_nodes) == 0;
}

/* The region's error when no round trip within it rounds; with SMOOTH_ALL nor cuts off. */
static double error_smoothed(const struct zipper *z, const struct region *r, enum smooth how) {
    struct zipper smooth = *z;
    smooth.smooth = how;
    return zipper_error(&smooth, r->target, r->source, &r->view);
}

/* A trip whose ends differ is no rounding: its region has to be judged as it is. */
static bool all_whole(const struct zipper *z, const struct region *r) {
    int n = 0;
    struct trip trip;
    for (int i = 0; i < r->n_nodes; i++) {
        const struct node *dq = r->nodes[i];
        if (!node_is(dq, "DequantizeLinear") || !zipper_dynamic(z, dq->in[0]))
            continue;
        if (trip_of(dq->out[0], &trip) && !same_ends(trip.quantize, dq))
            return false;
        n++;
    }
    return n > 0;
}

/* The least that the region's error comes to without what its round trips lose. *cut: how far off
 * the values are that they cut off. A lower end at zero may stand for a Relu, so it is tried both
 * ways. */
static double error_beside_trips(const struct zipper *z, const struct region *r, double *cut) {
    *cut = 0;
    if (!all_whole(z, r))
        return r->error;
    double rounded = fmin(r->error, error_smoothed(z, r, SMOOTH_ROUNDING));
    if (rounded <= r->floor)
        return rounded;
    double uncut = fmin(error_smoothed(z, r, SMOOTH_ABOVE_ZERO), error_smoothed(z, r, SMOOTH_ALL));
    *cut = uncut < rounded ? rounded : 0;
    return fmin(rounded, uncut);
}

bool zipper_quantized(const struct zipper *z, struct region *r) {
    if (count_quantizing(r->nodes, r->n_nodes) <=
        count_quantizing(r->source_nodes, r->n_source_nodes))
        return zipper_unrounded_error(z, r) <= r->floor;
    if (is_round_trip(z, r))
        return true;
    if (r->error > r->floor && plain_linear(r) && unlike_source(z, r))
        return false;
    double cut, left = error_beside_trips(z, r, &cut), explained = 0;
    for (int k = 0; k < z->target->samples && left > fmax(r->floor, 4 * explained); k++) {
        struct override moves[MOST_CONSTANTS + 1];
        int n = quantized_moves(z, r, k, moves);
        double d = replay_effect(z, r, k, moves, n);
        explained = fmax(explained, (d < HUGE_VAL ? d : 0) + trips_effect(z, r, k));
        replay_free(moves, n);
    }
    bool good = left <= fmax(r->floor, 4 * explained) || zipper_unrounded_error(z, r) <= r->floor;
    if (good && r->error > fmax(r->floor, 4 * explained))
        r->cut = cut;
    return good;
}

/* Does the node read weights that are stored in fewer bits and that the source does not have? */
static bool reads_narrow(const struct zipper *z, const struct node *n) {
    bool narrow = false;
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        const struct node *p = v ? v->producer : NULL;
        bool dequantized = p && node_is(p, "DequantizeLinear") && !trace_dynamic(z->target, v);
        if (!v || !(narrow_float(v->constant) || dequantized || zipper_widens(z, p)))
            continue;
        narrow = narrow || !z->refined[v->id];
    }
    return narrow;
}

/* Does the node read what went through integers without having a counterpart before? */
static bool reads_trip(const struct zipper *z, const struct node *n) {
    for (int k = 0; k < n->n_in; k++) {
        struct trip trip;
        if (n->in[k] && !zipper_linked(z, n->in[k]) && trip_of(n->in[k], &trip))
            return true;
    }
    return false;
}

bool zipper_coarse_match(const struct zipper *z, const struct value *v, bool clean,
                         struct link *l) {
    enum { FEW = 16 };
    const struct node *n = v->producer;
    bool narrow = n && reads_narrow(z, n);
    if (!n || !(narrow || (!clean && reads_trip(z, n))) ||
        !match_value(&z->al, v, clean || reads_trip(z, n) ? MATCH_COARSE : MATCH_NEAR, l))
        return false;
    struct region r = { .target = v, .source = l->source, .view = l->view, .error = l->error };
    region_fill(z, &r);
    return r.n_nodes <= FEW && (clean || !unlike_source(z, &r) || (narrow && !plain_linear(&r))) &&
           zipper_quantized(z, &r);
}
