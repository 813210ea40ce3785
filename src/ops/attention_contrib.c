/* ONNX Runtime's attention operators on the core of attention.c. Projections and biases come first:
 * a projected element is one fma chain from the bias over the input's elements; a bias alone is
 * added. A masked key of the masks below gets mask_filter_value added to its score, as ONNX Runtime
 * does; keys in the future get minus infinity. */
#include <math.h>
#include <string.h>

#include "ops/attention.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

static enum status refuse_input(struct shape_ctx *c, int i, const char *name) {
    FAIL_IF(fact_given(c, i), c->err, STATUS_UNSUPPORTED, "%s with %s", c->node->op, name);
    return OK;
}

static enum status refuse_attr(struct shape_ctx *c, const char *name, int64_t harmless) {
    FAIL_IF(attr_int(c->node, name) != harmless, c->err, STATUS_UNSUPPORTED, "%s with %s = %lld",
            c->node->op, name, (long long)attr_int(c->node, name));
    return OK;
}

static const int64_t *same_offset(struct op_ctx *c, int64_t batch, int64_t offset) {
    int64_t *v = NEW_ARRAY(c->scratch, batch + 1, int64_t);
    for (int64_t b = 0; b < batch; b++)
        v[b] = offset;
    return v;
}

static double scale_of(const struct node *n, int64_t head_size) {
    double scale = attr_float(n, "scale");
    return scale == 0 ? 1 / sqrt((double)head_size) : scale;
}

enum status attention_key_mask(struct op_ctx *c, struct attention *a, const struct tensor *m) {
    double off = attr_float(c->node, "mask_filter_value");
    bool full = m->rank == 3, lengths = m->rank == 1;
    int64_t n = lengths ? m->dim[0] : 0, rows = full ? a->queries : 1;
    bool fits = lengths ? n == a->batch || n == 2 * a->batch
                : full  ? m->dim[0] == a->batch && m->dim[1] == a->queries && m->dim[2] == a->keys
                        : m->rank == 2 && m->dim[0] == a->batch && m->dim[1] == a->keys;
    FAIL_IF(!fits, c->err, STATUS_UNSUPPORTED, "%s with a mask of this shape (rank %d, %lld first)",
            c->node->op, m->rank, (long long)(m->rank ? m->dim[0] : 0));
    struct tensor *v = tensor_in_arena(c->scratch, a->store, a->store, 3,
                                       (const int64_t[]) { a->batch, rows, a->keys });
    for (int64_t i = 0; i < tensor_count(v); i++) {
        int64_t b = i / a->keys / rows, key = i % a->keys;
        bool kept = !lengths ? tensor_i64(m, i) > 0
                             : key < tensor_i64(m, b) &&
                                   (n == a->batch || key >= tensor_i64(m, a->batch + b));
        tensor_set_f64(v, i, kept ? 0 : off);
    }
    struct attention_bias *bias = &a->bias[a->n_bias++];
    *bias = (struct attention_bias) { .values = v->data, .keys = a->keys };
    bias->stride[0] = rows * a->keys;
    bias->stride[2] = full ? a->keys : 0;
    bias->stride[3] = 1;
    return OK;
}

/* --- Attention: input [B, S, I], weights [I, Dq + Dk + Dv], bias, mask, past [2, B, N, P, H],
 * attention_bias --- */

struct packed {
    int64_t batch, length, width, heads, size[3], past; /* size: Dq, Dk, Dv */
};

static enum status read_packed(const struct node *n, const struct fact *x, const struct fact *w,
                               const struct fact *past, struct packed *p, struct err *e) {
    int count;
    const int64_t *sizes = attr_ints(n, "qkv_hidden_sizes", &count);
    FAIL_IF(x->rank != 3 || w->rank != 2 || x->dim[2] != w->dim[0], e, STATUS_CORRUPT,
            "Attention: input and weights do not fit");
    *p = (struct packed) { .batch = x->dim[0],
                           .length = x->dim[1],
                           .width = x->dim[2],
                           .heads = attr_int(n, "num_heads") };
    FAIL_IF(sizes && count != 3, e, STATUS_CORRUPT, "qkv_hidden_sizes of Attention has %d elements",
            count);
    for (int i = 0; i < 3; i++) {
        p->size[i] = sizes ? sizes[i] : w->dim[1] / 3;
        FAIL_IF(p->heads < 1 || p->size[i] < 1 || p->size[i] > w->dim[1] || p->size[i] % p->heads,
                e, STATUS_CORRUPT, "Attention: vectors of %lld cannot be divided into %lld heads",
                (long long)p->size[i], (long long)p->heads);
    }
    FAIL_IF(p->size[0] + p->size[1] + p->size[2] != w->dim[1] || p->size[0] != p->size[1], e,
            STATUS_CORRUPT,
            "Attention: the weights' %lld columns are not those of query, key and value",
            (long long)w->dim[1]);
    if (past && past->rank >= 0) {
        FAIL_IF(past->rank != 5 || past->dim[0] != 2 || past->dim[1] != p->batch ||
                    past->dim[2] != p->heads || past->dim[4] != p->size[1] / p->heads ||
                    p->size[1] != p->size[2],
                e, STATUS_CORRUPT, "Attention: the shape of past does not fit");
        p->past = past->dim[3];
    }
    return OK;
}

static enum status shape_packed(struct shape_ctx *c) {
    struct packed p;
    const struct fact *past = fact_given(c, 4) ? &c->in[4] : NULL;
    TRY(refuse_input(c, 6, "past_sequence_length"));
    TRY(refuse_attr(c, "do_rotary", 0));
    TRY(refuse_attr(c, "past_present_share_buffer", 0));
    for (int i = 0; i < 6; i++)
        if (i != 3)
            TRY(need_float(c, i));
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dtype = c->in[0].dtype;
    if (!fact_known(&c->in[0]) || !fact_known(&c->in[1]) || (past && !fact_known(past)))
        return OK;
    TRY(read_packed(c->node, &c->in[0], &c->in[1], past, &p, c->err));
    TRY(need_vector(c, 2, p.size[0] + p.size[1] + p.size[2]));
    out_shape(c, 0, c->in[0].dtype, 3, (const int64_t[]) { p.batch, p.length, p.size[2] });
    out_shape(c, 1, c->in[0].dtype, 5,
              (const int64_t[]) { 2, p.batch, p.heads, p.past + p.length, p.size[1] / p.heads });
    return OK;
}

/* Columns [from, from + size) of the projection as a tensor [batch, length, size]. */
static struct tensor *project(struct op_ctx *c, const struct packed *p, int64_t from,
                              int64_t size) {
    const struct tensor *x = c->in[0], *w = c->in[1], *bias = input_given(c, 2) ? c->in[2] : NULL;
    struct tensor *y = tensor_in_arena(c->scratch, x->dtype, x->store, 3,
                                       (const int64_t[]) { p->batch, p->length, size });
    int64_t columns = w->dim[1];
    for (int64_t r = 0; r < p->batch * p->length; r++)
        for (int64_t o = 0; o < size; o++) {
            if (x->store == DT_F64) {
                double acc = bias ? ((const double *)bias->data)[from + o] : 0;
                for (int64_t i = 0; i < p->width; i++)
                    acc = fma_d(((const double *)x->data)[r * p->width + i],
                                ((const double *)w->data)[i * columns + from + o], acc);
                ((double *)y->data)[r * size + o] = acc;
            } else {
                float acc = bias ? ((const float *)bias->data)[from + o] : 0;
                for (int64_t i = 0; i < p->width; i++)
                    acc = fma_f(((const float *)x->data)[r * p->width + i],
                                ((const float *)w->data)[i * columns + from + o], acc);
                ((float *)y->data)[r * size + o] = acc;
            }
        }
    return y;
}

static void fact_from(struct fact *f, const struct tensor *t) {
    *f = (struct fact) { .rank = t->rank };
    memcpy(f->dim, t->dim, sizeof f->dim);
}

/* One half (key or value) of a stacked past or present: a view as [batch, heads, length, size]. */
static struct tensor *half_of(struct arena *a, const struct tensor *t, int64_t which) {
    struct tensor *h = NEW(a, struct tensor);
    *h = *t;
    h->rank = 4;
    memcpy(h->dim, t->dim + 1, 4 * sizeof *h->dim);
    h->data = element_at(t, which * tensor_count(h));
    return h;
}

static enum status packed_attention(struct op_ctx *c) {
    struct packed p;
    struct fact x, w, past;
    const struct tensor *kept = input_given(c, 4) ? c->in[4] : NULL;
    fact_from(&x, c->in[0]);
    fact_from(&w, c->in[1]);
    if (kept)
        fact_from(&past, kept);
    TRY(read_packed(c->node, &x, &w, kept ? &past : NULL, &p, c->err));
    int64_t d = p.size[0] / p.heads;
    struct tensor *q = project(c, &p, 0, p.size[0]);
    struct attention a = { .store = q->store,
                           .batch = p.batch,
                           .heads = p.heads,
                           .kv_heads = p.heads,
                           .queries = p.length,
                           .keys = p.past + p.length,
                           .head_size = d,
                           .value_size = p.size[2] / p.heads,
                           .q = q->data,
                           .y = c->out[0]->data,
                           .left = -1,
                           .right = -1,
                           .scale = scale_of(c->node, d),
                           .q_stride = { p.length * p.size[0], d, p.size[0] },
                           .y_stride = { p.length * p.size[2], p.size[2] / p.heads, p.size[2] } };
    a.causal = attr_int(c->node, "unidirectional") != 0;
    a.offset = same_offset(c, p.batch, p.past);
    const void **to[2] = { &a.k, &a.v };
    for (int i = 0; i < 2; i++) {
        struct attention_cache k = { .t = project(c, &p, p.size[0] + (i ? p.size[1] : 0),
                                                  p.size[1 + i]),
                                     .batch = p.batch,
                                     .heads = p.heads,
                                     .length = p.length,
                                     .past_length = p.past,
                                     .size = p.size[1 + i] / p.heads };
        k.past = kept ? half_of(c->scratch, kept, i) : NULL;
        k.out = op_wanted(c, 1) ? half_of(c->scratch, c->out[1], i) : NULL;
        *to[i] = attention_cache(c, &k, a.store);
    }
    if (input_given(c, 3))
        TRY(attention_key_mask(c, &a, c->in[3]));
    if (input_given(c, 5))
        TRY(attention_add_bias(c, &a, c->in[5]));
    attention_run(c, &a);
    return OK;
}

/* --- MultiHeadAttention: query, key, value, bias, key mask, attention bias, past key, past value
 * --- */

struct multi {
    int64_t batch, heads, queries, keys, past, head_size, value_size;
    bool heads_first; /* key and value already are [B, N, L, H] */
};

static enum status read_multi(const struct node *n, const struct fact *in, struct multi *m,
                              struct err *e) {
    const struct fact *q = &in[0], *k = &in[1], *v = &in[2];
    *m = (struct multi) { .heads = attr_int(n, "num_heads") };
    FAIL_IF(m->heads < 1, e, STATUS_CORRUPT, "num_heads of MultiHeadAttention is %lld",
            (long long)m->heads);
    FAIL_IF(q->rank != 3 || k->absent || v->absent || k->rank != v->rank ||
                (k->rank != 3 && k->rank != 4),
            e, STATUS_UNSUPPORTED, "MultiHeadAttention with query, key and value in one tensor");
    m->heads_first = k->rank == 4;
    m->batch = q->dim[0];
    m->queries = q->dim[1];
    m->keys = k->dim[m->heads_first ? 2 : 1];
    m->head_size = q->dim[2] / m->heads;
    m->value_size = m->heads_first ? v->dim[3] : v->dim[2] / m->heads;
    int64_t key_width = m->heads_first ? k->dim[1] * k->dim[3] : k->dim[2];
    FAIL_IF(q->dim[2] % m->heads || key_width != q->dim[2] || k->dim[0] != m->batch ||
                v->dim[0] != m->batch || v->dim[m->heads_first ? 2 : 1] != m->keys ||
                (m->heads_first ? v->dim[1] != m->heads : v->dim[2] % m->heads != 0),
            e, STATUS_CORRUPT, "MultiHeadAttention: the shapes of query, key and value do not fit");
    m->past = in[6].absent ? 0 : in[6].dim[2];
    return OK;
}

static enum status shape_multi(struct shape_ctx *c) {
    struct multi m;
    struct fact in[8];
    bool known = true;
    TRY(refuse_input(c, 8, "past_sequence_length"));
    TRY(refuse_input(c, 9, "cache_indirection"));
    for (int i = 0; i < 8; i++) {
        in[i] = i < c->n_in ? c->in[i] : (struct fact) { .absent = true, .rank = -1 };
        if (i != 4)
            TRY(need_float(c, i));
        known &= in[i].absent || i == 4 || i == 5 || fact_known(&in[i]);
    }
    TRY(need_same_dtype(c, 0, 1));
    SHAPE_FAIL_IF(fact_given(c, 6) != fact_given(c, 7), c,
                  "MultiHeadAttention has only one of past_key and past_value");
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dtype = c->in[0].dtype;
    if (!known)
        return OK;
    TRY(need_shape(c, 6, 4, NULL));
    TRY(read_multi(c->node, in, &m, c->err));
    int64_t width = m.heads * m.head_size, total = m.past + m.keys;
    TRY(need_vector(c, 3, 2 * width + m.heads * m.value_size));
    TRY(need_shape(c, 6, 4, (const int64_t[]) { m.batch, m.heads, m.past, m.head_size }));
    TRY(need_shape(c, 7, 4, (const int64_t[]) { m.batch, m.heads, m.past, m.value_size }));
    out_shape(c, 0, c->in[0].dtype, 3,
              (const int64_t[]) { m.batch, m.queries, m.heads * m.value_size });
    out_shape(c, 1, c->in[0].dtype, 4, (const int64_t[]) { m.batch, m.heads, total, m.head_size });
    out_shape(c, 2, c->in[0].dtype, 4, (const int64_t[]) { m.batch, m.heads, total, m.value_size });
    out_shape(c, 3, c->in[0].dtype, 4, (const int64_t[]) { m.batch, m.heads, m.queries, total });
    return OK;
}

static enum status multi_head(struct op_ctx *c) {
    struct multi m;
    struct fact in[8];
    for (int i = 0; i < 8; i++) {
        in[i] = (struct fact) { .absent = true, .rank = -1 };
        if (input_given(c, i))
            fact_from(&in[i], c->in[i]);
    }
    TRY(read_multi(c->node, in, &m, c->err));
    int64_t width = m.heads * m.head_size;
    size_t size = c->in[0]->store == DT_F64 ? sizeof(double) : sizeof(float);
    const char *bias = input_as(c, 3, c->in[0]->store);
    struct attention a = { .store = c->in[0]->store,
                           .batch = m.batch,
                           .heads = m.heads,
                           .kv_heads = m.heads,
                           .queries = m.queries,
                           .keys = m.past + m.keys,
                           .head_size = m.head_size,
                           .value_size = m.value_size,
                           .y = c->out[0]->data,
                           .left = -1,
                           .right = -1,
                           .scale = scale_of(c->node, m.head_size),
                           .q_stride = { m.queries * width, m.queries * m.head_size, m.head_size },
                           .y_stride = { m.queries * m.heads * m.value_size, m.value_size,
                                         m.heads * m.value_size } };
    struct attention_cache q = { .t = c->in[0],
                                 .batch = m.batch,
                                 .heads = m.heads,
                                 .length = m.queries,
                                 .size = m.head_size,
                                 .bias = bias };
    struct attention_cache k = { .t = c->in[1],
                                 .past = m.past ? c->in[6] : NULL,
                                 .out = op_wanted(c, 1) ? c->out[1] : NULL,
                                 .batch = m.batch,
                                 .heads = m.heads,
                                 .length = m.keys,
                                 .past_length = m.past,
                                 .size = m.head_size,
                                 .bias = bias ? bias + (size_t)width * size : NULL };
    struct attention_cache v = k;
    v.t = c->in[2];
    v.past = m.past ? c->in[7] : NULL;
    v.out = op_wanted(c, 2) ? c->out[2] : NULL;
    v.size = m.value_size;
    v.bias = bias ? bias + (size_t)(2 * width) * size : NULL;
    a.q = attention_cache(c, &q, a.store);
    a.k = attention_cache(c, &k, a.store);
    a.v = attention_cache(c, &v, a.store);
    a.causal = attr_int(c->node, "unidirectional") != 0;
    a.offset = same_offset(c, m.batch, m.past);
    a.scores = op_wanted(c, 3) ? c->out[3]->data : NULL;
    if (input_given(c, 4))
        TRY(attention_key_mask(c, &a, c->in[4]));
    if (input_given(c, 5))
        TRY(attention_add_bias(c, &a, c->in[5]));
    attention_run(c, &a);
    return OK;
}

/* --- GroupQueryAttention: query, key, value, past key, past value, seqlens_k, total length, cos,
 * sin, positions, bias --- */

struct grouped {
    int64_t batch, length, heads, kv_heads, size, past_room, total;
};

static enum status read_grouped(const struct node *n, const struct fact *in, struct grouped *g,
                                struct err *e) {
    const struct fact *q = &in[0], *k = &in[1], *v = &in[2];
    *g = (struct grouped) { .heads = attr_int(n, "num_heads"),
                            .kv_heads = attr_int(n, "kv_num_heads") };
    FAIL_IF(g->heads < 1 || g->kv_heads < 1 || g->heads % g->kv_heads, e, STATUS_CORRUPT,
            "GroupQueryAttention: %lld query heads for %lld key heads", (long long)g->heads,
            (long long)g->kv_heads);
    FAIL_IF(k->absent || v->absent, e, STATUS_CORRUPT,
            "GroupQueryAttention has only one of key and value");
    FAIL_IF(q->rank != 3 || k->rank != 3 || v->rank != 3, e, STATUS_CORRUPT,
            "GroupQueryAttention takes tensors of rank 3");
    g->batch = q->dim[0];
    g->length = q->dim[1];
    g->size = q->dim[2] / g->heads;
    FAIL_IF(q->dim[2] % g->heads || k->dim[2] != g->kv_heads * g->size || v->dim[2] != k->dim[2] ||
                k->dim[0] != g->batch || v->dim[0] != g->batch || k->dim[1] != g->length ||
                v->dim[1] != g->length,
            e, STATUS_CORRUPT,
            "GroupQueryAttention: the shapes of query, key and value do not fit");
    g->past_room = in[3].absent ? 0 : in[3].dim[2];
    return OK;
}

/* Query, key and value, which may lie side by side in input 0: their widths. */
static enum status grouped_widths(const struct node *n, int64_t width, int64_t *widths,
                                  struct err *e) {
    int64_t heads = attr_int(n, "num_heads"), kv_heads = attr_int(n, "kv_num_heads");
    FAIL_IF(heads < 1 || kv_heads < 1 || heads > INT32_MAX || kv_heads > INT32_MAX ||
                width % (heads + 2 * kv_heads),
            e, STATUS_CORRUPT,
            "GroupQueryAttention: rows of %lld are not those of %lld query and %lld key heads",
            (long long)width, (long long)heads, (long long)kv_heads);
    int64_t size = width / (heads + 2 * kv_heads);
    widths[0] = heads * size;
    widths[1] = widths[2] = kv_heads * size;
    return OK;
}

static enum status refuse_grouped(struct shape_ctx *c) {
    static const char *const kinds[] = { "k_quant_type", "v_quant_type" };
    static const char *const names[] = { "k_scale", "v_scale", "q_norm_weight", "k_norm_weight" };
    TRY(refuse_attr(c, "qk_output", 0));
    TRY(refuse_attr(c, "sliding_window_cache", 0));
    for (int i = 0; i < 2; i++)
        FAIL_IF(strcmp(attr_str(c->node, kinds[i]), "NONE") != 0, c->err, STATUS_UNSUPPORTED,
                "GroupQueryAttention with %s %s", kinds[i], attr_str(c->node, kinds[i]));
    for (int i = 0; i < 4; i++)
        TRY(refuse_input(c, 12 + i, names[i]));
    return OK;
}

static enum status shape_grouped(struct shape_ctx *c) {
    struct grouped g;
    const int64_t *total;
    int64_t n, widths[3];
    struct fact in[5];
    bool known = c->n_in > 6, packed = !fact_given(c, 1) && !fact_given(c, 2);
    TRY(refuse_grouped(c));
    for (int i = 0; i < 5 && i < c->n_in; i++) {
        TRY(need_float(c, i));
        known &= c->in[i].absent || fact_known(&c->in[i]);
    }
    SHAPE_FAIL_IF(!fact_given(c, 5) || !fact_given(c, 6), c,
                  "GroupQueryAttention needs seqlens_k and total_sequence_length");
    SHAPE_FAIL_IF(fact_given(c, 3) != fact_given(c, 4), c,
                  "GroupQueryAttention has only one of past_key and past_value");
    SHAPE_FAIL_IF(c->n_out > 3, c, "GroupQueryAttention has three outputs here");
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dtype = c->in[0].dtype;
    if (!known)
        return OK;
    TRY(need_shape(c, 3, 4, NULL));
    memcpy(in, c->in, sizeof in);
    if (packed) {
        TRY(need_shape(c, 0, 3, NULL));
        TRY(grouped_widths(c->node, in[0].dim[2], widths, c->err));
        for (int i = 2; i >= 0; i--) {
            in[i] = in[0];
            in[i].dim[2] = widths[i];
        }
    }
    TRY(read_grouped(c->node, in, &g, c->err));
    const int64_t past[4] = { g.batch, g.kv_heads, g.past_room, g.size };
    TRY(need_shape(c, 3, 4, past));
    TRY(need_shape(c, 4, 4, past));
    int64_t room = DIM_UNKNOWN;
    if (fact_ints(c, &c->in[6], &total, &n) && n == 1)
        room = total[0] > g.past_room ? total[0] : g.past_room;
    const int64_t present[4] = { g.batch, g.kv_heads, room, g.size };
    out_shape(c, 0, c->in[0].dtype, 3, in[0].dim);
    out_shape(c, 1, c->in[0].dtype, 4, present);
    out_shape(c, 2, c->in[0].dtype, 4, present);
    return OK;
}

/* Rotates a [batch, length, heads * size] input by the positions of its tokens. */
static enum status rotated(struct op_ctx *c, const struct grouped *g, int input, int64_t heads,
                           const int64_t *position, const struct tensor **out) {
    const struct tensor *x = c->in[input], *co = input_given(c, 7) ? c->in[7] : NULL;
    *out = x;
    if (!attr_int(c->node, "do_rotary"))
        return OK;
    FAIL_IF(!co || !input_given(c, 8) || co->rank != 2 ||
                !dims_equal(co->dim, 2, c->in[8]->dim, c->in[8]->rank) || 2 * co->dim[1] > g->size,
            c->err, STATUS_CORRUPT,
            "GroupQueryAttention: the caches of cosines and sines do not fit");
    struct tensor *y = tensor_in_arena(c->scratch, x->dtype, x->store, x->rank, x->dim);
    for (int64_t i = 0; i < g->batch * g->length; i++)
        FAIL_IF(position[i] < 0 || position[i] >= co->dim[0], c->err, STATUS_CORRUPT,
                "GroupQueryAttention: position %lld is outside the caches", (long long)position[i]);
    struct rotary r = { .store = x->store,
                        .batch = g->batch,
                        .heads = heads,
                        .length = g->length,
                        .head_size = g->size,
                        .size = 2 * co->dim[1],
                        .x = x->data,
                        .y = y->data,
                        .cos = input_as(c, 7, x->store),
                        .sin = input_as(c, 8, x->store),
                        .position = position,
                        .interleaved = attr_int(c->node, "rotary_interleaved") != 0,
                        .stride = { g->length * heads * g->size, g->size, heads * g->size } };
    rotary_run(c, &r);
    *out = y;
    return OK;
}

/* past and new keys (or values) of each batch entry, right after each other from position 0. */
static struct tensor *gather_cache(struct op_ctx *c, const struct grouped *g,
                                   const struct tensor *t, int past, int out, const int64_t *held,
                                   int64_t room) {
    const int64_t dim[4] = { g->batch, g->kv_heads, room, g->size };
    struct tensor *y =
        op_wanted(c, out) ? c->out[out] : tensor_in_arena(c->scratch, t->dtype, t->store, 4, dim);
    size_t row = (size_t)g->size * element_size(t);
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t h = 0; h < g->kv_heads; h++) {
            int64_t base = (b * g->kv_heads + h) * room;
            for (int64_t i = 0; i < held[b]; i++)
                memcpy(
                    element_at(y, (base + i) * g->size),
                    element_at(c->in[past], ((b * g->kv_heads + h) * g->past_room + i) * g->size),
                    row);
            for (int64_t i = 0; i < g->length && held[b] + i < room; i++)
                memcpy(element_at(y, (base + held[b] + i) * g->size),
                       element_at(t, ((b * g->length + i) * g->kv_heads + h) * g->size), row);
        }
    return y;
}

/* Inputs 0, 1, 2 of what lies side by side in input 0. */
static enum status unpack_grouped(struct op_ctx *c, const struct tensor **in) {
    const struct tensor *x = c->in[0];
    int64_t widths[3], rows = x->dim[0] * x->dim[1], from = 0;
    TRY(grouped_widths(c->node, x->dim[2], widths, c->err));
    for (int i = 0; i < 3; from += widths[i++]) {
        const int64_t dim[] = { x->dim[0], x->dim[1], widths[i] };
        struct tensor *t = tensor_in_arena(c->scratch, x->dtype, x->store, 3, dim);
        for (int64_t r = 0; r < rows; r++)
            memcpy(element_at(t, r * widths[i]), element_at(x, r * x->dim[2] + from),
                   (size_t)widths[i] * element_size(x));
        in[i] = t;
    }
    return OK;
}

static enum status group_query_apart(struct op_ctx *c) {
    struct grouped g;
    struct fact in[4];
    for (int i = 0; i < 4; i++) {
        in[i] = (struct fact) { .absent = !input_given(c, i), .rank = -1 };
        if (!in[i].absent)
            fact_from(&in[i], c->in[i]);
    }
    TRY(read_grouped(c->node, in, &g, c->err));
    FAIL_IF(tensor_count(c->in[5]) != g.batch || tensor_count(c->in[6]) != 1, c->err,
            STATUS_CORRUPT, "GroupQueryAttention: seqlens_k and total_sequence_length do not fit");
    int64_t total = tensor_i64(c->in[6], 0), room = total > g.past_room ? total : g.past_room;
    int64_t *valid = NEW_ARRAY(c->scratch, g.batch + 1, int64_t),
            *held = NEW_ARRAY(c->scratch, g.batch + 1, int64_t);
    int64_t *position = NEW_ARRAY(c->scratch, g.batch * g.length + 1, int64_t);
    bool first =
        total ==
        g.length; /* the first call: nothing is held, shorter entries are padded on the right */
    FAIL_IF(total < 0 || (input_given(c, 9) && tensor_count(c->in[9]) != g.batch * g.length),
            c->err, STATUS_CORRUPT,
            "GroupQueryAttention: total_sequence_length or position_ids do not fit");
    for (int64_t b = 0; b < g.batch; b++) {
        valid[b] = tensor_i64(c->in[5], b) + 1;
        held[b] = first ? 0 : valid[b] - g.length;
        FAIL_IF(valid[b] < 1 || valid[b] > room || held[b] < 0 || held[b] > g.past_room, c->err,
                STATUS_CORRUPT, "GroupQueryAttention: seqlens_k holds %lld for a cache of %lld",
                (long long)(valid[b] - 1), (long long)room);
        for (int64_t i = 0; i < g.length; i++)
            position[b * g.length + i] =
                input_given(c, 9) ? tensor_i64(c->in[9], b * g.length + i) : held[b] + i;
    }
    FAIL_IF(input_given(c, 11) && tensor_count(c->in[11]) != g.heads, c->err, STATUS_CORRUPT,
            "GroupQueryAttention: %lld head sinks for %lld heads",
            (long long)tensor_count(c->in[11]), (long long)g.heads);
    const struct tensor *q, *k;
    TRY(rotated(c, &g, 0, g.heads, position, &q));
    TRY(rotated(c, &g, 1, g.kv_heads, position, &k));
    int64_t window = attr_int(c->node, "local_window_size");
    struct attention a = { .store = q->store,
                           .batch = g.batch,
                           .heads = g.heads,
                           .kv_heads = g.kv_heads,
                           .queries = g.length,
                           .keys = room,
                           .head_size = g.size,
                           .value_size = g.size,
                           .q = q->data,
                           .y = c->out[0]->data,
                           .scale = scale_of(c->node, g.size),
                           .softcap = attr_float(c->node, "softcap"),
                           .causal = attr_int(c->node, "causal") != 0,
                           .valid = attr_int(c->node, "causal") ? NULL : valid,
                           .sink = input_as(c, 11, q->store),
                           .left = window > 0 ? window - 1 : -1,
                           .right = -1,
                           .offset = held,
                           .smooth = attr_int(c->node, "smooth_softmax") > 0,
                           .q_stride = { g.length * g.heads * g.size, g.size, g.heads * g.size },
                           .y_stride = { g.length * g.heads * g.size, g.size, g.heads * g.size } };
    a.k = gather_cache(c, &g, k, 3, 1, held, room)->data;
    a.v = gather_cache(c, &g, c->in[2], 4, 2, held, room)->data;
    if (input_given(c, 10))
        TRY(attention_add_bias(c, &a, c->in[10]));
    attention_run(c, &a);
    return OK;
}

static enum status group_query(struct op_ctx *c) {
    const struct tensor **in = NEW_ARRAY(c->scratch, c->n_in + 1, const struct tensor *);
    struct op_ctx inner = *c;
    if (input_given(c, 1) || input_given(c, 2))
        return group_query_apart(c);
    memcpy(in, c->in, (size_t)c->n_in * sizeof *in);
    TRY(unpack_grouped(c, in));
    inner.in = in;
    return group_query_apart(&inner);
}

static const struct attr_def packed_attrs[] = {
    INT("do_rotary", 0),
    FLOAT("mask_filter_value", -10000),
    NEEDED("num_heads", INT),
    INT("past_present_share_buffer", 0),
    PLAIN("qkv_hidden_sizes", INTS),
    INT("rotary_embedding_dim", 0),
    FLOAT("scale", 0),
    INT("unidirectional", 0),
    { 0 },
};
static const struct attr_def multi_attrs[] = {
    FLOAT("mask_filter_value", -10000),
    NEEDED("num_heads", INT),
    FLOAT("scale", 0),
    INT("unidirectional", 0),
    { 0 },
};
static const struct attr_def grouped_attrs[] = {
    INT("causal", 1),
    INT("do_rotary", 0),
    STRING("k_quant_type", "NONE"),
    NEEDED("kv_num_heads", INT),
    INT("local_window_size", -1),
    NEEDED("num_heads", INT),
    INT("qk_output", 0),
    INT("rotary_interleaved", 0),
    FLOAT("scale", 0),
    INT("sliding_window_cache", 0),
    INT("smooth_softmax", 0),
    FLOAT("softcap", 0),
    STRING("v_quant_type", "NONE"),
    { 0 },
};

#define SEVERAL(name_, least, most, outputs)                                               \
    .name = name_, .domain = "com.microsoft", .spec = "ONNX Runtime com.microsoft." name_, \
    .min_in = least, .max_in = most, .min_out = 1, .max_out = outputs

const struct op ops_attention_contrib[] = {
    { SEVERAL("Attention", 2, 7, 2), .attrs = packed_attrs, .shape = shape_packed,
      .eval = packed_attention, .grad = packed_attention_grad },
    { SEVERAL("MultiHeadAttention", 1, 10, 4), .attrs = multi_attrs, .shape = shape_multi,
      .eval = multi_head, .grad = multi_head_grad },
    { SEVERAL("GroupQueryAttention", 1, 16, 4), .attrs = grouped_attrs, .shape = shape_grouped,
      .eval = group_query, .grad = group_query_grad },
    { 0 },
};
