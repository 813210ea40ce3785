/* calque locate SOURCE TARGET */
#include "cli/pair.h"

static enum status locate_models(struct model *source, struct model *target,
                                 const struct compare_options *o, const char *out,
                                 struct result **result, struct err *e) {
    (void)out;
    return verb_locate(source, target, o, result, e);
}

int verb_locate_run(struct args *a) {
    return run_pair(a, locate_models);
}
