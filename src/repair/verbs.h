/* The verbs compare, locate and repair on two models that were read. */
#ifndef REPAIR_VERBS_H
#define REPAIR_VERBS_H

#include "base/status.h"
#include "compare/result.h"

/* A result is made even when the verdict is inconclusive; an error means that nothing could be
 * said. Free with result_free; the models stay the caller's and must outlive the result. */
enum status verb_compare(struct model *source, struct model *target,
                         const struct compare_options *o, struct result **out, struct err *e);
enum status verb_locate(struct model *source, struct model *target, const struct compare_options *o,
                        struct result **out, struct err *e);
/* out_path must name neither input (STATUS_USAGE). Nothing is written when the proof fails. */
enum status verb_repair(struct model *source, struct model *target, const struct compare_options *o,
                        const char *out_path, struct result **out, struct err *e);

#endif
