/* Views: other orders and parts of a tensor's elements, without copying them. */
#ifndef TENSOR_VIEW_H
#define TENSOR_VIEW_H

#include "tensor/tensor.h"

/* Element [i0, i1, ...] of the view is element offset + i0*stride[0] + i1*stride[1] + ... of the
 * base. */
struct view {
    const struct tensor *base; /* borrowed */
    int rank;
    int64_t dim[MAX_RANK];
    int64_t stride[MAX_RANK]; /* in elements; negative: backwards; 0: the same element again */
    int64_t offset;
};

struct view view_of(const struct tensor *t);
int64_t view_count(const struct view *v);
/* Flat index in the base of the view's element i (flat, row-major). */
int64_t view_index(const struct view *v, int64_t i);
/* Axis k of the result is axis perm[k] of v. `perm` must be a permutation. */
struct view view_permute(const struct view *v, const int *perm);
/* Other dims for the same elements in the same order. False, and *out as it was, when strides
 * cannot say that (then materialise first) or the count differs. */
bool view_reshape(const struct view *v, int rank, const int64_t *dim, struct view *out);
/* `count` elements of an axis from `start` in steps of `step` (not 0); all must lie inside. */
struct view view_slice(const struct view *v, int axis, int64_t start, int64_t count, int64_t step);
struct view view_reverse(const struct view *v, int axis);
/* The view's elements as a tensor of their own (same dtype and store). Free with tensor_free. */
enum status view_materialise(struct tensor **out, const struct view *v, struct err *e);
/* view_permute and view_materialise in one. */
enum status tensor_transpose(struct tensor **out, const struct tensor *t, const int *perm,
                             struct err *e);

#endif
