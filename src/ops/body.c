#include "ops/body.h"

#include <string.h>

#include "ops/tape.h"

struct node *body_node(struct body *b, const char *domain, const char *op, struct value *const *in,
                       int n_in, int n_out) {
    while (n_in && !in[n_in - 1])
        n_in--;
    struct node *node = graph_add_node(b->g, op, domain, n_in, n_out);
    for (int i = 0; i < n_in; i++)
        node->in[i] = in[i];
    for (int i = 0; i < n_out; i++)
        node_set_output(node, i, graph_add_value(b->g, ""));
    return node;
}

static struct node *add(struct body *b, const char *op, struct value *const *in, int n) {
    return body_node(b, "", op, in, n, 1);
}

struct value *body_op(struct body *b, const char *op, struct value *x, struct value *y,
                      struct value *z) {
    return add(b, op, (struct value *[]) { x, y, z }, 3)->out[0];
}

struct value *body_op_int(struct body *b, const char *op, struct value *x, struct value *y,
                          const char *name, int64_t v) {
    struct node *n = add(b, op, (struct value *[]) { x, y }, 2);
    node_set_int(n, name, v);
    return n->out[0];
}

struct value *body_ints(struct body *b, int64_t n, const int64_t *v) {
    return graph_add_constant(b->g, "", tensor_vec_i64(b->m->arena, v, n));
}

struct value *body_tensor(struct body *b, int rank, const int64_t *dim, const double *v) {
    struct tensor *t = tensor_in_arena(b->m->arena, b->type, DT_F64, rank, dim);
    if (tensor_bytes(t))
        memcpy(t->data, v, tensor_bytes(t));
    return graph_add_constant(b->g, "", t);
}

struct value *body_number(struct body *b, double v) {
    return body_tensor(b, 0, NULL, &v);
}

struct value *body_reshape(struct body *b, struct value *x, int rank, const int64_t *dim) {
    return body_op_int(b, "Reshape", x, body_ints(b, rank, dim), "allowzero", 1);
}

struct value *body_transpose(struct body *b, struct value *x, int rank, const int64_t *perm) {
    struct value *y = body_op(b, "Transpose", x, NULL, NULL);
    int64_t *kept = NEW_ARRAY(b->m->arena, rank + 1, int64_t);
    memcpy(kept, perm, (size_t)rank * sizeof *perm);
    node_set_ints(y->producer, "perm", kept, rank);
    return y;
}

struct value *body_slice(struct body *b, struct value *x, int64_t axis, int64_t from, int64_t to) {
    struct value *in[] = { x, body_ints(b, 1, &from), body_ints(b, 1, &to),
                           body_ints(b, 1, &axis) };
    return add(b, "Slice", in, 4)->out[0];
}

struct value *body_times_turned(struct body *b, struct value *x, struct value *y, int rank) {
    int64_t perm[MAX_RANK];
    for (int i = 0; i < rank; i++)
        perm[i] = i;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    return body_op(b, "MatMul", x, body_transpose(b, y, rank, perm), NULL);
}

bool body_has(const struct body *b, int i) {
    return i < b->c->n_in && b->c->in[i];
}

static enum status through(struct body *b, struct tape *t) {
    struct grad_ctx *c = b->c;
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        if (c->in[i])
            TRY(tape_give(t, b->in[i], c->in[i]));
    TRY(tape_forward(t, b->g));
    for (int o = 0; o < c->n_out && o < BODY_INPUTS; o++)
        if (b->out[o] && c->grad_out[o])
            grad_add(tape_grad(t, b->out[o]), c->grad_out[o]);
    TRY(tape_backward(t, b->g));
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        if (c->in[i] && c->grad_in[i])
            grad_add(c->grad_in[i], t->grad[b->in[i]->id]);
    return OK;
}

/* An empty graph with a value for every input. */
static struct body body_open(struct grad_ctx *c) {
    struct body b = { .m = model_new(), .c = c, .type = DT_F64 };
    if (!b.m->graph)
        b.m->graph = graph_new(b.m, NULL, "body");
    b.g = b.m->graph;
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        b.in[i] = c->in[i] ? graph_add_value(b.g, "") : NULL;
    for (int i = c->n_in - 1; i >= 0; i--)
        if (c->in[i] && dtype_is_float(c->in[i]->dtype))
            b.type = c->in[i]->dtype;
    return b;
}

enum status grad_of_body(struct grad_ctx *c, body_fn *write) {
    struct body b = body_open(c);
    enum status s = write(&b);
    if (s == OK) {
        struct tape t;
        ops_bind(b.m);
        tape_open(&t, b.m, c->scratch, c->err);
        s = through(&b, &t);
        tape_close(&t);
    }
    model_free(b.m);
    return s;
}

/* --- kernels --- */

static enum status run_nodes(struct op_ctx *c, const struct body *b, struct tensor **at) {
    struct op_env env = *c->env;
    env.packs = NULL; /* values of a graph that is gone afterwards */
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        if (c->in[i])
            at[b->in[i]->id] = tensor_alias(c->in[i]);
    for (int i = 0; i < b->g->n_nodes; i++) {
        const struct node *n = b->g->nodes[i];
        const struct tensor **in = NEW_ARRAY(c->scratch, n->n_in + 1, const struct tensor *);
        struct tensor **out = NEW_ARRAY(c->scratch, n->n_out + 1, struct tensor *);
        for (int k = 0; k < n->n_in; k++) {
            const struct value *v = n->in[k];
            if (v && v->constant && !at[v->id])
                TRY(tensor_for_kernel(&at[v->id], v->constant, c->precision, c->err));
            in[k] = v ? at[v->id] : NULL;
        }
        TRY(op_run(&env, n, in, out, c->err));
        for (int k = 0; k < n->n_out; k++)
            at[n->out[k]->id] = out[k];
    }
    return OK;
}

enum status eval_of_body(struct op_ctx *c, body_fn *write) {
    struct grad_ctx view = { .node = c->node,
                             .scratch = c->scratch,
                             .n_in = c->n_in,
                             .n_out = c->n_out,
                             .in = c->in,
                             .err = c->err };
    struct body b = body_open(&view);
    enum status s = write(&b);
    int n = b.m->next_value_id;
    struct tensor **at = NEW_ARRAY(c->scratch, n + 1, struct tensor *);
    ops_bind(b.m);
    if (s == OK)
        s = run_nodes(c, &b, at);
    for (int o = 0; s == OK && o < c->n_out && o < BODY_INPUTS; o++)
        if (op_wanted(c, o) && b.out[o])
            c->out[o] = tensor_alias(at[b.out[o]->id]);
    for (int i = 0; i < n; i++)
        tensor_free(at[i]);
    model_free(b.m);
    return s;
}

/* --- shape rules --- */

/* The inputs as tensors, without contents where these are unknown; false when a dimension is
 * unknown. */
static bool as_tensors(struct shape_ctx *c, const struct tensor **in) {
    for (int i = 0; i < c->n_in; i++) {
        if (c->in[i].absent)
            continue;
        if (!fact_known(&c->in[i]))
            return false;
        struct tensor *t = NEW(c->arena, struct tensor);
        *t = (struct tensor) { .dtype = c->in[i].dtype,
                               .store = c->in[i].dtype,
                               .rank = c->in[i].rank };
        memcpy(t->dim, c->in[i].dim, sizeof t->dim);
        in[i] = c->in[i].value ? c->in[i].value : t;
    }
    return true;
}

static enum status infer_nodes(struct shape_ctx *c, const struct body *b, struct fact *at) {
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        if (b->in[i])
            at[b->in[i]->id] = c->in[i];
    for (int i = 0; i < b->g->n_nodes; i++) {
        const struct node *n = b->g->nodes[i];
        struct fact *in = NEW_ARRAY(c->arena, n->n_in + 1, struct fact),
                    *out = NEW_ARRAY(c->arena, n->n_out + 1, struct fact);
        for (int k = 0; k < n->n_in; k++) {
            const struct value *v = n->in[k];
            in[k] = v ? at[v->id] : (struct fact) { .absent = true, .rank = -1 };
            if (!v || !v->constant)
                continue;
            in[k] = (struct fact) { .dtype = v->constant->dtype,
                                    .rank = v->constant->rank,
                                    .value = v->constant };
            memcpy(in[k].dim, v->constant->dim, sizeof in[k].dim);
        }
        TRY(op_shape(n, b->m, c->arena, in, out, c->err));
        for (int k = 0; k < n->n_out; k++)
            at[n->out[k]->id] = out[k];
    }
    return OK;
}

enum status shape_of_body(struct shape_ctx *c, body_fn *write) {
    const struct tensor **in = NEW_ARRAY(c->arena, c->n_in + 1, const struct tensor *);
    if (!as_tensors(c, in))
        return OK;
    struct grad_ctx view = { .node = c->node,
                             .scratch = c->arena,
                             .n_in = c->n_in,
                             .n_out = c->n_out,
                             .in = in,
                             .err = c->err };
    struct body b = body_open(&view);
    enum status s = write(&b);
    struct fact *at = NEW_ARRAY(c->arena, b.m->next_value_id + 1, struct fact);
    ops_bind(b.m);
    if (s == OK)
        s = infer_nodes(c, &b, at);
    for (int o = 0; s == OK && o < c->n_out && o < BODY_INPUTS; o++) {
        if (!b.out[o])
            continue;
        c->out[o] = at[b.out[o]->id];
        c->out[o].value = c->out[o].parts = NULL;
    }
    model_free(b.m);
    return s;
}
