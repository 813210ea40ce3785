/* Cutting and joining tensors: Slice, Split, Concat, Compress, Trilu, ReverseSequence,
 * DepthToSpace, SpaceToDepth. */
#include "ops/move.h"
#include "ops/row.h"

#include <string.h>

/* --- Slice --- */

struct cut {
    int64_t begin[MAX_RANK], step[MAX_RANK], count[MAX_RANK];
};

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

/* One axis by Slice-13: counting from the end, clamping, and how many elements that makes. */
static void cut_axis(struct cut *cut, int axis, int64_t n, int64_t start, int64_t end,
                     int64_t step) {
    int64_t back = step < 0;
    start = clamp(start < 0 ? start + n : start, 0, n - back);
    end = clamp(end < 0 ? (end < -n ? -1 : end + n) : end, -back, n - back);
    uint64_t span = back ? (start > end ? (uint64_t)(start - end) : 0)
                         : (end > start ? (uint64_t)(end - start) : 0);
    uint64_t stride = back ? 0 - (uint64_t)step : (uint64_t)step;
    cut->begin[axis] = start;
    cut->step[axis] = step;
    cut->count[axis] = n ? (int64_t)(span / stride + (span % stride != 0)) : 0;
}

/* The axes that entry i of starts and ends belongs to. NULL axes: 0, 1, ... */
static enum status slice_axes(const int64_t *axes, int64_t n_axes, int64_t n, int rank, int *axis,
                              struct err *e) {
    bool seen[MAX_RANK] = { false };
    FAIL_IF(n > rank || (axes && n_axes != n), e, STATUS_CORRUPT,
            "%lld starts and %lld axes for a tensor of rank %d", (long long)n,
            (long long)(axes ? n_axes : n), rank);
    for (int64_t i = 0; i < n; i++) {
        TRY(axis_normalise(axes ? axes[i] : i, rank, &axis[i], e));
        FAIL_IF(seen[axis[i]], e, STATUS_CORRUPT, "axis %d is given twice", axis[i]);
        seen[axis[i]] = true;
    }
    return OK;
}

static void slice_dim(struct fact *out, int axis, int64_t n, int64_t start, int64_t end,
                      int64_t step) {
    struct cut cut;
    if (part_is_code(start) || part_is_code(end)) {
        bool from_first = start == 0 && step == 1;
        /* All of a dimension, or nothing more than is there. */
        out->dim[axis] = from_first && dim_of_part(end) == n && n != DIM_UNKNOWN ? n : DIM_UNKNOWN;
        return;
    }
    if (n >= 0)
        cut_axis(&cut, axis, n, start, end, step);
    bool whole = start == 0 && step == 1 && end >= INT32_MAX;
    bool none = (start >= 0) == (end >= 0) && (step > 0 ? end <= start : end >= start);
    out->dim[axis] = n >= 0 ? cut.count[axis] : whole ? n : none ? 0 : DIM_UNKNOWN;
}

static enum status shape_slice(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    const int64_t *list[5] = { NULL };
    int64_t n[5] = { 0 };
    bool known[5] = { false };
    int axis[MAX_RANK];
    c->out[0].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    for (int i = 1; i < c->n_in; i++) {
        known[i] = c->in[i].absent || (i < 3 ? fact_parts(c, &c->in[i], &list[i], &n[i])
                                             : fact_ints(c, &c->in[i], &list[i], &n[i]));
        if (!known[i] && c->in[i].rank == 1 && c->in[i].dim[0] >= 0)
            n[i] = c->in[i].dim[0];
    }
    fact_set_unknown(&c->out[0], x->dtype, x->rank);
    bool axes_known = c->n_in < 4 || known[3], steps_known = c->n_in < 5 || known[4];
    if (!axes_known || (!known[1] && c->in[1].rank != 1))
        return OK;
    TRY(slice_axes(list[3], n[3], n[1], x->rank, axis, c->err));
    fact_set(&c->out[0], x->dtype, x->rank, x->dim);
    SHAPE_FAIL_IF(known[1] && known[2] && n[1] != n[2], c, "%lld starts and %lld ends",
                  (long long)n[1], (long long)n[2]);
    SHAPE_FAIL_IF(list[4] && n[4] != n[1], c, "%lld starts and %lld steps", (long long)n[1],
                  (long long)n[4]);
    for (int64_t i = 0; i < n[1]; i++) {
        SHAPE_FAIL_IF(list[4] && list[4][i] == 0, c, "step %lld is 0", (long long)i);
        if (list[1] && list[2] && steps_known)
            slice_dim(&c->out[0], axis[i], x->dim[axis[i]], list[1][i], list[2][i],
                      list[4] ? list[4][i] : 1);
        else
            c->out[0].dim[axis[i]] = DIM_UNKNOWN;
    }
    return OK;
}

static enum status slice_cut(struct op_ctx *c, struct cut *cut) {
    const struct tensor *x = c->in[0];
    int64_t n[5] = { 0 };
    const int64_t *list[5] = { NULL };
    int axis[MAX_RANK];
    for (int i = 1; i < c->n_in; i++)
        list[i] = ints_of(c->scratch, c->in[i], &n[i]);
    TRY(slice_axes(list[3], n[3], n[1], x->rank, axis, c->err));
    for (int i = 0; i < x->rank; i++)
        cut_axis(cut, i, x->dim[i], 0, x->dim[i], 1);
    for (int64_t i = 0; i < n[1]; i++)
        cut_axis(cut, axis[i], x->dim[axis[i]], list[1][i], list[2][i], list[4] ? list[4][i] : 1);
    return OK;
}

/* How the elements of the cut lie in x. */
static void cut_move(struct move *m, const struct tensor *x, const struct cut *cut) {
    int64_t step[MAX_RANK], at = 0;
    dense_steps(x->dim, x->rank, step);
    m->rank = x->rank;
    m->size = element_size(x);
    for (int i = 0; i < x->rank; i++) {
        m->dim[i] = cut->count[i];
        m->src_step[i] = cut->count[i] > 1 ? step[i] * cut->step[i] : 0;
        at += cut->begin[i] * step[i];
    }
    dense_steps(m->dim, m->rank, m->dst_step);
    m->src = element_at(x, at);
}

static enum status eval_slice(struct op_ctx *c) {
    struct cut cut;
    struct move m = { .dst = c->out[0]->data };
    if (tensor_count(c->out[0]) == 0)
        return OK;
    TRY(slice_cut(c, &cut));
    cut_move(&m, c->in[0], &cut);
    move_run(&m);
    own_strings(c->out[0]);
    return OK;
}

/* --- Split --- */

/* The sizes of the parts of a dimension of n; `given` NULL: equal parts, the last one smaller. */
static enum status split_sizes(const struct node *node, int64_t n, const int64_t *given,
                               int64_t n_given, int64_t *size, struct err *e) {
    int parts = node->n_out;
    const struct attr *number = attr_find(node, "num_outputs");
    FAIL_IF(given && n_given != parts, e, STATUS_CORRUPT, "%lld sizes for %d outputs",
            (long long)n_given, parts);
    FAIL_IF(!given && number && number->i != parts, e, STATUS_CORRUPT,
            "num_outputs is %lld but the node has %d outputs", (long long)number->i, parts);
    int64_t chunk = n / parts + (n % parts != 0), sum = 0;
    for (int i = 0; i < parts; i++) {
        size[i] = given ? given[i] : i < parts - 1 ? chunk : n - chunk * (parts - 1);
        FAIL_IF(size[i] < 0 || size[i] > n - sum, e, STATUS_CORRUPT,
                "a dimension of %lld does not split into these %d parts", (long long)n, parts);
        sum += size[i];
    }
    FAIL_IF(sum != n, e, STATUS_CORRUPT, "the parts sum to %lld, the dimension is %lld",
            (long long)sum, (long long)n);
    return OK;
}

static enum status shape_split(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    int axis;
    int64_t n = 0, *size = NEW_ARRAY(c->arena, c->n_out + 1, int64_t);
    const int64_t *given = NULL;
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dtype = x->dtype;
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    bool has = c->n_in > 1 && !c->in[1].absent, known = has && fact_ints(c, &c->in[1], &given, &n);
    bool sized = x->dim[axis] >= 0 && known == has;
    bool in_part = !known && has && fact_parts(c, &c->in[1], &given, &n) && n == c->n_out;
    if (sized)
        TRY(split_sizes(c->node, x->dim[axis], given, n, size, c->err));
    for (int i = 0; i < c->n_out; i++) {
        fact_set(&c->out[i], x->dtype, x->rank, x->dim);
        c->out[i].dim[axis] = sized                                     ? size[i]
                              : in_part                                 ? dim_of_part(given[i])
                              : known && n == c->n_out && given[i] >= 0 ? given[i]
                                                                        : DIM_UNKNOWN;
    }
    return OK;
}

static enum status eval_split(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    int64_t outer = dims_product(x->dim, 0, axis), inner = dims_product(x->dim, axis + 1, x->rank),
            at = 0;
    for (int i = 0; i < c->n_out; i++) {
        int64_t line = c->out_fact[i].dim[axis] * inner;
        if (c->out[i]) {
            struct move m = { .dst = c->out[i]->data,
                              .src = element_at(x, at),
                              .size = element_size(x),
                              .rank = 2,
                              .dim = { outer, line },
                              .dst_step = { line, 1 },
                              .src_step = { x->dim[axis] * inner, 1 } };
            move_run(&m);
            own_strings(c->out[i]);
        }
        at += line;
    }
    return OK;
}

/* --- Concat --- */

static enum status shape_concat(struct shape_ctx *c) {
    struct fact *out = &c->out[0];
    int axis, rank = -1;
    int64_t sum = 0;
    out->dtype = c->in[0].dtype;
    for (int i = 0; i < c->n_in; i++)
        rank = rank < 0 ? c->in[i].rank : rank;
    if (rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), rank, &axis, c->err));
    fact_set_unknown(out, out->dtype, rank);
    for (int i = 0; i < c->n_in; i++) {
        const struct fact *x = &c->in[i];
        SHAPE_FAIL_IF(x->absent, c, "input %d is missing", i);
        SHAPE_FAIL_IF(x->rank >= 0 && x->rank != rank, c, "input %d has rank %d, input 0 has %d", i,
                      x->rank, rank);
        SHAPE_FAIL_IF(x->dtype && out->dtype && x->dtype != out->dtype, c, "inputs of %s and %s",
                      dtype_name(out->dtype), dtype_name(x->dtype));
        for (int k = 0; k < rank && x->rank >= 0; k++) {
            int64_t a = out->dim[k], b = x->dim[k];
            SHAPE_FAIL_IF(k != axis && a >= 0 && b >= 0 && a != b, c,
                          "input %d has dimension %lld on axis %d, another has %lld", i,
                          (long long)b, k, (long long)a);
            if (k != axis && (b >= 0 || a == DIM_UNKNOWN))
                out->dim[k] = b;
        }
        int64_t d = x->rank >= 0 ? x->dim[axis] : DIM_UNKNOWN;
        SHAPE_FAIL_IF(d >= 0 && sum >= 0 && d > INT64_MAX - sum, c,
                      "the sum of the dimensions overflows");
        sum = c->n_in == 1 ? d : d < 0 || sum < 0 ? DIM_UNKNOWN : sum + d;
    }
    out->dim[axis] = sum;
    return OK;
}

static enum status eval_concat(struct op_ctx *c) {
    struct tensor *y = c->out[0];
    int axis;
    TRY(axis_normalise(attr_int(c->node, "axis"), y->rank, &axis, c->err));
    join_lines(y, dims_product(y->dim, 0, axis), c->in, c->n_in, false);
    return OK;
}

/* --- Compress --- */

static enum status shape_compress(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    SHAPE_FAIL_IF(c->in[1].rank >= 0 && c->in[1].rank != 1, c,
                  "the condition must be a list, it has rank %d", c->in[1].rank);
    c->out[0].dtype = x->dtype;
    if (!attr_find(c->node, "axis")) {
        fact_set_unknown(&c->out[0], x->dtype, 1);
        return OK;
    }
    int axis;
    if (x->rank < 0)
        return OK;
    TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
    fact_set(&c->out[0], x->dtype, x->rank, x->dim);
    c->out[0].dim[axis] = DIM_UNKNOWN;
    return OK;
}

static enum status eval_compress(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *condition = c->in[1];
    int axis = 0, rank = 1;
    int64_t dim[MAX_RANK] = { tensor_count(x) };
    if (attr_find(c->node, "axis")) {
        TRY(axis_normalise(attr_int(c->node, "axis"), x->rank, &axis, c->err));
        rank = x->rank;
        memcpy(dim, x->dim, sizeof dim);
    }
    int64_t n = dim[axis], outer = dims_product(dim, 0, axis),
            inner = dims_product(dim, axis + 1, rank), kept = 0, at = 0;
    int64_t n_condition = tensor_count(condition);
    for (int64_t i = 0; i < n_condition; i++) {
        bool keep = tensor_i64(condition, i) != 0;
        FAIL_IF(keep && i >= n, c->err, STATUS_CORRUPT,
                "the condition selects element %lld of %lld", (long long)i, (long long)n);
        kept += keep;
    }
    dim[axis] = kept;
    TRY(op_output(c, 0, x->dtype, rank, dim));
    for (int64_t i = 0; i < n_condition; i++) {
        if (!tensor_i64(condition, i))
            continue;
        struct move m = { .dst = element_at(c->out[0], at++ * inner),
                          .src = element_at(x, i * inner),
                          .size = element_size(x),
                          .rank = 2,
                          .dim = { outer, inner },
                          .dst_step = { kept * inner, 1 },
                          .src_step = { n * inner, 1 } };
        move_run(&m);
    }
    own_strings(c->out[0]);
    return OK;
}

/* --- Trilu --- */

static enum status shape_trilu(struct shape_ctx *c) {
    SHAPE_FAIL_IF(c->in[0].rank >= 0 && c->in[0].rank < 2, c,
                  "the input must be a matrix, it has rank %d", c->in[0].rank);
    int64_t n;
    SHAPE_FAIL_IF(c->n_in > 1 && fact_known(&c->in[1]) &&
                      (!dims_count(c->in[1].dim, c->in[1].rank, &n) || n > 1),
                  c, "k must be one number");
    return shape_same(c);
}

static enum status eval_trilu(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    bool upper = attr_int(c->node, "upper") != 0;
    int64_t rows = x->dim[x->rank - 2], columns = x->dim[x->rank - 1];
    int64_t k = c->n_in > 1 && c->in[1] && tensor_count(c->in[1]) ? tensor_i64(c->in[1], 0) : 0;
    k = clamp(k, -rows - 1, columns + 1);
    if (tensor_count(x) == 0)
        return OK;
    int64_t lines = tensor_count(x) / columns;
    for (int64_t line = 0; line < lines; line++) {
        int64_t i = line % rows;
        int64_t from = upper ? clamp(i + k, 0, columns) : 0,
                to = upper ? columns : clamp(i + k + 1, 0, columns);
        if (to > from)
            memcpy(element_at(y, line * columns + from), element_at(x, line * columns + from),
                   (size_t)(to - from) * element_size(x));
    }
    own_strings(y);
    return OK;
}

/* --- ReverseSequence --- */

static enum status reverse_axes(const struct node *n, int *time, int *batch, struct err *e) {
    int64_t t = attr_int(n, "time_axis"), b = attr_int(n, "batch_axis");
    FAIL_IF(t < 0 || t > 1 || b < 0 || b > 1 || t == b, e, STATUS_CORRUPT,
            "time_axis %lld and batch_axis %lld must be 0 and 1", (long long)t, (long long)b);
    *time = (int)t;
    *batch = (int)b;
    return OK;
}

static enum status shape_reverse_sequence(struct shape_ctx *c) {
    int time, batch;
    const struct fact *x = &c->in[0], *lens = &c->in[1];
    TRY(reverse_axes(c->node, &time, &batch, c->err));
    SHAPE_FAIL_IF(x->rank >= 0 && x->rank < 2, c, "the input has rank %d, at least 2 are needed",
                  x->rank);
    SHAPE_FAIL_IF(x->rank >= 0 && lens->rank == 1 && x->dim[batch] >= 0 && lens->dim[0] >= 0 &&
                      x->dim[batch] != lens->dim[0],
                  c, "%lld lengths for a batch of %lld", (long long)lens->dim[0],
                  (long long)x->dim[batch]);
    SHAPE_FAIL_IF(lens->rank >= 0 && lens->rank != 1, c, "sequence_lens must be a list");
    return shape_same(c);
}

static enum status eval_reverse_sequence(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    int time, batch;
    TRY(reverse_axes(c->node, &time, &batch, c->err));
    int64_t inner = dims_product(x->dim, 2, x->rank), n = x->dim[time];
    int64_t time_step = time == 0 ? x->dim[1] * inner : inner,
            batch_step = time == 0 ? inner : x->dim[1] * inner;
    for (int64_t b = 0; b < x->dim[batch]; b++) {
        int64_t len = tensor_i64(c->in[1], b);
        FAIL_IF(len < 0 || len > n, c->err, STATUS_CORRUPT, "sequence length %lld of %lld steps",
                (long long)len, (long long)n);
        for (int64_t t = 0; t < n && inner; t++) {
            int64_t from = t < len ? len - 1 - t : t;
            memcpy(element_at(y, b * batch_step + t * time_step),
                   element_at(x, b * batch_step + from * time_step),
                   (size_t)inner * element_size(x));
        }
    }
    own_strings(y);
    return OK;
}

/* --- DepthToSpace, SpaceToDepth --- */

struct blocks {
    bool channels_last, depth_first; /* depth_first: DCR */
    int64_t size;
    int c, h, w; /* axes */
};

static enum status blocks_of(const struct node *n, struct blocks *b, struct err *e) {
    const char *mode = attr_str(n, "mode"), *layout = attr_str(n, "layout");
    b->depth_first = strcmp(mode, "DCR") == 0;
    b->channels_last = strcmp(layout, "NHWC") == 0;
    b->size = attr_int(n, "blocksize");
    b->c = b->channels_last ? 3 : 1;
    b->h = b->channels_last ? 1 : 2;
    b->w = b->h + 1;
    FAIL_IF(!b->depth_first && strcmp(mode, "CRD") != 0, e, STATUS_CORRUPT,
            "mode '%s' is neither DCR nor CRD", mode);
    FAIL_IF(!b->channels_last && strcmp(layout, "NCHW") != 0, e, STATUS_CORRUPT,
            "layout '%s' is neither NCHW nor NHWC", layout);
    FAIL_IF(b->size < 1 || b->size > 1 << 20, e, STATUS_CORRUPT, "blocksize %lld",
            (long long)b->size);
    return OK;
}

static int64_t dim_times(int64_t d, int64_t by) {
    return d >= 0 && d <= INT64_MAX / by ? d * by : by == 1 ? d : DIM_UNKNOWN;
}

static enum status shape_blocks(struct shape_ctx *c, bool to_space) {
    const struct fact *x = &c->in[0];
    struct blocks b;
    TRY(blocks_of(c->node, &b, c->err));
    c->out[0].dtype = x->dtype;
    SHAPE_FAIL_IF(x->rank >= 0 && x->rank != 4, c, "the input must have rank 4, it has %d",
                  x->rank);
    if (x->rank < 0)
        return OK;
    int64_t square = b.size * b.size, deep = x->dim[b.c], high = x->dim[b.h], wide = x->dim[b.w];
    fact_set(&c->out[0], x->dtype, 4, x->dim);
    SHAPE_FAIL_IF(to_space && deep >= 0 && deep % square, c,
                  "%lld channels do not fill blocks of %lld", (long long)deep, (long long)square);
    SHAPE_FAIL_IF(!to_space && ((high >= 0 && high % b.size) || (wide >= 0 && wide % b.size)), c,
                  "a plane of %lld x %lld does not split into blocks of %lld", (long long)high,
                  (long long)wide, (long long)b.size);
    c->out[0].dim[b.c] =
        to_space ? (deep >= 0 ? deep / square : DIM_UNKNOWN) : dim_times(deep, square);
    c->out[0].dim[b.h] = to_space    ? dim_times(high, b.size)
                         : high >= 0 ? high / b.size
                                     : DIM_UNKNOWN;
    c->out[0].dim[b.w] = to_space    ? dim_times(wide, b.size)
                         : wide >= 0 ? wide / b.size
                                     : DIM_UNKNOWN;
    return OK;
}

static enum status shape_depth_to_space(struct shape_ctx *c) {
    return shape_blocks(c, true);
}

static enum status shape_space_to_depth(struct shape_ctx *c) {
    return shape_blocks(c, false);
}

/* The deep tensor seen as (n, bh, bw, c', h, w) and the wide one likewise; the copy goes one way or
 * the other. */
static enum status eval_blocks(struct op_ctx *c, bool to_space) {
    struct blocks b;
    TRY(blocks_of(c->node, &b, c->err));
    const struct tensor *deep = to_space ? c->in[0] : c->out[0],
                        *wide = to_space ? c->out[0] : c->in[0];
    int64_t ds[4], ws[4];
    dense_steps(deep->dim, 4, ds);
    dense_steps(wide->dim, 4, ws);
    int64_t channels = wide->dim[b.c], block = b.depth_first ? channels : 1,
            channel = b.depth_first ? 1 : b.size * b.size;
    struct move m = {
        .dst = c->out[0]->data,
        .src = c->in[0]->data,
        .size = element_size(deep),
        .rank = 6,
        .dim = { deep->dim[0], b.size, b.size, channels, deep->dim[b.h], deep->dim[b.w] },
        .src_step = { ds[0], ds[b.c] * b.size * block, ds[b.c] * block, ds[b.c] * channel, ds[b.h],
                      ds[b.w] },
        .dst_step = { ws[0], ws[b.h], ws[b.w], ws[b.c], ws[b.h] * b.size, ws[b.w] * b.size },
    };
    for (int i = 0; i < 6 && !to_space; i++) {
        int64_t t = m.src_step[i];
        m.src_step[i] = m.dst_step[i];
        m.dst_step[i] = t;
    }
    move_run(&m);
    own_strings(c->out[0]);
    return OK;
}

static enum status eval_depth_to_space(struct op_ctx *c) {
    return eval_blocks(c, true);
}

static enum status eval_space_to_depth(struct op_ctx *c) {
    return eval_blocks(c, false);
}

#define BLOCK_ATTRS ATTRS(NEEDED("blocksize", INT), STRING("mode", "DCR"), STRING("layout", "NCHW"))

/* clang-format off */
const struct op ops_slice[] = {
    { ONNX("Slice", 13, 3, 5), .whole = 30, .flags = OP_MOVES, .shape = shape_slice, .eval = eval_slice, .grad = grad_moves },
    { .name = "Split", .domain = "", .whole = 2, .spec = "ONNX Split-18", .min_in = 1, .max_in = 2, .min_out = 1, .max_out = -1,
      .flags = OP_MOVES, .attrs = ATTRS(INT("axis", 0), PLAIN("num_outputs", INT)), .shape = shape_split, .eval = eval_split,
      .grad = grad_moves },
    { ONNX("Concat", 13, 1, -1), .flags = OP_MOVES, .attrs = ATTRS(NEEDED("axis", INT)), .shape = shape_concat, .eval = eval_concat,
      .grad = grad_moves },
    { ONNX("Compress", 28, 2, 2), .flags = OP_MOVES | OP_DATA_SHAPE, .attrs = ATTRS(PLAIN("axis", INT)), .shape = shape_compress,
      .eval = eval_compress, .grad = grad_moves },
    { ONNX("Trilu", 14, 1, 2), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("upper", 1)), .shape = shape_trilu, .eval = eval_trilu,
      .grad = grad_moves },
    { ONNX("ReverseSequence", 28, 2, 2), .whole = 2, .flags = OP_MOVES, .attrs = ATTRS(INT("batch_axis", 1), INT("time_axis", 0)),
      .shape = shape_reverse_sequence, .eval = eval_reverse_sequence, .grad = grad_moves },
    { ONNX("DepthToSpace", 28, 1, 1), .flags = OP_MOVES, .attrs = BLOCK_ATTRS, .shape = shape_depth_to_space,
      .eval = eval_depth_to_space, .grad = grad_moves },
    { ONNX("SpaceToDepth", 28, 1, 1), .flags = OP_MOVES, .attrs = BLOCK_ATTRS, .shape = shape_space_to_depth,
      .eval = eval_space_to_depth, .grad = grad_moves },
    { 0 },
};
