/* Convolution: the plan that the reference kernel (conv.c) and the fast kernels share. */
#ifndef OPS_CONV_H
#define OPS_CONV_H

#include "ops/spatial.h"

/* Conv and ConvTranspose, resolved. Strides count elements. A channel index within a group runs to
 * `in_per_group` and `out_per_group`; group g's input channel i is channel g * in_per_group + i of
 * x. */
struct conv_plan {
    struct window w; /* ConvTranspose: w.in is x's and w.out is y's size, begin/end the padding that
                        is cut away */
    int64_t batch, groups, in_channels, out_channels, in_per_group, out_per_group;
    bool depthwise;      /* one input channel to a group, as the groups or the layout say */
    bool last_outermost; /* order of the kernel positions, see conv.c */
    int64_t x_batch, x_channel, x_spatial[MAX_RANK];
    int64_t y_batch, y_channel, y_spatial[MAX_RANK];
    /* Weight of group g, output channel o, input channel i: g * k_group + o * k_out + i * k_in. */
    int64_t k_group, k_out, k_in, k_spatial[MAX_RANK];
    int64_t y_dim[MAX_RANK];
    int rank;
};

/* Both check attributes and shapes. Dims of x may be unknown (negative), those of the kernel may
 * not. Strides are set only when every dim of x is known. */
enum status conv_plan(const struct node *n, int x_rank, const int64_t *x_dim, int k_rank,
                      const int64_t *k_dim, struct conv_plan *p, struct err *e);
enum status conv_transpose_plan(const struct node *n, int x_rank, const int64_t *x_dim, int k_rank,
                                const int64_t *k_dim, struct conv_plan *p, struct err *e);

/* Lists the taps of the output position `at` (a flat index over the spatial axes of y) in the
 * kernel's order, without those in the padding; gives their count. `taps` has
 * window_tap_room elements. */
int64_t conv_taps(const struct conv_plan *p, int64_t at, struct tap *taps);
int64_t conv_transpose_taps(const struct conv_plan *p, int64_t at, struct tap *taps);

/* Attributes of every form of the two operators, for tables of rows (ops/row.h). */
#define CONV_ATTRS                                                                \
    STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS), INT("group", 1),      \
        PLAIN("kernel_shape", INTS), PLAIN("pads", INTS), PLAIN("strides", INTS), \
        STRING("layout", "NCHW"), STRING("kernel_layout", "OIHW")
#define CONV_TRANSPOSE_ATTRS                                                                     \
    STRING("auto_pad", "NOTSET"), PLAIN("dilations", INTS), INT("group", 1),                     \
        PLAIN("kernel_shape", INTS), PLAIN("output_padding", INTS), PLAIN("output_shape", INTS), \
        PLAIN("pads", INTS), PLAIN("strides", INTS), STRING("layout", "NCHW"),                   \
        STRING("kernel_layout", "IOHW")

op_grad_fn conv_grad, conv_transpose_grad;

#endif
