/* The memory that a test took. */
#ifndef TEST_BAD_MEMORY_H
#define TEST_BAD_MEMORY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sanitizers take memory of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MEASURE_MEMORY = 0 };
#else
enum { MEASURE_MEMORY = 1 };
#endif

/* KiB that this process held at most. */
static inline long peak_kib(void) {
    char line[256];
    long peak = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (f)
        fclose(f);
    return peak;
}

#endif
