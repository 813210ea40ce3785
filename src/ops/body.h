/* Gradients by definition: an operator written out as a graph of operators that have gradients,
 * which is then gone through backwards (tape.h). */
#ifndef OPS_BODY_H
#define OPS_BODY_H

#include "ops/op.h"

enum { BODY_INPUTS = 64 };

struct body {
    struct model *m;
    struct graph *g;
    struct value *in[BODY_INPUTS], *out[BODY_INPUTS]; /* NULL: left out; out[] is the writer's */
    struct grad_ctx *c;
};

/* Writes the operator: out[i] from in[i]. Shapes, attributes and contents are those of b->c. */
typedef enum status body_fn(struct body *b);
/* Adds the gradients that the written graph gives to c->grad_in. */
enum status grad_of_body(struct grad_ctx *c, body_fn *write);

/* A node of domain "" with one output; trailing NULL inputs are left out. */
struct value *body_op(struct body *b, const char *op, struct value *x, struct value *y,
                      struct value *z);
/* The same with an attribute. */
struct value *body_op_int(struct body *b, const char *op, struct value *x, struct value *y,
                          const char *name, int64_t v);
struct value *body_ints(struct body *b, int64_t n, const int64_t *v);
struct value *body_number(struct body *b, double v);
/* A constant of float64. */
struct value *body_tensor(struct body *b, int rank, const int64_t *dim, const double *v);
struct value *body_reshape(struct body *b, struct value *x, int rank, const int64_t *dim);
struct value *body_transpose(struct body *b, struct value *x, int rank, const int64_t *perm);
/* Entries [from, to) of an axis. */
struct value *body_slice(struct body *b, struct value *x, int64_t axis, int64_t from, int64_t to);
/* Matrix product with the last two axes of y turned. */
struct value *body_times_turned(struct body *b, struct value *x, struct value *y, int rank);
bool body_has(const struct body *b, int i);

#endif
