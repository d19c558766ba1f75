/* A pool of threads for data-parallel loops. Work is cut by lane, not by chance: lane l of n always
 * gets the same range, so that sums over lanes have a fixed order and equal thread counts give
 * equal bits. The calling thread is lane 0. One loop at a time; no nesting. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

struct pool;

/* n_threads >= 1 in all, the caller included. NULL when threads cannot be made. */
struct pool *pool_new(unsigned n_threads);
void pool_free(struct pool *pool);
unsigned pool_threads(const struct pool *pool);

typedef void pool_fn(void *arg, unsigned lane, unsigned n_lanes);

/* Calls fn(arg, l, n) for every lane at once and returns when all are done. A NULL pool is one
 * thread. Memory written before the call is seen by all lanes, what they write is seen after it. */
void pool_run(struct pool *pool, pool_fn *fn, void *arg);

/* The range [*ret_first, *ret_end) of [0, count) that is lane's. Contiguous; sizes differ by at
 * most one. */
void pool_range(size_t count, unsigned lane, unsigned n_lanes, size_t *ret_first, size_t *ret_end);

#endif
