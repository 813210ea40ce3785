/* Scratch memory for tasks of a pool: one buffer a thread, taken and given back by whichever task
 * runs. */
#ifndef KERNELS_BUFFERS_H
#define KERNELS_BUFFERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/pool.h"

enum { MAX_BUFFERS = 256 }; /* as many threads as a pool has at most */

struct buffers {
    char *memory;
    size_t size;
    int count;
    _Atomic int taken[MAX_BUFFERS];
};

static inline void buffers_init(struct buffers *b, struct arena *scratch, struct pool *pool,
                                int64_t tasks, size_t size) {
    b->count = pool_threads(pool);
    if (tasks < b->count)
        b->count = (int)(tasks > 1 ? tasks : 1);
    b->size = (size + 127) & ~(size_t)63;
    b->memory = arena_array(scratch, (size_t)b->count, b->size);
    for (int i = 0; i < b->count; i++)
        atomic_init(&b->taken[i], 0);
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
    return b->memory + (size_t)i * b->size;
}

#endif
