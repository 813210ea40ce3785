#define _POSIX_C_SOURCE 200809L
/* The progress line: on a terminal's standard error, one line that rewrites itself and is gone
 * before the report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verb.h"

enum { PATIENCE_MS = 400, BETWEEN_MS = 100, LINE = 78 };

static struct {
    double shown; /* when the line was last drawn, seconds since the start */
    bool drawn;
} line;

static void draw(void *arg, const char *stage, int64_t done, int64_t total) {
    (void)arg;
    double now = elapsed();
    if (now < PATIENCE_MS * 1e-3 || (line.drawn && now - line.shown < BETWEEN_MS * 1e-3))
        return;
    char text[LINE + 1];
    if (total > 1)
        snprintf(text, sizeof text, "%s: %lld of %lld", stage, (long long)done, (long long)total);
    else
        snprintf(text, sizeof text, "%s", stage);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    line.drawn = true;
    line.shown = now;
}

struct progress *progress_of(const struct args *a) {
    static struct progress to_terminal = { .show = draw };
    const char *kind = getenv("TERM");
    bool can = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0;
    return can && !a->quiet ? &to_terminal : NULL;
}

void progress_end(void) {
    if (line.drawn)
        fputs("\r\033[K", stderr);
    fflush(stderr);
    line.drawn = false;
}
