/* Faults in attributes of ONNX nodes. */
#include <string.h>

#include "onnx_editor.h"

bool edit_pads(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], kernel[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv MaxPool AveragePool ConvTranspose"))
        return false;
    int count = int_list_of(n, "pads", pads), r = count / 2,
        kernels = int_list_of(n, "kernel_shape", kernel);
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

bool edit_dilations(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], kernel[2 * MAX_DIMS], d[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv"))
        return false;
    int r = int_list_of(n, "kernel_shape", kernel), given = int_list_of(n, "dilations", d);
    if (r == 0 || int_list_of(n, "pads", pads) != 2 * r || (given && given != r))
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

bool edit_strides(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t strides[2 * MAX_DIMS];
    if (!is_one_of(n, "Conv MaxPool AveragePool"))
        return false;
    int r = int_list_of(n, "strides", strides);
    if (r == 0)
        return false;
    for (int i = 0; i < r; i++)
        strides[i] = strides[i] > 1 ? strides[i] - 1 : 2;
    set_ints(n, "strides", strides, r);
    return done(x, k, "attribute-default dilation", "strides changed");
}

bool edit_ceil_mode(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "MaxPool AveragePool"))
        return false;
    set_int(n, "ceil_mode", !int_of(n, "ceil_mode", 0));
    return done(x, k, "pool-ceil-mode", "ceil_mode flipped");
}

bool edit_count_include_pad(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], sum = 0;
    int count = is_one_of(n, "AveragePool") ? int_list_of(n, "pads", pads) : 0;
    for (int i = 0; i < count; i++)
        sum += pads[i];
    if (!sum)
        return false;
    set_int(n, "count_include_pad", !int_of(n, "count_include_pad", 0));
    return done(x, k, "avgpool-count-include-pad", "count_include_pad flipped");
}

bool edit_epsilon(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(
            n, "BatchNormalization InstanceNormalization LayerNormalization GroupNormalization"))
        return false;
    float e = float_of(n, "epsilon", 1e-5f);
    set_float(n, "epsilon", e >= 1e-3f ? 1e-6f : 1e-2f);
    return done(x, k, "norm-epsilon", "epsilon changed");
}

bool edit_axis(struct editor *x, int k) {
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

bool edit_alpha(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    bool leaky = is_one_of(n, "LeakyRelu"), elu = is_one_of(n, "Elu"),
         hard = is_one_of(n, "HardSigmoid");
    if (!leaky && !elu && !hard)
        return false;
    float alpha = float_of(n, "alpha", leaky ? 0.01f : elu ? 1 : 0.2f);
    set_float(n, "alpha", leaky ? (alpha < 0.15f ? 0.3f : 0.01f) : alpha * 0.5f);
    return done(x, k, "activation-constant", "alpha changed");
}

bool edit_gemm(struct editor *x, int k) {
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

bool edit_resize(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Resize"))
        return false;
    struct message *a = attribute_made(n, "coordinate_transformation_mode", 3);
    bool half = strcmp(message_text(a, ATTRIBUTE_S, 0), "asymmetric") == 0;
    message_set_text(a, ATTRIBUTE_S, 0, half ? "half_pixel" : "asymmetric");
    return done(x, k, "resize-mode", "coordinate mode changed");
}

bool edit_clip(struct editor *x, int k) {
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

bool edit_gelu(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Gelu"))
        return false;
    struct message *a = attribute_made(n, "approximate", 3);
    bool tanh = strcmp(message_text(a, ATTRIBUTE_S, 0), "tanh") == 0;
    message_set_text(a, ATTRIBUTE_S, 0, tanh ? "none" : "tanh");
    return done(x, k, "gelu-form", "the other form");
}
