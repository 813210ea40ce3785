/* What --precision changes of a comparison, and what it must not; and that long work says how far
 * it is. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/format.h"
#include "repair/verbs.h"

static struct model *read_model(const char *path) {
    struct err e = { 0 };
    struct model *m = NULL;
    if (model_read(path, &m, &e) != OK)
        fail_msg("%s: %s", e.where, e.what);
    return m;
}

struct seen {
    int calls, stages;
    const char *last;
};

static void show(void *arg, const char *stage, int64_t done, int64_t total) {
    struct seen *s = arg;
    assert_true(done >= 0 && done <= total);
    s->stages += !s->last || strcmp(s->last, stage) != 0;
    s->last = stage;
    s->calls++;
}

struct look {
    struct model *source, *target;
    struct result *result;
};

static struct look compare(const char *folder, const char *ending, enum precision precision,
                           const struct progress *progress) {
    char source[128], target[128];
    snprintf(source, sizeof source, "examples/%s/source%s", folder, ending);
    snprintf(target, sizeof target, "examples/%s/target.onnx", folder);
    struct look l = { read_model(source), read_model(target), NULL };
    struct compare_options o = { .samples = 4, .precision = precision, .progress = progress };
    struct err e = { 0 };
    assert_int_equal(verb_locate(l.source, l.target, &o, &l.result, &e), OK);
    return l;
}

static void done(struct look *l) {
    result_free(l->result);
    model_free(l->source);
    model_free(l->target);
}

static const struct pair *output_of(const struct result *r) {
    for (int i = 0; i < r->n_pairs; i++)
        if (r->pairs[i].is_output)
            return &r->pairs[i];
    fail_msg("no output");
    return NULL;
}

/* Figures move by float32's rounding; the verdict, the faulty node and its cause do not. */
static void test_figures(void **state) {
    (void)state;
    struct look exact = compare("t2o_softmax_beta", ".tflite", PREC_F64, NULL),
                rounded = compare("t2o_softmax_beta", ".tflite", PREC_F32, NULL),
                native = compare("t2o_softmax_beta", ".tflite", PREC_NATIVE, NULL);
    const struct pair *x = output_of(exact.result), *y = output_of(rounded.result),
                      *z = output_of(native.result);
    assert_int_equal(exact.result->verdict, rounded.result->verdict);
    assert_int_equal(exact.result->n_faults, rounded.result->n_faults);
    assert_string_equal(exact.result->faults[0].cause, rounded.result->faults[0].cause);
    assert_true(x->whole.max_abs != y->whole.max_abs);
    assert_true(fabs(x->whole.max_abs - y->whole.max_abs) < 1e-5 * x->whole.max_abs);
    bool raised = false;
    for (int i = 0; i < rounded.result->n_pairs; i++)
        raised =
            raised || rounded.result->pairs[i].noise_floor > exact.result->pairs[i].noise_floor;
    assert_true(raised);
    assert_true((double)(float)y->whole.worst_target == y->whole.worst_target);
    assert_true(z->whole.max_abs == y->whole.max_abs);
    done(&exact);
    done(&rounded);
    done(&native);
}

static void test_progress(void **state) {
    (void)state;
    struct seen seen = { 0 };
    struct progress p = { show, &seen };
    struct look l = compare("oscr056_shared_weight", ".onnx", PREC_F64, &p);
    assert_true(seen.stages >= 4); /* both models, the matching, the cause */
    assert_true(seen.calls > l.target->graph->n_nodes);
    done(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
