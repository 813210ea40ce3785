#include "kernels/kernel_cores.h"

#include "kernels/isa.h"
#include "kernels/kernels.h"

struct sets {
    const struct norm_job *j;
    bool dense;
};

enum { SETS = 8 };

static void norm_task(void *arg, size_t task) {
    const struct sets *t = arg;
    int64_t s = (int64_t)task * SETS, left = t->j->n_outer - s;
    int sets = left < SETS ? (int)left : SETS;
    if (t->j->store == DT_F64)
        isa_best()->d.norm_sets(t->j, s, sets, t->dense);
    else
        isa_best()->f.norm_sets(t->j, s, sets, t->dense);
}

static void core_norm(struct op_ctx *c, const struct norm_job *j) {
    struct sets t = { j, j->n_inner == 0 || j->inner[j->n_inner - 1] == j->n_inner - 1 };
    pool_run(j->n_outer * j->n_inner > 16384 ? c->pool : NULL,
             (size_t)((j->n_outer + SETS - 1) / SETS), norm_task, &t);
}

enum status kernel_with_cores(struct op_ctx *c) {
    const struct isa *isa = isa_best();
    struct op_cores *cores = NEW(c->scratch, struct op_cores);
    *cores = (struct op_cores) { .attention = core_attention,
                                 .norm = core_norm,
                                 .resize = core_resize,
                                 .chains_f = isa->f.chains,
                                 .chains_d = isa->d.chains,
                                 .reduce_f = isa->f.reduce,
                                 .reduce_d = isa->d.reduce };
    c->cores = cores;
    return kernel_reference(c);
}
