/* A bounded, sticky byte cursor. Past the end every read yields zero and `failed` latches with the
 * offset where it happened; the caller checks once a record. Nothing is copied. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const unsigned char *base; /* start of the file, for offsets */
    size_t at, end;            /* offsets from base */
    bool failed;
    size_t failed_at;
};

struct cursor cursor_of(const void *base, size_t begin, size_t end);
size_t cursor_left(const struct cursor *c);
/* The next n bytes, or NULL. */
const unsigned char *cursor_take(struct cursor *c, size_t n);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16le(struct cursor *c);
uint32_t cursor_u32le(struct cursor *c);
uint64_t cursor_u64le(struct cursor *c);
/* Base-128 varint of at most 10 bytes (protobuf). */
uint64_t cursor_varint(struct cursor *c);
void cursor_fail(struct cursor *c);

uint16_t load_u16le(const void *p);
uint32_t load_u32le(const void *p);
uint64_t load_u64le(const void *p);
void store_u32le(void *p, uint32_t v);
void store_u64le(void *p, uint64_t v);

#endif
