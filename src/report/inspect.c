/* Gathering what `inspect` shows. */
#include "report/inspect.h"

#include <math.h>

enum status inspect_model(struct model *m, struct arena *a, const struct shape_binding *shapes,
                          int n_shapes, struct inspection *out, struct err *e) {
    *out = (struct inspection) { .model = m, .arena = a };
    ops_bind(m);
    model_facts(m, &out->facts);
    struct fact *facts;
    TRY(model_shapes(m, a, shapes, n_shapes, true, &facts, e));
    out->shapes = facts;
    out->uses = uses_build(m, a);
    model_operators(m, a, facts, &out->operators);
    out->scheme = quantization_scheme(m, a);
    return OK;
}

bool constant_stats(const struct tensor *t, struct constant_stats *out) {
    *out = (struct constant_stats) { .least = INFINITY, .greatest = -INFINITY };
    if (!tensor_is_real(t))
        return false;
    out->count = tensor_count(t);
    double sum = 0;
    for (int64_t i = 0; i < out->count; i++) {
        double v = tensor_f64(t, i);
        if (!isfinite(v)) {
            out->not_finite++;
            continue;
        }
        out->zeros += v == 0;
        out->least = fmin(out->least, v);
        out->greatest = fmax(out->greatest, v);
        sum += v;
    }
    int64_t finite = out->count - out->not_finite;
    out->mean = finite ? sum / (double)finite : NAN;
    if (!finite)
        out->least = out->greatest = NAN;
    return true;
}
