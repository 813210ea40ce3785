/* Changed and new nodes. */
#include <string.h>

#include "formats/onnx/onnx_encode.h"
#include "formats/onnx/onnx_lower.h"
#include "formats/onnx/onnx_write.h"

/* The fields of a NodeProto that a change may touch. */
struct node_layout {
    struct pb_field *in, *out, *attrs;
    int n_in, n_out, n_attrs;
    struct pb_field op, domain;
    bool has_op, has_domain;
};

static struct node_layout layout_of(struct onnx_writer *w, struct span s) {
    struct node_layout l = { .n_in = 0 };
    struct cursor c = cursor_of(w->s.base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number == NODE_INPUT)
            PUSH(w->a, l.in, l.n_in, f);
        else if (f.number == NODE_OUTPUT)
            PUSH(w->a, l.out, l.n_out, f);
        else if (f.number == NODE_ATTRIBUTE)
            PUSH(w->a, l.attrs, l.n_attrs, f);
        else if (f.number == NODE_OP_TYPE) {
            l.op = f;
            l.has_op = true;
        } else if (f.number == NODE_DOMAIN) {
            l.domain = f;
            l.has_domain = true;
        }
    }
    return l;
}

static const char *text_of(struct onnx_writer *w, const struct pb_field *f) {
    return arena_strn(w->a, (const char *)w->s.base + f->begin, f->end - f->begin);
}

static const char *attribute_name(struct onnx_writer *w, const struct pb_field *attribute) {
    struct cursor c = cursor_of(w->s.base, attribute->begin, attribute->end);
    struct pb_field f;
    const char *name = "";
    while (pb_next(&c, &f))
        if (f.number == ATTRIBUTE_NAME)
            name = text_of(w, &f);
    return name;
}

int onnx_graph_version(const struct onnx_writer *w, const struct graph_before *b,
                       const char *domain) {
    const struct opsets *o =
        b->function && b->function->opsets.n ? &b->function->opsets : &w->notes->opsets;
    for (int i = 0; i < o->n; i++)
        if (strcmp(o->items[i].domain, domain) == 0)
            return (int)o->items[i].version;
    return 0;
}

static void put_text(struct onnx_writer *w, const struct file_node *f, const struct pb_field *old,
                     uint32_t number, const char *text) {
    struct pb_writer field;
    pb_writer_init(&field, w->a);
    pb_put_string(&field, number, text);
    if (old)
        splice_writer(&w->s, f->span.begin, old->start, old->end, &field);
    else
        splice_insert(&w->s, f->span.begin, f->span.end, field.p, field.n);
}

/* --- inputs and outputs --- */

static enum status rewrite_inputs(struct onnx_writer *w, const struct file_node *f,
                                  const struct node_layout *l, struct value *const *in, int n_in) {
    struct pb_writer more;
    pb_writer_init(&more, w->a);
    for (int i = 0; i < n_in; i++) {
        const char *name;
        TRY(onnx_written_name(w, in[i], &name));
        if (i >= l->n_in)
            pb_put_string(&more, NODE_INPUT, name);
        else if (strcmp(name, text_of(w, &l->in[i])) != 0)
            put_text(w, f, &l->in[i], NODE_INPUT, name);
    }
    size_t after = l->n_in ? l->in[l->n_in - 1].end : f->span.begin;
    if (more.n)
        splice_insert(&w->s, f->span.begin, after, more.p, more.n);
    for (int i = n_in; i < l->n_in; i++)
        if (l->in[i].begin != l->in[i].end)
            splice_replace(&w->s, f->span.begin, l->in[i].start, l->in[i].end, NULL, 0);
    return OK;
}

/* Names of outputs change when a patch made two values swap theirs. */
static void rewrite_outputs(struct onnx_writer *w, const struct graph_before *b,
                            const struct file_node *f, const struct node_layout *l) {
    for (int i = 0; i < l->n_out; i++) {
        const char *name = text_of(w, &l->out[i]);
        const struct value *v = name[0] ? strmap_get(&b->renamed, name) : NULL;
        if (v)
            put_text(w, f, &l->out[i], NODE_OUTPUT, v->name);
    }
}

/* --- attributes --- */

static const struct attr *find_attr(const struct attr *attrs, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(attrs[i].name, name) == 0)
            return &attrs[i];
    return NULL;
}

static bool same_attr(const struct attr *a, const struct attr *b) {
    if (!a || !b || a->type != b->type)
        return a == b;
    if (a->type == ATTR_GRAPH)
        return a->graph == b->graph;
    if (a->type == ATTR_TENSOR && a->tensor == b->tensor)
        return true;
    if (a->type == ATTR_GRAPHS)
        return a->graphs == b->graphs;
    if (a->type == ATTR_TENSORS)
        return a->tensors == b->tensors;
    return attr_equal(a, b);
}

static enum status put_attr(struct onnx_writer *w, const struct file_node *f,
                            const struct node_layout *l, const char *name, const struct attr *now) {
    struct pb_writer inner, field;
    pb_writer_init(&inner, w->a);
    pb_writer_init(&field, w->a);
    if (now) {
        TRY(onnx_put_attribute(&inner, now, w->e));
        onnx_put_message(&field, NODE_ATTRIBUTE, &inner);
    }
    for (int i = 0; i < l->n_attrs; i++)
        if (strcmp(attribute_name(w, &l->attrs[i]), name) == 0) {
            splice_writer(&w->s, f->span.begin, l->attrs[i].start, l->attrs[i].end, &field);
            return OK;
        }
    if (now)
        splice_insert(&w->s, f->span.begin, f->span.end, field.p, field.n);
    return OK;
}

static enum status rewrite_attrs(struct onnx_writer *w, const struct file_node *f,
                                 const struct node_layout *l, const struct onnx_lowered *was,
                                 const struct onnx_lowered *now) {
    for (int i = 0; i < was->n_attrs; i++)
        if (!find_attr(now->attrs, now->n_attrs, was->attrs[i].name))
            TRY(put_attr(w, f, l, was->attrs[i].name, NULL));
    for (int i = 0; i < now->n_attrs; i++)
        if (!same_attr(find_attr(was->attrs, was->n_attrs, now->attrs[i].name), &now->attrs[i]))
            TRY(put_attr(w, f, l, now->attrs[i].name, &now->attrs[i]));
    return OK;
}

/* --- one file node --- */

static enum status lower_as_it_was(struct onnx_writer *w, const struct node *n, int version,
                                   struct onnx_lowered *out) {
    struct tensor **kept = NEW_ARRAY(w->a, n->n_in + 1, struct tensor *);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i]) {
            kept[i] = n->in[i]->constant;
            n->in[i]->constant = w->old_constant[n->in[i]->id];
        }
    enum status s = onnx_lower(w->a, n, n->origin.op, version, out, w->e);
    for (int i = n->n_in - 1; i >= 0; i--)
        if (n->in[i])
            n->in[i]->constant = kept[i];
    return s;
}

/* The attribute that the set lacks is the same as before: nothing was asked that cannot be written.
 */
static enum status check_missing(struct onnx_writer *w, const struct node *was,
                                 const struct node *now, int version) {
    struct onnx_lowered l;
    bool sized = node_is(now, "Split") && now->n_in > 1 && now->in[1];
    for (int i = 0; i < was->n_attrs; i++)
        FAIL_IF(!sized && !node_attr(now, was->attrs[i].name) &&
                    onnx_attribute_since(was->op, was->attrs[i].name) > version,
                w->e, STATUS_UNSUPPORTED,
                "taking attribute '%s' from %s, which operator set %d of the file does not have",
                was->attrs[i].name, was->op, version);
    for (int i = 0; i < now->n_attrs; i++) {
        const struct attr *a = &now->attrs[i];
        if (same_attr(node_attr(was, a->name), a))
            continue;
        struct node alone = *now;
        alone.attrs = &now->attrs[i];
        alone.n_attrs = 1;
        TRY(onnx_lower(w->a, &alone, NULL, version, &l, w->e));
        FAIL_IF(l.missing, w->e, STATUS_UNSUPPORTED,
                "attribute '%s' of %s; operator set %d of the file does not have it", a->name,
                now->op, version);
    }
    return OK;
}

static enum status rewrite_plain(struct onnx_writer *w, struct graph_before *b, struct file_node *f,
                                 const struct node_layout *l) {
    const struct node *was = f->was[0], *now = f->now[0];
    struct onnx_lowered before, after;
    int version = was->version;
    bool new_op = strcmp(was->op, now->op) != 0 || strcmp(was->domain, now->domain) != 0;
    if (new_op) {
        version = onnx_graph_version(w, b, now->domain);
        TRY(onnx_can_write(now, version, w->e));
        put_text(w, f, l->has_op ? &l->op : NULL, NODE_OP_TYPE, now->op);
        if (strcmp(was->domain, now->domain) != 0)
            put_text(w, f, l->has_domain ? &l->domain : NULL, NODE_DOMAIN, now->domain);
    }
    TRY(lower_as_it_was(w, was, was->version, &before));
    TRY(onnx_lower(w->a, now, new_op ? NULL : was->origin.op, version, &after, w->e));
    if (!new_op && !same_attr(node_attr(was, "axis"), node_attr(now, "axis")))
        TRY(onnx_check_axis(now, version, w->e));
    if (!now->domain[0])
        TRY(check_missing(w, was, now, version));
    TRY(rewrite_inputs(w, f, l, after.in, after.n_in));
    return rewrite_attrs(w, f, l, &before, &after);
}

/* What the operator's single node in the file has at an input that several nodes of the IR read. */
static enum status new_input(struct onnx_writer *w, const struct file_node *f, const char *name,
                             struct value **out, bool *found) {
    *found = false;
    for (int m = 0; m < f->n; m++)
        for (int i = 0; i < f->was[m]->n_in; i++) {
            const struct value *v = f->was[m]->in[i];
            if (!v || !w->old_name[v->id] || strcmp(w->old_name[v->id], name) != 0)
                continue;
            struct value *now = i < f->now[m]->n_in ? f->now[m]->in[i] : NULL;
            FAIL_IF(*found && now != *out, w->e, STATUS_UNSUPPORTED,
                    "input '%s' of %s is changed for a part of the operator only", name,
                    f->was[0]->origin.op);
            *out = now;
            *found = true;
        }
    return OK;
}

/* Parts of an operator: only its inputs can be exchanged, the attributes of the part that has the
 * operator's name, and the axis at which a softmax flattens. */
static enum status rewrite_part(struct onnx_writer *w, const struct file_node *f,
                                const struct node_layout *l, int m) {
    const struct node *was = f->was[m], *now = f->now[m];
    struct onnx_lowered before, after;
    bool main_part = strcmp(was->op, was->origin.op) == 0,
         flatten = strcmp(was->op, "Flatten") == 0;
    FAIL_IF(strcmp(was->op, now->op) != 0 || was->n_in != now->n_in, w->e, STATUS_UNSUPPORTED,
            "a change of the operator or number of inputs of a part of %s", was->origin.op);
    if (main_part) {
        TRY(lower_as_it_was(w, was, was->version, &before));
        TRY(onnx_lower(w->a, now, was->origin.op, was->version, &after, w->e));
        if (!same_attr(node_attr(was, "axis"), node_attr(now, "axis")))
            TRY(onnx_check_axis(now, was->version, w->e));
        return rewrite_attrs(w, f, l, &before, &after);
    }
    for (int i = 0; i < now->n_attrs; i++) {
        const struct attr *a = &now->attrs[i];
        if (same_attr(node_attr(was, a->name), a))
            continue;
        FAIL_IF(!flatten || strcmp(a->name, "axis") != 0, w->e, STATUS_UNSUPPORTED,
                "attribute '%s' of a part of %s, which the file does not state", a->name,
                was->origin.op);
        TRY(put_attr(w, f, l, "axis", a));
    }
    FAIL_IF(was->n_attrs > now->n_attrs, w->e, STATUS_UNSUPPORTED,
            "taking an attribute from a part of %s", was->origin.op);
    return OK;
}

static enum status rewrite_parts(struct onnx_writer *w, struct graph_before *b, struct file_node *f,
                                 const struct node_layout *l) {
    struct value **in = NEW_ARRAY(w->a, l->n_in + 1, struct value *);
    for (int i = 0; i < l->n_in; i++) {
        const char *name = text_of(w, &l->in[i]);
        bool found = false;
        if (name[0])
            TRY(new_input(w, f, name, &in[i], &found));
        if (!found && name[0])
            in[i] = (struct value *)(size_t)onnx_old_value(w, b, name);
    }
    for (int m = 0; m < f->n; m++)
        TRY(rewrite_part(w, f, l, m));
    return rewrite_inputs(w, f, l, in, l->n_in);
}

static bool attribute_changed(const struct onnx_writer *w, const struct value *v) {
    return v && v->origin.op && strcmp(v->origin.op, "attribute") == 0 && w->old_name[v->id] &&
           v->constant != w->old_constant[v->id];
}

static bool renamed(const struct onnx_writer *w, const struct value *v) {
    return v && (!w->old_name[v->id] || strcmp(w->old_name[v->id], v->name) != 0);
}

static bool is_changed(const struct onnx_writer *w, const struct node *was,
                       const struct node *now) {
    if (was->in != now->in || was->n_in != now->n_in || was->attrs != now->attrs ||
        was->n_attrs != now->n_attrs || strcmp(was->op, now->op) != 0 ||
        strcmp(was->domain, now->domain) != 0)
        return true;
    for (int i = 0; i < now->n_in; i++)
        if (renamed(w, now->in[i]) || attribute_changed(w, now->in[i]))
            return true;
    for (int i = 0; i < now->n_out; i++)
        if (renamed(w, now->out[i]))
            return true;
    return false;
}

enum status onnx_rewrite_node(struct onnx_writer *w, struct graph_before *b, struct file_node *f) {
    bool changed = false;
    for (int m = 0; m < f->n; m++)
        changed |= is_changed(w, f->was[m], f->now[m]);
    if (!changed && (f->n || !b->renamed.count))
        return OK;
    struct node_layout l = layout_of(w, f->span);
    rewrite_outputs(w, b, f, &l);
    if (!changed)
        return OK;
    b->touched = true;
    FAIL_IF(b->function && b->function->n_calls > 1, w->e, STATUS_UNSUPPORTED,
            "a node of function '%s', which is called %d times", b->function->name,
            b->function->n_calls);
    const struct node *first = f->was[0];
    bool plain = f->n == 1 && (strcmp(first->op, first->origin.op) == 0 ||
                               strcmp(first->origin.op, "Upsample") == 0 ||
                               strcmp(first->origin.op, "Scatter") == 0);
    FAIL_IF(first->version < 9 && !first->domain[0] && strcmp(first->origin.op, "Scan") == 0, w->e,
            STATUS_UNSUPPORTED, "a change of a Scan of operator set 8");
    enum status s = plain ? rewrite_plain(w, b, f, &l) : rewrite_parts(w, b, f, &l);
    if (s != OK)
        err_at(w->e, "node %s", node_label(f->now[0], w->a));
    return s;
}

enum status onnx_new_node(struct onnx_writer *w, struct graph_before *b, const struct node *n,
                          struct pb_writer *out) {
    struct onnx_lowered l;
    int version = onnx_graph_version(w, b, n->domain);
    enum status s = onnx_can_write(n, version, w->e);
    if (s == OK)
        s = onnx_lower(w->a, n, NULL, version, &l, w->e);
    if (s == OK && l.missing)
        s = err_set(w->e, STATUS_UNSUPPORTED,
                    "attribute '%s' of %s; operator set %d of the file does not have it",
                    l.missing->name, n->op, version);
    if (s != OK) {
        err_at(w->e, "new node %s", node_label(n, w->a));
        return s;
    }
    for (int i = 0; i < l.n_in; i++) {
        const char *name;
        TRY(onnx_written_name(w, l.in[i], &name));
        pb_put_string(out, NODE_INPUT, name);
    }
    for (int i = 0; i < n->n_out; i++)
        pb_put_string(out, NODE_OUTPUT, n->out[i] ? n->out[i]->name : "");
    pb_put_string(out, NODE_NAME, n->name);
    pb_put_string(out, NODE_OP_TYPE, n->op);
    for (int i = 0; i < l.n_attrs; i++) {
        struct pb_writer inner;
        pb_writer_init(&inner, w->a);
        TRY(onnx_put_attribute(&inner, &l.attrs[i], w->e));
        onnx_put_message(out, NODE_ATTRIBUTE, &inner);
    }
    if (n->domain[0])
        pb_put_string(out, NODE_DOMAIN, n->domain);
    return OK;
}
