/* Geometry that convolutions and pools share: where the axes lie, and how a window slides. */
#ifndef OPS_SPATIAL_H
#define OPS_SPATIAL_H

#include "ops/op.h"

/* Axes of an activation, attribute `layout`: "NCHW" is N, C, spatial and "NHWC" is N, spatial, C,
 * for any rank >= 2. N is axis 0; spatial axes are consecutive. */
struct layout {
    int channel;
    int spatial; /* the first spatial axis */
    int n;       /* number of spatial axes */
};
enum status layout_read(const struct node *n, int rank, struct layout *out, struct err *e);

/* Axes of a convolution kernel, attribute `kernel_layout` (H W stands for all spatial axes): OIHW,
 * IOHW, OHWI, IHWO, HWIO, HWOI, and HWIM: TensorFlow's depthwise [spatial, in, multiplier], output
 * channel in * multiplier + m. */
struct kernel_layout {
    int out, in; /* axes; HWIM: in is -1 and `out` is the multiplier's axis */
    int spatial;
    bool depthwise; /* IHWO and HWIM: the file says that the convolution is depthwise */
};
enum status kernel_layout_read(const struct node *n, int rank, struct kernel_layout *out,
                               struct err *e);

/* A window that slides over n spatial axes. */
struct window {
    int n;
    int64_t in[MAX_RANK], out[MAX_RANK]; /* sizes; negative: unknown or a symbol */
    int64_t kernel[MAX_RANK], stride[MAX_RANK], dilation[MAX_RANK];
    int64_t begin[MAX_RANK],
        end[MAX_RANK]; /* padding; may be negative only where an operator allows it */
};

/* Sizes of a window's reach: (kernel - 1) * dilation + 1. */
int64_t window_reach(const struct window *w, int axis);
/* Reads kernel_shape (unless w->kernel was set by the caller: kernel_given), strides, dilations and
 * pads, checks them. */
enum status window_read(const struct node *n, int spatial, bool kernel_given, struct window *w,
                        struct err *e);
/* Resolves auto_pad into begin and end and computes out from in. ceil_mode: round the count of
 * windows up, but leave out a last window that would start in the padding after the data. */
enum status window_fit(const struct node *n, struct window *w, bool ceil_mode, struct err *e);

/* One tap of a window: where it reads x (within an image and channel) and the kernel. */
struct tap {
    int64_t x, k;
};
/* Lists the taps of the output position `at` (flat over the spatial axes) that meet x, kernel
 * positions row-major, the first axis outermost (`last_outermost`: the last axis outermost).
 * `transposed`: the window of a ConvTranspose. Strides in elements; k_stride may be NULL. `taps`
 * has window_tap_room elements. Returns the count. */
int64_t window_taps(const struct window *w, int64_t at, const int64_t *x_stride,
                    const int64_t *k_stride, bool last_outermost, bool transposed,
                    struct tap *taps);
/* The most taps that an output position has: never more than x has elements in an image's channel.
 */
int64_t window_tap_room(const struct window *w);
/* Number of output positions. */
int64_t window_out_count(const struct window *w);
/* The offset in y of the output position `at`. */
int64_t window_out_offset(const struct window *w, int64_t at, const int64_t *y_stride);

/* A list attribute of one integer per spatial axis, each >= least; `fallback` where absent. */
enum status spatial_list(const struct node *n, const char *name, int count, int64_t least,
                         int64_t fallback, int64_t *out, struct err *e);

/* Row-major strides in elements. */
void strides_of(int rank, const int64_t *dim, int64_t *stride);

#endif
