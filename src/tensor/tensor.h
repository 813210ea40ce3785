/* Tensors: dense, row-major, contiguous arrays, and the sequences, optionals and maps of ONNX.
 *
 * A tensor has two types. `dtype` is the declared element type; `store` is how the elements lie in
 * memory. They differ in two cases: a run in float64 holds float32, float16, ... values as doubles;
 * and kernels see narrow types widened (float16 as float32, int4 as int8). Tensors that come from a
 * file have store == dtype (packed types stay packed) and point into the mapped file. */
#ifndef TENSOR_TENSOR_H
#define TENSOR_TENSOR_H

#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/recycler.h"

enum { MAX_RANK = 16 };

enum tensor_kind { KIND_TENSOR, KIND_SEQUENCE, KIND_OPTIONAL, KIND_MAP, KIND_SPARSE };

struct buffer; /* reference-counted bytes */

struct tensor {
    enum tensor_kind kind;
    enum dtype dtype, store;
    int rank;
    int64_t dim[MAX_RANK];
    void *data;         /* DT_STRING: array of `const char *` (NUL-terminated) */
    struct buffer *buf; /* owner of data, or NULL when borrowed (mapped file, arena) */
    /* KIND_SEQUENCE: the elements. KIND_OPTIONAL: 0 or 1 element. KIND_MAP: keys tensor, values
     * tensor. KIND_SPARSE: values, indices. */
    struct tensor **items;
    int64_t n_items;
};

/* Product of dims; 1 for a scalar. The product never overflows: makers check it. */
int64_t tensor_count(const struct tensor *t);
/* False when the product of dims overflows int64 or a dim is negative. */
bool dims_count(const int64_t *dim, int rank, int64_t *count);
bool dims_equal(const int64_t *a, int ra, const int64_t *b, int rb);

/* A tensor with its own zeroed buffer. Free with tensor_free. STATUS_UNSUPPORTED when it is too
 * large. */
enum status tensor_new(struct tensor **out, enum dtype dtype, enum dtype store, int rank,
                       const int64_t *dim, struct err *e);
/* The same with memory of a recycler (NULL: none), and its elements left undefined unless `clear`.
 */
enum status tensor_new_from(struct tensor **out, struct recycler *r, bool clear, enum dtype dtype,
                            enum dtype store, int rank, const int64_t *dim, struct err *e);
/* The same, all in an arena (no buffer to free). */
struct tensor *tensor_in_arena(struct arena *a, enum dtype dtype, enum dtype store, int rank,
                               const int64_t *dim);
/* Another tensor on the same buffer (or the same borrowed bytes), to be freed as well; dims may be
 * changed by the caller as long as the count stays. */
struct tensor *tensor_alias(const struct tensor *t);
struct tensor *tensor_new_list(enum tensor_kind kind, enum dtype dtype, int64_t n_items);
/* Frees the tensor, its items, and its buffer when this was the last use. NULL is fine. */
void tensor_free(struct tensor *t);
/* The elements are about to be used: what lies in paged memory counts as used most recently. */
void tensor_touch(const struct tensor *t);
/* Where the memory of its elements came from; NULL: from no recycler. */
struct recycler *tensor_recycler(const struct tensor *t);
/* Moves the elements of t to the recycler's paged memory when it has such and they are many enough
 * for it. */
void tensor_to_paged(struct tensor *t, struct recycler *r);
/* Bytes of elements in memory. */
size_t tensor_bytes(const struct tensor *t);

/* The same elements stored as `store` (exact or rounded to nearest even; floats to integers
 * truncate). When the store is that already, an alias. Free with tensor_free. Strings convert to
 * nothing else. */
enum status tensor_convert(struct tensor **out, const struct tensor *t, enum dtype store,
                           struct err *e);

/* Is it an array of real numbers: neither a sequence, nor strings, nor complex numbers? */
bool tensor_is_real(const struct tensor *t);

/* Element i (flat index) as a double or integer; strings and complex types are a programmer error.
 */
double tensor_f64_of_any(const struct tensor *t, int64_t i);
static inline double tensor_f64(const struct tensor *t, int64_t i) {
    double v;
    if (t->store != DT_F64)
        return tensor_f64_of_any(t, i);
    memcpy(&v, (const char *)t->data + 8 * i, sizeof v);
    return v;
}
int64_t tensor_i64(const struct tensor *t, int64_t i);
void tensor_set_f64(struct tensor *t, int64_t i, double v);
/* Integers wrap to the width of the store. */
void tensor_set_i64(struct tensor *t, int64_t i, int64_t v);

/* The bits of an element of less than a byte: elements follow one another from the low bits of
 * their byte on, those of 6 bits over the bytes' borders too. */
unsigned tensor_bits(const struct tensor *t, int64_t i);
void tensor_set_bits(struct tensor *t, int64_t i, unsigned v);

/* The same for n elements from `begin` on, much faster than one by one. */
void tensor_load_f64(const struct tensor *t, int64_t begin, int64_t n, double *to);
void tensor_load_i64(const struct tensor *t, int64_t begin, int64_t n, int64_t *to);
void tensor_store_f64(struct tensor *t, int64_t begin, int64_t n, const double *from);
void tensor_store_i64(struct tensor *t, int64_t begin, int64_t n, const int64_t *from);

/* Where the texts of a string tensor made by tensor_new live; freed with its buffer. */
struct arena *tensor_string_arena(struct tensor *t);

/* Makers of small tensors in an arena, for readers and tests. */
struct tensor *tensor_scalar_f32(struct arena *a, float v);
struct tensor *tensor_vec_i64(struct arena *a, const int64_t *v, int64_t n);
struct tensor *tensor_vec_f32(struct arena *a, const float *v, int64_t n);

#endif
