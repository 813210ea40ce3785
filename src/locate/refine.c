/* Weights that the target stores in integers or in 16-bit floats and the source in full.
 *
 * Where each widened element lies within half a step of a source's constant, the declared storage
 * explains the difference whole: the constant itself takes the place of the widened one for the
 * rest of the comparison. What is computed from it then agrees with the source exactly, or is wrong
 * for another reason. */
#include <math.h>
#include <string.h>

#include "locate/zipper_parts.h"

enum { VIEWS = 24 };

bool grid_of(const struct node *dq, const struct tensor *result, struct grid *g) {
    *g = (struct grid) { .integers = dq->in[0] ? dq->in[0]->constant : NULL,
                         .scale = dq->in[1] ? dq->in[1]->constant : NULL,
                         .inner = 1 };
    if (!g->scale || !tensor_is_real(g->scale))
        return false;
    g->channels = tensor_count(g->scale);
    if (g->channels == 1)
        return true;
    const struct attr *a = node_attr(dq, "axis");
    int64_t axis = a ? a->i : 1;
    axis += axis < 0 ? result->rank : 0;
    if (axis < 0 || axis >= result->rank || result->dim[axis] != g->channels)
        return false;
    for (int k = (int)axis + 1; k < result->rank; k++)
        g->inner *= result->dim[k];
    return true;
}

int64_t channel_at(const struct grid *g, int64_t i) {
    return g->channels == 1 ? 0 : i / g->inner % g->channels;
}

double step_at(const struct grid *g, int64_t i) {
    return fabs(tensor_f64(g->scale, channel_at(g, i)));
}

/* The smallest and the largest integer also stand for numbers up to a step beyond: zero points are
 * rounded, and what then lies outside is cut off. */
static double reach_at(const struct grid *g, int64_t i) {
    int64_t least, most, q = tensor_i64(g->integers, i);
    dtype_int_bounds(g->integers->dtype, &least, &most);
    return (q <= least || q >= most ? 1 : 0.5) * step_at(g, i);
}

bool narrow_float(const struct tensor *t) {
    return t && t->kind == KIND_TENSOR && (t->dtype == DT_F16 || t->dtype == DT_BF16);
}

static bool within_spacing(enum dtype narrow, const struct tensor *exact,
                           const struct tensor *stored) {
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        double x = tensor_f64(exact, i), y = tensor_f64(stored, i);
        if (x != y && !(fabs(x - y) <= 0.5 * float_spacing(narrow, y)))
            return false;
    }
    return true;
}

static bool within_steps(const struct grid *g, const struct tensor *exact,
                         const struct tensor *stored) {
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        double x = tensor_f64(exact, i), y = tensor_f64(stored, i);
        if (!(fabs(x - y) <= reach_at(g, i) + 1e-6 * fabs(x)))
            return false;
    }
    return true;
}

/* How the target stores a constant: on a grid, or in a 16-bit float type. */
struct storage {
    struct grid grid;
    enum dtype narrow; /* DT_NONE: on the grid */
};

/* The source's constant, laid out as the target's, when its storage explains all that sets them
 * apart. */
static struct tensor *finer(const struct storage *how, const struct tensor *stored,
                            const struct tensor *constant) {
    struct pair_view views[VIEWS];
    int n = layout_candidates(constant, stored, NULL, 0, views, VIEWS);
    for (int i = 0; i < n; i++) {
        struct tensor *as = NULL, *exact = NULL;
        struct err e;
        if (layout_apply(&as, constant, &views[i], stored->rank, stored->dim, &e) != OK)
            continue;
        bool good = (how->narrow == DT_NONE ? within_steps(&how->grid, as, stored)
                                            : within_spacing(how->narrow, as, stored)) &&
                    tensor_convert(&exact, as, DT_F64, &e) == OK;
        tensor_free(as);
        if (good) {
            exact->dtype = stored->dtype;
            return exact;
        }
    }
    return NULL;
}

/* A constant of the source, or what it computes of constants. */
static const struct tensor *fixed_value(const struct zipper *z, const struct value *v) {
    const struct tensor *c = v->constant;
    if (!c && v->producer && !trace_dynamic(z->source, v))
        c = trace_value(z->source, v, 0);
    return c && c->kind == KIND_TENSOR && dtype_is_float(c->dtype) ? c : NULL;
}

static struct tensor *refinement_of(const struct zipper *z, const struct storage *how,
                                    const struct tensor *stored) {
    const struct graph *s = z->source->model->graph;
    for (int i = 0; i < s->n_values; i++) {
        const struct tensor *c = fixed_value(z, s->values[i]);
        struct tensor *t =
            c && tensor_count(c) == tensor_count(stored) ? finer(how, stored, c) : NULL;
        if (t)
            return t;
    }
    return NULL;
}

static void refine(struct zipper *z, const struct value *v, const struct storage *how) {
    const struct tensor *stored = trace_value(z->target, v, 0);
    struct tensor *exact = stored ? refinement_of(z, how, stored) : NULL;
    z->refined[v->id] = exact != NULL;
    for (int k = 0; exact && k < z->target->samples; k++)
        trace_set(z->target, v, k, tensor_alias(exact));
    tensor_free(exact);
}

bool zipper_widens(const struct zipper *z, const struct node *n) {
    const struct value *v = n && n->n_out ? n->out[0] : NULL;
    const struct tensor *c = v && n->n_in ? (n->in[0] ? n->in[0]->constant : NULL) : NULL;
    if (!c || zipper_dynamic(z, v))
        return false;
    return (node_is(n, "DequantizeLinear") && dtype_is_int(c->dtype)) ||
           (node_is(n, "Cast") && narrow_float(c) && dtype_is_float(v->dtype));
}

void zipper_refine(struct zipper *z) {
    const struct graph *g = z->target->model->graph;
    z->refined = NEW_ARRAY(z->arena, z->target->model->next_value_id + 1, bool);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        struct storage how = { .narrow = DT_NONE };
        struct err e;
        if (!zipper_widens(z, n) || tensor_count(n->in[0]->constant) < 2 ||
            !zipper_evaluate(z, n, &e))
            continue;
        if (narrow_float(n->in[0]->constant))
            how.narrow = n->in[0]->constant->dtype;
        else if (!grid_of(n, trace_value(z->target, n->out[0], 0), &how.grid))
            continue;
        refine(z, n->out[0], &how);
    }
    for (int i = 0; i < g->n_values; i++) { /* read as they are stored */
        const struct value *v = g->values[i];
        if (narrow_float(v->constant) && !v->is_input && tensor_count(v->constant) > 1)
            refine(z, v, &(struct storage) { .narrow = v->constant->dtype });
    }
}
