/* `inspect` for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/inspect.h"
#include "report/table.h"

enum { SCREEN_ROWS = 30 };

static const char *macs_text(struct arena *a, double macs) {
    static const char *const unit[] = { "", " k", " M", " G", " T" };
    int u = 0;
    while (macs >= 1000 && u < 4) {
        macs /= 1000;
        u++;
    }
    return arena_printf(a, u ? "%.3g%s" : "%.0f%s", macs, unit[u]);
}

static const char *type_text(const struct inspection *x, const struct value *v) {
    static const char *const kinds[] = { "", "sequence of ", "optional ", "map of ", "sparse " };
    return arena_printf(x->arena, "%s%s", kinds[v->kind], v->dtype ? dtype_name(v->dtype) : "?");
}

static void quant_text(const struct value *v, char *out, size_t size) {
    *out = '\0';
    if (!v->quant || v->quant->n <= 0)
        return;
    if (v->quant->n > 1)
        snprintf(out, size, "%lld scales on axis %d", (long long)v->quant->n, v->quant->axis);
    else
        snprintf(out, size, "scale %.6g zero point %lld", (double)v->quant->scale[0],
                 (long long)(v->quant->zero_point ? v->quant->zero_point[0] : 0));
}

static void add_values(const struct inspection *x, const char *title, struct value *const *values,
                       int n, struct strbuf *b) {
    struct table t;
    table_init(&t, x->arena, "llll");
    for (int i = 0; i < n; i++) {
        char quant[64];
        quant_text(values[i], quant, sizeof quant);
        table_row(&t);
        table_cell(&t, 0, "%s", values[i]->name);
        table_cell(&t, 1, "%s", type_text(x, values[i]));
        table_cell(&t, 2, "%s", shape_text(x->model, x->arena, values[i]->dim, values[i]->rank));
        table_cell(&t, 3, "%s", quant);
    }
    strbuf_printf(b, "\n%s\n", title);
    table_print(&t, b, 2);
}

static void add_head(const struct inspection *x, const struct style *s, struct strbuf *b) {
    const struct model *m = x->model;
    strbuf_printf(b, "%s%s%s: %s, %s", s->colour ? "\033[1m" : "", m->path,
                  s->colour ? "\033[0m" : "", m->format,
                  m->format_version ? m->format_version : "version unknown");
    if (m->producer && *m->producer)
        strbuf_printf(b, ", by %s", m->producer);
    strbuf_printf(b, ", %s\n", text_bytes(x->arena, x->facts.bytes));
}

static void add_operators(const struct inspection *x, const struct style *s, struct strbuf *b) {
    struct table t;
    table_init(&t, x->arena, "lrrll");
    table_row(&t);
    table_cell(&t, 0, "operator");
    table_cell(&t, 1, "count");
    table_cell(&t, 2, "MACs");
    table_cell(&t, 3, "runs");
    int shown = 0;
    for (int i = 0; i < x->operators.n; i++) {
        const struct operator_facts *o = &x->operators.items[i];
        if (shown >= SCREEN_ROWS && !s->verbose && o->runs == o->count)
            continue;
        shown++;
        table_row(&t);
        bool prefix = *o->domain && strcmp(o->domain, x->model->format) != 0;
        table_cell(&t, 0, "%s%s%s", prefix ? o->domain : "", prefix ? "." : "", o->op);
        table_cell(&t, 1, "%lld", (long long)o->count);
        if (o->macs > 0 || o->unknown_cost)
            table_cell(&t, 2, "%s%s", o->unknown_cost ? "> " : "", macs_text(x->arena, o->macs));
        table_cell(&t, 3, "%s", o->runs == o->count ? "yes" : o->runs ? "some" : "no");
        table_cell(&t, 4, "%s", o->why_not ? o->why_not : "");
    }
    strbuf_add(b, "\nOperators\n");
    table_print(&t, b, 2);
    if (shown < x->operators.n)
        strbuf_printf(b, "  … and %d more kinds that run (-v)\n", x->operators.n - shown);
}

static void add_facts(const struct inspection *x, const struct style *s, struct strbuf *b) {
    const struct model *m = x->model;
    struct arena *a = x->arena;
    struct table t;
    table_init(&t, a, "ll");
    table_row(&t);
    table_cell(&t, 0, "parameters");
    table_cell(&t, 1, "%s (%s)", text_count(a, x->facts.parameters),
               text_bytes(a, x->facts.parameter_bytes));
    table_row(&t);
    table_cell(&t, 0, "quantization");
    table_cell(&t, 1, "%s", x->scheme);
    table_row(&t);
    table_cell(&t, 0, "MACs");
    table_cell(&t, 1, "%s%s%s", x->operators.unknown_cost ? "more than " : "",
               macs_text(a, x->operators.macs),
               x->operators.unknown_cost
                   ? " (free dimensions hide the rest: bind them with --shapes)"
                   : "");
    for (int i = 0; i < m->n_opsets; i++) {
        table_row(&t);
        table_cell(&t, 0, "operator set");
        table_cell(&t, 1, "%s %s", *m->opsets[i].key ? m->opsets[i].key : "ai.onnx",
                   m->opsets[i].value);
    }
    if (m->n_graphs > 1) {
        table_row(&t);
        table_cell(&t, 0, "graphs");
        table_cell(&t, 1, "%d", m->n_graphs);
    }
    for (int i = 0; i < m->n_signatures; i++) {
        table_row(&t);
        table_cell(&t, 0, "signature");
        table_cell(&t, 1, "%s (%d inputs, %d outputs)", m->signatures[i].key,
                   m->signatures[i].n_inputs, m->signatures[i].n_outputs);
    }
    for (int i = 0; s->verbose && i < m->n_properties; i++) {
        table_row(&t);
        table_cell(&t, 0, "%s", m->properties[i].key);
        table_cell(&t, 1, "%.200s", m->properties[i].value);
    }
    strbuf_add(b, "\nFacts\n");
    table_print(&t, b, 2);
}

static void add_weight_row(const struct inspection *x, const struct value *v, struct table *t) {
    const struct tensor *c = v->constant;
    struct constant_stats st;
    table_row(t);
    table_cell(t, 0, "%s", v->name);
    table_cell(t, 1, "%s", dtype_name(c->dtype));
    table_cell(t, 2, "%s", shape_text(x->model, x->arena, c->dim, c->rank));
    table_cell(t, 3, "%s", text_count(x->arena, (int64_t)tensor_bytes(c)));
    if (!constant_stats(c, &st))
        return;
    table_cell(t, 4, "%.6g", st.least);
    table_cell(t, 5, "%.6g", st.greatest);
    table_cell(t, 6, "%.6g", st.mean);
    table_cell(t, 7, "%.1f %%", st.count ? 100.0 * (double)st.zeros / (double)st.count : 0.0);
    if (st.not_finite)
        table_cell(t, 8, "%lld not finite", (long long)st.not_finite);
}

struct weights_table {
    const struct inspection *x;
    struct table t;
};

static void weights_graph(struct graph *g, void *arg) {
    struct weights_table *w = arg;
    for (int i = 0; i < g->n_values; i++)
        if (g->values[i]->constant)
            add_weight_row(w->x, g->values[i], &w->t);
}

static void add_weights(const struct inspection *x, struct strbuf *b) {
    static const char *const heads[] = { "constant", "type",     "shape", "bytes",
                                         "least",    "greatest", "mean",  "zeros" };
    struct weights_table w = { .x = x };
    table_init(&w.t, x->arena, "lllrrrrrl");
    table_row(&w.t);
    for (int c = 0; c < 8; c++)
        table_cell(&w.t, c, "%s", heads[c]);
    model_each_graph(x->model, weights_graph, &w);
    strbuf_add(b, "\nConstants\n");
    table_print(&w.t, b, 2);
}

static void add_every_shape(const struct inspection *x, struct strbuf *b) {
    struct table t;
    table_init(&t, x->arena, "llll");
    const struct graph *g = x->model->graph;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *v = g->nodes[i]->out[k];
            if (!v)
                continue;
            const struct fact *f = &x->shapes[v->id];
            table_row(&t);
            table_cell(&t, 0, "%s", v->name);
            table_cell(&t, 1, "%s",
                       g->nodes[i]->origin.op ? g->nodes[i]->origin.op : g->nodes[i]->op);
            table_cell(&t, 2, "%s", f->dtype ? dtype_name(f->dtype) : "?");
            table_cell(&t, 3, "%s", shape_text(x->model, x->arena, f->dim, f->rank));
        }
    strbuf_add(b, "\nShapes\n");
    table_print(&t, b, 2);
}

struct finder {
    const char *name;
    const struct value *found;
};

static void find_in_graph(struct graph *g, void *arg) {
    struct finder *f = arg;
    for (int i = 0; !f->found && i < g->n_values; i++)
        if (strcmp(g->values[i]->name, f->name) == 0)
            f->found = g->values[i];
}

static void add_value(const struct inspection *x, const char *name, struct strbuf *b) {
    struct finder f = { .name = name };
    model_each_graph(x->model, find_in_graph, &f);
    const struct value *v = f.found;
    if (!v)
        return;
    const struct fact *fact = &x->shapes[v->id];
    char quant[64];
    quant_text(v, quant, sizeof quant);
    strbuf_printf(b, "\nValue %s: %s %s%s%s\n", v->name, type_text(x, v),
                  shape_text(x->model, x->arena, fact->rank >= 0 ? fact->dim : v->dim,
                             fact->rank >= 0 ? fact->rank : v->rank),
                  *quant ? ", " : "", quant);
    if (v->producer)
        strbuf_printf(b, "  made by  %s (%s), output %d\n", node_label(v->producer, x->arena),
                      v->producer->op, v->out_index);
    else
        strbuf_printf(b, "  made by  %s\n",
                      v->constant   ? "the file: a constant"
                      : v->is_input ? "the caller: an input"
                                    : "nobody");
    for (int i = 0; i < x->uses->n[v->id]; i++)
        strbuf_printf(b, "  read by  %s (%s), input %d\n",
                      node_label(x->uses->of[v->id][i].node, x->arena),
                      x->uses->of[v->id][i].node->op, x->uses->of[v->id][i].input);
    if (v->is_output)
        strbuf_add(b, "  an output of the model\n");
    if (v->origin.offset >= 0)
        strbuf_printf(b, "  at byte  %lld of the file\n", (long long)v->origin.offset);
    struct constant_stats st;
    if (v->constant && constant_stats(v->constant, &st) && st.count)
        strbuf_printf(b, "  least %.9g, greatest %.9g, mean %.9g\n", st.least, st.greatest,
                      st.mean);
}

void inspect_text(const struct inspection *x, const struct style *s, struct strbuf *b) {
    if (x->graph_text) {
        strbuf_add(b, x->graph_text);
        return;
    }
    if (!s->quiet) {
        const struct graph *g = x->model->graph;
        add_head(x, s, b);
        if (!x->n_values) {
            add_values(x, "Inputs", g->inputs, g->n_inputs, b);
            add_values(x, "Outputs", g->outputs, g->n_outputs, b);
            add_operators(x, s, b);
            add_facts(x, s, b);
        }
        for (int i = 0; i < x->n_values; i++)
            add_value(x, x->values[i], b);
        if (x->every_shape)
            add_every_shape(x, b);
        if (x->weights)
            add_weights(x, b);
        for (int i = 0; i < x->model->n_warnings && (s->verbose || i < 5); i++)
            strbuf_printf(b, "%swarning: %s\n", i ? "" : "\n", x->model->warnings[i]);
        strbuf_add(b, "\n");
    }
    int64_t runs = 0, count = 0;
    for (int i = 0; i < x->operators.n; i++) {
        runs += x->operators.items[i].runs;
        count += x->operators.items[i].count;
    }
    strbuf_printf(b, "calque can run %lld of %lld nodes   %.2f s   %s\n", (long long)runs,
                  (long long)count, s->seconds, s->repeat);
}
