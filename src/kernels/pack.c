#include "kernels/pack.h"

#include <string.h>

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

/* binary16: subnormal numbers count steps of 2^-24. */
static float half_to_float(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff, bits;
    float v = (float)rest * 0x1p-24f;
    if (rest >= 0x400) {
        bits = (rest << 13) + (rest >= 0x7c00 ? UINT32_C(224) << 23 : UINT32_C(112) << 23);
        memcpy(&v, &bits, sizeof v);
    }
    memcpy(&bits, &v, sizeof bits);
    bits |= sign;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static float bfloat_to_float(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Elements may lie at any address. */
#define LOAD_NARROW(from_narrow)                                                      \
    for (int64_t i = 0; i < n; i++) {                                                 \
        uint16_t h;                                                                   \
        memcpy(&h, (const char *)t->data + (size_t)(begin + i) * sizeof h, sizeof h); \
        to[i] = from_narrow(h);                                                       \
    }

void pack_load_f(const struct tensor *t, int64_t begin, int64_t n, float *to) {
    if (t->store == DT_F16) {
        LOAD_NARROW(half_to_float)
    } else if (t->store == DT_BF16) {
        LOAD_NARROW(bfloat_to_float)
    } else {
        for (int64_t i = 0; i < n; i++)
            to[i] = (float)tensor_f64(t, begin + i);
    }
}

void pack_load_d(const struct tensor *t, int64_t begin, int64_t n, double *to) {
    if (t->store == DT_F16) {
        LOAD_NARROW((double)half_to_float)
    } else if (t->store == DT_BF16) {
        LOAD_NARROW((double)bfloat_to_float)
    } else {
        tensor_load_f64(t, begin, n, to);
    }
}

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
