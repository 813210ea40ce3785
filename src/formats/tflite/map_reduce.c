/* Reductions and running sums. */
#include "formats/tflite/tflite.h"

static const struct {
    enum builtin code;
    const char *op;
} rows[] = {
    { BUILTIN_MEAN, "ReduceMean" },        { BUILTIN_SUM, "ReduceSum" },
    { BUILTIN_REDUCE_PROD, "ReduceProd" }, { BUILTIN_REDUCE_MAX, "ReduceMax" },
    { BUILTIN_REDUCE_MIN, "ReduceMin" },   { BUILTIN_REDUCE_ANY, "ReduceMax" },
    { BUILTIN_REDUCE_ALL, "ReduceMin" },
};

static const char *op_of(enum builtin code) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return rows[i].op;
    return NULL;
}

static enum status read_reduce(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct value *v = real_in(x, 0);
    struct node *n = emit(x, op_of(x->code), "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    node_set_int(n, "keepdims", fb_bool(&x->options, 0, false));
    node_set_int(n, "noop_with_empty_axes", 1);
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

static enum status read_cumsum(struct op_reader *x) {
    TRY(need_inputs(x, 2));
    struct value *v = real_in(x, 0);
    struct node *n = emit(x, "CumSum", "", 2, 1, ROLE_MAIN);
    n->in[0] = v;
    n->in[1] = raw_in(x, 1);
    node_set_int(n, "exclusive", fb_bool(&x->options, 0, false));
    node_set_int(n, "reverse", fb_bool(&x->options, 1, false));
    return deliver(x, 0, n, 0, ACTIVATION_NONE);
}

read_fn *map_reduce(enum builtin code) {
    if (code == BUILTIN_CUMSUM)
        return read_cumsum;
    return op_of(code) ? read_reduce : NULL;
}
