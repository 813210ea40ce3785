#include "base/status.h"

#include <stdio.h>
#include <string.h>

enum status err_set(struct err *e, enum status code, const char *fmt, ...) {
    if (!e)
        return code;
    e->code = code;
    e->where[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->what, sizeof e->what, fmt, ap);
    va_end(ap);
    return code;
}

enum status err_at(struct err *e, const char *fmt, ...) {
    if (!e)
        return STATUS_BUG;
    char old[sizeof e->where];
    memcpy(old, e->where, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->where, sizeof e->where, fmt, ap);
    va_end(ap);
    if (n >= 0 && old[0] && (size_t)n + 3 < sizeof e->where)
        snprintf(e->where + n, sizeof e->where - (size_t)n, ": %s", old);
    return e->code;
}

const char *status_name(enum status s) {
    static const char *const names[] = { "ok",       "io",    "corrupt", "unsupported",
                                         "mismatch", "usage", "bug" };
    return (unsigned)s < sizeof names / sizeof *names ? names[s] : "bug";
}
