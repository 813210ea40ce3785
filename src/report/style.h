/* What every report needs to know of the command that asked for it. */
#ifndef REPORT_STYLE_H
#define REPORT_STYLE_H

#include <stdbool.h>

struct style {
    bool colour;  /* escape sequences may be used */
    bool verbose; /* everything, not one screen */
    bool quiet;   /* the last line only */
    bool hash;    /* SHA-256 of large files as well */
    double seconds;
    const char *repeat; /* the command that repeats it */
    int exit_code;
};

#endif
