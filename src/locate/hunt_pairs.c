/* Two edits at once: the best single edits are combined, two by two. */
#include <stdlib.h>
#include <string.h>

#include "locate/hunt.h"

enum { BEST = 14, EACH = 4, MOST_WORK = 6000 /* nodes run */ };

static bool touches_same(const struct patch *a, const struct patch *b) {
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < b->n; k++) {
            const struct edit *x = &a->edits[i], *y = &b->edits[k];
            if (x->kind == EDIT_REMOVE_NODE && y->node == x->node && y->node)
                return true;
            if (y->kind == EDIT_REMOVE_NODE && y->node == x->node && x->node)
                return true;
            if (x->kind == y->kind && x->node == y->node && x->value == y->value &&
                x->index == y->index &&
                (x->kind != EDIT_SET_ATTR || strcmp(x->attr.name, y->attr.name) == 0))
                return true;
        }
    return false;
}

static bool removes(const struct patch *p) {
    for (int i = 0; i < p->n; i++)
        if (p->edits[i].kind == EDIT_REMOVE_NODE)
            return true;
    return false;
}

/* Is n a Pad in front of m, or a Slice behind it, that makes up for an attribute of m? */
static bool completes(const struct node *n, const struct node *m) {
    if (node_is(n, "Pad"))
        return n->out[0] == m->in[0];
    return node_is(n, "Slice") && n->in[0] == m->out[0];
}

static bool follows(const struct node *n, const struct node *m) {
    for (int i = 0; n && m && i < m->n_in; i++)
        if (n->n_out && n->out[0] && m->in[i] == n->out[0])
            return true;
    return false;
}

/* A node taken away together with an attribute is one fault, named by the attribute (a Slice behind
 * ceil_mode) or by the padding (a Pad before a max pooling). Otherwise two edits are two faults. */
static const struct candidate *belongs(const struct candidate *a, const struct candidate *b) {
    if (strcmp(a->cause, "maxpool-zero-pad") == 0 || strcmp(b->cause, "maxpool-zero-pad") == 0)
        return strcmp(a->cause, "maxpool-zero-pad") == 0 ? a : b;
    bool ra = removes(a->patch), rb = removes(b->patch);
    if (ra && rb &&
        (strcmp(a->cause, b->cause) == 0 || follows(a->node, b->node) || follows(b->node, a->node)))
        return a;
    if (a->rank <= 12 && rb && completes(b->node, a->node))
        return a;
    if (b->rank <= 12 && ra && completes(a->node, b->node))
        return b;
    return a->node == b->node && strcmp(a->cause, b->cause) == 0 ? a : NULL;
}

static void combine(struct hunt *h, const struct candidate *a, const struct candidate *b) {
    if (touches_same(a->patch, b->patch))
        return;
    struct patch *p = patch_new(h->target, "two edits");
    for (int i = 0; i < a->patch->n; i++)
        PUSH(h->target->arena, p->edits, p->n, a->patch->edits[i]);
    for (int i = 0; i < b->patch->n; i++)
        PUSH(h->target->arena, p->edits, p->n, b->patch->edits[i]);
    struct candidate parts[2] = { *a, *b }; /* hunt_add may move the list */
    const struct candidate *says = belongs(&parts[0], &parts[1]);
    const char *cause = says ? says->cause : parts[0].cause;
    const struct node *node = says ? says->node : parts[0].node,
                      *source_node = says ? says->source_node : parts[0].source_node;
    struct candidate *c = hunt_add(h, cause, node, source_node, p, 35);
    if (!says) {
        c->parts = arena_copy(h->arena, parts, sizeof parts);
        c->n_parts = 2;
    }
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < parts[i].n_details; k++)
            candidate_detail(h, c, parts[i].details[k].parameter, parts[i].details[k].source,
                             parts[i].details[k].target);
}

/* Attribute and node edits often help only together, so candidates that cannot be replayed alone
 * take part too. */
void hunt_pairs(struct hunt *h) {
    struct candidate **list = NEW_ARRAY(h->arena, h->n + 1, struct candidate *);
    struct candidate *copy = NEW_ARRAY(h->arena, h->n + 1, struct candidate);
    int n = 0;
    for (int i = 0; i < h->n; i++) {
        copy[i] = h->list[i];
        if (h->list[i].rank <= 30)
            list[n++] = &copy[i];
    }
    if (n > 1)
        qsort(list, (size_t)n, sizeof *list, candidate_closer);
    /* the closest, and the best few of every kind whatever they came to */
    struct candidate *chosen[BEST + 8 * EACH];
    int m = 0;
    for (int i = 0; i < n && m < BEST; i++)
        chosen[m++] = list[i];
    static const int ranks[8] = { 10, 11, 12, 19, 20, 21, 22, 23 };
    for (int r = 0; r < 8; r++)
        for (int i = BEST, taken = 0; i < n && taken < EACH; i++)
            if (list[i]->rank == ranks[r]) {
                chosen[m++] = list[i];
                taken++;
            }
    int left = MOST_WORK / (h->r->n_nodes + 1);
    for (int i = 0; i < m && !h->solved; i++)
        for (int k = i + 1; k < m && !h->solved && left-- > 0; k++)
            combine(h, chosen[i], chosen[k]);
}
