#include "kernels/kernels.h"

#include <string.h>

#include "base/pages.h"
#include "kernels/kernel_cores.h"
#include "kernels/isa.h"

/* clang-format off */
#define UNARY_ROW(name) { "", #name, kernel_unary },
#define BINARY_ROW(name) { "", #name, kernel_binary },
#define REDUCE(name, since, start, step, join, finish, slope) { "", #name, kernel_with_cores },

/* The first row that fits. */
static const struct {
    const char *domain, *op;
    op_eval_fn *eval;
} table[] = {
    { "", "Conv", kernel_conv },
    { "", "ConvTranspose", kernel_conv_transpose },
    { "", "Gelu", kernel_gelu },
    { "", "MatMul", kernel_matmul },
    { "", "Gemm", kernel_gemm },
    UNARY_PLAIN(UNARY_ROW)
    UNARY_CALLING(UNARY_ROW)
    BINARY_PLAIN(BINARY_ROW)
    { "", "Sum", kernel_binary },
    { "", "Clip", kernel_clip },
    { "com.microsoft", "Gelu", kernel_gelu },
    { "com.microsoft", "QuickGelu", kernel_gelu },
    { "", "Softmax", kernel_softmax },
    { "", "LogSoftmax", kernel_softmax },
    { "", "LRN", kernel_lrn },
    { "", "QuantizeLinear", kernel_quantize },
    { "", "DequantizeLinear", kernel_dequantize },
    { "com.microsoft", "QuantizeLinear", kernel_quantize },
    { "com.microsoft", "DequantizeLinear", kernel_dequantize },
    { "", "MaxPool", kernel_pool },
    { "", "AveragePool", kernel_pool },
    { "", "GlobalMaxPool", kernel_pool },
    { "", "GlobalAveragePool", kernel_pool },
    { "", "BatchNormalization", kernel_batch_norm },
    { "", "LayerNormalization", kernel_layer_norm },
    { "", "RNN", kernel_rnn },
    { "", "GRU", kernel_rnn },
    { "", "LSTM", kernel_rnn },
    { "", "Attention", kernel_with_cores },
    { "com.microsoft", "Attention", kernel_with_cores },
    { "com.microsoft", "MultiHeadAttention", kernel_with_cores },
    { "com.microsoft", "GroupQueryAttention", kernel_with_cores },
    { "", "InstanceNormalization", kernel_with_cores },
    { "", "GroupNormalization", kernel_with_cores },
    { "", "RMSNormalization", kernel_with_cores },
    { "", "LpNormalization", kernel_with_cores },
    { "", "MeanVarianceNormalization", kernel_with_cores },
    { "", "SimplifiedLayerNormalization", kernel_with_cores },
    { "com.microsoft", "SimplifiedLayerNormalization", kernel_with_cores },
    { "com.microsoft", "SkipLayerNormalization", kernel_with_cores },
    { "com.microsoft", "SkipSimplifiedLayerNormalization", kernel_with_cores },
    { "com.microsoft", "EmbedLayerNormalization", kernel_with_cores },
    { "", "Resize", kernel_with_cores },
    { "tflite", "RNN", kernel_with_cores },
    { "tflite", "UNIDIRECTIONAL_SEQUENCE_RNN", kernel_with_cores },
    { "tflite", "BIDIRECTIONAL_SEQUENCE_RNN", kernel_with_cores },
    { "tflite", "LSTM", kernel_with_cores },
    { "tflite", "UNIDIRECTIONAL_SEQUENCE_LSTM", kernel_with_cores },
    { "tflite", "BIDIRECTIONAL_SEQUENCE_LSTM", kernel_with_cores },
    { "tflite", "SVDF", kernel_with_cores },
    { "", "Gather", kernel_gather },
    { "", "Concat", kernel_concat },
    { "", "ConvInteger", kernel_conv_integer },
    { "", "MatMulInteger", kernel_matmul_integer },
    { "", "QLinearConv", kernel_qlinear_conv },
    { "", "QLinearMatMul", kernel_qlinear_matmul },
    { "com.microsoft", "QGemm", kernel_qgemm },
    { "fixed", "Conv", kernel_fixed_conv },
    { "fixed", "Gemm", kernel_fixed_product },
    { "fixed", "MatMul", kernel_fixed_product },
    { "fixed", "Add", kernel_fixed_add },
    { "fixed", "Sub", kernel_fixed_add },
    { "fixed", "Quantize", kernel_fixed_quantize },
#include "ops/reduce.def"
};
#undef REDUCE
#undef UNARY_ROW
#undef BINARY_ROW
/* clang-format on */

op_eval_fn *kernel_find(const struct node *n, bool *fills) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].op[0] == n->op[0] && strcmp(table[i].op, n->op) == 0 &&
            strcmp(table[i].domain, n->domain) == 0) {
            *fills = table[i].eval != kernel_with_cores;
            return table[i].eval;
        }
    return NULL;
}

/* Output channels outermost in the file, so that those of a panel lie side by side. */
static bool channels_outermost(const struct node *n) {
    const struct attr *a = attr_find(n, "kernel_layout");
    if (a && a->type != ATTR_STRING) /* nobody has checked the node yet */
        return false;
    const char *layout = attr_str(n, "kernel_layout");
    return strcmp(layout, "OIHW") == 0 || strcmp(layout, "OHWI") == 0;
}

bool kernel_takes_stored(const struct node *n, int i) {
    if (i != 1 || !n->def || n->domain[0] != '\0' || n->n_in < 2)
        return false;
    if (strcmp(n->op, "Conv") == 0)
        return channels_outermost(n);
    return strcmp(n->op, "Gemm") == 0 || strcmp(n->op, "MatMul") == 0;
}

bool kernel_got_stored(const struct op_ctx *c, int i) {
    return kernel_takes_stored(c->node, i) && c->in[i] && dtype_is_float(c->in[i]->store) &&
           c->in[i]->store != store_of(c->in[i]->dtype, c->precision);
}

enum status kernel_widen(struct op_ctx *c, int i) {
    if (!kernel_got_stored(c, i))
        return OK;
    const struct tensor **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct tensor *wide = NEW(c->scratch, struct tensor);
    *wide = *c->in[i];
    wide->buf = NULL;
    wide->store = store_of(wide->dtype, c->precision);
    /* Kept as packed forms are, whose cache knows tensors by their address. */
    struct packed *p =
        kernel_packed(c, i, UINT64_C(0xff) << 56 | (uint64_t)wide->store, tensor_bytes(wide));
    if (!p->ready && wide->store == DT_F64)
        pack_load_d(c->in[i], 0, tensor_count(wide), p->data);
    else if (!p->ready)
        pack_load_f(c->in[i], 0, tensor_count(wide), p->data);
    p->ready = true;
    wide->data = p->data;
    for (int k = 0; k < c->n_in; k++)
        in[k] = k == i ? wide : c->in[k];
    c->in = in;
    return OK;
}

enum status kernel_reference(struct op_ctx *c) {
    for (int i = 0; i < c->n_in; i++)
        TRY(kernel_widen(c, i));
    for (int i = 0; i < c->n_out; i++)
        if (c->fills && c->out[i] && c->out[i]->kind == KIND_TENSOR)
            memset(c->out[i]->data, 0, tensor_bytes(c->out[i]));
    c->fills = false;
    return c->node->def->eval(c);
}

struct packed *kernel_packed(struct op_ctx *c, int i, uint64_t tag, size_t bytes) {
    bool constant = c->node->in[i] && c->node->in[i]->constant;
    if (c->packs && (constant || kernel_got_stored(c, i))) {
        struct packed *kept = pack_cache_get(c->packs, c->in[i], tag, bytes);
        if (!kept->ready)
            pages_large(kept->data, bytes);
        return kept;
    }
    struct packed *p = NEW(c->scratch, struct packed);
    p->data = arena_alloc(c->scratch, bytes < 64 ? 64 : bytes);
    return p;
}
