/* compare and locate: a session, read into a result. */
#include "repair/verbs.h"

#include <math.h>
#include <string.h>

#include "compare/inputs.h"
#include "compare/metrics.h"
#include "locate/hunt.h"
#include "locate/session.h"
#include "passes/canonical.h"
#include "repair/findings.h"

void result_free(struct result *r) {
    if (r)
        arena_free(r->arena);
}

struct result *findings_new(struct model *source, struct model *target,
                            const struct compare_options *o, const char *verb) {
    struct arena *a = arena_new();
    struct result *r = NEW(a, struct result);
    *r = (struct result) { .arena = a,
                           .verb = verb,
                           .source = source,
                           .target = target,
                           .seed = o->seed,
                           .precision = o->precision,
                           .inputs_kind = o->inputs ? "given" : "made",
                           .verdict = VERDICT_INCONCLUSIVE };
    return r;
}

/* Equal canonical forms: every value of the target with an equal digest in the source is the same.
 */
static void proved(struct session *s, struct result *r) {
    const struct graph *g = s->target->graph, *sg = s->source->graph;
    struct intmap by_digest;
    intmap_init(&by_digest, s->arena);
    for (int i = sg->n_values - 1; i >= 0; i--)
        intmap_put(&by_digest, s->source_digest[sg->values[i]->id].a, (uint64_t)i);
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *v = g->nodes[i]->out[k];
            uint64_t at;
            if (!v || !intmap_get(&by_digest, s->target_digest[v->id].a, &at))
                continue;
            struct pair p = { .source = sg->values[at],
                              .target = v,
                              .node = g->nodes[i],
                              .view = { .identity = true },
                              .matched_by = MATCHED_TOPOLOGY,
                              .status = PAIR_SAME,
                              .is_output = v->is_output };
            PUSH(r->arena, r->pairs, r->n_pairs, p);
        }
    r->verdict = VERDICT_PROVED;
    r->proof_method = "canonical";
    r->why = "both files have the same canonical form: node for node and weight for weight";
    r->coverage_target_nodes = r->coverage_source_nodes = r->coverage_exercised = 1;
}

/* --- pairs --- */

static double tolerance_of(const struct compare_options *o, const char *name, bool relative) {
    double x = -1;
    for (int i = 0; i < o->n_tolerances; i++) {
        const struct tolerance *t = &o->tolerances[i];
        double v = relative ? t->rtol : t->atol;
        if (v >= 0 && (!t->name || strcmp(t->name, name) == 0))
            x = v;
    }
    return x;
}

/* Source and target as each model computes them from the inputs, in the precision asked for. */
static void whole_error(const struct session *s, const struct value *source,
                        const struct value *target, const struct pair_view *view,
                        struct error_stats *out) {
    struct metrics m = { 0 };
    double atol = fmax(tolerance_of(s->options, target->name, false), 0),
           rtol = fmax(tolerance_of(s->options, target->name, true), 0);
    for (int k = 0; k < s->plain->samples; k++) {
        const struct tensor *x = trace_value(session_shown(s, SIDE_SOURCE), source, k),
                            *y = trace_value(session_shown(s, SIDE_TARGET), target, k);
        struct tensor *as = NULL;
        struct err e;
        paged_rest(recycler_paged(s->recycler));
        if (!x || !y || x->kind != KIND_TENSOR || y->kind != KIND_TENSOR)
            continue;
        if (tensor_count(x) != tensor_count(y) ||
            layout_apply(&as, x, view, y->rank, y->dim, &e) != OK) {
            m.stats.elements++;
            m.stats.off++;
            m.stats.max_abs = INFINITY;
            continue;
        }
        tensor_to_paged(as, s->recycler);
        metrics_add(&m, as, y, atol, rtol);
        tensor_free(as);
    }
    if (m.stats.elements)
        metrics_finish(&m);
    *out = m.stats;
}

static const struct region *region_ending(const struct zipper *z, const struct value *v) {
    for (int i = 0; i < z->n_regions; i++)
        if (z->regions[i].target == v && !z->regions[i].contract)
            return &z->regions[i];
    return NULL;
}

/* What was met on the way to a value: regions that only quantize, or faulty ones. */
enum upstream { ALL_WELL, QUANTIZED, FAULTY };

static void add_pair(struct session *s, struct result *r, const struct value *v,
                     const struct node *n, enum upstream before) {
    const struct zipper *z = &s->zipper;
    const struct link *l = &z->al.link[v->id];
    const struct region *region = region_ending(z, v);
    struct pair p = { .source = l->source,
                      .target = v,
                      .node = n,
                      .view = l->view,
                      .matched_by = l->by,
                      .is_output = v->is_output,
                      .own_error = l->error,
                      .noise_floor = region ? region->floor : fmax(1e-9 * l->scale, l->error) };
    whole_error(s, l->source, v, &l->view, &p.whole);
    p.noise_floor = fmax(p.noise_floor, fmax(session_noise(s, SIDE_SOURCE, l->source),
                                             session_noise(s, SIDE_TARGET, v)));
    p.not_exercised = trace_dynamic(s->plain, v) ? trace_still(s->plain, v) : NULL;
    if (region)
        p.status = region->quantized ? PAIR_QUANTIZED : PAIR_DIFFERENT;
    else if (before != ALL_WELL && p.whole.max_abs > 1e-6 * fmax(l->scale, 1e-30))
        p.status = before == FAULTY ? PAIR_INHERITED : PAIR_QUANTIZED;
    else
        p.status = p.not_exercised ? PAIR_UNDETERMINED : PAIR_SAME;
    PUSH(r->arena, r->pairs, r->n_pairs, p);
}

static bool reads_refined(const struct zipper *z, const struct node *n) {
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] && n->in[k]->id < z->al.n_link && z->refined[n->in[k]->id])
            return true;
    return false;
}

static void fill_pairs(struct session *s, struct result *r) {
    const struct graph *g = s->target->graph;
    const struct zipper *z = &s->zipper;
    int exercised = 0, judged = 0;
    exec_rest(s->zipped->exec); /* from here on values are compared, not computed */
    for (int i = 0; i < g->n_inputs; i++)
        if (z->al.link[g->inputs[i]->id].source)
            add_pair(s, r, g->inputs[i], NULL, ALL_WELL);
    enum upstream before = ALL_WELL;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++) {
            const struct value *v = g->nodes[i]->out[k];
            if (!v || !trace_dynamic(s->zipped, v))
                continue;
            if (z->al.link[v->id].source) {
                const struct region *region = region_ending(z, v);
                if (before == ALL_WELL && reads_refined(z, g->nodes[i]))
                    before = QUANTIZED;
                if (region)
                    before = before == FAULTY || !region->quantized ? FAULTY : QUANTIZED;
                add_pair(s, r, v, g->nodes[i], before);
                judged++;
                exercised += r->pairs[r->n_pairs - 1].not_exercised == NULL;
            } else {
                PUSH(r->arena, r->unmatched_target, r->n_unmatched_target, v);
            }
        }
    r->coverage_exercised = judged ? (double)exercised / judged : 0;
    for (int i = 0; i < z->al.n_dynamic; i++)
        if (!z->al.claims[z->al.dynamic[i]->id] && z->al.dynamic[i]->producer)
            PUSH(r->arena, r->unmatched_source, r->n_unmatched_source, z->al.dynamic[i]);
}

static void fill_coverage(struct session *s, struct result *r) {
    const struct graph *t = s->target->graph, *g = s->source->graph;
    const struct zipper *z = &s->zipper;
    int n = 0, covered = 0;
    for (int i = 0; i < t->n_nodes; i++) {
        const struct value *v = t->nodes[i]->n_out ? t->nodes[i]->out[0] : NULL;
        if (!v || !trace_dynamic(s->zipped, v))
            continue;
        n++;
        covered += !z->undetermined[i] &&
                   (z->al.link[v->id].source || z->benign[v->id] || z->n_regions > 0);
    }
    r->coverage_target_nodes = n ? (double)covered / n : 1;
    /* a source node counts when its value, or one computed from it, has a counterpart */
    bool *reached = NEW_ARRAY(s->arena, s->source->next_value_id + 1, bool);
    n = covered = 0;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        bool hit = false, dynamic = false;
        for (int k = 0; k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k]) {
                hit = hit || z->al.claims[g->nodes[i]->out[k]->id] > 0 ||
                      reached[g->nodes[i]->out[k]->id];
                dynamic = dynamic || trace_dynamic(s->source_trace, g->nodes[i]->out[k]);
            }
        for (int k = 0; hit && k < g->nodes[i]->n_in; k++)
            if (g->nodes[i]->in[k])
                reached[g->nodes[i]->in[k]->id] = true;
        n += dynamic;
        covered += dynamic && hit;
    }
    r->coverage_source_nodes = n ? (double)covered / n : 1;
}

/* --- verdict --- */

static const char *first_failure(struct session *s, struct arena *a) {
    for (int i = 0; i < s->source->graph->n_nodes; i++)
        if (s->source_trace->failed[i])
            return arena_printf(a, "source: %s", s->source_trace->failed[i]);
    for (int i = 0; i < s->target->graph->n_nodes; i++)
        if (s->plain->failed[i])
            return arena_printf(a, "target: %s", s->plain->failed[i]);
    return NULL;
}

/* Outputs that tolerances were given for are judged by them alone. */
static bool tolerated(const struct session *s, const struct value *source,
                      const struct value *target, const struct pair_view *view, bool *asked) {
    double atol = tolerance_of(s->options, target->name, false),
           rtol = tolerance_of(s->options, target->name, true);
    *asked = atol >= 0 || rtol >= 0;
    struct error_stats e;
    whole_error(s, source, target, view, &e);
    return e.elements > 0 && e.off == 0;
}

static int faulty_regions(const struct zipper *z) {
    int n = 0;
    for (int i = 0; i < z->n_regions; i++)
        n += !z->regions[i].quantized;
    return n;
}

/* Does the file compute with weights of at most 16 bits while its values are float32? Then its
 * runtime rounds where another file's does not. */
static bool stores_narrow(const struct model *m) {
    for (int i = 0; i < m->graph->n_nodes; i++) {
        const struct node *n = m->graph->nodes[i];
        for (int k = 0; k < n->n_in; k++) {
            const struct tensor *c = n->in[k] ? n->in[k]->constant : NULL;
            if (c && tensor_count(c) > 16 &&
                ((k == 0 && node_is(n, "DequantizeLinear")) || c->dtype == DT_F16 ||
                 c->dtype == DT_BF16))
                return true;
        }
    }
    return false;
}

static void judge(struct session *s, struct result *r) {
    const struct graph *t = s->target->graph;
    const struct zipper *z = &s->zipper;
    bool all_ok = true, different = faulty_regions(z) > 0, quantized = z->n_regions > 0,
         missing = false, idle = false, all_tolerated = t->n_outputs > 0, any_asked = false;
    for (int i = 0; i < t->n_outputs; i++) {
        int partner = output_partner(s->source->graph, t, i);
        const struct value *v = t->outputs[i];
        if (partner < 0) {
            all_ok = false;
            r->why = arena_printf(r->arena, "the source has no output for '%s'", v->name);
            continue;
        }
        const struct value *sv = s->source->graph->outputs[partner];
        bool asked;
        const struct link *l = &z->al.link[v->id];
        struct pair_view identity = { .identity = true };
        bool ok = tolerated(s, sv, v, l->source == sv ? &l->view : &identity, &asked);
        any_asked = any_asked || asked;
        all_tolerated = all_tolerated && asked && ok;
        bool computed = trace_value(s->source_trace, sv, 0) && trace_value(s->plain, v, 0);
        missing = missing || !computed;
        bool excused = quantized && !different;
        if (!z->output_ok[i] && !excused && trace_dynamic(s->plain, v)) {
            all_ok = false;
            different =
                different || (computed && !z->undetermined[v->producer ? v->producer->id : 0]);
        }
        if (!trace_dynamic(s->plain, v) && computed && !ok)
            different = true;
        idle = idle || (trace_dynamic(s->plain, v) && trace_still(s->plain, v));
    }
    if (s->source->graph->n_outputs > t->n_outputs) {
        r->why = "the target has fewer outputs than the source";
        different = true;
    }
    const char *failure = first_failure(s, r->arena);
    if (any_asked && all_tolerated && !missing) {
        r->verdict = VERDICT_SAME;
        r->why = "every output agrees within the tolerance given";
    } else if (different && !(missing && s->source_trace->n_failed)) {
        r->verdict = VERDICT_DIFFERENT;
    } else if (missing || !all_ok) {
        r->verdict = VERDICT_INCONCLUSIVE;
        /* what the source should have computed may have been taken for something else */
        if (!r->why)
            r->why = failure ? failure : "not every output could be matched";
    } else if (idle && s->inputs.made) {
        r->verdict = VERDICT_INCONCLUSIVE;
        r->why = "an output does not move on the made inputs; give --inputs";
    } else {
        r->verdict = quantized || (stores_narrow(s->source) != stores_narrow(s->target))
                         ? VERDICT_QUANTIZED
                         : VERDICT_SAME;
    }
    if (failure)
        PUSH(r->arena, r->warnings, r->n_warnings, failure);
}

/* Values beyond the range that was declared for them are cut off: no fault of the conversion, but
 * the user should know. */
static void warn_of_cuts(const struct session *s, struct result *r) {
    const struct region *worst = NULL;
    int n = 0;
    for (int i = 0; i < s->zipper.n_regions; i++) {
        const struct region *at = &s->zipper.regions[i];
        n += at->cut > 0;
        if (at->cut > 0 && (!worst || at->cut / at->scale > worst->cut / worst->scale))
            worst = at;
    }
    if (worst)
        PUSH(r->arena, r->warnings, r->n_warnings,
             arena_printf(r->arena,
                          "%d quantized value%s cut off by the declared range on these inputs; the "
                          "worst is %s, by %.3g",
                          n, n == 1 ? " is" : "s are", worst->target->name, worst->cut));
}

static enum status examine(struct session *s, struct model *source, struct model *target,
                           const struct compare_options *o, struct result *r, struct err *e) {
    TRY(session_open(s, source, target, o, e));
    if (s->proof) {
        proved(s, r);
        return OK;
    }
    TRY(session_run(s, e));
    r->samples = s->plain->samples;
    TRY(session_zip(s, e));
    TRY(session_declare(s, e));
    fill_pairs(s, r);
    fill_coverage(s, r);
    judge(s, r);
    warn_of_cuts(s, r);
    return OK;
}

static bool same_edit(const struct fault *a, const struct fault *b) {
    return a->node == b->node && a->node && strcmp(a->cause, b->cause) == 0 &&
           a->n_details == b->n_details && a->n_details &&
           strcmp(a->details[0].parameter, b->details[0].parameter) == 0;
}

static void add_fault(struct result *r, struct fault f) {
    for (int k = 0; k < r->n_faults; k++)
        if (same_edit(&r->faults[k], &f))
            return;
    f.id = r->n_faults + 1;
    f.nodes = arena_copy(r->arena, f.nodes, (size_t)f.n_nodes * sizeof *f.nodes);
    PUSH(r->arena, r->faults, r->n_faults, f);
}

/* The fault as it stands in the file, whatever the target was spelled out to. */
static struct fault in_the_file(const struct real_form *form, struct fault f) {
    f.node = real_form_original(form, (struct node *)(size_t)f.node);
    if (f.repair && !real_form_translate(form, f.repair))
        f.repair = NULL;
    int kept = 0;
    for (int i = 0; i < f.n_others; i++)
        if (real_form_translate(form, f.others[i]))
            f.others[kept++] = f.others[i];
    f.n_others = kept;
    if (!f.repair && kept) {
        f.repair = f.others[0];
        f.others++;
        f.n_others--;
    }
    return f;
}

void findings_faults(struct session *s, struct result *r) {
    enum { MOST = 6 };
    for (int i = 0; i < s->zipper.n_regions; i++) {
        if (s->zipper.regions[i].quantized)
            continue;
        struct fault found[MOST];
        progress_show(s->options->progress, "looking for the cause of a difference", i + 1,
                      s->zipper.n_regions);
        int n = hunt_run(&s->zipper, &s->zipper.regions[i], found, MOST, r->arena);
        for (int k = 0; k < n; k++)
            add_fault(r, in_the_file(&s->form[SIDE_TARGET], found[k]));
    }
}

enum status verb_compare(struct model *source, struct model *target,
                         const struct compare_options *o, struct result **out, struct err *e) {
    struct session s = { 0 };
    struct result *r = findings_new(source, target, o, "compare");
    enum status status = examine(&s, source, target, o, r, e);
    if (s.arena)
        session_close(&s);
    *out = r;
    if (status != OK) {
        result_free(r);
        *out = NULL;
    }
    return status;
}

enum status findings_locate(struct session *s, struct model *source, struct model *target,
                            const struct compare_options *o, const char *verb, struct result **out,
                            struct err *e) {
    struct result *r = findings_new(source, target, o, verb);
    enum status status = examine(s, source, target, o, r, e);
    if (status == OK && !s->proof)
        findings_faults(s, r);
    *out = r;
    if (status != OK) {
        result_free(r);
        *out = NULL;
    }
    return status;
}

enum status verb_locate(struct model *source, struct model *target, const struct compare_options *o,
                        struct result **out, struct err *e) {
    struct session s = { 0 };
    enum status status = findings_locate(&s, source, target, o, "locate", out, e);
    if (s.arena)
        session_close(&s);
    return status;
}
