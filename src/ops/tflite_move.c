/* TensorFlow Lite's movers that ONNX lacks: slices and pads with computed lists, gathers with batch
 * dimensions, blocks of space and batch, diagonals. */
#include <string.h>

#include "ops/move.h"
#include "ops/row.h"

static const int64_t *list_of(struct op_ctx *c, int i, int64_t *n) {
    return ints_of(c->scratch, c->in[i], n);
}

static enum status shape_rank_kept(struct shape_ctx *c) {
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank >= 0)
        fact_set_unknown(&c->out[0], c->in[0].dtype, c->in[0].rank);
    return OK;
}

/* --- SLICE: begin and size, -1 to the end --- */

static enum status slice_dims(const int64_t *dim, int rank, const int64_t *begin, int64_t nb,
                              const int64_t *size, int64_t ns, int64_t *out, struct err *e) {
    FAIL_IF(nb != rank || ns != rank, e, STATUS_CORRUPT,
            "begin has %lld elements, size %lld, the input has rank %d", (long long)nb,
            (long long)ns, rank);
    for (int i = 0; i < rank; i++) {
        FAIL_IF(begin[i] < 0 || begin[i] > dim[i], e, STATUS_CORRUPT,
                "begin %lld on axis %d of %lld elements", (long long)begin[i], i,
                (long long)dim[i]);
        out[i] = size[i] == -1 ? dim[i] - begin[i] : size[i];
        FAIL_IF(out[i] < 0 || out[i] > dim[i] - begin[i], e, STATUS_CORRUPT,
                "size %lld on axis %d of %lld elements", (long long)size[i], i, (long long)dim[i]);
    }
    return OK;
}

static enum status shape_slice(struct shape_ctx *c) {
    const int64_t *begin, *size;
    int64_t nb, ns;
    TRY(shape_rank_kept(c));
    if (!fact_known(&c->in[0]) || !fact_ints(c, &c->in[1], &begin, &nb) ||
        !fact_ints(c, &c->in[2], &size, &ns))
        return OK;
    return slice_dims(c->in[0].dim, c->in[0].rank, begin, nb, size, ns, c->out[0].dim, c->err);
}

static enum status eval_slice(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t nb, ns, at = 0, dim[MAX_RANK];
    const int64_t *begin = list_of(c, 1, &nb), *size = list_of(c, 2, &ns);
    TRY(slice_dims(x->dim, x->rank, begin, nb, size, ns, dim, c->err));
    TRY(op_output(c, 0, x->dtype, x->rank, dim));
    struct move m = { .size = element_size(x), .rank = x->rank, .dst = c->out[0]->data };
    memcpy(m.dim, dim, sizeof *dim * (size_t)x->rank);
    dense_steps(x->dim, x->rank, m.src_step);
    dense_steps(dim, x->rank, m.dst_step);
    for (int i = 0; i < x->rank; i++)
        at += begin[i] * m.src_step[i];
    m.src = element_at(x, at);
    move_run(&m);
    own_strings(c->out[0]);
    return OK;
}

/* --- STRIDED_SLICE --- */

struct strided {
    int rank, out_rank;
    int64_t begin[MAX_RANK], step[MAX_RANK], count[MAX_RANK]; /* by axis of the input */
    int64_t out[MAX_RANK];
};

static int64_t clamp(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}

static enum status strided_axis(struct strided *s, const struct node *n, int entry, int64_t size,
                                int64_t begin, int64_t end, int64_t step, struct err *e) {
    bool shrink = attr_int(n, "shrink_axis_mask") >> entry & 1;
    int k = s->rank++;
    FAIL_IF(step == 0 || step < -INT32_MAX, e, STATUS_CORRUPT, "a stride of %lld", (long long)step);
    if (attr_int(n, "offset"))
        end += begin;
    if (shrink) {
        begin += begin < 0 ? size : 0;
        FAIL_IF(begin < 0 || begin >= size, e, STATUS_CORRUPT, "index %lld of %lld",
                (long long)begin, (long long)size);
        s->begin[k] = begin;
        s->step[k] = s->count[k] = 1;
        return OK;
    }
    int64_t back = step < 0;
    bool open_begin = attr_int(n, "begin_mask") >> entry & 1,
         open_end = attr_int(n, "end_mask") >> entry & 1;
    begin = open_begin ? (back ? size - 1 : 0)
                       : clamp(begin < 0 ? begin + size : begin, -back, size - back);
    end = open_end ? (back ? -1 : size) : clamp(end < 0 ? end + size : end, -back, size - back);
    int64_t span = back ? begin - end : end - begin, stride = back ? -step : step;
    s->begin[k] = begin;
    s->step[k] = step;
    s->count[k] = span > 0 ? (span + stride - 1) / stride : 0;
    s->out[s->out_rank++] = s->count[k];
    return OK;
}

static enum status strided_read(struct strided *s, const struct node *n, int rank,
                                const int64_t *dim, const int64_t *const list[3],
                                const int64_t count[3], struct err *e) {
    int64_t ellipsis = attr_int(n, "ellipsis_mask"),
            fresh = attr_int(n, "new_axis_mask") & ~ellipsis;
    *s = (struct strided) { 0 };
    FAIL_IF(count[0] != count[1] || count[0] != count[2] || count[0] > MAX_RANK, e, STATUS_CORRUPT,
            "begin, end and strides differ in length");
    int n_fresh = 0;
    for (int i = 0; i < count[0]; i++)
        n_fresh += fresh >> i & 1;
    for (int i = 0; i <= count[0]; i++) {
        /* Axes that no entry names are whole, where the ellipsis stands or at the end. */
        bool whole = i < count[0] ? ellipsis >> i & 1 : ellipsis == 0;
        int64_t left = rank - (count[0] - n_fresh - (ellipsis != 0));
        for (; whole && left > 0; left--) {
            FAIL_IF(s->rank >= rank || s->out_rank >= MAX_RANK, e, STATUS_CORRUPT, "too many axes");
            s->count[s->rank] = s->out[s->out_rank++] = dim[s->rank];
            s->step[s->rank++] = 1;
        }
        if (i == count[0] || whole)
            continue;
        FAIL_IF(s->out_rank >= MAX_RANK || (s->rank >= rank && !(fresh >> i & 1)), e,
                STATUS_CORRUPT, "more axes are sliced than the input has");
        if (fresh >> i & 1)
            s->out[s->out_rank++] = 1;
        else
            TRY(strided_axis(s, n, i, dim[s->rank], list[0][i], list[1][i], list[2][i], e));
    }
    return OK;
}

static enum status shape_strided(struct shape_ctx *c) {
    const int64_t *list[3];
    int64_t count[3];
    struct strided s;
    c->out[0].dtype = c->in[0].dtype;
    if (!fact_known(&c->in[0]))
        return OK;
    for (int i = 0; i < 3; i++)
        if (!fact_ints(c, &c->in[1 + i], &list[i], &count[i]))
            return OK;
    TRY(strided_read(&s, c->node, c->in[0].rank, c->in[0].dim, list, count, c->err));
    fact_set(&c->out[0], c->in[0].dtype, s.out_rank, s.out);
    return OK;
}

static enum status eval_strided(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    const int64_t *list[3];
    int64_t count[3], at = 0;
    struct strided s;
    for (int i = 0; i < 3; i++)
        list[i] = list_of(c, 1 + i, &count[i]);
    TRY(strided_read(&s, c->node, x->rank, x->dim, list, count, c->err));
    TRY(op_output(c, 0, x->dtype, s.out_rank, s.out));
    if (tensor_count(c->out[0]) == 0)
        return OK;
    struct move m = { .size = element_size(x), .rank = x->rank, .dst = c->out[0]->data };
    memcpy(m.dim, s.count, sizeof *m.dim * (size_t)x->rank);
    dense_steps(s.count, x->rank, m.dst_step);
    dense_steps(x->dim, x->rank, m.src_step);
    for (int i = 0; i < x->rank; i++) {
        at += s.begin[i] * m.src_step[i];
        m.src_step[i] *= s.step[i];
    }
    m.src = element_at(x, at);
    move_run(&m);
    own_strings(c->out[0]);
    return OK;
}

/* --- MIRROR_PAD: [rank, 2] paddings; SYMMETRIC repeats the edge element, REFLECT does not --- */

static enum status mirror_dims(const struct node *n, const int64_t *dim, int rank, const int64_t *p,
                               int64_t count, int64_t *out, struct err *e) {
    int64_t least = strcmp(attr_str(n, "mode"), "SYMMETRIC") == 0 ? 0 : 1;
    FAIL_IF(count != 2 * rank, e, STATUS_CORRUPT, "%lld paddings for rank %d", (long long)count,
            rank);
    for (int i = 0; i < rank; i++) {
        FAIL_IF(p[2 * i] < 0 || p[2 * i + 1] < 0 || p[2 * i] > dim[i] - least ||
                    p[2 * i + 1] > dim[i] - least,
                e, STATUS_CORRUPT, "paddings %lld and %lld on axis %d of %lld elements",
                (long long)p[2 * i], (long long)p[2 * i + 1], i, (long long)dim[i]);
        out[i] = dim[i] + p[2 * i] + p[2 * i + 1];
    }
    return OK;
}

static enum status shape_mirror(struct shape_ctx *c) {
    const int64_t *p;
    int64_t n;
    TRY(shape_rank_kept(c));
    if (!fact_known(&c->in[0]) || !fact_ints(c, &c->in[1], &p, &n))
        return OK;
    return mirror_dims(c->node, c->in[0].dim, c->in[0].rank, p, n, c->out[0].dim, c->err);
}

/* The flat index of element `at` of the source when every axis is looked up in a table of source
 * positions. */
struct lookup {
    int64_t *source[MAX_RANK];
};

static void copy_looked_up(struct tensor *y, const struct tensor *x, const struct lookup *l) {
    int64_t step[MAX_RANK], n = tensor_count(y), size = (int64_t)element_size(x);
    dense_steps(x->dim, x->rank, step);
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, at = 0;
        for (int k = x->rank - 1; k >= 0; k--) {
            at += l->source[k][rest % y->dim[k]] * step[k];
            rest /= y->dim[k];
        }
        memcpy((char *)y->data + i * size, (const char *)x->data + at * size, (size_t)size);
    }
    own_strings(y);
}

static enum status eval_mirror(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t n, dim[MAX_RANK];
    const int64_t *p = list_of(c, 1, &n);
    TRY(mirror_dims(c->node, x->dim, x->rank, p, n, dim, c->err));
    TRY(op_output(c, 0, x->dtype, x->rank, dim));
    int64_t skip = strcmp(attr_str(c->node, "mode"), "SYMMETRIC") == 0 ? 0 : 1;
    struct lookup l;
    for (int k = 0; k < x->rank; k++) {
        l.source[k] = NEW_ARRAY(c->scratch, dim[k] + 1, int64_t);
        for (int64_t i = 0; i < dim[k]; i++) {
            int64_t at = i - p[2 * k];
            l.source[k][i] = at < 0            ? -at - 1 + skip
                             : at >= x->dim[k] ? 2 * x->dim[k] - 1 - skip - at
                                               : at;
        }
    }
    copy_looked_up(c->out[0], x, &l);
    return OK;
}

/* --- GATHER with batch dimensions --- */

static enum status gather_dims(const struct node *n, const struct fact *x,
                               const struct fact *indices, int *axis, int *batch, int *rank,
                               int64_t *dim, struct err *e) {
    TRY(axis_normalise(attr_int(n, "axis"), x->rank, axis, e));
    int64_t b = attr_int(n, "batch_dims");
    b += b < 0 ? indices->rank : 0;
    FAIL_IF(b < 0 || b > indices->rank || b > *axis, e, STATUS_CORRUPT,
            "batch_dims %lld with axis %d", (long long)b, *axis);
    *batch = (int)b;
    *rank = x->rank + indices->rank - 1 - *batch;
    FAIL_IF(*rank > MAX_RANK, e, STATUS_UNSUPPORTED, "a result of rank %d", *rank);
    int k = 0;
    for (int i = 0; i < *axis; i++)
        dim[k++] = x->dim[i];
    for (int i = *batch; i < indices->rank; i++)
        dim[k++] = indices->dim[i];
    for (int i = *axis + 1; i < x->rank; i++)
        dim[k++] = x->dim[i];
    for (int i = 0; i < *batch; i++)
        FAIL_IF(x->dim[i] >= 0 && indices->dim[i] >= 0 && x->dim[i] != indices->dim[i], e,
                STATUS_CORRUPT, "batch dimension %d differs", i);
    return OK;
}

static enum status shape_gather(struct shape_ctx *c) {
    int axis, batch, rank;
    int64_t dim[MAX_RANK];
    c->out[0].dtype = c->in[0].dtype;
    if (c->in[0].rank < 0 || c->in[1].rank < 0)
        return OK;
    TRY(gather_dims(c->node, &c->in[0], &c->in[1], &axis, &batch, &rank, dim, c->err));
    fact_set(&c->out[0], c->in[0].dtype, rank, dim);
    return OK;
}

static enum status eval_gather(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *at = c->in[1];
    struct fact fx = { .rank = x->rank }, fi = { .rank = at->rank };
    memcpy(fx.dim, x->dim, sizeof fx.dim);
    memcpy(fi.dim, at->dim, sizeof fi.dim);
    int axis, batch, rank;
    int64_t dim[MAX_RANK];
    TRY(gather_dims(c->node, &fx, &fi, &axis, &batch, &rank, dim, c->err));
    TRY(op_output(c, 0, x->dtype, rank, dim));
    int64_t batches = dims_product(x->dim, 0, batch), outer = dims_product(x->dim, batch, axis),
            n = x->dim[axis];
    int64_t inner = dims_product(x->dim, axis + 1, x->rank),
            count = dims_product(at->dim, batch, at->rank);
    size_t line = element_size(x) * (size_t)inner;
    char *dst = c->out[0]->data;
    for (int64_t b = 0; b < batches; b++)
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < count; i++, dst += line) {
                int64_t k = tensor_i64(at, b * count + i);
                FAIL_IF(k < 0 || k >= n, c->err, STATUS_CORRUPT, "index %lld of %lld", (long long)k,
                        (long long)n);
                memcpy(dst, element_at(x, ((b * outer + o) * n + k) * inner), line);
            }
    own_strings(c->out[0]);
    return OK;
}

/* --- SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: input, block shape [m], paddings or crops [m, 2],
 * what the padding holds (0) --- */

struct blocks {
    int m;
    const int64_t *block, *edge;
    bool to_batch;
    int64_t dim[MAX_RANK];
};

static enum status blocks_read(struct blocks *b, const char *op, const int64_t *dim, int rank,
                               const int64_t *block, int64_t nb, const int64_t *edge, int64_t ne,
                               struct err *e) {
    FAIL_IF(nb < 1 || nb >= rank || ne != 2 * nb, e, STATUS_CORRUPT,
            "%lld block sizes and %lld edges for rank %d", (long long)nb, (long long)ne, rank);
    *b = (struct blocks) { .m = (int)nb, .block = block, .edge = edge, .to_batch = op[0] == 'S' };
    int64_t all = 1;
    memcpy(b->dim, dim, sizeof *dim * (size_t)rank);
    for (int i = 0; i < b->m; i++) {
        FAIL_IF(block[i] < 1 || block[i] > INT32_MAX || edge[2 * i] < 0 || edge[2 * i + 1] < 0 ||
                    edge[2 * i] > INT32_MAX || edge[2 * i + 1] > INT32_MAX || all > INT32_MAX,
                e, STATUS_CORRUPT, "block %lld on axis %d", (long long)block[i], i + 1);
        all *= block[i];
        int64_t edges = edge[2 * i] + edge[2 * i + 1];
        b->dim[i + 1] =
            b->to_batch ? (dim[i + 1] + edges) / block[i] : dim[i + 1] * block[i] - edges;
        FAIL_IF(b->dim[i + 1] < 0 || (b->to_batch && (dim[i + 1] + edges) % block[i]), e,
                STATUS_CORRUPT, "axis %d of %lld does not divide into blocks of %lld", i + 1,
                (long long)dim[i + 1], (long long)block[i]);
    }
    FAIL_IF(all > INT32_MAX, e, STATUS_CORRUPT, "%lld blocks", (long long)all);
    FAIL_IF(!b->to_batch && dim[0] % all, e, STATUS_CORRUPT,
            "a batch of %lld does not divide into %lld blocks", (long long)dim[0], (long long)all);
    b->dim[0] = b->to_batch ? dim[0] * all : dim[0] / all;
    return OK;
}

static enum status shape_blocks(struct shape_ctx *c) {
    const int64_t *block, *edge;
    int64_t nb, ne;
    struct blocks b;
    TRY(shape_rank_kept(c));
    if (!fact_known(&c->in[0]) || !fact_ints(c, &c->in[1], &block, &nb) ||
        !fact_ints(c, &c->in[2], &edge, &ne))
        return OK;
    TRY(blocks_read(&b, c->node->op, c->in[0].dim, c->in[0].rank, block, nb, edge, ne, c->err));
    memcpy(c->out[0].dim, b.dim, sizeof *b.dim * (size_t)c->in[0].rank);
    return OK;
}

/* Walks the batched side: entry (block offset, batch, position) against position * block + offset -
 * edge of the space side. */
static enum status eval_blocks(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    int64_t nb, ne;
    const int64_t *block = list_of(c, 1, &nb), *edge = list_of(c, 2, &ne);
    struct blocks b;
    TRY(blocks_read(&b, c->node->op, x->dim, x->rank, block, nb, edge, ne, c->err));
    const struct tensor *fill = b.to_batch && c->n_in > 3 ? c->in[3] : NULL;
    FAIL_IF(fill && (fill->store != x->store || tensor_count(fill) != 1), c->err, STATUS_CORRUPT,
            "the padding holds something of another type");
    TRY(op_output(c, 0, x->dtype, x->rank, b.dim));
    struct tensor *y = c->out[0];
    const struct tensor *batched = b.to_batch ? y : x, *space = b.to_batch ? x : y;
    int64_t inner = dims_product(x->dim, b.m + 1, x->rank),
            positions = dims_product(batched->dim, 0, b.m + 1);
    size_t line = element_size(x) * (size_t)inner;
    for (int64_t i = 0; i < positions; i++) {
        int64_t rest = i, at[MAX_RANK], flat;
        for (int k = b.m; k > 0; k--) {
            at[k] = rest % batched->dim[k] * b.block[k - 1] - b.edge[2 * (k - 1)];
            rest /= batched->dim[k];
        }
        flat = rest % space->dim[0];
        rest /= space->dim[0];
        for (int k = b.m; k > 0; k--) {
            at[k] += rest % b.block[k - 1];
            rest /= b.block[k - 1];
        }
        bool inside = true;
        for (int k = 1; k <= b.m; k++) {
            inside &= at[k] >= 0 && at[k] < space->dim[k];
            flat = flat * space->dim[k] + at[k];
        }
        if (!inside && fill)
            for (int64_t k = 0; k < inner; k++)
                memcpy(element_at(y, i * inner + k), element_at(fill, 0), element_size(y));
        else if (inside && b.to_batch)
            memcpy(element_at(y, i * inner), element_at(x, flat * inner), line);
        else if (inside)
            memcpy(element_at(y, flat * inner), element_at(x, i * inner), line);
    }
    own_strings(y);
    return OK;
}

/* --- REVERSE_SEQUENCE on any two axes --- */

static enum status eval_reverse_sequence(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *lengths = c->in[1];
    int seq, batch;
    TRY(axis_normalise(attr_int(c->node, "seq_dim"), x->rank, &seq, c->err));
    TRY(axis_normalise(attr_int(c->node, "batch_dim"), x->rank, &batch, c->err));
    FAIL_IF(seq == batch || tensor_count(lengths) != x->dim[batch], c->err, STATUS_CORRUPT,
            "%lld lengths for a batch of %lld", (long long)tensor_count(lengths),
            (long long)x->dim[batch]);
    int64_t step[MAX_RANK], n = tensor_count(x);
    dense_steps(x->dim, x->rank, step);
    size_t size = element_size(x);
    for (int64_t i = 0; i < n; i++) {
        int64_t t = i / step[seq] % x->dim[seq], b = i / step[batch] % x->dim[batch],
                length = tensor_i64(lengths, b);
        FAIL_IF(length < 0 || length > x->dim[seq], c->err, STATUS_CORRUPT, "length %lld of %lld",
                (long long)length, (long long)x->dim[seq]);
        int64_t from = t < length ? i + (length - 1 - 2 * t) * step[seq] : i;
        memcpy(element_at(c->out[0], i), element_at(x, from), size);
    }
    own_strings(c->out[0]);
    return OK;
}

/* --- DYNAMIC_UPDATE_SLICE: the update is moved to lie inside the operand --- */

static enum status eval_update_slice(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *update = c->in[1];
    int64_t n, at = 0;
    const int64_t *start = list_of(c, 2, &n);
    FAIL_IF(n != x->rank || update->rank != x->rank || update->store != x->store, c->err,
            STATUS_CORRUPT, "an update of another rank or type");
    copy_elements(c->out[0], x);
    struct move m = { .size = element_size(x), .rank = x->rank, .src = update->data };
    memcpy(m.dim, update->dim, sizeof *m.dim * (size_t)x->rank);
    dense_steps(update->dim, x->rank, m.src_step);
    dense_steps(x->dim, x->rank, m.dst_step);
    for (int i = 0; i < x->rank; i++) {
        FAIL_IF(update->dim[i] > x->dim[i], c->err, STATUS_CORRUPT,
                "an update larger than the operand");
        at += clamp(start[i], 0, x->dim[i] - update->dim[i]) * m.dst_step[i];
    }
    m.dst = element_at(c->out[0], at);
    move_run(&m);
    return OK;
}

/* --- ONE_HOT: indices, depth, on, off; an index outside [0, depth) gives off everywhere --- */

static enum status shape_one_hot(struct shape_ctx *c) {
    const int64_t *depth;
    int64_t n, axis = attr_int(c->node, "axis");
    const struct fact *x = &c->in[0];
    c->out[0].dtype = c->in[2].dtype;
    if (x->rank < 0 || x->rank >= MAX_RANK)
        return OK;
    int64_t dim[MAX_RANK];
    axis = axis == -1 ? x->rank : axis;
    SHAPE_FAIL_IF(axis < 0 || axis > x->rank, c, "axis %lld", (long long)axis);
    for (int i = 0; i < x->rank; i++)
        dim[i < axis ? i : i + 1] = x->dim[i];
    dim[axis] = fact_ints(c, &c->in[1], &depth, &n) && n == 1 ? depth[0] : DIM_UNKNOWN;
    SHAPE_FAIL_IF(dim[axis] < DIM_UNKNOWN, c, "depth %lld", (long long)dim[axis]);
    fact_set(&c->out[0], c->in[2].dtype, x->rank + 1, dim);
    return OK;
}

static enum status eval_one_hot(struct op_ctx *c) {
    const struct tensor *x = c->in[0];
    struct tensor *y = c->out[0];
    FAIL_IF(!y || c->in[2]->store != y->store || c->in[3]->store != y->store ||
                tensor_count(c->in[2]) != 1 || tensor_count(c->in[3]) != 1,
            c->err, STATUS_CORRUPT, "on and off must be one element each of one type");
    int64_t axis = attr_int(c->node, "axis") == -1 ? x->rank : attr_int(c->node, "axis");
    int64_t depth = y->dim[axis], inner = dims_product(x->dim, (int)axis, x->rank),
            n = tensor_count(x);
    size_t size = element_size(y);
    fill_elements(y->data, element_at(c->in[3], 0), size, tensor_count(y));
    for (int64_t i = 0; i < n; i++) {
        int64_t k = tensor_i64(x, i);
        if (k >= 0 && k < depth)
            memcpy(element_at(y, (i / inner * depth + k) * inner + i % inner),
                   element_at(c->in[2], 0), size);
    }
    own_strings(y);
    return OK;
}

/* --- BROADCAST_ARGS: the shape that two shapes broadcast to --- */

static enum status shape_broadcast_args(struct shape_ctx *c) {
    const struct fact *a = &c->in[0], *b = &c->in[1];
    c->out[0].dtype = a->dtype;
    if (a->rank != 1 || b->rank != 1 || a->dim[0] < 0 || b->dim[0] < 0)
        return OK;
    int64_t n = a->dim[0] > b->dim[0] ? a->dim[0] : b->dim[0];
    fact_set(&c->out[0], a->dtype, 1, &n);
    return OK;
}

static enum status eval_broadcast_args(struct op_ctx *c) {
    int64_t na, nb;
    const int64_t *a = list_of(c, 0, &na), *b = list_of(c, 1, &nb);
    int64_t n = na > nb ? na : nb;
    TRY(op_output(c, 0, c->in[0]->dtype, 1, &n));
    for (int64_t i = 0; i < n; i++) {
        int64_t x = i < n - na ? 1 : a[i - (n - na)], y = i < n - nb ? 1 : b[i - (n - nb)];
        FAIL_IF(x != y && x != 1 && y != 1, c->err, STATUS_CORRUPT,
                "dimensions %lld and %lld do not broadcast", (long long)x, (long long)y);
        tensor_set_i64(c->out[0], i, x == 1 ? y : x);
    }
    return OK;
}

/* --- MATRIX_DIAG, MATRIX_SET_DIAG --- */

static enum status shape_diag(struct shape_ctx *c) {
    const struct fact *x = &c->in[0];
    c->out[0].dtype = x->dtype;
    if (x->rank < 1 || x->rank >= MAX_RANK)
        return OK;
    int64_t dim[MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank] = x->dim[x->rank - 1];
    fact_set(&c->out[0], x->dtype, x->rank + 1, dim);
    return OK;
}

static void set_diagonals(struct tensor *y, const struct tensor *diagonal) {
    int64_t rows = y->dim[y->rank - 2], columns = y->dim[y->rank - 1],
            n = rows < columns ? rows : columns;
    int64_t matrices = dims_product(y->dim, 0, y->rank - 2);
    for (int64_t k = 0; k < matrices; k++)
        for (int64_t i = 0; i < n; i++)
            memcpy(element_at(y, k * rows * columns + i * columns + i),
                   element_at(diagonal, k * n + i), element_size(y));
}

static enum status eval_diag(struct op_ctx *c) {
    FAIL_IF(!c->out[0], c->err, STATUS_CORRUPT, "a diagonal of rank %d", c->in[0]->rank);
    set_diagonals(c->out[0], c->in[0]);
    return OK;
}

static enum status eval_set_diag(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *d = c->in[1];
    FAIL_IF(x->rank < 2 || x->store != d->store, c->err, STATUS_CORRUPT, "a matrix of rank %d",
            x->rank);
    int64_t n =
        x->dim[x->rank - 2] < x->dim[x->rank - 1] ? x->dim[x->rank - 2] : x->dim[x->rank - 1];
    FAIL_IF(tensor_count(d) != dims_product(x->dim, 0, x->rank - 2) * n, c->err, STATUS_CORRUPT,
            "a diagonal of another size");
    copy_elements(c->out[0], x);
    set_diagonals(c->out[0], d);
    return OK;
}

/* clang-format off */
#define MOVES(name_, least, most, shape_, eval_)                                                   \
    .name = name_, .domain = "tflite", .spec = "TFLite " name_, .min_in = least, .max_in = most,   \
    .min_out = 1, .max_out = 1, .flags = OP_MOVES, .shape = shape_, .eval = eval_, .grad = grad_moves

const struct op ops_tflite_move[] = {
    { MOVES("SLICE", 3, 3, shape_slice, eval_slice) },
    { MOVES("STRIDED_SLICE", 4, 4, shape_strided, eval_strided),
      .attrs = ATTRS(INT("begin_mask", 0), INT("end_mask", 0), INT("ellipsis_mask", 0), INT("new_axis_mask", 0),
                     INT("shrink_axis_mask", 0), INT("offset", 0)) },
    { MOVES("MIRROR_PAD", 2, 2, shape_mirror, eval_mirror), .attrs = ATTRS(STRING("mode", "REFLECT")) },
    { MOVES("GATHER", 2, 2, shape_gather, eval_gather), .attrs = ATTRS(INT("axis", 0), INT("batch_dims", 0)) },
    { MOVES("SPACE_TO_BATCH_ND", 3, 4, shape_blocks, eval_blocks) },
    { MOVES("BATCH_TO_SPACE_ND", 3, 3, shape_blocks, eval_blocks) },
    { MOVES("REVERSE_SEQUENCE", 2, 2, shape_same, eval_reverse_sequence), .attrs = ATTRS(INT("seq_dim", 0), INT("batch_dim", 0)) },
    { MOVES("DYNAMIC_UPDATE_SLICE", 3, 3, shape_same, eval_update_slice) },
    { MOVES("ONE_HOT", 4, 4, shape_one_hot, eval_one_hot), .attrs = ATTRS(INT("axis", -1)) },
    { .name = "BROADCAST_ARGS", .domain = "tflite", .spec = "TFLite BROADCAST_ARGS", .min_in = 2, .max_in = 2, .min_out = 1, .max_out = 1,
      .flags = OP_MOVES | OP_NO_GRADIENT, .shape = shape_broadcast_args, .eval = eval_broadcast_args },
    { MOVES("MATRIX_DIAG", 1, 1, shape_diag, eval_diag) },
    { MOVES("MATRIX_SET_DIAG", 2, 2, shape_same, eval_set_diag) },
    { 0 },
};
