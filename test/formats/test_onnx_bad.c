/* Bad ONNX files: refused with a reason, never a crash, a hang or a read outside the file. Files
 * are made here. */
#define _XOPEN_SOURCE 700
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "formats/format.h"
#include "formats/onnx/onnx_data.h"
#include "wire/protobuf.h"

static char folder[] = "/tmp/calque-bad-XXXXXX";
static struct arena *arena;

static int set_up(void **state) {
    (void)state;
    arena = arena_new();
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    char command_free_path[64];
    const char *names[] = { "model.onnx", "weights.bin", "link.bin", "deeper/w.bin", "deeper" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(command_free_path, sizeof command_free_path, "%s/%s", folder, names[i]);
        if (unlink(command_free_path) != 0)
            rmdir(command_free_path);
    }
    arena_free(arena);
    return rmdir(folder);
}

/* --- making files --- */

static struct pb_writer fresh(void) {
    struct pb_writer w;
    pb_writer_init(&w, arena);
    return w;
}

static void put(struct pb_writer *w, uint32_t field, const struct pb_writer *inner) {
    pb_put_bytes(w, field, inner->p, inner->n);
}

static struct pb_writer node(const char *op, const char *in, const char *out) {
    struct pb_writer n = fresh();
    if (in)
        pb_put_string(&n, 1, in);
    if (out)
        pb_put_string(&n, 2, out);
    pb_put_string(&n, 4, op);
    return n;
}

static struct pb_writer tensor(const char *name, int64_t dim, int type) {
    struct pb_writer t = fresh();
    pb_put_int(&t, 1, dim);
    pb_put_int(&t, 2, type);
    pb_put_string(&t, 8, name);
    return t;
}

static struct pb_writer named(const char *name) {
    struct pb_writer v = fresh();
    pb_put_string(&v, 1, name);
    return v;
}

/* A graph with input x and output y; the caller adds nodes. */
static struct pb_writer graph_xy(void) {
    struct pb_writer g = fresh(), x = named("x"), y = named("y");
    put(&g, 11, &x);
    put(&g, 12, &y);
    return g;
}

static struct pb_writer model(const struct pb_writer *graph, int64_t opset) {
    struct pb_writer m = fresh(), o = fresh();
    pb_put_int(&m, 1, 8);
    pb_put_int(&o, 2, opset);
    put(&m, 8, &o);
    put(&m, 7, graph);
    return m;
}

static const char *file(const char *name, const void *data, size_t n) {
    const char *path = arena_printf(arena, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
    return path;
}

static enum status read_bytes(const void *data, size_t n, struct err *e) {
    struct model *m = NULL;
    *e = (struct err) { .code = OK };
    enum status s = model_read(file("model.onnx", data, n), &m, e);
    if (s != OK) {
        assert_int_equal(e->code, s);
        assert_true(e->what[0] != '\0');
        assert_int_not_equal(s, STATUS_BUG);
    }
    model_free(m);
    return s;
}

static void refused(const struct pb_writer *m, enum status want, const char *word) {
    struct err e;
    enum status s = read_bytes(m->p, m->n, &e);
    if (s != want || !strstr(e.what, word))
        fail_msg("status %s, '%s: %s'; expected %s with '%s'", status_name(s), e.where, e.what,
                 status_name(want), word);
}

/* A small model with every part in it, to be damaged: nodes, attributes, constants of three
 * encodings, a sub-graph. */
static struct pb_writer sample(void) {
    struct pb_writer g = graph_xy(), then = fresh(), branch_node = node("Relu", "x", "t"),
                     t = named("t");
    struct pb_writer raw = tensor("w", 3, 1), typed = tensor("v", 2, 7),
                     condition = tensor("c", 1, 9);
    static const float w[3] = { 1, 2, 3 };
    static const unsigned char one[1] = { 1 };
    pb_put_bytes(&raw, 9, w, sizeof w);
    pb_put_int(&typed, 7, 5);
    pb_put_int(&typed, 7, -6);
    pb_put_bytes(&condition, 9, one, 1);
    put(&then, 1, &branch_node);
    put(&then, 12, &t);
    struct pb_writer attribute = fresh(), other = fresh(), branch = node("If", "c", "h"),
                     add = node("Add", "h", "y");
    pb_put_string(&attribute, 1, "then_branch");
    put(&attribute, 6, &then);
    pb_put_int(&attribute, 20, 5);
    pb_put_string(&other, 1, "else_branch");
    put(&other, 6, &then);
    pb_put_int(&other, 20, 5);
    put(&branch, 5, &attribute);
    put(&branch, 5, &other);
    pb_put_string(&add, 1, "w");
    put(&g, 5, &raw);
    put(&g, 5, &typed);
    put(&g, 5, &condition);
    put(&g, 1, &branch);
    put(&g, 1, &add);
    return model(&g, 17);
}

/* --- cases --- */

static void sample_is_read(void **state) {
    (void)state;
    struct pb_writer m = sample();
    struct err e;
    if (read_bytes(m.p, m.n, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
}

static void cut_anywhere(void **state) {
    (void)state;
    struct pb_writer m = sample();
    struct err e;
    for (size_t n = 0; n < m.n; n++)
        assert_int_not_equal(read_bytes(m.p, n, &e), OK);
}

static void flipped_bits(void **state) {
    (void)state;
    struct pb_writer m = sample();
    struct err e;
    int accepted = 0;
    for (size_t i = 0; i < 8 * m.n; i++) {
        m.p[i / 8] ^= (unsigned char)(1 << i % 8);
        accepted += read_bytes(m.p, m.n, &e) == OK;
        m.p[i / 8] ^= (unsigned char)(1 << i % 8);
    }
    assert_true(accepted < (int)(8 * m.n));
}

static void extreme_lengths(void **state) {
    (void)state;
    static const unsigned char huge[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };
    struct pb_writer m = sample();
    struct err e;
    for (size_t i = 0; i < m.n; i++) {
        struct pb_writer bad = fresh();
        pb_put_raw(&bad, m.p, i);
        pb_put_raw(&bad, huge, sizeof huge);
        pb_put_raw(&bad, m.p + i, m.n - i);
        read_bytes(bad.p, bad.n, &e);
    }
}

static void real_files_cut(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    const char *path =
        arena_printf(arena, "%s/faults/F001/target.onnx", corpus ? corpus : "../shared");
    struct mapfile f;
    struct err e;
    if (mapfile_open(&f, path, arena, &e) != OK) {
        print_message("skipped: no corpus (set CALQUE_CORPUS)\n");
        skip();
    }
    for (size_t n = 0; n < f.size; n += 64)
        assert_int_not_equal(read_bytes(f.data, n, &e), OK);
    mapfile_close(&f);
}

static void nested_messages(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    /* Graph in attribute in node in graph ...: built from the inside, so that lengths are right. */
    unsigned char *p = calloc(DEPTH * 40u, 1);
    size_t at = DEPTH * 40u;
    assert_non_null(p);
    for (int i = 0; i < DEPTH; i++) {
        struct pb_writer head = fresh();
        static const uint32_t fields[] = { 1, 5, 6 };
        pb_put_tag(&head, fields[2 - i % 3], PB_BYTES);
        pb_put_varint(&head, DEPTH * 40u - at);
        at -= head.n;
        memcpy(p + at, head.p, head.n);
    }
    struct pb_writer g = fresh(), y = named("y");
    pb_put_raw(&g, p + at, DEPTH * 40u - at);
    put(&g, 12, &y);
    struct pb_writer m = model(&g, 17);
    struct err e;
    assert_int_not_equal(read_bytes(m.p, m.n, &e), OK);
    free(p);
}

static void nested_types(void **state) {
    (void)state;
    struct pb_writer type = fresh();
    for (int i = 0; i < 2000; i++) { /* sequence of sequence of ... */
        struct pb_writer outer = fresh(), element = fresh();
        put(&element, 1, &type);
        put(&outer, 4, &element);
        type = outer;
    }
    struct pb_writer g = fresh(), x = named("x");
    put(&x, 2, &type);
    put(&g, 11, &x);
    struct pb_writer m = model(&g, 17);
    refused(&m, STATUS_CORRUPT, "nested deeper");
}

static struct pb_writer with_node(const struct pb_writer *n) {
    struct pb_writer g = graph_xy();
    put(&g, 1, n);
    return model(&g, 17);
}

static void graphs_that_are_none(void **state) {
    (void)state;
    struct pb_writer lost = node("Relu", "nowhere", "y"), itself = node("Relu", "y", "y"),
                     nameless = fresh();
    struct pb_writer m = with_node(&lost);
    refused(&m, STATUS_CORRUPT, "nowhere");
    m = with_node(&itself);
    refused(&m, STATUS_CORRUPT, "y");
    pb_put_string(&nameless, 2, "y");
    m = with_node(&nameless);
    refused(&m, STATUS_CORRUPT, "operator");
    struct pb_writer g = graph_xy(), a = node("Relu", "b", "a"), b = node("Relu", "a", "b"),
                     y = node("Relu", "a", "y");
    put(&g, 1, &a);
    put(&g, 1, &b);
    put(&g, 1, &y);
    m = model(&g, 17);
    refused(&m, STATUS_CORRUPT, "cycle");
    struct pb_writer twice = graph_xy(), first = node("Relu", "x", "y"),
                     second = node("Neg", "x", "y");
    put(&twice, 1, &first);
    put(&twice, 1, &second);
    m = model(&twice, 17);
    refused(&m, STATUS_CORRUPT, "defined twice");
    struct pb_writer empty = graph_xy();
    m = model(&empty, 17);
    refused(&m, STATUS_CORRUPT, "made by no node");
}

static struct pb_writer with_tensor(const struct pb_writer *t) {
    struct pb_writer g = graph_xy(), n = node("Relu", "x", "y");
    put(&g, 5, t);
    put(&g, 1, &n);
    return model(&g, 17);
}

static void tensors_that_are_none(void **state) {
    (void)state;
    struct pb_writer t = tensor("w", 4, 1), m;
    pb_put_bytes(&t, 9, "abc", 3);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "needs 16");
    t = tensor("w", INT64_MAX, 1);
    pb_put_int(&t, 1, 16);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "63 bits");
    t = tensor("w", -1, 1);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "negative");
    t = tensor("w", INT64_C(1) << 40, 7);
    pb_put_int(&t, 7, 1);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "holds 1");
    t = tensor("w", 1, 99);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "element type 99");
    t = tensor("w", 1, 1);
    pb_put_int(&t, 7, 1);
    m = with_tensor(&t);
    refused(&m, STATUS_CORRUPT, "field 7");
    t = tensor("w", 1, 1);
    for (int i = 0; i < 20; i++)
        pb_put_int(&t, 1, 1);
    m = with_tensor(&t);
    refused(&m, STATUS_UNSUPPORTED, "dimensions");
}

/* --- external data --- */

static struct pb_writer external(const char *location, const char *offset, const char *length) {
    struct pb_writer t = tensor("w", 4, 1);
    const char *rows[][2] = { { "location", location },
                              { "offset", offset },
                              { "length", length } };
    for (int i = 0; i < 3; i++) {
        struct pb_writer entry = fresh();
        if (!rows[i][1])
            continue;
        pb_put_string(&entry, 1, rows[i][0]);
        pb_put_string(&entry, 2, rows[i][1]);
        put(&t, 13, &entry);
    }
    pb_put_int(&t, 14, 1);
    return with_tensor(&t);
}

static void external_data(void **state) {
    (void)state;
    static const float weights[6] = { 9, 1, 2, 3, 4, 9 };
    struct err e;
    file("weights.bin", weights, sizeof weights);
    mkdir(arena_printf(arena, "%s/deeper", folder), 0777);
    file("deeper/w.bin", weights, sizeof weights);
    assert_int_equal(symlink("/etc/hostname", arena_printf(arena, "%s/link.bin", folder)), 0);
    struct pb_writer m = external("weights.bin", "4", "16");
    struct model *read;
    assert_int_equal(model_read(file("model.onnx", m.p, m.n), &read, &e), OK);
    for (int i = 0; i < read->graph->n_values; i++)
        if (strcmp(read->graph->values[i]->name, "w") == 0)
            assert_true(tensor_f64(read->graph->values[i]->constant, 3) == 4.0);
    model_free(read);
    m = external("deeper/w.bin", NULL, NULL);
    assert_int_equal(read_bytes(m.p, m.n, &e), OK);
    const struct {
        const char *location, *offset, *length, *word;
        enum status status;
    } rows[] = {
        { "../model.onnx", NULL, NULL, "outside", STATUS_CORRUPT },
        { "deeper/../../x", NULL, NULL, "outside", STATUS_CORRUPT },
        { "/etc/hostname", NULL, NULL, "outside", STATUS_CORRUPT },
        { "", NULL, NULL, "outside", STATUS_CORRUPT },
        { "link.bin", NULL, NULL, "link", STATUS_CORRUPT },
        { "absent.bin", NULL, NULL, "missing", STATUS_IO },
        { "deeper", NULL, NULL, "regular", STATUS_IO },
        { "weights.bin", "12", NULL, "which has 24", STATUS_CORRUPT },
        { "weights.bin", "18446744073709551615", NULL, "which has 24", STATUS_CORRUPT },
        { "weights.bin", "-4", NULL, "usable", STATUS_CORRUPT },
        { "weights.bin", "four", NULL, "usable", STATUS_CORRUPT },
        { "weights.bin", "0", "12", "needs 16", STATUS_CORRUPT },
        { NULL, NULL, NULL, "usable", STATUS_CORRUPT },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        m = external(rows[i].location, rows[i].offset, rows[i].length);
        refused(&m, rows[i].status, rows[i].word);
    }
}

/* --- functions --- */

static struct pb_writer function(const char *name, const char *calls, int times) {
    struct pb_writer f = fresh(), o = fresh();
    pb_put_string(&f, 1, name);
    pb_put_string(&f, 4, "a");
    pb_put_string(&f, 5, "b");
    pb_put_string(&f, 10, "local");
    for (int i = 0; i < times; i++) {
        struct pb_writer n = node(calls, i ? arena_printf(arena, "v%d", i - 1) : "a",
                                  i == times - 1 ? "b" : arena_printf(arena, "v%d", i));
        pb_put_string(&n, 7, "local");
        put(&f, 7, &n);
    }
    pb_put_string(&o, 1, "local");
    pb_put_int(&o, 2, 1);
    put(&f, 9, &o);
    return f;
}

static void functions_without_end(void **state) {
    (void)state;
    struct pb_writer g = graph_xy(), call = node("f0", "x", "y");
    pb_put_string(&call, 7, "local");
    put(&g, 1, &call);
    struct pb_writer recursive = model(&g, 17), f = function("f0", "f0", 1);
    put(&recursive, 25, &f);
    refused(&recursive, STATUS_CORRUPT, "calls itself");
    struct pb_writer bomb = model(&g, 17);
    for (int i = 0; i < 30; i++) { /* 4^30 calls */
        f = function(arena_printf(arena, "f%d", i), arena_printf(arena, "f%d", i + 1), 4);
        put(&bomb, 25, &f);
    }
    refused(&bomb, STATUS_UNSUPPORTED, "too many nodes");
}

static void versions(void **state) {
    (void)state;
    struct pb_writer g = graph_xy(), n = node("Relu", "x", "y"), none = fresh();
    put(&g, 1, &n);
    struct pb_writer m = model(&g, 10000);
    refused(&m, STATUS_UNSUPPORTED, "operator set 10000");
    m = model(&g, -1);
    refused(&m, STATUS_CORRUPT, "version -1");
    pb_put_int(&none, 1, 8);
    put(&none, 7, &g);
    refused(&none, STATUS_CORRUPT, "no operator set");
}

static void sparse_that_unfolds_too_far(void **state) {
    (void)state;
    struct pb_writer values = tensor("s", 1, 1), indices = tensor("", 1, 7), sparse = fresh(),
                     g = graph_xy(), n = node("Relu", "x", "y");
    float one = 1;
    pb_put_bytes(&values, 9, &one, sizeof one);
    pb_put_int(&indices, 7, 0);
    put(&sparse, 1, &values);
    put(&sparse, 2, &indices);
    pb_put_int(&sparse, 3, INT64_C(1) << 40);
    put(&g, 15, &sparse);
    put(&g, 1, &n);
    struct pb_writer m = model(&g, 17);
    refused(&m, STATUS_UNSUPPORTED, "unfold");
}

static void bad_data_files(void **state) {
    (void)state;
    struct pb_writer t = tensor("x", 3, 1), nest = fresh();
    struct tensor *out;
    struct err e;
    static const float w[3] = { 1, 2, 3 };
    pb_put_bytes(&t, 9, w, sizeof w);
    for (size_t n = 0; n < t.n; n++)
        if (onnx_data_read(file("model.onnx", t.p, n), KIND_TENSOR, arena, &out, NULL, &e) == OK)
            tensor_free(out);
    for (int i = 0; i < 1000; i++) {
        struct pb_writer outer = fresh();
        put(&outer, 5, &nest);
        nest = outer;
    }
    assert_int_equal(
        onnx_data_read(file("model.onnx", nest.p, nest.n), KIND_SEQUENCE, arena, &out, NULL, &e),
        STATUS_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_is_read),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(extreme_lengths),
        cmocka_unit_test(real_files_cut),
        cmocka_unit_test(nested_messages),
        cmocka_unit_test(nested_types),
        cmocka_unit_test(graphs_that_are_none),
        cmocka_unit_test(tensors_that_are_none),
        cmocka_unit_test(external_data),
        cmocka_unit_test(functions_without_end),
        cmocka_unit_test(versions),
        cmocka_unit_test(sparse_that_unfolds_too_far),
        cmocka_unit_test(bad_data_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
