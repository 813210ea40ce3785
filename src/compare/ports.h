/* Which inputs and outputs of two models bear the same name.
 *
 * Exporters dress the names of a model's inputs and outputs ("serving_default_image:0" for
 * "image"), and a TensorFlow Lite signature tells what its tensors were called before. */
#ifndef COMPARE_PORTS_H
#define COMPARE_PORTS_H

#include "ir/ir.h"

/* Is input (output) i of graph a known by a name of input (output) k of graph b? */
bool same_input_name(const struct graph *a, int i, const struct graph *b, int k);
bool same_output_name(const struct graph *a, int i, const struct graph *b, int k);

#endif
