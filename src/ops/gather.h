/* Where indices point: shared by the Gather and Scatter operators. */
#ifndef OPS_GATHER_H
#define OPS_GATHER_H

#include "ops/op.h"

/* GatherElements, ScatterElements: `part` may be smaller than x except on the axis, where it may
 * have any size. */
enum status check_elements(const struct fact *x, const struct fact *part, int axis, struct err *e);
/* Where in x element k of the indices points; `at` is the multi-index of k and moves on. step:
 * dense_steps of x. */
enum status element_target(const struct tensor *x, const struct tensor *indices, int axis,
                           const int64_t *step, int64_t k, int64_t *at, int64_t *out,
                           struct err *e);
/* GatherND, ScatterND: the element of x where tuple t of the indices points, the first `batch`
 * dimensions left out. */
enum status tuple_target(const struct tensor *x, const struct tensor *indices, int batch,
                         const int64_t *step, int64_t t, int64_t *out, struct err *e);

#endif
