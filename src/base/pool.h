/* A small thread pool. Work is split into n_tasks independent tasks; results must not depend on
 * which thread runs a task (the rule of reproducible arithmetic). Workers spin for a bounded time,
 * then wait. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

struct pool;

/* n_threads counts the caller; 0 means one per online processor. NULL is a valid pool of one
 * thread. */
struct pool *pool_new(int n_threads);
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);

/* Runs task(arg, i) for every i in [0, n_tasks) and returns when all are done. Not reentrant. */
void pool_run(struct pool *p, size_t n_tasks, void (*task)(void *arg, size_t i), void *arg);

#endif
