/* Attributes: the target's node gets the source's value of an attribute. */
#include <string.h>

#include "locate/hunt.h"

struct attribute_name {
    const char *op; /* "" any */
    const char *attr;
    const char *cause;
};

/* First match wins. */
static const struct attribute_name names[] = {
    { "ConvTranspose", "pads", "convtranspose-crop" },
    { "ConvTranspose", "auto_pad", "convtranspose-crop" },
    { "ConvTranspose", "output_padding", "convtranspose-crop" },
    { "ConvTranspose", "output_shape", "convtranspose-crop" },
    { "ConvTranspose", "strides", "convtranspose-crop" },
    { "", "pads", "pad-side" },
    { "", "auto_pad", "pad-side" },
    { "Pad", "mode", "pad-side" },
    { "", "dilations", "dilation" },
    { "", "count_include_pad", "avgpool-count-include-pad" },
    { "", "ceil_mode", "pool-ceil-mode" },
    { "", "epsilon", "norm-epsilon" },
    { "", "training_mode", "norm-mode" },
    { "Resize", "", "resize-mode" },
    { "GridSample", "", "resize-mode" },
    { "AffineGrid", "", "resize-mode" },
    { "LeakyRelu", "", "activation-constant" },
    { "Elu", "", "activation-constant" },
    { "Celu", "", "activation-constant" },
    { "Selu", "", "activation-constant" },
    { "HardSigmoid", "", "activation-constant" },
    { "ThresholdedRelu", "", "clip-bounds" },
    { "Shrink", "", "activation-constant" },
    { "Swish", "", "activation-constant" },
    { "Gelu", "approximate", "gelu-form" },
    { "GRU", "linear_before_reset", "gru-reset" },
    { "LSTM", "direction", "rnn-direction" },
    { "GRU", "direction", "rnn-direction" },
    { "RNN", "direction", "rnn-direction" },
    { "LSTM", "", "activation-constant" },
    { "GRU", "", "activation-constant" },
    { "RNN", "", "activation-constant" },
    { "ScatterElements", "reduction", "frozen-or-lost-semantics" },
    { "ScatterND", "reduction", "frozen-or-lost-semantics" },
    { "Attention", "", "frozen-or-lost-semantics" },
    { "DepthToSpace", "mode", "weight-storage-order" },
    { "Transpose", "perm", "transpose-equal-dims" },
    { "Flatten", "axis", "axis-remap" },
    { "QuantizeLinear", "", "quant-params" },
    { "DequantizeLinear", "", "quant-params" },
    { "Cast", "to", "integer-rounding" },
    { "Mod", "fmod", "integer-rounding" },
    { "", "axis", "axis-remap" },
    { "", "axes", "axis-remap" },
    { "Conv", "strides", "dilation" },
    { "Conv", "group", "weight-storage-order" },
};

const char *name_attribute(const struct node *n, const char *attr) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((!names[i].op[0] || strcmp(names[i].op, n->op) == 0) &&
            (!names[i].attr[0] || strcmp(names[i].attr, attr) == 0))
            return names[i].cause;
    return "attribute-default";
}

static bool is_layout(const char *name) {
    return strcmp(name, "layout") == 0 || strcmp(name, "kernel_layout") == 0;
}

static bool comparable_attr(enum attr_type t) {
    return t == ATTR_INT || t == ATTR_FLOAT || t == ATTR_STRING || t == ATTR_INTS ||
           t == ATTR_FLOATS || t == ATTR_STRINGS || t == ATTR_TENSOR;
}

static struct attr default_attr(const struct attr_def *d) {
    struct attr a = {
        .name = d->name, .type = d->type, .i = d->i, .f = d->f, .s = d->s ? d->s : ""
    };
    a.n = d->type == ATTR_STRING ? (int64_t)strlen(a.s) : 0;
    return a;
}

/* Same meaning? An absent attribute means its default. */
static bool same_attr(const struct attr *a, const struct attr *b, const struct attr_def *d) {
    struct attr def = default_attr(d);
    if (!a && !b)
        return true;
    if (a && b)
        return attr_equal(a, b);
    if (d->type == ATTR_INT || d->type == ATTR_FLOAT || d->type == ATTR_STRING)
        return attr_equal(a ? a : &def, b ? b : &def);
    return false;
}

static void transfer(struct hunt *h, struct patch *p, struct node *n, const struct attr *from,
                     const char *name) {
    if (!from) {
        patch_remove_attr(p, n, name);
        return;
    }
    struct attr a = attr_copy(from, h->target->arena);
    patch_set_attr(p, n, &a);
}

/* What the target must say for an axis when its layout is another. */
static bool mapped_axis(const struct hunt *h, const struct attr *source, struct attr *out) {
    const struct pair_view *v = &h->r->view;
    if (!source || source->type != ATTR_INT || !v->n_permute)
        return false;
    int64_t axis = source->i < 0 ? source->i + v->n_permute : source->i;
    for (int k = 0; k < v->n_permute; k++)
        if (v->permute[k] == axis && k != source->i) {
            *out = *source;
            out->i = k;
            return true;
        }
    return false;
}

static void one_attribute(struct hunt *h, struct node *n, const struct node *m,
                          const struct attr_def *d, int rank) {
    const struct attr *have = node_attr(n, d->name), *want = node_attr(m, d->name);
    struct attr mapped;
    struct patch *p = patch_new(h->target, d->name);
    transfer(h, p, n, want, d->name);
    struct candidate *c = hunt_add(h, name_attribute(n, d->name), n, m, p, rank);
    struct attr def = default_attr(d);
    candidate_detail(h, c, d->name, attr_text(want ? want : &def, h->arena),
                     attr_text(have ? have : &def, h->arena));
    if (strcmp(d->name, "axis") == 0 && !h->solved && mapped_axis(h, want ? want : &def, &mapped)) {
        p = patch_new(h->target, d->name);
        transfer(h, p, n, &mapped, d->name);
        c = hunt_add(h, name_attribute(n, d->name), n, m, p, rank);
        candidate_detail(h, c, d->name, attr_text(&mapped, h->arena),
                         attr_text(have ? have : &def, h->arena));
    }
}

/* All attributes that differ at once; named by the first. */
static void all_attributes(struct hunt *h, struct node *n, const struct node *m, int rank) {
    struct patch *p = patch_new(h->target, "attributes");
    const char *cause = NULL;
    int n_diff = 0;
    for (const struct attr_def *d = n->def->attrs; d && d->name; d++) {
        const struct attr *have = node_attr(n, d->name), *want = node_attr(m, d->name);
        if (is_layout(d->name) || !comparable_attr(d->type) || same_attr(have, want, d))
            continue;
        transfer(h, p, n, want, d->name);
        const char *name = name_attribute(n, d->name);
        /* a dilation changes the pads that go with it */
        cause = !cause || strcmp(name, "dilation") == 0 ? name : cause;
        n_diff++;
    }
    if (n_diff < 2)
        return;
    struct candidate *c = hunt_add(h, cause, n, m, p, rank);
    for (const struct attr_def *d = n->def->attrs; d && d->name; d++) {
        const struct attr *have = node_attr(n, d->name), *want = node_attr(m, d->name);
        struct attr def = default_attr(d);
        if (!is_layout(d->name) && comparable_attr(d->type) && !same_attr(have, want, d))
            candidate_detail(h, c, d->name, attr_text(want ? want : &def, h->arena),
                             attr_text(have ? have : &def, h->arena));
    }
}

/* A factor of a product that the source has without any. */
static void plain_factor(struct hunt *h, struct node *n, const char *name) {
    const struct attr *have = node_attr(n, name);
    if (!have || have->type != ATTR_FLOAT || have->f == 1)
        return;
    for (int k = 0; k < h->r->n_source_nodes; k++)
        if (same_operator(n, h->r->source_nodes[k]))
            return;
    struct attr one = { .name = name, .type = ATTR_FLOAT, .f = 1 };
    struct patch *p = patch_new(h->target, "factor of one");
    patch_set_attr(p, n, &one);
    struct candidate *c = hunt_add(h, name_attribute(n, name), n, NULL, p, 11);
    candidate_detail(h, c, name, attr_text(&one, h->arena), attr_text(have, h->arena));
}

static void plain_factors(struct hunt *h) {
    for (int i = 0; i < h->r->n_nodes; i++) {
        struct node *n = (struct node *)(size_t)h->r->nodes[i];
        if (strcmp(n->op, "Gemm") != 0 && strcmp(n->op, "FusedGemm") != 0 &&
            strcmp(n->op, "FusedMatMul") != 0)
            continue;
        plain_factor(h, n, "alpha");
        plain_factor(h, n, "beta");
    }
}

void hunt_attributes(struct hunt *h) {
    plain_factors(h);
    for (int i = 0; i < h->r->n_nodes; i++)
        for (int k = 0; k < h->r->n_source_nodes; k++) {
            struct node *n = (struct node *)(size_t)h->r->nodes[i];
            const struct node *m = h->r->source_nodes[k];
            if (!n->def || !same_operator(n, m))
                continue;
            for (const struct attr_def *d = n->def->attrs; d && d->name; d++)
                if (!is_layout(d->name) && comparable_attr(d->type) &&
                    !same_attr(node_attr(n, d->name), node_attr(m, d->name), d))
                    one_attribute(h, n, m, d, 10);
            if (!h->solved)
                all_attributes(h, n, m, 12);
        }
}

/* --- values that converters are known to mix up, whatever the source's operator is --- */

struct choice {
    const char *op, *attr; /* op with a star in front: all that end so */
    const char *strings;   /* separated by '|' */
    double numbers[4];
    int n_numbers;
};

static const struct choice choices[] = {
    { .op = "Resize",
      .attr = "coordinate_transformation_mode",
      .strings = "half_pixel|asymmetric|align_corners|pytorch_half_pixel|half_pixel_symmetric" },
    { .op = "Resize", .attr = "mode", .strings = "nearest|linear|cubic" },
    { .op = "Resize",
      .attr = "nearest_mode",
      .strings = "round_prefer_floor|floor|ceil|round_prefer_ceil" },
    { .op = "Resize", .attr = "cubic_coeff_a", .numbers = { -0.75, -0.5 }, .n_numbers = 2 },
    { .op = "Pad", .attr = "mode", .strings = "constant|reflect|edge|wrap" },
    { .op = "AveragePool", .attr = "count_include_pad", .numbers = { 0, 1 }, .n_numbers = 2 },
    { .op = "AveragePool", .attr = "ceil_mode", .numbers = { 0, 1 }, .n_numbers = 2 },
    { .op = "MaxPool", .attr = "ceil_mode", .numbers = { 0, 1 }, .n_numbers = 2 },
    { .op = "GRU", .attr = "linear_before_reset", .numbers = { 0, 1 }, .n_numbers = 2 },
    { .op = "Gelu", .attr = "approximate", .strings = "none|tanh" },
    { .op = "LeakyRelu", .attr = "alpha", .numbers = { 0.01, 0.2, 0.3, 0.1 }, .n_numbers = 4 },
    { .op = "DepthToSpace", .attr = "mode", .strings = "DCR|CRD" },
    { .op = "ScatterElements", .attr = "reduction", .strings = "none|add|mul" },
    { .op = "ScatterND", .attr = "reduction", .strings = "none|add|mul" },
    { .op = "BatchNormalization", .attr = "training_mode", .numbers = { 0 }, .n_numbers = 1 },
    { .op = "*Normalization",
      .attr = "epsilon",
      .numbers = { 1e-5, 1e-3, 1e-12, 1e-6 },
      .n_numbers = 4 },
    { .op = "Softmax", .attr = "axis", .numbers = { -1, 1, 2, 3 }, .n_numbers = 4 },
    { .op = "Concat", .attr = "axis", .numbers = { -1, 1, 2, 3 }, .n_numbers = 4 },
};

static void try_choice(struct hunt *h, struct node *n, const struct attr_def *d,
                       const struct attr *a) {
    const struct attr *have = node_attr(n, d->name);
    if (same_attr(have, a, d))
        return;
    struct patch *p = patch_new(h->target, d->name);
    patch_set_attr(p, n, a);
    struct attr def = default_attr(d);
    struct candidate *c = hunt_add(h, name_attribute(n, d->name), n, NULL, p, 30);
    candidate_detail(h, c, d->name, attr_text(a, h->arena),
                     attr_text(have ? have : &def, h->arena));
}

static void try_choices(struct hunt *h, struct node *n, const struct choice *ch,
                        const struct attr_def *d) {
    for (int k = 0; k < ch->n_numbers; k++) {
        struct attr a = { .name = d->name,
                          .type = d->type,
                          .i = (int64_t)ch->numbers[k],
                          .f = (double)(float)ch->numbers[k] };
        try_choice(h, n, d, &a);
    }
    for (const char *s = ch->strings; s && *s;) {
        size_t len = strcspn(s, "|");
        struct attr a = { .name = d->name,
                          .type = ATTR_STRING,
                          .s = arena_strn(h->target->arena, s, len),
                          .n = (int64_t)len };
        try_choice(h, n, d, &a);
        s += len + (s[len] == '|');
    }
}

/* Pads turned round, per axis pair. */
static void try_pads(struct hunt *h, struct node *n) {
    const struct attr *pads = node_attr(n, "pads");
    if (!pads || pads->n < 2 || pads->n > 2 * MAX_RANK || pads->n % 2)
        return;
    int half = (int)pads->n / 2;
    int64_t *turned = NEW_ARRAY(h->target->arena, pads->n, int64_t);
    for (int i = 0; i < half; i++) {
        turned[i] = pads->ints[half + i];
        turned[half + i] = pads->ints[i];
    }
    struct attr a = { .name = "pads", .type = ATTR_INTS, .n = pads->n, .ints = turned };
    if (attr_equal(&a, pads))
        return;
    struct patch *p = patch_new(h->target, "pads");
    patch_set_attr(p, n, &a);
    struct candidate *c = hunt_add(h, name_attribute(n, "pads"), n, NULL, p, 30);
    candidate_detail(h, c, "pads", attr_text(&a, h->arena), attr_text(pads, h->arena));
}

static bool is_for(const struct choice *c, const struct node *n) {
    size_t length = strlen(n->op), end = strlen(c->op) - 1;
    if (c->op[0] == '*')
        return length >= end && strcmp(n->op + length - end, c->op + 1) == 0;
    return strcmp(c->op, n->op) == 0;
}

void hunt_enumerated(struct hunt *h) {
    for (int i = 0; i < h->r->n_nodes; i++) {
        struct node *n = (struct node *)(size_t)h->r->nodes[i];
        if (!n->def || n->domain[0])
            continue;
        try_pads(h, n);
        for (size_t k = 0; k < sizeof choices / sizeof *choices; k++)
            for (const struct attr_def *d = is_for(&choices[k], n) ? n->def->attrs : NULL;
                 d && d->name; d++)
                if (strcmp(d->name, choices[k].attr) == 0)
                    try_choices(h, n, &choices[k], d);
    }
}
