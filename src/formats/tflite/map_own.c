/* Operators that ONNX has nothing for: kept under their own name in the domain "tflite" (kernels:
 * src/ops/tflite_*.c). */
#include <string.h>

#include "formats/tflite/tflite_write.h"

/* Fields of the options table that become attributes: type i (int32), e (int8), b (bool), f
 * (float). */
struct field {
    const char *name;
    int slot;
    char type;
};

enum pass { PASS_RAW, PASS_MOVED, PASS_REAL, PASS_SCALED };

static const struct own_row {
    enum builtin code;
    enum pass pass;
    int least; /* inputs */
    struct field fields[6];
} rows[] = {
    { BUILTIN_ATAN2, PASS_REAL, 2, { { 0 } } },
    { BUILTIN_SPACE_TO_BATCH_ND, PASS_MOVED, 3, { { 0 } } },
    { BUILTIN_BATCH_TO_SPACE_ND, PASS_MOVED, 3, { { 0 } } },
    { BUILTIN_DYNAMIC_UPDATE_SLICE, PASS_MOVED, 3, { { 0 } } },
    { BUILTIN_ONE_HOT, PASS_RAW, 4, { { "axis", 0, 'i' } } },
    { BUILTIN_BROADCAST_ARGS, PASS_RAW, 2, { { 0 } } },
    { BUILTIN_MATRIX_DIAG, PASS_MOVED, 1, { { 0 } } },
    { BUILTIN_MATRIX_SET_DIAG, PASS_MOVED, 2, { { 0 } } },
    { BUILTIN_SCATTER_ND, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_SPARSE_TO_DENSE, PASS_RAW, 4, { { 0 } } },
    { BUILTIN_SEGMENT_SUM, PASS_RAW, 2, { { 0 } } },
    { BUILTIN_UNSORTED_SEGMENT_SUM, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_UNSORTED_SEGMENT_PROD, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_UNSORTED_SEGMENT_MAX, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_UNSORTED_SEGMENT_MIN, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_FAKE_QUANT,
      PASS_REAL,
      1,
      { { "min", 0, 'f' },
        { "max", 1, 'f' },
        { "num_bits", 2, 'i' },
        { "narrow_range", 3, 'b' } } },
    { BUILTIN_RFFT2D, PASS_RAW, 2, { { 0 } } },
    { BUILTIN_REAL, PASS_RAW, 1, { { 0 } } },
    { BUILTIN_IMAG, PASS_RAW, 1, { { 0 } } },
    { BUILTIN_COMPLEX_ABS, PASS_RAW, 1, { { 0 } } },
    { BUILTIN_RANDOM_UNIFORM, PASS_RAW, 1, { { 0 } } },
    { BUILTIN_RANDOM_STANDARD_NORMAL, PASS_RAW, 1, { { 0 } } },
    { BUILTIN_NON_MAX_SUPPRESSION_V4, PASS_RAW, 5, { { 0 } } },
    { BUILTIN_NON_MAX_SUPPRESSION_V5, PASS_RAW, 6, { { 0 } } },
    { BUILTIN_HASHTABLE_LOOKUP, PASS_RAW, 3, { { 0 } } },
    { BUILTIN_EMBEDDING_LOOKUP_SPARSE, PASS_RAW, 5, { { "combiner", 0, 'e' } } },
    { BUILTIN_DILATE, PASS_MOVED, 3, { { 0 } } },
    { BUILTIN_SVDF, PASS_SCALED, 5, { { "rank", 0, 'i' }, { "activation", 1, 'e' } } },
    { BUILTIN_RNN, PASS_SCALED, 5, { { "activation", 0, 'e' } } },
    { BUILTIN_UNIDIRECTIONAL_SEQUENCE_RNN,
      PASS_SCALED,
      5,
      { { "time_major", 0, 'b' }, { "activation", 1, 'e' } } },
    { BUILTIN_BIDIRECTIONAL_SEQUENCE_RNN,
      PASS_SCALED,
      9,
      { { "time_major", 0, 'b' }, { "activation", 1, 'e' }, { "merge_outputs", 2, 'b' } } },
    { BUILTIN_LSTM,
      PASS_SCALED,
      5,
      { { "activation", 0, 'e' },
        { "cell_clip", 1, 'f' },
        { "proj_clip", 2, 'f' },
        { "kernel_type", 3, 'e' } } },
    { BUILTIN_UNIDIRECTIONAL_SEQUENCE_LSTM,
      PASS_SCALED,
      20,
      { { "activation", 0, 'e' },
        { "cell_clip", 1, 'f' },
        { "proj_clip", 2, 'f' },
        { "time_major", 3, 'b' },
        { "diagonal_recurrent_tensors", 5, 'b' } } },
    { BUILTIN_BIDIRECTIONAL_SEQUENCE_LSTM,
      PASS_SCALED,
      39,
      { { "activation", 0, 'e' },
        { "cell_clip", 1, 'f' },
        { "proj_clip", 2, 'f' },
        { "merge_outputs", 3, 'b' },
        { "time_major", 4, 'B' } } },
};

static const struct own_row *row_of(enum builtin code) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

static void set_fields(struct op_reader *x, struct node *n, const struct field *f) {
    for (int i = 0; i < 6 && f[i].name; i++) {
        if (f[i].type == 'f')
            node_set_float(n, f[i].name, (double)fb_f32(&x->options, f[i].slot, 0));
        else
            node_set_int(n, f[i].name,
                         f[i].type == 'i'   ? fb_i32(&x->options, f[i].slot, 0)
                         : f[i].type == 'e' ? fb_i8(&x->options, f[i].slot, 0)
                                            : fb_bool(&x->options, f[i].slot, f[i].type == 'B'));
    }
}

/* What the integer kernels keep between the steps of an LSTM: scales and zero points of the
 * operator's intermediate tensors. */
static enum status set_intermediates(struct op_reader *x, struct node *n) {
    struct fb_vector v = fb_vec(&x->op, OPERATOR_INTERMEDIATES, 4);
    if (!v.n || !value_quantized(raw_in(x, 0)))
        return OK;
    struct fb_table g = fb_vec_table(&x->r->subgraphs, (size_t)x->g->index);
    size_t tensors = fb_vec(&g, SUBGRAPH_TENSORS, 4).n;
    FAIL_IF(v.n > 64, x->r->err, STATUS_CORRUPT, "%zu intermediate tensors", v.n);
    double *scales = NEW_ARRAY(x->r->m->arena, v.n, double);
    int64_t *zeros = NEW_ARRAY(x->r->m->arena, v.n, int64_t);
    for (size_t i = 0; i < v.n; i++) {
        int32_t k = fb_vec_i32(&v, i);
        FAIL_IF(k < -1 || (k >= 0 && (size_t)k >= tensors), x->r->err, STATUS_CORRUPT,
                "intermediate tensor %d, the sub-graph has %zu", k, tensors);
        const struct quant *q = k < 0 ? NULL : x->r->notes->tensors[x->g->index][k]->quant;
        scales[i] = q && q->n ? (double)q->scale[0] : 0;
        zeros[i] = q && q->n ? q->zero_point[0] : 0;
    }
    node_set_floats(n, "intermediate_scales", scales, (int64_t)v.n);
    node_set_ints(n, "intermediate_zero_points", zeros, (int64_t)v.n);
    return OK;
}

static struct value *pass_in(struct op_reader *x, int i, enum pass pass, bool raw) {
    if (pass == PASS_SCALED)
        return scaled_in(x, i);
    return pass == PASS_RAW || raw ? raw_in(x, i) : real_in(x, i);
}

static enum status read_own(struct op_reader *x) {
    const struct own_row *row = row_of(x->code);
    FAIL_IF(x->n_in < row->least, x->r->err, STATUS_CORRUPT, "%d inputs, at least %d are needed",
            x->n_in, row->least);
    bool raw = row->pass == PASS_MOVED && same_quant(x, 0, 0) &&
               (x->code != BUILTIN_SPACE_TO_BATCH_ND || !value_quantized(raw_in(x, 0)));
    struct value **in = NEW_ARRAY(x->r->m->arena, x->n_in, struct value *);
    for (int i = 0; i < x->n_in; i++)
        in[i] = pass_in(x, i, row->pass, raw);
    /* The further outputs of cells are scratch memory. */
    bool two = (x->code == BUILTIN_LSTM && x->n_in <= 5) ||
               x->code == BUILTIN_BIDIRECTIONAL_SEQUENCE_RNN ||
               x->code == BUILTIN_BIDIRECTIONAL_SEQUENCE_LSTM;
    int most = row->pass != PASS_SCALED ? x->n_out
               : two                    ? 2
                                        : 1,
        n_out = x->n_out < most ? x->n_out : most;
    struct node *n = emit(x, x->op_name, "tflite", x->n_in, n_out, ROLE_MAIN);
    memcpy(n->in, in, sizeof *in * (size_t)x->n_in);
    set_fields(x, n, row->fields);
    if (x->code == BUILTIN_LSTM || x->code == BUILTIN_UNIDIRECTIONAL_SEQUENCE_LSTM)
        TRY(set_intermediates(x, n));
    if (row->pass == PASS_RAW || raw) {
        for (int i = 0; i < n_out; i++)
            if (x->out[i])
                node_set_output(n, i, x->out[i]);
        return OK;
    }
    for (int i = 0; i < n_out; i++)
        TRY(deliver(x, i, n, i, ACTIVATION_NONE));
    return OK;
}

static enum status read_bucketize(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct fb_vector v = fb_vec(&x->options, 0, 4);
    double *b = NEW_ARRAY(x->r->m->arena, v.n + 1, double);
    for (size_t i = 0; i < v.n; i++)
        b[i] = (double)fb_vec_f32(&v, i);
    struct node *n = emit(x, x->op_name, "tflite", 1, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    node_set_floats(n, "boundaries", b, (int64_t)v.n);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_bitcast(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct node *n = emit(x, x->op_name, "tflite", 1, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    FAIL_IF(x->out[0]->dtype == DT_NONE, x->r->err, STATUS_UNSUPPORTED,
            "a bitcast to a type without numbers");
    node_set_int(n, "to", dtype_to_onnx(x->out[0]->dtype));
    node_set_output(n, 0, x->out[0]);
    return OK;
}

/* MULTINOMIAL: scores of the classes, number of samples. */
static enum status read_multinomial(struct op_reader *x) {
    const int64_t *count;
    int64_t n;
    TRY(need_inputs(x, 2));
    TRY(need_const_ints(x, 1, "the number of samples", &count, &n));
    FAIL_IF(n != 1, x->r->err, STATUS_CORRUPT, "%lld numbers of samples", (long long)n);
    struct node *m = emit(x, "Multinomial", "", 1, 1, ROLE_MAIN);
    m->in[0] = raw_in(x, 0);
    node_set_int(m, "sample_size", count[0]);
    node_set_int(m, "dtype", dtype_to_onnx(x->out[0]->dtype));
    node_set_output(m, 0, x->out[0]);
    return OK;
}

static enum status set_long_list(struct op_reader *x, struct node *n, const char *name, int slot) {
    struct fb_vector v = fb_vec(&x->options2, slot, 8);
    if (!v.n)
        return OK;
    FAIL_IF(v.n > 2 * MAX_RANK, x->r->err, STATUS_CORRUPT, "%s has %zu elements", name, v.n);
    int64_t *list = NEW_ARRAY(x->r->m->arena, v.n, int64_t);
    for (size_t i = 0; i < v.n; i++)
        list[i] = fb_vec_i64(&v, i);
    node_set_ints(n, name, list, (int64_t)v.n);
    return OK;
}

static enum status read_stablehlo_pad(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct node *n = emit(x, x->op_name, "tflite", 2, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    n->in[1] = raw_in(x, 1);
    TRY(set_long_list(x, n, "low", 0));
    TRY(set_long_list(x, n, "high", 1));
    TRY(set_long_list(x, n, "interior", 2));
    node_set_output(n, 0, x->out[0]);
    return OK;
}

enum status tflite_reducer(struct op_reader *x, int32_t body, const char **name) {
    static const struct {
        enum builtin code;
        const char *name;
    } known[] = {
        { BUILTIN_STABLEHLO_ADD, "add" },      { BUILTIN_ADD, "add" },
        { BUILTIN_STABLEHLO_MULTIPLY, "mul" }, { BUILTIN_MUL, "mul" },
        { BUILTIN_STABLEHLO_MAXIMUM, "max" },  { BUILTIN_MAXIMUM, "max" },
        { BUILTIN_STABLEHLO_MINIMUM, "min" },  { BUILTIN_MINIMUM, "min" },
        { BUILTIN_STABLEHLO_AND, "min" },      { BUILTIN_LOGICAL_AND, "min" },
        { BUILTIN_STABLEHLO_OR, "max" },       { BUILTIN_LOGICAL_OR, "max" },
    };
    struct graph *g;
    TRY(tflite_subgraph(x, body, &g));
    if (!g->n_nodes && g->n_inputs == 2 && g->n_outputs == 1 && g->outputs[0] == g->inputs[1]) {
        *name = "set";
        return OK;
    }
    const char *op = g->n_nodes == 1 && g->n_inputs == 2 ? g->nodes[0]->origin.op : "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(builtin_row((int)known[i].code)->name, op) == 0) {
            *name = known[i].name;
            return OK;
        }
    return refuse(x, "its reduction");
}

static enum status read_stablehlo_window(struct op_reader *x) {
    const char *reducer = "";
    FAIL_IF(x->n_in != 2 || x->n_out != 1, x->r->err, STATUS_UNSUPPORTED,
            "a window over several tensors");
    TRY(need_inputs(x, 2));
    TRY(tflite_reducer(x, fb_i32(&x->options2, 5, 0), &reducer));
    struct node *n = emit(x, "REDUCE_WINDOW", "tflite", 2, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    n->in[1] = raw_in(x, 1);
    node_set_string(n, "reducer", reducer);
    TRY(set_long_list(x, n, "window", 0));
    TRY(set_long_list(x, n, "strides", 1));
    TRY(set_long_list(x, n, "base_dilations", 2));
    TRY(set_long_list(x, n, "dilations", 3));
    TRY(set_long_list(x, n, "pads", 4)); /* low, high for each axis */
    node_set_output(n, 0, x->out[0]);
    return OK;
}

/* REDUCE_WINDOW: operand, initial value, window, strides, dilations. */
static enum status read_reduce_window(struct op_reader *x) {
    static const char *const reducers[] = { "", "add", "mul", "min", "max", "min", "max" };
    static const char *const names[] = { "window", "strides", "dilations" };
    TRY(need_inputs(x, 5));
    int32_t function = fb_i32(&x->options2, 0, 0);
    if (function < 1 || function > 6)
        return refuse(x, "its reduction");
    struct node *n = emit(x, "REDUCE_WINDOW", "tflite", 2, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    n->in[1] = raw_in(x, 1);
    node_set_string(n, "reducer", reducers[function]);
    for (int i = 0; i < 3; i++) {
        const int64_t *v;
        int64_t count;
        TRY(need_const_ints(x, 2 + i, names[i], &v, &count));
        node_set_ints(n, names[i], v, count);
    }
    node_set_output(n, 0, x->out[0]);
    return OK;
}

read_fn *map_own(enum builtin code) {
    switch (code) {
    case BUILTIN_BUCKETIZE:
        return read_bucketize;
    case BUILTIN_BITCAST:
        return read_bitcast;
    case BUILTIN_MULTINOMIAL:
        return read_multinomial;
    case BUILTIN_STABLEHLO_PAD:
        return read_stablehlo_pad;
    case BUILTIN_STABLEHLO_REDUCE_WINDOW:
        return read_stablehlo_window;
    case BUILTIN_REDUCE_WINDOW:
        return read_reduce_window;
    default:
        return row_of(code) ? read_own : NULL;
    }
}

bool tflite_own_fields(struct lowered *op, const struct node *n) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(builtin_row((int)rows[i].code)->name, n->op) != 0)
            continue;
        op->code = rows[i].code;
        for (int k = 0; k < 6 && rows[i].fields[k].name; k++) {
            const struct field *f = &rows[i].fields[k];
            const struct attr *a = node_attr(n, f->name);
            float real = a ? (float)a->f : 0;
            uint32_t bits;
            memcpy(&bits, &real, sizeof bits);
            bool wide = f->type == 'f' || f->type == 'i';
            op->fields[op->n_fields++] = (struct lowered_field) { f->slot, wide ? 4 : 1,
                                                                  f->type == 'f' ? bits
                                                                  : a            ? (uint64_t)a->i
                                                                                 : 0 };
        }
        return true;
    }
    return false;
}
