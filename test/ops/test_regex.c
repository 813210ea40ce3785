/* Whole-text matches. Expected values: RE2's syntax page, and Python's re where the two agree. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "ops/regex.h"

static const struct {
    const char *pattern, *text;
    bool match;
} cases[] = {
    { "", "", true },
    { "a|b|", "", true },
    { "(a*)*", "aaaa", true },
    { "(a|ab)(c|bcd)(d*)", "abcd", true },
    { "a{2,3}", "a", false },
    { "a{2,3}", "aaa", true },
    { "a{,3}", "a{,3}", true },
    { "x{2}{3}", "", false },
    { "[^a-c\\d]+", "xyz", true },
    { "[^a-c\\d]+", "xy1", false },
    { "[]a]+", "a]a", true },
    { "[[:alpha:]_]+\\.[[:^digit:]]", "ab_.x", true },
    { "\\w+@\\w+\\.com", "me@there.com", true },
    { "(?i)straSSe|k", "STRASSE", true },
    { "(?i)k", "\xe2\x84\xaa", true },
    { "(?i:a)b", "AB", false },
    { ".", "\n", false },
    { "(?s).", "\n", true },
    { ".", "\xc3\xa9", true },
    { "^ab$", "ab", true },
    { "a^b", "ab", false },
    { "(?m)a$\\n^b", "a\nb", true },
    { "\\bfoo\\b bar\\B.", "foo barx", true },
    { "\\x41\\x{e9}\\101\\Q.*\\E",
      "A\xc3\xa9"
      "A.*",
      true },
    { "(?P<name>a+?)b", "aab", true },
    { "(((a{30}){30}){30})", "a", false },
};

static const struct {
    const char *pattern;
    enum status status;
} refused[] = {
    { "(", STATUS_CORRUPT },        { ")", STATUS_CORRUPT },
    { "*a", STATUS_CORRUPT },       { "a**", STATUS_CORRUPT },
    { "[b-a]", STATUS_CORRUPT },    { "(?=a)", STATUS_CORRUPT },
    { "\\1", STATUS_CORRUPT },      { "a{1001}", STATUS_CORRUPT },
    { "[a", STATUS_CORRUPT },       { "\\", STATUS_CORRUPT },
    { "\\pL", STATUS_UNSUPPORTED }, { "((((a{99}){99}){99}){99})", STATUS_UNSUPPORTED },
};

static void matches(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        struct err e = { 0 };
        struct regex *r = NULL;
        enum status s = regex_compile(&r, cases[i].pattern, a, &e);
        if (s == OK && regex_full_match(r, cases[i].text) != cases[i].match)
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].text);
        if (s != OK && cases[i].match)
            fail_msg("'%s': %s", cases[i].pattern, e.what);
        arena_free(a);
    }
}

static void refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct arena *a = arena_new();
        struct err e = { 0 };
        struct regex *r = NULL;
        if (regex_compile(&r, refused[i].pattern, a, &e) != refused[i].status)
            fail_msg("'%s' is not refused as it should be: %s", refused[i].pattern, e.what);
        arena_free(a);
    }
}

static void nothing_repeated_ends(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct err e = { 0 };
    struct regex *r = NULL;
    assert_int_equal(regex_compile(&r, "((((){1000}){1000}){1000}){1000}", a, &e), OK);
    assert_true(regex_full_match(r, ""));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(refusals),
        cmocka_unit_test(nothing_repeated_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
