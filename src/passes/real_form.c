#include "passes/real_form.h"

#include <string.h>

#include "passes/fixed_point.h"

bool value_on_grid(const struct value *v) {
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

/* Room for n nodes in an array that PUSH can go on with: the next power of two. */
static struct node **node_array(struct arena *a, int n) {
    int room = 1;
    while (room < n)
        room *= 2;
    return NEW_ARRAY(a, room, struct node *);
}

static void save(struct real_form *c, struct model *m) {
    const struct graph *g = m->graph;
    if (!c->model)
        *c = (struct real_form) { m,          g->nodes, g->n_nodes, g->n_values,     g->inputs,
                                  g->outputs, NULL,     0,          m->next_value_id };
}

void real_form_boundary(struct real_form *c, struct model *m, const bool *inputs,
                        const bool *outputs) {
    struct graph *g = m->graph;
    struct arena *a = m->arena;
    int before = count(inputs, g->n_inputs), behind = count(outputs, g->n_outputs), n = 0;
    *c = (struct real_form) { 0 };
    if (before + behind == 0)
        return;
    save(c, m);
    struct node **nodes = node_array(a, g->n_nodes + before + behind);
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

struct node *real_form_original(const struct real_form *f, struct node *n) {
    for (int i = 0; i < f->n_spelled; i++)
        if (n && f->spelled[i].instead == n)
            return f->spelled[i].of;
    return n;
}

static bool is_added(const struct real_form *f, const struct node *n) {
    for (int i = 0; i < f->n_nodes; i++)
        if (f->nodes[i] == n)
            return false;
    return n != NULL;
}

bool real_form_translate(const struct real_form *f, struct patch *p) {
    if (!f->model)
        return true;
    for (int i = 0; i < p->n; i++) {
        struct edit *e = &p->edits[i];
        if (e->kind == EDIT_ADD_NODE || e->kind == EDIT_ADD_CONSTANT)
            continue;
        if (e->kind == EDIT_SET_ATTR)
            e->node = real_form_original(f, e->node);
        if (is_added(f, e->node) || is_added(f, e->before) ||
            (e->kind == EDIT_SET_CONSTANT && e->value->id >= f->first_id))
            return false;
    }
    return true;
}

void real_form_restore(struct real_form *f) {
    if (!f->model)
        return;
    struct graph *g = f->model->graph;
    for (int i = 0; i < g->n_inputs; i++)
        if (g->inputs[i] != f->inputs[i])
            f->inputs[i]->producer = NULL;
    g->nodes = f->nodes;
    g->n_nodes = f->n_nodes;
    g->n_values = f->n_values;
    g->inputs = f->inputs;
    g->outputs = f->outputs;
    for (int i = 0; i < g->n_inputs; i++)
        g->inputs[i]->is_input = true;
    for (int i = 0; i < g->n_outputs; i++)
        g->outputs[i]->is_output = true;
    for (int i = 0; i < f->n_spelled; i++)
        node_set_output(f->spelled[i].of, 0, f->spelled[i].of->out[0]);
    graph_renumber(g);
    *f = (struct real_form) { 0 };
}

/* --- operators on integers --- */

#define MS "com.microsoft"

/* Where a quantized operator has its operands (value, scale, zero point each) and its output's
 * scale and zero point. */
struct quantized_op {
    const char *domain, *op, *real;
    int first, operands; /* operands -1: all that follow */
    int out, bias;       /* bias -1: none */
};
static const struct quantized_op quantized_ops[] = {
    { "", "QLinearConv", "Conv", 0, 2, 6, 8 },
    { "", "QLinearMatMul", "MatMul", 0, 2, 6, -1 },
    { MS, "QGemm", "Gemm", 0, 2, 7, 6 },
    { MS, "QLinearAdd", "Add", 0, 2, 6, -1 },
    { MS, "QLinearMul", "Mul", 0, 2, 6, -1 },
    { MS, "QLinearAveragePool", "AveragePool", 0, 1, 3, -1 },
    { MS, "QLinearGlobalAveragePool", "GlobalAveragePool", 0, 1, 3, -1 },
    { MS, "QLinearSigmoid", "Sigmoid", 0, 1, 3, -1 },
    { MS, "QLinearLeakyRelu", "LeakyRelu", 0, 1, 3, -1 },
    { MS, "QLinearSoftmax", "Softmax", 0, 1, 3, -1 },
    { MS, "QLinearConcat", "Concat", 2, -1, 0, -1 },
};

static const struct quantized_op *quantized_op_of(const struct node *n) {
    for (size_t i = 0; i < sizeof quantized_ops / sizeof *quantized_ops; i++)
        if (strcmp(n->op, quantized_ops[i].op) == 0 &&
            strcmp(n->domain, quantized_ops[i].domain) == 0)
            return &quantized_ops[i];
    return NULL;
}

static const struct tensor *constant_at(const struct node *n, int i) {
    return i < n->n_in && n->in[i] ? n->in[i]->constant : NULL;
}

static int operands_of(const struct node *n, const struct quantized_op *q) {
    return q->operands >= 0 ? q->operands : (n->n_in - q->first) / 3;
}

static bool int_attr(const struct node *n, const char *name, int64_t *v) {
    const struct attr *a = node_attr(n, name);
    if (a)
        *v = a->i;
    return a != NULL;
}

/* Scales must be known, one for all elements but for the second operand's, and what the attributes
 * ask for the same as of the operator on real numbers. */
static bool can_spell(const struct node *n, const struct quantized_op *q) {
    int64_t v;
    if ((int_attr(n, "channels_last", &v) && v != 0) || (int_attr(n, "opset", &v) && v < 13) ||
        n->n_out != 1 || !n->out[0] || !constant_at(n, q->out))
        return false;
    for (int k = 0; k < operands_of(n, q); k++) {
        const struct tensor *scale = constant_at(n, q->first + 3 * k + 1);
        bool many = scale && tensor_count(scale) > 1;
        if (!scale || (many && (k != 1 || q->operands != 2 || !constant_at(n, q->first + 3))))
            return false;
    }
    return q->bias < 0 || q->bias >= n->n_in || !n->in[q->bias] || constant_at(n, q->bias);
}

static struct value *real_value(struct graph *g, const struct value *of) {
    struct value *v = graph_add_value(g, arena_printf(g->model->arena, "%s/real", of->name));
    v->dtype = DT_F32;
    v->kind = KIND_TENSOR;
    v->rank = of->rank;
    memcpy(v->dim, of->dim, sizeof of->dim);
    return v;
}

static struct node *part(const struct node *n, const char *op, int n_in) {
    struct node *p = node_new(n->graph, op, "", n_in, 1);
    p->name = n->name;
    p->origin = n->origin;
    p->group = n->group;
    p->version = n->version;
    return p;
}

static struct value *dequantized(const struct node *n, struct value *v, struct value *scale,
                                 struct value *zero, int64_t axis, struct node **out) {
    struct node *dq = part(n, "DequantizeLinear", 3);
    dq->in[0] = v;
    dq->in[1] = scale;
    dq->in[2] = zero;
    if (scale->constant && tensor_count(scale->constant) > 1)
        node_set_int(dq, "axis", axis);
    struct value *real = real_value(n->graph, v);
    node_set_output(dq, 0, real);
    *out = dq;
    return real;
}

static int64_t channel_axis(const struct node *n, const struct quantized_op *q) {
    int64_t transposed = 0;
    int_attr(n, "transB", &transposed);
    return strcmp(q->real, "Conv") == 0 || transposed ? 0 : n->in[q->first + 3]->rank - 1;
}

/* A bias has the operands' scales multiplied and no zero point. */
static struct value *bias_scale(const struct node *n, const struct quantized_op *q) {
    const struct tensor *a = constant_at(n, q->first + 1), *b = constant_at(n, q->first + 4);
    struct tensor *s = tensor_in_arena(n->graph->model->arena, DT_F32, DT_F64, b->rank, b->dim);
    for (int64_t i = 0; i < tensor_count(b); i++)
        tensor_set_f64(s, i, tensor_f64(a, 0) * tensor_f64(b, i));
    return graph_add_constant(n->graph, n->in[q->bias]->name, s);
}

static void copy_attributes(struct node *to, const struct node *from) {
    for (int i = 0; i < from->n_attrs; i++)
        if (strcmp(from->attrs[i].name, "channels_last") != 0 &&
            strcmp(from->attrs[i].name, "opset") != 0)
            *node_set_attr(to, from->attrs[i].name, from->attrs[i].type) = from->attrs[i];
}

static int spell(struct real_form *f, struct node *n, const struct quantized_op *q,
                 struct node **nodes) {
    int count = 0, operands = operands_of(n, q);
    bool bias = q->bias >= 0 && q->bias < n->n_in && n->in[q->bias];
    struct node *real = part(n, q->real, operands + bias);
    for (int k = 0; k < operands; k++) {
        struct value **in = &n->in[q->first + 3 * k];
        real->in[k] =
            dequantized(n, in[0], in[1], in[2], k ? channel_axis(n, q) : 0, &nodes[count++]);
    }
    if (bias)
        real->in[operands] =
            dequantized(n, n->in[q->bias], bias_scale(n, q), NULL, 0, &nodes[count++]);
    copy_attributes(real, n);
    struct value *y = real_value(n->graph, n->out[0]);
    node_set_output(real, 0, y);
    nodes[count++] = real;
    struct node *end = part(n, "QuantizeLinear", 3);
    end->in[0] = y;
    end->in[1] = n->in[q->out];
    end->in[2] = q->out + 1 < n->n_in ? n->in[q->out + 1] : NULL;
    node_set_output(end, 0, n->out[0]);
    nodes[count++] = end;
    struct spelled s = { real, n };
    PUSH(n->graph->model->arena, f->spelled, f->n_spelled, s);
    return count;
}

/* ConvInteger or MatMulInteger of a DynamicQuantizeLinear's result (or of rows of a stored table)
 * and a constant, cast to float and multiplied by both scales: what ONNX Runtime's dynamic
 * quantization makes of Conv and MatMul. */
struct dynamic_op {
    struct node *integers, *cast, *product;
    struct value *operand_scale, *scale; /* of what is computed, of the constant */
};

static struct node *producer_of(const struct value *v, const char *op) {
    return v && v->producer && node_is(v->producer, op) ? v->producer : NULL;
}

/* The other operand of a product when v is one; NULL: it is not. */
static struct value *other_factor(const struct node *product, const struct value *v) {
    return !product || product->n_in != 2 ? NULL
           : product->in[0] == v          ? product->in[1]
           : product->in[1] == v          ? product->in[0]
                                          : NULL;
}

/* Does the operator read what movers hand on from a constant with one scale? ONNX Runtime
 * multiplies the scales in the operands' order. */
static bool is_stored_row(const struct dynamic_op *d) {
    enum { STEPS = 8 };
    const struct value *v = d->integers->in[0], *zero = NULL;
    int moved = 0;
    if (d->integers->n_in > 2)
        zero = d->integers->in[2];
    if (!d->operand_scale->constant || tensor_count(d->operand_scale->constant) != 1 ||
        (zero && (!zero->constant || tensor_count(zero->constant) != 1)))
        return false;
    while (v && !v->constant && v->producer && moves_elements(v->producer) && moved++ < STEPS)
        v = v->producer->in[0];
    return moved > 0 && v && v->constant;
}

static bool dynamic_op_of(const struct uses *u, struct node *product, struct dynamic_op *d) {
    *d = (struct dynamic_op) { .product = product };
    for (int k = 0; node_is(product, "Mul") && product->n_in == 2 && !d->cast && k < 2; k++)
        d->cast = producer_of(product->in[k], "Cast");
    struct value *sum = d->cast ? d->cast->in[0] : NULL;
    d->integers =
        producer_of(sum, "ConvInteger") ? sum->producer : producer_of(sum, "MatMulInteger");
    if (!d->integers || d->integers->n_in < 2 || !d->integers->in[1] ||
        !d->integers->in[1]->constant || u->n[sum->id] != 1 || u->n[d->cast->out[0]->id] != 1)
        return false;
    const struct node *quantize = producer_of(d->integers->in[0], "DynamicQuantizeLinear");
    const struct value *scales = other_factor(product, d->cast->out[0]);
    struct node *both = scales ? producer_of(scales, "Mul") : NULL;
    if (!both || both->n_in != 2)
        return false;
    if (quantize &&
        (quantize->n_out != 3 || d->integers->n_in < 3 || d->integers->in[2] != quantize->out[2]))
        return false;
    d->operand_scale = quantize ? quantize->out[1] : both->in[0];
    d->scale = other_factor(both, d->operand_scale);
    return d->scale && d->scale->constant && (quantize || is_stored_row(d));
}

static int spell_dynamic(struct real_form *f, const struct dynamic_op *d, struct node **nodes) {
    struct node *n = d->integers;
    bool conv = node_is(n, "ConvInteger");
    struct node *real = part(n, conv ? "Conv" : "MatMul", 2);
    real->in[0] =
        dequantized(n, n->in[0], d->operand_scale, n->n_in > 2 ? n->in[2] : NULL, 0, &nodes[0]);
    real->in[1] = dequantized(n, n->in[1], d->scale, n->n_in > 3 ? n->in[3] : NULL,
                              conv ? 0 : n->in[1]->rank - 1, &nodes[1]);
    copy_attributes(real, n);
    nodes[2] = real;
    struct spelled of_node = { real, n }, of_product = { NULL, d->product };
    PUSH(n->graph->model->arena, f->spelled, f->n_spelled, of_node);
    PUSH(n->graph->model->arena, f->spelled, f->n_spelled, of_product);
    node_set_output(real, 0, d->product->out[0]);
    return 3;
}

/* The nodes that the spelled out ones replace. */
static bool *mark_dynamic(const struct model *m, bool *taken) {
    struct uses *u = uses_build(m, m->arena);
    const struct graph *g = m->graph;
    bool *product = NEW_ARRAY(m->arena, g->n_nodes + 1, bool);
    for (int i = 0; i < g->n_nodes; i++) {
        struct dynamic_op d;
        product[i] = dynamic_op_of(u, g->nodes[i], &d);
        if (product[i])
            taken[d.integers->id] = taken[d.cast->id] = true;
    }
    return product;
}

void real_form_spell_out(struct real_form *f, struct model *m) {
    struct graph *g = m->graph;
    int room = g->n_nodes, n = 0;
    bool *taken = NEW_ARRAY(m->arena, g->n_nodes + 1, bool), *product = mark_dynamic(m, taken);
    for (int i = 0; i < g->n_nodes; i++)
        room += product[i] ? 3 : quantized_op_of(g->nodes[i]) ? g->nodes[i]->n_in + 3 : 0;
    if (room == g->n_nodes)
        return;
    save(f, m);
    struct uses *u = uses_build(m, m->arena);
    struct node **nodes = node_array(m->arena, room);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct quantized_op *q = quantized_op_of(g->nodes[i]);
        struct dynamic_op d;
        if (taken[i])
            continue;
        if (product[i] && dynamic_op_of(u, g->nodes[i], &d))
            n += spell_dynamic(f, &d, nodes + n);
        else if (q && can_spell(g->nodes[i], q))
            n += spell(f, g->nodes[i], q, nodes + n);
        else
            nodes[n++] = g->nodes[i];
    }
    g->nodes = nodes;
    g->n_nodes = n;
    graph_renumber(g);
}
