/* Fast kernels against the reference: the same node is run by both, on every instruction set of the
 * machine and on 1, 2 and 3 threads, and the outputs must be equal by memcmp. NaNs count as equal
 * whatever their payload: which operand's payload an instruction hands on is the one thing that
 * IEEE 754 leaves open. */
#ifndef TEST_KERNEL_TEST_H
#define TEST_KERNEL_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/op.h"

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *r) {
    r->state += 0x9e3779b97f4a7c15u;
    return hash_mix(r->state);
}

/* In [lo, hi]. */
static inline int64_t random_in(struct random *r, int64_t lo, int64_t hi) {
    return lo + (int64_t)(random_next(r) % (uint64_t)(hi - lo + 1));
}

static inline bool random_chance(struct random *r, int percent) {
    return random_in(r, 1, 100) <= percent;
}

enum values {
    ORDINARY, /* around 1, with zeros of both signs */
    TINY,     /* near the smallest number, so that sums underflow */
    SPECIAL,  /* with infinities and NaN */
    WIDE,     /* any bit pattern */
    VALUES
};

static inline double random_value(struct random *r, enum values kind, enum dtype t) {
    double v = (double)(int64_t)(random_next(r) >> 11) / 4503599627370496.0 - 1;
    int64_t dice = random_in(r, 0, 49);
    if (dice == 0)
        return 0.0;
    if (dice == 1)
        return -0.0;
    if (kind == WIDE) {
        uint64_t bits = random_next(r);
        uint32_t half = (uint32_t)bits;
        float f;
        memcpy(&f, &half, sizeof f);
        memcpy(&v, &bits, sizeof v);
        return t == DT_F64 ? v : (double)f;
    }
    if (kind == TINY)
        return ldexp(v, (int)random_in(r, -90, -60) * (t == DT_F64 ? 8 : 1));
    if (kind == SPECIAL && dice < 5)
        return dice == 2 ? INFINITY : dice == 3 ? -INFINITY : NAN;
    return v;
}

enum { BENCH_INPUTS = 48 };

struct bench { /* one node with its inputs */
    struct arena *arena;
    struct model *model;
    struct node *node;
    struct tensor *in[BENCH_INPUTS];
    struct tensor
        *stored[BENCH_INPUTS]; /* what the fast kernel gets in place of in[i], where not NULL */
    struct pool *pools[3];
    struct random random;
    int cases, computed; /* computed: those that the reference does not refuse */
};

static inline void bench_open(struct bench *b, uint64_t seed) {
    *b = (struct bench) { .arena = arena_new(), .random = { seed } };
    for (int i = 0; i < 3; i++)
        b->pools[i] = pool_new(i + 1);
}

static inline void bench_close(struct bench *b) {
    for (int i = 0; i < 3; i++)
        pool_free(b->pools[i]);
    arena_free(b->arena);
}

static inline void bench_begin(struct bench *b, const char *domain, const char *op, int n_in,
                               int n_out) {
    b->model = model_new();
    b->model->graph = graph_new(b->model, NULL, "g");
    b->node = graph_add_node(b->model->graph, op, domain, n_in, n_out);
    for (int i = 0; i < n_out; i++)
        node_set_output(b->node, i, graph_add_value(b->model->graph, "y"));
    memset(b->in, 0, sizeof b->in);
    memset(b->stored, 0, sizeof b->stored);
    ops_bind(b->model);
    assert_non_null(b->node->def);
}

static inline struct tensor *bench_input(struct bench *b, int i, enum dtype t, int rank,
                                         const int64_t *dim, enum values kind, bool constant) {
    struct value *v = graph_add_value(b->model->graph, "x");
    struct tensor *x = tensor_in_arena(b->model->arena, t, t, rank, dim);
    for (int64_t k = 0; k < tensor_count(x); k++)
        if (dtype_is_float(t))
            tensor_set_f64(x, k, random_value(&b->random, kind, t));
        else
            tensor_set_i64(x, k, random_in(&b->random, -100, 100));
    if (constant)
        v->constant = x;
    b->node->in[i] = v;
    b->in[i] = x;
    return x;
}

/* Input i: the integers given, a constant. */
static inline void bench_list(struct bench *b, int i, const int64_t *v, int64_t n) {
    struct tensor *t = bench_input(b, i, DT_I64, 1, &n, ORDINARY, true);
    memcpy(t->data, v, (size_t)n * sizeof *v);
}

static inline void bench_ints(struct bench *b, const char *name, int64_t n, const int64_t *v) {
    node_set_ints(b->node, name, arena_copy(b->model->arena, v, (size_t)n * sizeof *v), n);
}

static inline bool same_bits(const struct tensor *a, const struct tensor *b) {
    if (!a || !b)
        return a == b;
    if (a->store != b->store || !dims_equal(a->dim, a->rank, b->dim, b->rank))
        return false;
    if (memcmp(a->data, b->data, tensor_bytes(a)) == 0)
        return true;
    size_t size = dtype_size(a->store);
    for (int64_t i = 0; i < tensor_count(a); i++) {
        bool nan = dtype_is_float(a->store) && isnan(tensor_f64(a, i)) && isnan(tensor_f64(b, i));
        if (!nan && memcmp((char *)a->data + (size_t)i * size, (char *)b->data + (size_t)i * size,
                           size) != 0) {
            fprintf(stderr, "element %lld: %.17g and %.17g\n", (long long)i, tensor_f64(a, i),
                    tensor_f64(b, i));
            return false;
        }
    }
    return true;
}

static inline void bench_print(const struct bench *b, const char *isa, int threads) {
    fprintf(stderr, "case %d: %s, %s, %d threads;", b->cases, b->node->op, isa, threads);
    for (int i = 0; i < b->node->n_in; i++) {
        fprintf(stderr, " %s[", b->in[i] ? dtype_name(b->in[i]->dtype) : "-");
        for (int k = 0; b->in[i] && k < b->in[i]->rank; k++)
            fprintf(stderr, "%s%lld", k ? "," : "", (long long)b->in[i]->dim[k]);
        fprintf(stderr, "]");
    }
    for (int i = 0; i < b->node->n_attrs; i++) {
        const struct attr *a = &b->node->attrs[i];
        fprintf(stderr, " %s=", a->name);
        if (a->type == ATTR_STRING)
            fprintf(stderr, "%s", a->s);
        if (a->type == ATTR_INT)
            fprintf(stderr, "%lld", (long long)a->i);
        if (a->type == ATTR_FLOAT)
            fprintf(stderr, "%g", a->f);
        for (int64_t k = 0; a->type == ATTR_INTS && k < a->n; k++)
            fprintf(stderr, "%s%lld", k ? "," : "", (long long)a->ints[k]);
    }
    fprintf(stderr, "\n");
}

static inline enum status bench_run(struct bench *b, struct op_env *env, struct tensor **out) {
    struct err e = { 0 };
    struct arena *scratch = arena_new();
    struct tensor *in[BENCH_INPUTS];
    env->scratch = scratch;
    for (int i = 0; i < BENCH_INPUTS; i++)
        in[i] = env->fast && b->stored[i] ? b->stored[i] : b->in[i];
    enum status s = op_run(env, b->node, (const struct tensor *const *)in, out, &e);
    arena_free(scratch);
    return s;
}

/* Runs the node and compares; ends the case. */
static inline void bench_compare(struct bench *b, enum precision precision) {
    struct tensor *want[8] = { 0 }, *have[8] = { 0 };
    struct op_env env = { .precision = precision };
    enum status expected = bench_run(b, &env, want);
    bool fills = false;
    assert_non_null(kernel_find(b->node, &fills));
    struct recycler *recycler = recycler_new(NULL);
    for (int k = 0; isa_at(k); k++) {
        isa_force(isa_at(k));
        struct pack_cache *packs = pack_cache_new();
        for (int threads = 1; threads <= 3; threads++) {
            struct op_env fast = { .precision = precision,
                                   .pool = b->pools[threads - 1],
                                   .recycler = recycler,
                                   .fast = kernel_find,
                                   .packs = packs };
            enum status s = bench_run(b, &fast, have);
            bool same = s == expected;
            for (int i = 0; i < b->node->n_out; i++) {
                same = same && same_bits(want[i], have[i]);
                tensor_free(have[i]);
            }
            if (!same)
                bench_print(b, isa_at(k)->name, threads);
            assert_true(same);
        }
        pack_cache_free(packs);
    }
    isa_force(NULL);
    recycler_drop(recycler);
    for (int i = 0; i < b->node->n_out; i++)
        tensor_free(want[i]);
    model_free(b->model);
    b->cases++;
    b->computed += expected == OK;
}

/* n cases of one kind, of which at least 300 are computed. */
static inline void bench_cases(void (*one)(struct bench *b), uint64_t seed, int n) {
    struct bench b;
    bench_open(&b, seed);
    for (int i = 0; i < n; i++)
        one(&b);
    assert_true(b.computed >= 300);
    bench_close(&b);
}

/* The cmocka test of that. */
#define BENCH_TEST(name, one, seed, n)      \
    static void name(void **cmocka_state) { \
        (void)cmocka_state;                 \
        bench_cases(one, seed, n);          \
    }

static inline enum precision bench_precision(enum dtype t) {
    return t == DT_F64 ? PREC_F64 : PREC_F32;
}

#endif
