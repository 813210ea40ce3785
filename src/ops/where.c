/* Where: an element of x or of y, by a condition. */
#include "ops/broadcast.h"
#include "ops/row.h"

#define CHOOSE(name, T)                                                                 \
    static void name(const void *const *operand, const int *step, void *out, int64_t n, \
                     const void *arg) {                                                 \
        const uint8_t *condition = operand[0];                                          \
        const T *x = operand[1], *y = operand[2];                                       \
        (void)arg;                                                                      \
        for (int64_t i = 0; i < n; i++)                                                 \
            ((T *)out)[i] = condition[i * step[0]] ? x[i * step[1]] : y[i * step[2]];   \
    }
struct pair_of_doubles {
    double re, im;
};
CHOOSE(choose_1, uint8_t)
CHOOSE(choose_2, uint16_t)
CHOOSE(choose_4, uint32_t)
CHOOSE(choose_8, uint64_t)
CHOOSE(choose_16, struct pair_of_doubles)

static enum status where_eval(struct op_ctx *c) {
    static broadcast_fn *const by_size[] = {
        [1] = choose_1, [2] = choose_2, [4] = choose_4, [8] = choose_8, [16] = choose_16
    };
    struct broadcast plan;
    FAIL_IF(c->in[0]->store != DT_BOOL, c->err, STATUS_CORRUPT,
            "the condition is %s; bool is asked for", dtype_name(c->in[0]->dtype));
    FAIL_IF(c->in[1]->store != c->in[2]->store, c->err, STATUS_CORRUPT,
            "the choices are of types %s and %s; they must be equal", dtype_name(c->in[1]->dtype),
            dtype_name(c->in[2]->dtype));
    TRY(broadcast_plan(&plan, c->out[0]->rank, c->out[0]->dim, 3, c->in, c->err));
    broadcast_run(&plan, c->in, c->out[0], by_size[dtype_size(c->in[1]->store)], NULL, c->pool);
    return OK;
}

static enum status where_shape(struct shape_ctx *c) {
    TRY(shape_broadcast_all(c));
    c->out[0].dtype = c->in[1].dtype;
    return OK;
}

static enum status where_grad(struct grad_ctx *c) {
    struct broadcast plan;
    if (!c->grad_out[0])
        return OK;
    TRY(broadcast_plan(&plan, c->out[0]->rank, c->out[0]->dim, 3, c->in, c->err));
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        int chosen = tensor_i64(c->in[0], at[0]) ? 1 : 2;
        if (c->grad_in[chosen])
            ((double *)c->grad_in[chosen]->data)[at[chosen]] +=
                ((const double *)c->grad_out[0]->data)[i];
    }
    return OK;
}

/* clang-format off */
const struct op ops_where[] = {
    { ONNX("Where", 16, 3, 3), .flags = OP_ELEMENTWISE | OP_MOVES, .shape = where_shape, .eval = where_eval,
      .grad = where_grad },
    { 0 },
};
