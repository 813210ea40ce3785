#include "kernels/kernels.h"

#include <string.h>

static const struct {
    const char *domain, *op;
    op_eval_fn *eval;
} table[] = {
    { "", "Conv", kernel_conv },
    { "", "MatMul", kernel_matmul },
    { "", "Gemm", kernel_gemm },
};

op_eval_fn *kernel_find(const struct node *n, bool *fills) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, n->op) == 0 && strcmp(table[i].domain, n->domain) == 0) {
            *fills = true;
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
    if (c->packs && c->node->in[i] && c->node->in[i]->constant)
        return pack_cache_get(c->packs, c->in[i], tag, bytes);
    struct packed *p = NEW(c->scratch, struct packed);
    p->data = arena_alloc(c->scratch, bytes < 64 ? 64 : bytes);
    return p;
}
