/* Weights as the file stores them, float16, bfloat16, or float32 in a float64 run: the kernels that
 * convert them as they pack against the reference on converted weights; and a model whose weights
 * go through a Cast. */
#include "exec/exec.h"
#include "kernels/kernel_test.h"

/* Input 1, a constant: in b->in as the reference wants it, in `stored` as the file has it. */
static void weights(struct bench *b, enum dtype run, int rank, const int64_t *dim,
                    enum values kind) {
    static const enum dtype types[] = { DT_F16, DT_BF16, DT_F32 };
    struct random *r = &b->random;
    enum dtype t = types[random_in(r, 0, run == DT_F64 ? 2 : 1)];
    struct tensor *wide = bench_input(b, 1, t, rank, dim, kind, true), *stored = wide;
    stored->dtype = run; /* as a Cast declares it */
    b->stored[1] = stored;
    wide = tensor_in_arena(b->model->arena, run, run, rank, dim);
    for (int64_t i = 0; i < tensor_count(wide); i++)
        tensor_set_f64(wide, i, tensor_f64(stored, i));
    b->in[1] = wide;
}

static void conv_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 70) ? ORDINARY : (enum values)random_in(r, 0, VALUES - 1);
    bool last = random_chance(r, 50), ohwi = random_chance(r, 50);
    int n = (int)random_in(r, 1, 3);
    int64_t groups = random_chance(r, 60) ? 1 : random_in(r, 2, 4), in = random_in(r, 1, 16),
            out = random_in(r, 1, 60), stride[3], dilation[3], pads[6], x[5], k[5];
    x[0] = random_chance(r, 3) ? 0 : random_in(r, 1, 2);
    x[last ? n + 1 : 1] = in * groups;
    k[0] = out * groups;
    k[ohwi ? n + 1 : 1] = in;
    for (int i = 0; i < n; i++) {
        int64_t kernel = random_in(r, 1, 3), size = random_in(r, 1, n == 3 ? 5 : 12);
        stride[i] = random_in(r, 1, 2);
        dilation[i] = random_in(r, 1, 2);
        int64_t reach = (kernel - 1) * dilation[i] + 1;
        pads[i] = random_in(r, 0, reach);
        pads[n + i] = random_in(r, 0, reach);
        x[(last ? 1 : 2) + i] = size < reach ? reach : size;
        k[(ohwi ? 1 : 2) + i] = kernel;
    }
    bench_begin(b, "", "Conv", 3, 1);
    node_set_string(b->node, "layout", last ? "NHWC" : "NCHW");
    node_set_string(b->node, "kernel_layout", ohwi ? "OHWI" : "OIHW");
    node_set_int(b->node, "group", groups);
    bench_ints(b, "strides", n, stride);
    bench_ints(b, "dilations", n, dilation);
    bench_ints(b, "pads", 2 * n, pads);
    bench_input(b, 0, t, n + 2, x, kind, false);
    weights(b, t, n + 2, k, kind);
    if (random_chance(r, 50))
        bench_input(b, 2, t, 1, &k[0], kind, true);
    bench_compare(b, bench_precision(t));
}

static void product_case(struct bench *b) {
    struct random *r = &b->random;
    enum dtype t = random_chance(r, 50) ? DT_F32 : DT_F64;
    enum values kind = random_chance(r, 70) ? ORDINARY : (enum values)random_in(r, 0, VALUES - 1);
    bool gemm = random_chance(r, 50), turned = gemm && random_chance(r, 60);
    int rank = gemm ? 2 : (int)random_in(r, 1, 4), b_rank = gemm ? 2 : (int)random_in(r, 1, 3);
    int64_t m = random_in(r, random_chance(r, 3) ? 0 : 1, 40), n = random_in(r, 1, 120),
            k = random_in(r, 1, random_chance(r, 10) ? 700 : 50), batch = random_in(r, 1, 3);
    int64_t x[4] = { random_in(r, 1, 2), batch, m, k }, w[3] = { batch, k, n }, wt[2] = { n, k };
    bench_begin(b, "", gemm ? "Gemm" : "MatMul", gemm ? 3 : 2, 1);
    if (turned)
        node_set_int(b->node, "transB", 1);
    bench_input(b, 0, t, rank, rank == 1 ? &k : x + 4 - rank, kind, false);
    weights(b, t, b_rank, turned ? wt : b_rank == 1 ? &k : w + 3 - b_rank, kind);
    if (gemm && random_chance(r, 50))
        bench_input(b, 2, t, 1, &n, kind, true);
    bench_compare(b, bench_precision(t));
}

BENCH_TEST(test_conv, conv_case, 60, 500)
BENCH_TEST(test_product, product_case, 61, 500)

/* y = Conv(x, Cast(w)), z = MatMul(v, Cast(u)); u's cast has another reader when `shared`. */
static struct model *casting_model(struct bench *b, bool shared) {
    struct model *m = model_new();
    struct graph *g = m->graph = graph_new(m, NULL, "g");
    static const int64_t x[] = { 1, 3, 9, 9 }, w[] = { 20, 3, 3, 3 }, v[] = { 5, 30 },
                         u[] = { 30, 70 };
    const int64_t *dims[2][2] = { { x, w }, { v, u } };
    for (int k = 0; k < 2; k++) {
        int rank = k ? 2 : 4;
        struct value *in = graph_add_value(g, "in"), *stored = graph_add_value(g, "stored"),
                     *wide = graph_add_value(g, "wide"), *out = graph_add_value(g, "out");
        in->dtype = DT_F32;
        in->rank = rank;
        memcpy(in->dim, dims[k][0], (size_t)rank * sizeof(int64_t));
        graph_add_input(g, in);
        stored->dtype = DT_F16;
        stored->constant = tensor_in_arena(m->arena, DT_F16, DT_F16, rank, dims[k][1]);
        for (int64_t i = 0; i < tensor_count(stored->constant); i++)
            tensor_set_f64(stored->constant, i, random_value(&b->random, ORDINARY, DT_F32));
        struct node *cast = graph_add_node(g, "Cast", "", 1, 1),
                    *node = graph_add_node(g, k ? "MatMul" : "Conv", "", 2, 1);
        node_set_int(cast, "to", 1);
        cast->in[0] = stored;
        node_set_output(cast, 0, wide);
        node->in[0] = in;
        node->in[1] = wide;
        node_set_output(node, 0, out);
        graph_add_output(g, out);
        if (shared && k) {
            struct node *more = graph_add_node(g, "Neg", "", 1, 1);
            struct value *negative = graph_add_value(g, "negative");
            more->in[0] = wide;
            node_set_output(more, 0, negative);
            graph_add_output(g, negative);
        }
    }
    return m;
}

static void run_model(struct model *m, enum precision precision, bool reference, bool keep,
                      struct tensor *const *in, struct tensor **out) {
    struct err e = { 0 };
    struct exec *x;
    struct exec_options o = { .precision = precision,
                              .reference_only = reference,
                              .keep_values = keep };
    assert_int_equal(exec_new(&x, m, &o, &e), OK);
    for (int again = 0; again < 2; again++) {
        struct exec_env *env = exec_env_new(x);
        if (exec_run(x, NULL, (const struct tensor *const *)in, env, &e) != OK)
            fail_msg("%s", e.what);
        for (int i = 0; i < m->graph->n_outputs; i++) {
            tensor_free(out[i]);
            out[i] = tensor_alias(env->at[m->graph->outputs[i]->id]);
        }
        exec_env_free(env);
    }
    exec_free(x);
}

static void test_casts(void **state) {
    (void)state;
    struct bench b;
    bench_open(&b, 62);
    for (int k = 0; k < 8; k++) {
        struct model *m = casting_model(&b, k & 1);
        struct tensor *in[2], *want[3] = { 0 }, *have[3] = { 0 };
        for (int i = 0; i < 2; i++) {
            const struct value *v = m->graph->inputs[i];
            in[i] = tensor_in_arena(m->arena, DT_F32, DT_F32, v->rank, v->dim);
            for (int64_t j = 0; j < tensor_count(in[i]); j++)
                tensor_set_f64(in[i], j, random_value(&b.random, ORDINARY, DT_F32));
        }
        enum precision precision = k & 2 ? PREC_F32 : PREC_F64;
        run_model(m, precision, true, true, in, want);
        run_model(m, precision, false, k & 4, in, have);
        for (int i = 0; i < m->graph->n_outputs; i++) {
            assert_true(same_bits(want[i], have[i]));
            tensor_free(want[i]);
            tensor_free(have[i]);
        }
        model_free(m);
    }
    bench_close(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_conv), cmocka_unit_test(test_product),
                                        cmocka_unit_test(test_casts) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
