/* The thread pool: one loop at a time, cut by lane.
 *
 * A loop is published by counting `generation` up; workers see it, run their lane and count
 * `pending` down. Both sides first spin for a moment, because a training step is thousands of loops
 * of some microseconds, and waking a sleeping thread costs more than such a loop; then they sleep
 * on a condition variable, because an idle daemon must not burn a core. Where there are more
 * threads than processors nobody spins: it would take the time of the thread that is waited for.
 *
 * Lost wake-ups: whoever goes to sleep first says so (`sleepers`, `waiting`) and then looks at the
 * counter again; whoever changes the counter then looks whether somebody sleeps. All four accesses
 * are sequentially consistent, so one of the two sees the other.
 *
 * No queue, no work stealing, no futures: ranges are fixed by lane so that sums have a fixed order.
 */
#include "config.h"

#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"

enum { SPIN_NS = 50000, SPIN_ROUNDS = 32 /* between two looks at the clock */ };

struct worker {
    struct pool *pool;
    pthread_t thread;
    unsigned lane;
};

struct pool {
    alignas(MEM_ALIGN) atomic_uint generation; /* written by the caller, read by spinning workers */
    alignas(MEM_ALIGN) atomic_uint pending;    /* workers that have not finished this loop */
    alignas(MEM_ALIGN) pool_fn *fn;            /* published by generation */
    void *arg;
    bool stop; /* likewise */
    bool spins;
    unsigned n_threads, n_started;
    struct worker *workers; /* lanes 1..n_threads-1 */
    atomic_bool busy;       /* only for the assertion against nesting */

    pthread_mutex_t lock; /* innermost; guards nothing but the two conditions */
    pthread_cond_t work, done;
    atomic_uint sleepers; /* workers in or near work */
    atomic_bool waiting;  /* the caller in or near done */
};

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits a moment for *value to become (or, with until_not, to leave) `wanted`; whether it did. */
static bool spin(const struct pool *pool, const atomic_uint *value, unsigned wanted, bool until_not)
{
    int64_t end = 0;
    for (;;) {
        for (int i = 0; i < SPIN_ROUNDS; i++) {
            if ((atomic_load(value) == wanted) != until_not) return true;
            if (!pool->spins) return false;
            pause_cpu();
        }
        int64_t now = clock_now();
        if (end == 0) end = now + SPIN_NS;
        if (now >= end) return false;
    }
}

static void *worker_main(void *arg)
{
    const struct worker *worker = arg;
    struct pool *pool = worker->pool;
    for (unsigned seen = 0;;) {
        if (!spin(pool, &pool->generation, seen, true)) {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->sleepers, 1);
            while (atomic_load(&pool->generation) == seen) {
                pthread_cond_wait(&pool->work, &pool->lock);
            }
            atomic_fetch_sub(&pool->sleepers, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        seen++; /* not the generation read: the next one cannot begin before this is counted down */
        if (pool->stop) return NULL;
        pool->fn(pool->arg, worker->lane, pool->n_threads);
        if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->waiting)) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

/* Begins a loop: everything written to the pool before is seen by the workers. */
static void publish(struct pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->lock);
    }
}

/* Signals belong to the main thread's handlers or loop, never to a worker in the middle of a sum.
 */
static int start_workers(struct pool *pool)
{
    sigset_t all, old;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc != 0) return -rc;
    for (unsigned i = 0; i + 1 < pool->n_threads; i++) {
        struct worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->lane = i + 1;
        rc = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (rc != 0) break;
        pool->n_started++;
        char name[16];
        snprintf(name, sizeof(name), "pool-%u", worker->lane);
        pthread_setname_np(worker->thread, name);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -rc;
}

struct pool *pool_new(unsigned n_threads)
{
    if (n_threads == 0) return NULL;
    struct pool *pool = mem_new_aligned(1, sizeof(*pool));
    if (pool == NULL) return NULL;
    *pool = (struct pool){.n_threads = n_threads, .spins = n_threads <= cpu_count()};
    pthread_mutex_init(&pool->lock, NULL); /* the default ones cannot fail on Linux */
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->workers = mem_new(n_threads - 1, sizeof(*pool->workers));
    if (pool->workers == NULL || start_workers(pool) < 0) {
        pool_free(pool);
        return NULL;
    }
    return pool;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) return;
    pool->stop = true;
    publish(pool);
    for (unsigned i = 0; i < pool->n_started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool->workers);
    mem_free(pool);
}

unsigned pool_threads(const struct pool *pool)
{
    return pool != NULL ? pool->n_threads : 1;
}

void pool_run(struct pool *pool, pool_fn *fn, void *arg)
{
    if (pool == NULL || pool->n_threads == 1) {
        fn(arg, 0, 1);
        return;
    }
    bool nested = atomic_exchange(&pool->busy, true);
    assert(!nested && "pool_run() inside or beside another one of the same pool");
    (void)nested;

    pool->fn = fn;
    pool->arg = arg;
    atomic_store(&pool->pending, pool->n_threads - 1);
    publish(pool);
    fn(arg, 0, pool->n_threads);
    if (!spin(pool, &pool->pending, 0, false)) {
        pthread_mutex_lock(&pool->lock);
        atomic_store(&pool->waiting, true);
        while (atomic_load(&pool->pending) > 0) pthread_cond_wait(&pool->done, &pool->lock);
        atomic_store(&pool->waiting, false);
        pthread_mutex_unlock(&pool->lock);
    }
    atomic_store(&pool->busy, false);
}

void pool_range(size_t count, unsigned lane, unsigned n_lanes, size_t *ret_first, size_t *ret_end)
{
    size_t base = count / n_lanes, longer = count % n_lanes;
    size_t first = lane * base + (lane < longer ? lane : longer);
    *ret_first = first;
    *ret_end = first + base + (lane < longer ? 1 : 0);
}
