#include "tensor/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 };

/* Sums of blocks, joined like a binary counter: levels[k] holds the sum of 2^k blocks. */
struct pairwise {
    double level[64];
    uint64_t blocks;
};

static void pairwise_add(struct pairwise *p, double v) {
    int k = 0;
    for (; p->blocks >> k & 1; k++)
        v = p->level[k] + v;
    p->level[k] = v;
    p->blocks++;
}

static double pairwise_total(const struct pairwise *p) {
    double total = 0;
    for (int k = 0; k < 64; k++)
        if (p->blocks >> k & 1)
            total = p->level[k] + total;
    return total;
}

/* One block; gives its sum and sum of squares. */
static void add_block(struct stats *s, const double *v, int64_t n, int64_t begin, double *sum,
                      double *squares) {
    double worst = s->worst_index < 0 ? -1 : fmax(fabs(s->min), fabs(s->max));
    *sum = *squares = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = v[i];
        if (!isfinite(x)) {
            s->nan += x != x;
            s->infinite += x == x;
            continue;
        }
        s->min = s->finite == 0 || x < s->min ? x : s->min;
        s->max = s->finite == 0 || x > s->max ? x : s->max;
        s->finite++;
        s->zero += x == 0;
        if (fabs(x) > worst) {
            worst = fabs(x);
            s->worst_index = begin + i;
        }
        *sum += x;
        *squares += x * x;
    }
}

struct stats stats_of(const struct tensor *t) {
    struct stats s = { .count = t->kind == KIND_TENSOR ? tensor_count(t) : t->n_items,
                       .worst_index = -1 };
    if (!tensor_is_real(t))
        return s;
    struct pairwise sums = { .blocks = 0 }, squares = { .blocks = 0 };
    double block[BLOCK];
    for (int64_t i = 0; i < s.count; i += BLOCK) {
        int64_t n = s.count - i < BLOCK ? s.count - i : BLOCK;
        double sum, sum_of_squares;
        tensor_load_f64(t, i, n, block);
        add_block(&s, block, n, i, &sum, &sum_of_squares);
        pairwise_add(&sums, sum);
        pairwise_add(&squares, sum_of_squares);
    }
    if (s.finite > 0) {
        s.mean = pairwise_total(&sums) / (double)s.finite;
        s.rms = sqrt(pairwise_total(&squares) / (double)s.finite);
    }
    return s;
}

/* A double's order as that of an unsigned integer; -0 comes before +0. */
static uint64_t key_of(double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u >> 63 ? ~u : u | UINT64_C(1) << 63;
}

static double of_key(uint64_t u) {
    u = u >> 63 ? u & ~(UINT64_C(1) << 63) : ~u;
    double v;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* Least significant digit first, 11 bits at a time; digits that are the same in all keys cost one
 * pass. `n` keys in `keys`, as many spare ones in `spare`; gives where the sorted ones lie. */
static uint64_t *sort_keys(uint64_t *keys, uint64_t *spare, size_t n) {
    enum { BITS = 11, SIZE = 1 << BITS };
    for (int shift = 0; shift < 64; shift += BITS) {
        size_t at[SIZE] = { 0 };
        for (size_t i = 0; i < n; i++)
            at[keys[i] >> shift & (SIZE - 1)]++;
        if (at[keys[0] >> shift & (SIZE - 1)] == n)
            continue;
        size_t begin = 0;
        for (int d = 0; d < SIZE; d++) {
            size_t count = at[d];
            at[d] = begin;
            begin += count;
        }
        for (size_t i = 0; i < n; i++)
            spare[at[keys[i] >> shift & (SIZE - 1)]++] = keys[i];
        uint64_t *swap = keys;
        keys = spare;
        spare = swap;
    }
    return keys;
}

static void fill_sketch(struct sketch *s, const uint64_t *keys, size_t n) {
    struct pairwise sums = { .blocks = 0 }, squares = { .blocks = 0 };
    for (size_t i = 0; i < n; i += BLOCK) {
        double sum = 0, sum_of_squares = 0;
        for (size_t k = i; k < n && k < i + BLOCK; k++) {
            double v = of_key(keys[k]);
            sum += v;
            sum_of_squares += v * v;
        }
        pairwise_add(&sums, sum);
        pairwise_add(&squares, sum_of_squares);
    }
    s->sum = pairwise_total(&sums);
    s->sum_of_squares = pairwise_total(&squares);
    for (size_t k = 0; k < SKETCH_ORDERS; k++)
        s->order[k] = of_key(keys[(n - 1) / (SKETCH_ORDERS - 1) * k +
                                  (n - 1) % (SKETCH_ORDERS - 1) * k / (SKETCH_ORDERS - 1)]);
}

enum status sketch_of(struct sketch *out, const struct tensor *t, struct err *e) {
    *out = (struct sketch) { .count = t->kind == KIND_TENSOR ? tensor_count(t) : t->n_items };
    if (!tensor_is_real(t) || out->count == 0)
        return OK;
    size_t total = (size_t)out->count;
    FAIL_IF(total > SIZE_MAX / 2 / sizeof(uint64_t), e, STATUS_UNSUPPORTED,
            "too many elements for a sketch");
    uint64_t *keys = malloc(total * 2 * sizeof *keys);
    FAIL_IF(!keys, e, STATUS_UNSUPPORTED, "not enough memory for a sketch of %zu elements", total);
    size_t n = 0;
    double block[BLOCK];
    for (int64_t i = 0; i < out->count; i += BLOCK) {
        int64_t in_block = out->count - i < BLOCK ? out->count - i : BLOCK;
        tensor_load_f64(t, i, in_block, block);
        for (int64_t k = 0; k < in_block; k++) {
            if (isfinite(block[k]))
                keys[n++] = key_of(block[k]);
            out->nan += block[k] != block[k];
            out->infinite += isinf(block[k]) != 0;
        }
    }
    if (n > 0)
        fill_sketch(out, sort_keys(keys, keys + total, n), n);
    free(keys);
    return OK;
}

double sketch_distance(const struct sketch *a, const struct sketch *b) {
    if (a->count != b->count || a->nan != b->nan || a->infinite != b->infinite)
        return INFINITY;
    int64_t n = a->count - a->nan - a->infinite;
    if (n == 0)
        return 0;
    double scale = fmax(sqrt(a->sum_of_squares / (double)n), sqrt(b->sum_of_squares / (double)n)),
           worst = 0;
    if (scale == 0)
        return 0;
    for (int k = 0; k < SKETCH_ORDERS; k++)
        worst = fmax(worst, fabs(a->order[k] - b->order[k]) / scale);
    worst = fmax(worst, fabs(a->sum - b->sum) / (double)n / scale);
    return fmax(worst, fabs(a->sum_of_squares - b->sum_of_squares) / (double)n / (scale * scale));
}
