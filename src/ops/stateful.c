/* CausalConvWithState and LinearAttention: computed in float64 in every precision.
 *
 * Order of the floating-point operations. CausalConvWithState: one fma chain from the bias over the
 * kernel ascending; SiLU is x * (1 / (1 + exp(-x))). LinearAttention, for each token: the state
 * times exp(decay); what the state holds for the key, one fma chain over the key's elements; value
 * = beta * (value - held); state = fma(key, value, state); output = scale * (fma chain over the
 * query's elements). */
#include <math.h>
#include <string.h>

#include "ops/stateful.h"
#include "ops/mathfn.h"
#include "ops/real.h"
#include "ops/row.h"
#include "ops/split.h"

/* --- CausalConvWithState --- */

static enum status shape_causal(struct shape_ctx *c) {
    const struct fact *x = &c->in[0], *w = &c->in[1];
    const char *act = attr_str(c->node, "activation");
    SHAPE_FAIL_IF(strcmp(act, "none") != 0 && strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0,
                  c, "activation '%s' of CausalConvWithState is not known", act);
    for (int i = 0; i < c->n_in; i++)
        TRY(need_float(c, i));
    TRY(need_shape(c, 0, 3, NULL));
    int64_t channels = x->rank == 3 ? x->dim[1] : DIM_UNKNOWN;
    TRY(need_shape(c, 1, 3, (const int64_t[]) { channels, 1, DIM_UNKNOWN }));
    TRY(need_vector(c, 2, channels));
    int64_t k = w->rank == 3 ? w->dim[2] : DIM_UNKNOWN;
    SHAPE_FAIL_IF(k == 0, c, "the kernel of CausalConvWithState is empty");
    int64_t state[3] = { x->rank == 3 ? x->dim[0] : DIM_UNKNOWN, channels,
                         k < 0 ? DIM_UNKNOWN : k - 1 };
    TRY(need_shape(c, 3, 3, state));
    shape_copy(c, 0, 0);
    out_shape(c, 1, fact_given(c, 3) ? c->in[3].dtype : x->dtype, 3, state);
    return OK;
}

/* Element i of the row, with the state (or zeros) before it. */
static double causal_at(const struct tensor *x, const struct tensor *past, int64_t row, int64_t i,
                        int64_t held) {
    if (i >= held)
        return tensor_f64(x, row * x->dim[2] + i - held);
    return past ? tensor_f64(past, row * held + i) : 0;
}

static enum status causal_conv(struct op_ctx *c) {
    const struct tensor *x = c->in[0], *w = c->in[1], *bias = input_given(c, 2) ? c->in[2] : NULL;
    const struct tensor *past = input_given(c, 3) ? c->in[3] : NULL;
    int64_t length = x->dim[2], k = w->dim[2], held = k - 1;
    bool silu = strcmp(attr_str(c->node, "activation"), "none") != 0;
    for (int64_t row = 0; row < x->dim[0] * x->dim[1]; row++) {
        int64_t channel = row % x->dim[1];
        for (int64_t i = 0; i < length; i++) {
            double acc = bias ? tensor_f64(bias, channel) : 0;
            for (int64_t t = 0; t < k; t++)
                acc = fma_d(causal_at(x, past, row, i + t, held), tensor_f64(w, channel * k + t),
                            acc);
            tensor_set_f64(c->out[0], row * length + i, silu ? acc * (1 / (1 + exp_d(-acc))) : acc);
        }
        for (int64_t i = 0; op_wanted(c, 1) && i < held; i++)
            tensor_set_f64(c->out[1], row * held + i, causal_at(x, past, row, length + i, held));
    }
    return OK;
}

/* Where causal_at reads, in the gradients: NULL in the padding or when not wanted. */
static double *causal_to(struct grad_ctx *c, bool past, int64_t row, int64_t i, int64_t held) {
    if (i >= held)
        return c->grad_in[0] ? (double *)c->grad_in[0]->data + row * c->in[0]->dim[2] + i - held
                             : NULL;
    return past && c->grad_in[3] ? (double *)c->grad_in[3]->data + row * held + i : NULL;
}

static enum status causal_grad(struct grad_ctx *c) {
    const struct tensor *x = c->in[0], *w = c->in[1], *bias = c->n_in > 2 ? c->in[2] : NULL,
                        *past = c->n_in > 3 ? c->in[3] : NULL;
    int64_t length = x->dim[2], k = w->dim[2], held = k - 1;
    bool silu = strcmp(attr_str(c->node, "activation"), "none") != 0;
    const double *state = c->n_out > 1 && c->grad_out[1] ? c->grad_out[1]->data : NULL;
    for (int64_t u = 0; u < x->dim[0] * x->dim[1] * length && c->grad_out[0]; u++) {
        int64_t row = u / length, channel = row % x->dim[1], i = u % length;
        double acc = bias ? tensor_f64(bias, channel) : 0,
               g = ((const double *)c->grad_out[0]->data)[u];
        for (int64_t t = 0; t < k; t++)
            acc += causal_at(x, past, row, i + t, held) * tensor_f64(w, channel * k + t);
        double s = 1 / (1 + exp_d(-acc));
        g *= silu ? s + acc * s * (1 - s) : 1;
        if (bias && c->grad_in[2])
            ((double *)c->grad_in[2]->data)[channel] += g;
        for (int64_t t = 0; t < k; t++) {
            double *to = causal_to(c, past != NULL, row, i + t, held);
            if (to)
                *to += g * tensor_f64(w, channel * k + t);
            if (c->grad_in[1])
                ((double *)c->grad_in[1]->data)[channel * k + t] +=
                    g * causal_at(x, past, row, i + t, held);
        }
    }
    for (int64_t u = 0; state && u < x->dim[0] * x->dim[1] * held; u++) {
        double *to = causal_to(c, past != NULL, u / held, length + u % held, held);
        if (to)
            *to += state[u];
    }
    return OK;
}

/* --- LinearAttention --- */

struct linear_rule {
    bool gated, delta;
};

static enum status linear_rule(const struct node *n, struct linear_rule *r, struct err *e) {
    static const char *const names[] = { "linear", "gated", "delta", "gated_delta" };
    const char *s = attr_str(n, "update_rule");
    for (int i = 0; i < 4; i++)
        if (strcmp(s, names[i]) == 0) {
            *r = (struct linear_rule) { i & 1, i >> 1 };
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "update_rule '%s' of LinearAttention is not known", s);
}

static enum status shape_linear(struct shape_ctx *c) {
    const struct fact *q = &c->in[0], *k = &c->in[1], *v = &c->in[2];
    int64_t heads = attr_int(c->node, "q_num_heads"), kv = attr_int(c->node, "kv_num_heads");
    struct linear_rule r;
    TRY(linear_rule(c->node, &r, c->err));
    SHAPE_FAIL_IF(heads < 1 || kv < 1 || heads % kv, c,
                  "LinearAttention: %lld query heads for %lld key heads", (long long)heads,
                  (long long)kv);
    SHAPE_FAIL_IF(r.gated != fact_given(c, 4) || r.delta != fact_given(c, 5), c,
                  "LinearAttention: update_rule '%s' does not fit its inputs",
                  attr_str(c->node, "update_rule"));
    for (int i = 0; i < c->n_in; i++) {
        TRY(need_float(c, i));
        if (i != 3)
            TRY(need_shape(c, i, 3, NULL));
    }
    c->out[0].dtype = q->dtype;
    if (c->n_out > 1)
        c->out[1].dtype = fact_given(c, 3) ? c->in[3].dtype : q->dtype;
    if (!fact_known(q) || !fact_known(k) || !fact_known(v))
        return OK;
    int64_t b = q->dim[0], t = q->dim[1], dk = q->dim[2] / heads, dv = v->dim[2] / kv;
    SHAPE_FAIL_IF(q->dim[2] % heads || v->dim[2] % kv || k->dim[2] != kv * dk || k->dim[0] != b ||
                      v->dim[0] != b || k->dim[1] != t || v->dim[1] != t,
                  c, "LinearAttention: the shapes of query, key and value do not fit");
    if (r.gated && fact_known(&c->in[4])) {
        int64_t width = c->in[4].dim[2];
        SHAPE_FAIL_IF(width != kv && width != kv * dk, c,
                      "decay of LinearAttention has %lld elements a token", (long long)width);
        TRY(need_shape(c, 4, 3, (const int64_t[]) { b, t, width }));
    }
    if (r.delta && fact_known(&c->in[5])) {
        int64_t width = c->in[5].dim[2];
        SHAPE_FAIL_IF(width != kv && width != 1, c,
                      "beta of LinearAttention has %lld elements a token", (long long)width);
        TRY(need_shape(c, 5, 3, (const int64_t[]) { b, t, width }));
    }
    const int64_t state[4] = { b, kv, dk, dv };
    TRY(need_shape(c, 3, 4, state));
    out_shape(c, 0, q->dtype, 3, (const int64_t[]) { b, t, heads * dv });
    if (c->n_out > 1)
        out_shape(c, 1, c->out[1].dtype, 4, state);
    return OK;
}

struct linear_job {
    struct op_ctx *c;
    struct linear_rule rule;
    int64_t tokens, heads, kv, dk, dv;
    double scale;
    double *state; /* [batch * kv][dk][dv] */
    double *room;  /* 2 dv, a task */
};

/* One token of one kv head: updates its state. */
static void linear_update(const struct linear_job *j, int64_t b, int64_t h, int64_t t,
                          double *state, double *value, double *held) {
    const struct tensor *const *in = j->c->in;
    int64_t token = b * j->tokens + t, dk = j->dk, dv = j->dv;
    for (int64_t d = 0; j->rule.gated && d < dk; d++) {
        int64_t width = in[4]->dim[2];
        double g = exp_d(tensor_f64(in[4], token * width + (width == j->kv ? h : h * dk + d)));
        for (int64_t m = 0; m < dv; m++)
            state[d * dv + m] *= g;
    }
    for (int64_t m = 0; m < dv; m++) {
        value[m] = tensor_f64(in[2], (token * j->kv + h) * dv + m);
        held[m] = 0;
    }
    for (int64_t d = 0; j->rule.delta && d < dk; d++)
        for (int64_t m = 0; m < dv; m++)
            held[m] =
                fma_d(state[d * dv + m], tensor_f64(in[1], (token * j->kv + h) * dk + d), held[m]);
    for (int64_t m = 0; j->rule.delta && m < dv; m++) {
        int64_t width = in[5]->dim[2];
        value[m] = tensor_f64(in[5], token * width + (width == 1 ? 0 : h)) * (value[m] - held[m]);
    }
    for (int64_t d = 0; d < dk; d++)
        for (int64_t m = 0; m < dv; m++)
            state[d * dv + m] =
                fma_d(tensor_f64(in[1], (token * j->kv + h) * dk + d), value[m], state[d * dv + m]);
}

static void linear_part(void *arg, struct part part) {
    const struct linear_job *j = arg;
    double *value = j->room + part.task * 2 * j->dv, *held = value + j->dv;
    for (int64_t u = part.begin; u < part.end; u++) {
        int64_t b = u / j->kv, h = u % j->kv, group = j->heads / j->kv;
        double *state = j->state + u * j->dk * j->dv;
        for (int64_t t = 0; t < j->tokens; t++) {
            linear_update(j, b, h, t, state, value, held);
            for (int64_t q = h * group; q < (h + 1) * group; q++) {
                int64_t at = (b * j->tokens + t) * j->heads + q;
                for (int64_t m = 0; m < j->dv; m++) {
                    double acc = 0;
                    for (int64_t d = 0; d < j->dk; d++)
                        acc = fma_d(tensor_f64(j->c->in[0], at * j->dk + d), state[d * j->dv + m],
                                    acc);
                    tensor_set_f64(j->c->out[0], at * j->dv + m, j->scale * acc);
                }
            }
        }
    }
}

static enum status linear_attention(struct op_ctx *c) {
    struct linear_job j = { .c = c,
                            .tokens = c->in[0]->dim[1],
                            .heads = attr_int(c->node, "q_num_heads"),
                            .kv = attr_int(c->node, "kv_num_heads") };
    TRY(linear_rule(c->node, &j.rule, c->err));
    j.dk = c->in[0]->dim[2] / j.heads;
    j.dv = c->in[2]->dim[2] / j.kv;
    j.scale = attr_float(c->node, "scale");
    if (j.scale == 0)
        j.scale = 1 / sqrt((double)j.dk);
    int64_t units = c->in[0]->dim[0] * j.kv, cost = j.tokens * j.dk * j.dv * 4,
            n = units * j.dk * j.dv;
    j.state = NEW_ARRAY(c->scratch, n + 1, double);
    for (int64_t i = 0; input_given(c, 3) && i < n; i++)
        j.state[i] = tensor_f64(c->in[3], i);
    j.room = NEW_ARRAY(c->scratch, split_tasks(c, units, cost) * 2 * j.dv + 1, double);
    split_run(c, units, cost, linear_part, &j);
    for (int64_t i = 0; op_wanted(c, 1) && i < n; i++)
        tensor_set_f64(c->out[1], i, j.state[i]);
    return OK;
}

static const struct attr_def causal_attrs[] = { STRING("activation", "none"), { 0 } };
static const struct attr_def linear_attrs[] = {
    INT("chunk_size", 64), NEEDED("kv_num_heads", INT),          NEEDED("q_num_heads", INT),
    FLOAT("scale", 0),     STRING("update_rule", "gated_delta"), { 0 },
};

const struct op ops_stateful[] = {
    { .name = "CausalConvWithState",
      .domain = "",
      .spec = "ONNX CausalConvWithState-27",
      .min_in = 2,
      .max_in = 4,
      .min_out = 1,
      .max_out = 2,
      .attrs = causal_attrs,
      .shape = shape_causal,
      .eval = causal_conv,
      .grad = causal_grad },
    { .name = "LinearAttention",
      .domain = "",
      .spec = "ONNX LinearAttention-27",
      .min_in = 3,
      .max_in = 6,
      .min_out = 1,
      .max_out = 2,
      .attrs = linear_attrs,
      .shape = shape_linear,
      .eval = linear_attention,
      .grad = linear_attention_grad },
    { 0 },
};
