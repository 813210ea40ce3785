/* Fast Gather and Concat: the elements that src/ops/gather.c and slice.c move, by several threads
 * and in runs. */
#include <string.h>

#include "kernels/kernels.h"
#include "ops/move.h"

enum { TASK_BYTES = 1 << 18 };

struct gathering {
    const int64_t *index;         /* [n], within the axis */
    int64_t outer, n, axis, each; /* lines before the axis; lines of a task */
    size_t run;                   /* bytes of an element of the axis */
    const char *x;
    char *y;
};

#define GATHER(T)                   \
    for (int64_t i = 0; i < n; i++) \
        memcpy(y + i * (int64_t)sizeof(T), x + index[i] * (int64_t)sizeof(T), sizeof(T));

static void gather_part(const struct gathering *g, const char *x, const int64_t *index, int64_t n,
                        char *y) {
    switch (g->run) {
    case 1:
        GATHER(uint8_t)
        break;
    case 4:
        GATHER(uint32_t)
        break;
    case 8:
        GATHER(uint64_t)
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            memcpy(y + (size_t)i * g->run, x + (size_t)index[i] * g->run, g->run);
    }
}

/* Output runs [task * each, ...) in the order of y. */
static void gather_task(void *arg, size_t task) {
    const struct gathering *g = arg;
    int64_t from = (int64_t)task * g->each, to = from + g->each;
    if (to > g->outer * g->n)
        to = g->outer * g->n;
    while (from < to) {
        int64_t line = from / g->n, at = from % g->n,
                n = g->n - at < to - from ? g->n - at : to - from;
        gather_part(g, g->x + (size_t)(line * g->axis) * g->run, g->index + at, n,
                    g->y + (size_t)from * g->run);
        from += n;
    }
}

enum status kernel_gather(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *indices = c->in[1];
    int axis;
    if (x->store == DT_STRING || x->store != c->out[0]->store || tensor_count(c->out[0]) == 0)
        return kernel_reference(c);
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    struct gathering g = { .outer = dims_product(x->dim, 0, axis),
                           .n = tensor_count(indices),
                           .axis = x->dim[axis],
                           .run = (size_t)dims_product(x->dim, axis + 1, x->rank) * element_size(x),
                           .x = x->data,
                           .y = c->out[0]->data };
    int64_t *index = NEW_ARRAY(c->scratch, g.n + 1, int64_t);
    tensor_load_i64(indices, 0, g.n, index);
    for (int64_t i = 0; i < g.n; i++)
        TRY(index_normalise(&index[i], g.axis, c->err));
    g.index = index;
    g.each = (int64_t)(TASK_BYTES / g.run) + 1;
    pool_run(c->pool, (size_t)((g.outer * g.n + g.each - 1) / g.each), gather_task, &g);
    return OK;
}

/* One operand of Concat in parts of whole lines, or of a part of a line. */
struct joining {
    const struct tensor *const *in;
    int n;
    int64_t outer;
    size_t whole, size; /* bytes of a line of y; of an element */
    char *y;
};

static void join_task(void *arg, size_t task) {
    const struct joining *j = arg;
    size_t at = 0;
    for (int i = 0; i < j->n; i++) {
        size_t line = (size_t)(tensor_count(j->in[i]) / j->outer) * j->size,
               total = line * (size_t)j->outer;
        size_t tasks = (total + TASK_BYTES - 1) / TASK_BYTES;
        if (task >= tasks) {
            task -= tasks;
            at += line;
            continue;
        }
        size_t from = task * TASK_BYTES, to = from + TASK_BYTES < total ? from + TASK_BYTES : total;
        const char *x = j->in[i]->data;
        while (from < to) {
            size_t within = from % line, n = line - within < to - from ? line - within : to - from;
            memcpy(j->y + from / line * j->whole + at + within, x + from, n);
            from += n;
        }
        return;
    }
}

enum status kernel_concat(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    int axis;
    size_t tasks = 0;
    if (y->store == DT_STRING || tensor_count(y) == 0)
        return kernel_reference(c);
    TRY(axis_normalise(attr_int(c->node, "axis"), y->rank, &axis, c->err));
    struct joining j = { .in = c->in,
                         .n = c->n_in,
                         .outer = dims_product(y->dim, 0, axis),
                         .size = element_size(y),
                         .y = y->data };
    for (int i = 0; i < j.n; i++) {
        size_t bytes = (size_t)tensor_count(c->in[i]) * j.size;
        tasks += (bytes + TASK_BYTES - 1) / TASK_BYTES;
        j.whole += bytes / (size_t)j.outer;
    }
    pool_run(c->pool, tasks, join_task, &j);
    return OK;
}
