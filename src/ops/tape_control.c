/* Gradients through the operators that run sub-graphs. Forward, their own kernels run; each run of
 * a sub-graph is noted with its inputs. Backward, the runs are repeated from the last to the first,
 * and each gives the gradients of its inputs to what they came from. */
#include <string.h>

#include "ops/move.h"
#include "ops/row.h"
#include "ops/tape.h"

/* How the inputs and outputs of a node and of its sub-graph belong together: after `lead` ones that
 * the node makes or reads itself come the states, then what is cut into or stacked from slices. */
struct pattern {
    const char *op, *domain;
    int node_first;         /* the node's first input that goes into the sub-graph */
    int lead_in, lead_out;  /* of the sub-graph */
    bool captures, repeats; /* the sub-graph has no inputs of the node; states go round */
};

static const struct pattern patterns[] = {
    { "If", "", 1, 0, 0, true, false },
    { "Loop", "", 2, 2, 1, false, true },
    { "Scan", "", 0, 0, 0, false, true },
    { "SequenceMap", "", 0, 0, 0, false, true },
    { "FlexAttention", "ai.onnx.preview", 0, 0, 0, false, false },
    { "IF", "tflite", 1, 0, 0, false, false },
    { "STABLEHLO_CASE", "tflite", 1, 0, 0, false, false },
    { "STABLEHLO_COMPOSITE", "tflite", 0, 0, 0, false, false },
    { "CALL", "tflite", 0, 0, 0, false, false },
    { "WHILE", "tflite", 0, 0, 0, false, true },
    { "STABLEHLO_WHILE", "tflite", 0, 0, 0, false, true },
};
static const struct pattern call = { "", "", 0, 0, 0, false, false };

static const struct pattern *pattern_named(const char *op, const char *domain) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (strcmp(op, patterns[i].op) == 0 && strcmp(domain, patterns[i].domain) == 0)
            return &patterns[i];
    return NULL;
}

static const struct pattern *pattern_of(const struct node *n) {
    return n->body ? &call : pattern_named(n->op, n->domain);
}

bool op_has_gradient(const struct op *o) {
    return o->grad || pattern_named(o->name, o->domain);
}

bool tape_controls(const struct node *n) {
    return pattern_of(n) != NULL;
}

/* --- forward --- */

/* Calls visit for the graph and all that its nodes hold. */
static void each_inside(const struct graph *g, void (*visit)(struct tape *t, const struct graph *g),
                        struct tape *t) {
    visit(t, g);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        if (n->body)
            each_inside(n->body, visit, t);
        for (int k = 0; k < n->n_attrs; k++) {
            if (n->attrs[k].type == ATTR_GRAPH)
                each_inside(n->attrs[k].graph, visit, t);
            for (int64_t j = 0; n->attrs[k].type == ATTR_GRAPHS && j < n->attrs[k].n; j++)
                each_inside(n->attrs[k].graphs[j], visit, t);
        }
    }
}

static void forget(struct tape *t, const struct graph *g) {
    for (int i = 0; i < g->n_values; i++) {
        int id = g->values[i]->id;
        tensor_free(t->value[id]);
        t->value[id] = t->grad[id] = NULL;
    }
}

/* Runs a sub-graph on its inputs, all values of it kept. */
static enum status enter(struct tape *t, const struct graph *g, struct tensor *const *in, int n) {
    bool *needed = t->needed;
    each_inside(g, forget, t);
    for (int i = 0; i < n && i < g->n_inputs; i++)
        if (in[i])
            TRY(tensor_for_kernel(&t->value[g->inputs[i]->id], in[i], PREC_F64, t->err));
    t->needed = NULL;
    enum status s = tape_forward(t, g);
    t->needed = needed;
    return s;
}

static enum status output_of(struct tape *t, const struct value *v, struct tensor **out) {
    if (!t->value[v->id] && v->constant)
        TRY(tensor_for_kernel(&t->value[v->id], v->constant, PREC_F64, t->err));
    FAIL_IF(!t->value[v->id], t->err, STATUS_CORRUPT, "'%s' is not computed", v->name);
    *out = tensor_alias(t->value[v->id]);
    return OK;
}

static enum status run_noted(struct tape *t, const struct node *n, const struct graph *g,
                             struct tensor *const *in, int n_in, struct tensor **out, int n_out) {
    struct tape_turn turn = { .node = n, .graph = g, .n_in = n_in };
    turn.in = NEW_ARRAY(t->a, n_in + 1, struct tensor *);
    for (int i = 0; i < n_in; i++)
        turn.in[i] = in[i] ? tensor_alias(in[i]) : NULL;
    enum status s = enter(t, g, in, n_in);
    PUSH(t->a, t->turns, t->n_turns, turn);
    for (int i = 0; s == OK && i < n_out && i < g->n_outputs; i++)
        s = output_of(t, g->outputs[i], &out[i]);
    return s;
}

static enum status run_graph(struct op_ctx *c, const struct graph *g, struct tensor *const *in,
                             int n_in, struct tensor **out, int n_out) {
    return run_noted(c->exec, c->node, g, in, n_in, out, n_out);
}

/* Removes the turns of the node. */
static void drop_turns(struct tape *t, const struct node *n) {
    int kept = 0;
    for (int i = 0; i < t->n_turns; i++) {
        if (t->turns[i].node != n)
            t->turns[kept++] = t->turns[i];
        else
            for (int k = 0; k < t->turns[i].n_in; k++)
                tensor_free(t->turns[i].in[k]);
    }
    t->n_turns = kept;
}

enum status tape_control_forward(struct tape *t, const struct node *n,
                                 const struct tensor *const *in, struct tensor **out) {
    struct op_env env = t->env;
    env.run_graph = run_graph;
    env.exec = t;
    drop_turns(t, n);
    if (n->body)
        return run_noted(t, n, n->body, (struct tensor *const *)in, n->n_in, out, n->n_out);
    return op_run(&env, n, in, out, t->err);
}

/* --- backward --- */

/* Where slices lie: entry `step` of `steps` along an axis of a stacked tensor. */
struct slices {
    int64_t outer, steps, inner;
    bool backwards;
};

static struct slices slices_of(const struct tensor *whole, int64_t axis, bool backwards) {
    int at = (int)(axis < 0 ? axis + whole->rank : axis);
    return (struct slices) { dims_product(whole->dim, 0, at), whole->dim[at],
                             dims_product(whole->dim, at + 1, whole->rank), backwards };
}

/* Adds slice `step` of `whole` to `part`, or the part to the slice. */
static void slice_add(const struct slices *s, int64_t step, struct tensor *whole,
                      struct tensor *part, bool into_whole) {
    int64_t at = s->backwards ? s->steps - 1 - step : step;
    for (int64_t o = 0; whole && part && o < s->outer; o++)
        for (int64_t i = 0; i < s->inner; i++) {
            double *w = (double *)whole->data + (o * s->steps + at) * s->inner + i,
                   *p = (double *)part->data + o * s->inner + i;
            if (into_whole)
                *w += *p;
            else
                *p += *w;
        }
}

static int64_t entry(const struct node *n, const char *name, int i) {
    int count;
    const int64_t *v = attr_ints(n, name, &count);
    return v && i < count ? v[i] : 0;
}

struct way_back {
    struct tape *t;
    const struct node *n;
    const struct pattern *p;
    struct tensor **state; /* gradients of the states after the turn */
    int n_state, n_scan;   /* n_scan: inputs that are cut into slices */
};

static bool is_scan(const struct way_back *w) {
    return w->p->domain[0] == '\0' && strcmp(w->p->op, "Scan") == 0;
}

/* The gradients of the sub-graph's outputs in the turn. */
static void seed(const struct way_back *w, const struct graph *g, int64_t turn) {
    for (int i = 0; i + w->p->lead_out < g->n_outputs; i++) {
        struct tensor *to = tape_grad(w->t, g->outputs[w->p->lead_out + i]);
        if (i < w->n_state) {
            grad_add(to, w->state[i]);
            continue;
        }
        const struct value *out = i < w->n->n_out ? w->n->out[i] : NULL;
        struct tensor *whole = out ? w->t->grad[out->id] : NULL;
        int k = i - w->n_state;
        if (!to || !whole)
            continue;
        if (whole->kind == KIND_SEQUENCE) { /* of a SequenceMap */
            grad_add(to, turn < whole->n_items ? whole->items[turn] : NULL);
            continue;
        }
        struct slices s = slices_of(whole, is_scan(w) ? entry(w->n, "scan_output_axes", k) : 0,
                                    is_scan(w) && entry(w->n, "scan_output_directions", k) != 0);
        slice_add(&s, turn, whole, to, false);
    }
}

/* Gives the gradients of the sub-graph's inputs on: states to the turn before, slices to the node's
 * inputs. */
static void collect(const struct way_back *w, const struct graph *g, int64_t turn) {
    for (int i = 0; i < w->n_state; i++) {
        struct tensor *from = w->t->grad[g->inputs[w->p->lead_in + i]->id];
        w->state[i] = from;
    }
    for (int k = 0; k < w->n_scan; k++) {
        struct tensor *whole = tape_grad(w->t, w->n->in[w->n_state + k]),
                      *part = w->t->grad[g->inputs[w->n_state + k]->id];
        if (!whole || !part)
            continue;
        struct slices s = slices_of(whole, entry(w->n, "scan_input_axes", k),
                                    entry(w->n, "scan_input_directions", k) != 0);
        slice_add(&s, turn, whole, part, true);
    }
}

enum status tape_repeat(struct tape *t, const struct tape_turn *turn) {
    return enter(t, turn->graph, turn->in, turn->n_in);
}

enum status tape_turn_back(struct tape *t, const struct tape_turn *turn) {
    bool *needed = t->needed;
    t->needed = NULL;
    enum status s = tape_backward(t, turn->graph);
    t->needed = needed;
    return s;
}

static enum status turn_back(const struct way_back *w, const struct tape_turn *turn, int64_t i) {
    TRY(tape_repeat(w->t, turn));
    seed(w, turn->graph, i);
    return tape_turn_back(w->t, turn);
}

struct tape_turn *tape_turns(struct tape *t, const struct node *n, int64_t *count) {
    const struct attr *cond = node_attr(n, "cond");
    struct tape_turn *list = NEW_ARRAY(t->a, t->n_turns + 1, struct tape_turn);
    *count = 0;
    for (int i = 0; i < t->n_turns; i++)
        if (t->turns[i].node == n &&
            !(cond && cond->type == ATTR_GRAPH && t->turns[i].graph == cond->graph))
            list[(*count)++] = t->turns[i];
    return list;
}

/* Element `turn` of the sequences; all of what is no sequence. */
static void collect_map(const struct way_back *w, const struct graph *g, int64_t turn) {
    for (int k = 0; k < w->n->n_in; k++) {
        struct tensor *to = tape_grad(w->t, w->n->in[k]);
        bool part = to && w->t->value[w->n->in[k]->id]->kind == KIND_SEQUENCE;
        grad_add(part ? to->items[turn] : to, w->t->grad[g->inputs[k]->id]);
    }
}

/* Through the only turn: outputs back to inputs. */
static enum status call_back(struct way_back *w, const struct tape_turn *turn) {
    int given = w->p->captures ? 0 : w->n->n_in - w->p->node_first;
    w->n_state = w->n->n_out;
    TRY(turn_back(w, turn, 0));
    for (int k = 0; k < given && k < turn->graph->n_inputs; k++)
        if (w->n->in[w->p->node_first + k])
            grad_add(tape_grad(w->t, w->n->in[w->p->node_first + k]),
                     w->t->grad[turn->graph->inputs[k]->id]);
    return OK;
}

enum status tape_control_backward(struct tape *t, const struct node *n) {
    struct way_back w = { .t = t, .n = n, .p = pattern_of(n) };
    int64_t count;
    struct tape_turn *turns = tape_turns(t, n, &count);
    bool map = strcmp(n->op, "SequenceMap") == 0, flex = strcmp(n->op, "FlexAttention") == 0;
    if (flex)
        return tape_flex_backward(t, n);
    w.state = NEW_ARRAY(t->a, n->n_in + n->n_out + 1, struct tensor *);
    for (int i = 0; i < n->n_out; i++)
        w.state[i] = n->out[i] ? t->grad[n->out[i]->id] : NULL;
    if (!w.p->repeats)
        return count ? call_back(&w, &turns[0]) : OK;
    w.n_scan = is_scan(&w) ? (int)attr_int(n, "num_scan_inputs") : 0;
    int given = map ? 0 : n->n_in - w.p->node_first - w.n_scan;
    w.n_state = given > 0 ? given : 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        TRY(turn_back(&w, &turns[i], i));
        (map ? collect_map : collect)(&w, turns[i].graph, i);
    }
    for (int i = 0; i < w.n_state; i++)
        if (n->in[w.p->node_first + i] && w.state[i])
            grad_add(tape_grad(t, n->in[w.p->node_first + i]), w.state[i]);
    return OK;
}
