/* MoE of com.microsoft: a mixture of experts, written out as other operators. Every token goes
 * through every expert; those that its router does not choose count nothing. The k largest of the
 * softmax of the router's row are the weights, with normalize_routing_weights divided by their sum.
 * Its gelu is the form with tanh, as ONNX Runtime computes it. */
#include <string.h>

#include "ops/body.h"
#include "ops/row.h"

enum { X, ROUTER, FC1, BIAS1, FC2, BIAS2, FC3, BIAS3 };

static struct value *pair(struct body *b, const char *op, struct value *x, struct value *y) {
    return body_op(b, op, x, y, NULL);
}

struct experts {
    int64_t tokens, n, hidden, inner; /* inner: rows of fc2's input */
    bool fused, gated;                /* SwiGLU: both halves in fc1, or the second in fc3 */
};

static enum status read_experts(const struct body *b, struct experts *m) {
    const struct tensor *x = b->c->in[X], *router = b->c->in[ROUTER], *fc1 = b->c->in[FC1],
                        *fc2 = body_has(b, FC2) ? b->c->in[FC2] : NULL;
    const char *kind = attr_str(b->c->node, "activation_type");
    bool swiglu = strcmp(kind, "swiglu") == 0;
    FAIL_IF(!fc2 || x->rank < 2 || router->rank != 2 || fc1->rank != 3 || fc2->rank != 3, b->c->err,
            STATUS_CORRUPT, "MoE: the experts' weights do not fit");
    *m = (struct experts) { router->dim[0],
                            router->dim[1],
                            fc2->dim[1],
                            fc2->dim[2],
                            swiglu && attr_int(b->c->node, "swiglu_fusion") != 0,
                            body_has(b, FC3) };
    FAIL_IF(fc1->dim[0] != m->n || fc2->dim[0] != m->n ||
                fc1->dim[1] != (m->fused ? 2 : 1) * m->inner ||
                fc1->dim[2] != x->dim[x->rank - 1] || m->hidden != x->dim[x->rank - 1],
            b->c->err, STATUS_CORRUPT, "MoE: the experts' weights do not fit");
    FAIL_IF(attr_int(b->c->node, "use_sparse_mixer"), b->c->err, STATUS_UNSUPPORTED,
            "MoE with use_sparse_mixer");
    FAIL_IF(m->gated != (swiglu && !m->fused), b->c->err, STATUS_UNSUPPORTED,
            "MoE with activation %s %s a third product", kind, m->gated ? "and" : "without");
    return OK;
}

/* [experts, tokens, 1], 0 where the expert is not chosen. */
static struct value *weights(struct body *b, const struct experts *m) {
    const int64_t k = attr_int(b->c->node, "k"), last[] = { -1 }, turned[] = { 1, 0 };
    struct value *p = body_op_int(b, "Softmax", b->in[ROUTER], NULL, "axis", -1);
    struct value *in[] = { p, body_ints(b, 1, &k) };
    struct node *top = body_node(b, "", "TopK", in, 2, 2);
    struct value *chosen = top->out[0];
    double *zeros = NEW_ARRAY(b->m->arena, m->tokens * m->n + 1, double);
    if (attr_int(b->c->node, "normalize_routing_weights"))
        chosen = pair(b, "Div", chosen, pair(b, "ReduceSum", chosen, body_ints(b, 1, last)));
    p = body_op(b, "ScatterElements",
                body_tensor(b, 2, (const int64_t[]) { m->tokens, m->n }, zeros), top->out[1],
                chosen);
    node_set_int(p->producer, "axis", 1);
    return pair(b, "Unsqueeze", body_transpose(b, p, 2, turned), body_ints(b, 1, last));
}

/* x times the experts' matrices turned, and their biases. */
static struct value *product(struct body *b, struct value *x, int matrix, int bias) {
    const int64_t middle[] = { 1 };
    struct value *y = body_times_turned(b, x, b->in[matrix], 3);
    return body_has(b, bias)
               ? pair(b, "Add", y, pair(b, "Unsqueeze", b->in[bias], body_ints(b, 1, middle)))
               : y;
}

/* clamp(g) * sigmoid(alpha * clamp(g)) * (clamp(l) + beta) */
static struct value *gate(struct body *b, struct value *g, struct value *l) {
    const struct node *n = b->c->node;
    if (attr_find(n, "swiglu_limit")) {
        struct value *most = body_number(b, attr_float(n, "swiglu_limit")),
                     *least = body_number(b, -attr_float(n, "swiglu_limit"));
        g = pair(b, "Min", g, most);
        l = body_op(b, "Clip", l, least, most);
    }
    struct value *s = pair(b, "Mul", g, body_number(b, attr_float(n, "activation_alpha")));
    l = pair(b, "Add", l, body_number(b, attr_float(n, "activation_beta")));
    return pair(b, "Mul", pair(b, "Mul", g, pair(b, "Sigmoid", s, NULL)), l);
}

static struct value *activated(struct body *b, const struct experts *m, struct value *x,
                               struct value *h) {
    const char *kind = attr_str(b->c->node, "activation_type");
    if (m->gated)
        return gate(b, h, product(b, x, FC3, BIAS3));
    if (m->fused && attr_int(b->c->node, "swiglu_fusion") == 2)
        return gate(b, body_slice(b, h, 2, 0, m->inner),
                    body_slice(b, h, 2, m->inner, 2 * m->inner));
    if (m->fused) { /* neighbours */
        const int64_t apart[] = { m->n, m->tokens, m->inner, 2 },
                      joined[] = { m->n, m->tokens, m->inner };
        h = body_reshape(b, h, 4, apart);
        return gate(b, body_reshape(b, body_slice(b, h, 3, 0, 1), 3, joined),
                    body_reshape(b, body_slice(b, h, 3, 1, 2), 3, joined));
    }
    if (strcmp(kind, "silu") == 0)
        return pair(b, "Mul", h, pair(b, "Sigmoid", h, NULL));
    if (strcmp(kind, "identity") == 0)
        return h;
    struct value *y = pair(b, strcmp(kind, "gelu") == 0 ? "Gelu" : "Relu", h, NULL);
    if (strcmp(kind, "gelu") == 0)
        node_set_string(y->producer, "approximate", "tanh");
    return y;
}

static enum status write_experts(struct body *b) {
    static const char *const kinds[] = { "relu", "gelu", "silu", "swiglu", "identity" };
    const char *kind = attr_str(b->c->node, "activation_type");
    const struct tensor *x = b->c->in[X];
    struct experts m = { 0 };
    bool known = false;
    for (int i = 0; i < 5; i++)
        known |= strcmp(kind, kinds[i]) == 0;
    FAIL_IF(!known, b->c->err, STATUS_UNSUPPORTED, "MoE with activation %s", kind);
    TRY(read_experts(b, &m));
    const int64_t rows[] = { 1, m.tokens, m.hidden }, first[] = { 0 };
    struct value *in = body_reshape(b, b->in[X], 3, rows);
    struct value *w = weights(b, &m), *h = product(b, in, FC1, BIAS1);
    struct value *y = product(b, activated(b, &m, in, h), FC2, BIAS2), *none = body_number(b, 0);
    y = body_op(b, "Where", pair(b, "Equal", w, none), none, pair(b, "Mul", y, w));
    y = body_op_int(b, "ReduceSum", y, body_ints(b, 1, first), "keepdims", 0);
    b->out[0] = body_reshape(b, y, x->rank, x->dim);
    return OK;
}

static enum status shape_experts(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    return shape_of_body(c, write_experts);
}

static enum status eval_experts(struct op_ctx *c) {
    return eval_of_body(c, write_experts);
}

static enum status grad_experts(struct grad_ctx *c) {
    return grad_of_body(c, write_experts);
}

/* clang-format off */
const struct op ops_contrib_experts[] = {
    { MICROSOFT("MoE", 3, 8), .flags = OP_VIEW,
      .attrs = ATTRS(FLOAT("activation_alpha", 1), FLOAT("activation_beta", 0), STRING("activation_type", "relu"), INT("k", 1),
                     INT("normalize_routing_weights", 0), INT("swiglu_fusion", 0), PLAIN("swiglu_limit", FLOAT), INT("use_sparse_mixer", 0)),
      .shape = shape_experts, .eval = eval_experts, .grad = grad_experts },
    { 0 },
};
