/* JPEG by libjpeg(-turbo), with its default ("fancy") chroma upsampling and exact integer DCT. */
#include "wire/image.h"

#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>

struct jpeg_failure {
    struct jpeg_error_mgr base; /* first: libjpeg hands back a pointer to it */
    jmp_buf back;
    struct err *err;
};

static void on_error(j_common_ptr c) {
    struct jpeg_failure *f = (struct jpeg_failure *)c->err;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    err_set(f->err, STATUS_CORRUPT, "%s", text);
    longjmp(f->back, 1);
}

static void on_message(j_common_ptr c) {
    (void)c;
}

/* Errors of libjpeg jump to the caller's setjmp. */
static enum status read_rows(struct jpeg_decompress_struct *c, struct arena *a, struct image *out,
                             struct err *e) {
    jpeg_read_header(c, TRUE);
    c->out_color_space = JCS_RGB;
    FAIL_IF(c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK, e,
            STATUS_UNSUPPORTED, "CMYK pixels");
    TRY(image_new(out, c->image_height, c->image_width, a, e));
    jpeg_start_decompress(c);
    while (c->output_scanline < c->output_height) {
        JSAMPROW row = out->rgb + (size_t)c->output_scanline * (size_t)out->width * 3;
        jpeg_read_scanlines(c, &row, 1);
    }
    jpeg_finish_decompress(c);
    return OK;
}

enum status image_jpeg(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                       struct err *e) {
    struct jpeg_decompress_struct c;
    struct jpeg_failure f = { .err = e };
    c.err = jpeg_std_error(&f.base);
    f.base.error_exit = on_error;
    f.base.output_message = on_message;
    jpeg_create_decompress(&c);
    if (setjmp(f.back)) {
        jpeg_destroy_decompress(&c);
        return STATUS_CORRUPT;
    }
    jpeg_mem_src(&c, p, (unsigned long)n);
    enum status s = read_rows(&c, a, out, e);
    jpeg_destroy_decompress(&c);
    return s;
}
