/* The loop: calls from other threads in the order of posting, and timers. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/timer.h"

enum { CALLS = 20000, THREADS = 3 };

struct poster {
    struct loop *loop;
    struct loop_call calls[CALLS];
    pthread_t thread;
    size_t seen;
};

static size_t posters_left;

static void seen(struct loop_call *call)
{
    struct poster *poster = call->arg;
    assert_ptr_equal(call, &poster->calls[poster->seen]); /* none is missing, none overtakes */
    if (++poster->seen == CALLS && --posters_left == 0) loop_stop(poster->loop);
}

static void *post(void *arg)
{
    struct poster *poster = arg;
    for (size_t i = 0; i < CALLS; i++) {
        poster->calls[i] = (struct loop_call){.fn = seen, .arg = poster};
        loop_post(poster->loop, &poster->calls[i]);
    }
    return NULL;
}

static void test_post(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct poster *posters = mem_new(THREADS, sizeof(*posters));
    assert_non_null(loop);
    assert_non_null(posters);
    posters_left = THREADS;
    for (size_t t = 0; t < THREADS; t++) {
        posters[t].loop = loop;
        assert_int_equal(pthread_create(&posters[t].thread, NULL, post, &posters[t]), 0);
    }
    loop_run(loop);
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(posters[t].thread, NULL);
        assert_int_equal(posters[t].seen, CALLS);
    }
    mem_free(posters);
    loop_free(loop);
}

/* A call may free what holds it, and post another. */
struct chain {
    struct loop_call call;
    struct loop *loop;
    int left;
};

static void next(struct loop_call *call)
{
    struct chain *chain = (struct chain *)call; /* the first member */
    struct loop *loop = chain->loop;
    int left = chain->left - 1;
    mem_free(chain);
    if (left == 0) {
        loop_stop(loop);
        return;
    }
    chain = mem_new(1, sizeof(*chain));
    *chain = (struct chain){.call = {.fn = next}, .loop = loop, .left = left};
    loop_post(loop, &chain->call);
}

static void test_chain(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct chain *chain = mem_new(1, sizeof(*chain));
    *chain = (struct chain){.call = {.fn = next}, .loop = loop, .left = 100};
    loop_post(loop, &chain->call);
    loop_run(loop);
    loop_free(loop);
}

struct ticks {
    struct loop *loop;
    struct loop_timer *timer, *never;
    int n;
};

static void tick(void *arg)
{
    struct ticks *t = arg;
    if (++t->n == 1) loop_timer_free(t->never);
    if (t->n < 3) return;
    loop_timer_stop(t->timer);
    loop_stop(t->loop);
}

static void fail_tick(void *arg)
{
    (void)arg;
    fail_msg("a timer that was stopped or freed");
}

static void test_timers(void **state)
{
    (void)state;
    struct ticks t = {.loop = loop_new(NULL)};
    struct loop_timer *stopped = loop_timer_new(t.loop, fail_tick, NULL);
    t.timer = loop_timer_new(t.loop, tick, &t);
    t.never = loop_timer_new(t.loop, fail_tick, NULL);
    loop_timer_start(t.timer, -5, 2); /* at once */
    loop_timer_start(t.never, 60000, 0);
    loop_timer_start(stopped, 1, 0);
    loop_timer_stop(stopped);
    loop_run(t.loop);
    assert_int_equal(t.n, 3);
    loop_timer_free(t.timer);
    loop_timer_free(stopped);
    loop_timer_free(NULL);
    loop_free(t.loop); /* runs until they are closed */
    mem_fail_at(1);
    assert_null(loop_new(NULL));
    mem_fail_at(0);
}

/* Each in a process of its own, since libuv does a part but once. */
static void too_few_descriptors_are_an_error(void **state)
{
    (void)state;
    int made = 0;
    for (rlim_t n = 3; n < 40; n++) {
        pid_t pid = fork();
        if (pid == 0) {
            struct err e = {.code = 0};
            const struct rlimit both = {n, n};
            setrlimit(RLIMIT_NOFILE, &both);
            struct loop *loop = loop_new(&e);
            bool told = loop != NULL || (e.code < 0 && e.text[0] != '\0');
            _exit(!told ? 2 : loop != NULL ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
            fail_msg("%d descriptors: status %x", (int)n, (unsigned)status);
        made += status == 0;
    }
    assert_true(made > 0);
}

int main(void)
{
    alarm(60);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_few_descriptors_are_an_error),
        cmocka_unit_test(test_post),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_timers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
