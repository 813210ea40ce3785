#include "base/cursor.h"

uint16_t load_u16le(const void *p) {
    const unsigned char *s = p;
    return (uint16_t)(s[0] | s[1] << 8);
}

uint32_t load_u32le(const void *p) {
    const unsigned char *s = p;
    return (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
}

uint64_t load_u64le(const void *p) {
    return load_u32le(p) | (uint64_t)load_u32le((const unsigned char *)p + 4) << 32;
}

void store_u32le(void *p, uint32_t v) {
    unsigned char *s = p;
    for (int i = 0; i < 4; i++)
        s[i] = (unsigned char)(v >> (8 * i));
}

void store_u64le(void *p, uint64_t v) {
    store_u32le(p, (uint32_t)v);
    store_u32le((unsigned char *)p + 4, (uint32_t)(v >> 32));
}

struct cursor cursor_of(const void *base, size_t begin, size_t end) {
    return (struct cursor) { .base = base, .at = begin, .end = end };
}

size_t cursor_left(const struct cursor *c) {
    return c->failed ? 0 : c->end - c->at;
}

void cursor_fail(struct cursor *c) {
    if (!c->failed) {
        c->failed = true;
        c->failed_at = c->at;
    }
}

const unsigned char *cursor_take(struct cursor *c, size_t n) {
    if (c->failed || c->end - c->at < n) {
        cursor_fail(c);
        return NULL;
    }
    const unsigned char *p = c->base + c->at;
    c->at += n;
    return p;
}

uint8_t cursor_u8(struct cursor *c) {
    const unsigned char *p = cursor_take(c, 1);
    return p ? *p : 0;
}

uint16_t cursor_u16le(struct cursor *c) {
    const unsigned char *p = cursor_take(c, 2);
    return p ? load_u16le(p) : 0;
}

uint32_t cursor_u32le(struct cursor *c) {
    const unsigned char *p = cursor_take(c, 4);
    return p ? load_u32le(p) : 0;
}

uint64_t cursor_u64le(struct cursor *c) {
    const unsigned char *p = cursor_take(c, 8);
    return p ? load_u64le(p) : 0;
}

uint64_t cursor_varint(struct cursor *c) {
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        uint8_t b = cursor_u8(c);
        if (c->failed)
            return 0;
        if (shift == 63 && b > 1) /* more than 64 bits */
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    cursor_fail(c);
    return 0;
}
