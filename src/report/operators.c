/* The table of the operators of every format, and what calque makes of each. */
#include <string.h>

#include "formats/format.h"
#include "ops/tape.h"
#include "report/inspect.h"
#include "report/json.h"
#include "report/table.h"

static const char *sets_of(struct arena *a, const struct format_operator *o) {
    if (!o->last)
        return arena_printf(a, "%d-", o->first);
    return arena_printf(a, "%d-%d", o->first, o->last);
}

static const char *reading_of(struct arena *a, const struct format_operator *o) {
    if (o->refused)
        return arena_printf(a, "refused: %s", o->refused);
    return o->op ? o->op->spec : "read as operators of ai.onnx";
}

static const char *gradient_of(const struct format_operator *o) {
    if (o->refused || !o->op)
        return "";
    return op_has_gradient(o->op)          ? ", gradient"
           : o->op->flags & OP_NO_GRADIENT ? ", not differentiable"
                                           : "";
}

static void operator_row(struct table *t, const struct format_operator *o, bool numbered) {
    table_row(t);
    if (numbered)
        table_cell(t, 0, "%d", o->code);
    else
        table_cell(t, 0, "%s", o->domain);
    table_cell(t, 1, "%s", o->name);
    if (!numbered)
        table_cell(t, 2, "%s", sets_of(t->arena, o));
    table_cell(t, numbered ? 2 : 3, "%s%s", reading_of(t->arena, o), gradient_of(o));
}

static void format_table(struct arena *a, const struct format *f,
                         const struct format_operators *all, bool quiet, struct strbuf *b) {
    bool numbered = all->n && all->items[0].code >= 0;
    struct table t;
    int refused = 0;
    table_init(&t, a, numbered ? "rll" : "llll");
    table_row(&t);
    table_cell(&t, 0, numbered ? "code" : "domain");
    table_cell(&t, 1, "operator");
    if (!numbered)
        table_cell(&t, 2, "sets");
    table_cell(&t, numbered ? 2 : 3, "defined by");
    for (int i = 0; i < all->n; i++) {
        refused += all->items[i].refused != NULL;
        operator_row(&t, &all->items[i], numbered);
    }
    strbuf_printf(b, "%s: %d operators, %d refused\n", f->title, all->n - refused, refused);
    if (!quiet) {
        table_print(&t, b, 2);
        strbuf_add(b, "\n");
    }
}

static void kernels(int *n, int *gradients) {
    const struct op *const *all = op_all();
    *n = *gradients = 0;
    for (int i = 0; all[i]; i++) {
        *n += all[i]->eval != NULL;
        *gradients += all[i]->eval && op_has_gradient(all[i]);
    }
}

void operators_text(struct arena *a, const struct style *s, struct strbuf *b) {
    const struct format *const *formats = format_all();
    int n, gradients;
    for (int i = 0; formats[i]; i++) {
        struct format_operators all = { 0 };
        formats[i]->operators(a, &all);
        format_table(a, formats[i], &all, s->quiet, b);
    }
    kernels(&n, &gradients);
    strbuf_printf(b, "%d kernels, %d with a gradient   %s\n", n, gradients, s->repeat);
}

static json_t *kernel_list(void) {
    const struct op *const *all = op_all();
    json_t *list = json_array();
    for (int i = 0; all[i]; i++) {
        if (!all[i]->eval)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "name", json_text(all[i]->name));
        json_object_set_new(o, "domain", json_text(all[i]->domain));
        json_object_set_new(o, "spec", json_text(all[i]->spec));
        json_object_set_new(o, "gradient", json_boolean(op_has_gradient(all[i])));
        json_object_set_new(o, "differentiable", json_boolean(!(all[i]->flags & OP_NO_GRADIENT)));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *format_list(struct arena *a, const struct format *f) {
    struct format_operators all = { 0 };
    json_t *list = json_array(), *out = json_object();
    f->operators(a, &all);
    for (int i = 0; i < all.n; i++) {
        const struct format_operator *from = &all.items[i];
        json_t *o = json_object();
        json_object_set_new(o, "operator", json_text(from->name));
        if (from->code >= 0)
            json_object_set_new(o, "code", json_integer(from->code));
        else
            json_object_set_new(o, "domain", json_text(from->domain));
        if (from->first)
            json_object_set_new(o, "first_set", json_integer(from->first));
        if (from->last)
            json_object_set_new(o, "last_set", json_integer(from->last));
        json_object_set_new(o, "refused", from->refused ? json_text(from->refused) : json_null());
        json_array_append_new(list, o);
    }
    json_object_set_new(out, "format", json_text(f->name));
    json_object_set_new(out, "operators", list);
    return out;
}

const char *operators_json(struct arena *a, const struct style *s) {
    const struct format *const *formats = format_all();
    json_t *root = json_begin("inspect"), *list = json_array();
    for (int i = 0; formats[i]; i++)
        json_array_append_new(list, format_list(a, formats[i]));
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    json_object_set_new(root, "operators", kernel_list());
    json_object_set_new(root, "formats", list);
    json_end(root, s, NULL);
    return json_print(root, a);
}
