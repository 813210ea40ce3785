/* Sequences and optionals. A fact of a sequence has the dtype and, as far as all elements share it,
 * the shape of an element. Elements are shared, never copied. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

static enum status need_sequence(const struct fact *f, struct err *e) {
    FAIL_IF(f->absent || f->kind != KIND_SEQUENCE, e, STATUS_CORRUPT,
            "the first input is not a sequence");
    return OK;
}

static void like_element(struct fact *out, const struct fact *sequence) {
    out->kind = KIND_TENSOR;
    out->dtype = sequence->dtype;
    out->rank = sequence->rank;
    memcpy(out->dim, sequence->dim, sizeof out->dim);
}

/* A list with the elements of `from`, one place at `at` left open (at < 0: none) or left out
 * (skip). */
static struct tensor *list_of(const struct tensor *from, int64_t n, int64_t open, int64_t skip) {
    struct tensor *list = tensor_new_list(KIND_SEQUENCE, from->dtype, n);
    for (int64_t i = 0, k = 0; i < n; i++) {
        if (i == open)
            continue;
        if (k == skip)
            k++;
        list->items[i] = tensor_alias(from->items[k++]);
    }
    return list;
}

/* A position counted from the end when negative; `otherwise` when the input is left out. */
static enum status position(const struct op_ctx *c, int input, int64_t otherwise, int64_t *out) {
    const struct tensor *p = input < c->n_in ? c->in[input] : NULL;
    *out = otherwise;
    if (!p)
        return OK;
    FAIL_IF(tensor_count(p) != 1, c->err, STATUS_CORRUPT, "the position has %lld elements",
            (long long)tensor_count(p));
    *out = tensor_i64(p, 0);
    return OK;
}

/* --- SequenceConstruct, SequenceEmpty --- */

static enum status shape_construct(struct shape_ctx *c) {
    shape_copy(c, 0, 0);
    for (int i = 0; i < c->n_in; i++) {
        SHAPE_FAIL_IF(c->in[i].absent || c->in[i].kind != KIND_TENSOR, c,
                      "input %d is not a tensor", i);
        SHAPE_FAIL_IF(c->in[i].dtype && c->in[0].dtype && c->in[i].dtype != c->in[0].dtype, c,
                      "a sequence of %s and %s", dtype_name(c->in[0].dtype),
                      dtype_name(c->in[i].dtype));
        fact_join(&c->out[0], &c->in[i]);
    }
    c->out[0].kind = KIND_SEQUENCE;
    return OK;
}

static enum status eval_construct(struct op_ctx *c) {
    c->out[0] = tensor_new_list(KIND_SEQUENCE, c->in[0]->dtype, c->n_in);
    for (int i = 0; i < c->n_in; i++)
        c->out[0]->items[i] = tensor_alias(c->in[i]);
    return OK;
}

static enum status shape_empty(struct shape_ctx *c) {
    c->out[0].kind = KIND_SEQUENCE;
    c->out[0].dtype = attr_dtype(c->node, "dtype", DT_F32);
    FAIL_IF(c->out[0].dtype == DT_NONE, c->err, STATUS_UNSUPPORTED, "data type %lld is not known",
            (long long)attr_int(c->node, "dtype"));
    return OK;
}

static enum status eval_empty(struct op_ctx *c) {
    c->out[0] = tensor_new_list(KIND_SEQUENCE, c->out_fact[0].dtype, 0);
    return OK;
}

/* --- SequenceInsert, SequenceErase, SequenceAt, SequenceLength --- */

static enum status shape_insert(struct shape_ctx *c) {
    const struct fact *s = &c->in[0], *x = &c->in[1];
    TRY(need_sequence(s, c->err));
    SHAPE_FAIL_IF(x->absent || x->kind != KIND_TENSOR, c, "what is inserted is not a tensor");
    SHAPE_FAIL_IF(s->dtype && x->dtype && s->dtype != x->dtype, c,
                  "%s inserted in a sequence of %s", dtype_name(x->dtype), dtype_name(s->dtype));
    c->out[0].kind = KIND_SEQUENCE;
    c->out[0].dtype = s->dtype ? s->dtype : x->dtype;
    return OK;
}

static enum status eval_insert(struct op_ctx *c) {
    int64_t n = c->in[0]->n_items, at;
    TRY(position(c, 2, n, &at));
    FAIL_IF(at < -n || at > n, c->err, STATUS_CORRUPT, "position %lld in a sequence of %lld",
            (long long)at, (long long)n);
    at = at < 0 ? at + n : at;
    c->out[0] = list_of(c->in[0], n + 1, at, -1);
    c->out[0]->items[at] = tensor_alias(c->in[1]);
    c->out[0]->dtype = c->in[1]->dtype; /* an empty sequence of a file may have none */
    return OK;
}

static enum status shape_erase(struct shape_ctx *c) {
    TRY(need_sequence(&c->in[0], c->err));
    return shape_same(c);
}

static enum status eval_erase(struct op_ctx *c) {
    int64_t n = c->in[0]->n_items, at;
    TRY(position(c, 1, -1, &at));
    TRY(index_normalise(&at, n, c->err));
    c->out[0] = list_of(c->in[0], n - 1, -1, at);
    return OK;
}

static enum status shape_at(struct shape_ctx *c) {
    TRY(need_sequence(&c->in[0], c->err));
    like_element(&c->out[0], &c->in[0]);
    return OK;
}

static enum status eval_at(struct op_ctx *c) {
    int64_t at;
    TRY(position(c, 1, 0, &at));
    TRY(index_normalise(&at, c->in[0]->n_items, c->err));
    c->out[0] = tensor_alias(c->in[0]->items[at]);
    return OK;
}

static enum status shape_length(struct shape_ctx *c) {
    TRY(need_sequence(&c->in[0], c->err));
    fact_set(&c->out[0], DT_I64, 0, NULL);
    return OK;
}

static enum status eval_length(struct op_ctx *c) {
    *(int64_t *)c->out[0]->data = c->in[0]->n_items;
    return OK;
}

/* --- SplitToSequence, ConcatFromSequence --- */

static enum status shape_split_to_sequence(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int axis;
    bool given = c->n_in > 1 && !c->in[1].absent, drop = !given && !attr_int(c->node, "keepdims");
    c->out[0].kind = KIND_SEQUENCE;
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    c->out[0].rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != axis || !drop)
            c->out[0].dim[c->out[0].rank++] = i != axis ? x->dim[i] : given ? DIM_UNKNOWN : 1;
    return OK;
}

static enum status eval_split_to_sequence(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *split = c->n_in > 1 ? c->in[1] : NULL;
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    int64_t total = x->dim[axis], n, at = 0;
    bool list = split && split->rank == 1;
    int64_t chunk = split && !list ? tensor_i64(split, 0) : 1;
    FAIL_IF((split && split->rank > 1) || chunk <= 0, c->err, STATUS_CORRUPT,
            "split must be a positive number or a list");
    n = list ? tensor_count(split) : total / chunk + (total % chunk != 0);
    c->out[0] = tensor_new_list(KIND_SEQUENCE, x->dtype, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t size = list ? tensor_i64(split, i) : chunk < total - at ? chunk : total - at;
        FAIL_IF(size < 0 || size > total - at, c->err, STATUS_CORRUPT,
                "part %lld of %lld does not fit a dimension of %lld", (long long)i, (long long)size,
                (long long)total);
        TRY(take_part(&c->out[0]->items[i], x, axis, at, size,
                      !split && !attr_int(c->node, "keepdims"), c->err));
        at += size;
    }
    FAIL_IF(at != total, c->err, STATUS_CORRUPT, "the parts sum to %lld, the dimension is %lld",
            (long long)at, (long long)total);
    return OK;
}

static enum status shape_concat_from_sequence(struct shape_ctx *c) {
    const struct fact *s = &c->in[0];
    int new_axis = attr_int(c->node, "new_axis") != 0, axis;
    TRY(need_sequence(s, c->err));
    c->out[0].dtype = s->dtype;
    if (s->rank < 0 || s->rank + new_axis > MAX_RANK)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), s->rank + new_axis, &axis, c->err));
    c->out[0].rank = s->rank + new_axis;
    for (int i = 0; i < c->out[0].rank; i++)
        c->out[0].dim[i] = i == axis ? DIM_UNKNOWN : s->dim[new_axis && i > axis ? i - 1 : i];
    return OK;
}

static enum status eval_concat_from_sequence(struct op_ctx *c) {
    const struct tensor *s = c->in[0];
    FAIL_IF(s->n_items == 0, c->err, STATUS_CORRUPT, "the sequence is empty");
    return join_tensors(&c->out[0], (const struct tensor *const *)s->items, s->n_items,
                        attr_int(c->node, "axis"), attr_int(c->node, "new_axis") != 0, false,
                        c->err);
}

/* --- optionals --- */

static enum status shape_optional(struct shape_ctx *c) {
    bool given = c->n_in > 0 && !c->in[0].absent;
    const struct attr *type = attr_find(c->node, "type");
    SHAPE_FAIL_IF(!given && !type, c, "Optional needs an input or a type");
    c->out[0].kind = KIND_OPTIONAL;
    c->out[0].dtype = given ? c->in[0].dtype : (enum dtype)type->i;
    return OK;
}

static enum status eval_optional(struct op_ctx *c) {
    bool given = c->n_in > 0 && c->in[0];
    c->out[0] = tensor_new_list(KIND_OPTIONAL, c->out_fact[0].dtype, given);
    if (given)
        c->out[0]->items[0] = tensor_alias(c->in[0]);
    return OK;
}

/* Of an optional nothing is known of the element; other kinds pass through. */
static enum status shape_get_element(struct shape_ctx *c) {
    if (c->in[0].kind == KIND_OPTIONAL)
        return OK;
    return shape_same(c);
}

static enum status eval_get_element(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    FAIL_IF(x->kind == KIND_OPTIONAL && x->n_items != 1, c->err, STATUS_CORRUPT,
            "the optional is empty");
    c->out[0] = tensor_alias(x->kind == KIND_OPTIONAL ? x->items[0] : x);
    return OK;
}

static enum status shape_has_element(struct shape_ctx *c) {
    fact_set(&c->out[0], DT_BOOL, 0, NULL);
    return OK;
}

static enum status eval_has_element(struct op_ctx *c) {
    const struct tensor *x = c->n_in ? c->in[0] : NULL;
    tensor_set_i64(c->out[0], 0, x && (x->kind != KIND_OPTIONAL || x->n_items > 0));
    return OK;
}

/* clang-format off */
const struct op ops_sequence[] = {
    { ONNX("SequenceConstruct", 11, 1, -1), .flags = OP_VIEW | OP_ANY_TYPE, .shape = shape_construct,
      .eval = eval_construct, .grad = grad_moves },
    { ONNX("SequenceEmpty", 11, 0, 0), .flags = OP_VIEW | OP_NO_GRADIENT, .attrs = ATTRS(INT("dtype", 0)),
      .shape = shape_empty, .eval = eval_empty },
    { ONNX("SequenceInsert", 11, 2, 3), .whole = 4, .flags = OP_VIEW | OP_KINDS, .shape = shape_insert, .eval = eval_insert, .grad = grad_moves },
    { ONNX("SequenceErase", 11, 1, 2), .whole = 2, .flags = OP_VIEW | OP_KINDS, .shape = shape_erase, .eval = eval_erase, .grad = grad_moves },
    { ONNX("SequenceAt", 11, 2, 2), .whole = 2, .flags = OP_VIEW | OP_KINDS, .shape = shape_at, .eval = eval_at, .grad = grad_moves },
    { ONNX("SequenceLength", 11, 1, 1), .flags = OP_KINDS | OP_NO_GRADIENT, .shape = shape_length, .eval = eval_length },
    { ONNX("SplitToSequence", 24, 1, 2), .whole = 2, .flags = OP_VIEW | OP_ANY_TYPE,
      .attrs = ATTRS(INT("axis", 0), INT("keepdims", 1)),
      .shape = shape_split_to_sequence, .eval = eval_split_to_sequence, .grad = grad_moves },
    { ONNX("ConcatFromSequence", 11, 1, 1), .flags = OP_VIEW | OP_KINDS,
      .attrs = ATTRS(NEEDED("axis", INT), INT("new_axis", 0)),
      .shape = shape_concat_from_sequence, .eval = eval_concat_from_sequence, .grad = grad_moves },
    { ONNX("Optional", 28, 0, 1), .flags = OP_VIEW | OP_KINDS, .attrs = ATTRS(PLAIN("type", TYPE)),
      .shape = shape_optional,
      .eval = eval_optional, .grad = grad_moves },
    { ONNX("OptionalGetElement", 28, 1, 1), .flags = OP_VIEW | OP_KINDS, .shape = shape_get_element,
      .eval = eval_get_element, .grad = grad_moves },
    { ONNX("OptionalHasElement", 28, 0, 1), .flags = OP_KINDS | OP_NO_GRADIENT, .shape = shape_has_element, .eval = eval_has_element },
    { 0 },
};
