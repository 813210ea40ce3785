/* Writing a patched file: the patches are applied, what changed is found by comparing with how the
 * nodes were, and every operator with a change is written anew; then the patches are taken back. */
#include <string.h>

#include "formats/tflite/tflite_write.h"
#include "ir/patch.h"
#include "ops/op.h"

/* A node as it was. */
struct before {
    struct node *node, was;
    bool here; /* still in its graph */
};

/* One operator of the file: its nodes are before[first .. first + n). */
struct group {
    int first, n, here;
    bool touched, written;
    bool exposed; /* a value inside it is read from outside: its parts are written apart */
    bool rewired; /* the old operator with other tensors, which stands where `last` does */
    struct fb_ref ref;
    const struct node *last;
};

struct writer {
    struct file file;
    struct model *m;
    struct arena *arena;
    struct err *err;
    struct before *before;
    int n_before;
    struct intmap before_of; /* node -> number in `before` */
    struct group **groups;   /* [graph][operator] */
    struct constant_was {
        struct value *value;
        struct tensor *was;
    } * constants;
    int n_constants;
    struct intmap place; /* value -> tensor number where it is not its own */
    struct uses *uses;
    struct intmap absorbed; /* node -> 1: written as a part of another operator */
};

static uint64_t key(const void *p) {
    return (uint64_t)(uintptr_t)p;
}

/* --- how the model was --- */

static void remember(struct writer *w) {
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
            intmap_put(&w->before_of, key(n), (uint64_t)w->n_before);
            PUSH(w->arena, w->before, w->n_before, b);
        }
        for (int i = 0; i < graph->n_values; i++)
            if (graph->values[i]->constant) {
                struct constant_was c = { graph->values[i], graph->values[i]->constant };
                PUSH(w->arena, w->constants, w->n_constants, c);
            }
    }
}

static const struct node *node_was(const struct writer *w, const struct node *n) {
    uint64_t i;
    return intmap_get(&w->before_of, key(n), &i) ? &w->before[i].was : NULL;
}

static bool is_absorbed(const struct writer *w, const struct node *n) {
    uint64_t v;
    return intmap_get(&w->absorbed, key(n), &v);
}

static bool in_graph(const struct node *p) {
    return p && p->id >= 0 && p->id < p->graph->n_nodes && p->graph->nodes[p->id] == p;
}

/* --- tensors of values --- */

static bool has_tensor(const struct writer *w, const struct value *v) {
    uint64_t i;
    return intmap_get(&w->place, key(v), &i) ||
           (v->origin.index >= 0 && v->graph->index == v->origin.graph);
}

static int tensor_of(const struct writer *w, const struct value *v) {
    uint64_t i;
    return intmap_get(&w->place, key(v), &i) ? (int)i : v->origin.index;
}

/* A value that quantization puts between an operator and its tensor stands for the tensor. */
static const struct value *seen_through(const struct value *v) {
    const struct node *p = v ? v->producer : NULL;
    if (!p || !node_is(p, "DequantizeLinear") || tflite_role(v->graph->model, p) != ROLE_DEQUANTIZE)
        return v;
    return p->in[0];
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

/* What the file does not declare of an added node's outputs is found by their shape rules. Patches
 * are taken back after writing, and shapes are not part of them: the values made by a patch are its
 * own. */
static void declare_outputs(struct writer *w, struct graph *g) {
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

/* An added operator that only moves data moves the integers. */
static bool moves_only(const struct node *n) {
    const struct op *def = op_find(n->domain, n->op);
    return (def && (def->flags & OP_MOVES) && n->n_out == 1 && !node_is(n, "Concat") &&
            !(node_is(n, "Pad") && n->n_in > 2)) ||
           node_is(n, "Relu");
}

/* The old tensor whose type and scale the value of an added mover has, -1: it is what the IR says.
 */
static int carried_by(const struct writer *w, const struct value *v) {
    const struct node *p = v->producer;
    const struct value *below =
        p && !node_was(w, p) && moves_only(p) && p->in[0] ? seen_through(p->in[0]) : NULL;
    if (!below)
        return -1;
    return below != p->in[0] ? below->origin.index : carried_by(w, below);
}

/* The group that a value is an inner one of: what has no tensor of its own. NULL: none. */
static struct group *group_inside(const struct writer *w, const struct value *v) {
    v = seen_through(v);
    const struct node *was = v && v->producer ? node_was(w, v->producer) : NULL;
    return was && !has_tensor(w, v) ? &w->groups[v->graph->index][was->origin.index] : NULL;
}

/* Tensor number of a value, added to the file where it has none. */
static enum status need_tensor(struct writer *w, const struct value *v, int *out) {
    if (!has_tensor(w, v)) {
        const struct group *inside = group_inside(w, v);
        FAIL_IF(inside && (!inside->touched || inside->rewired), w->err, STATUS_UNSUPPORTED,
                "reading '%s', which lies inside %s and has no tensor", v->name,
                v->producer->origin.name);
        int like = carried_by(w, v);
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
        intmap_put(&w->place, key(v), (uint64_t)index);
    }
    *out = tensor_of(w, v);
    return OK;
}

/* --- constants --- */

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

/* --- what changed --- */

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

static bool same_op(const struct node *a, const struct node *b) {
    return strcmp(a->op, b->op) == 0 && strcmp(a->domain, b->domain) == 0 && same_attrs(a, b);
}

static bool same_wires(const struct writer *w, const struct node *n, const struct node *was) {
    bool same = n->n_in == was->n_in && n->n_out == was->n_out;
    uint64_t moved;
    for (int i = 0; same && i < n->n_in; i++)
        same =
            n->in[i] == was->in[i] && !(n->in[i] && intmap_get(&w->place, key(n->in[i]), &moved));
    for (int i = 0; same && i < n->n_out; i++)
        same = n->out[i] == was->out[i] &&
               !(n->out[i] && intmap_get(&w->place, key(n->out[i]), &moved));
    return same;
}

static const struct node *only_reader(const struct writer *w, const struct value *v) {
    if (v->id >= w->uses->n_values || w->uses->n[v->id] != 1 || v->is_output)
        return NULL;
    return w->uses->of[v->id][0].node;
}

/* Operators that something else reads the inside of; an activation that may be fused belongs there.
 */
static void find_exposed(struct writer *w, const struct graph *g) {
    for (int i = 0; i < g->n_nodes; i++) {
        const struct node *n = g->nodes[i], *was = node_was(w, n);
        const struct group *own = was ? &w->groups[g->index][was->origin.index] : NULL;
        for (int k = 0; k < n->n_in; k++) {
            struct group *inside = group_inside(w, n->in[k]);
            bool fused = inside && only_reader(w, n->in[k]) == n && tflite_activation_of(n) >= 0;
            if (inside && inside != own && !fused)
                inside->touched = inside->exposed = true;
        }
    }
}

static void find_touched(struct writer *w) {
    for (int g = 0; g < w->m->n_graphs; g++) {
        struct graph *graph = w->m->graphs[g];
        for (int i = 0; i < graph->n_nodes; i++) {
            uint64_t k;
            if (!intmap_get(&w->before_of, key(graph->nodes[i]), &k))
                continue;
            struct before *b = &w->before[k];
            b->here = true;
            struct group *group = &w->groups[g][b->was.origin.index];
            group->here++;
            group->touched |= !same_op(b->node, &b->was) || !same_wires(w, b->node, &b->was);
        }
        for (size_t i = 0; i < w->file.graphs[g].operators.n; i++)
            w->groups[g][i].touched |= w->groups[g][i].here != w->groups[g][i].n;
        find_exposed(w, graph);
    }
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
        int place = tensor_of(w, old);
        TRY(file_take_place(&w->file, g->index, place, has_tensor(w, now) ? tensor_of(w, now) : -1,
                            now->dim, now->rank, now->dtype));
        bool kept = in_graph(old->producer);
        for (int k = 0; k < w->uses->n[old->id]; k++)
            kept |= w->uses->of[old->id][k].node->graph == g;
        if (kept) {
            int index;
            TRY(file_add_tensor(&w->file, g->index, arena_printf(w->arena, "%s/inner", old->name),
                                old->dtype, old->rank, old->dim, NULL, place, &index));
            intmap_put(&w->place, key(old), (uint64_t)index);
        }
        intmap_put(&w->place, key(now), (uint64_t)place);
    }
    return OK;
}

/* --- operators --- */

static const char OPERATOR_KINDS[] = "4oo1oo1oo881o4";
enum { OPERATOR_FIELDS = 14 };

static struct fb_table old_operator(const struct writer *w, const struct node *n) {
    return fb_vec_table(&w->file.graphs[n->graph->index].operators, (size_t)n->origin.index);
}

static void push_operator(struct writer *w, int graph, struct fb_ref ref) {
    struct file_graph *g = &w->file.graphs[graph];
    PUSH(w->arena, g->operator_refs, g->n_operators, ref);
}

static struct fb_ref int_vector(struct writer *w, const int32_t *v, int n) {
    return (struct fb_ref) { fb_new_vector(w->arena,
                                           arena_copy(w->arena, v, sizeof *v * (size_t)(n + 1)),
                                           (size_t)n, 4, 4),
                             0 };
}

static int old_code(const struct writer *w, const struct fb_table *op) {
    uint32_t index = fb_u32(op, OPERATOR_CODE, 0);
    struct fb_table t = fb_vec_table(&w->file.codes, index);
    int32_t code = fb_i32(&t, CODE_BUILTIN, 0), old = fb_i8(&t, CODE_DEPRECATED, 0);
    return code > old ? code : old;
}

/* The old operator with other tensors. */
static enum status make_rewired(struct writer *w, const struct node *n, const int32_t *in, int n_in,
                                const int32_t *out, int n_out, struct fb_ref *ref) {
    struct fb_table old = old_operator(w, n);
    struct fb_object *t = fb_copy_table(w->arena, &old, OPERATOR_KINDS);
    FAIL_IF(!t, w->err, STATUS_UNSUPPORTED,
            "operator %s has fields newer than the schema calque knows", n->origin.name);
    fb_set_ref(t, OPERATOR_INPUTS, int_vector(w, in, n_in));
    fb_set_ref(t, OPERATOR_OUTPUTS, int_vector(w, out, n_out));
    *ref = (struct fb_ref) { t, 0 };
    return OK;
}

static bool same_tensors(const struct fb_vector *old, const int32_t *now, int n) {
    if ((int)old->n != n)
        return false;
    for (int i = 0; i < n; i++)
        if (fb_vec_i32(old, (size_t)i) != now[i])
            return false;
    return true;
}

/* Only scalars that the old options table has change: they are overwritten where they stand. */
static bool overwrite_fields(struct writer *w, const struct fb_table *old, const struct lowered *o,
                             const int32_t *in, int n_in, const int32_t *out, int n_out) {
    struct fb_vector ins = fb_vec(old, OPERATOR_INPUTS, 4), outs = fb_vec(old, OPERATOR_OUTPUTS, 4);
    struct fb_table options = fb_sub(old, OPERATOR_OPTIONS);
    const struct builtin_row *row = builtin_row((int)o->code);
    if (!same_tensors(&ins, in, n_in) || !same_tensors(&outs, out, n_out))
        return false;
    for (int i = 0; i < o->n_fields; i++)
        if (!fb_field(&options, o->fields[i].slot, (size_t)o->fields[i].width) &&
            o->fields[i].bits != tflite_option_default(row, o->fields[i].slot))
            return false;
    for (int g = 0, sharers = 0; g < w->m->n_graphs; g++)
        for (size_t i = 0; i < w->file.graphs[g].operators.n; i++) {
            struct fb_table other = fb_vec_table(&w->file.graphs[g].operators, i);
            sharers += options.at && fb_sub(&other, OPERATOR_OPTIONS).at == options.at;
            if (sharers > 1)
                return false;
        }
    for (int i = 0; i < o->n_fields; i++) {
        size_t at = fb_field(&options, o->fields[i].slot, (size_t)o->fields[i].width);
        if (at && memcmp(w->file.fb.data + at, &o->fields[i].bits, (size_t)o->fields[i].width) != 0)
            file_overwrite(&w->file, at, &o->fields[i].bits, (size_t)o->fields[i].width);
    }
    return true;
}

static enum status new_options(struct writer *w, const struct lowered *o,
                               const struct fb_table *old, struct fb_ref *out) {
    const struct builtin_row *row = builtin_row((int)o->code);
    const char *kinds = tflite_option_kinds(row);
    struct fb_table options = old ? fb_sub(old, OPERATOR_OPTIONS) : (struct fb_table) { 0 };
    *out = (struct fb_ref) { 0 };
    if (!row->options)
        return OK;
    struct fb_object *t = options.at ? fb_copy_table(w->arena, &options, kinds)
                                     : fb_new_table(w->arena, (int)strlen(kinds));
    FAIL_IF(!t, w->err, STATUS_UNSUPPORTED,
            "options of %s with fields newer than the schema calque knows", row->name);
    for (int i = 0; i < o->n_fields; i++)
        fb_set_scalar(t, o->fields[i].slot, o->fields[i].width, o->fields[i].bits);
    out->object = t;
    return OK;
}

/* `base`: the operator of the file that this one replaces, or NULL. */
static enum status push_lowered(struct writer *w, const struct node *n, const struct lowered *o,
                                const struct fb_table *base, const int32_t *in, int n_in,
                                const int32_t *out, int n_out) {
    int graph = n->graph->index;
    const struct builtin_row *row = builtin_row((int)o->code);
    if (base && overwrite_fields(w, base, o, in, n_in, out, n_out)) {
        push_operator(w, graph, (struct fb_ref) { NULL, base->at });
        return OK;
    }
    struct fb_object *t = base ? fb_copy_table(w->arena, base, OPERATOR_KINDS)
                               : fb_new_table(w->arena, OPERATOR_FIELDS);
    FAIL_IF(!t, w->err, STATUS_UNSUPPORTED,
            "operator %s has fields newer than the schema calque knows", n->origin.name);
    if (!base)
        fb_set_scalar(t, OPERATOR_CODE, 4, file_code(&w->file, o->code));
    struct fb_ref options;
    TRY(new_options(w, o, base, &options));
    fb_set_ref(t, OPERATOR_INPUTS, int_vector(w, in, n_in));
    fb_set_ref(t, OPERATOR_OUTPUTS, int_vector(w, out, n_out));
    if (row->options) {
        fb_set_scalar(t, OPERATOR_OPTIONS_TYPE, 1, row->options);
        fb_set_ref(t, OPERATOR_OPTIONS, options);
    }
    push_operator(w, graph, (struct fb_ref) { t, 0 });
    return OK;
}

/* The value whose tensor the operator writes: past a fused activation and the quantization. */
static const struct value *find_target(struct writer *w, const struct node *n,
                                       const struct value *v, struct lowered *o) {
    const struct node *r = only_reader(w, v);
    if (o->activation_slot >= 0) {
        int act = r && r->in[0] == v ? tflite_activation_of(r) : -1;
        const struct node *after = act >= 0 && r->out[0] ? only_reader(w, r->out[0]) : NULL;
        bool quantized =
            after && node_is(after, "QuantizeLinear") && tflite_role(w->m, after) == ROLE_QUANTIZE;
        bool fuse =
            act >= 0 &&
            ((r->group == n->group && n->group >= 0 && r->origin.index == n->origin.index) ||
             quantized);
        o->fields[o->n_fields++] =
            (struct lowered_field) { o->activation_slot, 1,
                                     fuse ? (uint64_t)act : ACTIVATION_NONE };
        if (fuse) {
            intmap_put(&w->absorbed, key(r), 1);
            v = r->out[0];
            r = only_reader(w, v);
        }
    }
    if (r && node_is(r, "QuantizeLinear") && tflite_role(w->m, r) == ROLE_QUANTIZE &&
        r->in[0] == v) {
        intmap_put(&w->absorbed, key(r), 1);
        return r->out[0];
    }
    return v;
}

/* The old tensor whose integers input `in` of a node is read as, -1 when it is read as it is. A
 * constant counts for an added node only: weights of the file's own operators may be integers
 * beside a float input. */
static int read_as_integers(const struct writer *w, const struct node *n,
                            const struct lowered_input *in) {
    const struct value *v = seen_through(in->value);
    if (!v || in->made || in->previous)
        return -1;
    if (carried_by(w, v) >= 0)
        return carried_by(w, v);
    return v != in->value && (!v->constant || !node_was(w, n)) ? v->origin.index : -1;
}

static enum status input_tensor(struct writer *w, const struct node *n,
                                const struct lowered_input *in, int previous, int32_t *out) {
    int index = -1;
    if (in->previous) {
        index = previous;
    } else if (in->made) {
        TRY(file_add_tensor(
            &w->file, n->graph->index,
            arena_printf(w->arena, "%s/%s", n->out[0] ? n->out[0]->name : n->op, "constant"),
            in->made->dtype, in->made->rank, in->made->dim, in->made, -1, &index));
    } else if (in->value) {
        TRY(need_tensor(w, seen_through(in->value), &index));
    }
    *out = index;
    return OK;
}

/* Output 0 of the old operator, when nothing computes or reads it any more: the tensor can hold
 * what the operator gives now (its activation was taken away, say). */
static void reuse_output(struct writer *w, const struct node *n, const struct value *v,
                         const struct fb_table *old) {
    struct fb_vector outs = fb_vec(old, OPERATOR_OUTPUTS, 4);
    int32_t index = outs.n ? fb_vec_i32(&outs, 0) : -1;
    if (has_tensor(w, v) || index < 0)
        return;
    const struct value *t =
        ((const struct tflite_notes *)w->m->format_data)->tensors[n->graph->index][index];
    bool free =
        !in_graph(t->producer) && !t->is_output && t->dtype == v->dtype && !value_quantized(t);
    for (int k = 0; free && k < w->uses->n[t->id]; k++)
        free = !in_graph(w->uses->of[t->id][k].node);
    if (free && (v->rank < 0 || dims_equal(v->dim, v->rank, t->dim, t->rank)))
        intmap_put(&w->place, key(v), (uint64_t)index);
}

/* A node on its own, as one operator or several. */
static enum status write_node(struct writer *w, struct node *n) {
    struct lowering l;
    TRY(tflite_lower(&l, n, w->arena, w->err));
    const struct node *was = node_was(w, n);
    struct fb_table old = was ? old_operator(w, n) : (struct fb_table) { 0 };
    struct group *group = was ? &w->groups[n->graph->index][n->origin.index] : NULL;
    int previous = -1, integers = -1;
    for (int k = 0; k < l.n; k++) {
        struct lowered *o = &l.op[k];
        bool last = k == l.n - 1;
        int32_t *in = NEW_ARRAY(w->arena, o->n_in + 1, int32_t),
                *out = NEW_ARRAY(w->arena, n->n_out + 1, int32_t);
        for (int i = 0; i < o->n_in; i++) {
            int like = read_as_integers(w, n, &o->in[i]);
            integers = like >= 0 ? like : integers;
            TRY(input_tensor(w, n, &o->in[i], previous, &in[i]));
        }
        int n_out = last ? n->n_out : 1;
        if (!last) {
            const struct value *x = seen_through(n->in[0]);
            TRY(file_add_tensor(
                &w->file, n->graph->index, arena_printf(w->arena, "%s/step%d", n->out[0]->name, k),
                x->dtype, o->rank, o->dim, NULL,
                has_tensor(w, x) && tensor_of(w, x) < (int)w->file.graphs[n->graph->index].tensors.n
                    ? tensor_of(w, x)
                    : -1,
                &previous));
            out[0] = previous;
        }
        for (int i = 0; last && i < n_out; i++) {
            const struct value *v =
                n->out[i] ? (i ? n->out[i] : find_target(w, n, n->out[i], o)) : NULL;
            int index = -1;
            bool stays = integers >= 0 && v && v->origin.index < 0 && dtype_is_float(v->dtype);
            bool own = integers >= 0 && !was && (!stays || !moves_only(n) || l.n > 1);
            FAIL_IF(own || (stays && was), w->err, STATUS_UNSUPPORTED,
                    "%s %s in the middle of quantized operators, where its result needs a scale",
                    n->op, node_label(n, w->arena));
            if (v && was && i == 0)
                reuse_output(w, n, v, &old);
            if (v)
                TRY(need_tensor(w, v, &index));
            out[i] = index;
        }
        bool base = last && was && !group->written && old_code(w, &old) == (int)o->code;
        if (base)
            group->written = true;
        TRY(push_lowered(w, n, o, base ? &old : NULL, in, o->n_in, out, n_out));
    }
    return OK;
}

/* Resolves what a node of a group reads to the tensor of the file, as it was and as it is. */
static const struct value *outside(const struct writer *w, const struct group *g,
                                   const struct value *v) {
    v = seen_through(v);
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
    TRY(need_tensor(w, b, &index));
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
            const struct node *was = p ? node_was(w, p) : NULL;
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
    struct fb_table old = old_operator(w, first);
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
        fits = same_op(n, was) && n->n_in == was->n_in && n->n_out == was->n_out;
        for (int k = 0; fits && k < n->n_in; k++)
            TRY(rewire_input(w, g, n, was, k, &ins, in, moved, &fits));
        for (int k = 0; fits && k < n->n_out; k++)
            for (int s = 0; n->out[k] && s < n_out; s++)
                if (n->out[k] == was->out[k] &&
                    fb_vec_i32(&outs, (size_t)s) == n->out[k]->origin.index)
                    out[s] = tensor_of(w, n->out[k]);
    }
    if (!fits)
        return OK;
    g->rewired = g->written = true;
    g->last = last_of(w, g);
    g->ref.old = old.at;
    if (same_tensors(&ins, in, n_in) && same_tensors(&outs, out, n_out))
        return OK;
    return make_rewired(w, first, in, n_in, out, n_out, &g->ref);
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
    if (is_absorbed(w, n))
        return OK;
    if (!node_was(w, n)) {
        FAIL_IF(node_is(n, "DequantizeLinear") || node_is(n, "QuantizeLinear"), w->err,
                STATUS_UNSUPPORTED, "an added %s cannot be written to a TensorFlow Lite file",
                n->op);
        return write_node(w, n);
    }
    struct group *g = &w->groups[n->graph->index][n->origin.index];
    if (!g->touched) {
        if (!g->written)
            push_operator(w, n->graph->index, (struct fb_ref) { NULL, old_operator(w, n).at });
        g->written = true;
        return OK;
    }
    if (!g->written && !g->exposed && !options_changed(w, g))
        TRY(rewire(w, g));
    if (g->rewired) {
        if (n == g->last)
            push_operator(w, n->graph->index, g->ref);
        return OK;
    }
    TRY(check_parts(w, g));
    enum node_role role = tflite_role(w->m, n);
    bool intact =
        same_op(n, node_was(w, n)) && has_tensor(w, role == ROLE_DEQUANTIZE ? n->in[0] : n->out[0]);
    if (role == ROLE_DEQUANTIZE && intact)
        return OK;
    FAIL_IF(role == ROLE_DEQUANTIZE || role == ROLE_QUANTIZE, w->err, STATUS_UNSUPPORTED,
            "a change of the quantization of %s (%s)", n->origin.name, n->origin.op);
    return write_node(w, n);
}

static enum status write_graph(struct writer *w, struct graph *g) {
    bool touched = false;
    for (size_t i = 0; i < w->file.graphs[g->index].operators.n; i++)
        touched |= w->groups[g->index][i].touched;
    for (int i = 0; i < g->n_nodes; i++)
        touched |= !node_was(w, g->nodes[i]);
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
        declare_outputs(w, w->m->graphs[g]);
    for (int g = 0; g < w->m->n_graphs; g++) {
        TRY(check_interface(w, w->m->graphs[g], ends[g]->inputs));
        TRY(write_outputs(w, w->m->graphs[g], ends[g]->outputs));
    }
    TRY(write_constants(w));
    find_touched(w);
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
    remember(w);
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
