/* Inside tflite_lower*.c: what the functions that make operators of IR nodes share. */
#ifndef FORMATS_TFLITE_LOWER_H
#define FORMATS_TFLITE_LOWER_H

#include <string.h>

#include "formats/tflite/tflite_write.h"

typedef enum status lower_fn(struct lowering *l);

/* One family a file: the function that makes operators of the node, NULL when the family has none
 * for it. */
lower_fn *lower_of_spatial(const char *op);
lower_fn *lower_of_shape(const char *op);

/* --- attributes and inputs of the node --- */

static inline int64_t int_attr(const struct node *n, const char *name, int64_t other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->i : other;
}

static inline double float_attr(const struct node *n, const char *name, double other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->f : other;
}

static inline const char *text_attr(const struct node *n, const char *name, const char *other) {
    const struct attr *a = node_attr(n, name);
    return a ? a->s : other;
}

static inline const int64_t *list_attr(const struct node *n, const char *name, int64_t *count) {
    const struct attr *a = node_attr(n, name);
    *count = a ? a->n : 0;
    return a ? a->ints : NULL;
}

static inline const struct value *input_of(const struct node *n, int i) {
    return i < n->n_in ? n->in[i] : NULL;
}

/* Contents of constant input i as integers; false when it is none. */
bool lower_constant_list(const struct lowering *l, int i, const int64_t **v, int64_t *n);

/* --- the operators made --- */

/* Refuses the node for `what` of it. */
enum status lower_refuse(const struct lowering *l, const char *what);
/* The next operator of the node, with room for n_in inputs. */
struct lowered *lower_add(struct lowering *l, enum builtin code, int n_in);

/* A field of its options, and one of type float. */
static inline void field(struct lowered *o, int slot, int width, int64_t v) {
    o->fields[o->n_fields++] = (struct lowered_field) { slot, width, (uint64_t)v };
}

static inline void field_f32(struct lowered *o, int slot, double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    field(o, slot, 4, bits);
}

/* A constant of n integers, int32. */
struct tensor *lower_ints32(struct lowering *l, const int64_t *v, int64_t n, int rank);
/* List input i of the node as TFLite wants it, at `slot`: int32; a constant of another width is
 * made anew. */
enum status lower_list_input(struct lowering *l, struct lowered *o, int slot, int i);
/* An operator of `code` with input 0 and the list that is input 1. */
enum status lower_with_list(struct lowering *l, enum builtin code);
/* Operators that only change the shape, by the shape of the output. */
enum status lower_as_reshape(struct lowering *l);

#endif
