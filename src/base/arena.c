#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 16 * 1024, MAX_BLOCK = 4 * 1024 * 1024 };

struct block {
    struct block *next;
    size_t size, used; /* payload bytes */
    unsigned char *data;
};

struct arena {
    struct block *head; /* the block being filled */
    size_t used;
};

static void exhausted_default(size_t size) {
    (void)size;
    abort();
}

void (*arena_exhausted)(size_t size) = exhausted_default;

static void *take(size_t size) {
    void *p = calloc(1, size);
    if (!p) {
        arena_exhausted(size);
        abort();
    }
    return p;
}

static struct block *block_new(size_t size) {
    struct block *b = take(sizeof *b + size + 64);
    b->size = size;
    uintptr_t p = (uintptr_t)(b + 1);
    b->data = (unsigned char *)((p + 63) & ~(uintptr_t)63);
    return b;
}

struct arena *arena_new(void) {
    return take(sizeof(struct arena));
}

static void blocks_free(struct block *b) {
    while (b) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
}

void arena_free(struct arena *a) {
    if (!a)
        return;
    blocks_free(a->head);
    free(a);
}

void arena_reset(struct arena *a) {
    if (!a->head)
        return;
    blocks_free(a->head->next);
    a->head->next = NULL;
    if (a->head->size > MAX_BLOCK) {
        blocks_free(a->head);
        a->head = NULL;
    } else {
        memset(a->head->data, 0, a->head->used);
        a->head->used = 0;
    }
    a->used = 0;
}

size_t arena_used(const struct arena *a) {
    return a->used;
}

void *arena_alloc(struct arena *a, size_t size) {
    size_t align = size >= 64 ? 64 : 16;
    if (size > SIZE_MAX / 2) {
        arena_exhausted(size);
        abort();
    }
    struct block *b = a->head;
    size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;
    if (!b || at > b->size || b->size - at < size) {
        size_t want = b ? b->size * 2 : FIRST_BLOCK;
        if (want > MAX_BLOCK)
            want = MAX_BLOCK;
        if (want < size)
            want = size;
        struct block *n = block_new(want);
        if (b && size > MAX_BLOCK / 2) {
            /* A large object gets a block of its own behind the one being filled. */
            n->next = b->next;
            b->next = n;
            n->used = size;
            a->used += size;
            return n->data;
        }
        n->next = b;
        a->head = b = n;
        at = 0;
    }
    b->used = at + size;
    a->used += size;
    return b->data + at;
}

void *arena_array(struct arena *a, size_t n, size_t size) {
    if (size && n > SIZE_MAX / 2 / size) {
        arena_exhausted(SIZE_MAX);
        abort();
    }
    return arena_alloc(a, n * size);
}

void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size) {
    void *p = arena_alloc(a, new_size);
    if (old_size)
        memcpy(p, old, old_size);
    return p;
}

void *arena_copy(struct arena *a, const void *p, size_t size) {
    void *q = arena_alloc(a, size);
    if (size)
        memcpy(q, p, size);
    return q;
}

char *arena_strn(struct arena *a, const char *s, size_t n) {
    char *p = arena_alloc(a, n + 1);
    if (n)
        memcpy(p, s, n);
    return p;
}

char *arena_str(struct arena *a, const char *s) {
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = arena_alloc(a, n > 0 ? (size_t)n + 1 : 1);
    if (n > 0)
        vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
