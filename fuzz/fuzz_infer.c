/* ONNX files that can be read: shapes and small contents are inferred, as `inspect` does. */
#include "exec/exec.h"
#include "formats/format.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct model *m;
    struct err e = { 0 };
    if (model_read_memory(data, size, &m, &e) != OK)
        return 0;
    struct arena *a = arena_new();
    e = (struct err) { 0 };
    if (!exec_infer(m, a, NULL, &e) && e.what[0] == '\0')
        abort();
    arena_free(a);
    model_free(m);
    return 0;
}
