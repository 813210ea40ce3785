/* Images: PNG, JPEG, BMP and PNM; WebP, TIFF and JPEG 2000 where the build has their libraries. */
#ifndef WIRE_IMAGE_H
#define WIRE_IMAGE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum { IMAGE_MAX_PIXELS = 1 << 26 };

struct image {
    int64_t height, width;
    uint8_t *rgb; /* [height][width][3], in the arena */
};

/* Recognised by content. STATUS_UNSUPPORTED names a format or variant that is not read,
 * STATUS_CORRUPT a file that is none of these or damaged. Grey becomes RGB, 16 bits become 8,
 * transparency is left out. */
enum status image_decode(const void *data, size_t size, struct arena *a, struct image *out,
                         struct err *e);
/* Luma of ITU-R BT.601 in 16-bit fixed point. */
uint8_t image_grey(const uint8_t *rgb);

/* One decoder a format; the file is known to be of it. */
typedef enum status image_decoder(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                                  struct err *e);
image_decoder image_png, image_jpeg, image_bmp, image_pnm, image_webp, image_tiff, image_jpeg2000;
/* Checks the size and makes room for the pixels. */
enum status image_new(struct image *out, int64_t height, int64_t width, struct arena *a,
                      struct err *e);

#endif
