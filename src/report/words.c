/* The words that the reports of results share. */
#include <string.h>

#include "report/result_report.h"

bool result_repaired(const struct result *r) {
    return strcmp(r->verb, "repair") == 0 && r->written && r->proof_method;
}

enum verdict result_verdict(const struct result *r) {
    if (!result_repaired(r))
        return r->verdict;
    return r->proof_verdict;
}

int result_exit(const struct result *r) {
    switch (result_verdict(r)) {
    case VERDICT_PROVED:
    case VERDICT_SAME:
    case VERDICT_QUANTIZED:
        return 0;
    case VERDICT_DIFFERENT:
        return 1;
    case VERDICT_INCONCLUSIVE:
        break;
    }
    return 3;
}

const char *edit_name(enum edit_kind k) {
    static const char *const names[] = { "set-attribute",  "set-operator", "set-input",
                                         "set-constant",   "add-constant", "add-node",
                                         "remove-node",    "replace-uses", "set-output",
                                         "set-input-order" };
    return (size_t)k < sizeof names / sizeof *names ? names[k] : "edit";
}

const char *label_of(const struct node *n, struct arena *a) {
    return n ? node_label(n, a) : "";
}

const char *operator_of(const struct node *n) {
    return !n ? "" : n->origin.op ? n->origin.op : n->op;
}

enum { LIST_MAX = 16 };

static const char *list_end(struct strbuf *b, int64_t n) {
    if (n > LIST_MAX)
        strbuf_printf(b, ",… %lld in all", (long long)n);
    strbuf_add(b, "]");
    return b->p;
}

const char *words_of_attr(const struct attr *attr, struct arena *a) {
    if (!attr)
        return "(not set)";
    struct strbuf b;
    strbuf_init(&b, a);
    int64_t n = attr->n < LIST_MAX ? attr->n : LIST_MAX;
    switch (attr->type) {
    case ATTR_NONE:
        return "(not set)";
    case ATTR_INT:
        return arena_printf(a, "%lld", (long long)attr->i);
    case ATTR_FLOAT:
        return arena_printf(a, "%.9g", attr->f);
    case ATTR_STRING:
        return arena_printf(a, "%.200s", attr->s);
    case ATTR_TYPE:
        return dtype_name((enum dtype)attr->i);
    case ATTR_TENSOR:
        return words_of_tensor(attr->tensor, a);
    case ATTR_INTS:
        strbuf_add(&b, "[");
        for (int64_t i = 0; i < n; i++)
            strbuf_printf(&b, "%s%lld", i ? "," : "", (long long)attr->ints[i]);
        return list_end(&b, attr->n);
    case ATTR_FLOATS:
        strbuf_add(&b, "[");
        for (int64_t i = 0; i < n; i++)
            strbuf_printf(&b, "%s%.9g", i ? "," : "", attr->floats[i]);
        return list_end(&b, attr->n);
    case ATTR_STRINGS:
        strbuf_add(&b, "[");
        for (int64_t i = 0; i < n; i++)
            strbuf_printf(&b, "%s%.60s", i ? "," : "", attr->strings[i]);
        return list_end(&b, attr->n);
    case ATTR_GRAPH:
    case ATTR_GRAPHS:
        return "(sub-graph)";
    case ATTR_TENSORS:
        return "(tensors)";
    }
    return "";
}

const char *words_of_tensor(const struct tensor *t, struct arena *a) {
    if (!t)
        return "(none)";
    enum dtype_class c = dtype_row(t->dtype)->class_;
    struct strbuf b;
    strbuf_init(&b, a);
    if (!tensor_is_real(t) || tensor_count(t) > LIST_MAX) {
        strbuf_printf(&b, "%s ", dtype_name(t->dtype));
        for (int k = 0; k < t->rank; k++)
            strbuf_printf(&b, "%s%lld", k ? "x" : "", (long long)t->dim[k]);
        return b.p;
    }
    int64_t n = tensor_count(t);
    if (t->rank)
        strbuf_add(&b, "[");
    for (int64_t i = 0; i < n; i++) {
        strbuf_add(&b, i ? "," : "");
        if (c == CLASS_FLOAT)
            strbuf_printf(&b, "%.9g", tensor_f64(t, i));
        else
            strbuf_printf(&b, "%lld", (long long)tensor_i64(t, i));
    }
    if (t->rank)
        strbuf_add(&b, "]");
    return b.p ? b.p : "[]";
}

static const char *value_name(const struct value *v) {
    return v ? v->name : "(nothing)";
}

const char *words_of_edit(const struct patch *p, const struct edit *edit, struct arena *a) {
    (void)p;
    const char *node =
        edit->node ? arena_printf(a, "%s (%s)", label_of(edit->node, a), operator_of(edit->node))
                   : "";
    switch (edit->kind) {
    case EDIT_SET_ATTR:
        if (edit->attr.type == ATTR_NONE)
            return arena_printf(a, "take %s from %s", edit->attr.name, node);
        return arena_printf(a, "set %s of %s to %s", edit->attr.name, node,
                            words_of_attr(&edit->attr, a));
    case EDIT_SET_OP:
        return arena_printf(a, "make %s a %s", node, edit->op);
    case EDIT_SET_INPUT:
        return arena_printf(a, "let input %d of %s read %s", edit->index, node,
                            value_name(edit->value));
    case EDIT_SET_CONSTANT:
        return arena_printf(a, "set the constant %s to %s", value_name(edit->value),
                            words_of_tensor(edit->tensor, a));
    case EDIT_ADD_CONSTANT:
        return arena_printf(a, "add the constant %s, %s", value_name(edit->value),
                            words_of_tensor(edit->value ? edit->value->constant : NULL, a));
    case EDIT_ADD_NODE:
        return arena_printf(a, "add a %s%s%s", edit->node ? edit->node->op : "node",
                            edit->before ? " before " : "",
                            edit->before ? label_of(edit->before, a) : "");
    case EDIT_REMOVE_NODE:
        return arena_printf(a, "take out %s", node);
    case EDIT_REPLACE_USES:
        return arena_printf(a, "let the readers of %s read %s", value_name(edit->value),
                            value_name(edit->with));
    case EDIT_SET_OUTPUT:
        return arena_printf(a, "make %s output %d", value_name(edit->value), edit->index);
    case EDIT_SET_INPUT_ORDER:
        return arena_printf(a, "make %s input %d", value_name(edit->value), edit->index);
    }
    return "";
}

int worst_index(const struct pair *p, int64_t index[MAX_RANK]) {
    const struct value *v = p->target;
    if (p->whole.worst < 0 || v->rank <= 0)
        return 0;
    int64_t left = p->whole.worst;
    for (int k = v->rank - 1; k > 0; k--) {
        if (v->dim[k] <= 0)
            return 0;
        index[k] = left % v->dim[k];
        left /= v->dim[k];
    }
    index[0] = left;
    return v->rank;
}
