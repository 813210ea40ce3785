/* Faults in the constants of ONNX files. */
#include <math.h>
#include <string.h>

#include "onnx_editor.h"

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

bool edit_weight_element(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    int64_t i = (int64_t)(chance_next(x->site->chance) % (uint64_t)w.n);
    w.v[i] += w.v[i] < 0 ? -largest(&w) : largest(&w);
    put_numbers(&w);
    return done(x, k, "weights", "one weight changed");
}

bool edit_weight_scale(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    for (int64_t i = 0; i < w.n; i++)
        w.v[i] *= 1.25f;
    put_numbers(&w);
    return done(x, k, "weights fold-shared attribute-default precision", "weights scaled by 1.25");
}

bool edit_weight_channels(struct editor *x, int k) {
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

bool edit_weight_kernel(struct editor *x, int k) {
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

bool edit_bias(struct editor *x, int k) {
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

bool edit_scalar(struct editor *x, int k) {
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
        return done(x, k, "bias-misbinding attribute-default weights preprocessing",
                    "a scalar constant times 1.5");
    }
    return false;
}

bool edit_norm_parameters(struct editor *x, int k) {
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

/* The weights are rounded to bfloat16. */
bool edit_weights_half(struct editor *x, int k) {
    struct numbers w;
    if (!weight_of(x, k, &w))
        return false;
    for (int64_t i = 0; i < w.n; i++) {
        uint32_t bits;
        memcpy(&bits, &w.v[i], sizeof bits);
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
        memcpy(&w.v[i], &bits, sizeof bits);
    }
    put_numbers(&w);
    return done(x, k, "precision", "weights rounded to bfloat16");
}

/* The scale of a normalisation, or what a Mul has for each channel, is rolled by one channel. */
bool edit_norm_rolled(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    bool norm = is_one_of(n, "BatchNormalization InstanceNormalization LayerNormalization");
    struct numbers s;
    if (!norm && !is_one_of(n, "Mul"))
        return false;
    for (int i = norm ? 1 : 0; i < 2; i++) {
        const char *name = message_text(n, NODE_INPUT, i);
        if (readers(x, name) != 1 || !open_numbers(x, name, &s) || s.n < 2)
            continue;
        float last = s.v[s.n - 1];
        memmove(s.v + 1, s.v, (size_t)(s.n - 1) * sizeof *s.v);
        s.v[0] = last;
        put_numbers(&s);
        return done(x, k, "bn-param-swap bias-misbinding fold-shared weight-storage-order",
                    "scale rolled by one channel");
    }
    return false;
}
