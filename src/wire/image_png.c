/* PNG by libpng. */
#include "wire/image.h"

#include <png.h>
#include <string.h>

struct png_memory {
    const uint8_t *p;
    size_t n, at;
};

static void read_bytes(png_structp png, png_bytep to, size_t n) {
    struct png_memory *f = png_get_io_ptr(png);
    if (n > f->n - f->at)
        png_error(png, "the file ends too early");
    memcpy(to, f->p + f->at, n);
    f->at += n;
}

static void on_error(png_structp png, png_const_charp text) {
    err_set(png_get_error_ptr(png), STATUS_CORRUPT, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png, (void)text;
}

static void ask_for_rgb(png_structp png, png_infop info) {
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* Errors of libpng jump to the caller's setjmp. */
static enum status read_rows(png_structp png, png_infop info, struct arena *a, struct image *out,
                             struct err *e) {
    png_read_info(png, info);
    TRY(image_new(out, png_get_image_height(png, info), png_get_image_width(png, info), a, e));
    ask_for_rgb(png, info);
    FAIL_IF(png_get_rowbytes(png, info) != (size_t)out->width * 3, e, STATUS_UNSUPPORTED,
            "pixels that are not RGB");
    png_bytep *rows = NEW_ARRAY(a, out->height, png_bytep);
    for (int64_t y = 0; y < out->height; y++)
        rows[y] = out->rgb + y * out->width * 3;
    png_read_image(png, rows);
    return OK;
}

enum status image_png(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                      struct err *e) {
    struct png_memory file = { p, n, 0 };
    struct err ignored, *err = e ? e : &ignored;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, err, on_error, on_warning);
    FAIL_IF(!png, e, STATUS_BUG, "libpng cannot be used");
    png_infop info = png_create_info_struct(png);
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, info ? &info : NULL, NULL);
        return STATUS_CORRUPT;
    }
    png_set_read_fn(png, &file, read_bytes);
    enum status s = read_rows(png, info, a, out, err);
    png_destroy_read_struct(&png, &info, NULL);
    return s;
}
