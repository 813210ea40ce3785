#include "passes/real_contract.h"

#include <string.h>

bool contract_quantized(const struct value *v) {
    return v->quant && v->quant->n == 1 && v->quant->block_size == 0 && !v->constant &&
           dtype_is_int(v->dtype) && dtype_row(v->dtype)->bits <= 16 &&
           dtype_row(v->dtype)->bits >= 8 && v->quant->scale[0] > 0;
}

static struct value *scalar(struct graph *g, const char *name, enum dtype dtype, double x) {
    struct tensor *t = tensor_in_arena(g->model->arena, dtype, dtype, 0, NULL);
    tensor_set_f64(t, 0, x);
    return graph_add_constant(g, name, t);
}

/* `op` between v and a new real value of the same name. */
static struct node *bridge(struct graph *g, const char *op, const struct value *v,
                           struct value **real) {
    struct arena *a = g->model->arena;
    struct node *n = node_new(g, op, "", 3, 1);
    n->name = arena_printf(a, "%s of %s", op, v->name);
    n->group = -1;
    n->origin.index = -1;
    n->in[1] = scalar(g, arena_printf(a, "%s/scale", v->name), DT_F32, v->quant->scale[0]);
    n->in[2] = scalar(g, arena_printf(a, "%s/zero_point", v->name), v->dtype,
                      (double)v->quant->zero_point[0]);
    *real = graph_add_value(g, v->name);
    (*real)->dtype = DT_F32;
    (*real)->kind = KIND_TENSOR;
    (*real)->rank = v->rank;
    memcpy((*real)->dim, v->dim, sizeof v->dim);
    (*real)->quant = v->quant;
    return n;
}

static int count(const bool *which, int n) {
    int k = 0;
    for (int i = 0; i < n; i++)
        k += which[i];
    return k;
}

void contract_make_real(struct contract *c, struct model *m, const bool *inputs,
                        const bool *outputs) {
    struct graph *g = m->graph;
    struct arena *a = m->arena;
    int before = count(inputs, g->n_inputs), behind = count(outputs, g->n_outputs), n = 0;
    *c = (struct contract) { 0 };
    if (before + behind == 0)
        return;
    *c = (struct contract) { m, g->nodes, g->n_nodes, g->n_values, g->inputs, g->outputs };
    struct node **nodes = NEW_ARRAY(a, g->n_nodes + before + behind + 1, struct node *);
    g->inputs = arena_copy(a, g->inputs, (size_t)g->n_inputs * sizeof *g->inputs);
    g->outputs = arena_copy(a, g->outputs, (size_t)g->n_outputs * sizeof *g->outputs);
    for (int i = 0; i < g->n_inputs; i++) {
        if (!inputs[i])
            continue;
        struct value *v = g->inputs[i], *real;
        struct node *q = nodes[n++] = bridge(g, "QuantizeLinear", v, &real);
        q->in[0] = real;
        node_set_output(q, 0, v);
        v->is_input = false;
        real->is_input = true;
        g->inputs[i] = real;
    }
    memcpy(nodes + n, c->nodes, (size_t)c->n_nodes * sizeof *nodes);
    n += c->n_nodes;
    for (int i = 0; i < g->n_outputs; i++) {
        if (!outputs[i])
            continue;
        struct value *v = g->outputs[i], *real;
        struct node *dq = nodes[n++] = bridge(g, "DequantizeLinear", v, &real);
        dq->in[0] = v;
        node_set_output(dq, 0, real);
        real->is_output = true;
        g->outputs[i] = real;
    }
    for (int i = 0; i < g->n_outputs; i++)
        if (outputs[i])
            c->outputs[i]->is_output = false;
    g->nodes = nodes;
    g->n_nodes = n;
    graph_renumber(g);
}

void contract_restore(struct contract *c) {
    if (!c->model)
        return;
    struct graph *g = c->model->graph;
    for (int i = 0; i < g->n_inputs; i++)
        if (g->inputs[i] != c->inputs[i])
            c->inputs[i]->producer = NULL;
    g->nodes = c->nodes;
    g->n_nodes = c->n_nodes;
    g->n_values = c->n_values;
    g->inputs = c->inputs;
    g->outputs = c->outputs;
    for (int i = 0; i < g->n_inputs; i++)
        g->inputs[i]->is_input = true;
    for (int i = 0; i < g->n_outputs; i++)
        g->outputs[i]->is_output = true;
    graph_renumber(g);
    *c = (struct contract) { 0 };
}
