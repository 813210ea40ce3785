/* BMP: uncompressed, 1, 4 and 8 bits with palette, 24 and 32 bits. */
#include "wire/image.h"

#include <stdbool.h>
#include <stdlib.h>

static uint32_t u16(const uint8_t *p) {
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t u32(const uint8_t *p) {
    return u16(p) | u16(p + 2) << 16;
}

struct bmp {
    uint32_t pixels, header, bits, compression, colors;
    int64_t width, height;
    bool upside_down;
};

static enum status read_header(const uint8_t *p, size_t n, struct bmp *b, struct err *e) {
    FAIL_IF(n < 54, e, STATUS_CORRUPT, "%zu bytes", n);
    b->pixels = u32(p + 10);
    b->header = u32(p + 14);
    FAIL_IF(b->header < 40 || b->header > n - 14, e, STATUS_UNSUPPORTED, "a header of %u bytes",
            b->header);
    int32_t height = (int32_t)u32(p + 22);
    b->width = (int32_t)u32(p + 18);
    b->height = llabs((long long)height);
    b->upside_down = height > 0;
    b->bits = u16(p + 28);
    b->compression = u32(p + 30);
    b->colors = u32(p + 46);
    bool plain = b->compression == 0 || (b->compression == 3 && b->bits == 32);
    FAIL_IF(!plain ||
                (b->bits != 1 && b->bits != 4 && b->bits != 8 && b->bits != 24 && b->bits != 32),
            e, STATUS_UNSUPPORTED, "%u bits a pixel with compression %u", b->bits, b->compression);
    if (b->bits <= 8 && (b->colors == 0 || b->colors > 1u << b->bits))
        b->colors = 1u << b->bits;
    return OK;
}

enum status image_bmp(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                      struct err *e) {
    struct bmp b = { 0 };
    TRY(read_header(p, n, &b, e));
    TRY(image_new(out, b.height, b.width, a, e));
    size_t line = ((size_t)b.width * b.bits + 31) / 32 * 4, palette = 14 + b.header;
    FAIL_IF(b.pixels > n || (n - b.pixels) / line < (size_t)b.height, e, STATUS_CORRUPT,
            "the pixels go past the end");
    FAIL_IF(b.bits <= 8 && (palette > n || (n - palette) / 4 < b.colors), e, STATUS_CORRUPT,
            "the palette goes past the end");
    for (int64_t y = 0; y < b.height; y++) {
        const uint8_t *row = p + b.pixels + (size_t)(b.upside_down ? b.height - 1 - y : y) * line;
        for (int64_t x = 0; x < b.width; x++) {
            const uint8_t *bgr = row + x * (b.bits / 8);
            if (b.bits <= 8) {
                int64_t at = x * b.bits;
                uint32_t index = row[at / 8] >> (8 - b.bits - at % 8) & ((1u << b.bits) - 1);
                FAIL_IF(index >= b.colors, e, STATUS_CORRUPT, "color %u of %u", index, b.colors);
                bgr = p + palette + 4 * index;
            }
            uint8_t *to = out->rgb + (y * b.width + x) * 3;
            to[0] = bgr[2];
            to[1] = bgr[1];
            to[2] = bgr[0];
        }
    }
    return OK;
}
