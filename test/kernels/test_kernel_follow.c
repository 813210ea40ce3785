/* Elementwise nodes computed along with the node before them: the values of a run in which all are
 * shown, and of one in which only the output is, against the reference kernels. */
#include "exec/exec.h"
#include "kernels/follow.h"
#include "kernels/kernel_test.h"

enum { CASES = 700, VALUES_AT_MOST = 8 };

struct seen {
    struct tensor *at[VALUES_AT_MOST];
    int n;
};

static void tap(void *arg, const struct value *v, const struct tensor *t) {
    struct seen *s = arg;
    (void)v;
    assert_true(s->n < VALUES_AT_MOST);
    s->at[s->n++] = tensor_alias(t);
}

static struct value *constant(struct bench *b, enum dtype t, int rank, const int64_t *dim) {
    struct value *v = graph_add_value(b->model->graph, "c");
    struct tensor *x = tensor_in_arena(b->model->arena, t, t, rank, dim);
    for (int64_t k = 0; k < tensor_count(x); k++)
        tensor_set_f64(x, k, random_value(&b->random, ORDINARY, t));
    v->constant = x;
    v->dtype = t;
    return v;
}

/* A node on v: a function, a clip, or a sum or product with something that broadcasts to v. */
static struct value *follow(struct bench *b, struct value *v, enum dtype t, int rank,
                            const int64_t *dim) {
    static const char *const unary[] = { "Relu", "Sigmoid", "LeakyRelu", "Gelu", "HardSwish" };
    static const char *const binary[] = { "Add", "Mul", "Sub", "Div" };
    struct random *r = &b->random;
    struct graph *g = b->model->graph;
    struct node *n;
    int64_t one[5] = { 1, 1, 1, 1, 1 };
    if (random_chance(r, 40)) {
        n = graph_add_node(g, unary[random_chance(r, 40) ? 0 : random_in(r, 0, 4)], "", 1, 1);
        n->in[0] = v;
    } else if (random_chance(r, 30)) {
        n = graph_add_node(g, "Clip", "", 3, 1);
        n->in[0] = v;
        int side = (int)random_in(r, 0, 2); /* low, high, both */
        if (side != 1)
            n->in[1] = constant(b, t, 0, one);
        if (side != 0)
            n->in[2] = constant(b, t, 0, one);
    } else {
        int side = random_chance(r, 50), lead = (int)random_in(r, 0, rank - 1);
        bool whole =
            random_chance(r, 30); /* a sum with an array of its shape, as in residual nets */
        lead = whole ? 0 : lead;
        n = graph_add_node(g, binary[whole ? 0 : random_in(r, 0, 3)], "", 2, 1);
        for (int i = lead; i < rank; i++)
            one[i] = whole || random_chance(r, 60) ? dim[i] : 1;
        n->in[side] = v;
        n->in[!side] = constant(b, t, rank - lead, one + lead);
    }
    struct value *y = graph_add_value(g, "y");
    y->rank = -1;
    node_set_output(n, 0, y);
    return y;
}

static void run(struct bench *b, enum precision p, struct pool *pool, bool reference, bool shown,
                const struct tensor *const *in, struct seen *s) {
    struct exec_options o = { .precision = p,
                              .pool = pool,
                              .reference_only = reference,
                              .tap = shown ? tap : NULL,
                              .arg = s };
    struct exec *x;
    struct err e = { 0 };
    s->n = 0;
    assert_int_equal(exec_new(&x, b->model, &o, &e), OK);
    struct exec_env *env = exec_env_new(x);
    enum status st = exec_run(x, NULL, in, env, &e);
    if (st != OK)
        fprintf(stderr, "%s: %s\n", e.where, e.what);
    assert_int_equal(st, OK);
    if (!shown)
        tap(s, NULL, env->at[b->model->graph->outputs[0]->id]);
    exec_env_free(env);
    exec_free(x);
}

static void one_case(struct bench *b) {
    struct random *r = &b->random;
    bool conv = random_chance(r, 60), last = random_chance(r, 40), deep = random_chance(r, 30);
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum precision p = t == DT_F64 ? PREC_F64 : PREC_F32;
    int64_t batch = random_in(r, 1, 2), c = random_in(r, 1, 40), h = random_in(r, 1, 15),
            w = random_in(r, 1, 20), o = deep ? c : random_in(r, 1, 60), k = random_in(r, 0, 1);
    int64_t x_dim[4] = { batch, last ? h : c, last ? w : h, last ? c : w },
            k_dim[4] = { o, deep ? 1 : c, 2 * k + 1, 2 * k + 1 },
            y_dim[4] = { batch, last ? h : o, last ? w : h, last ? o : w },
            pads[4] = { k, k, k, k };
    if (!conv)
        x_dim[3] = c, y_dim[1] = x_dim[1], y_dim[2] = x_dim[2], y_dim[3] = o, k_dim[0] = c,
        k_dim[1] = o;
    b->model = model_new();
    struct graph *g = b->model->graph = graph_new(b->model, NULL, "g");
    struct node *n = graph_add_node(g, conv ? "Conv" : "MatMul", "", 2, 1);
    struct value *x = graph_add_value(g, "x"), *y = graph_add_value(g, "y");
    x->dtype = t;
    x->rank = y->rank = -1;
    graph_add_input(g, x);
    n->in[0] = x;
    n->in[1] = constant(b, t, conv ? 4 : 2, k_dim);
    node_set_output(n, 0, y);
    if (conv) {
        node_set_string(n, "layout", last ? "NHWC" : "NCHW");
        node_set_int(n, "group", deep ? c : 1);
        node_set_ints(n, "pads", arena_copy(b->model->arena, pads, sizeof pads), 4);
    }
    int64_t steps = random_in(r, 1, 5);
    for (int64_t i = 0; i < steps; i++) {
        if (random_chance(r, 15)) /* shown in every run */
            graph_add_output(g, y);
        y = follow(b, y, t, 4, y_dim);
    }
    /* The last value comes first among the outputs. */
    graph_add_output(g, y);
    struct value *front = g->outputs[0];
    g->outputs[0] = y;
    g->outputs[g->n_outputs - 1] = front;
    struct tensor *in = tensor_in_arena(b->model->arena, t, t, 4, x_dim);
    for (int64_t i = 0; i < tensor_count(in); i++)
        tensor_set_f64(in, i, random_value(r, ORDINARY, t));
    const struct tensor *const inputs[] = { in };
    struct seen want, have;
    run(b, p, NULL, true, true, inputs, &want);
    for (int a = 0; isa_at(a); a++) {
        isa_force(isa_at(a));
        for (int threads = 0; threads < 3; threads++)
            for (int shown = 0; shown < 2; shown++) {
                run(b, p, b->pools[threads], false, shown, inputs, &have);
                for (int i = 0; i < have.n; i++) {
                    int at = shown ? i : want.n - 1;
                    bool same = same_bits(want.at[at], have.at[i]);
                    if (!same)
                        fprintf(stderr, "case %d: %s, value %d of %d, %s\n", b->cases, n->op, at,
                                want.n, isa_at(a)->name);
                    assert_true(same);
                    tensor_free(have.at[i]);
                }
                assert_int_equal(have.n, shown ? want.n : 1);
            }
    }
    isa_force(NULL);
    for (int i = 0; i < want.n; i++)
        tensor_free(want.at[i]);
    model_free(b->model);
    b->cases++;
}

static void test_follow(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 7);
    for (int i = 0; i < CASES; i++)
        one_case(&b);
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_follow) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
