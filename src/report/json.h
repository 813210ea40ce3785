/* What every JSON report shares (CLI.md, JSON). */
#ifndef REPORT_JSON_H
#define REPORT_JSON_H

#include <jansson.h>

#include "ir/ir.h"
#include "report/style.h"

/* Numbers that are not finite are the strings "nan", "inf", "-inf". */
json_t *json_number(double v);
/* Text that may not be UTF-8: bytes that are not become U+FFFD. NULL gives null. */
json_t *json_text(const char *s);
json_t *json_texts(const char *const *items, int n);
json_t *json_dims(const struct model *m, const int64_t *dim, int rank);
/* MODEL of CLI.md. */
json_t *json_model(struct model *m, bool hash);
/* { "calque", "schema", "verb" }: the beginning of every report. */
json_t *json_begin(const char *verb);
/* Adds "seconds", "peak_bytes" and "warnings". */
void json_end(json_t *root, const struct style *s, json_t *warnings);
/* The report as text with a newline at its end, in the arena; the object is released. */
const char *json_print(json_t *root, struct arena *a);

#endif
