/* Reading one operator: its code, tensors and options; then its family reads its meaning. */
#include <string.h>

#include "formats/tflite/tflite.h"

static enum status read_code(struct op_reader *x) {
    struct tfl_reader *r = x->r;
    uint32_t index = fb_u32(&x->op, OPERATOR_CODE, 0);
    FAIL_IF(index >= r->codes.n, r->err, STATUS_CORRUPT, "operator code %u, the file has %zu",
            index, r->codes.n);
    struct fb_table t = fb_vec_table(&r->codes, index);
    int32_t code = fb_i32(&t, CODE_BUILTIN, 0), old = fb_i8(&t, CODE_DEPRECATED, 0);
    if (old > code) /* files older than the wide field have the narrow one only */
        code = old;
    const struct builtin_row *row = builtin_row(code);
    FAIL_IF(!row, r->err, STATUS_UNSUPPORTED,
            "built-in operator %d is newer than the schema calque knows", code);
    x->code = (enum builtin)code;
    x->op_name = row->name;
    x->version = fb_i32(&t, CODE_VERSION, 1);
    if (code == BUILTIN_CUSTOM) {
        size_t n;
        const char *custom = fb_text(&t, CODE_CUSTOM, &n);
        x->op_name = custom ? arena_strn(r->m->arena, custom, n) : "?";
    }
    return flatbuffer_check(&r->fb, r->err);
}

static enum status read_list(struct op_reader *x, int slot, struct value ***list, int *n) {
    struct fb_vector v = fb_vec(&x->op, slot, 4);
    *list = NEW_ARRAY(x->r->m->arena, v.n + 1, struct value *);
    *n = (int)v.n;
    struct fb_table g = fb_vec_table(&x->r->subgraphs, (size_t)x->g->index);
    struct fb_vector tensors = fb_vec(&g, SUBGRAPH_TENSORS, 4);
    for (size_t i = 0; i < v.n; i++) {
        int32_t t = fb_vec_i32(&v, i);
        FAIL_IF(t < -1 || (t >= 0 && (size_t)t >= tensors.n), x->r->err, STATUS_CORRUPT,
                "tensor %d, the sub-graph has %zu", t, tensors.n);
        (*list)[i] = t < 0 ? NULL : x->r->notes->tensors[x->g->index][t];
    }
    return OK;
}

static enum status read_options(struct op_reader *x) {
    const struct builtin_row *row = builtin_row((int)x->code);
    uint8_t kind = fb_u8(&x->op, OPERATOR_OPTIONS_TYPE, 0),
            kind2 = fb_u8(&x->op, OPERATOR_OPTIONS2_TYPE, 0);
    struct fb_table none = { .fb = &x->r->fb };
    x->options = kind ? fb_sub(&x->op, OPERATOR_OPTIONS) : none;
    x->options2 = kind2 ? fb_sub(&x->op, OPERATOR_OPTIONS2) : none;
    /* A table of another operator would be read as nonsense; without one the defaults stand. */
    if (kind != row->options)
        x->options = none;
    if (kind2 != row->options2)
        x->options2 = none;
    return flatbuffer_check(&x->r->fb, x->r->err);
}

static enum status check_outputs(const struct op_reader *x) {
    for (int i = 0; i < x->n_out; i++) {
        const struct value *v = x->out[i];
        if (!v)
            continue;
        FAIL_IF(v->producer, x->r->err, STATUS_CORRUPT,
                "tensor '%s' (number %d) is already computed by %s", v->name, v->origin.index,
                v->producer->origin.name);
        FAIL_IF(v->constant, x->r->err, STATUS_CORRUPT, "its output '%s' is a constant", v->name);
        for (int k = 0; k < i; k++)
            FAIL_IF(x->out[k] == v, x->r->err, STATUS_CORRUPT, "two of its outputs are tensor %d",
                    v->origin.index);
    }
    return OK;
}

/* An operator without a reading is kept under its own name, so that the rest of the file can be
 * used. */
static enum status keep(struct op_reader *x, const char *domain) {
    struct node *n = emit(x, x->op_name, domain, x->n_in, x->n_out, ROLE_MAIN);
    for (int i = 0; i < x->n_in; i++)
        n->in[i] = x->in[i];
    for (int i = 0; i < x->n_out; i++)
        if (x->out[i])
            node_set_output(n, i, x->out[i]);
    return OK;
}

static enum status read_custom(struct op_reader *x) {
    bool flex = strncmp(x->op_name, "Flex", 4) == 0;
    TRY(keep(x, flex ? "tflite.flex" : "tflite.custom"));
    struct fb_vector options = fb_vec(&x->op, OPERATOR_CUSTOM_OPTIONS, 1);
    struct attr *a = node_set_attr(x->last, "custom_options", ATTR_STRING);
    a->s = options.n
               ? arena_strn(x->r->m->arena, (const char *)x->r->fb.data + options.at, options.n)
               : "";
    a->n = (int64_t)options.n;
    return OK;
}

read_fn *tflite_reader(enum builtin code) {
    static read_fn *(*const families[])(enum builtin) = {
        map_elementwise, map_spatial,   map_data,
        map_slice,       map_reduce,    map_own,
        map_control,     map_stablehlo, map_stablehlo_product,
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        read_fn *f = families[i](code);
        if (f)
            return f;
    }
    return NULL;
}

/* What cannot be expressed is kept by name as well (running it says so): undoes what its reader has
 * made. */
static void take_back(struct op_reader *x, int nodes, int values, int ids) {
    struct quant_values *quant = x->r->quant[x->g->index];
    for (int i = 0; i < x->n_out; i++)
        if (x->out[i])
            x->out[i]->producer = NULL;
    for (int i = 0; i < x->n_in + x->n_out; i++) {
        const struct value *v = i < x->n_in ? x->in[i] : x->out[i - x->n_in];
        if (v && quant[v->origin.index].scale && quant[v->origin.index].scale->id >= ids)
            quant[v->origin.index] = (struct quant_values) { 0 };
    }
    x->g->n_nodes = nodes;
    x->g->n_values = values;
}

/* The field asymmetric_quantize_inputs of an operator's options, -1: it has none. */
static int asymmetric_slot(enum builtin code) {
    switch (code) {
    case BUILTIN_RNN:
        return 1;
    case BUILTIN_SVDF:
    case BUILTIN_BATCH_MATMUL:
    case BUILTIN_UNIDIRECTIONAL_SEQUENCE_RNN:
        return 2;
    case BUILTIN_FULLY_CONNECTED:
    case BUILTIN_BIDIRECTIONAL_SEQUENCE_RNN:
        return 3;
    case BUILTIN_LSTM:
    case BUILTIN_UNIDIRECTIONAL_SEQUENCE_LSTM:
        return 4;
    case BUILTIN_BIDIRECTIONAL_SEQUENCE_LSTM:
        return 5;
    default:
        return -1;
    }
}

/* Options that count in native runs, for the operator's nodes from `first` on. */
static void note_native(struct op_reader *x, int first) {
    int slot = asymmetric_slot(x->code);
    bool sum = x->code == BUILTIN_ADD || x->code == BUILTIN_SUB;
    unsigned native = (slot >= 0 && fb_bool(&x->options, slot, false) ? NATIVE_ASYMMETRIC : 0) |
                      (sum && fb_bool(&x->options, 1, true) ? NATIVE_POWER_OF_TWO : 0) |
                      (strncmp(x->op_name, "STABLEHLO_", 10) == 0 ? NATIVE_IGNORES_SCALES : 0);
    for (int i = first; i < x->g->n_nodes; i++)
        x->g->nodes[i]->native = native;
}

static enum status read_meaning(struct op_reader *x) {
    TRY(read_code(x));
    TRY(read_list(x, OPERATOR_INPUTS, &x->in, &x->n_in));
    TRY(read_list(x, OPERATOR_OUTPUTS, &x->out, &x->n_out));
    TRY(read_options(x));
    TRY(check_outputs(x));
    if (x->code == BUILTIN_CUSTOM)
        return read_custom(x);
    read_fn *f = tflite_reader(x->code);
    if (!f) {
        model_warn(x->r->m, "%s %s: %s", x->op_name, x->name, tflite_refused(x->code));
        return keep(x, "tflite");
    }
    int nodes = x->g->n_nodes, values = x->g->n_values, ids = x->r->m->next_value_id;
    enum status s = f(x);
    if (s == OK)
        note_native(x, nodes);
    if (s != STATUS_UNSUPPORTED)
        return s;
    take_back(x, nodes, values, ids);
    model_warn(x->r->m, "%s %s: %s", x->op_name, x->name, x->r->err->what);
    return keep(x, "tflite.unread");
}

enum status tflite_read_operator(struct tfl_reader *r, struct graph *g, const struct fb_table *op,
                                 int index) {
    struct arena *a = r->m->arena;
    struct op_reader x = {
        .r = r,
        .g = g,
        .op = *op,
        .index = index,
        .group = r->m->next_group++,
        .op_name = "?",
        .name = g->index ? arena_printf(a, "%d#%d", (int)g->index, index)
                         : arena_printf(a, "#%d", index),
    };
    enum status s = read_meaning(&x);
    return s == OK ? OK : err_at(r->err, "operator %s (%s)", x.name, x.op_name);
}

enum status tflite_subgraph(struct op_reader *x, int32_t number, struct graph **out) {
    FAIL_IF(number <= 0 || number >= x->r->m->n_graphs, x->r->err, STATUS_CORRUPT,
            "sub-graph %d, the file has %d", number, x->r->m->n_graphs);
    TRY(tflite_read_subgraph(x->r, number));
    *out = x->r->m->graphs[number];
    return OK;
}
