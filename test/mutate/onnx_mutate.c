/* Faults in ONNX files (field numbers: onnx.proto). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "message.h"
#include "mutation.h"

enum {
    VARINT = 0,
    BYTES = 2,
    FIXED32 = 5,
    MODEL_GRAPH = 7,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_T = 5,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    FLOAT = 1,
    MAX_DIMS = 8,
};

struct editor {
    const struct site *site;
    struct arena *arena;
    struct message *graph;
    int n_nodes;
    struct mutation *m;
};

/* --- looking --- */

static struct message *node_at(struct editor *x, int k) {
    return message_inner(x->graph, GRAPH_NODE, k);
}

static const char *op_of(const struct message *n) {
    return message_text(n, NODE_OP, 0);
}

static bool is_one_of(const struct message *n, const char *ops) {
    size_t length = strlen(op_of(n));
    for (const char *p = ops; *p; p += strcspn(p, " "), p += *p == ' ')
        if (strncmp(p, op_of(n), length) == 0 && (p[length] == ' ' || !p[length]))
            return true;
    return false;
}

static struct message *attribute(struct message *n, const char *name) {
    for (int k = 0; k < message_count(n, NODE_ATTRIBUTE); k++) {
        struct message *a = message_inner(n, NODE_ATTRIBUTE, k);
        if (a && strcmp(message_text(a, ATTRIBUTE_NAME, 0), name) == 0)
            return a;
    }
    return NULL;
}

static struct message *attribute_made(struct message *n, const char *name, int type) {
    struct message *a = attribute(n, name);
    if (a)
        return a;
    struct message_field *f = message_add(n, NODE_ATTRIBUTE, BYTES);
    f->inner = a = NEW(n->arena, struct message);
    a->arena = n->arena;
    message_set_text(a, ATTRIBUTE_NAME, 0, name);
    message_set_value(a, ATTRIBUTE_TYPE, VARINT, (uint64_t)type);
    return a;
}

static int ints_of(struct message *n, const char *name, int64_t *out) {
    struct message *a = attribute(n, name);
    return a ? message_varints(a, ATTRIBUTE_INTS, out, 2 * MAX_DIMS) : 0;
}

static void set_ints(struct message *n, const char *name, const int64_t *v, int count) {
    message_set_varints(attribute_made(n, name, 7), ATTRIBUTE_INTS, v, count);
}

static float float_of(struct message *n, const char *name, float otherwise) {
    struct message *a = attribute(n, name);
    struct message_field *f = a ? message_field(a, ATTRIBUTE_F, 0) : NULL;
    if (!f)
        return otherwise;
    uint32_t bits = (uint32_t)f->value;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void set_float(struct message *n, const char *name, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    message_set_value(attribute_made(n, name, 1), ATTRIBUTE_F, FIXED32, bits);
}

static int64_t int_of(struct message *n, const char *name, int64_t otherwise) {
    struct message *a = attribute(n, name);
    struct message_field *f = a ? message_field(a, ATTRIBUTE_I, 0) : NULL;
    return f ? (int64_t)f->value : otherwise;
}

static void set_int(struct message *n, const char *name, int64_t v) {
    message_set_value(attribute_made(n, name, 2), ATTRIBUTE_I, VARINT, (uint64_t)v);
}

static struct message *tensor_named(struct editor *x, const char *name) {
    for (int k = 0; *name && k < message_count(x->graph, GRAPH_INITIALIZER); k++) {
        struct message *t = message_inner(x->graph, GRAPH_INITIALIZER, k);
        if (t && strcmp(message_text(t, TENSOR_NAME, 0), name) == 0)
            return t;
    }
    for (int k = 0; *name && k < x->n_nodes; k++) {
        struct message *n = node_at(x, k);
        if (strcmp(op_of(n), "Constant") == 0 &&
            strcmp(message_text(n, NODE_OUTPUT, 0), name) == 0 && attribute(n, "value"))
            return message_inner(attribute(n, "value"), ATTRIBUTE_T, 0);
    }
    return NULL;
}

/* A float32 tensor as numbers that can be put back. */
struct numbers {
    struct message *tensor;
    float *v;
    int64_t n, dim[MAX_DIMS];
    int rank;
};

static bool open_numbers(struct editor *x, const char *name, struct numbers *out) {
    struct message *t = tensor_named(x, name);
    struct message_field *type = t ? message_field(t, TENSOR_TYPE, 0) : NULL;
    if (!type || type->value != FLOAT)
        return false;
    *out = (struct numbers) { .tensor = t, .n = 1 };
    out->rank = message_varints(t, TENSOR_DIMS, out->dim, MAX_DIMS);
    for (int i = 0; i < out->rank; i++)
        out->n *= out->dim[i];
    struct message_field *raw = message_field(t, TENSOR_RAW, 0);
    const struct message_field *f = raw ? raw : message_field(t, TENSOR_FLOATS, 0);
    if (!f || f->wire != BYTES || f->size != (size_t)out->n * 4 || out->n == 0)
        return false;
    out->v = arena_copy(x->arena, f->data, f->size);
    return true;
}

static void put_numbers(const struct numbers *w) {
    struct message_field *f = message_field(w->tensor, TENSOR_RAW, 0);
    f = f ? f : message_field(w->tensor, TENSOR_FLOATS, 0);
    f->data = (const unsigned char *)w->v;
}

static int readers(struct editor *x, const char *value) {
    int n = 0;
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; i < message_count(node_at(x, k), NODE_INPUT); i++)
            n += strcmp(message_text(node_at(x, k), NODE_INPUT, i), value) == 0;
    return n;
}

static bool is_graph_output(struct editor *x, const char *value) {
    for (int k = 0; k < message_count(x->graph, GRAPH_OUTPUT); k++)
        if (strcmp(message_text(message_inner(x->graph, GRAPH_OUTPUT, k), 1, 0), value) == 0)
            return true;
    return false;
}

/* --- where the fault is --- */

static void place_node(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *name = message_text(n, NODE_NAME, 0);
    if (*name)
        mutation_place(x->m, x->arena, name);
    else
        mutation_place(x->m, x->arena, arena_printf(x->arena, "#%d", k));
    for (int i = 0; i < message_count(n, NODE_OUTPUT); i++)
        mutation_place(x->m, x->arena, message_text(n, NODE_OUTPUT, i));
}

static void place_readers(struct editor *x, const char *value) {
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; i < message_count(node_at(x, k), NODE_INPUT); i++)
            if (strcmp(message_text(node_at(x, k), NODE_INPUT, i), value) == 0)
                place_node(x, k);
}

static bool done(struct editor *x, int k, const char *causes, const char *what) {
    x->m->causes = causes;
    x->m->what = what;
    place_node(x, k);
    return true;
}

static void rename_reads(struct editor *x, const char *from, const char *to, int but) {
    for (int k = 0; k < x->n_nodes; k++)
        for (int i = 0; k != but && i < message_count(node_at(x, k), NODE_INPUT); i++)
            if (strcmp(message_text(node_at(x, k), NODE_INPUT, i), from) == 0)
                message_set_text(node_at(x, k), NODE_INPUT, i, to);
}

/* --- attributes --- */

static bool edit_pads(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], kernel[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv MaxPool AveragePool ConvTranspose"))
        return false;
    int count = ints_of(n, "pads", pads), r = count / 2,
        kernels = ints_of(n, "kernel_shape", kernel);
    bool changed = false;
    for (int i = 0; i < r; i++) {
        int64_t begin = pads[i], end = pads[r + i];
        if (begin != end) {
            pads[i] = end;
            pads[r + i] = begin;
        } else if (end > 0 && kernels == r && begin + 1 < kernel[i]) {
            pads[i]++;
            pads[r + i]--;
        } else {
            continue;
        }
        changed = true;
    }
    if (!changed)
        return false;
    set_ints(n, "pads", pads, count);
    return done(x, k, "pad-side convtranspose-crop", "pads moved to the other side");
}

static bool edit_dilations(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], kernel[2 * MAX_DIMS], d[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv"))
        return false;
    int r = ints_of(n, "kernel_shape", kernel), given = ints_of(n, "dilations", d);
    if (r == 0 || ints_of(n, "pads", pads) != 2 * r || (given && given != r))
        return false;
    bool changed = false;
    for (int i = 0; i < r; i++) {
        int64_t now = given ? d[i] : 1, then = now > 1 ? 1 : 2,
                shift = (then - now) * (kernel[i] - 1);
        d[i] = now;
        if (shift == 0 || shift % 2 || pads[i] + shift / 2 < 0 || pads[r + i] + shift / 2 < 0)
            continue;
        d[i] = then;
        pads[i] += shift / 2;
        pads[r + i] += shift / 2;
        changed = true;
    }
    if (!changed)
        return false;
    set_ints(n, "dilations", d, r);
    set_ints(n, "pads", pads, 2 * r);
    return done(x, k, "dilation pad-side", "dilations changed, pads adjusted");
}

static bool edit_strides(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t strides[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv MaxPool AveragePool"))
        return false;
    int r = ints_of(n, "strides", strides);
    if (r == 0)
        return false;
    for (int i = 0; i < r; i++)
        strides[i] = strides[i] > 1 ? strides[i] - 1 : 2;
    set_ints(n, "strides", strides, r);
    return done(x, k, "attribute-default dilation", "strides changed");
}

static bool edit_ceil_mode(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "MaxPool AveragePool"))
        return false;
    set_int(n, "ceil_mode", !int_of(n, "ceil_mode", 0));
    return done(x, k, "pool-ceil-mode", "ceil_mode flipped");
}

static bool edit_count_include_pad(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], sum = 0;
    int count = is_one_of(n, "AveragePool") ? ints_of(n, "pads", pads) : 0;
    for (int i = 0; i < count; i++)
        sum += pads[i];
    if (!sum)
        return false;
    set_int(n, "count_include_pad", !int_of(n, "count_include_pad", 0));
    return done(x, k, "avgpool-count-include-pad", "count_include_pad flipped");
}

static bool edit_epsilon(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(
            n, "BatchNormalization InstanceNormalization LayerNormalization GroupNormalization"))
        return false;
    float e = float_of(n, "epsilon", 1e-5f);
    set_float(n, "epsilon", e >= 1e-3f ? 1e-6f : 1e-2f);
    return done(x, k, "norm-epsilon", "epsilon changed");
}

static bool edit_axis(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Softmax LogSoftmax Concat Gather ArgMax LayerNormalization Flatten") ||
        !attribute(n, "axis"))
        return false;
    struct shape_of_value s = x->site->shape(x->site->shape_arg, message_text(n, NODE_OUTPUT, 0));
    if (s.rank < 2)
        return false;
    int64_t axis = int_of(n, "axis", 0);
    axis = axis < 0 ? axis + s.rank : axis;
    set_int(n, "axis", (axis + 1 + chance_below(x->site->chance, s.rank - 1)) % s.rank);
    return done(x, k, "axis-remap", "axis changed");
}

static bool edit_alpha(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    bool leaky = is_one_of(n, "LeakyRelu"), elu = is_one_of(n, "Elu"),
         hard = is_one_of(n, "HardSigmoid");
    if (!leaky && !elu && !hard)
        return false;
    float alpha = float_of(n, "alpha", leaky ? 0.01f : elu ? 1 : 0.2f);
    set_float(n, "alpha", leaky ? (alpha < 0.15f ? 0.3f : 0.01f) : alpha * 0.5f);
    return done(x, k, "activation-constant", "alpha changed");
}

static bool edit_gemm(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Gemm"))
        return false;
    struct numbers w;
    bool square =
        open_numbers(x, message_text(n, NODE_INPUT, 1), &w) && w.rank == 2 && w.dim[0] == w.dim[1];
    if (square && chance_below(x->site->chance, 2)) {
        set_int(n, "transB", !int_of(n, "transB", 0));
        return done(x, k, "attribute-default weight-storage-order transpose-equal-dims",
                    "transB flipped");
    }
    const char *name =
        chance_below(x->site->chance, 2) && message_count(n, NODE_INPUT) > 2 ? "beta" : "alpha";
    set_float(n, name, 0.5f * float_of(n, name, 1));
    return done(x, k, "attribute-default", arena_printf(x->arena, "%s halved", name));
}

static bool edit_resize(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Resize"))
        return false;
    struct message *a = attribute_made(n, "coordinate_transformation_mode", 3);
    bool half = strcmp(message_text(a, ATTRIBUTE_S, 0), "asymmetric") == 0;
    message_set_text(a, ATTRIBUTE_S, 0, half ? "half_pixel" : "asymmetric");
    return done(x, k, "resize-mode", "coordinate mode changed");
}

static bool edit_clip(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Clip"))
        return false;
    struct numbers w;
    if (attribute(n, "max")) {
        set_float(n, "max", 0.25f * float_of(n, "max", 6));
        return done(x, k, "clip-bounds", "max lowered");
    }
    const char *bound = message_text(n, NODE_INPUT, 2);
    if (!*bound || !open_numbers(x, bound, &w) || w.n != 1 || readers(x, bound) != 1)
        return false;
    w.v[0] *= 0.25f;
    put_numbers(&w);
    return done(x, k, "clip-bounds", "max lowered");
}

/* --- nodes --- */

static bool edit_activation_missing(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0), *in = message_text(n, NODE_INPUT, 0);
    if (!is_one_of(n, "Relu Clip LeakyRelu") || is_graph_output(x, out))
        return false;
    done(x, k, "clip-bounds", arena_printf(x->arena, "%s bypassed", op_of(n)));
    place_readers(x, out);
    for (int j = 0; j < x->n_nodes; j++)
        if (strcmp(message_text(node_at(x, j), NODE_OUTPUT, 0), in) == 0)
            place_node(x, j);
    rename_reads(x, out, in, -1);
    message_set_text(n, NODE_OP, 0, "Identity");
    message_remove(n, NODE_ATTRIBUTE);
    struct message_field *inputs = message_field(n, NODE_INPUT, 0);
    struct message_field keep = *inputs;
    message_remove(n, NODE_INPUT);
    *message_add(n, NODE_INPUT, BYTES) = keep;
    return true;
}

/* The value is made under another name and comes back through a new node behind its maker. */
static void insert_behind(struct editor *x, int k, const char *op, const int64_t *perm, int rank) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0),
               *raw = arena_printf(x->arena, "%s_before", out);
    message_set_text(n, NODE_OUTPUT, 0, raw);
    struct message *added = NEW(x->arena, struct message);
    added->arena = x->arena;
    message_set_text(added, NODE_INPUT, 0, raw);
    message_set_text(added, NODE_OUTPUT, 0, out);
    message_set_text(added, NODE_NAME, 0, arena_printf(x->arena, "added_behind_%s", out));
    message_set_text(added, NODE_OP, 0, op);
    if (perm)
        set_ints(added, "perm", perm, rank);
    mutation_place(x->m, x->arena, message_text(added, NODE_NAME, 0));
    mutation_place(x->m, x->arena, raw);
    place_readers(x, out);
    struct message_field field = { .number = GRAPH_NODE, .wire = BYTES, .inner = added };
    struct message *g = x->graph;
    message_add(g, 0, 0);
    int at = (int)(message_field(g, GRAPH_NODE, k) - g->fields) + 1;
    memmove(&g->fields[at + 1], &g->fields[at], (size_t)(g->n - 1 - at) * sizeof *g->fields);
    g->fields[at] = field;
}

static bool edit_activation_extra(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0);
    if (!is_one_of(n, "Conv Gemm MatMul Add BatchNormalization") || readers(x, out) == 0)
        return false;
    for (int j = 0; j < x->n_nodes; j++)
        if (is_one_of(node_at(x, j), "Relu Clip") &&
            strcmp(message_text(node_at(x, j), NODE_INPUT, 0), out) == 0)
            return false;
    done(x, k, "clip-bounds", "a Relu added");
    insert_behind(x, k, "Relu", NULL, 0);
    return true;
}

static bool edit_transpose_extra(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0);
    struct shape_of_value s = x->site->shape(x->site->shape_arg, out);
    if (s.rank < 2 || s.rank > MAX_DIMS ||
        !is_one_of(n, "Conv Relu MaxPool Add MatMul Concat BatchNormalization Mul") ||
        readers(x, out) == 0)
        return false;
    int a = -1, b = -1;
    for (int i = 0; i < s.rank; i++)
        for (int j = i + 1; j < s.rank; j++)
            if (s.dim[i] == s.dim[j] && s.dim[i] > 1) {
                a = i;
                b = j;
            }
    if (a < 0)
        return false;
    int64_t perm[MAX_DIMS];
    for (int i = 0; i < s.rank; i++)
        perm[i] = i == a ? b : i == b ? a : i;
    done(x, k, "transpose-equal-dims", "two equal axes exchanged");
    insert_behind(x, k, "Transpose", perm, s.rank);
    return true;
}

static bool edit_transpose_perm(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t perm[2 * MAX_DIMS];
    int r = is_one_of(n, "Transpose") ? ints_of(n, "perm", perm) : 0;
    struct shape_of_value s = x->site->shape(x->site->shape_arg, message_text(n, NODE_OUTPUT, 0));
    if (r < 2 || s.rank != r)
        return false;
    for (int i = 0; i < r; i++)
        for (int j = i + 1; j < r; j++) {
            if (s.dim[i] != s.dim[j] || s.dim[i] < 2)
                continue;
            int64_t t = perm[i];
            perm[i] = perm[j];
            perm[j] = t;
            set_ints(n, "perm", perm, r);
            return done(x, k, "transpose-equal-dims axis-remap", "perm changed between equal axes");
        }
    return false;
}

static bool edit_operands(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Sub Div Pow MatMul Concat") || message_count(n, NODE_INPUT) < 2)
        return false;
    const char *a = message_text(n, NODE_INPUT, 0), *b = message_text(n, NODE_INPUT, 1);
    if (strcmp(a, b) == 0)
        return false;
    message_set_text(n, NODE_INPUT, 0, b);
    message_set_text(n, NODE_INPUT, 1, a);
    return done(x, k, "operand-or-io-order", "operands exchanged");
}

/* --- constants --- */

static float largest(const struct numbers *w) {
    float most = 0;
    for (int64_t i = 0; i < w->n; i++)
        most = fabsf(w->v[i]) > most ? fabsf(w->v[i]) : most;
    return most;
}

static bool weight_of(struct editor *x, int k, struct numbers *w) {
    struct message *n = node_at(x, k);
    const char *name = message_text(n, NODE_INPUT, 1);
    if (!is_one_of(n, "Conv Gemm MatMul ConvTranspose") || !open_numbers(x, name, w) ||
        w->rank < 2 || readers(x, name) != 1)
        return false;
    return largest(w) > 0;
}

static bool edit_weight_element(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    int64_t i = (int64_t)(chance_next(x->site->chance) % (uint64_t)w.n);
    w.v[i] += w.v[i] < 0 ? -largest(&w) : largest(&w);
    put_numbers(&w);
    return done(x, k, "weights", "one weight changed");
}

static bool edit_weight_scale(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    for (int64_t i = 0; i < w.n; i++)
        w.v[i] *= 1.25f;
    put_numbers(&w);
    return done(x, k, "weights fold-shared attribute-default precision", "weights scaled by 1.25");
}

static bool edit_weight_channels(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w) || w.dim[0] < 2)
        return false;
    int64_t rest = w.n / w.dim[0];
    for (int64_t i = 0; i < rest; i++) {
        float t = w.v[i];
        w.v[i] = w.v[(w.dim[0] - 1) * rest + i];
        w.v[(w.dim[0] - 1) * rest + i] = t;
    }
    put_numbers(&w);
    return done(x, k, "weights weight-storage-order", "first and last channel exchanged");
}

static bool edit_weight_kernel(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    int64_t h = w.dim[w.rank - 2], l = w.dim[w.rank - 1];
    if (h != l || h < 2)
        return false;
    for (int64_t c = 0; c < w.n / (h * l); c++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < i; j++) {
                float *m = w.v + c * h * l, t = m[i * l + j];
                m[i * l + j] = m[j * l + i];
                m[j * l + i] = t;
            }
    put_numbers(&w);
    return done(x, k, "weight-storage-order transpose-equal-dims attribute-default",
                "kernel axes exchanged");
}

static bool bias_of(struct editor *x, int k, struct numbers *b) {
    struct message *n = node_at(x, k);
    bool add = is_one_of(n, "Add");
    if (!add && !is_one_of(n, "Conv Gemm ConvTranspose"))
        return false;
    for (int i = add ? 0 : 2; i < (add ? 2 : 3); i++) {
        const char *name = message_text(n, NODE_INPUT, i);
        if (*name && readers(x, name) == 1 && open_numbers(x, name, b) && b->n > 1)
            return largest(b) > 0;
    }
    return false;
}

static bool edit_bias(struct editor *x, int k) {
    struct numbers b;
    if (!bias_of(x, k, &b))
        return false;
    bool rotate = chance_below(x->site->chance, 2);
    float first = b.v[0];
    for (int64_t i = 0; i < b.n; i++)
        b.v[i] = !rotate ? 0 : i + 1 < b.n ? b.v[i + 1] : first;
    put_numbers(&b);
    return done(x, k, "bias-misbinding", rotate ? "bias rotated by one" : "bias zeroed");
}

static bool edit_scalar(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Mul Add Sub Div Pow"))
        return false;
    for (int i = 0; i < 2; i++) {
        struct numbers s;
        const char *name = message_text(n, NODE_INPUT, i);
        if (!open_numbers(x, name, &s) || s.n != 1 || readers(x, name) != 1 || s.v[0] == 0)
            continue;
        s.v[0] *= 1.5f;
        put_numbers(&s);
        return done(x, k, "bias-misbinding attribute-default weights",
                    "a scalar constant times 1.5");
    }
    return false;
}

static bool edit_norm_parameters(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    struct numbers scale, bias;
    if (!is_one_of(n, "BatchNormalization InstanceNormalization LayerNormalization"))
        return false;
    if (!open_numbers(x, message_text(n, NODE_INPUT, 1), &scale) ||
        !open_numbers(x, message_text(n, NODE_INPUT, 2), &bias) || scale.n != bias.n)
        return false;
    memcpy(bias.v, scale.v, (size_t)scale.n * sizeof *scale.v);
    put_numbers(&bias);
    return done(x, k, "bn-param-swap bias-misbinding", "bias is the scale");
}

/* --- the table --- */

static const struct {
    const char *kind;
    bool (*edit)(struct editor *x, int node);
} edits[] = {
    { "pads", edit_pads },
    { "dilations", edit_dilations },
    { "strides", edit_strides },
    { "ceil_mode", edit_ceil_mode },
    { "count_include_pad", edit_count_include_pad },
    { "epsilon", edit_epsilon },
    { "axis", edit_axis },
    { "alpha", edit_alpha },
    { "gemm", edit_gemm },
    { "resize", edit_resize },
    { "clip bounds", edit_clip },
    { "activation missing", edit_activation_missing },
    { "activation extra", edit_activation_extra },
    { "operands", edit_operands },
    { "transpose extra", edit_transpose_extra },
    { "transpose perm", edit_transpose_perm },
    { "weight element", edit_weight_element },
    { "weight scale", edit_weight_scale },
    { "weight channels", edit_weight_channels },
    { "weight kernel", edit_weight_kernel },
    { "bias", edit_bias },
    { "scalar", edit_scalar },
    { "norm parameters", edit_norm_parameters },
};
enum { EDITS = sizeof edits / sizeof *edits };

const char *const onnx_kinds[] = { "pads",
                                   "dilations",
                                   "strides",
                                   "ceil_mode",
                                   "count_include_pad",
                                   "epsilon",
                                   "axis",
                                   "alpha",
                                   "gemm",
                                   "resize",
                                   "clip bounds",
                                   "activation missing",
                                   "activation extra",
                                   "operands",
                                   "transpose extra",
                                   "transpose perm",
                                   "weight element",
                                   "weight scale",
                                   "weight channels",
                                   "weight kernel",
                                   "bias",
                                   "scalar",
                                   "norm parameters",
                                   NULL };

/* Nodes that an earlier fault of this file touches are left alone. */
static bool touched(struct editor *x, int k, const struct mutation *made, int n) {
    struct message *node = node_at(x, k);
    for (int f = 0; f < n; f++)
        for (int p = 0; p < made[f].n_places; p++) {
            if (strcmp(made[f].places[p], message_text(node, NODE_NAME, 0)) == 0)
                return true;
            for (int i = 0; i < message_count(node, NODE_INPUT); i++)
                if (strcmp(made[f].places[p], message_text(node, NODE_INPUT, i)) == 0)
                    return true;
            for (int i = 0; i < message_count(node, NODE_OUTPUT); i++)
                if (strcmp(made[f].places[p], message_text(node, NODE_OUTPUT, i)) == 0)
                    return true;
        }
    return false;
}

static bool edit_once(struct editor *x, int which, const struct mutation *before, int n_before) {
    x->n_nodes = message_count(x->graph, GRAPH_NODE);
    int start = x->n_nodes ? chance_below(x->site->chance, x->n_nodes) : 0;
    for (int i = 0; i < x->n_nodes; i++) {
        int k = (start + i) % x->n_nodes;
        *x->m = (struct mutation) { .kind = edits[which].kind };
        if (node_at(x, k) && !touched(x, k, before, n_before) && edits[which].edit(x, k))
            return true;
    }
    return false;
}

int onnx_mutate(const struct site *s, const unsigned char *data, size_t size, const char *kind,
                int n, struct file_image *out, struct mutation *made) {
    struct editor x = { .site = s, .arena = s->arena };
    struct message *model = message_parse(s->arena, data, size);
    x.graph = model ? message_inner(model, MODEL_GRAPH, 0) : NULL;
    int count = 0, first = 0;
    while (first < EDITS && strcmp(edits[first].kind, kind) != 0)
        first++;
    if (!x.graph || first == EDITS)
        return 0;
    for (int k = 0; k < 8 * n && count < n; k++) {
        x.m = &made[count];
        if (edit_once(&x, k == 0 ? first : chance_below(s->chance, EDITS), made, count))
            count++;
        else if (k == 0)
            return 0;
    }
    out->size = message_size(model);
    out->data = arena_alloc(s->arena, out->size + 1);
    message_write(model, out->data);
    return count;
}
