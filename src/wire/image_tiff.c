/* TIFF by libtiff, where the build has it. */
#include "wire/image.h"

#ifdef CALQUE_TIFF
#include <string.h>
#include <tiffio.h>

struct tiff_memory {
    const uint8_t *p;
    uint64_t n, at;
};

static tmsize_t read_bytes(thandle_t handle, void *to, tmsize_t n) {
    struct tiff_memory *f = handle;
    uint64_t left = f->at < f->n ? f->n - f->at : 0, take = n < 0                ? 0
                                                            : (uint64_t)n < left ? (uint64_t)n
                                                                                 : left;
    if (take)
        memcpy(to, f->p + f->at, take);
    f->at += take;
    return (tmsize_t)take;
}

static tmsize_t write_bytes(thandle_t handle, void *from, tmsize_t n) {
    (void)handle, (void)from, (void)n;
    return -1;
}

static toff_t seek(thandle_t handle, toff_t to, int whence) {
    struct tiff_memory *f = handle;
    f->at = whence == SEEK_SET ? to : whence == SEEK_CUR ? f->at + to : f->n + to;
    return f->at;
}

static int close_file(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle) {
    return ((struct tiff_memory *)handle)->n;
}

/* libtiff gives 32-bit pixels, red in the lowest byte. */
static enum status read_pixels(TIFF *t, struct arena *a, struct image *out, struct err *e) {
    uint32_t width = 0, height = 0;
    TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(t, TIFFTAG_IMAGELENGTH, &height);
    TRY(image_new(out, height, width, a, e));
    uint32_t *pixels = NEW_ARRAY(a, (size_t)width * height, uint32_t);
    FAIL_IF(!TIFFReadRGBAImageOriented(t, width, height, pixels, ORIENTATION_TOPLEFT, 0), e,
            STATUS_CORRUPT, "the pixels cannot be read");
    for (size_t i = 0; i < (size_t)width * height; i++) {
        out->rgb[3 * i] = (uint8_t)TIFFGetR(pixels[i]);
        out->rgb[3 * i + 1] = (uint8_t)TIFFGetG(pixels[i]);
        out->rgb[3 * i + 2] = (uint8_t)TIFFGetB(pixels[i]);
    }
    return OK;
}

enum status image_tiff(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                       struct err *e) {
    struct tiff_memory file = { p, n, 0 };
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    TIFF *t = TIFFClientOpen("image", "rm", &file, read_bytes, write_bytes, seek, close_file,
                             size_of, NULL, NULL);
    FAIL_IF(!t, e, STATUS_CORRUPT, "the directory is damaged");
    enum status s = read_pixels(t, a, out, e);
    TIFFClose(t);
    return s;
}
#else
enum status image_tiff(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                       struct err *e) {
    (void)p, (void)n, (void)a, (void)out;
    return err_set(e, STATUS_UNSUPPORTED, "this build has no TIFF library (Debian: libtiff-dev)");
}
#endif
