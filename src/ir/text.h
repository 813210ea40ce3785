/* The text form of a model: for people, for tests and for reports. docs/ir.md has its grammar. */
#ifndef IR_TEXT_H
#define IR_TEXT_H

#include "base/strbuf.h"
#include "ir/ir.h"

enum text_flags {
    TEXT_CONSTANTS = 1, /* contents of all constants; else long ones are left out, and the text
                           cannot be parsed */
    TEXT_ORIGINS = 2,   /* where in the file nodes and values come from */
};

/* Appends the model. It must verify. */
enum status model_print(const struct model *m, unsigned flags, struct strbuf *b, struct err *e);
/* Appends one node, as model_print has it but without the graphs it holds. */
void node_print(const struct node *n, struct strbuf *b);

/* Reads what model_print wrote with TEXT_CONSTANTS. Printing the result gives the same text again.
 * Errors name line and column. What no text holds is not there: the mapped files and the reader's
 * notes, so the result cannot be written back. */
enum status model_parse(const char *text, size_t length, struct model **out, struct err *e);

enum { TEXT_VERSION = 1, TEXT_MAX_NESTING = 200 };

#endif
