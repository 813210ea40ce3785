/* Fast convolutions and matrix products on quantized integers: the bits of src/ops/fixed_conv.c and
 * fixed_matmul.c. Sums of integers have no order, so that only the result counts: operands without
 * their zero points fit 16 bits, and are multiplied pair by pair. Padding is zero there.
 *
 * Activations have their channels last; sums of 64 bits and other layouts go to the reference. */
#include <string.h>

#include "kernels/buffers.h"
#include "kernels/geometry.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "ops/conv.h"
#include "ops/fixed_sums.h"
#include "ops/matmul.h"

enum { POSITIONS = 32 }; /* rows of a task */

struct integers {
    struct fixed_sums s;
    struct int_rescale rescale;
    const struct geometry *g; /* NULL: a matrix product */
    const int16_t *x, *packed;
    struct tensor *y;
    int64_t rows, columns, pairs; /* of an item: positions, output channels, half the depth */
    int64_t lda;                  /* of x where rows lie in it as they are, else 0 */
    int64_t blocks;               /* of rows */
    bool odd;                     /* the last pair's second is zero */
    const struct matmul_plan *m;
    struct buffers *buffers;
};

#define LESS_ZERO(T)                \
    for (int64_t i = 0; i < n; i++) \
        to[i] = (int16_t)(((const T *)t->data)[i] - zero);

static void without_zero(int16_t *to, const struct tensor *t, int64_t n, int32_t zero) {
    if (t->store == DT_I8) {
        LESS_ZERO(int8_t)
    } else {
        LESS_ZERO(uint8_t)
    }
}

/* 32-bit sums of values that fit 16 bits without their zero points. */
static bool fits(const struct fixed_sums *s) {
    return !s->wide && !fixed_sums_as_bytes(s) && s->x.zero >= -256 && s->x.zero <= 256 &&
           s->k.zero >= -256 && s->k.zero <= 256;
}

static bool narrow(const struct tensor *t) {
    return t->store == DT_I8 || t->store == DT_U8;
}

/* The channels' biases and factors side by side. */
static void plan_rescale(struct op_ctx *c, struct integers *j, int64_t channels) {
    int32_t *at = NEW_ARRAY(c->scratch, 4 * channels + 1, int32_t);
    const struct fixed_sums *s = &j->s;
    for (int64_t o = 0; o < channels; o++) {
        struct fixed_factor f = s->factor[o * s->step];
        at[o] = s->bias ? (int32_t)(uint32_t)(uint64_t)s->bias[o] : 0;
        at[channels + o] = f.multiplier;
        at[2 * channels + o] = f.shift > 0 ? f.shift : 0;
        at[3 * channels + o] = f.shift > 0 ? 0 : -f.shift;
    }
    j->rescale = (struct int_rescale) {
        at, at + channels, at + 2 * channels, at + 3 * channels, (int32_t)s->y.zero, s->low, s->high
    };
}

/* n sums of the channels from 0 on become the output's elements from `at` on. */
static void deliver(const struct integers *j, int32_t *sum, int64_t at, int64_t n) {
    if (j->s.real)
        for (int64_t o = 0; o < n; o++)
            sum[o] = fixed_sums_narrow(&j->s, sum[o], o);
    else
        isa_best()->int_rescale(&j->rescale, sum, n, 0);
    fixed_store(j->y, at, n, sum);
}

/* The input elements of one output position, in the order (kernel position, channel). */
static void gather_position(const struct geometry *g, const int16_t *x, int64_t position,
                            int16_t *to) {
    const int64_t channels = g->p->in_per_group;
    int64_t at[AXES], r[AXES][2];
    position_of(g, position, at);
    for (int i = 0; i < AXES; i++)
        tap_range(g, i, at[i], r[i]);
    memset(to, 0, (size_t)(g->taps * channels) * sizeof *to);
    int64_t w0 = at[2] * g->stride[2] - g->begin[2], step = g->dilation[2];
    for (int64_t kd = r[0][0]; kd < r[0][1]; kd++)
        for (int64_t kh = r[1][0]; kh < r[1][1]; kh++) {
            int64_t d = at[0] * g->stride[0] - g->begin[0] + kd * g->dilation[0];
            int64_t h = at[1] * g->stride[1] - g->begin[1] + kh * g->dilation[1];
            const int16_t *line = x + (d * g->in[1] + h) * g->in[2] * channels;
            int16_t *row = to + (kd * g->kernel[1] + kh) * g->kernel[2] * channels;
            int64_t n = step == 1 ? r[2][1] - r[2][0] : 1; /* neighbours lie side by side */
            for (int64_t kw = r[2][0]; kw < r[2][1]; kw += n)
                memcpy(row + kw * channels, line + (w0 + kw * step) * channels,
                       (size_t)(n * channels) * sizeof *to);
        }
}

/* A block of rows of one item, all columns. */
static void dense_block(void *arg, size_t index) {
    const struct integers *j = arg;
    const struct isa *isa = isa_best();
    int64_t item = (int64_t)index / j->blocks, from = (int64_t)index % j->blocks * POSITIONS;
    int64_t rows = j->rows - from < POSITIONS ? j->rows - from : POSITIONS, depth = 2 * j->pairs;
    int slot = buffer_take(j->buffers);
    int32_t *sum = buffer_at(j->buffers, slot);
    int16_t *gathered = (int16_t *)(sum + POSITIONS * j->columns);
    const int16_t *a = gathered;
    int64_t lda = depth;
    if (j->lda) {
        a = j->x + (j->m ? j->m->a_batch[item] : item * j->rows * j->lda) + from * j->lda;
        lda = j->lda;
    } else {
        for (int64_t r = 0; r < rows; r++) {
            int16_t *to = gathered + r * depth;
            if (j->g)
                gather_position(j->g, j->x + item * j->g->p->x_batch, from + r, to);
            for (int64_t k = 0; j->m && k < j->m->inner; k++)
                to[k] = j->x[j->m->a_batch[item] + (from + r) * j->m->a_row + k * j->m->a_inner];
            if (j->odd)
                to[depth - 1] = 0;
        }
    }
    for (int64_t n = 0; n < j->columns; n += isa->int_columns)
        for (int64_t m = 0; m < rows; m += isa->int_rows) {
            struct int_tile t = { .pairs = j->pairs,
                                  .lda = lda,
                                  .ldc = j->columns,
                                  .a = a + m * lda,
                                  .b = j->packed + n * depth,
                                  .c = sum + m * j->columns + n };
            isa->int_tile(
                &t, (int)(rows - m < isa->int_rows ? rows - m : isa->int_rows),
                (int)(j->columns - n < isa->int_columns ? j->columns - n : isa->int_columns));
        }
    for (int64_t r = 0; r < rows; r++)
        deliver(j, sum + r * j->columns, (item * j->rows + from + r) * j->columns, j->columns);
    buffer_give(j->buffers, slot);
}

/* One row of output positions, channel by channel. */
static void depth_row(void *arg, size_t index) {
    const struct integers *j = arg;
    const struct geometry *g = j->g;
    int64_t lines = g->out[0] * g->out[1], line = (int64_t)index % lines,
            b = (int64_t)index / lines;
    int64_t at[AXES] = { line / g->out[1], line % g->out[1], 0 }, r[AXES][2];
    const int64_t channels = g->p->out_channels;
    const int16_t *x = j->x + b * g->p->x_batch;
    int slot = buffer_take(j->buffers);
    int32_t *sum = buffer_at(j->buffers, slot);
    const int16_t **from = (const int16_t **)(sum + (channels + 1) / 2 * 2);
    int64_t *w_at = (int64_t *)(from + g->taps);
    for (at[2] = 0; at[2] < g->out[2]; at[2]++) {
        int taps = 0;
        for (int i = 0; i < AXES; i++)
            tap_range(g, i, at[i], r[i]);
        for (int64_t kd = r[0][0]; kd < r[0][1]; kd++)
            for (int64_t kh = r[1][0]; kh < r[1][1]; kh++)
                for (int64_t kw = r[2][0]; kw < r[2][1]; kw++) {
                    int64_t tap[AXES] = { kd, kh, kw }, offset = 0;
                    for (int i = 0; i < AXES; i++)
                        offset = offset * g->in[i] + at[i] * g->stride[i] - g->begin[i] +
                                 tap[i] * g->dilation[i];
                    from[taps] = x + offset * channels;
                    w_at[taps++] = ((kd * g->kernel[1] + kh) * g->kernel[2] + kw) * channels;
                }
        isa_best()->int_taps(sum, channels, taps, from, j->packed, w_at);
        deliver(j, sum, ((int64_t)index * g->out[2] + at[2]) * channels, channels);
    }
    buffer_give(j->buffers, slot);
}

static const int16_t *activation(struct op_ctx *c, const struct integers *j) {
    int64_t n = tensor_count(c->in[0]);
    int16_t *x = NEW_ARRAY(c->scratch, n + 1, int16_t);
    without_zero(x, c->in[0], n, (int32_t)j->s.x.zero);
    return x;
}

/* Where the weights lie: of column n and depth k at by_column[n] + by_depth[k]. */
struct weights {
    int64_t *by_column, *by_depth;
};

static struct weights conv_weights(struct op_ctx *c, const struct geometry *g) {
    const struct conv_plan *p = g->p;
    int64_t depth = g->taps * p->in_per_group, tap[AXES];
    struct weights w = { NEW_ARRAY(c->scratch, p->out_channels + 1, int64_t),
                         NEW_ARRAY(c->scratch, depth + 1, int64_t) };
    for (int64_t n = 0; n < p->out_channels; n++)
        w.by_column[n] = n / p->out_per_group * p->k_group + n % p->out_per_group * p->k_out;
    for (int64_t k = 0; k < depth; k++) {
        tap_of(g, k / p->in_per_group, tap);
        w.by_depth[k] = k % p->in_per_group * p->k_in;
        for (int i = 0; i < p->w.n; i++)
            w.by_depth[k] += tap[AXES - p->w.n + i] * p->k_spatial[i];
    }
    return w;
}

static struct weights product_weights(struct op_ctx *c, const struct matmul_plan *p) {
    struct weights w = { NEW_ARRAY(c->scratch, p->columns + 1, int64_t),
                         NEW_ARRAY(c->scratch, p->inner + 1, int64_t) };
    for (int64_t n = 0; n < p->columns; n++)
        w.by_column[n] = n * p->b_column;
    for (int64_t k = 0; k < p->inner; k++)
        w.by_depth[k] = k * p->b_inner;
    return w;
}

/* Panels of int_columns columns, [pair][column][2], or, not dense, [depth][column]. */
static const int16_t *pack(struct op_ctx *c, struct integers *j, struct weights w, int64_t depth,
                           bool dense) {
    const int64_t width = dense ? isa_best()->int_columns : j->columns,
                  columns = (j->columns + width - 1) / width * width,
                  rows = dense ? 2 * j->pairs : depth;
    struct packed *packed = kernel_packed(
        c, 1, (uint64_t)(uint32_t)j->s.k.zero << 32 | (uint64_t)width << 8 | (dense ? 5 : 6),
        (size_t)(columns * rows) * sizeof(int16_t));
    if (packed->ready)
        return packed->data;
    int64_t n = tensor_count(c->in[1]);
    int16_t *plain = NEW_ARRAY(c->scratch, n + 1, int16_t), *to = packed->data;
    without_zero(plain, c->in[1], n, (int32_t)j->s.k.zero);
    memset(to, 0, (size_t)(columns * rows) * sizeof *to);
    for (int64_t first = 0; first < columns; first += width, to += width * rows)
        for (int64_t o = first; o < first + width && o < j->columns; o++) {
            const int16_t *from = plain + w.by_column[o];
            for (int64_t k = 0; dense && k < depth; k++)
                to[(k / 2 * width + o - first) * 2 + k % 2] = from[w.by_depth[k]];
            for (int64_t k = 0; !dense && k < depth; k++)
                to[k * width + o] = from[w.by_depth[k]];
        }
    packed->ready = true;
    return packed->data;
}

static void run(struct op_ctx *c, struct integers *j, int64_t tasks, int64_t room, double work,
                void (*task)(void *arg, size_t index)) {
    struct buffers buffers;
    plan_rescale(c, j, j->columns);
    buffers_init(&buffers, c, tasks, (size_t)room);
    j->buffers = &buffers;
    pool_run(work < 1e5 ? NULL : c->pool, (size_t)tasks, task, j);
    buffers_free(&buffers);
}

enum status kernel_fixed_conv(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct conv_plan p;
    struct geometry g;
    struct integers j = { .y = c->out[0], .g = &g };
    TRY(conv_plan(c->node, x->rank, x->dim, k->rank, k->dim, &p, c->err));
    bool depthwise = p.in_per_group == 1 && p.out_per_group == 1 && p.groups > 1;
    bool last = p.y_channel == 1 && p.x_channel == 1 &&
                (p.w.n == 0 || p.x_spatial[p.w.n - 1] == p.in_channels);
    if (!narrow(x) || !narrow(k) || !last || p.w.n > AXES || (p.groups > 1 && !depthwise) ||
        tensor_count(j.y) == 0 || tensor_count(x) == 0 || tensor_count(k) == 0)
        return kernel_reference(c);
    TRY(fixed_sums_plan(c, &j.s, p.out_channels));
    if (!fits(&j.s))
        return kernel_reference(c);
    geometry_of(&p.w, p.x_spatial, &g);
    g.p = &p;
    struct weights w = conv_weights(c, &g);
    int64_t depth = g.taps * p.in_per_group;
    double work = (double)p.batch * (double)g.positions * (double)p.out_channels * (double)depth;
    j.columns = p.out_channels;
    j.x = activation(c, &j);
    if (depthwise) {
        j.packed = pack(c, &j, w, g.taps, false);
        run(c, &j, p.batch * g.out[0] * g.out[1],
            (j.columns + 2) * (int64_t)sizeof(int32_t) + g.taps * 16, work, depth_row);
        return OK;
    }
    j.rows = g.positions;
    j.pairs = (depth + 1) / 2;
    j.odd = depth % 2;
    j.blocks = (j.rows + POSITIONS - 1) / POSITIONS;
    bool as_it_lies = g.taps == 1 && !g.padded && g.positions == g.plane && depth % 2 == 0;
    j.lda = as_it_lies ? p.in_channels : 0;
    j.packed = pack(c, &j, w, depth, true);
    run(c, &j, p.batch * j.blocks, POSITIONS * (4 * j.columns + 4 * j.pairs), work, dense_block);
    return OK;
}

enum status kernel_fixed_product(struct op_ctx *c) {
    const struct tensor *a = c->in[0], *b = c->in[1];
    struct matmul_plan p;
    bool gemm = strcmp(c->node->op, "Gemm") == 0;
    struct integers j = { .y = c->out[0], .m = &p };
    if (!narrow(a) || !narrow(b) || tensor_count(j.y) == 0 || tensor_count(a) == 0 ||
        tensor_count(b) == 0 ||
        (gemm && (attr_float(c->node, "alpha") != 1 || attr_float(c->node, "beta") != 1)))
        return kernel_reference(c);
    if (gemm)
        TRY(gemm_plan(c->node, a, b, c->scratch, &p, c->err));
    else
        TRY(matmul_plan(c->node, a, b, c->scratch, &p, c->err));
    for (int64_t i = 0; i < p.n_batch; i++)
        if (p.b_batch[i] != 0)
            return kernel_reference(c);
    TRY(fixed_sums_plan(c, &j.s, p.columns));
    if (!fits(&j.s) || (!gemm && j.s.k.n > 1)) /* MatMul has no scale for each column */
        return kernel_reference(c);
    if (gemm)
        fixed_sums_in_reals(c, &j.s);
    struct weights w = product_weights(c, &p);
    j.rows = p.rows;
    j.columns = p.columns;
    j.pairs = (p.inner + 1) / 2;
    j.odd = p.inner % 2;
    j.blocks = (j.rows + POSITIONS - 1) / POSITIONS;
    j.lda = p.a_inner == 1 && p.inner % 2 == 0 ? p.a_row : 0;
    j.x = activation(c, &j);
    j.packed = pack(c, &j, w, p.inner, true);
    run(c, &j, p.n_batch * j.blocks, POSITIONS * (4 * j.columns + 4 * j.pairs),
        (double)p.n_batch * (double)p.rows * (double)p.columns * (double)p.inner, dense_block);
    return OK;
}
