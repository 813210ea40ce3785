/* Running one node: facts, shape rule, allocation, kernel, rounding to the declared type. */
#include <stdlib.h>
#include <string.h>

#include "ops/op.h"

enum dtype store_of(enum dtype declared, enum precision p) {
    if (dtype_is_float(declared)) {
        if (p == PREC_F64 || declared == DT_F64)
            return DT_F64;
        return DT_F32;
    }
    if (declared == DT_C64 && p == PREC_F64)
        return DT_C128;
    return dtype_row(declared)->widened;
}

/* The same bytes at an address that the element type allows: a mapped file may have them anywhere.
 */
static enum status aligned_copy(struct tensor **out, const struct tensor *t, struct err *e) {
    TRY(tensor_new(out, t->dtype, t->store, t->rank, t->dim, e));
    memcpy((*out)->data, t->data, tensor_bytes(t));
    return OK;
}

static bool misaligned(const struct tensor *t) {
    size_t size = t->store == DT_STRING ? sizeof(char *) : dtype_size(t->store);
    return t->data && !t->buf && (uintptr_t)t->data % (size > 8 ? 8 : size) != 0;
}

/* A sequence, optional or map: item by item. */
static enum status list_for_kernel(struct tensor **out, const struct tensor *t, enum precision p,
                                   struct err *e) {
    struct tensor *list = tensor_new_list(t->kind, t->dtype, t->n_items);
    for (int64_t i = 0; i < t->n_items; i++) {
        enum status s = tensor_for_kernel(&list->items[i], t->items[i], p, e);
        if (s != OK) {
            tensor_free(list);
            return s;
        }
    }
    *out = list;
    return OK;
}

enum status tensor_for_kernel(struct tensor **out, const struct tensor *t, enum precision p,
                              struct err *e) {
    if (t->kind != KIND_TENSOR)
        return list_for_kernel(out, t, p, e);
    if (t->store == store_of(t->dtype, p) && misaligned(t))
        return aligned_copy(out, t, e);
    return tensor_convert(out, t, store_of(t->dtype, p), e);
}

bool op_wanted(const struct op_ctx *c, int i) {
    return i < c->n_out && c->node->out[i];
}

enum status op_output(struct op_ctx *c, int i, enum dtype dtype, int rank, const int64_t *dim) {
    if (c->out[i])
        return dims_equal(c->out[i]->dim, c->out[i]->rank, dim, rank)
                   ? OK
                   : err_set(c->err, STATUS_BUG, "shape rule and kernel of %s disagree",
                             c->node->op);
    return tensor_new_from(&c->out[i], c->recycler, !c->fills, dtype, store_of(dtype, c->precision),
                           rank, dim, c->err);
}

enum status op_output_alias(struct op_ctx *c, int i, int j, int rank, const int64_t *dim) {
    int64_t n;
    FAIL_IF(!dims_count(dim, rank, &n) || n != tensor_count(c->in[j]), c->err, STATUS_CORRUPT,
            "the output's shape has another number of elements than the input's %lld",
            (long long)tensor_count(c->in[j]));
    tensor_free(c->out[i]);
    c->out[i] = tensor_alias(c->in[j]);
    c->out[i]->rank = rank;
    memcpy(c->out[i]->dim, dim, (size_t)rank * sizeof *dim);
    return OK;
}

static enum status only_numbers(const struct node *n, int i, const struct fact *in, struct err *e) {
    if (in->absent || in->dtype == DT_NONE)
        return OK;
    enum dtype_class class_ = dtype_row(in->dtype)->class_;
    FAIL_IF(class_ == CLASS_STRING || class_ == CLASS_COMPLEX, e, STATUS_CORRUPT,
            "%s of %s (input %d) is not defined", n->op, dtype_name(in->dtype), i);
    return OK;
}

enum status op_shape(const struct node *n, struct model *m, struct arena *scratch,
                     const struct fact *in, struct fact *out, struct err *e) {
    for (int i = 0; i < n->n_out; i++)
        out[i] = (struct fact) { .rank = -1, .absent = !n->out[i] };
    TRY(op_check(n, e));
    static const char *const kinds[] = { "a tensor", "a sequence", "an optional", "a map",
                                         "a sparse tensor" };
    for (int i = 0; i < n->n_in && !(n->def->flags & OP_KINDS); i++)
        FAIL_IF(!in[i].absent && in[i].kind != KIND_TENSOR, e, STATUS_CORRUPT,
                "input %d of %s is %s", i, n->op, kinds[in[i].kind]);
    if (!(n->def->flags & (OP_ANY_TYPE | OP_MOVES | OP_KINDS | OP_SUBGRAPH)))
        for (int i = 0; i < n->n_in; i++)
            TRY(only_numbers(n, i, &in[i], e));
    for (int i = 0; i < n->n_in && i < 32; i++)
        FAIL_IF(n->def->whole >> i & 1 && !in[i].absent && in[i].dtype != DT_NONE &&
                    !dtype_is_int(in[i].dtype),
                e, STATUS_CORRUPT, "input %d of %s is %s; integers are asked for", i, n->op,
                dtype_name(in[i].dtype));
    struct shape_ctx c = { n, m, scratch, n->n_in, n->n_out, in, out, e };
    return n->def->shape(&c);
}

static void fact_of(struct fact *f, const struct tensor *t) {
    *f = (struct fact) { .absent = true, .rank = -1 };
    if (!t)
        return;
    f->absent = false;
    f->kind = t->kind;
    f->dtype = t->dtype;
    f->rank = t->kind == KIND_TENSOR ? t->rank : -1;
    memcpy(f->dim, t->dim, sizeof f->dim);
    f->value = t;
}

/* In a run with declared types a float16 result is a float16 value. */
static void round_to_declared(struct tensor *t) {
    if (!t || t->kind != KIND_TENSOR || t->store != DT_F32 || t->dtype == DT_F32 ||
        !dtype_is_float(t->dtype))
        return;
    float_round_all(t->dtype, t->data, tensor_count(t));
}

/* With all inputs known, a rule leaves only what its kernel finds out open. */
static enum status shapes_told(const struct node *n, const struct fact *out, struct err *e) {
    if (n->def->flags & (OP_DATA_SHAPE | OP_VIEW | OP_KINDS | OP_SUBGRAPH))
        return OK;
    for (int i = 0; i < n->n_out; i++)
        FAIL_IF(n->out[i] && out[i].kind == KIND_TENSOR &&
                    (out[i].dtype == DT_NONE || !fact_known(&out[i])),
                e, STATUS_CORRUPT, "the %s of output %d cannot be told from the inputs",
                out[i].dtype == DT_NONE ? "element type" : "shape", i);
    return OK;
}

static enum status run(const struct op_env *env, const struct node *n,
                       const struct tensor *const *in, struct tensor **out, struct err *e) {
    struct fact *fin = NEW_ARRAY(env->scratch, n->n_in + 1, struct fact),
                *fout = NEW_ARRAY(env->scratch, n->n_out + 1, struct fact);
    for (int i = 0; i < n->n_in; i++)
        fact_of(&fin[i], in[i]);
    TRY(op_shape(n, n->graph->model, env->scratch, fin, fout, e));
    struct op_ctx c = {
        .node = n,
        .precision = env->precision,
        .pool = env->pool,
        .scratch = env->scratch,
        .n_in = n->n_in,
        .n_out = n->n_out,
        .in = in,
        .out = out,
        .out_fact = fout,
        .seed = env->seed,
        .round_casts = !env->keep_casts,
        .run_graph = env->run_graph,
        .exec = env->exec,
        .env = env,
        .packs = env->packs,
        .recycler = env->recycler,
        .follower = env->follower,
        .err = e,
    };
    op_eval_fn *fast = env->fast ? env->fast(n, &c.fills) : NULL;
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && fact_known(&fout[i]) && fout[i].dtype != DT_NONE &&
            !(n->def->flags & OP_VIEW))
            TRY(op_output(&c, i, fout[i].dtype, fout[i].rank, fout[i].dim));
    TRY(shapes_told(n, fout, e));
    TRY((fast ? fast : n->def->eval)(&c));
    for (int i = 0; i < n->n_out; i++) {
        FAIL_IF(n->out[i] && !out[i], e, STATUS_BUG, "the kernel of %s made no output %d", n->op,
                i);
        if (env->precision != PREC_F64 && !(n->def->flags & OP_VIEW))
            round_to_declared(out[i]);
    }
    return OK;
}

enum status op_run(const struct op_env *env, const struct node *n, const struct tensor *const *in,
                   struct tensor **out, struct err *e) {
    for (int i = 0; i < n->n_out; i++)
        out[i] = NULL;
    enum status s = run(env, n, in, out, e);
    if (s != OK) {
        for (int i = 0; i < n->n_out; i++) {
            tensor_free(out[i]);
            out[i] = NULL;
        }
        err_at(e, "node %s (%s)", node_label(n, env->scratch), n->origin.op ? n->origin.op : n->op);
    }
    return s;
}
