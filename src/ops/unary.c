/* Elementwise functions of one tensor. */
#include "ops/op.h"

#include "ops/mathfn.h"
#include "ops/real.h"

/* max(0, x); NaN stays NaN. */
static enum status relu(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    int64_t n = tensor_count(x);
    if (x->store == DT_F64) {
        const double *a = x->data;
        double *b = y->data;
        for (int64_t i = 0; i < n; i++)
            b[i] = a[i] < 0 ? 0 : a[i];
    } else if (x->store == DT_F32) {
        const float *a = x->data;
        float *b = y->data;
        for (int64_t i = 0; i < n; i++)
            b[i] = a[i] < 0 ? 0 : a[i];
    } else {
        for (int64_t i = 0; i < n; i++) {
            int64_t v = tensor_i64(x, i);
            tensor_set_i64(y, i, v < 0 ? 0 : v);
        }
    }
    return OK;
}

const struct op ops_unary[] = {
    { .name = "Relu", .domain = "", .spec = "ONNX Relu-14", .min_in = 1, .max_in = 1, .min_out = 1, .max_out = 1,
      .flags = OP_ELEMENTWISE, .shape = shape_same, .eval = relu },
    { 0 },
};
