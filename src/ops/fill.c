/* Tensors made from a shape or a few numbers: Constant, ConstantOfShape, Range. */
#include "ops/move.h"
#include "ops/row.h"

#include <math.h>
#include <string.h>

/* --- Constant --- */

static const char *const constant_names[] = { "value",        "sparse_value", "value_float",
                                              "value_floats", "value_int",    "value_ints",
                                              "value_string", "value_strings" };

/* The one attribute that holds the contents. */
static enum status constant_attr(const struct node *n, const struct attr **out, struct err *e) {
    int found = 0;
    for (size_t i = 0; i < sizeof constant_names / sizeof *constant_names; i++) {
        const struct attr *a = attr_find(n, constant_names[i]);
        if (!a)
            continue;
        *out = a;
        found++;
    }
    FAIL_IF(found != 1, e, STATUS_CORRUPT,
            "Constant has %d value attributes; exactly one is needed", found);
    return OK;
}

static enum status shape_constant(struct shape_ctx *c) {
    const struct attr *a;
    TRY(constant_attr(c->node, &a, c->err));
    struct fact *out = &c->out[0];
    switch (a->type) {
    case ATTR_TENSOR:
        fact_set(out, a->tensor->dtype, a->tensor->rank, a->tensor->dim);
        out->value = a->tensor->kind == KIND_TENSOR ? a->tensor : NULL;
        break;
    case ATTR_FLOAT:
        fact_set(out, DT_F32, 0, NULL);
        break;
    case ATTR_FLOATS:
        fact_set(out, DT_F32, 1, &a->n);
        break;
    case ATTR_INT:
        fact_set(out, DT_I64, 0, NULL);
        break;
    case ATTR_INTS:
        fact_set(out, DT_I64, 1, &a->n);
        break;
    case ATTR_STRING:
        fact_set(out, DT_STRING, 0, NULL);
        break;
    default:
        fact_set(out, DT_STRING, 1, &a->n);
    }
    return OK;
}

/* A sparse tensor (ONNX SparseTensorProto): indices are flat [n] or tuples [n, rank]. */
static enum status densify(struct op_ctx *c, const struct tensor *sparse) {
    struct tensor *values, *y;
    const struct tensor *indices = sparse->items[1];
    TRY(op_output(c, 0, sparse->dtype, sparse->rank, sparse->dim));
    y = c->out[0];
    TRY(tensor_for_kernel(&values, sparse->items[0], c->precision, c->err));
    int64_t n = tensor_count(values), total = tensor_count(y),
            width = indices->rank == 2 ? indices->dim[1] : 1;
    enum status s = OK;
    if (values->store != y->store || (indices->rank == 2 && width != y->rank) ||
        tensor_count(indices) != n * width)
        s = err_set(c->err, STATUS_CORRUPT,
                    "the sparse constant's indices do not match its values");
    for (int64_t i = 0; s == OK && i < n; i++) {
        int64_t at = 0;
        for (int64_t k = 0; k < width; k++) {
            int64_t v = tensor_i64(indices, i * width + k),
                    limit = indices->rank == 2 ? y->dim[k] : total;
            if (v < 0 || v >= limit)
                s = err_set(c->err, STATUS_CORRUPT, "sparse index %lld is outside %lld",
                            (long long)v, (long long)limit);
            at = indices->rank == 2 ? at * y->dim[k] + v : v;
        }
        if (s == OK)
            memcpy(element_at(y, at), element_at(values, i), element_size(y));
    }
    tensor_free(values);
    return s;
}

static enum status eval_constant(struct op_ctx *c) {
    const struct attr *a;
    TRY(constant_attr(c->node, &a, c->err));
    if (a->type == ATTR_TENSOR)
        return a->tensor->kind == KIND_SPARSE
                   ? densify(c, a->tensor)
                   : tensor_for_kernel(&c->out[0], a->tensor, c->precision, c->err);
    const struct fact *f = &c->out_fact[0];
    TRY(op_output(c, 0, f->dtype, f->rank, f->dim));
    struct tensor *y = c->out[0];
    int64_t n = tensor_count(y);
    for (int64_t i = 0; i < n; i++) {
        if (y->store == DT_STRING)
            ((const char **)y->data)[i] = a->type == ATTR_STRING ? a->s : a->strings[i];
        else if (y->store == DT_I64)
            tensor_set_i64(y, i, a->type == ATTR_INT ? a->i : a->ints[i]);
        else
            tensor_set_f64(y, i, a->type == ATTR_FLOAT ? a->f : a->floats[i]);
    }
    own_strings(y);
    return OK;
}

/* --- ConstantOfShape --- */

static enum status shape_constant_of_shape(struct shape_ctx *c) {
    const struct attr *value = attr_find(c->node, "value");
    enum dtype dtype = value ? value->tensor->dtype : DT_F32;
    const int64_t *shape;
    int64_t n;
    SHAPE_FAIL_IF(value && tensor_count(value->tensor) != 1, c, "the value must be one element");
    c->out[0].dtype = dtype;
    if (!fact_parts(c, &c->in[0], &shape, &n)) {
        if (c->in[0].rank == 1 && c->in[0].dim[0] >= 0 && c->in[0].dim[0] <= MAX_RANK)
            fact_set_unknown(&c->out[0], dtype, (int)c->in[0].dim[0]);
        return OK;
    }
    FAIL_IF(n > MAX_RANK, c->err, STATUS_UNSUPPORTED, "a shape of %lld dimensions", (long long)n);
    for (int64_t i = 0; i < n; i++)
        SHAPE_FAIL_IF(shape[i] < 0, c, "the shape's entry %lld is %lld", (long long)i,
                      (long long)shape[i]);
    fact_set(&c->out[0], dtype, (int)n, shape);
    for (int64_t i = 0; i < n; i++)
        c->out[0].dim[i] = dim_of_part(shape[i]);
    return OK;
}

static enum status eval_constant_of_shape(struct op_ctx *c) {
    const struct attr *a = attr_find(c->node, "value");
    struct tensor *value, *y = c->out[0];
    if (!a)
        return OK;
    TRY(tensor_for_kernel(&value, a->tensor, c->precision, c->err));
    fill_elements(y->data, value->data, element_size(y), tensor_count(y));
    tensor_free(value);
    own_strings(y);
    return OK;
}

/* --- Range --- */

static bool range_scalar(const struct fact *f, struct shape_ctx *c, double *d, int64_t *i) {
    if (f->absent || !f->value || f->value->kind != KIND_TENSOR || tensor_count(f->value) != 1)
        return false;
    (void)c;
    bool is_float = dtype_is_float(f->dtype);
    *d = is_float ? tensor_f64(f->value, 0) : 0;
    *i = is_float ? 0 : tensor_i64(f->value, 0);
    return true;
}

static const char *const range_inputs[] = { "start", "limit", "delta" };

/* ceil((limit - start) / delta), at least 0. Floats divide in float64. */
static enum status range_count(struct shape_ctx *c, const double *d, const int64_t *i, int64_t *n) {
    bool is_float = dtype_is_float(c->in[0].dtype);
    SHAPE_FAIL_IF(is_float ? d[2] == 0 : i[2] == 0, c, "delta is 0");
    if (is_float) {
        double count = ceil((d[1] - d[0]) / d[2]);
        SHAPE_FAIL_IF(!(count < 1e15), c, "a range of %g elements", count);
        *n = count > 0 ? (int64_t)count : 0;
        return OK;
    }
    bool up = i[2] > 0, any = up ? i[1] > i[0] : i[1] < i[0];
    uint64_t span = up ? (uint64_t)i[1] - (uint64_t)i[0] : (uint64_t)i[0] - (uint64_t)i[1];
    uint64_t step = up ? (uint64_t)i[2] : 0 - (uint64_t)i[2];
    uint64_t count = any ? span / step + (span % step != 0) : 0;
    SHAPE_FAIL_IF(count > (uint64_t)INT64_MAX, c, "a range of too many elements");
    *n = (int64_t)count;
    return OK;
}

/* 0, 1, 2, ... below a symbol: as many elements as it says. */
static int64_t counted_up(struct shape_ctx *c) {
    const int64_t *v[3];
    int64_t n;
    for (int k = 0; k < 3; k++)
        if (!fact_parts(c, &c->in[k], &v[k], &n) || n != 1)
            return DIM_UNKNOWN;
    return part_is_code(*v[1]) && *v[0] == 0 && *v[2] == 1 ? dim_of_part(*v[1]) : DIM_UNKNOWN;
}

static enum status shape_range(struct shape_ctx *c) {
    double d[3];
    int64_t i[3], n = 0;
    fact_set_unknown(&c->out[0], c->in[0].dtype, 1);
    for (int k = 0; k < 3; k++) {
        SHAPE_FAIL_IF(c->in[k].dtype != c->in[0].dtype, c, "start, limit and delta differ in type");
        SHAPE_FAIL_IF(c->in[k].value && tensor_count(c->in[k].value) != 1, c,
                      "%s must be a scalar, it has %lld elements", range_inputs[k],
                      (long long)tensor_count(c->in[k].value));
        if (!range_scalar(&c->in[k], c, &d[k], &i[k])) {
            c->out[0].dim[0] = counted_up(c);
            return OK;
        }
    }
    TRY(range_count(c, d, i, &n));
    c->out[0].dim[0] = n;
    return OK;
}

/* start + i * delta: the product is rounded, then the sum. */
static enum status eval_range(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    int64_t n = tensor_count(y);
    if (y->store == DT_F64) {
        double start = tensor_f64(c->in[0], 0), delta = tensor_f64(c->in[2], 0), *v = y->data;
        for (int64_t i = 0; i < n; i++)
            v[i] = start + (double)i * delta;
    } else if (y->store == DT_F32) {
        float start = (float)tensor_f64(c->in[0], 0), delta = (float)tensor_f64(c->in[2], 0),
              *v = y->data;
        for (int64_t i = 0; i < n; i++)
            v[i] = start + (float)i * delta;
    } else {
        uint64_t start = (uint64_t)tensor_i64(c->in[0], 0),
                 delta = (uint64_t)tensor_i64(c->in[2], 0);
        for (int64_t i = 0; i < n; i++)
            tensor_set_i64(y, i, (int64_t)(start + (uint64_t)i * delta));
    }
    return OK;
}

static enum status grad_range(struct grad_ctx *c) {
    if (!c->grad_out[0] || c->in[0]->store != DT_F64)
        return OK;
    const double *g = c->grad_out[0]->data;
    for (int64_t i = 0, n = tensor_count(c->out[0]); i < n; i++) {
        if (c->grad_in[0])
            *(double *)c->grad_in[0]->data += g[i];
        if (c->grad_in[2])
            *(double *)c->grad_in[2]->data += g[i] * (double)i;
    }
    return OK;
}

/* clang-format off */
const struct op ops_fill[] = {
    { ONNX("Constant", 25, 0, 0), .flags = OP_VIEW | OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("value", TENSOR), PLAIN("sparse_value", TENSOR), PLAIN("value_float", FLOAT), PLAIN("value_floats", FLOATS),
                     PLAIN("value_int", INT), PLAIN("value_ints", INTS), PLAIN("value_string", STRING),
                     PLAIN("value_strings", STRINGS)),
      .shape = shape_constant, .eval = eval_constant },
    { ONNX("ConstantOfShape", 25, 1, 1), .whole = 1, .flags = OP_MOVES | OP_NO_GRADIENT, .attrs = ATTRS(PLAIN("value", TENSOR)),
      .shape = shape_constant_of_shape,
      .eval = eval_constant_of_shape },
    { ONNX("Range", 27, 3, 3), .attrs = ATTRS(INT("stash_type", 1)), .shape = shape_range, .eval = eval_range, .grad = grad_range },
    { 0 },
};
