#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/format.h"
#include "ir/text.h"

static const char sample[] =
    "calque 1\n"
    "format \"onnx\" \"IR 8, opset 17\"\n"
    "producer \"a \\\"b\\\" \\\\\" \"two\\nlines \\x01\"\n"
    "opset \"\" \"17\"\n"
    "property \"k\" \"v\"\n"
    "symbol \"N\"\n"
    "symbol \"a b\"\n"
    "signature \"serve\" graph 0 inputs [\"x\"] outputs [\"y\", \"z\"]\n"
    "graph \"main\" number 0 {\n"
    "  input %x: float32[N, \"a b\", ?, 3]\n"
    "  input %c: bool[] = {1}\n"
    "  constant %w: float32[4] = {0.1, -0.0, 1e-45, inf}\n"
    "  constant %nan: float16[2] = hex \"017e003c\"\n"
    "  constant %q: int4[3] quantized axis 0 block 0 scale [0.5] zero [-8] = {-8, 7, 0}\n"
    "  constant %s: string[2] = {\"a\\nb\", \"\"}\n"
    "  constant %list: sequence float32* = items [float32[1] {2.5}, int64[] "
    "{9223372036854775807}]\n"
    "  constant %\"odd name\": uint64[1] = {18446744073709551615}\n"
    "  constant %x~2: complex64[1] = hex \"0000803f000000c0\"\n"
    "  value %state: float64[2] variable\n"
    "  %~1: float32*, _ = Split(%x, _, %w) name \"split\" version 13 group 4 {axis = -1, mean = "
    "0.1, "
    "third = 0.3333333333333333d, text = \"a\\x00b\", ints = ints [1, -2], f = floats [0.5, nan], "
    "s = strings [\"a\", \"\"], t = tensor int8[2] {1, -1}, ts = tensors [bool[] {1}], to = type "
    "bfloat16, "
    "none = ints []}\n"
    "  %y: none* = com.microsoft::Gelu(%~1) from \"gelu:0\" operator \"GELU\" at 120 0 3\n"
    "  %z: float32[] = If(%c) {then_branch = graph \"yes\" number 0 {\n"
    "    %y~2: float32* = Neg(%y)\n"
    "    output %y~2\n"
    "  }, else_branch = graph 1}\n"
    "  %u: float32* = my.domain::\"Fun ction\"(%z) body graph \"Fun\" number 0 {\n"
    "    input %x~3: float32*\n"
    "    output %x~3\n"
    "  }\n"
    "  do Print(%u)\n"
    "  output %y\n"
    "  output %z\n"
    "}\n"
    "graph \"other\" number 1 {\n"
    "  constant %k: float32[1] = {3.0}\n"
    "  output %k\n"
    "}\n";

static struct model *parsed(const char *text) {
    struct model *m;
    struct err e = { 0 };
    if (model_parse(text, strlen(text), &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

static const char *printed(const struct model *m, unsigned flags, struct arena *a) {
    struct strbuf b;
    struct err e = { 0 };
    strbuf_init(&b, a);
    if (model_print(m, flags, &b, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return b.p;
}

/* What the text says is in the model. */
static void test_parse(void **state) {
    (void)state;
    struct model *m = parsed(sample);
    const struct graph *g = m->graph;
    assert_int_equal(m->n_graphs, 2);
    assert_string_equal(m->producer, "a \"b\" \\");
    assert_string_equal(m->description, "two\nlines \x01");
    assert_int_equal(g->n_inputs, 2);
    assert_int_equal(g->inputs[0]->dim[1], DIM_SYMBOL - 1);
    assert_int_equal(g->inputs[0]->dim[2], DIM_UNKNOWN);
    const struct node *split = g->nodes[0];
    assert_string_equal(split->name, "split");
    assert_int_equal(split->group, 4);
    assert_int_equal(m->next_group, 5);
    assert_null(split->in[1]);
    assert_null(split->out[1]);
    assert_true(tensor_f64(split->in[2]->constant, 0) == (double)0.1F);
    assert_true(node_attr(split, "mean")->f == (double)0.1F);
    assert_true(node_attr(split, "third")->f == 1.0 / 3);
    assert_int_equal(node_attr(split, "text")->n, 3);
    assert_memory_equal(node_attr(split, "text")->s, "a\0b", 3);
    assert_int_equal(node_attr(split, "ints")->ints[1], -2);
    assert_int_equal(node_attr(split, "to")->i, DT_BF16);
    assert_int_equal(node_attr(split, "none")->type, ATTR_INTS);
    assert_string_equal(g->nodes[1]->domain, "com.microsoft");
    assert_string_equal(g->nodes[1]->origin.name, "gelu:0");
    assert_int_equal(g->nodes[1]->origin.offset, 120);
    assert_ptr_equal(node_attr(g->nodes[2], "else_branch")->graph, m->graphs[1]);
    assert_ptr_equal(node_attr(g->nodes[2], "then_branch")->graph->parent, g);
    assert_string_equal(g->nodes[3]->op, "Fun ction");
    assert_string_equal(g->nodes[3]->body->inputs[0]->name, "x");
    assert_int_equal(tensor_i64(g->values[4]->constant, 1), 7);
    model_free(m);
}

static void test_print(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct model *m = parsed(sample);
    const char *plain = printed(m, TEXT_CONSTANTS, a),
               *origins = printed(m, TEXT_CONSTANTS | TEXT_ORIGINS, a);
    const char *expected = arena_str(a, sample);
    char *from = strstr(expected, " from \"gelu:0\" operator \"GELU\" at 120 0 3");
    memmove(from, from + 41, strlen(from + 41) + 1);
    assert_string_equal(plain, expected);
    struct model *again = parsed(origins);
    assert_string_equal(printed(again, TEXT_CONSTANTS | TEXT_ORIGINS, a), origins);
    assert_non_null(strstr(origins, "from \"gelu:0\" operator \"GELU\" at 120 0 3"));
    struct strbuf b;
    strbuf_init(&b, a);
    node_print(m->graph->nodes[1], &b);
    assert_string_equal(b.p, "%y: none* = com.microsoft::Gelu(%~11)");
    model_free(m);
    model_free(again);
    arena_free(a);
}

static void test_errors(void **state) {
    (void)state;
#define HEAD "calque 1\nformat \"\" \"\"\nproducer \"\" \"\"\n"
    static const struct {
        const char *text, *where, *what;
        enum status code;
    } cases[] = {
        { "", "line 1, column 1", "'calque'", STATUS_CORRUPT },
        { "calque 9", "line 1, column 9", "text form 9", STATUS_UNSUPPORTED },
        { HEAD, "line 4, column 1", "'graph'", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n output %y }", "line 5, column 11", "'y' is not defined",
          STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n input %x: float33[] }", "line 5", "float33", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n constant %x: float32[9999999999] = {1} }", "line 5",
          "fewer elements", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n constant %x: float32[4294967296, 4294967296] = {1} }",
          "line 5", "unknown shape", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n constant %x: float32[99] = ...396 bytes }", "line 5",
          "leaves constants out", STATUS_UNSUPPORTED },
        { HEAD "graph g number 0 {\n constant %x: uint8[2] = hex \"0g00\" }", "line 5",
          "hexadecimal", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n input %x: int8[]\n input %x: int8[] }", "line 6", "twice",
          STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n do If() {a = graph 7} }", "", "graph 7 of 1", STATUS_CORRUPT },
        { HEAD "graph g number 0 {\n do A() {a = \"x } }", "line 5", "does not end",
          STATUS_CORRUPT },
        { HEAD "graph g number 0 { # comment }", "", "", STATUS_CORRUPT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct model *m;
        struct err e = { 0 };
        enum status s = model_parse(cases[i].text, strlen(cases[i].text), &m, &e);
        if (s != cases[i].code || !strstr(e.where, cases[i].where) ||
            !strstr(e.what, cases[i].what))
            fail_msg("case %d: %s, %s: %s", (int)i, status_name(s), e.where, e.what);
        assert_null(m);
    }
}

/* Nesting beyond the limit, and every prefix of the sample, are refused. */
static void test_hostile(void **state) {
    (void)state;
    struct model *m;
    struct err e = { 0 };
    for (size_t n = 0; n + 1 < sizeof sample - 1; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, sample, n);
        enum status s = model_parse(copy, n, &m, &e);
        if (strncmp(sample + n, "graph \"other\"", 13) != 0)
            assert_int_not_equal(s, OK);
        if (s == OK)
            model_free(m);
        free(copy);
    }
    struct arena *a = arena_new();
    struct strbuf b;
    strbuf_init(&b, a);
    strbuf_add(&b, HEAD "graph g number 0 {\n");
    for (int i = 0; i < 100000; i++)
        strbuf_add(&b, "do A() {g = graph h number 0 {");
    assert_int_equal(model_parse(b.p, b.n, &m, &e), STATUS_UNSUPPORTED);
    arena_free(a);
}

static void round_trip(const char *path) {
    struct model *m, *again;
    struct err e = { 0 };
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    struct arena *a = arena_new();
    const char *text = printed(m, TEXT_CONSTANTS | TEXT_ORIGINS, a);
    if (model_parse(text, strlen(text), &again, &e) != OK)
        fail_msg("%s: %s: %s", path, e.where, e.what);
    if (strcmp(text, printed(again, TEXT_CONSTANTS | TEXT_ORIGINS, a)) != 0)
        fail_msg("%s: another text after parsing", path);
    model_free(m);
    model_free(again);
    arena_free(a);
}

static bool is_model(const char *name) {
    size_t n = strlen(name);
    return n > 7 && (strcmp(name + n - 5, ".onnx") == 0 || strcmp(name + n - 7, ".tflite") == 0);
}

/* Every model of the corpus's faults. */
static void test_corpus(void **state) {
    (void)state;
    const char *corpus = getenv("CALQUE_CORPUS");
    char folder[512];
    snprintf(folder, sizeof folder, "%s/faults", corpus ? corpus : "../shared");
    DIR *d = opendir(folder);
    if (!d) {
        print_message("skipped: no corpus (set CALQUE_CORPUS)\n");
        skip();
    }
    int n = 0;
    for (struct dirent *fault; (fault = readdir(d)) != NULL;) {
        char inner[1024], path[2048];
        snprintf(inner, sizeof inner, "%s/%s", folder, fault->d_name);
        DIR *files = fault->d_name[0] == '.' ? NULL : opendir(inner);
        for (struct dirent *f; files && (f = readdir(files)) != NULL;) {
            if (!is_model(f->d_name))
                continue;
            snprintf(path, sizeof path, "%s/%s", inner, f->d_name);
            round_trip(path);
            n++;
        }
        if (files)
            closedir(files);
    }
    closedir(d);
    assert_true(n > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),  cmocka_unit_test(test_print),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_corpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
