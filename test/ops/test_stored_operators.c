/* Operators against answers stored in operator_cases.txt, learned_cases.txt, quantized_cases.txt
 * (another file like it may be given as argument; its integers may be off by one) and
 * random_cases.txt, made by the scripts of these names in tools/oracle, and refusals. A case:
 *     case NAME OPERATOR DOMAIN         DOMAIN "-" is the default one
 *     attr NAME i|f|s|I|F|S VALUES      lists start with their length
 *     in DTYPE RANK DIMS VALUES         or "in -", left out; complex numbers are two values each
 *     out DTYPE RANK DIMS VALUES        the next output
 *     error TEXT                        instead of outputs: part of the message
 *     end */
#include "one_node.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool quantized; /* the file is of quantized operators */
static const char *quantized_file = "test/ops/quantized_cases.txt";

struct reader {
    char *p;
    struct arena *arena;
};

static char *word(struct reader *r) {
    r->p += strspn(r->p, " ");
    char *w = r->p;
    r->p += strcspn(r->p, " ");
    if (*r->p)
        *r->p++ = '\0';
    return w;
}

static void set_complex(struct tensor *x, int64_t i, double re, double im) {
    if (x->store == DT_C64) {
        ((float *)x->data)[2 * i] = (float)re;
        ((float *)x->data)[2 * i + 1] = (float)im;
    } else {
        ((double *)x->data)[2 * i] = re;
        ((double *)x->data)[2 * i + 1] = im;
    }
}

static struct tensor *read_tensor(struct reader *r, const char *type) {
    enum dtype t = dtype_from_name(type);
    assert_int_not_equal(t, DT_NONE);
    int rank = atoi(word(r));
    int64_t dim[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dim[i] = strtoll(word(r), NULL, 10);
    struct tensor *x = tensor_in_arena(r->arena, t, t, rank, dim);
    for (int64_t i = 0; i < tensor_count(x); i++) {
        const char *w = word(r);
        if (t == DT_STRING)
            ((const char **)x->data)[i] = w;
        else if (dtype_is_float(t))
            tensor_set_f64(x, i, strtod(w, NULL));
        else if (dtype_row(t)->class_ == CLASS_COMPLEX)
            set_complex(x, i, strtod(w, NULL), strtod(word(r), NULL));
        else if (dtype_is_unsigned(t))
            tensor_set_i64(x, i, (int64_t)strtoull(w, NULL, 10));
        else
            tensor_set_i64(x, i, strtoll(w, NULL, 10));
    }
    return x;
}

static void read_attr(struct reader *r, struct node *n) {
    const char *name = word(r), kind = *word(r);
    if (kind == 'i')
        node_set_int(n, name, strtoll(word(r), NULL, 10));
    else if (kind == 'f')
        node_set_float(n, name, strtod(word(r), NULL));
    else if (kind == 's')
        node_set_string(n, name, word(r));
    int64_t count = kind == 'I' || kind == 'F' || kind == 'S' ? strtoll(word(r), NULL, 10) : 0;
    int64_t *ints = NEW_ARRAY(r->arena, count + 1, int64_t);
    double *floats = NEW_ARRAY(r->arena, count + 1, double);
    const char **strings = NEW_ARRAY(r->arena, count + 1, const char *);
    for (int64_t i = 0; i < count; i++) {
        strings[i] = word(r);
        floats[i] = strtod(strings[i], NULL);
        ints[i] = (int64_t)floats[i];
    }
    if (kind == 'S') {
        struct attr *a = node_set_attr(n, name, ATTR_STRINGS);
        a->strings = strings;
        a->n = count;
    }
    if (kind == 'I')
        node_set_ints(n, name, ints, count);
    if (kind == 'F')
        node_set_floats(n, name, floats, count);
}

struct stored {
    char *name, *op, *domain, *error;
    char *lines[64];
    int n_lines;
    struct tensor *in[MAX_IN], *out[MAX_OUT];
    int n_in, n_out;
};

/* How far a result may be off: one rounding of a narrow type, and what the stored digits leave out.
 */
static double tolerance(enum dtype t, enum precision precision) {
    switch (t) {
    case DT_F16:
        return 2e-3;
    case DT_BF16:
        return 1.6e-2;
    default:
        return precision == PREC_F64 ? 1e-4 : 1e-3;
    }
}

static bool near(enum dtype t, double a, double b, double rtol) {
    return fabs(a - b) <= 2e-5 + rtol * fabs(b) || (isnan(a) && isnan(b)) || a == b ||
           (t != DT_F32 && t != DT_F64 && float_round_to(t, a) == b);
}

/* Complex tensors are compared as twice as many reals. */
static struct tensor as_reals(const struct tensor *t) {
    struct tensor r = *t;
    if (dtype_row(t->dtype)->class_ == CLASS_COMPLEX) {
        r.store = t->store == DT_C64 ? DT_F32 : DT_F64;
        r.dtype = DT_F32;
    }
    return r;
}

static bool same_integers(int64_t a, int64_t b) {
    return a == b || (quantized && (a == b + 1 || a + 1 == b));
}

static void compare(const struct stored *s, int i, const struct tensor *found,
                    enum precision precision) {
    const struct tensor *want = s->out[i];
    if (found->dtype != want->dtype || !dims_equal(found->dim, found->rank, want->dim, want->rank))
        fail_msg("%s: output %d has another type or shape", s->name, i);
    struct tensor have = as_reals(found), expected = as_reals(want);
    int64_t n = tensor_count(want) * (expected.dtype != want->dtype ? 2 : 1);
    for (int64_t k = 0; k < n; k++) {
        if (want->dtype == DT_STRING) {
            assert_string_equal(((const char *const *)found->data)[k],
                                ((const char *const *)want->data)[k]);
        } else if (dtype_is_float(expected.dtype)) {
            double a = tensor_f64(&have, k), b = tensor_f64(&expected, k);
            if (!near(want->dtype, a, b, tolerance(want->dtype, precision)))
                fail_msg("%s: output %d element %d is %.9g, expected %.9g", s->name, i, (int)k, a,
                         b);
        } else if (!same_integers(tensor_i64(found, k), tensor_i64(want, k))) {
            fail_msg("%s: output %d element %d is %lld, expected %lld", s->name, i, (int)k,
                     (long long)tensor_i64(found, k), (long long)tensor_i64(want, k));
        }
    }
}

static void run_stored(struct stored *s, enum precision precision) {
    struct one_node t;
    one_node_open(&t, strcmp(s->domain, "-") ? s->domain : "", s->op, s->n_in,
                  s->n_out ? s->n_out : 1);
    memcpy(t.in, s->in, sizeof t.in);
    for (int i = 0; i < s->n_lines; i++) {
        struct reader r = { arena_str(t.model->arena, s->lines[i]), t.model->arena };
        read_attr(&r, t.node);
    }
    enum status status = one_node_run(&t, precision);
    if (s->error) {
        if (status == OK || !t.err.what[0] || !strstr(t.err.where, s->op) ||
            !strstr(t.err.what, s->error))
            fail_msg("%s: expected an error with '%s', got '%s'", s->name, s->error,
                     status == OK ? "none" : t.err.what);
    } else {
        if (status != OK)
            fail_msg("%s: %s: %s", s->name, t.err.where, t.err.what);
        for (int i = 0; i < s->n_out; i++)
            compare(s, i, t.out[i], precision);
    }
    one_node_close(&t);
}

/* The next line without its end, or NULL. */
static char *next_line(char **p) {
    char *line = *p, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = '\0';
    *p = end + 1;
    return line;
}

static int run_all(char *text, struct arena *a) {
    struct stored s = { 0 };
    int n = 0;
    for (char *line; (line = next_line(&text));) {
        struct reader r = { line, a };
        const char *key = word(&r);
        if (strcmp(key, "case") == 0) {
            s = (struct stored) { .name = word(&r), .op = word(&r), .domain = word(&r) };
        } else if (strcmp(key, "attr") == 0) {
            assert_true(s.n_lines < 64);
            s.lines[s.n_lines++] = r.p;
        } else if (strcmp(key, "in") == 0) {
            const char *type = word(&r);
            assert_true(s.n_in < MAX_IN);
            s.in[s.n_in++] = strcmp(type, "-") ? read_tensor(&r, type) : NULL;
        } else if (strcmp(key, "out") == 0) {
            assert_true(s.n_out < MAX_OUT);
            s.out[s.n_out] = read_tensor(&r, word(&r));
            s.n_out++;
        } else if (strcmp(key, "error") == 0) {
            s.error = r.p;
        } else if (strcmp(key, "end") == 0) {
            run_stored(&s, quantized ? PREC_NATIVE : PREC_F64);
            /* In float64 another of two integers may be nearest where float32 is quantized. */
            if (!quantized || strncmp(s.op, "Dynamic", 7) != 0)
                run_stored(&s, quantized ? PREC_F64 : PREC_F32);
            n++;
        }
    }
    return n;
}

static int run_file(const char *path) {
    struct arena *a = arena_new();
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    rewind(f);
    char *text = arena_alloc(a, (size_t)size + 1);
    assert_int_equal(fread(text, 1, (size_t)size, f), (size_t)size);
    fclose(f);
    int n = run_all(text, a);
    arena_free(a);
    return n;
}

static void stored_cases(void **state) {
    (void)state;
    assert_true(run_file("test/ops/operator_cases.txt") >= 100);
}

static void learned_cases(void **state) {
    (void)state;
    assert_true(run_file("test/ops/learned_cases.txt") >= 60);
}

static void bad_cases(void **state) {
    (void)state;
    assert_true(run_file("test/ops/bad_cases.txt") >= 200);
}

static void contrib_cases(void **state) {
    (void)state;
    assert_true(run_file("test/ops/contrib_cases.txt") >= 170);
}

static void quantized_cases(void **state) {
    (void)state;
    quantized = true;
    assert_true(run_file(quantized_file) >= 100);
    quantized = false;
}

static void random_cases(void **state) {
    (void)state;
    assert_true(run_file("test/ops/random_cases.txt") >= 1000);
}

int main(int argc, char **argv) {
    if (argc > 1)
        quantized_file = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_cases),    cmocka_unit_test(learned_cases),
        cmocka_unit_test(bad_cases),       cmocka_unit_test(contrib_cases),
        cmocka_unit_test(quantized_cases), cmocka_unit_test(random_cases)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
