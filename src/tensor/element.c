/* Reading and writing elements of any store, and conversion between stores. Elements of a mapped
 * file may lie at any address, so they are copied out, never dereferenced in place. */
#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

unsigned tensor_bits(const struct tensor *t, int64_t i) {
    const unsigned char *p = t->data;
    int64_t bits = dtype_row(t->store)->bits, at = i * bits;
    unsigned shift = (unsigned)(at % 8), v = p[at / 8];
    if (shift + (unsigned)bits > 8)
        v |= (unsigned)p[at / 8 + 1] << 8;
    return v >> shift & ((1u << bits) - 1);
}

void tensor_set_bits(struct tensor *t, int64_t i, unsigned v) {
    unsigned char *p = t->data;
    int64_t bits = dtype_row(t->store)->bits, at = i * bits;
    unsigned shift = (unsigned)(at % 8), mask = ((1u << bits) - 1) << shift;
    v = v << shift & mask;
    p[at / 8] = (unsigned char)((p[at / 8] & ~mask) | v);
    if (mask > 0xff)
        p[at / 8 + 1] = (unsigned char)((p[at / 8 + 1] & ~(mask >> 8)) | v >> 8);
}

enum { PART = 256 }; /* elements that are converted at once */

/* For a double: NaN is 0, what is out of range the nearest end. */
static int64_t i64_of(double v) {
    if (v != v)
        return 0;
    return v >= 9223372036854775808.0    ? INT64_MAX
           : v <= -9223372036854775808.0 ? INT64_MIN
                                         : (int64_t)v;
}

/* Bits of a uint64 element: doubles from 2^63 on do not fit int64. */
static int64_t u64_bits_of(double v) {
    if (v >= 18446744073709551616.0)
        return -1;
    return v >= 9223372036854775808.0
               ? (int64_t)((uint64_t)(v - 9223372036854775808.0) + (UINT64_C(1) << 63))
               : i64_of(v);
}

/* Element `begin + k` of `type` as `expression` of it, v. */
#define READ(type, expression)                                                                 \
    for (int64_t k = 0; k < n; k++) {                                                          \
        type v;                                                                                \
        memcpy(&v, (const unsigned char *)t->data + (size_t)(begin + k) * sizeof v, sizeof v); \
        to[k] = expression;                                                                    \
    }                                                                                          \
    return

#define WRITE(type, expression)                                                          \
    for (int64_t k = 0; k < n; k++) {                                                    \
        type v = (type)(expression);                                                     \
        memcpy((unsigned char *)t->data + (size_t)(begin + k) * sizeof v, &v, sizeof v); \
    }                                                                                    \
    return

void tensor_load_f64(const struct tensor *t, int64_t begin, int64_t n, double *to) {
    switch (t->store) {
    case DT_F64:
        if (n)
            memcpy(to, (const unsigned char *)t->data + (size_t)begin * sizeof *to,
                   (size_t)n * sizeof *to);
        return;
    case DT_F32:
        READ(float, (double)v);
    case DT_F16:
        READ(uint16_t, f16_to_f64(v));
    case DT_BF16:
        READ(uint16_t, bf16_to_f64(v));
    case DT_F8E4M3FN:
    case DT_F8E4M3FNUZ:
    case DT_F8E5M2:
    case DT_F8E5M2FNUZ:
    case DT_F8E8M0:
        READ(uint8_t, f8_to_f64(t->store, v));
    case DT_F6E2M3:
    case DT_F6E3M2:
    case DT_F4E2M1:
        for (int64_t k = 0; k < n; k++)
            to[k] = f8_to_f64(t->store, (uint8_t)tensor_bits(t, begin + k));
        return;
    case DT_I64:
        READ(int64_t, (double)v);
    case DT_U64:
        READ(uint64_t, (double)v);
    case DT_I32:
        READ(int32_t, (double)v);
    case DT_U32:
        READ(uint32_t, (double)v);
    case DT_I16:
        READ(int16_t, (double)v);
    case DT_U16:
        READ(uint16_t, (double)v);
    case DT_I8:
        READ(int8_t, (double)v);
    case DT_U8:
        READ(uint8_t, (double)v);
    case DT_BOOL:
        READ(uint8_t, v != 0);
    case DT_I4:
    case DT_U4:
    case DT_I2:
    case DT_U2:
        for (int64_t k = 0; k < n; k++)
            to[k] = (double)tensor_i64(t, begin + k);
        return;
    case DT_NONE:
    case DT_C64:
    case DT_C128:
    case DT_STRING:
    case DT_COUNT:
        break;
    }
    for (int64_t k = 0; k < n; k++)
        to[k] = NAN;
}

void tensor_load_i64(const struct tensor *t, int64_t begin, int64_t n, int64_t *to) {
    switch (t->store) {
    case DT_I64:
    case DT_U64:
        READ(int64_t, v);
    case DT_I32:
        READ(int32_t, v);
    case DT_U32:
        READ(uint32_t, v);
    case DT_I16:
        READ(int16_t, v);
    case DT_U16:
        READ(uint16_t, v);
    case DT_I8:
        READ(int8_t, v);
    case DT_U8:
        READ(uint8_t, v);
    case DT_BOOL:
        READ(uint8_t, v != 0);
    case DT_I4:
        for (int64_t k = 0; k < n; k++)
            to[k] = (int64_t)(tensor_bits(t, begin + k) ^ 8u) - 8;
        return;
    case DT_I2:
        for (int64_t k = 0; k < n; k++)
            to[k] = (int64_t)(tensor_bits(t, begin + k) ^ 2u) - 2;
        return;
    case DT_U4:
    case DT_U2:
        for (int64_t k = 0; k < n; k++)
            to[k] = tensor_bits(t, begin + k);
        return;
    default:
        for (int64_t done = 0; done < n; done += PART) {
            double real[PART];
            int64_t part = n - done < PART ? n - done : PART;
            tensor_load_f64(t, begin + done, part, real);
            for (int64_t k = 0; k < part; k++)
                to[done + k] = i64_of(real[k]);
        }
    }
}

void tensor_store_i64(struct tensor *t, int64_t begin, int64_t n, const int64_t *from) {
    switch (t->store) {
    case DT_I64:
    case DT_U64:
        WRITE(int64_t, from[k]);
    case DT_I32:
    case DT_U32:
        WRITE(uint32_t, from[k]);
    case DT_I16:
    case DT_U16:
        WRITE(uint16_t, from[k]);
    case DT_I8:
    case DT_U8:
        WRITE(uint8_t, from[k]);
    case DT_BOOL:
        WRITE(uint8_t, from[k] != 0);
    case DT_I4:
    case DT_U4:
    case DT_I2:
    case DT_U2:
        for (int64_t k = 0; k < n; k++)
            tensor_set_bits(t, begin + k, (unsigned)(from[k] & 15));
        return;
    default:
        for (int64_t done = 0; done < n; done += PART) {
            double real[PART];
            int64_t part = n - done < PART ? n - done : PART;
            for (int64_t k = 0; k < part; k++)
                real[k] = (double)from[done + k];
            tensor_store_f64(t, begin + done, part, real);
        }
    }
}

void tensor_store_f64(struct tensor *t, int64_t begin, int64_t n, const double *from) {
    switch (t->store) {
    case DT_F64:
        WRITE(double, from[k]);
    case DT_F32:
        WRITE(float, from[k]);
    case DT_F16:
        WRITE(uint16_t, f16_from_f64(from[k]));
    case DT_BF16:
        WRITE(uint16_t, bf16_from_f64(from[k]));
    case DT_F8E4M3FN:
    case DT_F8E4M3FNUZ:
    case DT_F8E5M2:
    case DT_F8E5M2FNUZ:
    case DT_F8E8M0:
        WRITE(uint8_t, f8_from_f64(t->store, from[k], false));
    case DT_F6E2M3:
    case DT_F6E3M2:
    case DT_F4E2M1:
        for (int64_t k = 0; k < n; k++)
            tensor_set_bits(t, begin + k, f8_from_f64(t->store, from[k], true));
        return;
    case DT_BOOL:
        WRITE(uint8_t, from[k] != 0);
    case DT_U64:
        WRITE(int64_t, u64_bits_of(from[k]));
    case DT_NONE:
    case DT_C64:
    case DT_C128:
    case DT_STRING:
    case DT_COUNT:
        return;
    default:
        for (int64_t done = 0; done < n; done += PART) {
            int64_t whole[PART], part = n - done < PART ? n - done : PART;
            for (int64_t k = 0; k < part; k++)
                whole[k] = i64_of(from[done + k]);
            tensor_store_i64(t, begin + done, part, whole);
        }
    }
}

bool tensor_is_real(const struct tensor *t) {
    enum dtype_class c = dtype_row(t->store)->class_;
    return t->kind == KIND_TENSOR && c != CLASS_STRING && c != CLASS_COMPLEX && c != CLASS_NONE;
}

double tensor_f64_of_any(const struct tensor *t, int64_t i) {
    double v;
    tensor_load_f64(t, i, 1, &v);
    return v;
}

int64_t tensor_i64(const struct tensor *t, int64_t i) {
    int64_t v;
    tensor_load_i64(t, i, 1, &v);
    return v;
}

void tensor_set_f64(struct tensor *t, int64_t i, double v) {
    tensor_store_f64(t, i, 1, &v);
}

void tensor_set_i64(struct tensor *t, int64_t i, int64_t v) {
    tensor_store_i64(t, i, 1, &v);
}

enum { CHUNK = 512 };

/* A double that rounds to narrower floats as v itself does: what does not fit 53 bits leaves its
 * mark in the last one (round to odd), so the value is not rounded twice. */
static double f64_to_be_rounded(int64_t v, bool is_unsigned) {
    bool negative = v < 0 && !is_unsigned;
    uint64_t m = negative ? 0 - (uint64_t)v : (uint64_t)v, lost = 0;
    double scale = 1;
    for (; m >> 53; m >>= 1, scale *= 2)
        lost |= m & 1;
    double d = (double)(m | lost) * scale;
    return negative ? -d : d;
}

enum how { AS_REALS, AS_INTEGERS, WIDE_INTEGERS_TO_FLOATS };

static enum how how_to_convert(enum dtype from, enum dtype to) {
    bool to_float = dtype_is_float(to);
    if (to_float && to != DT_F64 && (from == DT_I64 || from == DT_U64))
        return WIDE_INTEGERS_TO_FLOATS;
    return to_float || dtype_is_float(from) ? AS_REALS : AS_INTEGERS;
}

static void convert(struct tensor *to, const struct tensor *from, int64_t n) {
    double reals[CHUNK];
    int64_t ints[CHUNK];
    enum how how = how_to_convert(from->store, to->store);
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t count = n - i < CHUNK ? n - i : CHUNK;
        if (how == AS_INTEGERS) {
            tensor_load_i64(from, i, count, ints);
            tensor_store_i64(to, i, count, ints);
        } else if (how == WIDE_INTEGERS_TO_FLOATS) {
            tensor_load_i64(from, i, count, ints);
            for (int64_t k = 0; k < count; k++)
                reals[k] = f64_to_be_rounded(ints[k], from->store == DT_U64);
            tensor_store_f64(to, i, count, reals);
        } else {
            tensor_load_f64(from, i, count, reals);
            tensor_store_f64(to, i, count, reals);
        }
    }
}

enum status tensor_convert(struct tensor **out, const struct tensor *t, enum dtype store,
                           struct err *e) {
    if (t->kind != KIND_TENSOR || t->store == store) {
        *out = tensor_alias(t);
        return OK;
    }
    enum dtype_class from = dtype_row(t->store)->class_, to = dtype_row(store)->class_;
    FAIL_IF(from == CLASS_STRING || to == CLASS_STRING, e, STATUS_BUG,
            "strings have no numeric form");
    FAIL_IF((from == CLASS_COMPLEX) != (to == CLASS_COMPLEX), e, STATUS_BUG,
            "complex and real types do not convert");
    TRY(tensor_new(out, t->dtype, store, t->rank, t->dim, e));
    int64_t n = tensor_count(t);
    if (from == CLASS_COMPLEX) { /* elements are pairs of reals */
        struct tensor a = *t, b = **out;
        a.store = t->store == DT_C64 ? DT_F32 : DT_F64;
        b.store = store == DT_C64 ? DT_F32 : DT_F64;
        convert(&b, &a, 2 * n);
        return OK;
    }
    convert(*out, t, n);
    return OK;
}
