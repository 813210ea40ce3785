#include "kernels/kernel_integers.h"

#include <string.h>

#include "base/map.h"
#include "kernels/buffers.h"
#include "kernels/pack.h"
#include "ops/fixed.h"

enum { POSITIONS = 32 }; /* rows of a task */

bool int_sums_narrow(const struct tensor *t) {
    return t->store == DT_I8 || t->store == DT_U8;
}

bool int_sums_takes_conv(const struct conv_plan *p, const struct tensor *x, const struct tensor *k,
                         const struct tensor *y) {
    return int_sums_narrow(x) && int_sums_narrow(k) && p->w.n <= AXES && tensor_count(y) != 0 &&
           tensor_count(x) != 0 && tensor_count(k) != 0;
}

/* Where the results of a block go: of an item's row r and column n to
 * at + r * row + n * column. */
struct place {
    int64_t at, row, column, first; /* first: column of the item's column 0 */
};

static struct place place_of(const struct int_sums *j, int64_t item) {
    if (j->m)
        return (struct place) { item * j->rows * j->columns, j->columns, 1, 0 };
    const struct conv_plan *p = j->g->p;
    int64_t first = item % p->groups * p->out_per_group;
    return (struct place) { item / p->groups * p->y_batch + first * p->y_channel,
                            p->y_channel == 1 ? p->out_channels : 1, p->y_channel, first };
}

#define STORE(T)                                                     \
    for (int64_t o = 0; o < n; o++)                                  \
        for (int64_t r = 0; r < rows; r++)                           \
            ((T *)y->data)[at + r + o * column] = (T)sum[r * n + o]; \
    break;

/* Columns of a block of sums, each `rows` neighbours of y. */
static void store_turned(struct tensor *y, int64_t at, int64_t column, const int32_t *sum,
                         int64_t rows, int64_t n) {
    switch (y->store) {
    case DT_I8:
        STORE(int8_t)
    case DT_U8:
        STORE(uint8_t)
    default:
        STORE(int32_t)
    }
}

/* Rows [from, from + rows) of an item. */
static void deliver(const struct int_sums *j, int64_t item, int64_t from, int64_t rows,
                    int32_t *sum) {
    const struct place p = place_of(j, item);
    const int64_t n = j->columns;
    for (int64_t r = 0; r < rows; r++) {
        if (j->finish)
            j->finish(j, sum + r * n, n, p.first);
        if (p.column != 1)
            continue;
        int64_t at = p.at + (from + r) * p.row;
        if (j->y->store == DT_I32)
            memcpy((int32_t *)j->y->data + at, sum + r * n, (size_t)n * sizeof *sum);
        else
            fixed_store(j->y, at, n, sum + r * n);
    }
    if (p.column != 1)
        store_turned(j->y, p.at + from, p.column, sum, rows, n);
}

/* The input elements of one output position, in the order (kernel position, channel). x: channels
 * last, at the group's first. */
static void gather_position(const struct geometry *g, const int16_t *x, int64_t position,
                            int16_t *to) {
    const int64_t channels = g->p->in_per_group, all = g->p->in_channels;
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
            const int16_t *line = x + (d * g->in[1] + h) * g->in[2] * all;
            int16_t *row = to + (kd * g->kernel[1] + kh) * g->kernel[2] * channels;
            int64_t n = 1; /* neighbours that lie side by side */
            if (step == 1 && channels == all)
                n = r[2][1] - r[2][0];
            for (int64_t kw = r[2][0]; kw < r[2][1]; kw += n)
                memcpy(row + kw * channels, line + (w0 + kw * step) * all,
                       (size_t)(n * channels) * sizeof *to);
        }
}

/* Rows [from, from + rows) of an item, `depth` apart. */
static void gather_rows(const struct int_sums *j, int64_t item, int64_t from, int64_t rows,
                        int16_t *to) {
    const int64_t depth = 2 * j->pairs;
    for (int64_t r = 0; r < rows; r++, to += depth) {
        if (j->g) {
            const struct conv_plan *p = j->g->p;
            gather_position(j->g,
                            j->x + item / p->groups * (j->g->plane * p->in_channels) +
                                item % p->groups * p->in_per_group,
                            from + r, to);
        } else {
            const struct matmul_plan *m = j->m;
            const int16_t *x = j->x + m->a_batch[item] + (from + r) * m->a_row;
            for (int64_t k = 0; k < m->inner; k++)
                to[k] = x[k * m->a_inner];
        }
        if (j->odd)
            to[depth - 1] = 0;
    }
}

/* A block of rows of one item, all columns. */
static void dense_block(void *arg, size_t index) {
    const struct int_sums *j = arg;
    const struct isa *isa = isa_best();
    int64_t item = (int64_t)index / j->blocks, from = (int64_t)index % j->blocks * POSITIONS;
    int64_t rows = j->rows - from < POSITIONS ? j->rows - from : POSITIONS, depth = 2 * j->pairs;
    int slot = buffer_take(j->buffers);
    int32_t *sum = buffer_at(j->buffers, slot);
    int16_t *gathered = (int16_t *)(sum + POSITIONS * j->columns);
    const int16_t *a = gathered, *b = j->packed + item % j->packs * j->packed_size;
    int64_t lda = depth;
    if (j->lda) {
        a = j->x + (j->m ? j->m->a_batch[item] : item * j->rows * j->lda) + from * j->lda;
        lda = j->lda;
    } else {
        gather_rows(j, item, from, rows, gathered);
    }
    for (int64_t n = 0; n < j->columns; n += isa->int_columns)
        for (int64_t m = 0; m < rows; m += isa->int_rows) {
            struct int_tile t = { .pairs = j->pairs,
                                  .lda = lda,
                                  .ldc = j->columns,
                                  .a = a + m * lda,
                                  .b = b + n * depth,
                                  .c = sum + m * j->columns + n };
            isa->int_tile(
                &t, (int)(rows - m < isa->int_rows ? rows - m : isa->int_rows),
                (int)(j->columns - n < isa->int_columns ? j->columns - n : isa->int_columns));
        }
    deliver(j, item, from, rows, sum);
    buffer_give(j->buffers, slot);
}

/* A block of positions of one image, channel by channel: depthwise. */
static void depth_block(void *arg, size_t index) {
    const struct int_sums *j = arg;
    const struct geometry *g = j->g;
    int64_t item = (int64_t)index / j->blocks, from = (int64_t)index % j->blocks * POSITIONS;
    int64_t rows = j->rows - from < POSITIONS ? j->rows - from : POSITIONS;
    int64_t at[AXES], r[AXES][2];
    const int64_t channels = j->columns;
    const bool turned = g->p->y_channel != 1;
    const int16_t *x = j->x + item * g->plane * channels;
    int slot = buffer_take(j->buffers);
    int32_t *sum = buffer_at(j->buffers, slot);
    const int16_t **tap_at = (const int16_t **)(sum + (POSITIONS * channels + 1) / 2 * 2);
    int64_t *w_at = (int64_t *)(tap_at + g->taps);
    position_of(g, from, at);
    for (int64_t row = 0; row < rows; row++, next_position(g, at)) {
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
                    tap_at[taps] = x + offset * channels;
                    w_at[taps++] = ((kd * g->kernel[1] + kh) * g->kernel[2] + kw) * channels;
                }
        int32_t *to = turned ? sum + row * channels : sum;
        isa_best()->int_taps(to, channels, taps, tap_at, j->packed, w_at);
        if (!turned)
            deliver(j, item * g->p->groups, from + row, 1, to);
    }
    if (turned)
        deliver(j, item * g->p->groups, from, rows, sum);
    buffer_give(j->buffers, slot);
}

#define LESS_ZERO(T)                                  \
    {                                                 \
        const T *from = (const T *)t->data + begin;   \
        for (int64_t i = 0; i < n; i++)               \
            to[i * step] = (int16_t)(from[i] - zero); \
    }

/* n elements of t from `begin` on, less the zero point, `step` apart. */
static void without_zero(int16_t *to, int64_t step, const struct tensor *t, int64_t begin,
                         int64_t n, int32_t zero) {
    if (t->store == DT_I8)
        LESS_ZERO(int8_t)
    else
        LESS_ZERO(uint8_t)
}

enum { BLOCK = 64 }; /* positions that are turned at once */

/* The activation of a convolution, channels last; each channel `times` over. */
static void turn_activation(int16_t *to, const struct tensor *x, const struct geometry *g,
                            int64_t times, int32_t zero) {
    const struct conv_plan *p = g->p;
    const int64_t channels = p->in_channels;
    for (int64_t b = 0; b < p->batch; b++, to += g->plane * channels * times)
        for (int64_t from = 0; from < g->plane; from += BLOCK)
            for (int64_t ch = 0; ch < channels; ch++) {
                int64_t n = g->plane - from < BLOCK ? g->plane - from : BLOCK;
                int16_t *column = to + (from * channels + ch) * times;
                int64_t at = (b * channels + ch) * g->plane + from;
                without_zero(column, channels * times, x, at, n, zero);
                for (int64_t i = 0; i < n; i++)
                    for (int64_t k = 1; k < times; k++)
                        column[i * channels * times + k] = column[i * channels * times];
            }
}

/* Channels last, each `times` over. */
static void repeat_activation(int16_t *to, const struct tensor *x, int64_t times, int32_t zero) {
    int64_t n = tensor_count(x);
    for (int64_t k = 0; k < times; k++)
        without_zero(to + k, times, x, 0, n, zero);
}

static const int16_t *activation(struct op_ctx *c, const struct int_sums *j, int64_t times) {
    const struct tensor *x = c->in[j->left];
    int16_t *to = NEW_ARRAY(c->scratch, tensor_count(x) * times + 1, int16_t);
    if (j->g && j->g->p->x_channel != 1)
        turn_activation(to, x, j->g, times, j->left_zero);
    else
        repeat_activation(to, x, times, j->left_zero);
    return to;
}

/* Where the weights lie: of pack k, column n and depth i at by_pack[k] + by_column[n] +
 * by_depth[i]. */
struct weights {
    const int64_t *by_pack;
    int64_t *by_column, *by_depth;
    int64_t columns, depth;
};

static struct weights conv_weights(struct op_ctx *c, const struct geometry *g, bool dense) {
    const struct conv_plan *p = g->p;
    struct weights w = { .columns = dense ? p->out_per_group : p->out_channels,
                         .depth = g->taps * p->in_per_group };
    int64_t tap[AXES], *by_pack = NEW_ARRAY(c->scratch, p->groups + 1, int64_t);
    for (int64_t i = 0; dense && i < p->groups; i++)
        by_pack[i] = i * p->k_group;
    w.by_pack = by_pack;
    w.by_column = NEW_ARRAY(c->scratch, w.columns + 1, int64_t);
    w.by_depth = NEW_ARRAY(c->scratch, w.depth + 1, int64_t);
    for (int64_t n = 0; n < w.columns; n++)
        w.by_column[n] = n / p->out_per_group * p->k_group + n % p->out_per_group * p->k_out;
    for (int64_t k = 0; k < w.depth; k++) {
        tap_of(g, k / p->in_per_group, tap);
        w.by_depth[k] = k % p->in_per_group * p->k_in;
        for (int i = 0; i < p->w.n; i++)
            w.by_depth[k] += tap[AXES - p->w.n + i] * p->k_spatial[i];
    }
    return w;
}

static struct weights product_weights(struct op_ctx *c, const struct matmul_plan *p) {
    struct weights w = { .by_pack = p->b_batch,
                         .by_column = NEW_ARRAY(c->scratch, p->columns + 1, int64_t),
                         .by_depth = NEW_ARRAY(c->scratch, p->inner + 1, int64_t),
                         .columns = p->columns,
                         .depth = p->inner };
    for (int64_t n = 0; n < p->columns; n++)
        w.by_column[n] = n * p->b_column;
    for (int64_t k = 0; k < p->inner; k++)
        w.by_depth[k] = k * p->b_inner;
    return w;
}

/* Names the packed form: all that says which weight stands where, and what was taken from it. */
static uint64_t layout_of(const struct int_sums *j, const struct weights *w, int64_t width,
                          bool dense) {
    uint64_t h = hash_bytes(w->by_column, (size_t)w->columns * sizeof *w->by_column,
                            (uint64_t)width * 4 + (dense ? 1 : 2));
    h = hash_bytes(w->by_depth, (size_t)w->depth * sizeof *w->by_depth, h);
    h = hash_bytes(w->by_pack, (size_t)j->packs * sizeof *w->by_pack, h);
    int64_t zeros = j->zero_each ? w->columns * (j->g && dense ? j->packs : 1) : 1;
    return hash_bytes(j->right_zero, (size_t)zeros * sizeof *j->right_zero, h);
}

/* Panels of int_columns columns, [pair][column][2], or, not dense, [depth][column]. */
static void pack_columns(const struct int_sums *j, const struct weights *w, int64_t pack,
                         const int16_t *plain, int64_t width, bool dense, int16_t *to) {
    const int64_t rows = dense ? 2 * j->pairs : w->depth;
    const int64_t column0 = j->g && dense ? pack * w->columns : 0;
    for (int64_t first = 0; first < w->columns; first += width, to += width * rows)
        for (int64_t o = first; o < first + width && o < w->columns; o++) {
            const int16_t *from = plain + w->by_pack[pack] + w->by_column[o];
            int16_t zero = (int16_t)j->right_zero[j->zero_each ? column0 + o : 0];
            for (int64_t k = 0; dense && k < w->depth; k++)
                to[(k / 2 * width + o - first) * 2 + k % 2] =
                    (int16_t)(from[w->by_depth[k]] - zero);
            for (int64_t k = 0; !dense && k < w->depth; k++)
                to[k * width + o] = (int16_t)(from[w->by_depth[k]] - zero);
        }
}

static void pack(struct op_ctx *c, struct int_sums *j, const struct weights *w, bool dense) {
    const int64_t width = dense ? isa_best()->int_columns : w->columns;
    const struct tensor *k = c->in[j->right];
    j->packed_size = (w->columns + width - 1) / width * width * (dense ? 2 * j->pairs : w->depth);
    const size_t bytes = (size_t)(j->packs * j->packed_size) * sizeof(int16_t);
    struct packed *packed = kernel_packed(c, j->right, layout_of(j, w, width, dense), bytes);
    j->packed = packed->data;
    if (packed->ready)
        return;
    int64_t n = tensor_count(k);
    int16_t *plain = NEW_ARRAY(c->scratch, n + 1, int16_t);
    without_zero(plain, 1, k, 0, n, 0);
    memset(packed->data, 0, bytes);
    for (int64_t i = 0; i < j->packs; i++)
        pack_columns(j, w, i, plain, width, dense, (int16_t *)packed->data + i * j->packed_size);
    packed->ready = true;
}

static void run(struct op_ctx *c, struct int_sums *j, int64_t items, int64_t room, double work,
                void (*task)(void *arg, size_t index)) {
    struct buffers buffers;
    j->blocks = (j->rows + POSITIONS - 1) / POSITIONS;
    buffers_init(&buffers, c, items * j->blocks, (size_t)room);
    j->buffers = &buffers;
    pool_run(work < 1e5 ? NULL : c->pool, (size_t)(items * j->blocks), task, j);
    buffers_free(&buffers);
}

static void run_depthwise(struct op_ctx *c, struct int_sums *j, double work) {
    const struct conv_plan *p = j->g->p;
    struct weights w = conv_weights(c, j->g, false);
    j->columns = p->out_channels;
    j->packs = 1;
    j->x = activation(c, j, p->out_per_group);
    pack(c, j, &w, false);
    run(c, j, p->batch, (POSITIONS * j->columns + 2) * (int64_t)sizeof(int32_t) + j->g->taps * 16,
        work, depth_block);
}

static void run_dense(struct op_ctx *c, struct int_sums *j, const struct weights *w, int64_t items,
                      double work) {
    j->columns = w->columns;
    j->pairs = (w->depth + 1) / 2;
    j->odd = w->depth % 2;
    j->x = activation(c, j, 1);
    pack(c, j, w, true);
    run(c, j, items, POSITIONS * (4 * j->columns + 4 * j->pairs), work, dense_block);
}

void int_sums_run(struct op_ctx *c, struct int_sums *j) {
    const struct geometry *g = j->g;
    if (g) {
        const struct conv_plan *p = g->p;
        double work = (double)p->batch * (double)g->positions * (double)p->out_channels *
                      (double)g->taps * (double)p->in_per_group;
        j->rows = g->positions;
        if (p->in_per_group == 1 && p->groups > 1) {
            run_depthwise(c, j, work);
            return;
        }
        struct weights w = conv_weights(c, g, true);
        bool as_it_lies = g->taps == 1 && !g->padded && g->positions == g->plane &&
                          p->groups == 1 && w.depth % 2 == 0;
        j->lda = as_it_lies ? p->in_channels : 0;
        j->packs = p->groups;
        run_dense(c, j, &w, p->batch * p->groups, work);
        return;
    }
    const struct matmul_plan *m = j->m;
    struct weights w = product_weights(c, m);
    j->packs = 1;
    for (int64_t i = 0; i < m->n_batch; i++)
        if (m->b_batch[i] != m->b_batch[0])
            j->packs = m->n_batch;
    j->rows = m->rows;
    j->lda = m->a_inner == 1 && m->inner % 2 == 0 ? m->a_row : 0;
    run_dense(c, j, &w, m->n_batch,
              (double)m->n_batch * (double)m->rows * (double)m->columns * (double)m->inner);
}
