#include "ops/ml_grad.h"

#include <math.h>
#include <string.h>

#include "ops/body.h"

/* The rows of a vector or matrix. */
static int64_t columns_of(const struct tensor *x) {
    return x->rank ? x->dim[x->rank - 1] : 1;
}

enum status scaler_grad(struct grad_ctx *c) {
    int n;
    const double *scale = attr_floats(c->node, "scale", &n);
    int64_t columns = columns_of(c->in[0]), count = tensor_count(c->in[0]);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < count; i++)
        ((double *)c->grad_in[0]->data)[i] +=
            tensor_f64(c->grad_out[0], i) * (n ? scale[n == 1 ? 0 : i % columns] : 1);
    return OK;
}

/* What was imputed does not depend on the input. */
enum status imputer_grad(struct grad_ctx *c) {
    double missing = attr_float(c->node, "replaced_value_float");
    int64_t count = tensor_count(c->in[0]);
    for (int64_t i = 0; c->grad_in[0] && c->grad_out[0] && i < count; i++) {
        double v = tensor_f64(c->in[0], i);
        if (v != missing && !(isnan(v) && isnan(missing)))
            ((double *)c->grad_in[0]->data)[i] += tensor_f64(c->grad_out[0], i);
    }
    return OK;
}

/* x / norm, the norm over each row; x itself where that is 0. */
static enum status write_normalizer(struct body *b) {
    const char *norm = attr_str(b->c->node, "norm");
    const char *reduce = strcmp(norm, "L1") == 0   ? "ReduceL1"
                         : strcmp(norm, "L2") == 0 ? "ReduceL2"
                                                   : "ReduceMax";
    struct value *x = b->in[0], *last = body_ints(b, 1, (const int64_t[]) { -1 });
    struct value *divisor = body_op(b, reduce, x, last, NULL);
    struct value *none = body_op(b, "Equal", divisor, body_number(b, 0), NULL);
    divisor = body_op(b, "Where", none, body_number(b, 1), divisor);
    b->out[0] = body_op(b, "Div", x, divisor, NULL);
    return OK;
}

enum status normalizer_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_normalizer);
}

/* x C^T + intercepts, then the post transform. */
static enum status write_linear(struct body *b) {
    const struct node *n = b->c->node;
    int n_coefficients, n_intercepts;
    const double *coefficients = attr_floats(n, "coefficients", &n_coefficients),
                 *intercepts = attr_floats(n, "intercepts", &n_intercepts);
    const char *post = attr_str(n, "post_transform");
    int64_t targets = attr_int(n, "targets"), columns = columns_of(b->c->in[0]);
    const int64_t matrix[] = { -1, columns }, shape[] = { targets, columns };
    struct value *x = body_op(b, "Reshape", b->in[0], body_ints(b, 2, matrix), NULL);
    struct value *y = body_times_turned(b, x, body_tensor(b, 2, shape, coefficients), 2);
    if (n_intercepts)
        y = body_op(b, "Add", y, body_tensor(b, 1, (const int64_t[]) { targets }, intercepts),
                    NULL);
    if (strcmp(post, "SOFTMAX") == 0)
        y = body_op_int(b, "Softmax", y, NULL, "axis", 1);
    else if (strcmp(post, "LOGISTIC") == 0)
        y = body_op(b, "Sigmoid", y, NULL, NULL);
    else
        FAIL_IF(strcmp(post, "NONE") != 0, b->c->err, STATUS_UNSUPPORTED,
                "the gradient of post_transform %s", post);
    b->out[0] = y;
    return OK;
}

enum status linear_regressor_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_linear);
}
