#include "ops/tape.h"

#include <string.h>

#include "ops/row.h"

void tape_open(struct tape *t, const struct model *m, struct arena *a, struct err *e) {
    int n = m->next_value_id;
    *t = (struct tape) { .a = a, .err = e, .n = n };
    t->env = (struct op_env) { .precision = PREC_F64, .scratch = a };
    t->value = NEW_ARRAY(a, n + 1, struct tensor *);
    t->grad = NEW_ARRAY(a, n + 1, struct tensor *);
    t->given = NEW_ARRAY(a, n + 1, bool);
}

void tape_close(struct tape *t) {
    for (int i = 0; i < t->n; i++)
        tensor_free(t->value[i]);
    for (int i = 0; i < t->n_turns; i++)
        for (int k = 0; k < t->turns[i].n_in; k++)
            tensor_free(t->turns[i].in[k]);
}

enum status tape_give(struct tape *t, const struct value *v, const struct tensor *x) {
    tensor_free(t->value[v->id]);
    t->value[v->id] = NULL;
    t->given[v->id] = true;
    return tensor_for_kernel(&t->value[v->id], x, PREC_F64, t->err);
}

static bool to_run(const struct tape *t, const struct node *n) {
    if (n == t->skip)
        return false;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && (!t->needed || t->needed[n->out[i]->id]) && !t->given[n->out[i]->id])
            return true;
    return false;
}

/* The inputs of a node as its kernel sees them. */
static enum status inputs_of(struct tape *t, const struct node *n, const struct tensor **in) {
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        if (v && !t->value[v->id] && v->constant)
            TRY(tensor_for_kernel(&t->value[v->id], v->constant, PREC_F64, t->err));
        in[k] = v ? t->value[v->id] : NULL;
        FAIL_IF(v && !in[k], t->err, STATUS_CORRUPT,
                "'%s' is neither given nor computed from what is", v->name);
    }
    return OK;
}

enum status tape_forward(struct tape *t, const struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        if (!to_run(t, n))
            continue;
        const struct tensor **in = NEW_ARRAY(t->a, n->n_in + 1, const struct tensor *);
        struct tensor **out = NEW_ARRAY(t->a, n->n_out + 1, struct tensor *);
        FAIL_IF(!n->def && !n->body, t->err, STATUS_UNSUPPORTED, "the operator %s", n->op);
        TRY(inputs_of(t, n, in));
        if (tape_controls(n))
            TRY(tape_control_forward(t, n, in, out));
        else
            TRY(op_run(&t->env, n, in, out, t->err));
        for (int k = 0; k < n->n_out; k++) {
            if (n->out[k] && !t->given[n->out[k]->id]) {
                tensor_free(t->value[n->out[k]->id]);
                t->value[n->out[k]->id] = out[k];
            } else {
                tensor_free(out[k]);
            }
        }
    }
    return OK;
}

struct tensor *grad_like(struct arena *a, const struct tensor *x) {
    bool list = x && (x->kind == KIND_SEQUENCE || x->kind == KIND_OPTIONAL);
    if (!x || (!list && (x->kind != KIND_TENSOR || x->store != DT_F64)))
        return NULL;
    if (!list)
        return tensor_in_arena(a, x->dtype, DT_F64, x->rank, x->dim);
    struct tensor *g = NEW(a, struct tensor);
    *g = (struct tensor) { .kind = x->kind, .dtype = x->dtype, .n_items = x->n_items };
    g->items = NEW_ARRAY(a, x->n_items + 1, struct tensor *);
    for (int64_t i = 0; i < x->n_items; i++)
        g->items[i] = grad_like(a, x->items[i]);
    return g;
}

struct tensor *tape_grad(struct tape *t, const struct value *v) {
    if (v && !t->grad[v->id])
        t->grad[v->id] = grad_like(t->a, t->value[v->id]);
    return v ? t->grad[v->id] : NULL;
}

void grad_add(struct tensor *grad, const struct tensor *by) {
    if (!grad || !by)
        return;
    for (int64_t i = 0; i < grad->n_items && i < by->n_items; i++)
        grad_add(grad->items[i], by->items[i]);
    int64_t n = grad->kind == KIND_TENSOR ? tensor_count(grad) : 0;
    for (int64_t i = 0; i < n; i++)
        ((double *)grad->data)[i] += ((const double *)by->data)[i];
}

static enum status node_backward(struct tape *t, const struct node *n) {
    const struct tensor **in = NEW_ARRAY(t->a, n->n_in + 1, const struct tensor *);
    const struct tensor **out = NEW_ARRAY(t->a, n->n_out + 1, const struct tensor *);
    const struct tensor **grad_out = NEW_ARRAY(t->a, n->n_out + 1, const struct tensor *);
    struct tensor **grad_in = NEW_ARRAY(t->a, n->n_in + 1, struct tensor *);
    TRY(inputs_of(t, n, in));
    for (int k = 0; k < n->n_in; k++)
        grad_in[k] = grad_like(t->a, in[k]);
    for (int k = 0; k < n->n_out; k++) {
        out[k] = n->out[k] ? t->value[n->out[k]->id] : NULL;
        grad_out[k] = n->out[k] ? t->grad[n->out[k]->id] : NULL;
    }
    struct grad_ctx g = { .node = n,
                          .scratch = t->a,
                          .n_in = n->n_in,
                          .n_out = n->n_out,
                          .in = in,
                          .out = out,
                          .grad_out = grad_out,
                          .grad_in = grad_in,
                          .err = t->err };
    TRY(n->def->grad(&g));
    for (int k = 0; k < n->n_in; k++) /* a value may be read twice */
        grad_add(grad_in[k] ? tape_grad(t, n->in[k]) : NULL, grad_in[k]);
    return OK;
}

enum status tape_backward(struct tape *t, const struct graph *g) {
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const struct node *n = g->nodes[i];
        bool reached = false;
        for (int k = 0; k < n->n_out; k++)
            reached |= n->out[k] && t->grad[n->out[k]->id];
        if (!reached || !to_run(t, n))
            continue;
        if (tape_controls(n)) {
            TRY(tape_control_backward(t, n));
            continue;
        }
        if (n->def->flags & OP_NO_GRADIENT)
            continue;
        FAIL_IF(!n->def->grad, t->err, STATUS_UNSUPPORTED, "the gradient of %s", n->op);
        TRY(node_backward(t, n));
    }
    return OK;
}
