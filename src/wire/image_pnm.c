/* PBM, PGM and PPM, as text (P1 to P3) and binary (P4 to P6). */
#include "wire/image.h"

#include <ctype.h>
#include <stdbool.h>

struct pnm {
    const uint8_t *p;
    size_t n, at;
};

static void skip_space(struct pnm *f) {
    while (f->at < f->n && (isspace(f->p[f->at]) || f->p[f->at] == '#'))
        if (f->p[f->at++] == '#')
            while (f->at < f->n && f->p[f->at] != '\n')
                f->at++;
}

/* A number in text; `digits` at most. */
static enum status number(struct pnm *f, int digits, uint32_t *out, struct err *e) {
    skip_space(f);
    FAIL_IF(f->at >= f->n || !isdigit(f->p[f->at]), e, STATUS_CORRUPT,
            "a number is missing at byte %zu", f->at);
    *out = 0;
    for (int i = 0; i < digits && f->at < f->n && isdigit(f->p[f->at]); i++)
        *out = *out * 10 + (f->p[f->at++] - '0');
    return OK;
}

struct pnm_kind {
    bool text, bitmap, color;
    uint32_t highest;
};

static enum status sample(struct pnm *f, const struct pnm_kind *k, int64_t bit, uint32_t *out,
                          struct err *e) {
    if (k->text)
        return number(f, k->bitmap ? 1 : 5, out, e);
    size_t bytes = k->bitmap ? bit % 8 == 0 : k->highest > 255 ? 2 : 1;
    FAIL_IF(f->n - f->at < bytes, e, STATUS_CORRUPT, "the pixels end at byte %zu", f->n);
    f->at += bytes;
    if (k->bitmap)
        *out = f->p[f->at - 1] >> (7 - bit % 8) & 1;
    else
        *out = bytes == 2 ? (uint32_t)f->p[f->at - 2] << 8 | f->p[f->at - 1] : f->p[f->at - 1];
    return OK;
}

enum status image_pnm(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                      struct err *e) {
    struct pnm f = { p, n, 2 };
    char kind = (char)p[1];
    struct pnm_kind k = { .text = kind <= '3',
                          .bitmap = kind == '1' || kind == '4',
                          .color = kind == '3' || kind == '6',
                          .highest = 1 };
    uint32_t width, height;
    TRY(number(&f, 9, &width, e));
    TRY(number(&f, 9, &height, e));
    if (!k.bitmap)
        TRY(number(&f, 5, &k.highest, e));
    FAIL_IF(k.highest == 0 || k.highest > 65535, e, STATUS_CORRUPT, "a highest value of %u",
            k.highest);
    /* Every sample takes at least a bit of the file. */
    FAIL_IF((uint64_t)width * height > (uint64_t)n * 8, e, STATUS_CORRUPT,
            "%u x %u pixels in %zu bytes", width, height, n);
    TRY(image_new(out, height, width, a, e));
    if (!k.text)
        f.at++;
    FAIL_IF(f.at > n, e, STATUS_CORRUPT, "the pixels are missing");
    for (int64_t i = 0; i < (int64_t)height * width; i++)
        for (int c = 0; c < 3; c++) {
            uint8_t *to = out->rgb + 3 * i + c;
            uint32_t v;
            if (c > 0 && !k.color) {
                *to = to[-1];
                continue;
            }
            TRY(sample(&f, &k, i % width, &v, e));
            FAIL_IF(v > k.highest, e, STATUS_CORRUPT, "a sample of %u above %u", v, k.highest);
            *to = k.bitmap ? (v ? 0 : 255) : (uint8_t)((v * 255 + k.highest / 2) / k.highest);
        }
    return OK;
}
