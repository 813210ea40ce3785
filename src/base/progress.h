/* How far long work has come. The floors below cli report; only cli shows. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdint.h>

struct progress {
    /* `stage` says what is being done ("running the source"), done of total steps of it are over.
     * Called often and from one thread only. */
    void (*show)(void *arg, const char *stage, int64_t done, int64_t total);
    void *arg;
};

/* Reports to p; nothing when p or p->show is NULL. */
void progress_show(const struct progress *p, const char *stage, int64_t done, int64_t total);

#endif
