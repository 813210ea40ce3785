/* The gradient of LinearAttention, written out token by token (body.h). */
#include <math.h>

#include "ops/body.h"
#include "ops/stateful.h"

struct sizes {
    int64_t batch, tokens, heads, kv, dk, dv;
};

/* Token t of a [batch, tokens, n * size] input as [batch, n, size, 1] or, `flat`, [batch, n, 1,
 * size]. */
static struct value *token(struct body *b, const struct sizes *s, int input, int64_t t, int64_t n,
                           bool flat) {
    int64_t size = b->c->in[input]->dim[2] / n;
    const int64_t dim[] = { s->batch, n, flat ? 1 : size, flat ? size : 1 };
    return body_reshape(b, body_slice(b, b->in[input], 1, t, t + 1), 4, dim);
}

static struct value *both(struct body *b, const char *op, struct value *x, struct value *y) {
    return body_op(b, op, x, y, NULL);
}

/* The state [batch, kv, dk, dv] after token t. */
static struct value *updated(struct body *b, const struct sizes *s, struct value *state,
                             int64_t t) {
    struct value *key = token(b, s, 1, t, s->kv, false), *v = token(b, s, 2, t, s->kv, true);
    if (body_has(b, 4))
        state =
            both(b, "Mul", state, body_op(b, "Exp", token(b, s, 4, t, s->kv, false), NULL, NULL));
    if (body_has(b, 5)) {
        struct value *held = both(b, "MatMul", token(b, s, 1, t, s->kv, true), state);
        struct value *beta = token(b, s, 5, t, b->c->in[5]->dim[2] == 1 ? 1 : s->kv, false);
        v = both(b, "Mul", beta, both(b, "Sub", v, held));
    }
    return both(b, "Add", state, both(b, "MatMul", key, v));
}

/* Each kv head for all of its query heads. */
static struct value *repeated(struct body *b, const struct sizes *s, struct value *state) {
    int64_t times = s->heads / s->kv;
    const int64_t apart[] = { s->batch, s->kv, 1, s->dk, s->dv },
                  wide[] = { s->batch, s->kv, times, s->dk, s->dv },
                  joined[] = { s->batch, s->heads, s->dk, s->dv };
    state = body_op(b, "Expand", body_reshape(b, state, 5, apart), body_ints(b, 5, wide), NULL);
    return body_reshape(b, state, 4, joined);
}

static enum status write_linear(struct body *b) {
    const struct node *n = b->c->node;
    struct sizes s = { .batch = b->c->in[0]->dim[0],
                       .tokens = b->c->in[0]->dim[1],
                       .heads = attr_int(n, "q_num_heads"),
                       .kv = attr_int(n, "kv_num_heads") };
    s.dk = b->c->in[0]->dim[2] / s.heads;
    s.dv = b->c->in[2]->dim[2] / s.kv;
    double scale = attr_float(n, "scale");
    struct value *state = body_has(b, 3) ? b->in[3] : NULL, *all = NULL;
    if (!state) {
        const int64_t dim[] = { s.batch, s.kv, s.dk, s.dv };
        state = body_tensor(b, 4, dim,
                            NEW_ARRAY(b->m->arena, s.batch * s.kv * s.dk * s.dv + 1, double));
    }
    for (int64_t t = 0; t < s.tokens; t++) {
        state = updated(b, &s, state, t);
        struct value *y =
            both(b, "MatMul", token(b, &s, 0, t, s.heads, true), repeated(b, &s, state));
        y = body_reshape(b, y, 3, (const int64_t[]) { s.batch, 1, s.heads * s.dv });
        all = all ? body_op_int(b, "Concat", all, y, "axis", 1) : y;
    }
    b->out[0] = both(b, "Mul", all, body_number(b, scale == 0 ? 1 / sqrt((double)s.dk) : scale));
    b->out[1] = state;
    return OK;
}

enum status linear_attention_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_linear);
}
