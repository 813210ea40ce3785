#include "ops/elementwise.h"

#include "ops/row.h"

enum { PART = 1 << 14 }; /* elements of a task */

struct unary_job {
    const struct tensor *x;
    struct tensor *y;
    int64_t n;
    unary_float_fn *f;
    unary_double_fn *d;
    double a, b;
};

static void unary_part(void *arg, size_t task) {
    const struct unary_job *j = arg;
    int64_t from = (int64_t)task * PART, n = j->n - from < PART ? j->n - from : PART;
    if (j->x->store == DT_F64)
        j->d((const double *)j->x->data + from, (double *)j->y->data + from, n, j->a, j->b);
    else
        j->f((const float *)j->x->data + from, (float *)j->y->data + from, n, (float)j->a,
             (float)j->b);
}

static void parameters(const struct node *n, double *a, double *b) {
    double v[2] = { 0, 0 };
    int count = 0;
    for (const struct attr_def *d = n->def->attrs; d && d->name && count < 2; d++)
        if (d->type == ATTR_FLOAT)
            v[count++] = attr_float(n, d->name);
    *a = v[0];
    *b = v[1];
}

enum status unary_run(struct op_ctx *c, unary_float_fn *f, unary_double_fn *d) {
    struct unary_job j = {
        .x = c->in[0], .y = c->out[0], .n = tensor_count(c->in[0]), .f = f, .d = d
    };
    if (j.x->store != DT_F64 && j.x->store != DT_F32)
        return unary_integer(c);
    parameters(c->node, &j.a, &j.b);
    size_t tasks = (size_t)((j.n + PART - 1) / PART);
    if (tasks > 1)
        pool_run(c->pool, tasks, unary_part, &j);
    else if (tasks)
        unary_part(&j, 0);
    return OK;
}

enum status unary_grad(struct grad_ctx *c, unary_slope_fn *slope) {
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    double a, b;
    parameters(c->node, &a, &b);
    slope(c->in[0]->data, c->out[0]->data, c->grad_out[0]->data, c->grad_in[0]->data,
          tensor_count(c->in[0]), a, b);
    return OK;
}

enum status op_bad_type(struct op_ctx *c, int input) {
    return err_set(c->err, STATUS_UNSUPPORTED, "%s of %s (input %d) is not defined", c->node->op,
                   dtype_name(c->in[input]->dtype), input);
}
