/* Slices, reversal and padding, see map_data.c. */
#include <string.h>

#include "formats/tflite/tflite.h"

static const int64_t TO_END = INT64_MAX, TO_BEGIN = INT64_MIN;

static struct node *slice_node(struct op_reader *x, struct value *v, const int64_t *begin,
                               const int64_t *end, const int64_t *step, int rank, int begin_slot) {
    int64_t *axes = NEW_ARRAY(x->r->m->arena, rank + 1, int64_t);
    for (int i = 0; i < rank; i++)
        axes[i] = i;
    struct value *b = made_ints(x, "starts", begin, rank, begin_slot),
                 *e = made_ints(x, "ends", end, rank, begin_slot + 1);
    struct value *a = made_ints(x, "axes", axes, rank, -1),
                 *s = step ? made_ints(x, "steps", step, rank, begin_slot + 2) : NULL;
    struct node *n = emit(x, "Slice", "", step ? 5 : 4, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = b;
    n->in[2] = e;
    n->in[3] = a;
    if (s)
        n->in[4] = s;
    return n;
}

/* SLICE: begin and size; size -1 reaches to the end. */
static enum status read_slice(struct op_reader *x) {
    const int64_t *begin, *size;
    int64_t nb, ns;
    bool raw;
    TRY(need_inputs(x, 3));
    struct value *v = moved_in(x, 0, &raw);
    if (!const_ints(x, 1, &begin, &nb) || !const_ints(x, 2, &size, &ns)) {
        struct node *n = emit(x, "SLICE", "tflite", 3, 1, ROLE_MAIN);
        n->in[0] = v;
        n->in[1] = raw_in(x, 1);
        n->in[2] = raw_in(x, 2);
        return moved_out(x, 0, n, raw);
    }
    FAIL_IF(nb != ns || nb > MAX_RANK || (v->rank >= 0 && v->rank != nb), x->r->err, STATUS_CORRUPT,
            "begin has %lld elements, size %lld", (long long)nb, (long long)ns);
    int64_t end[MAX_RANK] = { 0 };
    for (int64_t i = 0; i < nb; i++) {
        FAIL_IF(begin[i] < 0 || size[i] < -1, x->r->err, STATUS_CORRUPT, "begin %lld and size %lld",
                (long long)begin[i], (long long)size[i]);
        end[i] = size[i] == -1 ? TO_END : begin[i] + size[i];
    }
    return moved_out(x, 0, slice_node(x, v, begin, end, NULL, (int)nb, 1), raw);
}

/* What STRIDED_SLICE says of one dimension of its result or its input. */
struct dense_slice {
    int64_t begin[MAX_RANK], end[MAX_RANK], step[MAX_RANK];
    int64_t shrink[MAX_RANK], fresh[MAX_RANK];
    int n_shrink, n_fresh, rank;
};

struct masks {
    int32_t begin, end, ellipsis, fresh, shrink;
};

/* Spreads the sparse specification over the input's axes: an ellipsis takes what the others leave.
 */
static enum status strided_dense(struct op_reader *x, const struct masks *m, int rank,
                                 const int64_t *begin, const int64_t *end, const int64_t *step,
                                 int n, struct dense_slice *d) {
    int fresh = 0, out = 0;
    bool seen = false;
    for (int i = 0; i < n; i++)
        fresh += (m->fresh >> i & 1) && !(m->ellipsis >> i & 1);
    for (int i = 0; i < n; i++) {
        FAIL_IF(d->rank >= MAX_RANK || out >= MAX_RANK, x->r->err, STATUS_CORRUPT, "too many axes");
        if (m->ellipsis >> i & 1) {
            FAIL_IF(seen, x->r->err, STATUS_CORRUPT, "two ellipses");
            seen = true;
            for (int k = rank - (n - 1 - fresh); k > 0; k--, out++) {
                FAIL_IF(d->rank >= MAX_RANK, x->r->err, STATUS_CORRUPT, "too many axes");
                d->end[d->rank] = TO_END;
                d->step[d->rank++] = 1;
            }
        } else if (m->fresh >> i & 1) {
            d->fresh[d->n_fresh++] = out++;
        } else {
            bool shrink = m->shrink >> i & 1;
            int k = d->rank++;
            FAIL_IF(step[i] == 0, x->r->err, STATUS_CORRUPT, "a stride of 0");
            d->step[k] = shrink ? 1 : step[i];
            d->begin[k] = !shrink && (m->begin >> i & 1) ? (step[i] < 0 ? TO_END : 0) : begin[i];
            d->end[k] = shrink            ? (begin[i] == -1 ? TO_END : begin[i] + 1)
                        : m->end >> i & 1 ? (step[i] < 0 ? TO_BEGIN : TO_END)
                                          : end[i];
            if (shrink)
                d->shrink[d->n_shrink++] = k;
            else
                out++;
        }
    }
    FAIL_IF(d->rank > rank, x->r->err, STATUS_CORRUPT, "%d axes are sliced, the input has %d",
            d->rank, rank);
    return OK;
}

/* Node `op` on what n gives. */
static struct node *change_axes(struct op_reader *x, struct node *n, enum dtype dtype,
                                const char *op, struct value *axes) {
    struct value *part = between(x, "slice", dtype, NULL);
    node_set_output(n, 0, part);
    n = emit(x, op, "", 2, 1, ROLE_HELPER);
    n->in[0] = part;
    n->in[1] = axes;
    return n;
}

static enum status read_strided_slice(struct op_reader *x) {
    const int64_t *begin, *end, *step;
    int64_t nb, ne, ns;
    bool raw;
    TRY(need_inputs(x, 4));
    struct masks m = { fb_i32(&x->options, 0, 0), fb_i32(&x->options, 1, 0),
                       fb_i32(&x->options, 2, 0), fb_i32(&x->options, 3, 0),
                       fb_i32(&x->options, 4, 0) };
    bool offset = fb_bool(&x->options, 5, false);
    struct value *v = moved_in(x, 0, &raw);
    bool constant = const_ints(x, 1, &begin, &nb) && const_ints(x, 2, &end, &ne) &&
                    const_ints(x, 3, &step, &ns);
    if (!constant || v->rank < 0 || offset) {
        struct node *n = emit(x, "STRIDED_SLICE", "tflite", 4, 1, ROLE_MAIN);
        n->in[0] = v;
        for (int i = 1; i < 4; i++)
            n->in[i] = raw_in(x, i);
        node_set_int(n, "begin_mask", m.begin);
        node_set_int(n, "end_mask", m.end);
        node_set_int(n, "ellipsis_mask", m.ellipsis);
        node_set_int(n, "new_axis_mask", m.fresh);
        node_set_int(n, "shrink_axis_mask", m.shrink);
        node_set_int(n, "offset", offset);
        return moved_out(x, 0, n, raw);
    }
    FAIL_IF(nb != ne || nb != ns || nb > MAX_RANK, x->r->err, STATUS_CORRUPT,
            "begin, end and strides have %lld, %lld and %lld elements", (long long)nb,
            (long long)ne, (long long)ns);
    struct dense_slice d = { 0 };
    TRY(strided_dense(x, &m, v->rank, begin, end, step, (int)nb, &d));
    struct node *n = slice_node(x, v, d.begin, d.end, d.step, d.rank, 1);
    if (d.n_shrink)
        n = change_axes(x, n, v->dtype, "Squeeze",
                        made_ints(x, "shrink_axes", d.shrink, d.n_shrink, -1));
    if (d.n_fresh)
        n = change_axes(x, n, v->dtype, "Unsqueeze",
                        made_ints(x, "new_axes", d.fresh, d.n_fresh, -1));
    return moved_out(x, 0, n, raw);
}

/* Paddings [rank, 2] -> ONNX's all begins, then all ends. */
static enum status pads_value(struct op_reader *x, struct value **out) {
    const int64_t *p;
    int64_t n;
    if (const_ints(x, 1, &p, &n)) {
        FAIL_IF(n % 2 || n > 2 * MAX_RANK, x->r->err, STATUS_CORRUPT, "%lld paddings",
                (long long)n);
        int64_t pads[2 * MAX_RANK + 1] = { 0 };
        for (int64_t i = 0; i < n / 2; i++) {
            pads[i] = p[2 * i];
            pads[n / 2 + i] = p[2 * i + 1];
        }
        *out = made_ints(x, "pads", pads, n, 1);
        return OK;
    }
    int64_t *perm = kept_ints(x, (int64_t[]) { 1, 0 }, 2), flat = -1;
    struct value *t = then1(x, "Transpose", raw_in(x, 1), NULL);
    node_set_ints(x->last, "perm", perm, 2);
    *out = then2(x, "Reshape", t, made_ints(x, "flat", kept_ints(x, &flat, 1), 1, -1), NULL);
    return OK;
}

static enum status read_pad(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    bool mirror = x->code == BUILTIN_MIRROR_PAD;
    bool raw = mirror && same_quant(x, 0, 0);
    struct value *v = raw ? raw_in(x, 0) : real_in(x, 0),
                 *fill = x->code == BUILTIN_PADV2 ? real_in(x, 2) : NULL, *pads;
    if (mirror && fb_i8(&x->options, 0, 0) == 1) {
        struct node *n = emit(x, "MIRROR_PAD", "tflite", 2, 1, ROLE_MAIN);
        n->in[0] = v;
        n->in[1] = raw_in(x, 1);
        node_set_string(n, "mode", "SYMMETRIC");
        return moved_out(x, 0, n, raw);
    }
    TRY(pads_value(x, &pads));
    struct node *n = emit(x, "Pad", "", fill ? 3 : 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = pads;
    if (fill)
        n->in[2] = fill;
    node_set_string(n, "mode", mirror ? "reflect" : "constant");
    return moved_out(x, 0, n, raw);
}

/* REVERSE_V2 as slices with step -1. */
static enum status read_reverse(struct op_reader *x) {
    const int64_t *axis;
    int64_t count;
    bool raw;
    TRY(need_inputs(x, 2));
    TRY(need_const_ints(x, 1, "its axes", &axis, &count));
    struct value *v = moved_in(x, 0, &raw);
    FAIL_IF(count > MAX_RANK, x->r->err, STATUS_CORRUPT, "%lld axes", (long long)count);
    int64_t begin[MAX_RANK + 1], end[MAX_RANK + 1], step[MAX_RANK + 1];
    for (int64_t i = 0; i <= count; i++) {
        begin[i] = -1;
        end[i] = TO_BEGIN;
        step[i] = -1;
    }
    struct node *n = slice_node(x, v, begin, end, step, (int)count, -1);
    n->in[3] = made_ints(x, "reversed_axes", axis, count, 1);
    return moved_out(x, 0, n, raw);
}

read_fn *map_slice(enum builtin code) {
    switch (code) {
    case BUILTIN_SLICE:
        return read_slice;
    case BUILTIN_STRIDED_SLICE:
        return read_strided_slice;
    case BUILTIN_REVERSE_V2:
        return read_reverse;
    case BUILTIN_PAD:
    case BUILTIN_PADV2:
    case BUILTIN_MIRROR_PAD:
        return read_pad;
    default:
        return NULL;
    }
}
