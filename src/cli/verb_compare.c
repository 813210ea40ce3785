/* calque compare SOURCE TARGET */
#include "cli/pair.h"

static enum status compare_models(struct model *source, struct model *target,
                                  const struct compare_options *o, const char *out,
                                  struct result **result, struct err *e) {
    (void)out;
    return verb_compare(source, target, o, result, e);
}

int verb_compare_run(struct args *a) {
    return run_pair(a, compare_models);
}
