/* Writing of zip archives with stored entries. Section numbers are those of PKWARE APPNOTE 6.3.10.
 */
#include <string.h>

#include <zlib.h>

#include "base/cursor.h"
#include "wire/zip.h"

enum {
    FLAG_UTF8 = 1 << 11,
    VERSION_PLAIN = 20,
    VERSION_ZIP64 = 45,
    DATE_1980 =
        0x21, /* 1 January 1980, the first the format has: the same contents give the same file */
};

struct zip_written {
    const char *name;
    uint64_t at, size;
    uint32_t crc;
};

/* A growing record of little-endian fields. */
struct record {
    unsigned char *bytes;
    size_t n;
};

static void put(struct record *r, uint64_t v, int width) {
    for (int i = 0; i < width; i++)
        r->bytes[r->n++] = (unsigned char)(v >> (8 * i));
}

static void put_text(struct record *r, const char *s) {
    memcpy(r->bytes + r->n, s, strlen(s));
    r->n += strlen(s);
}

static void add_piece(struct zip_writer *w, const void *data, size_t size) {
    struct piece p = { data, size };
    PUSH(w->arena, w->pieces, w->n_pieces, p);
    w->at += size;
}

void zip_writer_init(struct zip_writer *w, struct arena *a) {
    *w = (struct zip_writer) { .arena = a };
}

static uint32_t small(uint64_t v) {
    return v >= UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

/* The fields that local header (4.3.7) and directory (4.3.12) share. */
static void put_common(struct record *r, const struct zip_written *entry, bool zip64,
                       size_t extra) {
    put(r, zip64 ? VERSION_ZIP64 : VERSION_PLAIN, 2);
    put(r, FLAG_UTF8, 2);
    put(r, ZIP_STORED, 2);
    put(r, 0, 2);
    put(r, DATE_1980, 2);
    put(r, entry->crc, 4);
    put(r, small(entry->size), 4);
    put(r, small(entry->size), 4);
    put(r, strlen(entry->name), 2);
    put(r, extra, 2);
}

void zip_writer_add(struct zip_writer *w, const char *name, const struct piece *pieces,
                    int n_pieces) {
    struct zip_written entry = { .name = name, .at = w->at };
    for (int i = 0; i < n_pieces; i++) {
        entry.size += pieces[i].size;
        entry.crc = (uint32_t)crc32_z(entry.crc, pieces[i].data, pieces[i].size);
    }
    bool zip64 = entry.size >= UINT32_MAX;
    struct record r = { .bytes = arena_alloc(w->arena, 64 + strlen(name)) };
    put(&r, 0x04034b50, 4);
    put_common(&r, &entry, zip64, zip64 ? 20 : 0);
    put_text(&r, name);
    if (zip64) {
        put(&r, 1, 2);
        put(&r, 16, 2);
        put(&r, entry.size, 8);
        put(&r, entry.size, 8);
    }
    add_piece(w, r.bytes, r.n);
    for (int i = 0; i < n_pieces; i++)
        add_piece(w, pieces[i].data, pieces[i].size);
    PUSH(w->arena, w->entries, w->n, entry);
}

static void add_directory_entry(struct zip_writer *w, const struct zip_written *entry) {
    bool big_size = entry->size >= UINT32_MAX, big_at = entry->at >= UINT32_MAX;
    size_t fields = (big_size ? 16u : 0u) + (big_at ? 8u : 0u);
    struct record r = { .bytes = arena_alloc(w->arena, 96 + strlen(entry->name)) };
    put(&r, 0x02014b50, 4);
    put(&r, VERSION_ZIP64, 2);
    put_common(&r, entry, fields > 0, fields ? fields + 4 : 0);
    put(&r, 0, 2); /* comment */
    put(&r, 0, 2); /* disk */
    put(&r, 0, 2); /* internal and external attributes */
    put(&r, 0, 4);
    put(&r, small(entry->at), 4);
    put_text(&r, entry->name);
    if (fields) {
        put(&r, 1, 2);
        put(&r, fields, 2);
    }
    if (big_size) {
        put(&r, entry->size, 8);
        put(&r, entry->size, 8);
    }
    if (big_at)
        put(&r, entry->at, 8);
    add_piece(w, r.bytes, r.n);
}

/* End records 4.3.14, 4.3.15 (when a number needs more than the plain record has) and 4.3.16. */
static void add_end(struct zip_writer *w, uint64_t directory, uint64_t size) {
    struct record r = { .bytes = arena_alloc(w->arena, 128) };
    uint64_t n = (uint64_t)w->n;
    if (n >= UINT16_MAX || directory >= UINT32_MAX || size >= UINT32_MAX) {
        uint64_t end64 = w->at;
        put(&r, 0x06064b50, 4);
        put(&r, 44, 8);
        put(&r, VERSION_ZIP64, 2);
        put(&r, VERSION_ZIP64, 2);
        put(&r, 0, 8);
        put(&r, n, 8);
        put(&r, n, 8);
        put(&r, size, 8);
        put(&r, directory, 8);
        put(&r, 0x07064b50, 4);
        put(&r, 0, 4);
        put(&r, end64, 8);
        put(&r, 1, 4);
    }
    put(&r, 0x06054b50, 4);
    put(&r, 0, 4);
    put(&r, n >= UINT16_MAX ? UINT16_MAX : n, 2);
    put(&r, n >= UINT16_MAX ? UINT16_MAX : n, 2);
    put(&r, small(size), 4);
    put(&r, small(directory), 4);
    put(&r, 0, 2);
    add_piece(w, r.bytes, r.n);
}

enum status zip_writer_finish(struct zip_writer *w, const char *path, struct err *e) {
    uint64_t directory = w->at;
    for (int i = 0; i < w->n; i++) {
        FAIL_IF(strlen(w->entries[i].name) > UINT16_MAX, e, STATUS_USAGE,
                "a name of %zu bytes is too long for a zip archive", strlen(w->entries[i].name));
        add_directory_entry(w, &w->entries[i]);
    }
    add_end(w, directory, w->at - directory);
    return file_write(path, w->pieces, (size_t)w->n_pieces, e);
}
