/* Protocol buffers, wire format only: a bounded walk over the fields of a message that lies in
 * memory, and a growing buffer to write fields to. Nothing is copied on reading; what the bytes
 * mean is the caller's affair.
 *
 *     struct cursor c = cursor_of(base, begin, end);
 *     struct pb_field f;
 *     while (pb_next(&c, &f))
 *         if (f.number == 7 && f.wire == PB_BYTES) ...
 *     if (c.failed) ... c.failed_at
 *
 * Groups (wire types 3 and 4) are refused: no format read here has them. */
#ifndef WIRE_PROTOBUF_H
#define WIRE_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/cursor.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
    uint32_t number;
    enum pb_wire wire;
    uint64_t value;    /* varint and fixed types */
    size_t start;      /* offset of the tag */
    size_t begin, end; /* the payload, as offsets from the cursor's base */
};

/* The next field; false at the end of the message and on bad bytes (then c->failed). */
bool pb_next(struct cursor *c, struct pb_field *f);
/* A cursor over the payload of a PB_BYTES field. */
struct cursor pb_enter(const struct cursor *c, const struct pb_field *f);
float pb_float(const struct pb_field *f);
double pb_double(const struct pb_field *f);

/* Elements of a repeated scalar field that may be packed: `packed` is the cursor over the elements
 * of f, one element long when f is not packed; pb_element reads as `wire` says. */
struct cursor pb_elements(const struct cursor *c, const struct pb_field *f);
uint64_t pb_element(struct cursor *packed, enum pb_wire wire);
/* How many elements f holds, counted without decoding (varints by their last bytes); 0 when f has
 * another wire type than `wire` and is not packed. */
size_t pb_count(const struct cursor *c, const struct pb_field *f, enum pb_wire wire);

/* Writing. */
struct pb_writer {
    struct arena *arena;
    unsigned char *p;
    size_t n, cap;
};

void pb_writer_init(struct pb_writer *w, struct arena *a);
void pb_put_raw(struct pb_writer *w, const void *p, size_t n);
void pb_put_varint(struct pb_writer *w, uint64_t v);
void pb_put_tag(struct pb_writer *w, uint32_t number, enum pb_wire wire);
void pb_put_int(struct pb_writer *w, uint32_t number, int64_t v);
void pb_put_float(struct pb_writer *w, uint32_t number, float v);
void pb_put_bytes(struct pb_writer *w, uint32_t number, const void *p, size_t n);
void pb_put_string(struct pb_writer *w, uint32_t number, const char *s);
/* Bytes that v takes as a varint. */
size_t pb_varint_size(uint64_t v);

#endif
