/* The rewrites: what changed between operator-set versions of ai.onnx (ONNX, docs/Changelog.md).
 * Versions that only added types, or attributes and inputs whose default is the old behaviour, need
 * no row. */
#include <string.h>

#include "formats/onnx/onnx_upgrade.h"

static enum status refuse(struct upgrade *u, const char *what) {
    return err_set(u->r->e, STATUS_UNSUPPORTED, "%s of operator set %d with %s", u->n->op,
                   u->n->version, what);
}

static enum status axes_to_input(struct upgrade *u) {
    upgrade_ints_to_input(u, "axes", 1);
    return OK;
}

static enum status shape_to_input(struct upgrade *u) {
    upgrade_ints_to_input(u, "shape", 1);
    return OK;
}

/* The defaults are those of float32 whatever the type. */
static enum status clip_bounds(struct upgrade *u) {
    static const char *const names[] = { "min", "max" };
    static const double defaults[] = { -0x1.fffffep127, 0x1.fffffep127 };
    enum dtype type = u->n->n_in ? upgrade_float_type(u->n->in[0]) : DT_F32;
    for (int i = 0; i < 2; i++) {
        const struct attr *a = node_attr(u->n, names[i]);
        bool given = a && a->type == ATTR_FLOAT;
        if (!given && (type == DT_F32 || u->n->version < 6))
            continue;
        upgrade_set_input(u, i + 1, upgrade_scalar(u, names[i], given ? a->f : defaults[i], type));
        node_remove_attr(u->n, names[i]);
    }
    return OK;
}

static enum status slice_bounds(struct upgrade *u) {
    upgrade_ints_to_input(u, "starts", 1);
    upgrade_ints_to_input(u, "ends", 2);
    upgrade_ints_to_input(u, "axes", 3);
    return OK;
}

static enum status pad_paddings(struct upgrade *u) {
    struct attr *a = node_attr(u->n, "paddings");
    if (a)
        a->name = "pads";
    return OK;
}

static enum status pad_amounts(struct upgrade *u) {
    const struct attr *value = node_attr(u->n, "value");
    upgrade_ints_to_input(u, "pads", 1);
    if (value && value->type == ATTR_FLOAT) {
        upgrade_set_input(u, 2,
                          upgrade_scalar(u, "value", value->f, upgrade_float_type(u->n->in[0])));
        node_remove_attr(u->n, "value");
    }
    return OK;
}

static enum status topk_count(struct upgrade *u) {
    const struct attr *k = node_attr(u->n, "k");
    if (k && k->type == ATTR_INT) {
        upgrade_set_input(u, 1, upgrade_ints(u, "k", &k->i, 1));
        node_remove_attr(u->n, "k");
    }
    return OK;
}

static enum status split_sizes(struct upgrade *u) {
    upgrade_ints_to_input(u, "split", 1);
    return OK;
}

static enum status split_evenly(struct upgrade *u) {
    bool sized = u->n->n_in > 1 && u->n->in[1];
    if (!sized)
        node_set_int(u->n, "num_outputs", u->n->n_out);
    return OK;
}

static enum status dft_axis(struct upgrade *u) {
    struct tensor *t = tensor_in_arena(u->r->a, DT_I64, DT_I64, 0, NULL);
    tensor_set_i64(t, 0, upgrade_int(u, "axis", 1));
    upgrade_set_input(u, 2, upgrade_constant(u, "axis", t));
    node_remove_attr(u->n, "axis");
    return OK;
}

/* Below 7 `is_test` chose the mode; from 7 to 11 Dropout was always in test mode. Its mask had the
 * data's type below 10. */
static enum status dropout_modes(struct upgrade *u) {
    const struct attr *ratio = node_attr(u->n, "ratio");
    if (ratio && ratio->type == ATTR_FLOAT) {
        upgrade_set_input(u, 1, upgrade_scalar(u, "ratio", ratio->f, DT_F32));
        node_remove_attr(u->n, "ratio");
    }
    if (u->n->version < 7 && upgrade_int(u, "is_test", 0) == 0) {
        upgrade_set_input(u, 2, upgrade_scalar(u, "is_test", 1, DT_BOOL));
        u->n->in[2]->origin.op = "upgrade";
    }
    node_remove_attr(u->n, "is_test");
    if (u->n->version >= 10 || u->n->n_out < 2 || !u->n->out[1])
        return OK;
    struct value *mask = u->n->out[1];
    node_set_output(u->n, 1, upgrade_value(u, "mask"));
    upgrade_emit(u, u->n);
    struct node *cast = upgrade_add(u, "CastLike", 2, 1);
    cast->in[0] = u->n->out[1];
    cast->in[1] = u->n->in[0];
    node_set_output(cast, 0, mask);
    return OK;
}

static enum status concat_axis(struct upgrade *u) {
    if (!node_attr(u->n, "axis"))
        node_set_int(u->n, "axis", 1);
    return OK;
}

/* Cast named its type by a text below 6. */
static enum status cast_type(struct upgrade *u) {
    static const char *const names[] = { "UNDEFINED", "FLOAT",  "UINT8",  "INT8",   "UINT16",
                                         "INT16",     "INT32",  "INT64",  "STRING", "BOOL",
                                         "FLOAT16",   "DOUBLE", "UINT32", "UINT64" };
    const struct attr *to = node_attr(u->n, "to");
    if (!to || to->type != ATTR_STRING)
        return OK;
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (strcmp(to->s, names[i]) == 0) {
            node_set_int(u->n, "to", (int64_t)i);
            return OK;
        }
    return refuse(u, "an unknown type");
}

/* Softmax, LogSoftmax and Hardmax below 13 see the input as a matrix whose rows are the dimensions
 * before `axis`. */
static enum status flatten_rows(struct upgrade *u) {
    struct node *n = u->n;
    int64_t axis = upgrade_int(u, "axis", 1);
    if (n->n_in < 1 || n->n_out < 1 || !n->out[0])
        return OK; /* nothing is asked of it */
    int rank = upgrade_rank(n->in[0]);
    if (axis == -1 || (rank > 0 && axis == rank - 1)) {
        node_set_int(n, "axis", axis);
        return OK;
    }
    struct value *shape = upgrade_apply(u, "Shape", n->in[0], NULL);
    struct node *flat = upgrade_add(u, "Flatten", 1, 1);
    flat->in[0] = n->in[0];
    node_set_int(flat, "axis", axis);
    struct value *out = n->out[0];
    n->in[0] = flat->out[0];
    node_set_int(n, "axis", -1);
    node_set_output(n, 0, upgrade_value(u, "rows"));
    upgrade_emit(u, n);
    struct node *back = upgrade_add(u, "Reshape", 2, 1);
    back->in[0] = n->out[0];
    back->in[1] = shape;
    node_set_int(back, "allowzero", 1);
    node_set_output(back, 0, out);
    return OK;
}

/* Adds trailing dimensions of 1 so that b's dimensions lie against a's from `axis` on. */
static enum status align_operand(struct upgrade *u, int input, int64_t axis, int rank_a,
                                 int rank_b) {
    int64_t trailing = rank_a - axis - rank_b, axes[MAX_RANK];
    if (trailing < 0 || trailing > MAX_RANK)
        return refuse(u, "an axis outside the operand");
    for (int i = 0; i < trailing; i++)
        axes[i] = rank_b + i;
    if (trailing)
        u->n->in[input] =
            upgrade_apply(u, "Unsqueeze", u->n->in[input], upgrade_helper(u, axes, trailing));
    return OK;
}

/* Arithmetic below 7 broadcast only when told to, and then B against a middle part of A's
 * dimensions. */
static enum status limited_broadcast(struct upgrade *u) {
    struct node *n = u->n;
    const struct attr *axis = node_attr(n, "axis");
    if (upgrade_int(u, "broadcast", 0) && axis && axis->type == ATTR_INT && n->n_in == 2) {
        int a = upgrade_rank(n->in[0]), b = upgrade_rank(n->in[1]);
        if (a < 0 || b < 0)
            return refuse(u, "an axis and operands of unknown rank");
        TRY(align_operand(u, 1, axis->i < 0 ? axis->i + a : axis->i, a, b));
    }
    node_remove_attr(n, "broadcast");
    node_remove_attr(n, "axis");
    return OK;
}

static enum status gemm_broadcast(struct upgrade *u) {
    node_remove_attr(u->n, "broadcast");
    return OK;
}

/* PRelu below 7: one slope, or one a channel (dimension 1). */
static enum status prelu_channels(struct upgrade *u) {
    const struct value *slope = u->n->n_in > 1 ? u->n->in[1] : NULL;
    int a = upgrade_rank(u->n->in[0]), b = upgrade_rank(slope);
    if (b != 1 || (slope->dim[0] == 1 && slope->constant))
        return OK;
    if (a < 0)
        return refuse(u, "an input of unknown rank");
    return a < 2 ? OK : align_operand(u, 1, 1, a, b);
}

/* `spatial` 0 normalises every activation by itself: mean and variance have the shape of an
 * instance. */
static enum status normalise_activations(struct upgrade *u) {
    struct node *n = u->n;
    const struct attr *epsilon = node_attr(n, "epsilon");
    struct value *y = n->out[0];
    struct value *e = upgrade_scalar(u, "epsilon", epsilon ? epsilon->f : (double)1e-5f,
                                     upgrade_float_type(n->in[0]));
    struct value *centred = upgrade_apply(u, "Sub", n->in[0], n->in[3]);
    struct value *deviation = upgrade_apply(u, "Sqrt", upgrade_apply(u, "Add", n->in[4], e), NULL);
    struct value *scaled =
        upgrade_apply(u, "Mul", upgrade_apply(u, "Div", centred, deviation), n->in[1]);
    struct node *shift = upgrade_add(u, "Add", 2, 1);
    shift->in[0] = scaled;
    shift->in[1] = n->in[2];
    node_set_output(shift, 0, y);
    u->emitted = true; /* n itself is gone */
    return OK;
}

/* Below 14 the number of outputs told training (5) from inference (1). */
static enum status batch_norm_modes(struct upgrade *u) {
    struct node *n = u->n;
    bool training = false;
    for (int i = 1; i < n->n_out; i++)
        training |= n->out[i] != NULL;
    bool spatial = upgrade_int(u, "spatial", 1) != 0, test = upgrade_int(u, "is_test", 0) != 0;
    node_remove_attr(n, "spatial");
    node_remove_attr(n, "is_test");
    training = training && !test;
    if (!spatial && training)
        return refuse(u, "spatial 0 in training mode");
    if (n->n_in != 5 || n->n_out < 1 || !n->out[0])
        return OK;
    if (!spatial)
        return normalise_activations(u);
    if (training)
        node_set_int(n, "training_mode", 1);
    upgrade_drop_outputs(u, training ? 3 : 1); /* saved_mean and saved_var are no more */
    return OK;
}

static enum status grid_modes(struct upgrade *u) {
    const struct attr *mode = node_attr(u->n, "mode");
    const char *name = mode && mode->type == ATTR_STRING ? mode->s : "bilinear";
    if (strcmp(name, "bilinear") == 0)
        node_set_string(u->n, "mode", "linear");
    else if (strcmp(name, "bicubic") == 0)
        node_set_string(u->n, "mode", "cubic");
    return OK;
}

/* GroupNormalization 18 has one scale and bias a group, 21 one a channel: each is repeated channels
 * / groups times. */
static enum status group_norm_channels(struct upgrade *u) {
    struct node *n = u->n;
    int64_t groups = upgrade_int(u, "num_groups", 1), one = 1, flat = -1;
    if (n->n_in != 3)
        return OK;
    struct node *channels = upgrade_add(u, "Shape", 1, 1);
    channels->in[0] = n->in[0];
    node_set_int(channels, "start", 1);
    node_set_int(channels, "end", 2);
    struct value *g = upgrade_ints(u, "num_groups", &groups, 1);
    struct value *each = upgrade_apply(u, "Div", channels->out[0], g);
    struct node *grid = upgrade_add(u, "Concat", 2, 1);
    grid->in[0] = g;
    grid->in[1] = each;
    node_set_int(grid, "axis", 0);
    struct value *axes = upgrade_helper(u, &one, 1), *line = upgrade_helper(u, &flat, 1);
    for (int i = 1; i < 3; i++) {
        struct value *column = upgrade_apply(u, "Unsqueeze", n->in[i], axes);
        n->in[i] =
            upgrade_apply(u, "Reshape", upgrade_apply(u, "Expand", column, grid->out[0]), line);
    }
    return OK;
}

/* p was a float below 2. */
static enum status whole_p(struct upgrade *u) {
    const struct attr *p = node_attr(u->n, "p");
    if (!p || p->type != ATTR_FLOAT)
        return OK;
    if (p->f < 1 || p->f > 1e6 || p->f != (double)(int64_t)p->f)
        return refuse(u, "a p that is no whole number");
    node_set_int(u->n, "p", (int64_t)p->f);
    return OK;
}

static enum status roi_corners(struct upgrade *u) {
    if (!node_attr(u->n, "coordinate_transformation_mode"))
        node_set_string(u->n, "coordinate_transformation_mode", "output_half_pixel");
    return OK;
}

static enum status scatter_elements(struct upgrade *u) {
    u->n->op = "ScatterElements";
    return OK;
}

static enum status selu_defaults(struct upgrade *u) {
    if (!node_attr(u->n, "alpha"))
        node_set_float(u->n, "alpha", (double)1.6732f);
    if (!node_attr(u->n, "gamma"))
        node_set_float(u->n, "gamma", (double)1.0507f);
    return OK;
}

static enum status no_output_sequence(struct upgrade *u) {
    node_remove_attr(u->n, "output_sequence");
    return OK;
}

/* Upsample's scales: two attributes below 7, one below 9, then an input. */
static enum status upsample_sides(struct upgrade *u) {
    const struct attr *h = node_attr(u->n, "height_scale"), *w = node_attr(u->n, "width_scale");
    if (!h || !w || h->type != ATTR_FLOAT || w->type != ATTR_FLOAT)
        return OK;
    double *scales = NEW_ARRAY(u->r->a, 4, double);
    scales[0] = scales[1] = 1;
    scales[2] = h->f;
    scales[3] = w->f;
    node_set_floats(u->n, "scales", scales, 4);
    node_remove_attr(u->n, "height_scale");
    node_remove_attr(u->n, "width_scale");
    return OK;
}

static enum status upsample_scales(struct upgrade *u) {
    const struct attr *a = node_attr(u->n, "scales");
    if (!a || a->type != ATTR_FLOATS)
        return OK;
    struct tensor *t = tensor_in_arena(u->r->a, DT_F32, DT_F32, 1, &a->n);
    for (int64_t i = 0; i < a->n; i++)
        tensor_set_f64(t, i, a->floats[i]);
    upgrade_set_input(u, 1, upgrade_constant(u, "scales", t));
    node_remove_attr(u->n, "scales");
    return OK;
}

/* 1 when every scale is at least 1, -1 when every one is at most 1, 0 when mixed or unknown. */
static int direction_of(const struct value *scales) {
    const struct tensor *t = scales ? scales->constant : NULL;
    bool up = t != NULL, down = t != NULL;
    for (int64_t i = 0; t && i < tensor_count(t); i++) {
        up &= tensor_f64(t, i) >= 1;
        down &= tensor_f64(t, i) <= 1;
    }
    return up ? 1 : down ? -1 : 0;
}

/* Resize 10 and Upsample: no region, asymmetric coordinates; the nearest element is the one below
 * when enlarging, the one above when reducing (the stored cases of Resize 10). */
static enum status resize_plain(struct upgrade *u) {
    struct node *n = u->n;
    struct value *scales = n->n_in > 1 ? n->in[1] : NULL;
    int direction = direction_of(scales);
    const struct attr *mode = node_attr(n, "mode");
    bool nearest = !mode || (mode->type == ATTR_STRING && strcmp(mode->s, "nearest") == 0);
    if (mode && mode->type == ATTR_STRING && strcmp(mode->s, "bilinear") == 0)
        node_set_string(n, "mode", "linear");
    if (nearest && scales && scales->constant && direction == 0)
        return refuse(u, "scales that enlarge one dimension and reduce another");
    n->op = "Resize";
    if (n->n_in > 1)
        n->in[1] = NULL;
    upgrade_set_input(u, 2, scales);
    node_set_string(n, "coordinate_transformation_mode", "asymmetric");
    node_set_string(n, "nearest_mode", direction < 0 ? "ceil" : "floor");
    return OK;
}

/* tf_half_pixel_for_nn, stated by Resize 11 and met in files of later sets too: x = (i + 0.5) /
 * scale, which is half_pixel + 0.5. */
static enum status resize_half_pixel(struct upgrade *u) {
    const struct attr *c = node_attr(u->n, "coordinate_transformation_mode"),
                      *m = node_attr(u->n, "nearest_mode");
    if (!c || c->type != ATTR_STRING || strcmp(c->s, "tf_half_pixel_for_nn") != 0)
        return OK;
    const char *mode = m && m->type == ATTR_STRING ? m->s : "round_prefer_floor";
    bool floor = strcmp(mode, "floor") == 0;
    if (!floor && strcmp(mode, "round_prefer_floor") != 0)
        return refuse(u, "tf_half_pixel_for_nn and this nearest_mode");
    node_set_string(u->n, "coordinate_transformation_mode", "half_pixel");
    node_set_string(u->n, "nearest_mode", floor ? "round_prefer_ceil" : "ceil");
    return OK;
}

/* Scan 8 had a batch dimension: a Scan over the batch whose body is the Scan over the sequence. */
static enum status scan_batches(struct upgrade *u) {
    struct node *n = u->n;
    struct attr *body = node_attr(n, "body");
    int64_t n_scan = upgrade_int(u, "num_scan_inputs", 0);
    if (n->n_in < 1 || n->in[0])
        return refuse(u, "sequence_lens");
    if (!body || body->type != ATTR_GRAPH || n_scan < 0 || n_scan > n->n_in - 1)
        return OK;
    struct graph *outer = graph_new(u->r->m, n->graph, "batch");
    outer->index = body->graph->index;
    struct node *inner = graph_add_node(outer, "Scan", "", n->n_in - 1, n->n_out);
    inner->group = n->group;
    inner->version = n->version;
    inner->name = n->name;
    inner->origin = n->origin;
    for (int i = 1; i < n->n_in; i++) {
        struct value *v = graph_add_value(outer, arena_printf(u->r->a, "@batch.in%d", i - 1));
        graph_add_input(outer, v);
        inner->in[i - 1] = v;
    }
    for (int i = 0; i < n->n_out; i++) {
        node_set_output(inner, i, graph_add_value(outer, arena_printf(u->r->a, "@batch.out%d", i)));
        graph_add_output(outer, inner->out[i]);
    }
    const struct attr *directions = node_attr(n, "directions");
    node_set_attr(inner, "body", ATTR_GRAPH)->graph = body->graph;
    body->graph->parent = outer;
    node_set_int(inner, "num_scan_inputs", n_scan);
    if (directions && directions->type == ATTR_INTS)
        node_set_ints(inner, "scan_input_directions", directions->ints, directions->n);
    node_remove_attr(n, "directions");
    node_attr(n, "body")->graph = outer;
    node_set_int(n, "num_scan_inputs", n->n_in - 1);
    n->in++;
    n->n_in--;
    return OK;
}

static enum status tile_one_axis(struct upgrade *u) {
    return u->n->n_in == 3 ? refuse(u, "an axis input") : OK;
}

/* LabelEncoder 1 of ai.onnx.ml mapped texts to their places in one list, or places to texts, as its
 * input is. */
static enum status label_tables(struct upgrade *u) {
    struct node *n = u->n;
    const struct attr *classes = node_attr(n, "classes_strings");
    enum dtype type = n->n_in && n->in[0] ? n->in[0]->dtype : DT_NONE;
    if (!classes || classes->type != ATTR_STRINGS)
        return OK;
    if (type != DT_STRING && type != DT_I64)
        return refuse(u, "an input of unknown type");
    int64_t *places = NEW_ARRAY(u->r->a, classes->n + 1, int64_t);
    for (int64_t i = 0; i < classes->n; i++)
        places[i] = i;
    struct attr texts = *classes;
    bool encode = type == DT_STRING;
    node_remove_attr(n, "classes_strings");
    node_remove_attr(n, encode ? "default_string" : "default_int64");
    node_set_ints(n, encode ? "values_int64s" : "keys_int64s", places, texts.n);
    struct attr *out = node_set_attr(n, encode ? "keys_strings" : "values_strings", ATTR_STRINGS);
    out->strings = texts.strings;
    out->n = texts.n;
    return OK;
}

const struct upgrade_row onnx_upgrades[] = {
    { "Add", 7, limited_broadcast, NULL },
    { "And", 7, limited_broadcast, NULL },
    { "BatchNormalization", 14, batch_norm_modes, NULL },
    { "Cast", 6, cast_type, NULL },
    { "Clip", 11, clip_bounds, NULL },
    { "Concat", 4, concat_axis, NULL },
    { "DFT", 20, dft_axis, NULL },
    { "Div", 7, limited_broadcast, NULL },
    { "Dropout", 12, dropout_modes, NULL },
    { "Equal", 7, limited_broadcast, NULL },
    { "GRU", 7, no_output_sequence, NULL },
    { "Gemm", 7, gemm_broadcast, NULL },
    { "GlobalLpPool", 2, whole_p, NULL },
    { "Greater", 7, limited_broadcast, NULL },
    { "GridSample", 20, grid_modes, NULL },
    { "GroupNormalization", 21, group_norm_channels, NULL },
    { "Hardmax", 13, flatten_rows, NULL },
    { "LSTM", 7, no_output_sequence, NULL },
    { "Less", 7, limited_broadcast, NULL },
    { "LogSoftmax", 13, flatten_rows, NULL },
    { "LpPool", 2, whole_p, NULL },
    { "Mul", 7, limited_broadcast, NULL },
    { "Or", 7, limited_broadcast, NULL },
    { "PRelu", 7, prelu_channels, NULL },
    { "Pad", 2, pad_paddings, NULL },
    { "Pad", 11, pad_amounts, NULL },
    { "Pow", 7, limited_broadcast, NULL },
    { "RNN", 7, no_output_sequence, NULL },
    { "ReduceL1", 18, axes_to_input, NULL },
    { "ReduceL2", 18, axes_to_input, NULL },
    { "ReduceLogSum", 18, axes_to_input, NULL },
    { "ReduceLogSumExp", 18, axes_to_input, NULL },
    { "ReduceMax", 18, axes_to_input, NULL },
    { "ReduceMean", 18, axes_to_input, NULL },
    { "ReduceMin", 18, axes_to_input, NULL },
    { "ReduceProd", 18, axes_to_input, NULL },
    { "ReduceSum", 13, axes_to_input, NULL },
    { "ReduceSumSquare", 18, axes_to_input, NULL },
    { "Reshape", 5, shape_to_input, NULL },
    { "Resize", 11, resize_plain, NULL },
    { "Resize", EVERY_VERSION, resize_half_pixel, NULL },
    { "RoiAlign", 16, roi_corners, NULL },
    { "Scan", 9, scan_batches, NULL },
    { "Scatter", 11, scatter_elements, NULL },
    { "Selu", 6, selu_defaults, NULL },
    { "Slice", 10, slice_bounds, NULL },
    { "Softmax", 13, flatten_rows, NULL },
    { "Split", 13, split_sizes, NULL },
    { "Split", 18, split_evenly, NULL },
    { "Squeeze", 13, axes_to_input, NULL },
    { "Sub", 7, limited_broadcast, NULL },
    { "Tile", 6, tile_one_axis, NULL },
    { "TopK", 10, topk_count, NULL },
    { "Unsqueeze", 13, axes_to_input, NULL },
    { "Upsample", 7, upsample_sides, NULL },
    { "Upsample", 9, upsample_scales, NULL },
    { "Upsample", EVERY_VERSION, resize_plain, NULL },
    { "Xor", 7, limited_broadcast, NULL },
    { "LabelEncoder", 2, label_tables, "ai.onnx.ml" },
    { NULL, 0, NULL, NULL },
};
