#include "ir/toposort.h"

#include <stdlib.h>

typedef bool see_fn(void *arg, const struct node *producer);

/* Graphs still to look at. */
struct held {
    struct arena *arena;
    const struct graph **graphs;
    int n;
};

/* A function's body reads nothing of its caller, and is no held graph here. */
static void push_held(struct held *h, const struct node *n) {
    for (int k = 0; k < n->n_attrs; k++) {
        const struct attr *a = &n->attrs[k];
        if (a->type == ATTR_GRAPH && a->graph && a->graph->parent == n->graph)
            PUSH(h->arena, h->graphs, h->n, a->graph);
        for (int64_t j = 0; a->type == ATTR_GRAPHS && j < a->n; j++)
            if (a->graphs[j] && a->graphs[j]->parent == n->graph)
                PUSH(h->arena, h->graphs, h->n, a->graphs[j]);
    }
}

static bool see_all(const struct graph *home, struct value *const *values, int n, see_fn *see,
                    void *arg) {
    for (int i = 0; i < n; i++)
        if (values[i] && values[i]->graph == home && values[i]->producer &&
            !see(arg, values[i]->producer))
            return false;
    return true;
}

/* Calls see for every node of its graph that `top`, or a graph it holds, waits for; stops when see
 * gives false. */
static bool each_dependency(struct arena *scratch, const struct node *top, see_fn *see, void *arg) {
    if (!see_all(top->graph, top->in, top->n_in, see, arg))
        return false;
    struct held h = { .arena = scratch };
    push_held(&h, top);
    while (h.n > 0) {
        const struct graph *g = h.graphs[--h.n];
        if (!see_all(top->graph, g->outputs, g->n_outputs, see, arg))
            return false;
        for (int i = 0; i < g->n_nodes; i++) {
            if (!see_all(top->graph, g->nodes[i]->in, g->nodes[i]->n_in, see, arg))
                return false;
            push_held(&h, g->nodes[i]);
        }
    }
    return true;
}

static bool is_before(void *arg, const struct node *producer) {
    return producer->id < *(const int *)arg;
}

bool graph_in_order(const struct graph *g) {
    struct arena *scratch = arena_new();
    bool in_order = true;
    for (int i = 0; in_order && i < g->n_nodes; i++)
        in_order = each_dependency(scratch, g->nodes[i], is_before, &i);
    arena_free(scratch);
    return in_order;
}

enum { UNSEEN, WAITING, PLACED };

struct sort {
    struct arena *arena;
    unsigned char *state; /* by node number */
    const struct node **stack;
    int depth;
    const struct node *cycle;
};

static bool want(void *arg, const struct node *producer) {
    struct sort *s = arg;
    if (s->state[producer->id] == WAITING) {
        s->cycle = producer;
        return false;
    }
    if (s->state[producer->id] == UNSEEN)
        PUSH(s->arena, s->stack, s->depth, producer);
    return true;
}

static int by_number_falling(const void *a, const void *b) {
    const struct node *const *x = a, *const *y = b;
    return ((*x)->id < (*y)->id) - ((*x)->id > (*y)->id);
}

/* Depth first from every node in the old order: a node is placed when all it waits for is. */
static enum status sort_into(struct sort *s, const struct graph *g, struct node **order,
                             struct err *e) {
    int placed = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        if (s->state[i] != UNSEEN)
            continue;
        PUSH(s->arena, s->stack, s->depth, g->nodes[i]);
        while (s->depth > 0) {
            const struct node *n = s->stack[s->depth - 1];
            if (s->state[n->id] != UNSEEN) {
                if (s->state[n->id] == WAITING)
                    order[placed++] = g->nodes[n->id];
                s->state[n->id] = PLACED;
                s->depth--;
                continue;
            }
            s->state[n->id] = WAITING;
            int before = s->depth;
            FAIL_IF(!each_dependency(s->arena, n, want, s), e, STATUS_CORRUPT,
                    "node '%s' (%s) needs its own result: the graph has a cycle",
                    node_label(s->cycle, s->arena), s->cycle->op);
            /* The first of the old order comes on top. */
            if (s->depth > before)
                qsort(s->stack + before, (size_t)(s->depth - before), sizeof *s->stack,
                      by_number_falling);
        }
    }
    return OK;
}

enum status graph_sort(struct graph *g, struct err *e) {
    if (graph_in_order(g))
        return OK;
    struct arena *a = arena_new();
    struct sort s = { .arena = a, .state = NEW_ARRAY(a, g->n_nodes + 1, unsigned char) };
    struct node **order = NEW_ARRAY(a, g->n_nodes + 1, struct node *);
    enum status status = sort_into(&s, g, order, e);
    if (status == OK) {
        struct node **fresh = NULL;
        int n = 0;
        for (int i = 0; i < g->n_nodes; i++)
            PUSH(g->model->arena, fresh, n, order[i]);
        g->nodes = fresh;
        graph_renumber(g);
    }
    arena_free(a);
    return status;
}
