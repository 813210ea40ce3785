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
    [DT_F6E2M3] = { "float6_e2m3fn", CLASS_FLOAT, 6, DT_F32 },
    [DT_F6E3M2] = { "float6_e3m2fn", CLASS_FLOAT, 6, DT_F32 },
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
    [1] = DT_F32,       [2] = DT_U8,          [3] = DT_I8,      [4] = DT_U16,
    [5] = DT_I16,       [6] = DT_I32,         [7] = DT_I64,     [8] = DT_STRING,
    [9] = DT_BOOL,      [10] = DT_F16,        [11] = DT_F64,    [12] = DT_U32,
    [13] = DT_U64,      [14] = DT_C64,        [15] = DT_C128,   [16] = DT_BF16,
    [17] = DT_F8E4M3FN, [18] = DT_F8E4M3FNUZ, [19] = DT_F8E5M2, [20] = DT_F8E5M2FNUZ,
    [21] = DT_U4,       [22] = DT_I4,         [23] = DT_F4E2M1, [24] = DT_F8E8M0,
    [25] = DT_U2,       [26] = DT_I2,         [27] = DT_F6E2M3, [28] = DT_F6E3M2,
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

void dtype_int_bounds(enum dtype t, int64_t *least, int64_t *most) {
    int bits = dtype_row(t)->bits - !dtype_is_unsigned(t);
    *most = bits > 62 ? INT64_MAX : ((int64_t)1 << bits) - 1;
    *least = dtype_is_unsigned(t) ? 0 : -*most - 1;
}

size_t dtype_size(enum dtype t) {
    int bits = dtype_row(t)->bits;
    return bits < 8 ? 1 : (size_t)bits / 8;
}

size_t dtype_bytes(enum dtype t, int64_t n) {
    size_t bits = (size_t)dtype_row(t)->bits;
    if (bits >= 8) {
        size_t size = bits / 8;
        return n < 0 || (uint64_t)n > SIZE_MAX / size ? SIZE_MAX : (size_t)n * size;
    }
    return n < 0 ? SIZE_MAX : (size_t)n / 8 * bits + ((size_t)n % 8 * bits + 7) / 8;
}

/* A small float: e exponent bits, m mantissa bits. `fn`: no infinity; `uz`: no infinity, no
 * negative zero, NaN is the sign bit alone. `nan`: the bits of its NaN, `max` those of its largest
 * finite value, `over` what a larger value becomes when it is not to saturate. IEEE 754-2008
 * (binary16); bfloat16; Micikevicius et al. 2022 (E4M3, E5M2); the UZ forms as ONNX "Float stored
 * in 8 bits" has them; OCP Microscaling Formats 1.0 (types of 6 and 4 bits have no NaN: it
 * becomes -0, as in ml_dtypes and ONNX's stored cases). */
struct layout {
    int e, m, bias;
    bool fn, uz;
    uint32_t max, over, nan;
};

static const struct layout layouts[DT_COUNT] = {
    [DT_F16] = { 5, 10, 15, false, false, 0x7bff, 0x7c00, 0x7e00 },
    [DT_BF16] = { 8, 7, 127, false, false, 0x7f7f, 0x7f80, 0x7fc0 },
    [DT_F8E4M3FN] = { 4, 3, 7, true, false, 0x7e, 0x7f, 0x7f },
    [DT_F8E4M3FNUZ] = { 4, 3, 8, true, true, 0x7f, 0x80, 0x80 },
    [DT_F8E5M2] = { 5, 2, 15, false, false, 0x7b, 0x7c, 0x7e },
    [DT_F8E5M2FNUZ] = { 5, 2, 16, true, true, 0x7f, 0x80, 0x80 },
    [DT_F6E2M3] = { 2, 3, 1, true, false, 0x1f, 0x1f, 0x20 },
    [DT_F6E3M2] = { 3, 2, 3, true, false, 0x1f, 0x1f, 0x20 },
    [DT_F4E2M1] = { 2, 1, 1, true, false, 7, 7, 8 },
};

static double power_of_two(int exponent) { /* of a normal double */
    uint64_t u = (uint64_t)(exponent + 1023) << 52;
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

static double small_to_f64(enum dtype t, uint32_t bits) {
    const struct layout *l = &layouts[t];
    uint64_t sign = bits >> (l->e + l->m) & 1;
    uint32_t magnitude = bits & ((1u << (l->e + l->m)) - 1);
    if (magnitude > l->max)
        return magnitude == l->over && !l->fn ? (sign ? -INFINITY : INFINITY) : NAN;
    if (sign && !magnitude && l->uz)
        return NAN;
    if (magnitude >> l->m == 0) {
        double v = (double)magnitude * power_of_two(1 - l->bias - l->m);
        return sign ? -v : v;
    }
    uint64_t u =
        sign << 63 | (((uint64_t)magnitude << (52 - l->m)) + ((uint64_t)(1023 - l->bias) << 52));
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* The magnitude's bits, rounded to nearest even; may be past `max`. */
static uint32_t small_round(const struct layout *l, double a) {
    if (a <
        power_of_two(
            1 -
            l->bias)) /* the product is exact, and 2^m at most, which is the least normal's bits */
        return (uint32_t)rint(a * power_of_two(l->bias - 1 + l->m));
    uint64_t u;
    memcpy(&u, &a, sizeof u);
    int drop = 52 - l->m;
    u += ((UINT64_C(1) << (drop - 1)) - 1) + (u >> drop & 1);
    u = (u >> drop) - ((uint64_t)(1023 - l->bias) << l->m);
    return u > UINT32_MAX ? UINT32_MAX : (uint32_t)u;
}

static uint32_t small_from_f64(enum dtype t, double v, bool saturate) {
    const struct layout *l = &layouts[t];
    uint32_t sign = signbit(v) ? 1u << (l->e + l->m) : 0;
    if (v != v)
        return l->uz || l->over == l->max ? l->nan : l->nan | sign;
    uint32_t bits = small_round(l, fabs(v));
    if (bits > l->max) {
        if (saturate)
            return sign | l->max;
        return l->uz ? l->nan : sign | l->over;
    }
    return bits == 0 && l->uz ? 0 : sign | bits;
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
        return bits == 0xff ? NAN : power_of_two((int)bits - 127);
    return small_to_f64(t, bits);
}

uint8_t e8m0_from_f64(double v, enum round_mode mode, bool saturate) {
    if (v != v || v < 0)
        return 0xff;
    if (v < power_of_two(-127))
        return saturate ? 0 : 0xff;
    if (isinf(v))
        return saturate ? 0xfe : 0xff;
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    int exponent = (int)(u >> 52) - 1023;
    uint64_t fraction = u & ((UINT64_C(1) << 52) - 1);
    if (mode == ROUND_UP ? fraction != 0 : mode == ROUND_NEAREST && fraction >> 51)
        exponent++;
    if (exponent > 127)
        return saturate ? 0xfe : 0xff;
    return (uint8_t)(exponent + 127);
}

uint8_t f8_from_f64(enum dtype t, double v, bool saturate) {
    if (t == DT_F8E8M0)
        return e8m0_from_f64(v, ROUND_NEAREST, saturate);
    return (uint8_t)small_from_f64(t, v, saturate);
}

double float_spacing(enum dtype t, double v) {
    const struct layout *l = &layouts[t];
    int exponent, least = 1 - l->bias;
    frexp(v, &exponent);
    exponent = v == 0 || exponent - 1 < least ? least : exponent - 1;
    return ldexp(1, exponent - l->m);
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
    case DT_F6E2M3:
    case DT_F6E3M2:
    case DT_F4E2M1:
        return small_to_f64(t, small_from_f64(t, v, false));
    case DT_F8E8M0:
        return f8_to_f64(t, f8_from_f64(t, v, true));
    default:
        return v;
    }
}

/* Of the bits of a float32 that is not NaN: binary16 has the normal numbers from 2^-14 to 65504. */
static uint32_t round_to_f16(uint32_t magnitude) {
    float v;
    memcpy(&v, &magnitude, sizeof v);
    if (magnitude < 0x38800000) { /* steps of 2^-24, as float32 has them around 0.75 */
        v = (v + 0.75f) - 0.75f;
        memcpy(&magnitude, &v, sizeof v);
        return magnitude;
    }
    magnitude += 0xfff + (magnitude >> 13 & 1);
    magnitude &= ~UINT32_C(0x1fff);
    return magnitude > 0x477fe000 ? 0x7f800000 : magnitude;
}

static uint32_t round_to_bf16(uint32_t magnitude) {
    return (magnitude + 0x7fff + (magnitude >> 16 & 1)) & 0xffff0000;
}

void float_round_all(enum dtype t, float *v, int64_t n) {
    bool half = t == DT_F16, bfloat = t == DT_BF16;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits, magnitude;
        memcpy(&bits, &v[i], sizeof bits);
        magnitude = bits & 0x7fffffff;
        if ((!half && !bfloat) || magnitude > 0x7f800000) {
            v[i] = (float)float_round_to(t, (double)v[i]);
            continue;
        }
        bits = (bits & 0x80000000) | (half ? round_to_f16(magnitude) : round_to_bf16(magnitude));
        memcpy(&v[i], &bits, sizeof bits);
    }
}
