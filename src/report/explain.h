/* The report of `explain`. */
#ifndef REPORT_EXPLAIN_H
#define REPORT_EXPLAIN_H

#include "base/arena.h"
#include "locate/causes.h"
#include "report/style.h"

/* One cause, or the list of all when row is NULL. */
const char *causes_text(const struct cause_row *row, struct arena *a, const struct style *s);
const char *causes_json(const struct cause_row *row, struct arena *a, const struct style *s);

#endif
