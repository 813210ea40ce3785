/* The reports of `compare`, `locate` and `repair`. */
#ifndef REPORT_RESULT_REPORT_H
#define REPORT_RESULT_REPORT_H

#include "base/strbuf.h"
#include "compare/metrics.h"
#include "compare/result.h"
#include "report/style.h"

/* True when a repaired file was written and proved. */
bool result_repaired(const struct result *r);
/* The verdict: of the repaired file when there is one, else of the target. */
enum verdict result_verdict(const struct result *r);
/* The exit code that the verdict means (CLI.md). */
int result_exit(const struct result *r);
const char *result_text(const struct result *r, struct arena *a, const struct style *s);
const char *result_json(const struct result *r, struct arena *a, const struct style *s);

/* "set-attribute", ... */
const char *edit_name(enum edit_kind k);

/* What reports call a node and its operator: the file's words. "" for NULL. */
const char *label_of(const struct node *n, struct arena *a);
const char *operator_of(const struct node *n);
/* "[0,0,1,1]", "0.1", "same_upper"; long lists are cut. NULL or none: "(not set)". */
const char *words_of_attr(const struct attr *attr, struct arena *a);
/* Elements of a small tensor, else its type and shape. */
const char *words_of_tensor(const struct tensor *t, struct arena *a);
/* The edit in words: "set pads of conv1 to [0,0,1,1]". */
const char *words_of_edit(const struct patch *p, const struct edit *edit, struct arena *a);
/* Index along each axis of a flat index into the target value of a pair; returns the rank, or 0
 * when its shape is not known. */
int worst_index(const struct pair *p, int64_t index[MAX_RANK]);

#endif
