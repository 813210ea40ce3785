#include "passes/fixed_point.h"

#include <math.h>
#include <string.h>

#include "ir/patch.h"
#include "ops/op.h"

/* A real value of a group and the integers it stands for. */
struct stored {
    const struct value *real;
    struct value *raw, *scale, *zero;
};

struct pass {
    struct patch *patch;
    struct arena *arena;
    struct graph *g;
    struct node **core; /* the group without its DequantizeLinear and QuantizeLinear */
    int n_core;
    struct node **ends; /* its QuantizeLinear */
    int n_ends;
    struct node *last; /* where new nodes are put, and what they are said to come from */
    struct stored *stored;
    int n_stored;
    bool quantizes; /* the model has quantized operators */
    enum status status;
    struct err *err;
};

/* Several nodes that a reader gives for one operator. attrs: the node whose attributes count, -1
 * none. */
struct pattern {
    const char *op[3];
    const char *name;
    int attrs;
};
static const struct pattern patterns[] = {
    { { "Mul", "Softmax" }, "Softmax", 1 },
    { { "Sqrt", "Reciprocal" }, "Rsqrt", -1 },
    { { "Sub", "Mul" }, "SquaredDifference", -1 },
    { { "Div", "Floor" }, "FloorDiv", -1 },
    { { "ReduceL2", "Max", "Div" }, "L2Normalization", -1 },
};

static const struct stored *stored_of(const struct pass *p, const struct value *real) {
    for (int i = 0; real && i < p->n_stored; i++)
        if (p->stored[i].real == real)
            return &p->stored[i];
    return NULL;
}

static void store(struct pass *p, const struct value *real, struct value *raw, struct value *scale,
                  struct value *zero) {
    struct stored s = { real, raw, scale, zero };
    PUSH(p->arena, p->stored, p->n_stored, s);
}

static struct value *raw_of(const struct pass *p, struct value *v) {
    const struct stored *s = stored_of(p, v);
    return s ? s->raw : v;
}

static bool one_of(const char *const *names, const char *name) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

bool moves_elements(const struct node *n) {
    static const char *const names[] = {
        "Reshape",      "Squeeze",      "Unsqueeze", "Flatten", "Identity", "Transpose",
        "Slice",        "Gather",       "GatherND",  "Tile",    "Expand",   "Split",
        "DepthToSpace", "SpaceToDepth", "Pad",       "Where",   NULL
    };
    static const char *const own[] = { "SPACE_TO_BATCH_ND",
                                       "BATCH_TO_SPACE_ND",
                                       "MIRROR_PAD",
                                       "DYNAMIC_UPDATE_SLICE",
                                       "MATRIX_DIAG",
                                       "MATRIX_SET_DIAG",
                                       "SLICE",
                                       "STRIDED_SLICE",
                                       "GATHER",
                                       "STABLEHLO_GATHER",
                                       "STABLEHLO_PAD",
                                       NULL };
    const struct attr *mode = node_is(n, "Resize") ? node_attr(n, "mode") : NULL;
    if (mode)
        return strcmp(mode->s, "nearest") == 0;
    return n->domain[0] ? strcmp(n->domain, "tflite") == 0 && one_of(own, n->op)
                        : one_of(names, n->op);
}

/* The input of a mover whose elements count, and where it takes what fills the rest; -1 none. */
static int moved_input(const struct node *n) {
    return node_is(n, "Where") ? 1 : 0;
}

static int fill_input(const struct node *n) {
    return node_is(n, "Pad") ? 2 : strcmp(n->op, "SPACE_TO_BATCH_ND") == 0 ? 3 : -1;
}

/* The result on the dequantized values is the result on the integers. */
static bool exact_in_reals(const struct node *n) {
    static const char *const names[] = { "ArgMax", "ArgMin", NULL };
    return !n->domain[0] && one_of(names, n->op);
}

/* Arithmetic of StableHLO, which the interpreter computes on the integers as they are. */
static bool on_integers(const struct node *n) {
    static const char *const names[] = { "Add", "Mul", "Max", "Min", NULL };
    return n->native & NATIVE_IGNORES_SCALES &&
           (n->domain[0] ? strcmp(n->op, "STABLEHLO_SCATTER") == 0 : one_of(names, n->op));
}

static enum status refuse(struct pass *p, const struct node *n) {
    if (n->native & NATIVE_IGNORES_SCALES)
        err_set(p->err, STATUS_UNSUPPORTED,
                "the interpreter has no kernel for it on quantized integers (%s); --precision f64 "
                "and f32 compute it on real numbers",
                n->op);
    else
        err_set(
            p->err, STATUS_UNSUPPORTED,
            "calque has no integer kernel for it (%s); --precision f64 and f32 compute it on real "
            "numbers",
            n->op);
    return err_at(p->err, "node %s (%s)", node_label(n, p->arena),
                  n->origin.op ? n->origin.op : n->op);
}

/* --- making nodes: a new one, or the group's last in place of its QuantizeLinear --- */

static void copy_attrs(struct pass *p, struct node *to, const struct node *from) {
    for (int i = 0; i < to->n_attrs; i++)
        patch_remove_attr(p->patch, to, to->attrs[i].name);
    for (int i = 0; from && i < from->n_attrs; i++)
        patch_set_attr(p->patch, to, &from->attrs[i]);
}

static void become(struct pass *p, struct node *end, const char *op, const char *domain,
                   struct value *const *in, int n_in, const struct node *attrs) {
    patch_set_op(p->patch, end, op, domain);
    for (int i = 0; i < n_in; i++)
        patch_set_input(p->patch, end, i, in[i]);
    for (int i = n_in; i < end->n_in; i++)
        patch_set_input(p->patch, end, i, NULL);
    copy_attrs(p, end, attrs);
}

/* The node, with `out` as what it gives; end NULL: a new node before the group's end. */
static struct node *make(struct pass *p, struct node *end, const char *op, const char *domain,
                         struct value *const *in, int n_in, int n_out, const struct node *attrs) {
    if (end) {
        become(p, end, op, domain, in, n_in, attrs);
        return end;
    }
    struct node *n = patch_node(p->patch, p->g, p->last, op, domain, in, n_in, n_out);
    n->origin = p->last->origin;
    n->group = p->last->group;
    copy_attrs(p, n, attrs);
    return n;
}

/* A mover on the integers. Padding is with the zero point. */
static void make_mover(struct pass *p, const struct node *n, struct node *end) {
    const struct stored *s = stored_of(p, n->in[moved_input(n)]);
    int fill = fill_input(n), n_in = n->n_in <= fill ? fill + 1 : n->n_in;
    struct value **in = NEW_ARRAY(p->arena, n_in + 1, struct value *);
    for (int i = 0; i < n->n_in; i++)
        in[i] = raw_of(p, n->in[i]);
    if (fill >= 0 && !in[fill])
        in[fill] = s->zero;
    struct value *scale = s->scale, *zero = s->zero, *raw = s->raw;
    struct node *made = make(p, end, n->op, n->domain, in, n_in, n->n_out, n);
    for (int i = 0; !end && i < n->n_out; i++)
        if (n->out[i]) {
            made->out[i]->dtype = raw->dtype;
            store(p, n->out[i], made->out[i], scale, zero);
        }
}

/* The inputs of an operator of domain "fixed", see ops/fixed.h. */
static struct value **fixed_inputs(struct pass *p, const struct node *main, const struct node *end,
                                   int *n_in) {
    int data = main->n_in;
    *n_in = 3 * data + 2 * (end ? 1 : main->n_out);
    struct value **in = NEW_ARRAY(p->arena, *n_in + 1, struct value *);
    for (int i = 0; i < data; i++) {
        const struct stored *s = stored_of(p, main->in[i]);
        in[i] = s ? s->raw : main->in[i];
        in[data + 2 * i] = s ? s->scale : NULL;
        in[data + 2 * i + 1] = s ? s->zero : NULL;
    }
    for (int i = 0; end && i < 2; i++)
        in[3 * data + i] = end->in[i + 1];
    return in;
}

/* --- one group --- */

static int pattern_length(const struct pattern *t) {
    return t->op[2] ? 3 : 2;
}

static const struct pattern *match(const struct pass *p, int from) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        int length = pattern_length(&patterns[i]);
        bool all = from + length <= p->n_core;
        for (int k = 0; all && k < length; k++)
            all = node_is(p->core[from + k], patterns[i].op[k]);
        if (all)
            return &patterns[i];
    }
    return NULL;
}

/* The limits that a fused activation sets; false when it is none that fixed-point kernels have. */
static bool activation(const struct node *n, double *low, double *high) {
    *low = node_is(n, "Relu") ? 0 : -HUGE_VAL;
    *high = HUGE_VAL;
    if (!node_is(n, "Clip"))
        return node_is(n, "Relu");
    if (n->n_in != 3 || !n->in[1] || !n->in[1]->constant || !n->in[2] || !n->in[2]->constant)
        return false;
    *low = tensor_f64(n->in[1]->constant, 0);
    *high = tensor_f64(n->in[2]->constant, 0);
    return true;
}

static void set_limits(struct pass *p, struct node *n, double low, double high) {
    if (isfinite(low))
        patch_set_float(p->patch, n, "low", low);
    if (isfinite(high))
        patch_set_float(p->patch, n, "high", high);
}

/* The operator itself: nodes core[from .. from + length). end: takes the place of it, NULL when
 * movers follow. */
static enum status make_main(struct pass *p, int from, const struct pattern *t, double low,
                             double high, const struct value *real, struct node *end) {
    const struct node *first = p->core[from];
    const char *name = t ? t->name : first->op;
    const struct node *attrs = !t ? first : t->attrs >= 0 ? p->core[from + t->attrs] : NULL;
    bool plain = on_integers(first);
    if (!plain && (!op_find("fixed", name) || first->native & NATIVE_IGNORES_SCALES))
        return refuse(p, first);
    int n_in;
    struct value **in = fixed_inputs(p, first, p->ends[0], &n_in);
    if (plain) /* without the scales and zero points */
        n_in = first->n_in;
    struct value *scale = p->ends[0]->in[1], *zero = p->ends[0]->in[2];
    struct node *n =
        make(p, plain ? NULL : end, name, plain ? first->domain : "fixed", in, n_in, 1, attrs);
    set_limits(p, n, low, high);
    if (first->native & NATIVE_POWER_OF_TWO)
        patch_set_int(p->patch, n, "power_of_two", 1);
    if (!end || plain) {
        n->out[0]->dtype = p->ends[0]->out[0]->dtype;
        store(p, real, n->out[0], scale, zero);
    }
    if (end && plain) /* a variadic operator takes no input that is left out */
        become(p, end, "Identity", "", n->out, 1, NULL);
    return OK;
}

static bool moves_stored(const struct pass *p, const struct node *n) {
    return moves_elements(n) && stored_of(p, n->in[moved_input(n)]);
}

/* Something before the operator that has nothing to do with quantized values: it stays. */
static bool stays(const struct pass *p, const struct node *n) {
    for (int i = 0; i < n->n_in; i++) {
        const struct value *v = n->in[i];
        if (v && (stored_of(p, v) || (v->producer && v->producer->group == n->group)))
            return false;
    }
    return moves_elements(n);
}

/* Leading movers, the operator, activation and trailing movers in any order, one output. */
static enum status one_output(struct pass *p) {
    struct node *end = p->ends[0];
    int i = 0, n = p->n_core;
    for (; i < n && (moves_stored(p, p->core[i]) || stays(p, p->core[i])); i++)
        if (moves_stored(p, p->core[i]))
            make_mover(p, p->core[i], i + 1 == n ? end : NULL);
    if (i == n)
        return OK;
    const struct pattern *t = match(p, i);
    int after = i + (t ? pattern_length(t) : 1), movers = 0;
    double low = -HUGE_VAL, high = HUGE_VAL;
    for (int k = after; k < n; k++) {
        if (moves_elements(p->core[k]))
            movers++;
        else if (!activation(p->core[k], &low, &high))
            return refuse(p, p->core[i]);
    }
    const struct value *real = p->core[after - 1]->out[0];
    TRY(make_main(p, i, t, low, high, real, movers ? NULL : end));
    for (int k = after; k < n; k++) {
        const struct node *c = p->core[k];
        if (moves_elements(c))
            make_mover(p, c, --movers ? NULL : end);
        else if (movers) { /* the activation is in the operator */
            const struct stored *s = stored_of(p, c->in[0]);
            store(p, c->out[0], s->raw, s->scale, s->zero);
        }
    }
    return OK;
}

/* The QuantizeLinear of a real output. */
static const struct node *end_of(const struct pass *p, const struct value *real) {
    for (int i = 0; i < p->n_ends; i++)
        if (p->ends[i]->in[0] == real)
            return p->ends[i];
    return NULL;
}

/* The operator with all of its outputs. */
static enum status make_several(struct pass *p, const struct node *n) {
    int n_in, first = 3 * n->n_in;
    struct value **in = fixed_inputs(p, n, NULL, &n_in);
    for (int k = 0; k < n->n_out; k++) {
        const struct node *end = n->out[k] ? end_of(p, n->out[k]) : NULL;
        if (!end)
            return refuse(p, n);
        in[first + 2 * k] = end->in[1];
        in[first + 2 * k + 1] = end->in[2];
    }
    struct node *made = make(p, NULL, n->op, "fixed", in, n_in, n->n_out, n);
    for (int k = 0; k < n->n_out; k++) {
        made->out[k]->dtype = end_of(p, n->out[k])->out[0]->dtype;
        store(p, n->out[k], made->out[k], in[first + 2 * k], in[first + 2 * k + 1]);
    }
    return OK;
}

/* Several outputs of one mover or operator. */
static enum status several_outputs(struct pass *p) {
    if (p->n_core == 1 && moves_stored(p, p->core[0]))
        make_mover(p, p->core[0], NULL);
    else if (p->n_core == 1 && op_find("fixed", p->core[0]->op))
        TRY(make_several(p, p->core[0]));
    else
        return refuse(p, p->core[0]);
    for (int k = 0; k < p->n_ends; k++) {
        struct value *raw = raw_of(p, p->ends[k]->in[0]);
        become(p, p->ends[k], "Identity", "", &raw, 1, NULL);
    }
    return OK;
}

/* Quantization or requantization alone. */
static void quantize_only(struct pass *p) {
    struct node *end = p->ends[0];
    const struct stored *s = stored_of(p, end->in[0]);
    struct value *in[] = { raw_of(p, end->in[0]), s ? s->scale : NULL, s ? s->zero : NULL,
                           end->in[1], end->in[2] };
    const struct node attrs = *end;
    become(p, end, s ? "Requantize" : "Quantize", "fixed", in, 5, &attrs);
}

/* Operators with kernels for float activations. */
static bool sums_products(const struct node *n) {
    static const char *const names[] = { "Conv", "ConvTranspose", "Gemm", "MatMul", NULL };
    return !n->domain[0] && one_of(names, n->op);
}

/* Float activations with integer weights, which have kernels of their own. */
static bool hybrid(const struct pass *p, const struct node *n) {
    bool weights = false;
    for (int i = 1; i < n->n_in; i++)
        weights |= n->in[i] && stored_of(p, n->in[i]);
    return weights && !stored_of(p, n->in[0]) &&
           (n->domain[0] ? op_find("fixed", n->op) != NULL : sums_products(n));
}

/* Float operators beside quantized ones: one last bit decides what an activation is quantized to,
 * so that their sums are made in the order of the reference kernels too. */
static void real_group(struct pass *p) {
    for (int i = 0; p->quantizes && i < p->n_core; i++) {
        struct node *n = p->core[i];
        int n_in;
        if (!sums_products(n) || n->in[0]->dtype != DT_F32 || n->in[1]->dtype != DT_F32)
            continue;
        struct value **in = fixed_inputs(p, n, NULL, &n_in);
        const struct node attrs = *n;
        become(p, n, n->op, "fixed", in, n_in, &attrs);
    }
}

/* Real outputs: integer weights on float activations, or a comparison of quantized values. */
static enum status real_outputs(struct pass *p) {
    int i = 0;
    while (i < p->n_core && !exact_in_reals(p->core[i]) && !op_find("fixed", p->core[i]->op))
        i++;
    if (i == p->n_core)
        return refuse(p, p->core[0]);
    struct node *main = p->core[i];
    if (exact_in_reals(main))
        return OK;
    p->last = main;
    for (int k = 0; k < i; k++)
        if (moves_stored(p, p->core[k]))
            make_mover(p, p->core[k], NULL);
    bool weights_only = hybrid(p, main);
    if (!stored_of(p, main->in[0]) && !weights_only)
        return refuse(p, main);
    int n_in;
    struct value **in = fixed_inputs(p, main, NULL, &n_in);
    const struct node attrs = *main;
    become(p, main, main->op, "fixed", in, n_in, &attrs);
    if (weights_only && main->native & NATIVE_ASYMMETRIC)
        patch_set_int(p->patch, main, "asymmetric", 1);
    return OK;
}

/* What the group's new form no longer reads is taken out, last to first. */
static void remove_old(struct pass *p, struct node **nodes, int n) {
    for (int i = n - 1; i >= 0; i--) {
        bool dequantizes = node_is(nodes[i], "DequantizeLinear");
        bool old = p->n_ends ? !node_is(nodes[i], "QuantizeLinear") && !stays(p, nodes[i])
                             : moves_stored(p, nodes[i]);
        if (dequantizes || old)
            patch_remove_node(p->patch, nodes[i]);
    }
}

static enum status lower_group(struct pass *p, struct node **nodes, int n) {
    p->n_core = p->n_ends = p->n_stored = 0;
    p->core = NEW_ARRAY(p->arena, n + 1, struct node *);
    p->ends = NEW_ARRAY(p->arena, n + 1, struct node *);
    for (int i = 0; i < n; i++) {
        if (node_is(nodes[i], "DequantizeLinear"))
            store(p, nodes[i]->out[0], nodes[i]->in[0], nodes[i]->in[1], nodes[i]->in[2]);
        else if (node_is(nodes[i], "QuantizeLinear"))
            p->ends[p->n_ends++] = nodes[i];
        else
            p->core[p->n_core++] = nodes[i];
    }
    p->last = p->n_ends ? p->ends[0] : NULL;
    bool quantized = p->n_ends || p->n_stored;
    if (!quantized)
        real_group(p);
    if (!quantized || (!p->n_core && !p->n_ends))
        return OK;
    if (!p->n_core)
        quantize_only(p);
    else if (p->n_ends == 1)
        TRY(one_output(p));
    else if (p->n_ends)
        TRY(several_outputs(p));
    else if (exact_in_reals(p->core[0]))
        return OK;
    else
        TRY(real_outputs(p));
    remove_old(p, nodes, n);
    return OK;
}

static void find_quantized(struct graph *g, void *arg) {
    struct pass *p = arg;
    for (int i = 0; i < g->n_nodes; i++)
        p->quantizes |=
            node_is(g->nodes[i], "DequantizeLinear") || node_is(g->nodes[i], "QuantizeLinear");
}

static void lower_graph(struct graph *g, void *arg) {
    struct pass *p = arg;
    p->g = g;
    for (int i = 0, next; i < g->n_nodes && p->status == OK; i = next) {
        for (next = i + 1; next < g->n_nodes && g->nodes[i]->group >= 0 &&
                           g->nodes[next]->group == g->nodes[i]->group;)
            next++;
        p->status = lower_group(p, g->nodes + i, next - i);
    }
}

enum status fixed_point(struct model *m, struct err *e) {
    if (!m->fixed_point)
        return OK;
    struct arena *a = arena_new();
    struct pass p = { .patch = patch_new(m, "quantized operators in integer arithmetic"),
                      .arena = a,
                      .err = e };
    model_each_graph(m, find_quantized, &p);
    model_each_graph(m, lower_graph, &p);
    if (p.status == OK)
        p.status = patch_apply(p.patch, e);
    arena_free(a);
    return p.status;
}
