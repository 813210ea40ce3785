/* What the numbers of a tensor are like, and a sketch of them that does not depend on their order.
 */
#ifndef TENSOR_STATS_H
#define TENSOR_STATS_H

#include "tensor/tensor.h"

/* NaN and infinities are counted and left out of all else. Sums are pairwise over blocks of 512
 * elements, each summed from left to right. */
struct stats {
    int64_t count; /* all elements */
    int64_t finite, nan, infinite, zero;
    double min, max;     /* of the finite ones; 0 when there are none */
    double mean, rms;    /* likewise */
    int64_t worst_index; /* of the largest magnitude, the first of equals; -1 when there is none */
};

/* Numbers only; strings, complex types and lists give the count alone. */
struct stats stats_of(const struct tensor *t);

enum { SKETCH_ORDERS = 9 };

/* The same for any permutation or reshape of the elements, to the last bit; and moves by no more
 * than the elements do, so values that differ by rounding have sketches that differ by rounding. */
struct sketch {
    int64_t count, nan, infinite;
    double order[SKETCH_ORDERS]; /* order statistics of the finite values at k/8 of their number:
                                    least, ..., largest */
    double sum;                  /* sums in rising order of the values */
    double sum_of_squares;
};

enum status sketch_of(struct sketch *out, const struct tensor *t, struct err *e);
/* How far apart two sketches are, relative to the spread of the values: 0 equal; infinite when
 * counts differ. */
double sketch_distance(const struct sketch *a, const struct sketch *b);

#endif
