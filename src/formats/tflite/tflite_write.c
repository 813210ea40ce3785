/* Writing a patched file: the patches are applied, what changed is found by comparing with how the
 * nodes were, and every operator with a change is written anew; then the patches are taken back. */
#include <string.h>

#include "formats/tflite/tflite_writer.h"
#include "ir/patch.h"
#include "ops/op.h"

static enum status write_constants(struct writer *w) {
    for (int i = 0; i < w->n_constants; i++) {
        struct value *v = w->constants[i].value;
        if (v->constant == w->constants[i].was)
            continue;
        const struct constant_note *note = tflite_constant_note(w->m, v);
        if (!note) {
            TRY(file_set_constant(&w->file, v->graph->index, v->origin.index, v->constant));
        } else if (note->source == FROM_SCALE || note->source == FROM_ZERO_POINT) {
            TRY(file_set_quant(&w->file, note->graph, note->index, note->source == FROM_SCALE,
                               v->constant));
        } else {
            w->groups[note->graph][note->index].touched = true;
        }
    }
    return OK;
}

/* --- graph outputs: a value that becomes an output takes the old one's tensor, so that its public
 * name stays --- */
static enum status write_outputs(struct writer *w, struct graph *g, struct value *const *was) {
    for (int i = 0; i < g->n_outputs; i++) {
        struct value *now = g->outputs[i], *old = was[i];
        if (now == old)
            continue;
        bool again = now->is_input || now->constant;
        for (int k = 0; k < g->n_outputs; k++)
            again |= (k != i && g->outputs[k] == now) || g->outputs[k] == old;
        FAIL_IF(again || old->is_input || old->constant, w->err, STATUS_UNSUPPORTED,
                "output %d becomes '%s', which is an input, a constant or another output", i,
                now->name);
        int place = writer_tensor_of(w, old);
        TRY(file_take_place(&w->file, g->index, place,
                            writer_has_tensor(w, now) ? writer_tensor_of(w, now) : -1, now->dim,
                            now->rank, now->dtype));
        bool kept = writer_in_graph(old->producer);
        for (int k = 0; k < w->uses->n[old->id]; k++)
            kept |= w->uses->of[old->id][k].node->graph == g;
        if (kept) {
            int index;
            TRY(file_add_tensor(&w->file, g->index, arena_printf(w->arena, "%s/inner", old->name),
                                old->dtype, old->rank, old->dim, NULL, place, &index));
            intmap_put(&w->place, writer_key(old), (uint64_t)index);
        }
        intmap_put(&w->place, writer_key(now), (uint64_t)place);
    }
    return OK;
}

/* Resolves what a node of a group reads to the tensor of the file, as it was and as it is. */
static const struct value *outside(const struct writer *w, const struct group *g,
                                   const struct value *v) {
    v = writer_seen_through(v);
    for (int i = 0; v && i < g->n; i++)
        for (int k = 0; k < w->before[g->first + i].was.n_out; k++)
            if (w->before[g->first + i].was.out[k] == v && v->origin.index < 0)
                return NULL;
    return v;
}

/* Input k of a node of the group: finds its slot in the old operator and writes the tensor it reads
 * now. */
static enum status rewire_input(struct writer *w, struct group *g, const struct node *n,
                                const struct node *was, int k, const struct fb_vector *ins,
                                int32_t *in, bool *moved, bool *fits) {
    const struct value *a = outside(w, g, was->in[k]), *b = outside(w, g, n->in[k]);
    const struct constant_note *note = a ? tflite_constant_note(w->m, a) : NULL;
    int n_in = (int)ins->n, index, slot = 0;
    *fits = !a == !b && (a || was->in[k] == n->in[k]) && !(note && a != b);
    if (!*fits || !a || note)
        return OK;
    if (k < n_in && fb_vec_i32(ins, (size_t)k) == a->origin.index)
        slot = k;
    while (slot < n_in && fb_vec_i32(ins, (size_t)slot) != a->origin.index)
        slot++;
    TRY(writer_need_tensor(w, b, &index));
    *fits = slot < n_in && (!moved[slot] || in[slot] == index);
    if (!*fits)
        return OK;
    in[slot] = index;
    moved[slot] = true;
    return OK;
}

/* Where a rewired operator stands: at its last node that reads what is computed outside. */
static const struct node *last_of(const struct writer *w, const struct group *g) {
    const struct node *last = NULL;
    for (int i = 0; i < g->n; i++) {
        const struct node *n = w->before[g->first + i].node;
        bool reads = i == 0;
        for (int k = 0; k < n->n_in; k++) {
            const struct node *p = n->in[k] ? n->in[k]->producer : NULL;
            const struct node *was = p ? writer_node_was(w, p) : NULL;
            reads |= p && !(was && was->origin.index == n->origin.index);
        }
        if (reads && (!last || n->id > last->id))
            last = n;
    }
    return last;
}

/* A group whose nodes are all there and mean what they did, wired to other values: the old operator
 * with other tensors. g->rewired stays false when that is not so. */
static enum status rewire(struct writer *w, struct group *g) {
    const struct node *first = w->before[g->first].node;
    struct fb_table old = writer_old_operator(w, first);
    struct fb_vector ins = fb_vec(&old, OPERATOR_INPUTS, 4),
                     outs = fb_vec(&old, OPERATOR_OUTPUTS, 4);
    int n_in = (int)ins.n, n_out = (int)outs.n;
    int32_t *in = NEW_ARRAY(w->arena, n_in + 1, int32_t),
            *out = NEW_ARRAY(w->arena, n_out + 1, int32_t);
    bool *moved = NEW_ARRAY(w->arena, n_in + 1, bool), fits = g->here == g->n;
    for (int i = 0; i < n_in; i++)
        in[i] = fb_vec_i32(&ins, (size_t)i);
    for (int i = 0; i < n_out; i++)
        out[i] = fb_vec_i32(&outs, (size_t)i);
    for (int i = 0; fits && i < g->n; i++) {
        const struct node *n = w->before[g->first + i].node, *was = &w->before[g->first + i].was;
        fits = writer_same_op(n, was) && n->n_in == was->n_in && n->n_out == was->n_out;
        for (int k = 0; fits && k < n->n_in; k++)
            TRY(rewire_input(w, g, n, was, k, &ins, in, moved, &fits));
        for (int k = 0; fits && k < n->n_out; k++)
            for (int s = 0; n->out[k] && s < n_out; s++)
                if (n->out[k] == was->out[k] &&
                    fb_vec_i32(&outs, (size_t)s) == n->out[k]->origin.index)
                    out[s] = writer_tensor_of(w, n->out[k]);
    }
    if (!fits)
        return OK;
    g->rewired = g->written = true;
    g->last = last_of(w, g);
    g->ref.old = old.at;
    if (writer_same_tensors(&ins, in, n_in) && writer_same_tensors(&outs, out, n_out))
        return OK;
    return writer_make_rewired(w, first, in, n_in, out, n_out, &g->ref);
}

static bool options_changed(const struct writer *w, const struct group *g) {
    for (int i = 0; i < w->n_constants; i++) {
        const struct constant_note *note = tflite_constant_note(w->m, w->constants[i].value);
        if (note && (note->source == FROM_OPTIONS || note->source == FROM_INPUT) &&
            w->constants[i].value->constant != w->constants[i].was &&
            &w->groups[note->graph][note->index] == g)
            return true;
    }
    return false;
}

/* Quantized operators are written whole: their parts have no tensors between them. */
static enum status check_parts(const struct writer *w, const struct group *g) {
    int parts = 0;
    bool quantized = false;
    for (int i = 0; i < g->n; i++) {
        const struct before *b = &w->before[g->first + i];
        enum node_role role = tflite_role(w->m, b->node);
        quantized |= role == ROLE_QUANTIZE;
        parts += b->here && (role == ROLE_MAIN || role == ROLE_HELPER);
    }
    FAIL_IF(quantized && (parts > 1 || g->exposed), w->err, STATUS_UNSUPPORTED,
            "a change inside the quantized operator %s (%s)", w->before[g->first].was.origin.name,
            w->before[g->first].was.origin.op);
    return OK;
}

static enum status write_one(struct writer *w, struct node *n) {
    if (writer_is_absorbed(w, n))
        return OK;
    if (!writer_node_was(w, n)) {
        FAIL_IF(node_is(n, "DequantizeLinear") || node_is(n, "QuantizeLinear"), w->err,
                STATUS_UNSUPPORTED, "an added %s cannot be written to a TensorFlow Lite file",
                n->op);
        return writer_node(w, n);
    }
    struct group *g = &w->groups[n->graph->index][n->origin.index];
    if (!g->touched) {
        if (!g->written)
            writer_push_operator(w, n->graph->index,
                                 (struct fb_ref) { NULL, writer_old_operator(w, n).at });
        g->written = true;
        return OK;
    }
    if (!g->written && !g->exposed && !options_changed(w, g))
        TRY(rewire(w, g));
    if (g->rewired) {
        if (n == g->last)
            writer_push_operator(w, n->graph->index, g->ref);
        return OK;
    }
    TRY(check_parts(w, g));
    enum node_role role = tflite_role(w->m, n);
    bool intact = writer_same_op(n, writer_node_was(w, n)) &&
                  writer_has_tensor(w, role == ROLE_DEQUANTIZE ? n->in[0] : n->out[0]);
    if (role == ROLE_DEQUANTIZE && intact)
        return OK;
    FAIL_IF(role == ROLE_DEQUANTIZE || role == ROLE_QUANTIZE, w->err, STATUS_UNSUPPORTED,
            "a change of the quantization of %s (%s)", n->origin.name, n->origin.op);
    return writer_node(w, n);
}

static enum status write_graph(struct writer *w, struct graph *g) {
    bool touched = false;
    for (size_t i = 0; i < w->file.graphs[g->index].operators.n; i++)
        touched |= w->groups[g->index][i].touched;
    for (int i = 0; i < g->n_nodes; i++)
        touched |= !writer_node_was(w, g->nodes[i]);
    if (!touched)
        return OK;
    for (size_t i = 0; i < w->file.graphs[g->index].operators.n; i++)
        FAIL_IF(w->groups[g->index][i].n == 0, w->err, STATUS_UNSUPPORTED,
                "operator %zu has no nodes", i);
    for (int i = 0; i < g->n_nodes; i++)
        TRY(write_one(w, g->nodes[i]));
    /* Nothing but bytes in place: the list of operators is the old one. */
    struct file_graph *f = &w->file.graphs[g->index];
    bool same = f->n_operators == f->operators.n;
    for (size_t i = 0; same && i < f->n_operators; i++)
        same = !f->operator_refs[i].object &&
               f->operator_refs[i].old == fb_vec_table(&f->operators, i).at;
    if (same)
        f->operator_refs = NULL;
    return OK;
}

static enum status check_interface(const struct writer *w, const struct graph *g,
                                   struct value *const *inputs) {
    for (int i = 0; i < g->n_inputs; i++)
        FAIL_IF(g->inputs[i] != inputs[i], w->err, STATUS_UNSUPPORTED,
                "another order of the inputs");
    return OK;
}

static enum status write_changes(struct writer *w, struct graph *const *ends, const char *path) {
    w->uses = uses_build(w->m, w->arena);
    for (int g = 0; g < w->m->n_graphs; g++)
        writer_declare_outputs(w, w->m->graphs[g]);
    for (int g = 0; g < w->m->n_graphs; g++) {
        TRY(check_interface(w, w->m->graphs[g], ends[g]->inputs));
        TRY(write_outputs(w, w->m->graphs[g], ends[g]->outputs));
    }
    TRY(write_constants(w));
    writer_find_touched(w);
    for (int g = 0; g < w->m->n_graphs; g++)
        TRY(write_graph(w, w->m->graphs[g]));
    return file_write_out(&w->file, path);
}

/* The lists of inputs and outputs as they were. */
static struct graph **copy_ends(struct writer *w) {
    struct graph **ends = NEW_ARRAY(w->arena, w->m->n_graphs + 1, struct graph *);
    for (int g = 0; g < w->m->n_graphs; g++) {
        const struct graph *from = w->m->graphs[g];
        ends[g] = arena_copy(w->arena, from, sizeof *from);
        if (from->n_inputs)
            ends[g]->inputs =
                arena_copy(w->arena, from->inputs, sizeof *from->inputs * (size_t)from->n_inputs);
        if (from->n_outputs)
            ends[g]->outputs = arena_copy(w->arena, from->outputs,
                                          sizeof *from->outputs * (size_t)from->n_outputs);
    }
    return ends;
}

static enum status write_applied(struct writer *w, const struct patch *const *patches, int n,
                                 const char *path) {
    TRY(file_open(&w->file, w->m, w->arena, w->err));
    writer_remember(w);
    struct graph **ends = copy_ends(w);
    enum status s = OK;
    int applied = 0;
    while (s == OK && applied < n) {
        s = patch_apply((struct patch *)(uintptr_t)patches[applied], w->err);
        applied += s == OK;
    }
    if (s == OK)
        s = write_changes(w, ends, path);
    while (applied > 0)
        patch_undo((struct patch *)(uintptr_t)patches[--applied]);
    return s;
}

enum status tflite_write_patched(const struct model *m, const struct patch *const *patches, int n,
                                 const char *path, struct err *e) {
    int edits = 0;
    struct err own = { 0 };
    for (int i = 0; i < n; i++)
        edits += patches[i]->n;
    if (edits == 0) {
        struct piece whole = { m->files[0].data, m->files[0].size };
        return file_write(path, &whole, 1, e);
    }
    struct arena *a = arena_new();
    struct writer w = { .m = (struct model *)(uintptr_t)m, .arena = a, .err = e ? e : &own };
    intmap_init(&w.before_of, a);
    intmap_init(&w.place, a);
    intmap_init(&w.absorbed, a);
    enum status s = write_applied(&w, patches, n, path);
    arena_free(a);
    return s;
}
