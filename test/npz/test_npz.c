#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "npz/npz.h"
#include "wire/zip.h"

static struct named_tensors read_good(const char *path, struct arena *a) {
    struct named_tensors t;
    struct err e = { 0 };
    if (npz_read(path, a, &t, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return t;
}

/* Every array of the file made by numpy holds 0, 1, 2, ... in row-major order
 * (test/data/npz/make.py). */
static void check_ramp(const char *name, const struct tensor *t) {
    assert_int_equal(t->rank, 3);
    assert_int_equal(t->dim[0], 2);
    assert_int_equal(t->dim[1], 3);
    assert_int_equal(t->dim[2], 4);
    for (int64_t i = 0; i < 24; i++) {
        double want = t->dtype == DT_BOOL ? i % 2 : (double)i;
        double got = t->dtype == DT_C64    ? (double)((const float *)t->data)[2 * i]
                     : t->dtype == DT_C128 ? ((const double *)t->data)[2 * i]
                                           : tensor_f64(t, i);
        if (got != want)
            fail_msg("%s[%d] is %g", name, (int)i, got);
        if (t->dtype == DT_C64)
            assert_true(((const float *)t->data)[2 * i + 1] == -0.5F);
        if (t->dtype == DT_C128)
            assert_true(((const double *)t->data)[2 * i + 1] == -0.5);
    }
}

static void check_ramps(const char *path) {
    struct arena *a = arena_new();
    struct named_tensors t = read_good(path, a);
    int checked = 0;
    for (int i = 0; i < t.n; i++) {
        const char *name = t.items[i].name;
        if (strncmp(name, "ramp_", 5) != 0)
            continue;
        char dtype[32];
        snprintf(dtype, sizeof dtype, "%s", name + 7); /* ramp_<c or f>_ ... */
        *strrchr(dtype, '_') = '\0';
        assert_string_equal(dtype_name(t.items[i].tensor->dtype),
                            dtype[0] == '_' ? dtype + 1 : dtype);
        check_ramp(name, t.items[i].tensor);
        checked++;
    }
    assert_int_equal(checked, 14 * 4);
    named_tensors_free(&t);
    arena_free(a);
}

static void test_every_type(void **state) {
    (void)state;
    check_ramps("test/data/npz/stored.npz");
    check_ramps("test/data/npz/deflated.npz");
}

static void test_shapes_and_strings(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct named_tensors t = read_good("test/data/npz/stored.npz", a);
    const struct tensor *scalar = named_tensor_find(&t, "scalar"),
                        *empty = named_tensor_find(&t, "empty");
    assert_int_equal(scalar->rank, 0);
    assert_true(tensor_f64(scalar, 0) == 2.5);
    assert_int_equal(empty->rank, 2);
    assert_int_equal(tensor_count(empty), 0);
    static const char *const texts[] = { "", "a", "gr\xc3\xbc\xc3\x9f", "\xf0\x9f\x9a\x82 x" };
    static const char *const names[] = { "text_little", "text_big" };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 4; i++)
            assert_string_equal(((const char *const *)named_tensor_find(&t, names[k])->data)[i],
                                texts[i]);
    const char *const *bytes = named_tensor_find(&t, "bytes")->data;
    assert_string_equal(bytes[0], "x");
    assert_string_equal(bytes[1], "\xff\xfez");
    assert_null(named_tensor_find(&t, "nothing"));
    named_tensors_free(&t);
    arena_free(a);
}

static void test_npy_versions(void **state) {
    (void)state;
    static const char *const paths[] = { "test/data/npz/v1.npy", "test/data/npz/v2.npy",
                                         "test/data/npz/v3.npy" };
    for (int i = 0; i < 3; i++) {
        struct arena *a = arena_new();
        struct named_tensors t = read_good(paths[i], a);
        assert_int_equal(t.n, 1);
        assert_string_equal(t.items[0].name, "");
        assert_int_equal(t.items[0].tensor->dtype, DT_I32);
        assert_int_equal(tensor_i64(t.items[0].tensor, 2), -7);
        named_tensors_free(&t);
        arena_free(a);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *path, *why;
        enum status code;
    } cases[] = {
        { "test/data/npz/object.npy", "Python objects", STATUS_UNSUPPORTED },
        { "test/data/npz/structured.npy", "structured", STATUS_UNSUPPORTED },
        { "test/data/npz/bomb.npz", "bomb", STATUS_CORRUPT },
        { "test/data/npz/short.npy", "do not fit", STATUS_CORRUPT },
        { "test/data/npz/huge.npy", "2^63", STATUS_CORRUPT },
        { "test/data/npz/crc.npz", "check sum", STATUS_CORRUPT },
        { "test/data/npz/SOURCE.md", "neither", STATUS_CORRUPT },
        { "test/data/npz/none.npz", "cannot open", STATUS_IO },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        struct named_tensors t;
        struct err e = { 0 };
        enum status s = npz_read(cases[i].path, a, &t, &e);
        if (s != cases[i].code || !strstr(e.what, cases[i].why) || !strstr(e.where, cases[i].path))
            fail_msg("%s: status %s, %s: %s", cases[i].path, status_name(s), e.where, e.what);
        named_tensors_free(&t);
        arena_free(a);
    }
}

/* Every prefix and every flipped bit: an error or arrays, never more. Under the sanitizers this is
 * the proof. */
static void test_damaged(void **state) {
    (void)state;
    static const char *const paths[] = { "test/data/npz/small.npz", "test/data/npz/v1.npy" };
    for (int k = 0; k < 2; k++) {
        struct arena *files = arena_new();
        struct mapfile f;
        assert_int_equal(mapfile_open(&f, paths[k], files, NULL), OK);
        unsigned char *copy = malloc(f.size);
        int refused = 0;
        for (size_t i = 0; i < f.size * 9; i++) {
            size_t size = i < f.size ? i : f.size;
            memcpy(copy, f.data, f.size);
            if (i >= f.size)
                copy[(i - f.size) / 8] ^= (unsigned char)(1 << (i % 8));
            struct arena *a = arena_new();
            struct named_tensors t;
            struct err e = { 0 };
            enum status s = npz_read_memory(copy, size, a, &t, &e);
            refused += s != OK;
            assert_true(s == OK || e.what[0] != '\0');
            if (i < f.size)
                assert_true(s != OK);
            named_tensors_free(&t);
            arena_free(a);
        }
        assert_true(refused > (int)f.size);
        free(copy);
        mapfile_close(&f);
        arena_free(files);
    }
}

/* Arrays that numpy wrote are written with the same bytes, but for blanks at the header's end. */
static void test_as_numpy_writes(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct named_tensors t = read_good("test/data/npz/stored.npz", a);
    struct err e = { 0 };
    const char *path = "test_npz_same.tmp";
    assert_int_equal(npz_write(path, t.items, t.n, false, &e), OK);
    struct mapfile files[2];
    struct zip zips[2];
    assert_int_equal(mapfile_open(&files[0], "test/data/npz/stored.npz", a, &e), OK);
    assert_int_equal(mapfile_open(&files[1], path, a, &e), OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(zip_open(&zips[i], files[i].data, files[i].size, a, &e), OK);
    assert_int_equal(zips[0].n, zips[1].n);
    int same = 0;
    for (int i = 0; i < zips[0].n; i++) {
        const struct zip_entry *x = &zips[0].entries[i], *y = &zips[1].entries[i];
        assert_string_equal(x->name, y->name);
        if (strstr(x->name, "_f_") || strstr(x->name, "_be") || strstr(x->name, "big") ||
            strstr(x->name, "bytes"))
            continue;
        const unsigned char *p = files[0].data + x->at, *q = files[1].data + y->at;
        const unsigned char *brace = memchr(p, '}', 128);
        assert_memory_equal(p, q, 8);
        assert_memory_equal(p + 10, q + 10, (size_t)(brace - p) - 9);
        size_t head_x = 10 + (size_t)(p[8] | p[9] << 8), head_y = 10 + (size_t)(q[8] | q[9] << 8);
        assert_int_equal(head_y % 64, 0);
        assert_int_equal(q[head_y - 1], '\n');
        assert_int_equal(x->size - head_x, y->size - head_y);
        assert_memory_equal(p + head_x, q + head_y, x->size - head_x);
        same++;
    }
    assert_int_equal(same, 14 + 3);
    for (int i = 0; i < 2; i++)
        mapfile_close(&files[i]);
    named_tensors_free(&t);
    remove(path);
    arena_free(a);
}

/* What is written is read back. */
static void test_write(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct tensor *list = tensor_new_list(KIND_SEQUENCE, DT_F32, 2);
    list->items[0] = tensor_alias(tensor_scalar_f32(a, 1.5F));
    list->items[1] = tensor_alias(tensor_vec_i64(a, (const int64_t[]) { 1, -2 }, 2));
    struct tensor *absent = tensor_new_list(KIND_OPTIONAL, DT_F32, 0);
    struct tensor *wide = tensor_in_arena(a, DT_F32, DT_F64, 1, (const int64_t[]) { 2 });
    tensor_set_f64(wide, 0, 0.1);
    tensor_set_f64(wide, 1, -2);
    struct tensor *bf16 = tensor_in_arena(a, DT_BF16, DT_BF16, 1, (const int64_t[]) { 1 });
    tensor_set_f64(bf16, 0, 1.0 / 3);
    struct tensor *int4 = tensor_in_arena(a, DT_I4, DT_I4, 1, (const int64_t[]) { 3 });
    for (int i = 0; i < 3; i++)
        tensor_set_i64(int4, i, i - 8);
    struct tensor *text = tensor_in_arena(a, DT_STRING, DT_STRING, 1, (const int64_t[]) { 2 });
    ((const char **)text->data)[0] = "\xe2\x82\xac!";
    ((const char **)text->data)[1] = "raw \xff";
    const struct named_tensor items[] = {
        { "list", list }, { "absent", absent }, { "wide", wide },
        { "bf16", bf16 }, { "int4", int4 },     { "text", text }
    };
    const char *path = "test_npz_out.tmp";
    struct err e = { 0 };
    assert_int_equal(npz_write(path, items, 6, false, &e), OK);
    struct named_tensors t = read_good(path, a);
    assert_int_equal(t.n, 6);
    assert_null(named_tensor_find(&t, "absent"));
    assert_true(tensor_f64(named_tensor_find(&t, "list/0"), 0) == 1.5);
    assert_int_equal(tensor_i64(named_tensor_find(&t, "list/1"), 1), -2);
    assert_int_equal(named_tensor_find(&t, "wide")->dtype, DT_F32);
    assert_true(tensor_f64(named_tensor_find(&t, "wide"), 0) == (double)0.1F);
    assert_int_equal(named_tensor_find(&t, "bf16")->dtype, DT_F32);
    assert_true(tensor_f64(named_tensor_find(&t, "bf16"), 0) == 0.333984375); /* 0x3eab */
    assert_int_equal(named_tensor_find(&t, "int4")->dtype, DT_I8);
    assert_int_equal(tensor_i64(named_tensor_find(&t, "int4"), 2), -6);
    assert_string_equal(((const char *const *)named_tensor_find(&t, "text")->data)[0],
                        "\xe2\x82\xac!");
    assert_string_equal(((const char *const *)named_tensor_find(&t, "text")->data)[1], "raw \xff");
    named_tensors_free(&t);
    assert_int_equal(npz_write(path, items, 6, true, &e), OK);
    t = read_good(path, a);
    assert_int_equal(named_tensor_find(&t, "wide")->dtype, DT_F64);
    assert_true(tensor_f64(named_tensor_find(&t, "wide"), 0) == 0.1);
    named_tensors_free(&t);
    assert_int_equal(npy_write(path, wide, false, &e), OK);
    t = read_good(path, a);
    assert_int_equal(t.items[0].tensor->dim[0], 2);
    named_tensors_free(&t);
    const struct named_tensor twice[] = { { "x", wide }, { "x", bf16 } };
    assert_int_equal(npz_write(path, twice, 2, false, &e), STATUS_USAGE);
    remove(path);
    tensor_free(list);
    tensor_free(absent);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),   cmocka_unit_test(test_shapes_and_strings),
        cmocka_unit_test(test_npy_versions), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),      cmocka_unit_test(test_as_numpy_writes),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
