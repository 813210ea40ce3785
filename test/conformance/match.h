/* How a computed array is held against a stored one. */
#ifndef CONFORMANCE_MATCH_H
#define CONFORMANCE_MATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "tensor/tensor.h"

/* False, with the first difference in words, when `have` is not `want`: kind, dtype and shape
 * exactly; integers, booleans and texts exactly; floats within rtol |want| + atol, NaN equal to
 * NaN, infinities to themselves. With `types_only` contents do not matter. */
bool tensors_match(const struct tensor *have, const struct tensor *want, double rtol, double atol,
                   bool types_only, char *why, size_t size);

#endif
