/* ImageDecoder. */
#include "wire/image.h"

#include <string.h>

#include "ops/move.h"
#include "ops/row.h"

enum pixels { PIXELS_RGB, PIXELS_BGR, PIXELS_GREY };

static enum status pixels_of(const struct node *n, enum pixels *out, struct err *e) {
    static const char *const names[] = { "RGB", "BGR", "Grayscale" };
    const char *s = attr_str(n, "pixel_format");
    for (int i = 0; i < 3; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (enum pixels)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "pixel_format '%s' is none of RGB, BGR, Grayscale", s);
}

static enum status shape_image(struct shape_ctx *c) {
    enum pixels p;
    TRY(pixels_of(c->node, &p, c->err));
    SHAPE_FAIL_IF(c->in[0].dtype != DT_U8 && c->in[0].dtype != DT_NONE, c,
                  "the stream is %s, not uint8", dtype_name(c->in[0].dtype));
    fact_set(&c->out[0], DT_U8, 3,
             (int64_t[]) { DIM_UNKNOWN, DIM_UNKNOWN, p == PIXELS_GREY ? 1 : 3 });
    return OK;
}

/* A stream that cannot be decoded gives an empty image (ImageDecoder-20); a format that is not read
 * is an error. */
static enum status eval_image(struct op_ctx *c) {
    enum pixels p;
    struct image image = { 0 };
    TRY(pixels_of(c->node, &p, c->err));
    enum status s =
        image_decode(c->in[0]->data, (size_t)tensor_count(c->in[0]), c->scratch, &image, c->err);
    if (s == STATUS_CORRUPT)
        image = (struct image) { 0 };
    else
        TRY(s);
    TRY(op_output(c, 0, DT_U8, 3,
                  (int64_t[]) { image.height, image.width, p == PIXELS_GREY ? 1 : 3 }));
    uint8_t *to = c->out[0]->data;
    for (int64_t i = 0; i < image.height * image.width; i++) {
        const uint8_t *rgb = image.rgb + 3 * i;
        if (p == PIXELS_GREY) {
            to[i] = image_grey(rgb);
            continue;
        }
        to[3 * i] = rgb[p == PIXELS_BGR ? 2 : 0];
        to[3 * i + 1] = rgb[1];
        to[3 * i + 2] = rgb[p == PIXELS_BGR ? 0 : 2];
    }
    return OK;
}

/* clang-format off */
const struct op ops_image_decoder[] = {
    { ONNX("ImageDecoder", 20, 1, 1), .flags = OP_DATA_SHAPE | OP_NO_GRADIENT, .attrs = ATTRS(STRING("pixel_format", "RGB")),
      .shape = shape_image,
      .eval = eval_image },
    { 0 },
};
