/* Putting the nodes of a graph in an order in which they can be computed. */
#ifndef IR_TOPOSORT_H
#define IR_TOPOSORT_H

#include "ir/ir.h"

/* True when every node stands after the nodes of the graph whose values it, or a graph it holds,
 * reads. Needs right node numbers. */
bool graph_in_order(const struct graph *g);
/* Moves nodes up to just before their first reader, no more than needed; the rest keeps its order.
 * The new list is a new array in the model's arena. A cycle is STATUS_CORRUPT and nothing has
 * changed. */
enum status graph_sort(struct graph *g, struct err *e);

#endif
