/* What the classifiers and regressors of ai.onnx.ml share. They compute in float64 in every
 * precision; only what they write is rounded. */
#ifndef OPS_ML_SCORES_H
#define OPS_ML_SCORES_H

#include "ops/op.h"

enum post_transform { POST_NONE, POST_SOFTMAX, POST_LOGISTIC, POST_SOFTMAX_ZERO, POST_PROBIT };

enum status post_transform_read(const char *name, enum post_transform *out, struct err *e);
/* In place. */
void post_transform_apply(enum post_transform t, double *scores, int64_t n);
/* One score of two classes as two scores; gives their count. `all_positive`: it is the probability
 * of the second class (1 - s, s); else a signed distance (-s, s), transformed. */
int64_t second_score(enum post_transform t, bool all_positive, double scores[2]);

/* The labels of a classifier: integers or texts, never both. */
struct labels {
    const int64_t *ints;
    const char *const *strings;
    int64_t n;
};
enum status labels_read(const struct node *n, const char *ints, const char *strings,
                        struct labels *out, struct err *e);
void labels_set(const struct labels *l, struct tensor *y, int64_t i, int64_t label);
/* Outputs of a classifier: labels [N], scores [N, n_scores] float32; the input is [N, C] or [C]. */
enum status classifier_shape(struct shape_ctx *c, const struct labels *l, int64_t n_scores);

/* A number and its derivative. */
struct dual {
    double v, d;
};
/* Replaces the decision values of the pairs of n classes by the classes' probabilities: those of
 * the pairs are the logistic function of a * score + b, joined by the second method of Wu, Lin and
 * Weng (JMLR 2004) to 0.005 / n. work: couple_work(n) of them. slope (NULL: not wanted): by pair,
 * then class, the derivative. */
void couple_pairs(int64_t n, double *scores, const double *a, const double *b, struct dual *work,
                  double *slope);
int64_t couple_work(int64_t n);

/* A matrix input: rows and columns; a vector is one row. */
enum status ml_matrix(const struct tensor *x, int64_t *rows, int64_t *columns, struct err *e);

#endif
