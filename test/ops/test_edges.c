/* Nodes at the edge of what the specification allows, and beyond: edge_nodes.txt. Each line is
 *     OPERATOR(input, ...) {attributes} -> result, ...
 * An input is a type and dims, with contents ("= {...}"; else 1, 2, 3, ...), or _ when left out. A
 * result is the same with contents, or the line ends with "-> error TEXT": the node is refused, by
 * its name, with TEXT in the message. Both precisions must say so. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strbuf.h"
#include "exec/exec.h"
#include "ir/text.h"

struct line {
    const char *text;
    struct model *model;
    struct arena *arena;
    const char *error; /* NULL: the results are in the values want0, want1, ... */
    int n_results;
};

/* The end of an item: its comma at depth 0, its closing bracket, or the end of the text. */
static const char *item_end(const char *p, const char *end) {
    int depth = 0;
    bool quoted = false;
    for (; p < end; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (strchr("([{", *p))
            depth++;
        else if (strchr(")]}", *p) && depth-- == 0)
            return p;
        else if (*p == ',' && depth == 0)
            return p;
    }
    return p;
}

/* 1, 2, 3, ... for a type with dims such as float32[2, 3]. */
static void ramp(struct strbuf *b, const char *item, const char *end) {
    int64_t n = 1;
    const char *p = memchr(item, '[', (size_t)(end - item));
    for (p++; p && p < end && *p != ']'; p++)
        if (*p >= '0' && *p <= '9') {
            char *after;
            n *= strtoll(p, &after, 10);
            p = after - 1;
        }
    bool real = strncmp(item, "float", 5) == 0 || strncmp(item, "bfloat", 6) == 0,
         text = strncmp(item, "string", 6) == 0;
    strbuf_printf(b, " = {");
    for (int64_t i = 0; i < n; i++)
        strbuf_printf(b,
                      text   ? "%s\"%lld\""
                      : real ? "%s%lld.0"
                             : "%s%lld",
                      i ? ", " : "",
                      (long long)(strncmp(item, "bool", 4) == 0 ? i % 2 : i % 100 + 1));
    strbuf_printf(b, "}");
}

/* A constant for each item of a list; the number of items. */
static int constants(struct strbuf *b, const char *name, const char *p, const char *end,
                     bool *left_out) {
    int n = 0;
    while (p < end) {
        p += strspn(p, " ");
        const char *stop = item_end(p, end);
        left_out[n] = *p == '_';
        if (!left_out[n]) {
            strbuf_printf(b, "  constant %%%s%d: %.*s", name, n, (int)(stop - p), p);
            if (!memchr(p, '=', (size_t)(stop - p)))
                ramp(b, p, stop);
            strbuf_printf(b, "\n");
        }
        n++;
        p = stop + (stop < end && *stop == ',');
    }
    return n;
}

static struct line line_open(const char *text) {
    struct line l = { .text = text, .arena = arena_new() };
    struct strbuf b;
    bool left_out[32];
    struct err e = { 0 };
    const char *arrow = strstr(text, " -> "), *open = strchr(text, '(');
    if (!arrow || !open)
        fail_msg("not a case: %s", text);
    const char *close = open + 1;
    while (*(close = item_end(close, arrow)) == ',')
        close++;
    strbuf_init(&b, l.arena);
    strbuf_printf(
        &b, "calque 1\nformat \"onnx\" \"test\"\nproducer \"\" \"\"\ngraph \"main\" number 0 {\n");
    const char *result = arrow + 4;
    if (strncmp(result, "error ", 6) == 0)
        l.error = result + 6;
    else
        l.n_results = constants(&b, "want", result, result + strlen(result), left_out);
    int n = constants(&b, "x", open + 1, close, left_out), outs = l.error ? 1 : l.n_results;
    for (int i = 0; i < outs; i++)
        strbuf_printf(&b, "%s%%y%d: none*", i ? ", " : "  ", i);
    strbuf_printf(&b, " = %.*s(", (int)(open - text), text);
    for (int i = 0; i < n; i++) {
        strbuf_add(&b, i ? ", " : "");
        if (left_out[i])
            strbuf_add(&b, "_");
        else
            strbuf_printf(&b, "%%x%d", i);
    }
    strbuf_printf(&b, ") name \"edge\"%.*s\n", (int)(arrow - close - 1), close + 1);
    for (int i = 0; i < outs; i++)
        strbuf_printf(&b, "  output %%y%d\n", i);
    strbuf_printf(&b, "}\n");
    if (model_parse(b.p, strlen(b.p), &l.model, &e) != OK)
        fail_msg("%s: %s: %s\n%s", text, e.where, e.what, b.p);
    return l;
}

static void line_close(struct line *l) {
    model_free(l->model);
    arena_free(l->arena);
}

static int n_wrong;

/* Tells a wrong line; the rest is still run. */
static void wrong(const struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void wrong(const struct line *l, const char *fmt, ...) {
    char why[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    print_error("%s\n    %s\n", l->text, why);
    n_wrong++;
}

static const struct tensor *wanted(const struct line *l, int i) {
    char name[16];
    snprintf(name, sizeof name, "want%d", i);
    const struct graph *g = l->model->graph;
    for (int k = 0; k < g->n_values; k++)
        if (strcmp(g->values[k]->name, name) == 0)
            return g->values[k]->constant;
    fail_msg("%s: no result %d", l->text, i);
    return NULL;
}

static bool same_element(const struct tensor *have, const struct tensor *want, int64_t k) {
    if (want->dtype == DT_STRING)
        return strcmp(((const char *const *)have->data)[k], ((const char *const *)want->data)[k]) ==
               0;
    if (!dtype_is_float(want->dtype))
        return tensor_i64(have, k) == tensor_i64(want, k);
    double a = float_round_to(want->dtype, tensor_f64(have, k)), b = tensor_f64(want, k);
    return a == b || (isnan(a) && isnan(b)) || (isfinite(b) && fabs(a - b) <= 1e-6 * fabs(b));
}

static void compare(const struct line *l, int i, const struct tensor *have) {
    const struct tensor *want = wanted(l, i);
    if (have->dtype != want->dtype || !dims_equal(have->dim, have->rank, want->dim, want->rank)) {
        wrong(l, "result %d is %s of rank %d, first dimension %lld", i, dtype_name(have->dtype),
              have->rank, have->rank ? (long long)have->dim[0] : 1);
        return;
    }
    for (int64_t k = 0; k < tensor_count(want); k++)
        if (!same_element(have, want, k))
            wrong(l, "element %d of result %d is %.9g", (int)k, i,
                  want->dtype == DT_STRING ? NAN : tensor_f64(have, k));
}

static void line_run(const struct line *l, enum precision precision, bool reference) {
    struct exec_options o = { .precision = precision, .reference_only = reference, .seed = 1 };
    struct exec *x;
    struct err e = { 0 };
    assert_int_equal(exec_new(&x, l->model, &o, &e), OK);
    struct exec_env *env = exec_env_new(x);
    enum status s = exec_run(x, l->model->graph, NULL, env, &e);
    if (s != OK && (!l->error || !strstr(e.what, l->error) || !strstr(e.where, "edge")))
        wrong(l, "%s: %s", e.where, e.what);
    else if (s == OK && l->error)
        wrong(l, "no error");
    for (int i = 0; s == OK && i < l->n_results; i++)
        compare(l, i, env->at[l->model->graph->outputs[i]->id]);
    exec_env_free(env);
    exec_free(x);
}

static void edge_nodes(void **state) {
    (void)state;
    FILE *f = fopen("test/ops/edge_nodes.txt", "r");
    char text[4096];
    int n = 0;
    assert_non_null(f);
    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = '\0';
        if (!text[0] || text[0] == '#')
            continue;
        struct line l = line_open(text);
        line_run(&l, PREC_F64, true);
        line_run(&l, PREC_F32, true);
        line_run(&l, PREC_F64, false);
        line_run(&l, PREC_F32, false);
        assert_non_null(exec_infer(l.model, l.arena, NULL, NULL));
        line_close(&l);
        n++;
    }
    fclose(f);
    assert_true(n >= 200);
    assert_int_equal(n_wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(edge_nodes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
