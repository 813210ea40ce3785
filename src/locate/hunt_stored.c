/* Quantized constants: the target's integers, or their scale, are made anew from the source's
 * numbers. An edit is judged with the source's numbers themselves in place of what it stores, since
 * the declared steps explain what is lost. */
#include <math.h>
#include <string.h>

#include "locate/hunt.h"
#include "locate/zipper_parts.h"

enum { VIEWS = 12 };

struct stored { /* DequantizeLinear of a constant, and who reads it */
    const struct node *dq;
    struct node *reader;
    int input;
    struct tensor *real; /* what it comes to now */
    struct grid grid;
};

struct remedy {
    struct tensor *integers, *scale; /* NULL: stays */
    struct tensor *exact;
};

static bool find_reader(const struct region *r, struct stored *s) {
    for (int i = 0; i < r->n_nodes; i++)
        for (int k = 0; k < r->nodes[i]->n_in; k++)
            if (r->nodes[i]->in[k] == s->dq->out[0]) {
                s->reader = (struct node *)(size_t)r->nodes[i];
                s->input = k;
                return true;
            }
    return false;
}

static bool stored_at(struct hunt *h, const struct node *n, struct stored *s) {
    struct err e;
    *s = (struct stored) { .dq = n };
    return node_is(n, "DequantizeLinear") && n->in[0] && n->in[0]->constant && n->in[1] &&
           dtype_is_int(n->in[0]->constant->dtype) && !zipper_dynamic(h->z, n->out[0]) &&
           !h->z->refined[n->out[0]->id] && find_reader(h->r, s) &&
           zipper_replay(h->z, 0, n->out[0], NULL, 0, &s->real, &e) == OK &&
           grid_of(n, s->real, &s->grid);
}

static double zero_at(const struct stored *s, int64_t i) {
    const struct value *zero = s->dq->n_in > 2 ? s->dq->in[2] : NULL;
    if (!zero || !zero->constant)
        return 0;
    int64_t n = tensor_count(zero->constant);
    return tensor_f64(zero->constant, n == 1 ? 0 : i / s->grid.inner % n);
}

static struct tensor *like(struct hunt *h, const struct tensor *t) {
    return tensor_in_arena(h->target->arena, t->dtype, t->store, t->rank, t->dim);
}

/* The source's numbers on the target's grid, or on `scale`; false: some lie beyond it. */
static bool on_grid(struct hunt *h, const struct stored *s, const struct tensor *exact,
                    const struct tensor *scale, struct tensor **out) {
    const struct tensor *now = s->dq->in[0]->constant;
    struct grid grid = s->grid;
    grid.scale = scale;
    int64_t least, most;
    dtype_int_bounds(now->dtype, &least, &most);
    *out = like(h, now);
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        double q = rint(tensor_f64(exact, i) / step_at(&grid, i)) + zero_at(s, i);
        if (!(q >= (double)least && q <= (double)most))
            return false;
        tensor_set_i64(*out, i, (int64_t)q);
    }
    return true;
}

static bool same_integers(const struct tensor *a, const struct tensor *b) {
    for (int64_t i = 0; i < tensor_count(a); i++)
        if (tensor_i64(a, i) != tensor_i64(b, i))
            return false;
    return true;
}

static bool fits(const struct stored *s, const struct tensor *exact, const struct tensor *scale) {
    const struct tensor *q = s->dq->in[0]->constant;
    struct grid grid = s->grid;
    grid.scale = scale;
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        double real = (tensor_f64(q, i) - zero_at(s, i)) * step_at(&grid, i),
               want = tensor_f64(exact, i);
        if (!(fabs(real - want) <= 0.5 * step_at(&grid, i) + 1e-6 * fabs(want)))
            return false;
    }
    return true;
}

/* The scales that the stored integers need to stand for the source's numbers, from the largest
 * integer of each channel; NULL: none do. */
static struct tensor *fitted_scale(struct hunt *h, const struct stored *s,
                                   const struct tensor *exact) {
    const struct tensor *q = s->dq->in[0]->constant;
    int64_t n = s->grid.channels;
    double *most = NEW_ARRAY(h->arena, n + 1, double);
    struct tensor *scale = like(h, s->grid.scale);
    for (int64_t c = 0; c < n; c++)
        tensor_set_f64(scale, c, tensor_f64(s->grid.scale, c));
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        int64_t c = channel_at(&s->grid, i);
        double steps = tensor_f64(q, i) - zero_at(s, i);
        if (fabs(steps) > most[c]) {
            most[c] = fabs(steps);
            tensor_set_f64(scale, c, tensor_f64(exact, i) / steps);
        }
    }
    return fits(s, exact, scale) ? scale : NULL;
}

/* Scales that hold the source's numbers, as large as the stored type allows. */
static struct tensor *wide_scale(struct hunt *h, const struct stored *s,
                                 const struct tensor *exact) {
    int bits = dtype_row(s->dq->in[0]->constant->dtype)->bits;
    struct tensor *scale = like(h, s->grid.scale);
    double *most = NEW_ARRAY(h->arena, s->grid.channels + 1, double);
    for (int64_t i = 0; i < tensor_count(exact); i++) {
        int64_t c = channel_at(&s->grid, i);
        most[c] = fmax(most[c], fabs(tensor_f64(exact, i)));
    }
    for (int64_t c = 0; c < s->grid.channels; c++)
        tensor_set_f64(scale, c, fmax(most[c], 1e-30) / (ldexp(1, bits - 1) - 1));
    return scale;
}

/* Says how `exact` can be stored; false: it is stored already. */
static bool remedy_for(struct hunt *h, const struct stored *s, struct tensor *exact,
                       struct remedy *out) {
    *out = (struct remedy) { .exact = exact };
    struct tensor *q;
    out->scale = fitted_scale(h, s, exact);
    if (out->scale)
        return true;
    if (on_grid(h, s, exact, s->grid.scale, &q)) {
        out->integers = q;
        return !same_integers(q, s->dq->in[0]->constant);
    }
    out->scale = wide_scale(h, s, exact);
    out->integers = on_grid(h, s, exact, out->scale, &q) ? q : NULL;
    return out->integers != NULL;
}

static void add_edits(struct patch *p, const struct stored *s, const struct remedy *remedy) {
    if (remedy->integers)
        patch_set_constant(p, s->dq->in[0], remedy->integers);
    if (remedy->scale)
        patch_set_constant(p, s->dq->in[1], remedy->scale);
}

static void propose(struct hunt *h, const struct stored *s, const struct remedy *remedy,
                    const struct node *source_node, int rank) {
    struct patch *p = patch_new(h->target, "stored constant");
    struct override instead = { s->dq->out[0], remedy->exact };
    add_edits(p, s, remedy);
    h->instead = &instead;
    h->n_instead = 1;
    const char *cause = remedy->integers ? name_constant(h, s->reader, s->input, s->real,
                                                         remedy->exact, source_node)
                                         : "quant-params";
    struct candidate *c = hunt_add(h, cause, s->reader, source_node, p, rank);
    h->instead = NULL;
    h->n_instead = 0;
    const struct value *v = remedy->integers ? s->dq->in[0] : s->dq->in[1];
    candidate_detail(h, c, v->name[0] ? v->name : "constant",
                     remedy->integers ? tensor_text(remedy->exact, h->arena)
                                      : tensor_text(remedy->scale, h->arena),
                     remedy->integers ? tensor_text(s->real, h->arena)
                                      : tensor_text(s->grid.scale, h->arena));
}

static void try_stored(struct hunt *h, const struct stored *s, const struct tensor *constant,
                       const struct node *source_node) {
    struct pair_view views[VIEWS];
    int n = layout_candidates(constant, s->real, NULL, 0, views, VIEWS);
    for (int i = 0; i < n && !h->solved; i++) {
        struct tensor *as = NULL, *exact = NULL;
        struct err e;
        struct remedy remedy;
        if (layout_apply(&as, constant, &views[i], s->real->rank, s->real->dim, &e) != OK)
            continue;
        if (tensor_convert(&exact, as, DT_F64, &e) == OK && remedy_for(h, s, exact, &remedy))
            propose(h, s, &remedy, source_node, 12 + (i > 0));
        tensor_free(as);
        tensor_free(exact);
    }
}

void hunt_stored(struct hunt *h) {
    for (int i = 0; i < h->r->n_nodes; i++) {
        struct stored s;
        if (!stored_at(h, h->r->nodes[i], &s)) {
            tensor_free(s.real);
            continue;
        }
        for (int k = 0; k < h->r->n_source_nodes && !h->solved; k++) {
            const struct node *m = h->r->source_nodes[k];
            for (int j = 0; j < m->n_in && !h->solved; j++) {
                const struct tensor *c = m->in[j] ? m->in[j]->constant : NULL;
                if (c && c->kind == KIND_TENSOR && dtype_is_float(c->dtype) &&
                    tensor_count(c) == tensor_count(s.real))
                    try_stored(h, &s, c, m);
            }
        }
        tensor_free(s.real);
    }
}
