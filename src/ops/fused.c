/* ONNX Runtime's fused operators: another operator's row, then an activation on its output. The
 * arithmetic is that of the single operators, in their order. */
#include <string.h>

#include "ops/conv.h"
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

/* The activation as a node of its own on tensor `y`. Its parameters are its float attributes in the
 * order of its row; those of Clip are the bounds. */
struct activation_node {
    struct node n;
    struct attr attrs[4];
    const struct tensor *in[3];
};

static enum status activation_node(struct activation_node *a, const struct node *n,
                                   struct arena *arena, const char *name, const double *params,
                                   int n_params, const struct tensor *y, struct err *e) {
    const struct op *row = NULL;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(activations[i].name, name) == 0)
            row = op_find(activations[i].domain, name);
    FAIL_IF(!row, e, STATUS_UNSUPPORTED, "activation '%s' of %s is not known", name, n->op);
    *a = (struct activation_node) { .n = *n, .in = { y } };
    a->n.op = row->name;
    a->n.domain = row->domain;
    a->n.def = row;
    a->n.attrs = a->attrs;
    a->n.n_attrs = 0;
    a->n.n_in = 1;
    if (strcmp(name, "Clip") == 0) {
        FAIL_IF(n_params != 2, e, STATUS_CORRUPT, "Clip in %s needs two parameters", n->op);
        for (int i = 0; i < 2; i++) {
            struct tensor *bound = tensor_in_arena(arena, y->dtype, y->store, 0, NULL);
            tensor_set_f64(bound, 0, params[i]);
            a->in[1 + i] = bound;
        }
        a->n.n_in = 3;
    }
    for (const struct attr_def *d = row->attrs;
         a->n.n_in == 1 && d && d->name && a->n.n_attrs < n_params && a->n.n_attrs < 4; d++)
        if (d->type == ATTR_FLOAT) {
            a->attrs[a->n.n_attrs] =
                (struct attr) { .name = d->name, .type = ATTR_FLOAT, .f = params[a->n.n_attrs] };
            a->n.n_attrs++;
        }
    return OK;
}

/* What a fused operator applies: a name ("" for none) and its parameters. */
struct fused {
    const char *activation, *base;
    double params[8];
    int n_params;
    int addend; /* input that is added before the activation: as it is, or as a bias along the last
                   axis; -1 none */
};

static void fused_read(const struct node *n, struct fused *f) {
    static const char *const names[] = { "activation_alpha", "activation_beta",
                                         "activation_gamma" };
    *f = (struct fused) { .activation = "FastGelu", .base = "MatMul", .addend = 2 };
    if (strcmp(n->op, "FusedConv") == 0) {
        int count;
        const double *params = attr_floats(n, "activation_params", &count);
        f->activation = attr_str(n, "activation");
        f->base = "Conv";
        f->addend = 3;
        f->n_params = count < 8 ? count : 8;
        for (int i = 0; i < f->n_params; i++)
            f->params[i] = params[i];
    } else if (strcmp(n->op, "FusedGemm") == 0) {
        f->activation = attr_str(n, "activation");
        f->base = "Gemm";
        f->addend = -1;
        for (int i = 0; i < 3; i++)
            if (attr_find(n, names[i]))
                f->params[f->n_params++] = attr_float(n, names[i]);
    }
}

/* Everything before the activation, into output 0. The base operator's row reads the same
 * attributes. */
static enum status fused_base(struct op_ctx *c, const struct fused *f) {
    struct tensor *y = c->out[0];
    struct op_ctx inner = *c;
    if (f->addend >= 0 && inner.n_in > f->addend)
        inner.n_in = f->addend;
    TRY(op_find("", f->base)->eval(&inner));
    if (f->addend < 0 || !input_given(c, f->addend))
        return OK;
    const struct tensor *z = c->in[f->addend];
    int64_t n = tensor_count(y), period = tensor_count(z);
    for (int64_t i = 0; i < n; i++)
        tensor_set_f64(y, i, tensor_f64(y, i) + tensor_f64(z, i % period));
    return OK;
}

static enum status fused_eval(struct op_ctx *c) {
    struct fused f;
    struct activation_node a;
    fused_read(c->node, &f);
    TRY(fused_base(c, &f));
    if (!f.activation[0])
        return OK;
    TRY(activation_node(&a, c->node, c->scratch, f.activation, f.params, f.n_params, c->out[0],
                        c->err));
    struct op_ctx inner = *c;
    inner.node = &a.n;
    inner.in = a.in;
    inner.n_in = a.n.n_in;
    inner.n_out = 1;
    return a.n.def->eval(&inner);
}

/* Back through the activation, then the addend, then the base operator. */
static enum status fused_grad(struct grad_ctx *c) {
    struct fused f;
    struct activation_node a;
    const struct tensor *y = c->out[0];
    if (!c->grad_out[0])
        return OK;
    fused_read(c->node, &f);
    struct tensor *before = tensor_in_arena(c->scratch, DT_F64, DT_F64, y->rank, y->dim),
                  *no_grad[3] = { NULL };
    struct tensor *slope = tensor_in_arena(c->scratch, DT_F64, DT_F64, y->rank, y->dim);
    struct op_ctx view = { .node = c->node,
                           .precision = PREC_F64,
                           .scratch = c->scratch,
                           .n_in = c->n_in,
                           .n_out = 1,
                           .in = c->in,
                           .out = &before,
                           .err = c->err };
    TRY(fused_base(&view, &f));
    struct grad_ctx inner = *c;
    const struct tensor *gradient = slope;
    if (f.activation[0]) {
        TRY(activation_node(&a, c->node, c->scratch, f.activation, f.params, f.n_params, before,
                            c->err));
        no_grad[0] = slope;
        inner.node = &a.n;
        inner.in = a.in;
        inner.n_in = a.n.n_in;
        inner.grad_in = no_grad;
        FAIL_IF(!a.n.def->grad, c->err, STATUS_UNSUPPORTED, "the gradient of activation %s",
                f.activation);
        TRY(a.n.def->grad(&inner));
    } else {
        gradient = c->grad_out[0];
    }
    if (f.addend >= 0 && f.addend < c->n_in && c->in[f.addend] && c->grad_in[f.addend]) {
        int64_t n = tensor_count(y), period = tensor_count(c->in[f.addend]);
        for (int64_t i = 0; i < n; i++)
            ((double *)c->grad_in[f.addend]->data)[i % period] +=
                ((const double *)gradient->data)[i];
    }
    inner = *c;
    inner.grad_out = &gradient;
    if (f.addend >= 0 && inner.n_in > f.addend)
        inner.n_in = f.addend;
    return op_find("", f.base)->grad(&inner);
}

static enum status shape_fused_conv(struct shape_ctx *c) {
    TRY(op_find("", "Conv")->shape(c));
    TRY(need_same_dtype(c, 0, 3));
    return c->out[0].rank < 0 ? OK : need_shape(c, 3, c->out[0].rank, c->out[0].dim);
}

static enum status shape_gemm(struct shape_ctx *c) {
    return op_find("", "Gemm")->shape(c);
}

static enum status shape_gemm_gelu(struct shape_ctx *c) {
    TRY(op_find("", "MatMul")->shape(c));
    TRY(need_same_dtype(c, 0, 2));
    return c->out[0].rank < 1 ? OK : need_vector(c, 2, c->out[0].dim[c->out[0].rank - 1]);
}

static const struct attr_def conv_attrs[] = {
    CONV_ATTRS, STRING("activation", ""), PLAIN("activation_params", FLOATS), { 0 }
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
      .eval = fused_eval, .grad = fused_grad },
    { MICROSOFT("FusedGemm", 2, 3), .attrs = gemm_attrs, .shape = shape_gemm, .eval = fused_eval,
      .grad = fused_grad },
    { MICROSOFT("GemmFastGelu", 2, 3), .shape = shape_gemm_gelu, .eval = fused_eval,
      .grad = fused_grad },
    { 0 },
};
