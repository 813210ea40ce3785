/* Damaged TensorFlow Lite files are read or refused with a reason; never a crash, never much
 * memory. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/format.h"
#include "ir/verify.h"

static unsigned char *bytes;
static size_t n_bytes;
static int n_refused, n_read;

static bool load(const char *name) {
    char path[1024];
    const char *corpus = getenv("CALQUE_CORPUS");
    snprintf(path, sizeof path, "%s/%s", corpus ? corpus : "../shared", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    fseek(f, 0, SEEK_END);
    n_bytes = (size_t)ftell(f);
    rewind(f);
    bytes = malloc(n_bytes);
    bool whole = bytes && fread(bytes, 1, n_bytes, f) == n_bytes;
    fclose(f);
    return whole;
}

/* Reads from an exact copy, so that a read past the end is one past an allocation. */
static void read_damaged(const unsigned char *data, size_t n) {
    const struct format *tflite = NULL;
    for (const struct format *const *f = format_all(); *f; f++)
        if (strcmp((*f)->name, "tflite") == 0)
            tflite = *f;
    unsigned char *copy = malloc(n ? n : 1);
    memcpy(copy, data, n);
    struct model *m = model_new();
    struct mapfile file = { .path = "damaged", .data = copy, .size = n };
    struct err e = { 0 };
    PUSH(m->arena, m->files, m->n_files, file);
    enum status s = tflite->read(m, &e);
    if (s == OK)
        s = model_verify(m, &e);
    if (s != OK) {
        assert_true(s == STATUS_CORRUPT || s == STATUS_UNSUPPORTED);
        assert_true(e.what[0] != '\0');
        n_refused++;
    } else {
        n_read++;
    }
    assert_in_range(arena_used(m->arena), 0, 4 * n_bytes + (64u << 20));
    m->n_files = 0;
    model_free(m);
    free(copy);
}

static const char *const files[] = { "pairs/keras-resnet20/resnet20_int8.tflite",
                                     "pairs/keras-lstm/lstm_f32.tflite",
                                     "pairs/edge-tf-strided_slice/strided_slice_f32.tflite" };

static void each_file(void (*damage)(void)) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        if (!load(files[i])) {
            print_message("the corpus is absent: %s\n", files[i]);
            skip();
        }
        damage();
        free(bytes);
    }
    print_message("%d read, %d refused\n", n_read, n_refused);
}

static void truncate_all(void) {
    int before = n_refused;
    for (size_t n = 0; n < n_bytes; n += 64)
        read_damaged(bytes, n);
    assert_true(n_refused > before);
}

static void flip_all(void) {
    for (size_t i = 0; i < n_bytes; i += 1 + n_bytes / 4000) {
        bytes[i] ^= (unsigned char)(1u << (i * 7 % 8));
        read_damaged(bytes, n_bytes);
        bytes[i] ^= (unsigned char)(1u << (i * 7 % 8));
    }
}

static void extremes_all(void) {
    static const uint32_t values[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc };
    for (size_t i = 0; i + 4 <= n_bytes; i += 4 * (1 + n_bytes / 8000))
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            unsigned char saved[4];
            memcpy(saved, bytes + i, 4);
            memcpy(bytes + i, &values[k], 4);
            read_damaged(bytes, n_bytes);
            memcpy(bytes + i, saved, 4);
        }
}

static void truncated(void **state) {
    (void)state;
    each_file(truncate_all);
}

static void flipped(void **state) {
    (void)state;
    each_file(flip_all);
}

static void extreme(void **state) {
    (void)state;
    each_file(extremes_all);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(truncated), cmocka_unit_test(flipped),
                                        cmocka_unit_test(extreme) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
