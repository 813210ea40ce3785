#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "ir/patch.h"
#include "ir/small_model.h"
#include "ir/verify.h"

/* All that a patch may change, as text. */
static void dump_graph(struct graph *g, void *arg) {
    struct strbuf *b = arg;
    strbuf_printf(b, "graph %s\n", g->name);
    for (int i = 0; i < g->n_inputs; i++)
        strbuf_printf(b, " in %d\n", g->inputs[i]->id);
    for (int i = 0; i < g->n_outputs; i++)
        strbuf_printf(b, " out %d\n", g->outputs[i]->id);
    for (int i = 0; i < g->n_values; i++) {
        const struct value *v = g->values[i];
        strbuf_printf(b, " value %d %s %p %d %d%d %p\n", v->id, v->name, (void *)v->producer,
                      v->out_index, v->is_input, v->is_output, (void *)v->constant);
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        strbuf_printf(b, " node %d %p %s.%s", n->id, (const void *)n, n->domain, n->op);
        for (int k = 0; k < n->n_in; k++)
            strbuf_printf(b, " %d", n->in[k] ? n->in[k]->id : -1);
        for (int k = 0; k < n->n_attrs; k++)
            strbuf_printf(b, " %s=%d/%lld/%g", n->attrs[k].name, (int)n->attrs[k].type,
                          (long long)n->attrs[k].i, n->attrs[k].f);
        strbuf_add(b, "\n");
    }
}

static const char *dump(struct model *m) {
    struct strbuf b;
    strbuf_init(&b, m->arena);
    model_each_graph(m, dump_graph, &b);
    return b.p;
}

static void apply(struct patch *p) {
    struct err e = { 0 };
    if (patch_apply(p, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    assert_int_equal(model_verify(p->model, &e), OK);
}

static void test_attributes(void **state) {
    (void)state;
    struct small_model s = small_model();
    const char *before = dump(s.m);
    struct patch *p = patch_new(s.m, "attributes");
    patch_set_int(p, s.conv, "group", 4);
    patch_remove_attr(p, s.conv, "auto_pad");
    patch_set_float(p, s.conv, "alpha", 0.5);
    patch_set_ints(p, s.conv, "pads", (const int64_t[]) { 1, 2 }, 2);
    patch_set_op(p, s.relu, "Elu", "");
    apply(p);
    assert_int_equal(node_attr(s.conv, "group")->i, 4);
    assert_null(node_attr(s.conv, "auto_pad"));
    assert_true(node_attr(s.conv, "alpha")->f == 0.5);
    assert_int_equal(node_attr(s.conv, "pads")->ints[1], 2);
    assert_true(node_is(s.relu, "Elu"));
    assert_string_not_equal(before, dump(s.m));
    patch_undo(p);
    assert_string_equal(before, dump(s.m));
    model_free(s.m);
}

/* A node between two others, whose readers are in another graph too. */
static void test_insert(void **state) {
    (void)state;
    struct small_model s = small_model();
    const char *before = dump(s.m);
    struct patch *p = patch_new(s.m, "insert");
    struct value *k = patch_constant(p, s.m->graph, "scale", tensor_scalar_f32(s.m->arena, 2));
    struct node *mul =
        patch_node(p, s.m->graph, s.branch, "Mul", "", (struct value *[]) { s.y, k }, 2, 1);
    patch_replace_uses(p, s.y, mul->out[0]);
    for (int round = 0; round < 3; round++) {
        apply(p);
        assert_ptr_equal(s.m->graph->nodes[2], mul);
        assert_ptr_equal(mul->in[0], s.y);
        assert_ptr_equal(s.neg->in[0], mul->out[0]);
        assert_ptr_equal(s.m->graph->outputs[1], mul->out[0]);
        assert_string_equal(mul->out[0]->name, "y"); /* the public name stays at the output */
        assert_string_not_equal(s.y->name, "y");
        assert_false(s.y->is_output);
        patch_undo(p);
        assert_string_equal(before, dump(s.m));
    }
    model_free(s.m);
}

static void test_remove(void **state) {
    (void)state;
    struct small_model s = small_model();
    const char *before = dump(s.m);
    struct patch *p = patch_new(s.m, "no activation");
    patch_replace_uses(p, s.y, s.conv_out);
    patch_remove_node(p, s.relu);
    apply(p);
    assert_int_equal(s.m->graph->n_nodes, 2);
    assert_int_equal(s.branch->id, 1);
    assert_ptr_equal(s.neg->in[0], s.conv_out);
    assert_string_equal(s.conv_out->name, "y");
    struct patch *q = patch_new(s.m, "one more");
    patch_set_int(q, s.conv, "group", 2);
    apply(q);
    patch_undo(q);
    patch_undo(p);
    assert_string_equal(before, dump(s.m));
    model_free(s.m);
}

/* The node stands behind its reader: it moves up, the others stay in order. */
static void test_sorts(void **state) {
    (void)state;
    struct small_model s = small_model();
    const char *before = dump(s.m);
    struct patch *p = patch_new(s.m, "late");
    struct node *abs = patch_node(p, s.m->graph, NULL, "Abs", "", (struct value *[]) { s.x }, 1, 1);
    patch_set_input(p, s.conv, 0, abs->out[0]);
    patch_set_input(p, s.neg, 0, s.conv_out);
    apply(p);
    assert_ptr_equal(s.m->graph->nodes[0], abs);
    assert_ptr_equal(s.m->graph->nodes[1], s.conv);
    assert_ptr_equal(s.m->graph->nodes[2], s.relu);
    assert_ptr_equal(s.m->graph->nodes[3], s.branch);
    patch_undo(p);
    assert_string_equal(before, dump(s.m));
    model_free(s.m);
}

/* Moved up for a reader inside a graph that an earlier node holds. */
static void test_sorts_for_captured(void **state) {
    (void)state;
    struct small_model s = small_model();
    struct patch *p = patch_new(s.m, "captured");
    struct node *abs = patch_node(p, s.m->graph, NULL, "Abs", "", (struct value *[]) { s.y }, 1, 1);
    patch_set_input(p, s.neg, 0, abs->out[0]);
    apply(p);
    assert_ptr_equal(s.m->graph->nodes[2], abs);
    assert_ptr_equal(s.m->graph->nodes[3], s.branch);
    model_free(s.m);
}

static void refused(struct small_model *s, struct patch *p, enum status code, const char *why) {
    const char *before = dump(s->m);
    struct err e = { 0 };
    assert_int_equal(patch_apply(p, &e), code);
    if (!strstr(e.what, why))
        fail_msg("'%s' does not say %s", e.what, why);
    assert_string_equal(before, dump(s->m));
    patch_undo(p); /* does nothing */
    assert_string_equal(before, dump(s->m));
}

static void test_all_or_nothing(void **state) {
    (void)state;
    struct small_model s = small_model();
    struct patch *p = patch_new(s.m, "still read");
    patch_set_int(p, s.conv, "group", 7);
    patch_remove_node(p, s.relu);
    refused(&s, p, STATUS_CORRUPT, "'y'");
    p = patch_new(s.m, "cycle");
    struct node *abs =
        patch_node(p, s.m->graph, s.conv, "Abs", "", (struct value *[]) { s.y }, 1, 1);
    patch_set_input(p, s.conv, 0, abs->out[0]);
    refused(&s, p, STATUS_CORRUPT, "cycle");
    p = patch_new(s.m, "two public names");
    patch_replace_uses(p, s.y, s.x);
    patch_remove_node(p, s.relu);
    refused(&s, p, STATUS_UNSUPPORTED, "Identity");
    p = patch_new(s.m, "no constant");
    patch_set_constant(p, s.y, tensor_scalar_f32(s.m->arena, 1));
    refused(&s, p, STATUS_BUG, "no constant");
    p = patch_new(s.m, "no such input");
    patch_set_input(p, s.relu, 2, s.x);
    refused(&s, p, STATUS_BUG, "no input 2");
    p = patch_new(s.m, "input twice");
    patch_set_input_order(p, s.m->graph, 0, s.c);
    refused(&s, p, STATUS_BUG, "twice");
    model_free(s.m);
}

static void test_constant_and_ends(void **state) {
    (void)state;
    struct small_model s = small_model();
    const char *before = dump(s.m);
    struct patch *p = patch_new(s.m, "constant");
    patch_set_constant(p, s.w, tensor_vec_i64(s.m->arena, (const int64_t[]) { 5, 6 }, 2));
    patch_set_input_order(p, s.m->graph, 0, s.c);
    patch_set_input_order(p, s.m->graph, 1, s.x);
    patch_set_output(p, s.m->graph, 1, s.conv_out);
    patch_set_input(p, s.relu, 1, s.x);
    apply(p);
    assert_int_equal(s.w->dtype, DT_I64);
    assert_int_equal(s.w->dim[0], 2);
    assert_ptr_equal(s.m->graph->inputs[0], s.c);
    assert_string_equal(s.m->graph->outputs[1]->name, "y");
    assert_int_equal(s.relu->n_in, 2);
    patch_undo(p);
    assert_int_equal(s.w->dtype, DT_F32);
    assert_int_equal(s.w->dim[0], 3);
    assert_string_equal(before, dump(s.m));
    model_free(s.m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_insert),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_sorts_for_captured),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_constant_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
