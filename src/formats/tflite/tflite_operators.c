/* The built-in operators of the schema: which are read, and why the others are not. */
#include <string.h>

#include "formats/format.h"
#include "formats/tflite/tflite.h"
#include "ops/op.h"

static const struct {
    enum builtin code;
    const char *why;
} refused[] = {
    { BUILTIN_CONCAT_EMBEDDINGS, "the interpreter has no kernel of it either" },
    { BUILTIN_LSH_PROJECTION, "its hash function is the runtime's own" },
    { BUILTIN_SKIP_GRAM, "no converter makes it" },
    { BUILTIN_DELEGATE, "a runtime makes it in memory; no file holds it" },
    { BUILTIN_PLACEHOLDER_FOR_GREATER_OP_CODES, "no operator: it marks codes past 127" },
    { BUILTIN_CUSTOM, "its meaning is outside the file; kept by name (Flex: TensorFlow's own)" },
    { BUILTIN_STABLEHLO_CUSTOM_CALL, "its meaning is outside the file" },
    { BUILTIN_STABLEHLO_RNG_BIT_GENERATOR, "its random bits are the runtime's own" },
};

const char *tflite_refused(enum builtin code) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].code == code)
            return refused[i].why;
    return NULL;
}

void tflite_operators(struct arena *a, struct format_operators *out) {
    for (int code = 0; code < BUILTIN_COUNT; code++) {
        const struct builtin_row *row = builtin_row(code);
        if (!row)
            continue;
        const struct op *own = op_find("tflite", row->name);
        struct format_operator o = { .domain = "",
                                     .name = row->name,
                                     .code = code,
                                     .op = own && own->eval ? own : NULL,
                                     .refused = tflite_refused((enum builtin)code) };
        if (!o.refused && !tflite_reader((enum builtin)code))
            o.refused = "it has no reader";
        PUSH(a, out->items, out->n, o);
    }
}
