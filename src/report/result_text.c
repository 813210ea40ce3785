/* compare, locate and repair for people. */
#include <math.h>
#include <string.h>

#include "report/result_report.h"
#include "report/table.h"

enum { SCREEN_FAULTS = 5, NAMES_SHOWN = 4, NAME_WIDTH = 48 };

struct look {
    const char *good, *bad, *unsure, *strong, *off;
};

static struct look look_of(const struct style *s) {
    if (!s->colour)
        return (struct look) { "", "", "", "", "" };
    return (struct look) { "\033[32m", "\033[31m", "\033[33m", "\033[1m", "\033[0m" };
}

static const char *sign(enum pair_status s) {
    return s == PAIR_DIFFERENT || s == PAIR_INHERITED ? "✗" : s == PAIR_UNDETERMINED ? "?" : "✓";
}

static const char *number(double v, struct arena *a) {
    return isnan(v) ? "?" : arena_printf(a, "%.2g", v);
}

static const char *view_text(const struct pair_view *v, struct arena *a) {
    if (v->identity)
        return "";
    if (v->elements)
        return "elements in another order";
    struct strbuf b;
    strbuf_init(&b, a);
    if (v->n_from) {
        strbuf_add(&b, "reshaped ");
        for (int i = 0; i < v->n_from; i++)
            strbuf_printf(&b, "%s%lld", i ? "x" : "", (long long)v->from[i]);
    }
    if (v->n_permute) {
        strbuf_add(&b, v->n_from ? ", axes " : "axes ");
        for (int i = 0; i < v->n_permute; i++)
            strbuf_printf(&b, "%s%d", i ? "," : "", v->permute[i]);
    }
    return b.p ? b.p : "reshaped";
}

/* Long names keep their end, which tells them apart. */
static const char *short_name(const char *name, struct arena *a) {
    size_t n = strlen(name);
    if (n <= NAME_WIDTH)
        return name;
    const char *tail = name + n - (NAME_WIDTH - 1);
    while (((unsigned char)*tail & 0xc0) == 0x80)
        tail++;
    return arena_printf(a, "…%s", tail);
}

/* --- compare --- */

static double badness(const struct pair *p) {
    double own = isnan(p->own_error) ? p->whole.max_abs : p->own_error;
    double floor = p->noise_floor > 0 ? p->noise_floor : 1e-300;
    return p->status == PAIR_DIFFERENT ? own / floor : p->status == PAIR_INHERITED ? 1e-300 : 0;
}

static void add_pair(struct table *t, const struct pair *p, struct arena *a, bool names) {
    table_row(t);
    table_cell(t, 0, "%s", sign(p->status));
    const char *where = p->node ? label_of(p->node, a) : p->target->is_input ? "input" : "";
    table_cell(t, 1, "%s", short_name(where, a));
    table_cell(t, 2, "%s", p->node ? operator_of(p->node) : "");
    if (names)
        table_cell(t, 3, "%s = %s", short_name(p->target->name, a),
                   p->source ? short_name(p->source->name, a) : "?");
    else
        table_cell(t, 3, "%s%s", p->is_output ? "output " : "", short_name(p->target->name, a));
    if (p->whole.elements) {
        table_cell(t, 4, "%s", number(p->whole.max_abs, a));
        table_cell(t, 5, "%s", number(p->own_error, a));
        table_cell(t, 6, "%s", number(p->noise_floor, a));
    }
    const char *view = view_text(&p->view, a);
    const char *note = p->not_exercised ? arena_printf(a, "not exercised (%s)", p->not_exercised)
                       : p->status == PAIR_INHERITED ? "inherited"
                       : p->status == PAIR_QUANTIZED ? "quantized"
                                                     : "";
    table_cell(t, 7, "%s%s%s", view, *view && *note ? "; " : "", note);
}

static void add_pairs(const struct result *r, struct arena *a, const struct style *s,
                      struct strbuf *b) {
    static const char *const heads[] = { "",      "target node", "operator", "value",
                                         "apart", "own",         "floor" };
    int first = -1, worst = -1;
    for (int i = 0; i < r->n_pairs; i++) {
        if (first < 0 && r->pairs[i].status == PAIR_DIFFERENT)
            first = i;
        if (badness(&r->pairs[i]) > (worst < 0 ? 0 : badness(&r->pairs[worst])))
            worst = i;
    }
    struct table t;
    table_init(&t, a, "llllrrrl");
    table_row(&t);
    for (int c = 0; c < 7; c++)
        table_cell(&t, c, "%s", heads[c]);
    int rows = 0;
    for (int i = 0; i < r->n_pairs && (s->verbose || rows < 30); i++) {
        bool matters = s->verbose || i == first || i == worst || r->pairs[i].is_output;
        if (!matters)
            continue;
        add_pair(&t, &r->pairs[i], a, s->verbose);
        rows++;
    }
    if (rows)
        table_print(&t, b, 0);
}

static void add_names(struct strbuf *b, const char *title, const struct value **v, int n, bool all,
                      struct arena *a) {
    if (!n)
        return;
    strbuf_printf(b, "%s (%d): ", title, n);
    int shown = all || n <= NAMES_SHOWN ? n : NAMES_SHOWN;
    for (int i = 0; i < shown; i++)
        strbuf_printf(b, "%s%s", i ? ", " : "", short_name(v[i]->name, a));
    strbuf_add(b, shown < n ? ", …\n" : "\n");
}

static void add_summary(const struct result *r, struct arena *a, const struct style *s,
                        struct strbuf *b) {
    int count[PAIR_UNDETERMINED + 1] = { 0 };
    const struct value **idle = NEW_ARRAY(a, r->n_pairs + 1, const struct value *);
    int n_idle = 0;
    for (int i = 0; i < r->n_pairs; i++) {
        count[r->pairs[i].status]++;
        if (r->pairs[i].not_exercised)
            idle[n_idle++] = r->pairs[i].target;
    }
    strbuf_printf(b, "%d values matched: %d same", r->n_pairs, count[PAIR_SAME]);
    if (count[PAIR_QUANTIZED])
        strbuf_printf(b, ", %d quantized", count[PAIR_QUANTIZED]);
    if (count[PAIR_DIFFERENT])
        strbuf_printf(b, ", %d different", count[PAIR_DIFFERENT]);
    if (count[PAIR_INHERITED])
        strbuf_printf(b, ", %d inherit the difference", count[PAIR_INHERITED]);
    if (count[PAIR_UNDETERMINED])
        strbuf_printf(b, ", %d not decided", count[PAIR_UNDETERMINED]);
    strbuf_printf(b,
                  "; coverage: %.0f %% of the target's nodes, %.0f %% of the source's, %.0f %% of "
                  "values exercised\n",
                  100 * r->coverage_target_nodes, 100 * r->coverage_source_nodes,
                  100 * r->coverage_exercised);
    if (r->precision != PREC_F64)
        strbuf_printf(b, "figures: as computed in %s; what is the same is judged in float64\n",
                      r->precision == PREC_F32 ? "the declared types" : "native precision");
    add_names(b, "not exercised", idle, n_idle, s->verbose, a);
    add_names(b, "not matched in the source", r->unmatched_source, r->n_unmatched_source,
              s->verbose, a);
    add_names(b, "not matched in the target", r->unmatched_target, r->n_unmatched_target,
              s->verbose, a);
}

/* --- locate and repair --- */

static const char *cut_text(const char *text, struct arena *a) {
    enum { WIDTH = 120 };
    return text_width(text) <= WIDTH ? text : arena_printf(a, "%.*s…", WIDTH, text);
}

static void add_fault(const struct fault *f, struct arena *a, const struct look *look, bool all,
                      struct strbuf *b) {
    strbuf_printf(b, "\n%s%d. %s%s", look->strong, f->id, f->title ? f->title : f->cause,
                  look->off);
    if (f->confidence && strcmp(f->confidence, "suspected") == 0)
        strbuf_add(b, " (suspected)");
    strbuf_add(b, "\n   where     ");
    if (f->node)
        strbuf_printf(b, "target node %s (%s)", label_of(f->node, a), operator_of(f->node));
    else
        strbuf_add(b, "the model's inputs or outputs");
    if (f->output)
        strbuf_printf(b, ", value %s", f->output->name);
    if (f->n_nodes > 1)
        strbuf_printf(b, ", a region of %d nodes", f->n_nodes);
    strbuf_add(b, "\n");
    if (f->source_node || f->source_output)
        strbuf_printf(b, "             source node %s%s%s%s%s%s\n",
                      f->source_node ? label_of(f->source_node, a) : "?",
                      f->source_node ? " (" : "", operator_of(f->source_node),
                      f->source_node ? ")" : "", f->source_output ? ", value " : "",
                      f->source_output ? f->source_output->name : "");
    strbuf_printf(b, "   what      %s\n", f->cause);
    for (int i = 0; i < f->n_details && (all || i < 4); i++)
        strbuf_printf(b, "             %s: source %s, target %s\n", f->details[i].parameter,
                      f->details[i].source ? cut_text(f->details[i].source, a) : "(not set)",
                      f->details[i].target ? cut_text(f->details[i].target, a) : "(not set)");
    strbuf_printf(b, "   evidence  own error %s where rounding explains %s",
                  number(f->own_error, a), number(f->noise_floor, a));
    if (!isnan(f->error_after_fix))
        strbuf_printf(b, "; with the fix %s", number(f->error_after_fix, a));
    if (f->n_rivals)
        strbuf_printf(b, "; next best %s: %s", f->rivals[0].cause,
                      number(f->rivals[0].error_after_fix, a));
    strbuf_add(b, "\n   fix       ");
    if (!f->repair || !f->repair->n) {
        strbuf_add(b, "none found\n");
        return;
    }
    int shown = all || f->repair->n <= 4 ? f->repair->n : 4;
    for (int i = 0; i < shown; i++)
        strbuf_printf(b, "%s%s\n", i ? "             " : "",
                      cut_text(words_of_edit(f->repair, &f->repair->edits[i], a), a));
    if (shown < f->repair->n)
        strbuf_printf(b, "             … and %d more (-v)\n", f->repair->n - shown);
}

static void add_faults(const struct result *r, struct arena *a, const struct style *s,
                       struct strbuf *b) {
    struct look look = look_of(s);
    strbuf_printf(b, "%d fault%s\n", r->n_faults, r->n_faults == 1 ? "" : "s");
    int shown = s->verbose || r->n_faults <= SCREEN_FAULTS ? r->n_faults : SCREEN_FAULTS;
    for (int i = 0; i < shown; i++)
        add_fault(&r->faults[i], a, &look, s->verbose, b);
    if (shown < r->n_faults)
        strbuf_printf(b, "\n… and %d more (-v)\n", r->n_faults - shown);
}

static void add_repair(const struct result *r, struct arena *a, struct strbuf *b) {
    strbuf_printf(b, "\nwrote %s: %d tensor%s and %d node%s changed, %d nodes untouched\n",
                  r->written, r->tensors_changed, r->tensors_changed == 1 ? "" : "s",
                  r->nodes_changed, r->nodes_changed == 1 ? "" : "s", r->nodes_untouched);
    if (r->proof_method && strcmp(r->proof_method, "canonical") == 0)
        strbuf_add(
            b, "proof: both have the same canonical form, node for node and weight for weight\n");
    else if (r->proof_method)
        strbuf_printf(b, "proof: tested on %d fresh samples, largest difference %s\n",
                      r->proof_samples, number(r->proof_max_abs, a));
}

static void add_warnings(const struct result *r, bool all, struct strbuf *b) {
    for (int i = 0; i < r->n_warnings && (all || i < 5); i++)
        strbuf_printf(b, "warning: %s\n", r->warnings[i]);
    const struct model *models[] = { r->source, r->target };
    for (int k = 0; all && k < 2; k++)
        for (int i = 0; i < models[k]->n_warnings; i++)
            strbuf_printf(b, "warning: %s: %s\n", models[k]->path, models[k]->warnings[i]);
}

static void add_verdict(const struct result *r, const struct style *s, struct strbuf *b) {
    struct look look = look_of(s);
    const char *colour = s->exit_code == 0 ? look.good : s->exit_code == 1 ? look.bad : look.unsure;
    strbuf_printf(b, "%s%s%s", colour, verdict_name(result_verdict(r)), look.off);
    if (result_repaired(r))
        strbuf_printf(b, ": %s is the source's function%s", r->written,
                      r->proof_verdict == VERDICT_QUANTIZED ? " in its own precision" : "");
    else if (r->why)
        strbuf_printf(b, ": %s", r->why);
    strbuf_printf(b, "   %.2f s   %s\n", s->seconds, s->repeat);
}

const char *result_text(const struct result *r, struct arena *a, const struct style *s) {
    struct strbuf b;
    strbuf_init(&b, a);
    if (!s->quiet) {
        bool compares = strcmp(r->verb, "compare") == 0;
        if (compares || s->verbose)
            add_pairs(r, a, s, &b);
        if (compares)
            add_summary(r, a, s, &b);
        else
            add_faults(r, a, s, &b);
        if (r->written)
            add_repair(r, a, &b);
        add_warnings(r, s->verbose, &b);
        strbuf_add(&b, "\n");
    }
    add_verdict(r, s, &b);
    return b.p;
}
