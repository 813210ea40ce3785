/* A run in float32 has the bits of LiteRT's default run: every convolution, depthwise convolution
 * and fully connected layer, and every output, of the corpus's float networks. Results of functions
 * that LiteRT approximates are replaced by made numbers, in both (tools/oracle/litert_digests.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "made.h"

enum { ROWS = 256, LINE = 8192 };

struct row {
    char operator[32], value[4096], digest[65]; /* or "made N" */
    bool seen;
};

static struct {
    char network[512];
    struct row rows[ROWS];
    int n;
} expected;
static int networks, compared, differ;

static void check_value(const struct value *v, struct tensor *t) {
    for (int i = 0; v && v->name && t && i < expected.n; i++) {
        struct row *r = &expected.rows[i];
        char text[65];
        if (r->seen || strcmp(r->value, v->name) != 0)
            continue;
        assert_int_equal(t->store, DT_F32);
        r->seen = true;
        if (strncmp(r->digest, "made ", 5) == 0) {
            made_fill(t, strtoull(r->digest + 5, NULL, 10));
            return;
        }
        sha256_hex(t->data, tensor_bytes(t), text);
        compared++;
        if (strcmp(text, r->digest) == 0)
            return;
        differ++;
        fprintf(stderr, "%s: %s '%s' has other bits than LiteRT\n", expected.network, r->operator,
                r->value);
    }
}

/* All nodes in their order; values are checked, or replaced, as they come. */
static enum status run_nodes(struct exec *x, struct exec_env *env, const struct graph *g,
                             struct err *e) {
    for (int i = 0; i < g->n_inputs; i++) {
        const struct value *v = g->inputs[i];
        struct tensor *t;
        TRY(made_input(&t, v->dtype, v->rank, v->dim, (uint64_t)i, e));
        exec_env_set(env, v, t);
    }
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        TRY(exec_node(x, env, n, e));
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k])
                check_value(n->out[k], env->at[n->out[k]->id]);
    }
    return OK;
}

static enum status run(const char *path, struct err *e) {
    struct model *m;
    struct exec *x = NULL;
    struct exec_options o = { .precision = PREC_F32 };
    TRY(model_read(path, &m, e));
    TRY(exec_new(&x, m, &o, e));
    struct exec_env *env = exec_env_new(x);
    enum status s = run_nodes(x, env, m->graph, e);
    exec_env_free(env);
    exec_free(x);
    model_free(m);
    return s;
}

static void check_network(void) {
    const char *corpus = getenv("CALQUE_CORPUS");
    char path[1024];
    struct err e = { 0 };
    snprintf(path, sizeof path, "%s/%s", corpus ? corpus : "../shared", expected.network);
    FILE *f = expected.n ? fopen(path, "rb") : NULL;
    if (!f)
        return;
    fclose(f);
    networks++;
    if (run(path, &e) != OK)
        fail_msg("%s: %s", path, e.what);
    for (int i = 0; i < expected.n; i++)
        if (!expected.rows[i].seen)
            fail_msg("%s: no value '%s'", path, expected.rows[i].value);
}

static void test_bits(void **state) {
    (void)state;
    FILE *f = fopen("test/data/litert/digests.tsv", "r");
    char line[LINE], network[512];
    struct row r = { .seen = false };
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#' || sscanf(line, "%511[^\t]\t%31[^\t]\t%4095[^\t]\t%64[^\n]", network,
                                     r.operator, r.value, r.digest) != 4)
            continue;
        if (strcmp(network, expected.network) != 0) {
            check_network();
            memcpy(expected.network, network, sizeof network);
            expected.n = 0;
        }
        assert_true(expected.n < ROWS);
        expected.rows[expected.n++] = r;
    }
    check_network();
    fclose(f);
    if (!networks) {
        fprintf(stderr, "the corpus of real models is not there\n");
        skip();
    }
    fprintf(stderr, "%d values of %d networks, %d differ\n", compared, networks, differ);
    assert_int_equal(differ, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bits) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
