#include "compare/metrics.h"

#include <math.h>
#include <string.h>

double tensor_scale(const struct tensor *t) {
    if (!tensor_is_real(t))
        return 0;
    double scale = 0;
    int64_t n = tensor_count(t);
    tensor_touch(t);
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(tensor_f64(t, i));
        if (v > scale && v < HUGE_VAL)
            scale = v;
    }
    return scale;
}

static void add_strings(struct metrics *m, const struct tensor *source,
                        const struct tensor *target) {
    const char *const *a = source->data, *const *b = target->data;
    for (int64_t i = 0; i < tensor_count(target); i++) {
        m->stats.elements++;
        if (strcmp(a[i], b[i]) != 0) {
            if (!m->stats.off++)
                m->stats.worst = m->offset + i;
            m->stats.max_abs = INFINITY;
        }
    }
}

static void worst(struct metrics *m, double d, double x, double y, int64_t i) {
    if (d <= m->stats.max_abs && m->stats.elements > 1)
        return;
    m->stats.max_abs = d;
    m->stats.worst = m->offset + i;
    m->stats.worst_source = x;
    m->stats.worst_target = y;
}

void metrics_add(struct metrics *m, const struct tensor *source, const struct tensor *target,
                 double atol, double rtol) {
    int64_t n = tensor_count(target);
    tensor_touch(source);
    tensor_touch(target);
    enum dtype_class cs = dtype_row(source->store)->class_, ct = dtype_row(target->store)->class_;
    if (cs == CLASS_STRING && ct == CLASS_STRING) {
        add_strings(m, source, target);
        m->offset += n;
        return;
    }
    struct tensor a = *source, b = *target;
    if (cs == CLASS_COMPLEX && ct == CLASS_COMPLEX) { /* pairs of reals */
        a.store = source->store == DT_C64 ? DT_F32 : DT_F64;
        b.store = target->store == DT_C64 ? DT_F32 : DT_F64;
        n *= 2;
    }
    double small = 1e-6 * tensor_scale(&a);
    for (int64_t i = 0; i < n; i++) {
        double x = tensor_f64(&a, i), y = tensor_f64(&b, i);
        m->stats.elements++;
        if (x == y || (x != x && y != y)) {
            if (x == x && fabs(x) < HUGE_VAL) {
                m->sum_sq_source += x * x;
                m->sum_sq_target += y * y;
                m->dot += x * y;
            }
            continue;
        }
        double d = fabs(x - y);
        if (d != d || d > 1e300) {
            m->stats.nan_mismatch++;
            m->stats.off++;
            worst(m, INFINITY, x, y, i);
            continue;
        }
        m->sum_sq_source += x * x;
        m->sum_sq_target += y * y;
        m->sum_sq_diff += d * d;
        m->dot += x * y;
        if (d > atol + rtol * fabs(x))
            m->stats.off++;
        if (fabs(x) > small && d / fabs(x) > m->stats.max_rel)
            m->stats.max_rel = d / fabs(x);
        worst(m, d, x, y, i);
    }
    m->offset += tensor_count(target);
}

void metrics_finish(struct metrics *m) {
    struct error_stats *s = &m->stats;
    double n = s->elements ? (double)s->elements : 1;
    s->rmse = sqrt(m->sum_sq_diff / n);
    double norm = sqrt(m->sum_sq_source) * sqrt(m->sum_sq_target);
    s->cosine = norm > 0 ? m->dot / norm : m->sum_sq_source == m->sum_sq_target ? 1 : 0;
    s->snr_db = m->sum_sq_diff > 0 ? 10 * log10(m->sum_sq_source / m->sum_sq_diff) : INFINITY;
}

const char *precision_name(enum precision p) {
    static const char *const names[] = { "f64", "f32", "native" };
    return names[p];
}

const char *verdict_name(enum verdict v) {
    static const char *const names[] = { "proved", "same", "quantized", "different",
                                         "inconclusive" };
    return names[v];
}

const char *pair_status_name(enum pair_status s) {
    static const char *const names[] = { "same", "different", "inherited", "quantized",
                                         "undetermined" };
    return names[s];
}

const char *matched_by_name(enum matched_by m) {
    static const char *const names[] = { "weights", "value", "topology", "name" };
    return names[m];
}
