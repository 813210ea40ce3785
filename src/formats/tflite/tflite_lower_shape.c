/* Operators that change shapes and move elements as built-in operators of TensorFlow Lite. */
#include <stdint.h>

#include "formats/tflite/tflite_lower.h"

static enum status lower_reshape(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *shape;
    int64_t count;
    struct lowered *o = lower_add(l, BUILTIN_RESHAPE, 2);
    o->in[0].value = n->in[0];
    if (lower_constant_list(l, 1, &shape, &count) && !int_attr(n, "allowzero", 0)) {
        int64_t *copy = arena_copy(l->arena, shape, sizeof *shape * (size_t)(count + 1));
        bool changed = false;
        for (int64_t i = 0; i < count; i++)
            if (shape[i] == 0) {
                if (i >= n->in[0]->rank || n->in[0]->dim[i] < 0)
                    return lower_refuse(l, "a dim that is copied and unknown");
                copy[i] = n->in[0]->dim[i];
                changed = true;
            }
        if (changed) {
            o->in[1].made = lower_ints32(l, copy, count, 1);
            return OK;
        }
    }
    return lower_list_input(l, o, 1, 1);
}

enum status lower_as_reshape(struct lowering *l) {
    const struct value *y = l->node->out[0];
    int64_t dim[MAX_RANK];
    int unknown = 0;
    for (int i = 0; i < y->rank; i++) {
        dim[i] = y->dim[i] < 0 ? -1 : y->dim[i];
        unknown += y->dim[i] < 0;
    }
    if (y->rank < 0 || unknown > 1)
        return lower_refuse(l, "an unknown output shape");
    struct lowered *o = lower_add(l, BUILTIN_RESHAPE, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].made = lower_ints32(l, dim, y->rank, 1);
    return OK;
}

static enum status lower_transpose(struct lowering *l) {
    const struct node *n = l->node;
    int64_t count, back[MAX_RANK];
    const int64_t *perm = list_attr(n, "perm", &count);
    if (!perm) {
        count = n->in[0]->rank;
        if (count < 0)
            return lower_refuse(l, "an unknown rank");
        for (int64_t i = 0; i < count; i++)
            back[i] = count - 1 - i;
        perm = back;
    }
    struct lowered *o = lower_add(l, BUILTIN_TRANSPOSE, 2);
    o->in[0].value = n->in[0];
    o->in[1].made = lower_ints32(l, perm, count, 1);
    return OK;
}

static enum status lower_concat(struct lowering *l) {
    const struct node *n = l->node;
    struct lowered *o = lower_add(l, BUILTIN_CONCATENATION, n->n_in);
    for (int i = 0; i < n->n_in; i++)
        o->in[i].value = n->in[i];
    field(o, 0, 4, int_attr(n, "axis", 0));
    o->activation_slot = 1;
    return OK;
}

static enum status lower_slice(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *list[5] = { NULL };
    int64_t count[5] = { 0 }, begin[MAX_RANK] = { 0 }, end[MAX_RANK], step[MAX_RANK];
    int rank = n->in[0]->rank;
    for (int i = 1; i < 5 && i < n->n_in; i++)
        if (n->in[i] && !lower_constant_list(l, i, &list[i], &count[i]))
            return lower_refuse(l, "a computed list");
    if (rank < 0 || !list[1] || !list[2] || count[1] != count[2] ||
        (list[3] && count[3] != count[1]) || (list[4] && count[4] != count[1]))
        return lower_refuse(l, "its lists");
    int32_t begin_mask = 0, end_mask = 0;
    for (int i = 0; i < rank; i++) {
        begin_mask |= 1 << i;
        end_mask |= 1 << i;
        end[i] = 0;
        step[i] = 1;
    }
    for (int64_t i = 0; i < count[1]; i++) {
        int64_t axis = list[3] ? list[3][i] : i, s = list[4] ? list[4][i] : 1;
        axis += axis < 0 ? rank : 0;
        if (axis < 0 || axis >= rank)
            return lower_refuse(l, "its axes");
        bool far_begin = s > 0 ? list[1][i] == 0 : list[1][i] == -1 || list[1][i] > INT32_MAX;
        bool far_end = s > 0 ? list[2][i] >= INT32_MAX : list[2][i] <= INT32_MIN;
        begin[axis] = far_begin ? 0 : list[1][i];
        end[axis] = far_end ? 0 : list[2][i];
        step[axis] = s;
        begin_mask = far_begin ? begin_mask : begin_mask & ~(1 << axis);
        end_mask = far_end ? end_mask : end_mask & ~(1 << axis);
    }
    struct lowered *o = lower_add(l, BUILTIN_STRIDED_SLICE, 4);
    o->in[0].value = n->in[0];
    o->in[1].made = lower_ints32(l, begin, rank, 1);
    o->in[2].made = lower_ints32(l, end, rank, 1);
    o->in[3].made = lower_ints32(l, step, rank, 1);
    field(o, 0, 4, begin_mask);
    field(o, 1, 4, end_mask);
    for (int i = 2; i < 5; i++)
        field(o, i, 4, 0);
    return OK;
}

static enum status lower_pad(struct lowering *l) {
    const struct node *n = l->node;
    const int64_t *p;
    int64_t count, rank = n->in[0]->rank, rows[2 * MAX_RANK], dim[2] = { rank, 2 };
    const char *mode = text_attr(n, "mode", "constant");
    bool reflect = strcmp(mode, "reflect") == 0;
    const struct value *fill = input_of(n, 2);
    if (!reflect && strcmp(mode, "constant") != 0)
        return lower_refuse(l, "its mode");
    if (!lower_constant_list(l, 1, &p, &count) || count != 2 * rank || input_of(n, 3))
        return lower_refuse(l, "its list of paddings");
    for (int64_t i = 0; i < rank; i++) {
        rows[2 * i] = p[i];
        rows[2 * i + 1] = p[rank + i];
        if (p[i] < 0 || p[rank + i] < 0)
            return lower_refuse(l, "negative paddings");
    }
    bool zero = !fill || (fill->constant && tensor_count(fill->constant) == 1 &&
                          tensor_f64(fill->constant, 0) == 0);
    struct lowered *o = lower_add(l,
                                  reflect ? BUILTIN_MIRROR_PAD
                                  : zero  ? BUILTIN_PAD
                                          : BUILTIN_PADV2,
                                  reflect || zero ? 2 : 3);
    o->in[0].value = n->in[0];
    struct tensor *t = lower_ints32(l, rows, count, 1);
    t->rank = 2;
    memcpy(t->dim, dim, sizeof dim);
    o->in[1].made = t;
    if (reflect)
        field(o, 0, 1, 0);
    else if (!zero)
        o->in[2].value = n->in[2];
    return OK;
}

static enum status lower_gather(struct lowering *l) {
    struct lowered *o = lower_add(l, BUILTIN_GATHER, 2);
    o->in[0].value = l->node->in[0];
    o->in[1].value = l->node->in[1];
    field(o, 0, 4, int_attr(l->node, "axis", 0));
    field(o, 1, 4, 0);
    return OK;
}

static enum status lower_split(struct lowering *l) {
    const struct node *n = l->node;
    int64_t axis = int_attr(n, "axis", 0);
    bool sizes = input_of(n, 1) != NULL;
    struct lowered *o = lower_add(l, sizes ? BUILTIN_SPLIT_V : BUILTIN_SPLIT, sizes ? 3 : 2);
    struct tensor *t = lower_ints32(l, &axis, 1, 1);
    o->in[sizes ? 0 : 1].value = n->in[0];
    if (sizes)
        TRY(lower_list_input(l, o, 1, 1));
    if (!sizes)
        t->rank = 0;
    o->in[sizes ? 2 : 0].made = t;
    field(o, 0, 4, n->n_out);
    return OK;
}

/* A second input that is a list: Tile, Expand, Unsqueeze of one axis. */
enum status lower_with_list(struct lowering *l, enum builtin code) {
    struct lowered *o = lower_add(l, code, 2);
    o->in[0].value = l->node->in[0];
    return lower_list_input(l, o, 1, 1);
}

static enum status lower_unsqueeze(struct lowering *l) {
    const int64_t *axes;
    int64_t n;
    return lower_constant_list(l, 1, &axes, &n) && n == 1 ? lower_with_list(l, BUILTIN_EXPAND_DIMS)
                                                          : lower_as_reshape(l);
}

static enum status lower_tile(struct lowering *l) {
    return lower_with_list(l, BUILTIN_TILE);
}

static enum status lower_expand(struct lowering *l) {
    return lower_with_list(l, BUILTIN_BROADCAST_TO);
}

static const struct {
    const char *op;
    lower_fn *lower;
} rows[] = {
    { "Reshape", lower_reshape },
    { "Flatten", lower_as_reshape },
    { "Squeeze", lower_as_reshape },
    { "Identity", lower_as_reshape },
    { "Unsqueeze", lower_unsqueeze },
    { "Transpose", lower_transpose },
    { "Concat", lower_concat },
    { "Slice", lower_slice },
    { "Pad", lower_pad },
    { "Gather", lower_gather },
    { "Split", lower_split },
    { "Tile", lower_tile },
    { "Expand", lower_expand },
};

lower_fn *lower_of_shape(const char *op) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return rows[i].lower;
    return NULL;
}
