/* Naming differences of constants. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "locate/hunt.h"

static bool is_recurrent(const struct node *n) {
    return node_is(n, "LSTM") || node_is(n, "GRU") || node_is(n, "RNN") || strstr(n->op, "LSTM") ||
           strstr(n->op, "RNN");
}

static int by_number(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted(const struct hunt *h, const struct tensor *t) {
    int64_t n = tensor_count(t);
    double *v = NEW_ARRAY(h->arena, n + 1, double);
    for (int64_t i = 0; i < n; i++)
        v[i] = tensor_f64(t, i);
    qsort(v, (size_t)n, sizeof *v, by_number);
    return v;
}

/* The same numbers in another order. */
static bool permuted(const struct hunt *h, const struct tensor *a, const struct tensor *b) {
    int64_t n = tensor_count(a);
    if (n != tensor_count(b) || n < 2 || n > 4000000)
        return false;
    return memcmp(sorted(h, a), sorted(h, b), (size_t)n * sizeof(double)) == 0;
}

/* a is b rounded to a narrower float type or to a uniform grid of at most 256 steps. */
static bool rounded(const struct hunt *h, const struct tensor *a, const struct tensor *b) {
    int64_t n = tensor_count(a);
    if (n != tensor_count(b) || n < 1)
        return false;
    bool f16 = true, bf16 = true;
    double scale = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_f64(a, i), y = tensor_f64(b, i);
        f16 = f16 && (float_round_to(DT_F16, y) == x || (fabs(y) < 1e-4 && fabs(x - y) < 1e-7));
        bf16 = bf16 && float_round_to(DT_BF16, y) == x;
        scale = fmax(scale, fabs(y));
    }
    if (f16 || bf16)
        return true;
    if (n < 16 || scale == 0)
        return false;
    const double *v = sorted(h, a);
    int64_t distinct = 1;
    double worst = 0;
    for (int64_t i = 1; i < n; i++)
        distinct += v[i] != v[i - 1];
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs(tensor_f64(a, i) - tensor_f64(b, i)));
    return distinct <= 256 && distinct < n / 2 && worst <= scale / 100;
}

static bool clamped(const struct tensor *a, const struct tensor *b) {
    bool any = false;
    for (int64_t i = 0; i < tensor_count(a); i++) {
        double x = tensor_f64(a, i), y = tensor_f64(b, i);
        if (x == y)
            continue;
        if (fabs(x) >= fabs(y) || fabs(x) < 1e3 || (x < 0) != (y < 0))
            return false;
        any = true;
    }
    return any;
}

static bool reads_through(const struct node *n, const char *op, int depth) {
    for (int i = 0; n && depth > 0 && i < n->n_in; i++) {
        const struct node *p = n->in[i] ? n->in[i]->producer : NULL;
        if (p && (node_is(p, op) || reads_through(p, op, depth - 1)))
            return true;
    }
    return false;
}

static bool feeds(const struct hunt *h, const struct value *v, const char *op, int depth) {
    const struct uses *u = h->z->al.target_uses;
    for (int i = 0; v && v->id < u->n_values && depth > 0 && i < u->n[v->id]; i++) {
        const struct node *n = u->of[v->id][i].node;
        if (node_is(n, op) || (n->n_out && feeds(h, n->out[0], op, depth - 1)))
            return true;
    }
    return false;
}

bool near_input(const struct hunt *h, const struct value *v) {
    static const char *const ops[] = { "Mul",       "Div",       "Sub",   "Add",      "Cast",
                                       "Transpose", "Gather",    "Slice", "Identity", "Reshape",
                                       "Squeeze",   "Unsqueeze", "Pad" };
    (void)h;
    for (int i = 0; v && i < 6; i++) {
        if (v->is_input)
            return true;
        const struct node *n = v->producer;
        bool ok = false;
        for (size_t k = 0; n && k < sizeof ops / sizeof *ops; k++)
            ok = ok || node_is(n, ops[k]);
        if (!ok)
            return false;
        int data = n->in[0] && !n->in[0]->constant ? 0 : n->n_in > 1 ? 1 : 0;
        v = n->in[data];
    }
    return false;
}

static const char *name_recurrent(const struct hunt *h, int input, const struct tensor *a,
                                  const struct tensor *b, const struct node *n) {
    bool onnx = !n->domain[0];
    if (!a || !b)
        return input == 4 && onnx ? "rnn-direction" : "rnn-bias";
    bool bias = onnx ? input == 3 || input == 7 : a->rank == 1;
    if (!permuted(h, a, b))
        return bias ? "rnn-bias" : rounded(h, a, b) ? "precision" : "weights";
    /* exchanged halves of a bidirectional layer, or exchanged gates */
    int64_t half = tensor_count(a) / 2;
    bool exchanged = onnx && a->rank >= 2 && a->dim[0] == 2;
    for (int64_t i = 0; exchanged && i < half; i++)
        exchanged = tensor_f64(a, i) == tensor_f64(b, half + i) &&
                    tensor_f64(a, half + i) == tensor_f64(b, i);
    return exchanged ? "rnn-direction" : "rnn-gate-order";
}

/* Do the two matrices hold the same numbers along every line of axis `axis`, only in another order?
 */
static bool lines_permuted(const struct hunt *h, const struct tensor *a, const struct tensor *b,
                           int axis) {
    int64_t lines = a->dim[1 - axis], length = a->dim[axis];
    double *x = NEW_ARRAY(h->arena, length + 1, double),
           *y = NEW_ARRAY(h->arena, length + 1, double);
    for (int64_t i = 0; i < lines; i++) {
        for (int64_t k = 0; k < length; k++) {
            int64_t at = axis == 1 ? i * length + k : k * lines + i;
            x[k] = tensor_f64(a, at);
            y[k] = tensor_f64(b, at);
        }
        qsort(x, (size_t)length, sizeof *x, by_number);
        qsort(y, (size_t)length, sizeof *y, by_number);
        if (memcmp(x, y, (size_t)length * sizeof *x) != 0)
            return false;
    }
    return true;
}

/* How many of the lines across axis `axis` hold other numbers? */
static int64_t lines_moved(const struct tensor *a, const struct tensor *b, int axis) {
    int64_t lines = a->dim[axis], length = a->dim[1 - axis], moved = 0;
    for (int64_t i = 0; i < lines; i++) {
        bool same = true;
        for (int64_t k = 0; k < length && same; k++) {
            int64_t at = axis == 0 ? i * length + k : k * lines + i;
            same = tensor_f64(a, at) == tensor_f64(b, at);
        }
        moved += !same;
    }
    return moved;
}

/* Only the input features are in another order: the flatten in front of the layer runs over other
 * axes, which leaves but a few of them where they were. */
static bool features_permuted(const struct hunt *h, const struct node *n, const struct tensor *a,
                              const struct tensor *b) {
    const struct attr *t = node_attr(n, "transB");
    if (!(node_is(n, "Gemm") || node_is(n, "MatMul")) || a->rank != 2 || b->rank != 2 ||
        !dims_equal(a->dim, 2, b->dim, 2))
        return false;
    int axis = t && t->i ? 1 : 0;
    return lines_permuted(h, a, b, axis) && 2 * lines_moved(a, b, axis) > a->dim[axis];
}

static const char *name_weight(const struct hunt *h, const struct node *n, const struct tensor *a,
                               const struct tensor *b) {
    if (rounded(h, a, b))
        return "precision";
    if (permuted(h, a, b)) {
        return features_permuted(h, n, a, b) ? "flatten-dense-order" : "weight-storage-order";
    }
    return "weights";
}

static const char *const norm_inputs[] = { "BatchNormalization", "InstanceNormalization",
                                           "LayerNormalization", "GroupNormalization",
                                           "RMSNormalization" };

static const char *name_scalar(const struct hunt *h, const struct node *n, const struct tensor *a) {
    double v = fabs(tensor_f64(a, 0));
    if (node_is(n, "Add") && v < 0.02 &&
        (feeds(h, n->out[0], "Sqrt", 1) || feeds(h, n->out[0], "Pow", 1)))
        return "norm-epsilon";
    if (node_is(n, "Max") || node_is(n, "Min"))
        return "clip-bounds";
    if (near_input(h, n->out[0]))
        return "preprocessing";
    if (feeds(h, n->out[0], "Softmax", 3))
        return "attribute-default";
    return "bias-misbinding";
}

/* Several nodes read the weight: a scale was folded into it for one of them. */
static bool weight_is_shared(const struct hunt *h, const struct node *n, int input) {
    const struct value *v = input < n->n_in ? n->in[input] : NULL;
    return v && v->id < h->z->al.target_uses->n_values && h->z->al.target_uses->n[v->id] > 1;
}

/* Who reads what a DequantizeLinear makes of a constant. */
static const struct use *reader_of(const struct hunt *h, const struct node *n) {
    const struct uses *u = h->z->al.target_uses;
    const struct value *v = n->n_out ? n->out[0] : NULL;
    return v && v->id < u->n_values && u->n[v->id] > 0 ? &u->of[v->id][0] : NULL;
}

static bool is_recurrent_origin(const struct node *n) {
    return n->origin.op && (strstr(n->origin.op, "LSTM") || strstr(n->origin.op, "RNN"));
}

const char *name_constant(const struct hunt *h, const struct node *n, int input,
                          const struct tensor *a, const struct tensor *b,
                          const struct node *source_node) {
    (void)source_node;
    if (node_is(n, "DequantizeLinear") && input == 0 && a && b) {
        const struct use *reader = reader_of(h, n);
        if (is_recurrent_origin(n))
            return a->rank == 1 ? "rnn-bias" : permuted(h, a, b) ? "rnn-gate-order" : "weights";
        if (reader && !node_is(reader->node, "DequantizeLinear"))
            return name_constant(h, reader->node, reader->input, a, b, NULL);
    }
    if (is_recurrent(n))
        return name_recurrent(h, input, a, b, n);
    if (a && b && tensor_count(a) == tensor_count(b) && dtype_is_float(a->dtype) &&
        (clamped(a, b) || (tensor_count(a) > 3 && rounded(h, a, b))))
        return "precision";
    if (node_is(n, "Clip"))
        return "clip-bounds";
    if (node_is(n, "PRelu"))
        return "activation-constant";
    if (node_is(n, "QuantizeLinear") || node_is(n, "DequantizeLinear") ||
        strncmp(n->op, "QLinear", 7) == 0)
        return "quant-params";
    for (size_t i = 0; i < sizeof norm_inputs / sizeof *norm_inputs; i++)
        if (node_is(n, norm_inputs[i]))
            return node_is(n, "BatchNormalization") ? "bn-param-swap" : "bias-misbinding";
    if (node_is(n, "Resize"))
        return "resize-mode";
    if (node_is(n, "Gather") && input == 1)
        return near_input(h, n->out[0]) ? "preprocessing"
               : reads_through(n, "LSTM", 4) || reads_through(n, "GRU", 4) ||
                       reads_through(n, "RNN", 4)
                   ? "rnn-direction"
                   : "frozen-or-lost-semantics";
    if (node_is(n, "Slice") || node_is(n, "Pad") || node_is(n, "TopK") ||
        node_is(n, "ConstantOfShape") || node_is(n, "OneHot"))
        return node_is(n, "Pad") ? "pad-side" : "attribute-default";
    if (strncmp(n->op, "Reduce", 6) == 0 || node_is(n, "Squeeze") || node_is(n, "Unsqueeze") ||
        node_is(n, "CumSum"))
        return "axis-remap";
    if (node_is(n, "Reshape"))
        return "transpose-equal-dims";
    bool weight = input == 1 && (node_is(n, "Conv") || node_is(n, "ConvTranspose") ||
                                 node_is(n, "Gemm") || node_is(n, "MatMul"));
    weight = weight || (node_is(n, "MatMul") && input == 0);
    if (weight && a && b) {
        const char *name = name_weight(h, n, a, b);
        return strcmp(name, "weights") == 0 && weight_is_shared(h, n, input) ? "fold-shared" : name;
    }
    if ((node_is(n, "Conv") || node_is(n, "ConvTranspose") || node_is(n, "Gemm")) && input == 2)
        return "bias-misbinding";
    if (node_is(n, "Where"))
        return "frozen-or-lost-semantics";
    if (a && tensor_count(a) == 1)
        return name_scalar(h, n, a);
    enum { CHANNELS = 4 }; /* of an image; more numbers are no mean or scale of the input */
    if (near_input(h, n->out[0]) && a && tensor_count(a) <= CHANNELS &&
        (node_is(n, "Mul") || node_is(n, "Sub") || node_is(n, "Add") || node_is(n, "Div")))
        return "preprocessing";
    return "bias-misbinding";
}
