/* Memory that need not stay resident: blocks of a temporary file, mapped.
 *
 * Blocks stay where they are, whatever happens: a pointer into one is good until it is given back.
 * When those in use come to more than was allowed, the ones touched least recently are handed to
 * the system's file cache (madvise MADV_DONTNEED on a shared mapping), and come back by themselves
 * when they are read or written. Touching tells what is in use; forgetting to touch costs memory,
 * never correctness.
 *
 * The file is made with the first block, in $TMPDIR or /tmp, and has no name: it goes with the
 * process. Its space is reserved before use. Safe to use from several threads. */
#ifndef TENSOR_PAGED_H
#define TENSOR_PAGED_H

#include <stddef.h>

struct paged;
struct paged_block;

/* Writing to a mapped file costs more than to fresh memory; the large blocks are what memory goes
 * into. */
static const size_t PAGED_FROM = (size_t)1 << 20;

/* About so many bytes of the blocks stay resident. */
struct paged *paged_new(size_t resident);
/* One more holder, one less. Blocks hold it too. NULL is fine. */
void paged_hold(struct paged *p);
void paged_drop(struct paged *p);

/* A block of at least `size` bytes of anything, page-aligned at *data; NULL when there is no room
 * for it on disk (the caller takes ordinary memory). */
struct paged_block *paged_take(struct paged *p, size_t size, void **data);
void paged_give(struct paged_block *b);
/* The block is about to be used. */
void paged_touch(struct paged_block *b);

#endif
