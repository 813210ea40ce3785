#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tensor/tensor.h"

/* Packed elements: low bits first (ONNX "4 bit types": the first element is in the low nibble). */
static void test_packed(void **state) {
    (void)state;
    unsigned char bytes[] = { 0x21, 0xf8, 0x07 };
    struct tensor t = { .dtype = DT_I4, .store = DT_I4, .rank = 1, .dim = { 5 }, .data = bytes };
    static const int int4[] = { 1, 2, -8, -1, 7 };
    for (int i = 0; i < 5; i++)
        assert_int_equal(tensor_i64(&t, i), int4[i]);
    t.store = DT_U4;
    static const int uint4[] = { 1, 2, 8, 15, 7 };
    for (int i = 0; i < 5; i++)
        assert_true(tensor_f64(&t, i) == uint4[i]);
    t.store = DT_I2; /* 0x21 = 00 10 00 01, 0xf8 = 11 11 10 00 */
    static const int int2[] = { 1, 0, -2, 0, 0, -2, -1, -1 };
    for (int i = 0; i < 8; i++)
        assert_int_equal(tensor_i64(&t, i), int2[i]);
    t.store = DT_F4E2M1;
    static const double float4[] = { 0.5, 1, -0.0, -6, 6 };
    for (int i = 0; i < 5; i++)
        assert_true(tensor_f64(&t, i) == float4[i]);
    /* ONNX, TensorProto.raw_data: byte0 = x0 | (x1 & 3) << 6, byte1 = x1 >> 2 | (x2 & 15) << 4,
     * byte2 = x2 >> 4 | x3 << 2; here x = 0x21, 0x20, 0x3f, 0x01 */
    t.store = DT_F6E2M3;
    static const double e2m3[] = { -0.125, -0.0, -7.5, 0.125 };
    for (int i = 0; i < 4; i++)
        assert_true(tensor_f64(&t, i) == e2m3[i]);
    t.store = DT_F6E3M2;
    static const double e3m2[] = { -0.0625, -0.0, -28, 0.0625 };
    for (int i = 0; i < 4; i++)
        assert_true(tensor_f64(&t, i) == e3m2[i]);
    t.store = DT_I4;
    tensor_set_i64(&t, 1, -3);
    assert_int_equal(bytes[0], 0xd1);
    t.store = DT_U2;
    tensor_set_i64(&t, 2, 2);
    assert_int_equal(bytes[0], 0xe1);
}

static struct tensor *made(enum dtype store, int64_t n) {
    struct tensor *t;
    assert_int_equal(tensor_new(&t, store, store, 1, &n, NULL), OK);
    return t;
}

/* Writing a value of the type and reading it back, for every store, at every alignment. */
static void test_every_store(void **state) {
    (void)state;
    for (int k = 1; k < DT_COUNT; k++) {
        enum dtype store = (enum dtype)k;
        enum dtype_class class_ = dtype_row(store)->class_;
        if (class_ == CLASS_COMPLEX || class_ == CLASS_STRING)
            continue;
        struct tensor *t = made(store, 40);
        struct tensor shifted = *t;
        shifted.data = (unsigned char *)t->data + 1;
        for (int64_t i = 0; i < 30; i++) {
            double v = store == DT_F8E8M0                             ? ldexp(1, (int)i - 15)
                       : class_ == CLASS_UINT || class_ == CLASS_BOOL ? (double)(i % 2)
                                                                      : (double)-(i % 2);
            tensor_set_f64(&shifted, i, v);
            assert_true(tensor_f64(&shifted, i) == v);
            if (store == DT_F8E8M0)
                continue;
            tensor_set_i64(&shifted, i, (int64_t)v);
            assert_int_equal(tensor_i64(&shifted, i), (int64_t)v);
        }
        tensor_free(t);
    }
}

static double convert_f64(enum dtype to, double v) {
    struct tensor *t = made(DT_F64, 1), *u;
    tensor_set_f64(t, 0, v);
    assert_int_equal(tensor_convert(&u, t, to, NULL), OK);
    double got = to == DT_U64 ? (double)(uint64_t)tensor_i64(u, 0) : tensor_f64(u, 0);
    tensor_free(t);
    tensor_free(u);
    return got;
}

static double convert_i64(enum dtype from, enum dtype to, int64_t v) {
    struct tensor *t = made(from, 1), *u;
    tensor_set_i64(t, 0, v);
    assert_int_equal(tensor_convert(&u, t, to, NULL), OK);
    double got = tensor_f64(u, 0);
    tensor_free(t);
    tensor_free(u);
    return got;
}

static void test_convert(void **state) {
    (void)state;
    assert_true(convert_f64(DT_I32, -2.9) == -2);
    assert_true(convert_f64(DT_U8, 255.9) == 255);
    assert_true(convert_f64(DT_BOOL, NAN) == 1);
    assert_true(convert_f64(DT_BOOL, -0.0) == 0);
    assert_true(convert_f64(DT_I64, 1e30) == 9223372036854775808.0);
    assert_true(convert_f64(DT_I64, NAN) == 0);
    assert_true(convert_f64(DT_U64, 9223372036854777856.0) == 9223372036854777856.0);
    assert_true(convert_f64(DT_U64, 1e30) == 18446744073709551615.0);
    assert_true(convert_i64(DT_I16, DT_I8, 200) == -56); /* ONNX Cast: higher bits are dropped */
    assert_true(convert_i64(DT_I32, DT_U4, 0x2b) == 11);
    assert_true(convert_i64(DT_I32, DT_BOOL, 256) == 1);
    assert_true(convert_i64(DT_U64, DT_F64, -1) == 18446744073709551616.0);
    /* 2^24 + 2^53 ... one rounding, not two: 2^60 + 2^36 is halfway between two floats, one more is
     * above it. */
    int64_t tie = (INT64_C(1) << 60) + (INT64_C(1) << 36);
    assert_true(convert_i64(DT_I64, DT_F32, tie) == ldexp(1, 60));
    assert_true(convert_i64(DT_I64, DT_F32, tie + 1) == ldexp(1, 60) + ldexp(1, 37));
    assert_true(convert_i64(DT_I64, DT_F32, -tie - 1) == -ldexp(1, 60) - ldexp(1, 37));
    assert_true(convert_i64(DT_U64, DT_F32, -1) == ldexp(1, 64));
    assert_true(convert_i64(DT_I64, DT_F16, 70000) == INFINITY);
    struct tensor *t = made(DT_C64, 2), *u;
    ((float *)t->data)[3] = 2.5F;
    assert_int_equal(tensor_convert(&u, t, DT_C128, NULL), OK);
    assert_true(((double *)u->data)[3] == 2.5);
    tensor_free(u);
    struct err e;
    assert_int_equal(tensor_convert(&u, t, DT_F32, &e), STATUS_BUG);
    tensor_free(t);
}

static void test_counts(void **state) {
    (void)state;
    int64_t n;
    assert_true(dims_count((const int64_t[]) { 1 << 20, 1 << 20, 0, 1 << 30 }, 4, &n));
    assert_int_equal(n, 0);
    assert_false(dims_count((const int64_t[]) { INT64_C(1) << 32, INT64_C(1) << 31 }, 2, &n));
    assert_true(dims_count((const int64_t[]) { INT64_C(1) << 32, INT64_C(1) << 30 }, 2, &n));
    assert_false(dims_count((const int64_t[]) { 3, -1 }, 2, &n));
    assert_true(dims_count(NULL, 0, &n));
    assert_int_equal(n, 1);
    struct tensor *t;
    struct err e;
    assert_int_equal(
        tensor_new(&t, DT_F32, DT_F32, 2, (const int64_t[]) { INT64_C(1) << 40, 1 << 20 }, &e),
        STATUS_UNSUPPORTED);
    struct tensor empty = { .rank = 3, .dim = { INT64_C(1) << 62, INT64_C(1) << 62, 0 } };
    assert_int_equal(tensor_count(&empty), 0);
}

static void test_alias(void **state) {
    (void)state;
    struct tensor *t = made(DT_F32, 4), *u = tensor_alias(t);
    tensor_set_f64(t, 2, 7);
    tensor_free(t);
    assert_true(tensor_f64(u, 2) == 7);
    tensor_free(u);
    struct tensor *list = tensor_new_list(KIND_SEQUENCE, DT_F32, 2);
    list->items[0] = made(DT_F32, 3);
    list->items[1] = made(DT_STRING, 1);
    ((const char **)list->items[1]->data)[0] =
        arena_str(tensor_string_arena(list->items[1]), "text");
    struct tensor *other = tensor_alias(list);
    tensor_free(list);
    assert_string_equal(((const char **)other->items[1]->data)[0], "text");
    tensor_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed),  cmocka_unit_test(test_every_store),
        cmocka_unit_test(test_convert), cmocka_unit_test(test_counts),
        cmocka_unit_test(test_alias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
