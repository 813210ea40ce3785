/* Two edits at once: the best single edits are combined, two by two. */
#include <stdlib.h>
#include <string.h>

#include "locate/hunt.h"

enum { BEST = 14 };

static int closer(const void *a, const void *b) {
    const struct candidate *x = *(const struct candidate *const *)a, *y = *(const struct candidate *const *)b;
    return (x->error > y->error) - (x->error < y->error);
}

static bool touches_same(const struct patch *a, const struct patch *b) {
    for (int i = 0; i < a->n; i++)
        for (int k = 0; k < b->n; k++) {
            const struct edit *x = &a->edits[i], *y = &b->edits[k];
            if (x->kind == EDIT_REMOVE_NODE && y->node == x->node && y->node)
                return true;
            if (y->kind == EDIT_REMOVE_NODE && y->node == x->node && x->node)
                return true;
            if (x->kind == y->kind && x->node == y->node && x->value == y->value && x->index == y->index && (x->kind != EDIT_SET_ATTR || strcmp(x->attr.name, y->attr.name) == 0))
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

static void combine(struct hunt *h, const struct candidate *a, const struct candidate *b) {
    if (touches_same(a->patch, b->patch))
        return;
    struct patch *p = patch_new(h->target, "two edits");
    for (int i = 0; i < a->patch->n; i++)
        PUSH(h->target->arena, p->edits, p->n, a->patch->edits[i]);
    for (int i = 0; i < b->patch->n; i++)
        PUSH(h->target->arena, p->edits, p->n, b->patch->edits[i]);
    /* the name is that of the attribute when a node goes with it: a Slice behind ceil_mode, a Pad before a pool */
    const struct candidate *named = removes(a->patch) && !removes(b->patch) ? b : a;
    if (strcmp(a->cause, "maxpool-zero-pad") == 0 || strcmp(b->cause, "maxpool-zero-pad") == 0)
        named = strcmp(a->cause, "maxpool-zero-pad") == 0 ? a : b;
    struct candidate kept = *named, x = *a, y = *b; /* hunt_add may move the list */
    struct candidate *c = hunt_add(h, kept.cause, kept.node, kept.source_node, p, 35);
    for (int i = 0; i < x.n_details; i++)
        candidate_detail(h, c, x.details[i].parameter, x.details[i].source, x.details[i].target);
    for (int i = 0; i < y.n_details; i++)
        candidate_detail(h, c, y.details[i].parameter, y.details[i].source, y.details[i].target);
}

/* Attribute and node edits often help only together, so candidates that cannot be replayed alone take part too. */
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
        qsort(list, (size_t)n, sizeof *list, closer);
    /* the closest, and the first few attribute edits and bypasses whatever they came to */
    struct candidate *chosen[BEST + 16];
    int m = 0;
    for (int i = 0; i < n && m < BEST; i++)
        chosen[m++] = list[i];
    for (int i = 0; i < n && m < BEST + 16; i++)
        if (i >= BEST && (list[i]->rank == 10 || list[i]->rank == 12 || list[i]->rank == 20 || list[i]->rank == 21))
            chosen[m++] = list[i];
    for (int i = 0; i < m && !h->solved; i++)
        for (int k = i + 1; k < m && !h->solved; k++)
            combine(h, chosen[i], chosen[k]);
}
