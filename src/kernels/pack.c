#include "kernels/pack.h"

#include "base/map.h"

struct pack_cache {
    struct arena *arena;
    struct intmap by_key; /* hash of (address, tag) -> entry, chained */
    struct entry {
        uint64_t tag;
        size_t bytes;
        struct packed packed;
        struct entry *next;
        struct tensor *held;
    } * *entries;
    size_t n_entries;
};

struct pack_cache *pack_cache_new(void) {
    struct arena *a = arena_new();
    struct pack_cache *c = NEW(a, struct pack_cache);
    c->arena = a;
    intmap_init(&c->by_key, a);
    return c;
}

void pack_cache_free(struct pack_cache *c) {
    if (!c)
        return;
    for (size_t i = 0; i < c->n_entries; i++)
        tensor_free(c->entries[i]->held);
    arena_free(c->arena);
}

size_t pack_cache_bytes(const struct pack_cache *c) {
    return arena_used(c->arena);
}

struct packed *pack_cache_get(struct pack_cache *c, const struct tensor *t, uint64_t tag,
                              size_t bytes) {
    uint64_t key = hash_mix((uint64_t)(uintptr_t)t->data ^ hash_mix(tag)), at = 0;
    bool known = intmap_get(&c->by_key, key, &at);
    for (struct entry *e = known ? c->entries[at] : NULL; e; e = e->next)
        if (e->held->data == t->data && e->tag == tag && e->bytes == bytes &&
            tensor_bytes(e->held) == tensor_bytes(t))
            return &e->packed;
    struct entry *e = NEW(c->arena, struct entry);
    *e = (struct entry) {
        .tag = tag, .bytes = bytes, .next = known ? c->entries[at] : NULL, .held = tensor_alias(t)
    };
    e->packed.data = arena_alloc(c->arena, bytes < 64 ? 64 : bytes);
    intmap_put(&c->by_key, key, c->n_entries);
    PUSH(c->arena, c->entries, c->n_entries, e);
    return &e->packed;
}
