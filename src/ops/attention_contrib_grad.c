/* Gradients of ONNX Runtime's attention operators, which are written out by their definition:
 * softmax(scale * Q K^T + masks) V. */
#include <math.h>
#include <string.h>

#include "ops/attention.h"
#include "ops/body.h"

/* Heads of one attention: values are [batch, heads, length, size] of the graph. */
struct heads {
    int64_t batch, n, queries, keys, size, value_size;
    struct value *q, *k, *v, *bias; /* bias: added to the scores, or NULL */
    const double *mask;             /* [batch, queries, keys], added */
    double scale, softcap;
    bool smooth; /* one more score of 0 */
};

/* [batch, length, heads * size] as [batch, heads, length, size]. */
static struct value *split_heads(struct body *b, struct value *x, int64_t batch, int64_t length,
                                 int64_t heads, int64_t size) {
    x = body_reshape(b, x, 4, (const int64_t[]) { batch, length, heads, size });
    return body_transpose(b, x, 4, (const int64_t[]) { 0, 2, 1, 3 });
}

/* The result as [batch, queries, heads * value_size]. */
static struct value *attend(struct body *b, const struct heads *h) {
    struct value *s = body_times_turned(b, h->q, h->k, 4);
    s = body_op(b, "Mul", s, body_number(b, h->scale), NULL);
    if (h->softcap > 0) {
        struct value *cap = body_number(b, h->softcap);
        s = body_op(b, "Mul", body_op(b, "Tanh", body_op(b, "Div", s, cap, NULL), NULL, NULL), cap,
                    NULL);
    }
    s = body_op(b, "Add", s,
                body_tensor(b, 4, (const int64_t[]) { h->batch, 1, h->queries, h->keys }, h->mask),
                NULL);
    if (h->bias)
        s = body_op(b, "Add", s, h->bias, NULL);
    if (h->smooth) {
        const int64_t dim[] = { h->batch, h->n, h->queries, 1 };
        double *zeros = NEW_ARRAY(b->m->arena, h->batch * h->n * h->queries + 1, double);
        s = body_op_int(b, "Concat", s, body_tensor(b, 4, dim, zeros), "axis", 3);
    }
    s = body_op_int(b, "Softmax", s, NULL, "axis", 3);
    if (h->smooth)
        s = body_slice(b, s, 3, 0, h->keys);
    struct value *y = body_op(b, "MatMul", s, h->v, NULL);
    y = body_transpose(b, y, 4, (const int64_t[]) { 0, 2, 1, 3 });
    return body_reshape(b, y, 3, (const int64_t[]) { h->batch, h->queries, h->n * h->value_size });
}

/* Past and new entries of a cache, one behind the other. */
static struct value *behind(struct body *b, struct value *past, struct value *now) {
    return past ? body_op_int(b, "Concat", past, now, "axis", 2) : now;
}

static double scale_of(const struct body *b, int64_t size) {
    double scale = attr_float(b->c->node, "scale");
    return scale == 0 ? 1 / sqrt((double)size) : scale;
}

/* What the key mask and causality add to each score. */
static enum status key_mask(struct body *b, struct heads *h, int input, int64_t past) {
    bool causal = attr_int(b->c->node, "unidirectional") != 0;
    struct attention a = {
        .store = DT_F64, .batch = h->batch, .queries = h->queries, .keys = h->keys
    };
    struct op_ctx k = { .node = b->c->node, .scratch = b->c->scratch, .err = b->c->err };
    int64_t n = h->batch * h->queries * h->keys;
    double *mask = NEW_ARRAY(b->m->arena, n + 1, double);
    if (body_has(b, input))
        TRY(attention_key_mask(&k, &a, b->c->in[input]));
    for (int64_t i = 0; i < n; i++) {
        int64_t key = i % h->keys, query = i / h->keys % h->queries,
                batch = i / h->keys / h->queries;
        const int64_t *step = a.bias[0].stride;
        if (a.n_bias)
            mask[i] = ((const double *)a.bias[0]
                           .values)[batch * step[0] + query * step[2] + key * step[3]];
        if (causal && key > query + past)
            mask[i] = -INFINITY;
    }
    h->mask = mask;
    return OK;
}

static struct value *half(struct body *b, struct value *past, int64_t which, const int64_t *dim) {
    return body_reshape(b, body_slice(b, past, 0, which, which + 1), 4, dim + 1);
}

static enum status write_packed(struct body *b) {
    struct grad_ctx *c = b->c;
    const struct tensor *x = c->in[0], *w = c->in[1];
    int count;
    const int64_t *sizes = attr_ints(c->node, "qkv_hidden_sizes", &count);
    int64_t heads = attr_int(c->node, "num_heads"), at = 0, length = x->dim[1];
    int64_t past = body_has(b, 4) ? c->in[4]->dim[3] : 0;
    struct value *part[3], *all = body_op(b, "MatMul", b->in[0], b->in[1], NULL);
    if (body_has(b, 2))
        all = body_op(b, "Add", all, b->in[2], NULL);
    for (int i = 0; i < 3; i++) {
        int64_t size = sizes ? sizes[i] : w->dim[1] / 3;
        part[i] = split_heads(b, body_slice(b, all, 2, at, at + size), x->dim[0], length, heads,
                              size / heads);
        at += size;
    }
    int64_t size = (sizes ? sizes[0] : w->dim[1] / 3) / heads,
            value_size = (sizes ? sizes[2] : w->dim[1] / 3) / heads;
    struct heads h = { .batch = x->dim[0],
                       .n = heads,
                       .queries = length,
                       .keys = past + length,
                       .size = size,
                       .value_size = value_size,
                       .q = part[0],
                       .bias = body_has(b, 5) ? b->in[5] : NULL,
                       .scale = scale_of(b, size) };
    h.k = behind(b, past ? half(b, b->in[4], 0, c->in[4]->dim) : NULL, part[1]);
    h.v = behind(b, past ? half(b, b->in[4], 1, c->in[4]->dim) : NULL, part[2]);
    TRY(key_mask(b, &h, 3, past));
    b->out[0] = attend(b, &h);
    if (c->n_out > 1 && size == value_size) {
        const int64_t dim[] = { 1, h.batch, heads, h.keys, size };
        b->out[1] = body_op_int(b, "Concat", body_reshape(b, h.k, 5, dim),
                                body_reshape(b, h.v, 5, dim), "axis", 0);
    }
    return OK;
}

enum status packed_attention_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_packed);
}

/* Columns [from, from + n * size) of the bias as [heads, 1, size], added. */
static struct value *with_bias(struct body *b, struct value *x, int64_t from, int64_t heads,
                               int64_t size) {
    if (!body_has(b, 3))
        return x;
    struct value *part = body_slice(b, b->in[3], 0, from, from + heads * size);
    return body_op(b, "Add", x, body_reshape(b, part, 3, (const int64_t[]) { heads, 1, size }),
                   NULL);
}

static enum status write_multi(struct body *b) {
    struct grad_ctx *c = b->c;
    const struct tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
    bool first = k->rank == 4;
    int64_t heads = attr_int(c->node, "num_heads"), size = q->dim[2] / heads,
            value_size = first ? v->dim[3] : v->dim[2] / heads, keys = k->dim[first ? 2 : 1],
            past = body_has(b, 6) ? c->in[6]->dim[2] : 0;
    struct heads h = { .batch = q->dim[0],
                       .n = heads,
                       .queries = q->dim[1],
                       .keys = past + keys,
                       .size = size,
                       .value_size = value_size,
                       .bias = body_has(b, 5) ? b->in[5] : NULL,
                       .scale = scale_of(b, size) };
    struct value *kv[2] = { b->in[1], b->in[2] };
    for (int i = 0; i < 2 && !first; i++)
        kv[i] = split_heads(b, kv[i], h.batch, keys, heads, i ? value_size : size);
    h.q = with_bias(b, split_heads(b, b->in[0], h.batch, h.queries, heads, size), 0, heads, size);
    h.k = with_bias(b, kv[0], heads * size, heads, size);
    h.v = with_bias(b, kv[1], 2 * heads * size, heads, value_size);
    h.k = behind(b, past ? b->in[6] : NULL, h.k);
    h.v = behind(b, past ? b->in[7] : NULL, h.v);
    TRY(key_mask(b, &h, 4, past));
    b->out[0] = attend(b, &h);
    b->out[1] = h.k;
    b->out[2] = h.v;
    return OK;
}

enum status multi_head_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_multi);
}

/* --- GroupQueryAttention --- */

/* The vectors turned by their positions: [batch, heads, length, size]. */
static struct value *turned(struct body *b, struct value *x, const int64_t *position, int64_t batch,
                            int64_t length, int64_t size) {
    const struct tensor *cosines = b->c->in[7];
    int64_t half_size = cosines->dim[1], n = batch * length * half_size;
    double *table[2];
    struct value *v[2];
    for (int i = 0; i < 2; i++) {
        table[i] = NEW_ARRAY(b->m->arena, n + 1, double);
        for (int64_t k = 0; k < n; k++)
            table[i][k] =
                tensor_f64(b->c->in[7 + i], position[k / half_size] * half_size + k % half_size);
        v[i] = body_tensor(b, 3, (const int64_t[]) { batch, length, half_size }, table[i]);
    }
    struct value *y = graph_add_value(b->g, "");
    struct node *r = graph_add_node(b->g, "RotaryEmbedding", "", 3, 1);
    r->in[0] = x;
    r->in[1] = v[0];
    r->in[2] = v[1];
    node_set_output(r, 0, y);
    node_set_int(r, "interleaved", attr_int(b->c->node, "rotary_interleaved"));
    node_set_int(r, "rotary_embedding_dim", 2 * half_size == size ? 0 : 2 * half_size);
    return y;
}

/* Past and new entries of each batch entry, right after each other, in a cache of `room`. */
static struct value *gathered(struct body *b, struct value *past, struct value *now,
                              const int64_t *held, const int64_t *dim, int64_t past_room) {
    int64_t batch = dim[0], heads = dim[1], room = dim[2], size = dim[3], length = dim[4];
    struct value *all = NULL;
    for (int64_t i = 0; i < batch; i++) {
        struct value *own = body_slice(b, now, 0, i, i + 1), *rest;
        int64_t fits = held[i] + length > room ? room - held[i] : length;
        if (held[i] && past_room)
            own = body_op_int(b, "Concat",
                              body_slice(b, body_slice(b, past, 0, i, i + 1), 2, 0, held[i]),
                              body_slice(b, own, 2, 0, fits), "axis", 2);
        int64_t left = room - held[i] - fits;
        double *zeros = NEW_ARRAY(b->m->arena, heads * left * size + 1, double);
        rest = body_tensor(b, 4, (const int64_t[]) { 1, heads, left, size }, zeros);
        own = left ? body_op_int(b, "Concat", own, rest, "axis", 2) : own;
        all = all ? body_op_int(b, "Concat", all, own, "axis", 0) : own;
    }
    return all;
}

/* Each kv head for all of its query heads. */
static struct value *repeated(struct body *b, struct value *x, const int64_t *dim, int64_t times) {
    const int64_t apart[] = { dim[0], dim[1], 1, dim[2], dim[3] },
                  wide[] = { dim[0], dim[1], times, dim[2], dim[3] },
                  joined[] = { dim[0], dim[1] * times, dim[2], dim[3] };
    x = body_op(b, "Expand", body_reshape(b, x, 5, apart), body_ints(b, 5, wide), NULL);
    return body_reshape(b, x, 4, joined);
}

static enum status write_grouped(struct body *b) {
    struct grad_ctx *c = b->c;
    const struct tensor *q = c->in[0];
    bool packed = !body_has(b, 1), causal = attr_int(c->node, "causal") != 0;
    int64_t heads = attr_int(c->node, "num_heads"), kv = attr_int(c->node, "kv_num_heads"),
            batch = q->dim[0], length = q->dim[1],
            size = q->dim[2] / (packed ? heads + 2 * kv : heads),
            past_room = body_has(b, 3) ? c->in[3]->dim[2] : 0, total = tensor_i64(c->in[6], 0),
            room = total > past_room ? total : past_room,
            window = attr_int(c->node, "local_window_size");
    int64_t *held = NEW_ARRAY(c->scratch, batch + 1, int64_t),
            *position = NEW_ARRAY(c->scratch, batch * length + 1, int64_t);
    double *mask = NEW_ARRAY(b->m->arena, batch * length * room + 1, double);
    for (int64_t i = 0; i < batch * length; i++) {
        int64_t e = i / length;
        held[e] = total == length ? 0 : tensor_i64(c->in[5], e) + 1 - length;
        position[i] = body_has(b, 9) ? tensor_i64(c->in[9], i) : held[e] + i % length;
        for (int64_t k = 0; k < room; k++) {
            int64_t at = causal ? held[e] + i % length : tensor_i64(c->in[5], e);
            mask[i * room + k] = k > at || (window > 0 && k <= at - window) ? -INFINITY : 0;
        }
    }
    FAIL_IF(body_has(b, 11), c->err, STATUS_UNSUPPORTED,
            "the gradient of GroupQueryAttention with head_sink");
    struct value *x[3];
    const int64_t from[] = { 0, heads * size, (heads + kv) * size, (heads + 2 * kv) * size };
    for (int i = 0; i < 3; i++)
        x[i] = packed ? body_slice(b, b->in[0], 2, from[i], from[i + 1]) : b->in[i];
    for (int i = 0; i < 3; i++)
        x[i] = split_heads(b, x[i], batch, length, i ? kv : heads, size);
    for (int i = 0; i < 2 && attr_int(c->node, "do_rotary"); i++)
        x[i] = turned(b, x[i], position, batch, length, size);
    const int64_t dim[] = { batch, kv, room, size, length };
    b->out[1] = gathered(b, past_room ? b->in[3] : NULL, x[1], held, dim, past_room);
    b->out[2] = gathered(b, past_room ? b->in[4] : NULL, x[2], held, dim, past_room);
    struct heads h = { .batch = batch,
                       .n = heads,
                       .queries = length,
                       .keys = room,
                       .size = size,
                       .value_size = size,
                       .q = x[0],
                       .k = repeated(b, b->out[1], dim, heads / kv),
                       .v = repeated(b, b->out[2], dim, heads / kv),
                       .bias = body_has(b, 10) ? b->in[10] : NULL,
                       .mask = mask,
                       .scale = scale_of(b, size),
                       .softcap = attr_float(c->node, "softcap"),
                       .smooth = attr_int(c->node, "smooth_softmax") > 0 };
    b->out[0] = attend(b, &h);
    return OK;
}

enum status group_query_grad(struct grad_ctx *c) {
    return grad_of_body(c, write_grouped);
}
