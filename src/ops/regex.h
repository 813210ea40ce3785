/* Regular expressions of RE2's syntax (https://github.com/google/re2/wiki/Syntax) for whole-text
 * matches, run as a set of states: time is at most length of the text times size of the expression.
 * Not there: Unicode classes
 * (\pN, \p{Greek}) and \C. */
#ifndef OPS_REGEX_H
#define OPS_REGEX_H

#include <stdbool.h>

#include "base/arena.h"

struct regex;

/* CORRUPT when the pattern is not RE2's, UNSUPPORTED for what is not there. Everything lives in
 * `a`. */
enum status regex_compile(struct regex **out, const char *pattern, struct arena *a, struct err *e);
bool regex_full_match(struct regex *r, const char *text);

#endif
