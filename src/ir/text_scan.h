/* Words, numbers and marks of the text form. */
#ifndef IR_TEXT_SCAN_H
#define IR_TEXT_SCAN_H

#include "base/arena.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct scan {
    const char *begin, *at, *end;
    struct arena *arena;
    struct err *err;
};

/* An error at the place reached: "line 3, column 14: what". */
enum status scan_fail(struct scan *s, enum status code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Blanks and comments ("# ..." up to the end of the line) stand anywhere between. */
bool scan_eat(struct scan *s, const char *mark);
/* The same for a bare word, which must end there. */
bool scan_eat_word(struct scan *s, const char *text);
enum status scan_expect(struct scan *s, const char *mark);
enum status scan_expect_word(struct scan *s, const char *text);
bool scan_at_end(struct scan *s);
/* A bare or quoted word; *length may be NULL (then a NUL character inside is an error). */
enum status scan_word(struct scan *s, const char **text, int64_t *length);
/* Only bare, "" when there is none. */
const char *scan_bare(struct scan *s);
enum status scan_int(struct scan *s, int64_t *v);
/* Unsigned numbers above INT64_MAX are given as their bits. */
enum status scan_element_int(struct scan *s, int64_t *v);
/* *is_double: a "d" stands behind it. *is_int: it has neither point nor exponent nor is it inf or
 * nan. */
enum status scan_real(struct scan *s, double *v, bool *is_double, bool *is_int);

#endif
