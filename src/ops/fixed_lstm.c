/* LSTM on quantized integers.
 *
 * A gate is the sum, in 16 bits with 12 fraction bits, of the products of weights and input and of
 * weights and state, each brought to that scale and limited. With layer normalisation the scale is
 * that of an intermediate tensor, and the sum is normalised to 12 fraction bits. Its sigmoid or
 * tanh has 15 fraction bits. The cell's scale is a power of two. The output is the product of the
 * output gate and the tanh of the cell at the scale of the hidden state (intermediate tensor 4),
 * projected where there is a projection. */
#include <math.h>

#include "ops/fixed_cells.h"
#include "ops/fixed_sums.h"
#include "ops/split.h"

enum { INPUT, FORGET, CELL, OUTPUT, GATES };
/* Where groups of inputs begin. */
enum { W = 1, R = 5, PEEPHOLE = 9, BIAS = 12, PROJECTION = 16, STATE = 18, CELLS = 19, NORM = 20 };

struct gate {
    const int32_t *w, *r, *peephole, *norm, *norm_bias;
    int32_t *w_bias, *r_bias; /* with the zero point's share */
    struct fixed_factor fw, fr, fp, fn;
    int32_t guard; /* the variance of a gate without one */
};

struct lstm {
    struct gate gate[GATES];
    bool coupled;
    int64_t batch, steps, inputs, cells, outputs;
    bool time_major;
    const int32_t *x, *projection;
    int32_t *projection_bias;
    struct fixed_quant in, state, y;
    struct fixed_factor hidden, projected;
    int64_t hidden_zero;
    int power; /* the cell's scale is 2^power */
    int32_t cell_clip, projection_clip;
    int32_t *h, *c; /* of one batch entry */
    int32_t *sum[GATES], *out;
};

static int32_t narrow(int64_t v) {
    return (int32_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v);
}

/* --- reading --- */

static bool has(const struct op_ctx *c, int i) {
    return i < fixed_data_inputs(c->node) && c->in[i];
}

static enum status values(struct op_ctx *c, int i, int64_t n, enum dtype dtype, float *scale,
                          const int32_t **out) {
    struct fixed_quant q;
    TRY(fixed_in_one(c, i, &q));
    FAIL_IF(q.dtype != dtype || tensor_count(c->in[i]) != n, c->err, STATUS_UNSUPPORTED,
            "input %d has %lld elements of %s, %lld of %s are needed", i,
            (long long)tensor_count(c->in[i]), dtype_name(q.dtype), (long long)n,
            dtype_name(dtype));
    *scale = q.scale[0];
    *out = fixed_values(c, c->in[i], 0);
    return OK;
}

static enum status bias_values(struct op_ctx *c, int i, int64_t n, const int32_t **out) {
    *out = NULL;
    if (!has(c, i))
        return OK;
    FAIL_IF(c->in[i]->dtype != DT_I32 || tensor_count(c->in[i]) != n, c->err, STATUS_UNSUPPORTED,
            "input %d has %lld elements of %s, %lld of int32 are needed", i,
            (long long)tensor_count(c->in[i]), dtype_name(c->in[i]->dtype), (long long)n);
    *out = fixed_values(c, c->in[i], 0);
    return OK;
}

/* bias + zero * the sum of each row. */
static int32_t *effective_bias(struct op_ctx *c, const int32_t *m, int64_t rows, int64_t columns,
                               int64_t zero, const int32_t *bias) {
    int32_t *out = NEW_ARRAY(c->scratch, rows + 1, int32_t);
    for (int64_t r = 0; r < rows; r++) {
        uint32_t sum = 0;
        for (int64_t k = 0; k < columns; k++)
            sum += (uint32_t)m[r * columns + k];
        out[r] = (int32_t)((bias ? (uint32_t)bias[r] : 0) + sum * (uint32_t)(int32_t)zero);
    }
    return out;
}

static enum status read_gate(struct op_ctx *c, struct lstm *l, int g, float scale) {
    static const int peephole[] = { 0, 1, -1, 2 };
    struct gate *t = &l->gate[g];
    const int32_t *bias;
    float w, r, p, n;
    bool normalised = has(c, NORM + FORGET);
    TRY(values(c, W + g, l->cells * l->inputs, DT_I8, &w, &t->w));
    TRY(values(c, R + g, l->cells * l->outputs, DT_I8, &r, &t->r));
    TRY(bias_values(c, BIAS + g, l->cells, &bias));
    t->w_bias = effective_bias(c, t->w, l->cells, l->inputs, -l->in.zero, normalised ? NULL : bias);
    t->r_bias = effective_bias(c, t->r, l->cells, l->outputs, -l->state.zero, NULL);
    t->fw = fixed_factor_of((double)(w * l->in.scale[0] / scale));
    t->fr = fixed_factor_of((double)(r * l->state.scale[0] / scale));
    if (peephole[g] >= 0 && has(c, PEEPHOLE + peephole[g])) {
        TRY(values(c, PEEPHOLE + peephole[g], l->cells, DT_I16, &p, &t->peephole));
        t->fp = fixed_factor_of((double)(float)(ldexp((double)p, l->power) / (double)scale));
        FAIL_IF(l->outputs > l->cells, c->err, STATUS_UNSUPPORTED,
                "peepholes and %lld outputs of %lld cells, for which the reference reads past its "
                "memory",
                (long long)l->outputs, (long long)l->cells);
    }
    if (!normalised)
        return OK;
    TRY(values(c, NORM + g, l->cells, DT_I16, &n, &t->norm));
    FAIL_IF(!bias, c->err, STATUS_CORRUPT, "the bias of gate %d is missing", g);
    t->norm_bias = bias;
    t->fn = fixed_factor_of((double)n);
    t->fn.shift += 12;
    float guard = 10000 * n;
    t->guard = guard >= 1 && guard < 0x1p31f ? (int32_t)guard : 1;
    return OK;
}

static enum status read_gates(struct op_ctx *c, struct lstm *l) {
    int n_scales, n_zeros;
    const double *scales = attr_floats(c->node, "intermediate_scales", &n_scales);
    const int64_t *zeros = attr_ints(c->node, "intermediate_zero_points", &n_zeros);
    FAIL_IF(n_scales != 5 || n_zeros != 5, c->err, STATUS_UNSUPPORTED,
            "an LSTM with %d intermediate tensors in integer arithmetic", n_scales);
    bool normalised = has(c, NORM + FORGET);
    for (int g = l->coupled ? FORGET : INPUT; g < GATES; g++) {
        float scale = normalised ? (float)scales[g] : 0x1p-12f;
        FAIL_IF(!(scale > 0), c->err, STATUS_CORRUPT, "intermediate tensor %d has no scale", g);
        TRY(read_gate(c, l, g, scale));
    }
    FAIL_IF(!(scales[4] > 0), c->err, STATUS_CORRUPT, "the hidden state has no scale");
    l->hidden = fixed_factor_of((double)(float)(0x1p-15 / scales[4] * 0x1p-15));
    l->hidden_zero = zeros[4];
    if (!has(c, PROJECTION))
        return OK;
    float p;
    const int32_t *bias;
    TRY(values(c, PROJECTION, l->outputs * l->cells, DT_I8, &p, &l->projection));
    TRY(bias_values(c, PROJECTION + 1, l->outputs, &bias));
    l->projection_bias =
        effective_bias(c, l->projection, l->outputs, l->cells, l->hidden_zero, bias);
    l->projected = fixed_factor_of((double)(p * (float)scales[4] / l->state.scale[0]));
    return OK;
}

/* A limit as an integer of the scale, 0: none. */
static int32_t clip_of(const struct op_ctx *c, const char *name, float scale, float most) {
    float limit = (float)attr_float(c->node, name);
    return limit > 0 ? (int32_t)(limit / scale < most ? limit / scale : most) : 0;
}

static enum status read_sizes(struct op_ctx *c, struct lstm *l) {
    const struct tensor *x = c->in[0];
    bool sequence = x->rank == 3;
    FAIL_IF(!has(c, W + OUTPUT) || !has(c, R + OUTPUT) || c->in[W + OUTPUT]->rank != 2 ||
                c->in[R + OUTPUT]->rank != 2 || !has(c, STATE) || !has(c, CELLS),
            c->err, STATUS_CORRUPT, "weights or states are missing");
    l->coupled = !has(c, W + INPUT);
    l->time_major = sequence && attr_int(c->node, "time_major");
    l->batch = x->dim[l->time_major];
    l->steps = sequence ? x->dim[!l->time_major] : 1;
    l->inputs = x->dim[x->rank - 1];
    l->cells = c->in[W + OUTPUT]->dim[0];
    l->outputs = c->in[R + OUTPUT]->dim[1];
    FAIL_IF(l->cells < 1 || l->cells > INT16_MAX || l->outputs < 1, c->err, STATUS_UNSUPPORTED,
            "an LSTM of %lld cells and %lld outputs in integer arithmetic", (long long)l->cells,
            (long long)l->outputs);
    FAIL_IF(!has(c, PROJECTION) && l->outputs != l->cells, c->err, STATUS_CORRUPT,
            "%lld outputs of %lld cells without a projection", (long long)l->outputs,
            (long long)l->cells);
    FAIL_IF(tensor_count(c->in[STATE]) != l->batch * l->outputs ||
                tensor_count(c->in[CELLS]) != l->batch * l->cells,
            c->err, STATUS_CORRUPT, "states of another size");
    return OK;
}

static enum status read_lstm(struct op_ctx *c, struct lstm *l) {
    struct fixed_quant cell;
    TRY(read_sizes(c, l));
    TRY(fixed_in_one(c, 0, &l->in));
    TRY(fixed_in_one(c, STATE, &l->state));
    TRY(fixed_in_one(c, CELLS, &cell));
    TRY(fixed_out_one(c, 0, &l->y));
    FAIL_IF(l->in.dtype != DT_I8 || l->state.dtype != DT_I8 || cell.dtype != DT_I16 ||
                l->y.dtype != DT_I8,
            c->err, STATUS_UNSUPPORTED, "an LSTM of %s with states of %s and %s",
            dtype_name(l->in.dtype), dtype_name(l->state.dtype), dtype_name(cell.dtype));
    double power = log2((double)cell.scale[0]), whole = fixed_round(power);
    FAIL_IF(fabs(power - whole) >= 1e-3 || whole < -15 || whole > -9, c->err, STATUS_UNSUPPORTED,
            "a cell state of scale %g, which is none of 2^-15 .. 2^-9", (double)cell.scale[0]);
    l->power = (int)whole;
    l->cell_clip = clip_of(c, "cell_clip", cell.scale[0], 32767);
    l->projection_clip = clip_of(c, "proj_clip", l->y.scale[0], 127);
    TRY(read_gates(c, l));
    l->x = fixed_values(c, c->in[0], 0);
    for (int g = 0; g < GATES; g++)
        l->sum[g] = NEW_ARRAY(c->scratch, l->cells + 1, int32_t);
    l->out = NEW_ARRAY(c->scratch, l->cells + 1, int32_t);
    return OK;
}

/* --- one step --- */

/* Normalised in place: mean and variance with 10 further bits. */
static void normalise(const struct gate *t, int64_t n, int32_t *v) {
    int64_t sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += v[i];
        squares += v[i] * v[i];
    }
    int32_t mean = (int32_t)(sum * 1024 / n), share = (1 << 20) / (int32_t)n;
    int64_t spread = squares * share - (int64_t)mean * mean;
    int32_t variance = (int32_t)(spread / (1 << 20));
    struct fixed_factor root = fixed_inverse_root(variance < 1 ? t->guard : variance);
    for (int64_t i = 0; i < n; i++) {
        int32_t even = fixed_scale(1024 * v[i] - mean, root);
        int64_t gained =
            (int32_t)((uint32_t)even * (uint32_t)t->norm[i] + (uint32_t)t->norm_bias[i]);
        int32_t back = (int32_t)((gained > 0 ? gained + 512 : gained - 512) / 1024);
        v[i] = narrow(fixed_scale(back, t->fn));
    }
}

/* The product of a peephole and its cell. The reference takes cells and peepholes as rows of as
 * many elements as there are outputs, one for each entry of the batch that it computes at once:
 * with a projection the cells at the end have none. */
static int32_t peephole(const struct lstm *l, const struct gate *t, int64_t b, int64_t k) {
    int64_t at = l->time_major ? b * l->cells + k : k, rows = l->time_major ? l->batch : 1;
    if (at >= rows * l->outputs)
        return 0;
    return fixed_scale(t->peephole[at % l->outputs] * l->c[k], t->fp);
}

static void run_gate(const struct lstm *l, int g, int64_t b, const int32_t *x) {
    const struct gate *t = &l->gate[g];
    int32_t *v = l->sum[g];
    for (int64_t k = 0; k < l->cells; k++) {
        uint32_t in = (uint32_t)fixed_dot(x, t->w + k * l->inputs, l->inputs, 1, 1),
                 state = (uint32_t)fixed_dot(l->h, t->r + k * l->outputs, l->outputs, 1, 1);
        v[k] = narrow(fixed_scale((int32_t)(in + (uint32_t)t->w_bias[k]), t->fw));
        v[k] =
            narrow((int64_t)v[k] + fixed_scale((int32_t)(state + (uint32_t)t->r_bias[k]), t->fr));
        if (t->peephole)
            v[k] = narrow((int64_t)v[k] + peephole(l, t, b, k));
    }
    if (t->norm)
        normalise(t, l->cells, v);
    for (int64_t k = 0; k < l->cells; k++)
        v[k] = g == CELL ? fixed_tanh_narrow(v[k], 3) : fixed_logistic_narrow(v[k], 3);
}

static void update_cells(struct lstm *l) {
    for (int64_t k = 0; k < l->cells; k++) {
        int32_t forget = l->sum[FORGET][k], in = l->coupled ? 32767 - forget : l->sum[INPUT][k];
        int32_t kept = fixed_round_shift(forget * l->c[k], 15),
                added = fixed_round_shift(in * l->sum[CELL][k], 30 + l->power);
        int32_t v = narrow((int64_t)kept + added);
        l->c[k] = l->cell_clip ? fixed_clamp(v, -l->cell_clip, l->cell_clip) : v;
    }
}

static void update_state(struct lstm *l) {
    int32_t zero = (int32_t)(l->projection ? -l->hidden_zero : l->hidden_zero);
    for (int64_t k = 0; k < l->cells; k++) {
        int32_t v = fixed_tanh_narrow(l->c[k], 15 + l->power);
        v = fixed_scale(l->sum[OUTPUT][k] * v, l->hidden) + zero;
        l->out[k] = fixed_clamp(v, INT8_MIN, INT8_MAX);
    }
    for (int64_t k = 0; k < l->outputs; k++) {
        if (!l->projection) {
            l->h[k] = l->out[k];
            continue;
        }
        uint32_t sum = (uint32_t)fixed_dot(l->out, l->projection + k * l->cells, l->cells, 1, 1) +
                       (uint32_t)l->projection_bias[k];
        int64_t v = (int64_t)fixed_scale((int32_t)sum, l->projected) + l->state.zero;
        int32_t most = l->projection_clip ? l->projection_clip : INT8_MAX,
                least = l->projection_clip ? -most : INT8_MIN;
        l->h[k] = (int32_t)(v < least ? least : v > most ? most : v);
    }
}

enum status fixed_lstm(struct op_ctx *c) {
    struct lstm l = { 0 };
    TRY(read_lstm(c, &l));
    int32_t *h = fixed_values(c, c->in[STATE], 0), *cells = fixed_values(c, c->in[CELLS], 0);
    for (int64_t b = 0; b < l.batch; b++) {
        l.h = h + b * l.outputs;
        l.c = cells + b * l.cells;
        for (int64_t t = 0; t < l.steps; t++) {
            int64_t row = l.time_major ? t * l.batch + b : b * l.steps + t;
            for (int g = l.coupled ? FORGET : INPUT; g < OUTPUT; g++)
                run_gate(&l, g, b, l.x + row * l.inputs);
            update_cells(&l);
            run_gate(&l, OUTPUT, b, l.x + row * l.inputs);
            update_state(&l);
            fixed_store(c->out[0], row * l.outputs, l.outputs, l.h);
        }
    }
    return OK;
}
