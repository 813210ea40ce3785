/* The table of operators that calque can run, from the operators' own rows. */
#include <string.h>

#include "report/inspect.h"
#include "report/json.h"
#include "report/table.h"

static const char *family_of(const struct op *o) {
    return *o->domain ? o->domain : "ai.onnx";
}

void operators_text(struct arena *a, const struct style *s, struct strbuf *b) {
    const struct op *const *all = op_all();
    struct table t;
    int n = 0, gradients = 0;
    table_init(&t, a, "llll");
    table_row(&t);
    table_cell(&t, 0, "operator");
    table_cell(&t, 1, "domain");
    table_cell(&t, 2, "defined by");
    table_cell(&t, 3, "gradient");
    for (int i = 0; all[i]; i++) {
        if (!all[i]->eval)
            continue;
        n++;
        gradients += all[i]->grad != NULL;
        table_row(&t);
        table_cell(&t, 0, "%s", all[i]->name);
        table_cell(&t, 1, "%s", family_of(all[i]));
        table_cell(&t, 2, "%s", all[i]->spec ? all[i]->spec : "");
        table_cell(&t, 3, "%s", all[i]->grad ? "yes" : "");
    }
    if (!s->quiet)
        table_print(&t, b, 0);
    strbuf_printf(b, "%d operators, %d with a gradient   %s\n", n, gradients, s->repeat);
}

const char *operators_json(struct arena *a, const struct style *s) {
    const struct op *const *all = op_all();
    json_t *root = json_begin("inspect"), *list = json_array();
    for (int i = 0; all[i]; i++) {
        if (!all[i]->eval)
            continue;
        json_t *o = json_object();
        json_object_set_new(o, "name", json_text(all[i]->name));
        json_object_set_new(o, "domain", json_text(all[i]->domain));
        json_object_set_new(o, "spec", json_text(all[i]->spec));
        json_object_set_new(o, "gradient", json_boolean(all[i]->grad != NULL));
        json_array_append_new(list, o);
    }
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    json_object_set_new(root, "operators", list);
    json_end(root, s, NULL);
    return json_print(root, a);
}
