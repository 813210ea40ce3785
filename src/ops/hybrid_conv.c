/* Conv and ConvTranspose of float activations and integer weights. Each image is quantized on its
 * own; positions in the padding are left out.
 *
 * Conv, one scale (or scales that are all equal): images have no zero point; sum * (scale of the
 * image * scale of the weights). A scale for each channel: images have a zero point; (sum * scale
 * of the channel) * scale of the image, depthwise sum * (scale of the channel * scale of the
 * image). ConvTranspose: each product times the channel's scale times the image's, added in float32
 * in the order of x: rows, columns, channels. The bias is added last.
 *
 * Float weights, in a file of quantized operators: products rounded to float32 and added from 0 in
 * the order of the kernel's rows, columns, channels (ConvTranspose: of x's), the bias last. */
#include "ops/conv.h"
#include "ops/fixed_sums.h"
#include "ops/hybrid.h"
#include "ops/split.h"

struct job {
    struct conv_plan p;
    bool transposed, symmetric;
    const float *bias, *scale;
    const int32_t *k, *x;         /* x: differences from the zero points */
    const float *real_k, *real_x; /* instead, when the weights are float */
    const struct hybrid_row *image;
    struct tap *taps; /* one list a task */
    int64_t room;
    float *y;
};

/* x, k: where the output's group begins. */
static float forward(const struct job *j, int64_t b, int64_t o, int64_t x, int64_t k,
                     const struct tap *taps, int64_t n) {
    const struct conv_plan *p = &j->p;
    uint32_t sum = 0;
    for (int64_t t = 0; t < n; t++)
        sum += (uint32_t)fixed_dot(j->x + x + taps[t].x, j->k + k + taps[t].k, p->in_per_group,
                                   p->x_channel, p->k_in);
    float v = (float)(int32_t)sum, image = j->image[b].scale;
    if (j->symmetric)
        return v * (image * j->scale[0]);
    return p->depthwise ? v * (j->scale[o] * image) : v * j->scale[o] * image;
}

/* The taps go through x backwards. */
static float backward(const struct job *j, int64_t b, int64_t o, int64_t x, int64_t k,
                      const struct tap *taps, int64_t n) {
    const struct conv_plan *p = &j->p;
    float sum = 0, image = j->image[b].scale, scale = j->scale[o];
    for (int64_t t = n - 1; t >= 0; t--)
        for (int64_t i = 0; i < p->in_per_group; i++)
            sum += (float)(j->x[x + taps[t].x + i * p->x_channel] *
                           j->k[k + taps[t].k + i * p->k_in]) *
                   scale * image;
    return sum;
}

static float in_floats(const struct job *j, int64_t x, int64_t k, const struct tap *taps,
                       int64_t n) {
    const struct conv_plan *p = &j->p;
    float sum = 0;
    for (int64_t t = 0; t < n; t++) {
        struct tap tap = taps[j->transposed ? n - 1 - t : t];
        for (int64_t i = 0; i < p->in_per_group; i++)
            sum += j->real_x[x + tap.x + i * p->x_channel] * j->real_k[k + tap.k + i * p->k_in];
    }
    return sum;
}

static void positions(void *arg, struct part part) {
    const struct job *j = arg;
    const struct conv_plan *p = &j->p;
    struct tap *taps = j->taps + part.task * j->room;
    for (int64_t at = part.begin; at < part.end; at++) {
        int64_t n = (j->transposed ? conv_transpose_taps : conv_taps)(p, at, taps),
                y = window_out_offset(&p->w, at, p->y_spatial);
        for (int64_t i = 0; i < p->batch * p->out_channels; i++) {
            int64_t b = i / p->out_channels, o = i % p->out_channels, g = o / p->out_per_group;
            int64_t x = b * p->x_batch + g * p->in_per_group * p->x_channel,
                    k = g * p->k_group + o % p->out_per_group * p->k_out;
            float sum = j->real_k ? in_floats(j, x, k, taps, n)
                                  : (j->transposed ? backward : forward)(j, b, o, x, k, taps, n);
            j->y[b * p->y_batch + y + o * p->y_channel] = sum + (j->bias ? j->bias[o] : 0);
        }
    }
}

static bool all_equal(const struct fixed_quant *q) {
    for (int64_t i = 1; i < q->n; i++)
        if (q->scale[i] != q->scale[0])
            return false;
    return true;
}

static void quantize_images(struct op_ctx *c, struct job *j) {
    int64_t n = tensor_count(c->in[0]), images = j->p.batch, size = images ? n / images : 0;
    struct hybrid_row *image = NEW_ARRAY(c->scratch, images + 1, struct hybrid_row);
    int32_t *q = NEW_ARRAY(c->scratch, n + 1, int32_t);
    for (int64_t b = 0; b < images; b++) {
        image[b] = hybrid_quantize((const float *)c->in[0]->data + b * size, size, !j->symmetric,
                                   q + b * size);
        for (int64_t i = b * size; i < (b + 1) * size; i++)
            q[i] -= image[b].zero;
    }
    j->x = q;
    j->image = image;
}

/* The weights' integers and scales, and those of the images. */
static enum status integer_operands(struct op_ctx *c, struct job *j) {
    struct fixed_quant q;
    TRY(hybrid_weights(c, 1, j->p.out_channels, &q, &j->k));
    j->symmetric = !j->transposed && !j->p.depthwise && j->p.groups == 1 && all_equal(&q);
    /* The reference reads a scale for each channel here whether there are so many or not. */
    FAIL_IF(!j->symmetric && q.n != j->p.out_channels, c->err, STATUS_UNSUPPORTED,
            "%s of float activations with one scale for %lld channels of weights",
            j->transposed    ? "ConvTranspose"
            : j->p.depthwise ? "a depthwise Conv"
                             : "a grouped Conv",
            (long long)j->p.out_channels);
    j->scale = q.scale;
    quantize_images(c, j);
    return OK;
}

enum status hybrid_conv(struct op_ctx *c, bool transposed) {
    const struct tensor *x = c->in[0], *k = c->in[1];
    struct job j = { .transposed = transposed, .y = c->out[0]->data };
    TRY((transposed ? conv_transpose_plan : conv_plan)(c->node, x->rank, x->dim, k->rank, k->dim,
                                                       &j.p, c->err));
    TRY(hybrid_bias(c, 2, j.p.out_channels, &j.bias));
    if (hybrid_input(c, 1)) {
        j.p.last_outermost = false;
        j.real_x = x->data;
        j.real_k = k->data;
    } else {
        TRY(integer_operands(c, &j));
    }
    int64_t n = window_out_count(&j.p.w);
    j.room = window_tap_room(&j.p.w);
    int64_t cost = j.p.batch * j.p.out_channels * j.p.in_per_group * j.room;
    j.taps = NEW_ARRAY(c->scratch, j.room * split_tasks(c, n, cost), struct tap);
    split_run(c, n, cost, positions, &j);
    return OK;
}
