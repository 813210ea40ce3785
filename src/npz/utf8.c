#include "npz/utf8.h"

#include <string.h>

#include "base/cursor.h"

enum { SURROGATE = 0xd800, SURROGATE_END = 0xe000, ESCAPE = 0xdc00, LAST = 0x10ffff };

size_t utf8_put(uint32_t c, char *to) {
    unsigned char *p = (unsigned char *)to;
    if (c >= ESCAPE + 0x80 && c <= ESCAPE + 0xff) {
        p[0] = (unsigned char)(c - ESCAPE);
        return 1;
    }
    if (c < 0x80) {
        p[0] = (unsigned char)c;
        return 1;
    }
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    p[0] = (unsigned char)(lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++)
        p[i] = (unsigned char)(0x80 | (c >> (6 * (more - i)) & 0x3f));
    return (size_t)more + 1;
}

enum status utf8_from_utf32(struct arena *a, const unsigned char *p, size_t width, const char **out,
                            struct err *e) {
    while (width > 0 && load_u32le(p + 4 * (width - 1)) == 0)
        width--;
    size_t n = 0;
    char spare[4];
    for (size_t i = 0; i < width; i++) {
        uint32_t c = load_u32le(p + 4 * i);
        FAIL_IF(c == 0, e, STATUS_UNSUPPORTED, "a string with a NUL character inside");
        bool surrogate =
            c >= SURROGATE && c < SURROGATE_END && !(c >= ESCAPE + 0x80 && c <= ESCAPE + 0xff);
        FAIL_IF(c > LAST || surrogate, e, STATUS_CORRUPT,
                "a string with the invalid code point U+%04X", (unsigned)c);
        n += utf8_put(c, spare);
    }
    char *text = arena_alloc(a, n + 1);
    char *at = text;
    for (size_t i = 0; i < width; i++)
        at += utf8_put(load_u32le(p + 4 * i), at);
    *out = text;
    return OK;
}

enum status utf8_from_bytes(struct arena *a, const unsigned char *p, size_t width, const char **out,
                            struct err *e) {
    while (width > 0 && p[width - 1] == 0)
        width--;
    FAIL_IF(width > 0 && memchr(p, 0, width), e, STATUS_UNSUPPORTED,
            "a string with a NUL character inside");
    *out = arena_strn(a, (const char *)p, width);
    return OK;
}

uint32_t utf8_next(const char **s) {
    const unsigned char *p = (const unsigned char *)*s;
    if (p[0] == 0)
        return 0;
    int more = p[0] >= 0xf0 && p[0] < 0xf8   ? 3
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 2
               : p[0] >= 0xc0 && p[0] < 0xe0 ? 1
                                             : 0;
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    uint32_t c = p[0] & (0x3fu >> more);
    int i = 1;
    while (i <= more && (p[i] & 0xc0) == 0x80)
        c = c << 6 | (p[i++] & 0x3fu);
    bool fine = p[0] < 0x80 || (more > 0 && i > more && c >= least[more] && c <= LAST &&
                                (c < SURROGATE || c >= SURROGATE_END));
    *s += fine ? more + 1 : 1;
    return !fine ? (uint32_t)ESCAPE + p[0] : p[0] < 0x80 ? p[0] : c;
}
