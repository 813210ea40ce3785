/* Shape inference through sub-graphs: what goes into a body is bound to its inputs, what comes out
 * of it is told by its outputs. States of a loop keep what is true before the first iteration and
 * after every other. */
#include "exec/infer.h"

#include <string.h>

enum { MAX_INFER_DEPTH = 32, MAX_PASSES = 8, DEEP = 3 };

static void inner(struct infer *x, struct graph *g) {
    x->depth++;
    infer_graph(x, g);
    x->depth--;
}

static void bind(struct infer *x, const struct value *v, struct fact f) {
    f.absent = false;
    infer_set(x, v, &f);
}

static const struct fact *output(const struct infer *x, const struct graph *g, int i) {
    return &x->facts[g->outputs[i]->id];
}

static void infer_call(struct infer *x, const struct node *n, const struct fact *in,
                       struct fact *out) {
    struct graph *g = n->body;
    for (int i = 0; i < g->n_inputs && i < n->n_in; i++)
        if (!in[i].absent)
            bind(x, g->inputs[i], in[i]);
    inner(x, g);
    for (int i = 0; i < n->n_out && i < g->n_outputs; i++)
        out[i] = *output(x, g, i);
}

static void infer_if(struct infer *x, const struct node *n, const struct fact *in,
                     struct fact *out) {
    struct graph *yes = attr_graph(n, "then_branch"), *no = attr_graph(n, "else_branch");
    if (!yes || !no)
        return;
    inner(x, yes);
    inner(x, no);
    const struct tensor *condition = in[0].value;
    bool decided = condition && condition->kind == KIND_TENSOR && tensor_count(condition) == 1;
    for (int i = 0; i < n->n_out && i < yes->n_outputs && i < no->n_outputs; i++) {
        if (decided) {
            out[i] = *output(x, tensor_i64(condition, 0) ? yes : no, i);
        } else {
            out[i] = *output(x, yes, i);
            fact_join(&out[i], output(x, no, i));
        }
    }
}

static bool same_fact(const struct fact *a, const struct fact *b) {
    return a->kind == b->kind && a->dtype == b->dtype && a->rank == b->rank &&
           (a->rank < 0 || dims_equal(a->dim, a->rank, b->dim, b->rank));
}

/* A body whose outputs [first, first + n_state) are the next values of its inputs [at, at +
 * n_state): runs it until the states' facts hold from iteration to iteration. Deep nests get one
 * pass on states of which only the type is known. */
static void settle_states(struct infer *x, struct graph *g, int at, int first, int n_state,
                          struct fact *state) {
    for (int pass = 0; pass < MAX_PASSES; pass++) {
        bool blind = x->depth >= DEEP || pass == MAX_PASSES - 1, changed = false;
        for (int i = 0; i < n_state; i++) {
            state[i].value = state[i].parts = NULL;
            if (blind)
                state[i].rank = -1;
            bind(x, g->inputs[at + i], state[i]);
        }
        inner(x, g);
        for (int i = 0; i < n_state; i++) {
            struct fact joined = state[i];
            fact_join(&joined, output(x, g, first + i));
            changed |= !same_fact(&joined, &state[i]);
            state[i] = joined;
        }
        if (!changed || blind)
            return;
    }
}

/* What an iteration's result becomes when all are stacked along a new axis. */
static struct fact stacked(const struct fact *f, int64_t axis, int64_t steps) {
    struct fact out = { .dtype = f->dtype, .rank = -1 };
    if (f->kind != KIND_TENSOR || f->rank < 0 || f->rank >= MAX_RANK)
        return out;
    axis = axis < 0 ? axis + f->rank + 1 : axis;
    if (axis < 0 || axis > f->rank)
        return out;
    out.rank = f->rank + 1;
    for (int i = 0; i < out.rank; i++)
        out.dim[i] = i == axis ? steps : f->dim[i > axis ? i - 1 : i];
    return out;
}

static bool known_number(const struct fact *f, int64_t *v) {
    if (f->absent || !f->value || f->value->kind != KIND_TENSOR || tensor_count(f->value) != 1)
        return false;
    *v = tensor_i64(f->value, 0);
    return true;
}

/* The number of iterations when the trip count alone decides: no condition, or one that is always
 * true. */
static int64_t loop_steps(const struct node *n, const struct fact *in,
                          const struct fact *condition_out) {
    int64_t trips, first, next;
    const struct tensor *part = in[0].absent ? NULL : in[0].parts;
    bool watched = n->n_in > 1 && !in[1].absent;
    bool always = watched && known_number(&in[1], &first) && first &&
                  known_number(condition_out, &next) && next;
    if (watched && !always)
        return DIM_UNKNOWN;
    if (part && tensor_count(part) == 1)
        return dim_of_part(*(const int64_t *)part->data);
    return known_number(&in[0], &trips) ? (trips > 0 ? trips : 0) : DIM_UNKNOWN;
}

static void infer_loop(struct infer *x, const struct node *n, const struct fact *in,
                       struct fact *out) {
    struct graph *g = attr_graph(n, "body");
    int n_state = n->n_in > 2 ? n->n_in - 2 : 0;
    if (!g || n->n_in < 1 || g->n_inputs != n_state + 2 || g->n_outputs < n_state + 1)
        return;
    bind(x, g->inputs[0],
         (struct fact) { .dtype = DT_I64, .rank = g->inputs[0]->rank == 1, .dim = { 1 } });
    bind(x, g->inputs[1],
         (struct fact) { .dtype = DT_BOOL, .rank = g->inputs[1]->rank == 1, .dim = { 1 } });
    struct fact *state = NEW_ARRAY(x->scratch, n_state + 1, struct fact);
    memcpy(state, in + 2, (size_t)n_state * sizeof *state);
    settle_states(x, g, 2, 1, n_state, state);
    for (int i = 0; i < n->n_out && i + 1 < g->n_outputs; i++)
        out[i] = i < n_state ? state[i]
                             : stacked(output(x, g, i + 1), 0, loop_steps(n, in, output(x, g, 0)));
}

static int64_t list_entry(const struct node *n, const char *name, int i) {
    int count;
    const int64_t *v = attr_ints(n, name, &count);
    return v && i < count ? v[i] : 0;
}

static void infer_scan(struct infer *x, const struct node *n, const struct fact *in,
                       struct fact *out) {
    struct graph *g = attr_graph(n, "body");
    int64_t n_scan = attr_int(n, "num_scan_inputs"), steps = DIM_UNKNOWN;
    if (!g || n_scan < 1 || n_scan > n->n_in || g->n_inputs != n->n_in ||
        g->n_outputs < n->n_in - n_scan)
        return;
    int n_state = n->n_in - (int)n_scan;
    for (int i = 0; i < n_scan; i++) {
        const struct fact *f = &in[n_state + i];
        struct fact element = { .dtype = f->dtype, .rank = f->rank - 1 };
        int64_t axis = list_entry(n, "scan_input_axes", i);
        axis = axis < 0 ? axis + f->rank : axis;
        if (f->rank < 1 || axis < 0 || axis >= f->rank) {
            element.rank = -1;
        } else {
            steps = steps >= 0 ? steps : f->dim[axis];
            for (int k = 0; k < element.rank; k++)
                element.dim[k] = f->dim[k < axis ? k : k + 1];
        }
        bind(x, g->inputs[n_state + i], element);
    }
    struct fact *state = NEW_ARRAY(x->scratch, n_state + 1, struct fact);
    memcpy(state, in, (size_t)n_state * sizeof *state);
    settle_states(x, g, 0, 0, n_state, state);
    for (int i = 0; i < n->n_out && i < g->n_outputs; i++)
        out[i] = i < n_state ? state[i]
                             : stacked(output(x, g, i),
                                       list_entry(n, "scan_output_axes", i - n_state), steps);
}

static void infer_map(struct infer *x, const struct node *n, const struct fact *in,
                      struct fact *out) {
    struct graph *g = attr_graph(n, "body");
    if (!g || g->n_inputs != n->n_in)
        return;
    for (int i = 0; i < n->n_in; i++) {
        struct fact f = in[i];
        f.kind = f.kind == KIND_SEQUENCE ? KIND_TENSOR : f.kind;
        if (in[i].kind == KIND_SEQUENCE)
            f.value = f.parts = NULL;
        bind(x, g->inputs[i], f);
    }
    inner(x, g);
    for (int i = 0; i < n->n_out && i < g->n_outputs; i++) {
        out[i] = *output(x, g, i);
        out[i].kind = KIND_SEQUENCE;
        out[i].value = out[i].parts = NULL;
    }
}

bool infer_control(struct infer *x, const struct node *n, const struct fact *in, struct fact *out) {
    static const struct {
        const char *op;
        void (*infer)(struct infer *x, const struct node *n, const struct fact *in,
                      struct fact *out);
    } rows[] = { { "If", infer_if },
                 { "Loop", infer_loop },
                 { "Scan", infer_scan },
                 { "SequenceMap", infer_map } };
    struct err e;
    if (x->depth >= MAX_INFER_DEPTH)
        return n->body != NULL;
    if (n->body) {
        infer_call(x, n, in, out);
        return true;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (node_is(n, rows[i].op) && n->def && op_check(n, &e) == OK) {
            rows[i].infer(x, n, in, out);
            return true;
        }
    return false;
}
