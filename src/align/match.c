#include "align/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool samples_of(const struct trace *t, const struct value *v, const struct tensor **out) {
    for (int k = 0; k < t->samples; k++) {
        out[k] = trace_value(t, v, k);
        if (!out[k] || !tensor_is_real(out[k]))
            return false;
    }
    return t->samples > 0;
}

static struct sketch sketch_of(const struct tensor *x) {
    struct sketch s = { .low = HUGE_VAL, .high = -HUGE_VAL };
    int64_t n = tensor_count(x);
    tensor_touch(x);
    for (int64_t i = 0; i < n; i++) {
        double y = x->store == DT_F64 ? ((const double *)x->data)[i] : tensor_f64(x, i);
        if (!(fabs(y) < 1e150))
            continue;
        s.sum += y;
        s.sum_sq += y * y;
        s.low = y < s.low ? y : s.low;
        s.high = y > s.high ? y : s.high;
    }
    return s;
}

static void sketch_source(struct alignment *al, const struct value *v) {
    const struct tensor *x[COMPARED_SAMPLES];
    if (!samples_of(al->source, v, x) || tensor_count(x[0]) == 0)
        return;
    struct sketch *s = NEW_ARRAY(al->arena, al->source->samples, struct sketch);
    for (int k = 0; k < al->source->samples; k++)
        s[k] = sketch_of(x[k]);
    al->sketch[v->id] = s;
    al->scale[v->id] = layout_scale(x, al->source->samples);
}

/* Could arrays of `count` elements with these sketches agree within tol of their scale at every
 * element? */
static bool sketch_near(const struct sketch *a, const struct sketch *b, int64_t count, double tol) {
    double scale = fmax(fmax(fabs(a->low), fabs(a->high)), 1e-300);
    double slack = 1.01 * tol * scale + 1e-13 * scale;
    return fabs(a->low - b->low) <= slack && fabs(a->high - b->high) <= slack &&
           fabs(a->sum - b->sum) <= slack * (double)count &&
           fabs(a->sum_sq - b->sum_sq) <= 2.1 * slack * scale * (double)count;
}

static void note_order(int *order, const struct model *m) {
    for (int i = 0; i < m->next_value_id; i++)
        order[i] = -1;
    for (int i = 0; i < m->graph->n_nodes; i++)
        for (int k = 0; k < m->graph->nodes[i]->n_out; k++)
            if (m->graph->nodes[i]->out[k])
                order[m->graph->nodes[i]->out[k]->id] = i;
}

void alignment_init(struct alignment *al, struct trace *source, struct trace *target,
                    struct arena *a) {
    *al = (struct alignment) { .arena = a, .source = source, .target = target };
    struct model *s = source->model, *t = target->model;
    al->n_link = t->next_value_id;
    al->link = NEW_ARRAY(a, al->n_link + 1, struct link);
    al->claims = NEW_ARRAY(a, s->next_value_id + 1, int);
    al->order = NEW_ARRAY(a, s->next_value_id + 1, int);
    al->target_order = NEW_ARRAY(a, t->next_value_id + 1, int);
    al->sketch = NEW_ARRAY(a, s->next_value_id + 1, struct sketch *);
    al->scale = NEW_ARRAY(a, s->next_value_id + 1, double);
    al->source_uses = uses_build(s, a);
    al->target_uses = uses_build(t, a);
    note_order(al->order, s);
    note_order(al->target_order, t);
    al->list = NEW_ARRAY(a, s->next_value_id + 1, const struct value *);
    al->dynamic = NEW_ARRAY(a, s->next_value_id + 1, const struct value *);
    for (int i = 0; i < s->graph->n_inputs; i++)
        al->dynamic[al->n_dynamic++] = s->graph->inputs[i];
    for (int i = 0; i < s->graph->n_nodes; i++)
        for (int k = 0; k < s->graph->nodes[i]->n_out; k++) {
            const struct value *v = s->graph->nodes[i]->out[k];
            if (v && trace_dynamic(source, v))
                al->dynamic[al->n_dynamic++] = v;
        }
    for (int i = 0; i < al->n_dynamic; i++)
        sketch_source(al, al->dynamic[i]);
}

void alignment_unlink(struct alignment *al, const struct value *target) {
    struct link *l = &al->link[target->id];
    if (l->source)
        al->claims[l->source->id]--;
    *l = (struct link) { 0 };
}

void alignment_link(struct alignment *al, const struct value *target, const struct link *l) {
    alignment_unlink(al, target);
    al->link[target->id] = *l;
    if (l->source)
        al->claims[l->source->id]++;
}

/* Views seen at the inputs of the value's producer, for hints. */
static int views_nearby(const struct alignment *al, const struct value *target,
                        struct pair_view *out, int max) {
    const struct node *n = target->producer;
    int count = 0;
    for (int i = 0; n && i < n->n_in && count < max; i++)
        if (n->in[i] && n->in[i]->id < al->n_link && al->link[n->in[i]->id].source &&
            al->link[n->in[i]->id].view.n_permute)
            out[count++] = al->link[n->in[i]->id].view;
    return count;
}

bool match_pair(const struct alignment *al, const struct value *source, const struct value *target,
                double tol, struct link *out) {
    const struct tensor *s[COMPARED_SAMPLES], *t[COMPARED_SAMPLES];
    struct pair_view hints[4];
    if (!samples_of(al->source, source, s) || !samples_of(al->target, target, t))
        return false;
    int n_hints = views_nearby(al, target, hints, 4);
    struct layout_match m;
    if (!layout_find(s, t, al->source->samples, al->scale[source->id], tol, hints, n_hints, &m))
        return false;
    *out = (struct link) { source, m.view, m.max_abs, m.scale, MATCHED_VALUE, false };
    return true;
}

/* Position in the source that the target value's nearest linked ancestors point to. */
static int expected_order(const struct alignment *al, const struct value *v, int depth) {
    if (v->id < al->n_link && al->link[v->id].source)
        return al->order[al->link[v->id].source->id];
    int best = -1;
    const struct node *n = v->producer;
    for (int i = 0; n && depth < 6 && i < n->n_in && i < 4; i++)
        if (n->in[i] && trace_dynamic(al->target, n->in[i])) {
            int o = expected_order(al, n->in[i], depth + 1);
            best = o > best ? o : best;
        }
    return best;
}

bool same_operator(const struct node *a, const struct node *b) {
    return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0;
}

/* Made by the same operator, or both by none. */
static bool same_making(const struct value *a, const struct value *b) {
    if (!a->producer || !b->producer)
        return !a->producer && !b->producer;
    return same_operator(a->producer, b->producer);
}

/* A convolution and the normalisation folded into it end in the same value. */
static bool both_linear(const struct value *a, const struct value *b) {
    static const char *const linear[] = { "Conv",   "ConvTranspose",      "Gemm",
                                          "MatMul", "BatchNormalization", "Add",
                                          "Mul" };
    int hits = 0;
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++)
        hits += (a->producer && node_is(a->producer, linear[i])) +
                (b->producer && node_is(b->producer, linear[i]));
    return hits == 2;
}

static bool hinted(const struct alignment *al, const struct value *s, const struct value *t) {
    for (int i = 0; i < al->n_hints; i++)
        if (strcmp(al->hints[i].source, s->name) == 0 && strcmp(al->hints[i].target, t->name) == 0)
            return true;
    return false;
}

/* Lower is better: how well source value s fits the place of target value t, given the link found.
 */
static double misfit(const struct alignment *al, const struct value *t, const struct link *l,
                     int expected) {
    const struct value *s = l->source;
    double cost = 0;
    if (l->error > MATCH_EXACT * l->scale)
        cost += 100 + log10(l->error / l->scale + 1e-300) * 10;
    if (!same_making(s, t))
        cost += 8;
    if (al->claims[s->id])
        cost += 4;
    if (!l->view.identity)
        cost += l->view.n_permute ? 2 : 1;
    int distance = al->order[s->id] - expected;
    cost += distance < 0 ? 6 : 0;
    cost += 5.0 * abs(distance) / (abs(distance) + 20.0);
    if (strcmp(s->name, t->name) == 0)
        cost -= 0.5;
    if (hinted(al, s, t))
        cost -= 50;
    return cost;
}

/* Source values whose sketches fit the target's in every sample. */
static int candidates(const struct alignment *al, const struct value *target, double tol,
                      const struct value **out) {
    const struct tensor *t[COMPARED_SAMPLES], *s;
    if (!samples_of(al->target, target, t))
        return 0;
    int n = 0;
    for (int i = 0; i < al->n_dynamic; i++) {
        s = al->sketch[al->dynamic[i]->id] ? trace_value(al->source, al->dynamic[i], 0) : NULL;
        if (s && tensor_count(s) == tensor_count(t[0]))
            out[n++] = al->dynamic[i];
    }
    for (int k = 0; n && k < al->source->samples; k++) {
        struct sketch sk = sketch_of(t[k]);
        int kept = 0;
        for (int i = 0; i < n; i++)
            if (sketch_near(&al->sketch[out[i]->id][k], &sk, tensor_count(t[k]), tol))
                out[kept++] = out[i];
        n = kept;
    }
    return n;
}

bool match_value(const struct alignment *al, const struct value *target, double tol,
                 struct link *out) {
    int n = candidates(al, target, tol, al->list), expected = n ? expected_order(al, target, 0) : 0;
    double best = HUGE_VAL;
    for (int i = 0; i < n; i++) {
        struct link l;
        if (!match_pair(al, al->list[i], target, tol, &l))
            continue;
        const struct value *s = al->list[i];
        bool near_only = l.error > 1e-6 * l.scale;
        if (near_only && (al->claims[s->id] || al->order[s->id] < expected ||
                          !(same_making(s, target) || both_linear(s, target))))
            continue;
        double cost = misfit(al, target, &l, expected);
        if (cost < best) {
            best = cost;
            *out = l;
        }
    }
    return best < HUGE_VAL;
}
