/* RNN, GRU and LSTM. Their arithmetic is in rnn.inc. */
#include "ops/rnn.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/row.h"

int64_t rnn_x_at(const struct rnn *r, int64_t t, int64_t b) {
    return (r->batch_first ? b * r->steps + t : t * r->batch + b) * r->inputs;
}

int64_t rnn_y_at(const struct rnn *r, int64_t t, int64_t d, int64_t b) {
    return (r->batch_first ? (b * r->steps + t) * r->directions + d
                           : (t * r->directions + d) * r->batch + b) *
           r->hidden;
}

int64_t rnn_state_at(const struct rnn *r, int64_t d, int64_t b) {
    return (r->batch_first ? b * r->directions + d : d * r->batch + b) * r->hidden;
}

/* --- attributes --- */

static enum rnn_kind kind_of(const struct node *n) {
    return n->op[0] == 'L' ? KIND_LSTM : n->op[0] == 'G' ? KIND_GRU : KIND_RNN;
}

/* Names with the defaults of alpha and beta; NAN: the function has none. */
static const struct activation_row {
    const char *name;
    double alpha, beta;
} activation_rows[] = {
    [ACT_RELU] = { "Relu", NAN, NAN },
    [ACT_TANH] = { "Tanh", NAN, NAN },
    [ACT_SIGMOID] = { "Sigmoid", NAN, NAN },
    [ACT_AFFINE] = { "Affine", 1, 0 },
    [ACT_LEAKY_RELU] = { "LeakyRelu", 0.01f, NAN },
    [ACT_THRESHOLDED_RELU] = { "ThresholdedRelu", 1, NAN },
    [ACT_SCALED_TANH] = { "ScaledTanh", 1, 1 },
    [ACT_HARD_SIGMOID] = { "HardSigmoid", 0.2f, 0.5 },
    [ACT_ELU] = { "Elu", 1, NAN },
    [ACT_SOFTSIGN] = { "Softsign", NAN, NAN },
    [ACT_SOFTPLUS] = { "Softplus", NAN, NAN },
};

static bool same_word(const char *a, const char *b) {
    while (*a && tolower((unsigned char)*a) == tolower((unsigned char)*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

static enum status activation_find(const char *name, struct activation *out, struct err *e) {
    for (size_t i = 0; i < sizeof activation_rows / sizeof *activation_rows; i++)
        if (same_word(name, activation_rows[i].name)) {
            *out = (struct activation) { (enum activation_kind)i, activation_rows[i].alpha,
                                         activation_rows[i].beta };
            return OK;
        }
    return err_set(e, STATUS_UNSUPPORTED, "activation '%s' is not known", name);
}

/* alpha and beta lists give one value to each activation that has such a parameter, in order. */
static enum status read_activations(struct rnn *r, const struct node *n, struct err *e) {
    int each = r->kind == KIND_LSTM  ? 3
               : r->kind == KIND_GRU ? 2
                                     : 1,
        n_alpha, n_beta, alpha = 0, beta = 0;
    const double *alphas = attr_floats(n, "activation_alpha", &n_alpha),
                 *betas = attr_floats(n, "activation_beta", &n_beta);
    const struct attr *names = attr_find(n, "activations");
    FAIL_IF(names && names->n != each * r->directions, e, STATUS_CORRUPT,
            "%lld activations, %lld are needed", (long long)names->n,
            (long long)(each * r->directions));
    for (int d = 0; d < r->directions; d++)
        for (int k = 0; k < each; k++) {
            struct activation *a = &r->act[3 * d + k];
            const char *standard = r->kind == KIND_RNN || k > 0 ? "Tanh" : "Sigmoid";
            TRY(activation_find(names ? names->strings[d * each + k] : standard, a, e));
            if (!isnan(a->alpha) && alpha < n_alpha)
                a->alpha = alphas[alpha++];
            if (!isnan(a->beta) && beta < n_beta)
                a->beta = betas[beta++];
        }
    return OK;
}

static enum status read_direction(struct rnn *r, const struct node *n, struct err *e) {
    const char *direction = attr_str(n, "direction");
    bool both = strcmp(direction, "bidirectional") == 0,
         reverse = strcmp(direction, "reverse") == 0;
    FAIL_IF(!both && !reverse && strcmp(direction, "forward") != 0, e, STATUS_CORRUPT,
            "direction '%s' is none of forward, reverse, bidirectional", direction);
    r->directions = both ? 2 : 1;
    r->reverse[0] = reverse;
    r->reverse[1] = both;
    return OK;
}

/* --- shapes --- */

/* A size that several inputs tell: the first known one, checked against the others. */
static enum status agree(int64_t *size, int64_t seen, const char *what, struct err *e) {
    FAIL_IF(*size >= 0 && seen >= 0 && *size != seen, e, STATUS_CORRUPT,
            "%s is %lld here and %lld there", what, (long long)*size, (long long)seen);
    if (*size < 0)
        *size = *size == DIM_UNKNOWN || seen >= 0 ? seen : *size;
    return OK;
}

static enum status expect(const struct fact *f, const char *name, int rank, const int64_t *dim,
                          struct err *e) {
    if (f->absent || f->rank < 0)
        return OK;
    FAIL_IF(f->rank != rank, e, STATUS_CORRUPT, "%s has rank %d instead of %d", name, f->rank,
            rank);
    for (int i = 0; i < rank; i++)
        FAIL_IF(dim[i] >= 0 && f->dim[i] >= 0 && dim[i] != f->dim[i], e, STATUS_CORRUPT,
                "dimension %d of %s is %lld instead of %lld", i, name, (long long)f->dim[i],
                (long long)dim[i]);
    return OK;
}

static enum status read_sizes(struct rnn *r, const struct node *n, const struct fact *in,
                              struct err *e) {
    const struct fact *x = &in[0], *w = &in[1], *u = &in[2];
    const struct attr *hidden = attr_find(n, "hidden_size");
    r->steps = r->batch = r->inputs = r->hidden = DIM_UNKNOWN;
    if (x->rank >= 0) {
        FAIL_IF(x->rank != 3, e, STATUS_CORRUPT, "X has rank %d instead of 3", x->rank);
        r->steps = x->dim[r->batch_first];
        r->batch = x->dim[!r->batch_first];
        r->inputs = x->dim[2];
    }
    FAIL_IF(hidden && hidden->i < 0, e, STATUS_CORRUPT, "hidden_size is %lld",
            (long long)hidden->i);
    r->hidden = hidden ? hidden->i : DIM_UNKNOWN;
    if (u->rank == 3)
        TRY(agree(&r->hidden, u->dim[2], "hidden_size", e));
    if (w->rank == 3)
        TRY(agree(&r->inputs, w->dim[2], "input_size", e));
    FAIL_IF(r->hidden > INT32_MAX || r->inputs > INT32_MAX, e, STATUS_UNSUPPORTED,
            "a hidden size of %lld", (long long)r->hidden);
    return OK;
}

static enum status check_parameters(const struct rnn *r, const struct fact *in, int n_in,
                                    struct err *e) {
    static const char *const names[] = { "X",         "W",         "R", "B", "sequence_lens",
                                         "initial_h", "initial_c", "P" };
    int64_t rows = r->hidden < 0 ? DIM_UNKNOWN : r->hidden * (int64_t)r->kind;
    int64_t dim[8][3] = {
        [1] = { r->directions, rows, r->inputs },
        [2] = { r->directions, rows, r->hidden },
        [3] = { r->directions, rows < 0 ? rows : 2 * rows },
        [4] = { r->batch },
        [5] = { r->batch_first ? r->batch : r->directions,
                r->batch_first ? r->directions : r->batch, r->hidden },
        [7] = { r->directions, r->hidden < 0 ? r->hidden : 3 * r->hidden },
    };
    memcpy(dim[6], dim[5], sizeof dim[5]);
    static const int rank[8] = { 3, 3, 3, 2, 1, 3, 3, 2 };
    FAIL_IF(!dtype_is_float(in[0].dtype) && in[0].dtype, e, STATUS_CORRUPT, "X is %s",
            dtype_name(in[0].dtype));
    for (int i = 1; i < n_in; i++) {
        TRY(expect(&in[i], names[i], rank[i], dim[i], e));
        FAIL_IF(i != 4 && !in[i].absent && in[i].dtype && in[0].dtype && in[i].dtype != in[0].dtype,
                e, STATUS_CORRUPT, "%s is %s, X is %s", names[i], dtype_name(in[i].dtype),
                dtype_name(in[0].dtype));
    }
    return OK;
}

enum status rnn_read(struct rnn *r, const struct node *n, const struct fact *in, int n_in,
                     struct err *e) {
    enum rnn_kind kind = kind_of(n);
    *r = (struct rnn) { .kind = kind, .clip = INFINITY };
    r->batch_first = attr_int(n, "layout") != 0;
    if (attr_find(n, "clip"))
        r->clip = attr_float(n, "clip");
    FAIL_IF(!(r->clip >= 0), e, STATUS_CORRUPT, "clip is %g", r->clip);
    if (kind == KIND_GRU)
        r->linear_before_reset = attr_int(n, "linear_before_reset") != 0;
    if (kind == KIND_LSTM)
        r->input_forget = attr_int(n, "input_forget") != 0;
    TRY(read_direction(r, n, e));
    TRY(read_activations(r, n, e));
    TRY(read_sizes(r, n, in, e));
    return check_parameters(r, in, n_in, e);
}

static enum status shape_rnn(struct shape_ctx *c) {
    struct rnn r;
    TRY(rnn_read(&r, c->node, c->in, c->n_in, c->err));
    int64_t y0[] = { r.steps, r.directions, r.batch, r.hidden },
            y1[] = { r.batch, r.steps, r.directions, r.hidden };
    int64_t h0[] = { r.directions, r.batch, r.hidden }, h1[] = { r.batch, r.directions, r.hidden };
    for (int i = 0; i < c->n_out; i++)
        fact_set(&c->out[i], c->in[0].dtype, i == 0 ? 4 : 3,
                 i == 0          ? (r.batch_first ? y1 : y0)
                 : r.batch_first ? h1
                                 : h0);
    return OK;
}

/* --- kernels --- */

#define EACH_REAL "ops/rnn.inc"
#include "ops/each_real.inc"

static const struct tensor *input(const struct tensor *const *in, int n_in, int i) {
    return i < n_in ? in[i] : NULL;
}

static const void *part(const struct tensor *t, int64_t at) {
    return t ? element_at(t, at) : NULL;
}

void rnn_step_f64(const struct rnn *r, const struct rnn_cell *cell, const struct activation *act,
                  const double *x, const double *h, const double *c, double *pre, double *post,
                  double *h_new, double *c_new) {
    step_d(r, cell, act, x, h, c, pre, post, h_new, c_new);
}

double rnn_activate(const struct activation *a, double x) {
    return activate_d(a, x);
}

enum status rnn_run_read(struct rnn_run *run, const struct node *n, const struct tensor *const *in,
                         int n_in, struct arena *scratch, struct err *e) {
    enum rnn_kind kind = kind_of(n);
    struct fact facts[8];
    *run = (struct rnn_run) { 0 };
    for (int i = 0; i < n_in; i++) {
        facts[i] = (struct fact) { .absent = !in[i],
                                   .rank = in[i] ? in[i]->rank : -1,
                                   .dtype = in[i] ? in[i]->dtype : DT_NONE };
        if (in[i])
            memcpy(facts[i].dim, in[i]->dim, sizeof facts[i].dim);
    }
    TRY(rnn_read(&run->r, n, facts, n_in, e));
    int64_t rows = run->r.hidden * (int64_t)kind, n_lengths;
    const struct tensor *b = input(in, n_in, 3);
    for (int d = 0; d < run->r.directions; d++)
        run->cell[d] = (struct rnn_cell) {
            .w = part(in[1], d * rows * run->r.inputs),
            .r = part(in[2], d * rows * run->r.hidden),
            .wb = part(b, 2 * d * rows),
            .rb = part(b, (2 * d + 1) * rows),
            .p = part(input(in, n_in, 7), 3 * d * run->r.hidden),
        };
    run->lengths = ints_of(scratch, input(in, n_in, 4), &n_lengths);
    for (int64_t i = 0; i < n_lengths; i++)
        FAIL_IF(run->lengths[i] < 0 || run->lengths[i] > run->r.steps, e, STATUS_CORRUPT,
                "sequence length %lld of %lld steps", (long long)run->lengths[i],
                (long long)run->r.steps);
    run->x = in[0]->data;
    run->h0 = part(input(in, n_in, 5), 0);
    run->c0 = part(input(in, n_in, 6), 0);
    run->doubles = in[0]->store == DT_F64;
    return OK;
}

static void run_task(void *arg, size_t i) {
    const struct rnn_run *run = arg;
    int64_t d = (int64_t)i / run->r.batch, b = (int64_t)i % run->r.batch;
    if (run->doubles)
        run_sequence_d(run, d, b, run->scratch[i]);
    else
        run_sequence_f(run, d, b, run->scratch[i]);
}

static enum status eval_rnn(struct op_ctx *c) {
    struct rnn_run run;
    TRY(rnn_run_read(&run, c->node, c->in, c->n_in, c->scratch, c->err));
    run.y = c->n_out > 0 && c->out[0] ? c->out[0]->data : NULL;
    run.y_h = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
    run.y_c = c->n_out > 2 && c->out[2] ? c->out[2]->data : NULL;
    FAIL_IF(run.r.batch > 1 << 24, c->err, STATUS_UNSUPPORTED, "a batch of %lld",
            (long long)run.r.batch);
    size_t tasks = (size_t)(run.r.directions * run.r.batch);
    run.scratch = NEW_ARRAY(c->scratch, tasks + 1, void *);
    for (size_t i = 0; i < tasks; i++)
        run.scratch[i] = arena_array(c->scratch, 12 * (size_t)run.r.hidden + 1, sizeof(double));
    pool_run(c->pool, tasks, run_task, &run);
    return OK;
}

#define RECURRENT_ATTRS                                                                      \
    PLAIN("activation_alpha", FLOATS), PLAIN("activation_beta", FLOATS),                     \
        PLAIN("activations", STRINGS), PLAIN("clip", FLOAT), STRING("direction", "forward"), \
        PLAIN("hidden_size", INT), INT("layout", 0)
#define RECURRENT(name_, most, outputs)                                                    \
    .name = name_, .domain = "", .spec = "ONNX " name_ "-22", .min_in = 3, .max_in = most, \
    .min_out = 0, .max_out = outputs, .whole = 16, .shape = shape_rnn, .eval = eval_rnn,   \
    .grad = rnn_grad

/* clang-format off */
const struct op ops_rnn[] = {
    { RECURRENT("RNN", 6, 2), .attrs = ATTRS(RECURRENT_ATTRS) },
    { RECURRENT("GRU", 6, 2), .attrs = ATTRS(RECURRENT_ATTRS, INT("linear_before_reset", 0)) },
    { RECURRENT("LSTM", 8, 3), .attrs = ATTRS(RECURRENT_ATTRS, INT("input_forget", 0)) },
    { 0 },
};
