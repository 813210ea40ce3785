/* What the parts of the zipper (zipper.c, region.c, resynchronise.c) share. */
#ifndef LOCATE_ZIPPER_PARTS_H
#define LOCATE_ZIPPER_PARTS_H

#include "locate/zipper.h"
#include "ops/random.h"

/* Some may be NULL, as inputs may. */
struct reads {
    const struct value **v;
    int n;
};
/* What n reads of its graph's values: its inputs, and what the graphs it holds take from around
 * them. */
struct reads node_reads(const struct node *n, struct arena *a);

bool zipper_linked(const struct zipper *z, const struct value *v);
bool zipper_dynamic(const struct zipper *z, const struct value *v);
/* The source's contents, in the target's layout, take the target value's place in every sample. */
void zipper_take_over(struct zipper *z, const struct value *t, const struct link *l);
/* Runs a target node on every sample. */
bool zipper_evaluate(struct zipper *z, const struct node *n, struct err *e);
/* Evaluates nodes from `first` on and links what matches. Nodes whose outputs are all linked
 * already keep them. */
void zipper_zip(struct zipper *z, int first);
/* By target value id: unlinked, dynamic, and on a way to an output with no linked value between. */
bool *zipper_open(const struct zipper *z);
/* Finds where the models meet again behind the first divergence. False: nothing is left open. */
bool zipper_resynchronise(struct zipper *z);

/* Trials look at fewer samples; the rest follows when a pair is chosen. */
void zipper_look_at(struct zipper *z, int samples);

/* Fills the nodes, inputs and frontier of a region whose ends are given. */
void region_fill(const struct zipper *z, struct region *r);
/* Views of linked values before t, the nearest first. */
int region_hints(const struct zipper *z, const struct value *t, struct pair_view *out, int max);

/* The region's error when what it quantizes with scales of its own making is left as it is;
 * infinity when it does not. */
double zipper_unrounded_error(const struct zipper *z, const struct region *r);

/* May t stand for s through this view? Their operators' layouts say so; true when they say nothing.
 */
bool zipper_natural(const struct zipper *z, const struct value *t, const struct value *s,
                    const struct pair_view *view);
/* Does the target's output stand for that output of the source? */
bool zipper_is_partner(const struct zipper *z, const struct value *output,
                       const struct value *source);
/* May an output show its partner through this view? Where the shapes are the same, whoever reads
 * the output cannot know of another order of the axes; a move of the channels between two formats
 * apart. True for every other pair. */
bool zipper_presents(const struct zipper *z, const struct value *t, const struct value *s,
                     const struct pair_view *view);

enum { MOST_CONSTANTS = 64 }; /* that are moved at a time */

/* A copy in which each element moves by up to `step` (up: to larger values only), or with step 0 by
 * two units in the last place of its storage type (of the larger of itself and, in vectors, a
 * quarter of the tensor's largest: sums like b - mean * scale lose what their terms had). NULL: not
 * made of real numbers. Free it. */
struct tensor *replay_moved(const struct tensor *t, double step, bool up, struct random *r);
/* Moves of the region's float constants that the source does not have bit for bit; returns how
 * many, at most MOST_CONSTANTS. *arrays: some are more than one number. */
int replay_move_constants(const struct zipper *z, const struct region *r, bool up,
                          struct override *moves, bool *arrays);
void replay_free(struct override *moves, int n);
/* Largest change of the region's end in sample k when the moves are made; infinite when it cannot
 * be computed. */
double replay_effect(const struct zipper *z, const struct region *r, int k,
                     const struct override *moves, int n);

/* v = DequantizeLinear(QuantizeLinear(before)) by constants, one scale for all; nodes between that
 * commute with quantizing are seen through. */
struct trip {
    const struct value *before;
    struct node *quantize;
    bool moved;                /* there are such nodes */
    double low, high, step;    /* what the integers hold */
    const struct value *scale; /* DynamicQuantizeLinear: the step, as computed; NULL: constant */
};
/* The step in sample k. */
double trip_step(const struct zipper *z, const struct trip *t, int k);
bool trip_of(const struct value *v, struct trip *out);
/* Is n the quantizer of a trip, by constants? Fills before, quantize and what the integers hold. */
bool trip_begins(struct node *n, struct trip *out);
/* x, or the nearest number to it that the integers hold but for rounding. */
double trip_held(const struct trip *t, double x);
/* The steps of a DequantizeLinear's result, one scale for all or one a channel. */
struct grid {
    const struct tensor *integers, *scale; /* integers: NULL when they are computed */
    int64_t inner, channels;               /* elements behind the axis, length of the axis */
};
bool grid_of(const struct node *dq, const struct tensor *result, struct grid *g);
/* Which of the scales element i (flat index) has, and its step. */
int64_t channel_at(const struct grid *g, int64_t i);
double step_at(const struct grid *g, int64_t i);
/* Does the operator give on quantized integers what it gives on the real numbers? */
bool zipper_commutes(const struct node *n);
/* Does the target quantize in the region where the source does not? */
bool region_narrows(const struct region *r);
/* Is t made of 16-bit floats? */
bool narrow_float(const struct tensor *t);
/* Does the node widen a constant that the target stores in integers or in 16-bit floats? */
bool zipper_widens(const struct zipper *z, const struct node *n);
/* Gives widened constants of the target the source's numbers where the declared steps explain
 * all that sets them apart. */
void zipper_refine(struct zipper *z);
/* v holds what a linked value came to after it was quantized and dequantized again, and is as near
 * to it as the declared scale says: what the integers cannot hold is cut off. Its counterpart is
 * the same. */
bool zipper_round_trip(const struct zipper *z, const struct value *v, struct link *l);
/* The counterpart of a value computed from quantized weights (clean: and from linked values), or
 * from what went through integers on its way: farther off than rounding allows, but no farther than
 * the steps explain. */
bool zipper_coarse_match(const struct zipper *z, const struct value *v, bool clean, struct link *l);

#endif
