/* Opening a large file: the weights stay in the file, and the memory of the process does not
 * grow with their number. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bad/bytes.h"
#include "bad/memory.h"
#include "formats/format.h"

enum { WEIGHTS = 24, WEIGHT_BYTES = 4 << 20, ELEMENTS = WEIGHT_BYTES / 4 };

static struct bytes weight(int index, const char *zeros) {
    struct bytes t = { 0 };
    char name[32];
    snprintf(name, sizeof name, "w%d", index);
    bytes_int(&t, 1, ELEMENTS); /* dims */
    bytes_int(&t, 2, 1);        /* data_type: FLOAT */
    bytes_text(&t, 8, name);
    bytes_field(&t, 9, zeros, WEIGHT_BYTES); /* raw_data */
    return t;
}

/* A ValueInfoProto of a float vector. */
static struct bytes value_info(const char *name) {
    struct bytes dim = { 0 }, shape = { 0 }, tensor = { 0 }, type = { 0 }, info = { 0 };
    bytes_int(&dim, 1, ELEMENTS);
    bytes_message(&shape, 1, &dim);
    bytes_int(&tensor, 1, 1);
    bytes_message(&tensor, 2, &shape);
    bytes_message(&type, 1, &tensor);
    bytes_text(&info, 1, name);
    bytes_message(&info, 2, &type);
    return info;
}

static struct bytes model_bytes(void) {
    struct bytes node = { 0 }, opset = { 0 }, graph = { 0 }, model = { 0 };
    struct bytes x = value_info("x"), y = value_info("y");
    char *zeros = calloc(1, WEIGHT_BYTES);
    for (int i = 0; zeros && i < WEIGHTS; i++) {
        struct bytes w = weight(i, zeros);
        bytes_message(&graph, 5, &w); /* initializer */
    }
    free(zeros);
    bytes_text(&node, 1, "x");
    bytes_text(&node, 2, "y");
    bytes_text(&node, 4, "Relu");
    bytes_message(&graph, 1, &node);
    bytes_message(&graph, 11, &x);
    bytes_message(&graph, 12, &y);
    bytes_int(&model, 1, 8); /* ir_version */
    bytes_int(&opset, 2, 17);
    bytes_message(&model, 8, &opset);
    bytes_message(&model, 7, &graph);
    return model;
}

/* In one call, so that the system keeps the file in pages of megabytes where it can; by a child, so
 * that it does not count. */
static void write_model(int fd) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct bytes model = model_bytes();
        _exit(write(fd, model.data, model.n) == (ssize_t)model.n ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

static void test_open_large(void **state) {
    (void)state;
    char path[] = "/tmp/calque_large_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    write_model(fd);
    close(fd);
    struct model *m;
    struct err e = { 0 };
    long before = peak_kib();
    enum status s = model_read(path, &m, &e);
    long grown = peak_kib() - before;
    unlink(path);
    if (s != OK)
        fail_msg("%s: %s", e.where, e.what);
    assert_int_equal(m->graph->n_values, WEIGHTS + 2);
    assert_int_equal(tensor_count(m->graph->values[WEIGHTS]->constant), ELEMENTS);
    model_free(m);
    if (MEASURE_MEMORY && grown > 16 * 1024)
        fail_msg("opening %d MiB took %ld MiB", WEIGHTS * (WEIGHT_BYTES >> 20), grown / 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_open_large) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
