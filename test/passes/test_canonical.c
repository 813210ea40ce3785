/* Canonical digests: what counts and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ops/op.h"
#include "passes/canonical.h"

struct shape {
    const char *op;
    bool swapped, through_identity, default_said;
    float weight;
};

/* y = op(x, c), under the conditions of `s`. */
static struct digest digest_of(const struct shape *s) {
    struct model *m = model_new();
    m->graph = graph_new(m, NULL, "g");
    struct graph *g = m->graph;
    struct value *x = graph_add_value(g, "x"), *y,
                 *c = graph_add_constant(g, "c", tensor_scalar_f32(m->arena, s->weight));
    x->dtype = DT_F32;
    graph_add_input(g, x);
    struct value *data = x;
    if (s->through_identity) {
        struct node *id = graph_add_node(g, "Identity", "", 1, 1);
        id->in[0] = x;
        node_set_output(id, 0, data = graph_add_value(g, "same"));
    }
    bool two = strcmp(s->op, "Softmax") != 0;
    struct node *n = graph_add_node(g, s->op, "", two ? 2 : 1, 1);
    n->in[0] = two && s->swapped ? c : data;
    if (two)
        n->in[1] = s->swapped ? data : c;
    if (s->default_said)
        node_set_int(n, "axis", -1); /* the default of Softmax-13 */
    node_set_output(n, 0, y = graph_add_value(g, "y"));
    graph_add_output(g, y);
    ops_bind(m);
    uint64_t seed = 1;
    struct arena *a = arena_new();
    struct digest d = canonical_digests(m, &seed, 1, a)[y->id];
    arena_free(a);
    model_free(m);
    return d;
}

static bool equal(struct shape a, struct shape b) {
    return digest_equal(digest_of(&a), digest_of(&b));
}

static void what_counts(void **state) {
    (void)state;
    const struct shape sub = { .op = "Sub", .weight = 2 };
    assert_false(equal(sub, (struct shape) { .op = "Sub", .weight = 2.0000002f }));
    assert_false(equal(sub, (struct shape) { .op = "Add", .weight = 2 }));
    assert_false(equal(sub, (struct shape) { .op = "Sub", .weight = 2, .swapped = true }));
}

static void what_does_not(void **state) {
    (void)state;
    assert_true(equal((struct shape) { .op = "Add", .weight = 2 },
                      (struct shape) { .op = "Add", .weight = 2, .swapped = true }));
    assert_true(equal((struct shape) { .op = "Sub", .weight = 2 },
                      (struct shape) { .op = "Sub", .weight = 2, .through_identity = true }));
    assert_true(equal((struct shape) { .op = "Softmax" },
                      (struct shape) { .op = "Softmax", .default_said = true }));
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_counts),
                                        cmocka_unit_test(what_does_not) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
