/* A window that slides over up to three spatial axes, in the form that the fast kernels of
 * convolutions and pools share. */
#ifndef KERNELS_GEOMETRY_H
#define KERNELS_GEOMETRY_H

#include "ops/spatial.h"

enum {
    AXES = 3
}; /* spatial axes that the fast kernels know; missing ones come first and have size 1 */

struct conv_plan;

struct geometry {
    const struct conv_plan *p; /* a convolution's; set by its kernel */
    int missing;               /* axes */
    /* A transposed convolution's kernel runs backwards: a negative dilation. */
    int64_t in[AXES], out[AXES], kernel[AXES], stride[AXES], dilation[AXES], begin[AXES], end[AXES];
    int64_t x[AXES];                /* strides of the input in elements */
    int64_t positions, taps, plane; /* outputs and kernel positions of a channel; its inputs */
    int64_t inner[AXES][2];         /* outputs [from, to) of an axis whose taps all lie inside x */
    bool padded;                    /* there are outputs beyond */
};

/* w->n is at most AXES. */
void geometry_of(const struct window *w, const int64_t *x_spatial, struct geometry *g);
bool is_inner(const struct geometry *g, int axis, int64_t at);
/* The first and the last + 1 kernel index of an axis whose tap lies inside x for output `at`. */
void tap_range(const struct geometry *g, int axis, int64_t at, int64_t range[2]);
/* Indices of a flat output position and of a flat kernel position, both row-major. */
void position_of(const struct geometry *g, int64_t p, int64_t at[AXES]);
void tap_of(const struct geometry *g, int64_t tap, int64_t at[AXES]);
/* The next of each. */
void next_position(const struct geometry *g, int64_t at[AXES]);
void next_tap(const struct geometry *g, int64_t at[AXES]);

#endif
