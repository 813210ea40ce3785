/* Model files that were cut off or altered: every one is refused in words, or is still a model that
 * verifies. No crash, no case over 10 s, memory never above 4 times the file and 64 MiB. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <time.h>

#include <cmocka.h>

#include "bad/bytes.h"
#include "bad/memory.h"
#include "formats/format.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static long cases, refused;

static void one_case(const char *name, const char *what, size_t at, const unsigned char *data,
                     size_t size) {
    struct model *m;
    struct err e = { 0 };
    double begin = now();
    enum status s = model_read_memory(data, size, &m, &e);
    cases++;
    refused += s != OK;
    if (s != OK && ((s != STATUS_CORRUPT && s != STATUS_UNSUPPORTED) || e.what[0] == '\0'))
        fail_msg("%s, %s %zu: status %s: %s", name, what, at, status_name(s), e.what);
    if (now() - begin > 10)
        fail_msg("%s, %s %zu: took %.1f s", name, what, at, now() - begin);
    model_free(m);
}

/* Cut at every `step`th byte. */
static void cut(const char *name, const struct bytes *b, size_t step) {
    for (size_t n = 0; n < b->n; n += step) {
        unsigned char *copy =
            malloc(n + 1); /* exactly as long, for the sanitizer to see reads behind it */
        memcpy(copy, b->data, n);
        one_case(name, "cut at", n, copy, n);
        free(copy);
    }
}

static void flip(const char *name, const struct bytes *b, size_t step) {
    for (size_t bit = 0; bit < 8 * b->n; bit += step) {
        b->data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        one_case(name, "bit flipped", bit, b->data, b->n);
        b->data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

/* Lengths and offsets at their extremes: 1, 2, 4 and 8 bytes of 0, 0xff, 0x7f and 0x80. */
static void extremes(const char *name, const struct bytes *b, size_t step) {
    static const unsigned char fills[] = { 0x00, 0xff, 0x7f, 0x80 };
    for (size_t at = 0; at < b->n; at += step)
        for (size_t width = 1; width <= 8 && at + width <= b->n; width *= 2)
            for (size_t k = 0; k < sizeof fills; k++) {
                unsigned char old[8];
                memcpy(old, b->data + at, width);
                memset(b->data + at, fills[k], width);
                one_case(name, "extreme at", at, b->data, b->n);
                memcpy(b->data + at, old, width);
            }
}

static int seeds(const char *folder, void (*each)(const char *path, struct bytes *b)) {
    DIR *d = opendir(folder);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *f; (f = readdir(d)) != NULL;) {
        if (f->d_name[0] == '.')
            continue;
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        struct bytes b = bytes_of_file(path);
        assert_true(b.n > 0);
        each(path, &b);
        free(b.data);
        n++;
    }
    closedir(d);
    return n;
}

static void damage(const char *path, struct bytes *b) {
    one_case(path, "whole", 0, b->data, b->n);
    assert_int_equal(refused, 0);
    cut(path, b, b->n > 4096 ? 64 : 1);
    flip(path, b, b->n > 4096 ? 13 : 1);
    extremes(path, b, b->n > 4096 ? 7 : 1);
    refused = 0;
}

static void check_folder(const char *folder, int least) {
    long before = peak_kib();
    cases = refused = 0;
    int n = seeds(folder, damage);
    print_message("%s: %d files, %ld cases\n", folder, n, cases);
    assert_true(n >= least && cases > 1000);
    /* The largest seed has 12 KB: four times that is nothing beside the 64 MiB. */
    if (MEASURE_MEMORY)
        assert_true(peak_kib() - before < 64 * 1024 + 48);
}

static void test_onnx(void **state) {
    (void)state;
    check_folder("fuzz/seeds/onnx", 20);
}

static void test_tflite(void **state) {
    (void)state;
    check_folder("fuzz/seeds/tflite", 10);
}

/* Networks, larger than seeds. */
static void test_networks(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    static const char *const names[] = { "lenet/source.onnx", "t_cfc/source.tflite" };
    int found = 0;
    for (int i = 0; i < 2; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/faults/models/%s", corpus ? corpus : "../shared", names[i]);
        struct bytes b = bytes_of_file(path);
        long before = peak_kib();
        if (b.n > 0) {
            cut(path, &b, 64);
            flip(path, &b, b.n * 8 / 2003);
            extremes(path, &b, b.n / 203);
            found++;
        }
        if (MEASURE_MEMORY)
            assert_true(peak_kib() - before < 64 * 1024 + (long)(b.n / 256));
        free(b.data);
    }
    if (!found) {
        print_message("skipped: no corpus (set CALQUE_CORPUS)\n");
        skip();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onnx),
        cmocka_unit_test(test_tflite),
        cmocka_unit_test(test_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
