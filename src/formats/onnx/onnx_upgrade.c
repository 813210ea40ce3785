/* Older operator versions become the newest meaning: the machinery. The rewrites are in
 * onnx_upgrade_rows.c. */
#include "formats/onnx/onnx_upgrade.h"

#include <string.h>

void upgrade_emit(struct upgrade *u, struct node *n) {
    n->id = n->graph->n_nodes;
    PUSH(u->r->a, n->graph->nodes, n->graph->n_nodes, n);
    u->emitted |= n == u->n;
}

static const char *first_output(const struct node *n) {
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i])
            return n->out[i]->name;
    return "";
}

struct value *upgrade_value(struct upgrade *u, const char *stem) {
    const char *name = arena_printf(u->r->a, "@%s.%s%d", first_output(u->n), stem, u->n_made++);
    struct value *v = graph_add_value(u->n->graph, name);
    v->origin = (struct origin) { name, "upgrade", u->n->origin.offset, u->n->graph->index,
                                  u->n->origin.index };
    return v;
}

struct node *upgrade_add(struct upgrade *u, const char *op, int n_in, int n_out) {
    struct node *n = node_new(u->n->graph, op, "", n_in, n_out);
    n->name = u->n->name;
    n->group = u->n->group;
    n->version = u->n->version;
    n->origin = u->n->origin;
    for (int i = 0; i < n_out; i++)
        node_set_output(n, i, upgrade_value(u, op));
    upgrade_emit(u, n);
    return n;
}

struct value *upgrade_apply(struct upgrade *u, const char *op, struct value *a, struct value *b) {
    struct node *n = upgrade_add(u, op, b ? 2 : 1, 1);
    n->in[0] = a;
    if (b)
        n->in[1] = b;
    return n->out[0];
}

void upgrade_set_input(struct upgrade *u, int i, struct value *v) {
    struct node *n = u->n;
    if (i >= n->n_in) {
        struct value **in = NEW_ARRAY(u->r->a, i + 2, struct value *);
        if (n->n_in)
            memcpy(in, n->in, (size_t)n->n_in * sizeof *in);
        n->in = in;
        n->n_in = i + 1;
    }
    n->in[i] = v;
}

struct value *upgrade_constant(struct upgrade *u, const char *attribute, struct tensor *t) {
    const char *name = arena_printf(u->r->a, "@%s.%s", first_output(u->n), attribute);
    struct value *v = graph_add_constant(u->n->graph, name, t);
    v->origin = (struct origin) { attribute, "attribute", u->n->origin.offset, u->n->graph->index,
                                  u->n->origin.index };
    return v;
}

struct value *upgrade_ints(struct upgrade *u, const char *attribute, const int64_t *v, int64_t n) {
    return upgrade_constant(u, attribute, tensor_vec_i64(u->r->a, v, n));
}

struct value *upgrade_scalar(struct upgrade *u, const char *attribute, double v, enum dtype dtype) {
    struct tensor *t = tensor_in_arena(u->r->a, dtype, dtype, 0, NULL);
    tensor_set_f64(t, 0, v);
    return upgrade_constant(u, attribute, t);
}

struct value *upgrade_helper(struct upgrade *u, const int64_t *v, int64_t n) {
    struct value *c = graph_add_constant(u->n->graph, NULL, tensor_vec_i64(u->r->a, v, n));
    c->name = arena_printf(u->r->a, "@%s.helper%d", first_output(u->n), u->n_made++);
    c->origin = (struct origin) { c->name, "upgrade", u->n->origin.offset, u->n->graph->index,
                                  u->n->origin.index };
    return c;
}

void upgrade_drop_outputs(struct upgrade *u, int kept) {
    for (int i = kept; i < u->n->n_out; i++)
        if (u->n->out[i]) {
            u->n->out[i]->producer = NULL;
            u->n->out[i]->origin.op = ONNX_DROPPED;
        }
    if (kept < u->n->n_out)
        u->n->n_out = kept;
}

void upgrade_ints_to_input(struct upgrade *u, const char *name, int i) {
    const struct attr *a = node_attr(u->n, name);
    if (!a || a->type != ATTR_INTS)
        return;
    upgrade_set_input(u, i, upgrade_ints(u, name, a->ints, a->n));
    node_remove_attr(u->n, name);
}

enum dtype upgrade_float_type(const struct value *v) {
    return v && v->dtype != DT_NONE ? v->dtype : DT_F32;
}

int64_t upgrade_int(const struct upgrade *u, const char *name, int64_t otherwise) {
    const struct attr *a = node_attr(u->n, name);
    return a && a->type == ATTR_INT ? a->i : otherwise;
}

static bool is_one_of(const char *op, const char *list) {
    size_t n = strlen(op);
    for (const char *s = list; (s = strstr(s, op)); s += n)
        if ((s == list || s[-1] == ' ') && (s[n] == ' ' || !s[n]))
            return true;
    return false;
}

/* The rank of what n makes, or of input 0 (then *same). */
static int rank_of_output(const struct node *n, bool *same) {
    const struct value *second = n->n_in > 1 ? n->in[1] : NULL;
    if (is_one_of(n->op, "Gemm Flatten"))
        return 2;
    if (is_one_of(n->op, "Conv ConvTranspose"))
        return second ? second->rank : -1;
    if (is_one_of(n->op, "Reshape Expand") && second && second->rank == 1 && second->dim[0] >= 0 &&
        second->constant)
        return (int)second->dim[0];
    const struct attr *perm = node_attr(n, "perm");
    if (is_one_of(n->op, "Transpose") && perm)
        return (int)perm->n;
    *same = is_one_of(n->op, "Relu Sigmoid Tanh LeakyRelu PRelu Elu Selu Clip Dropout Identity "
                             "BatchNormalization LRN MaxPool AveragePool "
                             "GlobalAveragePool GlobalMaxPool InstanceNormalization Concat Pad "
                             "Slice Softmax Exp Log Neg Abs Sqrt Cast");
    return -1;
}

static int rank_within(const struct value *v, int *budget) {
    while (v && (*budget)-- > 0) {
        bool same = false;
        const struct node *n = v->producer;
        if (v->rank >= 0 || !n || n->domain[0] || !n->n_in)
            return v->rank;
        if (n->n_in == 2 && is_one_of(n->op, "Add Sub Mul Div Pow")) { /* broadcasting */
            int a = rank_within(n->in[0], budget), b = rank_within(n->in[1], budget);
            return a < 0 || b < 0 ? -1 : a > b ? a : b;
        }
        int rank = rank_of_output(n, &same);
        if (!same)
            return rank;
        v = n->in[0];
    }
    return -1;
}

int upgrade_rank(const struct value *v) {
    int budget = 64;
    return rank_within(v, &budget);
}

enum status onnx_upgrade(struct onnx_reader *r, struct node *n) {
    struct upgrade u = { .r = r, .n = n };
    if (!n->domain[0])
        node_remove_attr(n, "consumed_inputs"); /* operator sets 1 to 5: a hint for memory */
    for (const struct upgrade_row *row = onnx_upgrades; row->op; row++)
        if (n->version < row->below && strcmp(n->op, row->op) == 0 &&
            strcmp(n->domain, row->domain ? row->domain : "") == 0)
            TRY(row->fn(&u));
    if (!u.emitted)
        upgrade_emit(&u, n);
    return OK;
}
