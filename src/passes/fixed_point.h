/* The form for runs in native precision: quantized operators in integer arithmetic.
 *
 * A reader gives a quantized operator as a group of nodes, dequantize - operator - quantize, which
 * is its meaning. This pass puts one node of domain "fixed" (ops/fixed.h) in place of each group.
 * What only moves elements moves the integers as they are. Integer weights on float activations
 * (dynamic range) become such a node as well: see ops/hybrid.h. */
#ifndef PASSES_FIXED_POINT_H
#define PASSES_FIXED_POINT_H

#include "ir/ir.h"

/* Changes every graph of a model that says so (model->fixed_point); others stay as they are.
 * STATUS_UNSUPPORTED names the operator that has no integer kernel. */
enum status fixed_point(struct model *m, struct err *e);

/* Operators that give elements of an input elsewhere; the reference copies the integers
 * whatever the scales say. */
bool moves_elements(const struct node *n);

#endif
