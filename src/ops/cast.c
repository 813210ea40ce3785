/* Cast, CastLike, BitCast. */
#include "ops/cast.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ops/row.h"
#include "ops/split.h"

double cast_to_float(enum dtype t, double v, bool saturate, enum round_mode mode) {
    if (t == DT_F8E8M0)
        return f8_to_f64(t, e8m0_from_f64(v, mode, saturate));
    if (t == DT_F8E4M3FN || t == DT_F8E4M3FNUZ || t == DT_F8E5M2 || t == DT_F8E5M2FNUZ)
        return f8_to_f64(t, f8_from_f64(t, v, saturate));
    return float_round_to(t, v);
}

int64_t cast_to_int(enum dtype t, int64_t v) {
    int unused = 64 - dtype_row(t)->bits;
    uint64_t top = (uint64_t)v << unused;
    return dtype_is_unsigned(t) ? (int64_t)(top >> unused) : (int64_t)top >> unused;
}

static double round_trip(enum dtype t, const char *text) {
    return t == DT_F32 ? (double)strtof(text, NULL) : float_round_to(t, strtod(text, NULL));
}

void float_text(enum dtype t, double v, char text[FLOAT_TEXT]) {
    if (t == DT_F32)
        v = (double)(float)v;
    if (isnan(v) || isinf(v)) {
        snprintf(text, FLOAT_TEXT, "%s", isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 0;
    do
        snprintf(text, FLOAT_TEXT, "%.*e", digits++, v);
    while (digits < 18 && round_trip(t, text) != v);
    digits--;
    long exponent = strtol(strchr(text, 'e') + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        snprintf(text, FLOAT_TEXT, "%.*e", digits, v);
        return;
    }
    snprintf(text, FLOAT_TEXT, "%.*f", digits > exponent ? digits - (int)exponent : 1, v);
}

struct caster {
    struct op_ctx *c;
    const struct tensor *x;
    struct tensor *y;
    int64_t n;
    bool saturate;
    enum round_mode mode;
};

static enum status from_strings(struct caster *k) {
    const char *const *text = k->x->data;
    bool to_float = dtype_is_float(k->y->dtype);
    FAIL_IF(!to_float && !dtype_is_int(k->y->dtype), k->c->err, STATUS_UNSUPPORTED,
            "a cast of strings to %s", dtype_name(k->y->dtype));
    for (int64_t i = 0; i < k->n; i++) {
        char *end;
        errno = 0;
        double v = strtod(text[i], &end);
        FAIL_IF(end == text[i] || *end, k->c->err, STATUS_MISMATCH,
                "the text '%.40s' is not a number", text[i]);
        if (to_float) {
            tensor_set_f64(k->y, i, cast_to_float(k->y->dtype, v, k->saturate, k->mode));
            continue;
        }
        long long whole = strtoll(text[i], &end, 10);
        if (*end)
            whole = v >= 9.2233720368547758e18    ? INT64_MAX
                    : v <= -9.2233720368547758e18 ? INT64_MIN
                                                  : (long long)v;
        else if (dtype_is_unsigned(k->y->dtype) && text[i][0] != '-')
            whole = (long long)strtoull(text[i], &end, 10);
        tensor_set_i64(k->y, i, cast_to_int(k->y->dtype, whole));
    }
    return OK;
}

static enum status to_strings(struct caster *k) {
    struct arena *a = tensor_string_arena(k->y);
    const char **text = k->y->data;
    enum dtype type = k->x->dtype;
    for (int64_t i = 0; i < k->n; i++) {
        char number[FLOAT_TEXT];
        if (dtype_is_float(type))
            float_text(type == DT_F64                      ? DT_F64
                       : type == DT_F16 || type == DT_BF16 ? type
                                                           : DT_F32,
                       tensor_f64(k->x, i), number);
        else if (type == DT_BOOL)
            snprintf(number, sizeof number, "%s", tensor_i64(k->x, i) ? "True" : "False");
        else if (dtype_is_unsigned(type))
            snprintf(number, sizeof number, "%llu", (unsigned long long)tensor_i64(k->x, i));
        else if (dtype_is_int(type))
            snprintf(number, sizeof number, "%lld", (long long)tensor_i64(k->x, i));
        else
            return op_bad_type(k->c, 0);
        text[i] = arena_str(a, number);
    }
    return OK;
}

/* A complex result has no imaginary part; a real result is the real part. */
static enum status with_complex(struct caster *k) {
    struct tensor x = *k->x, y = *k->y;
    int from = dtype_row(x.dtype)->class_ == CLASS_COMPLEX ? 2 : 1,
        to = dtype_row(y.dtype)->class_ == CLASS_COMPLEX ? 2 : 1;
    if (from == 2)
        x.store = x.store == DT_C64 ? DT_F32 : DT_F64;
    if (to == 2)
        y.store = y.store == DT_C64 ? DT_F32 : DT_F64;
    for (int64_t i = 0; i < k->n; i++) {
        tensor_set_f64(&y, i * to, tensor_f64(&x, i * from));
        if (to == 2)
            tensor_set_f64(&y, i * 2 + 1, from == 2 ? tensor_f64(&x, i * 2 + 1) : 0);
    }
    return OK;
}

enum { PART = 256 }; /* elements at a time */

/* Float32 and float64 keep what the run holds; narrower types round. */
static void floats_to_floats(const struct caster *k, int64_t from, int64_t n) {
    enum dtype to = k->y->dtype;
    bool round = to != DT_F64 && to != DT_F32 && k->c->round_casts;
    double v[PART];
    if ((to == DT_F16 || to == DT_BF16) && k->x->store == DT_F32 && k->y->store == DT_F32) {
        float *y = (float *)k->y->data + from;
        memcpy(y, (const float *)k->x->data + from, (size_t)n * sizeof *y);
        if (round)
            float_round_all(to, y, n);
        return;
    }
    tensor_load_f64(k->x, from, n, v);
    for (int64_t i = 0; round && i < n; i++)
        v[i] = cast_to_float(to, v[i], k->saturate, k->mode);
    tensor_store_f64(k->y, from, n, v);
}

static void integers_to_floats(const struct caster *k, int64_t from, int64_t n) {
    enum dtype to = k->y->dtype;
    bool is_unsigned = dtype_is_unsigned(k->x->dtype), narrow = to != DT_F64 && to != DT_F32;
    int64_t v[PART];
    double d[PART];
    tensor_load_i64(k->x, from, n, v);
    if (k->y->store == DT_F32 && !narrow) {
        float *y = (float *)k->y->data + from;
        for (int64_t i = 0; i < n; i++)
            y[i] = is_unsigned ? (float)(uint64_t)v[i] : (float)v[i];
        return;
    }
    for (int64_t i = 0; i < n; i++)
        d[i] = is_unsigned ? (double)(uint64_t)v[i] : (double)v[i];
    for (int64_t i = 0; narrow && i < n; i++)
        d[i] = cast_to_float(to, d[i], k->saturate, k->mode);
    tensor_store_f64(k->y, from, n, d);
}

/* Reals are truncated, then read in the low bits; what no 64-bit integer holds is not defined. */
static void to_integers(const struct caster *k, int64_t from, int64_t n) {
    int64_t v[PART];
    double real[PART];
    tensor_load_i64(k->x, from, n, v);
    for (int64_t i = 0; i < n; i++)
        v[i] = cast_to_int(k->y->dtype, v[i]);
    tensor_store_i64(k->y, from, n, v);
    if (!dtype_is_float(k->x->store) || k->y->store != DT_U64)
        return;
    tensor_load_f64(k->x, from, n, real);
    for (int64_t i = 0; i < n; i++)
        if (real[i] >= 9223372036854775808.0)
            tensor_set_f64(k->y, from + i, real[i]);
}

static void to_bools(const struct caster *k, int64_t from, int64_t n) {
    uint8_t *y = (uint8_t *)k->y->data + from;
    int64_t v[PART];
    double real[PART];
    bool from_float = dtype_is_float(k->x->store);
    if (from_float)
        tensor_load_f64(k->x, from, n, real);
    else
        tensor_load_i64(k->x, from, n, v);
    for (int64_t i = 0; i < n; i++)
        y[i] = from_float ? real[i] != 0 : v[i] != 0;
}

typedef void cast_fn(const struct caster *k, int64_t from, int64_t n);

struct parts {
    const struct caster *k;
    cast_fn *fn;
};

static void cast_part(void *arg, struct part part) {
    const struct parts *p = arg;
    for (int64_t i = part.begin; i < part.end; i += PART)
        p->fn(p->k, i, part.end - i < PART ? part.end - i : PART);
}

static enum status cast_eval(struct op_ctx *c) {
    struct caster k = {
        c, c->in[0], c->out[0], tensor_count(c->in[0]), attr_int(c->node, "saturate"), ROUND_UP
    };
    enum dtype_class from = dtype_row(k.x->dtype)->class_, to = dtype_row(k.y->dtype)->class_;
    const char *mode = attr_str(c->node, "round_mode");
    if (strcmp(mode, "down") == 0)
        k.mode = ROUND_DOWN;
    else if (strcmp(mode, "nearest") == 0)
        k.mode = ROUND_NEAREST;
    if (from == CLASS_STRING && to == CLASS_STRING) {
        tensor_free(c->out[0]);
        c->out[0] = tensor_alias(k.x);
        return OK;
    }
    if (from == CLASS_STRING)
        return from_strings(&k);
    if (to == CLASS_STRING)
        return to_strings(&k);
    if (from == CLASS_COMPLEX || to == CLASS_COMPLEX)
        return with_complex(&k);
    cast_fn *fn = to == CLASS_BOOL      ? to_bools
                  : to != CLASS_FLOAT   ? to_integers
                  : from == CLASS_FLOAT ? floats_to_floats
                                        : integers_to_floats;
    split_run(c, k.n, 4, cast_part, &(struct parts) { &k, fn });
    return OK;
}

static enum status cast_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = attr_dtype(c->node, "to", DT_NONE);
    FAIL_IF(c->out[0].dtype == DT_NONE, c->err, STATUS_UNSUPPORTED, "a cast to data type %lld",
            (long long)attr_int(c->node, "to"));
    return OK;
}

static enum status cast_like_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = c->in[1].dtype;
    return OK;
}

/* Real types only: the gradient passes. */
static enum status cast_grad(struct grad_ctx *c) {
    if (!c->grad_in[0] || !c->grad_out[0] || !dtype_is_float(c->in[0]->dtype))
        return OK;
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++)
        ((double *)c->grad_in[0]->data)[i] += tensor_f64(c->grad_out[0], i);
    return OK;
}

/* The bits as the file has them: the declared types' own, packed where they are. */
static enum status bit_cast_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0], *bits, *wide;
    if (x->dtype == DT_STRING || y->dtype == DT_STRING || x->dtype == DT_BOOL)
        FAIL_IF(x->dtype != DT_BOOL, c->err, STATUS_CORRUPT, "BitCast has no strings");
    FAIL_IF(dtype_row(x->dtype)->bits != dtype_row(y->dtype)->bits, c->err, STATUS_CORRUPT,
            "BitCast of %s to %s: both must be of as many bits", dtype_name(x->dtype),
            dtype_name(y->dtype));
    TRY(tensor_convert(&bits, x, x->dtype, c->err));
    struct tensor view = *bits;
    view.dtype = view.store = y->dtype;
    enum status s = tensor_convert(&wide, &view, y->store, c->err);
    if (s == OK) {
        memcpy(y->data, wide->data, tensor_bytes(y));
        tensor_free(wide);
    }
    tensor_free(bits);
    return s;
}

#define CAST_ATTRS INT("saturate", 1), STRING("round_mode", "up")

/* clang-format off */
const struct op ops_cast[] = {
    { ONNX("Cast", 25, 1, 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE, .attrs = ATTRS(NEEDED("to", INT), CAST_ATTRS), .shape = cast_shape,
      .eval = cast_eval, .grad = cast_grad },
    { ONNX("CastLike", 25, 2, 2), .flags = OP_ELEMENTWISE | OP_ANY_TYPE, .attrs = ATTRS(CAST_ATTRS), .shape = cast_like_shape,
      .eval = cast_eval, .grad = cast_grad },
    { ONNX("BitCast", 26, 1, 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(NEEDED("to", INT)),
      .shape = cast_shape,
      .eval = bit_cast_eval },
    { 0 },
};
