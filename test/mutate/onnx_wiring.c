/* Faults that several converters make on purpose-built structures: padding and preprocessing as
 * nodes, constants of other nodes, recurrent layers (ONNX). */
#include <math.h>
#include <string.h>

#include "onnx_editor.h"

/* --- nodes at another place --- */

/* A new node, placed before node number k. */
static struct message *insert_before(struct editor *x, int k, const char *op, const char *in,
                                     const char *out) {
    struct message *g = x->graph, *added = NEW(x->arena, struct message);
    added->arena = x->arena;
    message_set_text(added, NODE_INPUT, 0, in);
    message_set_text(added, NODE_OUTPUT, 0, out);
    message_set_text(added, NODE_NAME, 0, arena_printf(x->arena, "added_%s", out));
    message_set_text(added, NODE_OP, 0, op);
    struct message_field field = { .number = GRAPH_NODE, .wire = BYTES, .inner = added };
    message_add(g, 0, 0);
    int at = (int)(message_field(g, GRAPH_NODE, k) - g->fields);
    memmove(&g->fields[at + 1], &g->fields[at], (size_t)(g->n - 1 - at) * sizeof *g->fields);
    g->fields[at] = field;
    mutation_place(x->site->m, x->arena, message_text(added, NODE_NAME, 0));
    mutation_place(x->site->m, x->arena, out);
    return added;
}

static const char *add_initializer(struct editor *x, const char *name, int type,
                                   const int64_t *dims, int rank, const void *data, size_t bytes) {
    struct message_field *f = message_add(x->graph, GRAPH_INITIALIZER, BYTES);
    struct message *t = f->inner = NEW(x->arena, struct message);
    t->arena = x->arena;
    if (rank)
        message_set_varints(t, TENSOR_DIMS, dims, rank);
    message_set_value(t, TENSOR_TYPE, VARINT, (uint64_t)type);
    message_set_text(t, TENSOR_NAME, 0, name);
    struct message_field *raw = message_add(t, TENSOR_RAW, BYTES);
    raw->data = arena_copy(x->arena, data, bytes);
    raw->size = bytes;
    return name;
}

/* The model's input is scaled by 1/255 before node k reads it: done at the first node that does. */
bool edit_preprocessing(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *input = message_text(message_inner(x->graph, GRAPH_INPUT, 0), 1, 0);
    struct shape_of_value s = x->site->shape(x->site->shape_arg, input);
    if (strcmp(message_text(n, NODE_INPUT, 0), input) != 0 || !*input || s.rank < 2 ||
        tensor_named(x, input) || readers(x, input) != 1)
        return false;
    const float factor = 1 / 255.0f;
    const char *to = arena_printf(x->arena, "%s_scaled", input),
               *by = add_initializer(x, arena_printf(x->arena, "%s_factor", input), FLOAT, NULL, 0,
                                     &factor, sizeof factor);
    done(x, k, "preprocessing", "input times 1/255");
    mutation_place(x->site->m, x->arena, input);
    message_set_text(n, NODE_INPUT, 0, to);
    struct message *added = insert_before(x, k, "Mul", input, to);
    struct message_field *f = message_add(added, NODE_INPUT, BYTES);
    f->data = (const unsigned char *)by;
    f->size = strlen(by);
    return true;
}

/* A pooling's own padding becomes a Pad with zeros. */
bool edit_maxpool_zero_pad(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int64_t pads[2 * MAX_DIMS], all[2 * MAX_DIMS + 4] = { 0 };
    int count = is_one_of(n, "MaxPool") ? int_list_of(n, "pads", pads) : 0, r = count / 2;
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += pads[i];
    if (!sum || int_of(n, "ceil_mode", 0))
        return false;
    for (int i = 0; i < r; i++) {
        all[2 + i] = pads[i];
        all[2 + r + 2 + i] = pads[r + i];
    }
    const char *in = message_text(n, NODE_INPUT, 0), *to = arena_printf(x->arena, "%s_padded", in);
    const int64_t dims[] = { 2 * (r + 2) };
    const char *by = add_initializer(x, arena_printf(x->arena, "%s_pads", in), 7, dims, 1, all,
                                     (size_t)dims[0] * sizeof *all);
    const int64_t none[2 * MAX_DIMS] = { 0 };
    set_ints(n, "pads", none, count);
    done(x, k, "maxpool-zero-pad", "padded with zeros before the pooling");
    message_set_text(n, NODE_INPUT, 0, to);
    struct message *added = insert_before(x, k, "Pad", in, to);
    struct message_field *f = message_add(added, NODE_INPUT, BYTES);
    f->data = (const unsigned char *)by;
    f->size = strlen(by);
    return true;
}

/* Channels-first data is flattened channels-last. */
bool edit_flatten_order(struct editor *x, int k) {
    static const int64_t perm[] = { 0, 2, 3, 1 };
    struct message *n = node_at(x, k);
    const char *in = message_text(n, NODE_INPUT, 0);
    struct shape_of_value s = x->site->shape(x->site->shape_arg, in),
                          y = x->site->shape(x->site->shape_arg, message_text(n, NODE_OUTPUT, 0));
    if (!is_one_of(n, "Flatten Reshape") || s.rank != 4 || y.rank != 2)
        return false;
    done(x, k, "flatten-dense-order transpose-equal-dims", "flattened channels-last");
    place_readers(x, message_text(n, NODE_OUTPUT, 0));
    const char *to = arena_printf(x->arena, "%s_last", in);
    message_set_text(n, NODE_INPUT, 0, to);
    set_ints(insert_before(x, k, "Transpose", in, to), "perm", perm, 4);
    return true;
}

/* A transpose between equal axes is left out. */
bool edit_transpose_missing(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    const char *in = message_text(n, NODE_INPUT, 0), *out = message_text(n, NODE_OUTPUT, 0);
    struct shape_of_value a = x->site->shape(x->site->shape_arg, in),
                          b = x->site->shape(x->site->shape_arg, out);
    if (!is_one_of(n, "Transpose") || a.rank < 2 || a.rank != b.rank || is_graph_output(x, out) ||
        memcmp(a.dim, b.dim, (size_t)a.rank * sizeof *a.dim) != 0)
        return false;
    done(x, k, "transpose-equal-dims flatten-dense-order", "a transpose left out");
    place_readers(x, out);
    rename_reads(x, out, in, -1);
    return true;
}

/* Maxima for means, or means for maxima. */
bool edit_pool_kind(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "MaxPool AveragePool") || message_count(n, NODE_OUTPUT) > 1 ||
        attribute(n, "count_include_pad") || attribute(n, "storage_order") ||
        attribute(n, "dilations"))
        return false;
    message_set_text(n, NODE_OP, 0, is_one_of(n, "MaxPool") ? "AveragePool" : "MaxPool");
    return done(x, k, "attribute-default activation-constant operand-or-io-order",
                "another kind of pooling");
}

/* --- constants of other nodes --- */

/* The bias of node k is read from another node's initializer of the same length. */
bool edit_bias_of_another(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    struct numbers own, other;
    const char *name = message_text(n, NODE_INPUT, 2);
    if (!is_one_of(n, "Conv Gemm ConvTranspose") || !open_numbers(x, name, &own))
        return false;
    for (int i = 0; i < x->n_nodes; i++) {
        struct message *m = node_at(x, i);
        const char *from = message_text(m, NODE_INPUT, 2);
        if (i == k || !is_one_of(m, "Conv Gemm ConvTranspose") || strcmp(from, name) == 0 ||
            !open_numbers(x, from, &other) || other.n != own.n)
            continue;
        message_set_text(n, NODE_INPUT, 2, from);
        return done(x, k, "bias-misbinding", "another node's bias");
    }
    return false;
}

/* --- recurrent layers --- */

static bool recurrent(struct editor *x, int k, int input, struct numbers *w) {
    struct message *n = node_at(x, k);
    return is_one_of(n, "LSTM GRU RNN") && open_numbers(x, message_text(n, NODE_INPUT, input), w);
}

static int gates_of(const struct message *n) {
    return is_one_of(n, "LSTM") ? 4 : is_one_of(n, "GRU") ? 3 : 1;
}

/* The first two gates of the input weights, the recurrent weights and the biases are exchanged. */
bool edit_gates(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    int gates = gates_of(n);
    struct numbers w;
    if (!recurrent(x, k, 1, &w) || gates < 2)
        return false;
    for (int input = 1; input < 4; input++) {
        if (!recurrent(x, k, input, &w))
            continue;
        int64_t halves = w.dim[0] * (input == 3 ? 2 : 1), whole = w.n / halves,
                block = whole / gates;
        for (int64_t d = 0; d < halves; d++)
            for (int64_t i = 0; i < block; i++) {
                float *a = &w.v[d * whole + i], *b = a + block, t = *a;
                *a = *b;
                *b = t;
            }
        put_numbers(&w);
    }
    return done(x, k, "rnn-gate-order", "first two gates exchanged");
}

/* The recurrent biases are zero, or the input's. */
bool edit_recurrent_bias(struct editor *x, int k) {
    struct numbers b;
    if (!recurrent(x, k, 3, &b) || b.n % (2 * b.dim[0]))
        return false;
    int64_t whole = b.n / b.dim[0], half = whole / 2;
    bool twice = chance_below(x->site->chance, 2);
    for (int64_t d = 0; d < b.dim[0]; d++)
        for (int64_t i = 0; i < half; i++)
            b.v[d * whole + half + i] = twice ? b.v[d * whole + i] : 0;
    put_numbers(&b);
    return done(x, k, "rnn-bias", twice ? "input bias for both" : "recurrent bias zeroed");
}

bool edit_reset(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    if (!is_one_of(n, "GRU"))
        return false;
    set_int(n, "linear_before_reset", !int_of(n, "linear_before_reset", 0));
    return done(x, k, "gru-reset", "linear_before_reset flipped");
}

bool edit_direction(struct editor *x, int k) {
    struct message *n = node_at(x, k);
    struct message *a = is_one_of(n, "LSTM GRU RNN") ? attribute_made(n, "direction", 3) : NULL;
    if (!a || strcmp(message_text(a, ATTRIBUTE_S, 0), "bidirectional") == 0)
        return false;
    bool back = strcmp(message_text(a, ATTRIBUTE_S, 0), "reverse") == 0;
    message_set_text(a, ATTRIBUTE_S, 0, back ? "forward" : "reverse");
    return done(x, k, "rnn-direction", "the other direction");
}
