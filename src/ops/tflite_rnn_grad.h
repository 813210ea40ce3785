#ifndef OPS_TFLITE_RNN_GRAD_H
#define OPS_TFLITE_RNN_GRAD_H

#include "ops/op.h"

op_grad_fn tflite_lstm_grad, tflite_two_lstm_grad, tflite_rnn_grad, tflite_two_rnn_grad,
    tflite_svdf_grad;

#endif
