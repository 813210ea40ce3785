/* The text form: what parses prints, and the print parses to the same print. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ir/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print(const struct model *m, struct strbuf *b) {
    struct err e = { 0 };
    strbuf_init(b, m->arena);
    if (model_print(m, TEXT_CONSTANTS | TEXT_ORIGINS, b, &e) != OK)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct model *m, *again;
    struct err e = { 0 };
    if (model_parse((const char *)data, size, &m, &e) != OK) {
        if (e.what[0] == '\0')
            abort();
        return 0;
    }
    struct strbuf first, second;
    print(m, &first);
    if (model_parse(first.p, first.n, &again, &e) != OK)
        abort();
    print(again, &second);
    if (strcmp(first.p, second.p) != 0)
        abort();
    model_free(m);
    model_free(again);
    return 0;
}
