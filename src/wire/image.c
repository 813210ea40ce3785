#include "wire/image.h"

#include <string.h>

static const struct image_row {
    const char *name;
    size_t at, n; /* the n bytes of magic lie at `at` */
    const char *magic;
    image_decoder *decode;
} rows[] = {
    { "PNG", 0, 8, "\x89PNG\r\n\x1a\n", image_png },
    { "JPEG", 0, 3, "\xff\xd8\xff", image_jpeg },
    { "BMP", 0, 2, "BM", image_bmp },
    { "WebP", 8, 4, "WEBP", image_webp },
    { "TIFF", 0, 4, "II*\0", image_tiff },
    { "TIFF", 0, 4, "MM\0*", image_tiff },
    { "JPEG 2000", 0, 8, "\0\0\0\x0cjP  ", image_jpeg2000 },
    { "JPEG 2000", 0, 4, "\xff\x4f\xff\x51", image_jpeg2000 },
};

enum status image_new(struct image *out, int64_t height, int64_t width, struct arena *a,
                      struct err *e) {
    FAIL_IF(height <= 0 || width <= 0, e, STATUS_CORRUPT, "an image of %lld x %lld pixels",
            (long long)width, (long long)height);
    FAIL_IF(width > IMAGE_MAX_PIXELS / height, e, STATUS_UNSUPPORTED,
            "an image of %lld x %lld pixels is too large", (long long)width, (long long)height);
    out->height = height;
    out->width = width;
    out->rgb = arena_array(a, (size_t)(height * width), 3);
    return OK;
}

uint8_t image_grey(const uint8_t *rgb) {
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

enum status image_decode(const void *data, size_t size, struct arena *a, struct image *out,
                         struct err *e) {
    const uint8_t *p = data;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct image_row *r = &rows[i];
        if (size >= r->at + r->n && memcmp(p + r->at, r->magic, r->n) == 0)
            return r->decode(p, size, a, out, e) == OK ? OK : err_at(e, "%s image", r->name);
    }
    if (size >= 2 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6')
        return image_pnm(p, size, a, out, e) == OK ? OK : err_at(e, "PNM image");
    return err_set(e, STATUS_CORRUPT, "no image of a known format");
}
