/* Gradients of TensorFlow Lite's recurrent cells, written out step by step (body.h). The slots of
 * the inputs are those of tflite_rnn.c. */
#include "ops/tflite_rnn_grad.h"

#include "ops/body.h"

/* Parameters by gate: input, forget, cell, output (RNN: the first only); NULL: none. */
struct cell {
    struct value *w[4], *r[4], *aux[4], *p[4], *b[4], *norm[4], *proj, *proj_bias;
    int64_t activation;
    double cell_clip, proj_clip;
    struct value *h, *c; /* the state */
};

/* Where the parameters of a direction begin; -1 none. */
struct places {
    int w, r, p, b, proj, norm, aux, h, c;
};

static struct value *input(const struct body *b, int i) {
    return i >= 0 && body_has(b, i) ? b->in[i] : NULL;
}

static struct value *both(struct body *b, const char *op, struct value *x, struct value *y) {
    return body_op(b, op, x, y, NULL);
}

static struct value *limited(struct body *b, struct value *x, double low, double high) {
    return body_op(b, "Clip", x, body_number(b, low), body_number(b, high));
}

static struct value *clipped(struct body *b, struct value *x, double limit) {
    return limit > 0 ? limited(b, x, -limit, limit) : x;
}

static struct value *activated(struct body *b, int64_t kind, struct value *x) {
    switch (kind) {
    case 1:
        return body_op(b, "Relu", x, NULL, NULL);
    case 2:
        return limited(b, x, -1, 1);
    case 3:
        return limited(b, x, 0, 6);
    case 4:
        return body_op(b, "Tanh", x, NULL, NULL);
    default:
        return x;
    }
}

/* A gate before its function. */
static struct value *gate(struct body *b, const struct cell *l, int g, struct value *x,
                          struct value *aux) {
    struct value *v =
        both(b, "Add", body_times_turned(b, x, l->w[g], 2), body_times_turned(b, l->h, l->r[g], 2));
    if (aux && l->aux[g])
        v = both(b, "Add", v, body_times_turned(b, aux, l->aux[g], 2));
    if (l->p[g])
        v = both(b, "Add", v, both(b, "Mul", l->p[g], l->c));
    if (l->norm[g]) {
        v = body_op(b, "LayerNormalization", v, l->norm[g], l->b[g]);
        node_set_float(v->producer, "epsilon", 1e-8);
        return v;
    }
    return l->b[g] ? both(b, "Add", v, l->b[g]) : v;
}

static struct value *open_gate(struct body *b, const struct cell *l, int g, struct value *x,
                               struct value *aux) {
    return body_op(b, "Sigmoid", gate(b, l, g, x, aux), NULL, NULL);
}

/* h and c become the next states. */
static void lstm_step(struct body *b, struct cell *l, struct value *x, struct value *aux) {
    struct value *forget = open_gate(b, l, 1, x, aux),
                 *in = l->w[0] ? open_gate(b, l, 0, x, aux)
                               : both(b, "Sub", body_number(b, 1), forget),
                 *cell = activated(b, l->activation, gate(b, l, 2, x, aux));
    struct value *next = both(b, "Add", both(b, "Mul", forget, l->c), both(b, "Mul", in, cell));
    l->c = clipped(b, next, l->cell_clip);
    struct value *y = both(b, "Mul", open_gate(b, l, 3, x, aux), activated(b, l->activation, l->c));
    if (l->proj) {
        y = body_times_turned(b, y, l->proj, 2);
        y = clipped(b, l->proj_bias ? both(b, "Add", y, l->proj_bias) : y, l->proj_clip);
    }
    l->h = y;
}

static void rnn_step(struct body *b, struct cell *l, struct value *x, struct value *aux) {
    l->h = activated(b, l->activation, gate(b, l, 0, x, aux));
}

static struct value *zeros(struct body *b, int64_t rows, int64_t columns) {
    double *v = NEW_ARRAY(b->m->arena, rows * columns + 1, double);
    return body_tensor(b, 2, (const int64_t[]) { rows, columns }, v);
}

static void read_cell(struct body *b, const struct places *s, bool lstm, struct cell *l) {
    static const int peephole[] = { 0, 1, -1, 2 };
    const struct node *n = b->c->node;
    *l = (struct cell) { .activation = attr_int(n, "activation"), .h = input(b, s->h) };
    for (int g = 0; g < (lstm ? 4 : 1); g++) {
        l->w[g] = input(b, s->w + g);
        l->r[g] = input(b, s->r + g);
        l->b[g] = input(b, s->b + g);
        l->aux[g] = s->aux < 0 ? NULL : input(b, s->aux + g);
        l->norm[g] = s->norm < 0 ? NULL : input(b, s->norm + g);
        l->p[g] = lstm && peephole[g] >= 0 ? input(b, s->p + peephole[g]) : NULL;
    }
    if (!lstm)
        return;
    l->cell_clip = attr_float(n, "cell_clip");
    l->proj_clip = attr_float(n, "proj_clip");
    l->proj = input(b, s->proj);
    l->proj_bias = input(b, s->proj + 1);
    l->c = input(b, s->c);
}

/* States that the file leaves out are zero. */
static void first_states(struct body *b, const struct places *s, bool lstm, int64_t batch,
                         struct cell *l) {
    int last = lstm ? 3 : 0;
    if (!l->h)
        l->h = zeros(b, batch, b->c->in[s->r + last]->dim[1]);
    if (lstm && !l->c)
        l->c = zeros(b, batch, b->c->in[s->w + last]->dim[0]);
}

/* One direction over all steps: the outputs in the input's layout. */
static struct value *walk(struct body *b, const struct places *s, bool lstm, int aux,
                          bool time_major, bool reverse) {
    const struct tensor *x = b->c->in[0];
    bool sequence = x->rank == 3;
    int axis = time_major ? 0 : 1;
    int64_t steps = sequence ? x->dim[axis] : 1, batch = sequence ? x->dim[1 - axis] : x->dim[0];
    struct value *whole[2] = { b->in[0], input(b, aux) }, *part[2] = { b->in[0], whole[1] },
                 *all = NULL;
    struct cell l;
    read_cell(b, s, lstm, &l);
    first_states(b, s, lstm, batch, &l);
    for (int64_t i = 0; i < steps; i++) {
        int64_t t = reverse ? steps - 1 - i : i;
        for (int k = 0; k < 2 && sequence; k++)
            if (whole[k])
                part[k] = body_op(b, "Squeeze", body_slice(b, whole[k], axis, t, t + 1),
                                  body_ints(b, 1, (const int64_t[]) { axis }), NULL);
        (lstm ? lstm_step : rnn_step)(b, &l, part[0], part[1]);
        if (!sequence)
            return l.h;
        struct value *y =
            body_op(b, "Unsqueeze", l.h, body_ints(b, 1, (const int64_t[]) { axis }), NULL);
        all = !all      ? y
              : reverse ? body_op_int(b, "Concat", y, all, "axis", axis)
                        : body_op_int(b, "Concat", all, y, "axis", axis);
    }
    return all;
}

/* The basic LSTM: one matrix [4 n, inputs + n], its rows for input, cell, forget, output gate. */
static enum status write_basic(struct body *b) {
    static const int order[] = { 0, 2, 1, 3 };
    int64_t inputs = b->c->in[0]->dim[1], n = b->c->in[2]->dim[0] / 4;
    struct cell l = { .activation = 4,
                      .cell_clip = attr_float(b->c->node, "cell_clip"),
                      .h = b->in[1],
                      .c = b->in[4] };
    for (int k = 0; k < 4; k++) {
        struct value *rows = body_slice(b, b->in[2], 0, k * n, (k + 1) * n);
        l.w[order[k]] = body_slice(b, rows, 1, 0, inputs);
        l.r[order[k]] = body_slice(b, rows, 1, inputs, inputs + n);
        l.b[order[k]] = body_slice(b, b->in[3], 0, k * n, (k + 1) * n);
    }
    lstm_step(b, &l, b->in[0], NULL);
    b->out[0] = l.h;
    b->out[1] = l.c;
    return OK;
}

static const struct places single = { 1, 5, 9, 12, 16, 20, -1, 18, 19 };

static bool time_major(const struct body *b) {
    return b->c->in[0]->rank == 3 && attr_int(b->c->node, "time_major");
}

static enum status write_lstm(struct body *b) {
    if (b->c->n_in <= 5)
        return write_basic(b);
    b->out[0] = walk(b, &single, true, -1, time_major(b), false);
    return OK;
}

static enum status write_rnn(struct body *b) {
    static const struct places places = { 1, 2, -1, 3, -1, -1, -1, 4, -1 };
    b->out[0] = walk(b, &places, false, -1, time_major(b), false);
    return OK;
}

static void two(struct body *b, const struct places *s, bool lstm, int aux) {
    struct value *y[2];
    for (int d = 0; d < 2; d++)
        y[d] = walk(b, &s[d], lstm, aux, time_major(b), d == 1);
    b->out[0] = y[0];
    b->out[1] = y[1];
    if (attr_int(b->c->node, "merge_outputs"))
        b->out[0] = body_op_int(b, "Concat", y[0], y[1], "axis", 2);
}

static enum status write_two_lstm(struct body *b) {
    static const struct places places[] = { { 1, 5, 9, 12, 16, -1, 40, 35, 36 },
                                            { 18, 22, 26, 29, 33, -1, 44, 37, 38 } };
    two(b, places, true, 39);
    return OK;
}

static enum status write_two_rnn(struct body *b) {
    static const struct places places[] = { { 1, 2, -1, 3, -1, -1, 10, 4, -1 },
                                            { 5, 6, -1, 7, -1, -1, 11, 8, -1 } };
    two(b, places, false, 9);
    return OK;
}

/* The state moves on by one and takes the feature product; units sum their filters. */
static enum status write_svdf(struct body *b) {
    const struct tensor *time = b->c->in[2];
    int64_t batch = b->c->in[0]->dim[0], filters = time->dim[0], memory = time->dim[1],
            rank = attr_int(b->c->node, "rank");
    const int64_t newest[] = { batch, filters, 1 }, held[] = { batch, filters, memory },
                  by_unit[] = { batch, filters / rank, rank };
    struct value *line = body_reshape(b, body_times_turned(b, b->in[0], b->in[1], 2), 3, newest);
    if (body_has(b, 4)) {
        struct value *old = body_slice(b, body_reshape(b, b->in[4], 3, held), 2, 1, memory);
        line = body_op_int(b, "Concat", old, line, "axis", 2);
        line = both(b, "Mul", line, b->in[2]);
    } else {
        line = both(b, "Mul", line, body_slice(b, b->in[2], 1, memory - 1, memory));
    }
    struct value *last = body_ints(b, 1, (const int64_t[]) { 2 });
    struct value *y = body_op_int(b, "ReduceSum", line, last, "keepdims", 0);
    y = body_op_int(b, "ReduceSum", body_reshape(b, y, 3, by_unit), last, "keepdims", 0);
    if (body_has(b, 3))
        y = both(b, "Add", y, b->in[3]);
    b->out[0] = activated(b, attr_int(b->c->node, "activation"), y);
    return OK;
}

enum status tflite_lstm_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_lstm);
}

enum status tflite_two_lstm_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_two_lstm);
}

enum status tflite_rnn_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_rnn);
}

enum status tflite_two_rnn_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_two_rnn);
}

enum status tflite_svdf_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_svdf);
}
