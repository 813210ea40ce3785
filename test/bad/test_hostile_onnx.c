/* ONNX files made to do harm: each is refused, and the error says where and what. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bad/bytes.h"
#include "formats/format.h"
#include "ops/op.h"

/* Field numbers of onnx.proto. */
enum { MODEL_IR = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_DOMAIN = 7,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_G = 6,
    ATTRIBUTE_TYPE = 20
};
enum {
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14
};
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_SEQUENCE = 4, SEQUENCE_ELEMENT = 1 };

static void add_value(struct bytes *graph, int field, const char *name) {
    struct bytes v = { 0 };
    bytes_text(&v, VALUE_NAME, name);
    bytes_message(graph, field, &v);
}

static void add_node(struct bytes *graph, const char *name, const char *op, const char *input,
                     const char *output) {
    struct bytes n = { 0 };
    bytes_text(&n, NODE_INPUT, input);
    bytes_text(&n, NODE_OUTPUT, output);
    bytes_text(&n, NODE_NAME, name);
    bytes_text(&n, NODE_OP, op);
    bytes_message(graph, GRAPH_NODE, &n);
}

/* The model around a graph; frees the graph. */
static struct bytes model_of(struct bytes *graph) {
    struct bytes m = { 0 }, opset = { 0 };
    bytes_int(&m, MODEL_IR, 8);
    bytes_int(&opset, OPSET_VERSION, 17);
    bytes_message(&m, MODEL_OPSET, &opset);
    bytes_message(&m, MODEL_GRAPH, graph);
    return m;
}

/* Refused, by an error that has `word` in it. Frees the bytes. */
static void refused_as(struct bytes *b, enum status code, const char *word) {
    struct model *m;
    struct err e = { 0 };
    enum status s = model_read_memory(b->data, b->n, &m, &e);
    if (s != code || (!strstr(e.what, word) && !strstr(e.where, word)))
        fail_msg("%s, %s: %s (expected %s with '%s')", status_name(s), e.where, e.what,
                 status_name(code), word);
    assert_null(m);
    free(b->data);
}

static void test_graphs(void **state) {
    (void)state;
    struct bytes g = { 0 };
    add_node(&g, "first", "Neg", "b", "a");
    add_node(&g, "second", "Neg", "a", "b");
    add_value(&g, GRAPH_OUTPUT, "b");
    struct bytes m = model_of(&g);
    refused_as(&m, STATUS_CORRUPT, "first"); /* a cycle */

    add_node(&g, "alone", "Neg", "nowhere", "a");
    add_value(&g, GRAPH_OUTPUT, "a");
    m = model_of(&g);
    refused_as(&m, STATUS_CORRUPT, "nowhere");

    add_value(&g, GRAPH_INPUT, "x");
    add_node(&g, "one", "Neg", "x", "a");
    add_node(&g, "two", "Abs", "x", "a");
    m = model_of(&g);
    refused_as(&m, STATUS_CORRUPT, "'a'"); /* computed twice */

    add_value(&g, GRAPH_OUTPUT, "absent");
    m = model_of(&g);
    refused_as(&m, STATUS_CORRUPT, "absent");
}

static struct bytes model_with_tensor(uint64_t d0, uint64_t d1, int type, size_t raw) {
    struct bytes t = { 0 }, g = { 0 };
    bytes_int(&t, TENSOR_DIMS, d0);
    bytes_int(&t, TENSOR_DIMS, d1);
    bytes_int(&t, TENSOR_TYPE, (uint64_t)type);
    bytes_text(&t, TENSOR_NAME, "weights");
    unsigned char *zero = calloc(1, raw + 1);
    bytes_field(&t, TENSOR_RAW, zero, raw);
    free(zero);
    bytes_message(&g, GRAPH_INITIALIZER, &t);
    return model_of(&g);
}

static void test_dimensions(void **state) {
    (void)state;
    static const struct {
        uint64_t d0, d1;
    } cases[] = { { UINT64_C(1) << 32, UINT64_C(1) << 32 },
                  { INT64_MAX, 2 },
                  { UINT64_MAX, 1 },
                  { 1u << 20, 1u << 20 },
                  { 3, 3 },
                  { UINT64_C(1) << 62, 4 },
                  { INT64_MAX, INT64_MAX } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes m = model_with_tensor(cases[i].d0, cases[i].d1, 1, 16);
        refused_as(&m, STATUS_CORRUPT, "weights");
    }
    struct bytes m = model_with_tensor(2, 2, 99, 16);
    refused_as(&m, STATUS_CORRUPT, "element type 99");
}

/* `depth` messages inside each other: the numbers of `fields` in turn, from the outside. */
static struct bytes nested(const int *fields, int n_fields, size_t depth) {
    size_t *length = malloc((depth + 1) * sizeof *length);
    length[depth] = 0;
    for (size_t i = depth; i-- > 0;)
        length[i] = varint_size((uint64_t)fields[i % (size_t)n_fields] << 3) +
                    varint_size(length[i + 1]) + length[i + 1];
    struct bytes b = { 0 };
    for (size_t i = 0; i < depth; i++) {
        bytes_varint(&b, (uint64_t)fields[i % (size_t)n_fields] << 3 | 2);
        bytes_varint(&b, length[i + 1]);
    }
    free(length);
    return b;
}

static void test_nesting(void **state) {
    (void)state;
    enum { DEPTH = 1000000 };
    struct bytes g = nested((const int[]) { GRAPH_NODE, NODE_ATTRIBUTE, ATTRIBUTE_G }, 3, DEPTH),
                 m = model_of(&g);
    struct model *out;
    struct err e = { 0 };
    enum status s = model_read_memory(m.data, m.n, &out, &e);
    assert_true(s == STATUS_CORRUPT || s == STATUS_UNSUPPORTED);
    assert_true(e.what[0] != '\0');
    free(m.data);
    struct bytes type = nested((const int[]) { TYPE_SEQUENCE, SEQUENCE_ELEMENT }, 2, DEPTH),
                 value = { 0 };
    bytes_text(&value, VALUE_NAME, "deep");
    bytes_message(&value, VALUE_TYPE, &type);
    bytes_message(&g, GRAPH_INPUT, &value);
    m = model_of(&g);
    s = model_read_memory(m.data, m.n, &out, &e);
    if (s == OK)
        model_free(out);
    else
        assert_true(s == STATUS_CORRUPT || s == STATUS_UNSUPPORTED);
    free(m.data);
}

static struct bytes model_with_external(const char *location) {
    struct bytes t = { 0 }, g = { 0 }, entry = { 0 };
    bytes_int(&t, TENSOR_DIMS, 4);
    bytes_int(&t, TENSOR_TYPE, 1);
    bytes_text(&t, TENSOR_NAME, "weights");
    bytes_text(&entry, 1, "location");
    bytes_text(&entry, 2, location);
    bytes_message(&t, TENSOR_EXTERNAL, &entry);
    bytes_int(&t, TENSOR_LOCATION, 1);
    bytes_message(&g, GRAPH_INITIALIZER, &t);
    return model_of(&g);
}

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_external(void **state) {
    (void)state;
    char top[] = "/tmp/calque-bad-XXXXXX", path[256], inner[128], outside[128], link[256];
    assert_non_null(mkdtemp(top));
    snprintf(inner, sizeof inner, "%s/models", top);
    snprintf(outside, sizeof outside, "%s/secret", top);
    snprintf(link, sizeof link, "%s/link", inner);
    snprintf(path, sizeof path, "%s/model.onnx", inner);
    assert_int_equal(mkdir(inner, 0700), 0);
    write_file(outside, "0123456789abcdef", 16);
    assert_int_equal(symlink(outside, link), 0);
    const char *locations[] = {
        "../secret", outside, "x/../../secret", "link", ".", "missing", ""
    };
    for (size_t i = 0; i < sizeof locations / sizeof *locations; i++) {
        struct bytes b = model_with_external(locations[i]);
        write_file(path, b.data, b.n);
        free(b.data);
        struct model *m;
        struct err e = { 0 };
        enum status s = model_read(path, &m, &e);
        if (s == OK || s == STATUS_BUG || !strstr(e.where, path))
            fail_msg("'%s': %s, %s: %s", locations[i], status_name(s), e.where, e.what);
    }
    /* The same file inside the folder is read. */
    char inside[256];
    snprintf(inside, sizeof inside, "%s/data", inner);
    write_file(inside, "0123456789abcdef", 16);
    struct bytes b = model_with_external("data");
    write_file(path, b.data, b.n);
    free(b.data);
    struct model *m;
    struct err e = { 0 };
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    model_free(m);
    const char *made[] = { inside, path, link, outside };
    for (int i = 0; i < 4; i++)
        unlink(made[i]);
    rmdir(inner);
    rmdir(top);
}

static void test_no_model(void **state) {
    (void)state;
    struct model *m;
    struct err e = { 0 };
    assert_int_equal(model_read("/nowhere/model.onnx", &m, &e), STATUS_IO);
    assert_non_null(strstr(e.where, "/nowhere/model.onnx"));
    assert_int_equal(model_read("/", &m, &e), STATUS_CORRUPT);
    assert_int_equal(model_read_memory("", 0, &m, &e), STATUS_CORRUPT);
    assert_int_equal(model_read_memory("hello", 5, &m, &e), STATUS_CORRUPT);
}

/* The rows that calque keeps for itself cannot be called from a file. */
static void test_own_domains(void **state) {
    (void)state;
    static const char *const ops[][2] = { { "fixed", "Conv" }, { "tflite", "STRIDED_SLICE" } };
    for (int i = 0; i < 2; i++) {
        struct bytes g = { 0 }, n = { 0 };
        bytes_text(&n, NODE_INPUT, "x");
        bytes_text(&n, NODE_OUTPUT, "y");
        bytes_text(&n, NODE_OP, ops[i][1]);
        bytes_text(&n, NODE_DOMAIN, ops[i][0]);
        bytes_message(&g, GRAPH_NODE, &n);
        add_value(&g, GRAPH_INPUT, "x");
        add_value(&g, GRAPH_OUTPUT, "y");
        struct bytes b = model_of(&g);
        struct model *m = NULL;
        struct err e = { 0 };
        assert_int_equal(model_read_memory(b.data, b.n, &m, &e), OK);
        ops_bind(m);
        assert_null(m->graph->nodes[0]->def);
        model_free(m);
        free(b.data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs),   cmocka_unit_test(test_dimensions),
        cmocka_unit_test(test_nesting),  cmocka_unit_test(test_external),
        cmocka_unit_test(test_no_model), cmocka_unit_test(test_own_domains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
