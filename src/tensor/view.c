#include "tensor/view.h"

#include <string.h>

struct view view_of(const struct tensor *t) {
    struct view v = { .base = t, .rank = t->rank };
    int64_t step = 1;
    bool empty = tensor_count(t) == 0;
    for (int i = t->rank - 1; i >= 0; i--) {
        v.dim[i] = t->dim[i];
        v.stride[i] = empty ? 0 : step;
        if (!empty)
            step *= t->dim[i];
    }
    return v;
}

int64_t view_count(const struct view *v) {
    int64_t n = 1;
    for (int i = 0; i < v->rank; i++)
        if (v->dim[i] == 0)
            return 0;
    for (int i = 0; i < v->rank; i++)
        n *= v->dim[i];
    return n;
}

int64_t view_index(const struct view *v, int64_t i) {
    int64_t at = v->offset;
    for (int k = v->rank - 1; k >= 0; k--) {
        at += i % v->dim[k] * v->stride[k];
        i /= v->dim[k];
    }
    return at;
}

struct view view_permute(const struct view *v, const int *perm) {
    struct view w = *v;
    for (int i = 0; i < v->rank; i++) {
        w.dim[i] = v->dim[perm[i]];
        w.stride[i] = v->stride[perm[i]];
    }
    return w;
}

struct view view_slice(const struct view *v, int axis, int64_t start, int64_t count, int64_t step) {
    struct view w = *v;
    if (count > 0)
        w.offset += start * v->stride[axis];
    w.dim[axis] = count;
    w.stride[axis] *= step;
    return w;
}

struct view view_reverse(const struct view *v, int axis) {
    return view_slice(v, axis, v->dim[axis] - 1, v->dim[axis], -1);
}

/* Without axes of length 1, and with neighbours that run on into each other joined. */
static struct view joined(const struct view *v) {
    struct view w = { .base = v->base, .offset = v->offset };
    for (int i = 0; i < v->rank; i++) {
        if (v->dim[i] == 1)
            continue;
        int last = w.rank - 1;
        if (last >= 0 && w.stride[last] == v->stride[i] * v->dim[i]) {
            w.dim[last] *= v->dim[i];
            w.stride[last] = v->stride[i];
            continue;
        }
        w.dim[w.rank] = v->dim[i];
        w.stride[w.rank++] = v->stride[i];
    }
    return w;
}

bool view_reshape(const struct view *v, int rank, const int64_t *dim, struct view *out) {
    int64_t n;
    if (rank > MAX_RANK || !dims_count(dim, rank, &n) || n != view_count(v))
        return false;
    struct view w = { .base = v->base, .offset = v->offset, .rank = rank };
    if (rank > 0)
        memcpy(w.dim, dim, (size_t)rank * sizeof *dim);
    if (n > 0) {
        struct view from = joined(v);
        int group = from.rank - 1;
        int64_t step = group >= 0 ? from.stride[group] : 1, left = group >= 0 ? from.dim[group] : 1;
        for (int i = rank - 1; i >= 0; i--) {
            if (dim[i] == 1)
                continue;
            if (left == 1 && group > 0) {
                group--;
                step = from.stride[group];
                left = from.dim[group];
            }
            if (left % dim[i] != 0)
                return false;
            w.stride[i] = step;
            step *= dim[i];
            left /= dim[i];
        }
    }
    *out = w;
    return true;
}

enum { TILE = 16 };

/* to[i*to_step + k] = from[i*step_i + k*step_k]. */
#define TILE_COPY(type)                                                                     \
    for (int64_t i = 0; i < n_i; i++)                                                       \
        for (int64_t k = 0; k < n_k; k++)                                                   \
            memcpy(to + (size_t)(i * to_step + k) * sizeof(type),                           \
                   from + (i * step_i + k * step_k) * (int64_t)sizeof(type), sizeof(type)); \
    break

static void copy_tile(unsigned char *to, int64_t to_step, const unsigned char *from, int64_t step_i,
                      int64_t step_k, int64_t n_i, int64_t n_k, size_t size) {
    switch (size) {
    case 1:
        TILE_COPY(uint8_t);
    case 2:
        TILE_COPY(uint16_t);
    case 4:
        TILE_COPY(uint32_t);
    case 8:
        TILE_COPY(uint64_t);
    default:
        TILE_COPY(uint64_t[2]);
    }
}

/* The last axis of v, and axis `fast` (the one whose neighbours lie closest in the base), in square
 * tiles, so that both sides are walked in whole cache lines. */
static void copy_plane(const struct view *v, int fast, const int64_t *to_stride, unsigned char *to,
                       const unsigned char *from, size_t size) {
    int last = v->rank - 1;
    int64_t n_i = fast == last ? 1 : v->dim[fast], n_k = v->dim[last];
    if (fast == last && v->stride[last] == 1) {
        memcpy(to, from, (size_t)n_k * size);
        return;
    }
    for (int64_t i = 0; i < n_i; i += TILE)
        for (int64_t k = 0; k < n_k; k += TILE)
            copy_tile(to + (size_t)(i * to_stride[fast] + k) * size, to_stride[fast],
                      from + (i * v->stride[fast] + k * v->stride[last]) * (int64_t)size,
                      v->stride[fast], v->stride[last], n_i - i < TILE ? n_i - i : TILE,
                      n_k - k < TILE ? n_k - k : TILE, size);
}

static void copy_all(const struct view *v, unsigned char *to, const unsigned char *base,
                     size_t size) {
    int64_t to_stride[MAX_RANK], index[MAX_RANK] = { 0 }, at = v->offset, to_at = 0, step = 1;
    int last = v->rank - 1, fast = last;
    for (int i = last; i >= 0; i--) {
        to_stride[i] = step;
        step *= v->dim[i];
        int64_t s = v->stride[i] < 0 ? -v->stride[i] : v->stride[i],
                best = v->stride[fast] < 0 ? -v->stride[fast] : v->stride[fast];
        if (s < best)
            fast = i;
    }
    for (;;) {
        copy_plane(v, fast, to_stride, to + (size_t)to_at * size, base + at * (int64_t)size, size);
        int i = last - 1;
        for (; i >= 0; i--) {
            if (i == fast)
                continue;
            at += v->stride[i];
            to_at += to_stride[i];
            if (++index[i] < v->dim[i])
                break;
            at -= v->stride[i] * v->dim[i];
            to_at -= to_stride[i] * v->dim[i];
            index[i] = 0;
        }
        if (i < 0)
            return;
    }
}

/* Packed elements go one by one, as bare bits. */
static void copy_packed(const struct view *v, struct tensor *out) {
    for (int64_t i = 0, n = view_count(v); i < n; i++)
        tensor_set_bits(out, i, tensor_bits(v->base, view_index(v, i)));
}

enum status view_materialise(struct tensor **out, const struct view *v, struct err *e) {
    TRY(tensor_new(out, v->base->dtype, v->base->store, v->rank, v->dim, e));
    struct tensor *t = *out;
    if (view_count(v) == 0)
        return OK;
    if (dtype_row(t->store)->bits < 8) {
        copy_packed(v, t);
        return OK;
    }
    struct view w = joined(v);
    if (w.rank == 0) {
        w.rank = 1;
        w.dim[0] = w.stride[0] = 1;
    }
    copy_all(&w, t->data, v->base->data, dtype_size(t->store));
    if (t->store == DT_STRING) { /* the texts outlive the base */
        const char **texts = t->data;
        for (int64_t i = 0, n = tensor_count(t); i < n; i++)
            texts[i] = arena_str(tensor_string_arena(t), texts[i]);
    }
    return OK;
}

enum status tensor_transpose(struct tensor **out, const struct tensor *t, const int *perm,
                             struct err *e) {
    struct view v = view_of(t), w = view_permute(&v, perm);
    return view_materialise(out, &w, e);
}
