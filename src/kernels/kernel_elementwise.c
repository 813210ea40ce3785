/* Fast elementwise operators and softmax: the bits of src/ops/unary.c, binary.c, activation.c and
 * softmax.c. */
#include <string.h>

#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/elementwise.h"
#include "ops/axes.h"

enum { PART = 1 << 14 }; /* elements of a task */

static bool is_real(const struct tensor *t) {
    return t->store == DT_F32 || t->store == DT_F64;
}

struct unary_job {
    const struct tensor *x, *low, *high;
    struct tensor *y;
    int64_t n;
    int id; /* -1: clip */
    double a, b;
};

#define PART_OF(T, S)                                                                       \
    static void part_##S(const struct unary_job *j, int64_t from, int64_t n) {              \
        const struct micro_##S *m = &isa_best()->S;                                         \
        const T *x = (const T *)j->x->data + from;                                          \
        T *y = (T *)j->y->data + from;                                                      \
        if (j->id < 0)                                                                      \
            m->clip(x, y, n, j->low ? j->low->data : NULL, j->high ? j->high->data : NULL); \
        else                                                                                \
            m->unary[j->id](x, y, n, (T)j->a, (T)j->b);                                     \
    }
PART_OF(float, f)
PART_OF(double, d)

static void unary_part(void *arg, size_t task) {
    const struct unary_job *j = arg;
    int64_t from = (int64_t)task * PART, n = j->n - from < PART ? j->n - from : PART;
    if (j->x->store == DT_F64)
        part_d(j, from, n);
    else
        part_f(j, from, n);
}

static enum status run_unary(struct op_ctx *c, struct unary_job *j) {
    j->x = c->in[0];
    j->y = c->out[0];
    j->n = tensor_count(j->x);
    pool_run(c->pool, (size_t)((j->n + PART - 1) / PART), unary_part, j);
    return OK;
}

int kernel_unary_id(const struct node *n, double v[2]) {
#define NAME(name) [UNARY_##name] = #name,
    static const char *const names[] = { UNARY_PLAIN(NAME) UNARY_CALLING(NAME) };
#undef NAME
    int i = 0, count = 0;
    while (i < UNARY_COUNT && strcmp(names[i], n->op) != 0)
        i++;
    for (const struct attr_def *d = n->def->attrs; d && d->name && count < 2; d++)
        if (d->type == ATTR_FLOAT)
            v[count++] = attr_float(n, d->name);
    return i < UNARY_COUNT ? i : -1;
}

static enum status unary_of(struct op_ctx *c, int id, const double v[2]) {
    struct unary_job j = { .id = id, .a = v[0], .b = v[1] };
    return is_real(c->in[0]) && id >= 0 ? run_unary(c, &j) : kernel_reference(c);
}

enum status kernel_unary(struct op_ctx *c) {
    double v[2] = { 0, 0 };
    return unary_of(c, kernel_unary_id(c->node, v), v);
}

int kernel_gelu_id(const struct node *n, double v[2]) {
    if (strcmp(n->op, "QuickGelu") == 0) { /* x * sigmoid(alpha * x) */
        v[0] = attr_float(n, "alpha");
        return UNARY_Swish;
    }
    const char *name = n->domain[0] == '\0' ? attr_str(n, "approximate") : "none";
    return strcmp(name, "tanh") == 0 ? UNARY_FastGelu : strcmp(name, "none") == 0 ? UNARY_Gelu : -1;
}

enum status kernel_gelu(struct op_ctx *c) {
    double v[2] = { 0, 0 };
    return unary_of(c, kernel_gelu_id(c->node, v), v);
}

enum status kernel_clip(struct op_ctx *c) {
    struct unary_job j = { .id = -1,
                           .low = clip_limit(c->n_in > 1 ? c->in[1] : NULL, c->in[0], false),
                           .high = clip_limit(c->n_in > 2 ? c->in[2] : NULL, c->in[0], true) };
    bool fits = is_real(c->in[0]);
    for (int i = 1; i < c->n_in; i++)
        fits = fits &&
               (!c->in[i] || (tensor_count(c->in[i]) == 1 && c->in[i]->store == c->in[0]->store));
    return fits ? run_unary(c, &j) : kernel_reference(c);
}

int kernel_binary_id(const struct node *n) {
#define NAME(name) [BINARY_##name] = #name,
    static const char *const names[] = { BINARY_PLAIN(NAME) };
#undef NAME
    int i = 0;
    if (strcmp(n->op, "Sum") == 0)
        return BINARY_Add;
    while (i < BINARY_COUNT && strcmp(names[i], n->op) != 0)
        i++;
    return i < BINARY_COUNT ? i : -1;
}

enum status kernel_binary(struct op_ctx *c) {
    int id = kernel_binary_id(c->node);
    struct broadcast plan;
    if (c->n_in != 2 || id < 0 || !is_real(c->in[0]) || c->in[0]->store != c->in[1]->store ||
        c->out[0]->store != c->in[0]->store)
        return kernel_reference(c);
    TRY(broadcast_plan(&plan, c->out[0]->rank, c->out[0]->dim, 2, c->in, c->err));
    const struct isa *isa = isa_best();
    broadcast_run(&plan, c->in, c->out[0],
                  c->in[0]->store == DT_F64 ? isa->d.binary[id] : isa->f.binary[id], NULL, c->pool);
    return OK;
}

enum { COLUMNS = 64 };

struct softmax_job {
    const struct tensor *x;
    struct tensor *y;
    struct axis_view v;
    int64_t groups; /* of columns in an outer index */
    bool logarithm;
};

#define SOFTMAX_OF(T, S)                                                                  \
    static void softmax_##S(const struct softmax_job *j, int64_t at, int64_t count) {     \
        const T *x = (const T *)j->x->data + at;                                          \
        T *y = (T *)j->y->data + at;                                                      \
        if (j->v.inner == 1)                                                              \
            isa_best()->S.softmax(x, y, j->v.n, j->logarithm);                            \
        else                                                                              \
            isa_best()->S.softmax_columns(x, y, j->v.n, j->v.inner, count, j->logarithm); \
    }
SOFTMAX_OF(float, f)
SOFTMAX_OF(double, d)

static void softmax_task(void *arg, size_t index) {
    const struct softmax_job *j = arg;
    int64_t group = (int64_t)index % j->groups * COLUMNS, outer = (int64_t)index / j->groups;
    int64_t count = j->v.inner - group < COLUMNS ? j->v.inner - group : COLUMNS,
            at = outer * j->v.n * j->v.inner + group;
    if (j->x->store == DT_F64)
        softmax_d(j, at, count);
    else
        softmax_f(j, at, count);
}

enum status kernel_softmax(struct op_ctx *c) {
    struct softmax_job j = { .x = c->in[0],
                             .y = c->out[0],
                             .v = { 1, 1, 1 },
                             .logarithm = strcmp(c->node->op, "LogSoftmax") == 0 };
    int axis = 0;
    if (!is_real(j.x))
        return kernel_reference(c);
    if (j.x->rank) {
        TRY(axis_normalise(attr_int(c->node, "axis"), j.x->rank, &axis, c->err));
        j.v = axis_view(j.x, axis);
    }
    j.groups = (j.v.inner + COLUMNS - 1) / COLUMNS;
    int64_t n = tensor_count(j.x);
    if (n)
        pool_run(n > PART ? c->pool : NULL, (size_t)(j.v.outer * j.groups), softmax_task, &j);
    return OK;
}
