#include "base/map.h"

#include <string.h>

uint64_t hash_mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed) {
    const unsigned char *s = p;
    uint64_t h = seed ^ (UINT64_C(0x9e3779b97f4a7c15) * (n + 1));
    for (; n >= 8; n -= 8, s += 8) {
        uint64_t w = 0;
        for (int i = 0; i < 8; i++)
            w |= (uint64_t)s[i] << (8 * i);
        h = hash_mix(h ^ w) + UINT64_C(0x9e3779b97f4a7c15);
    }
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)s[i] << (8 * i);
    return hash_mix(h ^ w);
}

void strmap_init(struct strmap *m, struct arena *a) {
    *m = (struct strmap) { .arena = a };
}

static struct strmap_slot *str_slot(const struct strmap *m, const char *key, uint64_t hash) {
    size_t i = hash & (m->cap - 1);
    while (m->slots[i].key && (m->slots[i].hash != hash || strcmp(m->slots[i].key, key) != 0))
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

void *strmap_get(const struct strmap *m, const char *key) {
    return m->cap ? str_slot(m, key, hash_bytes(key, strlen(key), 1))->value : NULL;
}

bool strmap_has(const struct strmap *m, const char *key) {
    return m->cap && str_slot(m, key, hash_bytes(key, strlen(key), 1))->key;
}

void strmap_put(struct strmap *m, const char *key, void *value) {
    if (m->count * 2 >= m->cap) {
        struct strmap old = *m;
        m->cap = old.cap ? old.cap * 2 : 16;
        m->slots = NEW_ARRAY(m->arena, m->cap, struct strmap_slot);
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].key)
                *str_slot(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    }
    uint64_t hash = hash_bytes(key, strlen(key), 1);
    struct strmap_slot *s = str_slot(m, key, hash);
    if (!s->key)
        m->count++;
    *s = (struct strmap_slot) { key, value, hash };
}

void intmap_init(struct intmap *m, struct arena *a) {
    *m = (struct intmap) { .arena = a };
}

static struct intmap_slot *int_slot(const struct intmap *m, uint64_t key) {
    size_t i = hash_mix(key) & (m->cap - 1);
    while (m->slots[i].used && m->slots[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return &m->slots[i];
}

bool intmap_get(const struct intmap *m, uint64_t key, uint64_t *value) {
    if (!m->cap)
        return false;
    struct intmap_slot *s = int_slot(m, key);
    if (s->used && value)
        *value = s->value;
    return s->used;
}

void intmap_put(struct intmap *m, uint64_t key, uint64_t value) {
    if (m->count * 2 >= m->cap) {
        struct intmap old = *m;
        m->cap = old.cap ? old.cap * 2 : 16;
        m->slots = NEW_ARRAY(m->arena, m->cap, struct intmap_slot);
        for (size_t i = 0; i < old.cap; i++)
            if (old.slots[i].used)
                *int_slot(m, old.slots[i].key) = old.slots[i];
    }
    struct intmap_slot *s = int_slot(m, key);
    if (!s->used)
        m->count++;
    *s = (struct intmap_slot) { key, value, true };
}
