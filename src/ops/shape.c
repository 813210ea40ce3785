/* Helpers of shape rules. */
#include <string.h>

#include "ops/op.h"

bool fact_known(const struct fact *f) {
    for (int i = 0; i < f->rank; i++)
        if (f->dim[i] < 0)
            return false;
    return f->rank >= 0 && f->kind == KIND_TENSOR;
}

void shape_copy(struct shape_ctx *c, int out, int in) {
    c->out[out].kind = c->in[in].kind;
    c->out[out].dtype = c->in[in].dtype;
    c->out[out].rank = c->in[in].rank;
    memcpy(c->out[out].dim, c->in[in].dim, sizeof c->in[in].dim);
}

enum status shape_same(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    return OK;
}

static enum status broadcast_dim(struct shape_ctx *c, int64_t a, int64_t b, int64_t *out) {
    if (a == b)
        *out = a;
    else if (a == 1)
        *out = b;
    else if (b == 1)
        *out = a;
    else if (a >= 0 && b >= 0)
        return err_set(c->err, STATUS_CORRUPT, "dimensions %lld and %lld do not broadcast",
                       (long long)a, (long long)b);
    else
        *out = a > 1 ? a : b > 1 ? b : DIM_UNKNOWN;
    return OK;
}

enum status shape_broadcast(struct shape_ctx *c, const struct fact *a, const struct fact *b,
                            struct fact *out) {
    if (a->rank < 0 || b->rank < 0) {
        out->rank = -1;
        return OK;
    }
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t dim[MAX_RANK] = { 0 };
    for (int i = 0; i < rank; i++) {
        int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        TRY(broadcast_dim(c, ia < 0 ? 1 : a->dim[ia], ib < 0 ? 1 : b->dim[ib], &dim[i]));
    }
    out->rank = rank;
    memcpy(out->dim, dim, sizeof dim);
    return OK;
}

enum status shape_broadcast_all(struct shape_ctx *c) {
    struct fact acc = c->in[0];
    for (int i = 1; i < c->n_in; i++)
        if (!c->in[i].absent)
            TRY(shape_broadcast(c, &acc, &c->in[i], &acc));
    c->out[0].dtype = c->in[0].dtype;
    c->out[0].rank = acc.rank;
    memcpy(c->out[0].dim, acc.dim, sizeof acc.dim);
    return OK;
}

bool fact_ints(struct shape_ctx *c, const struct fact *f, const int64_t **v, int64_t *n) {
    if (f->absent || !f->value || f->value->kind != KIND_TENSOR)
        return false;
    int64_t count = tensor_count(f->value);
    int64_t *list = NEW_ARRAY(c->arena, count + 1, int64_t);
    for (int64_t i = 0; i < count; i++)
        list[i] = tensor_i64(f->value, i);
    *v = list;
    *n = count;
    return true;
}

static const int64_t CODES = INT64_C(1) << 61; /* code k of a dimension -k is CODES + k */

int64_t part_of_dim(int64_t dim) {
    return dim < 0 ? CODES - dim : dim;
}

bool part_is_code(int64_t part) {
    return part > CODES && part <= CODES + INT32_MAX;
}

int64_t dim_of_part(int64_t part) {
    return part_is_code(part) ? CODES - part : part < 0 ? DIM_UNKNOWN : part;
}

bool fact_parts(struct shape_ctx *c, const struct fact *f, const int64_t **v, int64_t *n) {
    if (f->absent || !f->parts)
        return fact_ints(c, f, v, n);
    *v = f->parts->data;
    *n = tensor_count(f->parts);
    return true;
}

void fact_join(struct fact *f, const struct fact *other) {
    f->value = f->parts = NULL;
    if (f->kind != other->kind || f->dtype != other->dtype) {
        *f = (struct fact) { .rank = -1 };
        return;
    }
    if (f->rank != other->rank)
        f->rank = -1;
    for (int i = 0; i < f->rank; i++)
        if (f->dim[i] != other->dim[i])
            f->dim[i] = DIM_UNKNOWN;
}

enum status axis_normalise(int64_t axis, int rank, int *out, struct err *e) {
    FAIL_IF(axis < -rank || axis >= rank, e, STATUS_CORRUPT,
            "axis %lld is outside a tensor of rank %d", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return OK;
}
