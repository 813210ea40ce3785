/* The model's outputs: exchanged, or cut short. */
#include <string.h>

#include "locate/hunt.h"

/* Another value of the target is what the output should be. */
static void choose_value(struct hunt *h) {
    const struct graph *g = h->target->graph;
    for (int i = 0; i < g->n_values && !h->solved; i++) {
        struct value *v = g->values[i];
        if (v->id >= h->z->al.n_link || h->z->al.link[v->id].source != h->r->source ||
            h->z->al.link[v->id].pinned)
            continue;
        struct patch *p = patch_new(h->target, "output");
        patch_set_output(p, h->target->graph, h->r->output, v);
        struct candidate *c = hunt_add(h, v->is_output ? "operand-or-io-order" : "structure",
                                       h->r->target->producer, h->r->source->producer, p, 10);
        candidate_detail(h, c, "output", v->name, h->r->target->name);
    }
}

/* What the source computes behind the value that the output holds is added. */
static void complete(struct hunt *h) {
    struct patch *p = patch_new(h->target, "missing part");
    struct value *v = graft_value(h, p, NULL, h->r->source);
    if (!v)
        return;
    patch_set_output(p, h->target->graph, h->r->output, v);
    const char *cause = h->r->n_source_nodes == 1
                            ? name_operator(h, h->r->source->producer, h->r->target, true)
                            : "structure";
    struct candidate *c = hunt_add(h, cause, h->r->target->producer, h->r->source->producer, p, 40);
    if (strcmp(cause, "structure") == 0)
        c->title = "a part of the source behind this value is missing";
    candidate_detail(h, c, "nodes", arena_printf(h->arena, "%d more", h->r->n_source_nodes),
                     "(absent)");
}

void hunt_contract(struct hunt *h) {
    choose_value(h);
    if (!h->solved)
        complete(h);
}
