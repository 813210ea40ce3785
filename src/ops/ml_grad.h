/* Gradients of ai.onnx.ml. */
#ifndef OPS_ML_GRAD_H
#define OPS_ML_GRAD_H

#include "ops/op.h"

op_grad_fn scaler_grad, normalizer_grad, imputer_grad, linear_regressor_grad,
    linear_classifier_grad, svm_regressor_grad;

#endif
