#include "ops/broadcast.h"

static void operand_strides(const struct tensor *t, int rank, const int64_t *dim, int64_t *stride,
                            bool *fits) {
    int64_t step = 1;
    for (int i = rank - 1; i >= 0; i--) {
        int k = i - (rank - t->rank);
        int64_t d = k < 0 ? 1 : t->dim[k];
        if (d != 1 && d != dim[i])
            *fits = false;
        stride[i] = d == 1 ? 0 : step;
        step *= d;
    }
    if (t->rank > rank)
        *fits = false;
}

static bool mergeable(const struct broadcast *b, int outer, int inner, int64_t inner_dim) {
    for (int k = 0; k < b->n; k++)
        if (b->stride[k][outer] != b->stride[k][inner] * inner_dim)
            return false;
    return true;
}

enum status broadcast_plan(struct broadcast *b, int rank, const int64_t *dim, int n,
                           const struct tensor *const *in, struct err *e) {
    *b = (struct broadcast) { .n = n };
    bool fits = true;
    for (int k = 0; k < n; k++)
        operand_strides(in[k], rank, dim, b->stride[k], &fits);
    FAIL_IF(!fits, e, STATUS_CORRUPT, "an operand does not broadcast to the output's shape");
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 1)
            continue;
        int last = b->rank - 1;
        for (int k = 0; k < n; k++)
            b->stride[k][b->rank] = b->stride[k][i];
        if (last >= 0 && mergeable(b, last, b->rank, dim[i])) {
            b->dim[last] *= dim[i];
            for (int k = 0; k < n; k++)
                b->stride[k][last] = b->stride[k][b->rank];
        } else {
            b->dim[b->rank++] = dim[i];
        }
    }
    if (b->rank == 0) {
        b->rank = 1;
        b->dim[0] = 1;
        for (int k = 0; k < n; k++)
            b->stride[k][0] = 0;
    }
    return OK;
}

void broadcast_offsets(const struct broadcast *b, int64_t i, int64_t *offset) {
    for (int k = 0; k < b->n; k++)
        offset[k] = 0;
    for (int d = b->rank - 1; d >= 0; d--) {
        int64_t at = i % b->dim[d];
        i /= b->dim[d];
        for (int k = 0; k < b->n; k++)
            offset[k] += at * b->stride[k][d];
    }
}

enum { PART = 1 << 15 }; /* elements of a task */

struct job {
    const struct broadcast *b;
    const char *in[MAX_OPERANDS];
    size_t size[MAX_OPERANDS];
    char *out;
    size_t out_size;
    int64_t count;
    broadcast_fn *fn;
    const void *arg;
};

/* Output elements [from, to), run by run. */
static void part(void *arg, size_t task) {
    const struct job *j = arg;
    const struct broadcast *b = j->b;
    int64_t from = (int64_t)task * PART, to = from + PART < j->count ? from + PART : j->count;
    int64_t run = b->dim[b->rank - 1];
    int step[MAX_OPERANDS] = { 0 };
    for (int k = 0; k < b->n; k++)
        step[k] = (int)b->stride[k][b->rank - 1];
    while (from < to) {
        int64_t offset[MAX_OPERANDS], n = run - from % run;
        if (n > to - from)
            n = to - from;
        broadcast_offsets(b, from, offset);
        const void *p[MAX_OPERANDS] = { 0 };
        for (int k = 0; k < b->n; k++)
            p[k] = j->in[k] + (size_t)offset[k] * j->size[k];
        j->fn(p, step, j->out + (size_t)from * j->out_size, n, j->arg);
        from += n;
    }
}

void broadcast_run(const struct broadcast *b, const struct tensor *const *in, struct tensor *out,
                   broadcast_fn *fn, const void *arg, struct pool *pool) {
    struct job j = { .b = b,
                     .out = out->data,
                     .out_size = dtype_size(out->store),
                     .count = tensor_count(out),
                     .fn = fn,
                     .arg = arg };
    for (int k = 0; k < b->n; k++) {
        j.in[k] = in[k]->data;
        j.size[k] = dtype_size(in[k]->store);
    }
    size_t tasks = (size_t)((j.count + PART - 1) / PART);
    if (tasks > 1)
        pool_run(pool, tasks, part, &j);
    else if (tasks)
        part(&j, 0);
}
