#include "infer_check.h"

#include <stdio.h>

static bool same_contents(const struct tensor *a, const struct tensor *b) {
    if (dtype_row(a->store)->class_ == CLASS_COMPLEX || a->store == DT_STRING ||
        dtype_is_float(a->dtype))
        return true;
    for (int64_t i = 0; i < tensor_count(a); i++)
        if (tensor_i64(a, i) != tensor_i64(b, i))
            return false;
    return true;
}

/* Entries that are known in part must be what was computed. */
static bool same_parts(const struct tensor *parts, const struct tensor *t) {
    if (!dims_equal(parts->dim, parts->rank, t->dim, t->rank))
        return false;
    for (int64_t i = 0; i < tensor_count(t); i++) {
        int64_t part = tensor_i64(parts, i);
        if (!part_is_code(part) && (double)part != tensor_f64(t, i))
            return false;
    }
    return true;
}

void infer_check_tap(void *arg, const struct value *v, const struct tensor *t) {
    struct infer_check *c = arg;
    if (c->why[0] || v->id >= c->n_facts)
        return;
    const struct fact *f = &c->facts[v->id];
    bool typed = f->dtype != DT_NONE || f->rank >= 0;
    if (typed && f->kind != t->kind)
        snprintf(c->why, sizeof c->why, "inferred kind %d of value '%.100s', it has %d", f->kind,
                 v->name, t->kind);
    if (f->kind == t->kind && f->dtype != DT_NONE && f->dtype != t->dtype)
        snprintf(c->why, sizeof c->why, "inferred %s for value '%.100s', it is %s",
                 dtype_name(f->dtype), v->name, dtype_name(t->dtype));
    if (t->kind != KIND_TENSOR)
        return;
    if (f->rank >= 0 && f->rank != t->rank)
        snprintf(c->why, sizeof c->why, "inferred rank %d for value '%.100s', it has %d", f->rank,
                 v->name, t->rank);
    for (int i = 0; i < f->rank && f->rank == t->rank; i++)
        if (f->dim[i] >= 0 && f->dim[i] != t->dim[i])
            snprintf(c->why, sizeof c->why,
                     "inferred dimension %d of value '%.100s' as %lld, it is %lld", i, v->name,
                     (long long)f->dim[i], (long long)t->dim[i]);
    if (!c->why[0] && f->parts && !same_parts(f->parts, t))
        snprintf(c->why, sizeof c->why, "inferred other entries for value '%.100s' than it has",
                 v->name);
    if (!c->why[0] && f->value &&
        (!dims_equal(f->value->dim, f->value->rank, t->dim, t->rank) ||
         !same_contents(f->value, t)))
        snprintf(c->why, sizeof c->why, "inferred other contents for value '%.100s' than it has",
                 v->name);
}
