/* Reverse mode over a graph: its nodes are run in float64 with every value kept, then gone through
 * backwards with the gradients of their rows. Sub-graphs are run again on the way back, one
 * iteration at a time. */
#ifndef OPS_TAPE_H
#define OPS_TAPE_H

#include "ops/op.h"

/* One run of a sub-graph by a node: its inputs (references). */
struct tape_turn {
    const struct node *node;
    const struct graph *graph;
    struct tensor **in;
    int n_in;
};

struct tape {
    struct arena *a;
    struct err *err;
    struct op_env env;
    int n;                         /* values of the model */
    struct tensor **value, **grad; /* by value id; float64 */
    bool *given;                   /* by value id: put there by the caller, not computed */
    bool *needed;                  /* by value id, or NULL: all are computed */
    const struct node *skip;       /* a node that is not run, or NULL */
    struct tape_turn *turns;       /* of the nodes run last, in order */
    int n_turns;
};

void tape_open(struct tape *t, const struct model *m, struct arena *a, struct err *e);
void tape_close(struct tape *t);
/* Puts a copy or alias of x at the value, as kernels of float64 want it. */
enum status tape_give(struct tape *t, const struct value *v, const struct tensor *x);
enum status tape_forward(struct tape *t, const struct graph *g);
enum status tape_backward(struct tape *t, const struct graph *g);
/* The gradient of a value of floats (also of a sequence or optional of them), zero at first; NULL
 * for other values. */
struct tensor *tape_grad(struct tape *t, const struct value *v);
/* Zeros of x's shape in the arena, item by item; NULL where there are no floats. */
struct tensor *grad_like(struct arena *a, const struct tensor *x);
/* grad += by, element by element; NULL adds nothing. */
void grad_add(struct tensor *grad, const struct tensor *by);

/* Of the operators that run sub-graphs (tape_control.c): the forward run, and the way back, which
 * adds to the gradients of the node's inputs and of the values that its sub-graphs see. */
bool tape_controls(const struct node *n);
enum status tape_control_forward(struct tape *t, const struct node *n,
                                 const struct tensor *const *in, struct tensor **out);
enum status tape_control_backward(struct tape *t, const struct node *n);
/* The runs of the node's sub-graphs but the conditions of a While, in order; a copy, as the tape's
 * own list changes when they are repeated. */
struct tape_turn *tape_turns(struct tape *t, const struct node *n, int64_t *count);
/* Repeats one of them, all values kept; then the way back from the gradients put at its outputs. */
enum status tape_repeat(struct tape *t, const struct tape_turn *turn);
enum status tape_turn_back(struct tape *t, const struct tape_turn *turn);
/* Way back of FlexAttention (tape_flex.c). */
enum status tape_flex_backward(struct tape *t, const struct node *n);

/* The operator has a gradient: of its row, or through its sub-graphs. */
bool op_has_gradient(const struct op *o);

#endif
