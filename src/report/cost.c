/* Multiply-accumulate operations of a node, from the shapes of its inputs and outputs. */
#include <string.h>

#include "report/facts.h"

static double count_of(const struct fact *f) {
    if (f->rank < 0)
        return -1;
    double n = 1;
    for (int i = 0; i < f->rank; i++) {
        if (f->dim[i] < 0)
            return -1;
        n *= (double)f->dim[i];
    }
    return n;
}

static const struct fact *input(const struct node *n, const struct fact *facts, int i) {
    return i < n->n_in && n->in[i] ? &facts[n->in[i]->id] : NULL;
}

static bool channels_last(const struct node *n) {
    const struct attr *layout = node_attr(n, "layout");
    return layout && layout->type == ATTR_STRING && strncmp(layout->s, "NHWC", 4) == 0;
}

static int64_t channels(const struct node *n, const struct fact *f) {
    if (!f || f->rank < 2)
        return -1;
    return f->dim[channels_last(n) ? f->rank - 1 : 1];
}

/* Each output element sums weights / output channels products; a transposed convolution spreads
 * each input element over weights / input channels. */
static double convolution(const struct node *n, const struct fact *facts, int weight,
                          bool transposed) {
    const struct fact *w = input(n, facts, weight);
    const struct fact *side = transposed              ? input(n, facts, 0)
                              : n->n_out && n->out[0] ? &facts[n->out[0]->id]
                                                      : NULL;
    if (!w || !side)
        return -1;
    double elements = count_of(side), weights = count_of(w);
    int64_t c = channels(n, side);
    return elements < 0 || weights < 0 || c <= 0 ? -1 : elements * weights / (double)c;
}

static double matrix_product(const struct node *n, const struct fact *facts, int left,
                             bool transposed) {
    const struct fact *a = input(n, facts, left);
    const struct fact *y = n->n_out && n->out[0] ? &facts[n->out[0]->id] : NULL;
    if (!a || !y || a->rank < 1)
        return -1;
    int axis = transposed && a->rank >= 2 ? a->rank - 2 : a->rank - 1;
    double elements = count_of(y);
    return elements < 0 || a->dim[axis] < 0 ? -1 : elements * (double)a->dim[axis];
}

/* W and R are multiplied once a step and sample: [directions, gates * hidden, input] and [..,
 * hidden]. */
static double recurrent(const struct node *n, const struct fact *facts) {
    const struct fact *x = input(n, facts, 0), *w = input(n, facts, 1), *r = input(n, facts, 2);
    if (!x || !w || !r || x->rank != 3 || x->dim[0] < 0 || x->dim[1] < 0)
        return -1;
    double weights = count_of(w), recurrence = count_of(r);
    return weights < 0 || recurrence < 0
               ? -1
               : (weights + recurrence) * (double)x->dim[0] * (double)x->dim[1];
}

double node_macs(const struct node *n, const struct fact *facts) {
    const char *op = n->op;
    if (strcmp(op, "Conv") == 0 || strcmp(op, "ConvInteger") == 0 || strcmp(op, "FusedConv") == 0)
        return convolution(n, facts, 1, false);
    if (strcmp(op, "QLinearConv") == 0)
        return convolution(n, facts, 3, false);
    if (strcmp(op, "ConvTranspose") == 0)
        return convolution(n, facts, 1, true);
    if (strcmp(op, "MatMul") == 0 || strcmp(op, "MatMulInteger") == 0 ||
        strcmp(op, "QLinearMatMul") == 0)
        return matrix_product(n, facts, 0, false);
    if (strcmp(op, "Gemm") == 0) {
        const struct attr *t = node_attr(n, "transA");
        return matrix_product(n, facts, 0, t && t->i);
    }
    if (strcmp(op, "LSTM") == 0 || strcmp(op, "GRU") == 0 || strcmp(op, "RNN") == 0)
        return recurrent(n, facts);
    return 0;
}
