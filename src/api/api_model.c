/* Models and causes of calque.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handles.h"
#include "compare/arrays.h"
#include "exec/exec.h"
#include "formats/format.h"
#include "locate/causes.h"
#include "npz/npz.h"
#include "report/inspect.h"

enum calque_status api_fail(const struct err *e, struct calque_error *error) {
    enum calque_status s = (enum calque_status)e->code; /* the lists have one order: see test_api */
    if (!error)
        return s;
    error->status = s;
    snprintf(error->where, sizeof error->where, "%s", e->where);
    snprintf(error->what, sizeof error->what, "%s", e->what);
    return s;
}

enum calque_status api_misuse(struct calque_error *error, const char *what) {
    struct err e = { 0 };
    err_set(&e, STATUS_USAGE, "%s", what);
    return api_fail(&e, error);
}

const char *calque_version(void) {
    return CALQUE_VERSION;
}

void calque_text_free(char *text) {
    free(text);
}

/* --- models --- */

enum calque_status calque_model_open(const char *path, struct calque_model **model,
                                     struct calque_error *error) {
    struct err e = { 0 };
    if (!model)
        return api_misuse(error, "calque_model_open: model is NULL");
    *model = NULL;
    if (!path)
        return api_misuse(error, "calque_model_open: path is NULL");
    struct model *m;
    if (model_read(path, &m, &e) != OK)
        return api_fail(&e, error);
    struct calque_model *handle = arena_alloc(m->arena, sizeof *handle);
    handle->model = m;
    *model = handle;
    return CALQUE_OK;
}

void calque_model_close(struct calque_model *model) {
    if (model)
        model_free(model->model);
}

const char *calque_model_format(const struct calque_model *model) {
    return model->model->format;
}

int calque_model_inputs(const struct calque_model *model) {
    return model->model->graph->n_inputs;
}

int calque_model_outputs(const struct calque_model *model) {
    return model->model->graph->n_outputs;
}

const char *calque_model_input_name(const struct calque_model *model, int i) {
    const struct graph *g = model->model->graph;
    return i >= 0 && i < g->n_inputs ? g->inputs[i]->name : NULL;
}

const char *calque_model_output_name(const struct calque_model *model, int i) {
    const struct graph *g = model->model->graph;
    return i >= 0 && i < g->n_outputs ? g->outputs[i]->name : NULL;
}

enum calque_status calque_model_inspect(struct calque_model *model, char **json,
                                        struct calque_error *error) {
    struct arena *a = arena_new();
    struct inspection x;
    struct err e = { 0 };
    struct style style = { .repeat = "" };
    enum status s = inspect_model(model->model, a, NULL, 0, &x, &e);
    *json = NULL;
    if (s == OK) {
        const char *text = inspect_json(&x, &style);
        *json = malloc(strlen(text) + 1);
        if (*json)
            memcpy(*json, text, strlen(text) + 1);
        else
            s = err_set(&e, STATUS_IO, "out of memory");
    }
    arena_free(a);
    return s == OK ? CALQUE_OK : api_fail(&e, error);
}

/* --- running --- */

static enum status write_results(const struct graph *g, struct tensor ***results,
                                 const struct samples *samples, const char *path, struct arena *a,
                                 struct err *e) {
    struct named_tensor *items = NEW_ARRAY(a, g->n_outputs + 1, struct named_tensor);
    enum status s = OK;
    int n = 0;
    for (; s == OK && n < g->n_outputs; n++) {
        items[n].name = g->outputs[n]->name;
        s = samples_join(&items[n].tensor, results[n], samples->n, samples->joined, e);
    }
    if (s == OK)
        s = npz_write(path, items, n, false, e);
    for (int i = 0; i < n; i++)
        tensor_free(items[i].tensor);
    return s;
}

static enum status run_one(struct exec *x, const struct graph *g, struct tensor *const *inputs,
                           struct tensor ***results, int k, struct err *e) {
    struct exec_env *env = exec_env_new(x);
    enum status s = exec_run(x, g, (const struct tensor *const *)inputs, env, e);
    for (int i = 0; s == OK && i < g->n_outputs; i++) {
        const struct tensor *t = NULL;
        s = exec_value(x, env, g->outputs[i], &t, e);
        if (s == OK && t)
            results[i][k] = tensor_alias(t);
    }
    exec_env_free(env);
    return s;
}

static enum status run_samples(struct model *m, const struct samples *samples, const char *path,
                               struct arena *a, struct err *e) {
    const struct graph *g = m->graph;
    struct exec_options options = { .precision = PREC_F64 };
    struct exec *x;
    TRY(exec_new(&x, m, &options, e));
    struct tensor ***results = NEW_ARRAY(a, g->n_outputs + 1, struct tensor **);
    for (int i = 0; i < g->n_outputs; i++)
        results[i] = NEW_ARRAY(a, samples->n + 1, struct tensor *);
    enum status s = OK;
    for (int k = 0; s == OK && k < samples->n; k++)
        s = run_one(x, g, samples->at[k], results, k, e);
    if (s == OK)
        s = write_results(g, results, samples, path, a, e);
    for (int i = 0; i < g->n_outputs; i++)
        for (int k = 0; k < samples->n; k++)
            tensor_free(results[i][k]);
    exec_free(x);
    return s;
}

enum calque_status calque_model_run(struct calque_model *model, const char *inputs,
                                    const char *outputs, struct calque_error *error) {
    if (!model || !inputs || !outputs)
        return api_misuse(error, "calque_model_run: an argument is NULL");
    struct model *m = model->model;
    struct arena *a = arena_new();
    struct err e = { 0 };
    struct tensor **arrays;
    struct samples samples = { 0 };
    enum status s = arrays_read(inputs, m, a, &arrays, &e);
    if (s == OK) {
        s = arrays_split(&samples, m, arrays, a, &e);
        arrays_free(arrays, m);
        if (s == OK)
            s = run_samples(m, &samples, outputs, a, &e);
        samples_free(&samples, m);
    }
    arena_free(a);
    return s == OK ? CALQUE_OK : api_fail(&e, error);
}

/* --- causes --- */

static enum calque_status fill_cause(const struct cause_row *row, struct calque_cause *cause) {
    if (!row || !row->name)
        return CALQUE_USAGE;
    *cause = (struct calque_cause) { row->name, row->title, row->what, row->how, row->fix };
    return CALQUE_OK;
}

enum calque_status calque_cause(int i, struct calque_cause *cause) {
    const struct cause_row *row = cause_rows();
    for (; i > 0 && row->name; i--)
        row++;
    return i < 0 ? CALQUE_USAGE : fill_cause(row, cause);
}

enum calque_status calque_cause_find(const char *name, struct calque_cause *cause) {
    return fill_cause(name ? cause_find(name) : NULL, cause);
}
