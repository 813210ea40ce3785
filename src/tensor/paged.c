#define _GNU_SOURCE /* madvise */
#include "tensor/paged.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mapfile.h"

struct paged_block {
    struct paged *owner;
    struct paged_block *older, *newer; /* among the resident ones, by last touch */
    struct paged_block *next;          /* among the free ones */
    void *data;
    off_t place; /* in the file */
    size_t size;
    bool resident;
};

/* The file doubles, by so much at a time at least and at most, and is mapped in as large pieces. */
static const size_t LEAST_PIECE = (size_t)256 << 10, MOST_PIECE = (size_t)64 << 20;
/* A multiple of every page size. A fault also maps the pages about it, up to this boundary: blocks
 * that share no such stretch do not bring each other back. */
static const size_t GRAIN = (size_t)64 << 10;

struct stretch {
    struct stretch *next;
    off_t place;
    void *data;
    size_t size, used;
};

/* An operator reads two blocks at a time. */
enum { SENT = 16, IN_USE = 2 };

struct paged {
    pthread_mutex_t lock;
    int holders, file; /* -1: not made yet, -2: cannot be made */
    off_t end;
    size_t allowed, resident; /* bytes */
    int n_resident;
    struct paged_block *oldest, *newest, *free;
    struct paged_block *sent[SENT]; /* the last to be sent away */
    unsigned n_sent;
    struct stretch *pieces;
};

struct paged *paged_new(size_t resident) {
    struct paged *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    p->holders = 1;
    p->file = -1;
    p->allowed = resident;
    return p;
}

void paged_hold(struct paged *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->holders++;
    pthread_mutex_unlock(&p->lock);
}

void paged_drop(struct paged *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    int left = --p->holders;
    pthread_mutex_unlock(&p->lock);
    if (left > 0)
        return;
    while (p->pieces) {
        struct stretch *stretch = p->pieces;
        p->pieces = stretch->next;
        munmap(stretch->data, stretch->size);
        free(stretch);
    }
    while (p->free) {
        struct paged_block *b = p->free;
        p->free = b->next;
        free(b);
    }
    if (p->file >= 0)
        close(p->file);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static int open_file(void) {
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/calque-XXXXXX", folder && *folder ? folder : "/tmp");
    if (n < 0 || (size_t)n >= sizeof path)
        return -2;
    int file = mkostemp(path, O_CLOEXEC);
    if (file < 0)
        return -2;
    unlink(path);
    return file;
}

/* --- which blocks are resident; the lock is held --- */

static void unlist(struct paged *p, struct paged_block *b) {
    *(b->older ? &b->older->newer : &p->oldest) = b->newer;
    *(b->newer ? &b->newer->older : &p->newest) = b->older;
    b->older = b->newer = NULL;
    b->resident = false;
    p->resident -= b->size;
    p->n_resident--;
}

static void list_newest(struct paged *p, struct paged_block *b) {
    b->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = b;
    p->newest = b;
    b->resident = true;
    p->resident += b->size;
    p->n_resident++;
}

/* What was sent away while it was still being read comes back unnoticed: it is sent once more, a
 * little later. */
static void send_away(struct paged *p, struct paged_block *b) {
    madvise(b->data, b->size, MADV_DONTNEED);
    struct paged_block **place = &p->sent[p->n_sent++ % SENT], *before = *place;
    *place = b;
    if (before && !before->resident)
        madvise(before->data, before->size, MADV_DONTNEED);
}

/* The newest `spared` stay, however large they are. */
static void make_room(struct paged *p, int spared) {
    while (p->resident > p->allowed && p->n_resident > spared) {
        struct paged_block *b = p->oldest;
        unlist(p, b);
        send_away(p, b);
    }
}

/* --- blocks; the lock is held --- */

/* The file's space is reserved first: a write to a mapped hole of a full disk would end the
 * process.
 */
static bool add_piece(struct paged *p, size_t size) {
    struct stretch *stretch = calloc(1, sizeof *stretch);
    if (p->file == -1)
        p->file = open_file();
    if (!stretch || p->file < 0 || posix_fallocate(p->file, p->end, (off_t)size) != 0) {
        free(stretch);
        return false;
    }
    stretch->data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p->file, p->end);
    if (stretch->data == MAP_FAILED) {
        free(stretch);
        return false;
    }
    /* else the file cache makes large folios, and a fault brings a whole one: the neighbours too */
    madvise(stretch->data, size, MADV_RANDOM);
    stretch->size = size;
    stretch->place = p->end;
    stretch->next = p->pieces;
    p->pieces = stretch;
    p->end += (off_t)size;
    return true;
}

static size_t piece_size(const struct paged *p, size_t least) {
    size_t size = (size_t)p->end;
    size = size < LEAST_PIECE ? LEAST_PIECE : size > MOST_PIECE ? MOST_PIECE : size;
    return size > least ? size : least;
}

/* The smallest free block that fits without wasting half of it. */
static struct paged_block *reuse(struct paged *p, size_t size) {
    struct paged_block **best = NULL;
    for (struct paged_block **at = &p->free; *at; at = &(*at)->next)
        if ((*at)->size >= size && (*at)->size / 2 <= size &&
            (!best || (*at)->size < (*best)->size))
            best = at;
    if (!best)
        return NULL;
    struct paged_block *b = *best;
    *best = b->next;
    return b;
}

static struct paged_block *cut(struct paged *p, size_t size) {
    if ((!p->pieces || p->pieces->size - p->pieces->used < size) &&
        !add_piece(p, piece_size(p, size)))
        return NULL;
    struct paged_block *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    *b = (struct paged_block) { .owner = p,
                                .data = (char *)p->pieces->data + p->pieces->used,
                                .place = p->pieces->place + (off_t)p->pieces->used,
                                .size = size };
    p->pieces->used += size;
    return b;
}

void paged_touch(struct paged_block *b) {
    struct paged *p = b->owner;
    pthread_mutex_lock(&p->lock);
    if (b != p->newest) {
        if (b->resident)
            unlist(p, b);
        list_newest(p, b);
        make_room(p, IN_USE);
    }
    pthread_mutex_unlock(&p->lock);
}

void paged_rest(struct paged *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    make_room(p, 0);
    pthread_mutex_unlock(&p->lock);
}

void paged_give(struct paged_block *b) {
    struct paged *p = b->owner;
    pthread_mutex_lock(&p->lock);
    if (b->resident)
        unlist(p, b);
    madvise(b->data, b->size, MADV_DONTNEED);
    b->next = p->free;
    p->free = b;
    pthread_mutex_unlock(&p->lock);
    paged_drop(p);
}

struct paged_block *paged_store(struct paged *p, const void *bytes, size_t length, void **data) {
    size_t size = length;
    if (size > SIZE_MAX / 4)
        return NULL;
    size = (size + GRAIN - 1) / GRAIN * GRAIN;
    pthread_mutex_lock(&p->lock);
    struct paged_block *b = reuse(p, size);
    if (!b)
        b = cut(p, size);
    if (b) {
        p->holders++;
        *data = b->data;
    }
    pthread_mutex_unlock(&p->lock);
    if (b && !file_write_at(p->file, bytes, length, b->place)) {
        paged_give(b);
        return NULL;
    }
    return b;
}
