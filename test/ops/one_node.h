/* A model of one node, for tests of operators. */
#ifndef TEST_OPS_ONE_NODE_H
#define TEST_OPS_ONE_NODE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ops/op.h"

enum { MAX_IN = 48, MAX_OUT = 8 };

struct one_node {
    struct model *model;
    struct node *node;
    struct arena *arena;
    struct tensor *in[MAX_IN]; /* NULL: left out */
    struct tensor *out[MAX_OUT];
    struct err err;
};

static inline void one_node_open(struct one_node *t, const char *domain, const char *op, int n_in,
                                 int n_out) {
    *t = (struct one_node) { .model = model_new(), .arena = arena_new() };
    if (!t->model->graph)
        t->model->graph = graph_new(t->model, NULL, "test");
    t->node = graph_add_node(t->model->graph, op, domain, n_in, n_out);
    for (int i = 0; i < n_in; i++)
        t->node->in[i] = graph_add_value(t->model->graph, "in");
    for (int i = 0; i < n_out; i++)
        node_set_output(t->node, i, graph_add_value(t->model->graph, "out"));
    ops_bind(t->model);
    assert_non_null(t->node->def);
}

static inline enum status one_node_run(struct one_node *t, enum precision precision) {
    struct op_env env = { .precision = precision, .scratch = t->arena };
    const struct tensor *in[MAX_IN];
    struct tensor *wide[MAX_IN] = { 0 };
    for (int i = 0; i < t->node->n_in; i++) {
        if (!t->in[i])
            t->node->in[i] = NULL;
        else
            assert_int_equal(tensor_for_kernel(&wide[i], t->in[i], precision, &t->err), OK);
        in[i] = wide[i];
    }
    for (int i = 0; i < MAX_OUT; i++) {
        tensor_free(t->out[i]);
        t->out[i] = NULL;
    }
    enum status s = op_run(&env, t->node, in, t->out, &t->err);
    for (int i = 0; i < MAX_IN; i++)
        tensor_free(wide[i]);
    return s;
}

static inline void one_node_close(struct one_node *t) {
    for (int i = 0; i < MAX_OUT; i++)
        tensor_free(t->out[i]);
    arena_free(t->arena);
    model_free(t->model);
}

#endif
