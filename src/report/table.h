/* Text tables: columns as wide as their widest cell, names to the left and numbers to the right. */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H

#include <stdint.h>

#include "base/strbuf.h"

enum { TABLE_COLUMNS = 12 };

struct table {
    struct arena *arena;
    const char *align; /* one letter a column: 'l' or 'r' */
    int columns;
    const char *(*rows)[TABLE_COLUMNS];
    int n;
};

void table_init(struct table *t, struct arena *a, const char *align);
/* A new row; its cells start empty. */
void table_row(struct table *t);
/* Sets a cell of the last row. */
void table_cell(struct table *t, int column, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Each line starts with `indent` blanks; trailing blanks are left out. */
void table_print(const struct table *t, struct strbuf *b, int indent);

/* "1 234 567"; "4.2 MB" (decimal units). */
const char *text_count(struct arena *a, int64_t n);
const char *text_bytes(struct arena *a, int64_t n);
/* Columns that UTF-8 text takes, each character counted as one. */
int text_width(const char *s);

#endif
