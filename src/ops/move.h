/* Moving elements without looking at them: by size, so that every element type works. */
#ifndef OPS_MOVE_H
#define OPS_MOVE_H

#include "ops/op.h"

enum { MOVE_RANK = 2 * MAX_RANK };

/* A copy of dim[0] x dim[1] x ... elements between two strided places. Steps are in elements, may
 * be zero (source: repeat) or negative. */
struct move {
    char *dst;
    const char *src;
    size_t size; /* of an element in bytes */
    int rank;
    int64_t dim[MOVE_RANK], dst_step[MOVE_RANK], src_step[MOVE_RANK];
};
void move_run(const struct move *m);

/* The steps of a dense row-major array. */
void dense_steps(const int64_t *dim, int rank, int64_t *step);
/* dim[from] * ... * dim[to - 1]. */
int64_t dims_product(const int64_t *dim, int from, int to);
/* The same for dimensions that may be unknown: a symbol times one is the symbol. */
int64_t dims_product_symbolic(const int64_t *dim, int from, int to);

size_t element_size(const struct tensor *t);
char *element_at(const struct tensor *t, int64_t i);
/* n copies of one element. */
void fill_elements(char *dst, const char *element, size_t size, int64_t n);
/* Gives a string tensor its own copies of the texts it points to (they belong to inputs), and the
 * empty text where none is set. Other tensors: nothing. */
void own_strings(struct tensor *t);
/* Copies all elements of `from` into `to` (same store and count). */
void copy_elements(struct tensor *to, const struct tensor *from);

/* Shape rules: the dims of a fact, set at once. */
void fact_set(struct fact *f, enum dtype dtype, int rank, const int64_t *dim);
/* Rank known, all dims unknown. */
void fact_set_unknown(struct fact *f, enum dtype dtype, int rank);
/* Sets contents of an integer output (int64), dimensions or a single one (rank 0), which infer
 * keeps. */
void fact_set_ints(struct shape_ctx *c, struct fact *f, const int64_t *v, int64_t n, int rank);
/* Kernel of the operators that only give their first input another shape. */
enum status eval_view(struct op_ctx *c);
enum status grad_view(struct grad_ctx *c);

/* Integer contents of a tensor as a list in scratch; NULL and 0 for NULL. */
const int64_t *ints_of(struct arena *a, const struct tensor *t, int64_t *n);

/* The gradient of every operator that only moves elements: the kernel is run on element numbers,
 * which tells where each output element came from. */
enum status grad_moves(struct grad_ctx *c);

/* An index that may count from the end, checked: 0 <= *i < n afterwards. */
enum status index_normalise(int64_t *i, int64_t n, struct err *e);

/* Joins n tensors along an axis (new_axis: along one that they lack) into a new tensor; checks
 * their types and shapes. `backwards` takes them last to first. n > 0. */
enum status join_tensors(struct tensor **out, const struct tensor *const *in, int64_t n,
                         int64_t axis, bool new_axis, bool backwards, struct err *e);
/* Puts the tensors one behind the other in each of the `outer` lines of y. */
void join_lines(struct tensor *y, int64_t outer, const struct tensor *const *in, int64_t n,
                bool backwards);
/* The part of x that begins at `at` on an axis and has `size` entries there; drop: without that
 * axis (size 1). */
enum status take_part(struct tensor **out, const struct tensor *x, int axis, int64_t at,
                      int64_t size, bool drop, struct err *e);

/* How a reduction of scattered elements combines the old value and the update. */
enum combine { COMBINE_SET, COMBINE_ADD, COMBINE_MUL, COMBINE_MAX, COMBINE_MIN };
enum status combine_of(const struct node *n, enum combine *out, struct err *e);
/* n elements of dst become dst (op) src; one rounding each in the store's own type; NaN wins in max
 * and min. */
enum status combine_elements(enum combine op, struct tensor *dst, int64_t at,
                             const struct tensor *src, int64_t from, int64_t n, struct err *e);

#endif
