/* Gradient (ai.onnx.preview.training): the derivatives of the sum of y's elements in the tensors xs
 * of the same graph, where xs and zs have the values given as inputs. The nodes between them and y
 * are run again, in float64, and gone through backwards with the gradients of their rows. */
#include <string.h>

#include "ops/row.h"
#include "ops/tape.h"

static const struct value *named(const struct graph *g, const char *name) {
    for (int i = 0; i < g->n_values; i++)
        if (strcmp(g->values[i]->name, name) == 0)
            return g->values[i];
    return NULL;
}

/* Puts input number `i` at the value `name`. */
static enum status give(struct tape *t, const struct op_ctx *c, const char *name, int i) {
    const struct value *v = named(c->node->graph, name);
    FAIL_IF(!v, c->err, STATUS_CORRUPT, "the graph has no tensor '%s'", name);
    FAIL_IF(i >= c->n_in || !c->in[i], c->err, STATUS_CORRUPT, "no input for the tensor '%s'",
            name);
    return tape_give(t, v, c->in[i]);
}

static enum status give_all(struct tape *t, const struct op_ctx *c, const struct attr *xs,
                            const struct attr *zs) {
    int64_t n_xs = xs->n, n_zs = zs ? zs->n : 0;
    FAIL_IF(n_xs + n_zs != c->n_in || n_xs < c->n_out, c->err, STATUS_CORRUPT,
            "%d inputs for %lld names", c->n_in, (long long)(n_xs + n_zs));
    for (int64_t i = 0; i < n_xs + n_zs; i++)
        TRY(give(t, c, i < n_xs ? xs->strings[i] : zs->strings[i - n_xs], (int)i));
    return OK;
}

static bool wanted_node(const struct tape *t, const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && t->needed[n->out[i]->id] && !t->given[n->out[i]->id])
            return true;
    return false;
}

/* What a node needs: its inputs, and what its sub-graphs read of the graphs around them. */
static void mark_inputs(struct tape *t, const struct node *n) {
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k])
            t->needed[n->in[k]->id] = true;
    for (int k = 0; k < n->n_attrs; k++) {
        const struct graph *g = n->attrs[k].type == ATTR_GRAPH ? n->attrs[k].graph : NULL;
        for (int i = 0; g && i < g->n_nodes; i++)
            mark_inputs(t, g->nodes[i]);
        for (int i = 0; g && i < g->n_outputs; i++)
            t->needed[g->outputs[i]->id] = true;
    }
}

/* Marks what y needs, from the last node to the first. */
static void mark(struct tape *t, const struct graph *g, const struct value *y) {
    t->needed[y->id] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--)
        if (g->nodes[i] != t->skip && wanted_node(t, g->nodes[i]))
            mark_inputs(t, g->nodes[i]);
}

static enum status differentiate(struct tape *t, struct op_ctx *c, const struct value *y,
                                 const struct attr *xs) {
    const struct graph *g = c->node->graph;
    mark(t, g, y);
    TRY(tape_forward(t, g));
    struct tensor *seed = tape_grad(t, y);
    FAIL_IF(!seed, c->err, STATUS_CORRUPT,
            "'%s' is not a tensor of floats that xs and zs determine", y->name);
    for (int64_t i = 0; i < tensor_count(seed); i++)
        ((double *)seed->data)[i] = 1;
    TRY(tape_backward(t, g));
    for (int i = 0; i < c->n_out; i++) {
        const struct tensor *grad = t->grad[named(g, xs->strings[i])->id];
        for (int64_t e = 0; op_wanted(c, i) && grad && e < tensor_count(grad); e++)
            tensor_set_f64(c->out[i], e, ((const double *)grad->data)[e]);
    }
    return OK;
}

static enum status gradient_eval(struct op_ctx *c) {
    const struct graph *g = c->node->graph;
    const struct attr *xs = attr_find(c->node, "xs"), *zs = attr_find(c->node, "zs");
    const struct value *y = named(g, attr_str(c->node, "y"));
    struct tape t;
    FAIL_IF(!y, c->err, STATUS_CORRUPT, "the graph has no tensor '%s'", attr_str(c->node, "y"));
    tape_open(&t, g->model, c->scratch, c->err);
    t.env.pool = c->pool;
    t.skip = c->node;
    t.needed = NEW_ARRAY(c->scratch, t.n + 1, bool);
    enum status s = give_all(&t, c, xs, zs);
    if (s == OK)
        s = differentiate(&t, c, y, xs);
    tape_close(&t);
    return s;
}

static enum status gradient_shape(struct shape_ctx *c) {
    SHAPE_FAIL_IF(c->n_out > c->n_in, c, "%d outputs for %d inputs", c->n_out, c->n_in);
    for (int i = 0; i < c->n_out; i++)
        shape_copy(c, i, i);
    return OK;
}

/* clang-format off */
const struct op ops_gradient[] = {
    { .name = "Gradient", .domain = "ai.onnx.preview.training", .spec = "ONNX Gradient-1", .flags = OP_NO_GRADIENT,
      .min_in = 1, .max_in = -1,
      .min_out = 1, .max_out = -1, .attrs = ATTRS(NEEDED("xs", STRINGS), NEEDED("y", STRING), PLAIN("zs", STRINGS)),
      .shape = gradient_shape, .eval = gradient_eval },
    { 0 },
};
