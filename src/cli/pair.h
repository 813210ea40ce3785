/* The verbs on two models. */
#ifndef CLI_PAIR_H
#define CLI_PAIR_H

#include "cli/verb.h"
#include "repair/verbs.h"

typedef enum status pair_verb(struct model *source, struct model *target,
                              const struct compare_options *o, const char *out,
                              struct result **result, struct err *e);

/* Opens both models, calls the verb, gives the report; returns the exit code. */
int run_pair(struct args *a, pair_verb *verb);

#endif
