#ifndef OPS_STATEFUL_H
#define OPS_STATEFUL_H

#include "ops/op.h"

op_grad_fn linear_attention_grad;

#endif
