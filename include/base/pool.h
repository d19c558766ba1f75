/* A pool of threads for data-parallel loops. Work is cut by rank, not by chance: rank r of n always
 * gets the same part, so that sums over ranks have a fixed order and equal thread counts give equal
 * bits. The calling thread is rank 0. One loop at a time; no nesting. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

struct pool;

/* n_threads >= 1 in all, the caller included. NULL when threads cannot be made. */
struct pool *pool_new(unsigned n_threads);
void pool_free(struct pool *pool);
unsigned pool_threads(const struct pool *pool);

typedef void pool_fn(void *arg, unsigned rank, unsigned n_ranks);

/* Calls fn(arg, r, n) for every rank at once and returns when all are done. A NULL pool is one
 * thread. Memory written before the call is seen by all ranks, what they write is seen after it. */
void pool_run(struct pool *pool, pool_fn *fn, void *arg);

/* The part [*ret_first, *ret_end) of [0, count) that is rank's. Contiguous, differing by at most
 * one. */
void pool_part(size_t count, unsigned rank, unsigned n_ranks, size_t *ret_first, size_t *ret_end);

#endif
