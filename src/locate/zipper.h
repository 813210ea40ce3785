/* The zipper: the target is evaluated node by node from the source's values.
 *
 * As soon as a target value is matched, the source's takes its place, so each node shows its own
 * error and not what it inherited. Where values stop matching, a counterpart further on is looked
 * for (a target value t and a source value s such that, once t is s, what follows matches again);
 * the region between is faulty, t is pinned to s, and the zipper goes on. So several faults are
 * found in one pass. */
#ifndef LOCATE_ZIPPER_H
#define LOCATE_ZIPPER_H

#include "align/match.h"

/* A part of the target that computes something else than its counterpart in the source. */
struct region {
    const struct value *target, *source; /* where both sides end */
    struct pair_view view;
    const struct node **nodes; /* target, in order */
    int n_nodes;
    const struct node **source_nodes;
    int n_source_nodes;
    const struct value **inputs; /* linked target values that the region reads */
    int n_inputs;
    const struct node *frontier; /* first node whose result has no counterpart */
    double error, floor, scale;  /* of `target` against `source` */
    bool contract; /* the target's output `output` holds another value than it should */
    int output;
    bool quantized; /* declared quantization explains the error */
    double cut;     /* how far values lay beyond what the integers hold; 0: none did */
    bool lost;      /* no way to go on behind it was found: ends at an output */
};

/* What becomes of a value that is quantized and dequantized again: as computed; cut to what the
 * integers hold but not rounded; left as it is, but cut below at zero where the integers end there;
 * left as it is. */
enum smooth { SMOOTH_NOTHING, SMOOTH_ROUNDING, SMOOTH_ABOVE_ZERO, SMOOTH_ALL };

/* A value taken as given. */
struct override {
    const struct value *value;
    struct tensor *tensor;
};

struct zipper {
    struct alignment al;
    struct arena *arena;
    const struct progress *progress; /* may be NULL */
    struct trace *source, *target;   /* target's environment holds source values where linked */
    struct region *regions;
    int n_regions;
    bool *benign;  /* by target value id: unlinked, but everything it reaches is linked again behind
                      it */
    bool *doubted; /* by target value id: unlinked because its node seemed to do nothing */
    bool *refined; /* by target value id: a dequantized constant that the source has in full */
    int *output_of; /* [target outputs] the source output it stands for, -1 none */
    bool *output_ok;
    const bool *
        stale; /* by target value id: behind an edit, so a link does not stand for it; NULL: none */
    int n_stale;
    const struct override *instead; /* values that replays take as given */
    int n_instead;
    enum smooth smooth;        /* of replays */
    const char **undetermined; /* by target node: why its result could not be judged, or NULL */
};

/* Both traces have been run on corresponding samples; target's environments are overwritten.
 * input_links[i]: for target input i, its source input and view (source NULL: none). */
enum status zipper_run(struct zipper *z, struct trace *source, struct trace *target,
                       const struct link *input_links, const struct compare_options *o,
                       struct arena *a, struct err *e);

/* Views through which target value v may be the source's s, the likeliest first; returns how many
 * (0: not the same number of elements). */
int zipper_views(const struct zipper *z, const struct value *v, const struct value *s,
                 struct pair_view *out, int max);
/* Splits region r at target value v, which stands for source value s through the view: what comes
 * before, what comes behind. */
void zipper_split(struct zipper *z, const struct region *r, const struct value *v,
                  const struct value *s, const struct pair_view *view, struct link *l,
                  struct region *first, struct region *rest);
/* Pins v as l says: its contents are the source's from here on. */
void zipper_pin(struct zipper *z, const struct value *v, const struct link *l);

/* Evaluates target value v from linked values (in sample k), edits in force; a new reference.
 * Linked values stand for themselves, except v. overrides: values to take instead of constants. */
enum status zipper_replay(const struct zipper *z, int k, const struct value *v,
                          const struct override *overrides, int n_overrides, struct tensor **out,
                          struct err *e);

/* Largest difference between what value v comes to and the source value read through the view, over
 * all samples; infinity when it cannot be computed or has another shape than `as`. */
double zipper_error(const struct zipper *z, const struct value *v, const struct value *source,
                    const struct pair_view *view);

/* What rounding of the region's constants may explain of its error: constants that the source does
 * not have, bit for bit, are moved by a few units in the last place of float32. */
double zipper_floor(const struct zipper *z, const struct region *r);

/* Does the rounding that the target declares (8-bit scales, float16 storage) and the source does
 * not explain the region's error? Inputs and weights are moved within a step of their grid; four
 * times the largest effect is allowed. */
bool zipper_quantized(const struct zipper *z, struct region *r);
/* Does any node quantize, or read weights stored in 16 bits? Sub-graphs are looked into. */
bool zipper_narrow(const struct graph *g);

#endif
