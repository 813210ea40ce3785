#include "compare/layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PERMUTED = 6, MAX_CANDIDATES = 160 };

bool view_equal(const struct pair_view *a, const struct pair_view *b) {
    if (a->identity != b->identity || a->n_permute != b->n_permute || a->elements != b->elements)
        return false;
    if (a->n_permute == 0)
        return true;
    return memcmp(a->permute, b->permute, (size_t)a->n_permute * sizeof *a->permute) == 0 &&
           dims_equal(a->from, a->n_from, b->from, b->n_from);
}

/* --- candidates --- */

struct list {
    struct pair_view *views;
    int n, max;
    int64_t count;
};

static void add(struct list *l, const struct pair_view *v) {
    for (int i = 0; i < l->n; i++)
        if (view_equal(&l->views[i], v))
            return;
    if (l->n < l->max)
        l->views[l->n++] = *v;
}

static bool is_plain(const int *permute, const int64_t *from, int n) {
    int last = -1;
    for (int i = 0; i < n; i++) {
        if (from[permute[i]] == 1)
            continue;
        if (permute[i] < last)
            return false;
        last = permute[i];
    }
    return true;
}

static void add_permuted(struct list *l, const int64_t *from, const int *permute, int n) {
    if (is_plain(permute, from, n))
        return;
    struct pair_view v = { .n_from = n, .n_permute = n };
    memcpy(v.from, from, (size_t)n * sizeof *from);
    memcpy(v.permute, permute, (size_t)n * sizeof *permute);
    add(l, &v);
}

static int squeeze(const struct tensor *t, int64_t *dim) {
    int n = 0;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] != 1)
            dim[n++] = t->dim[i];
    return n;
}

/* All permutations p of `from` with from[p[k]] == to[k]. */
static void add_matching(struct list *l, const int64_t *from, const int64_t *to, int n,
                         int *permute, int k, unsigned used) {
    if (k == n) {
        add_permuted(l, from, permute, n);
        return;
    }
    for (int i = 0; i < n; i++)
        if (!(used >> i & 1) && from[i] == to[k]) {
            permute[k] = i;
            add_matching(l, from, to, n, permute, k + 1, used | 1u << i);
        }
}

/* Channels first <-> channels last of a shape with a leading batch axis. */
static void add_channel_moves(struct list *l, const int64_t *dim, int n, bool from_target) {
    if (n < 3 || n > MAX_RANK)
        return;
    int to_last[MAX_RANK], to_first[MAX_RANK];
    int64_t first[MAX_RANK], last[MAX_RANK];
    to_last[0] = to_first[0] = 0;
    for (int i = 1; i < n - 1; i++) {
        to_last[i] = i + 1;
        to_first[i + 1] = i;
    }
    to_last[n - 1] = 1;
    to_first[1] = n - 1;
    if (!from_target) {
        add_permuted(l, dim, to_last, n);
        add_permuted(l, dim, to_first, n);
        return;
    }
    /* dim is the permuted shape: what was it before? */
    for (int i = 0; i < n; i++) {
        first[to_last[i]] = dim[i];
        last[to_first[i]] = dim[i];
    }
    add_permuted(l, first, to_last, n);
    add_permuted(l, last, to_first, n);
}

int layout_candidates(const struct tensor *source, const struct tensor *target,
                      const struct pair_view *hints, int n_hints, struct pair_view *out, int max) {
    struct list l = { out, 0, max, tensor_count(target) };
    bool same = dims_equal(source->dim, source->rank, target->dim, target->rank);
    struct pair_view plain = { .identity = same, .n_from = source->rank };
    memcpy(plain.from, source->dim, sizeof plain.from);
    add(&l, &plain);
    for (int i = 0; i < n_hints; i++) {
        int64_t count;
        if (hints[i].n_permute && dims_count(hints[i].from, hints[i].n_from, &count) &&
            count == l.count)
            add(&l, &hints[i]);
    }
    int64_t s[MAX_RANK], t[MAX_RANK];
    int ns = squeeze(source, s), nt = squeeze(target, t), permute[MAX_RANK];
    if (ns == nt && ns >= 2 && ns <= MAX_PERMUTED)
        add_matching(&l, s, t, ns, permute, 0, 0);
    if (source->rank != target->rank) {
        add_channel_moves(&l, source->dim, source->rank, false);
        add_channel_moves(&l, target->dim, target->rank, true);
    }
    return l.n;
}

/* --- reading through a view --- */

struct reader { /* odometer over the permuted shape, giving flat indices of the source */
    int rank;
    int64_t dim[MAX_RANK], step[MAX_RANK], at[MAX_RANK];
    int64_t index;
};

static void reader_init(struct reader *r, const struct pair_view *v) {
    memset(r, 0, sizeof *r);
    int64_t stride[MAX_RANK], s = 1;
    for (int i = v->n_from - 1; i >= 0; i--) {
        stride[i] = s;
        s *= v->from[i];
    }
    for (int i = 0; i < v->n_permute; i++) {
        r->dim[i] = v->from[v->permute[i]];
        r->step[i] = stride[v->permute[i]];
    }
    r->rank = v->n_permute;
}

/* Past the elements of the innermost axis, which are step[rank - 1] apart. */
static void reader_next_run(struct reader *r) {
    for (int i = r->rank - 2; i >= 0; i--) {
        r->index += r->step[i];
        if (++r->at[i] < r->dim[i])
            return;
        r->index -= r->step[i] * r->dim[i];
        r->at[i] = 0;
    }
}

static bool view_fits(const struct pair_view *v, int64_t count) {
    int64_t n;
    return v->n_permute == 0 || (dims_count(v->from, v->n_from, &n) && n == count);
}

static double difference(double x, double y, double scale) {
    if (x == y || (x != x && y != y))
        return 0;
    double d = fabs(x - y);
    if (fabs(x) > scale && fabs(x) < HUGE_VAL)
        d *= scale / fabs(x);
    return d != d ? INFINITY : d;
}

/* Largest difference under the view, or a value above `limit` as soon as one is found. */
static double view_error(const double *s, const double *t, int64_t n, const struct pair_view *v,
                         double scale, double limit) {
    double worst = 0;
    if (v->n_permute == 0) {
        for (int64_t i = 0; i < n; i++) {
            double d = difference(s[i], t[i], scale);
            if (d > worst) {
                worst = d;
                if (d > limit)
                    return d;
            }
        }
        return worst;
    }
    struct reader r;
    reader_init(&r, v);
    int64_t run = r.dim[r.rank - 1], step = r.step[r.rank - 1];
    for (int64_t i = 0; i < n; i += run, reader_next_run(&r))
        for (int64_t k = 0; k < run; k++) {
            double d = difference(s[r.index + k * step], t[i + k], scale);
            if (d > worst) {
                worst = d;
                if (d > limit)
                    return d;
            }
        }
    return worst;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many of the sorted magnitudes are left without a mask's: those at the end that are about
 * equal, huge, and far from the rest. */
static int unmasked(const double *size, int n) {
    int first = n - 1;
    while (first > 0 && size[first - 1] > 0.9 * size[n - 1])
        first--;
    bool mask = first >= 4 && first >= n / 16 && size[n - 1] > 1e3 && size[first - 1] > 1e-6 &&
                size[first] > 1e4 * size[first - 1];
    return mask ? first : n;
}

/* The largest magnitude of one array, but at most 8 times the 90th percentile of a sample of it,
 * masked elements apart. */
static double array_scale(const struct tensor *t) {
    enum { TAKEN = 256 };
    double size[TAKEN], largest = 0;
    int n = 0;
    int64_t count = tensor_count(t), step = count / TAKEN + 1;
    tensor_touch(t);
    for (int64_t i = 0; i < count; i++) {
        double v = fabs(t->store == DT_F64 ? ((const double *)t->data)[i] : tensor_f64(t, i));
        if (!(v < HUGE_VAL))
            continue;
        largest = v > largest ? v : largest;
        if (i % step == 0 && n < TAKEN)
            size[n++] = v;
    }
    if (n < 8)
        return largest;
    qsort(size, (size_t)n, sizeof *size, by_size);
    n = unmasked(size, n);
    double typical = 8 * size[n - 1 - n / 10];
    return typical > 0 && typical < largest ? typical : largest;
}

double layout_scale(const struct tensor *const *t, int samples) {
    enum { MANY = 64 };
    double of[MANY];
    int n = 0;
    for (int k = 0; k < samples && n < MANY; k++) {
        double s = array_scale(t[k]);
        if (s > 0)
            of[n++] = s;
    }
    if (!n)
        return 0;
    qsort(of, (size_t)n, sizeof *of, by_size);
    double most = 8 * of[(n - 1) / 2];
    return of[n - 1] < most ? of[n - 1] : most;
}

struct doubles {
    const double *p;
    struct tensor *owned;
};

static bool as_doubles(const struct tensor *t, struct doubles *out) {
    *out = (struct doubles) { 0 };
    if (t->store == DT_F64) {
        out->p = t->data;
        return true;
    }
    if (t->kind != KIND_TENSOR || tensor_convert(&out->owned, t, DT_F64, NULL) != OK)
        return false;
    out->p = out->owned->data;
    return true;
}

bool layout_find(const struct tensor *const *source, const struct tensor *const *target,
                 int samples, double scale, double tol, const struct pair_view *hints, int n_hints,
                 struct layout_match *out) {
    enum { MANY = 64 };
    struct doubles s[MANY] = { { 0 } }, t[MANY] = { { 0 } };
    if (samples > MANY)
        samples = MANY;
    bool ok = true, found = false;
    for (int k = 0; ok && k < samples; k++) {
        ok = tensor_count(source[k]) == tensor_count(target[k]) && as_doubles(source[k], &s[k]) &&
             as_doubles(target[k], &t[k]);
    }
    struct pair_view views[MAX_CANDIDATES];
    int n = ok ? layout_candidates(source[0], target[0], hints, n_hints, views, MAX_CANDIDATES) : 0;
    double best = tol * scale;
    for (int i = 0; i < n; i++) {
        double worst = 0;
        for (int k = 0; k < samples && worst <= best; k++) {
            struct pair_view v = views[i];
            int64_t count = tensor_count(source[k]);
            tensor_touch(source[k]);
            tensor_touch(target[k]);
            if (!view_fits(&v, count))
                worst = INFINITY; /* a sample of another shape */
            else
                worst = fmax(worst, view_error(s[k].p, t[k].p, count, &v, scale, best));
        }
        if (worst > best || (found && worst >= best))
            continue;
        found = true;
        best = worst;
        *out = (struct layout_match) { views[i], worst, scale };
        if (worst <= 1e-9 * scale)
            break;
    }
    for (int k = 0; k < samples; k++) {
        tensor_free(s[k].owned);
        tensor_free(t[k].owned);
    }
    return found;
}

/* n elements of `size` bytes, so many elements apart; the bytes may lie anywhere. */
static void copy_spread(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n,
                        size_t size) {
    if (size == sizeof(double)) {
        for (int64_t k = 0; k < n; k++)
            memcpy(to + k * to_step * 8, from + k * from_step * 8, 8);
        return;
    }
    for (int64_t k = 0; k < n; k++)
        memcpy(to + (size_t)(k * to_step) * size, from + (size_t)(k * from_step) * size, size);
}

static enum status move(struct tensor **out, const struct tensor *in, const struct pair_view *view,
                        int rank, const int64_t *dim, bool undo, struct err *e) {
    int64_t n = tensor_count(in), m;
    tensor_touch(in);
    FAIL_IF(!dims_count(dim, rank, &m) || m != n || !view_fits(view, n), e, STATUS_MISMATCH,
            "a view does not fit the value's shape");
    if (view->n_permute == 0) {
        *out = tensor_alias(in);
        (*out)->rank = rank;
        memcpy((*out)->dim, dim, (size_t)rank * sizeof *dim);
        return OK;
    }
    TRY(tensor_new_from(out, tensor_recycler(in), false, in->dtype, in->store, rank, dim, e));
    size_t size = dtype_size(in->store);
    char *to = (*out)->data;
    const char *from = in->data;
    struct reader r;
    reader_init(&r, view);
    int64_t run = r.dim[r.rank - 1], step = r.step[r.rank - 1];
    for (int64_t i = 0; i < n; i += run, reader_next_run(&r))
        if (undo)
            copy_spread(to + (size_t)r.index * size, step, from + (size_t)i * size, 1, run, size);
        else
            copy_spread(to + (size_t)i * size, 1, from + (size_t)r.index * size, step, run, size);
    return OK;
}

enum status layout_apply(struct tensor **out, const struct tensor *source,
                         const struct pair_view *view, int rank, const int64_t *dim,
                         struct err *e) {
    return move(out, source, view, rank, dim, false, e);
}

enum status layout_undo(struct tensor **out, const struct tensor *target,
                        const struct pair_view *view, int rank, const int64_t *dim, struct err *e) {
    return move(out, target, view, rank, dim, true, e);
}
