/* Shape inference: symbols, bound inputs, sub-graphs. What must come out is worked by hand from the
 * specification. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "exec/exec.h"

static struct model *m;
static struct arena *a;

static int open_model(void **state) {
    (void)state;
    m = model_new();
    a = arena_new();
    m->graph = graph_new(m, NULL, "main");
    return 0;
}

static int close_model(void **state) {
    (void)state;
    arena_free(a);
    model_free(m);
    return 0;
}

static struct value *input(struct graph *g, enum dtype dtype, int rank, const int64_t *dim) {
    struct value *v = graph_add_value(g, "x");
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++)
        v->dim[i] = dim[i];
    graph_add_input(g, v);
    return v;
}

static struct value *add(struct graph *g, const char *op, struct value *x, struct value *y) {
    struct node *n = graph_add_node(g, op, "", y ? 2 : 1, 1);
    n->in[0] = x;
    if (y)
        n->in[1] = y;
    node_set_output(n, 0, graph_add_value(g, "y"));
    return n->out[0];
}

static struct value *ints(struct graph *g, int64_t n, const int64_t *v) {
    return graph_add_constant(g, "c", tensor_vec_i64(m->arena, v, n));
}

static void expect(const struct fact *facts, const struct value *v, int rank, const int64_t *dim) {
    const struct fact *f = &facts[v->id];
    assert_int_equal(f->rank, rank);
    for (int i = 0; i < rank; i++)
        assert_int_equal(f->dim[i], dim[i]);
}

/* Shape -> Gather -> Reshape is computed through once the batch is bound; before that the rank is
 * known. */
static void test_bound(void **state) {
    (void)state;
    struct graph *g = m->graph;
    int64_t n = model_symbol(m, "N");
    struct value *x = input(g, DT_F32, 3, (int64_t[]) { n, 4, 5 });
    struct value *batch = add(g, "Gather", add(g, "Shape", x, NULL), ints(g, 1, (int64_t[]) { 0 }));
    struct node *join = graph_add_node(g, "Concat", "", 2, 1);
    node_set_int(join, "axis", 0);
    join->in[0] = batch;
    join->in[1] = ints(g, 1, (int64_t[]) { -1 });
    node_set_output(join, 0, graph_add_value(g, "shape"));
    struct value *y = add(g, "Reshape", x, join->out[0]);
    struct value *flat = add(g, "Flatten", x, NULL);
    struct fact *facts = exec_infer(m, a, NULL, NULL);
    assert_int_equal(facts[y->id].rank, 2);
    expect(facts, flat, 2, (int64_t[]) { n, 20 });
    struct fact *bound = NEW_ARRAY(a, m->next_value_id + 1, struct fact);
    for (int i = 0; i < m->next_value_id; i++)
        bound[i].rank = -1;
    bound[x->id] = (struct fact) { .dtype = DT_F32, .rank = 3, .dim = { 7, 4, 5 } };
    facts = exec_infer(m, a, bound, NULL);
    expect(facts, y, 2, (int64_t[]) { 7, 20 });
}

/* A declared shape made for another batch does not stand against a bound input. */
static void test_declared_for_another_size(void **state) {
    (void)state;
    struct graph *g = m->graph;
    struct value *x = input(g, DT_F32, 2, (int64_t[]) { 1, 4 });
    struct node *unknown = graph_add_node(g, "Mystery", "nowhere", 1, 1);
    unknown->in[0] = x;
    struct value *y = graph_add_value(g, "y");
    node_set_output(unknown, 0, y);
    y->dtype = DT_F32;
    y->rank = 2;
    y->dim[0] = 1;
    y->dim[1] = 4;
    expect(exec_infer(m, a, NULL, NULL), y, 2, (int64_t[]) { 1, 4 });
    struct fact *bound = NEW_ARRAY(a, m->next_value_id + 1, struct fact);
    bound[y->id].rank = -1;
    bound[x->id] = (struct fact) { .dtype = DT_F32, .rank = 2, .dim = { 8, 4 } };
    expect(exec_infer(m, a, bound, NULL), y, 2, (int64_t[]) { DIM_UNKNOWN, DIM_UNKNOWN });
}

/* Branches that differ in one dimension leave it unknown; a known condition decides. */
static void test_branches(void **state) {
    (void)state;
    struct graph *g = m->graph;
    int64_t n = model_symbol(m, "N");
    struct value *x = input(g, DT_F32, 2, (int64_t[]) { n, 3 }), *flag = input(g, DT_BOOL, 0, NULL);
    struct tensor *yes = tensor_in_arena(m->arena, DT_BOOL, DT_BOOL, 0, NULL);
    tensor_set_i64(yes, 0, 1);
    struct value *condition[] = { flag, graph_add_constant(g, "yes", yes) }, *out[2];
    for (int k = 0; k < 2; k++) {
        struct graph *b[2];
        out[k] = add(g, "If", condition[k], NULL);
        for (int i = 0; i < 2; i++) {
            b[i] = graph_new(m, g, "branch");
            graph_add_output(b[i], add(b[i], "Tile", x, ints(b[i], 2, (int64_t[]) { 1, i + 1 })));
            node_set_attr(out[k]->producer, i ? "else_branch" : "then_branch", ATTR_GRAPH)->graph =
                b[i];
        }
    }
    struct fact *facts = exec_infer(m, a, NULL, NULL);
    expect(facts, out[0], 2, (int64_t[]) { n, DIM_UNKNOWN });
    expect(facts, out[1], 2, (int64_t[]) { n, 3 });
}

/* A state that grows by one row an iteration has an unknown number of rows; its scan output has one
 * entry a trip. */
static void test_loop(void **state) {
    (void)state;
    struct graph *g = m->graph, *body = graph_new(m, g, "body");
    struct value *x = input(g, DT_F32, 2, (int64_t[]) { 2, 3 });
    struct node *loop = graph_add_node(g, "Loop", "", 3, 2);
    loop->in[0] = ints(g, 1, (int64_t[]) { 6 });
    loop->in[2] = x;
    for (int i = 0; i < 2; i++)
        node_set_output(loop, i, graph_add_value(g, "out"));
    node_set_attr(loop, "body", ATTR_GRAPH)->graph = body;
    input(body, DT_I64, 0, NULL);
    struct value *go = input(body, DT_BOOL, 0, NULL), *v = input(body, DT_F32, -1, NULL);
    struct value *row = graph_add_constant(
        body, "row", tensor_in_arena(m->arena, DT_F32, DT_F32, 2, (int64_t[]) { 1, 3 }));
    struct value *grown = add(body, "Concat", v, row);
    node_set_int(grown->producer, "axis", 0);
    graph_add_output(body, go);
    graph_add_output(body, grown);
    graph_add_output(body, row);
    struct fact *facts = exec_infer(m, a, NULL, NULL);
    expect(facts, loop->out[0], 2, (int64_t[]) { DIM_UNKNOWN, 3 });
    expect(facts, loop->out[1], 3, (int64_t[]) { 6, 1, 3 });
}

/* Scan along axis 1 of [N, T, 3]: the body sees [N, 3], the stacked output has T in front. */
static void test_scan(void **state) {
    (void)state;
    struct graph *g = m->graph, *body = graph_new(m, g, "body");
    int64_t n = model_symbol(m, "N"), t = model_symbol(m, "T");
    struct value *x = input(g, DT_F32, 3, (int64_t[]) { n, t, 3 });
    struct value *out = add(g, "Scan", x, NULL);
    node_set_attr(out->producer, "body", ATTR_GRAPH)->graph = body;
    node_set_int(out->producer, "num_scan_inputs", 1);
    node_set_ints(out->producer, "scan_input_axes", (const int64_t[]) { 1 }, 1);
    struct value *element = input(body, DT_F32, -1, NULL);
    graph_add_output(body, add(body, "Neg", element, NULL));
    struct fact *facts = exec_infer(m, a, NULL, NULL);
    expect(facts, element, 2, (int64_t[]) { n, 3 });
    expect(facts, out, 3, (int64_t[]) { t, n, 3 });
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_model, close_model)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_bound),    TEST(test_declared_for_another_size),
        TEST(test_branches), TEST(test_loop),
        TEST(test_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
