/* Weights laid out for the kernels, made once a model and kept with it. */
#ifndef KERNELS_PACK_H
#define KERNELS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

struct pack_cache;

struct packed {
    void *data;  /* 64-byte aligned */
    bool finite; /* the maker's note: no weight is infinite or NaN */
    bool ready;  /* false: just made, to be filled by the caller */
};

/* Rows of weights that are converted before they are packed: little memory beside the panels. */
enum { STORED_AT_ONCE = 4 };

/* Elements [begin, begin + n) of t, a float tensor of any store and address, in the type of the
 * run. */
void pack_load_f(const struct tensor *t, int64_t begin, int64_t n, float *to);
void pack_load_d(const struct tensor *t, int64_t begin, int64_t n, double *to);

struct pack_cache *pack_cache_new(void);
void pack_cache_free(struct pack_cache *c);
/* Bytes that the cache takes. */
size_t pack_cache_bytes(const struct pack_cache *c);

/* The packed form of constant `t` under `tag` (which names the layout), or a new one of `bytes`
 * zeroed bytes with ready false. The cache keeps a reference to t's buffer, so that an address is
 * never taken for another tensor's. */
struct packed *pack_cache_get(struct pack_cache *c, const struct tensor *t, uint64_t tag,
                              size_t bytes);

#endif
