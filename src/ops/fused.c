/* ONNX Runtime's fused operators: another operator's row, then an activation on its output. The
 * arithmetic is that of the single operators, in their order. */
#include <string.h>

#include "ops/row.h"
#include "ops/split.h"

static const struct {
    const char *name, *domain;
} activations[] = {
    { "Relu", "" },
    { "Tanh", "" },
    { "Sigmoid", "" },
    { "LeakyRelu", "" },
    { "Clip", "" },
    { "HardSigmoid", "" },
    { "HardSwish", "" },
    { "Elu", "" },
    { "Selu", "" },
    { "Softplus", "" },
    { "Softsign", "" },
    { "ThresholdedRelu", "" },
    { "FastGelu", "com.microsoft" },
    { "Gelu", "com.microsoft" },
};

/* Applies the activation to output 0 in place. Its parameters are its float attributes in the order
 * of its row; those of Clip are the bounds. */
static enum status activate(struct op_ctx *c, const char *name, const double *params,
                            int n_params) {
    const struct op *row = NULL;
    if (!name[0])
        return OK;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0)
            row = op_find(activations[i].domain, name);
    FAIL_IF(!row, c->err, STATUS_UNSUPPORTED, "activation '%s' of %s is not known", name,
            c->node->op);
    struct attr attrs[4] = { { 0 } };
    struct node n = *c->node;
    struct tensor *y = c->out[0];
    const struct tensor *in[3] = { y };
    struct op_ctx inner = *c;
    n.op = row->name;
    n.domain = row->domain;
    n.def = row;
    n.attrs = attrs;
    n.n_attrs = 0;
    n.n_in = 1;
    if (strcmp(name, "Clip") == 0) {
        FAIL_IF(n_params != 2, c->err, STATUS_CORRUPT, "Clip in %s needs two parameters",
                c->node->op);
        for (int i = 0; i < 2; i++) {
            struct tensor *bound = tensor_in_arena(c->scratch, y->dtype, y->store, 0, NULL);
            tensor_set_f64(bound, 0, params[i]);
            in[1 + i] = bound;
        }
        n.n_in = 3;
    }
    for (const struct attr_def *d = row->attrs;
         n.n_in == 1 && d && d->name && n.n_attrs < n_params && n.n_attrs < 4; d++)
        if (d->type == ATTR_FLOAT) {
            attrs[n.n_attrs] =
                (struct attr) { .name = d->name, .type = ATTR_FLOAT, .f = params[n.n_attrs] };
            n.n_attrs++;
        }
    inner.node = &n;
    inner.in = in;
    inner.n_in = n.n_in;
    inner.n_out = 1;
    return row->eval(&inner);
}

static enum status shape_fused_conv(struct shape_ctx *c) {
    TRY(op_find("", "Conv")->shape(c));
    TRY(need_same_dtype(c, 0, 3));
    return c->out[0].rank < 0 ? OK : need_shape(c, 3, c->out[0].rank, c->out[0].dim);
}

static enum status fused_conv(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    TRY(op_find("", "Conv")->eval(c));
    if (input_given(c, 3)) {
        int64_t n = tensor_count(y);
        for (int64_t i = 0; i < n; i++)
            tensor_set_f64(y, i, tensor_f64(y, i) + tensor_f64(c->in[3], i));
    }
    int count;
    const double *params = attr_floats(c->node, "activation_params", &count);
    return activate(c, attr_str(c->node, "activation"), params, count);
}

static enum status shape_gemm(struct shape_ctx *c) {
    return op_find("", "Gemm")->shape(c);
}

static enum status fused_gemm(struct op_ctx *c) {
    static const char *const names[] = { "activation_alpha", "activation_beta",
                                         "activation_gamma" };
    double params[3];
    int count = 0;
    TRY(op_find("", "Gemm")->eval(c));
    for (int i = 0; i < 3; i++)
        if (attr_find(c->node, names[i]))
            params[count++] = attr_float(c->node, names[i]);
    return activate(c, attr_str(c->node, "activation"), params, count);
}

static enum status shape_gemm_gelu(struct shape_ctx *c) {
    TRY(op_find("", "MatMul")->shape(c));
    TRY(need_same_dtype(c, 0, 2));
    return c->out[0].rank < 1 ? OK : need_vector(c, 2, c->out[0].dim[c->out[0].rank - 1]);
}

static enum status gemm_gelu(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    TRY(op_find("", "MatMul")->eval(c));
    if (input_given(c, 2)) {
        int64_t n = tensor_count(y), width = y->rank ? y->dim[y->rank - 1] : 1;
        for (int64_t i = 0; i < n; i++)
            tensor_set_f64(y, i, tensor_f64(y, i) + tensor_f64(c->in[2], i % width));
    }
    return activate(c, "FastGelu", NULL, 0);
}

static const struct attr_def conv_attrs[] = {
    STRING("auto_pad", "NOTSET"),
    PLAIN("dilations", INTS),
    INT("group", 1),
    PLAIN("kernel_shape", INTS),
    PLAIN("pads", INTS),
    PLAIN("strides", INTS),
    STRING("layout", "NCHW"),
    STRING("kernel_layout", "OIHW"),
    STRING("activation", ""),
    PLAIN("activation_params", FLOATS),
    { 0 },
};

static const struct attr_def gemm_attrs[] = {
    FLOAT("alpha", 1),
    FLOAT("beta", 1),
    INT("transA", 0),
    INT("transB", 0),
    STRING("activation", ""),
    FLOAT("activation_alpha", 0),
    FLOAT("activation_beta", 0),
    FLOAT("activation_gamma", 0),
    { 0 },
};

const struct op ops_fused[] = {
    { MICROSOFT("FusedConv", 2, 4), .attrs = conv_attrs, .shape = shape_fused_conv,
      .eval = fused_conv },
    { MICROSOFT("FusedGemm", 2, 3), .attrs = gemm_attrs, .shape = shape_gemm, .eval = fused_gemm },
    { MICROSOFT("GemmFastGelu", 2, 3), .shape = shape_gemm_gelu, .eval = gemm_gelu },
    { 0 },
};
