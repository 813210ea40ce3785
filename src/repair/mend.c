/* repair: the faults' edits are written into a copy of the target's file, the copy is read back and
 * proved on fresh inputs. Faults hidden behind others show in the next round. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "formats/format.h"
#include "repair/findings.h"
#include "repair/verbs.h"

enum { ROUNDS = 4, FRESH_SAMPLES = 32 };

static const struct format *format_named(const char *name) {
    const struct format *const *all = format_all();
    for (int i = 0; all[i]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

/* The patches that can be applied one after another, in the order of the faults. Leaves the model
 * as it was. */
static int applicable(struct result *r, const struct patch **out) {
    int n = 0;
    for (int i = 0; i < r->n_faults; i++) {
        struct patch *p = r->faults[i].repair;
        struct err e;
        if (p && patch_apply(p, &e) == OK)
            out[n++] = p;
        else if (p)
            PUSH(r->arena, r->warnings, r->n_warnings,
                 arena_printf(r->arena, "fault %d was left for the next round: %s", r->faults[i].id,
                              e.what));
    }
    for (int i = n - 1; i >= 0; i--)
        patch_undo((struct patch *)(size_t)out[i]);
    return n;
}

static void count_changes(struct result *r, const struct patch *const *patches, int n) {
    bool *touched =
        NEW_ARRAY(r->arena, r->target->next_value_id + r->target->graph->n_nodes + 1, bool);
    int total = r->target->graph->n_nodes, changed = 0, tensors = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < patches[i]->n; k++) {
            const struct edit *ed = &patches[i]->edits[k];
            if (ed->kind == EDIT_SET_CONSTANT || ed->kind == EDIT_ADD_CONSTANT)
                tensors++;
            bool counts =
                ed->node && ed->node->id >= 0 && ed->node->id < total && ed->kind != EDIT_ADD_NODE;
            if (counts && !touched[ed->node->id]) {
                touched[ed->node->id] = true;
                changed++;
            }
        }
    r->tensors_changed += tensors;
    r->nodes_changed += changed;
    r->nodes_untouched = total - changed;
}

static char *beside(const char *path, struct arena *a, int round) {
    return arena_printf(a, "%s.part%d%s", path, round,
                        strrchr(path, '.') ? strrchr(path, '.') : "");
}

/* A target that was given with a narrower storage keeps it: what its rounding explains is no fault
 * left. */
static bool agrees(enum verdict v, bool narrow) {
    return v == VERDICT_SAME || v == VERDICT_PROVED || (narrow && v == VERDICT_QUANTIZED);
}

/* Fresh inputs: another seed, more samples; and the given ones when there are any. */
static enum status proof(struct model *source, struct model *fixed, const struct compare_options *o,
                         struct result *r, bool *good, struct err *e) {
    struct compare_options fresh = *o;
    fresh.inputs = NULL;
    fresh.seed = o->seed + 1000;
    fresh.samples = o->samples > FRESH_SAMPLES ? o->samples : FRESH_SAMPLES;
    struct result *check = NULL;
    TRY(verb_compare(source, fixed, &fresh, &check, e));
    *good = agrees(check->verdict, zipper_narrow(r->target->graph));
    r->proof_method = check->verdict == VERDICT_PROVED ? "canonical" : "tested";
    r->proof_verdict = check->verdict;
    r->proof_samples = check->samples;
    r->proof_max_abs = 0;
    for (int i = 0; i < check->n_pairs; i++)
        if (check->pairs[i].is_output)
            r->proof_max_abs = fmax(r->proof_max_abs, check->pairs[i].whole.max_abs);
    result_free(check);
    if (!*good || !o->inputs)
        return OK;
    TRY(verb_compare(source, fixed, o, &check, e));
    *good = agrees(check->verdict, zipper_narrow(r->target->graph));
    result_free(check);
    return OK;
}

struct mending {
    struct model *source, *current; /* current: the target, then what was read back */
    const struct compare_options *o;
    const char *out_path;
    struct result *first;
    const char *written; /* temporary file that holds the last round */
    bool good;
};

/* Replaces patches that the format cannot express by others of the same fault that it can. */
static int expressible(struct mending *m, struct result *r, const struct format *f,
                       const struct patch **patches, int n, const char *path) {
    int kept = 0;
    for (int i = 0; i < n; i++) {
        struct err e;
        const struct patch *p = patches[i];
        if (f->write_patched(m->current, &p, 1, path, &e) == OK) {
            patches[kept++] = p;
            continue;
        }
        bool found = false;
        for (int k = 0; k < r->n_faults; k++)
            for (int j = 0; r->faults[k].repair == p && j < r->faults[k].n_others && !found; j++) {
                const struct patch *other = r->faults[k].others[j];
                found = f->write_patched(m->current, &other, 1, path, &e) == OK;
                if (found) {
                    patches[kept++] = other;
                    r->faults[k].repair = r->faults[k].others[j];
                }
            }
        if (!found)
            PUSH(r->arena, r->warnings, r->n_warnings,
                 arena_printf(r->arena, "%s%s%s", e.where, e.where[0] ? ": " : "", e.what));
    }
    unlink(path);
    return kept;
}

/* One round: locate in the current file, write what helps, read it back. *more: something was
 * written. */
static enum status mend_round(struct mending *m, int round, bool *more, struct err *e) {
    struct session s = { 0 };
    struct result *r = NULL;
    *more = false;
    enum status status = findings_locate(&s, m->source, m->current, m->o, "repair", &r, e);
    if (s.arena)
        session_close(&s);
    TRY(status);
    if (!m->first)
        m->first = r;
    const struct patch **patches =
        NEW_ARRAY(m->first->arena, r->n_faults + 1, const struct patch *);
    int n = applicable(r, patches);
    const struct format *f = format_named(m->current->format);
    if (n && f && f->write_patched) {
        const char *path = beside(m->out_path, m->first->arena, round);
        status = f->write_patched(m->current, patches, n, path, e);
        if (status == STATUS_UNSUPPORTED) {
            n = expressible(m, r, f, patches, n, path);
            if (n)
                status = f->write_patched(m->current, patches, n, path, e);
        }
        struct model *fixed = NULL;
        if (status == OK)
            status = model_read(path, &fixed, e);
        if (status == OK) {
            count_changes(r, patches, n);
            if (r != m->first) {
                m->first->tensors_changed += r->tensors_changed;
                m->first->nodes_changed += r->nodes_changed;
            }
            if (m->written)
                unlink(m->written);
            m->written = path;
            if (m->current != m->first->target)
                model_free(m->current);
            m->current = fixed;
            *more = true;
        }
    } else if (n) {
        status =
            err_set(e, STATUS_UNSUPPORTED, "%s files cannot be written yet", m->current->format);
    }
    if (r != m->first)
        result_free(r);
    return status;
}

static enum status finish(struct mending *m, struct err *e) {
    if (rename(m->written, m->out_path) != 0)
        return err_set(e, STATUS_IO, "cannot rename %s to %s", m->written, m->out_path);
    m->first->written = arena_str(m->first->arena, m->out_path);
    m->written = NULL;
    return OK;
}

static enum status mend(struct mending *m, struct err *e) {
    bool more = true;
    for (int round = 0; round < ROUNDS && more && !m->good; round++) {
        enum status s = mend_round(m, round, &more, e);
        if (s != OK && !m->first)
            return s;
        if (s != OK) {
            PUSH(m->first->arena, m->first->warnings, m->first->n_warnings,
                 arena_printf(m->first->arena, "%s%s%s", e->where, e->where[0] ? ": " : "",
                              e->what));
            more = false;
        }
        if (more)
            TRY(proof(m->source, m->current, m->o, m->first, &m->good, e));
        else if (!m->written && m->first->verdict != VERDICT_DIFFERENT)
            return OK;
    }
    return m->good ? finish(m, e) : OK;
}

enum status verb_repair(struct model *source, struct model *target, const struct compare_options *o,
                        const char *out_path, struct result **out, struct err *e) {
    *out = NULL;
    FAIL_IF(file_same(out_path, source->path) || file_same(out_path, target->path), e, STATUS_USAGE,
            "the output would overwrite an input; choose another name");
    struct mending m = { .source = source, .current = target, .o = o, .out_path = out_path };
    enum status s = mend(&m, e);
    if (m.written)
        unlink(m.written);
    if (m.current != target)
        model_free(m.current);
    *out = m.first;
    if (s != OK && m.first) {
        result_free(m.first);
        *out = NULL;
    }
    return s;
}
