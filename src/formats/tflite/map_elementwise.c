/* Operators that compute element by element: most are one ONNX operator each. */
#include <math.h>
#include <string.h>

#include "formats/tflite/tflite_write.h"

/* One row an operator that ONNX has under another name. `activation`: slot of the fused activation,
 * -1 none. */
static const struct elementwise_row {
    enum builtin code;
    const char *op;
    int n_in, activation;
    const char *then; /* a second operator on the result, or NULL */
} rows[] = {
    { BUILTIN_ADD, "Add", 2, 0, NULL },
    { BUILTIN_SUB, "Sub", 2, 0, NULL },
    { BUILTIN_MUL, "Mul", 2, 0, NULL },
    { BUILTIN_DIV, "Div", 2, 0, NULL },
    { BUILTIN_POW, "Pow", 2, -1, NULL },
    { BUILTIN_FLOOR_MOD, "Mod", 2, -1, NULL }, /* both: the divisor's sign */
    { BUILTIN_MAXIMUM, "Max", 2, -1, NULL },
    { BUILTIN_MINIMUM, "Min", 2, -1, NULL },
    { BUILTIN_LESS, "Less", 2, -1, NULL },
    { BUILTIN_LESS_EQUAL, "LessOrEqual", 2, -1, NULL },
    { BUILTIN_GREATER, "Greater", 2, -1, NULL },
    { BUILTIN_GREATER_EQUAL, "GreaterOrEqual", 2, -1, NULL },
    { BUILTIN_EQUAL, "Equal", 2, -1, NULL },
    { BUILTIN_NOT_EQUAL, "Equal", 2, -1, "Not" },
    { BUILTIN_LOGICAL_AND, "And", 2, -1, NULL },
    { BUILTIN_LOGICAL_OR, "Or", 2, -1, NULL },
    { BUILTIN_LOGICAL_NOT, "Not", 1, -1, NULL },
    { BUILTIN_ABS, "Abs", 1, -1, NULL },
    { BUILTIN_NEG, "Neg", 1, -1, NULL },
    { BUILTIN_SIGN, "Sign", 1, -1, NULL },
    { BUILTIN_EXP, "Exp", 1, -1, NULL },
    { BUILTIN_LOG, "Log", 1, -1, NULL },
    { BUILTIN_SQRT, "Sqrt", 1, -1, NULL },
    { BUILTIN_RSQRT, "Sqrt", 1, -1, "Reciprocal" },
    { BUILTIN_SIN, "Sin", 1, -1, NULL },
    { BUILTIN_COS, "Cos", 1, -1, NULL },
    { BUILTIN_FLOOR, "Floor", 1, -1, NULL },
    { BUILTIN_CEIL, "Ceil", 1, -1, NULL },
    { BUILTIN_ROUND, "Round", 1, -1, NULL }, /* half to even in both */
    { BUILTIN_RELU, "Relu", 1, -1, NULL },
    { BUILTIN_LOGISTIC, "Sigmoid", 1, -1, NULL },
    { BUILTIN_TANH, "Tanh", 1, -1, NULL },
    { BUILTIN_ELU, "Elu", 1, -1, NULL },
    { BUILTIN_HARD_SWISH, "HardSwish", 1, -1, NULL },
    { BUILTIN_PRELU, "PRelu", 2, -1, NULL },
    { BUILTIN_STABLEHLO_ADD, "Add", 2, -1, NULL },
    { BUILTIN_STABLEHLO_SUBTRACT, "Sub", 2, -1, NULL },
    { BUILTIN_STABLEHLO_MULTIPLY, "Mul", 2, -1, NULL },
    { BUILTIN_STABLEHLO_DIVIDE, "Div", 2, -1, NULL },
    { BUILTIN_STABLEHLO_MAXIMUM, "Max", 2, -1, NULL },
    { BUILTIN_STABLEHLO_MINIMUM, "Min", 2, -1, NULL },
    { BUILTIN_STABLEHLO_POWER, "Pow", 2, -1, NULL },
    { BUILTIN_STABLEHLO_ABS, "Abs", 1, -1, NULL },
    { BUILTIN_STABLEHLO_NEGATE, "Neg", 1, -1, NULL },
    { BUILTIN_STABLEHLO_COSINE, "Cos", 1, -1, NULL },
    { BUILTIN_STABLEHLO_EXPONENTIAL, "Exp", 1, -1, NULL },
    { BUILTIN_STABLEHLO_FLOOR, "Floor", 1, -1, NULL },
    { BUILTIN_STABLEHLO_LOG, "Log", 1, -1, NULL },
    { BUILTIN_STABLEHLO_RSQRT, "Sqrt", 1, -1, "Reciprocal" },
    { BUILTIN_STABLEHLO_LOGISTIC, "Sigmoid", 1, -1, NULL },
    { BUILTIN_STABLEHLO_TANH, "Tanh", 1, -1, NULL },
    { BUILTIN_STABLEHLO_SELECT, "Where", 3, -1, NULL },
};

enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct elementwise_row *row_of(enum builtin code) {
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

/* Without an activation the arithmetic operators still keep their results between the largest
 * finite floats (CalculateActivationRange of kTfLiteActNone). That shows where an operand is
 * infinite: a mask of -inf added to scores. */
static bool reads_infinity(const struct op_reader *x) {
    for (int i = 0; i < x->n_in; i++) {
        const struct value *v = x->in[i];
        const struct tensor *t = v && v->dtype == DT_F32 && !v->is_variable ? v->constant : NULL;
        int64_t n = t ? tensor_count(t) : 0;
        for (int64_t k = 0; k < n; k++)
            if (isinf(((const float *)t->data)[k]))
                return true;
    }
    return false;
}

static enum status read_row(struct op_reader *x) {
    const struct elementwise_row *row = row_of(x->code);
    enum activation act = ACTIVATION_NONE;
    TRY(need_inputs(x, row->n_in));
    if (row->activation >= 0)
        TRY(activation_read(x, row->activation, &act));
    if (row->activation >= 0 && act == ACTIVATION_NONE && x->out[0] && x->out[0]->dtype == DT_F32 &&
        reads_infinity(x))
        act = ACTIVATION_SATURATE;
    struct value *in[3];
    for (int i = 0; i < row->n_in; i++)
        in[i] = real_in(x, i);
    struct node *n = emit(x, row->op, "", row->n_in, 1, ROLE_MAIN);
    for (int i = 0; i < row->n_in; i++)
        n->in[i] = in[i];
    if (row->then) {
        bool compares = x->out[0] && x->out[0]->dtype == DT_BOOL;
        struct value *v = between(x, row->op, compares ? DT_BOOL : in[0]->dtype, x->out[0]);
        node_set_output(n, 0, v);
        n = emit(x, row->then, "", 1, 1, ROLE_HELPER);
        n->in[0] = v;
    }
    return deliver(x, 0, n, 0, act);
}

/* RELU6, RELU_N1_TO_1, RELU_0_TO_1: clips. */
static enum status read_clip(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0);
    double low = x->code == BUILTIN_RELU_N1_TO_1 ? -1 : 0, high = x->code == BUILTIN_RELU6 ? 6 : 1;
    struct value *min = made_real(x, "min", v->dtype, low),
                 *max = made_real(x, "max", v->dtype, high);
    struct node *n = emit(x, "Clip", "", 3, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = min;
    n->in[2] = max;
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_leaky_relu(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0);
    struct node *n = emit(x, "LeakyRelu", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_float(n, "alpha", (double)fb_f32(&x->options, 0, 0));
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_gelu(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0);
    struct node *n = emit(x, "Gelu", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_string(n, "approximate", fb_bool(&x->options, 0, false) ? "tanh" : "none");
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* SQUARE: x * x; SQUARED_DIFFERENCE: (a - b) * (a - b). */
static enum status read_square(struct op_reader *x) {
    bool difference = x->code == BUILTIN_SQUARED_DIFFERENCE;
    TRY(need_inputs(x, difference ? 2 : 1));
    struct value *v = real_in(x, 0);
    if (difference) {
        struct value *b = real_in(x, 1);
        v = then2(x, "Sub", v, b, x->out[0]);
    }
    struct node *n = emit(x, "Mul", "", 2, 1, ROLE_MAIN);
    n->in[0] = n->in[1] = v;
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* floor(a / b): of integers (a - modulo(a, b)) / b, which is exact. */
static enum status read_floor_div(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct value *a = real_in(x, 0), *b = real_in(x, 1);
    if (!dtype_is_float(a->dtype)) {
        struct value *rest = then2(x, "Mod", a, b, x->out[0]);
        struct value *whole = then2(x, "Sub", a, rest, x->out[0]);
        return deliver_value(x, 0, then2(x, "Div", whole, b, x->out[0]), ACTIVATION_NONE);
    }
    struct value *q = then2(x, "Div", a, b, x->out[0]);
    struct node *n = emit(x, "Floor", "", 1, 1, ROLE_MAIN);
    n->in[0] = q;
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_right_shift(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct node *n = emit(x, "BitShift", "", 2, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    n->in[1] = raw_in(x, 1);
    node_set_string(n, "direction", "RIGHT");
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_cast(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    FAIL_IF(!x->out[0] || x->out[0]->dtype == DT_NONE, x->r->err, STATUS_UNSUPPORTED,
            "a cast to a type without numbers");
    struct node *n = emit(x, "Cast", "", 1, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    node_set_int(n, "to", dtype_to_onnx(x->out[0]->dtype));
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_add_n(struct op_reader *x) {
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    struct value **in = NEW_ARRAY(x->r->m->arena, x->n_in, struct value *);
    for (int i = 0; i < x->n_in; i++)
        in[i] = real_in(x, i);
    struct node *n = emit(x, "Sum", "", x->n_in, 1, ROLE_MAIN);
    for (int i = 0; i < x->n_in; i++)
        n->in[i] = in[i];
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* SELECT's condition may be one truth value per element of the first axis. */
static enum status read_select(struct op_reader *x) {
    TRY(need_inputs(x, 3));
    struct value *c = raw_in(x, 0), *a = real_in(x, 1), *b = real_in(x, 2);
    if (x->code == BUILTIN_SELECT && c->rank == 1 && a->rank > 1) {
        int64_t dim[MAX_RANK] = { -1 };
        for (int i = 1; i < a->rank; i++)
            dim[i] = 1;
        c = then2(x, "Reshape", c, made_ints(x, "condition_shape", dim, a->rank, -1), NULL);
    }
    struct node *n = emit(x, "Where", "", 3, 1, ROLE_MAIN);
    n->in[0] = c;
    n->in[1] = a;
    n->in[2] = b;
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_dequantize(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = raw_in(x, 0);
    if (v->quant && dtype_is_int(v->dtype)) {
        struct value *real = scaled_in(x, 0);
        return deliver_value(x, 0, real, ACTIVATION_NONE);
    }
    FAIL_IF(!dtype_is_float(v->dtype), x->r->err, STATUS_CORRUPT, "its input '%s' has no scale",
            v->name);
    return read_cast(x);
}

/* QUANTIZE also requantizes: integer to integer through the real value. */
static enum status read_quantize(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    FAIL_IF(!x->out[0] || !x->out[0]->quant, x->r->err, STATUS_UNSUPPORTED,
            "its output has no scale");
    return deliver_quantized(x, 0, scaled_in(x, 0));
}

static enum status read_bitwise_xor(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct node *n =
        emit(x, raw_in(x, 0)->dtype == DT_BOOL ? "Xor" : "BitwiseXor", "", 2, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    n->in[1] = raw_in(x, 1);
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

read_fn *map_elementwise(enum builtin code) {
    switch (code) {
    case BUILTIN_RELU6:
    case BUILTIN_RELU_N1_TO_1:
    case BUILTIN_RELU_0_TO_1:
        return read_clip;
    case BUILTIN_LEAKY_RELU:
        return read_leaky_relu;
    case BUILTIN_GELU:
        return read_gelu;
    case BUILTIN_SQUARE:
    case BUILTIN_SQUARED_DIFFERENCE:
        return read_square;
    case BUILTIN_FLOOR_DIV:
        return read_floor_div;
    case BUILTIN_RIGHT_SHIFT:
        return read_right_shift;
    case BUILTIN_CAST:
    case BUILTIN_STABLEHLO_CONVERT:
        return read_cast;
    case BUILTIN_ADD_N:
        return read_add_n;
    case BUILTIN_SELECT:
    case BUILTIN_SELECT_V2:
        return read_select;
    case BUILTIN_DEQUANTIZE:
        return read_dequantize;
    case BUILTIN_QUANTIZE:
        return read_quantize;
    case BUILTIN_BITWISE_XOR:
        return read_bitwise_xor;
    default:
        return row_of(code) ? read_row : NULL;
    }
}

bool tflite_elementwise(const char *op, enum builtin *code, int *activation_slot) {
    for (int i = 0; i < N_ROWS; i++)
        if (!rows[i].then && strcmp(rows[i].op, op) == 0) {
            *code = rows[i].code;
            *activation_slot = rows[i].activation;
            return true;
        }
    return false;
}
