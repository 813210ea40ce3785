/* Changed constants: each is changed where the file states it. */
#include <string.h>

#include "formats/onnx/onnx_encode.h"
#include "formats/onnx/onnx_write.h"

/* Fields of a TensorProto that its contents lie in. */
static bool is_contents(uint32_t field) {
    switch (field) {
    case TENSOR_DIMS:
    case TENSOR_DATA_TYPE:
    case TENSOR_FLOAT_DATA:
    case TENSOR_INT32_DATA:
    case TENSOR_STRING_DATA:
    case TENSOR_INT64_DATA:
    case TENSOR_RAW_DATA:
    case TENSOR_DOUBLE_DATA:
    case TENSOR_UINT64_DATA:
    case TENSOR_EXTERNAL_DATA:
    case TENSOR_DATA_LOCATION:
        return true;
    default:
        return false;
    }
}

static bool same_text(const struct onnx_writer *w, const struct pb_field *f, const char *s) {
    size_t n = strlen(s);
    return f->wire == PB_BYTES && f->end - f->begin == n && memcmp(w->s.base + f->begin, s, n) == 0;
}

static enum status change_tensor(struct onnx_writer *w, struct span message, const struct value *v,
                                 bool contents) {
    struct cursor c = cursor_of(w->s.base, message.begin, message.end);
    struct pb_field f;
    struct pb_writer fresh;
    pb_writer_init(&fresh, w->a);
    if (contents)
        TRY(onnx_put_contents(&fresh, v->constant, w->e));
    bool placed = !contents;
    while (pb_next(&c, &f)) {
        if (f.number == TENSOR_NAME && !same_text(w, &f, v->name)) {
            struct pb_writer name;
            pb_writer_init(&name, w->a);
            pb_put_string(&name, TENSOR_NAME, v->name);
            splice_writer(&w->s, message.begin, f.start, f.end, &name);
        }
        if (!contents || !is_contents(f.number))
            continue;
        splice_replace(&w->s, message.begin, f.start, f.end, placed ? NULL : fresh.p,
                       placed ? 0 : fresh.n);
        placed = true;
    }
    if (!placed)
        splice_insert(&w->s, message.begin, message.end, fresh.p, fresh.n);
    return OK;
}

/* The type stated for a name in the graph's inputs, outputs or value_info follows the new contents.
 */
static enum status change_stated_type(struct onnx_writer *w, const struct graph_before *b,
                                      const struct value *v) {
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    struct pb_field f, g;
    const char *name = w->old_name[v->id];
    while (pb_next(&c, &f)) {
        if (b->is_function || (f.number != GRAPH_INPUT && f.number != GRAPH_VALUE_INFO) ||
            f.wire != PB_BYTES)
            continue;
        struct cursor in = pb_enter(&c, &f);
        bool match = false;
        while (pb_next(&in, &g))
            match |= g.number == 1 && same_text(w, &g, name);
        in = pb_enter(&c, &f);
        while (match && pb_next(&in, &g)) {
            struct pb_writer type, field;
            if (g.number != 2)
                continue;
            pb_writer_init(&type, w->a);
            pb_writer_init(&field, w->a);
            TRY(onnx_put_tensor_type(&type, v->constant, w->e));
            onnx_put_message(&field, 2, &type);
            splice_writer(&w->s, f.begin, g.start, g.end, &field);
        }
    }
    return OK;
}

/* The initializer with this offset: its field. */
static bool find_field(const struct onnx_writer *w, const struct graph_before *b, size_t begin,
                       struct pb_field *f) {
    struct cursor c = cursor_of(w->s.base, b->span.begin, b->span.end);
    while (pb_next(&c, f))
        if (f->begin == begin && f->wire == PB_BYTES)
            return true;
    return false;
}

static enum status change_initializer(struct onnx_writer *w, struct graph_before *b,
                                      const struct value *v, bool contents) {
    struct pb_field f;
    FAIL_IF(!find_field(w, b, (size_t)v->origin.offset, &f), w->e, STATUS_BUG,
            "the initializer of '%s' is not where it was", v->name);
    if (v->origin.op) { /* sparse: a dense one takes its place */
        FAIL_IF(f.number != GRAPH_SPARSE_INITIALIZER, w->e, STATUS_BUG,
                "'%s' is no sparse initializer", v->name);
        struct pb_writer tensor, field;
        pb_writer_init(&tensor, w->a);
        pb_writer_init(&field, w->a);
        TRY(onnx_put_tensor(&tensor, v->constant, v->name, w->e));
        onnx_put_message(&field, GRAPH_INITIALIZER, &tensor);
        splice_writer(&w->s, b->span.begin, f.start, f.end, &field);
        return OK;
    }
    return change_tensor(w, (struct span) { f.begin, f.end }, v, contents);
}

/* A Constant node: whatever attribute it had, it has `value` now. */
static enum status change_constant_node(struct onnx_writer *w, struct graph_before *b,
                                        const struct value *v) {
    FAIL_IF(v->origin.index < 0 || v->origin.index >= b->n_files, w->e, STATUS_BUG,
            "the Constant node of '%s' is not where it was", v->name);
    const struct file_node *node = &b->files[v->origin.index];
    struct cursor c = cursor_of(w->s.base, node->span.begin, node->span.end);
    struct pb_field f;
    struct attr value = { .name = "value", .type = ATTR_TENSOR, .tensor = v->constant };
    struct pb_writer attribute, field;
    pb_writer_init(&attribute, w->a);
    pb_writer_init(&field, w->a);
    TRY(onnx_put_attribute(&attribute, &value, w->e));
    onnx_put_message(&field, NODE_ATTRIBUTE, &attribute);
    while (pb_next(&c, &f))
        if (f.number == NODE_ATTRIBUTE) {
            splice_writer(&w->s, node->span.begin, f.start, f.end, &field);
            return OK;
        }
    return err_set(w->e, STATUS_BUG, "the Constant node of '%s' has no attribute", v->name);
}

enum status onnx_rewrite_constant(struct onnx_writer *w, struct graph_before *b,
                                  const struct value *v) {
    bool contents = v->constant != w->old_constant[v->id],
         renamed = strcmp(v->name, w->old_name[v->id]) != 0;
    const struct tensor *old = w->old_constant[v->id];
    const char *op = v->origin.op;
    if (!old || !v->constant || (!contents && !renamed))
        return OK;
    b->touched = true;
    if (op && strcmp(op, "attribute") == 0)
        return OK; /* the node's own affair */
    FAIL_IF(op && strcmp(op, "upgrade") == 0, w->e, STATUS_UNSUPPORTED,
            "'%s' cannot be changed: the file does not state it", v->name);
    FAIL_IF(b->function && b->function->n_calls > 1, w->e, STATUS_UNSUPPORTED,
            "constant '%s' of function '%s', which is called %d times", v->name, b->function->name,
            b->function->n_calls);
    FAIL_IF(renamed && w->notes->ir_version < 4, w->e, STATUS_UNSUPPORTED,
            "constant '%s' as an output; this old file has it as an input too: put an Identity "
            "node between",
            w->old_name[v->id]);
    bool retyped =
        contents && (old->dtype != v->constant->dtype ||
                     !dims_equal(old->dim, old->rank, v->constant->dim, v->constant->rank));
    if (retyped)
        TRY(change_stated_type(w, b, v));
    if (op && strcmp(op, "Constant") == 0)
        return contents ? change_constant_node(w, b, v) : OK;
    return change_initializer(w, b, v, contents);
}
