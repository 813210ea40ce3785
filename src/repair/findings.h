/* What the verbs share: a session's findings read into a result. */
#ifndef REPAIR_FINDINGS_H
#define REPAIR_FINDINGS_H

#include "compare/result.h"
#include "locate/session.h"

struct result *findings_new(struct model *source, struct model *target,
                            const struct compare_options *o, const char *verb);
/* Hunts the cause of every region. */
void findings_faults(struct session *s, struct result *r);
/* Opens, runs and zips the session, and looks for causes. The caller closes the session (when
 * s->arena is set). */
enum status findings_locate(struct session *s, struct model *source, struct model *target,
                            const struct compare_options *o, const char *verb, struct result **out,
                            struct err *e);

#endif
