#include "locate/hunt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "locate/causes.h"
#include "locate/zipper_parts.h"

double hunt_accepts(const struct hunt *h, const struct candidate *c) {
    double limit = fmax(h->r->floor, 1e-9 * h->r->scale);
    return c->refits ? fmax(limit, 3e-6 * h->r->scale) : limit;
}

static void bind_new(struct patch *p) {
    for (int i = 0; i < p->n; i++) {
        struct node *n = p->edits[i].node;
        if (n && (p->edits[i].kind == EDIT_ADD_NODE || p->edits[i].kind == EDIT_SET_OP))
            n->def = op_find(n->domain, n->op);
    }
}

static const struct value *replaced_by(const struct patch *p, const struct value *v) {
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].kind == EDIT_SET_OUTPUT)
            return p->edits[i].value;
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].kind == EDIT_REPLACE_USES && p->edits[i].value == v)
            return p->edits[i].with;
    return v;
}

/* Did some reader of v read another value before the patch? */
static bool rewired(const struct patch *p, const struct value *v) {
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].kind == EDIT_REPLACE_USES && p->edits[i].with == v)
            return true;
    return false;
}

static bool edits(const struct patch *p, const struct node *n) {
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].node == n)
            return true;
    return false;
}

/* By target value id: the region's end, and what is computed by an edited node, from an edited
 * constant or from rewired values. */
static const bool *behind(const struct hunt *h, const struct patch *p) {
    bool *stale = NEW_ARRAY(h->arena, h->target->next_value_id + 1, bool);
    stale[h->r->target->id] = !h->r->contract;
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].kind == EDIT_SET_CONSTANT)
            stale[p->edits[i].value->id] = true;
    const struct graph *g = h->target->graph;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i];
        bool hit = edits(p, n);
        for (int k = 0; !hit && k < n->n_in; k++)
            hit = n->in[k] && (stale[n->in[k]->id] || rewired(p, n->in[k]));
        for (int k = 0; hit && k < n->n_out; k++)
            if (n->out[k])
                stale[n->out[k]->id] = true;
    }
    return stale;
}

/* The first sample tells most wrong edits; the others are looked at when it does not. */
static double error_when(const struct hunt *h, struct zipper *edited, const struct value *result) {
    int samples = edited->target->samples;
    struct candidate refitting = { .refits = true };
    zipper_look_at(edited, 1);
    double error = zipper_error(edited, result, h->r->source, &h->r->view);
    zipper_look_at(edited, samples);
    if (samples > 1 && error <= hunt_accepts(h, &refitting))
        error = zipper_error(edited, result, h->r->source, &h->r->view);
    return error;
}

/* Where only the target quantizes, what its integers lose is no argument against an edit: neither
 * rounding nor, when that is what remains, what lies beyond their range. */
static double error_after(const struct hunt *h, const struct patch *p, const struct value *result) {
    struct zipper edited = *h->z;
    edited.n_stale = h->target->next_value_id;
    edited.stale = behind(h, p);
    edited.instead = h->instead;
    edited.n_instead = h->n_instead;
    bool narrows = region_narrows(h->r);
    edited.smooth = narrows ? SMOOTH_ROUNDING : SMOOTH_NOTHING;
    double error = error_when(h, &edited, result);
    edited.smooth = SMOOTH_ALL;
    return narrows ? fmin(error, error_when(h, &edited, result)) : error;
}

struct candidate *hunt_add(struct hunt *h, const char *cause, const struct node *node,
                           const struct node *source_node, struct patch *p, int rank) {
    struct candidate c = { .cause = cause,
                           .node = node,
                           .source_node = source_node,
                           .patch = p,
                           .rank = rank,
                           .error = INFINITY };
    const struct cause_row *row = cause_find(cause);
    c.title = row ? row->title : cause;
    c.result = replaced_by(p, h->r->target);
    struct err e;
    if (patch_apply(p, &e) == OK) {
        bind_new(p);
        c.error = error_after(h, p, c.result);
        patch_undo(p);
        for (int i = 0; i < p->n; i++)
            if (p->edits[i].kind == EDIT_SET_OP)
                p->edits[i].node->def = op_find(p->edits[i].node->domain, p->edits[i].node->op);
    }
    PUSH(h->arena, h->list, h->n, c);
    struct candidate *added = &h->list[h->n - 1];
    if (added->error <= hunt_accepts(h, added))
        h->solved = true;
    return added;
}

void candidate_detail(struct hunt *h, struct candidate *c, const char *parameter,
                      const char *source, const char *target) {
    struct fault_detail d = { parameter, source, target };
    PUSH(h->arena, c->details, c->n_details, d);
}

static int better(const void *a, const void *b) {
    const struct candidate *x = *(const struct candidate *const *)a,
                           *y = *(const struct candidate *const *)b;
    if (x->rank != y->rank)
        return (x->rank > y->rank) - (x->rank < y->rank);
    return (x->error > y->error) - (x->error < y->error);
}

int candidate_closer(const void *a, const void *b) {
    const struct candidate *x = *(const struct candidate *const *)a,
                           *y = *(const struct candidate *const *)b;
    return (x->error > y->error) - (x->error < y->error);
}

/* The accepted candidate of lowest rank, or NULL. */
static const struct candidate *choose(struct hunt *h) {
    struct candidate **list = NEW_ARRAY(h->arena, h->n + 1, struct candidate *);
    int n = 0;
    for (int i = 0; i < h->n; i++)
        if (h->list[i].error <= hunt_accepts(h, &h->list[i]))
            list[n++] = &h->list[i];
    if (!n)
        return NULL;
    qsort(list, (size_t)n, sizeof *list, better);
    return list[0];
}

static void add_rivals(struct hunt *h, const struct candidate *chosen, struct fault *f) {
    struct candidate **list = NEW_ARRAY(h->arena, h->n + 1, struct candidate *);
    int n = 0;
    for (int i = 0; i < h->n; i++)
        if (&h->list[i] != chosen && h->list[i].error < HUGE_VAL &&
            (!chosen || strcmp(h->list[i].cause, chosen->cause) != 0))
            list[n++] = &h->list[i];
    if (n > 1)
        qsort(list, (size_t)n, sizeof *list, candidate_closer);
    for (int i = 0; i < n && f->n_rivals < 3; i++) {
        bool seen = false;
        for (int k = 0; k < f->n_rivals; k++)
            seen = seen || strcmp(f->rivals[k].cause, list[i]->cause) == 0;
        struct fault_rival r = { list[i]->cause, list[i]->error };
        if (!seen)
            PUSH(h->arena, f->rivals, f->n_rivals, r);
    }
}

static struct fault fault_of(const struct region *r, const struct candidate *c,
                             const struct candidate *part) {
    const struct candidate *says = part ? part : c;
    return (struct fault) {
        .node = says && says->node ? says->node : r->frontier,
        .nodes = r->nodes,
        .n_nodes = r->n_nodes,
        .output = says && part && says->node && says->node->n_out ? says->node->out[0] : r->target,
        .source_node = says && says->source_node ? says->source_node : r->source->producer,
        .source_output = r->source,
        .cause = says                              ? says->cause
                 : r->n_nodes || r->n_source_nodes ? "structure"
                                                   : "unknown",
        .title = says ? says->title
                      : "the two sides of this region compute different things, and no edit that "
                        "is known explains it",
        .confidence = c ? "replayed" : "suspected",
        .own_error = r->error,
        .noise_floor = r->floor,
        .error_after_fix = c ? c->error : NAN,
        .repair = says ? says->patch : NULL,
        .details = says ? says->details : NULL,
        .n_details = says ? says->n_details : 0,
    };
}

int hunt_report(struct hunt *h, struct fault *out, int max) {
    const struct candidate *c = choose(h);
    int n = 0;
    for (int i = 0; c && i < c->n_parts && n < max; i++)
        out[n++] = fault_of(h->r, c, &c->parts[i]);
    if (c && !n && max > 0)
        out[n++] = fault_of(h->r, c, NULL);
    return n;
}

typedef void generator(struct hunt *);

static void generate(struct hunt *h, generator *const *list, size_t n) {
    for (size_t i = 0; i < n && !h->solved; i++)
        list[i](h);
}

void hunt_singles(struct hunt *h) {
    static generator *const list[] = { hunt_attributes, hunt_constants, hunt_stored, hunt_graph,
                                       hunt_scales };
    generate(h, list, sizeof list / sizeof *list);
}

void hunt_doubles(struct hunt *h) {
    static generator *const list[] = { hunt_pairs, hunt_enumerated, hunt_gathers };
    generate(h, list, sizeof list / sizeof *list);
}

/* Not every format can say every edit: what else brings the error to zero is kept for the writer.
 */
static void add_others(struct hunt *h, const struct patch *chosen, struct fault *f) {
    if (strcmp(h->target->format, "onnx") != 0 && !h->r->contract) {
        hunt_gathers(h);
        hunt_graft(h);
    }
    for (int i = 0; i < h->n; i++)
        if (h->list[i].patch != chosen && h->list[i].error <= hunt_accepts(h, &h->list[i]))
            PUSH(h->arena, f->others, f->n_others, h->list[i].patch);
}

int hunt_run(struct zipper *z, const struct region *r, struct fault *out, int max,
             struct arena *a) {
    struct hunt h = { .z = z, .r = r, .arena = a, .target = z->target->model };
    if (r->contract)
        hunt_contract(&h);
    else
        hunt_singles(&h);
    if (!h.solved && !r->contract) {
        int n = region_is_formula(&h) ? 0 : hunt_split(z, r, out, max, a);
        if (n)
            return n;
        hunt_doubles(&h);
    }
    if (!h.solved && !r->contract)
        hunt_graft(&h);
    const struct candidate *c = choose(&h);
    int n = hunt_report(&h, out, max);
    if (!n)
        out[n++] = fault_of(r, NULL, NULL);
    add_rivals(&h, c, &out[0]);
    if (n == 1 && c)
        add_others(&h, out[0].repair, &out[0]);
    return n;
}

bool attr_copyable(const struct attr *a) {
    return a->type != ATTR_GRAPH && a->type != ATTR_GRAPHS && a->type != ATTR_TENSORS &&
           a->type != ATTR_TYPE;
}

struct attr attr_copy(const struct attr *a, struct arena *m) {
    struct attr c = *a;
    c.name = arena_str(m, a->name);
    if (a->type == ATTR_STRING)
        c.s = arena_strn(m, a->s, (size_t)a->n);
    if (a->type == ATTR_INTS)
        c.ints = arena_copy(m, a->ints, (size_t)a->n * sizeof *a->ints);
    if (a->type == ATTR_FLOATS)
        c.floats = arena_copy(m, a->floats, (size_t)a->n * sizeof *a->floats);
    if (a->type == ATTR_STRINGS) {
        const char **list = NEW_ARRAY(m, a->n + 1, const char *);
        for (int64_t i = 0; i < a->n; i++)
            list[i] = arena_str(m, a->strings[i]);
        c.strings = list;
    }
    if (a->type == ATTR_TENSOR) {
        struct tensor *t = NEW(m, struct tensor);
        *t = *a->tensor;
        t->buf = NULL;
        t->data = arena_copy(m, a->tensor->data, tensor_bytes(a->tensor));
        c.tensor = t;
    }
    return c;
}

/* --- texts --- */

static void number(struct strbuf *b, double v) {
    strbuf_printf(b, "%.6g", v);
}

const char *attr_text(const struct attr *a, struct arena *arena) {
    struct strbuf b;
    strbuf_init(&b, arena);
    if (!a)
        return "(default)";
    switch (a->type) {
    case ATTR_INT:
    case ATTR_TYPE:
        strbuf_printf(&b, "%lld", (long long)a->i);
        break;
    case ATTR_FLOAT:
        number(&b, a->f);
        break;
    case ATTR_STRING:
        strbuf_add(&b, a->s);
        break;
    case ATTR_INTS:
    case ATTR_FLOATS:
        strbuf_add(&b, "[");
        for (int64_t i = 0; i < a->n && i < 16; i++) {
            strbuf_add(&b, i ? "," : "");
            if (a->type == ATTR_INTS)
                strbuf_printf(&b, "%lld", (long long)a->ints[i]);
            else
                number(&b, a->floats[i]);
        }
        strbuf_add(&b, a->n > 16 ? ",...]" : "]");
        break;
    case ATTR_STRINGS:
        for (int64_t i = 0; i < a->n; i++)
            strbuf_printf(&b, "%s%s", i ? "," : "", a->strings[i]);
        break;
    case ATTR_TENSOR:
        return tensor_text(a->tensor, arena);
    default:
        strbuf_add(&b, "(...)");
    }
    return b.p;
}

const char *tensor_text(const struct tensor *t, struct arena *arena) {
    struct strbuf b;
    strbuf_init(&b, arena);
    if (!t)
        return "(none)";
    if (!tensor_is_real(t))
        return "(...)";
    int64_t n = tensor_count(t);
    if (t->rank > 1) {
        for (int i = 0; i < t->rank; i++)
            strbuf_printf(&b, "%s%lld", i ? "x" : "", (long long)t->dim[i]);
        strbuf_add(&b, " ");
    }
    strbuf_add(&b, t->rank ? "[" : "");
    for (int64_t i = 0; i < n && i < 4; i++) {
        strbuf_add(&b, i ? "," : "");
        number(&b, tensor_f64(t, i));
    }
    strbuf_add(&b, n > 4 ? ",..." : "");
    strbuf_add(&b, t->rank ? "]" : "");
    return b.p;
}
