#define _DEFAULT_SOURCE /* madvise */
#include "base/mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum status mapfile_open(struct mapfile *f, const char *path, struct arena *a, struct err *e) {
    *f = (struct mapfile) { .path = arena_str(a, path) };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        err_set(e, STATUS_IO, "cannot open the file: %s", strerror(why));
        return err_at(e, "%s", path);
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        err_set(e, STATUS_IO, "not a regular file");
        return err_at(e, "%s", path);
    }
    f->size = (size_t)st.st_size;
    if (f->size) {
        void *p = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            int why = errno;
            close(fd);
            err_set(e, STATUS_IO, "cannot map the file: %s", strerror(why));
            return err_at(e, "%s", path);
        }
        f->data = p;
    }
    close(fd);
    return OK;
}

void mapfile_close(struct mapfile *f) {
    if (f->data && !f->borrowed)
        munmap((void *)(size_t)f->data, f->size);
    f->data = NULL;
    f->size = 0;
}

void mapfile_forget(const struct mapfile *f) {
    if (f->data && !f->borrowed)
        (void)madvise((void *)(size_t)f->data, f->size, MADV_DONTNEED);
}

bool file_write_at(int file, const void *bytes, size_t size, off_t place) {
    const char *p = bytes;
    while (size) {
        ssize_t n = pwrite(file, p, size > (1u << 30) ? (1u << 30) : size, place);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
        place += n;
    }
    return true;
}

static enum status write_all(int fd, const struct piece *pieces, size_t n) {
    off_t place = 0;
    for (size_t i = 0; i < n; i++) {
        if (!file_write_at(fd, pieces[i].data, pieces[i].size, place))
            return STATUS_IO;
        place += (off_t)pieces[i].size;
    }
    return OK;
}

enum status file_write(const char *path, const struct piece *pieces, size_t n, struct err *e) {
    size_t len = strlen(path);
    char *tmp = malloc(len + 16);
    if (!tmp)
        return err_set(e, STATUS_IO, "out of memory");
    snprintf(tmp, len + 16, "%s.XXXXXX", path);
    int fd = mkstemp(tmp);
    enum status s = fd < 0 ? STATUS_IO : write_all(fd, pieces, n);
    if (fd >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        if (fchmod(fd, 0666 & ~mask) != 0 || fsync(fd) != 0)
            s = STATUS_IO;
        if (close(fd) != 0)
            s = STATUS_IO;
    }
    if (s == OK && rename(tmp, path) != 0)
        s = STATUS_IO;
    if (s != OK) {
        int why = errno;
        if (fd >= 0)
            unlink(tmp);
        err_set(e, s, "cannot write the file: %s", strerror(why));
        err_at(e, "%s", path);
    }
    free(tmp);
    return s;
}

bool file_same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool file_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
