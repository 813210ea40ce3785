/* Fast RNN, GRU and LSTM: the bits of src/ops/rnn.c for the usual activations, without clipping and
 * with sequences of one length. */
#include "ops/rnn.h"

#include <math.h>
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "ops/real.h"

/* UNARY_COUNT: none. */
static int activation_id(enum activation_kind kind) {
    return kind == ACT_SIGMOID ? UNARY_Sigmoid
           : kind == ACT_TANH  ? UNARY_Tanh
           : kind == ACT_RELU  ? UNARY_Relu
                               : UNARY_COUNT;
}

#define EACH_REAL "kernels/kernel_rnn.inc"
#include "ops/each_real.inc"

static bool usual(const struct rnn_run *run) {
    const struct rnn *r = &run->r;
    int each = r->kind == KIND_LSTM ? 3 : r->kind == KIND_GRU ? 2 : 1;
    for (int64_t d = 0; d < r->directions; d++)
        for (int k = 0; k < each; k++)
            if (activation_id(r->act[3 * d + k].kind) == UNARY_COUNT)
                return false;
    return isinf(r->clip) && !run->lengths && r->steps > 0 && r->batch > 0 && r->hidden > 0 &&
           r->inputs > 0;
}

enum status kernel_rnn(struct op_ctx *c) {
    struct rnn_run run;
    if (c->in[0]->store != DT_F32 && c->in[0]->store != DT_F64)
        return kernel_reference(c);
    TRY(rnn_run_read(&run, c->node, c->in, c->n_in, c->scratch, c->err));
    if (!usual(&run))
        return kernel_reference(c);
    run.y = c->n_out > 0 && c->out[0] ? c->out[0]->data : NULL;
    run.y_h = c->n_out > 1 && c->out[1] ? c->out[1]->data : NULL;
    run.y_c = c->n_out > 2 && c->out[2] ? c->out[2]->data : NULL;
    for (int64_t d = 0; d < run.r.directions; d++)
        if (run.doubles)
            direction_d(c, &run, d);
        else
            direction_f(c, &run, d);
    return OK;
}
