/* Control flow: If, Loop, Scan, SequenceMap. What their outputs look like is told by their
 * sub-graphs, so the shape rules say nothing; exec_infer looks into the sub-graphs itself. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

static enum status shape_from_graph(struct shape_ctx *c) {
    (void)c;
    return OK;
}

static void free_all(struct tensor **t, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        tensor_free(t[i]);
        t[i] = NULL;
    }
}

static enum status truth(const struct tensor *t, bool *out, struct err *e) {
    FAIL_IF(t->kind != KIND_TENSOR || t->store != DT_BOOL || tensor_count(t) != 1, e,
            STATUS_CORRUPT, "a condition must be one boolean");
    *out = tensor_i64(t, 0) != 0;
    return OK;
}

/* --- If --- */

static enum status eval_if(struct op_ctx *c) {
    bool condition;
    TRY(truth(c->in[0], &condition, c->err));
    const struct graph *g = attr_graph(c->node, condition ? "then_branch" : "else_branch");
    FAIL_IF(g->n_outputs != c->n_out, c->err, STATUS_CORRUPT,
            "the branch has %d outputs, the node %d", g->n_outputs, c->n_out);
    return c->run_graph(c, g, NULL, 0, c->out, c->n_out);
}

/* --- what Loop, Scan and SequenceMap gather over the iterations --- */

struct series {
    struct tensor **items;
    int64_t n;
};

static void series_free(struct series *s, int n) {
    for (int i = 0; i < n; i++)
        free_all(s[i].items, s[i].n);
}

/* Nothing was gathered: the shape is that of the sub-graph's output as far as declared, unknown
 * dimensions 0. */
static enum status empty_series(struct op_ctx *c, int output, const struct value *v, int64_t axis) {
    int64_t dim[MAX_RANK + 1] = { 0 };
    int rank = v->rank < 0 || v->rank >= MAX_RANK ? 0 : v->rank, at;
    FAIL_IF(v->dtype == DT_NONE, c->err, STATUS_UNSUPPORTED,
            "no iteration, and output '%s' of the body has no declared type", v->name);
    TRY(axis_normalise(axis, rank + 1, &at, c->err));
    for (int i = 0; i < rank; i++)
        dim[i < at ? i : i + 1] = v->dim[i] > 0 ? v->dim[i] : 0;
    dim[at] = 0;
    return op_output(c, output, v->dtype, rank + 1, dim);
}

static enum status stack_series(struct op_ctx *c, int output, const struct series *s,
                                const struct value *v, int64_t axis, bool backwards) {
    if (!op_wanted(c, output))
        return OK;
    if (s->n == 0)
        return empty_series(c, output, v, axis);
    return join_tensors(&c->out[output], (const struct tensor *const *)s->items, s->n, axis, true,
                        backwards, c->err);
}

/* A loop's state between iterations. */
struct loop {
    const struct graph *body;
    struct tensor **state, **in, **out;
    int n_state, n_lead; /* n_lead: outputs of the body before the states */
    struct series *series;
    int n_series;
};

static void loop_new(struct loop *l, struct op_ctx *c, const struct graph *body, int n_state,
                     int n_lead) {
    *l = (struct loop) { .body = body,
                         .n_state = n_state,
                         .n_lead = n_lead,
                         .n_series = body->n_outputs - n_state - n_lead };
    l->state = NEW_ARRAY(c->scratch, n_state + 1, struct tensor *);
    l->in = NEW_ARRAY(c->scratch, body->n_inputs + 1, struct tensor *);
    l->out = NEW_ARRAY(c->scratch, body->n_outputs + 1, struct tensor *);
    l->series = NEW_ARRAY(c->scratch, l->n_series + 1, struct series);
}

static void loop_free(struct loop *l) {
    free_all(l->state, l->n_state);
    series_free(l->series, l->n_series);
}

/* Runs the body on l->in; the states become the new ones, the rest is appended to the series.
 * Outputs before the states stay in l->out for the caller to read and free. */
static enum status loop_step(struct loop *l, struct op_ctx *c) {
    TRY(c->run_graph(c, l->body, l->in, l->body->n_inputs, l->out, l->body->n_outputs));
    for (int i = 0; i < l->n_state; i++) {
        tensor_free(l->state[i]);
        l->state[i] = l->out[l->n_lead + i];
    }
    for (int i = 0; i < l->n_series; i++)
        PUSH(c->scratch, l->series[i].items, l->series[i].n, l->out[l->n_lead + l->n_state + i]);
    return OK;
}

static void give_states(struct loop *l, struct op_ctx *c) {
    for (int i = 0; i < l->n_state && i < c->n_out; i++)
        if (op_wanted(c, i)) {
            c->out[i] = l->state[i];
            l->state[i] = NULL;
        }
}

/* --- Loop --- */

/* The iteration number or the condition, with the rank that the body declares for it (0 or 1). */
static enum status lead_value(struct tensor **out, const struct value *v, enum dtype dtype,
                              int64_t value, struct err *e) {
    int64_t one = 1;
    TRY(tensor_new(out, dtype, dtype, v->rank == 1, &one, e));
    tensor_set_i64(*out, 0, value);
    return OK;
}

static enum status loop_iterations(struct op_ctx *c, struct loop *l, int64_t trips, bool go,
                                   bool watch) {
    struct tensor *number = NULL, *condition = NULL;
    enum status s = OK;
    for (int64_t i = 0; s == OK && i < trips && go; i++) {
        s = lead_value(&number, l->body->inputs[0], DT_I64, i, c->err);
        if (s == OK)
            s = lead_value(&condition, l->body->inputs[1], DT_BOOL, go, c->err);
        l->in[0] = number;
        l->in[1] = condition;
        memcpy(l->in + 2, l->state, (size_t)l->n_state * sizeof *l->in);
        if (s == OK)
            s = loop_step(l, c);
        if (s == OK && watch)
            s = truth(l->out[0], &go, c->err);
        tensor_free(l->out[0]);
        tensor_free(number);
        tensor_free(condition);
        l->out[0] = number = condition = NULL;
    }
    return s;
}

static enum status eval_loop(struct op_ctx *c) {
    const struct graph *body = attr_graph(c->node, "body");
    int n_state = c->n_in > 2 ? c->n_in - 2 : 0;
    FAIL_IF(body->n_inputs != n_state + 2 || body->n_outputs < n_state + 1 ||
                body->n_outputs - 1 != c->n_out,
            c->err, STATUS_CORRUPT,
            "a body of %d inputs and %d outputs for %d states and %d outputs", body->n_inputs,
            body->n_outputs, n_state, c->n_out);
    const struct tensor *m = c->in[0], *condition = c->n_in > 1 ? c->in[1] : NULL;
    FAIL_IF(m && (m->kind != KIND_TENSOR || tensor_count(m) != 1), c->err, STATUS_CORRUPT,
            "the trip count must be one number");
    bool go = true;
    if (condition)
        TRY(truth(condition, &go, c->err));
    struct loop l;
    loop_new(&l, c, body, n_state, 1);
    for (int i = 0; i < n_state; i++)
        l.state[i] = c->in[2 + i] ? tensor_alias(c->in[2 + i]) : NULL;
    enum status s = loop_iterations(c, &l, m ? tensor_i64(m, 0) : INT64_MAX, go, condition != NULL);
    for (int i = 0; s == OK && i < l.n_series; i++)
        s = stack_series(c, n_state + i, &l.series[i], body->outputs[1 + n_state + i], 0, false);
    if (s == OK)
        give_states(&l, c);
    loop_free(&l);
    return s;
}

/* --- Scan --- */

struct scan {
    int n_state, n_scan, n_series;
    int axis[64];
    bool backwards[64];
    int64_t steps;
};

/* Entry i of an optional list attribute. */
static enum status list_entry(const struct node *n, const char *name, int count, int i,
                              int64_t *out, struct err *e) {
    int have;
    const int64_t *v = attr_ints(n, name, &have);
    FAIL_IF(v && have != count, e, STATUS_CORRUPT, "%s has %d entries, %d are needed", name, have,
            count);
    *out = v ? v[i] : 0;
    return OK;
}

static enum status read_scan(struct scan *s, struct op_ctx *c, const struct graph *body) {
    int64_t n = attr_int(c->node, "num_scan_inputs"), v = 0;
    FAIL_IF(n < 1 || n > c->n_in, c->err, STATUS_CORRUPT,
            "num_scan_inputs is %lld, the node has %d inputs", (long long)n, c->n_in);
    FAIL_IF(n > 64, c->err, STATUS_UNSUPPORTED, "%lld scan inputs; at most 64 are supported",
            (long long)n);
    s->n_scan = (int)n;
    s->n_state = c->n_in - s->n_scan;
    s->n_series = body->n_outputs - s->n_state;
    FAIL_IF(body->n_inputs != c->n_in || s->n_series < 0 || body->n_outputs != c->n_out, c->err,
            STATUS_CORRUPT, "a body of %d inputs and %d outputs for %d inputs and %d outputs",
            body->n_inputs, body->n_outputs, c->n_in, c->n_out);
    for (int i = 0; i < s->n_scan; i++) {
        const struct tensor *x = c->in[s->n_state + i];
        FAIL_IF(!x || x->kind != KIND_TENSOR, c->err, STATUS_CORRUPT,
                "scan input %d is not a tensor", i);
        TRY(list_entry(c->node, "scan_input_axes", s->n_scan, i, &v, c->err));
        TRY(axis_normalise(v, x->rank, &s->axis[i], c->err));
        TRY(list_entry(c->node, "scan_input_directions", s->n_scan, i, &v, c->err));
        s->backwards[i] = v != 0;
        FAIL_IF(i > 0 && x->dim[s->axis[i]] != s->steps, c->err, STATUS_CORRUPT,
                "scan inputs of %lld and %lld steps", (long long)s->steps,
                (long long)x->dim[s->axis[i]]);
        s->steps = x->dim[s->axis[i]];
    }
    return OK;
}

static enum status scan_step(struct op_ctx *c, const struct scan *scan, struct loop *l, int64_t t) {
    enum status s = OK;
    memcpy(l->in, l->state, (size_t)l->n_state * sizeof *l->in);
    for (int i = 0; s == OK && i < scan->n_scan; i++)
        s = take_part(&l->in[l->n_state + i], c->in[l->n_state + i], scan->axis[i],
                      scan->backwards[i] ? scan->steps - 1 - t : t, 1, true, c->err);
    if (s == OK)
        s = loop_step(l, c);
    free_all(l->in + l->n_state, scan->n_scan);
    return s;
}

static enum status scan_outputs(struct op_ctx *c, const struct scan *scan, struct loop *l) {
    for (int i = 0; i < l->n_series; i++) {
        int64_t axis = 0, direction = 0;
        TRY(list_entry(c->node, "scan_output_axes", l->n_series, i, &axis, c->err));
        TRY(list_entry(c->node, "scan_output_directions", l->n_series, i, &direction, c->err));
        TRY(stack_series(c, scan->n_state + i, &l->series[i], l->body->outputs[scan->n_state + i],
                         axis, direction != 0));
    }
    return OK;
}

static enum status eval_scan(struct op_ctx *c) {
    const struct graph *body = attr_graph(c->node, "body");
    struct scan scan = { 0 };
    struct loop l;
    TRY(read_scan(&scan, c, body));
    loop_new(&l, c, body, scan.n_state, 0);
    for (int i = 0; i < scan.n_state; i++)
        l.state[i] = c->in[i] ? tensor_alias(c->in[i]) : NULL;
    enum status s = OK;
    for (int64_t t = 0; s == OK && t < scan.steps; t++)
        s = scan_step(c, &scan, &l, t);
    if (s == OK)
        s = scan_outputs(c, &scan, &l);
    if (s == OK)
        give_states(&l, c);
    loop_free(&l);
    return s;
}

/* --- SequenceMap --- */

static enum status map_inputs(struct op_ctx *c, struct loop *l, int64_t i) {
    for (int k = 0; k < c->n_in; k++) {
        const struct tensor *x = c->in[k];
        bool sequence = x && x->kind == KIND_SEQUENCE;
        FAIL_IF(sequence && x->n_items != c->in[0]->n_items, c->err, STATUS_CORRUPT,
                "sequences of %lld and %lld elements", (long long)c->in[0]->n_items,
                (long long)x->n_items);
        l->in[k] = !x ? NULL : tensor_alias(sequence ? x->items[i] : x);
    }
    return OK;
}

static enum status eval_sequence_map(struct op_ctx *c) {
    const struct graph *body = attr_graph(c->node, "body");
    struct loop l;
    FAIL_IF(c->in[0]->kind != KIND_SEQUENCE, c->err, STATUS_CORRUPT,
            "the first input is not a sequence");
    FAIL_IF(body->n_inputs != c->n_in || body->n_outputs != c->n_out, c->err, STATUS_CORRUPT,
            "a body of %d inputs and %d outputs for %d inputs and %d outputs", body->n_inputs,
            body->n_outputs, c->n_in, c->n_out);
    loop_new(&l, c, body, 0, 0);
    enum status s = OK;
    for (int64_t i = 0; s == OK && i < c->in[0]->n_items; i++) {
        s = map_inputs(c, &l, i);
        if (s == OK)
            s = loop_step(&l, c);
        free_all(l.in, c->n_in);
    }
    for (int k = 0; s == OK && k < c->n_out; k++) {
        struct series *series = &l.series[k];
        enum dtype dtype = series->n ? series->items[0]->dtype : body->outputs[k]->dtype;
        if (!op_wanted(c, k))
            continue;
        c->out[k] = tensor_new_list(KIND_SEQUENCE, dtype, series->n);
        for (int64_t i = 0; i < series->n; i++)
            c->out[k]->items[i] = tensor_alias(series->items[i]);
    }
    loop_free(&l);
    return s;
}

#define MANY_OUTPUTS \
    .max_out = -1, .flags = OP_VIEW | OP_KINDS | OP_SUBGRAPH, .shape = shape_from_graph

/* clang-format off */
const struct op ops_control[] = {
    { .name = "If", .domain = "", .spec = "ONNX If-25", .min_in = 1, .max_in = 1, .min_out = 1, MANY_OUTPUTS,
      .attrs = ATTRS(NEEDED("then_branch", GRAPH), NEEDED("else_branch", GRAPH)), .eval = eval_if },
    { .name = "Loop", .domain = "", .spec = "ONNX Loop-25", .min_in = 0, .max_in = -1, .min_out = 1, MANY_OUTPUTS,
      .attrs = ATTRS(NEEDED("body", GRAPH)), .eval = eval_loop },
    { .name = "Scan", .domain = "", .spec = "ONNX Scan-25", .min_in = 1, .max_in = -1, .min_out = 1, MANY_OUTPUTS,
      .attrs = ATTRS(NEEDED("body", GRAPH), NEEDED("num_scan_inputs", INT), PLAIN("scan_input_axes", INTS),
                     PLAIN("scan_input_directions", INTS), PLAIN("scan_output_axes", INTS), PLAIN("scan_output_directions", INTS)),
      .eval = eval_scan },
    { .name = "SequenceMap", .domain = "", .spec = "ONNX SequenceMap-17", .min_in = 1, .max_in = -1,
      .min_out = 1, MANY_OUTPUTS,
      .attrs = ATTRS(NEEDED("body", GRAPH)), .eval = eval_sequence_map },
    { 0 },
};
