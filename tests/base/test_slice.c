/* Slices of threads: what the kernel says it has given, and that nothing else of the thread
 * changes. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/slice.h"

static void *in_thread(void *arg)
{
    int64_t *got = arg;
    setpriority(PRIO_PROCESS, 0, 5);
    got[0] = slice_set(SLICE_SHORT_NS);
    got[1] = getpriority(PRIO_PROCESS, 0);
    got[2] = slice_set(0); /* the system's own */
    const struct sched_param none = {.sched_priority = 0};
    sched_setscheduler(0, SCHED_BATCH, &none);
    got[3] = slice_set(SLICE_SHORT_NS);
    got[4] = sched_getscheduler(0);
    return NULL;
}

static void test_slice(void **state)
{
    (void)state;
    int64_t got[5];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, in_thread, got), 0);
    pthread_join(thread, NULL);
    assert_int_equal(got[1], 5);
    assert_int_equal(got[3], 0); /* of another class: left alone */
    assert_int_equal(got[4], SCHED_BATCH);
    if (got[0] == 0) skip(); /* before Linux 6.12 */
    assert_int_equal(got[0], SLICE_SHORT_NS);
    assert_true(got[2] > SLICE_SHORT_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_slice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
