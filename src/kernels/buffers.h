/* Scratch memory for tasks of a pool: one buffer a thread, taken and given back by whichever task
 * runs. */
#ifndef KERNELS_BUFFERS_H
#define KERNELS_BUFFERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/op.h"

enum { MAX_BUFFERS = 256 }; /* as many threads as a pool has at most */

/* Memory for one call of a kernel, contents undefined, 64-byte aligned; given back by scratch_end.
 */
struct scratch {
    void *at, *block;
    size_t capacity;
    struct recycler *from;
};

static inline struct scratch scratch_begin(struct op_ctx *c, size_t size) {
    struct scratch s = { .from = c->recycler };
    if (s.from)
        s.block = recycler_take(s.from, size + 64, &s.capacity);
    if (!s.block) {
        s.from = NULL;
        s.at = arena_alloc(c->scratch, size + 64);
    } else {
        s.at = (void *)(((uintptr_t)s.block + 63) & ~(uintptr_t)63);
    }
    return s;
}

static inline void scratch_end(struct scratch *s) {
    if (s->from)
        recycler_give(s->from, s->block, s->capacity);
}

struct buffers {
    struct scratch all;
    size_t size;
    int count;
    _Atomic int taken[MAX_BUFFERS];
};

static inline void buffers_init(struct buffers *b, struct op_ctx *c, int64_t tasks, size_t size) {
    b->count = pool_threads(c->pool);
    if (tasks < b->count)
        b->count = (int)(tasks > 1 ? tasks : 1);
    b->size = (size + 127) & ~(size_t)63;
    b->all = scratch_begin(c, (size_t)b->count * b->size);
    for (int i = 0; i < b->count; i++)
        atomic_init(&b->taken[i], 0);
}

static inline void buffers_free(struct buffers *b) {
    scratch_end(&b->all);
}

/* There are as many buffers as tasks that can run at once, so the search ends. */
static inline int buffer_take(struct buffers *b) {
    for (int i = 0;; i = i + 1 < b->count ? i + 1 : 0)
        if (!atomic_exchange_explicit(&b->taken[i], 1, memory_order_acquire))
            return i;
}

static inline void buffer_give(struct buffers *b, int i) {
    atomic_store_explicit(&b->taken[i], 0, memory_order_release);
}

static inline void *buffer_at(const struct buffers *b, int i) {
    return (char *)b->all.at + (size_t)i * b->size;
}

#endif
