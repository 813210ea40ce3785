#define _POSIX_C_SOURCE 200809L
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPIN = 20000 };

struct pool {
    int n_workers;
    pthread_t *workers;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    _Atomic unsigned epoch;  /* increases with every job */
    _Atomic size_t next;     /* next task to take */
    _Atomic int busy;        /* workers that have not finished the job */
    bool stop;
    size_t n_tasks;
    void (*task)(void *arg, size_t i);
    void *arg;
};

static void drain(struct pool *p) {
    for (;;) {
        size_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->n_tasks)
            return;
        p->task(p->arg, i);
    }
}

static void *worker(void *arg) {
    struct pool *p = arg;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPIN && atomic_load(&p->epoch) == seen; i++)
            ;
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->epoch) == seen && !p->stop)
            pthread_cond_wait(&p->wake, &p->lock);
        bool stop = p->stop;
        seen = atomic_load(&p->epoch);
        pthread_mutex_unlock(&p->lock);
        if (stop)
            return NULL;
        drain(p);
        if (atomic_fetch_sub(&p->busy, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
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
    /* A spinning worker leaves its spin at the latest after SPIN turns. */
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
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->arg = arg;
    p->n_tasks = n_tasks;
    atomic_store(&p->next, 0);
    atomic_store(&p->busy, p->n_workers);
    atomic_fetch_add(&p->epoch, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    drain(p);
    for (int i = 0; i < SPIN && atomic_load(&p->busy) > 0; i++)
        ;
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy) > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
