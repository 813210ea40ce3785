#include "formats/onnx/onnx_splice.h"

#include <stdlib.h>
#include <string.h>

struct output {
    const struct splices *s;
    struct piece *pieces;
    size_t n;
    size_t run; /* where the untouched bytes not put out yet begin */
};

static void put(struct output *o, const void *data, size_t n) {
    struct piece p = { data, n };
    PUSH(o->s->arena, o->pieces, o->n, p);
}

/* Puts out the untouched bytes up to `at` and gives their number. */
static size_t flush(struct output *o, size_t at) {
    size_t n = at - o->run;
    if (n)
        put(o, o->s->base + o->run, n);
    o->run = at;
    return n;
}

void splice_replace(struct splices *s, size_t message, size_t begin, size_t end, const void *data,
                    size_t n) {
    struct splice x = { message, begin, end, data, n, s->n };
    PUSH(s->arena, s->items, s->n, x);
}

void splice_insert(struct splices *s, size_t message, size_t at, const void *data, size_t n) {
    splice_replace(s, message, at, at, data, n);
}

void splice_writer(struct splices *s, size_t message, size_t begin, size_t end,
                   const struct pb_writer *w) {
    splice_replace(s, message, begin, end, w->p, w->n);
}

/* By message, then place; insertions before the replacement of the field at the same place. */
static int by_place(const void *a, const void *b) {
    const struct splice *x = a, *y = b;
    if (x->message != y->message)
        return x->message < y->message ? -1 : 1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    bool xi = x->begin == x->end, yi = y->begin == y->end;
    if (xi != yi)
        return xi ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

enum status splice_finish(struct splices *s, struct err *e) {
    if (s->n)
        qsort(s->items, (size_t)s->n, sizeof *s->items, by_place);
    for (int i = 1; i < s->n; i++)
        FAIL_IF(s->items[i].message == s->items[i - 1].message &&
                    s->items[i].begin < s->items[i - 1].end,
                e, STATUS_BUG, "two changes of the file overlap at byte %zu", s->items[i].begin);
    s->n_sorted = s->n;
    return OK;
}

/* The first splice of a message that begins at `from` or later. */
static int first_from(const struct splices *s, size_t from) {
    int low = 0, high = s->n_sorted;
    while (low < high) {
        int middle = (low + high) / 2;
        if (s->items[middle].message < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* True when a message inside [begin, end] is spliced. */
static bool changed_inside(const struct splices *s, size_t begin, size_t end) {
    int i = first_from(s, begin);
    return i < s->n_sorted && s->items[i].message <= end;
}

static size_t emit(struct output *o, struct span message);

static size_t emit_field(struct output *o, const struct pb_field *f) {
    struct span inside = { f->begin, f->end };
    if (f->wire != PB_BYTES || !changed_inside(o->s, f->begin, f->end))
        return 0;
    size_t written = flush(o, f->start), slot = o->n;
    put(o, NULL, 0); /* the header, once the length is known */
    size_t n = emit(o, inside);
    struct pb_writer header;
    pb_writer_init(&header, o->s->arena);
    pb_put_tag(&header, f->number, PB_BYTES);
    pb_put_varint(&header, n);
    o->pieces[slot] = (struct piece) { header.p, header.n };
    return written + header.n + n;
}

/* Puts out the message's payload and gives its length. The message is known to be well formed: it
 * was read before. */
static size_t emit(struct output *o, struct span message) {
    struct cursor c = cursor_of(o->s->base, message.begin, message.end);
    struct pb_field f;
    size_t total = 0;
    int next = first_from(o->s, message.begin);
    o->run = message.begin;
    for (;;) {
        size_t at = c.at;
        bool more = pb_next(&c, &f), replaced = false;
        for (; next < o->s->n_sorted && o->s->items[next].message == message.begin &&
               o->s->items[next].begin <= at && !replaced;
             next++) {
            const struct splice *x = &o->s->items[next];
            total += flush(o, at);
            if (x->n)
                put(o, x->data, x->n);
            total += x->n;
            if (x->end > x->begin) {
                replaced = true;
                o->run = x->end;
            }
        }
        if (!more)
            break;
        if (!replaced)
            total += emit_field(o, &f);
    }
    return total + flush(o, message.end);
}

void splice_file(const struct splices *s, struct piece **pieces, size_t *n) {
    struct output o = { .s = s };
    emit(&o, (struct span) { 0, s->size });
    *pieces = o.pieces;
    *n = o.n;
}

void splice_message(const struct splices *s, struct span message, struct pb_writer *out) {
    struct output o = { .s = s };
    emit(&o, message);
    for (size_t i = 0; i < o.n; i++)
        pb_put_raw(out, o.pieces[i].data, o.pieces[i].size);
}
