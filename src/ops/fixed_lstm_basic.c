/* The basic LSTM on uint8: input, previous output, weights [4 n, inputs + n], bias, previous state;
 * gates input, cell, forget, output. Sums of products are brought to 12 fraction bits of 16; the
 * functions of the gates have 15, the state 11. Activations have the zero point 128. */
#include <math.h>

#include "ops/fixed_cells.h"
#include "ops/fixed_sums.h"

enum { X, H, WEIGHTS, BIAS, STATE, INPUTS };
enum { STATE_BITS = 4 };

struct basic {
    int64_t batch, inputs, n;
    const int32_t *x, *h, *w, *bias, *state;
    struct fixed_factor f;
};

static enum status read_types(struct op_ctx *c) {
    static const enum dtype types[] = { DT_U8, DT_U8, DT_U8, DT_I32, DT_I16 };
    struct fixed_quant q[INPUTS], y, state;
    for (int i = 0; i < INPUTS; i++) {
        FAIL_IF(!c->in[i], c->err, STATUS_CORRUPT, "input %d is missing", i);
        TRY(fixed_in_one(c, i, &q[i]));
        FAIL_IF(q[i].dtype != types[i], c->err, STATUS_UNSUPPORTED,
                "input %d of a basic LSTM is %s in integer arithmetic", i, dtype_name(q[i].dtype));
    }
    TRY(fixed_out_one(c, 0, &y));
    TRY(fixed_out_one(c, 1, &state));
    FAIL_IF(q[X].zero != 128 || q[H].zero != 128 || y.zero != 128 || y.dtype != DT_U8 ||
                state.dtype != DT_I16,
            c->err, STATUS_UNSUPPORTED, "a basic LSTM with other zero points than 128");
    FAIL_IF(fabs(log2((double)state.scale[0]) - (STATE_BITS - 15)) >= 1e-3, c->err,
            STATUS_UNSUPPORTED, "a basic LSTM with a state of scale %g, not 2^-11",
            (double)state.scale[0]);
    return OK;
}

static enum status read_basic(struct op_ctx *c, struct basic *b) {
    const struct tensor *x = c->in[X], *w = c->in[WEIGHTS];
    struct fixed_quant bias, weights;
    FAIL_IF(c->n_out < 2, c->err, STATUS_UNSUPPORTED,
            "a basic LSTM that does not give its state in integer arithmetic");
    TRY(read_types(c));
    FAIL_IF(x->rank != 2 || w->rank != 2 || w->dim[0] % 4, c->err, STATUS_CORRUPT,
            "weights of rank %d", w->rank);
    b->batch = x->dim[0];
    b->inputs = x->dim[1];
    b->n = w->dim[0] / 4;
    FAIL_IF(w->dim[1] != b->inputs + b->n || tensor_count(c->in[H]) != b->batch * b->n ||
                tensor_count(c->in[STATE]) != b->batch * b->n ||
                tensor_count(c->in[BIAS]) != 4 * b->n,
            c->err, STATUS_CORRUPT, "weights, a bias or states of other sizes");
    TRY(fixed_in_one(c, BIAS, &bias));
    TRY(fixed_in_one(c, WEIGHTS, &weights));
    b->f = fixed_factor_of((double)(4096 * bias.scale[0]));
    b->x = fixed_values(c, x, -128);
    b->h = fixed_values(c, c->in[H], -128);
    b->w = fixed_values(c, w, (int32_t)-weights.zero);
    b->bias = fixed_values(c, c->in[BIAS], 0);
    b->state = fixed_values(c, c->in[STATE], 0);
    return OK;
}

/* Gate g of cell k before its function. */
static int32_t gate(const struct basic *b, int64_t row, int g, int64_t k) {
    int64_t r = g * b->n + k;
    const int32_t *w = b->w + r * (b->inputs + b->n);
    uint32_t sum = (uint32_t)b->bias[r] +
                   (uint32_t)fixed_dot(b->x + row * b->inputs, w, b->inputs, 1, 1) +
                   (uint32_t)fixed_dot(b->h + row * b->n, w + b->inputs, b->n, 1, 1);
    return fixed_clamp(fixed_scale((int32_t)sum, b->f), INT16_MIN, INT16_MAX);
}

enum status fixed_lstm_basic(struct op_ctx *c) {
    struct basic b = { 0 };
    TRY(read_basic(c, &b));
    for (int64_t i = 0; i < b.batch * b.n; i++) {
        int64_t row = i / b.n, k = i % b.n;
        int32_t in = fixed_logistic_narrow(gate(&b, row, 0, k), 3),
                cell = fixed_tanh_narrow(gate(&b, row, 1, k), 3),
                forget = fixed_logistic_narrow(gate(&b, row, 2, k), 3),
                out = fixed_logistic_narrow(gate(&b, row, 3, k), 3);
        int32_t added = fixed_rescale_narrow(fixed_product_narrow(in, cell), 0, STATE_BITS),
                state = fixed_clamp(added + fixed_product_narrow(forget, b.state[i]), INT16_MIN,
                                    INT16_MAX);
        int32_t y = fixed_product_narrow(
            out, fixed_tanh_narrow(fixed_rescale_narrow(state, STATE_BITS, 3), 3));
        y = 128 + fixed_clamp(fixed_round_shift(y, 8), INT8_MIN, INT8_MAX);
        fixed_store(c->out[0], i, 1, &y);
        fixed_store(c->out[1], i, 1, &state);
    }
    return OK;
}
