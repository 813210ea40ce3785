/* Operators by definition: written out as a graph of other operators, which is run, or gone through
 * backwards (tape.h) for the gradient. */
#ifndef OPS_BODY_H
#define OPS_BODY_H

#include "ops/op.h"

enum { BODY_INPUTS = 64 };

struct body {
    struct model *m;
    struct graph *g;
    struct value *in[BODY_INPUTS], *out[BODY_INPUTS]; /* NULL: left out; out[] is the writer's */
    struct grad_ctx *c;
    enum dtype type; /* of constants: that of the first input of floats */
};

/* Writes the operator: out[i] from in[i]. Attributes and inputs are those of b->c, whose outputs
 * may be unknown; in a shape rule the inputs have no contents. */
typedef enum status body_fn(struct body *b);
/* Adds the gradients that the written graph gives to c->grad_in. */
enum status grad_of_body(struct grad_ctx *c, body_fn *write);
/* The kernel, for rows with OP_VIEW, and the shape rule of the written graph: outputs stay unknown
 * as long as a dimension of the inputs is. */
enum status eval_of_body(struct op_ctx *c, body_fn *write);
enum status shape_of_body(struct shape_ctx *c, body_fn *write);

/* A node; trailing NULL inputs are left out. Attributes are the writer's. */
struct node *body_node(struct body *b, const char *domain, const char *op, struct value *const *in,
                       int n_in, int n_out);
/* A node of domain "" with one output; trailing NULL inputs are left out. */
struct value *body_op(struct body *b, const char *op, struct value *x, struct value *y,
                      struct value *z);
/* The same with an attribute. */
struct value *body_op_int(struct body *b, const char *op, struct value *x, struct value *y,
                          const char *name, int64_t v);
struct value *body_ints(struct body *b, int64_t n, const int64_t *v);
struct value *body_number(struct body *b, double v);
/* A constant of floats. */
struct value *body_tensor(struct body *b, int rank, const int64_t *dim, const double *v);
struct value *body_reshape(struct body *b, struct value *x, int rank, const int64_t *dim);
struct value *body_transpose(struct body *b, struct value *x, int rank, const int64_t *perm);
/* Entries [from, to) of an axis. */
struct value *body_slice(struct body *b, struct value *x, int64_t axis, int64_t from, int64_t to);
/* Matrix product with the last two axes of y turned. */
struct value *body_times_turned(struct body *b, struct value *x, struct value *y, int rank);
bool body_has(const struct body *b, int i);

#endif
