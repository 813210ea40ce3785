/* The tables of operators: nothing is left out without a true reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "formats/format.h"

static const struct format_operator *find(const struct format_operators *all, const char *name) {
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->items[i].name, name) == 0)
            return &all->items[i];
    fail_msg("%s is not in the table", name);
    return NULL;
}

static void every_operator_is_accounted_for(void **state) {
    (void)state;
    const struct format *const *formats = format_all();
    for (int k = 0; formats[k]; k++) {
        struct arena *a = arena_new();
        struct format_operators all = { 0 };
        formats[k]->operators(a, &all);
        assert_true(all.n > 100);
        for (int i = 0; i < all.n; i++) {
            const struct format_operator *o = &all.items[i];
            if (o->refused && (strcmp(o->refused, "it has no reader") == 0 ||
                               strcmp(o->refused, "it has no kernel") == 0))
                fail_msg("%s: %s %s", formats[k]->name, o->name, o->refused);
            assert_true(!o->last || o->last >= o->first);
        }
        arena_free(a);
    }
}

/* Facts of the specifications: ONNX changelog; TFLite schema 3. */
static void sets_and_codes(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct format_operators onnx = { 0 }, tflite = { 0 };
    const struct format *const *formats = format_all();
    for (int k = 0; formats[k]; k++)
        formats[k]->operators(a, strcmp(formats[k]->name, "onnx") == 0 ? &onnx : &tflite);
    assert_int_equal(find(&onnx, "Upsample")->last, 9);
    assert_int_equal(find(&onnx, "Gelu")->first, 20);
    assert_string_equal(find(&onnx, "TreeEnsemble")->domain, "ai.onnx.ml");
    assert_int_equal(find(&tflite, "CONV_2D")->code, 3);
    assert_int_equal(find(&tflite, "STABLEHLO_CASE")->code, 209);
    assert_non_null(find(&tflite, "CUSTOM")->refused);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_operator_is_accounted_for),
                                        cmocka_unit_test(sets_and_codes) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
