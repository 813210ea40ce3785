#include "formats/onnx/onnx_lower.h"

#include <string.h>

#include "formats/onnx/onnx_upgrade.h"
#include "ops/op.h"

/* Inputs that an operator has as attributes in sets below `below`. */
static const struct input_row {
    const char *op;
    int below, input;
    const char *attribute;
    enum attr_type type;
} input_rows[] = {
    { "Clip", 11, 1, "min", ATTR_FLOAT },         { "Clip", 11, 2, "max", ATTR_FLOAT },
    { "DFT", 20, 2, "axis", ATTR_INT },           { "Dropout", 12, 1, "ratio", ATTR_FLOAT },
    { "Pad", 11, 1, "pads", ATTR_INTS },          { "Pad", 11, 2, "value", ATTR_FLOAT },
    { "ReduceL1", 18, 1, "axes", ATTR_INTS },     { "ReduceL2", 18, 1, "axes", ATTR_INTS },
    { "ReduceLogSum", 18, 1, "axes", ATTR_INTS }, { "ReduceLogSumExp", 18, 1, "axes", ATTR_INTS },
    { "ReduceMax", 18, 1, "axes", ATTR_INTS },    { "ReduceMean", 18, 1, "axes", ATTR_INTS },
    { "ReduceMin", 18, 1, "axes", ATTR_INTS },    { "ReduceProd", 18, 1, "axes", ATTR_INTS },
    { "ReduceSum", 13, 1, "axes", ATTR_INTS },    { "ReduceSumSquare", 18, 1, "axes", ATTR_INTS },
    { "Slice", 10, 1, "starts", ATTR_INTS },      { "Slice", 10, 2, "ends", ATTR_INTS },
    { "Slice", 10, 3, "axes", ATTR_INTS },        { "Split", 13, 1, "split", ATTR_INTS },
    { "Squeeze", 13, 1, "axes", ATTR_INTS },      { "TopK", 10, 1, "k", ATTR_INT },
    { "Unsqueeze", 13, 1, "axes", ATTR_INTS },    { "Upsample", 9, 2, "scales", ATTR_FLOATS },
};

/* Sets below `below` lack the input. */
static const struct {
    const char *op;
    int below, input;
} late_inputs[] = {
    { "Attention", 24, 6 },
    { "Dropout", 12, 2 },
    { "Pad", 18, 3 },
    { "Slice", 10, 4 },
};

static const struct input_row *input_row(const char *op, int version, int input) {
    for (size_t i = 0; i < sizeof input_rows / sizeof *input_rows; i++)
        if (version < input_rows[i].below && input_rows[i].input == input &&
            strcmp(input_rows[i].op, op) == 0)
            return &input_rows[i];
    return NULL;
}

/* Also past the inputs that are attributes there, where the newest sets have no more either. */
static bool is_late(const char *op, int version, int input) {
    for (int i = 0; i < input && !input_row(op, version, input); i++)
        if (input_row(op, version, i))
            return true;
    for (size_t i = 0; i < sizeof late_inputs / sizeof *late_inputs; i++)
        if (version < late_inputs[i].below && late_inputs[i].input == input &&
            strcmp(late_inputs[i].op, op) == 0)
            return true;
    return false;
}

static void add_attr(struct arena *a, struct onnx_lowered *out, struct attr x) {
    PUSH(a, out->attrs, out->n_attrs, x);
}

static enum status input_as_attribute(struct arena *a, const struct input_row *row,
                                      const struct value *v, struct onnx_lowered *out,
                                      struct err *e) {
    const struct tensor *t = v->constant;
    FAIL_IF(!t, e, STATUS_UNSUPPORTED,
            "input %d of %s is computed; this operator set has it as the attribute '%s'",
            row->input, row->op, row->attribute);
    int64_t n = tensor_count(t);
    bool real = row->type == ATTR_FLOAT || row->type == ATTR_FLOATS;
    bool list = row->type == ATTR_FLOATS || row->type == ATTR_INTS;
    FAIL_IF(t->kind != KIND_TENSOR || t->rank > 1 || (list && t->rank != 1) ||
                (real ? !dtype_is_float(t->dtype) : !dtype_is_int(t->dtype)),
            e, STATUS_UNSUPPORTED,
            "input %d of %s is %s of rank %d; this operator set has it as the attribute '%s'",
            row->input, row->op, dtype_name(t->dtype), t->rank, row->attribute);
    struct attr x = { .name = row->attribute, .type = row->type, .n = n };
    FAIL_IF(
        (row->type == ATTR_INT || row->type == ATTR_FLOAT) && n != 1, e, STATUS_UNSUPPORTED,
        "input %d of %s has %lld elements; this operator set has it as the single attribute '%s'",
        row->input, row->op, (long long)n, row->attribute);
    int64_t *ints = NEW_ARRAY(a, n + 1, int64_t);
    double *floats = NEW_ARRAY(a, n + 1, double);
    for (int64_t i = 0; i < n; i++) {
        if (real)
            floats[i] = tensor_f64(t, i);
        else
            ints[i] = tensor_i64(t, i);
    }
    x.ints = ints;
    x.floats = floats;
    if (row->type == ATTR_INT)
        x.i = ints[0];
    if (row->type == ATTR_FLOAT)
        x.f = floats[0];
    add_attr(a, out, x);
    return OK;
}

/* Resize below 11 and Upsample: X, scales. */
static bool is_plain_resize(const struct node *n, const char *op, int version) {
    return node_is(n, "Resize") && (strcmp(op, "Upsample") == 0 || version < 11);
}

static enum status lower_inputs(struct arena *a, const struct node *n, const char *op, int version,
                                struct onnx_lowered *out, struct err *e) {
    bool plain = is_plain_resize(n, op, version);
    out->in = NEW_ARRAY(a, n->n_in + 1, struct value *);
    for (int i = 0; i < n->n_in; i++) {
        const struct input_row *row = input_row(op, version, i);
        struct value *v = n->in[i];
        FAIL_IF(v && is_late(op, version, i), e, STATUS_UNSUPPORTED,
                "input %d of %s; operator set %d does not have it", i, op, version);
        if (row && v)
            TRY(input_as_attribute(a, row, v, out, e));
        if (row || (plain && i == 1 && !v) || is_late(op, version, i))
            continue;
        FAIL_IF(plain && i != 0 && i != 2 && v, e, STATUS_UNSUPPORTED,
                "input %d of Resize; operator set %d does not have it", i, version);
        out->in[out->n_in++] = v;
    }
    while (out->n_in && !out->in[out->n_in - 1])
        out->n_in--;
    return OK;
}

/* True when the attribute has the value that leaving it out would mean, so that an older set can
 * leave it out. */
static bool is_default(const struct node *n, const struct attr *x) {
    const struct op *row = op_find(n->domain, n->op);
    if (strcmp(x->name, "num_outputs") == 0 && x->type == ATTR_INT)
        return x->i == n->n_out;
    if (x->type == ATTR_INTS && strcmp(x->name, "dilations") == 0) {
        for (int64_t i = 0; i < x->n; i++)
            if (x->ints[i] != 1)
                return false;
        return true;
    }
    for (const struct attr_def *d = row ? row->attrs : NULL; d && d->name; d++)
        if (strcmp(d->name, x->name) == 0 && d->type == x->type && !d->required)
            return (x->type == ATTR_INT && x->i == d->i) ||
                   (x->type == ATTR_FLOAT && x->f == d->f) ||
                   (x->type == ATTR_STRING && d->s && strcmp(x->s, d->s) == 0);
    return false;
}

static void lower_mode(const struct node *n, int version, struct attr *x) {
    if (!node_is(n, "GridSample") || version >= 20 || strcmp(x->name, "mode") != 0 ||
        x->type != ATTR_STRING)
        return;
    x->s = strcmp(x->s, "linear") == 0 ? "bilinear" : strcmp(x->s, "cubic") == 0 ? "bicubic" : x->s;
    x->n = (int64_t)strlen(x->s);
}

static bool is_softmax(const struct node *n) {
    return node_is(n, "Softmax") || node_is(n, "LogSoftmax") || node_is(n, "Hardmax");
}

/* Below 13 the default axis was 1, and below 11 it could not be negative. */
static void state_axis(struct arena *a, const struct node *n, int version,
                       struct onnx_lowered *out) {
    int rank = n->n_in ? upgrade_rank(n->in[0]) : -1;
    struct attr *axis = NULL;
    for (int i = 0; i < out->n_attrs; i++)
        if (strcmp(out->attrs[i].name, "axis") == 0)
            axis = &out->attrs[i];
    if (!is_softmax(n) || version >= 13)
        return;
    if (!axis) {
        add_attr(a, out, (struct attr) { .name = "axis", .type = ATTR_INT, .i = -1 });
        axis = &out->attrs[out->n_attrs - 1];
    }
    if (axis->type == ATTR_INT && axis->i == -1 && rank > 0 && version < 11)
        axis->i = rank - 1;
}

/* Below 13 a softmax ran over all dimensions from its axis on. */
enum status onnx_check_axis(const struct node *n, int version, struct err *e) {
    const struct attr *axis = node_attr(n, "axis");
    int64_t at = axis && axis->type == ATTR_INT ? axis->i : -1;
    int rank = n->n_in ? upgrade_rank(n->in[0]) : -1;
    bool last = (at == -1 && (version >= 11 || rank > 0)) || (rank > 0 && at == rank - 1);
    FAIL_IF(is_softmax(n) && version < 13 && !last, e, STATUS_UNSUPPORTED,
            "%s over a dimension that is not the last; operator set %d of the file cannot say it",
            n->op, version);
    return OK;
}

enum status onnx_lower(struct arena *a, const struct node *n, const char *file_op, int version,
                       struct onnx_lowered *out, struct err *e) {
    const char *op = file_op ? file_op : n->op;
    *out = (struct onnx_lowered) { .op = op, .domain = n->domain };
    if (!n->domain[0])
        TRY(lower_inputs(a, n, op, version, out, e));
    else {
        out->in = n->in;
        out->n_in = n->n_in;
    }
    FAIL_IF(node_is(n, "Split") && version < 18 && n->n_in > 1 && n->in[1] &&
                node_attr(n, "num_outputs"),
            e, STATUS_UNSUPPORTED, "Split with both sizes and num_outputs");
    for (int i = 0; i < n->n_attrs; i++) {
        struct attr x = n->attrs[i];
        lower_mode(n, version, &x);
        if (!n->domain[0] && onnx_attribute_since(op, x.name) > version) {
            if (!is_default(n, &x))
                out->missing = &n->attrs[i];
            continue;
        }
        add_attr(a, out, x);
    }
    state_axis(a, n, version, out);
    return OK;
}

/* Operators whose meaning changed in a way that the attributes and inputs do not show. */
static enum status check_meaning(const struct node *n, int version, struct err *e) {
    static const struct {
        const char *op;
        int since;
    } changed[] = { { "GroupNormalization", 21 },
                    { "Resize", 11 },
                    { "Scan", 9 },
                    { "Dropout", 12 },
                    { "BatchNormalization", 7 } };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        FAIL_IF(node_is(n, changed[i].op) && version < changed[i].since, e, STATUS_UNSUPPORTED,
                "a new node %s; operator set %d of the file gives it another meaning", n->op,
                version);
    TRY(onnx_check_axis(n, version, e));
    FAIL_IF(node_is(n, "Gemm") && version < 11 && (n->n_in < 3 || !n->in[2]), e, STATUS_UNSUPPORTED,
            "Gemm without C; operator set %d of the file needs one", version);
    return OK;
}

enum status onnx_can_write(const struct node *n, int version, struct err *e) {
    FAIL_IF(version <= 0, e, STATUS_UNSUPPORTED,
            "operator %s of domain '%s', which the file does not import", n->op, n->domain);
    if (n->domain[0])
        return OK;
    FAIL_IF(version < 7, e, STATUS_UNSUPPORTED,
            "operator set %d of the file is too old for changed or new nodes (7 and later can)",
            version);
    FAIL_IF(onnx_attribute_since(n->op, NULL) > version, e, STATUS_UNSUPPORTED,
            "operator %s; operator set %d of the file does not have it", n->op, version);
    return check_meaning(n, version, e);
}
