/* Which numbers an input is made for, learnt from the nodes that read it. */
#ifndef COMPARE_RANGES_H
#define COMPARE_RANGES_H

#include "ir/ir.h"

struct input_range {
    double mean, deviation; /* floats */
    bool wide;              /* integers without bounds: large magnitudes are worth trying */
    double low, high;       /* floats: clamp when low <= high; integers: inclusive bounds */
};

/* dims: of all inputs of the main graph. variant: 0 the best guess; 1, 2: other integer ranges, for
 * a model that refuses. */
struct input_range input_range_of(const struct model *m, int input, int64_t (*dims)[MAX_RANK],
                                  int variant, struct arena *a);

/* The real numbers that a QuantizeLinear by constants of at most 16 bits holds when its input
 * `input` is the one quantized, and the largest step between them; false: another node. */
bool quantizer_bounds(const struct node *n, int input, double *low, double *high, double *step);
/* When the model quantizes the float input by constants before anything else: the range that these
 * can hold, into *r. */
bool input_range_quantized(const struct model *m, int input, struct input_range *r,
                           struct arena *a);

#endif
