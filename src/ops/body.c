#include "ops/body.h"

#include <string.h>

#include "ops/tape.h"

static struct node *add(struct body *b, const char *op, struct value *const *in, int n) {
    while (n && !in[n - 1])
        n--;
    struct node *node = graph_add_node(b->g, op, "", n, 1);
    for (int i = 0; i < n; i++)
        node->in[i] = in[i];
    node_set_output(node, 0, graph_add_value(b->g, ""));
    return node;
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
    struct tensor *t = tensor_in_arena(b->m->arena, DT_F64, DT_F64, rank, dim);
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

enum status grad_of_body(struct grad_ctx *c, body_fn *write) {
    struct body b = { .m = model_new(), .c = c };
    if (!b.m->graph)
        b.m->graph = graph_new(b.m, NULL, "body");
    b.g = b.m->graph;
    for (int i = 0; i < c->n_in && i < BODY_INPUTS; i++)
        b.in[i] = c->in[i] ? graph_add_value(b.g, "") : NULL;
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
