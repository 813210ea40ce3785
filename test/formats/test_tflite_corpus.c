/* Every TensorFlow Lite file of the corpus is read. */
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

static int n_read, n_failed;

static int visit(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
    (void)st;
    (void)ftw;
    size_t n = strlen(path);
    if (flag != FTW_F || n < 7 || strcmp(path + n - 7, ".tflite") != 0)
        return 0;
    struct model *m = NULL;
    struct err e = { .code = OK };
    if (model_read(path, &m, &e) != OK) {
        print_message("%s: %s\n", e.where, e.what);
        n_failed++;
        return 0;
    }
    for (int i = 0; i < m->n_warnings; i++)
        print_message("%s: %s\n", path, m->warnings[i]);
    n_failed += m->n_warnings;
    n_read++;
    model_free(m);
    return 0;
}

static void reads_all(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    if (!corpus)
        corpus = "../shared";
    if (nftw(corpus, visit, 16, FTW_PHYS) != 0 || n_read == 0) {
        print_message("the corpus is absent at %s\n", corpus);
        skip();
    }
    print_message("%d files read\n", n_read);
    assert_int_equal(n_failed, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads_all) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
