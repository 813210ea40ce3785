/* Writing a patched file: one operator. */
#include <string.h>

#include "formats/tflite/tflite_writer.h"

static const char OPERATOR_KINDS[] = "4oo1oo1oo881o4";
enum { OPERATOR_FIELDS = 14 };

struct fb_table writer_old_operator(const struct writer *w, const struct node *n) {
    return fb_vec_table(&w->file.graphs[n->graph->index].operators, (size_t)n->origin.index);
}

void writer_push_operator(struct writer *w, int graph, struct fb_ref ref) {
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

enum status writer_make_rewired(struct writer *w, const struct node *n, const int32_t *in, int n_in,
                                const int32_t *out, int n_out, struct fb_ref *ref) {
    struct fb_table old = writer_old_operator(w, n);
    struct fb_object *t = fb_copy_table(w->arena, &old, OPERATOR_KINDS);
    FAIL_IF(!t, w->err, STATUS_UNSUPPORTED,
            "operator %s has fields newer than the schema calque knows", n->origin.name);
    fb_set_ref(t, OPERATOR_INPUTS, int_vector(w, in, n_in));
    fb_set_ref(t, OPERATOR_OUTPUTS, int_vector(w, out, n_out));
    *ref = (struct fb_ref) { t, 0 };
    return OK;
}

bool writer_same_tensors(const struct fb_vector *old, const int32_t *now, int n) {
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
    if (!writer_same_tensors(&ins, in, n_in) || !writer_same_tensors(&outs, out, n_out))
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
        writer_push_operator(w, graph, (struct fb_ref) { NULL, base->at });
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
    writer_push_operator(w, graph, (struct fb_ref) { t, 0 });
    return OK;
}

/* The value whose tensor the operator writes: past a fused activation and the quantization. */
static const struct value *find_target(struct writer *w, const struct node *n,
                                       const struct value *v, struct lowered *o) {
    const struct node *r = writer_only_reader(w, v);
    if (o->activation_slot >= 0) {
        int act = r && r->in[0] == v ? tflite_activation_of(r) : -1;
        const struct node *after = act >= 0 && r->out[0] ? writer_only_reader(w, r->out[0]) : NULL;
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
            intmap_put(&w->absorbed, writer_key(r), 1);
            v = r->out[0];
            r = writer_only_reader(w, v);
        }
    }
    if (r && node_is(r, "QuantizeLinear") && tflite_role(w->m, r) == ROLE_QUANTIZE &&
        r->in[0] == v) {
        intmap_put(&w->absorbed, writer_key(r), 1);
        return r->out[0];
    }
    return v;
}

/* The old tensor whose integers input `in` of a node is read as, -1 when it is read as it is. A
 * constant counts for an added node only: weights of the file's own operators may be integers
 * beside a float input. */
static int read_as_integers(const struct writer *w, const struct node *n,
                            const struct lowered_input *in) {
    const struct value *v = writer_seen_through(in->value);
    if (!v || in->made || in->previous)
        return -1;
    if (writer_carried_by(w, v) >= 0)
        return writer_carried_by(w, v);
    return v != in->value && (!v->constant || !writer_node_was(w, n)) ? v->origin.index : -1;
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
        TRY(writer_need_tensor(w, writer_seen_through(in->value), &index));
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
    if (writer_has_tensor(w, v) || index < 0)
        return;
    const struct value *t =
        ((const struct tflite_notes *)w->m->format_data)->tensors[n->graph->index][index];
    bool free = !writer_in_graph(t->producer) && !t->is_output && t->dtype == v->dtype &&
                !value_quantized(t);
    for (int k = 0; free && k < w->uses->n[t->id]; k++)
        free = !writer_in_graph(w->uses->of[t->id][k].node);
    for (int k = 0; free && k < n->graph->n_outputs; k++) /* an output may have taken its place */
        free = writer_tensor_of(w, n->graph->outputs[k]) != index;
    if (free && (v->rank < 0 || dims_equal(v->dim, v->rank, t->dim, t->rank)))
        intmap_put(&w->place, writer_key(v), (uint64_t)index);
}

enum status writer_node(struct writer *w, struct node *n) {
    struct lowering l;
    TRY(tflite_lower(&l, n, w->arena, w->err));
    const struct node *was = writer_node_was(w, n);
    struct fb_table old = was ? writer_old_operator(w, n) : (struct fb_table) { 0 };
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
            const struct value *x = writer_seen_through(n->in[0]);
            TRY(file_add_tensor(
                &w->file, n->graph->index, arena_printf(w->arena, "%s/step%d", n->out[0]->name, k),
                x->dtype, o->rank, o->dim, NULL,
                writer_has_tensor(w, x) &&
                        writer_tensor_of(w, x) < (int)w->file.graphs[n->graph->index].tensors.n
                    ? writer_tensor_of(w, x)
                    : -1,
                &previous));
            out[0] = previous;
        }
        for (int i = 0; last && i < n_out; i++) {
            const struct value *v =
                n->out[i] ? (i ? n->out[i] : find_target(w, n, n->out[i], o)) : NULL;
            int index = -1;
            bool stays = integers >= 0 && v && v->origin.index < 0 && dtype_is_float(v->dtype);
            bool own = integers >= 0 && !was && (!stays || !writer_moves_only(n) || l.n > 1);
            FAIL_IF(own || (stays && was), w->err, STATUS_UNSUPPORTED,
                    "%s %s in the middle of quantized operators, where its result needs a scale",
                    n->op, node_label(n, w->arena));
            if (v && was && i == 0)
                reuse_output(w, n, v, &old);
            if (v)
                TRY(writer_need_tensor(w, v, &index));
            out[i] = index;
        }
        bool base = last && was && !group->written && old_code(w, &old) == (int)o->code;
        if (base)
            group->written = true;
        TRY(push_lowered(w, n, o, base ? &old : NULL, in, o->n_in, out, n_out));
    }
    return OK;
}
