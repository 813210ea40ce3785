/* calque repair SOURCE TARGET -o FIXED */
#include "cli/pair.h"

int verb_repair_run(struct args *a) {
    return run_pair(a, verb_repair);
}
