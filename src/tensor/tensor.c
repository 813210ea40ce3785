#include "tensor/tensor.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
    _Atomic int refs;
    struct arena *strings; /* owns the texts of a string tensor, or NULL */
    void *data;            /* 64-byte aligned, inside this allocation */
    struct recycler *from; /* where the allocation goes back to, or NULL */
    size_t capacity;
    struct paged_block *block; /* where data lies, or NULL */
};

bool dims_count(const int64_t *dim, int rank, int64_t *count) {
    int64_t n = 1;
    bool zero = false, over = false;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0)
            return false;
        if (dim[i] == 0)
            zero = true;
        else if (!over && n > INT64_MAX / dim[i])
            over = true;
        else if (!over)
            n *= dim[i];
    }
    *count = zero ? 0 : n;
    return zero || !over;
}

bool dims_equal(const int64_t *a, int ra, const int64_t *b, int rb) {
    if (ra != rb)
        return false;
    for (int i = 0; i < ra; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

int64_t tensor_count(const struct tensor *t) {
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++)
        if (t->dim[i] == 0)
            return 0; /* the others' product may be beyond 63 bits */
    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

size_t tensor_bytes(const struct tensor *t) {
    return t->kind == KIND_TENSOR ? dtype_bytes(t->store, tensor_count(t)) : 0;
}

static void *zeroed(size_t size) {
    void *p = calloc(1, size);
    if (!p) {
        arena_exhausted(size);
        abort();
    }
    return p;
}

static void set_dims(struct tensor *t, enum dtype dtype, enum dtype store, int rank,
                     const int64_t *dim) {
    t->dtype = dtype;
    t->store = store;
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->dim[i] = dim[i];
}

enum status tensor_new(struct tensor **out, enum dtype dtype, enum dtype store, int rank,
                       const int64_t *dim, struct err *e) {
    return tensor_new_from(out, NULL, true, dtype, store, rank, dim, e);
}

/* Smaller ones come quickly from the C library. */
static const size_t RECYCLED_FROM = 32768;

static struct buffer *buffer_new(struct recycler *r, bool clear, size_t bytes) {
    size_t size = sizeof(struct buffer) + bytes + 64, capacity = 0;
    if (!r || bytes < RECYCLED_FROM)
        return calloc(1, size);
    struct buffer *b = recycler_take(r, size, &capacity);
    if (!b)
        return NULL;
    memset(b, 0, clear ? size : sizeof *b);
    recycler_hold(r);
    b->from = r;
    b->capacity = capacity;
    return b;
}

static void buffer_free(struct buffer *b) {
    struct recycler *r = b->from;
    arena_free(b->strings);
    if (b->block)
        paged_give(b->block);
    if (b->capacity)
        recycler_give(r, b, b->capacity);
    else
        free(b);
    recycler_drop(r);
}

static void buffer_drop(struct buffer *b) {
    if (b && atomic_fetch_sub(&b->refs, 1) == 1)
        buffer_free(b);
}

enum status tensor_new_from(struct tensor **out, struct recycler *r, bool clear, enum dtype dtype,
                            enum dtype store, int rank, const int64_t *dim, struct err *e) {
    int64_t n;
    FAIL_IF(rank > MAX_RANK, e, STATUS_UNSUPPORTED, "a tensor of rank %d; at most %d is supported",
            rank, MAX_RANK);
    FAIL_IF(!dims_count(dim, rank, &n), e, STATUS_UNSUPPORTED,
            "a tensor whose number of elements does not fit 63 bits");
    size_t bytes = dtype_bytes(store, n);
    FAIL_IF(bytes > (SIZE_MAX >> 24), e, STATUS_UNSUPPORTED,
            "a tensor of %lld elements is too large to hold in memory", (long long)n);
    struct buffer *b = buffer_new(r, clear, bytes);
    FAIL_IF(!b, e, STATUS_UNSUPPORTED,
            "not enough memory for a tensor of %lld elements (%zu bytes)", (long long)n, bytes);
    atomic_init(&b->refs, 1);
    if (!b->data)
        b->data = (void *)(((uintptr_t)(b + 1) + 63) & ~(uintptr_t)63);
    struct tensor *t = zeroed(sizeof *t);
    set_dims(t, dtype, store, rank, dim);
    t->buf = b;
    t->data = b->data;
    *out = t;
    return OK;
}

void tensor_touch(const struct tensor *t) {
    if (t->buf && t->buf->block)
        paged_touch(t->buf->block);
}

struct recycler *tensor_recycler(const struct tensor *t) {
    return t->buf ? t->buf->from : NULL;
}

void tensor_to_paged(struct tensor *t, struct recycler *r) {
    if (!r || !recycler_paged(r) || t->kind != KIND_TENSOR || t->store == DT_STRING ||
        tensor_bytes(t) < PAGED_FROM || !t->buf || t->buf->block)
        return;
    void *data;
    struct paged_block *block = paged_store(recycler_paged(r), t->data, tensor_bytes(t), &data);
    if (!block)
        return;
    struct buffer *b = zeroed(sizeof *b);
    atomic_init(&b->refs, 1);
    b->block = block;
    b->data = data;
    b->from = r;
    recycler_hold(r);
    buffer_drop(t->buf);
    t->buf = b;
    t->data = data;
}

struct tensor *tensor_in_arena(struct arena *a, enum dtype dtype, enum dtype store, int rank,
                               const int64_t *dim) {
    struct tensor *t = NEW(a, struct tensor);
    set_dims(t, dtype, store, rank, dim);
    t->data = arena_alloc(a, dtype_bytes(store, tensor_count(t)) + 1);
    return t;
}

struct tensor *tensor_alias(const struct tensor *t) {
    struct tensor *u = zeroed(sizeof *u);
    *u = *t;
    if (u->buf)
        atomic_fetch_add(&u->buf->refs, 1);
    if (t->items) {
        u->items = zeroed((size_t)(t->n_items + 1) * sizeof *u->items);
        for (int64_t i = 0; i < t->n_items; i++)
            u->items[i] = tensor_alias(t->items[i]);
    }
    return u;
}

struct tensor *tensor_new_list(enum tensor_kind kind, enum dtype dtype, int64_t n_items) {
    struct tensor *t = zeroed(sizeof *t);
    t->kind = kind;
    t->dtype = t->store = dtype;
    t->n_items = n_items;
    t->items = zeroed((size_t)(n_items + 1) * sizeof *t->items);
    return t;
}

void tensor_free(struct tensor *t) {
    if (!t)
        return;
    buffer_drop(t->buf);
    for (int64_t i = 0; t->items && i < t->n_items; i++)
        tensor_free(t->items[i]);
    free(t->items);
    free(t);
}

struct arena *tensor_string_arena(struct tensor *t) {
    if (!t->buf->strings)
        t->buf->strings = arena_new();
    return t->buf->strings;
}

struct tensor *tensor_scalar_f32(struct arena *a, float v) {
    struct tensor *t = tensor_in_arena(a, DT_F32, DT_F32, 0, NULL);
    *(float *)t->data = v;
    return t;
}

struct tensor *tensor_vec_i64(struct arena *a, const int64_t *v, int64_t n) {
    struct tensor *t = tensor_in_arena(a, DT_I64, DT_I64, 1, &n);
    if (n)
        memcpy(t->data, v, (size_t)n * sizeof *v);
    return t;
}

struct tensor *tensor_vec_f32(struct arena *a, const float *v, int64_t n) {
    struct tensor *t = tensor_in_arena(a, DT_F32, DT_F32, 1, &n);
    if (n)
        memcpy(t->data, v, (size_t)n * sizeof *v);
    return t;
}
