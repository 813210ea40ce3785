/* The verbs' entry points, one file each, and what they share. */
#ifndef CLI_VERB_H
#define CLI_VERB_H

#include "base/pool.h"
#include "base/progress.h"
#include "cli/args.h"
#include "ir/ir.h"
#include "report/style.h"

int verb_inspect_run(struct args *a);
int verb_run_run(struct args *a);
int verb_compare_run(struct args *a);
int verb_locate_run(struct args *a);
int verb_repair_run(struct args *a);
int verb_explain_run(struct args *a);
int verb_help_run(struct args *a);

/* Prints "calque: where: what" once and returns the exit code of the failure. */
int say_failure(const struct err *e);
/* Reads a model. When the file does not exist, the error suggests the nearest name in its folder.
 */
enum status open_model(struct args *a, const char *path, struct model **out, struct err *e);
/* Writes the report to -o's file (`own_out` false) or standard output. */
int give_report(struct args *a, const char *text, bool to_out, int code);
/* Seconds since the program started. */
double elapsed(void);
/* How reports are to look. */
struct style style_of(const struct args *a);
/* Every --value must be a value of the model. */
enum status check_value_names(struct args *a, struct model *m, struct err *e);
/* What --precision says. */
enum precision precision_of(const struct args *a);
struct pool *pool_of(const struct args *a);
/* Where long work says how far it is: a line on the terminal; NULL when there is none to see it. */
struct progress *progress_of(const struct args *a);
/* Takes the line away; call before anything else is printed. */
void progress_end(void);

#endif
