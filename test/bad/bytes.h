/* Bytes for tests of hostile files: a growing buffer, protobuf fields, whole files. */
#ifndef TEST_BAD_BYTES_H
#define TEST_BAD_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    unsigned char *data;
    size_t n, capacity;
};

static inline void bytes_add(struct bytes *b, const void *p, size_t n) {
    if (b->n + n > b->capacity) {
        b->capacity = (b->n + n) * 2;
        b->data = realloc(b->data, b->capacity);
        if (!b->data)
            abort();
    }
    if (n)
        memcpy(b->data + b->n, p, n);
    b->n += n;
}

static inline void bytes_varint(struct bytes *b, uint64_t v) {
    do {
        unsigned char c = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        bytes_add(b, &c, 1);
    } while (v >>= 7);
}

/* A field with a number. */
static inline void bytes_int(struct bytes *b, int field, uint64_t v) {
    bytes_varint(b, (uint64_t)field << 3);
    bytes_varint(b, v);
}

/* A field with bytes: text or a message. */
static inline void bytes_field(struct bytes *b, int field, const void *p, size_t n) {
    bytes_varint(b, (uint64_t)field << 3 | 2);
    bytes_varint(b, n);
    bytes_add(b, p, n);
}

static inline void bytes_text(struct bytes *b, int field, const char *s) {
    bytes_field(b, field, s, strlen(s));
}

/* Appends the message `inner` and frees it. */
static inline void bytes_message(struct bytes *b, int field, struct bytes *inner) {
    bytes_field(b, field, inner->data, inner->n);
    free(inner->data);
    *inner = (struct bytes) { 0 };
}

static inline size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

static inline struct bytes bytes_of_file(const char *path) {
    struct bytes b = { 0 };
    char piece[4096];
    FILE *f = fopen(path, "rb");
    for (size_t n; f && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        bytes_add(&b, piece, n);
    if (f)
        fclose(f);
    return b;
}

#endif
