#include "message.h"

#include <string.h>

#include "base/cursor.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static bool read_field(struct cursor *c, struct message_field *f) {
    uint64_t tag = cursor_varint(c);
    *f = (struct message_field) { .number = (uint32_t)(tag >> 3), .wire = (uint32_t)(tag & 7) };
    switch (f->wire) {
    case VARINT:
        f->value = cursor_varint(c);
        break;
    case FIXED64:
        f->value = cursor_u64le(c);
        break;
    case FIXED32:
        f->value = cursor_u32le(c);
        break;
    case BYTES:
        f->size = (size_t)cursor_varint(c);
        f->data = cursor_take(c, f->size);
        break;
    default:
        return false;
    }
    return !c->failed && f->number > 0;
}

struct message *message_parse(struct arena *a, const unsigned char *data, size_t size) {
    struct message *m = NEW(a, struct message);
    m->arena = a;
    struct cursor c = cursor_of(data, 0, size);
    while (cursor_left(&c)) {
        struct message_field f;
        if (!read_field(&c, &f))
            return NULL;
        PUSH(a, m->fields, m->n, f);
    }
    return m;
}

static size_t varint_size(uint64_t v) {
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

static unsigned char *varint_write(unsigned char *p, uint64_t v) {
    for (; v >= 128; v >>= 7)
        *p++ = (unsigned char)(v | 128);
    *p++ = (unsigned char)v;
    return p;
}

static size_t body_size(const struct message_field *f) {
    return f->inner ? message_size(f->inner) : f->size;
}

size_t message_size(const struct message *m) {
    size_t total = 0;
    for (int i = 0; i < m->n; i++) {
        const struct message_field *f = &m->fields[i];
        total += varint_size((uint64_t)f->number << 3);
        if (f->wire == BYTES)
            total += varint_size(body_size(f)) + body_size(f);
        else
            total += f->wire == VARINT ? varint_size(f->value) : f->wire == FIXED32 ? 4 : 8;
    }
    return total;
}

unsigned char *message_write(const struct message *m, unsigned char *p) {
    for (int i = 0; i < m->n; i++) {
        const struct message_field *f = &m->fields[i];
        p = varint_write(p, (uint64_t)f->number << 3 | f->wire);
        if (f->wire == VARINT) {
            p = varint_write(p, f->value);
        } else if (f->wire == BYTES) {
            p = varint_write(p, body_size(f));
            if (f->inner) {
                p = message_write(f->inner, p);
            } else if (f->size) {
                memcpy(p, f->data, f->size);
                p += f->size;
            }
        } else {
            for (int k = 0; k < (f->wire == FIXED32 ? 4 : 8); k++)
                *p++ = (unsigned char)(f->value >> (8 * k));
        }
    }
    return p;
}

struct message_field *message_field(const struct message *m, uint32_t number, int k) {
    for (int i = 0; i < m->n; i++)
        if (m->fields[i].number == number && k-- == 0)
            return &m->fields[i];
    return NULL;
}

int message_count(const struct message *m, uint32_t number) {
    int n = 0;
    for (int i = 0; i < m->n; i++)
        n += m->fields[i].number == number;
    return n;
}

struct message *message_inner(struct message *m, uint32_t number, int k) {
    struct message_field *f = message_field(m, number, k);
    if (!f || f->wire != BYTES)
        return NULL;
    if (!f->inner)
        f->inner = message_parse(m->arena, f->data, f->size);
    return f->inner;
}

const char *message_text(const struct message *m, uint32_t number, int k) {
    const struct message_field *f = message_field(m, number, k);
    return f && f->wire == BYTES ? arena_strn(m->arena, (const char *)f->data, f->size) : "";
}

struct message_field *message_add(struct message *m, uint32_t number, uint32_t wire) {
    struct message_field f = { .number = number, .wire = wire };
    PUSH(m->arena, m->fields, m->n, f);
    return &m->fields[m->n - 1];
}

void message_set_text(struct message *m, uint32_t number, int k, const char *text) {
    struct message_field *f = message_field(m, number, k);
    if (!f)
        f = message_add(m, number, BYTES);
    f->data = (const unsigned char *)arena_str(m->arena, text);
    f->size = strlen(text);
    f->inner = NULL;
}

void message_set_value(struct message *m, uint32_t number, uint32_t wire, uint64_t value) {
    struct message_field *f = message_field(m, number, 0);
    if (!f)
        f = message_add(m, number, wire);
    f->wire = wire;
    f->value = value;
}

void message_remove(struct message *m, uint32_t number) {
    int kept = 0;
    for (int i = 0; i < m->n; i++)
        if (m->fields[i].number != number)
            m->fields[kept++] = m->fields[i];
    /* PUSH derives the capacity from the count: start anew with the same fields. */
    struct message_field *old = m->fields;
    m->fields = NULL;
    m->n = 0;
    for (int i = 0; i < kept; i++)
        PUSH(m->arena, m->fields, m->n, old[i]);
}

int message_varints(const struct message *m, uint32_t number, int64_t *out, int max) {
    int n = 0;
    for (int i = 0; i < m->n; i++) {
        const struct message_field *f = &m->fields[i];
        if (f->number != number)
            continue;
        if (f->wire == VARINT && n < max)
            out[n++] = (int64_t)f->value;
        struct cursor c = cursor_of(f->data, 0, f->wire == BYTES ? f->size : 0);
        while (cursor_left(&c) && n < max)
            out[n++] = (int64_t)cursor_varint(&c);
    }
    return n;
}

void message_set_varints(struct message *m, uint32_t number, const int64_t *v, int n) {
    message_remove(m, number);
    for (int i = 0; i < n; i++)
        message_add(m, number, VARINT)->value = (uint64_t)v[i];
}
