/* The gradient of data movement. */
#include "ops/move.h"

/* A tensor of the inputs, alone or in a sequence or optional: its elements are known by the numbers
 * from `base` on. */
struct leaf {
    double base;
    struct tensor *grad; /* NULL: not wanted */
};

struct numbering {
    struct grad_ctx *c;
    struct leaf *leaves; /* by base */
    int n;
    double next;
};

/* x with its float elements replaced by the numbers that follow; others stay. */
static const struct tensor *number(struct numbering *w, const struct tensor *x,
                                   struct tensor *grad) {
    struct arena *a = w->c->scratch;
    if (!x || (x->kind == KIND_TENSOR && x->store != DT_F64))
        return x;
    struct tensor *t = NEW(a, struct tensor);
    *t = *x;
    t->buf = NULL;
    if (x->kind != KIND_TENSOR) {
        t->items = NEW_ARRAY(a, x->n_items + 1, struct tensor *);
        for (int64_t i = 0; i < x->n_items; i++)
            t->items[i] =
                (struct tensor *)(uintptr_t)number(w, x->items[i], grad ? grad->items[i] : NULL);
        return t;
    }
    struct leaf leaf = { w->next, grad };
    double *v = NEW_ARRAY(a, tensor_count(x) + 1, double);
    for (int64_t k = 0, n = tensor_count(x); k < n; k++)
        v[k] = w->next++;
    t->data = v;
    PUSH(a, w->leaves, w->n, leaf);
    return t;
}

static const struct leaf *leaf_of(const struct numbering *w, double number) {
    int low = 0, high = w->n; /* leaves[low].base <= number < leaves[high].base */
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        *(w->leaves[middle].base <= number ? &low : &high) = middle;
    }
    return &w->leaves[low];
}

static void add_back(const struct numbering *w, const struct tensor *from,
                     const struct tensor *grad) {
    if (!from || !grad)
        return;
    for (int64_t i = 0; from->kind != KIND_TENSOR && i < from->n_items && i < grad->n_items; i++)
        add_back(w, from->items[i], grad->items[i]);
    if (from->kind != KIND_TENSOR || from->store != DT_F64)
        return;
    const double *source = from->data, *g = grad->data;
    for (int64_t k = 0, n = tensor_count(from); k < n; k++) {
        if (source[k] < 1) /* a constant fill */
            continue;
        const struct leaf *leaf = leaf_of(w, source[k]);
        if (leaf->grad)
            ((double *)leaf->grad->data)[(int64_t)(source[k] - leaf->base)] += g[k];
    }
}

enum status grad_moves(struct grad_ctx *c) {
    const struct tensor **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct tensor **out = NEW_ARRAY(c->scratch, c->n_out + 1, struct tensor *);
    struct op_env env = { .precision = PREC_F64, .scratch = c->scratch };
    struct numbering w = { .c = c, .next = 1 };
    for (int i = 0; i < c->n_in; i++)
        in[i] = number(&w, c->in[i], c->grad_in[i]);
    FAIL_IF(w.next > 9007199254740992.0, c->err, STATUS_UNSUPPORTED, "too many elements to number");
    TRY(op_run(&env, c->node, in, out, c->err));
    for (int i = 0; i < c->n_out; i++) {
        add_back(&w, out[i], c->grad_out[i]);
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
