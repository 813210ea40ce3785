/* Canonical digests: two values with equal digests are the same function of the models' inputs.
 *
 * A value's digest covers its operator, the attributes that differ from the operator's defaults,
 * and its inputs' digests; constants count with dtype, shape and every bit. Names, order of nodes,
 * unused outputs and nodes that do nothing (Identity, inference Dropout, a Cast to the same type)
 * do not count; the operands of commutative operators are ordered. Equal digests of 128 bits are
 * taken as equality. Random operators never equal each other. */
#ifndef PASSES_CANONICAL_H
#define PASSES_CANONICAL_H

#include "ir/ir.h"

struct digest {
    uint64_t a, b;
};

bool digest_equal(struct digest x, struct digest y);

/* Digests of all values of the model by value id (zero where there is none). input_seed[i] stands
 * for input i of the main graph: give matched inputs of two models the same number. `side` tells
 * random nodes of two models apart. Requires ops_bind. */
struct digest *canonical_digests(const struct model *m, const uint64_t *input_seed, uint64_t side,
                                 struct arena *a);

/* Digest of a constant: dtype, shape, bits. */
struct digest tensor_digest(const struct tensor *t);

#endif
