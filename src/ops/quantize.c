/* QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear.
 *
 * y = clip(rint(x / scale) + zero_point), the quotient rounded once in the type of the scale (or
 * `precision`); in a float64 run in float64. y = (x - zero_point) * scale: an exact difference, one
 * rounded product. */
#include "ops/quantize.h"

#include <math.h>
#include <string.h>

#include "ops/axes.h"
#include "ops/cast.h"
#include "ops/row.h"

enum status quant_layout(struct quant_layout *q, const struct tensor *x, const struct tensor *scale,
                         int64_t axis, int64_t block_size, struct err *e) {
    int a;
    *q = (struct quant_layout) {
        .outer = 1, .n = 1, .inner = tensor_count(x), .block = 1, .parameters = 1
    };
    if (tensor_count(scale) == 1 && !block_size)
        return OK;
    TRY(axis_normalise(axis, x->rank, &a, e));
    struct axis_view v = axis_view(x, a);
    q->outer = v.outer, q->n = v.n, q->inner = v.inner;
    if (!block_size) {
        FAIL_IF(scale->rank != 1 || scale->dim[0] != v.n, e, STATUS_CORRUPT,
                "the scale has %lld elements; axis %d of the tensor has %lld",
                (long long)tensor_count(scale), a, (long long)v.n);
        q->parameters = v.n;
        return OK;
    }
    FAIL_IF(block_size < 0 || scale->rank != x->rank, e, STATUS_CORRUPT,
            "blocks of %lld with a scale of rank %d", (long long)block_size, scale->rank);
    for (int i = 0; i < x->rank; i++) {
        int64_t want = i == a ? x->dim[i] / block_size + (x->dim[i] % block_size != 0) : x->dim[i];
        FAIL_IF(scale->dim[i] != want, e, STATUS_CORRUPT,
                "dimension %d of the scale is %lld; %lld is asked for", i, (long long)scale->dim[i],
                (long long)want);
    }
    q->blocked = true;
    q->block = block_size;
    q->parameters = scale->dim[a];
    return OK;
}

void quant_runs(const struct quant_layout *q,
                void (*fn)(void *arg, int64_t from, int64_t n, int64_t k), void *arg) {
    if (q->blocked && q->inner == 1) {
        for (int64_t o = 0; o < q->outer; o++)
            for (int64_t p = 0; p < q->parameters; p++) {
                int64_t left = q->n - p * q->block;
                fn(arg, o * q->n + p * q->block, left < q->block ? left : q->block,
                   o * q->parameters + p);
            }
        return;
    }
    for (int64_t o = 0; o < q->outer; o++)
        for (int64_t i = 0; i < q->n; i++) {
            int64_t from = (o * q->n + i) * q->inner;
            for (int64_t k = 0; q->blocked && k < q->inner; k++)
                fn(arg, from + k, 1, (o * q->parameters + i / q->block) * q->inner + k);
            if (!q->blocked)
                fn(arg, from, q->inner, q->parameters == 1 ? 0 : i);
        }
}

void quant_range(enum dtype t, int64_t *least, int64_t *largest) {
    int bits = dtype_row(t)->bits;
    *least = dtype_is_unsigned(t) ? 0 : -(INT64_C(1) << (bits - 1));
    *largest = *least + (INT64_C(1) << bits) - 1;
}

struct job {
    const struct tensor *x, *scale, *zero;
    struct tensor *y;
    enum dtype
        precision; /* of the quotient or product, when narrower than the store; else DT_NONE */
    int64_t least, largest;
    bool saturate;
};

/* The quotient in the type it is asked in. */
static double quotient(const struct job *j, double x, double scale) {
    if (j->scale->store == DT_F64)
        return x / scale;
    float q = (float)x / (float)scale;
    return j->precision != DT_NONE ? float_round_to(j->precision, (double)q) : (double)q;
}

static void quantize_to_float(void *arg, int64_t from, int64_t n, int64_t k) {
    const struct job *j = arg;
    double scale = tensor_f64(j->scale, k), zero = j->zero ? tensor_f64(j->zero, k) : 0;
    for (int64_t i = from; i < from + n; i++) {
        double v = quotient(j, tensor_f64(j->x, i), scale) + zero;
        tensor_set_f64(j->y, i, cast_to_float(j->y->dtype, v, j->saturate, ROUND_UP));
    }
}

/* NaN becomes the least value. */
#define CLIP_TO(T)                                                              \
    for (int64_t i = 0; i < n; i++) {                                           \
        double v = quant_round(q[i]) + zero;                                    \
        ((T *)j->y->data)[from + i] = (T)(v > low ? v < high ? v : high : low); \
    }

static void store_clipped(const struct job *j, const double *q, int64_t from, int64_t n,
                          double zero) {
    double low = (double)j->least, high = (double)j->largest;
    switch (j->y->store) {
    case DT_I8:
        CLIP_TO(int8_t)
        break;
    case DT_U8:
        CLIP_TO(uint8_t)
        break;
    case DT_I16:
        CLIP_TO(int16_t)
        break;
    case DT_U16:
        CLIP_TO(uint16_t)
        break;
    default:
        CLIP_TO(int32_t)
        break;
    }
}

static void quantize_run(void *arg, int64_t from, int64_t n, int64_t k) {
    const struct job *j = arg;
    double scale = tensor_f64(j->scale, k), q[256];
    double zero = j->zero ? (double)tensor_i64(j->zero, k) : 0;
    for (int64_t done = 0; done < n; done += 256) {
        int64_t part = n - done < 256 ? n - done : 256;
        if (j->x->store == DT_F64 && j->scale->store == DT_F64)
            for (int64_t i = 0; i < part; i++)
                q[i] = ((const double *)j->x->data)[from + done + i] / scale;
        else
            for (int64_t i = 0; i < part; i++)
                q[i] = quotient(j, tensor_f64(j->x, from + done + i), scale);
        store_clipped(j, q, from + done, part, zero);
    }
}

static bool is_quantized(enum dtype t) {
    const struct dtype_row *r = dtype_row(t);
    return (dtype_is_int(t) && r->bits <= 16) ||
           (r->class_ == CLASS_FLOAT && r->bits <= 8 && t != DT_F8E8M0) || t == DT_I32 ||
           t == DT_I64;
}

static enum status quantize_eval(struct op_ctx *c) {
    struct job j = { .x = c->in[0],
                     .scale = c->in[1],
                     .zero = c->n_in > 2 ? c->in[2] : NULL,
                     .y = c->out[0],
                     .saturate = attr_int(c->node, "saturate") };
    enum dtype precision = attr_dtype(c->node, "precision", j.scale->dtype);
    struct quant_layout q;
    FAIL_IF(!is_quantized(j.y->dtype) || j.y->dtype == DT_I64, c->err, STATUS_UNSUPPORTED,
            "quantization to %s", dtype_name(j.y->dtype));
    FAIL_IF(
        j.zero && (j.zero->dtype != j.y->dtype || tensor_count(j.zero) != tensor_count(j.scale)),
        c->err, STATUS_CORRUPT, "the zero point is %lld elements of %s; %lld of %s are asked for",
        (long long)tensor_count(j.zero), dtype_name(j.zero->dtype),
        (long long)tensor_count(j.scale), dtype_name(j.y->dtype));
    if (dtype_is_float(precision) && dtype_row(precision)->bits == 16)
        j.precision = precision;
    TRY(quant_layout(&q, j.x, j.scale, attr_int(c->node, "axis"), attr_int(c->node, "block_size"),
                     c->err));
    if (dtype_is_float(j.y->dtype)) {
        quant_runs(&q, quantize_to_float, &j);
    } else {
        quant_range(j.y->dtype, &j.least, &j.largest);
        quant_runs(&q, quantize_run, &j);
    }
    return OK;
}

static enum status quantize_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    bool zero = c->n_in > 2 && !c->in[2].absent;
    c->out[0].dtype = zero ? c->in[2].dtype : attr_dtype(c->node, "output_dtype", DT_U8);
    return OK;
}

static void dequantize_run(void *arg, int64_t from, int64_t n, int64_t k) {
    const struct job *j = arg;
    bool reals = dtype_is_float(j->x->store);
    double scale = tensor_f64(j->scale, k),
           real_zero = reals && j->zero ? tensor_f64(j->zero, k) : 0;
    int64_t zero = !reals && j->zero ? tensor_i64(j->zero, k) : 0;
    if (j->y->store == DT_F64 && (j->x->store == DT_U8 || j->x->store == DT_I8)) {
        const uint8_t *u = j->x->data;
        const int8_t *s = j->x->data;
        double *y = j->y->data;
        for (int64_t i = from; i < from + n; i++)
            y[i] = (double)((j->x->store == DT_U8 ? u[i] : s[i]) - zero) * scale;
        return;
    }
    for (int64_t i = from; i < from + n; i++) {
        double d = reals ? tensor_f64(j->x, i) - real_zero : (double)(tensor_i64(j->x, i) - zero);
        if (j->y->store == DT_F64)
            ((double *)j->y->data)[i] = d * scale;
        else
            ((float *)j->y->data)[i] = (float)d * (float)scale;
    }
}

static enum status dequantize_eval(struct op_ctx *c) {
    struct job j = {
        .x = c->in[0], .scale = c->in[1], .zero = c->n_in > 2 ? c->in[2] : NULL, .y = c->out[0]
    };
    struct quant_layout q;
    FAIL_IF(!is_quantized(j.x->dtype), c->err, STATUS_UNSUPPORTED, "quantized values of type %s",
            dtype_name(j.x->dtype));
    FAIL_IF(j.zero && tensor_count(j.zero) != tensor_count(j.scale), c->err, STATUS_CORRUPT,
            "the zero point has %lld elements, the scale %lld", (long long)tensor_count(j.zero),
            (long long)tensor_count(j.scale));
    TRY(quant_layout(&q, j.x, j.scale, attr_int(c->node, "axis"), attr_int(c->node, "block_size"),
                     c->err));
    quant_runs(&q, dequantize_run, &j);
    return OK;
}

struct slope_job {
    const struct tensor *x, *zero;
    const double *grad_out;
    double *grad_scale;
};

static void scale_slope_run(void *arg, int64_t from, int64_t n, int64_t k) {
    const struct slope_job *j = arg;
    double zero = j->zero ? tensor_f64(j->zero, k) : 0;
    for (int64_t i = from; i < from + n; i++)
        j->grad_scale[k] += j->grad_out[i] * (tensor_f64(j->x, i) - zero);
}

/* In the scale alone: quantized values are not differentiated. */
static enum status dequantize_grad(struct grad_ctx *c) {
    struct quant_layout q;
    if (!c->grad_out[0] || !c->grad_in[1])
        return OK;
    struct slope_job j = { c->in[0], c->n_in > 2 ? c->in[2] : NULL, c->grad_out[0]->data,
                           c->grad_in[1]->data };
    TRY(quant_layout(&q, j.x, c->in[1], attr_int(c->node, "axis"), attr_int(c->node, "block_size"),
                     c->err));
    quant_runs(&q, scale_slope_run, &j);
    return OK;
}

static enum status dequantize_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    SHAPE_FAIL_IF(c->n_in > 2 && !c->in[2].absent && c->in[2].dtype != DT_NONE &&
                      c->in[0].dtype != DT_NONE && c->in[2].dtype != c->in[0].dtype,
                  c, "a zero point of %s for elements of %s", dtype_name(c->in[2].dtype),
                  dtype_name(c->in[0].dtype));
    c->out[0].dtype = attr_dtype(c->node, "output_dtype", c->in[1].dtype);
    return OK;
}

/* uint8 over the range of the elements and zero. */
static enum status dynamic_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    double low = 0, high = 0;
    int64_t n = tensor_count(x);
    for (int64_t i = 0; i < n; i++) {
        double v = tensor_f64(x, i);
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    bool single = x->store == DT_F32;
    double scale = single ? (double)(((float)high - (float)low) / 255.0f) : (high - low) / 255;
    if (scale == 0)
        scale = 1;
    double zero = rint(single ? (double)(-(float)low / (float)scale) : -low / scale);
    zero = zero < 0 ? 0 : zero > 255 ? 255 : zero;
    for (int64_t i = 0; i < n; i++) {
        double v = tensor_f64(x, i),
               q = rint(single ? (double)((float)v / (float)scale) : v / scale) + zero;
        tensor_set_f64(c->out[0], i, q > 0 ? q < 255 ? q : 255 : 0);
    }
    if (op_wanted(c, 1))
        tensor_set_f64(c->out[1], 0, scale);
    if (op_wanted(c, 2))
        tensor_set_f64(c->out[2], 0, zero);
    return OK;
}

static enum status dynamic_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_U8;
    for (int i = 1; i < c->n_out; i++) {
        c->out[i].rank = 0;
        c->out[i].dtype = i == 1 ? c->in[0].dtype : DT_U8;
    }
    return OK;
}

static const struct attr_def quantize_attrs[] = { INT("axis", 1),         INT("block_size", 0),
                                                  INT("output_dtype", 0), INT("precision", 0),
                                                  INT("saturate", 1),     { 0 } };
static const struct attr_def dequantize_attrs[] = {
    INT("axis", 1), INT("block_size", 0), INT("output_dtype", 0), { 0 }
};

/* clang-format off */
const struct op ops_quantize[] = {
    { ONNX("QuantizeLinear", 25, 2, 3), .flags = OP_NO_GRADIENT, .attrs = quantize_attrs, .shape = quantize_shape, .eval = quantize_eval },
    { ONNX("DequantizeLinear", 25, 2, 3), .attrs = dequantize_attrs, .shape = dequantize_shape, .eval = dequantize_eval,
      .grad = dequantize_grad },
    { MICROSOFT("QuantizeLinear", 2, 3), .flags = OP_NO_GRADIENT, .attrs = quantize_attrs, .shape = quantize_shape, .eval = quantize_eval },
    { MICROSOFT("DequantizeLinear", 2, 3), .attrs = dequantize_attrs, .shape = dequantize_shape, .eval = dequantize_eval,
      .grad = dequantize_grad },
    { .name = "DynamicQuantizeLinear", .domain = "", .spec = "ONNX DynamicQuantizeLinear-11", .flags = OP_NO_GRADIENT,
      .min_in = 1, .max_in = 1,
      .min_out = 1, .max_out = 3, .shape = dynamic_shape, .eval = dynamic_eval },
    { 0 },
};
