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

op_eval_fn *kernel_find(const struct node *n) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].op, n->op) == 0 && strcmp(table[i].domain, n->domain) == 0)
            return table[i].eval;
    return NULL;
}

struct packed *kernel_packed(struct op_ctx *c, int i, uint64_t tag, size_t bytes) {
    if (c->packs && c->node->in[i] && c->node->in[i]->constant)
        return pack_cache_get(c->packs, c->in[i], tag, bytes);
    struct packed *p = NEW(c->scratch, struct packed);
    p->data = arena_alloc(c->scratch, bytes < 64 ? 64 : bytes);
    return p;
}
