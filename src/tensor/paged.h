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

/* Smaller arrays stay in ordinary memory. */
static const size_t PAGED_FROM = (size_t)16 << 10;

/* About so many bytes of the blocks stay resident. */
struct paged *paged_new(size_t resident);
/* One more holder, one less. Blocks hold it too. NULL is fine. */
void paged_hold(struct paged *p);
void paged_drop(struct paged *p);

/* A block with a copy of `size` bytes, page-aligned at *data; NULL when there is no room for it on
 * disk. The bytes are written to the file, not to the mapping: that costs a third of it, and brings
 * nothing into memory. */
struct paged_block *paged_store(struct paged *p, const void *bytes, size_t size, void **data);
void paged_give(struct paged_block *b);
/* Nothing is in use: what was touched last is no longer spared. NULL is fine. */
void paged_rest(struct paged *p);
/* The block is about to be used. */
void paged_touch(struct paged_block *b);

#endif
