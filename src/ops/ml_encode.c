/* Between categories, numbers and maps (ai.onnx.ml): LabelEncoder, CategoryMapper, OneHotEncoder,
 * DictVectorizer, CastMap, ZipMap. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/cast.h"
#include "ops/row.h"

/* A list of keys or values: of one of the attributes, as the operator has them. */
struct list {
    const int64_t *ints;
    const double *floats;
    const char *const *strings;
    const struct tensor *tensor;
    int64_t n;
};

static struct list list_of(const struct attr *a) {
    if (!a)
        return (struct list) { .n = 0 };
    if (a->type == ATTR_TENSOR)
        return (struct list) { .tensor = a->tensor, .n = tensor_count(a->tensor) };
    return (struct list) { .ints = a->ints, .floats = a->floats, .strings = a->strings, .n = a->n };
}

/* Elements of a category tensor as texts and numbers. */
struct category {
    const char *text; /* NULL: a number */
    double real;
    int64_t whole;
    bool is_real;
};

static struct category element(const struct tensor *t, int64_t i) {
    if (t->store == DT_STRING)
        return (struct category) { .text = ((const char *const *)t->data)[i] };
    if (dtype_is_float(t->store))
        return (struct category) { .real = tensor_f64(t, i), .is_real = true };
    return (struct category) { .whole = tensor_i64(t, i) };
}

static struct category item(const struct list *l, int64_t i) {
    if (l->tensor)
        return element(l->tensor, i);
    if (l->strings)
        return (struct category) { .text = l->strings[i] };
    if (l->floats)
        return (struct category) { .real = l->floats[i], .is_real = true };
    return (struct category) { .whole = l->ints[i] };
}

static bool same(struct category a, struct category b) {
    if (a.text || b.text)
        return a.text && b.text && strcmp(a.text, b.text) == 0;
    if (a.is_real != b.is_real)
        return (a.is_real ? a.real : (double)a.whole) == (b.is_real ? b.real : (double)b.whole);
    return a.is_real ? a.real == b.real || (isnan(a.real) && isnan(b.real)) : a.whole == b.whole;
}

/* The last of equal keys; -1 none. */
static int64_t find(const struct list *keys, struct category v) {
    int64_t i = keys->n - 1;
    while (i >= 0 && !same(item(keys, i), v))
        i--;
    return i;
}

static void set(struct tensor *y, int64_t i, struct category v) {
    if (y->store == DT_STRING)
        ((const char **)y->data)[i] = arena_str(tensor_string_arena(y), v.text ? v.text : "");
    else if (v.is_real)
        tensor_set_f64(y, i, v.real);
    else
        tensor_set_i64(y, i, v.whole);
}

static const char *const kinds[] = { "floats", "int64s", "strings", "tensor" };

/* The one of <stem>_floats, _int64s, _strings, _tensor that is there; its number, -1 none. */
static int one_of(const struct node *n, const char *stem, const struct attr **out) {
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s_%s", stem, kinds[i]);
        *out = attr_find(n, name);
        if (*out)
            return i;
    }
    return -1;
}

static enum status encoder_attrs(const struct node *n, struct list *keys, struct list *values,
                                 enum dtype *type, struct err *e) {
    const struct attr *k, *v;
    int kind;
    FAIL_IF(one_of(n, "keys", &k) < 0 || (kind = one_of(n, "values", &v)) < 0, e, STATUS_CORRUPT,
            "keys_* or values_* is missing");
    *keys = list_of(k);
    *values = list_of(v);
    *type = kind == 0 ? DT_F32 : kind == 1 ? DT_I64 : kind == 2 ? DT_STRING : v->tensor->dtype;
    FAIL_IF(keys->n != values->n, e, STATUS_CORRUPT, "%lld keys and %lld values",
            (long long)keys->n, (long long)values->n);
    return OK;
}

static enum status encoder_shape(struct shape_ctx *c) {
    struct list keys, values;
    shape_copy(c, 0, 0);
    return encoder_attrs(c->node, &keys, &values, &c->out[0].dtype, c->err);
}

static struct category encoder_default(const struct node *n, enum dtype type) {
    const struct attr *tensor = attr_find(n, "default_tensor");
    if (tensor && tensor->tensor && tensor_count(tensor->tensor) > 0)
        return element(tensor->tensor, 0);
    if (type == DT_STRING)
        return (struct category) { .text = attr_str(n, "default_string") };
    if (dtype_is_float(type))
        return (struct category) { .real = attr_float(n, "default_float"), .is_real = true };
    return (struct category) { .whole = attr_int(n, "default_int64") };
}

static enum status encoder_eval(struct op_ctx *c) {
    struct list keys, values;
    enum dtype type;
    TRY(encoder_attrs(c->node, &keys, &values, &type, c->err));
    struct category otherwise = encoder_default(c->node, type);
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++) {
        int64_t at = find(&keys, element(c->in[0], i));
        set(c->out[0], i, at < 0 ? otherwise : item(&values, at));
    }
    return OK;
}

static enum status mapper_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = c->in[0].dtype == DT_STRING ? DT_I64 : DT_STRING;
    return OK;
}

static enum status mapper_eval(struct op_ctx *c) {
    struct list ints = list_of(attr_find(c->node, "cats_int64s")),
                strings = list_of(attr_find(c->node, "cats_strings"));
    bool texts = c->in[0]->store == DT_STRING;
    const struct list *keys = texts ? &strings : &ints, *values = texts ? &ints : &strings;
    FAIL_IF(ints.n != strings.n, c->err, STATUS_CORRUPT, "%lld cats_int64s and %lld cats_strings",
            (long long)ints.n, (long long)strings.n);
    struct category otherwise =
        texts ? (struct category) { .whole = attr_int(c->node, "default_int64") }
              : (struct category) { .text = attr_str(c->node, "default_string") };
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++) {
        int64_t at = find(keys, element(c->in[0], i));
        set(c->out[0], i, at < 0 ? otherwise : item(values, at));
    }
    return OK;
}

static struct list categories(const struct node *n, const char *ints, const char *strings) {
    struct list l = list_of(attr_find(n, ints));
    return l.n ? l : list_of(attr_find(n, strings));
}

static enum status one_hot_shape(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    c->out[0].dtype = DT_F32;
    SHAPE_FAIL_IF(c->in[0].rank >= MAX_RANK, c, "a tensor of rank %d has no room for an axis",
                  c->in[0].rank);
    if (c->in[0].rank >= 0)
        c->out[0].dim[c->out[0].rank++] = categories(c->node, "cats_int64s", "cats_strings").n;
    return OK;
}

static enum status one_hot_eval(struct op_ctx *c) {
    struct list l = categories(c->node, "cats_int64s", "cats_strings");
    for (int64_t i = 0, n = tensor_count(c->in[0]); i < n; i++) {
        struct category v = element(c->in[0], i);
        if (v.is_real) /* reals are cast to integers */
            v = (struct category) { .whole = tensor_i64(c->in[0], i) };
        int64_t at = find(&l, v);
        FAIL_IF(at < 0 && !attr_int(c->node, "zeros"), c->err, STATUS_MISMATCH,
                "element %lld is of no category", (long long)i);
        if (at >= 0)
            tensor_set_f64(c->out[0], i * l.n + at, 1);
    }
    return OK;
}

static enum status need_map(struct op_ctx *c) {
    FAIL_IF(c->in[0]->kind != KIND_MAP || c->in[0]->n_items != 2, c->err, STATUS_CORRUPT,
            "the input is not a map");
    return OK;
}

static enum status dict_shape(struct shape_ctx *c) {
    c->out[0].rank = 1;
    c->out[0].dim[0] = categories(c->node, "int64_vocabulary", "string_vocabulary").n;
    c->out[0].dtype =
        c->in[0].value && c->in[0].value->kind == KIND_MAP && c->in[0].value->n_items == 2
            ? c->in[0].value->items[1]->dtype
            : c->in[0].dtype;
    return OK;
}

static enum status dict_eval(struct op_ctx *c) {
    struct list vocabulary = categories(c->node, "int64_vocabulary", "string_vocabulary");
    TRY(need_map(c));
    const struct tensor *keys = c->in[0]->items[0], *values = c->in[0]->items[1];
    for (int64_t i = 0; c->out[0]->store == DT_STRING && i < vocabulary.n; i++)
        ((const char **)c->out[0]->data)[i] = "";
    for (int64_t i = 0, n = tensor_count(keys); i < n; i++) {
        int64_t at = find(&vocabulary, element(keys, i));
        FAIL_IF(at < 0, c->err, STATUS_MISMATCH, "key %lld of the map is not in the vocabulary",
                (long long)i);
        set(c->out[0], at, element(values, i));
    }
    return OK;
}

static enum status cast_map_shape(struct shape_ctx *c) {
    const char *to = attr_str(c->node, "cast_to");
    bool sparse = strcmp(attr_str(c->node, "map_form"), "SPARSE") == 0;
    c->out[0].dtype = strcmp(to, "TO_STRING") == 0  ? DT_STRING
                      : strcmp(to, "TO_INT64") == 0 ? DT_I64
                                                    : DT_F32;
    c->out[0].rank = 2;
    c->out[0].dim[0] = 1;
    c->out[0].dim[1] = sparse ? attr_int(c->node, "max_map") : DIM_UNKNOWN;
    SHAPE_FAIL_IF(sparse && c->out[0].dim[1] < 0, c, "max_map is %lld",
                  (long long)c->out[0].dim[1]);
    return OK;
}

static enum status cast_value(struct op_ctx *c, struct category v, int64_t i) {
    char text[FLOAT_TEXT], *end;
    if (c->out[0]->store == DT_STRING && !v.text) {
        if (v.is_real)
            float_text(DT_F32, v.real, text);
        else
            snprintf(text, sizeof text, "%lld", (long long)v.whole);
        v.text = text;
    } else if (c->out[0]->store != DT_STRING && v.text) {
        v.real = strtod(v.text, &end);
        FAIL_IF(end == v.text || *end, c->err, STATUS_MISMATCH, "the text '%.40s' is not a number",
                v.text);
        v.is_real = true;
    }
    set(c->out[0], i, v);
    return OK;
}

/* Values in the order of their keys; sparse: at the place of their key. */
static enum status cast_map_eval(struct op_ctx *c) {
    TRY(need_map(c));
    bool sparse = strcmp(attr_str(c->node, "map_form"), "SPARSE") == 0;
    const struct tensor *keys = c->in[0]->items[0], *values = c->in[0]->items[1];
    int64_t n = tensor_count(keys), width = sparse ? attr_int(c->node, "max_map") : n;
    FAIL_IF(keys->store != DT_I64, c->err, STATUS_UNSUPPORTED, "a map with keys of %s",
            dtype_name(keys->dtype));
    TRY(op_output(c, 0, c->out_fact[0].dtype, 2, (int64_t[]) { 1, width }));
    for (int64_t i = 0; c->out[0]->store == DT_STRING && i < width; i++)
        ((const char **)c->out[0]->data)[i] = "";
    for (int64_t i = 0; i < n; i++) {
        int64_t key = tensor_i64(keys, i), at = 0;
        for (int64_t k = 0; !sparse && k < n; k++)
            at += tensor_i64(keys, k) < key;
        if (sparse)
            at = key;
        FAIL_IF(at < 0 || at >= width, c->err, STATUS_CORRUPT, "key %lld is outside max_map %lld",
                (long long)key, (long long)width);
        TRY(cast_value(c, element(values, i), at));
    }
    return OK;
}

static enum status zip_shape(struct shape_ctx *c) {
    c->out[0].kind = KIND_SEQUENCE;
    c->out[0].dtype = DT_F32;
    return OK;
}

/* A sequence of one map a row. */
static enum status zip_eval(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct list keys = categories(c->node, "classlabels_int64s", "classlabels_strings");
    FAIL_IF(x->rank < 1 || x->rank > 2 || x->dim[x->rank - 1] != keys.n, c->err, STATUS_CORRUPT,
            "%lld labels for rows of %lld", (long long)keys.n,
            x->rank ? (long long)x->dim[x->rank - 1] : 1LL);
    int64_t rows = x->rank == 2 ? x->dim[0] : 1;
    enum dtype key_type = keys.strings ? DT_STRING : DT_I64;
    c->out[0] = tensor_new_list(KIND_SEQUENCE, DT_F32, rows);
    for (int64_t r = 0; r < rows; r++) {
        struct tensor *map = tensor_new_list(KIND_MAP, DT_F32, 2);
        c->out[0]->items[r] = map;
        TRY(tensor_new(&map->items[0], key_type, key_type, 1, &keys.n, c->err));
        TRY(tensor_new(&map->items[1], x->dtype, x->store, 1, &keys.n, c->err));
        for (int64_t k = 0; k < keys.n; k++) {
            set(map->items[0], k, item(&keys, k));
            tensor_set_f64(map->items[1], k, tensor_f64(x, r * keys.n + k));
        }
    }
    return OK;
}

/* clang-format off */
const struct op ops_ml_encode[] = {
    { ONNX_ML("LabelEncoder", 4, 1, 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(FLOAT("default_float", -0.0),
      INT("default_int64", -1), STRING("default_string", "_Unused"), PLAIN("default_tensor", TENSOR),
      PLAIN("keys_floats", FLOATS), PLAIN("keys_int64s", INTS), PLAIN("keys_strings", STRINGS), PLAIN("keys_tensor", TENSOR),
      PLAIN("values_floats", FLOATS), PLAIN("values_int64s", INTS), PLAIN("values_strings", STRINGS),
      PLAIN("values_tensor", TENSOR)), .shape = encoder_shape, .eval = encoder_eval },
    { ONNX_ML("CategoryMapper", 1, 1, 1), .flags = OP_ELEMENTWISE | OP_ANY_TYPE | OP_NO_GRADIENT, .attrs = ATTRS(PLAIN("cats_int64s", INTS),
      PLAIN("cats_strings", STRINGS), INT("default_int64", -1), STRING("default_string", "_Unused")), .shape = mapper_shape,
      .eval = mapper_eval },
    { ONNX_ML("OneHotEncoder", 1, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("cats_int64s", INTS), PLAIN("cats_strings", STRINGS),
      INT("zeros", 1)), .shape = one_hot_shape, .eval = one_hot_eval },
    { ONNX_ML("DictVectorizer", 1, 1, 1), .flags = OP_KINDS | OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("int64_vocabulary", INTS), PLAIN("string_vocabulary", STRINGS)),
      .shape = dict_shape, .eval = dict_eval },
    { ONNX_ML("CastMap", 1, 1, 1), .flags = OP_DATA_SHAPE | OP_KINDS | OP_NO_GRADIENT, .attrs = ATTRS(STRING("cast_to", "TO_FLOAT"),
      STRING("map_form", "DENSE"), INT("max_map", 1)), .shape = cast_map_shape, .eval = cast_map_eval },
    { ONNX_ML("ZipMap", 1, 1, 1), .flags = OP_ANY_TYPE | OP_NO_GRADIENT,
      .attrs = ATTRS(PLAIN("classlabels_int64s", INTS), PLAIN("classlabels_strings", STRINGS)),
      .shape = zip_shape, .eval = zip_eval },
    { 0 },
};
