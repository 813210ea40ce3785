#include "report/explain.h"
#include "report/json.h"
#include "report/table.h"

static void add_paragraph(struct strbuf *b, const char *title, const char *text) {
    if (!text || !*text)
        return;
    strbuf_printf(b, "\n%s\n", title);
    int at = 0;
    for (const char *p = text; *p;) {
        size_t n = 0;
        while (p[n] && p[n] != ' ')
            n++;
        if (at && at + 1 + (int)n > 90) {
            strbuf_add(b, "\n");
            at = 0;
        }
        strbuf_add(b, at ? " " : "  ");
        strbuf_addn(b, p, n);
        at += (int)n + (at ? 1 : 2);
        p += n;
        while (*p == ' ')
            p++;
    }
    strbuf_add(b, "\n");
}

const char *causes_text(const struct cause_row *row, struct arena *a, const struct style *s) {
    struct strbuf b;
    strbuf_init(&b, a);
    if (row) {
        strbuf_printf(&b, "%s%s%s: %s\n", s->colour ? "\033[1m" : "", row->name,
                      s->colour ? "\033[0m" : "", row->title);
        add_paragraph(&b, "What it is", row->what);
        add_paragraph(&b, "How it arises", row->how);
        add_paragraph(&b, "How it is fixed", row->fix);
        return b.p;
    }
    struct table t;
    table_init(&t, a, "ll");
    for (const struct cause_row *r = cause_rows(); r->name; r++) {
        table_row(&t);
        table_cell(&t, 0, "%s", r->name);
        table_cell(&t, 1, "%s", r->title);
    }
    table_print(&t, &b, 0);
    return b.p ? b.p : "";
}

static json_t *json_cause(const struct cause_row *row) {
    json_t *o = json_object();
    json_object_set_new(o, "cause", json_text(row->name));
    json_object_set_new(o, "class", json_text(row->class_));
    json_object_set_new(o, "title", json_text(row->title));
    json_object_set_new(o, "what", json_text(row->what));
    json_object_set_new(o, "how", json_text(row->how));
    json_object_set_new(o, "fix", json_text(row->fix));
    return o;
}

const char *causes_json(const struct cause_row *row, struct arena *a, const struct style *s) {
    json_t *root = json_begin("explain"), *list = json_array();
    json_object_set_new(root, "exit", json_integer(s->exit_code));
    if (row)
        json_array_append_new(list, json_cause(row));
    for (const struct cause_row *r = cause_rows(); !row && r->name; r++)
        json_array_append_new(list, json_cause(r));
    json_object_set_new(root, "causes", list);
    json_end(root, s, NULL);
    return json_print(root, a);
}
