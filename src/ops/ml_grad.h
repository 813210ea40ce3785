/* Gradients of ai.onnx.ml. */
#ifndef OPS_ML_GRAD_H
#define OPS_ML_GRAD_H

#include "ops/op.h"

op_grad_fn scaler_grad, normalizer_grad, imputer_grad, linear_regressor_grad,
    linear_classifier_grad, svm_regressor_grad, svm_classifier_grad;

/* By row and pair of classes the decision value of an SVMClassifier with support vectors. */
enum status svm_decisions(const struct node *n, const struct tensor *x, double *out,
                          struct arena *a, struct err *e);

#endif
