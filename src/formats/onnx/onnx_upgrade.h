/* What the rewrites of older operator versions share. A rewrite changes the node in place and may
 * append nodes before it; when it appends the node itself (because nodes follow it) it says so in
 * `emitted`. */
#ifndef FORMATS_ONNX_ONNX_UPGRADE_H
#define FORMATS_ONNX_ONNX_UPGRADE_H

#include <limits.h>

#include "formats/onnx/onnx.h"

struct upgrade {
    struct onnx_reader *r;
    struct node *n;
    bool emitted;
    int n_made; /* values made so far, for their names */
};

typedef enum status upgrade_fn(struct upgrade *u);

/* A rewrite of nodes whose operator-set version is below `below`. Rows of one operator are in
 * ascending order. */
enum { EVERY_VERSION = INT_MAX };

struct upgrade_row {
    const char *op;
    int below;
    upgrade_fn *fn;
    const char *domain; /* NULL: ai.onnx */
};

extern const struct upgrade_row onnx_upgrades[]; /* ends with a NULL op */

/* Appends a node to its graph. */
void upgrade_emit(struct upgrade *u, struct node *n);
/* Appends a new node of the same origin. Its outputs are new values. */
struct node *upgrade_add(struct upgrade *u, const char *op, int n_in, int n_out);
/* The same, with inputs a and b (b may be NULL for one input) and one output, which is given. */
struct value *upgrade_apply(struct upgrade *u, const char *op, struct value *a, struct value *b);
/* A value without a name in the file. */
struct value *upgrade_value(struct upgrade *u, const char *stem);
/* Input i of the node becomes v; inputs in between are left out. */
void upgrade_set_input(struct upgrade *u, int i, struct value *v);
/* A constant that the file states as an attribute (origin.op "attribute", origin.name its name). */
struct value *upgrade_constant(struct upgrade *u, const char *attribute, struct tensor *t);
struct value *upgrade_ints(struct upgrade *u, const char *attribute, const int64_t *v, int64_t n);
struct value *upgrade_scalar(struct upgrade *u, const char *attribute, double v, enum dtype dtype);
/* A list of integers that only the newest form needs (origin.op "upgrade"). */
struct value *upgrade_helper(struct upgrade *u, const int64_t *v, int64_t n);
/* Keeps the first `kept` outputs. Reading one of the others is refused. */
void upgrade_drop_outputs(struct upgrade *u, int kept);
/* Attribute `name` (a list of integers) becomes input i; absent: the input stays left out. */
void upgrade_ints_to_input(struct upgrade *u, const char *name, int i);
/* Element type of a value as far as the file says, else float32. */
enum dtype upgrade_float_type(const struct value *v);
int64_t upgrade_int(const struct upgrade *u, const char *name, int64_t otherwise);
/* Rank of a value as the file states it or as its producers make plain; -1 unknown. */
int upgrade_rank(const struct value *v);

#endif
