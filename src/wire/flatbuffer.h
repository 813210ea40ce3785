/* FlatBuffers, read in place and bounded ("FlatBuffer Internals": little endian, offsets relative
 * to where they stand, a table begins with the signed distance back to its vtable).
 *
 * Reading is sticky like base/cursor.h: anything outside the file reads as absent or zero and
 * latches `failed` with the offset and the reason; the caller checks once a record. Nothing is
 * copied. */
#ifndef WIRE_FLATBUFFER_H
#define WIRE_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct flatbuffer {
    const unsigned char *data;
    size_t size;
    bool failed;
    size_t failed_at;
    const char *why;
};

/* A table; at == 0: absent. */
struct fb_table {
    struct flatbuffer *fb;
    size_t at, vtable;
    uint16_t vtable_size, table_size;
};

/* A vector; n == 0: absent or empty. `at` is the offset of its first element. */
struct fb_vector {
    struct flatbuffer *fb;
    size_t at, n, width;
    bool present;
};

struct flatbuffer flatbuffer_of(const void *data, size_t size);
/* OK, or STATUS_CORRUPT with the offset when something has failed. */
enum status flatbuffer_check(const struct flatbuffer *fb, struct err *e);
void flatbuffer_fail(struct flatbuffer *fb, size_t at, const char *why);

/* The table that the offset at the start of the file names. */
struct fb_table fb_root(struct flatbuffer *fb);
struct fb_table fb_table_at(struct flatbuffer *fb, size_t at);

/* Position of field `id` (0 absent); `width` bytes of it lie inside the table. */
size_t fb_field(const struct fb_table *t, int id, size_t width);
int8_t fb_i8(const struct fb_table *t, int id, int8_t absent);
uint8_t fb_u8(const struct fb_table *t, int id, uint8_t absent);
int32_t fb_i32(const struct fb_table *t, int id, int32_t absent);
uint32_t fb_u32(const struct fb_table *t, int id, uint32_t absent);
int64_t fb_i64(const struct fb_table *t, int id, int64_t absent);
float fb_f32(const struct fb_table *t, int id, float absent);
bool fb_bool(const struct fb_table *t, int id, bool absent);

/* Fields that hold an offset. */
struct fb_table fb_sub(const struct fb_table *t, int id);
struct fb_vector fb_vec(const struct fb_table *t, int id, size_t width);
/* The text's bytes and length; NULL when absent. Not NUL-terminated as far as this reader has
 * checked. */
const char *fb_text(const struct fb_table *t, int id, size_t *n);

/* Elements; i < n. */
uint8_t fb_vec_u8(const struct fb_vector *v, size_t i);
int32_t fb_vec_i32(const struct fb_vector *v, size_t i);
int64_t fb_vec_i64(const struct fb_vector *v, size_t i);
float fb_vec_f32(const struct fb_vector *v, size_t i);
struct fb_table fb_vec_table(const struct fb_vector *v, size_t i);
const char *fb_vec_text(const struct fb_vector *v, size_t i, size_t *n);

#endif
