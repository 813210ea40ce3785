/* StableHLO's operators (openxla/stablehlo, docs/spec.md) as operators of ONNX. Lists are in the
 * options; shapes of results are those of the file's tensors. */
#include <string.h>

#include "formats/tflite/stablehlo.h"

enum status hlo_long_list(struct op_reader *x, int slot, const char *name, struct long_list *out) {
    struct fb_vector v = fb_vec(&x->options2, slot, 8);
    FAIL_IF(v.n > 2 * MAX_RANK, x->r->err, STATUS_CORRUPT, "%s has %zu elements", name, v.n);
    *out = (struct long_list) { .n = (int)v.n };
    for (size_t i = 0; i < v.n; i++)
        out->v[i] = fb_vec_i64(&v, i);
    return OK;
}

enum status hlo_axes(struct op_reader *x, int slot, const char *name, int rank,
                     struct long_list *out) {
    TRY(hlo_long_list(x, slot, name, out));
    for (int i = 0; i < out->n; i++) {
        FAIL_IF(out->v[i] < 0 || out->v[i] >= rank, x->r->err, STATUS_CORRUPT,
                "%s names axis %lld of %d", name, (long long)out->v[i], rank);
        for (int k = 0; k < i; k++)
            FAIL_IF(out->v[k] == out->v[i], x->r->err, STATUS_CORRUPT, "%s names axis %lld twice",
                    name, (long long)out->v[i]);
    }
    return OK;
}

enum status hlo_need_count(const struct op_reader *x, const struct long_list *l, const char *name,
                           int n) {
    FAIL_IF(l->n != n, x->r->err, STATUS_CORRUPT, "%s has %d elements, %d are needed", name, l->n,
            n);
    return OK;
}

/* All dims of a tensor, which must be stated in the file. */
static enum status need_dims(const struct op_reader *x, const struct value *v, const char *what) {
    FAIL_IF(!v, x->r->err, STATUS_CORRUPT, "%s is missing", what);
    FAIL_IF(v->rank < 0, x->r->err, STATUS_UNSUPPORTED, "%s has no stated shape", what);
    for (int i = 0; i < v->rank; i++)
        FAIL_IF(v->dim[i] < 0, x->r->err, STATUS_UNSUPPORTED, "%s has no stated size of axis %d",
                what, i);
    return OK;
}

bool hlo_contains(const struct long_list *l, int64_t v) {
    for (int i = 0; i < l->n; i++)
        if (l->v[i] == v)
            return true;
    return false;
}

struct value *hlo_transposed(struct op_reader *x, struct value *v, const int64_t *perm, int n) {
    bool same = true;
    for (int i = 0; i < n; i++)
        same &= perm[i] == i;
    if (same)
        return v;
    struct value *out = then1(x, "Transpose", v, NULL);
    node_set_ints(x->last, "perm", kept_ints(x, perm, n), n);
    return out;
}

static struct value *reshaped(struct op_reader *x, struct value *v, const int64_t *dim, int n) {
    return then2(x, "Reshape", v, made_ints(x, "shape", dim, n, -1), NULL);
}

enum status hlo_give(struct op_reader *x, struct value *v) {
    return deliver_value(x, 0, v, ACTIVATION_NONE);
}

static enum status give_moved(struct op_reader *x, struct value *v, bool raw) {
    struct node *n = v->producer;
    if (raw && n && n == x->last) {
        node_set_output(n, v->out_index, x->out[0]);
        return OK;
    }
    return hlo_give(x, v);
}

static enum status read_hlo_reshape(struct op_reader *x) {
    bool raw;
    TRY(need_inputs(x, 1));
    TRY(need_dims(x, x->out[0], "its output"));
    struct value *v = moved_in(x, 0, &raw);
    v = reshaped(x, v, x->out[0]->dim, x->out[0]->rank);
    node_set_int(x->last, "allowzero", 1);
    return give_moved(x, v, raw);
}

static enum status read_hlo_transpose(struct op_reader *x) {
    struct long_list perm;
    bool raw;
    TRY(need_inputs(x, 1));
    struct value *v = moved_in(x, 0, &raw);
    TRY(hlo_axes(x, 0, "permutation", v->rank, &perm));
    TRY(hlo_need_count(x, &perm, "permutation", v->rank));
    v = then1(x, "Transpose", v, NULL);
    node_set_ints(x->last, "perm", kept_ints(x, perm.v, perm.n), perm.n);
    return give_moved(x, v, raw);
}

static enum status read_hlo_concatenate(struct op_reader *x) {
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    struct value **in = NEW_ARRAY(x->r->m->arena, x->n_in, struct value *);
    for (int i = 0; i < x->n_in; i++)
        in[i] = real_in(x, i);
    struct node *n = emit(x, "Concat", "", x->n_in, 1, ROLE_MAIN);
    memcpy(n->in, in, sizeof *in * (size_t)x->n_in);
    node_set_int(n, "axis", fb_i64(&x->options2, 0, 0));
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* Axis i of the operand becomes axis dims[i] of the result; the others, and axes of size 1, are
 * repeated. */
static enum status read_hlo_broadcast(struct op_reader *x) {
    struct long_list to;
    int64_t dim[MAX_RANK], perm[MAX_RANK];
    bool raw;
    TRY(need_inputs(x, 1));
    const struct value *from = raw_in(x, 0), *out = x->out[0];
    TRY(need_dims(x, from, "its operand"));
    TRY(need_dims(x, out, "its output"));
    TRY(hlo_axes(x, 0, "broadcast_dimensions", out->rank, &to));
    TRY(hlo_need_count(x, &to, "broadcast_dimensions", from->rank));
    for (int i = 0; i < out->rank; i++)
        dim[i] = 1;
    for (int i = 0, at = 0; i < out->rank; i++)
        for (int k = 0; k < to.n; k++)
            if (to.v[k] == i) {
                perm[at++] = k;
                dim[i] = from->dim[k];
            }
    struct value *v = hlo_transposed(x, moved_in(x, 0, &raw), perm, to.n);
    v = reshaped(x, v, dim, out->rank);
    v = then2(x, "Expand", v, made_ints(x, "result_shape", out->dim, out->rank, -1), NULL);
    return give_moved(x, v, raw);
}

struct value *hlo_sliced(struct op_reader *x, struct value *v, struct value *starts,
                         struct value *ends, const int64_t *steps, int rank) {
    int64_t axes[MAX_RANK + 1];
    for (int i = 0; i < rank; i++)
        axes[i] = i;
    struct value *a = made_ints(x, "axes", axes, rank, -1);
    struct value *s = made_ints(x, "steps", steps, rank, -1);
    struct node *n = emit(x, "Slice", "", 5, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = starts;
    n->in[2] = ends;
    n->in[3] = a;
    n->in[4] = s;
    struct value *out = between(x, "Slice", v->dtype, NULL);
    node_set_output(n, 0, out);
    return out;
}

static enum status read_hlo_slice(struct op_reader *x) {
    struct long_list starts, ends, steps;
    bool raw;
    TRY(need_inputs(x, 1));
    struct value *v = moved_in(x, 0, &raw);
    TRY(hlo_long_list(x, 0, "start_indices", &starts));
    TRY(hlo_long_list(x, 1, "limit_indices", &ends));
    TRY(hlo_long_list(x, 2, "strides", &steps));
    TRY(hlo_need_count(x, &starts, "start_indices", v->rank));
    TRY(hlo_need_count(x, &ends, "limit_indices", v->rank));
    TRY(hlo_need_count(x, &steps, "strides", v->rank));
    v = hlo_sliced(x, v, made_ints(x, "starts", starts.v, starts.n, -1),
                   made_ints(x, "ends", ends.v, ends.n, -1), steps.v, v->rank);
    return give_moved(x, v, raw);
}

/* Inputs first .. first + rank are one start an axis: one list of int64, kept so that a part of
 * `part` elements lies inside. */
static enum status starts_in(struct op_reader *x, int first, const struct value *whole,
                             const int64_t *part, struct value **out) {
    int64_t one = 1, zero = 0, last[MAX_RANK + 1];
    FAIL_IF(x->n_in != first + whole->rank || whole->rank < 1, x->r->err, STATUS_CORRUPT,
            "%d start indices for rank %d", x->n_in - first, whole->rank);
    struct value *starts[MAX_RANK], *shape = made_ints(x, "one", &one, 1, -1);
    for (int i = 0; i < whole->rank; i++) {
        last[i] = whole->dim[i] - part[i];
        FAIL_IF(last[i] < 0, x->r->err, STATUS_CORRUPT, "%lld elements of axis %d, which has %lld",
                (long long)part[i], i, (long long)whole->dim[i]);
        starts[i] = then1(x, "Cast", raw_in(x, first + i), NULL);
        starts[i]->dtype = DT_I64;
        node_set_int(x->last, "to", dtype_to_onnx(DT_I64));
        starts[i] = then2(x, "Reshape", starts[i], shape, NULL);
    }
    struct node *n = emit(x, "Concat", "", whole->rank, 1, ROLE_HELPER);
    memcpy(n->in, starts, sizeof *starts * (size_t)whole->rank);
    node_set_int(n, "axis", 0);
    struct value *list = between(x, "starts", DT_I64, NULL);
    node_set_output(n, 0, list);
    list = then2(x, "Max", list, made_ints(x, "least", &zero, 1, -1), NULL);
    *out = then2(x, "Min", list, made_ints(x, "most", last, whole->rank, -1), NULL);
    return OK;
}

static enum status read_hlo_dynamic_slice(struct op_reader *x) {
    struct long_list sizes;
    int64_t steps[MAX_RANK];
    struct value *starts = NULL;
    bool raw;
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    TRY(need_dims(x, raw_in(x, 0), "its operand"));
    TRY(hlo_long_list(x, 0, "slice_sizes", &sizes));
    TRY(hlo_need_count(x, &sizes, "slice_sizes", raw_in(x, 0)->rank));
    struct value *v = moved_in(x, 0, &raw);
    TRY(starts_in(x, 1, v, sizes.v, &starts));
    struct value *ends = then2(x, "Add", starts, made_ints(x, "sizes", sizes.v, sizes.n, -1), NULL);
    for (int i = 0; i < v->rank; i++)
        steps[i] = 1;
    return give_moved(x, hlo_sliced(x, v, starts, ends, steps, v->rank), raw);
}

static enum status read_hlo_dynamic_update(struct op_reader *x) {
    struct value *starts = NULL;
    TRY(need_inputs(x, x->n_in > 2 ? x->n_in : 2));
    TRY(need_dims(x, raw_in(x, 0), "its operand"));
    TRY(need_dims(x, raw_in(x, 1), "its update"));
    FAIL_IF(raw_in(x, 0)->rank != raw_in(x, 1)->rank, x->r->err, STATUS_CORRUPT,
            "an update of rank %d for an operand of rank %d", raw_in(x, 1)->rank,
            raw_in(x, 0)->rank);
    struct value *v = real_in(x, 0), *update = real_in(x, 1);
    TRY(starts_in(x, 2, v, update->dim, &starts));
    struct node *n = emit(x, "DYNAMIC_UPDATE_SLICE", "tflite", 3, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = update;
    n->in[2] = starts;
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

/* The index along one axis. */
static enum status read_hlo_iota(struct op_reader *x) {
    int64_t dim[MAX_RANK + 1], axis = fb_i64(&x->options2, 0, 0);
    FAIL_IF(x->n_out != 1, x->r->err, STATUS_CORRUPT, "%d outputs", x->n_out);
    const struct value *out = x->out[0];
    TRY(need_dims(x, out, "its output"));
    FAIL_IF(axis < 0 || axis >= out->rank, x->r->err, STATUS_CORRUPT, "axis %lld of %d",
            (long long)axis, out->rank);
    FAIL_IF(out->dtype == DT_NONE || !dtype_row(out->dtype)->bits || out->dtype == DT_STRING,
            x->r->err, STATUS_UNSUPPORTED, "an index of type %s", dtype_name(out->dtype));
    FAIL_IF(out->dim[axis] > INT32_MAX, x->r->err, STATUS_CORRUPT, "%lld indices",
            (long long)out->dim[axis]);
    struct tensor *t = tensor_in_arena(x->r->m->arena, out->dtype, dtype_row(out->dtype)->widened,
                                       1, &out->dim[axis]);
    for (int64_t i = 0; i < out->dim[axis]; i++)
        tensor_set_f64(t, i, (double)i);
    for (int i = 0; i < out->rank; i++)
        dim[i] = i == axis ? out->dim[i] : 1;
    struct value *v = reshaped(x, made_tensor(x, "indices", t, -1), dim, out->rank);
    return hlo_give(
        x, then2(x, "Expand", v, made_ints(x, "result_shape", out->dim, out->rank, -1), NULL));
}

static enum status read_hlo_clamp(struct op_reader *x) {
    TRY(need_inputs(x, 3));
    struct value *low = real_in(x, 0), *v = real_in(x, 1), *high = real_in(x, 2);
    v = then2(x, "Max", v, low, NULL);
    return hlo_give(x, then2(x, "Min", v, high, NULL));
}

/* The remainder has the dividend's sign. */
static enum status read_hlo_remainder(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct value *a = real_in(x, 0), *b = real_in(x, 1), *v = then2(x, "Mod", a, b, NULL);
    node_set_int(x->last, "fmod", 1);
    return hlo_give(x, v);
}

static enum status read_hlo_logic(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    bool both = x->code == BUILTIN_STABLEHLO_AND, truth = raw_in(x, 0)->dtype == DT_BOOL;
    const char *op = truth ? (both ? "And" : "Or") : both ? "BitwiseAnd" : "BitwiseOr";
    return hlo_give(x, then2(x, op, raw_in(x, 0), raw_in(x, 1), NULL));
}

static enum status read_hlo_shift_left(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct value *v = then2(x, "BitShift", raw_in(x, 0), raw_in(x, 1), NULL);
    node_set_string(x->last, "direction", "LEFT");
    return hlo_give(x, v);
}

static enum status read_hlo_cbrt(struct op_reader *x) {
    TRY(need_inputs(x, 1));
    struct value *v = real_in(x, 0), *sign = then1(x, "Sign", v, NULL),
                 *size = then1(x, "Abs", v, NULL);
    size = then2(x, "Pow", size, made_real(x, "third", DT_F64, 1.0 / 3), NULL);
    return hlo_give(x, then2(x, "Mul", sign, size, NULL));
}

/* How one element compares with another: an operator, and whether its answer is turned round. */
static enum status comparison(struct op_reader *x, const struct fb_table *options, const char **op,
                              bool *negate) {
    static const char *const ops[] = { "Equal",   "Equal",       "GreaterOrEqual",
                                       "Greater", "LessOrEqual", "Less" };
    enum { NOT_EQUAL = 1, TOTAL_ORDER = 2 };
    uint32_t direction = fb_u32(options, 0, 0);
    FAIL_IF(direction >= sizeof ops / sizeof *ops, x->r->err, STATUS_CORRUPT,
            "comparison direction %u", direction);
    if (fb_u32(options, 1, 0) == TOTAL_ORDER)
        return refuse(x, "a comparison in total order, which tells -0 from 0 and orders NaN");
    *op = ops[direction];
    *negate = direction == NOT_EQUAL;
    return OK;
}

static enum status read_hlo_compare(struct op_reader *x) {
    const char *op = "";
    bool negate = false;
    TRY(need_inputs(x, 2));
    TRY(comparison(x, &x->options2, &op, &negate));
    struct value *a = real_in(x, 0), *b = real_in(x, 1), *v = then2(x, op, a, b, NULL);
    v->dtype = DT_BOOL;
    return hlo_give(x, negate ? then1(x, "Not", v, NULL) : v);
}

/* --- reductions --- */

static enum status read_hlo_reduce(struct op_reader *x) {
    static const struct {
        const char *reducer, *reduce, *then, *then_truth;
    } ways[] = { { "add", "ReduceSum", "Add", NULL },
                 { "mul", "ReduceProd", "Mul", NULL },
                 { "max", "ReduceMax", "Max", "Or" },
                 { "min", "ReduceMin", "Min", "And" } };
    const char *reducer = "";
    struct long_list axes;
    if (x->n_in != 2 || x->n_out != 1)
        return refuse(x, "a reduction of several tensors");
    TRY(need_inputs(x, 2));
    TRY(hlo_axes(x, 0, "dimensions", raw_in(x, 0)->rank, &axes));
    TRY(tflite_reducer(x, fb_i32(&x->options2, 1, 0), &reducer));
    struct value *v = real_in(x, 0), *first = real_in(x, 1);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (strcmp(ways[i].reducer, reducer) != 0)
            continue;
        bool truth = v->dtype == DT_BOOL;
        if (truth && !ways[i].then_truth)
            break;
        v = then2(x, ways[i].reduce, v, made_ints(x, "dimensions", axes.v, axes.n, -1), NULL);
        node_set_int(x->last, "keepdims", 0);
        node_set_int(x->last, "noop_with_empty_axes", 1);
        return hlo_give(x, then2(x, truth ? ways[i].then_truth : ways[i].then, v, first, NULL));
    }
    return refuse(x, "its reduction");
}

/* --- SORT: by the first tensor, the others follow --- */

/* The comparator's body must compare the first pair of its arguments. */
static enum status sort_direction(struct op_reader *x, bool *largest) {
    struct graph *g;
    TRY(tflite_subgraph(x, fb_i32(&x->options2, 2, 0), &g));
    const struct node *n = g->n_nodes == 1 && g->n_inputs == 2 * x->n_in ? g->nodes[0] : NULL;
    bool greater = n && (strcmp(n->op, "Greater") == 0 || strcmp(n->op, "GreaterOrEqual") == 0),
         less = n && (strcmp(n->op, "Less") == 0 || strcmp(n->op, "LessOrEqual") == 0);
    if ((!greater && !less) || n->in[0] != g->inputs[0] || n->in[1] != g->inputs[1])
        return refuse(x, "its comparator");
    *largest = greater;
    return OK;
}

static enum status read_hlo_sort(struct op_reader *x) {
    bool largest = false;
    int64_t axis = fb_i64(&x->options2, 0, 0);
    TRY(need_inputs(x, x->n_in ? x->n_in : 1));
    FAIL_IF(x->n_in != x->n_out, x->r->err, STATUS_CORRUPT, "%d inputs and %d outputs", x->n_in,
            x->n_out);
    TRY(need_dims(x, raw_in(x, 0), "its operand"));
    TRY(sort_direction(x, &largest));
    struct value *key = real_in(x, 0);
    FAIL_IF(axis < 0 || axis >= key->rank, x->r->err, STATUS_CORRUPT, "axis %lld of %d",
            (long long)axis, key->rank);
    struct value *count = made_ints(x, "count", &key->dim[axis], 1, -1);
    struct node *n = emit(x, "TopK", "", 2, 2, ROLE_MAIN);
    n->in[0] = key;
    n->in[1] = count;
    node_set_int(n, "axis", axis);
    node_set_int(n, "largest", largest);
    struct value *order = between(x, "order", DT_I64, NULL);
    node_set_output(n, 1, order);
    TRY(deliver(x, 0, n, 0, ACTIVATION_NONE));
    for (int i = 1; i < x->n_in; i++) {
        struct value *v = real_in(x, i);
        struct node *follow = emit(x, "GatherElements", "", 2, 1, ROLE_HELPER);
        follow->in[0] = v;
        follow->in[1] = order;
        node_set_int(follow, "axis", axis);
        TRY(deliver(x, i, follow, 0, ACTIVATION_NONE));
    }
    return OK;
}

/* --- GATHER and SCATTER have their own kernels (src/ops/stablehlo.c) --- */

static enum status set_list(struct op_reader *x, struct node *n, const char *name, int slot) {
    struct long_list list;
    TRY(hlo_long_list(x, slot, name, &list));
    node_set_ints(n, name, kept_ints(x, list.v, list.n), list.n);
    return OK;
}

static enum status read_hlo_gather(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    bool raw;
    struct value *v = moved_in(x, 0, &raw);
    struct node *n = emit(x, x->op_name, "tflite", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    TRY(set_list(x, n, "offset_dims", 0));
    TRY(set_list(x, n, "collapsed_slice_dims", 1));
    TRY(set_list(x, n, "start_index_map", 2));
    node_set_int(n, "index_vector_dim", fb_i64(&x->options2, 3, 0));
    TRY(set_list(x, n, "slice_sizes", 4));
    if (!raw)
        return deliver(x, 0, n, 0, ACTIVATION_NONE);
    node_set_output(n, 0, x->out[0]);
    return OK;
}

static enum status read_hlo_scatter(struct op_reader *x) {
    const char *reducer = "";
    TRY(need_inputs(x, 3));
    if (x->n_in != 3 || x->n_out != 1)
        return refuse(x, "a scatter into several tensors");
    TRY(tflite_reducer(x, fb_i32(&x->options2, 6, 0), &reducer));
    struct value *v = real_in(x, 0), *updates = real_in(x, 2);
    struct node *n = emit(x, x->op_name, "tflite", 3, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    n->in[2] = updates;
    TRY(set_list(x, n, "update_window_dims", 1));
    TRY(set_list(x, n, "inserted_window_dims", 2));
    TRY(set_list(x, n, "scatter_dims_to_operand_dims", 3));
    node_set_int(n, "index_vector_dim", fb_i64(&x->options2, 4, 0));
    node_set_string(n, "reduction", reducer);
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static const struct {
    enum builtin code;
    read_fn *read;
} rows[] = {
    { BUILTIN_STABLEHLO_RESHAPE, read_hlo_reshape },
    { BUILTIN_STABLEHLO_CLAMP, read_hlo_clamp },
    { BUILTIN_STABLEHLO_CONCATENATE, read_hlo_concatenate },
    { BUILTIN_STABLEHLO_BROADCAST_IN_DIM, read_hlo_broadcast },
    { BUILTIN_STABLEHLO_SLICE, read_hlo_slice },
    { BUILTIN_STABLEHLO_REDUCE, read_hlo_reduce },
    { BUILTIN_STABLEHLO_AND, read_hlo_logic },
    { BUILTIN_STABLEHLO_OR, read_hlo_logic },
    { BUILTIN_STABLEHLO_REMAINDER, read_hlo_remainder },
    { BUILTIN_STABLEHLO_SCATTER, read_hlo_scatter },
    { BUILTIN_STABLEHLO_COMPARE, read_hlo_compare },
    { BUILTIN_STABLEHLO_DYNAMIC_SLICE, read_hlo_dynamic_slice },
    { BUILTIN_STABLEHLO_DYNAMIC_UPDATE_SLICE, read_hlo_dynamic_update },
    { BUILTIN_STABLEHLO_IOTA, read_hlo_iota },
    { BUILTIN_STABLEHLO_SORT, read_hlo_sort },
    { BUILTIN_STABLEHLO_GATHER, read_hlo_gather },
    { BUILTIN_STABLEHLO_TRANSPOSE, read_hlo_transpose },
    { BUILTIN_STABLEHLO_SHIFT_LEFT, read_hlo_shift_left },
    { BUILTIN_STABLEHLO_CBRT, read_hlo_cbrt },
};

read_fn *map_stablehlo(enum builtin code) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return rows[i].read;
    return NULL;
}
