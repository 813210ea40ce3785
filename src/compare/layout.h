/* Layout views: which permutation and reshape turns a source value into a target value.
 *
 * A view reads the source as shape `from`, permutes its axes, and reads the result in the target's
 * shape. It is found by comparing contents, and reported, never silently forgiven. */
#ifndef COMPARE_LAYOUT_H
#define COMPARE_LAYOUT_H

#include "compare/result.h"

/* What two arrays differ by under a view. */
struct layout_match {
    struct pair_view view;
    double max_abs; /* largest absolute difference over all samples */
    double scale;   /* what the source's elements typically measure: see layout_scale */
};

/* Looks for a view under which all samples agree within tol * scale. source[k] and target[k] have
 * the same number of elements; scale is the source's layout_scale. hints (views seen at the node's
 * inputs) are tried first after the identity. False: none. Needs element types that are real
 * numbers. */
bool layout_find(const struct tensor *const *source, const struct tensor *const *target,
                 int samples, double scale, double tol, const struct pair_view *hints, int n_hints,
                 struct layout_match *out);

/* The magnitude that most elements keep below: the largest over the samples, but at most 8 times
 * their median, of each array's largest, or of 8 times its 90th percentile when that is less; masks
 * of -1e9 and the like count for neither, however many elements they cover. Elements beyond it are
 * compared relative to themselves. */
double layout_scale(const struct tensor *const *t, int samples);

/* All views that the shapes allow, the plainest first, at most max; contents are not looked at. */
int layout_candidates(const struct tensor *source, const struct tensor *target,
                      const struct pair_view *hints, int n_hints, struct pair_view *out, int max);

/* The source read through the view, in the target's shape (rank, dim). New tensor: free it. */
enum status layout_apply(struct tensor **out, const struct tensor *source,
                         const struct pair_view *view, int rank, const int64_t *dim, struct err *e);
/* Back: the target's array as the source lays it out. */
enum status layout_undo(struct tensor **out, const struct tensor *target,
                        const struct pair_view *view, int rank, const int64_t *dim, struct err *e);

bool view_equal(const struct pair_view *a, const struct pair_view *b);

#endif
