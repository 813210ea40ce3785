#include "ops/move.h"

#include <string.h>

int64_t dims_product(const int64_t *dim, int from, int to) {
    int64_t n = 1;
    for (int i = from; i < to; i++)
        n *= dim[i];
    return n;
}

int64_t dims_product_symbolic(const int64_t *dim, int from, int to) {
    int64_t known = 1, symbol = 1;
    for (int i = from; i < to; i++) {
        if (dim[i] == 0)
            return 0;
        if (dim[i] > 0 && known > INT64_MAX / dim[i])
            return DIM_UNKNOWN;
        if (dim[i] > 0)
            known *= dim[i];
        else
            symbol = symbol == 1 ? dim[i] : DIM_UNKNOWN;
    }
    if (symbol == 1)
        return known;
    return known == 1 ? symbol : DIM_UNKNOWN;
}

void dense_steps(const int64_t *dim, int rank, int64_t *step) {
    int64_t n = 1;
    for (int i = rank - 1; i >= 0; i--) {
        step[i] = n;
        n *= dim[i];
    }
}

size_t element_size(const struct tensor *t) {
    return t->store == DT_STRING ? sizeof(char *) : dtype_size(t->store);
}

char *element_at(const struct tensor *t, int64_t i) {
    return (char *)t->data + (size_t)i * element_size(t);
}

/* Two 64-bit halves, as a complex128 element is. */
struct pair64 {
    uint64_t a, b;
};

#define COPY_LINE(type)             \
    for (int64_t i = 0; i < n; i++) \
    memcpy(dst + i * ds * (int64_t)sizeof(type), src + i * ss * (int64_t)sizeof(type), sizeof(type))

static void copy_line(char *dst, const char *src, size_t size, int64_t n, int64_t ds, int64_t ss) {
    if (ds == 1 && ss == 1) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    switch (size) {
    case 1:
        COPY_LINE(uint8_t);
        break;
    case 2:
        COPY_LINE(uint16_t);
        break;
    case 4:
        COPY_LINE(uint32_t);
        break;
    case 8:
        COPY_LINE(uint64_t);
        break;
    default:
        COPY_LINE(struct pair64);
    }
}

/* Leaves out dimensions of 1 and joins neighbours that lie one behind the other on both sides.
 * False: nothing to do. */
static bool simplify(const struct move *m, struct move *s) {
    s->rank = 0;
    for (int i = 0; i < m->rank; i++) {
        if (m->dim[i] <= 0)
            return false;
        if (m->dim[i] == 1)
            continue;
        int k = s->rank - 1;
        if (k >= 0 && s->dst_step[k] == m->dim[i] * m->dst_step[i] &&
            s->src_step[k] == m->dim[i] * m->src_step[i]) {
            s->dim[k] *= m->dim[i];
        } else {
            k = s->rank++;
            s->dim[k] = m->dim[i];
        }
        s->dst_step[k] = m->dst_step[i];
        s->src_step[k] = m->src_step[i];
    }
    if (s->rank == 0) {
        s->rank = 1;
        s->dim[0] = s->dst_step[0] = s->src_step[0] = 1;
    }
    return true;
}

enum { BLOCK = 16 };

/* The last two axes in blocks, so that both sides touch each cache line once. */
#define TURN_BLOCKS(type)                                                                          \
    for (int64_t i0 = 0; i0 < n[0]; i0 += BLOCK)                                                   \
        for (int64_t k0 = 0; k0 < n[1]; k0 += BLOCK)                                               \
            for (int64_t i = i0; i < n[0] && i < i0 + BLOCK; i++)                                  \
                for (int64_t k = k0; k < n[1] && k < k0 + BLOCK; k++)                              \
    memcpy(dst + (i * ds + k) * (int64_t)sizeof(type), src + (i + k * ss) * (int64_t)sizeof(type), \
           sizeof(type))

/* dst[i * ds + k] = src[i + k * ss], i < n[0], k < n[1]. */
static void turn_plane(char *dst, const char *src, size_t size, const int64_t n[2], int64_t ds,
                       int64_t ss) {
    switch (size) {
    case 1:
        TURN_BLOCKS(uint8_t);
        break;
    case 2:
        TURN_BLOCKS(uint16_t);
        break;
    case 4:
        TURN_BLOCKS(uint32_t);
        break;
    case 8:
        TURN_BLOCKS(uint64_t);
        break;
    default:
        TURN_BLOCKS(struct pair64);
    }
}

/* Brings the axis along which the source lies side by side next to the last one, along which the
 * destination does; false when there is no such pair. */
static bool pair_axes(struct move *s) {
    int last = s->rank - 1, side = last - 1;
    while (side >= 0 && s->src_step[side] != 1)
        side--;
    if (side < 0 || s->dst_step[last] != 1 || s->src_step[last] == 1)
        return false;
    int64_t dim = s->dim[side], dst = s->dst_step[side];
    for (int i = side; i < last - 1; i++) {
        s->dim[i] = s->dim[i + 1];
        s->dst_step[i] = s->dst_step[i + 1];
        s->src_step[i] = s->src_step[i + 1];
    }
    s->dim[last - 1] = dim;
    s->dst_step[last - 1] = dst;
    s->src_step[last - 1] = 1;
    return true;
}

void move_run(const struct move *m) {
    struct move s;
    if (!simplify(m, &s))
        return;
    bool turns = pair_axes(&s);
    int last = s.rank - 1;
    int64_t at[MOVE_RANK] = { 0 };
    int64_t size = (int64_t)m->size;
    char *dst = m->dst;
    const char *src = m->src;
    for (;;) {
        if (turns)
            turn_plane(dst, src, m->size, &s.dim[last - 1], s.dst_step[last - 1], s.src_step[last]);
        else
            copy_line(dst, src, m->size, s.dim[last], s.dst_step[last], s.src_step[last]);
        int i = last - 1 - turns;
        while (i >= 0 && at[i] == s.dim[i] - 1) {
            dst -= at[i] * s.dst_step[i] * size;
            src -= at[i] * s.src_step[i] * size;
            at[i--] = 0;
        }
        if (i < 0)
            return;
        at[i]++;
        dst += s.dst_step[i] * size;
        src += s.src_step[i] * size;
    }
}

enum { FILLED_AT_ONCE = 1 << 14 }; /* bytes, many elements; stays in the first cache */

void fill_elements(char *dst, const char *element, size_t size, int64_t n) {
    const size_t total = n > 0 ? (size_t)n * size : 0;
    if (total == 0)
        return;
    const size_t most = size < FILLED_AT_ONCE ? FILLED_AT_ONCE / size * size : size;
    memcpy(dst, element, size);
    for (size_t done = size, part; done < total; done += part) { /* from what is there already */
        part = done < most ? done : most;
        part = part < total - done ? part : total - done;
        memcpy(dst + done, dst, part);
    }
}

void own_strings(struct tensor *t) {
    if (t->kind != KIND_TENSOR || t->store != DT_STRING)
        return;
    const char **text = t->data;
    int64_t n = tensor_count(t);
    for (int64_t i = 0; i < n; i++)
        text[i] = arena_str(tensor_string_arena(t), text[i] ? text[i] : "");
}

void copy_elements(struct tensor *to, const struct tensor *from) {
    size_t bytes = (size_t)tensor_count(from) * element_size(from);
    if (bytes)
        memcpy(to->data, from->data, bytes);
}

void fact_set(struct fact *f, enum dtype dtype, int rank, const int64_t *dim) {
    f->dtype = dtype;
    f->rank = rank;
    for (int i = 0; i < rank; i++)
        f->dim[i] = dim[i];
}

void fact_set_unknown(struct fact *f, enum dtype dtype, int rank) {
    f->dtype = dtype;
    f->rank = rank;
    for (int i = 0; i < rank; i++)
        f->dim[i] = DIM_UNKNOWN;
}

void fact_set_ints(struct shape_ctx *c, struct fact *f, const int64_t *v, int64_t n, int rank) {
    fact_set(f, DT_I64, rank, &n);
    struct tensor *t = tensor_in_arena(c->arena, DT_I64, DT_I64, rank, &n);
    bool known = true;
    for (int64_t i = 0; i < n; i++) {
        ((int64_t *)t->data)[i] = part_of_dim(v[i]);
        known &= v[i] >= 0;
    }
    *(known ? &f->value : &f->parts) = t;
}

enum status eval_view(struct op_ctx *c) {
    return op_output_alias(c, 0, 0, c->out_fact[0].rank, c->out_fact[0].dim);
}

const int64_t *ints_of(struct arena *a, const struct tensor *t, int64_t *n) {
    *n = t ? tensor_count(t) : 0;
    int64_t *v = t ? NEW_ARRAY(a, *n + 1, int64_t) : NULL;
    for (int64_t i = 0; i < *n; i++)
        v[i] = tensor_i64(t, i);
    return v;
}

enum status index_normalise(int64_t *i, int64_t n, struct err *e) {
    FAIL_IF(*i < -n || *i >= n, e, STATUS_CORRUPT, "index %lld is outside a dimension of %lld",
            (long long)*i, (long long)n);
    if (*i < 0)
        *i += n;
    return OK;
}

void join_lines(struct tensor *y, int64_t outer, const struct tensor *const *in, int64_t n,
                bool backwards) {
    int64_t at = 0, whole = outer ? tensor_count(y) / outer : 0;
    for (int64_t i = 0; i < n && outer; i++) {
        const struct tensor *x = in[backwards ? n - 1 - i : i];
        int64_t line = tensor_count(x) / outer;
        struct move m = { .dst = element_at(y, at),
                          .src = x->data,
                          .size = element_size(y),
                          .rank = 2,
                          .dim = { outer, line },
                          .dst_step = { whole, 1 },
                          .src_step = { line, 1 } };
        move_run(&m);
        at += line;
    }
    own_strings(y);
}

static enum status joined_dims(const struct tensor *const *in, int64_t n, int axis, bool new_axis,
                               int64_t *dim, struct err *e) {
    const struct tensor *first = in[0];
    int64_t sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const struct tensor *x = in[i];
        FAIL_IF(x->kind != KIND_TENSOR || first->kind != KIND_TENSOR, e, STATUS_CORRUPT,
                "only tensors can be joined");
        FAIL_IF(x->dtype != first->dtype || x->store != first->store, e, STATUS_CORRUPT,
                "%s cannot be joined with %s", dtype_name(x->dtype), dtype_name(first->dtype));
        bool fits = x->rank == first->rank;
        for (int k = 0; fits && k < x->rank; k++)
            fits = (k == axis && !new_axis) || x->dim[k] == first->dim[k];
        FAIL_IF(!fits, e, STATUS_CORRUPT, "tensors 0 and %lld differ in shape and cannot be joined",
                (long long)i);
        int64_t d = new_axis ? 1 : x->dim[axis];
        FAIL_IF(d > INT64_MAX - sum, e, STATUS_CORRUPT, "the sum of the dimensions overflows");
        sum += d;
    }
    for (int k = 0; k < first->rank + new_axis; k++)
        dim[k] = k == axis ? sum : first->dim[new_axis && k > axis ? k - 1 : k];
    return OK;
}

enum status join_tensors(struct tensor **out, const struct tensor *const *in, int64_t n,
                         int64_t axis, bool new_axis, bool backwards, struct err *e) {
    int a, rank = in[0]->rank + new_axis;
    int64_t dim[MAX_RANK + 1];
    FAIL_IF(rank > MAX_RANK, e, STATUS_UNSUPPORTED, "an output of rank %d", rank);
    TRY(axis_normalise(axis, rank, &a, e));
    TRY(joined_dims(in, n, a, new_axis, dim, e));
    TRY(tensor_new(out, in[0]->dtype, in[0]->store, rank, dim, e));
    join_lines(*out, dims_product(dim, 0, a), in, n, backwards);
    return OK;
}

enum status take_part(struct tensor **out, const struct tensor *x, int axis, int64_t at,
                      int64_t size, bool drop, struct err *e) {
    int64_t dim[MAX_RANK], inner = dims_product(x->dim, axis + 1, x->rank),
                           outer = dims_product(x->dim, 0, axis);
    int rank = 0;
    for (int i = 0; i < x->rank; i++)
        if (i != axis || !drop)
            dim[rank++] = i == axis ? size : x->dim[i];
    TRY(tensor_new(out, x->dtype, x->store, rank, dim, e));
    struct move m = { .dst = (*out)->data,
                      .src = element_at(x, at * inner),
                      .size = element_size(x),
                      .rank = 2,
                      .dim = { outer, size * inner },
                      .dst_step = { size * inner, 1 },
                      .src_step = { x->dim[axis] * inner, 1 } };
    move_run(&m);
    own_strings(*out);
    return OK;
}

enum status combine_of(const struct node *n, enum combine *out, struct err *e) {
    static const char *const names[] = { "none", "add", "mul", "max", "min" };
    const char *s = attr_str(n, "reduction");
    for (int i = 0; i < 5; i++)
        if (strcmp(s, names[i]) == 0) {
            *out = (enum combine)i;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "reduction '%s' is none of none, add, mul, max, min", s);
}

#define COMBINE_REAL(type, NAN_WINS)                                              \
    {                                                                             \
        type *a = (type *)dst->data + at;                                         \
        const type *b = (const type *)src->data + from;                           \
        for (int64_t i = 0; i < n; i++) {                                         \
            if (op == COMBINE_ADD)                                                \
                a[i] = (type)(a[i] + b[i]);                                       \
            else if (op == COMBINE_MUL)                                           \
                a[i] = (type)(a[i] * b[i]);                                       \
            else if (NAN_WINS || (op == COMBINE_MAX ? b[i] > a[i] : b[i] < a[i])) \
                a[i] = b[i];                                                      \
        }                                                                         \
        return OK;                                                                \
    }

/* Wraps as the type does: arithmetic in uint64_t. */
static void combine_ints(enum combine op, struct tensor *dst, int64_t at, const struct tensor *src,
                         int64_t from, int64_t n) {
    bool is_unsigned = dtype_is_unsigned(dst->store);
    for (int64_t i = 0; i < n; i++) {
        int64_t a = tensor_i64(dst, at + i), b = tensor_i64(src, from + i);
        bool less = is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
        if (op == COMBINE_ADD)
            a = (int64_t)((uint64_t)a + (uint64_t)b);
        else if (op == COMBINE_MUL)
            a = (int64_t)((uint64_t)a * (uint64_t)b);
        else if ((op == COMBINE_MAX) == less)
            a = b;
        tensor_set_i64(dst, at + i, a);
    }
}

enum status combine_elements(enum combine op, struct tensor *dst, int64_t at,
                             const struct tensor *src, int64_t from, int64_t n, struct err *e) {
    if (op == COMBINE_SET) {
        if (n)
            memcpy(element_at(dst, at), element_at(src, from), (size_t)n * element_size(dst));
        return OK;
    }
    if (dst->store == DT_F64)
        COMBINE_REAL(double, b[i] != b[i])
    if (dst->store == DT_F32)
        COMBINE_REAL(float, b[i] != b[i])
    bool numbers = dtype_is_int(dst->store) || dst->store == DT_BOOL;
    FAIL_IF(!numbers, e, STATUS_UNSUPPORTED, "a reduction of %s elements", dtype_name(dst->dtype));
    combine_ints(op, dst, at, src, from, n);
    return OK;
}
