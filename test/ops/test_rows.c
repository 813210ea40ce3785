/* The table of operators: every row is whole and no operator has two. */
#include "one_node.h"
#include "ops/tape.h"

static void rows_are_whole(void **state) {
    (void)state;
    for (const struct op *const *o = op_all(); *o; o++) {
        const struct op *op = *o;
        if (!op->domain || !op->spec || !op->spec[0] || !op->shape || !op->eval)
            fail_msg("the row of %s is not whole", op->name);
        if (op->min_in < 0 || (op->max_in >= 0 && op->max_in < op->min_in) ||
            (op->max_out >= 0 && op->max_out < op->min_out))
            fail_msg("%s counts its inputs or outputs wrongly", op->name);
        for (const struct attr_def *a = op->attrs; a && a->name; a++)
            for (const struct attr_def *b = op->attrs; b < a; b++)
                if (strcmp(a->name, b->name) == 0)
                    fail_msg("%s lists attribute %s twice", op->name, a->name);
    }
}

static void rows_are_unique(void **state) {
    (void)state;
    for (const struct op *const *o = op_all(); *o; o++)
        for (const struct op *const *p = op_all(); p < o; p++)
            if (strcmp((*o)->name, (*p)->name) == 0 && strcmp((*o)->domain, (*p)->domain) == 0)
                fail_msg("%s of domain '%s' has two rows", (*o)->name, (*o)->domain);
}

/* What has neither a gradient nor the mark that there is none. */
static void gradients_are_told(void **state) {
    (void)state;
    for (const struct op *const *o = op_all(); *o; o++) {
        bool none = (*o)->flags & OP_NO_GRADIENT, has = op_has_gradient(*o);
        if (strcmp((*o)->domain, "fixed") == 0) /* integer arithmetic */
            continue;
        if (none && has)
            fail_msg("%s has a gradient and is marked not differentiable", (*o)->name);
        if (has + none != 1)
            fail_msg("%s %s has neither a gradient nor the mark OP_NO_GRADIENT", (*o)->domain,
                     (*o)->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),
        cmocka_unit_test(rows_are_unique),
        cmocka_unit_test(gradients_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
