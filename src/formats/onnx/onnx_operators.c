/* Which operator sets have which operators and attributes, and what of them is read. */
#include <string.h>

#include "formats/format.h"
#include "formats/onnx/onnx_lower.h"
#include "formats/onnx/onnx_upgrade.h"
#include "ops/op.h"

static const struct set_row {
    const char *domain, *op;
    int first, last; /* last 0: the newest too */
} sets[] = {
#define OPERATOR(domain, op, first, last) { domain, op, first, last },
#define SINCE(op, attribute, version)
#include "formats/onnx/onnx_since.def"
#undef OPERATOR
#undef SINCE
};

static const struct {
    const char *op, *attribute;
    int version;
} attributes[] = {
#define OPERATOR(domain, op, first, last)
#define SINCE(op, attribute, version) { op, attribute, version },
#include "formats/onnx/onnx_since.def"
#undef OPERATOR
#undef SINCE
};

enum { N_SETS = sizeof sets / sizeof *sets, N_ATTRIBUTES = sizeof attributes / sizeof *attributes };

static const struct set_row *set_row(const char *domain, const char *op) {
    for (int i = 0; i < N_SETS; i++)
        if (strcmp(sets[i].op, op) == 0 && strcmp(sets[i].domain, domain) == 0)
            return &sets[i];
    return NULL;
}

int onnx_attribute_since(const char *op, const char *attribute) {
    if (!attribute) {
        const struct set_row *row = set_row("", op);
        return row ? row->first : 1;
    }
    for (int i = 0; i < N_ATTRIBUTES; i++)
        if (strcmp(attributes[i].op, op) == 0 && strcmp(attributes[i].attribute, attribute) == 0)
            return attributes[i].version;
    return 1;
}

/* An operator of past sets only, which the reader turns into others. */
static bool is_rewritten(const char *domain, const char *op) {
    for (const struct upgrade_row *row = onnx_upgrades; row->op; row++)
        if (strcmp(row->op, op) == 0 && strcmp(row->domain ? row->domain : "", domain) == 0)
            return true;
    return false;
}

static const char *shown(const char *domain) {
    return domain[0] ? domain : "ai.onnx";
}

static void add_of_specification(struct arena *a, struct format_operators *out) {
    for (int i = 0; i < N_SETS; i++) {
        const struct set_row *row = &sets[i];
        const struct op *op = op_find(row->domain, row->op);
        struct format_operator o = { .domain = shown(row->domain),
                                     .name = row->op,
                                     .code = -1,
                                     .first = row->first,
                                     .last = row->last,
                                     .op = op && op->eval ? op : NULL };
        if (!o.op && !is_rewritten(row->domain, row->op))
            o.refused = "it has no kernel";
        PUSH(a, out->items, out->n, o);
    }
}

/* Other domains are of other formats, or calque's own. */
static bool is_of_onnx(const char *domain) {
    return !domain[0] || strncmp(domain, "ai.onnx.", 8) == 0 ||
           strcmp(domain, "com.microsoft") == 0;
}

void onnx_operators(struct arena *a, struct format_operators *out) {
    const struct op *const *all = op_all();
    add_of_specification(a, out);
    for (int i = 0; all[i]; i++) {
        if (!is_of_onnx(all[i]->domain) || !all[i]->eval || set_row(all[i]->domain, all[i]->name))
            continue;
        struct format_operator o = { .domain = shown(all[i]->domain),
                                     .name = all[i]->name,
                                     .code = -1,
                                     .first = 1,
                                     .op = all[i] };
        PUSH(a, out->items, out->n, o);
    }
}
