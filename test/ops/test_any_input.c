/* Every operator on inputs that need not make sense: any element type, rank and size, any number of
 * inputs and attributes of any value. It answers or refuses; it does not crash, and a refusal says
 * why. */
#include "one_node.h"

#include <stdlib.h>

static uint64_t seed;

static int pick(int n) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int)((seed >> 33) % (uint64_t)n);
}

static struct tensor *any_tensor(struct arena *a) {
    static const enum dtype types[] = { DT_F32, DT_F64, DT_F16, DT_I64,  DT_I32,    DT_I8,
                                        DT_U8,  DT_U64, DT_I4,  DT_BOOL, DT_STRING, DT_C64 };
    static const enum dtype common[] = { DT_F32, DT_I64, DT_I32 };
    enum dtype t = pick(2) ? common[pick(3)] : types[pick(sizeof types / sizeof *types)];
    int64_t dim[6];
    int rank = pick(6);
    for (int i = 0; i < rank; i++)
        dim[i] = pick(8) ? 1 + pick(4) : 0;
    struct tensor *x = tensor_in_arena(a, t, t, rank, dim);
    int64_t n = tensor_count(x);
    for (int64_t i = 0; i < n; i++) {
        if (t == DT_STRING)
            ((const char **)x->data)[i] = pick(2) ? "1" : "a b";
        else if (dtype_row(t)->class_ == CLASS_COMPLEX)
            ((float *)x->data)[2 * i] = (float)pick(5);
        else if (dtype_is_float(t))
            tensor_set_f64(x, i, (pick(9) - 3) * (pick(2) ? 0.5 : 1));
        else
            tensor_set_i64(x, i, pick(6) - (dtype_is_unsigned(t) || t == DT_BOOL ? 0 : 2));
    }
    return x;
}

/* A value of the attribute's type; texts that operators know are worth more than others. */
static void any_attr(struct one_node *t, const struct attr_def *d) {
    static const char *const texts[] = { "none",     "add",    "mean",    "linear", "ij,jk->ik",
                                         "constant", "SUM_NO", "reflect", "TF",     "tanh" };
    struct arena *a = t->model->arena;
    int64_t n = pick(5), *ints = NEW_ARRAY(a, n + 1, int64_t);
    double *floats = NEW_ARRAY(a, n + 1, double);
    const char **strings = NEW_ARRAY(a, n + 1, const char *);
    for (int64_t i = 0; i < n; i++) {
        ints[i] = pick(5) - 1;
        floats[i] = pick(7) * 0.5 - 1;
        strings[i] = texts[pick(10)];
    }
    switch (d->type) {
    case ATTR_INT:
        node_set_int(t->node, d->name, pick(12) ? pick(6) - 1 : INT64_MIN);
        break;
    case ATTR_FLOAT:
        node_set_float(t->node, d->name, pick(9) * 0.5 - 1);
        break;
    case ATTR_STRING:
        node_set_string(t->node, d->name, d->s && d->s[0] && pick(2) ? d->s : texts[pick(10)]);
        break;
    case ATTR_INTS:
        node_set_ints(t->node, d->name, ints, n);
        break;
    case ATTR_FLOATS:
        node_set_floats(t->node, d->name, floats, n);
        break;
    case ATTR_STRINGS: {
        struct attr *s = node_set_attr(t->node, d->name, ATTR_STRINGS);
        s->strings = strings;
        s->n = n;
        break;
    }
    case ATTR_TENSOR:
        node_set_attr(t->node, d->name, ATTR_TENSOR)->tensor = any_tensor(a);
        break;
    default:
        break; /* graphs */
    }
}

static void try_once(const struct op *op) {
    struct one_node t;
    int most_in = op->max_in < 0 ? op->min_in + 3 : op->max_in,
        most_out = op->max_out < 0 ? 2 : op->max_out;
    int n_in = op->min_in + pick((most_in < MAX_IN ? most_in : MAX_IN) - op->min_in + 1);
    int n_out = op->min_out + pick((most_out < MAX_OUT ? most_out : MAX_OUT) - op->min_out + 1);
    one_node_open(&t, op->domain, op->name, n_in, n_out ? n_out : 1);
    struct tensor *same = any_tensor(t.arena);
    for (int i = 0; i < n_in; i++)
        t.in[i] = pick(3) == 0 ? same : i >= op->min_in && !pick(4) ? NULL : any_tensor(t.arena);
    for (const struct attr_def *d = op->attrs; d && d->name; d++)
        if (d->required || pick(3) == 0)
            any_attr(&t, d);
    if (one_node_run(&t, pick(2) ? PREC_F64 : PREC_F32) != OK && !t.err.what[0])
        fail_msg("%s refuses without a reason", op->name);
    if (t.err.code == STATUS_BUG)
        fail_msg("%s: %s", op->name, t.err.what);
    one_node_close(&t);
}

static void check_operator(void **state) {
    const struct op *op = *state;
    const char *times = getenv("CALQUE_TRIES");
    if (op->min_in > MAX_IN || op->min_out > MAX_OUT)
        return;
    seed = 1;
    for (int i = 0, n = times ? atoi(times) : 60; i < n; i++)
        try_once(op);
}

int main(void) {
    static struct CMUnitTest tests[1024];
    size_t n = 0;
    for (const struct op *const *o = op_all(); *o && n < 1024; o++)
        tests[n++] = (struct CMUnitTest) { .name = (*o)->name,
                                           .test_func = check_operator,
                                           .initial_state = (void *)(uintptr_t)*o };
    return _cmocka_run_group_tests("any_input", tests, n, NULL, NULL);
}
