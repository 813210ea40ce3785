/* TensorFlow Lite's control flow: sub-graphs get all they see as inputs. What the outputs look like
 * is told by the sub-graphs, so the shape rules know the declared types only. */
#include <string.h>

#include "ops/row.h"

static enum status shape_declared(struct shape_ctx *c) {
    for (int i = 0; i < c->n_out; i++)
        if (c->node->out[i])
            c->out[i].dtype = c->node->out[i]->dtype;
    return OK;
}

static enum status truth(const struct tensor *t, bool *out, struct err *e) {
    FAIL_IF(t->kind != KIND_TENSOR || t->store != DT_BOOL || tensor_count(t) != 1, e,
            STATUS_CORRUPT, "a condition must be one boolean");
    *out = tensor_i64(t, 0) != 0;
    return OK;
}

static void free_all(struct tensor **t, int n) {
    for (int i = 0; i < n; i++) {
        tensor_free(t[i]);
        t[i] = NULL;
    }
}

static struct tensor **aliases(struct op_ctx *c, int first) {
    struct tensor **t = NEW_ARRAY(c->scratch, c->n_in + 1, struct tensor *);
    for (int i = first; i < c->n_in; i++)
        t[i - first] = c->in[i] ? tensor_alias(c->in[i]) : NULL;
    return t;
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, int first) {
    struct tensor **in = aliases(c, first);
    enum status s = c->run_graph(c, g, in, c->n_in - first, c->out, c->n_out);
    free_all(in, c->n_in - first);
    return s;
}

static enum status run_once(struct op_ctx *c, const char *attr, int first) {
    return run_graph(c, attr_graph(c->node, attr), first);
}

/* An index outside takes the last branch (StableHLO, case). */
static enum status eval_case(struct op_ctx *c) {
    const struct attr *branches = attr_find(c->node, "branches");
    FAIL_IF(c->in[0]->kind != KIND_TENSOR || !dtype_is_int(c->in[0]->dtype) ||
                tensor_count(c->in[0]) != 1,
            c->err, STATUS_CORRUPT, "the branch's number must be one integer");
    int64_t i = tensor_i64(c->in[0], 0);
    return run_graph(c, branches->graphs[i < 0 || i >= branches->n ? branches->n - 1 : i], 1);
}

static enum status eval_if(struct op_ctx *c) {
    bool condition;
    TRY(truth(c->in[0], &condition, c->err));
    return run_once(c, condition ? "then_branch" : "else_branch", 1);
}

static enum status eval_call(struct op_ctx *c) {
    return run_once(c, "decomposition", 0);
}

static enum status eval_call_once(struct op_ctx *c) {
    return run_once(c, "init", 0);
}

/* Runs `cond` on the state; while it is true, `body` makes the next state. */
static enum status eval_while(struct op_ctx *c) {
    int n = c->n_in;
    struct tensor **state = aliases(c, 0), **next = NEW_ARRAY(c->scratch, n + 1, struct tensor *);
    enum status s = OK;
    for (;;) {
        struct tensor *condition = NULL;
        bool go = false;
        s = c->run_graph(c, attr_graph(c->node, "cond"), state, n, &condition, 1);
        if (s == OK)
            s = truth(condition, &go, c->err);
        tensor_free(condition);
        if (s != OK || !go)
            break;
        s = c->run_graph(c, attr_graph(c->node, "body"), state, n, next, n);
        if (s != OK)
            break;
        free_all(state, n);
        memcpy(state, next, sizeof *state * (size_t)n);
        memset(next, 0, sizeof *next * (size_t)n);
    }
    for (int i = 0; s == OK && i < n; i++)
        c->out[i] = state[i];
    if (s != OK) {
        free_all(state, n);
        free_all(next, n);
    }
    return s;
}

/* A handle stands for a resource that the reader has followed; its own content is never used. */
static enum status eval_handle(struct op_ctx *c) {
    return op_output(c, 0, DT_I32, 0, NULL);
}

static enum status shape_handle(struct shape_ctx *c) {
    c->out[0].dtype = DT_I32;
    c->out[0].rank = 0;
    return OK;
}

static enum status eval_nothing(struct op_ctx *c) {
    (void)c;
    return OK;
}

/* clang-format off */
#define CALLS(name_, least, ...)                                                                   \
    .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = least, .max_in = -1,     \
    .min_out = 0, .max_out = -1, .flags = OP_SUBGRAPH | OP_VIEW, .attrs = ATTRS(__VA_ARGS__), .shape = shape_declared
#define RESOURCE(name_, least, most, out)                                                          \
    .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = least, .max_in = most,   \
    .min_out = out, .max_out = out, .flags = OP_STATE | OP_VIEW | OP_ANY_TYPE | OP_NO_GRADIENT

const struct op ops_tflite_control[] = {
    { CALLS("IF", 1, NEEDED("then_branch", GRAPH), NEEDED("else_branch", GRAPH)), .eval = eval_if },
    { CALLS("WHILE", 0, NEEDED("cond", GRAPH), NEEDED("body", GRAPH)), .eval = eval_while },
    { CALLS("STABLEHLO_WHILE", 0, NEEDED("cond", GRAPH), NEEDED("body", GRAPH)), .eval = eval_while },
    { CALLS("STABLEHLO_CASE", 1, NEEDED("branches", GRAPHS)), .eval = eval_case },
    { CALLS("STABLEHLO_COMPOSITE", 0, NEEDED("decomposition", GRAPH), STRING("name", "")), .eval = eval_call },
    { CALLS("CALL", 0, NEEDED("decomposition", GRAPH)), .eval = eval_call },
    { .name = "CALL_ONCE", .domain = "tflite", .spec = "TFLite CALL_ONCE", .min_in = 0, .max_in = -1, .min_out = 0, .max_out = -1,
      .flags = OP_SUBGRAPH | OP_VIEW | OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("init", GRAPH)), .shape = shape_declared,
      .eval = eval_call_once },
    { RESOURCE("VAR_HANDLE", 0, 0, 1), .attrs = ATTRS(STRING("resource", "")), .shape = shape_handle, .eval = eval_handle },
    { RESOURCE("HASHTABLE", 0, 0, 1), .attrs = ATTRS(STRING("resource", "")), .shape = shape_handle, .eval = eval_handle },
    { RESOURCE("ASSIGN_VARIABLE", 2, 2, 0), .shape = shape_declared, .eval = eval_nothing },
    { RESOURCE("HASHTABLE_IMPORT", 3, 3, 0), .shape = shape_declared, .eval = eval_nothing },
    { 0 },
};
