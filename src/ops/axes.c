#include "ops/axes.h"

enum status axes_mark(const int64_t *axes, int64_t n, bool none_if_empty, int rank, bool *reduced,
                      struct err *e) {
    for (int i = 0; i < rank; i++)
        reduced[i] = !n && !none_if_empty;
    for (int64_t i = 0; i < n; i++) {
        int axis;
        TRY(axis_normalise(axes[i], rank, &axis, e));
        reduced[axis] = true;
    }
    return OK;
}

void axes_shape(const struct fact *in, const bool *reduced, bool keepdims, struct fact *out) {
    out->rank = 0;
    for (int i = 0; i < in->rank; i++)
        if (!reduced[i])
            out->dim[out->rank++] = in->dim[i];
        else if (keepdims)
            out->dim[out->rank++] = 1;
}

struct axis_view axis_view(const struct tensor *t, int axis) {
    struct axis_view v = { 1, t->dim[axis], 1 };
    for (int i = 0; i < axis; i++)
        v.outer *= t->dim[i];
    for (int i = axis + 1; i < t->rank; i++)
        v.inner *= t->dim[i];
    return v;
}

/* Offsets of all combinations of the dims whose `reduced` is `which`, in row-major order. */
static int64_t *combinations(const int64_t *dim, const int64_t *stride, const bool *reduced,
                             int rank, bool which, int64_t *count, struct arena *a) {
    *count = 1;
    for (int i = 0; i < rank; i++)
        if (reduced[i] == which)
            *count *= dim[i];
    int64_t *list = NEW_ARRAY(a, *count + 1, int64_t);
    for (int64_t k = 0; k < *count; k++) {
        int64_t rest = k;
        for (int i = rank - 1; i >= 0; i--)
            if (reduced[i] == which) {
                list[k] += rest % dim[i] * stride[i];
                rest /= dim[i];
            }
    }
    return list;
}

void slabs_plan(struct slabs *s, const struct tensor *x, const bool *reduced, struct arena *a) {
    int64_t dim[MAX_RANK + 1] = { 0 }, stride[MAX_RANK + 1];
    bool is_reduced[MAX_RANK + 1] = { 0 };
    int rank = 0;
    *s = (struct slabs) { .count = 1 };
    for (int i = 0; i < x->rank; i++) {
        if (reduced[i])
            s->count *= x->dim[i];
        if (rank && is_reduced[rank - 1] == reduced[i]) {
            dim[rank - 1] *= x->dim[i];
        } else {
            is_reduced[rank] = reduced[i];
            dim[rank++] = x->dim[i];
        }
    }
    if (!rank)
        dim[rank++] = 1;
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= dim[i];
    }
    s->inner_kept = !is_reduced[rank - 1];
    s->run = dim[rank - 1];
    s->offset = combinations(dim, stride, is_reduced, rank - 1, true, &s->n_offsets, a);
    s->base = combinations(dim, stride, is_reduced, rank - 1, false, &s->n_slabs, a);
}
