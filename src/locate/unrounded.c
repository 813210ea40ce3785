/* A region without the rounding that it computes the scale of itself: DynamicQuantizeLinear takes
 * the scale from the data, so what it and its DequantizeLinear do is rounding to 8 bits and nothing
 * else. In a loop that rounding adds up over the steps. */
#include <math.h>

#include "ir/patch.h"
#include "locate/zipper_parts.h"

static const struct node *dynamic_quantizer(const struct value *v) {
    const struct node *p = v ? v->producer : NULL;
    return p && node_is(p, "DynamicQuantizeLinear") && p->out[0] == v ? p : NULL;
}

/* Readers of what was quantized and dequantized read the numbers themselves. */
static int take_out(struct patch *p, const struct node *n) {
    int count = 0;
    for (int i = 0; i < n->n_attrs; i++)
        for (int k = 0; n->attrs[i].type == ATTR_GRAPH && k < n->attrs[i].graph->n_nodes; k++)
            count += take_out(p, n->attrs[i].graph->nodes[k]);
    const struct node *q = node_is(n, "DequantizeLinear") ? dynamic_quantizer(n->in[0]) : NULL;
    if (!q || n->in[1] != q->out[1])
        return count;
    patch_replace_uses(p, n->out[0], q->in[0]);
    return count + 1;
}

double zipper_unrounded_error(const struct zipper *z, const struct region *r) {
    struct patch *p = patch_new(z->target->model, "unrounded");
    struct err e;
    int count = 0;
    for (int i = 0; i < r->n_nodes; i++)
        count += take_out(p, r->nodes[i]);
    if (!count || patch_apply(p, &e) != OK)
        return INFINITY;
    double error = zipper_error(z, r->target, r->source, &r->view);
    patch_undo(p);
    return error;
}
