/* Hash maps in an arena: string -> pointer, and 64-bit key -> 64-bit value. Open addressing, no
 * deletion. Keys of string maps are not copied and must outlive the map. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct strmap {
    struct arena *arena;
    struct strmap_slot {
        const char *key;
        void *value;
        uint64_t hash;
    } * slots;
    size_t cap, count;
};

void strmap_init(struct strmap *m, struct arena *a);
/* The value, or NULL. */
void *strmap_get(const struct strmap *m, const char *key);
/* True when the key is present, even with a NULL value. */
bool strmap_has(const struct strmap *m, const char *key);
/* Sets or replaces. */
void strmap_put(struct strmap *m, const char *key, void *value);

struct intmap {
    struct arena *arena;
    struct intmap_slot {
        uint64_t key, value;
        bool used;
    } * slots;
    size_t cap, count;
};

void intmap_init(struct intmap *m, struct arena *a);
bool intmap_get(const struct intmap *m, uint64_t key, uint64_t *value);
void intmap_put(struct intmap *m, uint64_t key, uint64_t value);

/* A 64-bit hash of bytes (not for security; the same on every machine). */
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed);
uint64_t hash_mix(uint64_t x);

#endif
