/* The rules every graph keeps. */
#ifndef IR_VERIFY_H
#define IR_VERIFY_H

#include "ir/ir.h"

/* Nodes in topological order, every input defined before it is read (here or in an outer graph),
 * one producer a value, outputs defined, ids dense and unique, origins present. The error names the
 * node or value. */
enum status model_verify(const struct model *m, struct err *e);

#endif
