/* Axes of reductions and of operators that work along one axis. */
#ifndef OPS_AXES_H
#define OPS_AXES_H

#include "ops/op.h"

/* Marks the axes to reduce. `axes` NULL or empty: all, or none when `none_if_empty`. */
enum status axes_mark(const int64_t *axes, int64_t n, bool none_if_empty, int rank, bool *reduced,
                      struct err *e);
/* A shape rule's result: dims of `in` without the marked ones, or 1 in their place. */
void axes_shape(const struct fact *in, const bool *reduced, bool keepdims, struct fact *out);

/* A tensor seen as [outer][n][inner] around one axis. */
struct axis_view {
    int64_t outer, n, inner;
};
struct axis_view axis_view(const struct tensor *t, int axis);

/* A reduction as slabs: every output element, or run of them, from the same pattern of input
 * elements. */
struct slabs {
    int64_t count;   /* elements reduced into one */
    bool inner_kept; /* the innermost run is kept: a slab makes `run` outputs; else it is reduced
                        into one */
    int64_t run;     /* length of the innermost run */
    int64_t *offset; /* of the reduced runs, in row-major order */
    int64_t n_offsets;
    int64_t *base; /* of the slabs in the input, in the output's order */
    int64_t n_slabs;
};
/* Lists live in `a`. */
void slabs_plan(struct slabs *s, const struct tensor *x, const bool *reduced, struct arena *a);

#endif
