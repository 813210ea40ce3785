/* Constants: the target's gets the source's contents, in the target's layout. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare/metrics.h"
#include "locate/hunt.h"

enum { MAX_SLOTS = 48, MAX_VIEWS = 24, MAX_TRIES = 400 };

struct slot { /* a constant as a node reads it */
    struct node *node;
    int input;
    struct value *value;
};

/* Through what only renames or casts a constant. */
static struct value *constant_behind(struct value *v) {
    for (int i = 0; v && i < 4; i++) {
        if (v->constant)
            return v;
        const struct node *n = v->producer;
        if (!n || !(node_is(n, "Identity") || node_is(n, "Cast")))
            return NULL;
        v = n->in[0];
    }
    return NULL;
}

static int slots_of(const struct node *const *nodes, int n, struct slot *out) {
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < nodes[i]->n_in; k++) {
            struct value *v = constant_behind(nodes[i]->in[k]);
            if (v && !v->is_input && v->constant->kind == KIND_TENSOR && count < MAX_SLOTS)
                out[count++] = (struct slot) { (struct node *)(size_t)nodes[i], k, v };
        }
    return count;
}

static bool same_contents(const struct tensor *a, const struct tensor *b) {
    int64_t n = tensor_count(a);
    if (tensor_count(b) != n || !dims_equal(a->dim, a->rank, b->dim, b->rank))
        return false;
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_f64(a, i), y = tensor_f64(b, i);
        if (x != y && (x == x || y == y))
            return false;
    }
    return true;
}

/* Source contents in the target constant's dtype, store and shape; in the target model's arena. */
static struct tensor *as_target(struct hunt *h, const struct tensor *source,
                                const struct tensor *like, const struct pair_view *view,
                                bool own_shape) {
    struct tensor *moved = NULL;
    struct err e;
    if (layout_apply(&moved, source, view, own_shape ? source->rank : like->rank,
                     own_shape ? source->dim : like->dim, &e) != OK)
        return NULL;
    struct tensor *t =
        tensor_in_arena(h->target->arena, like->dtype, like->store, moved->rank, moved->dim);
    bool ints = !dtype_is_float(like->store) && !dtype_is_float(moved->store);
    for (int64_t i = 0; i < tensor_count(t); i++) {
        if (ints)
            tensor_set_i64(t, i, tensor_i64(moved, i));
        else
            tensor_set_f64(t, i, tensor_f64(moved, i));
    }
    tensor_free(moved);
    return t;
}

/* A scale or zero point that the format keeps with the tensor is the same for all who read it. */
static bool belongs_to_tensor(const struct hunt *h, const struct slot *s) {
    return strcmp(h->target->format, "tflite") == 0 && s->input > 0 &&
           (node_is(s->node, "QuantizeLinear") || node_is(s->node, "DequantizeLinear"));
}

static struct patch *set_constant(struct hunt *h, const struct slot *s, struct tensor *t) {
    struct patch *p = patch_new(h->target, "constant");
    bool alone = h->z->al.target_uses->n[s->value->id] <= 1 && !s->value->is_output;
    if (alone || belongs_to_tensor(h, s)) {
        patch_set_constant(p, s->value, t);
        return p;
    }
    /* others read it too: the node gets its own */
    struct value *fresh =
        patch_constant(p, s->node->graph, s->value->name[0] ? s->value->name : "constant", t);
    if (s->node->in[s->input] == s->value) {
        patch_set_input(p, s->node, s->input, fresh);
        return p;
    }
    struct node *between = s->node->in[s->input]->producer;
    for (int i = 0; between && i < between->n_in; i++)
        if (between->in[i] == s->value)
            patch_set_input(p, between, i, fresh);
    return p;
}

static void try_slot(struct hunt *h, const struct slot *t, const struct slot *s, int rank,
                     int *tries) {
    struct pair_view views[MAX_VIEWS];
    const struct tensor *a = t->value->constant, *b = s->value->constant;
    bool same_count = tensor_count(a) == tensor_count(b);
    int n = same_count ? layout_candidates(b, a, NULL, 0, views, MAX_VIEWS) : 1;
    if (!same_count)
        views[0] = (struct pair_view) { .identity = true };
    for (int i = 0; i < n && *tries < MAX_TRIES; i++) {
        struct tensor *fresh = as_target(h, b, a, &views[i], !same_count);
        if (!fresh || same_contents(fresh, a))
            continue;
        (*tries)++;
        const char *cause = name_constant(h, t->node, t->input, a, fresh, s->node);
        struct candidate *c =
            hunt_add(h, cause, t->node, s->node, set_constant(h, t, fresh), rank + (i > 0));
        candidate_detail(h, c, t->value->name[0] ? t->value->name : "constant",
                         tensor_text(fresh, h->arena), tensor_text(a, h->arena));
        if (c->error <= hunt_accepts(h, c))
            return;
    }
}

static bool same_place(const struct slot *t, const struct slot *s) {
    return strcmp(t->node->op, s->node->op) == 0 && t->input == s->input;
}

/* Does any constant of the other side hold these numbers already? */
static bool has_twin(const struct slot *s, const struct slot *others, int n) {
    for (int i = 0; i < n; i++)
        if (same_contents(s->value->constant, others[i].value->constant) &&
            same_place(s, &others[i]))
            return true;
    return false;
}

/* An input that the target leaves out and the source gives as a constant (a bias, a clip bound). */
static void try_missing(struct hunt *h, struct node *n, const struct node *m) {
    for (int k = 0; k < m->n_in; k++) {
        struct value *v = m->in[k] ? constant_behind(m->in[k]) : NULL;
        if (!v || (k < n->n_in && n->in[k]) || v->constant->kind != KIND_TENSOR || k > n->n_in)
            continue;
        struct pair_view view = { .identity = true };
        struct tensor like = *v->constant;
        if (n->in[0] && dtype_is_float(like.dtype) && dtype_is_float(n->in[0]->dtype) &&
            !node_is(n, "QLinearConv"))
            like.dtype = like.store = n->in[0]->dtype;
        struct tensor *t = as_target(h, v->constant, &like, &view, true);
        if (!t)
            continue;
        struct patch *p = patch_new(h->target, "input");
        patch_set_input(p, n, k, patch_constant(p, n->graph, "restored", t));
        struct candidate *c = hunt_add(h, name_constant(h, n, k, NULL, t, m), n, m, p, 14);
        candidate_detail(h, c, arena_printf(h->arena, "input %d", k), tensor_text(t, h->arena),
                         "(none)");
    }
}

/* An input that the target gives and the source leaves out. */
static void try_extra(struct hunt *h, struct node *n, const struct node *m) {
    for (int k = n->n_in - 1; k > 0; k--) {
        struct value *v = n->in[k] ? constant_behind(n->in[k]) : NULL;
        if (!v || (k < m->n_in && m->in[k]) || k < n->def->min_in)
            continue;
        struct patch *p = patch_new(h->target, "input");
        patch_set_input(p, n, k, NULL);
        struct candidate *c =
            hunt_add(h, name_constant(h, n, k, v->constant, NULL, m), n, m, p, 15);
        candidate_detail(h, c, arena_printf(h->arena, "input %d", k), "(none)",
                         tensor_text(v->constant, h->arena));
    }
}

/* All constants of a node that differ from its counterpart's at once. */
static void try_node(struct hunt *h, struct node *n, const struct node *m) {
    struct patch *p = patch_new(h->target, "constants");
    const char *cause = NULL;
    struct fault_detail details[8];
    int n_diff = 0;
    for (int k = 0; k < n->n_in && k < m->n_in && n_diff < 8; k++) {
        struct value *a = n->in[k] ? constant_behind(n->in[k]) : NULL,
                     *b = m->in[k] ? constant_behind(m->in[k]) : NULL;
        struct pair_view view;
        if (!a || !b || tensor_count(a->constant) != tensor_count(b->constant) ||
            a->constant->kind != KIND_TENSOR ||
            layout_candidates(b->constant, a->constant, NULL, 0, &view, 1) != 1)
            continue;
        struct tensor *t = as_target(h, b->constant, a->constant, &view, false);
        if (!t || same_contents(t, a->constant))
            continue;
        struct slot s = { n, k, a };
        struct patch *one = set_constant(h, &s, t);
        for (int i = 0; i < one->n; i++)
            PUSH(h->target->arena, p->edits, p->n, one->edits[i]);
        if (!cause)
            cause = name_constant(h, n, k, a->constant, t, m);
        details[n_diff++] = (struct fault_detail) { a->name, tensor_text(t, h->arena),
                                                    tensor_text(a->constant, h->arena) };
    }
    if (n_diff < 2)
        return;
    if (strncmp(n->op, "LSTM", 4) == 0 || strcmp(n->op, "GRU") == 0 || strcmp(n->op, "RNN") == 0)
        cause = n_diff >= 3 && strcmp(cause, "rnn-gate-order") != 0 ? "rnn-direction" : cause;
    struct candidate *c = hunt_add(h, cause, n, m, p, 16);
    for (int i = 0; i < n_diff; i++)
        candidate_detail(h, c, details[i].parameter, details[i].source, details[i].target);
}

void hunt_constants(struct hunt *h) {
    struct slot *t = NEW_ARRAY(h->arena, MAX_SLOTS, struct slot),
                *s = NEW_ARRAY(h->arena, MAX_SLOTS, struct slot);
    int nt = slots_of(h->r->nodes, h->r->n_nodes, t),
        ns = slots_of(h->r->source_nodes, h->r->n_source_nodes, s), tries = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < nt; i++)
            for (int k = 0; k < ns; k++) {
                bool same = same_place(&t[i], &s[k]);
                if (same != (pass == 0) || has_twin(&t[i], s, ns))
                    continue;
                if (tensor_count(t[i].value->constant) != tensor_count(s[k].value->constant) &&
                    !(same && s[k].value->constant->rank <= 1 &&
                      !dtype_is_float(s[k].value->constant->dtype)))
                    continue;
                if (dtype_is_float(t[i].value->dtype) != dtype_is_float(s[k].value->dtype) ||
                    (pass == 1 && has_twin(&s[k], t, nt)))
                    continue;
                try_slot(h, &t[i], &s[k], pass == 0 ? 11 : 17, &tries);
            }
        for (int i = 0; pass == 0 && i < h->r->n_nodes; i++)
            for (int k = 0; k < h->r->n_source_nodes; k++) {
                struct node *n = (struct node *)(size_t)h->r->nodes[i];
                const struct node *m = h->r->source_nodes[k];
                if (!n->def || !same_operator(n, m))
                    continue;
                try_missing(h, n, m);
                try_extra(h, n, m);
                try_node(h, n, m);
            }
        if (h->solved)
            return;
    }
}
