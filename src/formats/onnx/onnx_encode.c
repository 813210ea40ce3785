#include "formats/onnx/onnx_encode.h"

#include <string.h>

void onnx_put_message(struct pb_writer *w, uint32_t field, const struct pb_writer *inner) {
    pb_put_bytes(w, field, inner->p, inner->n);
}

static struct pb_writer inside(const struct pb_writer *w) {
    struct pb_writer inner;
    pb_writer_init(&inner, w->arena);
    return inner;
}

/* Repeated numbers are written packed (proto3). */
static void put_packed_ints(struct pb_writer *w, uint32_t field, const int64_t *v, int64_t n) {
    struct pb_writer list = inside(w);
    for (int64_t i = 0; i < n; i++)
        pb_put_varint(&list, (uint64_t)v[i]);
    onnx_put_message(w, field, &list);
}

enum status onnx_put_contents(struct pb_writer *w, const struct tensor *t, struct err *e) {
    int type = dtype_to_onnx(t->dtype);
    FAIL_IF(t->kind != KIND_TENSOR || !type, e, STATUS_UNSUPPORTED,
            "a constant of type %s cannot be written to ONNX", dtype_name(t->dtype));
    if (t->rank)
        put_packed_ints(w, TENSOR_DIMS, t->dim, t->rank);
    pb_put_int(w, TENSOR_DATA_TYPE, type);
    if (t->dtype == DT_STRING) {
        const char *const *texts = t->data;
        for (int64_t i = 0; i < tensor_count(t); i++)
            pb_put_string(w, TENSOR_STRING_DATA, texts[i]);
        return OK;
    }
    struct tensor *as_stored;
    TRY(tensor_convert(&as_stored, t, t->dtype, e));
    pb_put_bytes(w, TENSOR_RAW_DATA, as_stored->data, tensor_bytes(as_stored));
    tensor_free(as_stored);
    return OK;
}

enum status onnx_put_tensor(struct pb_writer *w, const struct tensor *t, const char *name,
                            struct err *e) {
    TRY(onnx_put_contents(w, t, e));
    if (name)
        pb_put_string(w, TENSOR_NAME, name);
    return OK;
}

enum status onnx_put_tensor_type(struct pb_writer *w, const struct tensor *t, struct err *e) {
    struct pb_writer shape = inside(w), tensor = inside(w);
    int type = dtype_to_onnx(t->dtype);
    FAIL_IF(!type, e, STATUS_UNSUPPORTED, "type %s cannot be written to ONNX",
            dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++) {
        struct pb_writer dim = inside(w);
        pb_put_int(&dim, 1, t->dim[i]);
        onnx_put_message(&shape, 1, &dim);
    }
    pb_put_int(&tensor, 1, type);
    onnx_put_message(&tensor, 2, &shape);
    onnx_put_message(w, 1, &tensor);
    return OK;
}

static enum status put_list(struct pb_writer *w, const struct attr *a, struct err *e) {
    struct pb_writer list = inside(w);
    switch (a->type) {
    case ATTR_INTS:
        put_packed_ints(w, ATTRIBUTE_INTS, a->ints, a->n);
        return OK;
    case ATTR_FLOATS:
        for (int64_t i = 0; i < a->n; i++) {
            float v = (float)a->floats[i];
            uint32_t bits;
            unsigned char b[4];
            memcpy(&bits, &v, sizeof bits);
            store_u32le(b, bits);
            pb_put_raw(&list, b, sizeof b);
        }
        onnx_put_message(w, ATTRIBUTE_FLOATS, &list);
        return OK;
    case ATTR_STRINGS:
        for (int64_t i = 0; i < a->n; i++)
            pb_put_string(w, ATTRIBUTE_STRINGS, a->strings[i]);
        return OK;
    default:
        for (int64_t i = 0; i < a->n; i++) {
            struct pb_writer one = inside(w);
            TRY(onnx_put_tensor(&one, a->tensors[i], NULL, e));
            onnx_put_message(w, ATTRIBUTE_TENSORS, &one);
        }
        return OK;
    }
}

static int attribute_type(enum attr_type t) {
    static const int types[] = {
        [ATTR_INT] = ONNX_INT,         [ATTR_FLOAT] = ONNX_FLOAT,     [ATTR_STRING] = ONNX_STRING,
        [ATTR_TENSOR] = ONNX_TENSOR,   [ATTR_INTS] = ONNX_INTS,       [ATTR_FLOATS] = ONNX_FLOATS,
        [ATTR_STRINGS] = ONNX_STRINGS, [ATTR_TENSORS] = ONNX_TENSORS, [ATTR_TYPE] = 0,
    };
    return (size_t)t < sizeof types / sizeof *types ? types[t] : 0;
}

enum status onnx_put_attribute(struct pb_writer *w, const struct attr *a, struct err *e) {
    struct pb_writer inner = inside(w);
    int type = attribute_type(a->type);
    FAIL_IF(!type, e, STATUS_UNSUPPORTED,
            "attribute '%s' holds a graph or type, which a change cannot write", a->name);
    pb_put_string(w, ATTRIBUTE_NAME, a->name);
    switch (a->type) {
    case ATTR_INT:
        pb_put_int(w, ATTRIBUTE_I, a->i);
        break;
    case ATTR_FLOAT:
        pb_put_float(w, ATTRIBUTE_F, (float)a->f);
        break;
    case ATTR_STRING:
        pb_put_bytes(w, ATTRIBUTE_S, a->s, (size_t)a->n);
        break;
    case ATTR_TENSOR:
        TRY(onnx_put_tensor(&inner, a->tensor, NULL, e));
        onnx_put_message(w, ATTRIBUTE_T, &inner);
        break;
    default:
        TRY(put_list(w, a, e));
    }
    pb_put_int(w, ATTRIBUTE_TYPE, type);
    return OK;
}
