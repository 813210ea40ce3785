/* Folded affine maps: the target's linear node differs from the source's region by a factor and an
 * offset per output channel. Both are fitted from the recorded values and folded into the weights.
 */
#include <math.h>
#include <string.h>

#include "compare/metrics.h"
#include "locate/hunt.h"

struct fit {
    double sx, sy, sxx, sxy, n;
};

static int channel_axis(const struct node *n, int rank) {
    const struct attr *layout = node_attr(n, "layout");
    if (node_is(n, "Gemm") || node_is(n, "MatMul") ||
        (layout && layout->n > 1 && layout->s[layout->n - 1] == 'C'))
        return rank - 1;
    return rank > 1 ? 1 : 0;
}

/* Output channels lie along which axis of the weight? */
static int weight_axis(const struct node *n, const struct tensor *w) {
    const struct attr *layout = node_attr(n, "kernel_layout");
    if (node_is(n, "Gemm")) {
        const struct attr *t = node_attr(n, "transB");
        return t && t->i ? 0 : 1;
    }
    if (node_is(n, "MatMul"))
        return w->rank - 1;
    const char *s = layout ? layout->s : node_is(n, "ConvTranspose") ? "IO" : "OI";
    if (s[0] == 'O')
        return 0;
    if (s[strlen(s) - 1] == 'O')
        return w->rank - 1;
    if (node_is(n, "ConvTranspose") && s[1] == 'O')
        return 1;
    return -1;
}

static bool gather_fits(const struct hunt *h, const struct node *n, int axis, int64_t channels,
                        struct fit *fits) {
    for (int k = 0; k < h->z->target->samples; k++) {
        struct tensor *x = NULL, *y = NULL;
        const struct tensor *s = trace_value(h->z->source, h->r->source, k);
        struct err e;
        bool ok = s && zipper_replay(h->z, k, h->r->target, NULL, 0, &x, &e) == OK &&
                  x->store == DT_F64 && tensor_count(x) == tensor_count(s) &&
                  layout_apply(&y, s, &h->r->view, x->rank, x->dim, &e) == OK &&
                  y->store == DT_F64 && x->dim[axis] == channels;
        if (ok) {
            int64_t inner = 1;
            for (int i = axis + 1; i < x->rank; i++)
                inner *= x->dim[i];
            const double *a = x->data, *b = y->data;
            for (int64_t i = 0; i < tensor_count(x); i++) {
                struct fit *f = &fits[i / inner % channels];
                f->sx += a[i];
                f->sy += b[i];
                f->sxx += a[i] * a[i];
                f->sxy += a[i] * b[i];
                f->n++;
            }
        }
        tensor_free(x);
        tensor_free(y);
        if (!ok)
            return false;
    }
    (void)n;
    return true;
}

static struct tensor *scaled(struct hunt *h, const struct tensor *w, int axis, const double *gain) {
    struct tensor *t = tensor_in_arena(h->target->arena, w->dtype, w->store, w->rank, w->dim);
    int64_t inner = 1;
    for (int i = axis + 1; i < w->rank; i++)
        inner *= w->dim[i];
    for (int64_t i = 0; i < tensor_count(w); i++)
        tensor_set_f64(t, i, tensor_f64(w, i) * gain[i / inner % w->dim[axis]]);
    return t;
}

static bool has_op(const struct node *const *nodes, int n, const char *op) {
    for (int i = 0; i < n; i++)
        if (strcmp(nodes[i]->op, op) == 0)
            return true;
    return false;
}

/* A fold went wrong; which parameter was it? A factor near one in every channel is a wrong epsilon.
 */
static const char *name_fold(const struct hunt *h, const double *gain, const double *offset,
                             int64_t n) {
    double worst_gain = 0, worst_offset = 0;
    for (int64_t i = 0; i < n; i++) {
        worst_gain = fmax(worst_gain, fabs(gain[i] - 1));
        worst_offset = fmax(worst_offset, fabs(offset[i]));
    }
    bool norm = has_op(h->r->source_nodes, h->r->n_source_nodes, "BatchNormalization");
    if (worst_gain < 1e-6)
        return worst_offset > 0 && norm ? "bn-param-swap" : "bias-misbinding";
    if (norm && worst_gain < 0.02)
        return "norm-epsilon";
    return "fold-shared";
}

static void fit_node(struct hunt *h, struct node *n) {
    struct value *w = n->n_in > 1 ? n->in[1] : NULL;
    const struct tensor *y = trace_value(h->z->target, n->out[0], 0);
    if (!w || !w->constant || !dtype_is_float(w->constant->dtype) || w->constant->rank < 2 || !y ||
        n->out[0] != h->r->target)
        return;
    int axis = channel_axis(n, y->rank), along = weight_axis(n, w->constant);
    int64_t channels = y->dim[axis];
    if (along < 0 || w->constant->dim[along] != channels || channels > 1 << 20)
        return;
    struct fit *fits = NEW_ARRAY(h->arena, channels + 1, struct fit);
    double *gain = NEW_ARRAY(h->arena, channels + 1, double),
           *offset = NEW_ARRAY(h->arena, channels + 1, double);
    if (!gather_fits(h, n, axis, channels, fits))
        return;
    for (int64_t i = 0; i < channels; i++) {
        const struct fit *f = &fits[i];
        double det = f->n * f->sxx - f->sx * f->sx;
        gain[i] = det > 1e-12 * f->n * f->sxx ? (f->n * f->sxy - f->sx * f->sy) / det : 1;
        offset[i] = f->n ? (f->sy - gain[i] * f->sx) / f->n : 0;
    }
    struct patch *p = patch_new(h->target, "refold");
    patch_set_input(p, n, 1,
                    patch_constant(p, n->graph, w->name[0] ? w->name : "weight",
                                   scaled(h, w->constant, along, gain)));
    const struct tensor *b = n->n_in > 2 && n->in[2] ? n->in[2]->constant : NULL;
    if (node_is(n, "MatMul") || (n->n_in > 2 && n->in[2] && (!b || tensor_count(b) != channels)))
        return;
    struct tensor *bias =
        tensor_in_arena(h->target->arena, w->constant->dtype, w->constant->store, 1, &channels);
    for (int64_t i = 0; i < channels; i++)
        tensor_set_f64(bias, i, (b ? tensor_f64(b, i) : 0) * gain[i] + offset[i]);
    patch_set_input(
        p, n, 2,
        patch_constant(p, n->graph, b && n->in[2]->name[0] ? n->in[2]->name : "bias", bias));
    struct candidate *c = hunt_add(h, name_fold(h, gain, offset, channels), n, NULL, p, 25);
    c->refits = true;
    h->solved = h->solved || c->error <= hunt_accepts(h, c);
    float *factor = NEW_ARRAY(h->arena, channels + 1, float);
    for (int64_t i = 0; i < channels; i++)
        factor[i] = (float)(1 / gain[i]);
    candidate_detail(h, c, "factor per channel", "1",
                     tensor_text(tensor_vec_f32(h->arena, factor, channels), h->arena));
}

void hunt_scales(struct hunt *h) {
    for (int i = 0; i < h->r->n_nodes; i++) {
        struct node *n = (struct node *)(size_t)h->r->nodes[i];
        if ((node_is(n, "Conv") || node_is(n, "ConvTranspose") || node_is(n, "Gemm")) &&
            n->n_out >= 1)
            fit_node(h, n);
    }
}
