/* Recurrent cells on quantized integers throughout; those on float activations are in tflite_rnn.c,
 * whose rows they share. */
#ifndef OPS_FIXED_CELLS_H
#define OPS_FIXED_CELLS_H

#include "ops/fixed.h"

/* LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM: int8 activations and weights, 16-bit gates and cells. */
enum status fixed_lstm(struct op_ctx *c);
/* LSTM with the basic kernel: uint8 activations and weights, a 16-bit state. */
enum status fixed_lstm_basic(struct op_ctx *c);
/* SVDF: int8 activations and feature weights, 16-bit time weights and state. */
enum status fixed_svdf(struct op_ctx *c);

#endif
