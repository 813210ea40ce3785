/* Normalisation of sets of elements: what the operators of norm.c and norm_contrib.c share. */
#ifndef OPS_NORM_H
#define OPS_NORM_H

#include "ops/op.h"

enum norm_kind {
    NORM_GIVEN,    /* mean and variance are given per set */
    NORM_MEAN,     /* by the mean and variance of the set, epsilon below the root */
    NORM_MEAN_STD, /* the same, epsilon added to the root (MeanVarianceNormalization) */
    NORM_RMS,      /* by the root of the mean square */
    NORM_L1,
    NORM_L2,
};

/* Set s has the elements x[outer[s] + inner[i]], i < n_inner. Its scale and bias for element i are
 * at index s % weight_period * weight_stride + i * weight_step. All float data is of type `store`;
 * NULL weights are 1 and 0. */
struct norm_job {
    enum norm_kind kind;
    enum dtype store;
    const void *x, *scale, *bias;
    void *y;
    const int64_t *outer, *inner;
    int64_t n_outer, n_inner;
    int64_t weight_period, weight_stride;
    int weight_step;
    double epsilon;
    void *mean, *variance; /* per set: read by NORM_GIVEN, else written when not NULL */
    void *inverse;         /* per set, 1 / root: written when not NULL */
};
void norm_run(struct op_ctx *c, struct norm_job *j);

/* Fills outer and inner for sets that are the last axes, from `axis` on. */
void norm_rows(struct op_ctx *c, struct norm_job *j, int rank, const int64_t *dim, int axis);
/* Sets scale (input i) and bias (input k) of norm_rows' sets, broadcast to the shape. */
void norm_row_weights(struct op_ctx *c, struct norm_job *j, int i, int k, int rank,
                      const int64_t *dim);
/* Room for a statistic per set whose output is `out`, which may have another store: filled by
 * norm_statistic_done. */
void *norm_statistic(struct op_ctx *c, const struct norm_job *j, int out);
void norm_statistic_done(struct op_ctx *c, const struct norm_job *j, int out, const void *values);
/* The dtype of the attribute stash_type. */
enum status norm_stash_type(const struct node *n, enum dtype *t, struct err *e);

/* GroupNormalization's sets: the channel axis becomes two, [groups, channels in a group]. */
enum status norm_group_sets(struct arena *a, const struct tensor *x, int channel, int64_t groups,
                            struct norm_job *j, struct err *e);
/* The axes that MeanVarianceNormalization reduces, and the epsilon of its function body. */
enum status norm_mean_axes(const struct node *n, int rank, bool *in, struct err *e);
#define NORM_MEAN_EPSILON 1e-9

/* The gradient of rows from axis `first` on: inputs x, scale, bias; outputs y and, for NORM_MEAN,
 * mean and inverse. Reads the node's epsilon. */
enum status norm_rows_grad(struct grad_ctx *c, enum norm_kind kind, int64_t first);

op_grad_fn batch_norm_grad, instance_norm_grad, group_norm_grad, layer_norm_grad, rms_norm_grad,
    lp_norm_grad, mean_variance_grad, lrn_grad;

#endif
