/* Kernels and shape rules that are made of other operators. */
#ifndef OPS_CALL_H
#define OPS_CALL_H

#include "ops/op.h"

/* A node of operator `op` in place of n, with the attributes that both know; its inputs and outputs
 * are empty. */
struct node *op_stand_in(const struct node *n, const char *domain, const char *op, int n_in,
                         int n_out, struct arena *a);
/* Runs operator `op` of domain "" on tensors stored as kernels of `precision` want them; out[i] are
 * new references. It gets those of c->node's attributes that its row knows. */
enum status op_call(struct op_ctx *c, const char *op, enum precision precision,
                    const struct tensor *const *in, int n_in, struct tensor **out, int n_out);
/* An eval function that is linear in its first input, on the real and the imaginary parts of complex
 * numbers apart; of other numbers as it is. */
enum status op_by_parts(struct op_ctx *c, op_eval_fn *eval);
/* The shape rule of operator `op` on the inputs of c with the numbers inputs[0..n_in), taken as
 * reals, into output 0 of c, whose dtype the caller sets. */
enum status op_shape_as(struct shape_ctx *c, const char *op, const int *inputs, int n_in);

#endif
