/* Weights that the target stores in integers and the source in full.
 *
 * Where each dequantized element lies within half a step of a source's constant, the declared
 * quantization explains the difference whole: the constant itself takes the place of the
 * dequantized one for the rest of the comparison. What is computed from it then agrees with the
 * source exactly, or is wrong for another reason. */
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

static bool within_steps(const struct grid *g, const struct tensor *exact,
                         const struct tensor *stored) {
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        double x = tensor_f64(exact, i), y = tensor_f64(stored, i);
        if (!(fabs(x - y) <= reach_at(g, i) + 1e-6 * fabs(x)))
            return false;
    }
    return true;
}

/* The source's constant, laid out as the target's, when the grid explains all that sets them apart.
 */
static struct tensor *finer(const struct grid *g, const struct tensor *stored,
                            const struct tensor *constant) {
    struct pair_view views[VIEWS];
    int n = layout_candidates(constant, stored, NULL, 0, views, VIEWS);
    for (int i = 0; i < n; i++) {
        struct tensor *as = NULL, *exact = NULL;
        struct err e;
        if (layout_apply(&as, constant, &views[i], stored->rank, stored->dim, &e) != OK)
            continue;
        bool good = within_steps(g, as, stored) && tensor_convert(&exact, as, DT_F64, &e) == OK;
        tensor_free(as);
        if (good) {
            exact->dtype = stored->dtype;
            return exact;
        }
    }
    return NULL;
}

static struct tensor *refinement_of(const struct zipper *z, const struct node *dq,
                                    const struct tensor *stored) {
    const struct graph *s = z->source->model->graph;
    struct grid g;
    if (!grid_of(dq, stored, &g))
        return NULL;
    for (int i = 0; i < s->n_values; i++) {
        const struct tensor *c = s->values[i]->constant;
        struct tensor *t = NULL;
        if (c && c->kind == KIND_TENSOR && dtype_is_float(c->dtype) &&
            tensor_count(c) == tensor_count(stored))
            t = finer(&g, stored, c);
        if (t)
            return t;
    }
    return NULL;
}

void zipper_refine(struct zipper *z) {
    const struct graph *g = z->target->model->graph;
    z->refined = NEW_ARRAY(z->arena, z->target->model->next_value_id + 1, bool);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        const struct value *v = n->n_out ? n->out[0] : NULL;
        struct err e;
        if (!v || !node_is(n, "DequantizeLinear") || !n->in[0] || !n->in[0]->constant ||
            zipper_dynamic(z, v) || !dtype_is_int(n->in[0]->constant->dtype) ||
            tensor_count(n->in[0]->constant) < 2 || !zipper_evaluate(z, n, &e))
            continue;
        struct tensor *exact = refinement_of(z, n, trace_value(z->target, v, 0));
        z->refined[v->id] = exact != NULL;
        for (int k = 0; exact && k < z->target->samples; k++)
            trace_set(z->target, v, k, tensor_alias(exact));
        tensor_free(exact);
    }
}
