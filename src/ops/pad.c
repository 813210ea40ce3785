/* Pad. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

static enum status pad_mode(const struct node *n, enum pad_mode *out, struct err *e) {
    static const char *const names[] = { "constant", "reflect", "edge", "wrap" };
    const char *s = attr_str(n, "mode");
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (enum pad_mode)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "mode '%s' is none of constant, reflect, edge, wrap", s);
}

/* Spreads the lists `pads` and `axes` (NULL: all axes) over the axes of a tensor. */
static enum status pad_amounts(const int64_t *pads, int64_t n_pads, const int64_t *axes,
                               int64_t n_axes, int rank, int64_t *before, int64_t *after,
                               struct err *e) {
    int64_t n = axes ? n_axes : rank;
    bool seen[MAX_RANK] = { false };
    FAIL_IF(n_pads != 2 * n, e, STATUS_CORRUPT, "%lld pads for %lld axes", (long long)n_pads,
            (long long)n);
    for (int i = 0; i < rank; i++)
        before[i] = after[i] = 0;
    for (int64_t i = 0; i < n; i++) {
        int a;
        TRY(axis_normalise(axes ? axes[i] : i, rank, &a, e));
        FAIL_IF(seen[a], e, STATUS_CORRUPT, "axis %d is given twice", a);
        seen[a] = true;
        before[a] = pads[i];
        after[a] = pads[i + n];
    }
    return OK;
}

static enum status pad_dim(int64_t n, int64_t before, int64_t after, int64_t *out, struct err *e) {
    const int64_t limit = INT64_C(1) << 60;
    FAIL_IF(n > limit || before > limit || after > limit || before < -limit || after < -limit ||
                n + before + after < 0,
            e, STATUS_CORRUPT, "pads %lld and %lld on a dimension of %lld", (long long)before,
            (long long)after, (long long)n);
    *out = n + before + after;
    return OK;
}

static enum status shape_pad(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *pads, *axes = NULL;
    int64_t n_pads, n_axes = 0, before[MAX_RANK], after[MAX_RANK];
    enum pad_mode mode;
    TRY(pad_mode(c->node, &mode, c->err));
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    fact_set_unknown(&c->out[0], x->dtype, x->rank);
    bool axes_given = c->n_in > 3 && !c->in[3].absent;
    if (!fact_ints(c, &c->in[1], &pads, &n_pads) ||
        (axes_given && !fact_ints(c, &c->in[3], &axes, &n_axes)))
        return OK;
    TRY(pad_amounts(pads, n_pads, axes, n_axes, x->rank, before, after, c->err));
    for (int i = 0; i < x->rank; i++) {
        if (x->dim[i] >= 0)
            TRY(pad_dim(x->dim[i], before[i], after[i], &c->out[0].dim[i], c->err));
        else if (before[i] == 0 && after[i] == 0)
            c->out[0].dim[i] = x->dim[i];
    }
    return OK;
}

/* Where output index i of an axis comes from: negative pads crop first, the mode then continues
 * what is left. */
static int64_t pad_source(enum pad_mode mode, int64_t i, int64_t n, int64_t before, int64_t after) {
    int64_t low = before < 0 ? -before : 0, high = after < 0 ? n + after : n;
    int64_t size = high - low, k = i - (before > 0 ? before : 0);
    if (k >= 0 && k < size)
        return low + k;
    if (mode == PAD_CONSTANT)
        return -1;
    if (mode == PAD_EDGE || (mode == PAD_REFLECT && size == 1))
        return k < 0 ? low : high - 1;
    int64_t period = mode == PAD_WRAP ? size : 2 * (size - 1);
    k %= period;
    if (k < 0)
        k += period;
    return low + (k < size ? k : period - k);
}

/* The part of y that is a copy of x. */
static void copy_inside(struct tensor *y, const struct tensor *x, const int64_t *before,
                        const int64_t *after) {
    struct move m = { .size = element_size(x), .rank = x->rank };
    int64_t from = 0, to = 0;
    dense_steps(x->dim, x->rank, m.src_step);
    dense_steps(y->dim, y->rank, m.dst_step);
    for (int i = 0; i < x->rank; i++) {
        int64_t low = before[i] < 0 ? -before[i] : 0,
                high = after[i] < 0 ? x->dim[i] + after[i] : x->dim[i];
        if (high <= low)
            return;
        m.dim[i] = high - low;
        from += low * m.src_step[i];
        to += (before[i] > 0 ? before[i] : 0) * m.dst_step[i];
    }
    m.src = element_at(x, from);
    m.dst = element_at(y, to);
    move_run(&m);
}

/* Every element of y by its source index on each axis. */
static void copy_by_map(struct tensor *y, const struct tensor *x, int64_t *const *map) {
    int64_t step[MAX_RANK], at[MAX_RANK] = { 0 }, n = tensor_count(y);
    size_t size = element_size(x);
    int last = y->rank - 1;
    dense_steps(x->dim, x->rank, step);
    for (int64_t line = 0; line < n; line += y->dim[last]) {
        int64_t base = 0;
        for (int i = 0; i < last; i++)
            base += map[i][at[i]] * step[i];
        for (int64_t i = 0; i < y->dim[last]; i++)
            memcpy(element_at(y, line + i), element_at(x, base + map[last][i]), size);
        for (int i = last - 1; i >= 0 && ++at[i] == y->dim[i]; i--)
            at[i] = 0;
    }
}

static enum status eval_pad(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *value = c->n_in > 2 ? c->in[2] : NULL;
    struct tensor *y = c->out[0];
    enum pad_mode mode;
    int64_t n_pads, n_axes, before[MAX_RANK], after[MAX_RANK], *map[MAX_RANK];
    const int64_t *pads = ints_of(c->scratch, c->in[1], &n_pads),
                  *axes = ints_of(c->scratch, c->n_in > 3 ? c->in[3] : NULL, &n_axes);
    TRY(pad_mode(c->node, &mode, c->err));
    TRY(pad_amounts(pads, n_pads, axes, n_axes, x->rank, before, after, c->err));
    int64_t n = tensor_count(y);
    if (n == 0)
        return OK;
    if (mode == PAD_CONSTANT || x->rank == 0) {
        FAIL_IF(value && (value->store != y->store || tensor_count(value) != 1), c->err,
                STATUS_CORRUPT, "the constant is not one element of the data's type");
        if (value)
            fill_elements(y->data, value->data, element_size(y), n);
        copy_inside(y, x, before, after);
        own_strings(y);
        return OK;
    }
    for (int i = 0; i < x->rank; i++) {
        int64_t left = x->dim[i] + (before[i] < 0 ? before[i] : 0) + (after[i] < 0 ? after[i] : 0);
        FAIL_IF(left <= 0, c->err, STATUS_CORRUPT, "axis %d has no element to continue", i);
        map[i] = NEW_ARRAY(c->scratch, y->dim[i], int64_t);
        for (int64_t k = 0; k < y->dim[i]; k++)
            map[i][k] = pad_source(mode, k, x->dim[i], before[i], after[i]);
    }
    copy_by_map(y, x, map);
    own_strings(y);
    return OK;
}

/* clang-format off */
const struct op ops_pad[] = {
    { ONNX("Pad", 25, 2, 4), .whole = 10, .flags = OP_MOVES, .attrs = ATTRS(STRING("mode", "constant")), .shape = shape_pad, .eval = eval_pad,
      .grad = grad_moves },
    { 0 },
};
