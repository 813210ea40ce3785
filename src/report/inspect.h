/* The report of `inspect`. */
#ifndef REPORT_INSPECT_H
#define REPORT_INSPECT_H

#include "base/strbuf.h"
#include "report/facts.h"
#include "report/style.h"

struct inspection {
    struct model *model;
    struct model_facts facts;
    struct operator_list operators;
    const char *scheme;
    const struct fact *shapes; /* by value id */
    struct uses *uses;
    struct arena *arena;
    /* what was asked for besides */
    bool weights, every_shape;
    const char *graph_text; /* NULL: not asked for */
    const char *const *values;
    int n_values;
};

/* Gathers the facts. Bindings as model_shapes has them. */
enum status inspect_model(struct model *m, struct arena *a, const struct shape_binding *shapes,
                          int n_shapes, struct inspection *out, struct err *e);
void inspect_text(const struct inspection *x, const struct style *s, struct strbuf *b);
const char *inspect_json(const struct inspection *x, const struct style *s);

/* The table of all operators that calque can run: per operator its meaning and the formats that
 * have it. */
void operators_text(struct arena *a, const struct style *s, struct strbuf *b);
const char *operators_json(struct arena *a, const struct style *s);

/* A constant's numbers. Not finite ones are counted apart. */
struct constant_stats {
    int64_t count, zeros, not_finite;
    double least, greatest, mean;
};
bool constant_stats(const struct tensor *t, struct constant_stats *out);

#endif
