/* Images of every format that is read. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new();
    struct image image;
    struct err e = { 0 };
    if (image_decode(data, size, a, &image, &e) != OK && e.what[0] == '\0')
        abort();
    if (e.code == STATUS_BUG)
        abort();
    arena_free(a);
    return 0;
}
