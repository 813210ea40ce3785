#include "wire/protobuf.h"

#include <string.h>

bool pb_next(struct cursor *c, struct pb_field *f) {
    if (c->failed || c->at >= c->end)
        return false;
    f->start = c->at;
    uint64_t tag = cursor_varint(c);
    f->number = (uint32_t)(tag >> 3);
    f->wire = (enum pb_wire)(tag & 7);
    f->value = 0;
    f->begin = c->at;
    if (c->failed || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        c->at = f->start;
        cursor_fail(c);
        return false;
    }
    switch (f->wire) {
    case PB_VARINT:
        f->value = cursor_varint(c);
        break;
    case PB_FIXED64:
        f->value = cursor_u64le(c);
        break;
    case PB_FIXED32:
        f->value = cursor_u32le(c);
        break;
    case PB_BYTES: {
        uint64_t n = cursor_varint(c);
        f->begin = c->at;
        if (n > cursor_left(c))
            cursor_fail(c);
        else
            cursor_take(c, (size_t)n);
        break;
    }
    default:
        cursor_fail(c);
    }
    f->end = c->at;
    return !c->failed;
}

struct cursor pb_enter(const struct cursor *c, const struct pb_field *f) {
    return cursor_of(c->base, f->begin, f->wire == PB_BYTES ? f->end : f->begin);
}

float pb_float(const struct pb_field *f) {
    uint32_t bits = (uint32_t)f->value;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double pb_double(const struct pb_field *f) {
    double v;
    memcpy(&v, &f->value, sizeof v);
    return v;
}

struct cursor pb_elements(const struct cursor *c, const struct pb_field *f) {
    return cursor_of(c->base, f->begin, f->end);
}

uint64_t pb_element(struct cursor *packed, enum pb_wire wire) {
    if (wire == PB_FIXED32)
        return cursor_u32le(packed);
    return wire == PB_FIXED64 ? cursor_u64le(packed) : cursor_varint(packed);
}

size_t pb_count(const struct cursor *c, const struct pb_field *f, enum pb_wire wire) {
    if (f->wire == wire)
        return 1;
    if (f->wire != PB_BYTES)
        return 0;
    if (wire != PB_VARINT)
        return (f->end - f->begin) / (wire == PB_FIXED32 ? 4 : 8);
    size_t n = 0;
    for (size_t i = f->begin; i < f->end; i++)
        n += !(c->base[i] & 0x80);
    return n;
}

void pb_writer_init(struct pb_writer *w, struct arena *a) {
    *w = (struct pb_writer) { .arena = a };
}

void pb_put_raw(struct pb_writer *w, const void *p, size_t n) {
    if (w->cap - w->n < n) {
        size_t cap = w->cap ? w->cap : 64;
        while (cap - w->n < n)
            cap *= 2;
        w->p = arena_grow(w->arena, w->p, w->n, cap);
        w->cap = cap;
    }
    if (n)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

void pb_put_varint(struct pb_writer *w, uint64_t v) {
    unsigned char b[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        b[n++] = (unsigned char)(v | 0x80);
    b[n++] = (unsigned char)v;
    pb_put_raw(w, b, n);
}

void pb_put_tag(struct pb_writer *w, uint32_t number, enum pb_wire wire) {
    pb_put_varint(w, (uint64_t)number << 3 | (uint64_t)wire);
}

void pb_put_int(struct pb_writer *w, uint32_t number, int64_t v) {
    pb_put_tag(w, number, PB_VARINT);
    pb_put_varint(w, (uint64_t)v);
}

void pb_put_float(struct pb_writer *w, uint32_t number, float v) {
    uint32_t bits;
    unsigned char b[4];
    memcpy(&bits, &v, sizeof bits);
    store_u32le(b, bits);
    pb_put_tag(w, number, PB_FIXED32);
    pb_put_raw(w, b, sizeof b);
}

void pb_put_bytes(struct pb_writer *w, uint32_t number, const void *p, size_t n) {
    pb_put_tag(w, number, PB_BYTES);
    pb_put_varint(w, n);
    pb_put_raw(w, p, n);
}

void pb_put_string(struct pb_writer *w, uint32_t number, const char *s) {
    pb_put_bytes(w, number, s, strlen(s));
}

size_t pb_varint_size(uint64_t v) {
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}
