/* Against numpy.random.RandomState(0) and (5489). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ops/twister.h"

static void numbers_of_numpy(void **state) {
    (void)state;
    struct twister t;
    twister_start(&t, 0);
    assert_true(twister_uniform(&t) == 0.5488135039273248);
    assert_true(twister_uniform(&t) == 0.7151893663724195);
    for (int i = 2; i < 699; i++)
        twister_uniform(&t);
    assert_true(twister_uniform(&t) == 0.8427768626848423);
    twister_start(&t, 5489);
    assert_true(twister_uniform(&t) == 0.8147236863931789);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(numbers_of_numpy) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
