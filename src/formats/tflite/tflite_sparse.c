/* Sparse tensors (SparsityParameters) made dense. The tensor's dims, and then its blocks' dims, are
 * traversed in traversal_order; each level is dense (dense_size) or compressed rows (segments and
 * indices). */
#include <string.h>

#include "base/cursor.h"
#include "formats/tflite/tflite.h"

enum { MAX_LEVELS = 2 * MAX_RANK };

struct level {
    bool compressed;
    int32_t size; /* of a dense level */
    struct fb_vector segments, indices;
};

struct densify {
    struct tfl_reader *r;
    struct tensor *t;
    const unsigned char *data;
    size_t at, size, width;
    int n_levels, rank;
    struct level level[MAX_LEVELS];
    int order[MAX_LEVELS];
    int block_axis[MAX_RANK]; /* level rank + b is a part of this axis */
    int64_t block[MAX_RANK];  /* block size of each axis, 1 without blocks */
    int64_t index[MAX_LEVELS];
};

/* Union SparseIndexVector: vectors of int32, uint16 or uint8. */
static struct fb_vector index_vector(const struct fb_table *t, int type_slot) {
    static const size_t width[] = { 0, 4, 2, 1 };
    uint8_t kind = fb_u8(t, type_slot, 0);
    struct fb_table holder = fb_sub(t, type_slot + 1);
    struct fb_vector none = { .fb = t->fb };
    if (kind < 1 || kind > 3 || !holder.at)
        return none;
    return fb_vec(&holder, 0, width[kind]);
}

static int64_t index_at(const struct fb_vector *v, size_t i) {
    const unsigned char *p = v->fb->data + v->at + v->width * i;
    return v->width == 4 ? (int32_t)load_u32le(p) : v->width == 2 ? load_u16le(p) : *p;
}

static enum status place(struct densify *d) {
    int64_t at[MAX_RANK] = { 0 };
    for (int i = 0; i < d->n_levels; i++) {
        int axis = d->order[i] < d->rank ? d->order[i] : d->block_axis[d->order[i] - d->rank];
        at[axis] += d->order[i] < d->rank ? d->index[i] * d->block[axis] : d->index[i];
    }
    int64_t flat = 0;
    for (int i = 0; i < d->rank; i++) {
        FAIL_IF(at[i] < 0 || at[i] >= d->t->dim[i], d->r->err, STATUS_CORRUPT,
                "a sparse index lies outside the tensor");
        flat = flat * d->t->dim[i] + at[i];
    }
    FAIL_IF(d->size - d->at < d->width, d->r->err, STATUS_CORRUPT,
            "a sparse tensor has fewer values than indices");
    memcpy((char *)d->t->data + (size_t)flat * d->width, d->data + d->at, d->width);
    d->at += d->width;
    return OK;
}

static enum status walk(struct densify *d, int depth, int64_t parent) {
    if (depth == d->n_levels)
        return place(d);
    const struct level *l = &d->level[depth];
    if (!l->compressed) {
        for (int64_t i = 0; i < l->size; i++) {
            d->index[depth] = i;
            TRY(walk(d, depth + 1, parent * l->size + i));
        }
        return OK;
    }
    FAIL_IF(parent + 1 >= (int64_t)l->segments.n, d->r->err, STATUS_CORRUPT,
            "a sparse level has too few segments");
    int64_t begin = index_at(&l->segments, (size_t)parent),
            end = index_at(&l->segments, (size_t)parent + 1);
    FAIL_IF(begin < 0 || begin > end || end > (int64_t)l->indices.n, d->r->err, STATUS_CORRUPT,
            "a sparse segment lies outside its indices");
    for (int64_t i = begin; i < end; i++) {
        d->index[depth] = index_at(&l->indices, (size_t)i);
        TRY(walk(d, depth + 1, i));
    }
    return OK;
}

static enum status read_levels(struct densify *d, const struct fb_table *sparsity) {
    struct err *e = d->r->err;
    struct fb_vector order = fb_vec(sparsity, 0, 4), blocks = fb_vec(sparsity, 1, 4),
                     meta = fb_vec(sparsity, 2, 4);
    TRY(flatbuffer_check(&d->r->fb, e));
    d->rank = d->t->rank;
    FAIL_IF(order.n != meta.n || order.n != (size_t)d->rank + blocks.n ||
                blocks.n > (size_t)d->rank,
            e, STATUS_CORRUPT, "a sparse tensor of rank %d has %zu levels and %zu blocks", d->rank,
            meta.n, blocks.n);
    d->n_levels = (int)order.n;
    for (int i = 0; i < d->rank; i++)
        d->block[i] = 1;
    for (size_t i = 0; i < blocks.n; i++) {
        int32_t axis = fb_vec_i32(&blocks, i);
        FAIL_IF(axis < 0 || axis >= d->rank, e, STATUS_CORRUPT, "a sparse block is of axis %d",
                axis);
        d->block_axis[i] = axis;
    }
    unsigned seen = 0;
    for (int i = 0; i < d->n_levels; i++) {
        d->order[i] = fb_vec_i32(&order, (size_t)i);
        FAIL_IF(d->order[i] < 0 || d->order[i] >= d->n_levels || (seen >> d->order[i] & 1), e,
                STATUS_CORRUPT, "the traversal order of a sparse tensor is not a permutation");
        seen |= 1u << d->order[i];
        struct fb_table m = fb_vec_table(&meta, (size_t)i);
        struct level *l = &d->level[i];
        l->compressed = fb_i8(&m, 0, 0) == 1;
        l->size = fb_i32(&m, 1, 0);
        l->segments = index_vector(&m, 2);
        l->indices = index_vector(&m, 4);
        FAIL_IF(!l->compressed && l->size <= 0, e, STATUS_CORRUPT,
                "a dense level of a sparse tensor has size %d", l->size);
        if (d->order[i] >= d->rank) {
            FAIL_IF(l->compressed, e, STATUS_CORRUPT, "a sparse block is itself sparse");
            d->block[d->block_axis[d->order[i] - d->rank]] = l->size;
        }
    }
    return flatbuffer_check(&d->r->fb, e);
}

enum status tflite_densify(struct tfl_reader *r, const struct fb_table *sparsity, struct tensor *t,
                           const unsigned char *data, size_t size) {
    enum { GROWTH = 4096 }; /* a dense tensor may be so many times its sparse bytes */
    FAIL_IF(dtype_row(t->dtype)->bits < 8, r->err, STATUS_UNSUPPORTED, "a sparse tensor of type %s",
            dtype_name(t->dtype));
    size_t want = dtype_bytes(t->dtype, tensor_count(t));
    FAIL_IF(want / GROWTH > size || want > ((size_t)1 << 32), r->err, STATUS_UNSUPPORTED,
            "a sparse tensor of %zu bytes whose values take %zu", want, size);
    struct densify *d = NEW(r->m->arena, struct densify);
    d->r = r;
    d->t = t;
    d->data = data;
    d->size = size;
    d->width = (size_t)dtype_row(t->dtype)->bits / 8;
    t->data = arena_alloc(r->m->arena, want + 1);
    TRY(read_levels(d, sparsity));
    TRY(walk(d, 0, 0));
    FAIL_IF(d->at != size, r->err, STATUS_CORRUPT,
            "a sparse tensor has %zu bytes of values, its indices use %zu", size, d->at);
    return OK;
}
