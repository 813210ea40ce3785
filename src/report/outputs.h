/* The report of `run`. */
#ifndef REPORT_OUTPUTS_H
#define REPORT_OUTPUTS_H

#include "ir/ir.h"
#include "npz/npz.h"
#include "report/style.h"

struct node_time {
    const struct node *node;
    double seconds;
};

struct run_report {
    struct model *model;
    const char *precision, *inputs_kind;
    int samples;
    uint64_t seed;
    const struct named_tensor *results; /* outputs first, then the other values asked for */
    int n_results, n_outputs;
    const char *written;           /* file, or NULL */
    const struct node_time *times; /* --profile */
    int n_times;
};

const char *run_text(const struct run_report *r, struct arena *a, const struct style *s);
const char *run_json(const struct run_report *r, struct arena *a, const struct style *s);

#endif
