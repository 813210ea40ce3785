/* calque inspect MODEL */
#include <string.h>

#include "cli/verb.h"
#include "ir/text.h"
#include "ir/text.h"
#include "report/inspect.h"

struct names {
    struct arena *arena;
    const char **items;
    int n;
};

static void collect_names(struct graph *g, void *arg) {
    struct names *names = arg;
    for (int i = 0; i < g->n_values; i++)
        PUSH(names->arena, names->items, names->n, g->values[i]->name);
}

enum status check_value_names(struct args *a, struct model *m, struct err *e) {
    struct names names = { .arena = a->arena };
    if (a->values.n)
        model_each_graph(m, collect_names, &names);
    for (int i = 0; i < a->values.n; i++) {
        bool known = false;
        for (int k = 0; !known && k < names.n; k++)
            known = strcmp(names.items[k], a->values.items[i]) == 0;
        if (known)
            continue;
        const char *near = nearest(a->values.items[i], names.items, names.n);
        FAIL_IF(near, e, STATUS_USAGE, "--value %s: the model has no such value; did you mean %s?",
                a->values.items[i], near);
        return err_set(e, STATUS_USAGE, "--value %s: the model has no such value",
                       a->values.items[i]);
    }
    return OK;
}

static int list_operators(struct args *a) {
    struct style style = style_of(a);
    if (a->json)
        return give_report(a, operators_json(a->arena, &style), true, EXIT_SAME);
    struct strbuf b;
    strbuf_init(&b, a->arena);
    operators_text(a->arena, &style, &b);
    return give_report(a, b.p, true, EXIT_SAME);
}

/* The text form (docs/ir.md): with all weights when these are asked for, with origins when -v is
 * given. */
static enum status graph_text(struct args *a, const struct model *m, const char **report,
                              struct err *e) {
    struct strbuf b;
    strbuf_init(&b, a->arena);
    TRY(model_print(m, (a->weights ? TEXT_CONSTANTS : 0u) | (a->verbose ? TEXT_ORIGINS : 0u), &b,
                    e));
    *report = b.p;
    return OK;
}

static enum status inspect(struct args *a, struct model *m, const char **report, struct err *e) {
    struct inspection x;
    TRY(check_value_names(a, m, e));
    if (a->graph && !a->json)
        return graph_text(a, m, report, e);
    TRY(inspect_model(m, a->arena, a->shapes, a->n_shapes, &x, e));
    x.weights = a->weights;
    x.every_shape = a->n_shapes > 0;
    x.values = a->values.items;
    x.n_values = a->values.n;
    struct strbuf graph;
    strbuf_init(&graph, a->arena);
    if (a->graph) {
        TRY(model_print(m, (a->weights ? TEXT_CONSTANTS : 0) | (a->verbose ? TEXT_ORIGINS : 0),
                        &graph, e));
        x.graph_text = graph.p;
    }
    struct style style = style_of(a);
    if (a->json) {
        *report = inspect_json(&x, &style);
        return OK;
    }
    struct strbuf b;
    strbuf_init(&b, a->arena);
    inspect_text(&x, &style, &b);
    *report = b.p;
    return OK;
}

int verb_inspect_run(struct args *a) {
    if (a->operators)
        return list_operators(a);
    struct err e = { 0 };
    struct model *m;
    if (open_model(a, a->files.items[0], &m, &e) != OK)
        return say_failure(&e);
    const char *report;
    enum status s = inspect(a, m, &report, &e);
    int code = s == OK ? give_report(a, report, true, EXIT_SAME) : say_failure(&e);
    model_free(m);
    return code;
}
