/* Shape inference: symbols, bound inputs, sub-graphs. What must come out is worked by hand from the
 * specification. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exec/exec.h"
#include "ir/text.h"

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

/* --- symbols on their way through computed shapes --- */

static const char symbolic[] =
    "calque 1\nformat \"onnx\" \"test\"\nproducer \"\" \"\"\n"
    "symbol \"N\"\nsymbol \"T\"\n"
    "graph \"main\" number 0 {\n"
    "  input %x: float32[N, T, 6]\n"
    "  constant %zero: int64[] = {0}\n  constant %first: int64[1] = {0}\n"
    "  constant %second: int64[1] = {1}\n  constant %third: int64[1] = {2}\n"
    "  constant %rest: int64[1] = {-1}\n  constant %two: int64[] = {2}\n"
    "  constant %parts: int64[2] = {2, 3}\n  constant %one: int64[] = {1}\n"
    "  constant %marks: int64[3] = {-1, 1, 6}\n  constant %row: float32[1, 1, 6] = {0.0, 0.0, "
    "0.0, 0.0, 0.0, 0.0}\n"
    "  %shape: int64* = Shape(%x)\n"
    "  %n: int64* = Gather(%shape, %zero) {axis = 0}\n"
    "  %n1: int64* = Unsqueeze(%n, %first)\n"
    "  %nt: int64* = Slice(%shape, %first, %third)\n"
    /* heads: [N, T, 2, 3] */
    "  %split: int64* = Concat(%nt, %parts) {axis = 0}\n"
    "  %heads: float32* = Reshape(%x, %split)\n"
    /* [N, T * 6]: the product of a symbol and a number has no name */
    "  %flat: int64* = Concat(%n1, %rest) {axis = 0}\n"
    "  %lines: float32* = Reshape(%x, %flat)\n"
    /* the last dimension through arithmetic: 6 / 2 */
    "  %last: int64* = Gather(%shape, %two) {axis = 0}\n"
    "  %half: int64* = Div(%last, %two)\n"
    "  %half1: int64* = Unsqueeze(%half, %first)\n"
    "  %halves: int64* = Concat(%nt, %half1, %half1) {axis = 0}\n"
    "  %filled: float32* = ConstantOfShape(%halves)\n"
    "  %steps: int64* = Range(%zero, %n, %one)\n"
    /* as exporters write Expand: where an entry is -1 take 1 */
    "  %known: bool* = Equal(%marks, %rest)\n"
    "  %target: int64* = Where(%known, %shape, %marks)\n"
    "  %wide: float32* = Expand(%row, %target)\n"
    "  %same: float32* = Slice(%x, %first, %n1, %first)\n"
    "  %same_n: int64* = Mul(%n, %one)\n"
    "  %eq: bool* = Equal(%n, %same_n)\n"
    "  %cast: float32* = Cast(%n) {to = 1}\n"
    "  %back: int64* = Cast(%cast) {to = 7}\n"
    "  %back1: int64* = Unsqueeze(%back, %first)\n"
    "  %tiled: float32* = Tile(%row, %shape)\n"
    "  %from_back: float32* = ConstantOfShape(%back1)\n"
    "  %both: int64* = Concat(%n1, %first) {axis = 0}\n"
    "  %ends: float32*, %tail: float32* = Split(%wide, %both) {axis = 0}\n"
    "}\n";

static const struct fact *fact_named(const struct model *parsed, const struct fact *facts,
                                     const char *name) {
    for (int i = 0; i < parsed->graph->n_values; i++)
        if (strcmp(parsed->graph->values[i]->name, name) == 0)
            return &facts[parsed->graph->values[i]->id];
    fail_msg("no value %s", name);
    return NULL;
}

static void test_symbols(void **state) {
    (void)state;
    struct model *s;
    struct err e = { 0 };
    if (model_parse(symbolic, strlen(symbolic), &s, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    struct fact *facts = exec_infer(s, a, NULL, &e);
    const int64_t n = model_symbol(s, "N"), t = model_symbol(s, "T");
    const struct {
        const char *name;
        int rank;
        int64_t dim[4];
    } want[] = {
        { "heads", 4, { n, t, 2, 3 } },  { "lines", 2, { n, DIM_UNKNOWN } },
        { "filled", 4, { n, t, 3, 3 } }, { "steps", 1, { n } },
        { "wide", 3, { n, 1, 6 } },      { "same", 3, { n, t, 6 } },
        { "from_back", 1, { n } },       { "tiled", 3, { n, t, 36 } },
        { "ends", 3, { n, 1, 6 } },      { "tail", 3, { 0, 1, 6 } },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct fact *f = fact_named(s, facts, want[i].name);
        if (f->rank != want[i].rank || !dims_equal(f->dim, f->rank, want[i].dim, f->rank))
            fail_msg("%s: rank %d, [%lld, %lld, %lld, %lld]", want[i].name, f->rank,
                     (long long)f->dim[0], (long long)f->dim[1], (long long)f->dim[2],
                     (long long)f->dim[3]);
    }
    const struct fact *equal = fact_named(s, facts, "eq");
    assert_non_null(equal->value);
    assert_int_equal(tensor_i64(equal->value, 0), 1);
    model_free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_model, close_model)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_bound),    TEST(test_declared_for_another_size),
        TEST(test_branches), TEST(test_loop),
        TEST(test_scan),     TEST(test_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
