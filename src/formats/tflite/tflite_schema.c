/* Numbers of the schema as tables. */
#include "formats/tflite/tflite_write.h"

static const struct builtin_row builtins[BUILTIN_COUNT] = {
#define BUILTIN(number, name, options, options2) [number] = { #name, options, options2 },
#include "formats/tflite/builtins.def"
#undef BUILTIN
};

const struct builtin_row *builtin_row(int number) {
    return number >= 0 && number < BUILTIN_COUNT && builtins[number].name ? &builtins[number]
                                                                          : NULL;
}

static const enum dtype types[] = {
    [0] = DT_F32,    [1] = DT_F16,       [2] = DT_I32,     [3] = DT_U8,    [4] = DT_I64,
    [5] = DT_STRING, [6] = DT_BOOL,      [7] = DT_I16,     [8] = DT_C64,   [9] = DT_I8,
    [10] = DT_F64,   [11] = DT_C128,     [12] = DT_U64,    [13] = DT_NONE, [14] = DT_NONE,
    [15] = DT_U32,   [16] = DT_U16,      [17] = DT_I4,     [18] = DT_BF16, [19] = DT_I2,
    [20] = DT_U4,    [21] = DT_F8E4M3FN, [22] = DT_F8E5M2,
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

/* Fields of the options tables in order: 'o' an offset, a digit the bytes of a scalar. */
static const char *const option_kinds[] = {
    [1] = "1441441", [2] = "1444144", [3] = "4oo",     [4] = "1",      [5] = "144441",
    [6] = "411",     [7] = "11",      [8] = "11111o",  [9] = "4",      [10] = "41",
    [11] = "11",     [12] = "1",      [13] = "4444",   [14] = "14411", [15] = "4411",
    [16] = "4",      [17] = "o",      [18] = "441",    [19] = "4",     [20] = "1",
    [21] = "1",      [23] = "44",     [27] = "1",      [28] = "11",    [29] = "1",
    [30] = "o",      [31] = "111",    [32] = "444441", [35] = "4",     [37] = "11",
    [40] = "1",      [49] = "14411",  [50] = "1",      [55] = "1",     [57] = "1",
    [58] = "4441",   [59] = "44",     [61] = "4",      [64] = "44",    [69] = "144111",
    [70] = "1111",   [71] = "144111", [74] = "11",     [75] = "4",     [77] = "1",
    [79] = "4",      [80] = "1",      [87] = "44",     [92] = "44",    [93] = "44",
    [94] = "4",      [101] = "111",   [102] = "11",    [103] = "4",    [106] = "14441444",
    [107] = "411",   [111] = "oo",    [114] = "88",    [115] = "o",    [116] = "1",
};

const char *tflite_option_kinds(const struct builtin_row *row) {
    const char *kinds = row->options < sizeof option_kinds / sizeof *option_kinds
                            ? option_kinds[row->options]
                            : NULL;
    return kinds ? kinds : "";
}

uint64_t tflite_option_default(const struct builtin_row *row, int slot) {
    static const struct {
        uint8_t options, slot;
    } ones[] = { { 1, 4 },   { 1, 5 },   { 2, 5 },  { 2, 6 },  { 106, 5 },
                 { 106, 6 }, { 106, 7 }, { 11, 1 }, { 28, 1 }, { 69, 4 } };
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++)
        if (ones[i].options == row->options && ones[i].slot == slot)
            return 1;
    return 0;
}
