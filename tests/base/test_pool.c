/* Thread pools: every lane once, results visible, equal ranges, waking up after sleep, no signals.
 */
#include "config.h"

#include "base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static const unsigned thread_counts[] = {1, 2, 3, 8};
enum { COUNTS = sizeof(thread_counts) / sizeof(*thread_counts), LANES_MAX = 8 };

struct visits {
    unsigned count[LANES_MAX]; /* plain memory: the pool orders the accesses */
    unsigned n_lanes[LANES_MAX];
    pthread_t thread[LANES_MAX];
};

static void visit(void *arg, unsigned lane, unsigned n_lanes)
{
    struct visits *visits = arg;
    visits->count[lane]++;
    visits->n_lanes[lane] = n_lanes;
    visits->thread[lane] = pthread_self();
}

static void test_every_lane_once(void **state)
{
    (void)state;
    enum { LOOPS = 300 };
    for (size_t k = 0; k < COUNTS; k++) {
        unsigned n = thread_counts[k];
        struct pool *pool = pool_new(n);
        assert_non_null(pool);
        assert_int_equal(pool_threads(pool), n);
        struct visits visits = {0};
        for (unsigned i = 1; i <= LOOPS; i++) {
            pool_run(pool, visit, &visits);
            for (unsigned r = 0; r < LANES_MAX; r++) {
                assert_int_equal(visits.count[r], r < n ? i : 0);
                if (r < n) assert_int_equal(visits.n_lanes[r], n);
            }
        }
        assert_true(pthread_equal(visits.thread[0], pthread_self())); /* the caller is lane 0 */
        for (unsigned r = 1; r < n; r++) {
            assert_false(pthread_equal(visits.thread[r], pthread_self()));
        }
        pool_free(pool);
    }
}

static void test_null_is_one_thread(void **state)
{
    (void)state;
    struct visits visits = {0};
    assert_int_equal(pool_threads(NULL), 1);
    pool_run(NULL, visit, &visits);
    assert_int_equal(visits.count[0], 1);
    assert_int_equal(visits.n_lanes[0], 1);
    pool_free(NULL);
    assert_null(pool_new(0));
}

struct chain {
    const uint32_t *in;
    uint32_t *out;
    size_t count;
};

/* Reads what other lanes wrote in the loop before. */
static void mix(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct chain *chain = arg;
    size_t first, end;
    pool_range(chain->count, lane, n_lanes, &first, &end);
    for (size_t i = first; i < end; i++) {
        uint32_t left = chain->in[(i + chain->count - 1) % chain->count];
        chain->out[i] = (left ^ chain->in[i]) * UINT32_C(2654435761) + 1;
    }
}

static void test_writes_are_seen_by_the_next_loop(void **state)
{
    (void)state;
    enum { COUNT = 101, LOOPS = 2000 };
    uint32_t want[COUNT];
    for (size_t k = 0; k < COUNTS; k++) {
        struct pool *pool = pool_new(thread_counts[k]);
        uint32_t a[COUNT], b[COUNT];
        for (uint32_t i = 0; i < COUNT; i++) a[i] = i;
        for (int i = 0; i < LOOPS; i += 2) {
            pool_run(pool, mix, &(struct chain){a, b, COUNT});
            pool_run(pool, mix, &(struct chain){b, a, COUNT});
        }
        if (k == 0) memcpy(want, a, sizeof(a));
        assert_memory_equal(a, want, sizeof(a));
        pool_free(pool);
    }
}

struct nap {
    unsigned round;
    atomic_uint sum;
};

/* Now the caller is late, now the workers are. */
static void nap(void *arg, unsigned lane, unsigned n_lanes)
{
    (void)n_lanes;
    struct nap *now = arg;
    const struct timespec pause = {.tv_nsec = 2000000}; /* longer than anybody spins */
    if ((lane == 0) == (now->round % 2 == 0)) nanosleep(&pause, NULL);
    atomic_fetch_add(&now->sum, 1);
}

/* Pauses longer than the spinning, before and within loops: both sides really go to sleep. */
static void test_sleepers_wake_up(void **state)
{
    (void)state;
    const struct timespec pause = {.tv_nsec = 2000000};
    for (size_t k = 0; k < COUNTS; k++) {
        struct pool *pool = pool_new(thread_counts[k]);
        struct nap now = {0};
        for (now.round = 1; now.round <= 10; now.round++) {
            nanosleep(&pause, NULL);
            pool_run(pool, nap, &now);
            assert_int_equal(atomic_load(&now.sum), now.round * thread_counts[k]);
        }
        nanosleep(&pause, NULL);
        pool_free(pool); /* of sleeping threads */
    }
}

static void ask_mask(void *arg, unsigned lane, unsigned n_lanes)
{
    (void)n_lanes;
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    ((int *)arg)[lane] = sigismember(&set, SIGTERM) + sigismember(&set, SIGUSR1);
}

static void test_workers_block_signals(void **state)
{
    (void)state;
    struct pool *pool = pool_new(3);
    int blocked[3];
    pool_run(pool, ask_mask, blocked);
    assert_int_equal(blocked[0], 0); /* the caller's own mask is as before */
    assert_int_equal(blocked[1], 2);
    assert_int_equal(blocked[2], 2);
    pool_free(pool);
}

static void test_ranges(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 20; n++) {
        for (size_t count = 0; count < 70; count++) {
            size_t next = 0, least = SIZE_MAX, most = 0;
            for (unsigned lane = 0; lane < n; lane++) {
                size_t first, end;
                pool_range(count, lane, n, &first, &end);
                assert_int_equal(first, next);
                assert_true(end >= first);
                if (end - first < least) least = end - first;
                if (end - first > most) most = end - first;
                next = end;
            }
            assert_int_equal(next, count);
            assert_true(most - least <= 1);
        }
    }
    size_t first, end;
    pool_range(SIZE_MAX, 2, 3, &first, &end); /* no overflow in between */
    assert_true(end == SIZE_MAX && first == SIZE_MAX / 3 * 2);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    unsigned n = 1;
    for (;; n++) {
        mem_fail_at(n);
        struct pool *pool = pool_new(2);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_non_null(pool);
            pool_free(pool);
            break;
        }
        pool_free(pool); /* NULL, or a pool that counted its processors in another way */
        assert_true(n < 10);
    }
    assert_true(n >= 3); /* the pool and its workers are allocations */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_lane_once),
        cmocka_unit_test(test_null_is_one_thread),
        cmocka_unit_test(test_writes_are_seen_by_the_next_loop),
        cmocka_unit_test(test_sleepers_wake_up),
        cmocka_unit_test(test_workers_block_signals),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
