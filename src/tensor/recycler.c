#include "tensor/recycler.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <stdlib.h>

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
    for (int i = 0; i < r->n; i++)
        free(r->slots[i].p);
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
    pthread_mutex_unlock(&r->lock);
    if (!found.p)
        found = (struct slot) { malloc(size), size };
    *capacity = found.capacity;
    return found.p;
}

void recycler_give(struct recycler *r, void *p, size_t capacity) {
    struct slot out[SLOTS];
    int n = 0;
    pthread_mutex_lock(&r->lock);
    while (r->n > 0 && (r->n == SLOTS || r->kept + capacity > r->kept_at_most))
        out[n++] = slot_out(r, 0);
    bool keep = r->kept + capacity <= r->kept_at_most;
    if (keep) {
        r->slots[r->n++] = (struct slot) { p, capacity };
        r->kept += capacity;
    }
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < n; i++)
        free(out[i].p);
    if (!keep)
        free(p);
}
