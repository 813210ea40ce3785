/* A hand-made model for tests of src/ir:  y = Relu(Conv(x, w)),  z = If(c) { y } else { Neg(y) }.
 */
#ifndef TEST_IR_SMALL_MODEL_H
#define TEST_IR_SMALL_MODEL_H

#include "ir/ir.h"

struct small_model {
    struct model *m;
    struct value *x, *c, *w, *conv_out, *y, *z, *neg_out;
    struct node *conv, *relu, *branch, *neg;
};

static inline struct small_model small_model(void) {
    struct small_model s = { .m = model_new() };
    struct graph *g = s.m->graph = graph_new(s.m, NULL, "main");
    PUSH(s.m->arena, s.m->graphs, s.m->n_graphs, g);
    s.x = graph_add_value(g, "x");
    s.c = graph_add_value(g, "c");
    graph_add_input(g, s.x);
    graph_add_input(g, s.c);
    s.w = graph_add_constant(g, "w", tensor_vec_f32(s.m->arena, (const float[]) { 1, 2, 3 }, 3));
    s.conv_out = graph_add_value(g, "conv_out");
    s.y = graph_add_value(g, "y");
    s.z = graph_add_value(g, "z");
    s.conv = graph_add_node(g, "Conv", "", 2, 1);
    s.conv->name = "conv";
    s.conv->in[0] = s.x;
    s.conv->in[1] = s.w;
    node_set_output(s.conv, 0, s.conv_out);
    node_set_int(s.conv, "group", 1);
    node_set_string(s.conv, "auto_pad", "NOTSET");
    s.relu = graph_add_node(g, "Relu", "", 1, 1);
    s.relu->in[0] = s.conv_out;
    node_set_output(s.relu, 0, s.y);
    s.branch = graph_add_node(g, "If", "", 1, 1);
    s.branch->in[0] = s.c;
    node_set_output(s.branch, 0, s.z);
    struct graph *yes = graph_new(s.m, g, "yes"), *no = graph_new(s.m, g, "no");
    node_set_attr(s.branch, "then_branch", ATTR_GRAPH)->graph = yes;
    node_set_attr(s.branch, "else_branch", ATTR_GRAPH)->graph = no;
    graph_add_output(yes, s.y);
    s.y->is_output = false;
    s.neg = graph_add_node(no, "Neg", "", 1, 1);
    s.neg->in[0] = s.y;
    s.neg_out = graph_add_value(no, "neg_out");
    node_set_output(s.neg, 0, s.neg_out);
    graph_add_output(no, s.neg_out);
    graph_add_output(g, s.z);
    graph_add_output(g, s.y);
    return s;
}

#endif
