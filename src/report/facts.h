/* Facts of a model that reports show: sizes, operators, cost. */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include "compare/result.h"
#include "ir/ir.h"
#include "ops/op.h"

struct model_facts {
    int64_t bytes;           /* of the file and its external data */
    int64_t nodes;           /* operators of the file, sub-graphs and function bodies included */
    int64_t parameters;      /* elements of the constants that carry weights */
    int64_t parameter_bytes; /* as stored */
};

/* Weights are floating-point constants and integer constants that a scale belongs to; constants
 * that share their bytes are counted once. Axes, shapes and indices are not parameters. */
void model_facts(struct model *m, struct model_facts *out);
bool is_parameter(const struct value *v, const struct uses *u);

/* One operator of the file. */
struct operator_facts {
    const char *op, *domain; /* as the file calls it */
    int64_t count;
    int64_t runs;         /* how many of them calque can run */
    const char *why_not;  /* the first that it cannot */
    double macs;          /* multiply-accumulate operations of those whose shapes are known */
    int64_t unknown_cost; /* how many have a cost that unknown shapes hide */
};

struct operator_list {
    struct operator_facts *items;
    int n;
    double macs;
    int64_t unknown_cost;
};

/* The operators of all graphs in the order of their first occurrence. facts: of exec_infer. */
void model_operators(struct model *m, struct arena *a, const struct fact *facts,
                     struct operator_list *out);

/* "float32", "dynamic range (int8 weights)", "int8", "float16 weights": how the file stores its
 * numbers. */
const char *quantization_scheme(struct model *m, struct arena *a);

/* Shapes of every value with the inputs bound; free dimensions in front (the batch) are taken as 1
 * when `batch_one`. A name that is no input, or a shape that contradicts the model, is
 * STATUS_USAGE. */
enum status model_shapes(struct model *m, struct arena *a, const struct shape_binding *shapes,
                         int n, bool batch_one, struct fact **out, struct err *e);

/* "1x3x224x224", "Nx3x?", "scalar", "?" when the rank is unknown. */
const char *shape_text(const struct model *m, struct arena *a, const int64_t *dim, int rank);
/* Multiply-accumulate operations of one node: 0 when it has none, -1 when its shapes are unknown.
 */
double node_macs(const struct node *n, const struct fact *facts);

#endif
