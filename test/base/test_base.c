#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/cursor.h"
#include "base/map.h"
#include "base/mapfile.h"
#include "base/strbuf.h"

static void test_arena(void **state) {
    (void)state;
    struct arena *a = arena_new();
    unsigned char *kept[2000];
    for (int i = 0; i < 2000; i++) {
        size_t n = (size_t)(i * 37 % 5000);
        unsigned char *p = kept[i] = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % (n >= 64 ? 64 : 16), 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(p[k], 0);
        memset(p, i & 0xff, n);
    }
    unsigned char *large = arena_alloc(a, 5 << 20); /* a block of its own */
    assert_int_equal(large[(5 << 20) - 1], 0);
    for (int i = 0; i < 2000; i++)
        for (size_t k = 0; k < (size_t)(i * 37 % 5000); k++)
            if (kept[i][k] != (i & 0xff))
                fail_msg("object %d was overwritten", i);
    assert_true(arena_used(a) > 5 << 20);
    arena_reset(a);
    assert_int_equal(arena_used(a), 0);
    unsigned char *p = arena_alloc(a, 10000);
    for (int k = 0; k < 10000; k++)
        assert_int_equal(p[k], 0); /* zeroed again */
    int *list = NULL, n = 0;
    for (int i = 0; i < 1000; i++)
        PUSH(a, list, n, i);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    assert_string_equal(arena_strn(a, "abcdef", 3), "abc");
    assert_null(arena_str(a, NULL));
    arena_free(a);
    arena_free(NULL);
}

static void test_strbuf(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct strbuf b;
    strbuf_init(&b, a);
    assert_string_equal(b.p, "");
    for (int i = 0; i < 500; i++)
        strbuf_printf(&b, "%d,", i);
    strbuf_addn(&b, "end\0", 4);
    assert_int_equal(b.n, 10 * 2 + 90 * 3 + 400 * 4 + 4);
    assert_int_equal(strncmp(b.p, "0,1,2,", 6), 0);
    assert_string_equal(b.p + b.n - 4, "end");
    arena_free(a);
}

static void test_maps(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct strmap s;
    struct intmap m;
    uint64_t v;
    strmap_init(&s, a);
    intmap_init(&m, a);
    assert_null(strmap_get(&s, "x"));
    assert_false(strmap_has(&s, "x"));
    assert_false(intmap_get(&m, 0, &v));
    int numbers[3000];
    for (int i = 0; i < 3000; i++) {
        numbers[i] = i;
        strmap_put(&s, arena_printf(a, "key %d", i), &numbers[i]);
        intmap_put(&m, (uint64_t)i << 40, (uint64_t)i);
    }
    strmap_put(&s, "key 5", &numbers[6]);
    intmap_put(&m, 0, 99);
    strmap_put(&s, "null", NULL);
    assert_int_equal(s.count, 3001);
    assert_int_equal(m.count, 3000);
    for (int i = 0; i < 3000; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        assert_int_equal(*(int *)strmap_get(&s, key), i == 5 ? 6 : i);
        assert_true(intmap_get(&m, (uint64_t)i << 40, &v));
        assert_int_equal(v, i == 0 ? 99 : i);
    }
    assert_true(strmap_has(&s, "null"));
    assert_null(strmap_get(&s, "null"));
    assert_false(strmap_has(&s, "key 3000"));
    assert_false(intmap_get(&m, 1, NULL));
    arena_free(a);
}

/* The hash depends on every bit, the length and the seed, and on nothing else. */
static void test_hash(void **state) {
    (void)state;
    assert_int_equal(hash_mix(0), 0);
    uint64_t seen[300];
    unsigned char bytes[300] = { 0 };
    for (size_t n = 0; n < 300; n++) {
        seen[n] = hash_bytes(bytes, n, 1);
        for (size_t k = 0; k < n; k++)
            assert_true(seen[k] != seen[n]); /* zeros of another length */
    }
    uint64_t whole = hash_bytes("0123456789abcdef", 16, 0);
    char moved[20] = "x0123456789abcdef";
    assert_true(hash_bytes(moved + 1, 16, 0) == whole); /* at any address */
    moved[16] ^= 1;
    assert_true(hash_bytes(moved + 1, 16, 0) != whole);
    assert_true(hash_bytes("0123456789abcdef", 16, 1) != whole);
}

static void test_cursor(void **state) {
    (void)state;
    static const unsigned char data[] = { 0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
                                          0x07, 0x08, 0x09, 0xac, 0x02, 0x80 };
    struct cursor c = cursor_of(data, 1, sizeof data);
    assert_int_equal(cursor_u8(&c), 1);
    assert_int_equal(cursor_u16le(&c), 0x0302);
    assert_int_equal(cursor_u32le(&c), 0x07060504);
    assert_int_equal(cursor_u16le(&c), 0x0908);
    assert_int_equal(cursor_varint(&c), 300); /* protobuf's own example */
    assert_int_equal(cursor_left(&c), 1);
    assert_int_equal(cursor_varint(&c), 0); /* does not end */
    assert_true(c.failed);
    assert_int_equal(c.failed_at, 13);
    assert_int_equal(cursor_left(&c), 0);
    assert_null(cursor_take(&c, 0));
    c = cursor_of(data, 2, 4);
    assert_null(cursor_take(&c, 3));
    assert_int_equal(c.failed_at, 2);
    c = cursor_of(data, 0, 4);
    assert_null(cursor_take(&c, SIZE_MAX));
    static const unsigned char longest[] = { 0xff, 0xff, 0xff, 0xff, 0xff,
                                             0xff, 0xff, 0xff, 0xff, 0x01 };
    static const unsigned char over[] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02
    };
    c = cursor_of(longest, 0, 10);
    assert_true(cursor_varint(&c) == UINT64_MAX && !c.failed);
    c = cursor_of(over, 0, 10);
    cursor_varint(&c);
    assert_true(c.failed);
    unsigned char out[8];
    store_u64le(out, UINT64_C(0x0102030405060708));
    assert_int_equal(out[0], 8);
    assert_int_equal(load_u64le(out), UINT64_C(0x0102030405060708));
}

static void test_files(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct err e = { 0 };
    char path[] = "test_base_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct mapfile f;
    assert_int_equal(mapfile_open(&f, path, a, &e), OK); /* empty */
    assert_int_equal(f.size, 0);
    mapfile_close(&f);
    const struct piece pieces[] = { { "abc", 3 }, { "", 0 }, { "defg", 4 } };
    assert_int_equal(file_write(path, pieces, 3, &e), OK);
    assert_int_equal(mapfile_open(&f, path, a, &e), OK);
    assert_int_equal(f.size, 7);
    assert_memory_equal(f.data, "abcdefg", 7);
    /* Written over: who has it mapped keeps the old bytes. */
    assert_int_equal(file_write(path, pieces, 1, &e), OK);
    assert_memory_equal(f.data, "abcdefg", 7);
    mapfile_close(&f);
    mapfile_close(&f);
    char *other = arena_printf(a, "./%s", path);
    assert_true(file_same(path, other));
    assert_false(file_same(path, "."));
    assert_true(file_is_dir("."));
    assert_false(file_is_dir(path));
    unlink(path);
    assert_int_equal(mapfile_open(&f, path, a, &e), STATUS_IO);
    assert_string_equal(e.where, path);
    assert_int_equal(mapfile_open(&f, ".", a, &e), STATUS_IO);
    assert_int_equal(file_write("no/such/folder/file", pieces, 1, &e), STATUS_IO);
    assert_non_null(strstr(e.what, "No such file"));
    arena_free(a);
}

static void test_errors(void **state) {
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, STATUS_CORRUPT, "%d is wrong", 3), STATUS_CORRUPT);
    assert_int_equal(err_at(&e, "offset %d", 12), STATUS_CORRUPT);
    err_at(&e, "file");
    assert_string_equal(e.what, "3 is wrong");
    assert_string_equal(e.where, "file: offset 12");
    for (int i = 0; i < 100; i++)
        err_at(&e, "one more place");
    assert_true(strlen(e.where) < sizeof e.where);
    assert_int_equal(err_set(NULL, STATUS_IO, "lost"), STATUS_IO);
    assert_string_equal(status_name(STATUS_UNSUPPORTED), "unsupported");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),  cmocka_unit_test(test_strbuf), cmocka_unit_test(test_maps),
        cmocka_unit_test(test_hash),   cmocka_unit_test(test_cursor), cmocka_unit_test(test_files),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
