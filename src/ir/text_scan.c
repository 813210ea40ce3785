#include "ir/text_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status scan_fail(struct scan *s, enum status code, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t line = 1;
    const char *begin = s->begin;
    for (const char *c = s->begin; c < s->at; c++)
        if (*c == '\n') {
            line++;
            begin = c + 1;
        }
    err_set(s->err, code, "%s", text);
    err_at(s->err, "line %zu, column %zu", line, (size_t)(s->at - begin) + 1);
    return code;
}

static void skip(struct scan *s) {
    while (s->at < s->end) {
        if (*s->at == '#') {
            const char *line = memchr(s->at, '\n', (size_t)(s->end - s->at));
            s->at = line ? line : s->end;
        } else if (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r') {
            s->at++;
        } else {
            return;
        }
    }
}

static bool bare_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '/' || c == '-' || c == '+' || c == ';';
}

static size_t bare_length(struct scan *s) {
    skip(s);
    const char *p = s->at;
    while (p < s->end && bare_char(*p))
        p++;
    return (size_t)(p - s->at);
}

bool scan_at_end(struct scan *s) {
    skip(s);
    return s->at == s->end;
}

bool scan_eat(struct scan *s, const char *mark) {
    skip(s);
    size_t n = strlen(mark);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, mark, n) != 0)
        return false;
    s->at += n;
    return true;
}

bool scan_eat_word(struct scan *s, const char *text) {
    size_t n = strlen(text);
    if (bare_length(s) != n || memcmp(s->at, text, n) != 0)
        return false;
    s->at += n;
    return true;
}

enum status scan_expect(struct scan *s, const char *mark) {
    return scan_eat(s, mark) ? OK : scan_fail(s, STATUS_CORRUPT, "'%s' must stand here", mark);
}

enum status scan_expect_word(struct scan *s, const char *text) {
    return scan_eat_word(s, text) ? OK : scan_fail(s, STATUS_CORRUPT, "'%s' must stand here", text);
}

const char *scan_bare(struct scan *s) {
    size_t n = bare_length(s);
    const char *text = arena_strn(s->arena, s->at, n);
    s->at += n;
    return text;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character behind a backslash; moves over it. -1: none that is known. */
static int escaped(struct scan *s) {
    if (s->at == s->end)
        return -1;
    char c = *s->at++;
    if (c == 'n')
        return '\n';
    if (c != 'x')
        return c == '"' || c == '\\' ? c : -1;
    if (s->end - s->at < 2 || hex_digit(s->at[0]) < 0 || hex_digit(s->at[1]) < 0)
        return -1;
    s->at += 2;
    return hex_digit(s->at[-2]) * 16 + hex_digit(s->at[-1]);
}

static enum status scan_quoted(struct scan *s, const char **text, int64_t *length) {
    const char *close = s->at;
    while (close < s->end && *close != '"')
        close += *close == '\\' && s->end - close > 1 ? 2 : 1;
    if (close >= s->end)
        return scan_fail(s, STATUS_CORRUPT, "a quoted word does not end");
    char *to = arena_alloc(s->arena, (size_t)(close - s->at) + 1), *begin = to;
    while (s->at < close) {
        int c = (unsigned char)*s->at++;
        if (c == '\\')
            c = escaped(s);
        if (c < 0)
            return scan_fail(s, STATUS_CORRUPT, "an unknown escape in a quoted word");
        if (c == 0 && !length)
            return scan_fail(s, STATUS_CORRUPT, "a NUL character in a name");
        *to++ = (char)c;
    }
    s->at = close + 1;
    *text = begin;
    if (length)
        *length = to - begin;
    return OK;
}

enum status scan_word(struct scan *s, const char **text, int64_t *length) {
    if (scan_eat(s, "\""))
        return scan_quoted(s, text, length);
    *text = scan_bare(s);
    if (length)
        *length = (int64_t)strlen(*text);
    return (*text)[0] ? OK : scan_fail(s, STATUS_CORRUPT, "a word must stand here");
}

/* The characters of a number in `buf`. */
static enum status number_text(struct scan *s, char buf[48]) {
    size_t n = bare_length(s);
    if (n == 0 || n >= 48)
        return scan_fail(s, STATUS_CORRUPT, "a number must stand here");
    memcpy(buf, s->at, n);
    buf[n] = '\0';
    return OK;
}

enum status scan_int(struct scan *s, int64_t *v) {
    char buf[48], *end;
    TRY(number_text(s, buf));
    errno = 0;
    *v = strtoll(buf, &end, 10);
    if (*end || errno)
        return scan_fail(s, STATUS_CORRUPT, "'%s' is no integer of 64 bits", buf);
    s->at += strlen(buf);
    return OK;
}

enum status scan_element_int(struct scan *s, int64_t *v) {
    char buf[48], *end;
    TRY(number_text(s, buf));
    errno = 0;
    *v = buf[0] == '-' ? strtoll(buf, &end, 10) : (int64_t)strtoull(buf, &end, 10);
    if (*end || errno)
        return scan_fail(s, STATUS_CORRUPT, "'%s' is no integer of 64 bits", buf);
    s->at += strlen(buf);
    return OK;
}

enum status scan_real(struct scan *s, double *v, bool *is_double, bool *is_int) {
    char buf[48], *end;
    TRY(number_text(s, buf));
    *is_int = buf[strspn(buf, "+-0123456789")] == '\0';
    *v = strtod(buf, &end);
    *is_double = *end == 'd';
    if (end == buf || strcmp(end, *is_double ? "d" : "") != 0)
        return scan_fail(s, STATUS_CORRUPT, "'%s' is no number", buf);
    s->at += strlen(buf);
    return OK;
}
