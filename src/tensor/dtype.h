/* Element types that the formats store. One row a type (dtype.c). */
#ifndef TENSOR_DTYPE_H
#define TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dtype {
    DT_NONE = 0,
    DT_F64,
    DT_F32,
    DT_F16,
    DT_BF16,
    DT_F8E4M3FN,
    DT_F8E4M3FNUZ,
    DT_F8E5M2,
    DT_F8E5M2FNUZ,
    DT_F8E8M0,
    DT_F6E2M3, /* packed in files, four to three bytes, low bits first */
    DT_F6E3M2,
    DT_F4E2M1, /* packed in files, two to a byte, low nibble first */
    DT_I64,
    DT_I32,
    DT_I16,
    DT_I8,
    DT_I4, /* packed in files */
    DT_I2, /* packed in files, four to a byte */
    DT_U64,
    DT_U32,
    DT_U16,
    DT_U8,
    DT_U4,
    DT_U2,
    DT_BOOL,
    DT_C64,
    DT_C128,
    DT_STRING,
    DT_COUNT
};

enum dtype_class {
    CLASS_NONE,
    CLASS_FLOAT,
    CLASS_INT,
    CLASS_UINT,
    CLASS_BOOL,
    CLASS_COMPLEX,
    CLASS_STRING
};

struct dtype_row {
    const char *name; /* "float32", "int4", ... as in numpy and ml_dtypes */
    enum dtype_class class_;
    int bits;           /* of one element in a file */
    enum dtype widened; /* what kernels and npz files use when they lack it: bfloat16 -> float32,
                           int4 -> int8 */
};

const struct dtype_row *dtype_row(enum dtype t);
const char *dtype_name(enum dtype t);
/* DT_NONE when unknown. */
enum dtype dtype_from_name(const char *name);
/* The number that ONNX's TensorProto.DataType has for a type, also used in attributes such as
 * Cast's `to`: DT_NONE for numbers without a type here, 0 for types without a number. */
enum dtype dtype_from_onnx(int64_t data_type);
int dtype_to_onnx(enum dtype t);
bool dtype_is_float(enum dtype t);
/* Signed or unsigned integer; not bool. */
bool dtype_is_int(enum dtype t);
bool dtype_is_unsigned(enum dtype t);
/* The smallest and the largest number of an integer type; of uint64 the largest that int64_t holds.
 */
void dtype_int_bounds(enum dtype t, int64_t *least, int64_t *most);
/* Bytes that n elements take in a file, packed where the type is; SIZE_MAX when that overflows. */
size_t dtype_bytes(enum dtype t, int64_t n);
/* Bytes of one element in memory (of types of at least 8 bits; packed types: 1). */
size_t dtype_size(enum dtype t);

/* Bits <-> values. Narrowing rounds to nearest even; `saturate` decides whether what is too large
 * for a float8 becomes the largest finite value (true) or NaN/infinity as the format has it
 * (false). */
double f16_to_f64(uint16_t bits);
uint16_t f16_from_f64(double v);
double bf16_to_f64(uint16_t bits);
uint16_t bf16_from_f64(double v);
double f8_to_f64(enum dtype t, uint8_t bits);
uint8_t f8_from_f64(enum dtype t, double v, bool saturate);
/* float8 e8m0: powers of two, 0xff is NaN. Halves round up; negative values become NaN; what is out
 * of range becomes the end of the range or NaN (ONNX Cast-25). f8_from_f64 rounds to nearest. */
enum round_mode { ROUND_NEAREST, ROUND_UP, ROUND_DOWN };
uint8_t e8m0_from_f64(double v, enum round_mode mode, bool saturate);
/* v rounded to the values type t has (identity for float64). */
double float_round_to(enum dtype t, double v);
/* The distance of a 16-bit or smaller float's neighbours about v: a unit in its last place. */
double float_spacing(enum dtype t, double v);
/* float_round_to of n float32 numbers in place. */
void float_round_all(enum dtype t, float *v, int64_t n);

#endif
