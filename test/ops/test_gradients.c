/* Every row's gradient against central differences in float64; a row with a gradient and no case
 * fails. */
#include "one_node.h"
#include "ops/tape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct gradient_case {
    const char *domain, *op, *inputs, *attrs;
};

static const struct gradient_case cases[] = {
#define GRADIENT(domain, op, inputs, attrs) { domain, op, inputs, attrs },
#include "gradient_cases.def"
};

enum { N_CASES = sizeof cases / sizeof *cases };

static uint64_t seed = 1;
static bool constant[MAX_IN]; /* inputs of the case that are not differentiated */

static double uniform(double low, double high) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return low + (high - low) * ((double)(seed >> 11) / 9007199254740992.0);
}

/* "2x3" -> rank and dims. */
static int parse_dims(const char **p, int64_t *dim) {
    int rank = 0;
    while (**p >= '0' && **p <= '9') {
        char *end;
        dim[rank++] = strtoll(*p, &end, 10);
        *p = *end == 'x' ? end + 1 : end;
    }
    return rank;
}

static struct tensor *parse_input(struct arena *a, const char **p) {
    char kind = *(*p)++;
    int64_t dim[MAX_RANK];
    int rank = parse_dims(p, dim);
    if (kind == '-')
        return NULL;
    enum dtype type = kind == 'f' || kind == 'c' ? DT_F64
                      : kind == 'i'              ? DT_I64
                      : kind == 'n'              ? DT_I32
                      : kind == 'q'              ? DT_I8
                      : kind == 'u'              ? DT_U8
                                                 : DT_BOOL;
    struct tensor *t = tensor_in_arena(a, type, type, rank, dim);
    double low = -1, high = 1;
    int64_t n = tensor_count(t);
    if (**p == '(') {
        char *end;
        low = strtod(*p + 1, &end);
        high = strtod(end + 1, &end);
        *p = end + 1;
    }
    for (int64_t i = 0; i < n && kind != '-'; i++) {
        if (kind == 'f' || kind == 'c')
            tensor_set_f64(t, i, uniform(low, high));
        else if (kind == 'b')
            tensor_set_i64(t, i, uniform(0, 1) < 0.5);
        else {
            char *end;
            assert_true(**p == (i ? ',' : '='));
            tensor_set_i64(t, i, strtoll(*p + 1, &end, 10));
            *p = end;
        }
    }
    return t;
}

/* "[1,2]", "0.5", "3" or "linear" of attribute `name`. */
/* "[Tanh,Relu]" */
static void parse_strings(struct one_node *t, const char *name, const char *text) {
    const char **strings = NEW_ARRAY(t->model->arena, 16, const char *);
    char *p = arena_str(t->model->arena, text + 1);
    int64_t n = 0;
    while (*p && n < 16) {
        size_t length = strcspn(p, ",]");
        bool more = p[length] == ',';
        p[length] = '\0';
        strings[n++] = p;
        p += length + 1;
        if (!more)
            break;
    }
    struct attr *a = node_set_attr(t->node, name, ATTR_STRINGS);
    a->strings = strings;
    a->n = n;
}

static void parse_value(struct one_node *t, const char *name, const char *text) {
    bool real = strchr(text, '.') != NULL;
    if (text[0] == '[' && text[1] >= 'A' && text[1] <= 'Z') {
        parse_strings(t, name, text);
    } else if (text[0] == '[') {
        int64_t *ints = NEW_ARRAY(t->model->arena, 64, int64_t), n = 0;
        double *floats = NEW_ARRAY(t->model->arena, 64, double);
        for (const char *p = text + 1; *p && *p != ']' && n < 64; n++) {
            char *end;
            floats[n] = strtod(p, &end);
            ints[n] = (int64_t)floats[n];
            p = *end == ',' ? end + 1 : end;
        }
        if (real)
            node_set_floats(t->node, name, floats, n);
        else
            node_set_ints(t->node, name, ints, n);
    } else if (strchr("-0123456789", text[0])) {
        if (real)
            node_set_float(t->node, name, strtod(text, NULL));
        else
            node_set_int(t->node, name, strtoll(text, NULL, 10));
    } else {
        node_set_string(t->node, name, text);
    }
}

static void parse_attrs(struct one_node *t, const char *attrs) {
    char *text = arena_str(t->model->arena, attrs);
    while (*text) {
        char *equals = strchr(text, '='), *end;
        assert_non_null(equals);
        *equals = '\0';
        end = equals + 1 + strcspn(equals + 1, " ");
        char *next = *end ? end + 1 : end;
        *end = '\0';
        parse_value(t, text, equals + 1);
        text = next;
    }
}

/* "[f2+f3]" is a sequence of them. */
static struct tensor *parse_any(struct arena *a, const char **p) {
    struct tensor *items[MAX_IN], *list;
    int64_t n = 0;
    if (**p != '[')
        return parse_input(a, p);
    while (**p != ']') {
        ++*p;
        items[n++] = parse_input(a, p);
    }
    ++*p;
    list = NEW(a, struct tensor);
    *list = (struct tensor) { .kind = KIND_SEQUENCE, .dtype = DT_F64, .n_items = n };
    list->items = NEW_ARRAY(a, n, struct tensor *);
    memcpy(list->items, items, (size_t)n * sizeof *items);
    return list;
}

static void open_case(struct one_node *t, const struct gradient_case *k) {
    const struct op *op = op_find(k->domain, k->op);
    if (!op)
        fail_msg("no operator %s", k->op);
    struct arena *a = arena_new();
    struct tensor *in[MAX_IN] = { 0 };
    int n = 0;
    for (const char *p = k->inputs; *p; p += *p == ' ') {
        constant[n] = *p == 'c';
        in[n++] = parse_any(a, &p);
    }
    int n_out = op->max_out < 0 ? 2 : op->max_out;
    const char *attrs = k->attrs;
    if (strncmp(attrs, "outputs=", 8) == 0) {
        n_out = attrs[8] - '0';
        attrs += attrs[9] ? 10 : 9;
    }
    one_node_open(t, k->domain, k->op, n, n_out);
    arena_free(t->arena);
    t->arena = a;
    memcpy(t->in, in, sizeof in);
    parse_attrs(t, attrs);
}

/* Sum of weight * element, over items too. */
static double weigh(const struct tensor *y, const struct tensor *weight) {
    double sum = 0;
    if (!y || !weight)
        return 0;
    for (int64_t i = 0; i < weight->n_items; i++)
        sum += weigh(y->items[i], weight->items[i]);
    for (int64_t i = 0; weight->kind == KIND_TENSOR && i < tensor_count(weight); i++)
        sum += tensor_f64(weight, i) * tensor_f64(y, i);
    return sum;
}

static double loss(struct one_node *t, struct tensor *const *weight) {
    double sum = 0;
    if (one_node_run(t, PREC_F64) != OK)
        fail_msg("%s: %s", t->node->op, t->err.what);
    for (int o = 0; o < t->node->n_out; o++)
        sum += weigh(t->out[o], weight[o]);
    return sum;
}

static void fill_weights(struct tensor *w) {
    for (int64_t i = 0; w && i < w->n_items; i++)
        fill_weights(w->items[i]);
    for (int64_t i = 0; w && w->kind == KIND_TENSOR && i < tensor_count(w); i++)
        tensor_set_f64(w, i, uniform(0.5, 1.5));
}

/* Every element of input `in`: the gradient found against the central difference. */
static void check_input(const struct gradient_case *k, struct one_node *t,
                        struct tensor *const *weight, int i, const struct tensor *in,
                        const struct tensor *grad) {
    if (!in || !grad)
        return;
    for (int64_t item = 0; item < grad->n_items; item++)
        check_input(k, t, weight, i, in->items[item], grad->items[item]);
    for (int64_t e = 0; grad->kind == KIND_TENSOR && e < tensor_count(grad); e++) {
        double *x = (double *)in->data + e, saved = *x, h = 1e-5;
        *x = saved + h;
        double up = loss(t, weight);
        *x = saved - h;
        double expected = (up - loss(t, weight)) / (2 * h), found = tensor_f64(grad, e);
        *x = saved;
        if (!(fabs(found - expected) <= 1e-6 * (1 + fabs(expected))))
            fail_msg("%s(%s; %s): input %d element %d: gradient %.9g, central difference %.9g",
                     k->op, k->inputs, k->attrs, i, (int)e, found, expected);
    }
}

static void check_case(const struct gradient_case *k) {
    struct one_node t;
    struct tensor *weight[MAX_OUT] = { 0 }, *grad_in[MAX_IN] = { 0 };
    open_case(&t, k);
    loss(&t, weight);
    for (int o = 0; o < t.node->n_out; o++)
        fill_weights(weight[o] = grad_like(t.model->arena, t.out[o]));
    for (int i = 0; i < t.node->n_in; i++)
        grad_in[i] = constant[i] ? NULL : grad_like(t.model->arena, t.in[i]);
    struct grad_ctx c = {
        .node = t.node,
        .scratch = t.arena,
        .n_in = t.node->n_in,
        .n_out = t.node->n_out,
        .in = (const struct tensor *const *)t.in,
        .out = (const struct tensor *const *)t.out,
        .grad_out = (const struct tensor *const *)weight,
        .grad_in = grad_in,
        .err = &t.err,
    };
    assert_non_null(t.node->def->grad);
    if (t.node->def->grad(&c) != OK)
        fail_msg("%s: %s", k->op, t.err.what);
    for (int i = 0; i < t.node->n_in; i++)
        check_input(k, &t, weight, i, t.in[i], grad_in[i]);
    one_node_close(&t);
}

static void check_operator(void **state) {
    const struct op *op = *state;
    bool found = false;
    for (int i = 0; i < N_CASES; i++)
        if (strcmp(cases[i].op, op->name) == 0 && strcmp(cases[i].domain, op->domain) == 0) {
            seed = 1;
            check_case(&cases[i]);
            found = true;
        }
    if (!found)
        fail_msg("%s %s has a gradient and no case in gradient_cases.def", op->domain, op->name);
}

int main(void) {
    static struct CMUnitTest tests[1024];
    size_t n = 0;
    for (const struct op *const *o = op_all(); *o && n < 1024; o++)
        if ((*o)->grad)
            tests[n++] = (struct CMUnitTest) { .name = (*o)->name,
                                               .test_func = check_operator,
                                               .initial_state = (void *)(uintptr_t)*o };
    return _cmocka_run_group_tests("gradients", tests, n, NULL, NULL);
}
