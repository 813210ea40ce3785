/* Reductions over axes: the kernels of reduce.def.
 *
 * Order of operations. Where the innermost axis stays, every output element is one chain over the
 * reduced elements in row-major order. Where it is reduced, element k of each innermost run goes to
 * chain k mod 8; the chains of an output are joined pairwise at the end: k with k + 4, then k + 2,
 * then k + 1. */
#include <math.h>
#include <string.h>

#include "ops/broadcast.h"
#include "ops/cores.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"

#define fabs_d fabs
#define fabs_f fabsf
#define sqrt_d sqrt
#define sqrt_f sqrtf

#define REAL float
#define SUFFIX f
#include "ops/reduce.inc"
#undef REAL
#undef SUFFIX
#define REAL double
#define SUFFIX d
#include "ops/reduce.inc"

#define K(constant) ((REAL)(constant))
#define REDUCE(name, since, start, step, join, finish, slope)      \
    static double name##_slope(double a, double y, double count) { \
        (void)a, (void)y, (void)count;                             \
        return slope;                                              \
    }
#include "ops/reduce.def"
#undef REDUCE

struct job {
    const struct slabs *s;
    const struct tensor *x, *shift;
    struct tensor *y;
    reduce_fn_d *d;
    reduce_fn_f *f;
    int64_t per_task;              /* slabs */
    int64_t columns, columns_each; /* tasks beside each other in a run that is kept */
};

static void slab_task(void *arg, size_t task) {
    const struct job *j = arg;
    int64_t from = (int64_t)task / j->columns * j->per_task, to = from + j->per_task;
    int64_t column = (int64_t)task % j->columns * j->columns_each;
    int64_t step = j->s->inner_kept ? j->s->run : 1;
    struct slabs s = *j->s;
    if (s.inner_kept)
        s.run = s.run - column < j->columns_each ? s.run - column : j->columns_each;
    for (int64_t i = from; i < to && i < s.n_slabs; i++) {
        int64_t y = i * step + column, x = s.base[i] + column;
        if (j->x->store == DT_F64)
            j->d(&s, (const double *)j->x->data + x,
                 j->shift ? (const double *)j->shift->data + y : NULL, (double *)j->y->data + y);
        else
            j->f(&s, (const float *)j->x->data + x,
                 j->shift ? (const float *)j->shift->data + y : NULL, (float *)j->y->data + y);
    }
}

static const struct {
    reduce_fn_d *d;
    reduce_fn_f *f;
} loops[] = {
#define REDUCE(name, since, start, step, join, finish, slope) \
    [REDUCTION_##name] = { name##_d, name##_f },
#include "ops/reduce.def"
#undef REDUCE
};

/* Columns that stay in the first cache while the elements that are reduced go by. */
enum { COLUMNS = 2048 };

static void reduce_real(struct op_ctx *c, const struct slabs *s, const struct tensor *x,
                        const struct tensor *shift, struct tensor *y, enum reduction r) {
    struct job j = { .s = s, .x = x, .shift = shift, .y = y, .d = loops[r].d, .f = loops[r].f };
    if (c->cores) {
        j.d = c->cores->reduce_d[r];
        j.f = c->cores->reduce_f[r];
    }
    j.columns_each = s->inner_kept && s->run > COLUMNS ? COLUMNS : s->run;
    j.columns = s->inner_kept && s->run > COLUMNS ? (s->run + COLUMNS - 1) / COLUMNS : 1;
    int64_t work = s->count * (s->inner_kept ? j.columns_each : 1);
    j.per_task = work >= 16384 ? 1 : 16384 / (work ? work : 1);
    size_t tasks = (size_t)((s->n_slabs + j.per_task - 1) / j.per_task * j.columns);
    pool_run(tasks > 1 ? c->pool : NULL, tasks, slab_task, &j);
}

static enum status reduced_axes(const struct node *n, const struct tensor *axes, int rank,
                                bool *reduced, struct err *e) {
    int64_t count = axes ? tensor_count(axes) : 0, list[MAX_RANK];
    FAIL_IF(count > MAX_RANK, e, STATUS_CORRUPT, "%lld axes of a tensor of rank %d",
            (long long)count, rank);
    for (int64_t i = 0; i < count; i++)
        list[i] = tensor_i64(axes, i);
    return axes_mark(list, count, attr_int(n, "noop_with_empty_axes"), rank, reduced, e);
}

static enum status reduce_shape(struct shape_ctx *c) {
    bool keepdims = attr_int(c->node, "keepdims"), reduced[MAX_RANK];
    const struct fact *axes = c->n_in > 1 && !c->in[1].absent ? &c->in[1] : NULL;
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank < 0)
        return OK;
    if (axes && !axes->value) {
        c->out[0].rank = keepdims ? c->in[0].rank : -1;
        for (int i = 0; i < c->in[0].rank; i++)
            c->out[0].dim[i] = DIM_UNKNOWN;
        return OK;
    }
    TRY(reduced_axes(c->node, axes ? axes->value : NULL, c->in[0].rank, reduced, c->err));
    axes_shape(&c->in[0], reduced, keepdims, &c->out[0]);
    return OK;
}

static int64_t least_integer(enum dtype t, bool largest) {
    int bits = dtype_row(t)->bits;
    if (dtype_row(t)->class_ != CLASS_INT)
        return largest ? -1 : 0;
    int64_t least = (int64_t)(UINT64_MAX << (bits - 1));
    return largest ? -(least + 1) : least;
}

/* Integers wrap; the mean truncates. In row-major order, 64 bits wide. */
static int64_t integer_step(const char *op, int64_t acc, int64_t a, bool is_signed, bool first) {
    bool less = is_signed ? a < acc : (uint64_t)a < (uint64_t)acc;
    if (strcmp(op, "ReduceMax") == 0)
        return first || (!less && a != acc) ? a : acc;
    if (strcmp(op, "ReduceMin") == 0)
        return first || less ? a : acc;
    if (strcmp(op, "ReduceProd") == 0)
        return (int64_t)((uint64_t)acc * (uint64_t)a);
    if (strcmp(op, "ReduceL1") == 0 && is_signed && a < 0)
        a = (int64_t)(0 - (uint64_t)a);
    if (strcmp(op, "ReduceSumSquare") == 0)
        a = (int64_t)((uint64_t)a * (uint64_t)a);
    return (int64_t)((uint64_t)acc + (uint64_t)a);
}

static void reduce_integers(const char *op, const struct slabs *s, const struct tensor *x,
                            struct tensor *y) {
    bool is_signed = dtype_row(x->store)->class_ == CLASS_INT;
    int64_t outputs = s->inner_kept ? s->run : 1, inner = s->inner_kept ? 1 : s->run;
    int64_t start = strcmp(op, "ReduceProd") == 0  ? 1
                    : strcmp(op, "ReduceMax") == 0 ? least_integer(x->store, false)
                    : strcmp(op, "ReduceMin") == 0 ? least_integer(x->store, true)
                                                   : 0;
    for (int64_t i = 0; i < s->n_slabs * outputs; i++) {
        int64_t acc = start, base = s->base[i / outputs] + i % outputs, n = s->n_offsets * inner;
        for (int64_t k = 0; k < n; k++)
            acc = integer_step(op, acc, tensor_i64(x, base + s->offset[k / inner] + k % inner),
                               is_signed, k == 0);
        if (strcmp(op, "ReduceMean") == 0 && n)
            acc = is_signed ? acc / n : (int64_t)((uint64_t)acc / (uint64_t)n);
        tensor_set_i64(y, i, acc);
    }
}

/* The largest element of every output, 0 where that is not finite. */
static enum status largest(struct op_ctx *c, const struct slabs *s, const struct tensor *x,
                           struct tensor **out) {
    const struct tensor *y = c->out[0];
    TRY(tensor_new(out, x->store, x->store, y->rank, y->dim, c->err));
    reduce_real(c, s, x, NULL, *out, REDUCTION_ReduceMax);
    for (int64_t i = 0, n = tensor_count(y); i < n; i++)
        if (!isfinite(tensor_f64(*out, i)))
            tensor_set_f64(*out, i, 0);
    return OK;
}

static enum status reduce_as_real(struct op_ctx *c, const struct slabs *s, const struct tensor *x,
                                  struct tensor *y, enum reduction r) {
    struct tensor *shift = NULL;
    if (strcmp(c->node->op, "ReduceLogSumExp") == 0)
        TRY(largest(c, s, x, &shift));
    reduce_real(c, s, x, shift, y, r);
    tensor_free(shift);
    return OK;
}

static bool needs_reals(const char *op) {
    return strcmp(op, "ReduceL2") == 0 || strcmp(op, "ReduceLogSum") == 0 ||
           strcmp(op, "ReduceLogSumExp") == 0;
}

/* Integers of operators whose result is not an integer: through float64, truncated. */
static enum status reduce_through_reals(struct op_ctx *c, const struct slabs *s, enum reduction r) {
    struct tensor *x, *y = NULL;
    TRY(tensor_convert(&x, c->in[0], DT_F64, c->err));
    enum status status = tensor_new(&y, DT_F64, DT_F64, c->out[0]->rank, c->out[0]->dim, c->err);
    if (status == OK)
        status = reduce_as_real(c, s, x, y, r);
    for (int64_t i = 0, n = tensor_count(c->out[0]); status == OK && i < n; i++)
        tensor_set_f64(c->out[0], i, tensor_f64(y, i));
    tensor_free(x);
    tensor_free(y);
    return status;
}

static enum status reduce_run(struct op_ctx *c, enum reduction r) {
    const struct tensor *x = c->in[0];
    bool reduced[MAX_RANK];
    struct slabs s;
    TRY(reduced_axes(c->node, c->n_in > 1 ? c->in[1] : NULL, x->rank, reduced, c->err));
    slabs_plan(&s, x, reduced, c->scratch);
    if (dtype_is_float(x->store))
        return reduce_as_real(c, &s, x, c->out[0], r);
    if (!dtype_is_int(x->store) && x->store != DT_BOOL)
        return op_bad_type(c, 0);
    if (needs_reals(c->node->op))
        return reduce_through_reals(c, &s, r);
    reduce_integers(c->node->op, &s, x, c->out[0]);
    return OK;
}

/* The product of the other elements; a zero element has no quotient. */
static double product_slope(const struct grad_ctx *c, const struct broadcast *plan, int64_t i,
                            int64_t out) {
    double product = 1;
    for (int64_t k = 0, n = tensor_count(c->in[0]); k < n; k++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(plan, k, at);
        if (at[0] == out && k != i)
            product *= ((const double *)c->in[0]->data)[k];
    }
    return product;
}

static enum status reduce_grad(struct grad_ctx *c,
                               double (*slope)(double a, double y, double count)) {
    const struct tensor *x = c->in[0];
    bool reduced[MAX_RANK], chosen = node_is(c->node, "ReduceMax") || node_is(c->node, "ReduceMin");
    struct tensor y = *c->out[0];
    struct broadcast plan;
    if (!c->grad_in[0] || !c->grad_out[0])
        return OK;
    TRY(reduced_axes(c->node, c->n_in > 1 ? c->in[1] : NULL, x->rank, reduced, c->err));
    y.rank = x->rank;
    for (int i = 0; i < x->rank; i++)
        y.dim[i] = reduced[i] ? 1 : x->dim[i];
    TRY(broadcast_plan(&plan, x->rank, x->dim, 1, (const struct tensor *const[]) { &y }, c->err));
    bool *taken = NEW_ARRAY(c->scratch, tensor_count(&y) + 1, bool);
    double count = (double)tensor_count(x) / (double)(tensor_count(&y) ? tensor_count(&y) : 1);
    for (int64_t i = 0, n = tensor_count(x); i < n; i++) {
        int64_t at[MAX_OPERANDS];
        broadcast_offsets(&plan, i, at);
        double a = ((const double *)x->data)[i], out = ((const double *)y.data)[at[0]];
        double s = a == 0 && node_is(c->node, "ReduceProd") ? product_slope(c, &plan, i, at[0])
                                                            : slope(a, out, count);
        if (chosen && s != 0 && taken[at[0]])
            continue;
        if (chosen && s != 0)
            taken[at[0]] = true;
        ((double *)c->grad_in[0]->data)[i] += ((const double *)c->grad_out[0]->data)[at[0]] * s;
    }
    return OK;
}

#define REDUCE(name, since, start, step, join, finish, slope) \
    static enum status name##_eval(struct op_ctx *c) {        \
        return reduce_run(c, REDUCTION_##name);               \
    }                                                         \
    static enum status name##_grad(struct grad_ctx *c) {      \
        return reduce_grad(c, name##_slope);                  \
    }
#include "ops/reduce.def"
#undef REDUCE

static const struct attr_def reduce_attrs[] = { INT("keepdims", 1),
                                                INT("noop_with_empty_axes", 0),
                                                { 0 } };

/* clang-format off */
const struct op ops_reduce[] = {
#define REDUCE(name, since, start, step, join, finish, slope)                                      \
    { ONNX(#name, since, 1, 2), .whole = 2, .attrs = reduce_attrs, .shape = reduce_shape,          \
      .eval = name##_eval, .grad = name##_grad },
#include "ops/reduce.def"
    { 0 },
};
