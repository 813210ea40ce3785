#include "report/outputs.h"

#include <stdlib.h>

#include "report/facts.h"
#include "report/inspect.h"
#include "report/json.h"
#include "report/table.h"

enum { SCREEN_ROWS = 40, PROFILE_ROWS = 20 };

static const char *kind_text(const struct tensor *t, struct arena *a) {
    switch (t->kind) {
    case KIND_SEQUENCE:
        return arena_printf(a, "sequence of %lld", (long long)t->n_items);
    case KIND_OPTIONAL:
        return t->n_items ? "optional, present" : "optional, absent";
    case KIND_MAP:
        return "map";
    default:
        return dtype_name(t->dtype);
    }
}

static void add_results(const struct run_report *r, struct arena *a, const struct style *s,
                        struct strbuf *b) {
    static const char *const heads[] = { "value", "type", "shape", "least", "greatest", "mean" };
    struct table t;
    table_init(&t, a, "lllrrrl");
    table_row(&t);
    for (int c = 0; c < 6; c++)
        table_cell(&t, c, "%s", heads[c]);
    int rows = s->verbose || r->n_results <= SCREEN_ROWS ? r->n_results : SCREEN_ROWS;
    for (int i = 0; i < rows; i++) {
        const struct tensor *v = r->results[i].tensor;
        struct constant_stats st;
        table_row(&t);
        table_cell(&t, 0, "%s", r->results[i].name);
        table_cell(&t, 1, "%s", kind_text(v, a));
        if (v->kind == KIND_TENSOR)
            table_cell(&t, 2, "%s", shape_text(r->model, a, v->dim, v->rank));
        if (!constant_stats(v, &st) || !st.count)
            continue;
        table_cell(&t, 3, "%.6g", st.least);
        table_cell(&t, 4, "%.6g", st.greatest);
        table_cell(&t, 5, "%.6g", st.mean);
        if (st.not_finite)
            table_cell(&t, 6, "%lld not finite", (long long)st.not_finite);
    }
    table_print(&t, b, 0);
    if (rows < r->n_results)
        strbuf_printf(b, "… and %d more (-v)\n", r->n_results - rows);
}

static int slower_first(const void *x, const void *y) {
    const struct node_time *a = x, *b = y;
    return (a->seconds < b->seconds) - (a->seconds > b->seconds);
}

static void add_profile(const struct run_report *r, struct arena *a, const struct style *s,
                        struct strbuf *b) {
    double total = 0;
    struct node_time *sorted = arena_copy(a, r->times, (size_t)r->n_times * sizeof *sorted);
    for (int i = 0; i < r->n_times; i++)
        total += sorted[i].seconds;
    qsort(sorted, (size_t)r->n_times, sizeof *sorted, slower_first);
    int rows = s->verbose || r->n_times <= PROFILE_ROWS ? r->n_times : PROFILE_ROWS;
    struct table t;
    table_init(&t, a, "llrr");
    table_row(&t);
    table_cell(&t, 0, "node");
    table_cell(&t, 1, "operator");
    table_cell(&t, 2, "ms");
    table_cell(&t, 3, "share");
    for (int i = 0; i < rows; i++) {
        table_row(&t);
        table_cell(&t, 0, "%s", node_label(sorted[i].node, a));
        table_cell(&t, 1, "%s", sorted[i].node->op);
        table_cell(&t, 2, "%.3f", sorted[i].seconds * 1e3);
        table_cell(&t, 3, "%.1f %%", total > 0 ? 100 * sorted[i].seconds / total : 0.0);
    }
    strbuf_printf(b, "\n%d nodes, %.3f ms\n", r->n_times, total * 1e3);
    table_print(&t, b, 0);
}

const char *run_text(const struct run_report *r, struct arena *a, const struct style *s) {
    struct strbuf b;
    strbuf_init(&b, a);
    if (!s->quiet) {
        add_results(r, a, s, &b);
        if (r->n_times)
            add_profile(r, a, s, &b);
        for (int i = 0; i < r->model->n_warnings && s->verbose; i++)
            strbuf_printf(&b, "warning: %s\n", r->model->warnings[i]);
        strbuf_add(&b, "\n");
    }
    strbuf_printf(&b, "ran in %s on %d %s sample%s", r->precision, r->samples, r->inputs_kind,
                  r->samples == 1 ? "" : "s");
    if (r->written)
        strbuf_printf(&b, ", wrote %s", r->written);
    strbuf_printf(&b, "   %.2f s   %s\n", s->seconds, s->repeat);
    return b.p;
}

static json_t *json_result(const struct model *m, const struct named_tensor *n) {
    const struct tensor *t = n->tensor;
    struct constant_stats st;
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(n->name));
    json_object_set_new(o, "dtype", json_text(dtype_name(t->dtype)));
    json_object_set_new(o, "shape",
                        t->kind == KIND_TENSOR ? json_dims(m, t->dim, t->rank) : json_null());
    if (constant_stats(t, &st) && st.count) {
        json_object_set_new(o, "least", json_number(st.least));
        json_object_set_new(o, "greatest", json_number(st.greatest));
        json_object_set_new(o, "mean", json_number(st.mean));
        json_object_set_new(o, "not_finite", json_integer(st.not_finite));
    }
    return o;
}

const char *run_json(const struct run_report *r, struct arena *a, const struct style *s) {
    json_t *root = json_begin("run"), *inputs = json_object(), *outputs = json_array(),
           *values = json_array();
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    json_object_set_new(root, "model", json_model(r->model, s->hash));
    json_object_set_new(root, "precision", json_text(r->precision));
    json_object_set_new(inputs, "kind", json_text(r->inputs_kind));
    json_object_set_new(inputs, "samples", json_integer(r->samples));
    json_object_set_new(inputs, "seed", json_integer((json_int_t)r->seed));
    json_object_set_new(root, "inputs", inputs);
    for (int i = 0; i < r->n_results; i++)
        json_array_append_new(i < r->n_outputs ? outputs : values,
                              json_result(r->model, &r->results[i]));
    json_object_set_new(root, "outputs", outputs);
    json_object_set_new(root, "values", values);
    if (r->n_times) {
        json_t *list = json_array();
        for (int i = 0; i < r->n_times; i++) {
            json_t *o = json_object();
            json_object_set_new(o, "node", json_text(node_label(r->times[i].node, a)));
            json_object_set_new(o, "op", json_text(r->times[i].node->op));
            json_object_set_new(o, "seconds", json_number(r->times[i].seconds));
            json_array_append_new(list, o);
        }
        json_object_set_new(root, "profile", list);
    }
    json_t *written = json_null();
    if (r->written) {
        written = json_object();
        json_object_set_new(written, "file", json_text(r->written));
    }
    json_object_set_new(root, "written", written);
    json_end(root, s, json_texts(r->model->warnings, r->model->n_warnings));
    return json_print(root, a);
}
