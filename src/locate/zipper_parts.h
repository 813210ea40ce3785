/* What the parts of the zipper (zipper.c, region.c, resynchronise.c) share. */
#ifndef LOCATE_ZIPPER_PARTS_H
#define LOCATE_ZIPPER_PARTS_H

#include "locate/zipper.h"

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

#endif
