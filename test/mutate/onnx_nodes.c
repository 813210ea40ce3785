/* Faults in the graph of ONNX files: nodes missing, added, wired otherwise. */
#include <string.h>

#include "onnx_editor.h"

bool edit_activation_missing(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0), *in = message_text(n, NODE_INPUT, 0);
    if (!is_one_of(n, "Relu Clip LeakyRelu") || is_graph_output(x, out))
        return false;
    done(x, k, "clip-bounds", arena_printf(x->arena, "%s bypassed", op_of(n)));
    place_readers(x, out);
    for (int j = 0; j < x->n_nodes; j++)
        if (strcmp(message_text(node_at(x, j), NODE_OUTPUT, 0), in) == 0)
            place_node(x, j);
    rename_reads(x, out, in, -1);
    message_set_text(n, NODE_OP, 0, "Identity");
    message_remove(n, NODE_ATTRIBUTE);
    struct message_field *inputs = message_field(n, NODE_INPUT, 0);
    struct message_field keep = *inputs;
    message_remove(n, NODE_INPUT);
    *message_add(n, NODE_INPUT, BYTES) = keep;
    return true;
}

/* The value is made under another name and comes back through a new node behind its maker. */
static void insert_behind(struct editor *x, int k, const char *op, const int64_t *perm, int rank) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0),
               *raw = arena_printf(x->arena, "%s_before", out);
    message_set_text(n, NODE_OUTPUT, 0, raw);
    struct message *added = NEW(x->arena, struct message);
    added->arena = x->arena;
    message_set_text(added, NODE_INPUT, 0, raw);
    message_set_text(added, NODE_OUTPUT, 0, out);
    message_set_text(added, NODE_NAME, 0, arena_printf(x->arena, "added_behind_%s", out));
    message_set_text(added, NODE_OP, 0, op);
    if (perm)
        set_ints(added, "perm", perm, rank);
    mutation_place(x->site->m, x->arena, message_text(added, NODE_NAME, 0));
    mutation_place(x->site->m, x->arena, raw);
    place_readers(x, out);
    struct message_field field = { .number = GRAPH_NODE, .wire = BYTES, .inner = added };
    struct message *g = x->graph;
    message_add(g, 0, 0);
    int at = (int)(message_field(g, GRAPH_NODE, k) - g->fields) + 1;
    memmove(&g->fields[at + 1], &g->fields[at], (size_t)(g->n - 1 - at) * sizeof *g->fields);
    g->fields[at] = field;
}

bool edit_activation_extra(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0);
    if (!is_one_of(n, "Conv Gemm MatMul Add BatchNormalization") || readers(x, out) == 0)
        return false;
    for (int j = 0; j < x->n_nodes; j++)
        if (is_one_of(node_at(x, j), "Relu Clip") &&
            strcmp(message_text(node_at(x, j), NODE_INPUT, 0), out) == 0)
            return false;
    done(x, k, "clip-bounds", "a Relu added");
    insert_behind(x, k, "Relu", NULL, 0);
    return true;
}

bool edit_transpose_extra(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *out = message_text(n, NODE_OUTPUT, 0);
    struct shape_of_value s = x->site->shape(x->site->shape_arg, out);
    if (s.rank < 2 || s.rank > MAX_DIMS ||
        !is_one_of(n, "Conv Relu MaxPool Add MatMul Concat BatchNormalization Mul") ||
        readers(x, out) == 0)
        return false;
    int a = -1, b = -1;
    for (int i = 0; i < s.rank; i++)
        for (int j = i + 1; j < s.rank; j++)
            if (s.dim[i] == s.dim[j] && s.dim[i] > 1) {
                a = i;
                b = j;
            }
    if (a < 0)
        return false;
    int64_t perm[MAX_DIMS];
    for (int i = 0; i < s.rank; i++)
        perm[i] = i == a ? b : i == b ? a : i;
    done(x, k, "transpose-equal-dims", "two equal axes exchanged");
    insert_behind(x, k, "Transpose", perm, s.rank);
    return true;
}

bool edit_transpose_perm(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t perm[2 * MAX_DIMS];
    int r = is_one_of(n, "Transpose") ? int_list_of(n, "perm", perm) : 0;
    struct shape_of_value s = x->site->shape(x->site->shape_arg, message_text(n, NODE_OUTPUT, 0));
    if (r < 2 || s.rank != r)
        return false;
    for (int i = 0; i < r; i++)
        for (int j = i + 1; j < r; j++) {
            if (s.dim[i] != s.dim[j] || s.dim[i] < 2)
                continue;
            int64_t t = perm[i];
            perm[i] = perm[j];
            perm[j] = t;
            set_ints(n, "perm", perm, r);
            return done(x, k, "transpose-equal-dims axis-remap", "perm changed between equal axes");
        }
    return false;
}

bool edit_operands(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "Sub Div Pow MatMul Concat") || message_count(n, NODE_INPUT) < 2)
        return false;
    const char *a = message_text(n, NODE_INPUT, 0), *b = message_text(n, NODE_INPUT, 1);
    if (strcmp(a, b) == 0)
        return false;
    message_set_text(n, NODE_INPUT, 0, b);
    message_set_text(n, NODE_INPUT, 1, a);
    return done(x, k, "operand-or-io-order", "operands exchanged");
}
