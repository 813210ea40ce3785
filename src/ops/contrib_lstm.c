/* DynamicQuantizeLSTM of com.microsoft: an LSTM with 8-bit weights. The input as a whole, and the
 * hidden state of all samples before every step, are quantized in 255 steps between their least and
 * largest element (DynamicQuantizeLinear); the sums of products of the integers are taken as exact.
 * Computed in float64 in every precision. */
#include <math.h>
#include <string.h>

#include "ops/call.h"
#include "ops/quantize.h"
#include "ops/rnn.h"
#include "ops/row.h"
#include "ops/split.h"

enum { X, W, R, B, LENGTHS, H0, C0, P, W_SCALE, W_ZERO, R_SCALE, R_ZERO };

/* W or R, [directions, columns, 4 * hidden], as reals with the last two axes turned. */
static enum status weights(struct op_ctx *c, int i, int scale, struct tensor **out) {
    const struct tensor *q = c->in[i], *s = c->in[scale], *z = c->in[scale + 1];
    FAIL_IF(q->rank != 3 || !dtype_is_int(q->store), c->err, STATUS_CORRUPT, "weights of rank %d",
            q->rank);
    int64_t directions = q->dim[0], columns = q->dim[1], rows = q->dim[2], n = tensor_count(s);
    FAIL_IF((n != directions && n != directions * rows) || tensor_count(z) != n, c->err,
            STATUS_CORRUPT, "%lld scales and %lld zero points for %lld directions", (long long)n,
            (long long)tensor_count(z), (long long)directions);
    *out = tensor_in_arena(c->scratch, c->in[X]->dtype, DT_F64, 3,
                           (int64_t[]) { directions, rows, columns });
    for (int64_t d = 0; d < directions; d++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < columns; k++) {
                int64_t at = n == directions ? d : d * rows + r,
                        from = (d * columns + k) * rows + r;
                tensor_set_f64(*out, (d * rows + r) * columns + k,
                               (double)(tensor_i64(q, from) - tensor_i64(z, at)) *
                                   tensor_f64(s, at));
            }
    return OK;
}

/* Each element becomes what its integer stands for; in float32, as DynamicQuantizeLinear. */
static void through_integers(double *v, int64_t n) {
    float least = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        least = fminf(least, (float)v[i]);
        largest = fmaxf(largest, (float)v[i]);
    }
    float scale = (largest - least) / 255;
    if (!(scale > 0))
        return;
    double zero = quant_round((double)(-least / scale));
    for (int64_t i = 0; i < n; i++) {
        double q = quant_round((double)((float)v[i] / scale)) + zero;
        q = q < 0 ? 0 : q > 255 ? 255 : q;
        v[i] = (q - zero) * (double)scale;
    }
}

/* Input i in float64, in scratch; NULL when it is left out. */
static struct tensor *wide(struct op_ctx *c, int i) {
    if (!input_given(c, i))
        return NULL;
    const struct tensor *t = c->in[i];
    struct tensor *w = tensor_in_arena(c->scratch, t->dtype, DT_F64, t->rank, t->dim);
    for (int64_t k = 0; k < tensor_count(t); k++)
        tensor_set_f64(w, k, tensor_f64(t, k));
    return w;
}

static enum status read_lstm(struct op_ctx *c, struct rnn_run *run, struct tensor **x) {
    const struct tensor *in[8] = { 0 };
    struct tensor *w, *r;
    struct node *lstm = op_stand_in(c->node, "", "LSTM", 8, 3, c->scratch);
    FAIL_IF(attr_find(c->node, "clip"), c->err, STATUS_UNSUPPORTED,
            "DynamicQuantizeLSTM with clip");
    TRY(weights(c, W, W_SCALE, &w));
    TRY(weights(c, R, R_SCALE, &r));
    for (int i = 0; i < 8; i++)
        in[i] = i == W              ? w
                : i == R            ? r
                : i != LENGTHS      ? wide(c, i)
                : input_given(c, i) ? c->in[i]
                                    : NULL;
    *x = wide(c, X);
    through_integers((*x)->data, tensor_count(*x));
    in[X] = *x;
    return rnn_run_read(run, lstm, in, 8, c->scratch, c->err);
}

struct states {
    double *h, *c, *seen, *next, *work; /* [batch, hidden]; work: 8 * hidden */
};

static void write_out(struct op_ctx *c, int o, int64_t at, const double *v, int64_t n) {
    for (int64_t i = 0; op_wanted(c, o) && i < n; i++)
        tensor_set_f64(c->out[o], at + i, v[i]);
}

static void one_step(struct op_ctx *c, const struct rnn_run *run, int64_t d, int64_t k,
                     struct states *s) {
    const struct rnn *r = &run->r;
    int64_t n = r->hidden;
    memcpy(s->seen, s->h, (size_t)(r->batch * n) * sizeof *s->h);
    through_integers(s->seen, r->batch * n);
    for (int64_t b = 0; b < r->batch; b++) {
        int64_t length = run->lengths ? run->lengths[b] : r->steps;
        int64_t t = r->reverse[d] ? length - 1 - k : k;
        if (k >= length)
            continue;
        rnn_step_f64(r, &run->cell[d], r->act + 3 * d, (const double *)run->x + rnn_x_at(r, t, b),
                     s->seen + b * n, s->c + b * n, s->work, s->work + 4 * n, s->h + b * n,
                     s->next);
        memcpy(s->c + b * n, s->next, (size_t)n * sizeof *s->c);
        write_out(c, 0, rnn_y_at(r, t, d, b), s->h + b * n, n);
    }
}

static enum status eval_lstm(struct op_ctx *c) {
    struct rnn_run run;
    struct tensor *x;
    TRY(read_lstm(c, &run, &x));
    const struct rnn *r = &run.r;
    int64_t n = r->batch * r->hidden;
    struct states s = { NEW_ARRAY(c->scratch, n + 1, double), NEW_ARRAY(c->scratch, n + 1, double),
                        NEW_ARRAY(c->scratch, n + 1, double),
                        NEW_ARRAY(c->scratch, r->hidden + 1, double),
                        NEW_ARRAY(c->scratch, 8 * r->hidden + 1, double) };
    for (int64_t d = 0; d < r->directions; d++) {
        for (int64_t i = 0; i < n; i++) {
            s.h[i] = run.h0 ? ((const double *)run.h0)[d * n + i] : 0;
            s.c[i] = run.c0 ? ((const double *)run.c0)[d * n + i] : 0;
        }
        for (int64_t k = 0; k < r->steps; k++)
            one_step(c, &run, d, k, &s);
        write_out(c, 1, d * n, s.h, n);
        write_out(c, 2, d * n, s.c, n);
    }
    return OK;
}

static enum status shape_lstm(struct shape_ctx *c) {
    const struct fact *x = &c->in[X], *w = &c->in[W], *r = &c->in[R];
    int64_t directions = w->rank == 3 ? w->dim[0] : DIM_UNKNOWN,
            hidden = r->rank == 3 ? r->dim[1] : DIM_UNKNOWN,
            steps = x->rank == 3 ? x->dim[0] : DIM_UNKNOWN,
            batch = x->rank == 3 ? x->dim[1] : DIM_UNKNOWN;
    TRY(need_float(c, X));
    for (int i = X; i <= R; i++)
        TRY(need_shape(c, i, 3, NULL));
    for (int i = W_SCALE; i <= R_ZERO; i++)
        SHAPE_FAIL_IF(!fact_given(c, i), c, "input %d of DynamicQuantizeLSTM is missing", i);
    out_shape(c, 0, x->dtype, 4, (int64_t[]) { steps, directions, batch, hidden });
    for (int o = 1; o < 3; o++)
        out_shape(c, o, x->dtype, 3, (int64_t[]) { directions, batch, hidden });
    return OK;
}

/* clang-format off */
const struct op ops_contrib_lstm[] = {
    { .name = "DynamicQuantizeLSTM", .domain = "com.microsoft", .spec = "ONNX Runtime com.microsoft.DynamicQuantizeLSTM",
      .min_in = 3, .max_in = 12, .min_out = 0, .max_out = 3, .flags = OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("activation_alpha", FLOATS), PLAIN("activation_beta", FLOATS), PLAIN("activations", STRINGS),
                     PLAIN("clip", FLOAT), STRING("direction", "forward"), PLAIN("hidden_size", INT), INT("input_forget", 0)),
      .shape = shape_lstm, .eval = eval_lstm },
    { 0 },
};
