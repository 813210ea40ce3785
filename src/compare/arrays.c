#include "compare/arrays.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mapfile.h"
#include "base/strbuf.h"
#include "formats/onnx/onnx_data.h"
#include "npz/npz.h"

/* --- types --- */

static bool whole_range(const struct tensor *t, enum dtype to, int64_t *bad) {
    int bits = dtype_row(to)->bits;
    if (bits >= 64 || dtype_row(t->dtype)->class_ == CLASS_BOOL)
        return true;
    int64_t least, most, n = tensor_count(t);
    dtype_int_bounds(to, &least, &most);
    for (int64_t i = 0; i < n; i++) {
        int64_t v = tensor_i64(t, i);
        if (v < least || v > most) {
            *bad = v;
            return false;
        }
    }
    return true;
}

/* The real numbers that the integers of a quantized input stand for. */
static enum status as_real(struct tensor **t, const struct value *v, struct err *e) {
    struct tensor *real;
    TRY(tensor_convert(&real, *t, DT_F64, e));
    double *x = real->data;
    for (int64_t i = 0; i < tensor_count(real); i++)
        x[i] = v->quant->scale[0] * (x[i] - (double)v->quant->zero_point[0]);
    real->dtype = v->dtype;
    tensor_free(*t);
    *t = real;
    return OK;
}

/* Numbers of the same kind; packed integers stay one to a byte. */
static enum status as_declared(struct tensor **t, const struct value *v, struct err *e) {
    struct tensor *given = *t;
    if (given->kind != KIND_TENSOR || v->dtype == DT_NONE || given->dtype == v->dtype)
        return OK;
    enum dtype_class want = dtype_row(v->dtype)->class_, have = dtype_row(given->dtype)->class_;
    bool integers = (want == CLASS_INT || want == CLASS_UINT || want == CLASS_BOOL) &&
                    (have == CLASS_INT || have == CLASS_UINT || have == CLASS_BOOL);
    if (v->quant && v->quant->n == 1 && want == CLASS_FLOAT && dtype_is_int(given->dtype))
        return as_real(t, v, e);
    FAIL_IF(want != have && !integers, e, STATUS_MISMATCH,
            "input %s is %s in the model; the file has %s", v->name, dtype_name(v->dtype),
            dtype_name(given->dtype));
    int64_t bad = 0;
    FAIL_IF(integers && want != CLASS_BOOL && !whole_range(given, v->dtype, &bad), e,
            STATUS_MISMATCH, "input %s is %s in the model; the file has %lld", v->name,
            dtype_name(v->dtype), (long long)bad);
    enum dtype store = dtype_row(v->dtype)->bits < 8 ? dtype_row(v->dtype)->widened : v->dtype;
    struct tensor *converted;
    TRY(tensor_convert(&converted, given, store, e));
    converted->dtype = v->dtype;
    tensor_free(given);
    *t = converted;
    return OK;
}

/* --- where arrays come from --- */

static const char *input_list(const struct model *m, struct arena *a) {
    struct strbuf b;
    strbuf_init(&b, a);
    for (int i = 0; i < m->graph->n_inputs; i++)
        strbuf_printf(&b, "%s%s", i ? ", " : "", m->graph->inputs[i]->name);
    return m->graph->n_inputs ? b.p : "none";
}

static int input_named(const struct model *m, const char *name, size_t n) {
    for (int i = 0; i < m->graph->n_inputs; i++)
        if (strlen(m->graph->inputs[i]->name) == n &&
            strncmp(m->graph->inputs[i]->name, name, n) == 0)
            return i;
    return -1;
}

/* Key "name/k" is element k of a sequence, "name/keys" and "name/values" make a map. */
static bool put_element(const struct model *m, const char *key, struct tensor *t,
                        struct tensor **out) {
    const char *slash = strrchr(key, '/');
    int i = slash ? input_named(m, key, (size_t)(slash - key)) : -1;
    if (i < 0)
        return false;
    const struct value *v = m->graph->inputs[i];
    bool is_map = v->kind == KIND_MAP;
    if (v->kind != KIND_SEQUENCE && !is_map)
        return false;
    char *end;
    long k = is_map ? (strcmp(slash, "/keys") == 0     ? 0
                       : strcmp(slash, "/values") == 0 ? 1
                                                       : -1)
                    : strtol(slash + 1, &end, 10);
    if (k < 0 || k > 1 << 20 || (!is_map && (end == slash + 1 || *end)))
        return false;
    if (!out[i] || out[i]->n_items <= k) {
        struct tensor *longer = tensor_new_list(v->kind, v->dtype, is_map ? 2 : k + 1);
        for (int64_t j = 0; out[i] && j < out[i]->n_items; j++) {
            longer->items[j] = out[i]->items[j];
            out[i]->items[j] = NULL;
        }
        tensor_free(out[i]);
        out[i] = longer;
    }
    tensor_free(out[i]->items[k]);
    out[i]->items[k] = tensor_alias(t);
    return true;
}

/* Names of another format's making (x for serving_default_x:0): when no name is known but the
 * counts agree, the order decides. */
static bool no_name_known(const struct model *m, const struct named_tensors *file) {
    for (int k = 0; k < file->n; k++) {
        const char *name = file->items[k].name, *slash = strrchr(name, '/');
        if (input_named(m, name, strlen(name)) >= 0 ||
            (slash && input_named(m, name, (size_t)(slash - name)) >= 0))
            return false;
    }
    return file->n == m->graph->n_inputs;
}

static enum status from_npz(const char *path, const struct model *m, struct arena *a,
                            struct tensor **out, struct err *e) {
    struct named_tensors file;
    TRY(npz_read(path, a, &file, e));
    enum status s = OK;
    bool by_order = no_name_known(m, &file);
    for (int k = 0; s == OK && k < file.n; k++) {
        const char *name = file.items[k].name;
        int i = by_order ? k : input_named(m, name, strlen(name));
        if (i >= 0) {
            tensor_free(out[i]);
            out[i] = tensor_alias(file.items[k].tensor);
            if (m->graph->inputs[i]->kind == KIND_OPTIONAL) {
                struct tensor *some = tensor_new_list(KIND_OPTIONAL, m->graph->inputs[i]->dtype, 1);
                some->items[0] = out[i];
                out[i] = some;
            }
        } else if (!put_element(m, name, file.items[k].tensor, out)) {
            s = err_set(e, STATUS_MISMATCH, "%s%s%s; the model's inputs are %s",
                        *name ? "array " : "one array without a name", name,
                        *name ? " is no input" : "", input_list(m, a));
        }
    }
    named_tensors_free(&file);
    return s;
}

static enum status from_folder(const char *path, const struct model *m, struct arena *a,
                               struct tensor **out, struct err *e) {
    int found = 0;
    for (int k = 0; k < m->graph->n_inputs; k++) {
        const char *file = arena_printf(a, "%s/input_%d.pb", path, k);
        if (!file_same(file, file))
            break;
        const char *name = NULL;
        TRY(onnx_data_read(file, m->graph->inputs[k]->kind, a, &out[k], &name, e));
        found++;
    }
    FAIL_IF(!found && m->graph->n_inputs, e, STATUS_MISMATCH, "the folder has no input_0.pb");
    return OK;
}

static enum status complete(const struct model *m, struct tensor **out, struct arena *a,
                            struct err *e) {
    for (int i = 0; i < m->graph->n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        if (!out[i] && v->kind == KIND_OPTIONAL)
            out[i] = tensor_new_list(KIND_OPTIONAL, v->dtype, 0);
        if (!out[i] && v->kind == KIND_SEQUENCE)
            out[i] = tensor_new_list(KIND_SEQUENCE, v->dtype, 0);
        FAIL_IF(!out[i] && !v->constant, e, STATUS_MISMATCH,
                "there is no array for input %s; the model's inputs are %s", v->name,
                input_list(m, a));
        if (out[i])
            TRY(as_declared(&out[i], v, e));
        for (int64_t k = 0; out[i] && k < out[i]->n_items; k++)
            FAIL_IF(!out[i]->items[k], e, STATUS_MISMATCH, "sequence %s has no element %lld",
                    v->name, (long long)k);
    }
    return OK;
}

enum status arrays_read(const char *path, const struct model *m, struct arena *a,
                        struct tensor ***out, struct err *e) {
    *out = NEW_ARRAY(a, m->graph->n_inputs + 1, struct tensor *);
    enum status s =
        file_is_dir(path) ? from_folder(path, m, a, *out, e) : from_npz(path, m, a, *out, e);
    if (s == OK)
        s = complete(m, *out, a, e);
    if (s != OK) {
        arrays_free(*out, m);
        if (e && !strstr(e->where, path))
            err_at(e, "%s", path);
    }
    return s;
}

void arrays_free(struct tensor **arrays, const struct model *m) {
    for (int i = 0; i < m->graph->n_inputs; i++) {
        tensor_free(arrays[i]);
        arrays[i] = NULL;
    }
}

/* --- samples --- */

static bool fits(const struct value *v, const int64_t *dim, int rank, int skip) {
    if (v->rank != rank)
        return false;
    for (int k = skip; k < rank; k++)
        if (v->dim[k] >= 0 && v->dim[k] != dim[k])
            return false;
    return true;
}

/* How many samples t is for input v: 1 with *axis -1 when it fits as it is; 0 when it does not fit
 * at all. */
static int64_t samples_in(const struct value *v, const struct tensor *t, int64_t *step) {
    *step = 0;
    if (t->kind != KIND_TENSOR || v->rank < 0 || fits(v, t->dim, t->rank, 0))
        return 1;
    if (t->rank == v->rank + 1 && fits(v, t->dim + 1, t->rank - 1, 0)) {
        *step = -1;
        return t->dim[0];
    }
    if (t->rank == v->rank && t->rank > 0 && v->dim[0] > 0 && t->dim[0] % v->dim[0] == 0 &&
        fits(v, t->dim, t->rank, 1)) {
        *step = v->dim[0];
        return t->dim[0] / v->dim[0];
    }
    return 0;
}

static const char *dims_of(const int64_t *dim, int rank, const struct model *m, struct arena *a) {
    struct strbuf b;
    strbuf_init(&b, a);
    for (int k = 0; k < rank; k++) {
        char text[64];
        strbuf_printf(&b, "%s%s", k ? "x" : "", dim_text(m, dim[k], text, sizeof text));
    }
    return rank > 0 ? b.p : "scalar";
}

static enum status slice(struct tensor **out, const struct tensor *t, int64_t step, int64_t k,
                         struct err *e) {
    bool drop = step < 0;
    int64_t dim[MAX_RANK];
    for (int i = drop; i < t->rank; i++)
        dim[i - drop] = t->dim[i];
    if (!drop)
        dim[0] = step;
    TRY(tensor_new(out, t->dtype, t->store, t->rank - drop, dim, e));
    size_t bytes = tensor_bytes(*out);
    if (t->store == DT_STRING) {
        int64_t n = tensor_count(*out);
        for (int64_t i = 0; i < n; i++)
            ((const char **)(*out)->data)[i] =
                arena_str(tensor_string_arena(*out), ((const char **)t->data)[k * n + i]);
    } else if (bytes) {
        memcpy((*out)->data, (const char *)t->data + (size_t)k * bytes, bytes);
    }
    return OK;
}

enum status arrays_split(struct samples *out, const struct model *m, struct tensor *const *arrays,
                         struct arena *a, struct err *e) {
    int n_inputs = m->graph->n_inputs;
    int64_t *step = NEW_ARRAY(a, n_inputs + 1, int64_t), n = 1;
    *out = (struct samples) { 0 };
    for (int i = 0; i < n_inputs; i++) {
        const struct value *v = m->graph->inputs[i];
        if (!arrays[i])
            continue;
        int64_t count = samples_in(v, arrays[i], &step[i]);
        FAIL_IF(count == 0, e, STATUS_MISMATCH, "input %s is %s in the model; the file has %s",
                v->name, dims_of(v->dim, v->rank, m, a),
                dims_of(arrays[i]->dim, arrays[i]->rank, m, a));
        FAIL_IF(step[i] && n > 1 && count != n, e, STATUS_MISMATCH,
                "input %s holds %lld samples, another input %lld", v->name, (long long)count,
                (long long)n);
        FAIL_IF(count > 1 << 20, e, STATUS_MISMATCH, "input %s holds %lld samples", v->name,
                (long long)count);
        n = step[i] ? count : n;
        out->joined |= step[i] > 0;
    }
    out->at = NEW_ARRAY(a, n + 1, struct tensor **);
    for (int64_t k = 0; k < n; k++) {
        out->at[k] = NEW_ARRAY(a, n_inputs + 1, struct tensor *);
        out->n++;
        for (int i = 0; i < n_inputs; i++) {
            if (arrays[i] && step[i])
                TRY(slice(&out->at[k][i], arrays[i], step[i], k, e));
            else if (arrays[i])
                out->at[k][i] = tensor_alias(arrays[i]);
        }
    }
    return OK;
}

void samples_free(struct samples *s, const struct model *m) {
    for (int k = 0; k < s->n; k++)
        for (int i = 0; i < m->graph->n_inputs; i++)
            tensor_free(s->at[k][i]);
    s->n = 0;
}

enum status samples_join(struct tensor **out, struct tensor *const *results, int n, bool joined,
                         struct err *e) {
    const struct tensor *first = results[0];
    if (n == 1) {
        *out = tensor_alias(first);
        return OK;
    }
    joined = joined && first->rank > 0;
    int rank = first->rank + !joined;
    int64_t dim[MAX_RANK + 1], rows = 0;
    FAIL_IF(first->kind != KIND_TENSOR || first->store == DT_STRING || rank > MAX_RANK, e,
            STATUS_MISMATCH, "results of %d samples cannot be joined", n);
    for (int k = 0; k < n; k++) {
        const struct tensor *t = results[k];
        FAIL_IF(t->rank != first->rank || t->store != first->store ||
                    !dims_equal(t->dim + joined, t->rank - joined, first->dim + joined,
                                first->rank - joined),
                e, STATUS_MISMATCH, "the results of samples 0 and %d have different shapes", k);
        rows += joined ? t->dim[0] : 1;
    }
    dim[0] = rows;
    memcpy(dim + 1, first->dim + joined, (size_t)(rank - 1) * sizeof *dim);
    TRY(tensor_new(out, first->dtype, first->store, rank, dim, e));
    char *at = (*out)->data;
    for (int k = 0; k < n; k++) {
        size_t bytes = tensor_bytes(results[k]);
        if (bytes)
            memcpy(at, results[k]->data, bytes);
        at += bytes;
    }
    return OK;
}
