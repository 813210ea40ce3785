#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

static const struct dtype_row rows[DT_COUNT] = {
    [DT_NONE] = { "none", CLASS_NONE, 0, DT_NONE },
    [DT_F64] = { "float64", CLASS_FLOAT, 64, DT_F64 },
    [DT_F32] = { "float32", CLASS_FLOAT, 32, DT_F32 },
    [DT_F16] = { "float16", CLASS_FLOAT, 16, DT_F32 },
    [DT_BF16] = { "bfloat16", CLASS_FLOAT, 16, DT_F32 },
    [DT_F8E4M3FN] = { "float8_e4m3fn", CLASS_FLOAT, 8, DT_F32 },
    [DT_F8E4M3FNUZ] = { "float8_e4m3fnuz", CLASS_FLOAT, 8, DT_F32 },
    [DT_F8E5M2] = { "float8_e5m2", CLASS_FLOAT, 8, DT_F32 },
    [DT_F8E5M2FNUZ] = { "float8_e5m2fnuz", CLASS_FLOAT, 8, DT_F32 },
    [DT_F8E8M0] = { "float8_e8m0fnu", CLASS_FLOAT, 8, DT_F32 },
    [DT_F4E2M1] = { "float4_e2m1fn", CLASS_FLOAT, 4, DT_F32 },
    [DT_I64] = { "int64", CLASS_INT, 64, DT_I64 },
    [DT_I32] = { "int32", CLASS_INT, 32, DT_I32 },
    [DT_I16] = { "int16", CLASS_INT, 16, DT_I16 },
    [DT_I8] = { "int8", CLASS_INT, 8, DT_I8 },
    [DT_I4] = { "int4", CLASS_INT, 4, DT_I8 },
    [DT_I2] = { "int2", CLASS_INT, 2, DT_I8 },
    [DT_U64] = { "uint64", CLASS_UINT, 64, DT_U64 },
    [DT_U32] = { "uint32", CLASS_UINT, 32, DT_U32 },
    [DT_U16] = { "uint16", CLASS_UINT, 16, DT_U16 },
    [DT_U8] = { "uint8", CLASS_UINT, 8, DT_U8 },
    [DT_U4] = { "uint4", CLASS_UINT, 4, DT_U8 },
    [DT_U2] = { "uint2", CLASS_UINT, 2, DT_U8 },
    [DT_BOOL] = { "bool", CLASS_BOOL, 8, DT_BOOL },
    [DT_C64] = { "complex64", CLASS_COMPLEX, 64, DT_C64 },
    [DT_C128] = { "complex128", CLASS_COMPLEX, 128, DT_C128 },
    [DT_STRING] = { "string", CLASS_STRING, 64, DT_STRING },
};

const struct dtype_row *dtype_row(enum dtype t) {
    return &rows[(unsigned)t < DT_COUNT ? t : DT_NONE];
}

const char *dtype_name(enum dtype t) {
    return dtype_row(t)->name;
}

enum dtype dtype_from_name(const char *name) {
    for (int t = 1; t < DT_COUNT; t++)
        if (strcmp(rows[t].name, name) == 0)
            return (enum dtype)t;
    return DT_NONE;
}

static const enum dtype onnx_types[] = {
    [1] = DT_F32,         [2] = DT_U8,      [3] = DT_I8,      [4] = DT_U16,       [5] = DT_I16,   [6] = DT_I32,   [7] = DT_I64,
    [8] = DT_STRING,      [9] = DT_BOOL,    [10] = DT_F16,    [11] = DT_F64,      [12] = DT_U32,  [13] = DT_U64,  [14] = DT_C64,
    [15] = DT_C128,       [16] = DT_BF16,   [17] = DT_F8E4M3FN, [18] = DT_F8E4M3FNUZ, [19] = DT_F8E5M2,
    [20] = DT_F8E5M2FNUZ, [21] = DT_U4,     [22] = DT_I4,     [23] = DT_F4E2M1,   [24] = DT_F8E8M0, [25] = DT_U2, [26] = DT_I2,
};

enum { N_ONNX_TYPES = sizeof onnx_types / sizeof *onnx_types };

enum dtype dtype_from_onnx(int64_t data_type) {
    return data_type > 0 && data_type < N_ONNX_TYPES ? onnx_types[data_type] : DT_NONE;
}

int dtype_to_onnx(enum dtype t) {
    for (int i = 1; t != DT_NONE && i < N_ONNX_TYPES; i++)
        if (onnx_types[i] == t)
            return i;
    return 0;
}

bool dtype_is_float(enum dtype t) {
    return dtype_row(t)->class_ == CLASS_FLOAT;
}

bool dtype_is_int(enum dtype t) {
    return dtype_row(t)->class_ == CLASS_INT || dtype_row(t)->class_ == CLASS_UINT;
}

bool dtype_is_unsigned(enum dtype t) {
    return dtype_row(t)->class_ == CLASS_UINT;
}

size_t dtype_size(enum dtype t) {
    int bits = dtype_row(t)->bits;
    return bits < 8 ? 1 : (size_t)bits / 8;
}

size_t dtype_bytes(enum dtype t, int64_t n) {
    size_t bits = (size_t)dtype_row(t)->bits;
    if (n < 0 || (uint64_t)n > (SIZE_MAX - 7) / (bits ? bits : 1))
        return SIZE_MAX;
    return ((size_t)n * bits + 7) / 8;
}

/* A small float: e exponent bits, m mantissa bits. `fn`: no infinity, NaN is all ones (e4m3fn);
 * `uz`: no infinity, no negative zero, NaN is the sign bit alone. */
struct layout {
    int e, m, bias;
    bool fn, uz;
};

static const struct layout layouts[DT_COUNT] = {
    [DT_F16] = { 5, 10, 15, false, false },      [DT_BF16] = { 8, 7, 127, false, false },
    [DT_F8E4M3FN] = { 4, 3, 7, true, false },    [DT_F8E4M3FNUZ] = { 4, 3, 8, false, true },
    [DT_F8E5M2] = { 5, 2, 15, false, false },    [DT_F8E5M2FNUZ] = { 5, 2, 16, false, true },
    [DT_F4E2M1] = { 2, 1, 1, true, false },
};

static double small_to_f64(enum dtype t, uint32_t bits) {
    const struct layout *l = &layouts[t];
    uint32_t sign = bits >> (l->e + l->m) & 1, exp = bits >> l->m & ((1u << l->e) - 1), man = bits & ((1u << l->m) - 1);
    uint32_t top = (1u << l->e) - 1;
    if (l->uz && sign && !exp && !man)
        return NAN;
    if (t == DT_F8E4M3FN && exp == top && man == (1u << l->m) - 1)
        return NAN;
    if (!l->fn && !l->uz && exp == top)
        return man ? NAN : (sign ? -INFINITY : INFINITY);
    double v = exp ? ldexp(1.0 + ldexp((double)man, -l->m), (int)exp - l->bias)
                   : ldexp((double)man, 1 - l->bias - l->m);
    return sign ? -v : v;
}

/* Largest finite value's bits without the sign. */
static uint32_t small_max_bits(enum dtype t) {
    const struct layout *l = &layouts[t];
    uint32_t all = (1u << (l->e + l->m)) - 1;
    if (t == DT_F8E4M3FN)
        return all - 1;
    if (l->uz || l->fn)
        return all;
    return all - (1u << l->m); /* below infinity */
}

static uint32_t small_from_f64(enum dtype t, double v, bool saturate) {
    const struct layout *l = &layouts[t];
    uint32_t sign_bit = 1u << (l->e + l->m);
    uint32_t nan_bits = l->uz ? sign_bit : t == DT_F8E4M3FN ? sign_bit - 1 : (sign_bit - (1u << l->m)) | 1u << (l->m - 1);
    bool neg = signbit(v) != 0;
    uint32_t sign = neg ? sign_bit : 0;
    if (isnan(v)) {
        if (t == DT_F4E2M1) /* has no NaN: -0, as ml_dtypes and the stored cases of ONNX have it */
            return sign_bit;
        return l->uz ? nan_bits : nan_bits | sign;
    }
    double a = fabs(v);
    uint32_t max_bits = small_max_bits(t);
    double max = small_to_f64(t, max_bits);
    uint32_t over = saturate || t == DT_F4E2M1 ? sign | max_bits : l->uz ? nan_bits : l->fn ? sign | nan_bits : sign | (max_bits + 1);
    if (isinf(a))
        return over;
    if (a == 0)
        return l->uz ? 0 : sign;
    int exp;
    frexp(a, &exp); /* a = f * 2^exp, f in [0.5, 1) */
    int unit = exp - 1 - l->m;
    int least = 1 - l->bias - l->m;
    if (unit < least)
        unit = least;
    double q = rint(ldexp(a, -unit)); /* ties to even: the default rounding mode */
    double r = ldexp(q, unit);
    if (r > max) {
        /* The first value past the largest finite one, had the type more exponents, rounds down on a tie. */
        return over;
    }
    if (r == 0)
        return l->uz ? 0 : sign;
    frexp(r, &exp);
    exp -= 1;
    uint32_t bits;
    if (exp < 1 - l->bias)
        bits = (uint32_t)ldexp(r, -least);
    else
        bits = (uint32_t)(exp + l->bias) << l->m | ((uint32_t)ldexp(r, l->m - exp) & ((1u << l->m) - 1));
    return sign | bits;
}

double f16_to_f64(uint16_t bits) {
    return small_to_f64(DT_F16, bits);
}

uint16_t f16_from_f64(double v) {
    return (uint16_t)small_from_f64(DT_F16, v, false);
}

double bf16_to_f64(uint16_t bits) {
    return small_to_f64(DT_BF16, bits);
}

uint16_t bf16_from_f64(double v) {
    return (uint16_t)small_from_f64(DT_BF16, v, false);
}

double f8_to_f64(enum dtype t, uint8_t bits) {
    if (t == DT_F8E8M0)
        return bits == 0xff ? NAN : ldexp(1.0, (int)bits - 127);
    return small_to_f64(t, bits);
}

uint8_t f8_from_f64(enum dtype t, double v, bool saturate) {
    if (t == DT_F8E8M0) {
        if (isnan(v) || v < 0)
            return 0xff;
        if (isinf(v) || v > ldexp(1.0, 127))
            return saturate ? 0xfe : 0xff;
        if (v <= ldexp(1.0, -127))
            return 0;
        int exp;
        double f = frexp(v, &exp); /* in [0.5, 1): the power of two is exp - 1 */
        return (uint8_t)(exp - 1 + (f > 0.75 || (f == 0.75)) + 127);
    }
    return (uint8_t)small_from_f64(t, v, saturate);
}

double float_round_to(enum dtype t, double v) {
    switch (t) {
    case DT_F32:
        return (double)(float)v;
    case DT_F16:
    case DT_BF16:
    case DT_F8E4M3FN:
    case DT_F8E4M3FNUZ:
    case DT_F8E5M2:
    case DT_F8E5M2FNUZ:
    case DT_F4E2M1:
        return small_to_f64(t, small_from_f64(t, v, false));
    case DT_F8E8M0:
        return f8_to_f64(t, f8_from_f64(t, v, true));
    default:
        return v;
    }
}
