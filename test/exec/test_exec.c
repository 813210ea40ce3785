/* Running graphs: what lives how long, iterations that leave nothing behind, refusals that free
 * what they made. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exec/exec.h"

struct watch {
    const struct exec_env *env;
    size_t peak;
    int taps;
};

/* The most bytes that the environment ever held at the moment a value was made. */
static void watch_tap(void *arg, const struct value *v, const struct tensor *t) {
    struct watch *w = arg;
    size_t live = 0;
    (void)v, (void)t;
    for (int i = 0; i < w->env->n; i++)
        live += w->env->at[i] ? tensor_bytes(w->env->at[i]) : 0;
    w->peak = live > w->peak ? live : w->peak;
    w->taps++;
}

static struct value *typed(struct graph *g, const char *name, enum dtype dtype, int rank,
                           const int64_t *dim) {
    struct value *v = graph_add_value(g, name);
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++)
        v->dim[i] = dim[i];
    return v;
}

static struct value *input(struct graph *g, const char *name, enum dtype dtype, int rank,
                           const int64_t *dim) {
    struct value *v = typed(g, name, dtype, rank, dim);
    graph_add_input(g, v);
    return v;
}

static struct node *add(struct graph *g, const char *op, struct value *a, struct value *b,
                        int n_out) {
    struct node *n = graph_add_node(g, op, "", b ? 2 : a ? 1 : 0, n_out);
    if (a)
        n->in[0] = a;
    if (b)
        n->in[1] = b;
    for (int i = 0; i < n_out; i++)
        node_set_output(n, i, graph_add_value(g, "v"));
    return n;
}

static struct value *number(struct graph *g, enum dtype dtype, int64_t v) {
    struct tensor *t = tensor_in_arena(g->model->arena, dtype, dtype, 0, NULL);
    tensor_set_i64(t, 0, v);
    return graph_add_constant(g, "c", t);
}

static struct model *new_model(void) {
    struct model *m = model_new();
    m->graph = graph_new(m, NULL, "main");
    return m;
}

struct session {
    struct exec *x;
    struct exec_env *env;
    struct watch watch;
    struct err err;
    enum status status;
};

static void run(struct session *s, struct model *m, const struct tensor *const *in) {
    *s = (struct session) { .x = NULL };
    struct exec_options o = { .precision = PREC_F64, .tap = watch_tap, .arg = &s->watch };
    assert_int_equal(exec_new(&s->x, m, &o, &s->err), OK);
    s->env = exec_env_new(s->x);
    s->watch.env = s->env;
    s->status = exec_run(s->x, m->graph, in, s->env, &s->err);
}

static int held(const struct session *s) {
    int n = 0;
    for (int i = 0; i < s->env->n; i++)
        n += s->env->at[i] != NULL;
    return n;
}

static void finish(struct session *s, struct model *m) {
    exec_env_free(s->env);
    exec_free(s->x);
    model_free(m);
}

static struct tensor *floats(struct model *m, int64_t n) {
    return tensor_in_arena(m->arena, DT_F32, DT_F32, 1, &n);
}

/* Two hundred values of 8 kB each; never more than two of them live. */
static void test_chain(void **state) {
    (void)state;
    struct model *m = new_model();
    int64_t n = 1000;
    struct value *v = input(m->graph, "x", DT_F32, 1, &n);
    for (int i = 0; i < 200; i++)
        v = add(m->graph, "Neg", v, NULL, 1)->out[0];
    graph_add_output(m->graph, v);
    struct session s;
    const struct tensor *in[] = { floats(m, n) };
    run(&s, m, in);
    assert_int_equal(s.status, OK);
    assert_int_equal(s.watch.taps, 200);
    assert_true(s.watch.peak <= 2 * 8 * (size_t)n);
    assert_int_equal(held(&s), 1);
    finish(&s, m);
}

/* A value that only a branch reads goes after the If; one read by nobody goes at once. */
static void test_captured(void **state) {
    (void)state;
    struct model *m = new_model();
    int64_t n = 4;
    struct graph *g = m->graph;
    struct value *x = input(g, "x", DT_F32, 1, &n), *a = add(g, "Neg", x, NULL, 1)->out[0];
    add(g, "Abs", x, NULL, 1);
    struct node *choose = add(g, "If", number(g, DT_BOOL, 1), NULL, 1);
    for (int i = 0; i < 2; i++) {
        struct graph *b = graph_new(m, g, i ? "else" : "then");
        graph_add_output(b, add(b, i ? "Neg" : "Abs", a, NULL, 1)->out[0]);
        node_set_attr(choose, i ? "else_branch" : "then_branch", ATTR_GRAPH)->graph = b;
    }
    graph_add_output(g, add(g, "Neg", choose->out[0], NULL, 1)->out[0]);
    struct session s;
    struct tensor *t = floats(m, n);
    tensor_set_f64(t, 0, 3);
    const struct tensor *in[] = { t };
    run(&s, m, in);
    assert_int_equal(s.status, OK);
    assert_true(tensor_f64(s.env->at[g->outputs[0]->id], 0) == -3);
    assert_int_equal(held(&s), 1);
    finish(&s, m);
}

/* Loop(M = trips, state) whose body is made by the caller. */
static struct node *add_loop(struct graph *g, int64_t trips, struct value *state, int n_out,
                             struct graph **body) {
    struct node *n = graph_add_node(g, "Loop", "", 3, n_out);
    n->in[0] = number(g, DT_I64, trips);
    n->in[2] = state;
    for (int i = 0; i < n_out; i++)
        node_set_output(n, i, graph_add_value(g, "loop"));
    *body = graph_new(g->model, g, "body");
    node_set_attr(n, "body", ATTR_GRAPH)->graph = *body;
    input(*body, "i", DT_I64, 0, NULL);
    input(*body, "go", DT_BOOL, 0, NULL);
    graph_add_output(*body, (*body)->inputs[1]);
    return n;
}

/* s = 0; for i < 3: for j < 4: s += i * j. By hand: (0 + 1 + 2) * (0 + 1 + 2 + 3) = 18. The inner
 * sums are scanned. */
static void test_nested_loops(void **state) {
    (void)state;
    struct model *m = new_model();
    struct graph *g = m->graph, *outer, *inner;
    struct node *loop = add_loop(g, 3, number(g, DT_I64, 0), 2, &outer);
    struct value *sum = input(outer, "sum", DT_I64, 0, NULL);
    struct node *loop2 = add_loop(outer, 4, sum, 1, &inner);
    struct value *sum2 = input(inner, "sum2", DT_I64, 0, NULL);
    struct value *product = add(inner, "Mul", outer->inputs[0], inner->inputs[0], 1)->out[0];
    graph_add_output(inner, add(inner, "Add", sum2, product, 1)->out[0]);
    graph_add_output(outer, loop2->out[0]);
    graph_add_output(outer, add(outer, "Neg", loop2->out[0], NULL, 1)->out[0]);
    graph_add_output(g, loop->out[0]);
    graph_add_output(g, loop->out[1]);
    struct session s;
    run(&s, m, NULL);
    assert_int_equal(s.status, OK);
    assert_int_equal(tensor_i64(s.env->at[g->outputs[0]->id], 0), 18);
    const struct tensor *scan = s.env->at[g->outputs[1]->id];
    assert_true(dims_equal(scan->dim, scan->rank, (int64_t[]) { 3 }, 1));
    assert_int_equal(tensor_i64(scan, 1), -6);
    assert_int_equal(held(&s), 2);
    finish(&s, m);
}

/* No iteration: the state passes through, the scan is empty with the declared shape of an element.
 */
static void test_no_iteration(void **state) {
    (void)state;
    struct model *m = new_model();
    struct graph *g = m->graph, *body;
    struct node *loop = add_loop(g, 0, number(g, DT_I64, 7), 2, &body);
    struct value *v = input(body, "state", DT_I64, 0, NULL),
                 *element = typed(body, "element", DT_F32, 1, (int64_t[]) { 5 });
    graph_add_output(body, v);
    graph_add_output(body, element);
    graph_add_output(g, loop->out[0]);
    graph_add_output(g, loop->out[1]);
    struct session s;
    run(&s, m, NULL);
    assert_int_equal(s.status, OK);
    assert_int_equal(tensor_i64(s.env->at[g->outputs[0]->id], 0), 7);
    const struct tensor *scan = s.env->at[g->outputs[1]->id];
    assert_true(dims_equal(scan->dim, scan->rank, (int64_t[]) { 0, 5 }, 2));
    finish(&s, m);
}

/* The third iteration fails; what the others made is freed (the sanitizer builds see a leak). */
static void test_failure_inside(void **state) {
    (void)state;
    struct model *m = new_model();
    struct graph *g = m->graph, *body;
    struct node *loop = add_loop(g, 5, number(g, DT_I64, 0), 2, &body);
    struct value *v = input(body, "state", DT_I64, 0, NULL);
    int64_t two[] = { 10, 20 };
    struct value *table = graph_add_constant(body, "table", tensor_vec_i64(m->arena, two, 2));
    struct value *picked = add(body, "Gather", table, body->inputs[0], 1)->out[0];
    graph_add_output(body, add(body, "Add", v, picked, 1)->out[0]);
    graph_add_output(body, picked);
    graph_add_output(g, loop->out[0]);
    struct session s;
    run(&s, m, NULL);
    assert_int_equal(s.status, STATUS_CORRUPT);
    assert_non_null(strstr(s.err.what, "index 2"));
    assert_non_null(strstr(s.err.where, "Loop"));
    finish(&s, m);
}

/* A function body is run once a call; a second call sees nothing of the first. */
static void test_function(void **state) {
    (void)state;
    struct model *m = new_model();
    int64_t n = 1;
    struct graph *g = m->graph;
    struct value *v = input(g, "x", DT_F32, 1, &n);
    for (int i = 0; i < 2; i++) {
        struct node *call = graph_add_node(g, "Twice", "local", 1, 1);
        call->in[0] = v;
        node_set_output(call, 0, graph_add_value(g, "y"));
        call->body = graph_new(m, g, "Twice");
        struct value *x = graph_add_value(call->body, "x");
        graph_add_input(call->body, x);
        graph_add_output(call->body, add(call->body, "Add", x, x, 1)->out[0]);
        v = call->out[0];
    }
    graph_add_output(g, v);
    struct session s;
    struct tensor *t = floats(m, n);
    tensor_set_f64(t, 0, 5);
    const struct tensor *in[] = { t };
    run(&s, m, in);
    assert_int_equal(s.status, OK);
    assert_true(tensor_f64(s.env->at[v->id], 0) == 20);
    assert_int_equal(held(&s), 1);
    finish(&s, m);
}

/* A numbered sub-graph that calls itself is refused. */
static void test_recursion(void **state) {
    (void)state;
    struct model *m = new_model();
    int64_t n = 1;
    struct graph *g = m->graph, *f = graph_new(m, NULL, "f");
    struct graph *from[] = { g, f };
    for (int i = 0; i < 2; i++)
        PUSH(m->arena, m->graphs, m->n_graphs, from[i]);
    for (int i = 0; i < 2; i++) {
        struct value *x = input(from[i], "x", DT_F32, 1, &n);
        struct node *call = graph_add_node(from[i], "CALL", "tflite", 1, 1);
        call->in[0] = x;
        node_set_output(call, 0, graph_add_value(from[i], "y"));
        node_set_attr(call, "decomposition", ATTR_GRAPH)->graph = f;
        graph_add_output(from[i], call->out[0]);
    }
    struct session s;
    const struct tensor *in[] = { floats(m, n) };
    run(&s, m, in);
    assert_int_equal(s.status, STATUS_CORRUPT);
    assert_non_null(strstr(s.err.what, "calls itself"));
    finish(&s, m);
}

/* A sequence grown in a loop, then joined: 0, 1, 2, 3 stacked. */
static void test_sequence_state(void **state) {
    (void)state;
    struct model *m = new_model();
    struct graph *g = m->graph, *body;
    struct node *empty = add(g, "SequenceEmpty", NULL, NULL, 1);
    node_set_int(empty, "dtype", 7);
    struct node *loop = add_loop(g, 4, empty->out[0], 1, &body);
    struct value *sequence = graph_add_value(body, "sequence");
    sequence->kind = KIND_SEQUENCE;
    graph_add_input(body, sequence);
    graph_add_output(body, add(body, "SequenceInsert", sequence, body->inputs[0], 1)->out[0]);
    struct node *join = add(g, "ConcatFromSequence", loop->out[0], NULL, 1);
    node_set_int(join, "axis", 0);
    node_set_int(join, "new_axis", 1);
    graph_add_output(g, join->out[0]);
    struct session s;
    run(&s, m, NULL);
    assert_int_equal(s.status, OK);
    const struct tensor *t = s.env->at[join->out[0]->id];
    assert_int_equal(tensor_count(t), 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(tensor_i64(t, i), i);
    finish(&s, m);
}

/* Two transposed convolutions read one weight; the second cuts one element less at the begin, so
 * its output is the first's moved by one. */
static void test_shared_weight(void **state) {
    (void)state;
    struct model *m = new_model();
    struct graph *g = m->graph;
    const int64_t x_dim[] = { 1, 8, 9 }, k_dim[] = { 8, 8, 4 };
    const int64_t pads[2][2] = { { 1, 1 }, { 0, 2 } }, strides[] = { 2 };
    struct tensor *data = tensor_in_arena(m->arena, DT_F32, DT_F32, 3, x_dim),
                  *weight = tensor_in_arena(m->arena, DT_F32, DT_F32, 3, k_dim);
    for (int64_t i = 0; i < tensor_count(data); i++)
        tensor_set_f64(data, i, (double)(i * 7 % 13) - 6);
    for (int64_t i = 0; i < tensor_count(weight); i++)
        tensor_set_f64(weight, i, (double)(i * 5 % 17) - 8);
    struct value *x = input(g, "x", DT_F32, 3, x_dim), *k = graph_add_constant(g, "k", weight);
    struct value *y[2];
    for (int i = 0; i < 2; i++) {
        struct node *n = add(g, "ConvTranspose", x, k, 1);
        node_set_ints(n, "pads", pads[i], 2);
        node_set_ints(n, "strides", strides, 1);
        y[i] = n->out[0];
        graph_add_output(g, y[i]);
    }
    struct session s;
    const struct tensor *in[] = { data };
    run(&s, m, in);
    assert_int_equal(s.status, OK);
    const struct tensor *a = s.env->at[y[0]->id], *b = s.env->at[y[1]->id];
    assert_int_equal(a->dim[2], 18);
    for (int64_t c = 0; c < 8; c++)
        for (int64_t i = 0; i + 1 < 18; i++)
            assert_true(tensor_f64(a, c * 18 + i) == tensor_f64(b, c * 18 + i + 1));
    finish(&s, m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),          cmocka_unit_test(test_captured),
        cmocka_unit_test(test_nested_loops),   cmocka_unit_test(test_no_iteration),
        cmocka_unit_test(test_failure_inside), cmocka_unit_test(test_function),
        cmocka_unit_test(test_recursion),      cmocka_unit_test(test_sequence_state),
        cmocka_unit_test(test_shared_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
