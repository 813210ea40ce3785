/* Every ONNX and TensorFlow Lite file of the corpus is read; the latter without a warning. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/format.h"

static const char *ending;
static int n_read, n_failed;

static bool ends_with(const char *path, const char *end) {
    size_t n = strlen(path), k = strlen(end);
    return n > k && strcmp(path + n - k, end) == 0;
}

static int visit(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    if (flag != FTW_F || !ends_with(path, ending))
        return 0;
    struct model *m = NULL;
    struct err e = { .code = OK };
    if (model_read(path, &m, &e) != OK) {
        print_message("%s: %s\n", e.where, e.what);
        n_failed++;
        return 0;
    }
    for (int i = 0; i < m->n_warnings && strcmp(ending, ".tflite") == 0; i++) {
        print_message("%s: %s\n", path, m->warnings[i]);
        n_failed++;
    }
    n_read++;
    model_free(m);
    return 0;
}

static void reads_all(const char *of) {
    const char *corpus = getenv("CALQUE_CORPUS");
    if (!corpus)
        corpus = "../shared";
    char root[4096]; /* with a dot behind it, lest a link to the corpus is taken for a file */
    snprintf(root, sizeof root, "%s/.", corpus);
    ending = of;
    n_read = n_failed = 0;
    if (nftw(root, visit, 16, FTW_PHYS) != 0 || n_read == 0) {
        print_message("the corpus is absent at %s\n", corpus);
        skip();
    }
    print_message("%d files read\n", n_read);
    assert_int_equal(n_failed, 0);
}

static void test_onnx(void **state) {
    (void)state;
    reads_all(".onnx");
}

static void test_tflite(void **state) {
    (void)state;
    reads_all(".tflite");
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_onnx),
                                        cmocka_unit_test(test_tflite) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
