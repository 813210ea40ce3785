/* A model whose inputs and outputs are quantized integers, seen from outside as a function of real
 * numbers: a QuantizeLinear before such inputs, a DequantizeLinear behind such outputs, with the
 * scale and zero point that the file declares for them. So it can be compared with a model that
 * takes and gives floats. */
#ifndef PASSES_REAL_CONTRACT_H
#define PASSES_REAL_CONTRACT_H

#include "ir/ir.h"

/* What takes the change back. */
struct contract {
    struct model *model; /* NULL: nothing was changed */
    struct node **nodes;
    int n_nodes, n_values;
    struct value **inputs, **outputs;
};

/* Integers of 8 or 16 bits with one declared scale for all elements. */
bool contract_quantized(const struct value *v);

/* Changes the main graph's inputs i with inputs[i] and outputs i with outputs[i], all of which must
 * be contract_quantized. The real values bear the names of those that they stand before or behind.
 * The nodes have to be bound anew. */
void contract_make_real(struct contract *c, struct model *m, const bool *inputs,
                        const bool *outputs);
/* The model as it was. */
void contract_restore(struct contract *c);

#endif
