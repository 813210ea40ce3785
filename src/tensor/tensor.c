#include "tensor/tensor.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct buffer {
    _Atomic int refs;
    struct arena *strings; /* owns the texts of a string tensor, or NULL */
    void *data;            /* 64-byte aligned, inside this allocation */
    struct recycler *from; /* where the allocation goes back to, or NULL */
    size_t capacity;
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

static void set_dims(struct tensor *t, enum dtype dtype, enum dtype store, int rank, const int64_t *dim) {
    t->dtype = dtype;
    t->store = store;
    t->rank = rank;
    for (int i = 0; i < rank; i++)
        t->dim[i] = dim[i];
}

enum status tensor_new(struct tensor **out, enum dtype dtype, enum dtype store, int rank, const int64_t *dim,
                       struct err *e) {
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
    if (r)
        recycler_give(r, b, b->capacity);
    else
        free(b);
    recycler_drop(r);
}

enum status tensor_new_from(struct tensor **out, struct recycler *r, bool clear, enum dtype dtype, enum dtype store,
                            int rank, const int64_t *dim, struct err *e) {
    int64_t n;
    FAIL_IF(rank > MAX_RANK, e, STATUS_UNSUPPORTED, "a tensor of rank %d; at most %d is supported", rank, MAX_RANK);
    FAIL_IF(!dims_count(dim, rank, &n), e, STATUS_UNSUPPORTED, "a tensor whose number of elements does not fit 63 bits");
    size_t bytes = dtype_bytes(store, n);
    FAIL_IF(bytes > (SIZE_MAX >> 24), e, STATUS_UNSUPPORTED, "a tensor of %lld elements is too large to hold in memory", (long long)n);
    struct buffer *b = buffer_new(r, clear, bytes);
    FAIL_IF(!b, e, STATUS_UNSUPPORTED, "not enough memory for a tensor of %lld elements (%zu bytes)", (long long)n, bytes);
    atomic_init(&b->refs, 1);
    b->data = (void *)(((uintptr_t)(b + 1) + 63) & ~(uintptr_t)63);
    struct tensor *t = zeroed(sizeof *t);
    set_dims(t, dtype, store, rank, dim);
    t->buf = b;
    t->data = b->data;
    *out = t;
    return OK;
}

struct tensor *tensor_in_arena(struct arena *a, enum dtype dtype, enum dtype store, int rank, const int64_t *dim) {
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
    if (t->buf && atomic_fetch_sub(&t->buf->refs, 1) == 1)
        buffer_free(t->buf);
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

static unsigned packed_get(const struct tensor *t, int64_t i) {
    const unsigned char *p = t->data;
    if (dtype_row(t->store)->bits == 4)
        return p[i / 2] >> (i % 2 * 4) & 15u;
    return p[i / 4] >> (i % 4 * 2) & 3u;
}

static void packed_set(struct tensor *t, int64_t i, unsigned v) {
    unsigned char *p = t->data;
    int bits = dtype_row(t->store)->bits, per = 8 / bits, shift = (int)(i % per) * bits;
    unsigned mask = (1u << bits) - 1;
    p[i / per] = (unsigned char)((p[i / per] & ~(mask << shift)) | (v & mask) << shift);
}

#define AT(type) (((type *)t->data)[i])
/* Elements of a mapped file may lie at any address. */
#define LOAD(type, var)                                                                            \
    type var;                                                                                      \
    memcpy(&var, (const char *)t->data + (size_t)i * sizeof var, sizeof var)

int64_t tensor_i64(const struct tensor *t, int64_t i) {
    switch (t->store) {
    case DT_I64: {
        LOAD(int64_t, v);
        return v;
    }
    case DT_U64: {
        LOAD(uint64_t, v);
        return (int64_t)v;
    }
    case DT_I32: {
        LOAD(int32_t, v);
        return v;
    }
    case DT_U32: {
        LOAD(uint32_t, v);
        return v;
    }
    case DT_I16: {
        LOAD(int16_t, v);
        return v;
    }
    case DT_U16: {
        LOAD(uint16_t, v);
        return v;
    }
    case DT_I8:
        return ((const int8_t *)t->data)[i];
    case DT_U8:
        return ((const uint8_t *)t->data)[i];
    case DT_BOOL:
        return ((const uint8_t *)t->data)[i] != 0;
    case DT_I4:
        return (int64_t)(packed_get(t, i) ^ 8u) - 8;
    case DT_U4:
    case DT_U2:
        return packed_get(t, i);
    case DT_I2:
        return (int64_t)(packed_get(t, i) ^ 2u) - 2;
    default: {
        double v = tensor_f64(t, i);
        if (v != v)
            return 0;
        return v >= 9223372036854775807.0 ? INT64_MAX : v <= -9223372036854775808.0 ? INT64_MIN : (int64_t)v;
    }
    }
}

double tensor_f64(const struct tensor *t, int64_t i) {
    switch (t->store) {
    case DT_F64: {
        LOAD(double, v);
        return v;
    }
    case DT_F32: {
        LOAD(float, v);
        return (double)v;
    }
    case DT_F16: {
        LOAD(uint16_t, v);
        return f16_to_f64(v);
    }
    case DT_BF16: {
        LOAD(uint16_t, v);
        return bf16_to_f64(v);
    }
    case DT_F8E4M3FN:
    case DT_F8E4M3FNUZ:
    case DT_F8E5M2:
    case DT_F8E5M2FNUZ:
    case DT_F8E8M0:
        return f8_to_f64(t->store, ((const uint8_t *)t->data)[i]);
    case DT_F4E2M1:
        return f8_to_f64(t->store, (uint8_t)packed_get(t, i));
    case DT_U64: {
        LOAD(uint64_t, v);
        return (double)v;
    }
    case DT_STRING:
    case DT_C64:
    case DT_C128:
    case DT_NONE:
    case DT_COUNT:
        return NAN;
    default:
        return (double)tensor_i64(t, i);
    }
}

void tensor_set_i64(struct tensor *t, int64_t i, int64_t v) {
    switch (t->store) {
    case DT_I64:
    case DT_U64:
        AT(int64_t) = v;
        break;
    case DT_I32:
    case DT_U32:
        AT(uint32_t) = (uint32_t)v;
        break;
    case DT_I16:
    case DT_U16:
        AT(uint16_t) = (uint16_t)v;
        break;
    case DT_I8:
    case DT_U8:
        AT(uint8_t) = (uint8_t)v;
        break;
    case DT_BOOL:
        AT(uint8_t) = v != 0;
        break;
    case DT_I4:
    case DT_U4:
    case DT_I2:
    case DT_U2:
        packed_set(t, i, (unsigned)(v & 15));
        break;
    default:
        tensor_set_f64(t, i, (double)v);
    }
}

void tensor_set_f64(struct tensor *t, int64_t i, double v) {
    switch (t->store) {
    case DT_F64:
        AT(double) = v;
        break;
    case DT_F32:
        AT(float) = (float)v;
        break;
    case DT_F16:
        AT(uint16_t) = f16_from_f64(v);
        break;
    case DT_BF16:
        AT(uint16_t) = bf16_from_f64(v);
        break;
    case DT_F8E4M3FN:
    case DT_F8E4M3FNUZ:
    case DT_F8E5M2:
    case DT_F8E5M2FNUZ:
    case DT_F8E8M0:
        AT(uint8_t) = f8_from_f64(t->store, v, false);
        break;
    case DT_F4E2M1:
        packed_set(t, i, f8_from_f64(t->store, v, true));
        break;
    case DT_BOOL:
        AT(uint8_t) = v != 0;
        break;
    case DT_U64:
        AT(uint64_t) = v >= 9223372036854775808.0 ? (uint64_t)(v - 9223372036854775808.0) + (UINT64_C(1) << 63) : v > 0 ? (uint64_t)v : (uint64_t)(int64_t)(v > -9e18 ? v : -9e18);
        break;
    case DT_STRING:
    case DT_C64:
    case DT_C128:
    case DT_NONE:
    case DT_COUNT:
        break;
    default:
        tensor_set_i64(t, i, v != v ? 0 : v >= 9223372036854775807.0 ? INT64_MAX : v <= -9223372036854775808.0 ? INT64_MIN : (int64_t)v);
    }
}

enum status tensor_convert(struct tensor **out, const struct tensor *t, enum dtype store, struct err *e) {
    if (t->kind != KIND_TENSOR || t->store == store) {
        *out = tensor_alias(t);
        return OK;
    }
    enum dtype_class from = dtype_row(t->store)->class_, to = dtype_row(store)->class_;
    FAIL_IF(from == CLASS_STRING || to == CLASS_STRING, e, STATUS_BUG, "strings have no numeric form");
    TRY(tensor_new(out, t->dtype, store, t->rank, t->dim, e));
    int64_t n = tensor_count(t);
    struct tensor *o = *out;
    if (from == CLASS_COMPLEX || to == CLASS_COMPLEX) {
        /* Complex elements are pairs of reals. */
        struct tensor a = *t, b = *o;
        if (from != CLASS_COMPLEX || to != CLASS_COMPLEX) {
            tensor_free(o);
            return err_set(e, STATUS_BUG, "complex and real types do not convert");
        }
        a.store = t->store == DT_C64 ? DT_F32 : DT_F64;
        b.store = store == DT_C64 ? DT_F32 : DT_F64;
        for (int64_t i = 0; i < 2 * n; i++)
            tensor_set_f64(&b, i, tensor_f64(&a, i));
        return OK;
    }
    if (t->store == DT_F32 && store == DT_F64) {
        double *d = o->data;
        for (int64_t i = 0; i < n; i++) {
            float v;
            memcpy(&v, (const char *)t->data + (size_t)i * sizeof v, sizeof v);
            d[i] = (double)v;
        }
        return OK;
    }
    bool ints = from != CLASS_FLOAT && to != CLASS_FLOAT;
    for (int64_t i = 0; i < n; i++) {
        if (ints)
            tensor_set_i64(o, i, tensor_i64(t, i));
        else
            tensor_set_f64(o, i, tensor_f64(t, i));
    }
    return OK;
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
