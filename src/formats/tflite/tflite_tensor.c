/* The tensors of a sub-graph as values: shapes, types, constants as views of the mapped file,
 * quantization. */
#include <string.h>

#include "formats/tflite/tflite.h"

enum { STATE_LIMIT = 64 << 20 }; /* bytes that a variable tensor may have: they are in no file */

struct bytes {
    const unsigned char *data;
    uint64_t size;
    bool present;
};

/* The contents of buffer number `index`, inside the flatbuffer or after it. */
static enum status buffer_bytes(struct tfl_reader *r, uint32_t index, struct bytes *out) {
    *out = (struct bytes) { 0 };
    FAIL_IF(index >= r->buffers.n && index > 0, r->err, STATUS_CORRUPT,
            "buffer %u, the file has %zu", index, r->buffers.n);
    if (r->buffers.n == 0)
        return OK;
    struct fb_table t = fb_vec_table(&r->buffers, index);
    struct fb_vector data = fb_vec(&t, BUFFER_DATA, 1);
    uint64_t offset = (uint64_t)fb_i64(&t, BUFFER_OFFSET, 0),
             size = (uint64_t)fb_i64(&t, BUFFER_SIZE, 0);
    if (offset > 1) {
        FAIL_IF(offset > r->fb.size || size > r->fb.size - offset, r->err, STATUS_CORRUPT,
                "buffer %u lies at %llu with %llu bytes, the file has %zu", index,
                (unsigned long long)offset, (unsigned long long)size, r->fb.size);
        *out = (struct bytes) { r->fb.data + offset, size, true };
    } else if (data.present) {
        *out = (struct bytes) { r->fb.data + data.at, data.n, true };
    }
    return flatbuffer_check(&r->fb, r->err);
}

static enum status read_shape(struct tfl_reader *r, const struct fb_table *t, struct value *v) {
    struct fb_vector shape = fb_vec(t, TENSOR_SHAPE, 4),
                     signature = fb_vec(t, TENSOR_SHAPE_SIGNATURE, 4);
    FAIL_IF(shape.n > MAX_RANK, r->err, STATUS_UNSUPPORTED, "tensor '%s' has rank %zu", v->name,
            shape.n);
    v->rank = (int)shape.n;
    for (size_t i = 0; i < shape.n; i++) {
        int32_t d = fb_vec_i32(&shape, i);
        int32_t s = signature.n == shape.n ? fb_vec_i32(&signature, i) : d;
        FAIL_IF(d < -1, r->err, STATUS_CORRUPT, "tensor '%s' has dimension %d", v->name, d);
        v->dim[i] = s < 0 ? DIM_UNKNOWN : d;
    }
    return OK;
}

/* Dims of a constant: the shape itself, never the signature. */
static enum status constant_dims(struct tfl_reader *r, const struct fb_table *t,
                                 const struct value *v, int64_t *dim, int64_t *count) {
    struct fb_vector shape = fb_vec(t, TENSOR_SHAPE, 4);
    for (int i = 0; i < v->rank; i++)
        dim[i] = fb_vec_i32(&shape, (size_t)i);
    FAIL_IF(!dims_count(dim, v->rank, count), r->err, STATUS_CORRUPT,
            "tensor '%s' has too many elements", v->name);
    return OK;
}

/* A string tensor: count, count + 1 offsets, bytes. */
static enum status read_strings(struct tfl_reader *r, const struct bytes *b, struct tensor *t,
                                const char *name) {
    struct flatbuffer fb = flatbuffer_of(b->data, b->size);
    int64_t count = tensor_count(t);
    FAIL_IF(b->size < 4, r->err, STATUS_CORRUPT, "string tensor '%s' has no count", name);
    struct fb_vector at = { .fb = &fb, .at = 0, .width = 4, .n = b->size / 4 };
    FAIL_IF(fb_vec_i32(&at, 0) != count || (uint64_t)count + 2 > at.n, r->err, STATUS_CORRUPT,
            "string tensor '%s' has %d texts, its shape asks for %lld", name, fb_vec_i32(&at, 0),
            (long long)count);
    const char **text = NEW_ARRAY(r->m->arena, count + 1, const char *);
    for (int64_t i = 0; i < count; i++) {
        uint32_t begin = (uint32_t)fb_vec_i32(&at, (size_t)i + 1),
                 end = (uint32_t)fb_vec_i32(&at, (size_t)i + 2);
        FAIL_IF(begin > end || end > b->size, r->err, STATUS_CORRUPT,
                "text %lld of tensor '%s' lies outside its buffer", (long long)i, name);
        text[i] = arena_strn(r->m->arena, (const char *)b->data + begin, end - begin);
    }
    t->data = text;
    return OK;
}

static struct tensor *constant_shell(struct tfl_reader *r, const struct value *v,
                                     const int64_t *dim) {
    struct tensor *t = NEW(r->m->arena, struct tensor);
    t->dtype = t->store = v->dtype;
    t->rank = v->rank;
    memcpy(t->dim, dim, sizeof t->dim);
    return t;
}

static enum status read_constant(struct tfl_reader *r, const struct fb_table *table,
                                 struct value *v, const struct bytes *b) {
    int64_t dim[MAX_RANK] = { 0 }, count;
    TRY(constant_dims(r, table, v, dim, &count));
    FAIL_IF(v->dtype == DT_NONE, r->err, STATUS_UNSUPPORTED, "constant '%s' is of type %d", v->name,
            fb_i8(table, TENSOR_TYPE, 0));
    struct tensor *t = constant_shell(r, v, dim);
    struct fb_table sparsity = fb_sub(table, TENSOR_SPARSITY);
    if (v->dtype == DT_STRING) {
        TRY(read_strings(r, b, t, v->name));
    } else if (sparsity.at) {
        TRY(tflite_densify(r, &sparsity, t, b->data, b->size));
    } else {
        size_t want = dtype_bytes(v->dtype, count);
        FAIL_IF(b->size != want, r->err, STATUS_CORRUPT,
                "tensor '%s' needs %zu bytes, its buffer has %llu", v->name, want,
                (unsigned long long)b->size);
        size_t align = (size_t)dtype_row(v->dtype)->bits / 8;
        bool aligned = align <= 1 || (uintptr_t)b->data % (align > 8 ? 8 : align) == 0;
        t->data = aligned ? (void *)(uintptr_t)b->data : arena_copy(r->m->arena, b->data, want);
    }
    v->constant = t;
    memcpy(v->dim, dim, sizeof v->dim);
    return OK;
}

/* A variable tensor begins as zero, which of an int8 tensor is its zero point. */
static enum status read_state(struct tfl_reader *r, const struct fb_table *table, struct value *v) {
    int64_t dim[MAX_RANK] = { 0 }, count;
    TRY(constant_dims(r, table, v, dim, &count));
    FAIL_IF(v->dtype == DT_NONE || v->dtype == DT_STRING, r->err, STATUS_UNSUPPORTED,
            "variable tensor '%s' of type %d", v->name, fb_i8(table, TENSOR_TYPE, 0));
    FAIL_IF(dtype_bytes(v->dtype, count) > STATE_LIMIT, r->err, STATUS_UNSUPPORTED,
            "variable tensor '%s' is larger than %d bytes", v->name, (int)STATE_LIMIT);
    v->constant =
        tensor_in_arena(r->m->arena, v->dtype,
                        dtype_row(v->dtype)->widened == DT_I8 ? DT_I8 : v->dtype, v->rank, dim);
    memcpy(v->dim, dim, sizeof v->dim);
    for (int64_t i = 0; v->dtype == DT_I8 && v->quant && i < count; i++)
        tensor_set_i64(v->constant, i, v->quant->zero_point[0]);
    return OK;
}

/* Block-wise: the scales are a tensor of their own, the blocks lie along the last axis. */
static enum status read_blockwise(struct tfl_reader *r, const struct fb_table *details,
                                  struct graph *g, struct value *v) {
    int32_t scales = fb_i32(details, 0, 0), zeros = fb_i32(details, 1, 0),
            block = fb_i32(details, 2, 0);
    struct value **all = r->notes->tensors[g->index];
    FAIL_IF(scales < 0 || scales >= g->n_values || !all[scales]->constant || block <= 0 ||
                v->rank < 1,
            r->err, STATUS_UNSUPPORTED,
            "block-wise quantization of tensor '%s' with computed scales", v->name);
    const struct tensor *s = all[scales]->constant;
    struct quant *q = NEW(r->m->arena, struct quant);
    q->axis = v->rank - 1;
    q->block_size = block;
    q->n = tensor_count(s);
    int64_t count;
    FAIL_IF(!dims_count(v->dim, v->rank, &count) || v->dim[q->axis] % block ||
                count / block != q->n,
            r->err, STATUS_CORRUPT,
            "tensor '%s' has %lld block scales, its shape and block size ask for others", v->name,
            (long long)q->n);
    float *scale = NEW_ARRAY(r->m->arena, q->n, float);
    int64_t *zero = NEW_ARRAY(r->m->arena, q->n, int64_t);
    const struct tensor *z =
        zeros > 0 && zeros < g->n_values && zeros != scales ? all[zeros]->constant : NULL;
    for (int64_t i = 0; i < q->n; i++) {
        scale[i] = (float)tensor_f64(s, i);
        zero[i] = z && tensor_count(z) == q->n ? tensor_i64(z, i) : 0;
    }
    q->scale = scale;
    q->zero_point = zero;
    v->quant = q;
    return OK;
}

static enum status read_quant(struct tfl_reader *r, const struct fb_table *table, struct graph *g,
                              struct value *v) {
    struct fb_table t = fb_sub(table, TENSOR_QUANTIZATION);
    if (!t.at)
        return OK;
    uint8_t kind = fb_u8(&t, QUANT_DETAILS_TYPE, 0);
    if (kind == 2) {
        struct fb_table details = fb_sub(&t, QUANT_DETAILS);
        return read_blockwise(r, &details, g, v);
    }
    FAIL_IF(kind != 0, r->err, STATUS_UNSUPPORTED, "tensor '%s' is quantized in a way of kind %d",
            v->name, kind);
    struct fb_vector scale = fb_vec(&t, QUANT_SCALE, 4), zero = fb_vec(&t, QUANT_ZERO_POINT, 8);
    if (scale.n == 0)
        return OK;
    struct quant *q = NEW(r->m->arena, struct quant);
    q->n = (int64_t)scale.n;
    /* A bias shares its filter's axis number in some files: a tensor of rank 1 has only one axis.
     */
    q->axis = v->rank == 1 ? 0 : fb_i32(&t, QUANT_AXIS, 0);
    FAIL_IF(q->n > 1 && (q->axis < 0 || q->axis >= v->rank ||
                         (v->dim[q->axis] >= 0 && v->dim[q->axis] != q->n)),
            r->err, STATUS_CORRUPT,
            "tensor '%s' has %lld scales along axis %d, which is not that long", v->name,
            (long long)q->n, q->axis);
    FAIL_IF(zero.n != scale.n && zero.n > 1, r->err, STATUS_CORRUPT,
            "tensor '%s' has %zu scales and %zu zero points", v->name, scale.n, zero.n);
    float *s = NEW_ARRAY(r->m->arena, q->n, float);
    int64_t *z = NEW_ARRAY(r->m->arena, q->n, int64_t);
    for (int64_t i = 0; i < q->n; i++) {
        s[i] = fb_vec_f32(&scale, (size_t)i);
        z[i] = zero.n == 0 ? 0 : fb_vec_i64(&zero, zero.n == 1 ? 0 : (size_t)i);
    }
    q->scale = s;
    q->zero_point = z;
    v->quant = q;
    return OK;
}

static enum status read_tensor(struct tfl_reader *r, struct graph *g, const struct fb_table *t,
                               int index, struct value *v) {
    int type = fb_i8(t, TENSOR_TYPE, 0);
    v->dtype = dtype_from_tflite(type);
    FAIL_IF(type < 0 || type > 22, r->err, STATUS_CORRUPT,
            "tensor '%s' is of type %d, which is not of the schema", v->name, type);
    v->origin = (struct origin) {
        .name = v->name, .offset = (int64_t)t->at, .graph = g->index, .index = index
    };
    TRY(read_shape(r, t, v));
    FAIL_IF(fb_u32(t, TENSOR_EXTERNAL_BUFFER, 0) != 0, r->err, STATUS_UNSUPPORTED,
            "tensor '%s' is stored in another file (external buffer)", v->name);
    v->is_variable = fb_bool(t, TENSOR_IS_VARIABLE, false);
    struct bytes b;
    TRY(buffer_bytes(r, fb_u32(t, TENSOR_BUFFER, 0), &b));
    if (b.present && (b.size > 0 || fb_u32(t, TENSOR_BUFFER, 0) != 0) && !v->is_variable) {
        int64_t dim[MAX_RANK] = { 0 }, count = 0;
        TRY(constant_dims(r, t, v, dim, &count));
        if (b.size > 0 || count == 0)
            TRY(read_constant(r, t, v, &b));
    }
    TRY(flatbuffer_check(&r->fb, r->err));
    return OK;
}

enum status tflite_read_tensors(struct tfl_reader *r, struct graph *g,
                                const struct fb_table *table) {
    struct fb_vector tensors = fb_vec(table, SUBGRAPH_TENSORS, 4);
    TRY(flatbuffer_check(&r->fb, r->err));
    struct value **all = NEW_ARRAY(r->m->arena, tensors.n + 1, struct value *);
    r->notes->tensors[g->index] = all;
    r->quant[g->index] = NEW_ARRAY(r->m->arena, tensors.n + 1, struct quant_values);
    for (size_t i = 0; i < tensors.n; i++) {
        struct fb_table t = fb_vec_table(&tensors, i);
        size_t n;
        const char *name = fb_text(&t, TENSOR_NAME, &n);
        all[i] = graph_add_value(g, name ? arena_strn(r->m->arena, name, n) : "");
        if (read_tensor(r, g, &t, (int)i, all[i]) != OK)
            return err_at(r->err, "tensor %zu", i);
    }
    for (size_t i = 0; i < tensors.n; i++) {
        struct fb_table t = fb_vec_table(&tensors, i);
        if (read_quant(r, &t, g, all[i]) != OK ||
            (all[i]->is_variable && read_state(r, &t, all[i]) != OK))
            return err_at(r->err, "tensor %zu", i);
    }
    return flatbuffer_check(&r->fb, r->err);
}
