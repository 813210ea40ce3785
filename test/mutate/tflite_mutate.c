/* Faults in TensorFlow Lite files, made in place (field numbers: schema.fbs). */
#include <math.h>
#include <string.h>

#include "base/cursor.h"
#include "mutation.h"
#include "wire/flatbuffer.h"

enum builtin {
    ADD = 0,
    AVERAGE_POOL_2D = 1,
    CONCATENATION = 2,
    CONV_2D = 3,
    DEPTHWISE_CONV_2D = 4,
    FULLY_CONNECTED = 9,
    MAX_POOL_2D = 17,
    MUL = 18,
    RELU = 19,
    RELU6 = 21,
    RESIZE_BILINEAR = 23,
    SOFTMAX = 25,
    PAD = 34,
    TRANSPOSE = 39,
    SUB = 41,
    DIV = 42,
    POW = 78,
    LEAKY_RELU = 98,
};

enum {
    TYPE_FLOAT32 = 0,
    TYPE_INT32 = 2,
    ACTIVATION_NONE = 0,
    ACTIVATION_RELU = 1,
    ACTIVATION_RELU6 = 3
};

struct editor {
    const struct site *site;
    struct arena *arena;
    unsigned char *data; /* the copy being edited; the tables below are read from it */
    struct flatbuffer fb;
    struct fb_table graph;
    struct fb_vector codes, tensors, operators, buffers;
};

/* --- looking --- */

static struct fb_table operator_at(struct editor *x, int k) {
    return fb_vec_table(&x->operators, (size_t)k);
}

static int builtin_of(struct editor *x, int k) {
    struct fb_table op = operator_at(x, k);
    struct fb_table code = fb_vec_table(&x->codes, fb_u32(&op, 0, 0));
    int32_t old = fb_i8(&code, 0, 0), new = fb_i32(&code, 3, 0);
    return old > new ? old : new;
}

static bool is_one_of(struct editor *x, int k, const int *codes, int n) {
    for (int i = 0; i < n; i++)
        if (builtin_of(x, k) == codes[i])
            return true;
    return false;
}
#define IS(x, k, ...)                                  \
    is_one_of((x), (k), (const int[]) { __VA_ARGS__ }, \
              (int)(sizeof(int[]) { __VA_ARGS__ } / sizeof(int)))

/* Tensor number of input or output i (field 1 or 2), -1 none. */
static int32_t operand(struct editor *x, int k, int field, size_t i) {
    struct fb_table op = operator_at(x, k);
    struct fb_vector v = fb_vec(&op, field, 4);
    return i < v.n ? (int32_t)load_u32le(x->data + v.at + 4 * i) : -1;
}

static size_t operand_count(struct editor *x, int k, int field) {
    struct fb_table op = operator_at(x, k);
    return fb_vec(&op, field, 4).n;
}

static void set_operand(struct editor *x, int k, size_t i, int32_t tensor) {
    struct fb_table op = operator_at(x, k);
    struct fb_vector v = fb_vec(&op, 1, 4);
    store_u32le(x->data + v.at + 4 * i, (uint32_t)tensor);
}

static const char *tensor_name(struct editor *x, int32_t t) {
    if (t < 0)
        return "";
    struct fb_table tensor = fb_vec_table(&x->tensors, (size_t)t);
    size_t n = 0;
    const char *s = fb_text(&tensor, 3, &n);
    return s ? arena_strn(x->arena, s, n) : "";
}

static size_t option(struct editor *x, int k, int field, size_t width) {
    struct fb_table op = operator_at(x, k);
    struct fb_table options = fb_sub(&op, 4);
    return options.at ? fb_field(&options, field, width) : 0;
}

static int readers(struct editor *x, int32_t tensor) {
    int n = 0;
    for (int k = 0; k < (int)x->operators.n; k++)
        for (size_t i = 0; i < operand_count(x, k, 1); i++)
            n += operand(x, k, 1, i) == tensor;
    return n;
}

struct numbers {
    unsigned char *at; /* little endian, 4 bytes each */
    int64_t n, dim[8];
    int rank;
};

static bool open_numbers(struct editor *x, int32_t t, uint8_t type, struct numbers *out) {
    if (t < 0)
        return false;
    struct fb_table tensor = fb_vec_table(&x->tensors, (size_t)t);
    if (fb_u8(&tensor, 1, 0) != type)
        return false;
    uint32_t buffer = fb_u32(&tensor, 2, 0);
    for (size_t i = 0; i < x->tensors.n; i++) { /* a buffer of two tensors would be two faults */
        struct fb_table other = fb_vec_table(&x->tensors, i);
        if ((int32_t)i != t && fb_u32(&other, 2, 0) == buffer)
            return false;
    }
    struct fb_table b = fb_vec_table(&x->buffers, buffer);
    struct fb_vector bytes = fb_vec(&b, 0, 1), shape = fb_vec(&tensor, 0, 4);
    *out = (struct numbers) { .at = x->data + bytes.at, .n = 1 };
    for (size_t i = 0; i < shape.n && i < 8; i++)
        out->n *= out->dim[out->rank++] = (int32_t)load_u32le(x->data + shape.at + 4 * i);
    return bytes.n > 0 && bytes.n == (size_t)out->n * 4;
}

static float number(const struct numbers *w, int64_t i) {
    uint32_t bits = load_u32le(w->at + 4 * i);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static void set_number(const struct numbers *w, int64_t i, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    store_u32le(w->at + 4 * i, bits);
}

static float largest(const struct numbers *w) {
    float most = 0;
    for (int64_t i = 0; i < w->n; i++)
        most = fabsf(number(w, i)) > most ? fabsf(number(w, i)) : most;
    return most;
}

static void place(struct editor *x, int k) {
    mutation_place(x->site->m, x->arena, arena_printf(x->arena, "#%d", k));
    for (size_t i = 0; i < operand_count(x, k, 2); i++)
        mutation_place(x->site->m, x->arena, tensor_name(x, operand(x, k, 2, i)));
}

static bool done(struct editor *x, int k, const char *causes, const char *what) {
    x->site->m->causes = causes;
    x->site->m->what = what;
    place(x, k);
    return true;
}

/* --- options --- */

static size_t activation(struct editor *x, int k) {
    switch (builtin_of(x, k)) {
    case CONV_2D:
        return option(x, k, 3, 1);
    case DEPTHWISE_CONV_2D:
        return option(x, k, 4, 1);
    case FULLY_CONNECTED:
    case ADD:
    case MUL:
    case SUB:
        return option(x, k, 0, 1);
    case MAX_POOL_2D:
    case AVERAGE_POOL_2D:
        return option(x, k, 5, 1);
    default:
        return 0;
    }
}

/* What is missing between two operators can be put back at either. */
static void place_readers(struct editor *x, int32_t value) {
    for (int j = 0; j < (int)x->operators.n; j++)
        for (size_t i = 0; i < operand_count(x, j, 1); i++)
            if (operand(x, j, 1, i) == value)
                place(x, j);
}

static bool edit_fused_missing(struct editor *x, int k) {
    size_t at = activation(x, k);
    if (!at || x->data[at] == ACTIVATION_NONE)
        return false;
    x->data[at] = ACTIVATION_NONE;
    done(x, k, "clip-bounds", "fused activation removed");
    place_readers(x, operand(x, k, 2, 0));
    return true;
}

static bool edit_fused_bounds(struct editor *x, int k) {
    size_t at = activation(x, k);
    if (!at || (x->data[at] != ACTIVATION_RELU6 && x->data[at] != ACTIVATION_RELU))
        return false;
    x->data[at] = x->data[at] == ACTIVATION_RELU6 ? ACTIVATION_RELU : 2; /* RELU_N1_TO_1 */
    return done(x, k, "clip-bounds", "another fused activation");
}

static bool edit_dilation(struct editor *x, int k) {
    int code = builtin_of(x, k), field = code == CONV_2D ? 4 : 5;
    size_t w = code == CONV_2D || code == DEPTHWISE_CONV_2D ? option(x, k, field, 4) : 0;
    size_t h = w ? option(x, k, field + 1, 4) : 0;
    size_t padding = w ? option(x, k, 0, 1) : 0;
    if (!w || !h || (padding && x->data[padding] == 1)) /* VALID changes the shape */
        return false;
    uint32_t then = load_u32le(x->data + w) == 1 ? 2 : 1;
    store_u32le(x->data + w, then);
    store_u32le(x->data + h, then);
    return done(x, k, "dilation", "dilations changed");
}

static bool edit_float_option(struct editor *x, int k) {
    size_t at = IS(x, k, SOFTMAX, LEAKY_RELU) ? option(x, k, 0, 4) : 0;
    if (!at)
        return false;
    struct numbers one = { .at = x->data + at, .n = 1 };
    bool leaky = builtin_of(x, k) == LEAKY_RELU;
    set_number(&one, 0, leaky ? (number(&one, 0) < 0.15f ? 0.3f : 0.01f) : number(&one, 0) * 1.5f);
    return done(x, k, leaky ? "activation-constant" : "attribute-default activation-constant",
                leaky ? "alpha changed" : "beta changed");
}

static bool edit_axis(struct editor *x, int k) {
    size_t at = IS(x, k, CONCATENATION) ? option(x, k, 0, 4) : 0;
    if (!at)
        return false;
    int32_t axis = (int32_t)load_u32le(x->data + at);
    store_u32le(x->data + at, (uint32_t)(axis > 0 ? axis - 1 : 1));
    return done(x, k, "axis-remap", "axis changed");
}

static bool edit_resize(struct editor *x, int k) {
    size_t half = IS(x, k, RESIZE_BILINEAR) ? option(x, k, 3, 1) : 0;
    if (!half)
        return false;
    x->data[half] = !x->data[half];
    return done(x, k, "resize-mode", "half_pixel_centers flipped");
}

static bool edit_pad(struct editor *x, int k) {
    struct numbers p;
    if (!IS(x, k, PAD) || !open_numbers(x, operand(x, k, 1, 1), TYPE_INT32, &p))
        return false;
    for (int64_t i = 0; i + 1 < p.n; i += 2) {
        uint32_t begin = load_u32le(p.at + 4 * i), end = load_u32le(p.at + 4 * i + 4);
        if (begin == end && begin == 0)
            continue;
        store_u32le(p.at + 4 * i, begin == end ? begin + 1 : end);
        store_u32le(p.at + 4 * i + 4, begin == end ? end - 1 : begin);
        return done(x, k, "pad-side", "padding moved to the other side");
    }
    return false;
}

static bool edit_perm(struct editor *x, int k) {
    struct numbers p;
    if (!IS(x, k, TRANSPOSE) || !open_numbers(x, operand(x, k, 1, 1), TYPE_INT32, &p))
        return false;
    struct shape_of_value s =
        x->site->shape(x->site->shape_arg, tensor_name(x, operand(x, k, 2, 0)));
    for (int i = 0; i < s.rank && s.rank == p.n; i++)
        for (int j = i + 1; j < s.rank; j++)
            if (s.dim[i] == s.dim[j] && s.dim[i] > 1) {
                uint32_t t = load_u32le(p.at + 4 * i);
                store_u32le(p.at + 4 * i, load_u32le(p.at + 4 * j));
                store_u32le(p.at + 4 * j, t);
                return done(x, k, "transpose-equal-dims axis-remap",
                            "perm changed between equal axes");
            }
    return false;
}

static bool edit_operands(struct editor *x, int k) {
    if (!IS(x, k, SUB, DIV, POW, CONCATENATION) || operand_count(x, k, 1) < 2 ||
        operand(x, k, 1, 0) == operand(x, k, 1, 1))
        return false;
    int32_t a = operand(x, k, 1, 0);
    set_operand(x, k, 0, operand(x, k, 1, 1));
    set_operand(x, k, 1, a);
    return done(x, k, "operand-or-io-order", "operands exchanged");
}

static bool edit_activation_missing(struct editor *x, int k) {
    int32_t in = operand(x, k, 1, 0), out = operand(x, k, 2, 0);
    if (!IS(x, k, RELU, RELU6, LEAKY_RELU) || readers(x, out) == 0)
        return false;
    done(x, k, "clip-bounds", "activation bypassed");
    for (int j = 0; j < (int)x->operators.n; j++) {
        if (operand(x, j, 2, 0) == in)
            place(x, j);
        for (size_t i = 0; i < operand_count(x, j, 1); i++)
            if (operand(x, j, 1, i) == out) {
                set_operand(x, j, i, in);
                place(x, j);
            }
    }
    return true;
}

/* --- constants --- */

static bool weight_of(struct editor *x, int k, struct numbers *w) {
    int32_t t = operand(x, k, 1, 1);
    return IS(x, k, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) && readers(x, t) == 1 &&
           open_numbers(x, t, TYPE_FLOAT32, w) && w->rank >= 2 && largest(w) > 0;
}

static bool edit_weight_element(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    int64_t i = (int64_t)(chance_next(x->site->chance) % (uint64_t)w.n);
    set_number(&w, i, number(&w, i) + (number(&w, i) < 0 ? -largest(&w) : largest(&w)));
    return done(x, k, "weights", "one weight changed");
}

static bool edit_weight_scale(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    for (int64_t i = 0; i < w.n; i++)
        set_number(&w, i, number(&w, i) * 1.25f);
    return done(x, k, "weights fold-shared attribute-default precision", "weights scaled by 1.25");
}

static bool edit_weight_channels(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w) || w.dim[0] < 2)
        return false;
    int64_t rest = w.n / w.dim[0], last = (w.dim[0] - 1) * rest;
    for (int64_t i = 0; i < rest; i++) {
        float t = number(&w, i);
        set_number(&w, i, number(&w, last + i));
        set_number(&w, last + i, t);
    }
    return done(x, k, "weights weight-storage-order", "first and last channel exchanged");
}

/* [out, h, w, in]: h and w exchanged. */
static bool edit_weight_kernel(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w) || w.rank != 4 || w.dim[1] != w.dim[2] || w.dim[1] < 2)
        return false;
    int64_t h = w.dim[1], c = w.dim[3];
    for (int64_t o = 0; o < w.dim[0]; o++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < i; j++)
                for (int64_t q = 0; q < c; q++) {
                    int64_t a = ((o * h + i) * h + j) * c + q, b = ((o * h + j) * h + i) * c + q;
                    float t = number(&w, a);
                    set_number(&w, a, number(&w, b));
                    set_number(&w, b, t);
                }
    return done(x, k, "weight-storage-order transpose-equal-dims", "kernel axes exchanged");
}

static bool edit_bias(struct editor *x, int k) {
    struct numbers b;
    int32_t t = operand(x, k, 1, IS(x, k, ADD) ? 1 : 2);
    if (!IS(x, k, ADD, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) || readers(x, t) != 1 ||
        !open_numbers(x, t, TYPE_FLOAT32, &b) || b.n < 2 || largest(&b) == 0)
        return false;
    bool rotate = chance_below(x->site->chance, 2);
    float first = number(&b, 0);
    for (int64_t i = 0; i < b.n; i++)
        set_number(&b, i, !rotate ? 0 : i + 1 < b.n ? number(&b, i + 1) : first);
    return done(x, k, "bias-misbinding", rotate ? "bias rotated by one" : "bias zeroed");
}

static bool edit_scalar(struct editor *x, int k) {
    if (!IS(x, k, ADD, MUL, SUB, DIV, POW))
        return false;
    for (size_t i = 0; i < 2; i++) {
        struct numbers s;
        int32_t t = operand(x, k, 1, i);
        if (!open_numbers(x, t, TYPE_FLOAT32, &s) || s.n != 1 || readers(x, t) != 1 ||
            number(&s, 0) == 0)
            continue;
        set_number(&s, 0, number(&s, 0) * 1.5f);
        return done(x, k, "bias-misbinding attribute-default weights",
                    "a scalar constant times 1.5");
    }
    return false;
}

static bool edit_weights_half(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    for (int64_t i = 0; i < w.n; i++) {
        uint32_t bits = load_u32le(w.at + 4 * i);
        store_u32le(w.at + 4 * i, (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
    }
    return done(x, k, "precision", "weights rounded to bfloat16");
}

static bool edit_bias_of_another(struct editor *x, int k) {
    struct numbers own, other;
    int32_t bias = operand(x, k, 1, 2);
    if (!IS(x, k, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) ||
        !open_numbers(x, bias, TYPE_FLOAT32, &own))
        return false;
    for (int i = 0; i < (int)x->operators.n; i++) {
        int32_t from = operand(x, i, 1, 2);
        if (i == k || from == bias || !IS(x, i, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) ||
            !open_numbers(x, from, TYPE_FLOAT32, &other) || other.n != own.n)
            continue;
        set_operand(x, k, 2, from);
        return done(x, k, "bias-misbinding", "another operator's bias");
    }
    return false;
}

/* --- quantization --- */

/* A field of the tensor's quantization: 2 scales, 3 zero points. */
static struct fb_vector quantization(struct editor *x, int32_t t, int field, size_t width) {
    struct fb_table tensor = t < 0 ? (struct fb_table) { 0 } : fb_vec_table(&x->tensors, (size_t)t);
    struct fb_table q = t < 0 ? tensor : fb_sub(&tensor, 4);
    return q.at ? fb_vec(&q, field, width) : (struct fb_vector) { 0 };
}

static bool edit_scales(struct editor *x, int k) {
    int32_t t = operand(x, k, 1, 1);
    if (!IS(x, k, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) || readers(x, t) != 1)
        return false;
    struct fb_vector s = quantization(x, t, 2, 4);
    if (s.n < 2)
        return false;
    unsigned char *at = x->data + s.at, last[4];
    memcpy(last, at + 4 * (s.n - 1), 4);
    memmove(at + 4, at, 4 * (s.n - 1));
    memcpy(at, last, 4);
    return done(x, k, "quant-params", "scales rolled by one channel");
}

static bool edit_zero_point(struct editor *x, int k) {
    int32_t t = operand(x, k, 2, 0);
    struct fb_vector z = quantization(x, t, 3, 8);
    if (!IS(x, k, CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED) || z.n != 1 || readers(x, t) == 0)
        return false;
    int8_t now = (int8_t)x->data[z.at];
    int64_t then = now < 0 ? now + 16 : now - 16;
    for (int i = 0; i < 8; i++)
        x->data[z.at + (size_t)i] = (unsigned char)((uint64_t)then >> 8 * i);
    done(x, k, "quant-params", "another zero point");
    place_readers(x, t);
    return true;
}

/* --- the table --- */

const struct edit_row tflite_edits[] = {
    { "fused activation missing", edit_fused_missing },
    { "fused activation bounds", edit_fused_bounds },
    { "dilations", edit_dilation },
    { "alpha", edit_float_option },
    { "axis", edit_axis },
    { "resize", edit_resize },
    { "pads", edit_pad },
    { "transpose perm", edit_perm },
    { "operands", edit_operands },
    { "activation missing", edit_activation_missing },
    { "weight element", edit_weight_element },
    { "weight scale", edit_weight_scale },
    { "weight channels", edit_weight_channels },
    { "weight kernel", edit_weight_kernel },
    { "bias", edit_bias },
    { "scalar", edit_scalar },
    { "weights half", edit_weights_half },
    { "bias of another", edit_bias_of_another },
    { "scales", edit_scales },
    { "zero point", edit_zero_point },
    { NULL, NULL },
};

static int nodes(struct editor *x) {
    return (int)x->operators.n;
}

static bool is_touched(struct editor *x, int k, const struct mutation *made) {
    for (int field = 1; field < 3; field++)
        for (size_t i = 0; i < operand_count(x, k, field); i++)
            if (mutation_is_at(made, tensor_name(x, operand(x, k, field, i))))
                return true;
    return false;
}

int tflite_mutate(struct site *s, const unsigned char *data, size_t size, const char *kind, int n,
                  struct file_image *out, struct mutation *made) {
    struct editor x = { .site = s, .arena = s->arena, .data = arena_copy(s->arena, data, size) };
    x.fb = flatbuffer_of(x.data, size);
    struct fb_table model = fb_root(&x.fb);
    x.codes = fb_vec(&model, 1, 4);
    struct fb_vector graphs = fb_vec(&model, 2, 4);
    x.buffers = fb_vec(&model, 4, 4);
    if (!graphs.n)
        return 0;
    x.graph = fb_vec_table(&graphs, 0);
    x.tensors = fb_vec(&x.graph, 0, 4);
    x.operators = fb_vec(&x.graph, 3, 4);
    const struct edit_table table = { tflite_edits, nodes, is_touched };
    int count = edit_file(&table, &x, s, kind, n, made);
    *out = (struct file_image) { x.data, size };
    return x.fb.failed ? 0 : count;
}
