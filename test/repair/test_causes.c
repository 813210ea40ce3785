/* What locate says of faults whose kind is easily taken for another: small graphs, built here
 * twice, once with the fault. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/map.h"
#include "repair/verbs.h"

struct build {
    struct model *m;
    struct graph *g;
    struct value *x; /* what the next node reads */
};

static struct value *named(struct build *b, const char *name, enum dtype dtype, int rank,
                           const int64_t *dim) {
    struct value *v = graph_add_value(b->g, name);
    v->dtype = dtype;
    v->rank = rank;
    for (int i = 0; i < rank; i++)
        v->dim[i] = dim[i];
    return v;
}

static struct build start(int rank, const int64_t *dim) {
    struct build b = { .m = model_new() };
    b.m->format = "onnx";
    b.m->graph = b.g = graph_new(b.m, NULL, "main");
    b.x = named(&b, "x", DT_F32, rank, dim);
    graph_add_input(b.g, b.x);
    return b;
}

/* Numbers in [-1, 1] * size that the name decides. */
static struct tensor *numbers(struct build *b, const char *name, double size, int rank,
                              const int64_t *dim) {
    struct tensor *t = tensor_in_arena(b->m->arena, DT_F32, DT_F32, rank, dim);
    uint64_t seed = hash_bytes(name, strlen(name), 1);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_set_f64(t, i, size * ((double)(hash_mix(seed + (uint64_t)i) >> 11) / 0x1p52 - 1));
    return t;
}

static struct value *constant(struct build *b, const char *name, int rank, const int64_t *dim) {
    return graph_add_constant(b->g, name, numbers(b, name, 1, rank, dim));
}

static struct node *then(struct build *b, const char *op, const char *name, int n_in, int n_out,
                         struct value *const *in) {
    struct node *n = graph_add_node(b->g, op, "", n_in, n_out);
    n->origin.name = name;
    for (int i = 0; i < n_in; i++)
        n->in[i] = in[i];
    for (int i = 0; i < n_out; i++)
        node_set_output(n, i, named(b, i ? "" : name, DT_F32, -1, NULL));
    b->x = n->out[0];
    return n;
}
#define THEN(b, op, name, ...)                                                                 \
    then((b), op, name, (int)(sizeof((struct value *[]) { __VA_ARGS__ }) / sizeof(void *)), 1, \
         (struct value *[]) { __VA_ARGS__ })

struct found {
    struct build source, target;
    struct result *r;
};

static struct found locate(struct build source, struct build target) {
    struct found f = { source, target, NULL };
    struct compare_options o = { .samples = 4 };
    struct err e = { 0 };
    graph_add_output(source.g, source.x);
    graph_add_output(target.g, target.x);
    if (verb_locate(source.m, target.m, &o, &f.r, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return f;
}

static void done(struct found *f) {
    result_free(f->r);
    model_free(f->source.m);
    model_free(f->target.m);
}

static void expect_one(struct found *f, const char *node, const char *cause) {
    assert_int_equal(f->r->verdict, VERDICT_DIFFERENT);
    assert_int_equal(f->r->n_faults, 1);
    assert_string_equal(f->r->faults[0].cause, cause);
    assert_string_equal(f->r->faults[0].node->origin.name, node);
    done(f);
}

/* --- one fault in every node of a kind --- */

static const char *const convs[] = { "conv0", "conv1", "conv2" };
static const char *const relus[] = { "relu0", "relu1", "relu2" };

static struct build chain(const int64_t pads[4]) {
    static const int64_t dim[] = { 1, 4, 8, 8 }, kernel[] = { 4, 4, 3, 3 };
    struct build b = start(4, dim);
    for (int i = 0; i < 3; i++) {
        struct node *n = THEN(&b, "Conv", convs[i], b.x, constant(&b, convs[i], 4, kernel));
        node_set_ints(n, "pads", pads, 4);
        THEN(&b, "Relu", relus[i], b.x);
    }
    return b;
}

static void every_node_of_a_kind(void **state) {
    (void)state;
    static const int64_t right[] = { 0, 0, 2, 2 }, wrong[] = { 2, 2, 0, 0 };
    struct found f = locate(chain(right), chain(wrong));
    assert_int_equal(f.r->n_faults, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(f.r->faults[i].cause, "pad-side");
        assert_string_equal(f.r->faults[i].node->origin.name, convs[i]);
    }
    done(&f);
}

/* --- an output with two equal axes exchanged --- */

static struct build image(bool turned) {
    static const int64_t dim[] = { 1, 4, 8, 8 }, kernel[] = { 4, 4, 1, 1 }, perm[] = { 0, 1, 3, 2 };
    struct build b = start(4, dim);
    THEN(&b, "Conv", "conv", b.x, constant(&b, "conv", 4, kernel));
    if (turned)
        node_set_ints(THEN(&b, "Transpose", "turn", b.x), "perm", perm, 4);
    THEN(&b, "Relu", "relu", b.x);
    return b;
}

static void output_with_exchanged_axes(void **state) {
    (void)state;
    struct found f = locate(image(false), image(true));
    expect_one(&f, "turn", "transpose-equal-dims");
}

/* --- under a mask that covers half of the scores --- */

static struct build attention(const char *bias) {
    static const int64_t dim[] = { 2, 8, 8 }, square[] = { 8, 8 }, one[] = { 8 };
    struct build b = start(3, dim);
    struct tensor *mask = tensor_in_arena(b.m->arena, DT_BOOL, DT_BOOL, 2, square),
                  *low = tensor_in_arena(b.m->arena, DT_F32, DT_F32, 0, NULL);
    for (int64_t i = 0; i < 64; i++)
        tensor_set_i64(mask, i, i % 8 <= i / 8);
    tensor_set_f64(low, 0, -1e9);
    THEN(&b, "Add", "bias", b.x, constant(&b, bias, 1, one));
    THEN(&b, "Where", "mask", graph_add_constant(b.g, "mask", mask), b.x,
         graph_add_constant(b.g, "low", low));
    THEN(&b, "Softmax", "softmax", b.x);
    return b;
}

static void bias_under_a_mask(void **state) {
    (void)state;
    struct found f = locate(attention("right"), attention("wrong"));
    assert_int_equal(f.r->verdict, VERDICT_DIFFERENT);
    assert_string_equal(f.r->faults[0].cause, "bias-misbinding");
    assert_string_equal(f.r->faults[0].node->origin.name, "bias");
    done(&f);
}

/* --- gates --- */

enum { HIDDEN = 3, GATES = 3, INPUTS = 4 };

static void exchange(struct tensor *t, int64_t a, int64_t b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_f64(t, a + i);
        tensor_set_f64(t, a + i, tensor_f64(t, b + i));
        tensor_set_f64(t, b + i, x);
    }
}

static struct build recurrent(bool exchanged) {
    static const int64_t dim[] = { 5, 2, INPUTS }, w[] = { 1, GATES * HIDDEN, INPUTS },
                         r[] = { 1, GATES * HIDDEN, HIDDEN }, bias[] = { 1, 2 * GATES * HIDDEN };
    struct build b = start(3, dim);
    struct value *in[] = { b.x, constant(&b, "w", 3, w), constant(&b, "r", 3, r),
                           constant(&b, "b", 2, bias) };
    if (exchanged) {
        exchange(in[1]->constant, 0, HIDDEN * INPUTS, HIDDEN * INPUTS);
        exchange(in[2]->constant, 0, HIDDEN * HIDDEN, HIDDEN * HIDDEN);
        exchange(in[3]->constant, 0, HIDDEN, HIDDEN);
        exchange(in[3]->constant, GATES * HIDDEN, (GATES + 1) * HIDDEN, HIDDEN);
    }
    struct node *n = then(&b, "GRU", "gru", 4, 1, in);
    node_set_int(n, "hidden_size", HIDDEN);
    node_set_int(n, "linear_before_reset", 1);
    return b;
}

static void exchanged_gates(void **state) {
    (void)state;
    struct found f = locate(recurrent(false), recurrent(true));
    expect_one(&f, "gru", "rnn-gate-order");
}

/* --- rows of a dense layer --- */

enum { ROWS = 12, COLUMNS = 6 };

static struct build dense(int exchanged) {
    static const int64_t dim[] = { 4, ROWS }, w[] = { ROWS, COLUMNS };
    struct build b = start(2, dim);
    struct value *k = constant(&b, "w", 2, w);
    for (int i = 0; i < exchanged; i++)
        exchange(k->constant, i * COLUMNS, (ROWS - 1 - i) * COLUMNS, COLUMNS);
    THEN(&b, "MatMul", "dense", b.x, k);
    return b;
}

static void two_rows_are_no_flatten(void **state) {
    (void)state;
    struct found f = locate(dense(0), dense(1));
    expect_one(&f, "dense", "weight-storage-order");
    f = locate(dense(0), dense(ROWS / 2));
    expect_one(&f, "dense", "flatten-dense-order");
}

/* --- a small bias, lost where it stands alone --- */

static struct build biased(bool fused) {
    static const int64_t dim[] = { 4, ROWS }, w[] = { ROWS, COLUMNS }, n[] = { COLUMNS };
    struct build b = start(2, dim);
    struct tensor *bias = numbers(&b, "bias", fused ? 1e-3 : 0, 1, n);
    struct value *k = constant(&b, "w", 2, w), *c = graph_add_constant(b.g, "bias", bias);
    if (fused) {
        THEN(&b, "Gemm", "dense", b.x, k, c);
    } else {
        THEN(&b, "MatMul", "dense", b.x, k);
        THEN(&b, "Add", "add", b.x, c);
    }
    THEN(&b, "Tanh", "tanh", b.x);
    return b;
}

static void lost_bias(void **state) {
    (void)state;
    struct found f = locate(biased(true), biased(false));
    expect_one(&f, "add", "bias-misbinding");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_of_a_kind),    cmocka_unit_test(output_with_exchanged_axes),
        cmocka_unit_test(bias_under_a_mask),       cmocka_unit_test(exchanged_gates),
        cmocka_unit_test(two_rows_are_no_flatten), cmocka_unit_test(lost_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
