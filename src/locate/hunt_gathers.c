/* An operator that only picks elements axis by axis (nearest resizing, mirror padding) and that the
 * target's format has no exact form of is written as one Gather an axis. The indices are read off
 * by running the source's node on ramps. */
#include <math.h>
#include <string.h>

#include "locate/hunt.h"

static bool picks(const struct node *m) {
    return node_is(m, "Resize") || node_is(m, "Pad") || strcmp(m->op, "MIRROR_PAD") == 0;
}

/* The source's node on an input that holds each element's index along the axis. */
static struct tensor *on_ramp(const struct hunt *h, const struct node *m, const struct tensor *x,
                              int axis) {
    struct trace *t = h->z->source;
    struct tensor *ramp, *out[4] = { NULL };
    struct err e;
    if (m->n_out > 4 || tensor_new(&ramp, x->dtype, x->store, x->rank, x->dim, &e) != OK)
        return NULL;
    int64_t inner = 1;
    for (int i = axis + 1; i < x->rank; i++)
        inner *= x->dim[i];
    for (int64_t i = 0; i < tensor_count(x); i++)
        tensor_set_f64(ramp, i, (double)(i / inner % x->dim[axis]));
    struct exec_env *env = exec_env_new(t->exec);
    for (int i = 1; i < m->n_in; i++)
        if (m->in[i] && t->env[0]->at[m->in[i]->id])
            exec_env_set(env, m->in[i], tensor_alias(t->env[0]->at[m->in[i]->id]));
    exec_env_set(env, m->in[0], ramp);
    enum status s = exec_node_detached(t->exec, env, m, out, &e);
    exec_env_free(env);
    for (int i = 1; i < m->n_out; i++)
        tensor_free(out[i]);
    return s == OK ? out[0] : NULL;
}

/* Index along the axis that each place along it takes; false when it is not that simple. */
static bool read_indices(const struct tensor *y, int axis, int64_t limit, int64_t *index) {
    int64_t inner = 1;
    for (int i = axis + 1; i < y->rank; i++)
        inner *= y->dim[i];
    for (int64_t i = 0; i < y->dim[axis]; i++)
        index[i] = -1;
    for (int64_t i = 0; i < tensor_count(y); i++) {
        double v = tensor_f64(y, i);
        int64_t at = i / inner % y->dim[axis];
        if (!(v >= 0 && v < (double)limit) || v != floor(v) ||
            (index[at] >= 0 && index[at] != (int64_t)v))
            return false;
        index[at] = (int64_t)v;
    }
    return true;
}

/* Place of axis among the axes that are longer than one, or back. */
static int squeezed_axis(const struct tensor *t, int axis) {
    int n = 0;
    for (int i = 0; i < axis; i++)
        n += t->dim[i] != 1;
    return t->dim[axis] == 1 ? -1 : n;
}

static int unsqueezed_axis(const struct tensor *t, int place) {
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != 1 && place-- == 0)
            return i;
    return -1;
}

/* Where the source's axis lies in the target; -1 when the view does not say. */
static int target_axis(const struct pair_view *view, const struct tensor *source,
                       const struct tensor *target, int axis) {
    if (!view->n_permute)
        return source->rank == target->rank ? axis : -1;
    bool whole = dims_equal(view->from, view->n_from, source->dim, source->rank) &&
                 source->rank == target->rank;
    int place = whole ? axis : squeezed_axis(source, axis);
    for (int k = 0; place >= 0 && k < view->n_permute; k++)
        if (view->permute[k] == place)
            return whole ? k : unsqueezed_axis(target, k);
    return -1;
}

static struct value *gather(struct hunt *h, struct patch *p, struct node *before, struct value *v,
                            const int64_t *index, int64_t n, int axis) {
    struct tensor *t = tensor_in_arena(h->target->arena, DT_I32, DT_I32, 1, &n);
    for (int64_t i = 0; i < n; i++)
        tensor_set_i64(t, i, index[i]);
    struct value *in[2] = { v, patch_constant(p, h->target->graph, "indices", t) };
    struct node *g = patch_node(p, h->target->graph, before, "Gather", "", in, 2, 1);
    node_set_int(g, "axis", axis);
    g->out[0]->dtype = v->dtype;
    return g->out[0];
}

static void try_node(struct hunt *h, const struct node *m) {
    const struct tensor *x = trace_value(h->z->source, m->in[0], 0),
                        *y = trace_value(h->z->source, m->out[0], 0);
    struct node *before = h->r->target->producer;
    struct pair_view view;
    struct value *v = before ? target_of(h, before, m->in[0], &view) : NULL;
    if (!v || !x || !y || x->rank != y->rank || m->out[0] != h->r->source ||
        !dtype_is_float(x->dtype))
        return;
    const struct tensor *tx = trace_value(h->z->target, v, 0);
    if (!tx)
        return;
    struct patch *p = patch_new(h->target, "gathers");
    for (int axis = 0; axis < x->rank; axis++) {
        struct tensor *on = on_ramp(h, m, x, axis);
        int64_t *index = NEW_ARRAY(h->arena, y->dim[axis] + 1, int64_t);
        bool simple = on && dims_equal(on->dim, on->rank, y->dim, y->rank) &&
                      read_indices(on, axis, x->dim[axis], index);
        tensor_free(on);
        if (!simple)
            return;
        bool same = x->dim[axis] == y->dim[axis];
        for (int64_t i = 0; same && i < y->dim[axis]; i++)
            same = index[i] == i;
        int at = target_axis(&view, x, tx, axis);
        if (!same && at < 0)
            return;
        if (!same)
            v = gather(h, p, before, v, index, y->dim[axis], at);
    }
    if (v->producer == NULL || h->r->target->producer->n_out != 1)
        return;
    patch_replace_uses(p, (struct value *)(size_t)h->r->target, v);
    patch_remove_node(p, before);
    struct candidate *c =
        hunt_add(h, node_is(m, "Resize") ? "resize-mode" : "pad-side", before, m, p, 38);
    candidate_detail(h, c, "operator", m->origin.op ? m->origin.op : m->op,
                     before->origin.op ? before->origin.op : before->op);
}

void hunt_gathers(struct hunt *h) {
    for (int i = 0; i < h->r->n_source_nodes; i++)
        if (picks(h->r->source_nodes[i]))
            try_node(h, h->r->source_nodes[i]);
}
