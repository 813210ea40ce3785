#include "match.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool types_match(const struct tensor *have, const struct tensor *want, char *why,
                        size_t size) {
    if (have->dtype != want->dtype) {
        snprintf(why, size, "dtype %s, expected %s", dtype_name(have->dtype),
                 dtype_name(want->dtype));
        return false;
    }
    if (dims_equal(have->dim, have->rank, want->dim, want->rank))
        return true;
    size_t n = (size_t)snprintf(why, size, "shape [");
    for (int side = 0; side < 2; side++) {
        const struct tensor *t = side ? want : have;
        for (int i = 0; i < t->rank && n + 64 < size; i++)
            n += (size_t)snprintf(why + n, size - n, "%s%lld", i ? "," : "", (long long)t->dim[i]);
        n += (size_t)snprintf(why + n, size - n, side ? "]" : "], expected [");
    }
    return false;
}

static bool reals_match(const struct tensor *have, const struct tensor *want, int64_t n,
                        double rtol, double atol, char *why, size_t size) {
    int64_t wrong = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        double h = tensor_f64(have, i), w = tensor_f64(want, i);
        if (dtype_is_float(have->dtype) && have->dtype != DT_F32)
            h = float_round_to(have->dtype, h);
        bool same = h == w || (isnan(h) && isnan(w)) || fabs(h - w) <= atol + rtol * fabs(w);
        if (isinf(w) && h != w)
            same = false;
        if (!same && wrong++ == 0)
            first = i;
    }
    if (wrong)
        snprintf(why, size, "%lld of %lld elements off, first [%lld]: %.9g, expected %.9g",
                 (long long)wrong, (long long)n, (long long)first, tensor_f64(have, first),
                 tensor_f64(want, first));
    return wrong == 0;
}

static bool integers_match(const struct tensor *have, const struct tensor *want, int64_t n,
                           char *why, size_t size) {
    for (int64_t i = 0; i < n; i++) {
        long long h = (long long)tensor_i64(have, i), w = (long long)tensor_i64(want, i);
        if (h != w) {
            snprintf(why, size, "element [%lld]: %lld, expected %lld", (long long)i, h, w);
            return false;
        }
    }
    return true;
}

static bool texts_match(const struct tensor *have, const struct tensor *want, int64_t n, char *why,
                        size_t size) {
    const char *const *h = have->data, *const *w = want->data;
    for (int64_t i = 0; i < n; i++)
        if (strcmp(h[i], w[i]) != 0) {
            snprintf(why, size, "element [%lld]: '%.40s', expected '%.40s'", (long long)i, h[i],
                     w[i]);
            return false;
        }
    return true;
}

static bool contents_match(const struct tensor *have, const struct tensor *want, double rtol,
                           double atol, char *why, size_t size) {
    int64_t n = tensor_count(want);
    switch (dtype_row(want->dtype)->class_) {
    case CLASS_STRING:
        return texts_match(have, want, n, why, size);
    case CLASS_COMPLEX: {
        struct tensor h = *have, w = *want;
        h.store = have->store == DT_C64 ? DT_F32 : DT_F64;
        w.store = want->store == DT_C64 ? DT_F32 : DT_F64;
        h.dtype = w.dtype = DT_F32;
        return reals_match(&h, &w, 2 * n, rtol, atol, why, size);
    }
    case CLASS_FLOAT:
        return reals_match(have, want, n, rtol, atol, why, size);
    default:
        return integers_match(have, want, n, why, size);
    }
}

static bool items_match(const struct tensor *have, const struct tensor *want, double rtol,
                        double atol, bool types_only, char *why, size_t size) {
    if (have->n_items != want->n_items) {
        snprintf(why, size, "%lld elements, expected %lld", (long long)have->n_items,
                 (long long)want->n_items);
        return false;
    }
    for (int64_t i = 0; i < want->n_items; i++)
        if (!tensors_match(have->items[i], want->items[i], rtol, atol, types_only, why, size))
            return false;
    return true;
}

bool tensors_match(const struct tensor *have, const struct tensor *want, double rtol, double atol,
                   bool types_only, char *why, size_t size) {
    if (have->kind != want->kind) {
        snprintf(why, size,
                 "kind %d, expected %d (0 tensor, 1 sequence, 2 optional, 3 map, 4 sparse)",
                 (int)have->kind, (int)want->kind);
        return false;
    }
    if (want->kind != KIND_TENSOR)
        return items_match(have, want, rtol, atol, types_only, why, size);
    if (!types_match(have, want, why, size))
        return false;
    return types_only || contents_match(have, want, rtol, atol, why, size);
}
