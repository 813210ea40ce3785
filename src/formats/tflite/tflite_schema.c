/* Numbers of the schema as tables. */
#include "formats/tflite/tflite.h"

static const struct builtin_row builtins[BUILTIN_COUNT] = {
#define BUILTIN(number, name, options, options2) [number] = { #name, options, options2 },
#include "formats/tflite/builtins.def"
#undef BUILTIN
};

const struct builtin_row *builtin_row(int number) {
    return number >= 0 && number < BUILTIN_COUNT && builtins[number].name ? &builtins[number] : NULL;
}

static const enum dtype types[] = {
    [0] = DT_F32,   [1] = DT_F16,   [2] = DT_I32,   [3] = DT_U8,    [4] = DT_I64,   [5] = DT_STRING,
    [6] = DT_BOOL,  [7] = DT_I16,   [8] = DT_C64,   [9] = DT_I8,    [10] = DT_F64,  [11] = DT_C128,
    [12] = DT_U64,  [13] = DT_NONE, [14] = DT_NONE, [15] = DT_U32,  [16] = DT_U16,  [17] = DT_I4,
    [18] = DT_BF16, [19] = DT_I2,   [20] = DT_U4,   [21] = DT_F8E4M3FN, [22] = DT_F8E5M2,
};

enum { N_TYPES = sizeof types / sizeof *types };

enum dtype dtype_from_tflite(int type) {
    return type >= 0 && type < N_TYPES ? types[type] : DT_NONE;
}

int dtype_to_tflite(enum dtype t) {
    for (int i = 0; i < N_TYPES; i++)
        if (types[i] == t && t != DT_NONE)
            return i;
    return -1;
}
