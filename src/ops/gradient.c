/* Gradient (ai.onnx.preview.training): the derivatives of the sum of y's elements in the tensors xs
 * of the same graph, where xs and zs have the values given as inputs. The nodes between them and y
 * are run again, in float64, and gone through backwards with the gradients of their rows. */
#include <string.h>

#include "ops/row.h"

struct tape {
    struct op_ctx *c;
    const struct graph *g;
    struct tensor **value, **grad; /* by value id; float64 */
    bool *given, *needed;          /* by value id */
    struct op_env env;
};

static const struct value *named(const struct graph *g, const char *name) {
    for (int i = 0; i < g->n_values; i++)
        if (strcmp(g->values[i]->name, name) == 0)
            return g->values[i];
    return NULL;
}

static bool wanted_node(const struct tape *t, const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && t->needed[n->out[i]->id] && !t->given[n->out[i]->id])
            return true;
    return false;
}

/* Puts input number `i` at the value `name`. */
static enum status give(struct tape *t, const char *name, int i) {
    const struct value *v = named(t->g, name);
    FAIL_IF(!v, t->c->err, STATUS_CORRUPT, "the graph has no tensor '%s'", name);
    FAIL_IF(i >= t->c->n_in || !t->c->in[i], t->c->err, STATUS_CORRUPT,
            "no input for the tensor '%s'", name);
    t->given[v->id] = true;
    return tensor_for_kernel(&t->value[v->id], t->c->in[i], PREC_F64, t->c->err);
}

static enum status give_all(struct tape *t, const struct attr *xs, const struct attr *zs) {
    int64_t n_xs = xs->n, n_zs = zs ? zs->n : 0;
    FAIL_IF(n_xs + n_zs != t->c->n_in || n_xs < t->c->n_out, t->c->err, STATUS_CORRUPT,
            "%d inputs for %lld names", t->c->n_in, (long long)(n_xs + n_zs));
    for (int64_t i = 0; i < n_xs + n_zs; i++)
        TRY(give(t, i < n_xs ? xs->strings[i] : zs->strings[i - n_xs], (int)i));
    return OK;
}

/* Marks what y needs, from the last node to the first. */
static void mark(struct tape *t, const struct value *y) {
    t->needed[y->id] = true;
    for (int i = t->g->n_nodes - 1; i >= 0; i--) {
        const struct node *n = t->g->nodes[i];
        if (n == t->c->node || !wanted_node(t, n))
            continue;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k])
                t->needed[n->in[k]->id] = true;
    }
}

/* The inputs of a node as its kernel sees them. */
static enum status inputs_of(struct tape *t, const struct node *n, const struct tensor **in) {
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        if (v && !t->value[v->id] && v->constant)
            TRY(tensor_for_kernel(&t->value[v->id], v->constant, PREC_F64, t->c->err));
        in[k] = v ? t->value[v->id] : NULL;
        FAIL_IF(v && !in[k], t->c->err, STATUS_CORRUPT,
                "'%s' is neither in xs or zs nor computed from them", v->name);
    }
    return OK;
}

static enum status forward(struct tape *t) {
    for (int i = 0; i < t->g->n_nodes; i++) {
        const struct node *n = t->g->nodes[i];
        if (n == t->c->node || !wanted_node(t, n))
            continue;
        const struct tensor **in = NEW_ARRAY(t->c->scratch, n->n_in + 1, const struct tensor *);
        struct tensor **out = NEW_ARRAY(t->c->scratch, n->n_out + 1, struct tensor *);
        FAIL_IF(!n->def || !n->def->grad, t->c->err, STATUS_UNSUPPORTED, "the gradient of %s",
                n->op);
        TRY(inputs_of(t, n, in));
        TRY(op_run(&t->env, n, in, out, t->c->err));
        for (int k = 0; k < n->n_out; k++) {
            if (n->out[k] && !t->given[n->out[k]->id])
                t->value[n->out[k]->id] = out[k];
            else
                tensor_free(out[k]);
        }
    }
    return OK;
}

static struct tensor *zeros_like(struct tape *t, const struct tensor *x) {
    return tensor_in_arena(t->c->scratch, x->dtype, DT_F64, x->rank, x->dim);
}

/* The gradient of a value of floats, made on first use. */
static struct tensor *grad_of(struct tape *t, const struct value *v) {
    const struct tensor *x = v ? t->value[v->id] : NULL;
    if (!x || x->kind != KIND_TENSOR || x->store != DT_F64)
        return NULL;
    if (!t->grad[v->id])
        t->grad[v->id] = zeros_like(t, x);
    return t->grad[v->id];
}

static enum status backward(struct tape *t) {
    for (int i = t->g->n_nodes - 1; i >= 0; i--) {
        const struct node *n = t->g->nodes[i];
        if (n == t->c->node || !wanted_node(t, n))
            continue;
        const struct tensor **in = NEW_ARRAY(t->c->scratch, n->n_in + 1, const struct tensor *);
        const struct tensor **out = NEW_ARRAY(t->c->scratch, n->n_out + 1, const struct tensor *);
        const struct tensor **grad_out =
            NEW_ARRAY(t->c->scratch, n->n_out + 1, const struct tensor *);
        struct tensor **grad_in = NEW_ARRAY(t->c->scratch, n->n_in + 1, struct tensor *);
        TRY(inputs_of(t, n, in));
        for (int k = 0; k < n->n_in; k++)
            grad_in[k] = in[k] ? zeros_like(t, in[k]) : NULL;
        for (int k = 0; k < n->n_in; k++)
            if (in[k] && in[k]->store != DT_F64)
                grad_in[k] = NULL;
        for (int k = 0; k < n->n_out; k++) {
            out[k] = n->out[k] ? t->value[n->out[k]->id] : NULL;
            grad_out[k] = n->out[k] ? t->grad[n->out[k]->id] : NULL;
        }
        struct grad_ctx g = { .node = n,
                              .scratch = t->c->scratch,
                              .n_in = n->n_in,
                              .n_out = n->n_out,
                              .in = in,
                              .out = out,
                              .grad_out = grad_out,
                              .grad_in = grad_in,
                              .err = t->c->err };
        TRY(n->def->grad(&g));
        for (int k = 0; k < n->n_in; k++) { /* a value may be read twice */
            struct tensor *sum = grad_in[k] ? grad_of(t, n->in[k]) : NULL;
            for (int64_t e = 0; sum && e < tensor_count(sum); e++)
                ((double *)sum->data)[e] += ((const double *)grad_in[k]->data)[e];
        }
    }
    return OK;
}

static enum status differentiate(struct tape *t, const struct value *y, const struct attr *xs) {
    mark(t, y);
    TRY(forward(t));
    struct tensor *seed = grad_of(t, y);
    FAIL_IF(!seed, t->c->err, STATUS_CORRUPT,
            "'%s' is not a tensor of floats that xs and zs determine", y->name);
    for (int64_t i = 0; i < tensor_count(seed); i++)
        ((double *)seed->data)[i] = 1;
    TRY(backward(t));
    for (int i = 0; i < t->c->n_out; i++) {
        const struct tensor *grad = t->grad[named(t->g, xs->strings[i])->id];
        for (int64_t e = 0; op_wanted(t->c, i) && grad && e < tensor_count(grad); e++)
            tensor_set_f64(t->c->out[i], e, ((const double *)grad->data)[e]);
    }
    return OK;
}

static enum status gradient_eval(struct op_ctx *c) {
    const struct graph *g = c->node->graph;
    const struct attr *xs = attr_find(c->node, "xs"), *zs = attr_find(c->node, "zs");
    const struct value *y = named(g, attr_str(c->node, "y"));
    int n = g->model->next_value_id;
    struct tape t = { .c = c, .g = g, .env = *c->env };
    FAIL_IF(!y, c->err, STATUS_CORRUPT, "the graph has no tensor '%s'", attr_str(c->node, "y"));
    t.env.precision = PREC_F64;
    t.env.packs = NULL;
    t.value = NEW_ARRAY(c->scratch, n + 1, struct tensor *);
    t.grad = NEW_ARRAY(c->scratch, n + 1, struct tensor *);
    t.given = NEW_ARRAY(c->scratch, n + 1, bool);
    t.needed = NEW_ARRAY(c->scratch, n + 1, bool);
    enum status s = give_all(&t, xs, zs);
    if (s == OK)
        s = differentiate(&t, y, xs);
    for (int i = 0; i < n; i++)
        tensor_free(t.value[i]);
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
    { .name = "Gradient", .domain = "ai.onnx.preview.training", .spec = "ONNX Gradient-1", .min_in = 1, .max_in = -1,
      .min_out = 1, .max_out = -1, .attrs = ATTRS(NEEDED("xs", STRINGS), NEEDED("y", STRING), PLAIN("zs", STRINGS)),
      .shape = gradient_shape, .eval = gradient_eval },
    { 0 },
};
