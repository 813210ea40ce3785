/* npy and npz files (and with them zip archives). */
#include <stdint.h>
#include <stdlib.h>

#include "npz/npz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new();
    struct named_tensors t;
    struct err e = { 0 };
    if (npz_read_memory(data, size, a, &t, &e) != OK && e.what[0] == '\0')
        abort();
    if (e.code == STATUS_BUG)
        abort();
    named_tensors_free(&t);
    arena_free(a);
    return 0;
}
