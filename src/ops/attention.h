/* Scaled dot-product attention: the core under ONNX Attention and ONNX Runtime's attention
 * operators. */
#ifndef OPS_ATTENTION_H
#define OPS_ATTENTION_H

#include "ops/op.h"

enum { ATTENTION_BIASES = 3 };

/* Added to the scores: element (batch, head, query, key) is at the sum of index * stride; keys from
 * `keys` on count as minus infinity. */
struct attention_bias {
    const void *values;
    int64_t stride[4];
    int64_t keys;
};

/* All float data is of type `store`. k is [batch, kv_heads, keys, head_size], v [batch, kv_heads,
 * keys, value_size], both dense; q and y have strides for batch, head and position, and dense
 * vectors. Query head h uses kv head h / (heads / kv_heads). */
struct attention {
    enum dtype store;
    int64_t batch, heads, kv_heads, queries, keys, head_size, value_size;
    const void *q, *k, *v;
    void *y;
    int64_t q_stride[3], y_stride[3];
    double scale, softcap; /* softcap 0: none */
    bool scale_inputs;     /* q and k are multiplied by sqrt(scale) each, else the score by scale */
    bool causal;
    int64_t left, right;   /* window, -1: unbounded */
    const int64_t *offset; /* by batch: position of the first query among the keys */
    const int64_t *valid;  /* by batch: number of keys that count, or NULL */
    struct attention_bias bias[ATTENTION_BIASES];
    int n_bias;
    const void *sink; /* one more score a head in the softmax, or NULL */
    bool smooth;      /* as if sink were 0 */
    void *scores;     /* [batch, heads, queries, keys] or NULL */
    int scores_mode;  /* 0 raw, 1 after softcap, 2 with bias, 3 after softmax */
};
void attention_run(struct op_ctx *c, const struct attention *a);

/* Adds a bias from a tensor of 1 to 4 dims, right-aligned with (batch, head, query, key): floats
 * are added, of booleans false is minus infinity. */
enum status attention_add_bias(struct op_ctx *c, struct attention *a, const struct tensor *t);

/* Elements of `t` as [batch, heads, length, size], written behind `past` (same layout, past_length
 * positions, or NULL). t is that already, or [batch, length, heads * size]. The result is `out`
 * when given, else in scratch or the input's own. */
struct attention_cache {
    const struct tensor *t, *past;
    struct tensor *out;
    int64_t batch, heads, length, past_length, size;
    const void *bias; /* [heads * size] of the store, added to t, or NULL */
};
const void *attention_cache(struct op_ctx *c, const struct attention_cache *k, enum dtype store);

/* Rotary position embedding: rotates the first `size` elements of each vector by the angles whose
 * cosines and sines are given per position, halves or neighbours paired. */
struct rotary {
    enum dtype store;
    int64_t batch, heads, length, head_size, size;
    const void *x;
    void *y;
    int64_t stride[3];       /* of both: batch, head, position */
    const void *cos, *sin;   /* [positions, size / 2] */
    const int64_t *position; /* [batch, length]: row of cos and sin */
    bool interleaved;
};
void rotary_run(struct op_ctx *c, const struct rotary *r);

/* What the kernels of ONNX Attention and RotaryEmbedding run, read from a node's inputs and
 * attributes. */
enum status attention_read(struct op_ctx *c, struct attention *out);
enum status rotary_read(struct op_ctx *c, struct rotary *out);

/* Adds the bias of an ONNX Runtime key mask: [batch] lengths of the right-padded keys, [2 * batch]
 * ends and starts, [batch, keys], or [batch, queries, keys], 0 where masked. */
enum status attention_key_mask(struct op_ctx *c, struct attention *a, const struct tensor *mask);

op_grad_fn attention_grad, rotary_grad, packed_attention_grad, multi_head_grad, group_query_grad;

#endif
