#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

void strbuf_init(struct strbuf *b, struct arena *a) {
    *b = (struct strbuf) { .arena = a };
    strbuf_addn(b, "", 0);
}

static void reserve(struct strbuf *b, size_t more) {
    if (b->p && b->cap - b->n > more)
        return;
    size_t cap = b->cap ? b->cap * 2 : 128;
    while (cap - b->n <= more)
        cap *= 2;
    b->p = arena_grow(b->arena, b->p, b->n, cap);
    b->cap = cap;
}

void strbuf_addn(struct strbuf *b, const char *s, size_t n) {
    reserve(b, n);
    if (n)
        memcpy(b->p + b->n, s, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void strbuf_add(struct strbuf *b, const char *s) {
    strbuf_addn(b, s, strlen(s));
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n > 0) {
        reserve(b, (size_t)n);
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
}
