/* FlexAttention (ai.onnx.preview): attention whose scores and probabilities pass through
 * sub-graphs. Computed in float64 in every precision; what the sub-graphs see is rounded to the
 * type they are given.
 *
 * Order of the floating-point operations: score = scale * (fma chain from 0 over the head's
 * elements); softmax as Attention; output = fma chain from 0 over the keys. */
#include <math.h>

#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

static enum status shape_flex(struct shape_ctx *c) {
    const struct fact *q = &c->in[0], *k = &c->in[1], *v = &c->in[2];
    for (int i = 0; i < 3; i++) {
        TRY(need_float(c, i));
        TRY(need_shape(c, i, 4, NULL));
    }
    c->out[0].dtype = q->dtype;
    if (!fact_known(q) || !fact_known(k) || !fact_known(v))
        return OK;
    SHAPE_FAIL_IF(k->dim[0] != q->dim[0] || v->dim[0] != q->dim[0] || k->dim[1] < 1 ||
                      v->dim[1] != k->dim[1] || q->dim[1] % k->dim[1] || k->dim[2] != v->dim[2] ||
                      k->dim[3] != q->dim[3],
                  c, "FlexAttention: the shapes of Q, K and V do not fit");
    out_shape(c, 0, q->dtype, 4, (const int64_t[]) { q->dim[0], q->dim[1], q->dim[2], v->dim[3] });
    return OK;
}

/* Replaces *t by what the sub-graph makes of it. */
static enum status modify(struct op_ctx *c, const char *name, struct tensor **t) {
    struct graph *g = attr_graph(c->node, name);
    struct tensor *out = NULL, *same = NULL;
    if (!g)
        return OK;
    FAIL_IF(!c->run_graph, c->err, STATUS_UNSUPPORTED, "FlexAttention with %s outside a graph",
            name);
    TRY(c->run_graph(c, g, t, 1, &out, 1));
    enum status s = OK;
    if (!dims_equal(out->dim, out->rank, (*t)->dim, (*t)->rank) || !dtype_is_float(out->store))
        s = err_set(c->err, STATUS_CORRUPT,
                    "%s of FlexAttention changes the shape or type of its input", name);
    if (s == OK) /* a copy: what follows writes into it, and a sub-graph may give its input back */
        s = tensor_new(&same, out->dtype, (*t)->store, out->rank, out->dim, c->err);
    for (int64_t i = 0, n = tensor_count(out); s == OK && i < n; i++)
        tensor_set_f64(same, i, tensor_f64(out, i));
    tensor_free(out);
    if (s != OK)
        return s;
    tensor_free(*t);
    *t = same;
    return OK;
}

static void flex_scores(const struct op_ctx *c, double scale, struct tensor *scores) {
    const struct tensor *q = c->in[0], *k = c->in[1];
    int64_t group = q->dim[1] / k->dim[1], d = q->dim[3], keys = k->dim[2],
            n = tensor_count(scores);
    for (int64_t at = 0; at < n; at++) {
        int64_t row = at / keys, head = row / q->dim[2], b = head / q->dim[1],
                kv = b * k->dim[1] + head % q->dim[1] / group;
        double acc = 0;
        for (int64_t i = 0; i < d; i++)
            acc = fma_d(tensor_f64(q, row * d + i), tensor_f64(k, (kv * keys + at % keys) * d + i),
                        acc);
        tensor_set_f64(scores, at, acc * scale);
    }
}

static void softmax_rows(struct tensor *t) {
    int64_t keys = t->dim[3], rows = keys ? tensor_count(t) / keys : 0;
    for (int64_t r = 0; r < rows; r++) {
        double most = -INFINITY, sum = 0;
        for (int64_t j = 0; j < keys; j++) {
            double v = tensor_f64(t, r * keys + j);
            most = v > most || isnan(v) ? v : most;
        }
        for (int64_t j = 0; j < keys; j++)
            sum += exp_d(tensor_f64(t, r * keys + j) - most);
        for (int64_t j = 0; j < keys; j++)
            tensor_set_f64(t, r * keys + j, exp_d(tensor_f64(t, r * keys + j) - most) / sum);
    }
}

static void flex_values(struct op_ctx *c, const struct tensor *p) {
    const struct tensor *q = c->in[0], *v = c->in[2];
    struct tensor *y = c->out[0];
    int64_t group = q->dim[1] / v->dim[1], d = v->dim[3], keys = v->dim[2], n = tensor_count(y);
    for (int64_t at = 0; at < n; at++) {
        int64_t row = at / d, head = row / q->dim[2],
                kv = head / q->dim[1] * v->dim[1] + head % q->dim[1] / group;
        double acc = 0;
        for (int64_t j = 0; j < keys; j++)
            acc = fma_d(tensor_f64(p, row * keys + j), tensor_f64(v, (kv * keys + j) * d + at % d),
                        acc);
        tensor_set_f64(y, at, acc);
    }
}

static enum status flex_attention(struct op_ctx *c) {
    const struct tensor *q = c->in[0], *k = c->in[1];
    const int64_t dim[4] = { q->dim[0], q->dim[1], q->dim[2], k->dim[2] };
    enum dtype type =
        attr_dtype(c->node, "softmax_precision", q->dtype == DT_F64 ? DT_F64 : DT_F32);
    struct tensor *t = NULL;
    FAIL_IF(!dtype_is_float(type), c->err, STATUS_CORRUPT,
            "softmax_precision of FlexAttention is no float type");
    TRY(tensor_new(&t, type, store_of(type, c->precision), 4, dim, c->err));
    flex_scores(
        c, attr_find(c->node, "scale") ? attr_float(c->node, "scale") : 1 / sqrt((double)q->dim[3]),
        t);
    enum status s = modify(c, "score_mod", &t);
    if (s == OK) {
        softmax_rows(t);
        s = modify(c, "prob_mod", &t);
    }
    if (s == OK)
        flex_values(c, t);
    tensor_free(t);
    return s;
}

static const struct attr_def flex_attrs[] = {
    PLAIN("prob_mod", GRAPH),
    PLAIN("score_mod", GRAPH),
    FLOAT("scale", 0),
    INT("softmax_precision", 0),
    { 0 },
};

const struct op ops_attention_flex[] = {
    { .name = "FlexAttention",
      .domain = "ai.onnx.preview",
      .spec = "ONNX ai.onnx.preview FlexAttention-1",
      .min_in = 3,
      .max_in = 3,
      .min_out = 1,
      .max_out = 1,
      .flags = OP_SUBGRAPH,
      .attrs = flex_attrs,
      .shape = shape_flex,
      .eval = flex_attention },
    { 0 },
};
