#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npz/npz.h"

static const enum dtype small[] = { DT_F16,        DT_BF16,   DT_F8E4M3FN, DT_F8E4M3FNUZ, DT_F8E5M2,
                                    DT_F8E5M2FNUZ, DT_F6E2M3, DT_F6E3M2,   DT_F4E2M1 };
enum { N_SMALL = sizeof small / sizeof *small };

static double value_of(enum dtype t, unsigned bits) {
    return t == DT_F16    ? f16_to_f64((uint16_t)bits)
           : t == DT_BF16 ? bf16_to_f64((uint16_t)bits)
                          : f8_to_f64(t, (uint8_t)bits);
}

static unsigned code_of(enum dtype t, double v, bool saturate) {
    return t == DT_F16    ? f16_from_f64(v)
           : t == DT_BF16 ? bf16_from_f64(v)
                          : f8_from_f64(t, v, saturate);
}

static struct named_tensors table(struct arena *a) {
    struct named_tensors t;
    struct err e = { 0 };
    if (npz_read("test/data/dtype/small_floats.npz", a, &t, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return t;
}

static const struct tensor *column(const struct named_tensors *t, const char *what,
                                   enum dtype type) {
    char name[64];
    snprintf(name, sizeof name, "%s_%s", what, dtype_name(type));
    const struct tensor *found = named_tensor_find(t, name);
    assert_non_null(found);
    return found;
}

/* Every code of every type. */
static void test_values(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct named_tensors t = table(a);
    for (int k = 0; k < N_SMALL; k++) {
        const struct tensor *values = column(&t, "values", small[k]);
        assert_int_equal(tensor_count(values), 1 << dtype_row(small[k])->bits);
        for (unsigned i = 0; i < tensor_count(values); i++) {
            double want = tensor_f64(values, i), got = value_of(small[k], i);
            if (want != got && !(isnan(want) && isnan(got)))
                fail_msg("%s 0x%x is %g, not %g", dtype_name(small[k]), i, got, want);
            if (want == want && signbit(want) != signbit(got))
                fail_msg("%s 0x%x has the wrong sign", dtype_name(small[k]), i);
        }
    }
    named_tensors_free(&t);
    arena_free(a);
}

static void test_rounding(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct named_tensors t = table(a);
    for (int k = 0; k < N_SMALL; k++) {
        enum dtype type = small[k];
        const struct tensor *from = column(&t, "from", type), *plain = column(&t, "plain", type),
                            *saturated = column(&t, "saturated", type);
        for (int64_t i = 0; i < tensor_count(from); i++) {
            double v = tensor_f64(from, i);
            unsigned want = (unsigned)tensor_i64(plain, i), got = code_of(type, v, false);
            if (want != got)
                fail_msg("%s: %.17g became 0x%x, not 0x%x", dtype_name(type), v, got, want);
            if (dtype_row(type)->bits > 8)
                continue;
            want = (unsigned)tensor_i64(saturated, i);
            got = code_of(type, v, true);
            if (want != got)
                fail_msg("%s saturating: %.17g became 0x%x, not 0x%x", dtype_name(type), v, got,
                         want);
        }
    }
    named_tensors_free(&t);
    arena_free(a);
}

/* ONNX Cast-25, table of special values to FLOAT8E8M0, and the exponents between. */
static void test_e8m0(void **state) {
    (void)state;
    assert_int_equal(e8m0_from_f64(0, ROUND_UP, true), 0);
    assert_int_equal(e8m0_from_f64(NAN, ROUND_UP, true), 0xff);
    assert_int_equal(e8m0_from_f64(INFINITY, ROUND_UP, true), 0xfe);
    assert_int_equal(e8m0_from_f64(1e300, ROUND_UP, true), 0xfe);
    assert_int_equal(e8m0_from_f64(1e-300, ROUND_UP, true), 0);
    assert_int_equal(e8m0_from_f64(0, ROUND_NEAREST, false), 0xff);
    assert_int_equal(e8m0_from_f64(NAN, ROUND_NEAREST, false), 0xff);
    assert_int_equal(e8m0_from_f64(INFINITY, ROUND_NEAREST, false), 0xff);
    assert_int_equal(e8m0_from_f64(1e300, ROUND_NEAREST, false), 0xff);
    assert_int_equal(e8m0_from_f64(1e-300, ROUND_NEAREST, false), 0xff);
    for (int code = 0; code < 0xff; code++) {
        double v = f8_to_f64(DT_F8E8M0, (uint8_t)code);
        assert_true(v == ldexp(1, code - 127));
        for (int mode = ROUND_NEAREST; mode <= ROUND_DOWN; mode++)
            assert_int_equal(e8m0_from_f64(v, (enum round_mode)mode, false), code);
        if (code == 0xfe)
            continue;
        assert_int_equal(e8m0_from_f64(1.001 * v, ROUND_UP, false), code + 1);
        assert_int_equal(e8m0_from_f64(1.999 * v, ROUND_DOWN, false), code);
        assert_int_equal(e8m0_from_f64(1.499 * v, ROUND_NEAREST, false), code);
        assert_int_equal(e8m0_from_f64(1.5 * v, ROUND_NEAREST, false),
                         code + 1); /* ml_dtypes: 3.0 -> 4.0, 0.75 -> 1.0 */
    }
    assert_true(isnan(f8_to_f64(DT_F8E8M0, 0xff)));
}

static void test_sizes(void **state) {
    (void)state;
    assert_int_equal(dtype_bytes(DT_I4, 5), 3);
    assert_int_equal(dtype_bytes(DT_U2, 5), 2);
    assert_int_equal(dtype_bytes(DT_U2, 8), 2);
    assert_int_equal(dtype_bytes(DT_C128, 3), 48);
    assert_true(dtype_bytes(DT_F64, INT64_MAX) == SIZE_MAX);
    assert_true(dtype_bytes(DT_I4, INT64_MAX) == (SIZE_MAX >> 2) + 1);
    assert_true(dtype_bytes(DT_F32, -1) == SIZE_MAX);
    for (int t = 1; t < DT_COUNT; t++)
        assert_int_equal(dtype_from_name(dtype_name((enum dtype)t)), t);
    assert_int_equal(dtype_from_name("float7"), DT_NONE);
}

/* Many numbers at once and one by one, over all exponents. */
static void test_round_all(void **state) {
    (void)state;
    static const enum dtype types[] = { DT_F16, DT_BF16, DT_F8E4M3FN };
    for (int t = 0; t < 3; t++)
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += t == 2 ? 1000003 : 4093) {
            uint32_t u = (uint32_t)bits, a, b;
            float v, want;
            memcpy(&v, &u, sizeof v);
            want = (float)float_round_to(types[t], (double)v);
            float_round_all(types[t], &v, 1);
            memcpy(&a, &v, sizeof a);
            memcpy(&b, &want, sizeof b);
            assert_int_equal(a, b);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_e8m0),   cmocka_unit_test(test_round_all),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
