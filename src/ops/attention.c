/* Attention.
 *
 * Order of the floating-point operations, for each query: a score is one fma chain from 0 over the
 * head's elements, of q * sqrt(scale) and k * sqrt(scale) (ONNX Runtime's operators: of q and k,
 * then times scale); soft cap tanh(s / cap) * cap; the biases, added up first, are added; softmax:
 * exp(s - largest), their sum from 0 ascending, each divided by the sum; the output is one fma
 * chain from 0 over the keys ascending. A key whose bias is minus infinity has probability 0
 * whatever its score; a query without any other key gives zeros. softmax_precision does not narrow
 * the computation.
 *
 * RotaryEmbedding: cos * x1 - sin * x2 and sin * x1 + cos * x2, each operation rounded. */
#include "ops/attention.h"

#include <math.h>
#include <string.h>

#include "ops/cores.h"
#include "ops/mathfn.h"
#include "ops/move.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

struct attention_job {
    const struct attention *a;
    void *scratch; /* keys + head_size elements a task */
};

#define EACH_REAL "ops/attention.inc"
#include "ops/each_real.inc"

void attention_run(struct op_ctx *c, const struct attention *a) {
    int64_t rows = a->batch * a->heads * a->queries,
            cost = a->keys * (a->head_size + a->value_size + 16);
    struct attention_job j = { .a = a };
    if (c->cores) {
        c->cores->attention(c, a);
        return;
    }
    size_t size = a->store == DT_F64 ? sizeof(double) : sizeof(float);
    j.scratch = arena_array(
        c->scratch, (size_t)split_tasks(c, rows, cost) * (size_t)(a->keys + a->head_size) + 1,
        size);
    split_run(c, rows, cost, a->store == DT_F64 ? attention_part_d : attention_part_f, &j);
}

void rotary_run(struct op_ctx *c, const struct rotary *r) {
    struct rotary copy = *r;
    split_run(c, r->batch * r->heads * r->length, r->head_size * 2,
              r->store == DT_F64 ? rotary_part_d : rotary_part_f, &copy);
}

enum status attention_add_bias(struct op_ctx *c, struct attention *a, const struct tensor *t) {
    int64_t want[4] = { a->batch, a->heads, a->queries, a->keys }, step[MAX_RANK],
            n = tensor_count(t);
    FAIL_IF(t->rank < 1 || t->rank > 4, c->err, STATUS_CORRUPT, "the mask of %s has rank %d",
            c->node->op, t->rank);
    FAIL_IF(a->n_bias == ATTENTION_BIASES, c->err, STATUS_BUG, "too many biases");
    struct attention_bias *m = &a->bias[a->n_bias++];
    *m = (struct attention_bias) { .keys = a->keys };
    dense_steps(t->dim, t->rank, step);
    for (int i = 0; i < t->rank; i++) {
        int axis = 4 - t->rank + i;
        int64_t size = t->dim[i];
        bool shorter = axis == 3 && size < want[3] && size != 1;
        FAIL_IF(size != 1 && size != want[axis] && !shorter, c->err, STATUS_CORRUPT,
                "the mask of %s has %lld elements on axis %d, not %lld", c->node->op,
                (long long)size, i, (long long)want[axis]);
        m->stride[axis] = size == 1 ? 0 : step[i];
        if (shorter)
            m->keys = size;
    }
    struct tensor *v = tensor_in_arena(c->scratch, a->store, a->store, t->rank, t->dim);
    for (int64_t i = 0; i < n; i++)
        tensor_set_f64(v, i,
                       t->store == DT_BOOL ? (tensor_i64(t, i) ? 0 : -INFINITY) : tensor_f64(t, i));
    m->values = v->data;
    return OK;
}

const void *attention_cache(struct op_ctx *c, const struct attention_cache *k, enum dtype store) {
    if (!k->past_length && !k->bias && !k->out && k->t->rank == 4 && k->t->store == store)
        return k->t->data;
    struct tensor *t, *past = NULL;
    int64_t dim[4] = { k->batch, k->heads, k->past_length + k->length, k->size };
    struct tensor *to = k->out && k->out->store == store
                            ? k->out
                            : tensor_in_arena(c->scratch, store, store, 4, dim);
    struct err e;
    if (tensor_convert(&t, k->t, store, &e) != OK)
        return NULL;
    if (k->past_length && tensor_convert(&past, k->past, store, &e) != OK) {
        tensor_free(t);
        return NULL;
    }
    if (store == DT_F64)
        cache_fill_d(k, t->data, past ? past->data : NULL, to->data);
    else
        cache_fill_f(k, t->data, past ? past->data : NULL, to->data);
    tensor_free(t);
    tensor_free(past);
    if (k->out && k->out != to)
        for (int64_t i = 0, n = tensor_count(to); i < n; i++)
            tensor_set_f64(k->out, i, tensor_f64(to, i));
    return to->data;
}

/* --- ONNX Attention --- */

struct sizes {
    int64_t batch, heads, kv_heads, queries, new_keys, past, head_size, value_size;
};

static enum status head_count(const struct node *n, const char *name, int rank, int64_t dim,
                              int64_t *out, struct err *e) {
    if (rank == 4) {
        *out = dim;
        return OK;
    }
    *out = attr_int(n, name);
    FAIL_IF(*out < 1 || dim % *out, e, STATUS_CORRUPT,
            "%s of %s is %lld for vectors of %lld elements", name, n->op, (long long)*out,
            (long long)dim);
    return OK;
}

/* Sizes from Q, K, V and past_key, all of known shape. */
static enum status read_sizes(const struct node *n, const struct fact *in, int n_in,
                              struct sizes *s, struct err *e) {
    const struct fact *q = &in[0], *k = &in[1], *v = &in[2];
    int r = q->rank, head = r == 4 ? 1 : 2, length = r == 4 ? 2 : 1;
    bool past = n_in > 4 && !in[4].absent;
    int64_t v_heads, k_size;
    FAIL_IF((r != 3 && r != 4) || k->rank != r || v->rank != r, e, STATUS_CORRUPT,
            "Attention: Q, K and V have ranks %d, %d and %d", r, k->rank, v->rank);
    TRY(head_count(n, "q_num_heads", r, q->dim[head], &s->heads, e));
    TRY(head_count(n, "kv_num_heads", r, k->dim[head], &s->kv_heads, e));
    TRY(head_count(n, "kv_num_heads", r, v->dim[head], &v_heads, e));
    s->batch = q->dim[0];
    s->queries = q->dim[length];
    s->new_keys = k->dim[length];
    s->head_size = r == 4 ? q->dim[3] : q->dim[2] / s->heads;
    k_size = r == 4 ? k->dim[3] : k->dim[2] / s->kv_heads;
    s->value_size = r == 4 ? v->dim[3] : v->dim[2] / s->kv_heads;
    FAIL_IF(k->dim[0] != s->batch || v->dim[0] != s->batch || v->dim[length] != s->new_keys ||
                v_heads != s->kv_heads || k_size != s->head_size,
            e, STATUS_CORRUPT, "Attention: the shapes of Q, K and V do not fit");
    FAIL_IF(s->kv_heads < 1 || s->heads % s->kv_heads, e, STATUS_CORRUPT,
            "Attention: %lld query heads for %lld key heads", (long long)s->heads,
            (long long)s->kv_heads);
    FAIL_IF(past != (n_in > 5 && !in[5].absent), e, STATUS_CORRUPT,
            "Attention has only one of past_key and past_value");
    s->past = past && in[4].rank == 4 ? in[4].dim[2] : 0;
    FAIL_IF(past && n_in > 6 && !in[6].absent, e, STATUS_CORRUPT,
            "Attention has both nonpad_kv_seqlen and a past");
    return OK;
}

static enum status shape_attention(struct shape_ctx *c) {
    struct sizes s;
    bool known = true;
    for (int i = 0; i < 3; i++) {
        TRY(need_float(c, i));
        known &= fact_known(&c->in[i]);
    }
    TRY(need_same_dtype(c, 0, 1));
    for (int i = 4; i < 6; i++) {
        TRY(need_float(c, i));
        known &= !fact_given(c, i) || fact_known(&c->in[i]);
    }
    int64_t mode = attr_int(c->node, "qk_matmul_output_mode");
    SHAPE_FAIL_IF(mode < 0 || mode > 3, c, "qk_matmul_output_mode of Attention is %lld",
                  (long long)mode);
    SHAPE_FAIL_IF(attr_int(c->node, "left_window_size") < -1 ||
                      attr_int(c->node, "right_window_size") < -1,
                  c, "a window size of Attention is below -1");
    for (int i = 0; i < c->n_out; i++)
        c->out[i].dtype = c->in[i == 2 ? 2 : i == 1 ? 1 : 0].dtype;
    if (!known)
        return OK;
    TRY(read_sizes(c->node, c->in, c->n_in, &s, c->err));
    int64_t past[4] = { s.batch, s.kv_heads, s.past, s.head_size };
    TRY(need_shape(c, 4, 4, past));
    past[3] = s.value_size;
    TRY(need_shape(c, 5, 4, past));
    TRY(need_vector(c, 6, s.batch));
    int64_t total = s.past + s.new_keys;
    if (c->in[0].rank == 4)
        out_shape(c, 0, c->in[0].dtype, 4,
                  (const int64_t[]) { s.batch, s.heads, s.queries, s.value_size });
    else
        out_shape(c, 0, c->in[0].dtype, 3,
                  (const int64_t[]) { s.batch, s.queries, s.heads * s.value_size });
    out_shape(c, 1, c->in[1].dtype, 4,
              (const int64_t[]) { s.batch, s.kv_heads, total, s.head_size });
    out_shape(c, 2, c->in[2].dtype, 4,
              (const int64_t[]) { s.batch, s.kv_heads, total, s.value_size });
    out_shape(c, 3, c->in[0].dtype, 4, (const int64_t[]) { s.batch, s.heads, s.queries, total });
    return OK;
}

static void set_strides(int64_t *stride, int rank, int64_t heads, int64_t length, int64_t size) {
    stride[0] = heads * length * size;
    stride[1] = rank == 4 ? length * size : size;
    stride[2] = rank == 4 ? size : heads * size;
}

enum status attention_read(struct op_ctx *c, struct attention *out) {
    struct sizes s;
    struct fact in[7];
    const struct node *n = c->node;
    for (int i = 0; i < 7; i++) {
        in[i] = (struct fact) { .absent = !input_given(c, i), .rank = -1 };
        if (in[i].absent)
            continue;
        in[i].rank = c->in[i]->rank;
        memcpy(in[i].dim, c->in[i]->dim, sizeof in[i].dim);
    }
    TRY(read_sizes(n, in, 7, &s, c->err));
    struct attention a = { .store = c->in[0]->store,
                           .batch = s.batch,
                           .heads = s.heads,
                           .kv_heads = s.kv_heads,
                           .queries = s.queries,
                           .keys = s.past + s.new_keys,
                           .head_size = s.head_size,
                           .value_size = s.value_size,
                           .q = c->in[0]->data,
                           .y = c->out[0]->data,
                           .scale_inputs = true };
    set_strides(a.q_stride, in[0].rank, s.heads, s.queries, s.head_size);
    set_strides(a.y_stride, in[0].rank, s.heads, s.queries, s.value_size);
    a.scale = attr_find(n, "scale") ? attr_float(n, "scale") : 1 / sqrt((double)s.head_size);
    a.softcap = attr_float(n, "softcap");
    a.causal = attr_int(n, "is_causal") != 0;
    a.left = attr_int(n, "left_window_size");
    a.right = attr_int(n, "right_window_size");
    a.scores = op_wanted(c, 3) ? c->out[3]->data : NULL;
    a.scores_mode = (int)attr_int(n, "qk_matmul_output_mode");
    struct attention_cache k = { .t = c->in[1],
                                 .past = s.past ? c->in[4] : NULL,
                                 .out = op_wanted(c, 1) ? c->out[1] : NULL,
                                 .batch = s.batch,
                                 .heads = s.kv_heads,
                                 .length = s.new_keys,
                                 .past_length = s.past,
                                 .size = s.head_size };
    struct attention_cache v = k;
    v.t = c->in[2];
    v.past = s.past ? c->in[5] : NULL;
    v.out = op_wanted(c, 2) ? c->out[2] : NULL;
    v.size = s.value_size;
    a.k = attention_cache(c, &k, a.store);
    a.v = attention_cache(c, &v, a.store);
    FAIL_IF(!a.k || !a.v, c->err, STATUS_UNSUPPORTED, "Attention: not enough memory");
    int64_t *offset = NEW_ARRAY(c->scratch, s.batch + 1, int64_t),
            *valid = NEW_ARRAY(c->scratch, s.batch + 1, int64_t);
    for (int64_t b = 0; b < s.batch; b++) {
        valid[b] = in[6].absent ? a.keys : tensor_i64(c->in[6], b);
        FAIL_IF(valid[b] < 0 || valid[b] > a.keys, c->err, STATUS_CORRUPT,
                "nonpad_kv_seqlen of Attention holds %lld", (long long)valid[b]);
        offset[b] = in[6].absent ? s.past : valid[b] - s.queries;
    }
    a.offset = offset;
    a.valid = in[6].absent ? NULL : valid;
    if (!in[3].absent)
        TRY(attention_add_bias(c, &a, c->in[3]));
    *out = a;
    return OK;
}

static enum status attention(struct op_ctx *c) {
    struct attention a;
    TRY(attention_read(c, &a));
    attention_run(c, &a);
    return OK;
}

/* --- RotaryEmbedding, of ONNX and of ONNX Runtime (inputs in another order) --- */

struct rotary_inputs {
    int cos, sin, position;
};

static struct rotary_inputs rotary_inputs(const struct node *n) {
    return n->domain[0] ? (struct rotary_inputs) { 2, 3, 1 } : (struct rotary_inputs) { 1, 2, 3 };
}

static enum status shape_rotary(struct shape_ctx *c) {
    struct rotary_inputs at = rotary_inputs(c->node);
    TRY(need_float(c, 0));
    TRY(need_float(c, at.cos));
    TRY(need_float(c, at.sin));
    shape_copy(c, 0, 0);
    int r = c->in[0].rank;
    SHAPE_FAIL_IF(r >= 0 && r != 3 && r != 4, c, "RotaryEmbedding of a tensor of rank %d", r);
    return OK;
}

/* Which row of the caches each token uses: the id, the first id plus the place, or its own row of a
 * cache per token. */
static enum status rotary_positions(struct op_ctx *c, struct rotary *r, const struct tensor *ids,
                                    const struct tensor *cache) {
    int64_t rows = cache->rank == 3 ? cache->dim[0] * cache->dim[1] : cache->dim[0];
    int64_t *row = NEW_ARRAY(c->scratch, r->batch * r->length + 1, int64_t),
            n = ids ? tensor_count(ids) : 0;
    FAIL_IF(ids && n != 1 && n != r->batch * r->length, c->err, STATUS_CORRUPT,
            "position_ids of %s has %lld elements for %lld tokens", c->node->op, (long long)n,
            (long long)(r->batch * r->length));
    FAIL_IF(!ids && (cache->rank != 3 || rows != r->batch * r->length), c->err, STATUS_CORRUPT,
            "%s without position_ids needs a cache row for each token", c->node->op);
    for (int64_t i = 0; i < r->batch * r->length; i++) {
        bool first = n == 1 && c->node->domain[0];
        row[i] = !ids    ? i
                 : first ? tensor_i64(ids, 0) + i % r->length
                         : tensor_i64(ids, n == 1 ? 0 : i);
        FAIL_IF(row[i] < 0 || row[i] >= rows, c->err, STATUS_CORRUPT,
                "position %lld of %s is outside its cache of %lld rows", (long long)row[i],
                c->node->op, (long long)rows);
    }
    r->position = row;
    return OK;
}

enum status rotary_read(struct op_ctx *c, struct rotary *out) {
    const struct tensor *x = c->in[0];
    struct rotary_inputs at = rotary_inputs(c->node);
    const struct tensor *cache = c->in[at.cos], *sines = c->in[at.sin];
    struct rotary r = { .store = x->store, .x = x->data, .y = c->out[0]->data, .batch = x->dim[0] };
    int64_t width = cache->rank ? cache->dim[cache->rank - 1] : 0;
    r.size = attr_int(c->node, "rotary_embedding_dim");
    if (x->rank == 4) {
        r.heads = x->dim[1];
        r.length = x->dim[2];
        r.head_size = x->dim[3];
    } else {
        r.heads = attr_int(c->node, "num_heads");
        if (c->node->domain[0] && !r.heads && width) /* ONNX Runtime: from the caches */
            r.heads = x->dim[2] / (r.size ? r.size : 2 * width);
        FAIL_IF(r.heads < 1 || x->dim[2] % r.heads, c->err, STATUS_CORRUPT,
                "num_heads of RotaryEmbedding is %lld for vectors of %lld", (long long)r.heads,
                (long long)x->dim[2]);
        r.length = x->dim[1];
        r.head_size = x->dim[2] / r.heads;
    }
    if (!r.size)
        r.size = r.head_size;
    FAIL_IF(r.size < 0 || r.size > r.head_size || r.size % 2 || cache->rank < 2 ||
                cache->rank > 3 || width != r.size / 2 ||
                !dims_equal(cache->dim, cache->rank, sines->dim, sines->rank),
            c->err, STATUS_CORRUPT,
            "RotaryEmbedding: %lld of %lld elements are rotated, the caches have rows of %lld",
            (long long)r.size, (long long)r.head_size, (long long)width);
    set_strides(r.stride, x->rank, r.heads, r.length, r.head_size);
    r.cos = input_as(c, at.cos, r.store);
    r.sin = input_as(c, at.sin, r.store);
    r.interleaved = attr_int(c->node, "interleaved") != 0;
    TRY(rotary_positions(c, &r, input_given(c, at.position) ? c->in[at.position] : NULL, cache));
    *out = r;
    return OK;
}

static enum status rotary_embedding(struct op_ctx *c) {
    struct rotary r;
    TRY(rotary_read(c, &r));
    rotary_run(c, &r);
    return OK;
}

static const struct attr_def attention_attrs[] = {
    INT("is_causal", 0),
    INT("kv_num_heads", 0),
    INT("left_window_size", -1),
    INT("q_num_heads", 0),
    INT("qk_matmul_output_mode", 0),
    INT("right_window_size", -1),
    FLOAT("scale", 0),
    FLOAT("softcap", 0),
    INT("softmax_precision", 1),
    { 0 },
};
static const struct attr_def rotary_attrs[] = {
    INT("interleaved", 0),
    INT("num_heads", 0),
    INT("rotary_embedding_dim", 0),
    { 0 },
};
static const struct attr_def rotary_contrib_attrs[] = {
    INT("interleaved", 0),        INT("num_heads", 0), INT("rotary_embedding_dim", 0),
    INT("is_packed_batching", 0), FLOAT("scale", 1),   { 0 },
};

const struct op ops_attention[] = {
    { .name = "Attention",
      .domain = "",
      .whole = 64,
      .spec = "ONNX Attention-25",
      .min_in = 3,
      .max_in = 7,
      .min_out = 1,
      .max_out = 4,
      .attrs = attention_attrs,
      .shape = shape_attention,
      .eval = attention,
      .grad = attention_grad },
    { ONNX("RotaryEmbedding", 23, 3, 4), .whole = 8, .attrs = rotary_attrs, .shape = shape_rotary,
      .eval = rotary_embedding, .grad = rotary_grad },
    { MICROSOFT("RotaryEmbedding", 4, 4), .attrs = rotary_contrib_attrs, .shape = shape_rotary,
      .eval = rotary_embedding, .grad = rotary_grad },
    { 0 },
};
