/* How far apart two arrays are. */
#ifndef COMPARE_METRICS_H
#define COMPARE_METRICS_H

#include "compare/result.h"

/* Adds arrays of the same shape (source already in the target's layout) to the statistics. Sums run
 * in order of the flat index. Elements that are both NaN, or the same infinity, agree; a NaN or
 * infinity against anything else counts in nan_mismatch and makes max_abs infinite. max_rel is over
 * the source's magnitude, elements below 1e-6 of its largest left out; snr_db and cosine are of all
 * samples together (metrics_finish). */
struct metrics {
    struct error_stats stats;
    double sum_sq_source, sum_sq_target, sum_sq_diff, dot;
    int64_t offset; /* flat index where the next array starts */
};
void metrics_add(struct metrics *m, const struct tensor *source, const struct tensor *target,
                 double atol, double rtol);
void metrics_finish(struct metrics *m);

/* Largest finite magnitude in an array of real numbers; 0 for others. */
double tensor_scale(const struct tensor *t);

/* "f64", "f32", "native". */
const char *precision_name(enum precision p);
const char *verdict_name(enum verdict v);
const char *pair_status_name(enum pair_status s);
const char *matched_by_name(enum matched_by m);

#endif
