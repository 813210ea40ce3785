/* Strings between numpy's fixed-width forms and NUL-terminated UTF-8. A byte that is not UTF-8
 * becomes the lone surrogate U+DC80 + (byte - 0x80) and back, as in Python's "surrogateescape". */
#ifndef NPZ_UTF8_H
#define NPZ_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* `width` little-endian code points; NULs at the end are padding. */
enum status utf8_from_utf32(struct arena *a, const unsigned char *p, size_t width, const char **out,
                            struct err *e);
/* `width` bytes as they are; NULs at the end are padding. */
enum status utf8_from_bytes(struct arena *a, const unsigned char *p, size_t width, const char **out,
                            struct err *e);
/* The next code point of a NUL-terminated text; 0 at its end. */
uint32_t utf8_next(const char **s);
/* Writes the bytes of a code point (at most 4, no final NUL); gives their count. */
size_t utf8_put(uint32_t c, char *to);

#endif
