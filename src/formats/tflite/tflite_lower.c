/* IR nodes as built-in operators of TensorFlow Lite, for the writer: what the families share,
 * products, reductions, activations. */
#include <math.h>
#include <stdint.h>

#include "formats/tflite/tflite_lower.h"

enum status lower_refuse(const struct lowering *l, const char *what) {
    return err_set(l->err, STATUS_UNSUPPORTED,
                   "%s %s%s: %s cannot be written to a TensorFlow Lite file", l->node->op, "at ",
                   l->node->out[0] ? l->node->out[0]->name : "", what);
}

struct lowered *lower_add(struct lowering *l, enum builtin code, int n_in) {
    struct lowered *o = &l->op[l->n++];
    *o = (struct lowered) { .code = code, .n_in = n_in, .activation_slot = -1, .rank = -1 };
    o->in = NEW_ARRAY(l->arena, n_in + 1, struct lowered_input);
    return o;
}

struct tensor *lower_ints32(struct lowering *l, const int64_t *v, int64_t n, int rank) {
    struct tensor *t = tensor_in_arena(l->arena, DT_I32, DT_I32, rank, &n);
    for (int64_t i = 0; i < n; i++)
        tensor_set_i64(t, i, v[i] > INT32_MAX ? INT32_MAX : v[i] < INT32_MIN ? INT32_MIN : v[i]);
    return t;
}

bool lower_constant_list(const struct lowering *l, int i, const int64_t **v, int64_t *n) {
    const struct value *value = input_of(l->node, i);
    if (!value || !value->constant)
        return false;
    int64_t count = tensor_count(value->constant), *list = NEW_ARRAY(l->arena, count + 1, int64_t);
    for (int64_t k = 0; k < count; k++)
        list[k] = tensor_i64(value->constant, k);
    *v = list;
    *n = count;
    return true;
}

enum status lower_list_input(struct lowering *l, struct lowered *o, int slot, int i) {
    struct value *v = l->node->in[i];
    const int64_t *list;
    int64_t n;
    if (v->dtype == DT_I32) {
        o->in[slot].value = v;
        return OK;
    }
    if (!lower_constant_list(l, i, &list, &n))
        return lower_refuse(l, "a computed int64 list");
    o->in[slot].made = lower_ints32(l, list, n, 1);
    return OK;
}

int tflite_activation_of(const struct node *n) {
    if (node_is(n, "Relu"))
        return ACTIVATION_RELU;
    if (node_is(n, "Tanh"))
        return ACTIVATION_TANH;
    if (!node_is(n, "Clip") || n->n_in < 3 || !n->in[1] || !n->in[2] || !n->in[1]->constant ||
        !n->in[2]->constant)
        return -1;
    double low = tensor_f64(n->in[1]->constant, 0), high = tensor_f64(n->in[2]->constant, 0);
    return low == 0 && high == 6    ? ACTIVATION_RELU6
           : low == -1 && high == 1 ? ACTIVATION_RELU_N1_TO_1
                                    : -1;
}

/* --- matrices --- */

static enum status lower_gemm(struct lowering *l) {
    const struct node *n = l->node;
    const struct value *w = input_of(n, 1);
    if (float_attr(n, "alpha", 1) != 1 || float_attr(n, "beta", 1) != 1 ||
        int_attr(n, "transA", 0) || n->in[0]->rank > 2)
        return lower_refuse(l, "its factors or transposed input");
    struct lowered *o = lower_add(l, BUILTIN_FULLY_CONNECTED, n->n_in);
    for (int i = 0; i < n->n_in; i++)
        o->in[i].value = n->in[i];
    if (!int_attr(n, "transB", 0)) {
        if (!w->constant || w->rank != 2 || w->constant->store != DT_F32)
            return lower_refuse(l, "weights that are not transposed");
        int64_t dim[2] = { w->dim[1], w->dim[0] };
        struct tensor *t = tensor_in_arena(l->arena, DT_F32, DT_F32, 2, dim);
        for (int64_t i = 0; i < dim[0]; i++)
            for (int64_t k = 0; k < dim[1]; k++)
                tensor_set_f64(t, i * dim[1] + k, tensor_f64(w->constant, k * dim[0] + i));
        o->in[1] = (struct lowered_input) { .made = t };
    }
    o->activation_slot = 0;
    field(o, 1, 1, 0);
    return OK;
}

static enum status lower_matmul(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_BATCH_MATMUL, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 1, 0);
    field(o, 1, 1, 0);
    return OK;
}

static enum status lower_cast(struct lowering *l) {
    const struct node *n = l->node;
    enum dtype to = dtype_from_onnx(int_attr(n, "to", 0));
    if (dtype_to_tflite(to) < 0 || dtype_to_tflite(n->in[0]->dtype) < 0)
        return lower_refuse(l, "its type");
    struct lowered *o = lower_add(l, BUILTIN_CAST, 1);
    o->in[0].value = n->in[0];
    field(o, 0, 1, dtype_to_tflite(n->in[0]->dtype));
    field(o, 1, 1, dtype_to_tflite(to));
    return OK;
}

/* --- reductions, softmax, activations --- */

static enum status lower_reduce(struct lowering *l, enum builtin code) {
    const struct node *n = l->node;
    struct lowered *o = lower_add(l, code, 2);
    int64_t all[MAX_RANK], count;
    const int64_t *axes = list_attr(n, "axes", &count);
    o->in[0].value = n->in[0];
    field(o, 0, 1, int_attr(n, "keepdims", 1));
    if (input_of(n, 1))
        return lower_list_input(l, o, 1, 1);
    if (!axes) {
        if (n->in[0]->rank < 0)
            return lower_refuse(l, "an unknown rank");
        for (count = 0; count < n->in[0]->rank; count++)
            all[count] = count;
        axes = all;
    }
    o->in[1].made = lower_ints32(l, axes, count, 1);
    return OK;
}

static enum status lower_arg(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", 0);
    if (int_attr(n, "keepdims", 1) || int_attr(n, "select_last_index", 0))
        return lower_refuse(l, "a kept axis or the last index");
    struct lowered *o = lower_add(l, node_is(n, "ArgMax") ? BUILTIN_ARG_MAX : BUILTIN_ARG_MIN, 2);
    o->in[0].value = n->in[0];
    o->in[1].made = lower_ints32(l, &axis, 1, 1);
    field(o, 0, 1, dtype_to_tflite(n->out[0] && n->out[0]->dtype == DT_I32 ? DT_I32 : DT_I64));
    return OK;
}

static enum status lower_softmax(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", -1);
    bool log = node_is(n, "LogSoftmax");
    if (axis != -1 && axis != n->in[0]->rank - 1)
        return lower_refuse(l, "an axis that is not the last");
    struct lowered *o = lower_add(l, log ? BUILTIN_LOG_SOFTMAX : BUILTIN_SOFTMAX, 1);
    o->in[0].value = n->in[0];
    if (!log)
        field_f32(o, 0, 1);
    return OK;
}

static void clip_half(struct lowering *l, enum builtin code, struct value *limit, bool previous) {
    struct lowered *o = lower_add(l, code, 2);
    const struct value *x = l->node->in[0];
    o->in[0] = (struct lowered_input) { .value = l->node->in[0], .previous = previous };
    o->in[1].value = limit;
    o->rank = x->rank;
    memcpy(o->dim, x->dim, sizeof o->dim);
}

static enum status lower_clip(struct lowering *l) {
    const struct node *n = l->node;
    struct value *low = n->n_in > 1 ? n->in[1] : NULL, *high = n->n_in > 2 ? n->in[2] : NULL;
    double a = low && low->constant ? tensor_f64(low->constant, 0) : NAN,
           b = high && high->constant ? tensor_f64(high->constant, 0) : NAN;
    if (low && high && ((a == 0 && (b == 6 || b == 1)) || (a == -1 && b == 1))) {
        lower_add(l,
                  b == 6   ? BUILTIN_RELU6
                  : a == 0 ? BUILTIN_RELU_0_TO_1
                           : BUILTIN_RELU_N1_TO_1,
                  1)
            ->in[0]
            .value = n->in[0];
        return OK;
    }
    if (!low && !high)
        return lower_as_reshape(l);
    if (low)
        clip_half(l, BUILTIN_MAXIMUM, low, false);
    if (high)
        clip_half(l, BUILTIN_MINIMUM, high, low != NULL);
    return OK;
}

/* --- one input, perhaps with a parameter --- */

static enum status lower_leaky(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_LEAKY_RELU, 1);
    o->in[0].value = l->node->in[0];
    field_f32(o, 0, float_attr(l->node, "alpha", 0.01));
    return OK;
}

static enum status lower_gelu(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_GELU, 1);
    o->in[0].value = l->node->in[0];
    field(o, 0, 1, strcmp(text_attr(l->node, "approximate", "none"), "tanh") == 0);
    return OK;
}

static enum status lower_reciprocal(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_DIV, 2);
    o->in[0].made = tensor_in_arena(l->arena, DT_F32, DT_F32, 0, NULL);
    tensor_set_f64(o->in[0].made, 0, 1);
    o->in[1].value = l->node->in[0];
    o->activation_slot = 0;
    return OK;
}

static enum status lower_cumsum(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_CUMSUM, 2);
    o->in[0].value = l->node->in[0];
    field(o, 0, 1, int_attr(l->node, "exclusive", 0));
    field(o, 1, 1, int_attr(l->node, "reverse", 0));
    return lower_list_input(l, o, 1, 1);
}

static enum status lower_reverse_sequence(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_REVERSE_SEQUENCE, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 4, int_attr(l->node, "time_axis", 0));
    field(o, 1, 4, int_attr(l->node, "batch_axis", 1));
    return OK;
}

static enum status lower_plain(struct lowering *l, enum builtin code, int activation_slot) {
    struct lowered *o = lower_add(l, code, l->node->n_in);
    for (int i = 0; i < l->node->n_in; i++)
        o->in[i].value = l->node->in[i];
    o->activation_slot = activation_slot;
    return OK;
}

static const struct {
    const char *op;
    lower_fn *lower;
} rows[] = {
    { "Gemm", lower_gemm },
    { "MatMul", lower_matmul },
    { "Cast", lower_cast },
    { "ArgMax", lower_arg },
    { "ArgMin", lower_arg },
    { "Softmax", lower_softmax },
    { "LogSoftmax", lower_softmax },
    { "Clip", lower_clip },
    { "LeakyRelu", lower_leaky },
    { "Gelu", lower_gelu },
    { "Reciprocal", lower_reciprocal },
    { "CumSum", lower_cumsum },
    { "ReverseSequence", lower_reverse_sequence },
};

static lower_fn *lower_of_others(const char *op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return rows[i].lower;
    return NULL;
}

static const struct {
    const char *op;
    enum builtin code;
} plain_rows[] = {
    { "Where", BUILTIN_SELECT_V2 },    { "Sum", BUILTIN_ADD_N },
    { "GatherND", BUILTIN_GATHER_ND }, { "BitwiseXor", BUILTIN_BITWISE_XOR },
    { "Range", BUILTIN_RANGE },
};

static const struct {
    const char *op;
    enum builtin code;
} reduce_rows[] = {
    { "ReduceMean", BUILTIN_MEAN },        { "ReduceSum", BUILTIN_SUM },
    { "ReduceProd", BUILTIN_REDUCE_PROD }, { "ReduceMax", BUILTIN_REDUCE_MAX },
    { "ReduceMin", BUILTIN_REDUCE_MIN },
};

enum status tflite_lower(struct lowering *l, const struct node *n, struct arena *a, struct err *e) {
    *l = (struct lowering) { .node = n, .arena = a, .err = e };
    enum builtin code;
    int activation;
    if (strcmp(n->domain, "tflite") == 0) {
        struct lowered *o = lower_add(l, 0, n->n_in);
        for (int i = 0; i < n->n_in; i++)
            o->in[i].value = n->in[i];
        return tflite_own_fields(o, n) ? OK : lower_refuse(l, "a change of it");
    }
    if (n->domain[0])
        return lower_refuse(l, "an operator of another domain");
    lower_fn *const families[] = { lower_of_spatial(n->op), lower_of_shape(n->op),
                                   lower_of_others(n->op) };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (families[i])
            return families[i](l);
    for (size_t i = 0; i < sizeof reduce_rows / sizeof *reduce_rows; i++)
        if (strcmp(reduce_rows[i].op, n->op) == 0)
            return lower_reduce(l, reduce_rows[i].code);
    for (size_t i = 0; i < sizeof plain_rows / sizeof *plain_rows; i++)
        if (strcmp(plain_rows[i].op, n->op) == 0)
            return lower_plain(l, plain_rows[i].code, -1);
    if (int_attr(n, "fmod", 0) || (node_is(n, "Elu") && float_attr(n, "alpha", 1) != 1))
        return lower_refuse(l, "its attribute");
    if (tflite_elementwise(n->op, &code, &activation))
        return lower_plain(l, code, activation);
    return lower_refuse(l, "the operator");
}
