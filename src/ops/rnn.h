/* What RNN, GRU and LSTM share: sizes, layouts, activations, the parameters of one direction. */
#ifndef OPS_RNN_H
#define OPS_RNN_H

#include "ops/op.h"

enum rnn_kind { KIND_RNN = 1, KIND_GRU = 3, KIND_LSTM = 4 }; /* the number of gates */

enum activation_kind {
    ACT_RELU,
    ACT_TANH,
    ACT_SIGMOID,
    ACT_AFFINE,
    ACT_LEAKY_RELU,
    ACT_THRESHOLDED_RELU,
    ACT_SCALED_TANH,
    ACT_HARD_SIGMOID,
    ACT_ELU,
    ACT_SOFTSIGN,
    ACT_SOFTPLUS,
};

struct activation {
    enum activation_kind kind;
    double alpha, beta;
};

struct rnn {
    enum rnn_kind kind;
    int64_t directions, steps, batch, inputs, hidden;
    bool batch_first;         /* layout 1 */
    bool reverse[2];          /* by direction */
    struct activation act[6]; /* three a direction: f, g, h */
    double clip;              /* infinity: none */
    bool linear_before_reset, input_forget;
};

/* The parameters of one direction; the pointers are to float or double. Biases and peepholes may be
 * NULL. */
struct rnn_cell {
    const void *w, *r, *wb, *rb, *p;
};

/* Reads attributes and checks every known shape; sizes that are not known are negative. in: X W R B
 * sequence_lens initial_h initial_c P. */
enum status rnn_read(struct rnn *r, const struct node *n, const struct fact *in, int n_in,
                     struct err *e);

/* Where element 0 of a step's input, output and of a state lie. */
int64_t rnn_x_at(const struct rnn *r, int64_t t, int64_t b);
int64_t rnn_y_at(const struct rnn *r, int64_t t, int64_t d, int64_t b);
int64_t rnn_state_at(const struct rnn *r, int64_t d, int64_t b);

/* One node at work: its parameters and where its inputs and outputs lie. */
struct rnn_run {
    struct rnn r;
    struct rnn_cell cell[2];
    const int64_t *lengths; /* by sample; NULL: all steps */
    const void *x, *h0, *c0;
    void *y, *y_h, *y_c;
    bool doubles;
    void **scratch; /* by task */
};
enum status rnn_run_read(struct rnn_run *run, const struct node *n, const struct tensor *const *in,
                         int n_in, struct arena *scratch, struct err *e);

/* One step in float64 (rnn.inc: lstm_step, gru_step, rnn_step). */
void rnn_step_f64(const struct rnn *r, const struct rnn_cell *cell, const struct activation *act,
                  const double *x, const double *h, const double *c, double *pre, double *post,
                  double *h_new, double *c_new);
double rnn_activate(const struct activation *a, double x);

enum status rnn_grad(struct grad_ctx *c);

#endif
