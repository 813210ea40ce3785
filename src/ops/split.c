#include "ops/split.h"

#include <string.h>

enum { TASK_COST = 1 << 16, TASKS_PER_THREAD = 4, PART = 256 };

int split_tasks(const struct op_ctx *c, int64_t n, int64_t cost) {
    int64_t most = (int64_t)pool_threads(c->pool) * TASKS_PER_THREAD;
    if (most == TASKS_PER_THREAD || n < 2)
        return 1;
    double tasks = (double)n * (double)(cost < 1 ? 1 : cost) / TASK_COST;
    if (tasks < 1)
        return 1;
    if (tasks < (double)most)
        most = (int64_t)tasks;
    return (int)(most < n ? most : n);
}

struct split {
    void (*f)(void *arg, struct part p);
    void *arg;
    int64_t n;
    int tasks;
};

static void run_part(void *arg, size_t i) {
    const struct split *s = arg;
    int64_t each = s->n / s->tasks, rest = s->n % s->tasks, k = (int64_t)i;
    int64_t begin = each * k + (k < rest ? k : rest);
    s->f(s->arg, (struct part) { begin, begin + each + (k < rest), (int)i });
}

void split_run(const struct op_ctx *c, int64_t n, int64_t cost, void (*f)(void *arg, struct part p),
               void *arg) {
    if (n <= 0)
        return;
    struct split s = { f, arg, n, split_tasks(c, n, cost) };
    pool_run(c->pool, (size_t)s.tasks, run_part, &s);
}

bool input_given(const struct op_ctx *c, int i) {
    return i < c->n_in && c->in[i];
}

bool fact_given(const struct shape_ctx *c, int i) {
    return i < c->n_in && !c->in[i].absent;
}

const void *input_as(struct op_ctx *c, int i, enum dtype store) {
    if (!input_given(c, i))
        return NULL;
    const struct tensor *t = c->in[i];
    if (t->store == store)
        return t->data;
    struct tensor *copy = tensor_in_arena(c->scratch, t->dtype, store, t->rank, t->dim);
    int64_t n = tensor_count(t);
    bool ints = !dtype_is_float(t->store) && !dtype_is_float(store);
    for (int64_t from = 0; from < n; from += PART) {
        int64_t count = n - from < PART ? n - from : PART, whole[PART];
        double real[PART];
        if (ints) {
            tensor_load_i64(t, from, count, whole);
            tensor_store_i64(copy, from, count, whole);
        } else {
            tensor_load_f64(t, from, count, real);
            tensor_store_f64(copy, from, count, real);
        }
    }
    return copy->data;
}

enum status need_broadcast(struct shape_ctx *c, int i, int rank, const int64_t *dim) {
    if (!fact_given(c, i) || c->in[i].rank < 0)
        return OK;
    const struct fact *f = &c->in[i];
    bool fits = f->rank <= rank;
    for (int k = 0; fits && k < f->rank; k++) {
        int64_t want = dim[rank - f->rank + k];
        fits = f->dim[k] < 0 || want < 0 || f->dim[k] == 1 || f->dim[k] == want;
    }
    SHAPE_FAIL_IF(!fits, c, "input %d of %s does not broadcast to its shape", i, c->node->op);
    return OK;
}

/* Elements after which the broadcast repeats: the count of t when t is a suffix of the shape (with
 * ones before), else 0. */
static int64_t repeat_period(const struct tensor *t, int rank, const int64_t *dim) {
    int lead = 0;
    while (lead < t->rank && t->dim[lead] == 1)
        lead++;
    for (int k = lead; k < t->rank; k++)
        if (t->dim[k] != dim[rank - t->rank + k])
            return 0;
    return tensor_count(t);
}

const void *input_broadcast(struct op_ctx *c, int i, enum dtype store, int rank, const int64_t *dim,
                            int64_t *period) {
    *period = 1;
    if (!input_given(c, i))
        return NULL;
    const struct tensor *t = c->in[i];
    *period = repeat_period(t, rank, dim);
    if (*period)
        return input_as(c, i, store);
    struct tensor *full = tensor_in_arena(c->scratch, t->dtype, store, rank, dim);
    int64_t n = tensor_count(full);
    for (int64_t k = 0; k < n; k++) {
        int64_t rest = k, at = 0, step = 1;
        for (int axis = t->rank - 1; axis >= 0; axis--) {
            int64_t size = dim[rank - t->rank + axis];
            at += t->dim[axis] == 1 ? 0 : rest % size * step;
            step *= t->dim[axis];
            rest /= size;
        }
        tensor_set_f64(full, k, tensor_f64(t, at));
    }
    *period = n ? n : 1;
    return full->data;
}

int64_t *axes_offsets(struct arena *a, int rank, const int64_t *dim, const bool *chosen,
                      int64_t *count) {
    int64_t stride[MAX_RANK], at[MAX_RANK] = { 0 }, n = 1, s = 1, here = 0;
    for (int i = rank - 1; i >= 0; i--) {
        stride[i] = s;
        s *= dim[i];
        n *= chosen[i] ? dim[i] : 1;
    }
    int64_t *offset = NEW_ARRAY(a, n + 1, int64_t);
    for (int64_t k = 0; k < n; k++) {
        offset[k] = here;
        for (int i = rank - 1; i >= 0; i--) {
            if (!chosen[i])
                continue;
            here += stride[i];
            if (++at[i] < dim[i])
                break;
            here -= stride[i] * dim[i];
            at[i] = 0;
        }
    }
    *count = n;
    return offset;
}

enum status need_float(struct shape_ctx *c, int i) {
    if (!fact_given(c, i))
        return OK;
    enum dtype t = c->in[i].dtype;
    SHAPE_FAIL_IF(c->in[i].kind != KIND_TENSOR, c, "input %d of %s is not a tensor", i,
                  c->node->op);
    FAIL_IF(t != DT_NONE && !dtype_is_float(t), c->err, STATUS_CORRUPT,
            "input %d of %s must be a float tensor, it is %s", i, c->node->op, dtype_name(t));
    return OK;
}

enum status need_same_dtype(struct shape_ctx *c, int i, int j) {
    if (!fact_given(c, i) || !fact_given(c, j))
        return OK;
    enum dtype a = c->in[i].dtype, b = c->in[j].dtype;
    SHAPE_FAIL_IF(a != DT_NONE && b != DT_NONE && a != b, c,
                  "inputs %d and %d of %s differ in type: %s and %s", i, j, c->node->op,
                  dtype_name(a), dtype_name(b));
    return OK;
}

enum status need_shape(struct shape_ctx *c, int i, int rank, const int64_t *dim) {
    if (!fact_given(c, i) || c->in[i].rank < 0)
        return OK;
    SHAPE_FAIL_IF(c->in[i].rank != rank, c, "input %d of %s must have rank %d, it has %d", i,
                  c->node->op, rank, c->in[i].rank);
    for (int k = 0; dim && k < rank; k++)
        SHAPE_FAIL_IF(dim[k] >= 0 && c->in[i].dim[k] >= 0 && dim[k] != c->in[i].dim[k], c,
                      "input %d of %s must have %lld elements on axis %d, it has %lld", i,
                      c->node->op, (long long)dim[k], k, (long long)c->in[i].dim[k]);
    return OK;
}

enum status need_vector(struct shape_ctx *c, int i, int64_t n) {
    return need_shape(c, i, 1, &n);
}

void out_shape(struct shape_ctx *c, int i, enum dtype dtype, int rank, const int64_t *dim) {
    if (i >= c->n_out)
        return;
    c->out[i].dtype = dtype;
    c->out[i].rank = rank;
    if (rank > 0)
        memcpy(c->out[i].dim, dim, (size_t)rank * sizeof *dim);
}
