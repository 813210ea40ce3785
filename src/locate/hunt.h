/* Looking for the cause of one region: candidate edits are replayed; the edit that brings the error
 * to zero is the diagnosis and the repair. Generators (hunt_*.c) propose, hunt.c replays and
 * chooses. */
#ifndef LOCATE_HUNT_H
#define LOCATE_HUNT_H

#include "ir/patch.h"
#include "locate/zipper.h"

struct candidate {
    const char *cause;
    const char *title;
    struct patch *patch;
    const struct value
        *result;             /* value that then stands for the region's; NULL: the region's own */
    const struct node *node; /* the node at fault */
    const struct node *source_node;
    struct fault_detail *details;
    int n_details;
    int rank; /* lower is tried first and wins among equals */
    const struct candidate
        *parts; /* NULL, or the edits that this one combines: each is a fault of its own */
    int n_parts;
    bool refits;  /* computes new constants: float32 rounding of them is allowed for */
    double error; /* after the edit; infinity when it cannot be applied */
};

struct hunt {
    const struct zipper *z;
    const struct region *r;
    struct arena *arena;
    struct model *target;
    const struct override *instead; /* values taken when candidates are replayed */
    int n_instead;
    struct candidate *list;
    int n;
    bool solved; /* a candidate of the last generator brought the error below what is accepted */
};

/* Adds a candidate with no details yet, replays it at once, and gives it back (for details). */
struct candidate *hunt_add(struct hunt *h, const char *cause, const struct node *node,
                           const struct node *source_node, struct patch *p, int rank);
void candidate_detail(struct hunt *h, struct candidate *c, const char *parameter,
                      const char *source, const char *target);
/* Error that counts as none. */
double hunt_accepts(const struct hunt *h, const struct candidate *c);

/* Generators, plainest first. */
void hunt_attributes(struct hunt *h);
void hunt_constants(struct hunt *h);
void hunt_stored(struct hunt *h);
void hunt_graph(struct hunt *h);
void hunt_scales(struct hunt *h);
void hunt_enumerated(struct hunt *h);
void hunt_pairs(struct hunt *h);
void hunt_gathers(struct hunt *h);
void hunt_graft(struct hunt *h);
/* For regions of the outputs' contract. */
void hunt_contract(struct hunt *h);

/* Generators of one edit, and of those that go together or that are tried out; plainest first, each
 * group until the region is solved. */
void hunt_singles(struct hunt *h);
void hunt_doubles(struct hunt *h);
/* The faults that the accepted candidate of lowest rank stands for; 0: none is accepted. */
int hunt_report(struct hunt *h, struct fault *out, int max);
/* Several faults in one region: it is cut at a value between them and each side is hunted apart.
 * Returns how many faults that gave, 0 when no cut explains all of it. */
int hunt_split(struct zipper *z, const struct region *r, struct fault *out, int max,
               struct arena *a);

/* Do both sides spell out one formula, in another form? Its nodes are no faults of their own. */
bool region_is_formula(const struct hunt *h);

/* Runs the generators until one explains the region; fills faults (at least one, at most `max`) and
 * returns how many. */
int hunt_run(struct zipper *z, const struct region *r, struct fault *out, int max, struct arena *a);

/* Source value s as nodes of the target, added to the patch before `before`: its producers are
 * copied back to values that the target has. NULL when that cannot be done. */
struct value *graft_value(struct hunt *h, struct patch *p, struct node *before,
                          const struct value *s);
/* A new constant of the target with the contents of a source's; NULL when it holds no numbers. */
struct value *graft_constant(struct hunt *h, struct patch *p, const struct value *s);
/* The target's value that holds source value s, as it lies there: with its view. NULL: none before
 * `before`. */
struct value *target_of(const struct hunt *h, const struct node *before, const struct value *s,
                        struct pair_view *view);
/* The operator-based name of a node that is there on one side only. */
const char *name_operator(const struct hunt *h, const struct node *n, const struct value *at,
                          bool missing);

/* A copy of a source's attribute that lives in arena m. Graphs and types are not copied:
 * attr_copyable says which are. */
struct attr attr_copy(const struct attr *a, struct arena *m);
bool attr_copyable(const struct attr *a);
/* Sorts pointers to candidates by error. */
int candidate_closer(const void *a, const void *b);

/* Texts of values for details. */
const char *attr_text(const struct attr *a, struct arena *arena);
const char *tensor_text(const struct tensor *t, struct arena *arena);

/* Names a difference of constants by where it stands and how the numbers relate. */
const char *name_constant(const struct hunt *h, const struct node *n, int input,
                          const struct tensor *target, const struct tensor *source,
                          const struct node *source_node);
/* Names a difference of attributes. */
const char *name_attribute(const struct node *n, const char *attr);
/* Is v computed from a model input by operators that only prepare it? */
bool near_input(const struct hunt *h, const struct value *v);

#endif
