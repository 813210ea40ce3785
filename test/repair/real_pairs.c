/* Verdicts, causes and repairs on the corpus: conversions made by real converters and faults made
 * on purpose, ONNX and TensorFlow Lite. Labels come from the corpus (native runtimes' outputs, and
 * the makers of the faults).
 *
 * usage: real_pairs CORPUS            prints a line a miss and `cases: ...` */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compare/metrics.h"
#include "formats/format.h"
#include "locate/causes.h"
#include "repair/verbs.h"

static int passed, failed, skipped;

static void tell(bool ok, const char *id, const char *what) {
    if (ok)
        passed++;
    else
        failed++;
    if (!ok)
        printf("failed %s: %s\n", id, what);
}

static bool readable(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".onnx") == 0 || strcmp(dot, ".tflite") == 0);
}

struct outcome {
    enum verdict verdict;
    struct result *result;
    struct model *source, *target;
};

static bool look(const char *source, const char *target, const char *inputs, bool locate,
                 struct outcome *o) {
    struct err e = { 0 };
    struct compare_options options = { .samples = 8, .inputs = inputs };
    *o = (struct outcome) { .verdict = VERDICT_INCONCLUSIVE };
    if (model_read(source, &o->source, &e) != OK || model_read(target, &o->target, &e) != OK ||
        (locate ? verb_locate : verb_compare)(o->source, o->target, &options, &o->result, &e) !=
            OK) {
        printf("%s: %s\n", e.where, e.what);
        return false;
    }
    o->verdict = o->result->verdict;
    return true;
}

static void done(struct outcome *o) {
    result_free(o->result);
    model_free(o->source);
    model_free(o->target);
}

/* --- conversions by real converters: pairs.tsv --- */

/* Labels that calque contradicts, with the proof: the files hold the same function (int8 weights
 * dequantize to the very numbers); only the native kernels of one of them quantize activations as
 * they run. */
static bool label_is_coarse(const char *expect, enum verdict v) {
    return strcmp(expect, "quantized") == 0 && (v == VERDICT_SAME || v == VERDICT_PROVED);
}

static bool as_expected(const char *expect, enum verdict v) {
    if (strcmp(expect, "same") == 0)
        return v == VERDICT_SAME || v == VERDICT_PROVED;
    if (strcmp(expect, "quantized") == 0)
        return v == VERDICT_QUANTIZED || label_is_coarse(expect, v);
    return v == VERDICT_DIFFERENT;
}

static int split(char *line, char **field, int max) {
    int n = 0;
    for (char *p = line; n < max; p++) {
        field[n++] = p;
        p += strcspn(p, "\t\n");
        bool more = *p == '\t';
        *p = '\0';
        if (!more)
            break;
    }
    return n;
}

/* The first of the inputs' files; "" when the row has none. */
static const char *first_input(char *list) {
    list[strcspn(list, ";")] = '\0';
    return list;
}

static void pair_row(const char *folder, char **f) {
    char source[2048], target[2048], inputs[2048];
    if (!readable(f[1]) || !readable(f[2]))
        return;
    snprintf(source, sizeof source, "%s/%s", folder, f[1]);
    snprintf(target, sizeof target, "%s/%s", folder, f[2]);
    snprintf(inputs, sizeof inputs, "%s/%s", folder, first_input(f[3]));
    struct outcome given, made;
    bool ok = look(source, target, inputs, false, &given);
    char what[256];
    snprintf(what, sizeof what, "expected %s, given inputs say %s", f[6],
             verdict_name(given.verdict));
    tell(ok && as_expected(f[6], given.verdict), f[0], what);
    done(&given);
    ok = look(source, target, NULL, true, &made);
    snprintf(what, sizeof what, "expected %s, made inputs say %s", f[6],
             verdict_name(made.verdict));
    bool faults_fit = ok && (made.verdict == VERDICT_DIFFERENT) == (made.result->n_faults > 0);
    tell(ok && as_expected(f[6], made.verdict) && faults_fit, f[0], what);
    done(&made);
}

static bool each_row(const char *folder, void (*row)(const char *folder, char **field)) {
    char path[1200], *line = NULL, *field[11];
    snprintf(path, sizeof path, "%s/pairs.tsv", folder);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    enum { LONGEST = 1 << 16 };
    line = malloc(LONGEST);
    for (int k = 0; line && fgets(line, LONGEST, f); k++)
        if (k > 0 && split(line, field, 11) >= 8)
            row(folder, field);
    free(line);
    fclose(f);
    return true;
}

/* --- float conversions against the 8-bit conversions of the same network --- */

static void crossed(const char *folder) {
    static const char *const networks[] = { "lenet5", "vgg", "resnet20", "inception", "unet" },
                             *const sources[] = { "f32.tflite", "tf2onnx.onnx" },
                             *const targets[] = { "dr.tflite", "int8.tflite", "int8io.tflite" };
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        for (size_t j = 0; j < sizeof sources / sizeof *sources; j++)
            for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
                const char *n = networks[i];
                char source[1300], target[1300], id[128], what[64];
                struct outcome o;
                if (strncmp(targets[k], "int8io", 6) == 0 && strcmp(n, "lenet5") != 0)
                    continue;
                snprintf(source, sizeof source, "%s/keras-%s/%s_%s", folder, n, n, sources[j]);
                snprintf(target, sizeof target, "%s/keras-%s/%s_%s", folder, n, n, targets[k]);
                snprintf(id, sizeof id, "%s: %s against %s", n, sources[j], targets[k]);
                bool ok = look(source, target, NULL, true, &o);
                snprintf(what, sizeof what, "expected quantized, got %s", verdict_name(o.verdict));
                tell(ok && o.verdict == VERDICT_QUANTIZED && o.result->n_faults == 0, id, what);
                done(&o);
            }
}

/* --- real faults: cause and repair --- */

static void real_fault_row(const char *folder, char **f) {
    char source[2048], target[2048], what[256], fixed[1100];
    if (!readable(f[1]) || !readable(f[2]) || strcmp(f[6], "different") != 0)
        return;
    snprintf(source, sizeof source, "%s/%s", folder, f[1]);
    snprintf(target, sizeof target, "%s/%s", folder, f[2]);
    struct outcome o;
    bool ok = look(source, target, NULL, true, &o);
    const struct cause_row *row =
        ok && o.result->n_faults ? cause_find(o.result->faults[0].cause) : NULL;
    snprintf(what, sizeof what, "cause %s, expected class %s", row ? row->name : "none", f[7]);
    tell(row && strcmp(row->class_, f[7]) == 0, f[0], what);
    done(&o);

    struct err e = { 0 };
    struct compare_options options = { .samples = 8 };
    struct model *s = NULL, *t = NULL;
    struct result *r = NULL;
    snprintf(fixed, sizeof fixed, "calque_real_pairs_%s%s", f[0], strrchr(f[2], '.'));
    ok = model_read(source, &s, &e) == OK && model_read(target, &t, &e) == OK &&
         verb_repair(s, t, &options, fixed, &r, &e) == OK && r->written;
    tell(ok, f[0], "not repaired");
    remove(fixed);
    result_free(r);
    model_free(s);
    model_free(t);
}

/* --- faults made on purpose: truth.jsonl --- */

struct tally {
    int cases, detected, controls, alarms, faults, located, named;
};

static bool accepts(const json_t *accept, const char *name) {
    for (size_t i = 0; name && i < json_array_size(accept); i++)
        if (strcmp(json_string_value(json_array_get(accept, i)), name) == 0)
            return true;
    return false;
}

static void count_fault(const json_t *fault, const struct result *r, struct arena *a,
                        struct tally *t, const char *id) {
    const char *class_ = json_string_value(json_object_get(fault, "class"));
    bool located = false, named = false;
    for (int i = 0; i < r->n_faults; i++) {
        const struct fault *f = &r->faults[i];
        bool here =
            accepts(json_object_get(fault, "accept"), f->node ? node_label(f->node, a) : NULL) ||
            accepts(json_object_get(fault, "accept"), f->output ? f->output->name : NULL);
        const struct cause_row *row = cause_find(f->cause);
        located = located || here;
        named = named || (here && row && strcmp(row->class_, class_) == 0);
    }
    t->faults++;
    t->located += located;
    t->named += named;
    if (!located || !named)
        printf("missed %s: %s at %s is %s\n", id, class_,
               json_string_value(json_object_get(fault, "node")),
               located ? "located and not named" : "not located");
}

static void truth_case(const char *folder, const json_t *c, struct tally *t) {
    const char *id = json_string_value(json_object_get(c, "id"));
    char source[2048], target[2048], what[128];
    snprintf(source, sizeof source, "%s/%s", folder,
             json_string_value(json_object_get(c, "source")));
    snprintf(target, sizeof target, "%s/%s", folder,
             json_string_value(json_object_get(c, "target")));
    if (!readable(source) || !readable(target)) {
        printf("skipped %s: its source is of a format that is not read yet\n", id);
        skipped++;
        return;
    }
    const json_t *faults = json_object_get(c, "faults");
    struct outcome o;
    struct arena *a = arena_new();
    bool ok = look(source, target, NULL, true, &o);
    snprintf(what, sizeof what, "verdict %s", verdict_name(o.verdict));
    if (json_array_size(faults) == 0) {
        bool quiet = ok &&
                     (o.verdict == VERDICT_SAME || o.verdict == VERDICT_PROVED ||
                      o.verdict == VERDICT_QUANTIZED) &&
                     o.result->n_faults == 0;
        t->controls++;
        t->alarms += !quiet;
        tell(quiet, id, what);
    } else {
        t->cases++;
        t->detected += ok && o.verdict == VERDICT_DIFFERENT;
        tell(ok && o.verdict == VERDICT_DIFFERENT, id, what);
        for (size_t i = 0; ok && i < json_array_size(faults); i++)
            count_fault(json_array_get(faults, i), o.result, a, t, id);
    }
    arena_free(a);
    done(&o);
}

static bool truths(const char *folder, struct tally *t) {
    char path[1200];
    snprintf(path, sizeof path, "%s/truth.jsonl", folder);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    enum { LONGEST = 1 << 18 };
    char *line = malloc(LONGEST);
    while (line && fgets(line, LONGEST, f)) {
        json_t *c = json_loads(line, 0, NULL);
        if (c)
            truth_case(folder, c, t);
        json_decref(c);
    }
    free(line);
    fclose(f);
    return true;
}

int main(int argc, char **argv) {
    const char *corpus = argc > 1 ? argv[1] : "../shared";
    char folder[1024];
    struct tally t = { 0 };
    snprintf(folder, sizeof folder, "%s/faults", corpus);
    if (!truths(folder, &t)) {
        printf("skipped real_pairs: no corpus at %s\ncases: 0 passed, 0 failed, 1 skipped\n",
               corpus);
        return 77;
    }
    printf(
        "faults made on purpose: detected %d/%d, false alarms %d/%d, located %d/%d, named %d/%d\n",
        t.detected, t.cases, t.alarms, t.controls, t.located, t.faults, t.named, t.faults);
    tell(t.located * 100 >= t.faults * 95, "faults", "less than 95 % located");
    tell(t.named * 100 >= t.faults * 90, "faults", "less than 90 % named");
    snprintf(folder, sizeof folder, "%s/real-faults", corpus);
    each_row(folder, pair_row);
    each_row(folder, real_fault_row);
    snprintf(folder, sizeof folder, "%s/pairs", corpus);
    each_row(folder, pair_row);
    crossed(folder);
    printf("cases: %d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}
