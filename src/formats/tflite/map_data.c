/* Operators that move data: shapes, gathers, concatenation, indices; slices are in map_slice.c.
 * Nothing is computed, so a quantized tensor passes as it is where input and output have one scale,
 * and through its real value where not. */
#include <string.h>

#include "formats/tflite/tflite.h"

/* One input and one list from another input, as an ONNX operator with two inputs. */
static enum status read_with_list(struct op_reader *x, const char *op, int data, int list) {
    bool raw;
    struct value *v = moved_in(x, data, &raw);
    struct node *n = emit(x, op, "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, list);
    return moved_out(x, 0, n, raw);
}

static enum status read_reshape(struct op_reader *x) {
    bool raw;
    TRY(need_inputs(x, 1));
    struct value *v = moved_in(x, 0, &raw), *shape = raw_in(x, 1);
    const int64_t *dim = NULL;
    int64_t rank = 0;
    bool constant = shape && const_ints(x, 1, &dim, &rank);
    if (!shape) {
        struct fb_vector list = fb_vec(&x->options, 0, 4);
        FAIL_IF(list.n > MAX_RANK, x->r->err, STATUS_CORRUPT, "its new shape has rank %zu", list.n);
        int64_t v64[MAX_RANK + 1] = { 0 };
        for (size_t i = 0; i < list.n; i++)
            v64[i] = fb_vec_i32(&list, i);
        rank = (int64_t)list.n;
        dim = v64;
        /* Old files write a scalar as the list [0]. */
        if (rank == 1 && v64[0] == 0 && x->out[0] && x->out[0]->rank == 0)
            rank = 0;
        shape = made_ints(x, "shape", dim, rank, -1);
        constant = true;
        dim = shape->constant->data;
    } else if (constant && rank == 1 && dim[0] == 0 && x->out[0] && x->out[0]->rank == 0) {
        shape = made_ints(x, "shape", dim, 0, 1);
        rank = 0;
    }
    bool zero = !constant;
    for (int64_t i = 0; constant && i < rank; i++)
        zero |= dim[i] == 0;
    struct node *n = emit(x, "Reshape", "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = shape;
    if (zero)
        node_set_int(n, "allowzero", 1);
    return moved_out(x, 0, n, raw);
}

static enum status read_squeeze(struct op_reader *x) {
    bool raw;
    TRY(need_inputs(x, 1));
    struct value *v = moved_in(x, 0, &raw), *axes = NULL;
    struct fb_vector list = fb_vec(&x->options, 0, 4);
    if (list.n > 0 && list.n <= MAX_RANK) {
        int64_t v64[MAX_RANK];
        for (size_t i = 0; i < list.n; i++)
            v64[i] = fb_vec_i32(&list, i);
        axes = made_ints(x, "axes", v64, (int64_t)list.n, -1);
    }
    struct node *n = emit(x, "Squeeze", "", axes ? 2 : 1, 1, ROLE_MAIN);
    n->in[0] = v;
    if (axes)
        n->in[1] = axes;
    return moved_out(x, 0, n, raw);
}

static enum status read_transpose(struct op_reader *x) {
    const int64_t *perm;
    int64_t count;
    bool raw;
    TRY(need_inputs(x, 2));
    TRY(need_const_ints(x, 1, "its permutation", &perm, &count));
    struct value *v = moved_in(x, 0, &raw);
    FAIL_IF(count > MAX_RANK || (v->rank >= 0 && v->rank != count), x->r->err, STATUS_CORRUPT,
            "a permutation of %lld axes", (long long)count);
    int64_t *list = kept_ints(x, perm, count);
    for (int64_t i = 0; i < count; i++)
        list[i] = perm[i] < 0 ? perm[i] + count : perm[i];
    struct node *n = emit(x, "Transpose", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_ints(n, "perm", list, count);
    return moved_out(x, 0, n, raw);
}

static enum status read_concat(struct op_reader *x) {
    enum activation act;
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    TRY(activation_read(x, 1, &act));
    bool raw = act == ACTIVATION_NONE;
    for (int i = 0; i < x->n_in; i++)
        raw &= same_quant(x, i, 0);
    struct value **in = NEW_ARRAY(x->r->m->arena, x->n_in, struct value *);
    for (int i = 0; i < x->n_in; i++)
        in[i] = raw ? raw_in(x, i) : real_in(x, i);
    struct node *n = emit(x, "Concat", "", x->n_in, 1, ROLE_MAIN);
    memcpy(n->in, in, sizeof *in * (size_t)x->n_in);
    node_set_int(n, "axis", fb_i32(&x->options, 0, 0));
    return raw ? moved_out(x, 0, n, true) : deliver(x, 0, n, 0, act);
}

/* PACK: every input gets a new axis, then they are joined along it. */
static enum status read_pack(struct op_reader *x) {
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    int64_t axis = fb_i32(&x->options, 1, 0);
    bool raw = true;
    for (int i = 0; i < x->n_in; i++)
        raw &= same_quant(x, i, 0);
    struct value *axes = made_ints(x, "axes", kept_ints(x, &axis, 1), 1, -1);
    struct value **in = NEW_ARRAY(x->r->m->arena, x->n_in, struct value *);
    for (int i = 0; i < x->n_in; i++)
        in[i] = then2(x, "Unsqueeze", raw ? raw_in(x, i) : real_in(x, i), axes, NULL);
    struct node *n = emit(x, "Concat", "", x->n_in, 1, ROLE_MAIN);
    memcpy(n->in, in, sizeof *in * (size_t)x->n_in);
    node_set_int(n, "axis", axis);
    return moved_out(x, 0, n, raw);
}

/* Gives every output of a splitting node: to the output itself, or through `Squeeze` of the axis.
 */
static enum status split_out(struct op_reader *x, struct node *n, bool raw,
                             struct value *squeeze_axes) {
    for (int i = 0; i < x->n_out; i++) {
        if (!squeeze_axes) {
            if (raw && x->out[i])
                node_set_output(n, i, x->out[i]);
            else if (!raw)
                TRY(deliver(x, i, n, i, ACTIVATION_NONE));
            continue;
        }
        struct value *part = between(x, "part", n->in[0]->dtype, NULL);
        node_set_output(n, i, part);
        struct node *s = emit(x, "Squeeze", "", 2, 1, ROLE_HELPER);
        s->in[0] = part;
        s->in[1] = squeeze_axes;
        TRY(moved_out(x, i, s, raw));
    }
    return OK;
}

static bool all_same_quant(const struct op_reader *x, int input) {
    bool raw = true;
    for (int i = 0; i < x->n_out; i++)
        raw &= same_quant(x, input, i);
    return raw;
}

static enum status read_unpack(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    int64_t axis = fb_i32(&x->options, 1, 0);
    bool raw = all_same_quant(x, 0);
    struct value *v = raw ? raw_in(x, 0) : real_in(x, 0);
    struct value *axes = made_ints(x, "axes", kept_ints(x, &axis, 1), 1, -1);
    struct node *n = emit(x, "Split", "", 1, x->n_out, ROLE_MAIN);
    n->in[0] = v;
    node_set_int(n, "axis", axis);
    node_set_int(n, "num_outputs", x->n_out);
    return split_out(x, n, raw, axes);
}

static enum status read_split(struct op_reader *x) {
    const int64_t *axis;
    int64_t count;
    TRY(need_inputs(x, 2));
    TRY(need_const_ints(x, 0, "its axis", &axis, &count));
    FAIL_IF(count != 1, x->r->err, STATUS_CORRUPT, "%lld axes", (long long)count);
    bool raw = all_same_quant(x, 1);
    struct value *v = raw ? raw_in(x, 1) : real_in(x, 1);
    struct node *n = emit(x, "Split", "", 1, x->n_out, ROLE_MAIN);
    n->in[0] = v;
    node_set_int(n, "axis", axis[0]);
    node_set_int(n, "num_outputs", x->n_out);
    return split_out(x, n, raw, NULL);
}

/* SPLIT_V: one of the sizes may be -1, what is left. */
static enum status read_split_v(struct op_reader *x) {
    const int64_t *axis, *size;
    int64_t count, n_sizes, rest = 0, open = -1;
    TRY(need_inputs(x, 3));
    TRY(need_const_ints(x, 2, "its axis", &axis, &count));
    TRY(need_const_ints(x, 1, "its sizes", &size, &n_sizes));
    bool raw = all_same_quant(x, 0);
    struct value *v = raw ? raw_in(x, 0) : real_in(x, 0), *sizes = raw_in(x, 1);
    for (int64_t i = 0; i < n_sizes; i++) {
        if (size[i] == -1)
            open = i;
        else
            rest += size[i];
    }
    if (open >= 0) {
        int64_t at = count == 1 && axis[0] < 0 ? axis[0] + v->rank : axis[0];
        FAIL_IF(at < 0 || at >= v->rank || v->dim[at] < rest, x->r->err, STATUS_UNSUPPORTED,
                "a size left open on an unknown dim");
        int64_t *filled = kept_ints(x, size, n_sizes);
        filled[open] = v->dim[at] - rest;
        sizes = made_ints(x, "sizes", filled, n_sizes, 1);
    }
    struct node *n = emit(x, "Split", "", 2, x->n_out, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = sizes;
    node_set_int(n, "axis", axis[0]);
    return split_out(x, n, raw, NULL);
}

static enum status read_gather(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    int32_t axis = fb_i32(&x->options, 0, 0), batch = fb_i32(&x->options, 1, 0);
    bool raw;
    struct value *v = moved_in(x, 0, &raw);
    struct node *n = emit(x, batch ? "GATHER" : "Gather", batch ? "tflite" : "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    node_set_int(n, "axis", axis);
    if (batch)
        node_set_int(n, "batch_dims", batch);
    return moved_out(x, 0, n, raw);
}

static enum status read_embedding_lookup(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    bool raw;
    struct value *v = moved_in(x, 1, &raw);
    struct node *n = emit(x, "Gather", "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 0);
    node_set_int(n, "axis", 0);
    return moved_out(x, 0, n, raw);
}

static enum status read_reverse_sequence(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    int32_t time = fb_i32(&x->options, 0, 0), batch = fb_i32(&x->options, 1, 0);
    bool raw, known = time >= 0 && time < 2 && batch >= 0 && batch < 2 && time != batch;
    struct value *v = moved_in(x, 0, &raw);
    struct node *n = emit(x, known ? "ReverseSequence" : "REVERSE_SEQUENCE", known ? "" : "tflite",
                          2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    node_set_int(n, known ? "time_axis" : "seq_dim", time);
    node_set_int(n, known ? "batch_axis" : "batch_dim", batch);
    return moved_out(x, 0, n, raw);
}

static enum status read_space_depth(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    bool raw;
    struct value *v = moved_in(x, 0, &raw);
    struct node *n = emit(x, x->code == BUILTIN_SPACE_TO_DEPTH ? "SpaceToDepth" : "DepthToSpace",
                          "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_string(n, "layout", "NHWC");
    node_set_int(n, "blocksize", fb_i32(&x->options, 0, 0));
    return moved_out(x, 0, n, raw);
}

/* An int64 result cast to the declared int32. */
static enum status deliver_index(struct op_reader *x, int i, struct node *n, int k) {
    if (i >= x->n_out || !x->out[i])
        return OK;
    if (x->out[i]->dtype == DT_I64) {
        node_set_output(n, k, x->out[i]);
        return OK;
    }
    struct value *wide = between(x, "int64", DT_I64, x->out[i]);
    node_set_output(n, k, wide);
    struct node *c = emit(x, "Cast", "", 1, 1, ROLE_HELPER);
    c->in[0] = wide;
    node_set_int(c, "to", dtype_to_onnx(x->out[i]->dtype));
    node_set_output(c, 0, x->out[i]);
    return OK;
}

static enum status read_shape(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = raw_in(x, 0);
    if (x->code == BUILTIN_RANK)
        v = then1(x, "Shape", v, NULL);
    struct node *n = emit(x, x->code == BUILTIN_RANK ? "Size" : "Shape", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    return deliver_index(x, 0, n, 0);
}

/* ZEROS_LIKE, FILL and BROADCAST_TO. */
static enum status read_zeros_like(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = raw_in(x, 0), *shape = then1(x, "Shape", v, NULL);
    shape->dtype = DT_I64;
    struct node *n = emit(x, "ConstantOfShape", "", 1, 1, ROLE_MAIN);
    n->in[0] = shape;
    int64_t one = 1;
    node_set_attr(n, "value", ATTR_TENSOR)->tensor =
        tensor_in_arena(x->r->m->arena, v->dtype, v->dtype, 1, &one);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_fill(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    return read_with_list(x, "Expand", 1, 0);
}

static enum status read_broadcast_to(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    return read_with_list(x, "Expand", 0, 1);
}

static enum status read_tile(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    return read_with_list(x, "Tile", 0, 1);
}

static enum status read_expand_dims(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    return read_with_list(x, "Unsqueeze", 0, 1);
}

static enum status read_gather_nd(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    return read_with_list(x, "GatherND", 0, 1);
}

static enum status read_range(struct op_reader *x) {
    TRY(need_inputs(x, 3));
    struct node *n = emit(x, "Range", "", 3, 1, ROLE_MAIN);
    for (int i = 0; i < 3; i++)
        n->in[i] = raw_in(x, i);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

/* Coordinates of the elements that are not zero, one row each. */
static enum status read_where(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = then1(x, "NonZero", raw_in(x, 0), NULL);
    v->dtype = DT_I64;
    struct node *n = emit(x, "Transpose", "", 1, 1, ROLE_MAIN);
    n->in[0] = v;
    node_set_ints(n, "perm", kept_ints(x, (int64_t[]) { 1, 0 }, 2), 2);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_unique(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct node *n = emit(x, "Unique", "", 1, 3, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    node_set_int(n, "sorted", 0);
    if (x->out[0])
        node_set_output(n, 0, x->out[0]);
    return deliver_index(x, 1, n, 2);
}

static enum status read_topk(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    int64_t one = 1;
    bool raw;
    struct value *v = moved_in(x, 0, &raw), *k = raw_in(x, 1);
    if (k->rank != 1)
        k = then2(x, "Reshape", k, made_ints(x, "one", kept_ints(x, &one, 1), 1, -1), NULL);
    if (k->dtype != DT_I64) {
        k = then1(x, "Cast", k, NULL);
        k->dtype = DT_I64;
        node_set_int(x->last, "to", dtype_to_onnx(DT_I64));
    }
    struct node *n = emit(x, "TopK", "", 2, 2, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = k;
    TRY(moved_out(x, 0, n, raw));
    return deliver_index(x, 1, n, 1);
}

static enum status read_arg(struct op_reader *x) {
    const int64_t *axis;
    int64_t count;
    TRY(need_inputs(x, 2));
    TRY(need_const_ints(x, 1, "its axis", &axis, &count));
    FAIL_IF(count != 1, x->r->err, STATUS_CORRUPT, "%lld axes", (long long)count);
    struct node *n = emit(x, x->code == BUILTIN_ARG_MAX ? "ArgMax" : "ArgMin", "", 1, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    node_set_int(n, "axis", axis[0]);
    node_set_int(n, "keepdims", 0);
    return deliver_index(x, 0, n, 0);
}

static enum status read_identity(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct node *n = emit(x, "Identity", "", 1, 1, ROLE_MAIN);
    n->in[0] = raw_in(x, 0);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static const struct {
    enum builtin code;
    read_fn *read;
} rows[] = {
    { BUILTIN_RESHAPE, read_reshape },
    { BUILTIN_SQUEEZE, read_squeeze },
    { BUILTIN_EXPAND_DIMS, read_expand_dims },
    { BUILTIN_TRANSPOSE, read_transpose },
    { BUILTIN_CONCATENATION, read_concat },
    { BUILTIN_PACK, read_pack },
    { BUILTIN_UNPACK, read_unpack },
    { BUILTIN_SPLIT, read_split },
    { BUILTIN_SPLIT_V, read_split_v },
    { BUILTIN_GATHER, read_gather },
    { BUILTIN_GATHER_ND, read_gather_nd },
    { BUILTIN_EMBEDDING_LOOKUP, read_embedding_lookup },
    { BUILTIN_REVERSE_SEQUENCE, read_reverse_sequence },
    { BUILTIN_SPACE_TO_DEPTH, read_space_depth },
    { BUILTIN_DEPTH_TO_SPACE, read_space_depth },
    { BUILTIN_SHAPE, read_shape },
    { BUILTIN_RANK, read_shape },
    { BUILTIN_ZEROS_LIKE, read_zeros_like },
    { BUILTIN_FILL, read_fill },
    { BUILTIN_BROADCAST_TO, read_broadcast_to },
    { BUILTIN_TILE, read_tile },
    { BUILTIN_RANGE, read_range },
    { BUILTIN_WHERE, read_where },
    { BUILTIN_UNIQUE, read_unique },
    { BUILTIN_TOPK_V2, read_topk },
    { BUILTIN_ARG_MAX, read_arg },
    { BUILTIN_ARG_MIN, read_arg },
    { BUILTIN_DENSIFY, read_identity },
};

read_fn *map_data(enum builtin code) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return rows[i].read;
    return NULL;
}
