/* Inputs of a comparison: read from a file or made, for the source and, through the views of the
 * inputs, for the target. */
#ifndef COMPARE_INPUTS_H
#define COMPARE_INPUTS_H

#include "compare/result.h"

struct input_set { /* samples of both models; arrays owned by the set */
    int n;
    struct tensor ***source; /* [n][source graph's inputs], NULL: the model's default */
    struct tensor ***target;
    bool made;
    struct recycler *recycler; /* where the arrays lie, set by the caller; NULL: anywhere */
};

/* How the inputs of two models correspond: by name where the shapes allow, else by place. */
struct input_pairs {
    int n_source, n_target;
    int *of_target;                  /* [n_target] source input, -1 none */
    struct pair_view *view;          /* [n_target] source -> target */
    int64_t (*dim)[MAX_RANK];        /* [n_source] the dims to use: what either model fixes, made-up
                                        numbers elsewhere */
    int64_t (*target_dim)[MAX_RANK]; /* [n_target] */
};

enum status inputs_pair(struct input_pairs *out, struct model *source, struct model *target,
                        const struct compare_options *o, struct arena *a, struct err *e);

/* Axes of equal length leave the layout of an input open: gives every such input the other one
 * (channels moved to the other end, or back). False: there is none. inputs_rederive then makes the
 * target's arrays anew. */
bool inputs_flip(struct input_pairs *p, const struct model *source, const struct model *target);
enum status inputs_rederive(struct input_set *s, struct model *source, struct model *target,
                            const struct input_pairs *p, struct err *e);

/* Which output of the source output i of the target stands for: the one of its name, else, where
 * the counts agree, the one at its place; -1 none. */
int output_partner(const struct graph *source, const struct graph *target, int i);

/* Variants of made inputs: variant = ranges of integers + INPUT_RANGES * spread of floats. 0 is the
 * best guess; another spread scales how far floats go from their mean. */
enum { INPUT_RANGES = 3, INPUT_SPREADS = 3 };

/* Made arrays: seeded; ranges learnt from what reads each input. */
enum status inputs_make(struct input_set *out, struct model *source, struct model *target,
                        const struct input_pairs *p, int samples, uint64_t seed, int variant,
                        struct arena *a, struct err *e);

/* Arrays by the source's input names (or its only input, or the inputs' order when counts agree).
 */
enum status inputs_given(struct input_set *out, struct model *source, struct model *target,
                         const struct input_pairs *p, const struct tensor *const *arrays,
                         struct arena *a, struct err *e);

void inputs_free(struct input_set *s, const struct model *source, const struct model *target);

#endif
