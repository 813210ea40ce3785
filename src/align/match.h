/* Matching values of two models by their contents.
 *
 * Every value of the source has a sketch: statistics of its elements over all samples that do not
 * change under permutation or reshape. A target value is looked up by sketch, and a candidate
 * counts only when its elements agree under a view. Among equals the one whose place in the graph
 * fits is taken; names never decide. */
#ifndef ALIGN_MATCH_H
#define ALIGN_MATCH_H

#include "align/trace.h"
#include "base/map.h"
#include "compare/layout.h"

struct link {                   /* a target value's counterpart */
    const struct value *source; /* NULL: none */
    struct pair_view view;
    double error; /* largest difference of the target node's own result from the source's value */
    double scale; /* largest magnitude of the source's value */
    enum matched_by by;
    bool pinned; /* set by resynchronisation: the values differ */
};

struct sketch { /* of one sample */
    double sum, sum_sq, low, high;
};

struct alignment {
    struct arena *arena;
    struct trace *source, *target;
    struct link *link; /* by target value id */
    int n_link;
    int *claims; /* by source value id: how many target values are linked to it */
    int *order;  /* by source value id: position of its producer, -1 for inputs */
    int *target_order;
    struct sketch **sketch; /* by source value id: of each sample, NULL when the value is not made
                               of real numbers */
    double *scale;          /* by source value id: layout_scale */
    const struct value **dynamic; /* source values that depend on the inputs, in execution order */
    int n_dynamic;
    const struct value **list; /* room for candidates */
    struct uses *source_uses, *target_uses;
    struct map_hint const *hints;
    int n_hints;
};

enum { COMPARED_SAMPLES = 64 };
/* Relative differences: below EXACT two values are the same computation in float64; below NEAR they
 * are the same value up to rounded constants or a small fault. */
#define MATCH_EXACT 1e-9
#define MATCH_NEAR 2e-3

void alignment_init(struct alignment *al, struct trace *source, struct trace *target,
                    struct arena *a);
void alignment_link(struct alignment *al, const struct value *target, const struct link *l);
void alignment_unlink(struct alignment *al, const struct value *target);

/* The best counterpart of a target value, whose contents are in the target's environment. `tol`:
 * MATCH_EXACT or MATCH_NEAR. False: none. */
bool match_value(const struct alignment *al, const struct value *target, double tol,
                 struct link *out);
/* Do these two values agree? Fills view, error, scale. */
bool match_pair(const struct alignment *al, const struct value *source, const struct value *target,
                double tol, struct link *out);

/* Operator and domain are the same. */
bool same_operator(const struct node *a, const struct node *b);

/* Contents of all samples; false when any is missing or not made of real numbers. */
bool samples_of(const struct trace *t, const struct value *v, const struct tensor **out);

#endif
