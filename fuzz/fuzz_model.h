/* What the drivers of model formats do with one input: read it; what reads must verify and print.
 */
#ifndef FUZZ_FUZZ_MODEL_H
#define FUZZ_FUZZ_MODEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/format.h"
#include "ir/text.h"
#include "ir/verify.h"

static inline void fuzz_model(const struct format *format, const uint8_t *data, size_t size) {
    struct model *m = model_new();
    struct mapfile f = { .path = "", .data = data, .size = size, .borrowed = true };
    struct err e = { 0 };
    PUSH(m->arena, m->files, m->n_files, f);
    m->path = f.path;
    m->format = format->name;
    enum status s = format->read(m, &e);
    if (s == OK) {
        struct strbuf b;
        strbuf_init(&b, m->arena);
        if (model_verify(m, &e) == OK && model_print(m, TEXT_ORIGINS, &b, &e) == STATUS_BUG)
            abort();
    } else if (e.code != s || e.what[0] == '\0') {
        abort(); /* an error without words */
    }
    if (e.code == STATUS_BUG)
        abort();
    model_free(m);
}

/* The driver of a format: its reader, whatever the bytes look like. */
#define FUZZ_FORMAT(name)                                          \
    extern const struct format format_##name;                      \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);  \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { \
        fuzz_model(&format_##name, data, size);                    \
        return 0;                                                  \
    }

#endif
