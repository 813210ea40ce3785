/* What compare, locate and repair find, in plain structs: made by src/locate and src/repair,
 * printed by src/report. The names are those of CLI.md's JSON. Everything lives in result.arena. */
#ifndef COMPARE_RESULT_H
#define COMPARE_RESULT_H

#include "base/progress.h"
#include "ir/ir.h"
#include "ir/patch.h"
#include "ops/op.h"

enum verdict {
    VERDICT_PROVED,
    VERDICT_SAME,
    VERDICT_QUANTIZED,
    VERDICT_DIFFERENT,
    VERDICT_INCONCLUSIVE
};

enum matched_by { MATCHED_WEIGHTS, MATCHED_VALUE, MATCHED_TOPOLOGY, MATCHED_NAME };

enum pair_status {
    PAIR_SAME,
    PAIR_DIFFERENT,   /* its own node errs */
    PAIR_INHERITED,   /* differs only because an earlier value does */
    PAIR_QUANTIZED,   /* differs as the declared storage type and scales explain */
    PAIR_UNDETERMINED /* not exercised or not computable: never counts as equal */
};

/* How the target's layout maps onto the source's: the source reshaped to `from`, its axes permuted,
 * then reshaped to the target's shape. */
struct pair_view {
    bool identity;
    int n_from;
    int64_t from[MAX_RANK];
    int n_permute;         /* 0: reshape only */
    int permute[MAX_RANK]; /* axis k of the target is axis permute[k] of `from` */
    bool elements;         /* the elements correspond one to one in no simple order */
};

struct error_stats { /* source and target values of a pair, over all samples */
    double max_abs, max_rel, rmse, cosine, snr_db;
    int64_t elements, off, nan_mismatch;
    int64_t worst; /* flat index in the target's layout */
    double worst_source, worst_target;
};

struct pair {
    const struct value *source, *target;
    const struct node *node; /* target node, NULL for inputs */
    struct pair_view view;
    enum matched_by matched_by;
    enum pair_status status;
    struct error_stats
        whole;          /* as the two models compute it from the inputs; elements 0: not computed */
    double own_error;   /* largest absolute difference when fed the source's values; NaN unknown */
    double noise_floor; /* what rounding of weights may explain of own_error; with a precision
                           asked for, at least what that precision does to the value */
    bool is_output;
    const char *not_exercised; /* NULL, or "constant", "all zero", "saturated" */
};

struct fault_detail {
    const char *parameter, *source, *target; /* texts: "[0,0,1,1]" */
};

struct fault_rival {
    const char *cause;
    double error_after_fix;
};

struct fault {
    int id;
    const struct node *node;   /* target node that is wrong; NULL when the model's contract is */
    const struct node **nodes; /* the whole region in the target */
    int n_nodes;
    const struct value *output; /* target value where the region ends */
    const struct node *source_node;
    const struct value *source_output;
    const char *cause;      /* "pad-side", ... "weights", "structure", "unknown" */
    const char *title;      /* one line for people: what is wrong, in plain words */
    const char *confidence; /* "proved", "replayed", "suspected" */
    struct fault_detail *details;
    int n_details;
    double own_error, noise_floor, error_after_fix; /* error_after_fix NaN when there is no fix */
    struct fault_rival *rivals;
    int n_rivals;
    struct patch *repair; /* edits of the target that undo it, or NULL */
    struct patch *
        *others; /* other edits with the same result, for a format that cannot express these */
    int n_others;
};

struct result {
    struct arena *arena;
    const char *verb;
    struct model *source, *target;
    const char *inputs_kind; /* "made" or "given" */
    int samples;
    uint64_t seed;
    enum precision precision; /* of the figures of the pairs */
    enum verdict verdict;
    const char *why;    /* one sentence behind the verdict; never NULL for inconclusive */
    struct pair *pairs; /* in the target's execution order; inputs and outputs included */
    int n_pairs;
    const struct value **unmatched_source, **unmatched_target;
    int n_unmatched_source, n_unmatched_target;
    double coverage_target_nodes, coverage_source_nodes, coverage_exercised;
    struct fault *faults;
    int n_faults;
    const char **warnings;
    int n_warnings;
    /* repair */
    const char *written; /* file, NULL when nothing was written */
    int tensors_changed, nodes_changed, nodes_untouched;
    const char *proof_method;   /* "canonical", "tested", NULL: none */
    enum verdict proof_verdict; /* of the repaired file against the source */
    int proof_samples;
    double proof_max_abs;
};

/* What the verbs take. */
struct shape_binding { /* --input-shape name:1,3,224,224 */
    const char *name;
    int rank;
    int64_t dim[MAX_RANK];
};
struct tolerance { /* --atol/--rtol X or name:X; name NULL: all outputs; negative: not given */
    const char *name;
    double atol, rtol;
};
struct map_hint { /* --map source=target */
    const char *source, *target;
};
struct compare_options {
    const char *inputs; /* .npz or test_data_set folder, NULL: made */
    int samples;        /* of made inputs */
    uint64_t seed;
    const struct shape_binding *shapes;
    int n_shapes;
    const struct tolerance *tolerances;
    int n_tolerances;
    const struct map_hint *map;
    int n_map;
    struct pool *pool;
    double timeout;                  /* seconds, 0 none */
    enum precision precision;        /* of the figures shown; verdicts are found in float64 */
    const struct progress *progress; /* may be NULL */
};

void result_free(struct result *r);

#endif
