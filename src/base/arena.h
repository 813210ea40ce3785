/* An arena: memory with one lifetime, freed at once.
 *
 * arena_alloc never returns NULL: on exhaustion the hook is called and the process ends. That is
 * safe because every size that comes from a file is bounded by the bytes left in it before it gets
 * here. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "base/status.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);
/* Gives back everything but keeps the first block for reuse. */
void arena_reset(struct arena *a);
/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *a);

/* Zeroed memory, aligned to 64 bytes when size >= 64, else to 16. */
void *arena_alloc(struct arena *a, size_t size);
/* n * size with the product checked. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* A larger copy of an array (old bytes kept, the rest zeroed). */
void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size);
void *arena_copy(struct arena *a, const void *p, size_t size);
char *arena_str(struct arena *a, const char *s);
char *arena_strn(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Called with the size asked for when memory is exhausted; must not return. Default: abort. */
extern void (*arena_exhausted)(size_t size);

#define NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define NEW_ARRAY(a, n, type) ((type *)arena_array((a), (size_t)(n), sizeof(type)))

/* Appends to a growing array that lives in an arena: PUSH(a, g->nodes, g->n_nodes, node).
 * Capacity is the next power of two, so nothing but the count is stored. */
#define PUSH(a, array, count, item)                                               \
    do {                                                                          \
        size_t push_n_ = (size_t)(count);                                         \
        if ((push_n_ & (push_n_ - 1)) == 0)                                       \
            (array) = arena_grow((a), (void *)(array), push_n_ * sizeof *(array), \
                                 (push_n_ ? push_n_ * 2 : 1) * sizeof *(array));  \
        (array)[push_n_] = (item);                                                \
        (count)++;                                                                \
    } while (0)

#endif
