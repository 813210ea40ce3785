/* The gradient of data movement. */
#include "ops/move.h"

/* Float inputs replaced by the numbers 1, 2, 3, ... counted on from input to input; 0 is left for
 * constant fills. */
static enum status number_inputs(struct grad_ctx *c, const struct tensor **in, double *base) {
    double next = 1;
    for (int i = 0; i < c->n_in; i++) {
        in[i] = c->in[i];
        base[i] = next;
        if (!c->in[i] || c->in[i]->store != DT_F64)
            continue;
        struct tensor *t =
            tensor_in_arena(c->scratch, c->in[i]->dtype, DT_F64, c->in[i]->rank, c->in[i]->dim);
        double *v = t->data;
        for (int64_t k = 0, n = tensor_count(t); k < n; k++)
            v[k] = next++;
        in[i] = t;
    }
    FAIL_IF(next > 9007199254740992.0, c->err, STATUS_UNSUPPORTED, "too many elements to number");
    return OK;
}

static void add_back(struct grad_ctx *c, const struct tensor *from, const struct tensor *grad,
                     const double *base) {
    const double *source = from->data, *g = grad->data;
    for (int64_t k = 0, n = tensor_count(from); k < n; k++) {
        int i = c->n_in - 1;
        while (i >= 0 && (!c->in[i] || c->in[i]->store != DT_F64 || source[k] < base[i]))
            i--;
        if (i >= 0 && c->grad_in[i])
            ((double *)c->grad_in[i]->data)[(int64_t)(source[k] - base[i])] += g[k];
    }
}

enum status grad_moves(struct grad_ctx *c) {
    const struct tensor **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct tensor **out = NEW_ARRAY(c->scratch, c->n_out + 1, struct tensor *);
    double *base = NEW_ARRAY(c->scratch, c->n_in + 1, double);
    struct op_env env = { .precision = PREC_F64, .scratch = c->scratch };
    TRY(number_inputs(c, in, base));
    TRY(op_run(&env, c->node, in, out, c->err));
    for (int i = 0; i < c->n_out; i++) {
        if (out[i] && c->grad_out[i] && out[i]->store == DT_F64)
            add_back(c, out[i], c->grad_out[i], base);
        tensor_free(out[i]);
    }
    return OK;
}

enum status grad_view(struct grad_ctx *c) {
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    double *to = c->grad_in[0]->data;
    const double *g = c->grad_out[0]->data;
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        to[i] += g[i];
    return OK;
}
