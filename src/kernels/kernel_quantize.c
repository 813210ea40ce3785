/* Fast QuantizeLinear and DequantizeLinear, and Quantize of domain "fixed": the bits of
 * src/ops/quantize.c and fixed_move.c. */
#include "ops/quantize.h"

#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/fixed.h"

enum { PART = 1 << 14 }; /* elements of a task */

/* Rows of `length` elements, as quant_runs goes through them: row r has the parameter first(r), or
 * as many parameters from there on as it has elements. */
struct job {
    struct quant_layout q;
    quant_fn *fn;
    const char *x;
    char *y;
    size_t x_size, y_size;
    int64_t count, length;
    bool each;
    const double *scale, *zero;
    double least, largest;
};

static int64_t first_parameter(const struct job *j, int64_t row) {
    const struct quant_layout *q = &j->q;
    if (q->blocked && q->inner == 1)
        return row;
    if (q->blocked)
        return (row / q->n * q->parameters + row % q->n / q->block) * q->inner;
    return j->each || q->parameters == 1 ? 0 : row % q->n;
}

/* Sets how the rows lie; false where they are not of one length. */
static bool set_rows(struct job *j) {
    const struct quant_layout *q = &j->q;
    j->each = q->blocked ? q->inner > 1 : q->inner == 1 && q->parameters > 1;
    if (q->blocked)
        j->length = q->inner > 1 ? q->inner : q->block;
    else
        j->length = j->each ? q->n : q->parameters > 1 ? q->inner : j->count;
    return !q->blocked || q->inner > 1 || q->n % q->block == 0;
}

static void task(void *arg, size_t index) {
    const struct job *j = arg;
    int64_t from = (int64_t)index * PART, end = from + PART < j->count ? from + PART : j->count;
    while (from < end) {
        int64_t row = from / j->length, within = from % j->length, left = j->length - within,
                k = first_parameter(j, row) + (j->each ? within : 0);
        struct quant_run r = { .x = j->x + (size_t)from * j->x_size,
                               .y = j->y + (size_t)from * j->y_size,
                               .n = left < end - from ? left : end - from,
                               .scale = j->scale + k,
                               .zero = j->zero + k,
                               .step = j->each,
                               .least = j->least,
                               .largest = j->largest };
        j->fn(&r);
        from += r.n;
    }
}

static int type_id(enum dtype store) {
    switch (store) {
    case DT_I8:
        return QUANT_i8;
    case DT_U8:
        return QUANT_u8;
    case DT_I16:
        return QUANT_i16;
    case DT_U16:
        return QUANT_u16;
    case DT_I32:
        return QUANT_i32;
    default:
        return -1;
    }
}

static double *reals(struct op_ctx *c, const struct tensor *t, int64_t n) {
    double *v = NEW_ARRAY(c->scratch, n + 1, double);
    if (t)
        tensor_load_f64(t, 0, n, v);
    return v;
}

static void run(struct op_ctx *c, struct job *j) {
    const struct tensor *zero = c->n_in > 2 ? c->in[2] : NULL;
    int64_t n = tensor_count(c->in[1]);
    j->x = c->in[0]->data;
    j->y = c->out[0]->data;
    j->x_size = dtype_size(c->in[0]->store);
    j->y_size = dtype_size(c->out[0]->store);
    j->scale = reals(c, c->in[1], n);
    j->zero = reals(c, zero, n);
    pool_run(j->count > PART ? c->pool : NULL, (size_t)((j->count + PART - 1) / PART), task, j);
}

/* Parameters of one float type and of the integers' type, as many zero points as scales. */
static bool known(const struct op_ctx *c, const struct tensor *real, const struct tensor *integer) {
    const struct tensor *scale = c->in[1], *zero = c->n_in > 2 ? c->in[2] : NULL;
    return (real->store == DT_F32 || real->store == DT_F64) && scale->store == real->store &&
           type_id(integer->store) >= 0 && tensor_count(real) != 0 &&
           (!zero || (zero->dtype == integer->dtype && tensor_count(zero) == tensor_count(scale)));
}

static enum status layout(struct op_ctx *c, struct job *j, bool *fits) {
    j->count = tensor_count(c->in[0]);
    TRY(quant_layout(&j->q, c->in[0], c->in[1], attr_int(c->node, "axis"),
                     attr_int(c->node, "block_size"), c->err));
    *fits = set_rows(j);
    return OK;
}

enum status kernel_quantize(struct op_ctx *c) {
    struct job j = { .count = 0 };
    int64_t least, largest;
    bool fits;
    enum dtype precision = attr_dtype(c->node, "precision", c->in[1]->dtype);
    if (!known(c, c->in[0], c->out[0]) ||
        (dtype_is_float(precision) && dtype_row(precision)->bits == 16))
        return kernel_reference(c);
    TRY(layout(c, &j, &fits));
    if (!fits)
        return kernel_reference(c);
    quant_range(c->out[0]->dtype, &least, &largest);
    j.least = (double)least;
    j.largest = (double)largest;
    int id = type_id(c->out[0]->store);
    j.fn = c->in[0]->store == DT_F64 ? isa_best()->d.quantize[id] : isa_best()->f.quantize[id];
    run(c, &j);
    return OK;
}

enum status kernel_dequantize(struct op_ctx *c) {
    struct job j = { .count = 0 };
    bool fits;
    if (!known(c, c->out[0], c->in[0]))
        return kernel_reference(c);
    TRY(layout(c, &j, &fits));
    if (!fits)
        return kernel_reference(c);
    int id = type_id(c->in[0]->store);
    j.fn = c->out[0]->store == DT_F64 ? isa_best()->d.dequantize[id] : isa_best()->f.dequantize[id];
    run(c, &j);
    return OK;
}

enum status kernel_fixed_quantize(struct op_ctx *c) {
    const struct tensor *y = c->out[0];
    struct fixed_quant q;
    int id = type_id(y->store);
    TRY(fixed_out(c, 0, &q));
    if (c->in[0]->store != DT_F32 || q.n != 1 || id < 0 || id > QUANT_i16)
        return kernel_reference(c);
    double scale = (double)q.scale[0], zero = (double)tensor_i64(q.zeros, 0);
    struct job j = { .fn = isa_best()->int_quantize[id],
                     .x = c->in[0]->data,
                     .y = y->data,
                     .x_size = sizeof(float),
                     .y_size = dtype_size(y->store),
                     .q = { .parameters = 1 },
                     .count = tensor_count(y),
                     .length = tensor_count(y),
                     .scale = &scale,
                     .zero = &zero,
                     .least = (double)q.least,
                     .largest = (double)q.largest };
    pool_run(j.count > PART ? c->pool : NULL, (size_t)((j.count + PART - 1) / PART), task, &j);
    return OK;
}
