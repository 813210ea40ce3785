/* What compare, locate and repair share: two models, one call of the library, one report. */
#include <string.h>

#include "base/mapfile.h"
#include "cli/pair.h"
#include "report/result_report.h"

static struct compare_options options_of(const struct args *a, struct pool *pool) {
    return (struct compare_options) { .inputs = a->inputs,
                                      .samples = (int)a->samples,
                                      .seed = a->seed,
                                      .shapes = a->shapes,
                                      .n_shapes = a->n_shapes,
                                      .tolerances = a->tolerances,
                                      .n_tolerances = a->n_tolerances,
                                      .map = a->map,
                                      .n_map = a->n_map,
                                      .pool = pool,
                                      .timeout = a->timeout,
                                      .precision = precision_of(a),
                                      .progress = progress_of(a) };
}

static enum status check_call(const struct args *a, struct err *e) {
    for (int i = 0; a->verb->bit == VERB_REPAIR && i < a->files.n; i++)
        FAIL_IF(file_same(a->out, a->files.items[i]), e, STATUS_USAGE,
                "-o %s: that is one of the models; calque does not overwrite its inputs", a->out);
    FAIL_IF(a->inputs && a->out && file_same(a->out, a->inputs), e, STATUS_USAGE,
            "-o %s: that is the --inputs file; calque does not overwrite its inputs", a->out);
    return OK;
}

static int report(struct args *a, const struct result *r) {
    struct style style = style_of(a);
    style.exit_code = result_exit(r);
    if (a->verb->bit == VERB_REPAIR)
        style.colour = a->colour;
    const char *text =
        a->json ? result_json(r, a->arena, &style) : result_text(r, a->arena, &style);
    return give_report(a, text, a->verb->bit != VERB_REPAIR, style.exit_code);
}

int run_pair(struct args *a, pair_verb *verb) {
    struct err e = { 0 };
    struct model *source = NULL, *target = NULL;
    struct result *r = NULL;
    enum status s = check_call(a, &e);
    if (s == OK)
        s = open_model(a, a->files.items[0], &source, &e);
    if (s == OK)
        s = open_model(a, a->files.items[1], &target, &e);
    struct pool *pool = NULL;
    if (s == OK) {
        pool = pool_of(a);
        struct compare_options o = options_of(a, pool);
        s = verb(source, target, &o, a->out, &r, &e);
    }
    int code = s == OK ? report(a, r) : say_failure(&e);
    result_free(r);
    pool_free(pool);
    model_free(target);
    model_free(source);
    return code;
}
