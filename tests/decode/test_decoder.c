/* The decoder: every job comes back once, on a thread of the decoder, one thread's in the order of
 * submission; `done` may submit the next. */
#include "config.h"

#include "decode/decoder.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

enum { SIDE = 4, BYTES = SIDE * SIDE * 3 };

struct order {
    struct decoder *decoder;
    pthread_mutex_t lock;
    struct test_job *last; /* that came back */
    int done, out_of_order;
};

struct test_job {
    struct decode_job job;
    struct order *order;
    int number;
    int done;
    struct test_job *then; /* submitted by done */
    uint8_t pixels[BYTES];
    float output[BYTES];
};

static void on_done(struct decode_job *job)
{
    struct test_job *t = job->owner;
    struct order *order = t->order;
    pthread_mutex_lock(&order->lock);
    t->done++;
    order->done++;
    if (order->last != NULL && order->last->number > t->number) order->out_of_order++;
    order->last = t;
    pthread_mutex_unlock(&order->lock);
    if (t->then != NULL) decoder_submit(order->decoder, &t->then->job);
}

static int start(unsigned seats, struct decoder **ret_decoder, struct err *e)
{
    const struct decoder_options options = {
        .foreground = seats, .background = 1, .time_max_ns = 60 * CLOCK_SECOND};
    return decoder_new(&options, NULL, ret_decoder, e);
}

static struct test_job *jobs_new(struct order *order, int n)
{
    struct test_job *jobs = calloc((size_t)n, sizeof(*jobs));
    assert_non_null(jobs);
    for (int i = 0; i < n; i++) {
        struct test_job *t = &jobs[i];
        t->order = order;
        t->number = i;
        memset(t->pixels, i, sizeof(t->pixels));
        t->job = (struct decode_job){
            .work = {.kind = INPUT_U8,
                     .width = SIDE,
                     .height = SIDE,
                     .input_bytes = i % 7 == 3 ? BYTES - 1 : BYTES, /* some are wrong */
                     .limits = image_limits_default,
                     .preprocess = {.width = SIDE, .height = SIDE, .std = {1, 1, 1}}},
            .input = t->pixels,
            .output = t->output,
            .done = on_done,
            .owner = t};
    }
    return jobs;
}

static void check(const struct test_job *jobs, int n)
{
    for (int i = 0; i < n; i++) {
        assert_int_equal(jobs[i].done, 1);
        assert_int_equal(jobs[i].job.status, i % 7 == 3 ? ERR_RANGE : 0);
        assert_int_equal(jobs[i].job.error.code, jobs[i].job.status);
        if (i % 7 == 3) continue;
        float want = (float)(uint8_t)i / 255.0f;
        assert_memory_equal(&jobs[i].output[BYTES - 1], &want, sizeof(want));
        assert_true(jobs[i].job.took_ns >= 0 && jobs[i].job.cpu_ns >= 0);
    }
}

static void on_done_look_at_signals(struct decode_job *job)
{
    pthread_sigmask(SIG_SETMASK, NULL, job->owner);
}

/* Signals are for the program's own threads, whose masks stay as they are. */
static void signals_are_for_others(void **state)
{
    (void)state;
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct test_job *job = jobs_new(&order, 1);
    sigset_t theirs, ours;
    sigemptyset(&theirs);
    job->job.done = on_done_look_at_signals;
    job->job.owner = &theirs;
    assert_int_equal(start(1, &order.decoder, NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &ours);
    assert_int_equal(sigismember(&ours, SIGTERM), 0);
    decoder_submit(order.decoder, &job->job);
    decoder_free(order.decoder);
    assert_int_equal(sigismember(&theirs, SIGTERM), 1);
    assert_int_equal(sigismember(&theirs, SIGINT), 1);
    free(job);
}

static void jobs_come_back_in_order(void **state)
{
    (void)state;
    enum { N = 200 };
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct test_job *jobs = jobs_new(&order, N);
    assert_int_equal(start(1, &order.decoder, NULL), 0);
    for (int i = 0; i < N; i++) decoder_submit(order.decoder, &jobs[i].job);
    decoder_free(order.decoder); /* finishes them */
    assert_int_equal(order.done, N);
    assert_int_equal(order.out_of_order, 0);
    check(jobs, N);
    free(jobs);
}

static void done_may_submit_the_next(void **state)
{
    (void)state;
    enum { N = 50 };
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct test_job *jobs = jobs_new(&order, N);
    for (int i = 0; i + 1 < N; i++) jobs[i].then = &jobs[i + 1];
    assert_int_equal(start(1, &order.decoder, NULL), 0);
    decoder_submit(order.decoder, &jobs[0].job);
    decoder_free(order.decoder);
    assert_int_equal(order.done, N);
    check(jobs, N);
    free(jobs);
}

struct submitter {
    struct order *order;
    struct test_job *jobs;
    int from, to;
};

static void *submit(void *arg)
{
    struct submitter *s = arg;
    for (int i = s->from; i < s->to; i++) decoder_submit(s->order->decoder, &s->jobs[i].job);
    return NULL;
}

static void many_threads(void **state)
{
    (void)state;
    enum { N = 600, SUBMITTERS = 3 };
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct test_job *jobs = jobs_new(&order, N);
    struct submitter submitters[SUBMITTERS];
    pthread_t threads[SUBMITTERS];
    assert_int_equal(start(2, &order.decoder, NULL), 0);
    for (int i = 0; i < SUBMITTERS; i++) {
        submitters[i] =
            (struct submitter){&order, jobs, i * N / SUBMITTERS, (i + 1) * N / SUBMITTERS};
        assert_int_equal(pthread_create(&threads[i], NULL, submit, &submitters[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++) pthread_join(threads[i], NULL);
    decoder_free(order.decoder);
    assert_int_equal(order.done, N);
    check(jobs, N);
    free(jobs);
}

static void on_the_callers_thread(void **state)
{
    (void)state;
    struct order order = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct test_job *jobs = jobs_new(&order, 1);
    assert_int_equal(start(1, &order.decoder, NULL), 0);
    decode_job_run(order.decoder, &jobs[0].job);
    assert_int_equal(jobs[0].job.status, 0);
    assert_int_equal(jobs[0].done, 0);
    decoder_free(order.decoder);
    free(jobs);
}

static void memory_may_be_short(void **state)
{
    (void)state;
    struct decoder *decoder = NULL;
    struct err e = {.code = 0};
    mem_fail_at(1);
    assert_int_equal(start(1, &decoder, &e), -ENOMEM);
    mem_fail_at(0);
    assert_null(decoder);
    decoder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_for_others),   cmocka_unit_test(jobs_come_back_in_order),
        cmocka_unit_test(done_may_submit_the_next), cmocka_unit_test(many_threads),
        cmocka_unit_test(on_the_callers_thread),    cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests_name("decoder", tests, NULL, NULL);
}
