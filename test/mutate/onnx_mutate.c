/* Faults in ONNX files: the table of what can be made. */
#include <string.h>

#include "onnx_editor.h"

const struct edit_row onnx_edits[] = {
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
    { "preprocessing", edit_preprocessing },
    { "max pool zero pad", edit_maxpool_zero_pad },
    { "flatten order", edit_flatten_order },
    { "transpose missing", edit_transpose_missing },
    { "pool kind", edit_pool_kind },
    { "bias of another", edit_bias_of_another },
    { "gates", edit_gates },
    { "recurrent bias", edit_recurrent_bias },
    { "reset", edit_reset },
    { "direction", edit_direction },
    { "weights half", edit_weights_half },
    { "norm rolled", edit_norm_rolled },
    { "gelu", edit_gelu },
    { NULL, NULL },
};

static int nodes(struct editor *x) {
    return x->n_nodes = message_count(x->graph, GRAPH_NODE);
}

static bool is_touched(struct editor *x, int k, const struct mutation *made) {
    struct message *node = node_at(x, k);
    static const uint32_t fields[] = { NODE_NAME, NODE_INPUT, NODE_OUTPUT };
    for (int f = 0; f < 3; f++)
        for (int i = 0; i < message_count(node, fields[f]); i++)
            if (mutation_is_at(made, message_text(node, fields[f], i)))
                return true;
    return false;
}

int onnx_mutate(struct site *s, const unsigned char *data, size_t size, const char *kind, int n,
                struct file_image *out, struct mutation *made) {
    struct editor x = { .site = s, .arena = s->arena };
    struct message *model = message_parse(s->arena, data, size);
    x.graph = model ? message_inner(model, MODEL_GRAPH, 0) : NULL;
    const struct edit_table table = { onnx_edits, nodes, is_touched };
    int count = x.graph ? edit_file(&table, &x, s, kind, n, made) : 0;
    if (!count)
        return 0;
    out->size = message_size(model);
    out->data = arena_alloc(s->arena, out->size + 1);
    message_write(model, out->data);
    return count;
}
