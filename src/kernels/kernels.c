#include "kernels/kernels.h"

op_eval_fn *kernel_find(const struct node *n) {
    (void)n;
    return 0;
}
