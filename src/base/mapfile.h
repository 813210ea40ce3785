/* Files mapped read-only, and files written whole: to a temporary name, then renamed. */
#ifndef BASE_MAPFILE_H
#define BASE_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"

struct mapfile {
    const char *path; /* in the arena given to mapfile_open */
    const unsigned char *data;
    size_t size;
    bool borrowed; /* the caller's own bytes, not a mapping */
};

/* Maps a regular file (an empty one gives size 0 and data that must not be read). */
enum status mapfile_open(struct mapfile *f, const char *path, struct arena *a, struct err *e);
void mapfile_close(struct mapfile *f);
/* Gives the memory of the pages read so far back to the system; the bytes stay readable. Touching a
 * header of a few bytes may bring the 2 MiB around it into the process, so who walks the headers of
 * a file of gigabytes calls this now and then. */
void mapfile_forget(const struct mapfile *f);

/* Writes all of `size` bytes at `place` of an open file; false (errno says why) when that fails. */
bool file_write_at(int file, const void *bytes, size_t size, off_t place);

/* Writes the pieces one after another to a new file beside `path`, flushes and renames it over
 * `path`. */
struct piece {
    const void *data;
    size_t size;
};
enum status file_write(const char *path, const struct piece *pieces, size_t n, struct err *e);

/* True when both paths name the same existing file (device and inode). */
bool file_same(const char *a, const char *b);
bool file_is_dir(const char *path);

#endif
