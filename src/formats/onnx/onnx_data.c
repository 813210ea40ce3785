#include "formats/onnx/onnx_data.h"

#include <string.h>

#include "formats/onnx/onnx.h"

enum { MAX_DATA_DEPTH = 16 };

/* SequenceProto and OptionalProto share their numbers up to where an optional holds one element,
 * not a list. */
enum container_field {
    CONTAINER_NAME = 1,
    CONTAINER_ELEM_TYPE = 2,
    CONTAINER_TENSOR = 3,
    CONTAINER_SPARSE = 4,
    CONTAINER_SEQUENCE = 5,
    CONTAINER_MAP = 6,
    CONTAINER_OPTIONAL = 7,
};

enum map_field { MAP_KEY_TYPE = 2, MAP_KEYS = 3, MAP_STRING_KEYS = 4, MAP_VALUES = 5 };

static enum status read_data(struct onnx_reader *r, struct span s, enum tensor_kind kind, int depth,
                             struct tensor **out, const char **name);

/* A heap copy of a tensor that points into the file or an arena. */
static enum status own(const struct tensor *t, struct tensor **out, struct err *e) {
    TRY(tensor_new(out, t->dtype, t->store, t->rank, t->dim, e));
    size_t bytes = tensor_bytes(t);
    if (t->dtype != DT_STRING) {
        if (bytes)
            memcpy((*out)->data, t->data, bytes);
        return OK;
    }
    const char *const *from = t->data;
    const char **to = (*out)->data;
    struct arena *strings = tensor_string_arena(*out);
    for (int64_t i = 0; i < tensor_count(t); i++)
        to[i] = arena_str(strings, from[i]);
    return OK;
}

static enum status read_tensor(struct onnx_reader *r, struct span s, struct tensor **out,
                               const char **name) {
    struct tensor *t = NULL;
    TRY(onnx_read_tensor(r, s, &t, name));
    return own(t, out, r->e);
}

static bool is_element(uint32_t number) {
    return number >= CONTAINER_TENSOR && number <= CONTAINER_OPTIONAL;
}

static enum status read_element(struct onnx_reader *r, const struct pb_field *f, int depth,
                                struct tensor **out) {
    struct span s = { f->begin, f->end };
    const char *name;
    if (f->number == CONTAINER_SEQUENCE)
        return read_data(r, s, KIND_SEQUENCE, depth + 1, out, &name);
    if (f->number == CONTAINER_MAP)
        return read_data(r, s, KIND_MAP, depth + 1, out, &name);
    if (f->number == CONTAINER_OPTIONAL)
        return read_data(r, s, KIND_OPTIONAL, depth + 1, out, &name);
    FAIL_IF(f->number == CONTAINER_SPARSE, r->e, STATUS_UNSUPPORTED,
            "a sparse tensor inside a sequence or optional");
    return read_tensor(r, s, out, &name);
}

static enum status read_container(struct onnx_reader *r, struct span s, enum tensor_kind kind,
                                  int depth, struct tensor **out, const char **name) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    int64_t n = 0;
    while (pb_next(&c, &f)) {
        n += is_element(f.number) && f.wire == PB_BYTES;
        if (f.number == CONTAINER_NAME)
            *name = onnx_string(r, &f);
    }
    if (c.failed)
        return onnx_bad_wire(r, &c, "SequenceProto or OptionalProto");
    FAIL_IF(kind == KIND_OPTIONAL && n > 1, r->e, STATUS_CORRUPT, "an optional with %lld elements",
            (long long)n);
    *out = tensor_new_list(kind, DT_NONE, n);
    c = cursor_of(r->base, s.begin, s.end);
    int64_t i = 0;
    while (pb_next(&c, &f))
        if (is_element(f.number) && f.wire == PB_BYTES) {
            TRY(read_element(r, &f, depth, &(*out)->items[i]));
            (*out)->dtype = (*out)->store = (*out)->items[i]->dtype;
            i++;
        }
    return OK;
}

/* Integer keys are a packed list of varints of the key type; texts a list of bytes. */
static enum status read_keys(struct onnx_reader *r, struct span s, struct tensor **out) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    enum dtype type = DT_NONE;
    int64_t n = 0, i = 0;
    while (pb_next(&c, &f)) {
        if (f.number == MAP_KEY_TYPE)
            type = dtype_from_onnx((int64_t)f.value);
        n += f.number == MAP_KEYS ? (int64_t)pb_count(&c, &f, PB_VARINT)
                                  : f.number == MAP_STRING_KEYS;
    }
    FAIL_IF(c.failed || (type != DT_STRING && !dtype_is_int(type)), r->e, STATUS_CORRUPT,
            "a map with malformed keys");
    TRY(tensor_new(out, type, type, 1, &n, r->e));
    c = cursor_of(r->base, s.begin, s.end);
    while (pb_next(&c, &f)) {
        if (f.number == MAP_STRING_KEYS && type == DT_STRING && i < n)
            ((const char **)(*out)->data)[i++] = arena_strn(
                tensor_string_arena(*out), (const char *)r->base + f.begin, f.end - f.begin);
        struct cursor d = pb_elements(&c, &f);
        while (f.number == MAP_KEYS && type != DT_STRING && cursor_left(&d) && i < n)
            tensor_set_i64(*out, i++, (int64_t)pb_element(&d, PB_VARINT));
    }
    FAIL_IF(i != n, r->e, STATUS_CORRUPT, "a map whose keys are not of its key type");
    return OK;
}

static enum status read_map(struct onnx_reader *r, struct span s, int depth, struct tensor **out,
                            const char **name) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    const char *inner;
    *out = tensor_new_list(KIND_MAP, DT_NONE, 2);
    TRY(read_keys(r, s, &(*out)->items[0]));
    while (pb_next(&c, &f)) {
        if (f.number == CONTAINER_NAME)
            *name = onnx_string(r, &f);
        if (f.number == MAP_VALUES && f.wire == PB_BYTES && !(*out)->items[1])
            TRY(read_data(r, (struct span) { f.begin, f.end }, KIND_SEQUENCE, depth + 1,
                          &(*out)->items[1], &inner));
    }
    FAIL_IF(!(*out)->items[1], r->e, STATUS_CORRUPT, "a map without values");
    return OK;
}

static enum status read_data(struct onnx_reader *r, struct span s, enum tensor_kind kind, int depth,
                             struct tensor **out, const char **name) {
    FAIL_IF(depth > MAX_DATA_DEPTH, r->e, STATUS_CORRUPT,
            "sequences or optionals nested deeper than %d", (int)MAX_DATA_DEPTH);
    *name = "";
    if (kind == KIND_TENSOR)
        return read_tensor(r, s, out, name);
    if (kind == KIND_MAP)
        return read_map(r, s, depth, out, name);
    FAIL_IF(kind != KIND_SEQUENCE && kind != KIND_OPTIONAL, r->e, STATUS_UNSUPPORTED,
            "an array of this kind in a test data file");
    return read_container(r, s, kind, depth, out, name);
}

enum status onnx_data_read(const char *path, enum tensor_kind kind, struct arena *a,
                           struct tensor **out, const char **name, struct err *e) {
    struct mapfile f;
    struct err unheard;
    struct model *none =
        model_new(); /* a model without a path: external data has no folder to lie in */
    enum status s = mapfile_open(&f, path, none->arena, e);
    const char *inner = "";
    *out = NULL;
    if (s != OK) {
        model_free(none);
        return s;
    }
    struct onnx_reader r = {
        .m = none, .a = none->arena, .e = e ? e : &unheard, .base = f.data, .size = f.size
    };
    s = read_data(&r, (struct span) { 0, f.size }, kind, 0, out, &inner);
    if (name)
        *name = arena_str(a, inner);
    if (s != OK) {
        tensor_free(*out);
        *out = NULL;
        err_at(e, "%s", path);
    }
    mapfile_close(&f);
    model_free(none);
    return s;
}
