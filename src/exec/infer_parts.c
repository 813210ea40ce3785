/* Contents that are known in part: what becomes of the entries of a shape, some of them symbols,
 * on their way through Gather, Concat, Mul, ... to the node that makes a tensor of that shape.
 * Entries are kept as 64-bit integers, whatever the tensor's type (op.h, part_of_dim). */
#include "exec/infer.h"

#include <math.h>
#include <string.h>

enum { ALL_INPUTS = -1, SMALL = 4096 };

/* Operators that move elements, and which inputs (bits) hold them; the others must be known. */
static const struct {
    const char *op, *domain;
    int data;
} movers[] = {
    { "Gather", "", 1 },       { "GatherElements", "", 1 }, { "GatherND", "", 1 },
    { "Slice", "", 1 },        { "Squeeze", "", 1 },        { "Unsqueeze", "", 1 },
    { "Reshape", "", 1 },      { "Flatten", "", 1 },        { "Transpose", "", 1 },
    { "Identity", "", 1 },     { "Expand", "", 1 },         { "Tile", "", 1 },
    { "Split", "", 1 },        { "Compress", "", 1 },       { "Concat", "", ALL_INPUTS },
    { "Where", "", 6 },        { "ScatterND", "", 5 },      { "ScatterElements", "", 5 },
    { "Pad", "", 5 },          { "SLICE", "tflite", 1 },    { "STRIDED_SLICE", "tflite", 1 },
    { "GATHER", "tflite", 1 },
};

static int data_inputs(const struct node *n) {
    for (size_t i = 0; i < sizeof movers / sizeof *movers; i++)
        if (strcmp(n->op, movers[i].op) == 0 && strcmp(n->domain, movers[i].domain) == 0)
            return movers[i].data;
    return 0;
}

/* The fact's contents as entries, or NULL when they are not whole numbers or not known at all. */
static const struct tensor *parts_of(struct infer *x, const struct fact *f) {
    if (f->parts || !f->value || f->value->kind != KIND_TENSOR)
        return f->parts;
    const struct dtype_row *row = dtype_row(f->value->store);
    if (row->class_ == CLASS_STRING || row->class_ == CLASS_COMPLEX)
        return NULL;
    struct tensor *t = tensor_in_arena(x->scratch, DT_I64, DT_I64, f->value->rank, f->value->dim);
    for (int64_t i = 0, n = tensor_count(t); i < n; i++) {
        double v = dtype_is_float(f->value->store) ? tensor_f64(f->value, i) : 0;
        if (v != floor(v) || fabs(v) > 1e15)
            return NULL;
        ((int64_t *)t->data)[i] =
            dtype_is_float(f->value->store) ? (int64_t)v : tensor_i64(f->value, i);
    }
    return t;
}

/* Puts entries into a fact: as contents when all are numbers. */
static void set_parts(struct infer *x, struct fact *f, const struct tensor *parts) {
    int64_t n = tensor_count(parts), *v = parts->data;
    bool known = true;
    if (n > SMALL)
        return;
    for (int64_t i = 0; i < n; i++)
        known &= !part_is_code(v[i]);
    enum dtype t = known ? f->dtype : DT_I64;
    struct tensor *kept = tensor_in_arena(x->a, t, store_of(t, PREC_F64), parts->rank, parts->dim);
    for (int64_t i = 0; i < n; i++)
        tensor_set_i64(kept, i, v[i]);
    f->rank = parts->rank;
    memcpy(f->dim, parts->dim, sizeof f->dim);
    *(known ? &f->value : &f->parts) = kept;
}

/* --- moving --- */

static void moved(struct infer *x, const struct node *n, const struct fact *in, int data) {
    struct tensor **t = NEW_ARRAY(x->scratch, n->n_in + 1, struct tensor *),
                  **out = NEW_ARRAY(x->scratch, n->n_out + 1, struct tensor *);
    const struct tensor **given = NEW_ARRAY(x->scratch, n->n_in + 1, const struct tensor *);
    struct err e;
    enum status s = OK;
    for (int i = 0; s == OK && i < n->n_in; i++) {
        if (in[i].absent)
            continue;
        if (data == ALL_INPUTS || data >> i & 1)
            given[i] = parts_of(x, &in[i]);
        else if (in[i].value) {
            s = tensor_for_kernel(&t[i], in[i].value, PREC_F64, &e);
            given[i] = t[i];
        }
        if (!given[i])
            s = STATUS_UNSUPPORTED;
    }
    struct op_env env = { .precision = PREC_F64, .scratch = x->scratch };
    if (s == OK)
        s = op_run(&env, n, given, out, &e);
    for (int i = 0; i < n->n_out; i++) {
        if (s == OK && n->out[i] && out[i])
            set_parts(x, &x->facts[n->out[i]->id], out[i]);
        tensor_free(out[i]);
    }
    for (int i = 0; i < n->n_in; i++)
        tensor_free(t[i]);
}

/* --- arithmetic --- */

static const char *const pair_names[] = { "Add",
                                          "Sub",
                                          "Mul",
                                          "Div",
                                          "Max",
                                          "Min",
                                          "Equal",
                                          "Less",
                                          "Greater",
                                          "LessOrEqual",
                                          "GreaterOrEqual",
                                          NULL };
enum pair_op { ADD, SUB, MUL, DIV, MAX, MIN, EQUAL, LESS, GREATER, AT_MOST, AT_LEAST, NO_PAIR };

static enum pair_op pair_of(const struct node *n) {
    int i = 0;
    while (pair_names[i] && !node_is(n, pair_names[i]))
        i++;
    return (enum pair_op)i;
}

static int64_t unknown(void) {
    return part_of_dim(DIM_UNKNOWN);
}

static int64_t of_numbers(enum pair_op op, int64_t a, int64_t b, bool real) {
    switch (op) {
    case ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case DIV:
        return b == 0 || (a == INT64_MIN && b == -1) || (real && a % b) ? unknown() : a / b;
    case MAX:
        return a > b ? a : b;
    case MIN:
        return a < b ? a : b;
    case EQUAL:
        return a == b;
    case LESS:
        return a < b;
    case GREATER:
        return a > b;
    case AT_MOST:
        return a <= b;
    default:
        return a >= b;
    }
}

/* A symbol stands for a dimension: a number that is not negative. */
static int64_t of_symbol_and_number(enum pair_op op, int64_t s, int64_t v) {
    switch (op) {
    case ADD:
    case SUB:
        return v == 0 ? s : unknown();
    case MUL:
        return v == 1 ? s : v == 0 ? 0 : unknown();
    case DIV:
        return v == 1 ? s : unknown();
    case MAX:
        return v <= 0 ? s : unknown();
    case MIN:
        return v <= 0 ? v : unknown();
    case EQUAL:
        return v < 0 ? 0 : unknown();
    case LESS:
        return v <= 0 ? 0 : unknown();
    case AT_MOST:
        return v < 0 ? 0 : unknown();
    case GREATER:
        return v < 0 ? 1 : unknown();
    case AT_LEAST:
        return v <= 0 ? 1 : unknown();
    default:
        return unknown();
    }
}

static enum pair_op turned(enum pair_op op) {
    switch (op) {
    case LESS:
        return GREATER;
    case GREATER:
        return LESS;
    case AT_MOST:
        return AT_LEAST;
    case AT_LEAST:
        return AT_MOST;
    case SUB:
    case DIV:
        return NO_PAIR;
    default:
        return op;
    }
}

static int64_t of_one_symbol(enum pair_op op, int64_t s) {
    switch (op) {
    case SUB:
        return 0;
    case MAX:
    case MIN:
        return s;
    case EQUAL:
    case AT_MOST:
    case AT_LEAST:
        return 1;
    case LESS:
    case GREATER:
        return 0;
    default:
        return unknown();
    }
}

static int64_t pair_part(enum pair_op op, int64_t a, int64_t b, bool real) {
    bool code_a = part_is_code(a), code_b = part_is_code(b);
    if (!code_a && !code_b)
        return of_numbers(op, a, b, real);
    if (a == unknown() || b == unknown())
        return unknown();
    if (a == b)
        return of_one_symbol(op, a);
    if (code_a && code_b)
        return unknown();
    return code_a ? of_symbol_and_number(op, a, b) : of_symbol_and_number(turned(op), b, a);
}

/* Entry i of a tensor that may be a single one. */
static int64_t entry(const struct tensor *t, int64_t i) {
    return ((const int64_t *)t->data)[tensor_count(t) == 1 ? 0 : i];
}

static int64_t computed(const struct node *n, const struct tensor *const *t, int64_t i, bool real) {
    enum pair_op op = pair_of(n);
    if (op != NO_PAIR)
        return pair_part(op, entry(t[0], i), entry(t[1], i), real);
    if (!node_is(n, "Where"))
        return entry(t[0], i); /* Cast, Floor, Ceil of whole numbers */
    int64_t condition = entry(t[0], i), yes = entry(t[1], i), no = entry(t[2], i);
    return part_is_code(condition) ? (yes == no ? yes : unknown()) : condition ? yes : no;
}

/* Element by element, where every operand has the output's shape or is one element. */
static void elementwise(struct infer *x, const struct node *n, const struct fact *in) {
    static const char *const same[] = { "Cast", "Floor", "Ceil" };
    int wanted = pair_of(n) != NO_PAIR ? 2 : node_is(n, "Where") ? 3 : 0;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        wanted = node_is(n, same[i]) ? 1 : wanted;
    struct fact *out = &x->facts[n->out[0]->id];
    int64_t count;
    if (!wanted || n->n_in != wanted || !fact_known(out) ||
        !dims_count(out->dim, out->rank, &count))
        return;
    if (node_is(n, "Cast") && !dtype_is_int(out->dtype) && !dtype_is_float(out->dtype))
        return;
    const struct tensor *t[3];
    for (int i = 0; i < wanted; i++) {
        t[i] = parts_of(x, &in[i]);
        if (!t[i] || (tensor_count(t[i]) != 1 && tensor_count(t[i]) != count))
            return;
    }
    struct tensor *made = tensor_in_arena(x->scratch, DT_I64, DT_I64, out->rank, out->dim);
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)made->data)[i] = computed(n, t, i, dtype_is_float(in[0].dtype));
    set_parts(x, out, made);
}

void infer_parts(struct infer *x, const struct node *n, const struct fact *in) {
    bool any = false;
    int64_t count;
    for (int i = 0; i < n->n_in; i++)
        any |= in[i].parts != NULL;
    if (!any || !n->out[0])
        return;
    const struct fact *out = &x->facts[n->out[0]->id];
    if (out->dtype == DT_NONE ||
        (fact_known(out) && (!dims_count(out->dim, out->rank, &count) || count > SMALL)))
        return;
    int data = data_inputs(n);
    if (data)
        moved(x, n, in, data);
    if (!out->parts && !out->value)
        elementwise(x, n, in);
}
