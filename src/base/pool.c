#define _POSIX_C_SOURCE 200809L
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* Turns of waiting awake, some 20 ns each. A worker whose waits end in work waits longer the next
 * time, for sleeping and waking costs more; one that waited for nothing less long. */
enum { SPIN = 4000, SPIN_LEAST = 1000, SPIN_MOST = 16000 };

/* Tasks that nobody has taken yet, in the low bits; above them the number of the job, so that a
 * claim never mistakes one job for another. */
#define LEFT_BITS 40
static const uint64_t LEFT = (UINT64_C(1) << LEFT_BITS) - 1;

struct pool {
    int n_workers, sleepers;
    pthread_t *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    _Atomic uint64_t open;
    _Atomic size_t finished;
    bool stop;
    /* The job. Written while no task is open or unfinished, read by who has claimed a task. */
    size_t n_tasks;
    void (*task)(void *arg, size_t i);
    void *arg;
};

static void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Takes and runs tasks until none is open. */
static void drain(struct pool *p) {
    uint64_t open = atomic_load(&p->open);
    while (open & LEFT) {
        if (!atomic_compare_exchange_weak(&p->open, &open, open - 1))
            continue;
        size_t n = p->n_tasks;
        p->task(p->arg, n - (size_t)(open & LEFT));
        if (atomic_fetch_add(&p->finished, 1) + 1 == n) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
        open = atomic_load(&p->open);
    }
}

static void *worker(void *arg) {
    struct pool *p = arg;
    int patience = SPIN;
    for (;;) {
        int i = 0;
        for (; i < patience && !(atomic_load_explicit(&p->open, memory_order_relaxed) & LEFT); i++)
            pause_briefly();
        patience = i < patience ? patience * 2 : patience / 2;
        patience = patience < SPIN_LEAST ? SPIN_LEAST : patience > SPIN_MOST ? SPIN_MOST : patience;
        pthread_mutex_lock(&p->lock);
        p->sleepers++;
        while (!(atomic_load(&p->open) & LEFT) && !p->stop)
            pthread_cond_wait(&p->wake, &p->lock);
        p->sleepers--;
        bool stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        drain(p);
    }
}

struct pool *pool_new(int n_threads) {
    if (n_threads <= 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        n_threads = n > 0 ? (int)n : 1;
    }
    if (n_threads > 256)
        n_threads = 256;
    if (n_threads == 1)
        return NULL;
    struct pool *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->workers = calloc((size_t)n_threads, sizeof *p->workers);
    if (!p->workers) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    for (int i = 0; i < n_threads - 1; i++) {
        if (pthread_create(&p->workers[p->n_workers], NULL, worker, p) != 0)
            break;
        p->n_workers++;
    }
    return p;
}

void pool_free(struct pool *p) {
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    /* A spinning worker leaves its spin at the latest after SPIN_MOST turns. */
    for (int i = 0; i < p->n_workers; i++)
        pthread_join(p->workers[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    free(p->workers);
    free(p);
}

int pool_threads(const struct pool *p) {
    return p ? p->n_workers + 1 : 1;
}

void pool_run(struct pool *p, size_t n_tasks, void (*task)(void *arg, size_t i), void *arg) {
    if (!p || p->n_workers == 0 || n_tasks < 2) {
        for (size_t i = 0; i < n_tasks; i++)
            task(arg, i);
        return;
    }
    p->task = task;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store(&p->finished, 0);
    uint64_t job = (atomic_load(&p->open) >> LEFT_BITS) + 1;
    atomic_store(&p->open, job << LEFT_BITS | (uint64_t)n_tasks);
    pthread_mutex_lock(&p->lock);
    if (p->sleepers)
        pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    drain(p);
    for (int i = 0; i < SPIN && atomic_load(&p->finished) < n_tasks; i++)
        pause_briefly();
    if (atomic_load(&p->finished) == n_tasks)
        return;
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->finished) < n_tasks)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
