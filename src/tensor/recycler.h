/* Memory of freed tensors, kept for the next: fresh pages cost more than the values that are
 * written to them.
 *
 * Shared by whoever holds it; a block may be given back from another thread and after the owner let
 * go. */
#ifndef TENSOR_RECYCLER_H
#define TENSOR_RECYCLER_H

#include <stddef.h>

#include "tensor/paged.h"

struct recycler;

/* With paged memory (NULL: none; it is held): little is kept, for what lasts goes there
 * (tensor_to_paged). */
struct recycler *recycler_new(struct paged *paged);
struct paged *recycler_paged(const struct recycler *r);
/* One more holder, one less; the last one frees what is kept. NULL is fine. */
void recycler_hold(struct recycler *r);
void recycler_drop(struct recycler *r);

/* At least `size` bytes, aligned for any type, contents undefined; *capacity is what there is. NULL
 * without memory. */
void *recycler_take(struct recycler *r, size_t size, size_t *capacity);
void recycler_give(struct recycler *r, void *p, size_t capacity);
/* With paged memory: nothing is in use. What is kept goes back to the system. NULL is fine. */
void recycler_rest(struct recycler *r);

#endif
