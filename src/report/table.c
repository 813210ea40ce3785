#include "report/table.h"

#include <stdio.h>
#include <string.h>

void table_init(struct table *t, struct arena *a, const char *align) {
    *t = (struct table) { .arena = a, .align = align, .columns = (int)strlen(align) };
}

void table_row(struct table *t) {
    size_t n = (size_t)t->n;
    if ((n & (n - 1)) == 0)
        t->rows = arena_grow(t->arena, (void *)t->rows, n * sizeof *t->rows,
                             (n ? 2 * n : 1) * sizeof *t->rows);
    for (int c = 0; c < TABLE_COLUMNS; c++)
        t->rows[t->n][c] = "";
    t->n++;
}

void table_cell(struct table *t, int column, const char *fmt, ...) {
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *s = arena_alloc(t->arena, (size_t)(n < 0 ? 0 : n) + 1);
    vsnprintf(s, (size_t)(n < 0 ? 0 : n) + 1, fmt, again);
    va_end(again);
    t->rows[t->n - 1][column] = s;
}

int text_width(const char *s) {
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

void table_print(const struct table *t, struct strbuf *b, int indent) {
    int width[TABLE_COLUMNS] = { 0 };
    for (int r = 0; r < t->n; r++)
        for (int c = 0; c < t->columns; c++) {
            int w = text_width(t->rows[r][c]);
            if (w > width[c])
                width[c] = w;
        }
    for (int r = 0; r < t->n; r++) {
        strbuf_printf(b, "%*s", indent, "");
        int last = t->columns - 1;
        while (last > 0 && !t->rows[r][last][0])
            last--;
        for (int c = 0; c <= last; c++) {
            const char *cell = t->rows[r][c];
            int blank = width[c] - text_width(cell);
            if (t->align[c] == 'r')
                strbuf_printf(b, "%*s", blank, "");
            strbuf_add(b, cell);
            if (c < last)
                strbuf_printf(b, "%*s", (t->align[c] == 'r' ? 0 : blank) + 2, "");
        }
        strbuf_add(b, "\n");
    }
}

const char *text_count(struct arena *a, int64_t n) {
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t length = strlen(digits), at = 0;
    char *out = arena_alloc(a, 2 * length + 1);
    for (size_t i = 0; i < length; i++) {
        if (i && digits[i - 1] != '-' && (length - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    return out;
}

const char *text_bytes(struct arena *a, int64_t n) {
    static const char *const unit[] = { "bytes", "kB", "MB", "GB", "TB", "PB", "EB" };
    double v = (double)n;
    int u = 0;
    while (v >= 1000 && u < 6) {
        v /= 1000;
        u++;
    }
    return u ? arena_printf(a, v < 10 ? "%.2f %s" : "%.1f %s", v, unit[u])
             : arena_printf(a, "%lld %s", (long long)n, unit[0]);
}
