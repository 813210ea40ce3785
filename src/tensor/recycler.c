#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "tensor/recycler.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <stdlib.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/pages.h"

enum { SLOTS = 32 };
static const size_t KEPT_AT_MOST = (size_t)48 << 20, KEPT_BESIDE_PAGED = (size_t)1 << 20;

struct recycler {
    pthread_mutex_t lock;
    int holders, n;
    size_t kept, kept_at_most;
    struct paged *paged;
    struct slot {
        void *p;
        size_t capacity;
    } slots[SLOTS]; /* the oldest first */
};

static const size_t MAPPED_FROM = (size_t)256 << 10;

/* Where memory is short large blocks are mapped: in the heap a small
 * one above them would keep them from going back to the system. */
static bool is_mapped(const struct recycler *r, size_t capacity) {
    return r->paged && capacity >= MAPPED_FROM;
}

static void *fresh(const struct recycler *r, size_t size) {
    if (!is_mapped(r, size)) {
        void *kept = malloc(size);
        if (kept)
            pages_large(kept, size);
        return kept;
    }
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void release(const struct recycler *r, const struct slot *s, int n) {
    for (int i = 0; i < n; i++)
        if (is_mapped(r, s[i].capacity))
            munmap(s[i].p, s[i].capacity);
        else
            free(s[i].p);
}

struct recycler *recycler_new(struct paged *paged) {
    struct recycler *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    pthread_mutex_init(&r->lock, NULL);
    r->holders = 1;
    r->kept_at_most = paged ? KEPT_BESIDE_PAGED : KEPT_AT_MOST;
    r->paged = paged;
    paged_hold(paged);
    return r;
}

struct paged *recycler_paged(const struct recycler *r) {
    return r->paged;
}

void recycler_hold(struct recycler *r) {
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->holders++;
    pthread_mutex_unlock(&r->lock);
}

void recycler_drop(struct recycler *r) {
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    int left = --r->holders;
    pthread_mutex_unlock(&r->lock);
    if (left > 0)
        return;
    release(r, r->slots, r->n);
    paged_drop(r->paged);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static struct slot slot_out(struct recycler *r, int i) {
    struct slot s = r->slots[i];
    memmove(&r->slots[i], &r->slots[i + 1], (size_t)(r->n - i - 1) * sizeof s);
    r->n--;
    r->kept -= s.capacity;
    return s;
}

/* Empties the slots into `out`. */
static int slots_out(struct recycler *r, struct slot *out) {
    int n = r->n;
    memcpy(out, r->slots, (size_t)n * sizeof *out);
    r->n = 0;
    r->kept = 0;
    return n;
}

void *recycler_take(struct recycler *r, size_t size, size_t *capacity) {
    struct slot found = { NULL, 0 };
    pthread_mutex_lock(&r->lock);
    int best = -1;
    for (int i = r->n - 1; i >= 0; i--)
        if (r->slots[i].capacity >= size && r->slots[i].capacity / 2 <= size &&
            (best < 0 || r->slots[i].capacity < r->slots[best].capacity))
            best = i;
    if (best >= 0)
        found = slot_out(r, best);
    /* where memory is short, what is kept makes room first */
    struct slot out[SLOTS] = { 0 };
    int n = best < 0 && is_mapped(r, size) ? slots_out(r, out) : 0;
    pthread_mutex_unlock(&r->lock);
    release(r, out, n);
    if (!found.p)
        found = (struct slot) { fresh(r, size), size };
    *capacity = found.capacity;
    return found.p;
}

void recycler_give(struct recycler *r, void *p, size_t capacity) {
    struct slot out[SLOTS + 1] = { 0 }, given = { p, capacity };
    int n = 0;
    pthread_mutex_lock(&r->lock);
    while (r->n > 0 && (r->n == SLOTS || r->kept + capacity > r->kept_at_most))
        out[n++] = slot_out(r, 0);
    if (r->kept + capacity <= r->kept_at_most) {
        r->slots[r->n++] = given;
        r->kept += capacity;
    } else {
        out[n++] = given;
    }
    pthread_mutex_unlock(&r->lock);
    release(r, out, n);
}

void recycler_rest(struct recycler *r) {
    struct slot out[SLOTS] = { 0 };
    if (!r || !r->paged)
        return;
    pthread_mutex_lock(&r->lock);
    int n = slots_out(r, out);
    pthread_mutex_unlock(&r->lock);
    release(r, out, n);
    paged_rest(r->paged);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
