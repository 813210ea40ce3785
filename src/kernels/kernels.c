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

enum status kernel_reference(struct op_ctx *c) {
    for (int i = 0; i < c->n_out; i++)
        if (c->fills && c->out[i] && c->out[i]->kind == KIND_TENSOR)
            memset(c->out[i]->data, 0, tensor_bytes(c->out[i]));
    c->fills = false;
    return c->node->def->eval(c);
}

struct packed *kernel_packed(struct op_ctx *c, int i, uint64_t tag, size_t bytes) {
    if (c->packs && c->node->in[i] && c->node->in[i]->constant) {
        struct packed *kept = pack_cache_get(c->packs, c->in[i], tag, bytes);
        if (!kept->ready)
            pages_large(kept->data, bytes);
        return kept;
    }
    struct packed *p = NEW(c->scratch, struct packed);
    p->data = arena_alloc(c->scratch, bytes < 64 ? 64 : bytes);
    return p;
}
