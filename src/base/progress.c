#include "base/progress.h"

#include <stddef.h>

void progress_show(const struct progress *p, const char *stage, int64_t done, int64_t total) {
    if (p && p->show)
        p->show(p->arg, stage, done, total);
}
