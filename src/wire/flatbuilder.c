#include "wire/flatbuilder.h"

#include <string.h>

#include "base/cursor.h"

enum { ROOM = 64 }; /* the old file moves by a multiple of this, so that its alignment stays */

struct field {
    int width; /* 0: absent */
    bool is_ref;
    uint64_t bits;
    struct fb_ref ref;
    size_t offset; /* in the table */
};

struct fb_object {
    bool is_table;
    struct field *fields;
    int n_fields;
    const void *data; /* vectors */
    size_t n, width, align;
    const struct fb_ref *refs; /* vectors of offsets */
    bool text;
    size_t at; /* 0: not placed yet */
    size_t table_size;
    struct fb_object *next; /* in order of placing */
};

struct fb_object *fb_new_table(struct arena *a, int n_fields) {
    struct fb_object *t = NEW(a, struct fb_object);
    t->is_table = true;
    t->n_fields = n_fields;
    t->fields = NEW_ARRAY(a, n_fields + 1, struct field);
    return t;
}

void fb_set_scalar(struct fb_object *t, int id, int width, uint64_t bits) {
    t->fields[id] = (struct field) { .width = width, .bits = bits };
}

void fb_set_f32(struct fb_object *t, int id, float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    fb_set_scalar(t, id, 4, bits);
}

void fb_set_ref(struct fb_object *t, int id, struct fb_ref ref) {
    t->fields[id] =
        (struct field) { .width = ref.object || ref.old ? 4 : 0, .is_ref = true, .ref = ref };
}

static uint64_t load_le(const unsigned char *p, int width) {
    uint64_t v = 0;
    for (int i = width - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

struct fb_object *fb_copy_table(struct arena *a, const struct fb_table *t, const char *kinds) {
    int n = (int)strlen(kinds);
    for (int id = n; 4 + 2 * id + 2 <= t->vtable_size; id++)
        if (load_u16le(t->fb->data + t->vtable + 4 + 2 * id) != 0)
            return NULL;
    struct fb_object *copy = fb_new_table(a, n);
    for (int id = 0; id < n; id++) {
        int width = kinds[id] == 'o' ? 4 : kinds[id] - '0';
        size_t at = fb_field(t, id, (size_t)width);
        if (!at)
            continue;
        if (kinds[id] == 'o')
            fb_set_ref(copy, id, (struct fb_ref) { NULL, at + load_u32le(t->fb->data + at) });
        else
            fb_set_scalar(copy, id, width, load_le(t->fb->data + at, width));
    }
    return copy;
}

struct fb_object *fb_new_vector(struct arena *a, const void *data, size_t n, size_t width,
                                size_t align) {
    struct fb_object *v = NEW(a, struct fb_object);
    v->data = data;
    v->n = n;
    v->width = width;
    v->align = align < 4 ? 4 : align;
    return v;
}

struct fb_object *fb_new_text(struct arena *a, const char *text) {
    struct fb_object *v = fb_new_vector(a, text, strlen(text), 1, 4);
    v->text = true;
    return v;
}

struct fb_object *fb_new_refs(struct arena *a, const struct fb_ref *refs, size_t n) {
    struct fb_object *v = fb_new_vector(a, NULL, n, 4, 4);
    v->refs = refs;
    return v;
}

struct fb_ref *fb_refs_of(struct arena *a, const struct fb_vector *v, size_t extra) {
    struct fb_ref *refs = NEW_ARRAY(a, v->n + extra + 1, struct fb_ref);
    for (size_t i = 0; i < v->n; i++)
        refs[i].old = v->at + 4 * i + load_u32le(v->fb->data + v->at + 4 * i);
    return refs;
}

static size_t align_up(size_t at, size_t align, size_t rest) {
    size_t up = (at + align - 1) / align * align + rest;
    return up >= at + align ? up - align : up;
}

/* A table stands after its vtable; wide fields come first, so that all are aligned when the table
 * begins at 4 mod 8. */
static size_t place_table(struct fb_object *t, size_t at) {
    size_t offset = 4;
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < t->n_fields; i++)
            if (t->fields[i].width == width) {
                t->fields[i].offset = offset;
                offset += (size_t)width;
            }
    t->table_size = offset;
    t->at = align_up(at + 4 + 2 * (size_t)t->n_fields, 8, 4);
    return t->at + offset;
}

static size_t place(struct fb_object *o, size_t at) {
    if (o->is_table)
        return place_table(o, at);
    o->at = align_up(at, o->align, o->align - 4);
    return o->at + 4 + o->n * o->width + (o->text ? 1 : 0);
}

/* Breadth first: what refers comes before what is referred to. */
static size_t place_all(struct fb_object *root) {
    size_t at = place(root, 8);
    struct fb_object *last = root;
    for (struct fb_object *o = root; o; o = o->next) {
        size_t n = o->is_table ? (size_t)o->n_fields : o->refs ? o->n : 0;
        for (size_t i = 0; i < n; i++) {
            struct fb_object *child = !o->is_table ? o->refs[i].object
                                      : o->fields[i].width && o->fields[i].is_ref
                                          ? o->fields[i].ref.object
                                          : NULL;
            if (!child || child->at)
                continue;
            at = place(child, at);
            last = last->next = child;
        }
    }
    return at;
}

static enum status put_ref(unsigned char *head, size_t at, struct fb_ref ref, size_t shift,
                           struct err *e) {
    size_t to = ref.object ? ref.object->at : ref.old + shift;
    FAIL_IF(to <= at, e, STATUS_BUG, "a reference points backwards");
    FAIL_IF(to - at > UINT32_MAX, e, STATUS_UNSUPPORTED, "the file would grow past 4 GiB");
    store_u32le(head + at, (uint32_t)(to - at));
    return OK;
}

static void store_u16(unsigned char *p, size_t v) {
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static enum status put_table(unsigned char *head, const struct fb_object *t, size_t shift,
                             struct err *e) {
    size_t vtable = t->at - (4 + 2 * (size_t)t->n_fields);
    store_u16(head + vtable, 4 + 2 * (size_t)t->n_fields);
    store_u16(head + vtable + 2, t->table_size);
    store_u32le(head + t->at, (uint32_t)(t->at - vtable));
    for (int i = 0; i < t->n_fields; i++) {
        const struct field *f = &t->fields[i];
        if (!f->width)
            continue;
        store_u16(head + vtable + 4 + 2 * (size_t)i, f->offset);
        if (f->is_ref)
            TRY(put_ref(head, t->at + f->offset, f->ref, shift, e));
        for (int k = 0; !f->is_ref && k < f->width; k++)
            head[t->at + f->offset + (size_t)k] = (unsigned char)(f->bits >> (8 * k));
    }
    return OK;
}

static enum status put_vector(unsigned char *head, const struct fb_object *v, size_t shift,
                              struct err *e) {
    FAIL_IF(v->n > UINT32_MAX, e, STATUS_UNSUPPORTED, "a vector of %zu elements", v->n);
    store_u32le(head + v->at, (uint32_t)v->n);
    for (size_t i = 0; v->refs && i < v->n; i++)
        TRY(put_ref(head, v->at + 4 + 4 * i, v->refs[i], shift, e));
    if (!v->refs && v->n)
        memcpy(head + v->at + 4, v->data, v->n * v->width);
    return OK;
}

enum status fb_finish(struct arena *a, struct fb_object *root, const unsigned char *identifier,
                      unsigned char **head, size_t *size, struct err *e) {
    *size = align_up(place_all(root), ROOM, 0);
    *head = arena_alloc(a, *size);
    store_u32le(*head, (uint32_t)root->at);
    memcpy(*head + 4, identifier, 4);
    for (const struct fb_object *o = root; o; o = o->next)
        TRY(o->is_table ? put_table(*head, o, *size, e) : put_vector(*head, o, *size, e));
    return OK;
}
