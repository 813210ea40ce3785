/* calque explain [CAUSE] */
#include <stdio.h>
#include <string.h>

#include "cli/verb.h"
#include "locate/causes.h"
#include "report/explain.h"

int verb_explain_run(struct args *a) {
    struct style style = style_of(a);
    const struct cause_row *row = NULL;
    if (a->files.n) {
        const char *name = a->files.items[0];
        row = cause_find(name);
        if (!row) {
            const char *names[256];
            int n = 0;
            for (const struct cause_row *r = cause_rows(); r->name && n < 256; r++)
                names[n++] = r->name;
            const char *near = nearest(name, names, n);
            struct err e = { 0 };
            err_set(&e, STATUS_USAGE, "%s: no such cause; %s%s%s", name,
                    near ? "did you mean " : "calque explain lists them all", near ? near : "",
                    near ? "?" : "");
            return say_failure(&e);
        }
    }
    return give_report(
        a, a->json ? causes_json(row, a->arena, &style) : causes_text(row, a->arena, &style), true,
        EXIT_SAME);
}
