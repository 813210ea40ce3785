#define _GNU_SOURCE /* madvise */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

static const uintptr_t LARGE = (uintptr_t)2 << 20;

void pages_large(void *p, size_t size) {
    uintptr_t from = ((uintptr_t)p + LARGE - 1) & ~(LARGE - 1),
              to = ((uintptr_t)p + size) & ~(LARGE - 1);
#ifdef MADV_HUGEPAGE
    if (from < to)
        (void)madvise((char *)p + (from - (uintptr_t)p), to - from, MADV_HUGEPAGE);
#else
    (void)from, (void)to;
#endif
}
