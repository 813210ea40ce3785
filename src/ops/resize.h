/* Resize: one axis at a time, and the attributes that every form of it has. */
#ifndef OPS_RESIZE_H
#define OPS_RESIZE_H

#include "ops/op.h"

/* y[outer][o][inner] is the fma chain from 0 over t in [first[o], first[o + 1]) of weight[t] and
 * x[outer][index[t]][inner]; x and y of type `store`. */
struct resize_lines {
    enum dtype store;
    const int64_t *first, *index;
    const double *weight;
    int64_t outer, in, out, inner;
    const void *x;
    void *y;
};

/* For tables of rows (ops/row.h). */

#define RESIZE_ATTRS                                                                           \
    INT("antialias", 0), PLAIN("axes", INTS),                                                  \
        STRING("coordinate_transformation_mode", "half_pixel"), FLOAT("cubic_coeff_a", -0.75), \
        INT("exclude_outside", 0), FLOAT("extrapolation_value", 0),                            \
        STRING("keep_aspect_ratio_policy", "stretch"), STRING("mode", "nearest"),              \
        STRING("nearest_mode", "round_prefer_floor")

#endif
