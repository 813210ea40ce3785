/* calque run MODEL */
#include <string.h>

#include "cli/verb.h"
#include "base/mapfile.h"
#include "compare/arrays.h"
#include "compare/inputs.h"
#include "exec/exec.h"
#include "npz/npz.h"
#include "passes/fixed_point.h"
#include "report/outputs.h"

struct running {
    struct args *a;
    struct model *m;
    struct exec *exec;
    struct exec_options options;
    struct samples samples;
    const struct value **wanted;
    int n_wanted, n_outputs;
    struct tensor ***results; /* [wanted][sample] */
    struct node_time *times;
    int n_times;
};

static void note_time(void *arg, const struct node *n, double seconds) {
    struct running *r = arg;
    for (int i = 0; i < r->n_times; i++)
        if (r->times[i].node == n) {
            r->times[i].seconds += seconds;
            return;
        }
    struct node_time t = { n, seconds };
    PUSH(r->a->arena, r->times, r->n_times, t);
}

static void want(struct running *r, const struct value *v) {
    for (int i = 0; i < r->n_wanted; i++)
        if (r->wanted[i] == v)
            return;
    PUSH(r->a->arena, r->wanted, r->n_wanted, v);
}

static enum status choose_values(struct running *r, struct err *e) {
    const struct graph *g = r->m->graph;
    TRY(check_value_names(r->a, r->m, e));
    for (int i = 0; i < g->n_outputs; i++)
        want(r, g->outputs[i]);
    r->n_outputs = r->n_wanted;
    for (int k = 0; k < r->a->values.n; k++) {
        const struct value *found = NULL;
        for (int i = 0; !found && i < g->n_values; i++)
            if (strcmp(g->values[i]->name, r->a->values.items[k]) == 0)
                found = g->values[i];
        FAIL_IF(!found, e, STATUS_UNSUPPORTED,
                "--value %s: it lies in a sub-graph, which runs many times or not at all",
                r->a->values.items[k]);
        want(r, found);
    }
    for (int i = 0; r->a->all_values && i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i]->n_out; k++)
            if (g->nodes[i]->out[k])
                want(r, g->nodes[i]->out[k]);
    r->results = NEW_ARRAY(r->a->arena, r->n_wanted + 1, struct tensor **);
    return OK;
}

static enum status given_samples(struct running *r, struct err *e) {
    struct tensor **arrays;
    TRY(arrays_read(r->a->inputs, r->m, r->a->arena, &arrays, e));
    enum status s = arrays_split(&r->samples, r->m, arrays, r->a->arena, e);
    arrays_free(arrays, r->m);
    return s;
}

/* variant: other ranges for integers, should the model refuse the first ones. */
static enum status made_samples(struct running *r, int variant, struct err *e) {
    struct args *a = r->a;
    struct compare_options o = {
        .samples = (int)a->samples, .seed = a->seed, .shapes = a->shapes, .n_shapes = a->n_shapes
    };
    struct input_pairs pairs;
    struct input_set set = { 0 };
    TRY(inputs_pair(&pairs, r->m, r->m, &o, a->arena, e));
    TRY(inputs_make(&set, r->m, r->m, &pairs, (int)a->samples, a->seed, variant, a->arena, e));
    r->samples = (struct samples) { .n = set.n, .joined = true };
    r->samples.at = NEW_ARRAY(a->arena, set.n + 1, struct tensor **);
    for (int k = 0; k < set.n; k++) {
        r->samples.at[k] = NEW_ARRAY(a->arena, r->m->graph->n_inputs + 1, struct tensor *);
        for (int i = 0; i < r->m->graph->n_inputs; i++)
            r->samples.at[k][i] = set.source[k][i] ? tensor_alias(set.source[k][i]) : NULL;
    }
    inputs_free(&set, r->m, r->m);
    return OK;
}

static enum status run_sample(struct running *r, int k, struct err *e) {
    struct exec_env *env = exec_env_new(r->exec);
    enum status s =
        exec_run(r->exec, r->m->graph, (const struct tensor *const *)r->samples.at[k], env, e);
    for (int i = 0; s == OK && i < r->n_wanted; i++) {
        const struct tensor *t = NULL;
        s = exec_value(r->exec, env, r->wanted[i], &t, e);
        if (s == OK && !t)
            s = err_set(e, STATUS_MISMATCH, "value %s was not computed", r->wanted[i]->name);
        if (s == OK)
            r->results[i][k] = tensor_alias(t);
    }
    exec_env_free(env);
    return s;
}

static void drop_results(struct running *r) {
    for (int i = 0; i < r->n_wanted; i++)
        for (int k = 0; r->results && r->results[i] && k < r->samples.n; k++) {
            tensor_free(r->results[i][k]);
            r->results[i][k] = NULL;
        }
}

static enum status run_samples(struct running *r, struct err *e) {
    for (int i = 0; i < r->n_wanted; i++)
        r->results[i] = NEW_ARRAY(r->a->arena, r->samples.n + 1, struct tensor *);
    r->n_times = 0;
    enum status s = OK;
    for (int k = 0; s == OK && k < r->samples.n; k++) {
        progress_show(progress_of(r->a), "running sample", k + 1, r->samples.n);
        s = run_sample(r, k, e);
    }
    if (s != OK)
        drop_results(r);
    return s;
}

static enum status compute(struct running *r, struct err *e) {
    if (r->a->inputs) {
        TRY(given_samples(r, e));
        return run_samples(r, e);
    }
    struct err other;
    for (int variant = 0; variant < 3; variant++) {
        struct err *here = variant ? &other : e;
        TRY(made_samples(r, variant, here));
        enum status s = run_samples(r, here);
        if (s == OK || s == STATUS_UNSUPPORTED || s == STATUS_BUG)
            return s;
        if (variant < 2)
            samples_free(&r->samples, r->m);
    }
    return e->code;
}

/* Formats allow values of one name; the second is called name#2. */
static const char *own_name(struct strmap *names, const char *name, struct arena *a) {
    const char *own = name;
    for (int k = 2; strmap_has(names, own); k++)
        own = arena_printf(a, "%s#%d", name, k);
    strmap_put(names, own, names);
    return own;
}

static enum status collect(struct running *r, struct named_tensor *items, struct err *e) {
    struct strmap names;
    strmap_init(&names, r->a->arena);
    for (int i = 0; i < r->n_wanted; i++) {
        struct tensor *joined;
        enum status s = samples_join(&joined, r->results[i], r->samples.n, r->samples.joined, e);
        if (s != OK)
            return err_at(e, "%s", r->wanted[i]->name);
        items[i] =
            (struct named_tensor) { own_name(&names, r->wanted[i]->name, r->a->arena), joined };
    }
    return OK;
}

static enum status report(struct running *r, const struct named_tensor *items, const char **text,
                          struct err *e) {
    struct args *a = r->a;
    const char *file = a->out ? a->out : a->save_outputs;
    FAIL_IF(file && file_same(file, a->files.items[0]), e, STATUS_USAGE,
            "%s is the model itself; calque does not overwrite its inputs", file);
    FAIL_IF(file && a->inputs && file_same(file, a->inputs), e, STATUS_USAGE,
            "%s is the --inputs file; calque does not overwrite its inputs", file);
    if (file)
        TRY(npz_write(file, items, r->n_wanted, false, e));
    struct run_report rep = { .model = r->m,
                              .precision = a->precision ? a->precision : "f64",
                              .inputs_kind = a->inputs ? "given" : "made",
                              .samples = r->samples.n,
                              .seed = a->seed,
                              .results = items,
                              .n_results = r->n_wanted,
                              .n_outputs = r->n_outputs,
                              .written = file,
                              .times = r->times,
                              .n_times = r->n_times };
    struct style style = style_of(a);
    *text = a->json ? run_json(&rep, a->arena, &style) : run_text(&rep, a->arena, &style);
    return OK;
}

static enum status run_model(struct running *r, const char **text, struct err *e) {
    if (r->options.precision == PREC_NATIVE)
        TRY(fixed_point(r->m, e));
    TRY(choose_values(r, e));
    TRY(exec_new(&r->exec, r->m, &r->options, e));
    enum status s = compute(r, e);
    struct named_tensor *items = NEW_ARRAY(r->a->arena, r->n_wanted + 1, struct named_tensor);
    if (s == OK) {
        s = collect(r, items, e);
        if (s == OK)
            s = report(r, items, text, e);
        drop_results(r);
    }
    for (int i = 0; i < r->n_wanted; i++)
        tensor_free(items[i].tensor);
    samples_free(&r->samples, r->m);
    exec_free(r->exec);
    return s;
}

int verb_run_run(struct args *a) {
    struct err e = { 0 };
    struct running r = { .a = a };
    if (open_model(a, a->files.items[0], &r.m, &e) != OK)
        return say_failure(&e);
    r.options = (struct exec_options) { .precision = precision_of(a),
                                        .pool = pool_of(a),
                                        .seed = a->seed,
                                        .keep_values = a->values.n || a->all_values,
                                        .deadline = a->timeout,
                                        .profile = a->profile ? note_time : NULL,
                                        .arg = &r };
    const char *text = NULL;
    enum status s = run_model(&r, &text, &e);
    if (s != OK && !e.where[0])
        err_at(&e, "%s", a->files.items[0]);
    int code = s == OK ? give_report(a, text, false, EXIT_SAME) : say_failure(&e);
    pool_free(r.options.pool);
    model_free(r.m);
    return code;
}
