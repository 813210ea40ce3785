/* TensorProto and SparseTensorProto. Raw data is never touched: the tensor points into the mapped
 * file. */
#include <string.h>

#include "formats/onnx/onnx.h"

/* What a walk over a TensorProto found. */
struct tensor_fields {
    int64_t dim[MAX_RANK];
    int rank;
    bool too_many_dims, segment, external, raw;
    int64_t data_type;
    const char *name;
    struct pb_field raw_data;
    uint32_t typed; /* number of the typed data field met, 0 none */
    size_t n_typed; /* its elements */
    int n_chunks;   /* its occurrences */
    struct pb_field chunk;
    bool mixed; /* more than one kind of typed data */
};

static enum pb_wire typed_wire(uint32_t field) {
    if (field == TENSOR_FLOAT_DATA)
        return PB_FIXED32;
    if (field == TENSOR_DOUBLE_DATA)
        return PB_FIXED64;
    return field == TENSOR_STRING_DATA ? PB_BYTES : PB_VARINT;
}

static void add_dims(struct tensor_fields *t, const struct cursor *c, const struct pb_field *f) {
    struct cursor d = pb_elements(c, f);
    while (cursor_left(&d)) {
        int64_t v = (int64_t)pb_element(&d, PB_VARINT);
        if (d.failed || t->rank == MAX_RANK) {
            t->too_many_dims = true;
            return;
        }
        t->dim[t->rank++] = v;
    }
}

static void add_typed(struct tensor_fields *t, const struct cursor *c, const struct pb_field *f) {
    size_t n = f->number == TENSOR_STRING_DATA ? 1 : pb_count(c, f, typed_wire(f->number));
    if (n == 0)
        return;
    t->mixed |= t->typed && t->typed != f->number;
    t->typed = f->number;
    t->n_typed += n;
    t->n_chunks++;
    t->chunk = *f;
}

static enum status walk(struct onnx_reader *r, struct span s, struct tensor_fields *t) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    t->name = "";
    while (pb_next(&c, &f)) {
        if (f.number == TENSOR_DIMS)
            add_dims(t, &c, &f);
        else if (f.number == TENSOR_DATA_TYPE)
            t->data_type = (int64_t)f.value;
        else if (f.number == TENSOR_SEGMENT)
            t->segment = true;
        else if (f.number == TENSOR_NAME)
            t->name = onnx_string(r, &f);
        else if (f.number == TENSOR_RAW_DATA && f.wire == PB_BYTES) {
            t->raw = true;
            t->raw_data = f;
        } else if (f.number == TENSOR_DATA_LOCATION)
            t->external = f.value == 1;
        else if ((f.number >= TENSOR_FLOAT_DATA && f.number <= TENSOR_INT64_DATA) ||
                 f.number == TENSOR_DOUBLE_DATA || f.number == TENSOR_UINT64_DATA)
            add_typed(t, &c, &f);
    }
    return c.failed ? onnx_bad_wire(r, &c, "TensorProto") : OK;
}

/* The field that holds elements of a type when they are not raw. */
static uint32_t field_of(enum dtype t) {
    switch (t) {
    case DT_F32:
    case DT_C64:
        return TENSOR_FLOAT_DATA;
    case DT_F64:
    case DT_C128:
        return TENSOR_DOUBLE_DATA;
    case DT_I64:
        return TENSOR_INT64_DATA;
    case DT_U32:
    case DT_U64:
        return TENSOR_UINT64_DATA;
    case DT_STRING:
        return TENSOR_STRING_DATA;
    default:
        return TENSOR_INT32_DATA;
    }
}

/* Elements of the typed field that n elements of t take: two reals a complex number, one integer a
 * byte of packed ones, but one an element of those of 6 bits. */
static uint64_t units_of(enum dtype t, int64_t n) {
    enum dtype_class k = dtype_row(t)->class_;
    if (k == CLASS_COMPLEX)
        return 2 * (uint64_t)n;
    int bits = dtype_row(t)->bits;
    return bits < 8 && bits != 6 ? dtype_bytes(t, n) : (uint64_t)n;
}

static void store_unit(void *to, size_t i, uint64_t v, size_t size) {
    unsigned char *p = (unsigned char *)to + i * size;
    for (size_t k = 0; k < size; k++)
        p[k] = (unsigned char)(v >> (8 * k));
}

/* The first n bytes of the data, an element each, become packed elements. */
static void pack(struct tensor *t, int64_t n) {
    const unsigned char *units = t->data;
    for (int64_t i = 0; i < n; i++)
        tensor_set_bits(t, i, units[i]);
}

static enum status decode_typed(struct onnx_reader *r, struct span s, const struct tensor_fields *t,
                                struct tensor *out) {
    enum pb_wire wire = typed_wire(t->typed);
    size_t unit = wire == PB_FIXED32 ? 4 : wire == PB_FIXED64 ? 8 : dtype_size(out->dtype);
    if (t->n_chunks == 1 && wire != PB_VARINT && wire != PB_BYTES && t->chunk.wire == PB_BYTES) {
        out->data = (void *)(size_t)(r->base + t->chunk.begin);
        return OK;
    }
    bool text = out->dtype == DT_STRING;
    const char **strings = text ? NEW_ARRAY(r->a, t->n_typed + 1, const char *) : NULL;
    void *to = text ? (void *)strings : arena_array(r->a, t->n_typed + 1, unit);
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    size_t i = 0;
    while (pb_next(&c, &f)) {
        if (f.number != t->typed)
            continue;
        if (text) {
            strings[i++] = onnx_string(r, &f);
            continue;
        }
        struct cursor d = pb_elements(&c, &f);
        while (cursor_left(&d) && i < t->n_typed) {
            uint64_t v = pb_element(&d, wire);
            if (d.failed)
                return onnx_bad_wire(r, &d, "packed elements of a TensorProto");
            store_unit(to, i++, v, unit);
        }
    }
    out->data = to;
    if (dtype_row(out->dtype)->bits == 6)
        pack(out, (int64_t)i);
    return i == t->n_typed
               ? OK
               : err_set(r->e, STATUS_CORRUPT, "TensorProto '%s' has malformed elements", t->name);
}

static enum status find_data(struct onnx_reader *r, struct span s, const struct tensor_fields *t,
                             struct tensor *out) {
    int64_t count;
    FAIL_IF(!dims_count(t->dim, t->rank, &count), r->e, STATUS_CORRUPT,
            "tensor '%s' has dimensions that are negative or whose product does not fit 63 bits",
            t->name);
    uint64_t want = dtype_bytes(out->dtype, count);
    if (t->external) {
        const void *data;
        FAIL_IF(out->dtype == DT_STRING, r->e, STATUS_CORRUPT,
                "tensor '%s' of strings has external data", t->name);
        TRY(onnx_read_external(r, s, t->name, want, &data));
        out->data = (void *)(size_t)data;
        return OK;
    }
    if (t->raw && (t->raw_data.end > t->raw_data.begin || !t->typed)) {
        uint64_t have = t->raw_data.end - t->raw_data.begin;
        FAIL_IF(out->dtype == DT_STRING || have != want, r->e, STATUS_CORRUPT,
                "tensor '%s' of %s has %llu bytes of raw_data where its shape needs %llu", t->name,
                dtype_name(out->dtype), (unsigned long long)have, (unsigned long long)want);
        out->data = (void *)(size_t)(r->base + t->raw_data.begin);
        return OK;
    }
    uint64_t units = units_of(out->dtype, count);
    FAIL_IF(!t->typed && units, r->e, STATUS_CORRUPT,
            "tensor '%s' has no data where its shape needs %llu elements", t->name,
            (unsigned long long)count);
    if (!units && !t->typed) {
        out->data = arena_alloc(r->a, 1);
        return OK;
    }
    FAIL_IF(t->mixed || t->typed != field_of(out->dtype), r->e, STATUS_CORRUPT,
            "tensor '%s' of %s has its data in field %u", t->name, dtype_name(out->dtype),
            (unsigned)t->typed);
    FAIL_IF(t->n_typed != units, r->e, STATUS_CORRUPT,
            "tensor '%s' holds %llu elements where its shape needs %llu", t->name,
            (unsigned long long)t->n_typed, (unsigned long long)units);
    return decode_typed(r, s, t, out);
}

enum status onnx_read_tensor(struct onnx_reader *r, struct span s, struct tensor **out,
                             const char **name) {
    struct tensor_fields t = { .rank = 0 };
    TRY(walk(r, s, &t));
    if (name)
        *name = t.name;
    FAIL_IF(t.segment, r->e, STATUS_UNSUPPORTED, "tensor '%s' is stored in segments", t.name);
    FAIL_IF(t.too_many_dims, r->e, STATUS_UNSUPPORTED, "tensor '%s' has more than %d dimensions",
            t.name, (int)MAX_RANK);
    enum dtype dtype = dtype_from_onnx(t.data_type);
    FAIL_IF(dtype == DT_NONE, r->e,
            t.data_type > 0 && t.data_type < 64 ? STATUS_UNSUPPORTED : STATUS_CORRUPT,
            "tensor '%s' has the unknown element type %lld", t.name, (long long)t.data_type);
    struct tensor *x = NEW(r->a, struct tensor);
    *x = (struct tensor) { .kind = KIND_TENSOR, .dtype = dtype, .store = dtype, .rank = t.rank };
    memcpy(x->dim, t.dim, sizeof t.dim);
    enum status st = find_data(r, s, &t, x);
    if (st != OK) {
        err_at(r->e, "byte %zu", s.begin);
        return st;
    }
    *out = x;
    return OK;
}

/* Element i of the indices: a flat index, or the coordinates of one element. */
static bool dense_index(const struct tensor *indices, const struct tensor *dense, int64_t i,
                        int64_t *at) {
    if (indices->rank == 1) {
        *at = tensor_i64(indices, i);
        return *at >= 0 && *at < tensor_count(dense);
    }
    *at = 0;
    for (int k = 0; k < dense->rank; k++) {
        int64_t v = tensor_i64(indices, i * dense->rank + k);
        if (v < 0 || v >= dense->dim[k])
            return false;
        *at = *at * dense->dim[k] + v;
    }
    return true;
}

static enum status unfold(struct onnx_reader *r, const struct tensor *values,
                          const struct tensor *indices, const char *name, const int64_t *dim,
                          int rank, struct tensor **out) {
    int64_t count, nnz = tensor_count(values);
    FAIL_IF(!dims_count(dim, rank, &count), r->e, STATUS_CORRUPT,
            "sparse tensor '%s' has impossible dimensions", name);
    uint64_t bytes = dtype_bytes(values->dtype, count);
    FAIL_IF(values->rank != 1 || indices->dtype != DT_I64 || indices->rank < 1 ||
                indices->rank > 2 || indices->dim[0] != nnz ||
                (indices->rank == 2 && indices->dim[1] != rank),
            r->e, STATUS_CORRUPT,
            "sparse tensor '%s' has values and indices that do not fit each other", name);
    FAIL_IF(dtype_row(values->dtype)->bits < 8 || values->dtype == DT_STRING, r->e,
            STATUS_UNSUPPORTED, "sparse tensor '%s' of %s", name, dtype_name(values->dtype));
    FAIL_IF(bytes > r->dense_left, r->e, STATUS_UNSUPPORTED,
            "sparse tensor '%s' would unfold to %llu bytes", name, (unsigned long long)bytes);
    r->dense_left -= bytes;
    *out = tensor_in_arena(r->a, values->dtype, values->dtype, rank, dim);
    size_t size = dtype_size(values->dtype);
    for (int64_t i = 0; i < nnz; i++) {
        int64_t at;
        FAIL_IF(!dense_index(indices, *out, i, &at), r->e, STATUS_CORRUPT,
                "sparse tensor '%s' has an index outside its shape", name);
        memcpy((char *)(*out)->data + (size_t)at * size,
               (const char *)values->data + (size_t)i * size, size);
    }
    return OK;
}

enum status onnx_read_sparse(struct onnx_reader *r, struct span s, struct tensor **out,
                             const char **name) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    struct tensor *values = NULL, *indices = NULL;
    struct tensor_fields t = { .name = "" };
    while (pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == PB_BYTES)
            TRY(onnx_read_tensor(r, (struct span) { f.begin, f.end }, &values, &t.name));
        else if (f.number == 2 && f.wire == PB_BYTES)
            TRY(onnx_read_tensor(r, (struct span) { f.begin, f.end }, &indices, NULL));
        else if (f.number == 3)
            add_dims(&t, &c, &f);
    }
    if (c.failed)
        return onnx_bad_wire(r, &c, "SparseTensorProto");
    if (name)
        *name = t.name;
    FAIL_IF(t.too_many_dims, r->e, STATUS_UNSUPPORTED,
            "sparse tensor '%s' has more than %d dimensions", t.name, (int)MAX_RANK);
    FAIL_IF(!values || !indices, r->e, STATUS_CORRUPT,
            "sparse tensor '%s' lacks its values or indices", t.name);
    return unfold(r, values, indices, t.name, t.dim, t.rank, out);
}
