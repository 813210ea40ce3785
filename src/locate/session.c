#include "locate/session.h"

#include <string.h>

#include "compare/arrays.h"
#include "ops/op.h"
#include "passes/canonical.h"

enum {
    TRACE_BYTES = 256 << 20, /* of one model's values, all samples together */
    LEAST_RESIDENT = 1 << 20,
    MOST_RESIDENT = 128 << 20,
    LEAST_CONSTANTS = 256 << 10,
    MOST_CONSTANTS = 64 << 20
};

/* Bytes of the larger model's files. */
static size_t larger_file(const struct session *s) {
    size_t size[2] = { 0, 0 };
    const struct model *m[2] = { s->source, s->target };
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < m[k]->n_files; i++)
            size[k] += m[k]->files[i].size;
    return size[0] > size[1] ? size[0] : size[1];
}

static size_t within(size_t low, size_t x, size_t high) {
    return x < low ? low : x > high ? high : x;
}

/* What is kept in memory at a time goes with the size of the files, so that a comparison costs a
 * small multiple of them whatever its values come to. */
static void plan_memory(struct session *s) {
    size_t file = larger_file(s);
    struct paged *paged = paged_new(within(LEAST_RESIDENT, 3 * file, MOST_RESIDENT));
    s->recycler = recycler_new(paged);
    paged_drop(paged);
    s->inputs.recycler = s->recycler;
    s->run = (struct trace_options) { .pool = s->options->pool,
                                      .deadline = s->options->timeout,
                                      .recycler = s->recycler,
                                      .constant_bytes =
                                          within(LEAST_CONSTANTS, file / 4, MOST_CONSTANTS),
                                      .progress = s->options->progress };
}

static bool same_output_dtype(const struct value *a, const struct value *b) {
    return a->dtype == b->dtype || a->dtype == DT_NONE || b->dtype == DT_NONE;
}

/* Equal digests of all outputs, by name or place. */
static const char *prove(struct session *s) {
    const struct graph *a = s->source->graph, *b = s->target->graph;
    uint64_t *of_source = NEW_ARRAY(s->arena, a->n_inputs + 1, uint64_t),
             *of_target = NEW_ARRAY(s->arena, b->n_inputs + 1, uint64_t);
    for (int i = 0; i < a->n_inputs; i++)
        of_source[i] = (uint64_t)i + 1;
    for (int i = 0; i < b->n_inputs; i++) {
        of_target[i] =
            s->pairs.of_target[i] < 0 ? (uint64_t)i + 1000000 : (uint64_t)s->pairs.of_target[i] + 1;
        if (s->pairs.view[i].n_permute ||
            (s->pairs.of_target[i] >= 0 &&
             a->inputs[s->pairs.of_target[i]]->dtype != b->inputs[i]->dtype))
            of_target[i] += 2000000;
    }
    s->source_digest = canonical_digests(s->source, of_source, 1, s->arena);
    s->target_digest = canonical_digests(s->target, of_target, 2, s->arena);
    if (a->n_outputs != b->n_outputs)
        return NULL;
    for (int i = 0; i < b->n_outputs; i++) {
        const struct value *partner = a->outputs[output_partner(a, b, i)];
        if (!digest_equal(s->source_digest[partner->id], s->target_digest[b->outputs[i]->id]) ||
            !same_output_dtype(partner, b->outputs[i]))
            return NULL;
    }
    return "canonical";
}

static bool same_grid(const struct value *a, const struct value *b) {
    return a->dtype == b->dtype && a->quant->scale[0] == b->quant->scale[0] &&
           a->quant->zero_point[0] == b->quant->zero_point[0];
}

/* Quantized integers against floats, or on another grid: both are read as real numbers. */
static void read_as_real(const struct value *source, const struct value *target, bool *of_source,
                         bool *of_target) {
    bool s = value_on_grid(source), t = value_on_grid(target);
    if ((s && t && same_grid(source, target)) || (!s && !dtype_is_float(source->dtype)) ||
        (!t && !dtype_is_float(target->dtype)))
        return;
    *of_source = *of_source || s;
    *of_target = *of_target || t;
}

static enum status pair_contracts(struct session *s, struct err *e) {
    const struct graph *g[SIDES] = { s->source->graph, s->target->graph };
    TRY(inputs_pair(&s->pairs, s->source, s->target, s->options, s->arena, e));
    for (int side = 0; side < SIDES; side++)
        s->real[side] = (struct boundary) { NEW_ARRAY(s->arena, g[side]->n_inputs + 1, bool),
                                            NEW_ARRAY(s->arena, g[side]->n_outputs + 1, bool) };
    struct boundary *a = &s->real[SIDE_SOURCE], *b = &s->real[SIDE_TARGET];
    for (int i = 0; i < g[SIDE_TARGET]->n_inputs; i++) {
        int k = s->pairs.of_target[i];
        if (k >= 0)
            read_as_real(g[SIDE_SOURCE]->inputs[k], g[SIDE_TARGET]->inputs[i], &a->inputs[k],
                         &b->inputs[i]);
    }
    for (int i = 0; i < g[SIDE_TARGET]->n_outputs; i++) {
        int k = output_partner(g[SIDE_SOURCE], g[SIDE_TARGET], i);
        if (k >= 0)
            read_as_real(g[SIDE_SOURCE]->outputs[k], g[SIDE_TARGET]->outputs[i], &a->outputs[k],
                         &b->outputs[i]);
    }
    real_form_boundary(&s->form[SIDE_SOURCE], s->source, a->inputs, a->outputs);
    real_form_boundary(&s->form[SIDE_TARGET], s->target, b->inputs, b->outputs);
    if (!zipper_narrow(g[SIDE_SOURCE]))
        real_form_spell_out(&s->form[SIDE_TARGET], s->target);
    if (!zipper_narrow(g[SIDE_TARGET]))
        real_form_spell_out(&s->form[SIDE_SOURCE], s->source);
    return inputs_pair(&s->pairs, s->source, s->target, s->options, s->arena, e);
}

enum status session_open(struct session *s, struct model *source, struct model *target,
                         const struct compare_options *o, struct err *e) {
    *s =
        (struct session) { .arena = arena_new(), .source = source, .target = target, .options = o };
    plan_memory(s);
    TRY(pair_contracts(s, e));
    ops_bind(source);
    ops_bind(target);
    s->proof = prove(s);
    return OK;
}

static enum status read_inputs(struct session *s, struct err *e) {
    struct tensor **arrays;
    TRY(arrays_read(s->options->inputs, s->source, s->arena, &arrays, e));
    enum status status = inputs_given(&s->inputs, s->source, s->target, &s->pairs,
                                      (const struct tensor *const *)arrays, s->arena, e);
    arrays_free(arrays, s->source);
    return status;
}

static enum status run_source(struct session *s, struct err *e) {
    TRY(trace_new(&s->source_trace, s->source, s->inputs.source, s->inputs.n, &s->run, s->arena,
                  e));
    trace_run(s->source_trace, "running the source", TRACE_BYTES, s->arena);
    return OK;
}

static void forget_source_run(struct session *s) {
    trace_free(s->source_trace);
    s->source_trace = NULL;
    inputs_free(&s->inputs, s->source, s->target);
}

static enum status run_made(struct session *s, int variant, struct err *e) {
    TRY(inputs_make(&s->inputs, s->source, s->target, &s->pairs, s->options->samples,
                    s->options->seed, variant, s->arena, e));
    return run_source(s, e);
}

/* How far from what is wanted: nodes that fail weigh more than values that do not move. Of a model
 * too large for all samples to be kept, one try must do for the latter. */
static int64_t shortcoming(const struct session *s) {
    const struct trace *t = s->source_trace;
    int64_t still = t->samples < s->inputs.n ? 0 : trace_count_still(t);
    return (int64_t)t->n_failed << 32 | still;
}

struct choice {
    int best, last; /* variants of made inputs */
    int64_t least;  /* shortcoming of the best */
};

static enum status try_inputs(struct session *s, int variant, struct choice *c, struct err *e) {
    if (s->source_trace)
        forget_source_run(s);
    TRY(run_made(s, variant, e));
    int64_t is = shortcoming(s);
    c->last = variant;
    if (is < c->least) {
        c->best = variant;
        c->least = is;
    }
    return OK;
}

/* Integers of a wrong range make nodes fail, and numbers too small or too large leave units asleep:
 * other inputs are tried until every value moves, and the best kept. */
static enum status make_inputs(struct session *s, struct err *e) {
    struct choice c = { .least = INT64_MAX };
    for (int ranges = 0; ranges < INPUT_RANGES && c.least >> 32 > 0; ranges++)
        TRY(try_inputs(s, ranges, &c, e));
    int ranges = c.best;
    for (int spread = 1; spread < INPUT_SPREADS && c.least > 0; spread++)
        TRY(try_inputs(s, ranges + spread * INPUT_RANGES, &c, e));
    if (c.last == c.best)
        return OK;
    forget_source_run(s);
    return run_made(s, c.best, e);
}

enum status session_run(struct session *s, struct err *e) {
    if (s->options->inputs) {
        TRY(read_inputs(s, e));
        TRY(run_source(s, e));
    } else {
        TRY(make_inputs(s, e));
    }
    int n = s->source_trace->samples;
    TRY(trace_new(&s->plain, s->target, s->inputs.target, n, &s->run, s->arena, e));
    trace_run(s->plain, "running the target", TRACE_BYTES, s->arena);
    trace_keep(s->source_trace, s->plain->samples);
    return OK;
}

static enum status zip(struct session *s, struct err *e) {
    TRY(trace_new(&s->zipped, s->target, s->inputs.target, s->plain->samples, &s->run, s->arena,
                  e));
    const struct graph *t = s->target->graph;
    struct link *links = NEW_ARRAY(s->arena, t->n_inputs + 1, struct link);
    for (int i = 0; i < t->n_inputs; i++) {
        int from = s->pairs.of_target[i];
        if (from < 0)
            continue;
        const struct value *sv = s->source->graph->inputs[from];
        links[i] =
            (struct link) { .source = sv,
                            .view = s->pairs.view[i],
                            .by = strcmp(sv->name, t->inputs[i]->name) == 0 ? MATCHED_NAME
                                                                            : MATCHED_TOPOLOGY };
        const struct tensor *x = trace_value(s->source_trace, sv, 0);
        if (x)
            memcpy(links[i].view.from, x->dim, sizeof links[i].view.from);
    }
    return zipper_run(&s->zipper, s->source_trace, s->zipped, links, s->options, s->arena, e);
}

/* The target with its inputs in the layout that the pairs say. */
static enum status run_again(struct session *s, struct err *e) {
    trace_free(s->plain);
    trace_free(s->zipped);
    s->plain = s->zipped = NULL;
    TRY(inputs_rederive(&s->inputs, s->source, s->target, &s->pairs, e));
    TRY(trace_new(&s->plain, s->target, s->inputs.target, s->source_trace->samples, &s->run,
                  s->arena, e));
    trace_run(s->plain, "running the target", TRACE_BYTES, s->arena);
    return zip(s, e);
}

enum status session_zip(struct session *s, struct err *e) {
    TRY(zip(s, e));
    int regions = s->zipper.n_regions;
    if (!regions || strcmp(s->source->format, s->target->format) == 0 ||
        !inputs_flip(&s->pairs, s->source, s->target))
        return OK;
    TRY(run_again(s, e));
    if (s->zipper.n_regions < regions)
        return OK;
    inputs_flip(&s->pairs, s->source, s->target);
    return run_again(s, e);
}

void session_close(struct session *s) {
    session_forget_declared(s);
    trace_free(s->source_trace);
    trace_free(s->plain);
    trace_free(s->zipped);
    if (s->inputs.n)
        inputs_free(&s->inputs, s->source, s->target);
    real_form_restore(&s->form[SIDE_TARGET]);
    real_form_restore(&s->form[SIDE_SOURCE]);
    recycler_drop(s->recycler);
    arena_free(s->arena);
    *s = (struct session) { 0 };
}
