/* Whether shape inference told the truth: what it claims of a value is held against the value
 * computed. */
#ifndef TEST_CONFORMANCE_INFER_CHECK_H
#define TEST_CONFORMANCE_INFER_CHECK_H

#include "exec/exec.h"

struct infer_check {
    const struct fact *facts;
    int n_facts;
    char why[400]; /* the first lie, or "" */
};

void infer_check_tap(void *arg, const struct value *v, const struct tensor *t);

#endif
