/* ValueInfoProto and TypeProto. */
#include "formats/onnx/onnx.h"

enum type_field {
    TYPE_TENSOR = 1,
    TYPE_SEQUENCE = 4,
    TYPE_MAP = 5,
    TYPE_SPARSE = 8,
    TYPE_OPTIONAL = 9
};

static int64_t read_dim(struct onnx_reader *r, struct cursor c) {
    struct pb_field f;
    int64_t dim = DIM_UNKNOWN;
    while (pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT) {
            dim = (int64_t)f.value < 0 ? DIM_UNKNOWN : (int64_t)f.value;
        } else if (f.number == 2 && f.wire == PB_BYTES) {
            const char *name = onnx_string(r, &f);
            dim = name[0] ? model_symbol(r->m, name) : DIM_UNKNOWN;
        }
    }
    return dim;
}

static enum status read_shape(struct onnx_reader *r, struct cursor c, struct value *v) {
    struct pb_field f;
    int rank = 0;
    while (pb_next(&c, &f)) {
        if (f.number != 1 || f.wire != PB_BYTES)
            continue;
        FAIL_IF(rank == MAX_RANK, r->e, STATUS_UNSUPPORTED,
                "value '%s' has more than %d dimensions", v->name, (int)MAX_RANK);
        v->dim[rank++] = read_dim(r, pb_enter(&c, &f));
    }
    v->rank = rank;
    return c.failed ? onnx_bad_wire(r, &c, "TensorShapeProto") : OK;
}

static enum status read_tensor_type(struct onnx_reader *r, struct cursor c, struct value *v) {
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number == 1 && f.wire == PB_VARINT)
            v->dtype = dtype_from_onnx((int64_t)f.value);
        else if (f.number == 2 && f.wire == PB_BYTES)
            TRY(read_shape(r, pb_enter(&c, &f), v));
    }
    return c.failed ? onnx_bad_wire(r, &c, "TypeProto") : OK;
}

/* The element type of a sequence, optional or map: the outermost kind stays, dims are of no single
 * tensor. */
static enum status read_inner(struct onnx_reader *r, struct cursor c, uint32_t element,
                              enum tensor_kind kind, struct value *v) {
    struct pb_field f;
    while (pb_next(&c, &f))
        if (f.number == element && f.wire == PB_BYTES)
            TRY(onnx_read_type(r, (struct span) { f.begin, f.end }, v));
    v->kind = kind;
    v->rank = -1;
    return c.failed ? onnx_bad_wire(r, &c, "TypeProto") : OK;
}

enum status onnx_read_type(struct onnx_reader *r, struct span s, struct value *v) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    TRY(onnx_deeper(r));
    while (pb_next(&c, &f)) {
        if (f.wire != PB_BYTES)
            continue;
        struct cursor in = pb_enter(&c, &f);
        if (f.number == TYPE_TENSOR) {
            v->kind = KIND_TENSOR;
            TRY(read_tensor_type(r, in, v));
        } else if (f.number == TYPE_SPARSE) {
            v->kind = KIND_SPARSE;
            TRY(read_tensor_type(r, in, v));
        } else if (f.number == TYPE_SEQUENCE) {
            TRY(read_inner(r, in, 1, KIND_SEQUENCE, v));
        } else if (f.number == TYPE_OPTIONAL) {
            TRY(read_inner(r, in, 1, KIND_OPTIONAL, v));
        } else if (f.number == TYPE_MAP) {
            TRY(read_inner(r, in, 2, KIND_MAP, v));
        }
    }
    r->depth--;
    return c.failed ? onnx_bad_wire(r, &c, "TypeProto") : OK;
}

enum status onnx_read_value_info(struct onnx_reader *r, struct span s, struct value *v,
                                 const char **name) {
    struct cursor c = cursor_of(r->base, s.begin, s.end);
    struct pb_field f;
    while (pb_next(&c, &f)) {
        if (f.number == 1 && name)
            *name = onnx_string(r, &f);
        else if (f.number == 2 && f.wire == PB_BYTES && v)
            TRY(onnx_read_type(r, (struct span) { f.begin, f.end }, v));
    }
    return c.failed ? onnx_bad_wire(r, &c, "ValueInfoProto") : OK;
}
