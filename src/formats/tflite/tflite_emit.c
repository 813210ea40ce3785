/* Making the nodes and values of one operator. */
#include <float.h>
#include <string.h>

#include "formats/tflite/tflite.h"

struct node *emit(struct op_reader *x, const char *op, const char *domain, int n_in, int n_out,
                  enum node_role role) {
    struct node *n = graph_add_node(x->g, op, domain, n_in, n_out);
    n->group = x->group;
    n->version = x->version;
    n->origin = (struct origin) { .name = x->name,
                                  .op = x->op_name,
                                  .offset = (int64_t)x->op.at,
                                  .graph = x->g->index,
                                  .index = x->index };
    if (role != ROLE_MAIN)
        intmap_put(&x->r->notes->roles, (uint64_t)(uintptr_t)n, role);
    x->last = n;
    return n;
}

struct value *between(struct op_reader *x, const char *suffix, enum dtype dtype,
                      const struct value *like) {
    const char *stem = like && like->name[0] ? like->name : x->name;
    struct value *v = graph_add_value(
        x->g, arena_printf(x->r->m->arena, "%s%s%s", stem, suffix[0] ? "/" : "", suffix));
    v->dtype = dtype;
    v->origin.offset = (int64_t)x->op.at;
    if (like) {
        v->rank = like->rank;
        memcpy(v->dim, like->dim, sizeof v->dim);
    }
    return v;
}

struct value *then2(struct op_reader *x, const char *op, struct value *a, struct value *b,
                    const struct value *like) {
    struct node *n = emit(x, op, "", b ? 2 : 1, 1, ROLE_HELPER);
    n->in[0] = a;
    if (b)
        n->in[1] = b;
    struct value *v = between(x, op, a->dtype, like);
    node_set_output(n, 0, v);
    return v;
}

struct value *then1(struct op_reader *x, const char *op, struct value *a,
                    const struct value *like) {
    return then2(x, op, a, NULL, like);
}

static void note_constant(struct tfl_reader *r, const struct value *v, enum constant_source source,
                          int32_t graph, int32_t index, int32_t slot) {
    struct constant_note note = { v, source, graph, index, slot };
    intmap_put(&r->notes->constants, (uint64_t)(uintptr_t)v, (uint64_t)r->notes->n_notes);
    PUSH(r->m->arena, r->notes->notes, r->notes->n_notes, note);
}

struct value *made_tensor(struct op_reader *x, const char *suffix, struct tensor *t, int slot) {
    struct value *v =
        graph_add_constant(x->g, arena_printf(x->r->m->arena, "%s/%s", x->name, suffix), t);
    v->origin.offset = (int64_t)x->op.at;
    note_constant(x->r, v, slot < 0 ? FROM_OPTIONS : FROM_INPUT, x->g->index, x->index, slot);
    return v;
}

struct value *made_ints(struct op_reader *x, const char *suffix, const int64_t *v, int64_t n,
                        int slot) {
    return made_tensor(x, suffix, tensor_vec_i64(x->r->m->arena, v, n), slot);
}

struct value *made_real(struct op_reader *x, const char *suffix, enum dtype dtype, double v) {
    struct tensor *t = tensor_in_arena(x->r->m->arena, dtype, dtype, 0, NULL);
    tensor_set_f64(t, 0, v);
    return made_tensor(x, suffix, t, -1);
}

bool value_quantized(const struct value *v) {
    if (!v || !v->quant)
        return false;
    switch (v->dtype) {
    case DT_I8:
    case DT_U8:
    case DT_I16:
    case DT_U16:
    case DT_I4:
    case DT_U4:
    case DT_I2:
        return true;
    default:
        return false;
    }
}

struct value *raw_in(const struct op_reader *x, int i) {
    return i < x->n_in ? x->in[i] : NULL;
}

/* Block-wise scales have the tensor's rank, the blocks counted along the last axis. */
static struct tensor *scale_tensor(struct tfl_reader *r, const struct value *v) {
    const struct quant *q = v->quant;
    int64_t dim[MAX_RANK] = { q->n };
    int rank = q->n > 1 || v->rank == 1 ? 1 : 0;
    if (q->block_size > 0) {
        rank = v->rank;
        memcpy(dim, v->dim, sizeof dim);
        dim[q->axis] = v->dim[q->axis] / q->block_size;
    } else if (q->n == 1) {
        rank = 0;
    }
    struct tensor *t = tensor_in_arena(r->m->arena, DT_F32, DT_F32, rank, dim);
    memcpy(t->data, q->scale, (size_t)q->n * sizeof *q->scale);
    return t;
}

/* Constants for a tensor's scale and zero point, shared by all that read it. */
static struct quant_values *quant_values(struct op_reader *x, const struct value *v) {
    struct tfl_reader *r = x->r;
    struct arena *a = r->m->arena;
    struct quant_values *q = &r->quant[x->g->index][v->origin.index];
    if (q->scale)
        return q;
    struct tensor *s = scale_tensor(r, v);
    enum dtype zt = v->dtype;
    struct tensor *z = tensor_in_arena(a, zt, dtype_row(zt)->widened, s->rank, s->dim);
    for (int64_t i = 0; i < v->quant->n; i++)
        tensor_set_i64(z, i, v->quant->zero_point[i]);
    q->scale = graph_add_constant(x->g, arena_printf(a, "%s/scale", v->name), s);
    q->zero_point = graph_add_constant(x->g, arena_printf(a, "%s/zero_point", v->name), z);
    note_constant(r, q->scale, FROM_SCALE, x->g->index, v->origin.index, -1);
    note_constant(r, q->zero_point, FROM_ZERO_POINT, x->g->index, v->origin.index, -1);
    return q;
}

static struct node *quantize_node(struct op_reader *x, const char *op, enum node_role role,
                                  const struct value *v) {
    struct quant_values *q = quant_values(x, v);
    struct node *n = emit(x, op, "", 3, 1, role);
    n->in[1] = q->scale;
    n->in[2] = q->zero_point;
    if (v->quant->n > 1)
        node_set_int(n, "axis", v->quant->axis);
    if (v->quant->block_size > 0)
        node_set_int(n, "block_size", v->quant->block_size);
    return n;
}

static struct value *dequantize(struct op_reader *x, struct value *v) {
    struct node *n = quantize_node(x, "DequantizeLinear", ROLE_DEQUANTIZE, v);
    n->in[0] = v;
    struct value *out = between(x, "real", DT_F32, v);
    node_set_output(n, 0, out);
    return out;
}

struct value *real_in(struct op_reader *x, int i) {
    struct value *v = raw_in(x, i);
    return value_quantized(v) ? dequantize(x, v) : v;
}

struct value *scaled_in(struct op_reader *x, int i) {
    struct value *v = raw_in(x, i);
    return v && v->quant && dtype_is_int(v->dtype) ? dequantize(x, v) : v;
}

bool same_quant(const struct op_reader *x, int i, int k) {
    const struct value *a = raw_in(x, i), *b = k < x->n_out ? x->out[k] : NULL;
    if (!value_quantized(a) || !value_quantized(b))
        return value_quantized(a) == value_quantized(b);
    return a->dtype == b->dtype && a->quant->n == 1 && b->quant->n == 1 &&
           a->quant->scale[0] == b->quant->scale[0] &&
           a->quant->zero_point[0] == b->quant->zero_point[0];
}

struct value *moved_in(struct op_reader *x, int i, bool *raw) {
    *raw = same_quant(x, i, 0);
    return *raw ? raw_in(x, i) : real_in(x, i);
}

enum status moved_out(struct op_reader *x, int i, struct node *n, bool raw) {
    if (!raw)
        return deliver(x, i, n, 0, ACTIVATION_NONE);
    if (x->out[i])
        node_set_output(n, 0, x->out[i]);
    return OK;
}

int64_t *kept_ints(struct op_reader *x, const int64_t *v, int64_t n) {
    return arena_copy(x->r->m->arena, v, sizeof *v * (size_t)(n ? n : 1));
}

static enum status emit_activation(struct op_reader *x, enum activation act, struct value *v,
                                   enum dtype dtype, struct node **out) {
    static const double low[] = { [ACTIVATION_RELU_N1_TO_1] = -1,
                                  [ACTIVATION_RELU6] = 0,
                                  [ACTIVATION_SATURATE] = -(double)FLT_MAX };
    static const double high[] = { [ACTIVATION_RELU_N1_TO_1] = 1,
                                   [ACTIVATION_RELU6] = 6,
                                   [ACTIVATION_SATURATE] = (double)FLT_MAX };
    struct node *n;
    switch (act) {
    case ACTIVATION_RELU:
    case ACTIVATION_TANH:
        n = emit(x, act == ACTIVATION_RELU ? "Relu" : "Tanh", "", 1, 1, ROLE_ACTIVATION);
        break;
    case ACTIVATION_RELU6:
    case ACTIVATION_RELU_N1_TO_1:
    case ACTIVATION_SATURATE: {
        struct value *min = made_real(x, "min", dtype, low[act]),
                     *max = made_real(x, "max", dtype, high[act]);
        n = emit(x, "Clip", "", 3, 1, ROLE_ACTIVATION);
        n->in[1] = min;
        n->in[2] = max;
        break;
    }
    default:
        return refuse(x, "its fused activation");
    }
    n->in[0] = v;
    *out = n;
    return OK;
}

enum status deliver(struct op_reader *x, int i, struct node *n, int k, enum activation act) {
    struct value *target = i < x->n_out ? x->out[i] : NULL;
    if (!target)
        return OK;
    bool quantized = value_quantized(target);
    enum dtype dtype = quantized ? DT_F32 : target->dtype;
    if (act != ACTIVATION_NONE) {
        struct value *v = between(x, "linear", dtype, target);
        node_set_output(n, k, v);
        TRY(emit_activation(x, act, v, dtype, &n));
        k = 0;
    }
    if (quantized) {
        struct value *v = between(x, "real", DT_F32, target);
        node_set_output(n, k, v);
        n = quantize_node(x, "QuantizeLinear", ROLE_QUANTIZE, target);
        n->in[0] = v;
        k = 0;
    }
    node_set_output(n, k, target);
    return OK;
}

enum status deliver_quantized(struct op_reader *x, int i, struct value *v) {
    struct node *n = quantize_node(x, "QuantizeLinear", ROLE_QUANTIZE, x->out[i]);
    n->in[0] = v;
    node_set_output(n, 0, x->out[i]);
    return OK;
}

/* v, when it was the last thing made for this operator, is replaced by the output; else copied into
 * it. */
enum status deliver_value(struct op_reader *x, int i, struct value *v, enum activation act) {
    struct graph *g = x->g;
    struct node *n = v->producer;
    if (n && n == x->last && v == g->values[g->n_values - 1] &&
        v->id == x->r->m->next_value_id - 1) {
        g->n_values--;
        x->r->m->next_value_id--;
        return deliver(x, i, n, v->out_index, act);
    }
    struct value *target = i < x->n_out ? x->out[i] : NULL;
    if (target && act == ACTIVATION_NONE && value_quantized(target))
        return deliver_quantized(x, i, v);
    struct node *copy = emit(x, "Identity", "", 1, 1, ROLE_HELPER);
    copy->in[0] = v;
    return deliver(x, i, copy, 0, act);
}

enum status activation_read(const struct op_reader *x, int slot, enum activation *out) {
    int8_t a = fb_i8(&x->options, slot, 0);
    FAIL_IF(a < 0 || a > ACTIVATION_SIGN_BIT, x->r->err, STATUS_CORRUPT,
            "fused activation %d is not of the schema", a);
    *out = (enum activation)a;
    return OK;
}

bool const_ints(const struct op_reader *x, int i, const int64_t **v, int64_t *n) {
    const struct value *value = raw_in(x, i);
    if (!value || !value->constant || value->is_input || value->is_variable ||
        !dtype_is_int(value->dtype))
        return false;
    const struct tensor *t = value->constant;
    int64_t *list = NEW_ARRAY(x->r->m->arena, tensor_count(t) + 1, int64_t);
    for (int64_t k = 0; k < tensor_count(t); k++)
        list[k] = tensor_i64(t, k);
    *v = list;
    *n = tensor_count(t);
    return true;
}

enum status need_const_ints(const struct op_reader *x, int i, const char *what, const int64_t **v,
                            int64_t *n) {
    FAIL_IF(!const_ints(x, i, v, n), x->r->err, STATUS_UNSUPPORTED,
            "%s (input %d) is computed, not a constant", what, i);
    return OK;
}

enum status need_inputs(const struct op_reader *x, int least) {
    FAIL_IF(x->n_in < least, x->r->err, STATUS_CORRUPT, "%d inputs, %s takes at least %d", x->n_in,
            x->op_name, least);
    for (int i = 0; i < least; i++)
        FAIL_IF(!x->in[i], x->r->err, STATUS_CORRUPT, "input %d is missing", i);
    FAIL_IF(x->n_out < 1, x->r->err, STATUS_CORRUPT, "no outputs");
    return OK;
}

enum status refuse(const struct op_reader *x, const char *what) {
    return err_set(x->r->err, STATUS_UNSUPPORTED, "%s: %s cannot be read yet", x->op_name, what);
}

enum node_role tflite_role(const struct model *m, const struct node *n) {
    const struct tflite_notes *notes = m->format_data;
    uint64_t role;
    return notes && intmap_get(&notes->roles, (uint64_t)(uintptr_t)n, &role) ? (enum node_role)role
                                                                             : ROLE_MAIN;
}

const struct constant_note *tflite_constant_note(const struct model *m, const struct value *v) {
    const struct tflite_notes *notes = m->format_data;
    uint64_t i;
    return notes && intmap_get(&notes->constants, (uint64_t)(uintptr_t)v, &i) ? &notes->notes[i]
                                                                              : NULL;
}
