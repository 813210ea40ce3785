/* WebP by libwebp, where the build has it. */
#include "wire/image.h"

#ifdef CALQUE_WEBP
#include <webp/decode.h>

enum status image_webp(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                       struct err *e) {
    int width, height;
    FAIL_IF(!WebPGetInfo(p, n, &width, &height), e, STATUS_CORRUPT, "the header is damaged");
    TRY(image_new(out, height, width, a, e));
    size_t line = (size_t)width * 3;
    FAIL_IF(!WebPDecodeRGBInto(p, n, out->rgb, line * (size_t)height, (int)line), e, STATUS_CORRUPT,
            "the pixels are damaged");
    return OK;
}
#else
enum status image_webp(const uint8_t *p, size_t n, struct arena *a, struct image *out,
                       struct err *e) {
    (void)p, (void)n, (void)a, (void)out;
    return err_set(e, STATUS_UNSUPPORTED, "this build has no WebP library (Debian: libwebp-dev)");
}
#endif
