/* JPEG 2000 by OpenJPEG, where the build has it. */
#include "wire/image.h"

#ifdef CALQUE_JPEG2000
#include <openjpeg.h>
#include <stdbool.h>
#include <string.h>

struct jp2_memory {
    const uint8_t *p;
    size_t n, at;
};

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T n, void *arg) {
    struct jp2_memory *f = arg;
    size_t left = f->n - f->at, take = n < left ? n : left;
    if (take == 0)
        return (OPJ_SIZE_T)-1;
    memcpy(to, f->p + f->at, take);
    f->at += take;
    return take;
}

static OPJ_OFF_T skip_bytes(OPJ_OFF_T n, void *arg) {
    struct jp2_memory *f = arg;
    if (n < 0 || (uint64_t)n > f->n - f->at)
        return -1;
    f->at += (size_t)n;
    return n;
}

static OPJ_BOOL seek_bytes(OPJ_OFF_T to, void *arg) {
    struct jp2_memory *f = arg;
    if (to < 0 || (uint64_t)to > f->n)
        return OPJ_FALSE;
    f->at = (size_t)to;
    return OPJ_TRUE;
}

static uint8_t to_byte(const opj_image_comp_t *c, size_t i) {
    int64_t v = c->data[i] + (c->sgnd ? INT64_C(1) << (c->prec - 1) : 0),
            high = (INT64_C(1) << c->prec) - 1;
    v = v < 0 ? 0 : v > high ? high : v;
    return (uint8_t)((v * 255 + high / 2) / high);
}

static enum status copy_pixels(const opj_image_t *i, struct arena *a, struct image *out,
                               struct err *e) {
    FAIL_IF(i->numcomps < 1, e, STATUS_CORRUPT, "no component");
    const opj_image_comp_t *first = &i->comps[0];
    TRY(image_new(out, first->h, first->w, a, e));
    uint32_t used = i->numcomps >= 3 ? 3 : 1;
    for (uint32_t k = 0; k < used; k++) {
        const opj_image_comp_t *c = &i->comps[k];
        FAIL_IF(c->w != first->w || c->h != first->h || c->prec < 1 || c->prec > 31 || !c->data, e,
                STATUS_UNSUPPORTED, "components of different sizes");
    }
    FAIL_IF(used == 3 && i->color_space == OPJ_CLRSPC_SYCC, e, STATUS_UNSUPPORTED, "sYCC pixels");
    for (size_t k = 0; k < (size_t)first->w * first->h; k++)
        for (uint32_t j = 0; j < 3; j++)
            out->rgb[3 * k + j] = to_byte(&i->comps[used == 3 ? j : 0], k);
    return OK;
}

static enum status decode(opj_codec_t *codec, opj_stream_t *stream, struct arena *a,
                          struct image *out, struct err *e) {
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    opj_set_default_decoder_parameters(&parameters);
    bool ok = opj_setup_decoder(codec, &parameters) && opj_read_header(stream, codec, &image);
    FAIL_IF(!ok, e, STATUS_CORRUPT, "the header is damaged");
    enum status s = OK;
    if ((int64_t)image->x1 - image->x0 > IMAGE_MAX_PIXELS / ((int64_t)image->y1 - image->y0 + 1))
        s = err_set(e, STATUS_UNSUPPORTED, "the image is too large");
    if (s == OK && !(opj_decode(codec, stream, image) && opj_end_decompress(codec, stream)))
        s = err_set(e, STATUS_CORRUPT, "the pixels are damaged");
    if (s == OK)
        s = copy_pixels(image, a, out, e);
    opj_image_destroy(image);
    return s;
}

enum status image_jpeg2000(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                           struct err *e) {
    struct jp2_memory file = { p, n, 0 };
    opj_codec_t *codec = opj_create_decompress(p[0] == 0xff ? OPJ_CODEC_J2K : OPJ_CODEC_JP2);
    opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);
    enum status s = codec && stream ? OK : err_set(e, STATUS_BUG, "OpenJPEG cannot be used");
    if (s == OK) {
        opj_stream_set_user_data(stream, &file, NULL);
        opj_stream_set_user_data_length(stream, n);
        opj_stream_set_read_function(stream, read_bytes);
        opj_stream_set_skip_function(stream, skip_bytes);
        opj_stream_set_seek_function(stream, seek_bytes);
        s = decode(codec, stream, a, out, e);
    }
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return s;
}
#else
enum status image_jpeg2000(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                           struct err *e) {
    (void)p, (void)n, (void)a, (void)out;
    return err_set(e, STATUS_UNSUPPORTED,
                   "this build has no JPEG 2000 library (Debian: libopenjp2-7-dev)");
}
#endif
