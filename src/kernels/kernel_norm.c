/* Fast BatchNormalization and LayerNormalization: the bits of src/ops/norm.c. */
#include <math.h>

#include "kernels/kernel_cores.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "ops/spatial.h"

static bool same_store(const struct op_ctx *c) {
    enum dtype t = c->in[0]->store;
    bool same = (t == DT_F32 || t == DT_F64) && c->out[0]->store == t;
    for (int i = 1; i < c->n_in; i++)
        same = same && (!c->in[i] || c->in[i]->store == t);
    return same;
}

struct batch_job {
    const struct tensor *const *in;
    struct tensor *y;
    const void *inverse;
    int64_t channels, run; /* run: elements that share a channel, side by side; 1: channels last */
};

/* One image's channel, or one part of the positions when channels are last. */
#define BATCH(T, S)                                                                          \
    static void batch_##S(void *arg, size_t task) {                                          \
        const struct batch_job *j = arg;                                                     \
        const T *scale = j->in[1]->data, *bias = j->in[2]->data, *mean = j->in[3]->data,     \
                *inverse = j->inverse;                                                       \
        const T *x =                                                                         \
            (const T *)j->in[0]->data + (int64_t)task * (j->run > 1 ? j->run : j->channels); \
        T *y = (T *)j->y->data + (int64_t)task * (j->run > 1 ? j->run : j->channels);        \
        int64_t k = j->run > 1 ? (int64_t)task % j->channels : 0;                            \
        isa_best()->S.affine(x, y, j->run > 1 ? j->run : j->channels, j->run == 1, mean + k, \
                             inverse + k, scale + k, bias + k);                              \
    }                                                                                        \
    static void *inverse_##S(struct op_ctx *c, int64_t channels, double epsilon) {           \
        const T *variance = c->in[4]->data;                                                  \
        T *to = NEW_ARRAY(c->scratch, channels + 1, T), e = (T)epsilon;                      \
        for (int64_t i = 0; i < channels; i++)                                               \
            to[i] = 1 / SQRT_##S(variance[i] + e);                                           \
        return to;                                                                           \
    }
#define SQRT_f sqrtf
#define SQRT_d sqrt
BATCH(float, f)
BATCH(double, d)

enum status kernel_batch_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    struct batch_job j = { .in = c->in, .y = c->out[0], .run = 1 };
    if (!same_store(c) || attr_int(c->node, "training_mode"))
        return kernel_with_cores(c);
    TRY(layout_read(c->node, x->rank, &l, c->err));
    j.channels = x->dim[l.channel];
    for (int i = l.channel + 1; i < x->rank; i++)
        j.run *= x->dim[i];
    int64_t n = tensor_count(x);
    double epsilon = attr_float(c->node, "epsilon");
    bool doubles = x->store == DT_F64;
    if (n == 0)
        return kernel_reference(c);
    j.inverse = doubles ? inverse_d(c, j.channels, epsilon) : inverse_f(c, j.channels, epsilon);
    pool_run(n > 16384 ? c->pool : NULL, (size_t)(n / (j.run > 1 ? j.run : j.channels)),
             doubles ? batch_d : batch_f, &j);
    return OK;
}

struct layer_job {
    const struct tensor *const *in;
    const struct tensor *bias;
    struct tensor *y;
    int64_t rows, n;
    double epsilon;
};

enum { ROWS_AT_ONCE = 8 };

#define LAYER(T, S)                                                                             \
    static void layer_##S(void *arg, size_t task) {                                             \
        const struct layer_job *j = arg;                                                        \
        int64_t row = (int64_t)task * ROWS_AT_ONCE, left = j->rows - row;                       \
        isa_best()->S.norm_rows((const T *)j->in[0]->data + row * j->n,                         \
                                (T *)j->y->data + row * j->n,                                   \
                                left < ROWS_AT_ONCE ? (int)left : ROWS_AT_ONCE, j->n,           \
                                (T)j->epsilon, j->in[1]->data, j->bias ? j->bias->data : NULL); \
    }
LAYER(float, f)
LAYER(double, d)

enum status kernel_layer_norm(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layer_job j = {
        .in = c->in, .bias = c->n_in > 2 ? c->in[2] : NULL, .y = c->out[0], .rows = 1, .n = 1
    };
    int axis;
    if (!same_store(c) || x->rank == 0 || op_wanted(c, 1) || op_wanted(c, 2))
        return kernel_with_cores(c);
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    for (int i = 0; i < x->rank; i++)
        *(i < axis ? &j.rows : &j.n) *= x->dim[i];
    if (j.n == 0 || j.rows == 0 || tensor_count(c->in[1]) != j.n ||
        (j.bias && tensor_count(j.bias) != j.n))
        return kernel_with_cores(c);
    j.epsilon = attr_float(c->node, "epsilon");
    pool_run(j.rows * j.n > 16384 ? c->pool : NULL,
             (size_t)((j.rows + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE),
             x->store == DT_F64 ? layer_d : layer_f, &j);
    return OK;
}

struct lrn_job {
    const struct tensor *x;
    struct tensor *y;
    int64_t channels, run, size; /* run: elements of a channel side by side; 1: channels last */
    double alpha, beta, bias;
};

/* Channels [from, to) of the window around channel `at`. */
static void lrn_window(const struct lrn_job *j, int64_t at, int64_t *from, int64_t *to) {
    *from = at - (j->size - 1) / 2 > 0 ? at - (j->size - 1) / 2 : 0;
    *to = at + j->size / 2 + 1 < j->channels ? at + j->size / 2 + 1 : j->channels;
}

enum { LRN_TAPS = 64 };

/* Channels first: one channel of one image. Channels last: one position, whose channels with whole
 * windows lie side by side. */
#define LRN(T, S)                                                                            \
    static void lrn_##S(void *arg, size_t task) {                                            \
        const struct lrn_job *j = arg;                                                       \
        const int64_t step = j->run > 1 ? j->run : 1, first = j->run > 1 ? 1 : j->channels,  \
                      last = j->run > 1 ? (int64_t)task % j->channels : 0;                   \
        int64_t base = j->run > 1 ? (int64_t)task / j->channels * j->channels * j->run       \
                                  : (int64_t)task * j->channels,                             \
                at = last;                                                                   \
        while (at < last + first) {                                                          \
            const T *x = (const T *)j->x->data + base, *tap[LRN_TAPS];                       \
            T *y = (T *)j->y->data + base;                                                   \
            int64_t from, to, n = 1;                                                         \
            lrn_window(j, at, &from, &to);                                                   \
            if (j->run == 1 && to - from == j->size) /* as are its neighbours' windows */    \
                n = j->channels - to + 1;                                                    \
            for (int64_t k = from; k < to; k++)                                              \
                tap[k - from] = x + k * step;                                                \
            isa_best()->S.lrn(y + at * step, j->run > 1 ? j->run : n, (int)(to - from), tap, \
                              x + at * step, (T)(j->alpha / (double)j->size), (T)j->bias,    \
                              (T)j->beta);                                                   \
            at += n;                                                                         \
        }                                                                                    \
    }
LRN(float, f)
LRN(double, d)

enum status kernel_lrn(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct layout l;
    struct lrn_job j = { .x = x,
                         .y = c->out[0],
                         .run = 1,
                         .size = attr_int(c->node, "size"),
                         .alpha = attr_float(c->node, "alpha"),
                         .beta = attr_float(c->node, "beta"),
                         .bias = attr_float(c->node, "bias") };
    int64_t n = tensor_count(x);
    if (!same_store(c) || n == 0 || j.size > LRN_TAPS)
        return kernel_reference(c);
    TRY(layout_read(c->node, x->rank, &l, c->err));
    j.channels = x->dim[l.channel];
    for (int i = l.channel + 1; i < x->rank; i++)
        j.run *= x->dim[i];
    pool_run(n > 1024 ? c->pool : NULL, (size_t)(j.run > 1 ? n / j.run : n / j.channels),
             x->store == DT_F64 ? lrn_d : lrn_f, &j);
    return OK;
}
