/* Zip archives in memory (PKWARE APPNOTE 6.3): stored and deflated entries, zip64. Names, sizes and
 * offsets come from the central directory; nothing is allocated by what the file declares beyond
 * its own length. */
#ifndef WIRE_ZIP_H
#define WIRE_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/mapfile.h"
#include "base/status.h"

enum zip_method { ZIP_STORED = 0, ZIP_DEFLATED = 8 };

struct zip_entry {
    const char *name;
    int method;
    size_t at, packed; /* bytes of the entry in the archive */
    uint64_t size;     /* declared length of the contents */
    uint32_t crc;
};

struct zip {
    const unsigned char *data;
    size_t size;
    struct zip_entry *entries; /* in the order of the directory */
    int n;
};

/* Whether bytes begin like an archive. */
bool zip_probe(const void *data, size_t size);
/* Reads the directory. `data` must outlive it. Encrypted and split archives, and names that stand
 * twice, are refused. */
enum status zip_open(struct zip *z, const void *data, size_t size, struct arena *a, struct err *e);
const struct zip_entry *zip_find(const struct zip *z, const char *name);

/* Contents from front to back. A deflated entry is inflated as it is asked for, never past its
 * declared length. */
struct zip_reader;
enum status zip_reader_open(struct zip_reader **out, const struct zip *z,
                            const struct zip_entry *entry, struct err *e);
/* Exactly n bytes, or CORRUPT. */
enum status zip_reader_read(struct zip_reader *r, void *to, size_t n, struct err *e);
uint64_t zip_reader_left(const struct zip_reader *r);
/* Checks that all was read and the check sum agrees. */
enum status zip_reader_finish(struct zip_reader *r, struct err *e);
void zip_reader_free(struct zip_reader *r);

/* Writing: stored entries, collected and then written at once. The bytes must live until
 * zip_writer_finish. */
struct zip_writer {
    struct arena *arena;
    struct piece *pieces;
    int n_pieces;
    struct zip_written *entries;
    int n;
    uint64_t at;
};
void zip_writer_init(struct zip_writer *w, struct arena *a);
void zip_writer_add(struct zip_writer *w, const char *name, const struct piece *pieces,
                    int n_pieces);
enum status zip_writer_finish(struct zip_writer *w, const char *path, struct err *e);

#endif
