#include "ops/call.h"

#include <string.h>

struct node *op_stand_in(const struct node *n, const char *domain, const char *op, int n_in,
                         int n_out, struct arena *a) {
    struct node *s = NEW(a, struct node);
    *s = *n;
    s->op = op;
    s->domain = domain;
    s->def = op_find(domain, op);
    s->n_in = n_in;
    s->n_out = n_out;
    s->in = NEW_ARRAY(a, n_in + 1, struct value *);
    s->out = NEW_ARRAY(a, n_out + 1, struct value *);
    s->attrs = NEW_ARRAY(a, n->n_attrs + 1, struct attr);
    s->n_attrs = 0;
    for (int i = 0; i < n->n_attrs; i++)
        for (const struct attr_def *d = s->def ? s->def->attrs : NULL; d && d->name; d++)
            if (strcmp(d->name, n->attrs[i].name) == 0)
                s->attrs[s->n_attrs++] = n->attrs[i];
    return s;
}

enum status op_call(struct op_ctx *c, const char *op, enum precision precision,
                    const struct tensor *const *in, int n_in, struct tensor **out, int n_out) {
    static struct value present;
    struct node *n = op_stand_in(c->node, "", op, n_in, n_out, c->scratch);
    struct op_env env = *c->env;
    env.precision = precision;
    env.packs = NULL; /* what is given is not the model's constants */
    for (int i = 0; i < n_in; i++)
        n->in[i] = in[i] ? &present : NULL;
    for (int i = 0; i < n_out; i++)
        n->out[i] = &present;
    return op_run(&env, n, in, out, c->err);
}

static bool is_complex(const struct tensor *t) {
    return t->store == DT_C64 || t->store == DT_C128;
}

/* Part 0 or 1 of complex element i, in place. */
static double *wide_part(const struct tensor *t, int64_t i, int part) {
    return (double *)t->data + 2 * i + part;
}

static float *narrow_part(const struct tensor *t, int64_t i, int part) {
    return (float *)t->data + 2 * i + part;
}

enum status op_by_parts(struct op_ctx *c, op_eval_fn *eval) {
    const struct tensor *x = c->in[0],
                        **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct tensor *y = c->out[0];
    if (!is_complex(x))
        return eval(c);
    bool wide = x->store == DT_C128;
    enum dtype store = wide ? DT_F64 : DT_F32;
    for (int i = 1; i < c->n_in; i++)
        in[i] = c->in[i];
    for (int part = 0; part < 2; part++) {
        struct tensor *from = tensor_in_arena(c->scratch, store, store, x->rank, x->dim),
                      *to = tensor_in_arena(c->scratch, store, store, y->rank, y->dim);
        struct op_ctx inner = *c;
        in[0] = from;
        inner.in = in;
        inner.out = &to;
        for (int64_t i = 0, n = tensor_count(x); i < n; i++)
            tensor_set_f64(from, i,
                           wide ? *wide_part(x, i, part) : (double)*narrow_part(x, i, part));
        TRY(eval(&inner));
        for (int64_t i = 0, n = tensor_count(y); i < n; i++)
            if (wide)
                *wide_part(y, i, part) = tensor_f64(to, i);
            else
                *narrow_part(y, i, part) = (float)tensor_f64(to, i);
    }
    return OK;
}

enum status op_shape_as(struct shape_ctx *c, const char *op, const int *inputs, int n_in) {
    struct node *n = op_stand_in(c->node, "", op, n_in, 1, c->arena);
    struct fact *in = NEW_ARRAY(c->arena, n_in + 1, struct fact);
    for (int i = 0; i < n_in; i++) {
        in[i] = c->in[inputs[i]];
        in[i].dtype = DT_F64; /* quantized values stand for reals */
    }
    struct shape_ctx as = { n, c->model, c->arena, n_in, 1, in, c->out, c->err };
    return n->def->shape(&as);
}
