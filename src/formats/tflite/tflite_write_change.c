/* Writing a patched file: how the model was, what of it changed, which tensors its values have. */
#include <string.h>

#include "formats/tflite/tflite_writer.h"
#include "ops/op.h"

void writer_remember(struct writer *w) {
    struct model *m = w->m;
    w->groups = NEW_ARRAY(w->arena, m->n_graphs + 1, struct group *);
    for (int g = 0; g < m->n_graphs; g++) {
        struct graph *graph = m->graphs[g];
        w->groups[g] = NEW_ARRAY(w->arena, w->file.graphs[g].operators.n + 1, struct group);
        for (int i = 0; i < graph->n_nodes; i++) {
            struct node *n = graph->nodes[i];
            struct before b = { .node = n, .was = *n };
            struct group *group = &w->groups[g][n->origin.index];
            if (group->n++ == 0)
                group->first = w->n_before;
            intmap_put(&w->before_of, writer_key(n), (uint64_t)w->n_before);
            PUSH(w->arena, w->before, w->n_before, b);
        }
        for (int i = 0; i < graph->n_values; i++)
            if (graph->values[i]->constant) {
                struct constant_was c = { graph->values[i], graph->values[i]->constant };
                PUSH(w->arena, w->constants, w->n_constants, c);
            }
    }
}

const struct node *writer_node_was(const struct writer *w, const struct node *n) {
    uint64_t i;
    return intmap_get(&w->before_of, writer_key(n), &i) ? &w->before[i].was : NULL;
}

bool writer_is_absorbed(const struct writer *w, const struct node *n) {
    uint64_t v;
    return intmap_get(&w->absorbed, writer_key(n), &v);
}

bool writer_in_graph(const struct node *p) {
    return p && p->id >= 0 && p->id < p->graph->n_nodes && p->graph->nodes[p->id] == p;
}

bool writer_has_tensor(const struct writer *w, const struct value *v) {
    uint64_t i;
    return intmap_get(&w->place, writer_key(v), &i) ||
           (v->origin.index >= 0 && v->graph->index == v->origin.graph);
}

int writer_tensor_of(const struct writer *w, const struct value *v) {
    uint64_t i;
    return intmap_get(&w->place, writer_key(v), &i) ? (int)i : v->origin.index;
}

const struct value *writer_seen_through(const struct value *v) {
    const struct node *p = v ? v->producer : NULL;
    if (!p || !node_is(p, "DequantizeLinear") || tflite_role(v->graph->model, p) != ROLE_DEQUANTIZE)
        return v;
    return p->in[0];
}

/* The group that a value is an inner one of: what has no tensor of its own. NULL: none. */
static struct group *group_inside(const struct writer *w, const struct value *v) {
    v = writer_seen_through(v);
    const struct node *was = v && v->producer ? writer_node_was(w, v->producer) : NULL;
    return was && !writer_has_tensor(w, v) ? &w->groups[v->graph->index][was->origin.index] : NULL;
}

static bool same_attrs(const struct node *a, const struct node *b) {
    if (a->n_attrs != b->n_attrs)
        return false;
    for (int i = 0; i < a->n_attrs; i++) {
        const struct attr *other = node_attr(b, a->attrs[i].name);
        if (!other || (other->type != ATTR_GRAPH && !attr_equal(&a->attrs[i], other)) ||
            (other->type == ATTR_GRAPH && other->graph != a->attrs[i].graph))
            return false;
    }
    return true;
}

bool writer_same_op(const struct node *a, const struct node *b) {
    return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0 && same_attrs(a, b);
}

static bool same_wires(const struct writer *w, const struct node *n, const struct node *was) {
    bool same = n->n_in == was->n_in && n->n_out == was->n_out;
    uint64_t moved;
    for (int i = 0; same && i < n->n_in; i++)
        same = n->in[i] == was->in[i] &&
               !(n->in[i] && intmap_get(&w->place, writer_key(n->in[i]), &moved));
    for (int i = 0; same && i < n->n_out; i++)
        same = n->out[i] == was->out[i] &&
               !(n->out[i] && intmap_get(&w->place, writer_key(n->out[i]), &moved));
    return same;
}

const struct node *writer_only_reader(const struct writer *w, const struct value *v) {
    if (v->id >= w->uses->n_values || w->uses->n[v->id] != 1 || v->is_output)
        return NULL;
    return w->uses->of[v->id][0].node;
}

/* Operators that something else reads the inside of; an activation that may be fused belongs there.
 */
static void find_exposed(struct writer *w, const struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i], *was = writer_node_was(w, n);
        const struct group *own = was ? &w->groups[g->index][was->origin.index] : NULL;
        for (int k = 0; k < n->n_in; k++) {
            struct group *inside = group_inside(w, n->in[k]);
            bool fused =
                inside && writer_only_reader(w, n->in[k]) == n && tflite_activation_of(n) >= 0;
            if (inside && inside != own && !fused)
                inside->touched = inside->exposed = true;
        }
    }
}

void writer_find_touched(struct writer *w) {
    for (int g = 0; g < w->m->n_graphs; g++) {
        struct graph *graph = w->m->graphs[g];
        for (int i = 0; i < graph->n_nodes; i++) {
            uint64_t k;
            if (!intmap_get(&w->before_of, writer_key(graph->nodes[i]), &k))
                continue;
            struct before *b = &w->before[k];
            b->here = true;
            struct group *group = &w->groups[g][b->was.origin.index];
            group->here++;
            group->touched |= !writer_same_op(b->node, &b->was) || !same_wires(w, b->node, &b->was);
        }
        for (size_t i = 0; i < w->file.graphs[g].operators.n; i++)
            w->groups[g][i].touched |= w->groups[g][i].here != w->groups[g][i].n;
        find_exposed(w, graph);
    }
}

static enum status shape_of_output(struct writer *w, const struct node *n, int i,
                                   struct fact *out) {
    struct fact *in = NEW_ARRAY(w->arena, n->n_in + 1, struct fact),
                *all = NEW_ARRAY(w->arena, n->n_out + 1, struct fact);
    for (int k = 0; k < n->n_in; k++) {
        const struct value *v = n->in[k];
        in[k] = (struct fact) { .rank = -1, .absent = !v };
        if (!v)
            continue;
        in[k].dtype = v->dtype;
        in[k].rank = v->rank;
        memcpy(in[k].dim, v->dim, sizeof v->dim);
        in[k].value = v->is_input || v->is_variable ? NULL : v->constant;
    }
    struct err quiet;
    struct node bound = *n;
    bound.def = op_find(n->domain, n->op);
    if (!bound.def || op_shape(&bound, w->m, w->arena, in, all, &quiet) != OK)
        return STATUS_UNSUPPORTED;
    *out = all[i];
    return OK;
}

void writer_declare_outputs(struct writer *w, struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            struct value *v = g->nodes[i]->out[k];
            struct fact f = { .rank = -1 };
            if (!v || v->origin.index >= 0 || (v->rank >= 0 && v->dtype != DT_NONE) ||
                shape_of_output(w, g->nodes[i], k, &f) != OK)
                continue;
            v->dtype = f.dtype != DT_NONE ? f.dtype : v->dtype;
            v->rank = f.rank;
            memcpy(v->dim, f.dim, sizeof v->dim);
        }
}

bool writer_moves_only(const struct node *n) {
    const struct op *def = op_find(n->domain, n->op);
    return (def && (def->flags & OP_MOVES) && n->n_out == 1 && !node_is(n, "Concat") &&
            !(node_is(n, "Pad") && n->n_in > 2)) ||
           node_is(n, "Relu");
}

int writer_carried_by(const struct writer *w, const struct value *v) {
    const struct node *p = v->producer;
    const struct value *below = p && !writer_node_was(w, p) && writer_moves_only(p) && p->in[0]
                                    ? writer_seen_through(p->in[0])
                                    : NULL;
    if (!below)
        return -1;
    return below != p->in[0] ? below->origin.index : writer_carried_by(w, below);
}

enum status writer_need_tensor(struct writer *w, const struct value *v, int *out) {
    if (!writer_has_tensor(w, v)) {
        const struct group *inside = group_inside(w, v);
        FAIL_IF(inside && (!inside->touched || inside->rewired), w->err, STATUS_UNSUPPORTED,
                "reading '%s', which lies inside %s and has no tensor", v->name,
                v->producer->origin.name);
        int like = writer_carried_by(w, v);
        int g = v->graph->index, index = -1;
        const struct tensor *t = v->constant;
        enum dtype dtype = v->dtype == DT_F64 && t ? DT_F32 : v->dtype;
        if (like >= 0) {
            const struct value *old =
                ((const struct tflite_notes *)w->m->format_data)->tensors[g][like];
            FAIL_IF(old->dtype == DT_I32 || old->dtype == DT_I64, w->err, STATUS_UNSUPPORTED,
                    "moving the quantized bias '%s'", old->name);
            FAIL_IF(old->quant && old->quant->n > 1, w->err, STATUS_UNSUPPORTED,
                    "moving a tensor with a scale for each channel, '%s'", old->name);
            dtype = old->dtype;
        }
        struct tensor single;
        if (t && dtype != t->dtype) {
            single = *t;
            single.dtype = dtype;
            t = &single;
        }
        TRY(file_add_tensor(&w->file, g, v->name, dtype, v->rank, v->dim, t, like, &index));
        intmap_put(&w->place, writer_key(v), (uint64_t)index);
    }
    *out = writer_tensor_of(w, v);
    return OK;
}
