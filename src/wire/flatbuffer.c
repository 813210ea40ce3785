#include "wire/flatbuffer.h"

#include <string.h>

#include "base/cursor.h"

struct flatbuffer flatbuffer_of(const void *data, size_t size) {
    return (struct flatbuffer) { .data = data, .size = size };
}

void flatbuffer_fail(struct flatbuffer *fb, size_t at, const char *why) {
    if (fb->failed)
        return;
    fb->failed = true;
    fb->failed_at = at;
    fb->why = why;
}

enum status flatbuffer_check(const struct flatbuffer *fb, struct err *e) {
    if (!fb->failed)
        return OK;
    err_set(e, STATUS_CORRUPT, "%s; the file is truncated or damaged", fb->why);
    return err_at(e, "byte %zu", fb->failed_at);
}

static bool inside(struct flatbuffer *fb, size_t at, size_t n, const char *why) {
    if (at <= fb->size && n <= fb->size - at)
        return true;
    flatbuffer_fail(fb, at, why);
    return false;
}

/* The place that the unsigned offset stored at `at` names; 0 when it is outside. */
static size_t follow(struct flatbuffer *fb, size_t at) {
    if (!inside(fb, at, 4, "an offset lies outside the file"))
        return 0;
    size_t to = at + load_u32le(fb->data + at);
    if (to == at || !inside(fb, to, 4, "an offset leads outside the file")) {
        flatbuffer_fail(fb, at, "an offset is zero");
        return 0;
    }
    return to;
}

struct fb_table fb_table_at(struct flatbuffer *fb, size_t at) {
    struct fb_table none = { .fb = fb };
    if (at == 0 || !inside(fb, at, 4, "a table lies outside the file"))
        return none;
    int64_t vtable = (int64_t)at - (int32_t)load_u32le(fb->data + at);
    if (vtable < 0 || !inside(fb, (size_t)vtable, 4, "a vtable lies outside the file")) {
        flatbuffer_fail(fb, at, "a vtable lies outside the file");
        return none;
    }
    struct fb_table t = { fb, at, (size_t)vtable, load_u16le(fb->data + vtable),
                          load_u16le(fb->data + vtable + 2) };
    if (t.vtable_size < 4 || t.vtable_size % 2 || t.table_size < 4) {
        flatbuffer_fail(fb, t.vtable, "a vtable's size is wrong");
        return none;
    }
    if (!inside(fb, t.vtable, t.vtable_size, "a vtable ends outside the file") ||
        !inside(fb, at, t.table_size, "a table ends outside the file"))
        return none;
    return t;
}

struct fb_table fb_root(struct flatbuffer *fb) {
    return fb_table_at(fb, follow(fb, 0));
}

size_t fb_field(const struct fb_table *t, int id, size_t width) {
    size_t slot = 4 + 2 * (size_t)id;
    if (!t->at || slot + 2 > t->vtable_size)
        return 0;
    size_t offset = load_u16le(t->fb->data + t->vtable + slot);
    if (!offset)
        return 0;
    if (offset < 4 || offset + width > t->table_size) {
        flatbuffer_fail(t->fb, t->vtable + slot, "a field lies outside its table");
        return 0;
    }
    return t->at + offset;
}

int8_t fb_i8(const struct fb_table *t, int id, int8_t absent) {
    size_t at = fb_field(t, id, 1);
    return at ? (int8_t)t->fb->data[at] : absent;
}

uint8_t fb_u8(const struct fb_table *t, int id, uint8_t absent) {
    size_t at = fb_field(t, id, 1);
    return at ? t->fb->data[at] : absent;
}

bool fb_bool(const struct fb_table *t, int id, bool absent) {
    return fb_u8(t, id, absent) != 0;
}

uint32_t fb_u32(const struct fb_table *t, int id, uint32_t absent) {
    size_t at = fb_field(t, id, 4);
    return at ? load_u32le(t->fb->data + at) : absent;
}

int32_t fb_i32(const struct fb_table *t, int id, int32_t absent) {
    return (int32_t)fb_u32(t, id, (uint32_t)absent);
}

int64_t fb_i64(const struct fb_table *t, int id, int64_t absent) {
    size_t at = fb_field(t, id, 8);
    return at ? (int64_t)load_u64le(t->fb->data + at) : absent;
}

static float f32_at(const unsigned char *p) {
    uint32_t bits = load_u32le(p);
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

float fb_f32(const struct fb_table *t, int id, float absent) {
    size_t at = fb_field(t, id, 4);
    return at ? f32_at(t->fb->data + at) : absent;
}

struct fb_table fb_sub(const struct fb_table *t, int id) {
    size_t at = fb_field(t, id, 4);
    return fb_table_at(t->fb, at ? follow(t->fb, at) : 0);
}

static struct fb_vector vector_at(struct flatbuffer *fb, size_t at, size_t width) {
    struct fb_vector v = { .fb = fb, .width = width };
    if (!at)
        return v;
    size_t n = load_u32le(fb->data + at);
    if (n > (fb->size - at - 4) / width) {
        flatbuffer_fail(fb, at, "a vector claims more elements than the file has bytes for");
        return v;
    }
    v.at = at + 4;
    v.n = n;
    v.present = true;
    return v;
}

struct fb_vector fb_vec(const struct fb_table *t, int id, size_t width) {
    size_t at = fb_field(t, id, 4);
    return vector_at(t->fb, at ? follow(t->fb, at) : 0, width);
}

const char *fb_text(const struct fb_table *t, int id, size_t *n) {
    struct fb_vector v = fb_vec(t, id, 1);
    *n = v.n;
    return v.present ? (const char *)v.fb->data + v.at : NULL;
}

uint8_t fb_vec_u8(const struct fb_vector *v, size_t i) {
    return v->fb->data[v->at + i];
}

int32_t fb_vec_i32(const struct fb_vector *v, size_t i) {
    return (int32_t)load_u32le(v->fb->data + v->at + 4 * i);
}

int64_t fb_vec_i64(const struct fb_vector *v, size_t i) {
    return (int64_t)load_u64le(v->fb->data + v->at + 8 * i);
}

float fb_vec_f32(const struct fb_vector *v, size_t i) {
    return f32_at(v->fb->data + v->at + 4 * i);
}

struct fb_table fb_vec_table(const struct fb_vector *v, size_t i) {
    return fb_table_at(v->fb, follow(v->fb, v->at + 4 * i));
}

const char *fb_vec_text(const struct fb_vector *v, size_t i, size_t *n) {
    size_t at = follow(v->fb, v->at + 4 * i);
    struct fb_vector text = vector_at(v->fb, at, 1);
    *n = text.n;
    return text.present ? (const char *)text.fb->data + text.at : NULL;
}
