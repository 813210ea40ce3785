/* Which views a pair of values may have, by what made them: spatial operators say where their
 * channels are, and what works element by element keeps the order of its input. Between axes of
 * equal length the contents of a faulty value cannot tell. */
#include <string.h>

#include "locate/zipper_parts.h"
#include "ops/op.h"

enum order { ORDER_UNKNOWN, ORDER_FIRST, ORDER_LAST, ORDER_FLAT };

static enum order order_of(const struct value *v, int depth) {
    const struct node *n = v ? v->producer : NULL;
    if (!n || !n->def || n->domain[0] || depth > 8)
        return ORDER_UNKNOWN;
    for (const struct attr_def *d = n->def->attrs; d && d->name; d++)
        if (strcmp(d->name, "layout") == 0 && d->type == ATTR_STRING) {
            const char *layout = attr_str(n, "layout");
            return strcmp(layout, "NCHW") == 0   ? ORDER_FIRST
                   : strcmp(layout, "NHWC") == 0 ? ORDER_LAST
                                                 : ORDER_UNKNOWN;
        }
    if (node_is(n, "Gemm"))
        return ORDER_FLAT;
    if (!(n->def->flags & OP_ELEMENTWISE))
        return ORDER_UNKNOWN;
    enum order found = ORDER_UNKNOWN;
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i] || n->in[i]->constant)
            continue;
        enum order o = order_of(n->in[i], depth + 1);
        if (o == ORDER_UNKNOWN || (found && o != found))
            return ORDER_UNKNOWN;
        found = o;
    }
    return found;
}

/* Axis of the source that stands at place k once the channels are moved. */
static int moved_axis(int rank, int k, bool to_last) {
    if (k == 0)
        return 0;
    if (to_last)
        return k == rank - 1 ? 1 : k + 1;
    return k == 1 ? rank - 1 : k - 1;
}

/* The view's axes are those of the channel move (and nothing else moves), axes of length 1 apart.
 */
static bool moves_channels(const struct pair_view *view, const struct tensor *source,
                           bool to_last) {
    int axes[MAX_RANK], squeezed[MAX_RANK], n = 0, rank = source->rank;
    for (int i = 0, k = 0; i < rank; i++)
        squeezed[i] = source->dim[i] == 1 ? -1 : k++;
    for (int k = 0; k < rank; k++) {
        int axis = moved_axis(rank, k, to_last);
        if (squeezed[axis] >= 0)
            axes[n++] = squeezed[axis];
    }
    int m = 0, place[MAX_RANK];
    for (int i = 0, k = 0; i < view->n_from; i++)
        place[i] = view->from[i] == 1 ? -1 : k++;
    for (int k = 0; k < view->n_permute; k++) {
        int p = place[view->permute[k]];
        if (p < 0)
            continue;
        if (m == n || axes[m++] != p)
            return false;
    }
    return m == n;
}

/* Leaves the axes that are longer than one where they are? */
static bool channels_stay(const struct tensor *source, bool to_last) {
    int last = -1, rank = source->rank;
    for (int k = 0; k < rank; k++) {
        int axis = moved_axis(rank, k, to_last);
        if (source->dim[axis] == 1)
            continue;
        if (axis < last)
            return false;
        last = axis;
    }
    return true;
}

bool zipper_natural(const struct zipper *z, const struct value *t, const struct value *s,
                    const struct pair_view *view) {
    enum order a = order_of(s, 0), b = order_of(t, 0);
    const struct tensor *source = trace_value(z->source, s, 0);
    if (a == ORDER_UNKNOWN || b == ORDER_UNKNOWN || !source)
        return true;
    if (a == b)
        return view->n_permute == 0;
    if (a == ORDER_FLAT || b == ORDER_FLAT || source->rank < 3)
        return true;
    bool to_last = a == ORDER_FIRST;
    return view->n_permute ? moves_channels(view, source, to_last) : channels_stay(source, to_last);
}

bool zipper_is_partner(const struct zipper *z, const struct value *output,
                       const struct value *source) {
    const struct graph *t = z->target->model->graph;
    for (int i = 0; i < t->n_outputs; i++)
        if (t->outputs[i] == output &&
            (z->output_of[i] < 0 || z->source->model->graph->outputs[z->output_of[i]] == source))
            return true;
    return false;
}

bool zipper_presents(const struct zipper *z, const struct value *t, const struct value *s,
                     const struct pair_view *view) {
    const struct tensor *a = trace_value(z->source, s, 0), *b = trace_value(z->target, t, 0);
    if (!t->is_output || !zipper_is_partner(z, t, s) || !a || !b ||
        !dims_equal(a->dim, a->rank, b->dim, b->rank))
        return true;
    if (view->n_permute == 0)
        return !view->elements;
    if (strcmp(z->source->model->format, z->target->model->format) == 0)
        return false;
    return moves_channels(view, a, true) || moves_channels(view, a, false);
}
