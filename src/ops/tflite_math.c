/* TensorFlow Lite's functions of elements that ONNX lacks. */
#include <math.h>
#include <string.h>

#include "ops/body.h"
#include "ops/broadcast.h"
#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/row.h"

/* --- ATAN2(y, x) with broadcasting --- */

static void atan2_run(const void *const *operand, const int *step, void *out, int64_t n,
                      const void *arg) {
    if (*(const bool *)arg) {
        const double *a = operand[0], *b = operand[1];
        for (int64_t i = 0; i < n; i++)
            ((double *)out)[i] = atan2_d(a[i * step[0]], b[i * step[1]]);
    } else {
        const float *a = operand[0], *b = operand[1];
        for (int64_t i = 0; i < n; i++)
            ((float *)out)[i] = atan2_f(a[i * step[0]], b[i * step[1]]);
    }
}

/* The derivatives of atan(y / x), which differs by constants only. */
static enum status write_atan2(struct body *b) {
    b->out[0] = body_op(b, "Atan", body_op(b, "Div", b->in[0], b->in[1], NULL), NULL, NULL);
    return OK;
}

static enum status grad_atan2(struct grad_ctx *c) {
    return grad_of_body(c, write_atan2);
}

static enum status eval_atan2(struct op_ctx *c) {
    struct broadcast b;
    bool wide = c->in[0]->store == DT_F64;
    if (!dtype_is_float(c->in[0]->dtype))
        return op_bad_type(c, 0);
    if (c->in[1]->store != c->in[0]->store)
        return op_bad_type(c, 1);
    TRY(broadcast_plan(&b, c->out[0]->rank, c->out[0]->dim, 2, c->in, c->err));
    broadcast_run(&b, c->in, c->out[0], atan2_run, &wide, c->pool);
    return OK;
}

/* --- FAKE_QUANT: to the nearest of the levels between min and max, moved so that zero is one of
 * them --- */

static enum status eval_fake_quant(struct op_ctx *c) {
    double min = attr_float(c->node, "min"), max = attr_float(c->node, "max");
    int64_t bits = attr_int(c->node, "num_bits");
    FAIL_IF(bits < 2 || bits > 16 || !(min <= 0) || !(max >= 0) || !(max > min), c->err,
            STATUS_CORRUPT, "%lld bits between %g and %g", (long long)bits, min, max);
    double low = attr_int(c->node, "narrow_range") ? 1 : 0, high = (double)((1 << bits) - 1),
           scale = (max - min) / (high - low);
    double zero = low - min / scale;
    zero = zero < low ? low : zero > high ? high : floor(zero + 0.5);
    double least = (low - zero) * scale, most = (high - zero) * scale;
    for (int64_t i = 0; i < tensor_count(c->out[0]); i++) {
        double v = tensor_f64(c->in[0], i);
        v = v < least ? least : v > most ? most : v;
        tensor_set_f64(c->out[0], i, floor((v - least) / scale + 0.5) * scale + least);
    }
    return OK;
}

/* --- BUCKETIZE: how many boundaries are not above the element --- */

static enum status shape_int32(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_I32;
    return OK;
}

static enum status eval_bucketize(struct op_ctx *c) {
    int n;
    const double *b = attr_floats(c->node, "boundaries", &n);
    for (int64_t i = 0; i < tensor_count(c->out[0]); i++) {
        double v = tensor_f64(c->in[0], i);
        int k = 0;
        while (k < n && b[k] <= v)
            k++;
        tensor_set_i64(c->out[0], i, k);
    }
    return OK;
}

/* --- BITCAST: the same bits; a narrower type gets a last axis, a wider one takes it --- */

static enum status shape_bitcast(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    enum dtype to = dtype_from_onnx(attr_int(c->node, "to"));
    int from = dtype_row(x->dtype)->bits, bits = dtype_row(to)->bits, rank = x->rank;
    int64_t dim[MAX_RANK];
    c->out[0].dtype = to;
    if (rank < 0)
        return OK;
    SHAPE_FAIL_IF(from < 8 || bits < 8 || rank >= MAX_RANK, c, "a bitcast from %s to %s",
                  dtype_name(x->dtype), dtype_name(to));
    memcpy(dim, x->dim, sizeof dim);
    if (bits < from)
        dim[rank++] = from / bits;
    SHAPE_FAIL_IF(bits > from && (rank < 1 || dim[rank - 1] != bits / from), c,
                  "a bitcast to a wider type needs a last axis of %d", bits / from);
    if (bits > from)
        rank--;
    fact_set(&c->out[0], to, rank, dim);
    return OK;
}

/* The bits are those of the declared types, whatever the run holds them as. */
static enum status eval_bitcast(struct op_ctx *c) {
    struct tensor *x, *view, *y;
    TRY(tensor_convert(&x, c->in[0], c->in[0]->dtype, c->err));
    enum status s = tensor_new(&view, c->out[0]->dtype, c->out[0]->dtype, c->out[0]->rank,
                               c->out[0]->dim, c->err);
    if (s == OK) {
        memcpy(view->data, x->data, tensor_bytes(view));
        s = tensor_convert(&y, view, c->out[0]->store, c->err);
        tensor_free(view);
    }
    tensor_free(x);
    if (s != OK)
        return s;
    copy_elements(c->out[0], y);
    tensor_free(y);
    return OK;
}

/* --- parts of complex numbers --- */

static enum status shape_part(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = c->in[0].dtype == DT_C128 ? DT_F64 : DT_F32;
    return OK;
}

static double part_of(const struct tensor *t, int64_t i, int which) {
    return t->store == DT_C128 ? ((const double *)t->data)[2 * i + which]
                               : (double)((const float *)t->data)[2 * i + which];
}

static enum status eval_part(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    if (x->store != DT_C64 && x->store != DT_C128)
        return op_bad_type(c, 0);
    const char *op = c->node->op;
    for (int64_t i = 0; i < tensor_count(x); i++) {
        double re = part_of(x, i, 0), im = part_of(x, i, 1);
        tensor_set_f64(c->out[0], i,
                       op[0] == 'R'   ? re
                       : op[0] == 'I' ? im
                                      : sqrt(re * re + im * im));
    }
    return OK;
}

/* --- RFFT2D: input, lengths [2]; the last two axes cut or filled with zeros to the lengths; half
 * of the last axis --- */

static enum status shape_rfft(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *length;
    int64_t n;
    SHAPE_FAIL_IF(x->rank >= 0 && x->rank < 2, c, "an input of rank %d", x->rank);
    c->out[0].dtype = DT_C64;
    if (x->rank < 0)
        return OK;
    fact_set(&c->out[0], DT_C64, x->rank, x->dim);
    bool known = fact_ints(c, &c->in[1], &length, &n);
    SHAPE_FAIL_IF(known && (n != 2 || length[0] < 1 || length[1] < 1), c, "%lld lengths",
                  (long long)n);
    c->out[0].dim[x->rank - 2] = known ? length[0] : DIM_UNKNOWN;
    c->out[0].dim[x->rank - 1] = known ? length[1] / 2 + 1 : DIM_UNKNOWN;
    return OK;
}

/* One transform of n points by the definition, in float64: k ascending, terms by j ascending; the
 * angle is reduced exactly (j * k mod n) first. */
static void dft(const double *in, int64_t step, int64_t n, double *out, int64_t out_step,
                int64_t wanted, const double *turn) {
    for (int64_t k = 0; k < wanted; k++) {
        double re = 0, im = 0;
        for (int64_t j = 0, at = 0; j < n; j++) {
            double a = in[2 * j * step], b = in[2 * j * step + 1], cosine = turn[2 * at],
                   sine = turn[2 * at + 1];
            re += a * cosine + b * sine;
            im += b * cosine - a * sine;
            at = (at + k) % n;
        }
        out[2 * k * out_step] = re;
        out[2 * k * out_step + 1] = im;
    }
}

static double *turns(struct arena *a, int64_t n) {
    double *t = NEW_ARRAY(a, 2 * n, double);
    for (int64_t i = 0; i < n; i++) {
        double angle = 6.283185307179586476925 * (double)i / (double)n;
        t[2 * i] = cos_d(angle);
        t[2 * i + 1] = sin_d(angle);
    }
    return t;
}

static enum status eval_rfft(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    FAIL_IF(!y || !dtype_is_float(x->dtype), c->err, STATUS_CORRUPT, "an input of type %s",
            dtype_name(x->dtype));
    int r = x->rank;
    int64_t rows = y->dim[r - 2], half = y->dim[r - 1], columns = tensor_i64(c->in[1], 1),
            images = dims_product(x->dim, 0, r - 2);
    int64_t have_rows = x->dim[r - 2], have = x->dim[r - 1];
    double *line = NEW_ARRAY(c->scratch, 2 * columns, double),
           *plane = NEW_ARRAY(c->scratch, 2 * rows * half, double);
    double *out = NEW_ARRAY(c->scratch, 2 * rows, double), *by_row = turns(c->scratch, columns),
           *by_column = turns(c->scratch, rows);
    for (int64_t m = 0; m < images; m++) {
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < columns; j++) {
                line[2 * j] =
                    i < have_rows && j < have ? tensor_f64(x, (m * have_rows + i) * have + j) : 0;
                line[2 * j + 1] = 0;
            }
            dft(line, 1, columns, plane + 2 * i * half, 1, half, by_row);
        }
        for (int64_t k = 0; k < half; k++) {
            dft(plane + 2 * k, half, rows, out, 1, rows, by_column);
            for (int64_t i = 0; i < rows; i++)
                for (int p = 0; p < 2; p++) {
                    int64_t at = 2 * ((m * rows + i) * half + k) + p;
                    if (y->store == DT_C128)
                        ((double *)y->data)[at] = out[2 * i + p];
                    else
                        ((float *)y->data)[at] = (float)out[2 * i + p];
                }
        }
    }
    return OK;
}

/* --- random numbers: shape; the numbers are calque's own --- */

static enum status shape_random(struct shape_ctx *c) {
    const int64_t *dim;
    int64_t n;
    c->out[0].dtype = DT_F32;
    if (!fact_ints(c, &c->in[0], &dim, &n))
        return OK;
    SHAPE_FAIL_IF(n > MAX_RANK, c, "a shape of rank %lld", (long long)n);
    for (int64_t i = 0; i < n; i++)
        SHAPE_FAIL_IF(dim[i] < 0, c, "dimension %lld", (long long)dim[i]);
    fact_set(&c->out[0], DT_F32, (int)n, dim);
    return OK;
}

static double uniform(uint64_t seed, int64_t i) {
    return (double)(hash_mix(seed + (uint64_t)i * 0x9e3779b97f4a7c15u) >> 40) / 16777216.0;
}

static enum status eval_random(struct op_ctx *c) {
    bool normal = strcmp(c->node->op, "RANDOM_STANDARD_NORMAL") == 0;
    for (int64_t i = 0; c->out[0] && i < tensor_count(c->out[0]); i++) {
        double u = uniform(c->seed, 2 * i), v = uniform(c->seed, 2 * i + 1);
        tensor_set_f64(c->out[0], i,
                       normal ? sqrt(-2 * log_d(1 - u)) * cos_d(6.283185307179586 * v) : u);
    }
    return OK;
}

/* --- HASHTABLE_FIND: queries, keys, values, default --- */

static enum status shape_find(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = c->in[2].dtype;
    return OK;
}

static bool same_key(const struct tensor *a, int64_t i, const struct tensor *b, int64_t k) {
    if (a->store == DT_STRING)
        return strcmp(((const char *const *)a->data)[i], ((const char *const *)b->data)[k]) == 0;
    return tensor_i64(a, i) == tensor_i64(b, k);
}

static enum status eval_find(struct op_ctx *c) {
    const struct tensor *query = c->in[0], *keys = c->in[1], *values = c->in[2], *other = c->in[3];
    FAIL_IF(query->store != keys->store || other->store != values->store ||
                tensor_count(other) != 1 || tensor_count(keys) != tensor_count(values),
            c->err, STATUS_CORRUPT, "keys, values and default do not fit");
    for (int64_t i = 0; i < tensor_count(query); i++) {
        const char *found = element_at(other, 0);
        for (int64_t k = 0; k < tensor_count(keys); k++)
            if (same_key(query, i, keys, k))
                found = element_at(values, k);
        memcpy(element_at(c->out[0], i), found, element_size(values));
    }
    own_strings(c->out[0]);
    return OK;
}

/* clang-format off */
#define TFLITE(name_, n) .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = n, .max_in = n, .min_out = 1, .max_out = 1

const struct op ops_tflite_math[] = {
    { TFLITE("ATAN2", 2), .flags = OP_ELEMENTWISE, .shape = shape_broadcast_all, .eval = eval_atan2, .grad = grad_atan2 },
    { TFLITE("FAKE_QUANT", 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = shape_same, .eval = eval_fake_quant,
      .attrs = ATTRS(FLOAT("min", 0), FLOAT("max", 0), INT("num_bits", 8), INT("narrow_range", 0)) },
    { TFLITE("BUCKETIZE", 1), .flags = OP_ELEMENTWISE | OP_NO_GRADIENT, .shape = shape_int32, .eval = eval_bucketize,
      .attrs = ATTRS(PLAIN("boundaries", FLOATS)) },
    { TFLITE("BITCAST", 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_bitcast, .eval = eval_bitcast,
      .attrs = ATTRS(NEEDED("to", INT)) },
    { TFLITE("REAL", 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_part, .eval = eval_part },
    { TFLITE("IMAG", 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_part, .eval = eval_part },
    { TFLITE("COMPLEX_ABS", 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_part, .eval = eval_part },
    { TFLITE("RFFT2D", 2), .flags = OP_NO_GRADIENT, .shape = shape_rfft, .eval = eval_rfft },
    { TFLITE("RANDOM_UNIFORM", 1), .flags = OP_RANDOM | OP_NO_GRADIENT, .shape = shape_random, .eval = eval_random },
    { TFLITE("RANDOM_STANDARD_NORMAL", 1), .flags = OP_RANDOM | OP_NO_GRADIENT, .shape = shape_random, .eval = eval_random },
    { TFLITE("HASHTABLE_FIND", 4), .flags = OP_ANY_TYPE | OP_NO_GRADIENT, .shape = shape_find, .eval = eval_find },
    { 0 },
};
