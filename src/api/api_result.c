/* Comparison, location and repair of calque.h. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "api/handles.h"
#include "base/pool.h"
#include "repair/verbs.h"
#include "report/result_report.h"

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum which { COMPARE, LOCATE, REPAIR };

static enum status call(enum which verb, struct model *source, struct model *target,
                        const struct compare_options *o, const char *path, struct result **out,
                        struct err *e) {
    switch (verb) {
    case COMPARE:
        return verb_compare(source, target, o, out, e);
    case LOCATE:
        return verb_locate(source, target, o, out, e);
    case REPAIR:
        break;
    }
    return verb_repair(source, target, o, path, out, e);
}

static enum calque_status run(enum which verb, struct calque_model *source,
                              struct calque_model *target, const struct calque_options *options,
                              const char *path, struct calque_result **result,
                              struct calque_error *error) {
    if (!source || !target || !result)
        return api_misuse(error, "a model or the place for the result is NULL");
    *result = NULL;
    if (verb == REPAIR && !path)
        return api_misuse(error, "calque_repair: path is NULL");
    struct calque_options none = { 0 };
    const struct calque_options *given = options ? options : &none;
    struct tolerance tolerance = { .atol = given->atol, .rtol = given->rtol };
    static const enum precision precisions[] = { PREC_F64, PREC_F32, PREC_NATIVE };
    if ((unsigned)given->precision > CALQUE_NATIVE)
        return api_misuse(error, "there is no such precision");
    struct progress progress = { given->progress, given->progress_arg };
    struct compare_options o = { .inputs = given->inputs,
                                 .samples = given->samples > 0 ? given->samples : 8,
                                 .seed = given->seed,
                                 .tolerances = &tolerance,
                                 .n_tolerances = given->atol > 0 || given->rtol > 0,
                                 .timeout = given->timeout,
                                 .precision = precisions[given->precision],
                                 .progress = &progress };
    double start = now();
    struct err e = { 0 };
    struct result *r = NULL;
    o.pool = pool_new(given->threads > 0 ? given->threads : 0);
    enum status s = call(verb, source->model, target->model, &o, path, &r, &e);
    pool_free(o.pool);
    if (s != OK)
        return api_fail(&e, error);
    struct arena *a = arena_new();
    *result = NEW(a, struct calque_result);
    **result = (struct calque_result) { .arena = a, .result = r, .seconds = now() - start };
    return CALQUE_OK;
}

enum calque_status calque_compare(struct calque_model *source, struct calque_model *target,
                                  const struct calque_options *options,
                                  struct calque_result **result, struct calque_error *error) {
    return run(COMPARE, source, target, options, NULL, result, error);
}

enum calque_status calque_locate(struct calque_model *source, struct calque_model *target,
                                 const struct calque_options *options,
                                 struct calque_result **result, struct calque_error *error) {
    return run(LOCATE, source, target, options, NULL, result, error);
}

enum calque_status calque_repair(struct calque_model *source, struct calque_model *target,
                                 const struct calque_options *options, const char *path,
                                 struct calque_result **result, struct calque_error *error) {
    return run(REPAIR, source, target, options, path, result, error);
}

void calque_result_free(struct calque_result *result) {
    if (!result)
        return;
    result_free(result->result);
    arena_free(result->arena);
}

enum calque_verdict calque_result_verdict(const struct calque_result *result) {
    return (enum calque_verdict)result_verdict(result->result);
}

const char *calque_verdict_name(enum calque_verdict verdict) {
    return verdict_name((enum verdict)verdict);
}

const char *calque_result_why(const struct calque_result *result) {
    return result->result->why;
}

int calque_result_faults(const struct calque_result *result) {
    return result->result->n_faults;
}

static const char *name_or_null(const struct value *v) {
    return v ? v->name : NULL;
}

enum calque_status calque_result_fault(const struct calque_result *result, int i,
                                       struct calque_fault *fault) {
    if (i < 0 || i >= result->result->n_faults)
        return CALQUE_USAGE;
    const struct fault *f = &result->result->faults[i];
    struct arena *a = result->arena;
    *fault =
        (struct calque_fault) { .node = f->node ? label_of(f->node, a) : NULL,
                                .op = f->node ? operator_of(f->node) : NULL,
                                .output = name_or_null(f->output),
                                .source_node = f->source_node ? label_of(f->source_node, a) : NULL,
                                .source_op = f->source_node ? operator_of(f->source_node) : NULL,
                                .source_output = name_or_null(f->source_output),
                                .cause = f->cause,
                                .title = f->title,
                                .confidence = f->confidence,
                                .own_error = f->own_error,
                                .noise_floor = f->noise_floor,
                                .error_after_fix = f->error_after_fix };
    return CALQUE_OK;
}

static struct style style_of(const struct calque_result *result) {
    return (struct style) { .seconds = result->seconds,
                            .repeat = "",
                            .exit_code = result_exit(result->result) };
}

const char *calque_result_text(struct calque_result *result) {
    struct style style = style_of(result);
    return result_text(result->result, result->arena, &style);
}

const char *calque_result_json(struct calque_result *result) {
    struct style style = style_of(result);
    return result_json(result->result, result->arena, &style);
}
