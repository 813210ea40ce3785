/* Evaluating single values of the target from linked ones, and the noise floor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/metrics.h"
#include "locate/zipper_parts.h"
#include "ops/random.h"

struct replay {
    const struct zipper *z;
    struct exec_env *env; /* its own: aliases of linked values, results of the rest */
    const struct value *goal;
    int k, depth;
};

static enum status need(struct replay *r, const struct value *v, struct err *e);

static enum status need_captures(struct replay *r, const struct graph *g, struct err *e) {
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] && n->in[k]->graph == r->z->target->model->graph)
                TRY(need(r, n->in[k], e));
        for (int k = 0; k < n->n_attrs; k++)
            if (n->attrs[k].type == ATTR_GRAPH)
                TRY(need_captures(r, n->attrs[k].graph, e));
        if (n->body)
            TRY(need_captures(r, n->body, e));
    }
    for (int i = 0; i < g->n_outputs; i++)
        if (g->outputs[i]->graph == r->z->target->model->graph)
            TRY(need(r, g->outputs[i], e));
    return OK;
}

/* What the integers make of x but for rounding, as far as the replay leaves it. */
static double smoothed(enum smooth how, const struct trip *trip, double x) {
    if (how == SMOOTH_ROUNDING)
        return trip_held(trip, x);
    return how == SMOOTH_ABOVE_ZERO && trip->low == 0 && x < 0 ? 0 : x;
}

/* The value before a round trip, put into `env` in the place of v. */
static enum status need_smooth(struct replay *r, const struct trip *trip, const struct value *v,
                               struct exec_env *env, struct err *e) {
    TRY(need(r, trip->before, e));
    const struct tensor *x = r->env->at[trip->before->id];
    FAIL_IF(!x, e, STATUS_MISMATCH, "value '%s' was not computed", trip->before->name);
    struct tensor *held;
    TRY(tensor_new(&held, DT_F32, DT_F64, x->rank, x->dim, e));
    for (int64_t i = 0; i < tensor_count(x); i++)
        tensor_set_f64(held, i, smoothed(r->z->smooth, trip, tensor_f64(x, i)));
    exec_env_set(env, v, held);
    return OK;
}

/* A round trip with movers in it: what they hand on, as the numbers that the integers stand for. */
struct moving {
    struct replay *r;
    const struct node *dq; /* where it ends */
    struct exec_env *reals;
};

/* A stored table. */
static enum status widen_stored(const struct moving *m, const struct value *table, struct err *e) {
    const struct value *scale = m->dq->in[1], *zero = m->dq->n_in > 2 ? m->dq->in[2] : NULL;
    FAIL_IF(!scale->constant || tensor_count(scale->constant) != 1 || (zero && !zero->constant), e,
            STATUS_UNSUPPORTED, "a table with several scales");
    double step = tensor_f64(scale->constant, 0), offset = zero ? tensor_f64(zero->constant, 0) : 0;
    struct tensor *wide;
    TRY(tensor_new(&wide, DT_F32, DT_F64, table->constant->rank, table->constant->dim, e));
    for (int64_t i = 0; i < tensor_count(wide); i++)
        tensor_set_f64(wide, i, (tensor_f64(table->constant, i) - offset) * step);
    exec_env_set(m->reals, table, wide);
    return OK;
}

static enum status need_moved(const struct moving *m, const struct value *v, struct err *e) {
    struct node *n = v->producer;
    struct trip trip;
    if (m->reals->at[v->id])
        return OK;
    if (v->constant)
        return widen_stored(m, v, e);
    if (trip_begins(n, &trip))
        return need_smooth(m->r, &trip, v, m->reals, e);
    FAIL_IF(!n || !(zipper_commutes(n) || node_is(n, "Resize")) || node_is(n, "Pad") ||
                node_is(n, "Where"),
            e, STATUS_UNSUPPORTED, "'%s' does not hand on integers", v->name);
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            continue;
        if (n->in[i]->dtype == v->dtype && (i == 0 || node_is(n, "Concat"))) {
            TRY(need_moved(m, n->in[i], e));
            continue;
        }
        TRY(need(m->r, n->in[i], e));
        if (m->r->env->at[n->in[i]->id])
            exec_env_set(m->reals, n->in[i], tensor_alias(m->r->env->at[n->in[i]->id]));
    }
    return trace_node(m->r->z->target, m->reals, n, e);
}

/* False: the trip must be replayed as it is. */
static bool smooth_moved(struct replay *r, const struct value *v) {
    struct moving m = { r, v->producer, exec_env_new(r->z->target->exec) };
    struct err e;
    const struct value *stored = v->producer->in[0];
    bool good = need_moved(&m, stored, &e) == OK && m.reals->at[stored->id];
    if (good)
        exec_env_set(r->env, v, tensor_alias(m.reals->at[stored->id]));
    exec_env_free(m.reals);
    return good;
}

static bool is_refined(const struct zipper *z, const struct value *v) {
    return v->id < z->al.n_link && z->refined[v->id];
}

static enum status need(struct replay *r, const struct value *v, struct err *e) {
    if (v->id < r->env->n && r->env->at[v->id])
        return OK;
    const struct exec_env *full = r->z->target->env[r->k];
    bool stale = r->z->stale && v->id < r->z->n_stale && r->z->stale[v->id];
    bool stands =
        !v->producer || (v != r->goal && !stale && (zipper_linked(r->z, v) || is_refined(r->z, v)));
    if (stands && v->id < full->n && full->at[v->id]) {
        exec_env_set(r->env, v, tensor_alias(full->at[v->id]));
        return OK;
    }
    if (v->constant)
        return OK;
    FAIL_IF(!v->producer, e, STATUS_MISMATCH, "value '%s' was not computed", v->name);
    FAIL_IF(r->depth > 4000, e, STATUS_UNSUPPORTED, "the region is too deep to replay");
    struct trip trip;
    if (r->z->smooth && node_is(v->producer, "DequantizeLinear")) {
        if (trip_of(v, &trip) && !trip.moved)
            return need_smooth(r, &trip, v, r->env, e);
        if (zipper_dynamic(r->z, v) && smooth_moved(r, v))
            return OK;
    }
    r->depth++;
    const struct node *n = v->producer;
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            TRY(need(r, n->in[i], e));
    for (int i = 0; i < n->n_attrs; i++)
        if (n->attrs[i].type == ATTR_GRAPH)
            TRY(need_captures(r, n->attrs[i].graph, e));
    if (n->body)
        TRY(need_captures(r, n->body, e));
    r->depth--;
    return trace_node(r->z->target, r->env, n, e);
}

enum status zipper_replay(const struct zipper *z, int k, const struct value *v,
                          const struct override *overrides, int n_overrides, struct tensor **out,
                          struct err *e) {
    struct replay r = { .z = z, .env = exec_env_new(z->target->exec), .goal = v, .k = k };
    for (int i = 0; i < z->n_instead; i++)
        exec_env_set(r.env, z->instead[i].value, tensor_alias(z->instead[i].tensor));
    for (int i = 0; i < n_overrides; i++)
        exec_env_set(r.env, overrides[i].value, tensor_alias(overrides[i].tensor));
    enum status s = need(&r, v, e);
    *out = NULL;
    if (s == OK) {
        const struct tensor *t;
        s = exec_value(z->target->exec, r.env, v, &t, e);
        if (s == OK && t)
            *out = tensor_alias(t);
        else if (s == OK)
            s = err_set(e, STATUS_MISMATCH, "value '%s' was not computed", v->name);
    }
    exec_env_free(r.env);
    return s;
}

/* Largest difference; elements beyond the scale count relative to their size. */
static double distance(const struct tensor *a, const struct tensor *b, double scale) {
    double worst = 0;
    int64_t n = tensor_count(a);
    if (n != tensor_count(b))
        return INFINITY;
    tensor_touch(a);
    tensor_touch(b);
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_f64(a, i), y = tensor_f64(b, i);
        if (x == y || (x != x && y != y))
            continue;
        double d = fabs(x - y);
        if (fabs(x) > scale && fabs(x) < HUGE_VAL)
            d *= scale / fabs(x);
        worst = d != d ? INFINITY : fmax(worst, d);
    }
    return worst;
}

double zipper_error(const struct zipper *z, const struct value *v, const struct value *source,
                    const struct pair_view *view) {
    double worst = 0, scale = z->al.scale[source->id];
    for (int k = 0; k < z->target->samples; k++) {
        struct tensor *got = NULL, *want = NULL;
        const struct tensor *s = trace_value(z->source, source, k);
        struct err e;
        if (!s || zipper_replay(z, k, v, NULL, 0, &got, &e) != OK || got->kind != KIND_TENSOR ||
            tensor_count(got) != tensor_count(s) ||
            layout_apply(&want, s, view, got->rank, got->dim, &e) != OK) {
            tensor_free(got);
            return INFINITY;
        }
        tensor_to_paged(want, z->target->recycler);
        worst = fmax(worst, distance(want, got, scale));
        tensor_free(got);
        tensor_free(want);
        if (worst == INFINITY)
            break;
    }
    return worst;
}

/* --- the noise floor --- */

/* An order-free fingerprint of a constant's contents, the same for every dtype that holds the same
 * numbers. */
static uint64_t fingerprint(const struct tensor *t) {
    uint64_t h = 0;
    int64_t n = tensor_count(t);
    for (int64_t i = 0; i < n; i++) {
        double v = tensor_f64(t, i);
        if (v == 0)
            v = 0; /* -0 as 0 */
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        h += hash_mix(bits ^ UINT64_C(0x5bd1e9955bd1e995));
    }
    return h ^ (uint64_t)n;
}

static bool is_float_constant(const struct value *v) {
    return v->constant && v->constant->kind == KIND_TENSOR && dtype_is_float(v->constant->dtype);
}

struct constants {
    const struct value *list[MOST_CONSTANTS];
    int n;
};

static void gather_constants(const struct region *r, struct constants *c) {
    for (int i = 0; i < r->n_nodes; i++)
        for (int k = 0; k < r->nodes[i]->n_in; k++) {
            const struct value *v = r->nodes[i]->in[k];
            bool seen = !v || !is_float_constant(v) || v->is_input;
            for (int j = 0; !seen && j < c->n; j++)
                seen = c->list[j] == v;
            if (!seen && c->n < MOST_CONSTANTS)
                c->list[c->n++] = v;
        }
}

static bool source_has(const struct zipper *z, const struct tensor *t) {
    uint64_t h = fingerprint(t);
    const struct graph *g = z->source->model->graph;
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        if (is_float_constant(v) && tensor_count(v->constant) == tensor_count(t) &&
            fingerprint(v->constant) == h)
            return true;
    }
    return false;
}

struct tensor *replay_moved(const struct tensor *t, double step, bool up, struct random *r) {
    struct tensor *c, *copy;
    if (tensor_convert(&c, t, DT_F64, NULL) != OK)
        return NULL;
    if (tensor_new(&copy, t->dtype, DT_F64, t->rank, t->dim, NULL) != OK) {
        tensor_free(c);
        return NULL;
    }
    double *x = copy->data, scale = tensor_scale(t),
           unit = t->dtype == DT_F16    ? 0x1p-10
                  : t->dtype == DT_BF16 ? 0x1p-7
                                        : 0x1p-23;
    const double *from = c->data;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        double by = step > 0 ? step : fmax(fabs(from[i]), t->rank == 1 ? 0.25 * scale : 0) * unit;
        x[i] = from[i] + by * (up ? random_uniform(r) : 2 * random_uniform(r) - 1);
    }
    tensor_free(c);
    return copy;
}

static double finite(double d) {
    return d < HUGE_VAL ? d : 0;
}

void replay_free(struct override *moves, int n) {
    for (int i = 0; i < n; i++)
        tensor_free(moves[i].tensor);
}

double replay_effect(const struct zipper *z, const struct region *r, int k,
                     const struct override *moves, int n) {
    struct tensor *plain = NULL, *shaken = NULL;
    struct err e;
    double d = INFINITY;
    if (zipper_replay(z, k, r->target, NULL, 0, &plain, &e) == OK &&
        zipper_replay(z, k, r->target, moves, n, &shaken, &e) == OK)
        d = distance(plain, shaken, r->scale);
    tensor_free(plain);
    tensor_free(shaken);
    return d;
}

int replay_move_constants(const struct zipper *z, const struct region *r, bool up,
                          struct override *moves, bool *arrays) {
    struct constants c = { .n = 0 };
    struct random random = { 7 };
    int n = 0;
    gather_constants(r, &c);
    for (int i = 0; i < c.n; i++) {
        if (source_has(z, c.list[i]->constant))
            continue;
        *arrays = *arrays || tensor_count(c.list[i]->constant) > 1;
        struct tensor *t = replay_moved(c.list[i]->constant, 0, up, &random);
        if (t)
            moves[n++] = (struct override) { c.list[i], t };
    }
    return n;
}

static bool close_but_not_equal(double a, double b) {
    return a != b && fabs(a - b) <= 0x1p-20 * fmax(fabs(a), fabs(b));
}

/* Numbers that the two sides hold as attributes, or that are part of another operator's definition,
 * are rounded too. */
static bool rounded_otherwise(const struct region *r) {
    if (r->n_nodes != r->n_source_nodes)
        return true;
    for (int i = 0; i < r->n_nodes; i++) {
        const struct node *n = r->nodes[i], *m = r->source_nodes[i];
        if (strcmp(n->op, m->op) != 0)
            return true;
        for (int k = 0; k < n->n_attrs; k++) {
            const struct attr *a = &n->attrs[k], *b = node_attr(m, a->name);
            if (b && a->type == ATTR_FLOAT && b->type == ATTR_FLOAT &&
                close_but_not_equal(a->f, b->f))
                return true;
        }
    }
    return false;
}

static double largest(const struct zipper *z, const struct value *source) {
    double scale = 0;
    for (int k = 0; k < z->source->samples; k++) {
        const struct tensor *t = trace_value(z->source, source, k);
        scale = t ? fmax(scale, tensor_scale(t)) : scale;
    }
    return scale;
}

static bool any_resamples(const struct node *const *nodes, int n) {
    for (int i = 0; i < n; i++)
        if (node_is(nodes[i], "Resize") || node_is(nodes[i], "GridSample"))
            return true;
    return false;
}

/* Where one side has the weights of a resampling as constants, these were computed from coordinates
 * in float32: a coordinate of n is rounded by n units, and what is left of it behind the comma as
 * well. Gives n; 0 elsewhere. */
static int64_t coordinates(const struct zipper *z, const struct region *r) {
    if (any_resamples(r->nodes, r->n_nodes) == any_resamples(r->source_nodes, r->n_source_nodes))
        return 0;
    const struct tensor *t = trace_value(z->source, r->source, 0);
    int64_t n = 0;
    for (int k = 0; t && k < t->rank; k++)
        n = t->dim[k] > n ? t->dim[k] : n;
    return n;
}

double zipper_floor(const struct zipper *z, const struct region *r) {
    double floor = 1e-10 * r->scale + 1e-300, whole = fmin(largest(z, r->source), 1e3 * r->scale);
    int samples = z->target->samples < 2 ? z->target->samples : 2;
    bool arrays = false, failed = false;
    for (int up = 0; up < 2 && (up == 0 || failed); up++) {
        struct override moves[MOST_CONSTANTS];
        int n = replay_move_constants(z, r, up == 1, moves, &arrays);
        failed = false;
        for (int k = 0; n && k < samples; k++) {
            double d = replay_effect(z, r, k, moves, n);
            failed = failed ||
                     !(d < HUGE_VAL); /* another shape: a size was computed from the constant */
            floor = fmax(floor, 4 * finite(d));
        }
        replay_free(moves, n);
    }
    /* A folded scale is one rounded number per channel: its error is the same for all terms of a
     * sum. */
    if (arrays)
        floor = fmax(floor, 0x1p-20 * whole);
    if (rounded_otherwise(r))
        floor = fmax(floor, 0x1p-21 * whole);
    return fmax(floor, 0x1p-23 * (double)coordinates(z, r) * whole);
}
