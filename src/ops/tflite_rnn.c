/* TensorFlow Lite's recurrent cells: RNN, LSTM (basic, full, with coupled gates, peepholes, layer
 * normalisation, projection), their sequences in one or two directions, and SVDF. One run begins
 * with the states the file gives.
 *
 * In domain "fixed" the matrices are integers (hybrid.h): inputs, states and what is projected are
 * quantized row by row, each product is added to the sum of the gate as one float32. */
#include <math.h>
#include <string.h>

#include "ops/cores.h"
#include "ops/fixed_cells.h"
#include "ops/hybrid.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"
#include "ops/tflite_rnn_grad.h"

/* Weights in the type of the run, rows `step` apart, or as integers. */
struct matrix {
    const void *real;
    int64_t step;
    struct hybrid_matrix integers;
};

static bool matrix_given(const struct matrix *m) {
    return m->real || m->integers.q;
}

/* Parameters by gate: input, forget, cell, output (RNN: the first only). Pointers are to float or
 * double. */
struct lstm {
    int gates;
    int64_t inputs, aux_inputs, cells, outputs;
    struct matrix w[4], r[4], aux[4], proj;
    const void *p[4], *b[4], *norm[4], *proj_bias;
    double cell_clip, proj_clip;
    int64_t activation;
    bool hybrid, asymmetric;
    const struct op_cores *cores;
    int32_t *room[3]; /* quantized rows: the input, the auxiliary input, the state or the cells */
    float *narrow;
};

struct walk {
    int64_t batch, steps;
    bool time_major, reverse;
};

struct svdf {
    int64_t batch, inputs, units, rank, memory, activation;
};

#define root_d sqrt
#define root_f sqrtf
#define EACH_REAL "ops/tflite_rnn.inc"
#include "ops/each_real.inc"

static bool in_integers(const struct node *n) {
    return n->domain[0] == 'f';
}

/* Inputs of the operator itself. */
static int inputs_of(const struct node *n) {
    return in_integers(n) ? fixed_data_inputs(n) : n->n_in;
}

static bool given(const struct shape_ctx *c, int i) {
    return i < inputs_of(c->node) && i < c->n_in && !c->in[i].absent;
}

static bool has(const struct op_ctx *c, int i) {
    return i < inputs_of(c->node) && i < c->n_in && c->in[i];
}

/* Columns of a matrix input; -1 unknown. */
static int64_t columns_of(const struct shape_ctx *c, int i) {
    return given(c, i) && c->in[i].rank == 2 ? c->in[i].dim[1] : -1;
}

static int64_t rows_of(const struct shape_ctx *c, int i) {
    return given(c, i) && c->in[i].rank == 2 ? c->in[i].dim[0] : -1;
}

static void last_dim(struct shape_ctx *c, int out, int64_t n) {
    if (out >= c->n_out)
        return;
    int zero = in_integers(c->node) ? 3 * inputs_of(c->node) + 2 * out + 1 : c->n_in;
    shape_copy(c, out, 0);
    c->out[out].dtype =
        zero >= 0 && zero < c->n_in && !c->in[zero].absent ? c->in[zero].dtype : DT_F32;
    if (c->in[0].rank > 0)
        c->out[out].dim[c->in[0].rank - 1] = n;
}

static enum status need_rank(struct shape_ctx *c, int rank) {
    SHAPE_FAIL_IF(c->in[0].rank >= 0 && c->in[0].rank != rank, c,
                  "an input of rank %d instead of %d", c->in[0].rank, rank);
    return OK;
}

/* Integer weights that the reference multiplies as floats. */
static enum status recovered(struct op_ctx *c, int i, const void **out) {
    struct fixed_quant q;
    const int32_t *v;
    TRY(hybrid_weights(c, i, 1, &q, &v));
    int64_t n = tensor_count(c->in[i]);
    float *real = NEW_ARRAY(c->scratch, n + 1, float);
    for (int64_t k = 0; k < n; k++)
        real[k] = (float)v[k] * q.scale[0];
    *out = real;
    return OK;
}

/* Input i has the expected size. columns 0: a vector. */
static enum status need_size(struct op_ctx *c, int i, int64_t rows, int64_t columns) {
    const struct tensor *t = c->in[i];
    FAIL_IF(tensor_count(t) != rows * (columns ? columns : 1) ||
                (columns && (t->rank != 2 || t->dim[1] != columns)),
            c->err, STATUS_CORRUPT, "input %d has %lld elements, %lld x %lld are needed", i,
            (long long)tensor_count(t), (long long)rows, (long long)(columns ? columns : 1));
    return OK;
}

static bool is_integer(const struct op_ctx *c, int i) {
    return in_integers(c->node) && !hybrid_input(c, i);
}

/* A parameter of the expected size, as the store of the run; NULL where it is left out. */
static enum status parameter(struct op_ctx *c, int i, int64_t rows, int64_t columns,
                             const void **out) {
    *out = NULL;
    if (!has(c, i))
        return OK;
    TRY(need_size(c, i, rows, columns));
    if (is_integer(c, i))
        return recovered(c, i, out);
    *out = input_as(c, i, store_of(DT_F32, c->precision));
    return OK;
}

static enum status matrix(struct op_ctx *c, int i, int64_t rows, int64_t columns,
                          struct matrix *m) {
    struct fixed_quant q;
    m->step = columns;
    if (!has(c, i) || !is_integer(c, i))
        return parameter(c, i, rows, columns, &m->real);
    TRY(need_size(c, i, rows, columns));
    TRY(hybrid_weights(c, i, 1, &q, &m->integers.q));
    m->integers.columns = columns;
    m->integers.scale = q.scale;
    return OK;
}

static void make_room(struct op_ctx *c, struct lstm *l) {
    int64_t states = l->outputs > l->cells ? l->outputs : l->cells,
            least = l->inputs > l->aux_inputs ? l->inputs : l->aux_inputs;
    l->hybrid = in_integers(c->node);
    if (!l->hybrid)
        return;
    l->asymmetric = attr_int(c->node, "asymmetric") != 0;
    l->room[0] = NEW_ARRAY(c->scratch, l->inputs + 1, int32_t);
    l->room[1] = NEW_ARRAY(c->scratch, l->aux_inputs + 1, int32_t);
    l->room[2] = NEW_ARRAY(c->scratch, states + 1, int32_t);
    l->narrow = NEW_ARRAY(c->scratch, (states > least ? states : least) + 1, float);
}

/* Where the groups of parameters begin in the list of inputs; -1 none. */
struct slots {
    int w, r, p, b, proj, norm, aux, h, c;
};

static enum status lstm_read(struct op_ctx *c, const struct slots *s, int aux_input, struct lstm *l,
                             const void **h, const void **state) {
    const struct tensor *x = c->in[0];
    FAIL_IF(!has(c, s->w + 3) || !has(c, s->r + 3) || c->in[s->w + 3]->rank != 2 ||
                c->in[s->r + 3]->rank != 2,
            c->err, STATUS_CORRUPT, "the weights of the output gate are missing");
    *l = (struct lstm) { .gates = 4,
                         .inputs = x->dim[x->rank - 1],
                         .cells = c->in[s->w + 3]->dim[0],
                         .outputs = c->in[s->r + 3]->dim[1],
                         .activation = attr_int(c->node, "activation"),
                         .cell_clip = attr_float(c->node, "cell_clip"),
                         .proj_clip = attr_float(c->node, "proj_clip") };
    if (aux_input >= 0 && has(c, aux_input))
        l->aux_inputs = c->in[aux_input]->dim[c->in[aux_input]->rank - 1];
    static const int peephole[] = { 0, 1, -1, 2 };
    for (int g = 0; g < 4; g++) {
        TRY(matrix(c, s->w + g, l->cells, l->inputs, &l->w[g]));
        TRY(matrix(c, s->r + g, l->cells, l->outputs, &l->r[g]));
        if (peephole[g] >= 0)
            TRY(parameter(c, s->p + peephole[g], l->cells, 0, &l->p[g]));
        TRY(parameter(c, s->b + g, l->cells, 0, &l->b[g]));
        if (s->norm >= 0)
            TRY(parameter(c, s->norm + g, l->cells, 0, &l->norm[g]));
        if (l->aux_inputs && s->aux >= 0)
            TRY(matrix(c, s->aux + g, l->cells, l->aux_inputs, &l->aux[g]));
        FAIL_IF(matrix_given(&l->w[g]) != matrix_given(&l->r[g]) || (g && !matrix_given(&l->w[g])),
                c->err, STATUS_CORRUPT, "weights of gate %d are missing", g);
    }
    make_room(c, l);
    TRY(matrix(c, s->proj, l->outputs, l->cells, &l->proj));
    TRY(parameter(c, s->proj + 1, l->outputs, 0, &l->proj_bias));
    FAIL_IF(!matrix_given(&l->proj) && l->outputs != l->cells, c->err, STATUS_CORRUPT,
            "%lld outputs of %lld cells without a projection", (long long)l->outputs,
            (long long)l->cells);
    int64_t batch = has(c, s->h) ? tensor_count(c->in[s->h]) / (l->outputs ? l->outputs : 1) : 0;
    TRY(parameter(c, s->h, batch, l->outputs, h));
    return parameter(c, s->c, batch, l->cells, state);
}

static enum status walk_read(struct op_ctx *c, bool time_major, const void *h, int h_slot,
                             struct walk *w) {
    const struct tensor *x = c->in[0];
    *w = (struct walk) { .time_major = time_major };
    w->batch = x->rank == 2 ? x->dim[0] : x->dim[time_major ? 1 : 0];
    w->steps = x->rank == 2 ? 1 : x->dim[time_major ? 0 : 1];
    FAIL_IF(h && c->in[h_slot]->dim[0] != w->batch, c->err, STATUS_CORRUPT,
            "states for a batch of %lld, the input has %lld", (long long)c->in[h_slot]->dim[0],
            (long long)w->batch);
    return OK;
}

/* Output `out` from column `column`, whose rows are `step` long. */
static void run_direction(struct op_ctx *c, const struct lstm *l, const struct walk *w, int aux,
                          const void *h, const void *state, int out, int64_t column, int64_t step,
                          struct tensor *last) {
    enum dtype store = store_of(DT_F32, c->precision);
    struct lstm with = *l;
    with.cores = c->cores;
    l = &with;
    const void *x = input_as(c, 0, store),
               *extra = aux >= 0 && has(c, aux) && l->aux_inputs ? input_as(c, aux, store) : NULL;
    if (store == DT_F64)
        run_direction_d(l, w, x, extra, h, state, (double *)c->out[out]->data + column, step,
                        last ? last->data : NULL, c->scratch);
    else
        run_direction_f(l, w, x, extra, h, state, (float *)c->out[out]->data + column, step,
                        last ? last->data : NULL, c->scratch);
}

/* --- LSTM, UNIDIRECTIONAL_SEQUENCE_LSTM --- */

static const struct slots single = {
    .w = 1, .r = 5, .p = 9, .b = 12, .proj = 16, .norm = 20, .aux = -1, .h = 18, .c = 19
};

static enum status shape_lstm(struct shape_ctx *c) {
    bool sequence = c->node->op[0] == 'U', basic = inputs_of(c->node) <= 5;
    TRY(need_rank(c, sequence ? 3 : 2));
    last_dim(c, 0, basic ? (rows_of(c, 2) < 0 ? -1 : rows_of(c, 2) / 4) : columns_of(c, 8));
    if (basic && c->n_out > 1)
        last_dim(c, 1, rows_of(c, 2) < 0 ? -1 : rows_of(c, 2) / 4);
    return OK;
}

/* Basic: input, previous output, weights [4 n, inputs + n], bias, previous state; gates input,
 * cell, forget, output. */
static enum status eval_basic(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *w = c->in[2];
    static const int order[] = { 0, 2, 1, 3 };
    if (in_integers(c->node))
        return fixed_lstm_basic(c);
    for (int i = 0; i < 5; i++)
        FAIL_IF(!has(c, i), c->err, STATUS_CORRUPT, "input %d is missing", i);
    FAIL_IF(w->rank != 2 || w->dim[0] % 4 || x->rank != 2, c->err, STATUS_CORRUPT,
            "weights of rank %d", w->rank);
    int64_t n = w->dim[0] / 4, inputs = x->dim[1], row = inputs + n;
    struct lstm l = { .gates = 4,
                      .inputs = inputs,
                      .cells = n,
                      .outputs = n,
                      .activation = 4,
                      .cell_clip = attr_float(c->node, "cell_clip") };
    const void *weights, *bias, *h, *state;
    TRY(parameter(c, 2, 4 * n, row, &weights));
    TRY(parameter(c, 3, 4 * n, 0, &bias));
    TRY(parameter(c, 1, x->dim[0], n, &h));
    TRY(parameter(c, 4, x->dim[0], n, &state));
    size_t size = dtype_size(store_of(DT_F32, c->precision));
    for (int k = 0; k < 4; k++) {
        int g = order[k];
        l.w[g] =
            (struct matrix) { (const char *)weights + (size_t)(k * n * row) * size, row, { 0 } };
        l.r[g] = (struct matrix) { (const char *)l.w[g].real + (size_t)inputs * size, row, { 0 } };
        l.b[g] = (const char *)bias + (size_t)(k * n) * size;
    }
    struct walk walk = { .batch = x->dim[0], .steps = 1 };
    run_direction(c, &l, &walk, -1, h, state, 0, 0, n, c->n_out > 1 ? c->out[1] : NULL);
    return OK;
}

static enum status eval_lstm(struct op_ctx *c) {
    struct lstm l;
    struct walk w;
    const void *h, *state;
    if (inputs_of(c->node) <= 5)
        return eval_basic(c);
    if (is_integer(c, 0))
        return fixed_lstm(c);
    bool sequence = c->node->op[0] == 'U';
    FAIL_IF(sequence && attr_int(c->node, "diagonal_recurrent_tensors"), c->err, STATUS_UNSUPPORTED,
            "diagonal recurrent weights");
    TRY(lstm_read(c, &single, -1, &l, &h, &state));
    TRY(walk_read(c, sequence && attr_int(c->node, "time_major"), h, 18, &w));
    run_direction(c, &l, &w, -1, h, state, 0, 0, l.outputs, NULL);
    return OK;
}

/* --- BIDIRECTIONAL_SEQUENCE_LSTM --- */

static const struct slots forward = {
    .w = 1, .r = 5, .p = 9, .b = 12, .proj = 16, .norm = -1, .aux = 40, .h = 35, .c = 36
};
static const struct slots backward = {
    .w = 18, .r = 22, .p = 26, .b = 29, .proj = 33, .norm = -1, .aux = 44, .h = 37, .c = 38
};

static void shape_two(struct shape_ctx *c, int64_t a, int64_t b) {
    bool merge = attr_int(c->node, "merge_outputs") != 0;
    last_dim(c, 0, !merge ? a : a < 0 || b < 0 ? -1 : a + b);
    if (!merge)
        last_dim(c, 1, b);
}

static enum status shape_two_lstm(struct shape_ctx *c) {
    TRY(need_rank(c, 3));
    shape_two(c, columns_of(c, 8), columns_of(c, 25));
    return OK;
}

/* Runs both directions into one output or two. Without auxiliary weights the second input is the
 * backward one's (stacked cells), in place of the first. */
static enum status run_two(struct op_ctx *c, const struct lstm l[2], const void *const h[2],
                           const void *const state[2], int h_slot, int h_next, int aux) {
    bool merge = attr_int(c->node, "merge_outputs") != 0;
    int64_t step = l[0].outputs + l[1].outputs;
    FAIL_IF(!merge && c->n_out < 2, c->err, STATUS_CORRUPT, "two directions and one output");
    FAIL_IF(has(c, aux) && !matrix_given(&l[0].aux[0]) && !matrix_given(&l[0].aux[3]), c->err,
            STATUS_UNSUPPORTED, "an auxiliary input without weights of its own");
    for (int d = 0; d < 2; d++) {
        struct walk w;
        TRY(walk_read(c, attr_int(c->node, "time_major") != 0, h[d], h_slot + d * h_next, &w));
        w.reverse = d == 1;
        run_direction(c, &l[d], &w, aux, h[d], state[d], merge ? 0 : d,
                      merge && d ? l[0].outputs : 0, merge ? step : l[d].outputs, NULL);
    }
    return OK;
}

static enum status eval_two_lstm(struct op_ctx *c) {
    struct lstm l[2];
    const void *h[2], *state[2];
    TRY(lstm_read(c, &forward, 39, &l[0], &h[0], &state[0]));
    TRY(lstm_read(c, &backward, 39, &l[1], &h[1], &state[1]));
    return run_two(c, l, h, state, 35, 2, 39);
}

/* --- RNN: input, weights, recurrent weights, bias, state --- */

static enum status rnn_read_cell(struct op_ctx *c, int first, int aux, int aux_weights,
                                 struct lstm *l, const void **h) {
    const struct tensor *x = c->in[0];
    FAIL_IF(!has(c, first) || !has(c, first + 1) || c->in[first]->rank != 2, c->err, STATUS_CORRUPT,
            "the weights are missing");
    int64_t units = c->in[first]->dim[0];
    *l = (struct lstm) { .gates = 1,
                         .inputs = x->dim[x->rank - 1],
                         .cells = units,
                         .outputs = units,
                         .activation = attr_int(c->node, "activation") };
    if (aux >= 0 && has(c, aux) && has(c, aux_weights)) {
        l->aux_inputs = c->in[aux]->dim[c->in[aux]->rank - 1];
        TRY(matrix(c, aux_weights, units, l->aux_inputs, &l->aux[0]));
    }
    make_room(c, l);
    TRY(matrix(c, first, units, l->inputs, &l->w[0]));
    TRY(matrix(c, first + 1, units, units, &l->r[0]));
    TRY(parameter(c, first + 2, units, 0, &l->b[0]));
    int64_t batch = has(c, first + 3) ? tensor_count(c->in[first + 3]) / (units ? units : 1) : 0;
    return parameter(c, first + 3, batch, units, h);
}

static enum status shape_rnn(struct shape_ctx *c) {
    TRY(need_rank(c, c->node->op[0] == 'U' ? 3 : 2));
    last_dim(c, 0, rows_of(c, 1));
    return OK;
}

static enum status eval_rnn(struct op_ctx *c) {
    struct lstm l;
    struct walk w;
    const void *h;
    TRY(rnn_read_cell(c, 1, -1, -1, &l, &h));
    TRY(walk_read(c, c->node->op[0] == 'U' && attr_int(c->node, "time_major"), h, 4, &w));
    run_direction(c, &l, &w, -1, h, NULL, 0, 0, l.outputs, NULL);
    return OK;
}

static enum status shape_two_rnn(struct shape_ctx *c) {
    TRY(need_rank(c, 3));
    shape_two(c, rows_of(c, 1), rows_of(c, 5));
    return OK;
}

static enum status eval_two_rnn(struct op_ctx *c) {
    struct lstm l[2];
    const void *h[2], *state[2] = { NULL, NULL };
    TRY(rnn_read_cell(c, 1, 9, 10, &l[0], &h[0]));
    TRY(rnn_read_cell(c, 5, 9, 11, &l[1], &h[1]));
    return run_two(c, l, h, state, 4, 4, 9);
}

/* --- SVDF: input, feature weights, time weights, bias, state --- */

static enum status shape_svdf(struct shape_ctx *c) {
    int64_t rank = attr_int(c->node, "rank"), filters = rows_of(c, 1);
    TRY(need_rank(c, 2));
    SHAPE_FAIL_IF(rank < 1 || (filters >= 0 && filters % rank), c, "%lld filters of rank %lld",
                  (long long)filters, (long long)rank);
    last_dim(c, 0, filters < 0 ? -1 : filters / rank);
    return OK;
}

static enum status eval_svdf(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    if (is_integer(c, 0))
        return fixed_svdf(c);
    FAIL_IF(!has(c, 1) || !has(c, 2) || c->in[1]->rank != 2 || c->in[2]->rank != 2, c->err,
            STATUS_CORRUPT, "the weights are missing");
    struct svdf s = { .batch = x->dim[0],
                      .inputs = x->dim[1],
                      .rank = attr_int(c->node, "rank"),
                      .memory = c->in[2]->dim[1],
                      .activation = attr_int(c->node, "activation") };
    int64_t filters = c->in[1]->dim[0];
    s.units = filters / s.rank;
    const void *time, *bias, *state;
    struct matrix feature = { 0 };
    struct lstm cell = { .inputs = s.inputs, .cores = c->cores };
    FAIL_IF(s.memory < 1, c->err, STATUS_CORRUPT, "a memory of %lld", (long long)s.memory);
    make_room(c, &cell);
    TRY(matrix(c, 1, filters, s.inputs, &feature));
    TRY(parameter(c, 2, filters, s.memory, &time));
    TRY(parameter(c, 3, s.units, 0, &bias));
    TRY(parameter(c, 4, s.batch, filters * s.memory, &state));
    const void *in = input_as(c, 0, store_of(DT_F32, c->precision));
    if (c->precision == PREC_F64)
        svdf_d(&s, &cell, in, &feature, time, bias, state, c->out[0]->data, c->scratch);
    else
        svdf_f(&s, &cell, in, &feature, time, bias, state, c->out[0]->data, c->scratch);
    return OK;
}

/* clang-format off */
#define CELL(name_, least, most, outputs) .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = least, .max_in = most, .min_out = 1, .max_out = outputs
#define HYBRID(name_, most, outputs) .name = name_, .domain = "fixed", .spec = "TFLite reference kernels, " name_, .min_in = 1, \
    .max_in = 3 * (most) + 2 * (outputs), .min_out = 1, .max_out = outputs
#define CLIPS INT("activation", 0), FLOAT("cell_clip", 0), FLOAT("proj_clip", 0)
#define RNN INT("activation", 0)
#define SEQUENCE INT("time_major", 0)
#define TWO_RNN RNN, INT("time_major", 0), INT("merge_outputs", 0)
#define INTERMEDIATES PLAIN("intermediate_scales", FLOATS), PLAIN("intermediate_zero_points", INTS)
#define LSTM CLIPS, INT("kernel_type", 0), INTERMEDIATES
#define LSTM_SEQUENCE CLIPS, INTERMEDIATES, SEQUENCE, INT("diagonal_recurrent_tensors", 0)
#define TWO_LSTM CLIPS, INT("merge_outputs", 0), INT("time_major", 1)
#define SVDF INT("rank", 1), INT("activation", 0)
#define ASYMMETRIC INT("asymmetric", 0)

const struct op ops_tflite_rnn[] = {
    { CELL("RNN", 1, 5, 1), .attrs = ATTRS(RNN), .shape = shape_rnn, .eval = eval_rnn,
      .grad = tflite_rnn_grad },
    { CELL("UNIDIRECTIONAL_SEQUENCE_RNN", 1, 5, 1), .attrs = ATTRS(RNN, SEQUENCE), .shape = shape_rnn, .eval = eval_rnn,
      .grad = tflite_rnn_grad },
    { CELL("BIDIRECTIONAL_SEQUENCE_RNN", 1, 12, 2), .attrs = ATTRS(TWO_RNN), .shape = shape_two_rnn, .eval = eval_two_rnn,
      .grad = tflite_two_rnn_grad },
    { CELL("LSTM", 1, 24, 2), .attrs = ATTRS(LSTM), .shape = shape_lstm, .eval = eval_lstm,
      .grad = tflite_lstm_grad },
    { CELL("UNIDIRECTIONAL_SEQUENCE_LSTM", 1, 24, 1), .attrs = ATTRS(LSTM_SEQUENCE), .shape = shape_lstm, .eval = eval_lstm,
      .grad = tflite_lstm_grad },
    { CELL("BIDIRECTIONAL_SEQUENCE_LSTM", 1, 48, 2), .attrs = ATTRS(TWO_LSTM), .shape = shape_two_lstm, .eval = eval_two_lstm,
      .grad = tflite_two_lstm_grad },
    { CELL("SVDF", 1, 5, 1), .attrs = ATTRS(SVDF), .shape = shape_svdf, .eval = eval_svdf,
      .grad = tflite_svdf_grad },
    { HYBRID("RNN", 5, 1), .attrs = ATTRS(RNN, ASYMMETRIC), .shape = shape_rnn, .eval = eval_rnn },
    { HYBRID("UNIDIRECTIONAL_SEQUENCE_RNN", 5, 1), .attrs = ATTRS(RNN, SEQUENCE, ASYMMETRIC), .shape = shape_rnn, .eval = eval_rnn },
    { HYBRID("BIDIRECTIONAL_SEQUENCE_RNN", 12, 2), .attrs = ATTRS(TWO_RNN, ASYMMETRIC), .shape = shape_two_rnn, .eval = eval_two_rnn },
    { HYBRID("LSTM", 24, 2), .attrs = ATTRS(LSTM, ASYMMETRIC), .shape = shape_lstm, .eval = eval_lstm },
    { HYBRID("UNIDIRECTIONAL_SEQUENCE_LSTM", 24, 1), .attrs = ATTRS(LSTM_SEQUENCE, ASYMMETRIC), .shape = shape_lstm, .eval = eval_lstm },
    { HYBRID("BIDIRECTIONAL_SEQUENCE_LSTM", 48, 2), .attrs = ATTRS(TWO_LSTM, ASYMMETRIC), .shape = shape_two_lstm, .eval = eval_two_lstm },
    { HYBRID("SVDF", 5, 1), .attrs = ATTRS(SVDF, ASYMMETRIC), .shape = shape_svdf, .eval = eval_svdf },
    { 0 },
};
