#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/small_model.h"
#include "ir/verify.h"

static void fails(struct model *m, enum status code, const char *name, const char *why) {
    struct err e;
    assert_int_equal(model_verify(m, &e), code);
    if (!strstr(e.what, name) || !strstr(e.what, why))
        fail_msg("'%s' names neither %s nor %s", e.what, name, why);
    model_free(m);
}

static void test_good(void **state) {
    (void)state;
    struct small_model s = small_model();
    struct err e = { 0 };
    assert_int_equal(model_verify(s.m, &e), OK);
    model_free(s.m);
}

static void test_order(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.m->graph->nodes[0] = s.relu;
    s.m->graph->nodes[1] = s.conv;
    graph_renumber(s.m->graph);
    fails(s.m, STATUS_CORRUPT, "conv_out", "not in order");
}

static void test_order_of_captured(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.m->graph->nodes[1] = s.branch;
    s.m->graph->nodes[2] = s.relu;
    graph_renumber(s.m->graph);
    fails(s.m, STATUS_CORRUPT, "'y'", "not defined where it stands");
}

static void test_cycle(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.conv->in[0] = s.y;
    fails(s.m, STATUS_CORRUPT, "conv", "cycle");
}

static void test_self_cycle(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.relu->in[0] = s.y;
    fails(s.m, STATUS_CORRUPT, "'y'", "cycle");
}

static void test_missing(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.relu->in[0] = graph_add_value(s.m->graph, "nowhere");
    fails(s.m, STATUS_CORRUPT, "nowhere", "no input, no constant");
}

static void test_computed_twice(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.relu->out[0] = s.conv_out;
    fails(s.m, STATUS_CORRUPT, "conv_out", "");
}

static void test_constant_computed(void **state) {
    (void)state;
    struct small_model s = small_model();
    node_set_output(s.relu, 0, s.w);
    fails(s.m, STATUS_CORRUPT, "'w'", "constant");
}

static void test_inner_value_read_outside(void **state) {
    (void)state;
    struct small_model s = small_model();
    s.m->graph->outputs[0] = s.neg_out;
    fails(s.m, STATUS_CORRUPT, "neg_out", "output 0");
}

static void test_body_reads_caller(void **state) {
    (void)state;
    struct small_model s = small_model();
    struct graph *body = graph_new(s.m, NULL, "body");
    struct node *n = graph_add_node(body, "Neg", "", 1, 1);
    n->in[0] = s.x;
    node_set_output(n, 0, graph_add_value(body, "body_out"));
    s.relu->body = body;
    fails(s.m, STATUS_CORRUPT, "'x'", "calls this one");
}

/* 200,000 graphs inside each other: no recursion, and time that grows with the size only. */
static void test_deep(void **state) {
    (void)state;
    struct small_model s = small_model();
    struct graph *g = s.m->graph;
    for (int i = 0; i < 200000; i++) {
        struct graph *inner = graph_new(s.m, g, "");
        struct node *n = graph_add_node(g, "If", "", 1, 0);
        n->in[0] = s.c;
        node_set_attr(n, "then_branch", ATTR_GRAPH)->graph = inner;
        g = inner;
    }
    struct err e = { 0 };
    assert_int_equal(model_verify(s.m, &e), OK);
    assert_non_null(uses_build(s.m, s.m->arena));
    model_free(s.m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_of_captured),
        cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_self_cycle),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_computed_twice),
        cmocka_unit_test(test_constant_computed),
        cmocka_unit_test(test_inner_value_read_outside),
        cmocka_unit_test(test_body_reads_caller),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
