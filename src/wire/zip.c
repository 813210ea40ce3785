/* Reading of zip archives. Section numbers are those of PKWARE APPNOTE 6.3.10. */
#include "wire/zip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/cursor.h"
#include "base/map.h"

enum {
    END_SIZE = 22, /* end of central directory record, 4.3.16, without its comment */
    MAX_COMMENT = 65535,
    LOCATOR_SIZE = 20, /* zip64 end of central directory locator, 4.3.15 */
    CENTRAL_SIZE =
        46, /* file header in the directory, 4.3.12, without name, extra field and comment */
    LOCAL_SIZE = 30, /* local file header, 4.3.7 */
    ZIP64_EXTRA = 1, /* extra field tag, 4.5.3 */
    FLAG_ENCRYPTED = 1,
    MAX_RATIO = 1032, /* a deflate stream codes at most 258 bytes in 2 bits */
};

static const uint32_t LOCAL_MAGIC = 0x04034b50, CENTRAL_MAGIC = 0x02014b50, END_MAGIC = 0x06054b50,
                      END64_MAGIC = 0x06064b50, LOCATOR_MAGIC = 0x07064b50;

bool zip_probe(const void *data, size_t size) {
    return size >= 4 && (load_u32le(data) == LOCAL_MAGIC || load_u32le(data) == END_MAGIC);
}

struct directory {
    uint64_t at, size, n;
};

/* The newest end record: the last place where one fits together with its comment. */
static enum status find_end(const unsigned char *data, size_t size, size_t *end, struct err *e) {
    FAIL_IF(size < END_SIZE, e, STATUS_CORRUPT, "a zip archive of %zu bytes is cut off", size);
    size_t last = size - END_SIZE, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
    for (size_t at = last + 1; at-- > first;)
        if (load_u32le(data + at) == END_MAGIC &&
            load_u16le(data + at + 20) <= size - at - END_SIZE) {
            *end = at;
            return OK;
        }
    return err_set(e, STATUS_CORRUPT, "the zip archive has no directory: it is cut off");
}

static enum status find_directory(const unsigned char *data, size_t size, struct directory *d,
                                  struct err *e) {
    size_t end = 0;
    TRY(find_end(data, size, &end, e));
    struct cursor c = cursor_of(data, end + 4, end + END_SIZE);
    unsigned disk = cursor_u16le(&c), directory_disk = cursor_u16le(&c);
    cursor_u16le(&c);
    d->n = cursor_u16le(&c);
    d->size = cursor_u32le(&c);
    d->at = cursor_u32le(&c);
    if (end >= LOCATOR_SIZE && load_u32le(data + end - LOCATOR_SIZE) == LOCATOR_MAGIC) {
        uint64_t at = load_u64le(data + end - LOCATOR_SIZE + 8);
        FAIL_IF(at > size || size - at < 56 || load_u32le(data + at) != END64_MAGIC, e,
                STATUS_CORRUPT, "the zip archive's end record (offset %llu) is missing",
                (unsigned long long)at);
        c = cursor_of(data, (size_t)at + 16, (size_t)at + 56);
        disk = cursor_u32le(&c);
        directory_disk = cursor_u32le(&c);
        cursor_u64le(&c);
        d->n = cursor_u64le(&c);
        d->size = cursor_u64le(&c);
        d->at = cursor_u64le(&c);
    }
    FAIL_IF(disk != 0 || directory_disk != 0, e, STATUS_UNSUPPORTED,
            "a zip archive in several parts");
    FAIL_IF(d->at > size || d->size > size - d->at, e, STATUS_CORRUPT,
            "the zip directory (offset %llu, %llu bytes) lies outside the file of %zu bytes",
            (unsigned long long)d->at, (unsigned long long)d->size, size);
    FAIL_IF(d->n > d->size / CENTRAL_SIZE || d->n > INT_MAX, e, STATUS_CORRUPT,
            "the zip directory of %llu bytes cannot hold %llu entries", (unsigned long long)d->size,
            (unsigned long long)d->n);
    return OK;
}

/* Replaces the 32-bit fields that say "see the zip64 extra field" (4.5.3: only those, in this
 * order). */
static void read_zip64(struct cursor extra, uint64_t *size, uint64_t *packed, uint64_t *local) {
    while (cursor_left(&extra) >= 4) {
        unsigned tag = cursor_u16le(&extra), length = cursor_u16le(&extra);
        size_t at = extra.at;
        if (!cursor_take(&extra, length))
            return;
        if (tag != ZIP64_EXTRA)
            continue;
        struct cursor c = cursor_of(extra.base, at, at + length);
        uint64_t *fields[] = { size, packed, local };
        for (int i = 0; i < 3; i++)
            if (*fields[i] == UINT32_MAX && cursor_left(&c) >= 8)
                *fields[i] = cursor_u64le(&c);
        return;
    }
}

static enum status locate_data(const struct zip *z, struct zip_entry *entry, uint64_t local,
                               uint64_t packed, struct err *e) {
    FAIL_IF(local > z->size || z->size - local < LOCAL_SIZE ||
                load_u32le(z->data + local) != LOCAL_MAGIC,
            e, STATUS_CORRUPT, "entry '%s': no local header at offset %llu", entry->name,
            (unsigned long long)local);
    const unsigned char *h = z->data + local;
    size_t skip = LOCAL_SIZE + (size_t)load_u16le(h + 26) + load_u16le(h + 28);
    FAIL_IF(skip > z->size - local || packed > z->size - local - skip, e, STATUS_CORRUPT,
            "entry '%s': %llu bytes at offset %llu lie outside the file", entry->name,
            (unsigned long long)packed, (unsigned long long)(local + skip));
    entry->at = (size_t)local + skip;
    entry->packed = (size_t)packed;
    FAIL_IF(entry->method == ZIP_STORED && entry->size != packed, e, STATUS_CORRUPT,
            "entry '%s': stored, but its two lengths differ (%llu, %llu)", entry->name,
            (unsigned long long)entry->size, (unsigned long long)packed);
    FAIL_IF(entry->method == ZIP_DEFLATED && entry->size / MAX_RATIO > packed, e, STATUS_CORRUPT,
            "entry '%s': %llu deflated bytes cannot hold %llu", entry->name,
            (unsigned long long)packed, (unsigned long long)entry->size);
    return OK;
}

static enum status read_entry(struct zip *z, struct cursor *c, struct arena *a, struct err *e) {
    struct zip_entry *entry = &z->entries[z->n];
    size_t begin = c->at;
    uint32_t magic = cursor_u32le(c);
    cursor_take(c, 4);
    unsigned flags = cursor_u16le(c);
    entry->method = cursor_u16le(c);
    cursor_take(c, 4);
    entry->crc = cursor_u32le(c);
    uint64_t packed = cursor_u32le(c);
    entry->size = cursor_u32le(c);
    unsigned name_length = cursor_u16le(c), extra_length = cursor_u16le(c),
             comment_length = cursor_u16le(c);
    cursor_take(c, 8);
    uint64_t local = cursor_u32le(c);
    const unsigned char *name = cursor_take(c, name_length);
    size_t extra = c->at;
    cursor_take(c, extra_length);
    cursor_take(c, comment_length);
    FAIL_IF(c->failed || magic != CENTRAL_MAGIC, e, STATUS_CORRUPT,
            "entry %d of the zip directory (offset %zu) is damaged", z->n, begin);
    FAIL_IF(memchr(name, 0, name_length), e, STATUS_CORRUPT,
            "entry %d of the zip directory (offset %zu) has a NUL in its name", z->n, begin);
    entry->name = arena_strn(a, (const char *)name, name_length);
    FAIL_IF(flags & FLAG_ENCRYPTED, e, STATUS_UNSUPPORTED, "entry '%s' is encrypted", entry->name);
    FAIL_IF(entry->method != ZIP_STORED && entry->method != ZIP_DEFLATED, e, STATUS_UNSUPPORTED,
            "entry '%s' has compression method %d; only stored and deflated are supported",
            entry->name, entry->method);
    read_zip64(cursor_of(c->base, extra, extra + extra_length), &entry->size, &packed, &local);
    return locate_data(z, entry, local, packed, e);
}

enum status zip_open(struct zip *z, const void *data, size_t size, struct arena *a, struct err *e) {
    *z = (struct zip) { .data = data, .size = size };
    struct directory d;
    TRY(find_directory(z->data, size, &d, e));
    z->entries = NEW_ARRAY(a, d.n + 1, struct zip_entry);
    struct strmap names;
    strmap_init(&names, a);
    struct cursor c = cursor_of(data, (size_t)d.at, (size_t)(d.at + d.size));
    for (uint64_t i = 0; i < d.n; i++) {
        TRY(read_entry(z, &c, a, e));
        const char *name = z->entries[z->n].name;
        FAIL_IF(strmap_has(&names, name), e, STATUS_CORRUPT,
                "entry '%s' stands twice in the zip archive", name);
        strmap_put(&names, name, z->entries);
        z->n++;
    }
    return OK;
}

const struct zip_entry *zip_find(const struct zip *z, const char *name) {
    for (int i = 0; i < z->n; i++)
        if (strcmp(z->entries[i].name, name) == 0)
            return &z->entries[i];
    return NULL;
}

struct zip_reader {
    const struct zip_entry *entry;
    const unsigned char
        *next;       /* packed bytes not yet given to zlib, or stored bytes not yet read */
    size_t left;     /* of them */
    uint64_t unread; /* of the contents */
    uint32_t crc;
    bool inflating;
    z_stream stream;
};

enum status zip_reader_open(struct zip_reader **out, const struct zip *z,
                            const struct zip_entry *entry, struct err *e) {
    struct zip_reader *r = calloc(1, sizeof *r);
    FAIL_IF(!r, e, STATUS_UNSUPPORTED, "not enough memory to read entry '%s'", entry->name);
    *r = (struct zip_reader) {
        .entry = entry, .next = z->data + entry->at, .left = entry->packed, .unread = entry->size
    };
    /* Negative window bits: a raw deflate stream, without zlib's own header. */
    if (entry->method == ZIP_DEFLATED && inflateInit2(&r->stream, -MAX_WBITS) != Z_OK) {
        free(r);
        return err_set(e, STATUS_UNSUPPORTED, "not enough memory to inflate entry '%s'",
                       entry->name);
    }
    r->inflating = entry->method == ZIP_DEFLATED;
    *out = r;
    return OK;
}

void zip_reader_free(struct zip_reader *r) {
    if (!r)
        return;
    if (r->inflating)
        inflateEnd(&r->stream);
    free(r);
}

uint64_t zip_reader_left(const struct zip_reader *r) {
    return r->unread;
}

static enum status inflate_some(struct zip_reader *r, unsigned char *to, size_t n, struct err *e) {
    while (n > 0) {
        if (r->stream.avail_in == 0 && r->left > 0) {
            uInt chunk = r->left > 1u << 30 ? 1u << 30 : (uInt)r->left;
            r->stream.next_in = (Bytef *)(size_t)r->next;
            r->stream.avail_in = chunk;
            r->next += chunk;
            r->left -= chunk;
        }
        uInt room = n > 1u << 30 ? 1u << 30 : (uInt)n;
        r->stream.next_out = to;
        r->stream.avail_out = room;
        int code = inflate(&r->stream, Z_NO_FLUSH);
        size_t got = room - r->stream.avail_out;
        to += got;
        n -= got;
        bool stuck = code == Z_STREAM_END || code == Z_BUF_ERROR ||
                     (got == 0 && r->stream.avail_in == 0 && r->left == 0);
        FAIL_IF((code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) || (n > 0 && stuck),
                e, STATUS_CORRUPT,
                "entry '%s' (offset %zu): the deflated data is damaged or ends early",
                r->entry->name, r->entry->at);
    }
    return OK;
}

enum status zip_reader_read(struct zip_reader *r, void *to, size_t n, struct err *e) {
    FAIL_IF(n > r->unread, e, STATUS_CORRUPT, "entry '%s' ends %llu bytes early", r->entry->name,
            (unsigned long long)(n - r->unread));
    if (n == 0)
        return OK;
    if (r->inflating) {
        TRY(inflate_some(r, to, n, e));
    } else {
        memcpy(to, r->next, n);
        r->next += n;
        r->left -= n;
    }
    r->unread -= n;
    r->crc = (uint32_t)crc32_z(r->crc, to, n);
    return OK;
}

enum status zip_reader_finish(struct zip_reader *r, struct err *e) {
    FAIL_IF(r->unread > 0, e, STATUS_CORRUPT, "entry '%s' has %llu bytes too many", r->entry->name,
            (unsigned long long)r->unread);
    FAIL_IF(r->crc != r->entry->crc, e, STATUS_CORRUPT,
            "entry '%s': its check sum is wrong, the data is damaged", r->entry->name);
    return OK;
}
