/* Deadlines, overload, cancelling and new versions. Costs are given to the engine (10 s a section,
 * 1 s a head), while the tiny network really takes well under a millisecond: predictions are known
 * and no test waits for them. A worker is held in a callback where a queue is needed. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fixture.h"

static const double section_s[TINY_SECTIONS] = {10, 10, 10, 10};
static const double head_s[TINY_SECTIONS] = {1, 1, 1, 1};
static const char *const nothing[] = {NULL};

static struct png png; /* of all requests here */

static struct engine *start(unsigned workers, int queue_max, const struct calibration *calibration)
{
    struct engine_options options;
    struct err e = {.code = 0};
    default_options(&options);
    options.workers = workers;
    options.queue_max = queue_max;
    struct engine *engine = engine_new(&options, NULL, &e);
    assert_non_null(engine);
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, section_s, head_s);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, calibration), cost), 0);
    png_make(&png, 5);
    return engine;
}

/* What is asked, and what admission makes of it. */
struct admission_row {
    const char *headers[4]; /* ends with NULL */
    int rc, classifier;
    enum sla_reason reason;
};

static void check_row(const struct admission_row *row, size_t number, int rc,
                      const struct request *request)
{
    if (rc != row->rc) fail_msg("row %zu: %d (%s)", number, rc, request->error.text);
    if (rc != 0) return;
    const struct result *r = &request->results[0];
    if (r->classifier != row->classifier || r->reason != row->reason)
        fail_msg("row %zu: %d %s", number, r->classifier, sla_reason_name(r->reason));
}

/* What an idle machine promises. */
static void admission_when_idle(void **state)
{
    (void)state;
    static const struct admission_row rows[] = {
        /* Exit n takes 10n + 1 s, the ensemble 44 s. */
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 42000"}, 0, 3, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 40500"}, 0, 2, SLA_BY_DEADLINE},
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 20500"}, 0, 0, SLA_BY_DEADLINE},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 10500"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        {{"SLA-Classifier: 1", "SLA-Deadline-Ms: 10500"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        {{"SLA-Classifier: ensemble", "SLA-Deadline-Ms: 45000"}, 0, MODEL_ENSEMBLE, SLA_REQUESTED},
        {{"SLA-Classifier: ensemble", "SLA-Deadline-Ms: 43000"}, 0, 3, SLA_BY_DEADLINE},
        {{"SLA-Classifier: ensemble", "SLA-Deadline-Ms: 35000"}, 0, 2, SLA_BY_DEADLINE},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 40500", "SLA-On-Miss: fail"},
         ERR_DEADLINE,
         0,
         SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 42000", "SLA-On-Miss: fail"},
         0,
         3,
         SLA_REQUESTED},
        /* Only a deadline: the best on held-out images that fits. */
        {{"SLA-Deadline-Ms: 45000"}, 0, MODEL_ENSEMBLE, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 43000"}, 0, 3, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 12000", "SLA-On-Miss: fail"}, 0, 0, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 10500", "SLA-On-Miss: fail"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        /* Bounds of others do not choose, they only bound. */
        {{"grpc-timeout: 45S"}, 0, 3, SLA_REQUESTED},
        {{"grpc-timeout: 35S"}, 0, 2, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 45000", "Prefer: wait=25"}, 0, 1, SLA_BY_DEADLINE},
        {{"x-envoy-expected-rq-timeout-ms: 5"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        /* Min-* under a deadline. */
        {{"SLA-Min-Accuracy: 0.7", "SLA-Deadline-Ms: 25000"}, 0, 1, SLA_BY_DEADLINE},
        {{"SLA-Min-Accuracy: 0.6", "SLA-Deadline-Ms: 25000"}, 0, 1, SLA_ACCURACY},
        {{"SLA-Min-Confidence: 0.05", "SLA-Deadline-Ms: 12000"}, 0, 0, SLA_CONFIDENCE},
        {{"SLA-Min-Confidence: 1", "SLA-Deadline-Ms: 25000"}, 0, 1, SLA_BY_DEADLINE},
    };
    struct calibration calibration = tiny_calibration();
    struct engine *engine = start(1, 100, &calibration);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct call call;
        call_init(&call, sla_of(rows[i].headers), &png, 1);
        int rc = call_run(engine, &call);
        check_row(&rows[i], i, rc, &call.request);
        if (rc == 0) {
            const struct result *r = &call.request.results[0];
            assert_true(call.met);
            if (r->classifier != MODEL_ENSEMBLE && r->reason != SLA_CONFIDENCE) {
                float want[TINY_CLASSES];
                expect_probabilities(call.request.version, &png, r->classifier, want);
                for (int c = 0; c < TINY_CLASSES; c++) {
                    assert_true(want[c] - r->probabilities[c] < 1e-5f &&
                                r->probabilities[c] - want[c] < 1e-5f);
                }
            }
        } else {
            assert_null(call.request.version);
            assert_non_null(strstr(call.request.error.text, "idle"));
        }
        call_reset(&call);
    }
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

/* The same behind a queue: one request that was promised the deepest (41 s of work) waits for a
 * worker that is held. What others will get at least has to fit beside that (rule 6 of doc/sla.md).
 */
static void admission_behind_a_queue(void **state)
{
    (void)state;
    static const struct admission_row rows[] = {
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 84000"}, 0, 3, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 53000"}, 0, 3, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 50000"}, ERR_BUSY, 0, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 39000"}, ERR_BUSY, 0, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 65000", "SLA-On-Miss: fail"},
         ERR_DEADLINE,
         0,
         SLA_REQUESTED},
        {{"SLA-Deadline-Ms: 65000"}, 0, MODEL_ENSEMBLE, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 88000"}, 0, MODEL_ENSEMBLE, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 50000", "SLA-On-Miss: fail"}, ERR_DEADLINE, 0, SLA_REQUESTED},
    };
    static const char *const promised[] = {"SLA-Classifier: deepest", "SLA-Deadline-Ms: 46000",
                                           "SLA-On-Miss: fail", NULL};
    struct calibration calibration = tiny_calibration();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine *engine = start(1, 100, &calibration);
        struct blocker blocker;
        struct call first, call;
        worker_block(engine, &blocker);
        call_init(&first, sla_of(promised), &png, 1);
        assert_int_equal(engine_submit(engine, &first.request), 0);
        call_init(&call, sla_of(rows[i].headers), &png, 1);
        int rc = engine_submit(engine, &call.request);
        worker_release(&blocker);
        if (rc == 0) assert_int_equal(call_wait(&call), 0);
        check_row(&rows[i], i, rc, &call.request);
        if (rc == ERR_BUSY)
            assert_true(call.request.retry_after_s >= 41 && call.request.retry_after_s <= 43);
        assert_int_equal(call_wait(&first), 0);
        /* With `fail` nothing is ever substituted. */
        assert_int_equal(first.request.results[0].classifier, 3);
        assert_int_equal(first.request.results[0].reason, SLA_REQUESTED);
        call_reset(&first);
        call_reset(&call);
        engine_free(engine);
    }
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0) continue;
}

/* Admission promised what the wait then ate: the border after section 1 sees it. The worker is held
 * longer than the slack; how much longer does not matter, as long as it is under 10 s. */
static void the_border_answers_when_the_next_section_would_be_late(void **state)
{
    (void)state;
    struct calibration calibration = tiny_calibration();
    static const struct {
        const char *headers[4];
        int status, classifier;
    } rows[] = {
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 22000"}, 0, 1}, /* 21 s are left: fits */
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 13600"}, 0, 0}, /* admitted for exit 1 */
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 21500"}, 0, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct engine *engine = start(1, 100, &calibration);
        const char *const headers[] = {rows[i].headers[0], rows[i].headers[1], NULL};
        struct call call;
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(call_run(engine, &call), rows[i].status);
        assert_int_equal(call.request.results[0].classifier, rows[i].classifier);
        call_reset(&call);
        engine_free(engine);
    }
    /* 12.5 s for section 2, its head and the head before it, after 1 s in the queue of what takes
     * nothing in section 1. */
    static const double late_s[TINY_SECTIONS] = {0, 10, 10, 10};
    struct engine_options options;
    struct err e;
    default_options(&options);
    options.workers = 1;
    for (int fail = 0; fail < 2; fail++) {
        struct engine *engine = engine_new(&options, NULL, &e);
        struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, late_s, head_s);
        assert_int_equal(publish_now(engine, tiny_model("tiny", 7, &calibration), cost), 0);
        const char *const headers[] = {"SLA-Classifier: 2", "SLA-Deadline-Ms: 12500",
                                       fail ? "SLA-On-Miss: fail" : NULL, NULL};
        struct blocker blocker;
        struct call call;
        worker_block(engine, &blocker);
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(engine_submit(engine, &call.request), 0);
        pause_ms(1000);
        worker_release(&blocker);
        if (fail) {
            assert_int_equal(call_wait(&call), ERR_DEADLINE);
            assert_int_equal(call.request.error.code, ERR_DEADLINE);
            assert_int_equal(call.request.results[0].exits_run, 1);
        } else {
            assert_int_equal(call_wait(&call), 0);
            assert_int_equal(call.request.results[0].classifier, 0);
            assert_int_equal(call.request.results[0].reason, SLA_BY_DEADLINE);
            assert_true(call.met);
        }
        call_reset(&call);
        engine_free(engine);
    }
}

/* The deadline passes in the queue: nothing computed, 504. */
static void a_deadline_that_passes_in_the_queue_expires(void **state)
{
    (void)state;
    static const double free_s[TINY_SECTIONS] = {0};
    struct engine_options options;
    struct err e;
    default_options(&options);
    options.workers = 1;
    struct engine *engine = engine_new(&options, NULL, &e);
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, free_s, free_s);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, NULL), cost), 0);
    static const char *const headers[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 600", NULL};
    struct blocker blocker;
    struct call call;
    worker_block(engine, &blocker);
    call_init(&call, sla_of(headers), &png, 1);
    assert_int_equal(engine_submit(engine, &call.request), 0);
    pause_ms(700);
    worker_release(&blocker);
    assert_int_equal(call_wait(&call), ERR_DEADLINE);
    assert_int_equal(call.request.results[0].exits_run, 0);
    call_reset(&call);
    engine_free(engine);
}

static struct sla urgent(int urgency)
{
    struct sla sla = sla_of(nothing);
    sla.urgency = urgency;
    return sla;
}

/* Rules 5 and 8: a full queue refuses, but sheds the less urgent for the more urgent. */
static void a_full_queue_sheds_the_less_urgent(void **state)
{
    (void)state;
    struct engine *engine = start(1, 3, NULL);
    struct blocker blocker;
    struct call calls[3], more;
    struct png two[2];
    png_make(&two[0], 1);
    png_make(&two[1], 2);
    worker_block(engine, &blocker);
    static const int urgencies[] = {5, 3, 6};
    for (int i = 0; i < 3; i++) {
        call_init(&calls[i], urgent(urgencies[i]), &png, 1);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    call_init(&more, urgent(6), &png, 1);
    assert_int_equal(engine_submit(engine, &more.request), ERR_BUSY);
    assert_int_equal(more.request.status, ERR_BUSY);
    assert_true(more.request.retry_after_s >= 1);
    call_reset(&more);
    assert_int_equal(engine_in_flight(engine), 3);

    /* Three images find two that are less urgent: nobody is shed for nothing. */
    struct png three[3] = {two[0], two[1], png};
    call_init(&more, urgent(4), three, 3);
    assert_int_equal(engine_submit(engine, &more.request), ERR_BUSY);
    call_reset(&more);
    assert_int_equal(engine_in_flight(engine), 3);

    /* What is just being decoded is not shed, so there may be but one until that is over. */
    int rc = ERR_BUSY;
    for (int i = 0; rc == ERR_BUSY && i < 30000; i++) {
        if (i > 0) {
            call_reset(&more);
            pause_ms(1);
        }
        call_init(&more, urgent(4), two, 2);
        rc = engine_submit(engine, &more.request);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(call_wait(&calls[0]), ERR_BUSY); /* while the only worker is still held */
    assert_int_equal(call_wait(&calls[2]), ERR_BUSY);
    assert_true(calls[2].request.retry_after_s >= 1);
    assert_int_equal(calls[2].request.error.code, ERR_BUSY);
    assert_int_equal(engine_in_flight(engine), 3);
    worker_release(&blocker);
    assert_int_equal(call_wait(&calls[1]), 0);
    assert_int_equal(call_wait(&more), 0);
    for (int i = 0; i < 3; i++) call_reset(&calls[i]);
    call_reset(&more);
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

static void cancelling_hands_back_at_once(void **state)
{
    (void)state;
    struct engine *engine = start(1, 100, NULL);
    struct blocker blocker;
    struct call calls[3];
    worker_block(engine, &blocker);
    for (int i = 0; i < 3; i++) {
        call_init(&calls[i], sla_of(nothing), &png, 1);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    engine_cancel(engine, &calls[1].request);
    assert_int_equal(call_wait(&calls[1]), ERR_CANCELLED); /* the worker is still held */
    assert_int_equal(engine_in_flight(engine), 2);
    worker_release(&blocker);
    assert_int_equal(call_wait(&calls[0]), 0);
    assert_int_equal(call_wait(&calls[2]), 0);
    for (int i = 0; i < 3; i++) call_reset(&calls[i]);

    /* Anywhere between: cancelled or answered, but once, and nothing stays behind. */
    int cancelled = 0;
    for (int i = 0; i < 300; i++) {
        struct png many[4] = {png, png, png, png};
        struct call call;
        call_init(&call, sla_of(nothing), many, 4);
        pthread_mutex_lock(&call.lock); /* done cannot hand it back before the cancel */
        assert_int_equal(engine_submit(engine, &call.request), 0);
        for (volatile int spin = 0; spin < i * 200; spin = spin + 1) continue;
        engine_cancel(engine, &call.request);
        pthread_mutex_unlock(&call.lock);
        int rc = call_wait(&call);
        assert_true(rc == 0 || rc == ERR_CANCELLED);
        for (int k = 0; rc == 0 && k < 4; k++) assert_int_equal(call.request.results[k].status, 0);
        cancelled += rc == ERR_CANCELLED;
        call_reset(&call);
    }
    print_message("# %d of 300 cancelled\n", cancelled);
    assert_true(cancelled > 0);
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

/* engine_free() answers what is in flight and takes nothing new. */
static void stopping_drains(void **state)
{
    (void)state;
    enum { CALLS = 50 };
    struct engine *engine = start(2, 100, NULL);
    struct call *calls = calloc(CALLS, sizeof(*calls));
    assert_non_null(calls);
    for (int i = 0; i < CALLS; i++) {
        call_init(&calls[i], sla_of(nothing), &png, 1);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    engine_free(engine);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].request.status, 0);
        call_reset(&calls[i]);
    }
    free(calls);
}

/* The last thing to finish may be a refusal on the decode thread: the workers hear of it. */
static void stopping_ends_after_a_bad_image(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct engine *engine = start(2, 100, NULL);
        struct call call;
        call_init(&call, sla_of(nothing), &png, 1);
        call.images[0].size = 50;
        assert_int_equal(engine_submit(engine, &call.request), 0);
        engine_free(engine);
        assert_int_equal(call.done, 1);
        assert_int_equal(call.request.status, ERR_FORMAT);
        call_reset(&call);
    }
}

/* New versions come while four threads ask: each answer is that of the version it names. */

struct asker {
    struct engine *engine;
    pthread_t thread;
    unsigned number;
    int calls, wrong;
};

static void *ask(void *arg)
{
    struct asker *asker = arg;
    static const char *const names[] = {"SLA-Classifier: 1", "SLA-Classifier: 3",
                                        "SLA-Classifier: ensemble"};
    for (int i = 0; i < asker->calls; i++) {
        const char *const headers[] = {names[(asker->number + (unsigned)i) % 3], NULL};
        struct call call;
        call_init(&call, sla_of(headers), &png, 1);
        int rc = call_run(asker->engine, &call);
        asker->wrong += rc != 0;
        if (rc == 0 && i % 8 == 0) {
            const struct result *r = &call.request.results[0];
            float want[TINY_CLASSES];
            expect_probabilities(call.request.version, &png, r->classifier, want);
            for (int c = 0; c < TINY_CLASSES; c++) {
                float d = want[c] - r->probabilities[c];
                asker->wrong += d > 1e-4f || d < -1e-4f;
            }
        }
        call_reset(&call);
    }
    return NULL;
}

static void publishing_under_load_loses_nothing(void **state)
{
    (void)state;
    enum { ASKERS = 4, VERSIONS = 8 };
    struct engine *engine = start(2, 100, NULL);
    struct asker askers[ASKERS];
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){.engine = engine, .number = i, .calls = 400};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (unsigned v = 0; v < VERSIONS; v++) {
        struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, section_s, head_s);
        assert_int_equal(publish_now(engine, tiny_model("tiny", 100 + v, NULL), cost), 0);
    }
    for (unsigned i = 0; i < ASKERS; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].wrong, 0);
    }
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

static void ignore(struct publication *publication)
{
    (void)publication;
}

static void a_request_keeps_its_version(void **state)
{
    (void)state;
    struct engine *engine = start(1, 100, NULL);
    struct blocker blocker;
    struct call call;
    worker_block(engine, &blocker);
    call_init(&call, sla_of(nothing), &png, 1);
    strcpy(call.request.model_name, "tiny");
    assert_int_equal(engine_submit(engine, &call.request), 0);
    struct version *before = call.request.version;
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, section_s, head_s);
    struct publication publication = {
        .model = tiny_model("tiny", 8, NULL), .cost = cost, .done = ignore};
    engine_publish(engine, &publication);
    worker_release(&blocker);
    assert_int_equal(call_wait(&call), 0);
    assert_ptr_equal(call.request.version, before);
    float want[TINY_CLASSES];
    expect_probabilities(before, &png, 3, want);
    for (int c = 0; c < TINY_CLASSES; c++) {
        float d = want[c] - call.request.results[0].probabilities[c];
        assert_true(d < 1e-4f && d > -1e-4f);
    }
    call_reset(&call);
    engine_free(engine);
}

/* What cannot be served is refused, and what served before goes on. */
static void publishing_what_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    struct engine *engine = start(1, 100, NULL);
    struct model *wrong = tiny_model("tiny", 8, NULL);
    wrong->preprocess.width = TINY_SIDE + 1;
    assert_int_equal(publish_now(engine, wrong, NULL), ERR_UNSUPPORTED);
    struct call call;
    call_init(&call, sla_of(nothing), &png, 1);
    assert_int_equal(call_run(engine, &call), 0);
    call_reset(&call);
    engine_free(engine);
}

static void metrics_are_kept(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct engine_options options;
    struct err e;
    default_options(&options);
    options.workers = 1;
    struct engine *engine = engine_new(&options, metrics, &e);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, NULL), NULL), 0);
    static const char *const second[] = {"SLA-Classifier: 2", NULL};
    for (int i = 0; i < 3; i++) {
        struct call call;
        call_init(&call, sla_of(second), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        for (int k = 0; k < 2; k++)
            engine_replied(engine, &call.request, clock_now() + CLOCK_SECOND);
        call_reset(&call);
    }
    engine_show_learned(engine);
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(metrics_render(metrics, &out), 0);
    static const char *const lines[] = {
        "autodidact_queue_wait_seconds_count{section=\"1\"} 3",
        "autodidact_section_duration_seconds_count{model=\"tiny\",section=\"2\"} 3",
        "autodidact_section_duration_seconds_count{model=\"tiny\",section=\"3\"} 0",
        "autodidact_batch_size_bucket{model=\"tiny\",section=\"1\",le=\"1\"} 3",
        "autodidact_prediction_error_ratio_count{section=\"2\"} 3",
        "autodidact_prediction_error_ratio_count{section=\"4\"} 0",
        "autodidact_slow_down_ratio{model=\"tiny\"} ",
        "autodidact_helped_ratio{model=\"tiny\"} 1\n", /* a lone worker */
        "autodidact_margin_seconds 1", /* and what there is before a reply is said to have left */
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (strstr(buf_text(&out), lines[i]) == NULL)
            fail_msg("%s is not in:\n%s", lines[i], buf_text(&out));
    }
    assert_null(strstr(buf_text(&out), "section=\"5\"")); /* the network has four */
    buf_release(&out);
    engine_free(engine);
    metrics_free(metrics);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct engine_options good, bad;
    struct err e;
    default_options(&good);
    bad = good;
    bad.batch_max = 0;
    assert_null(engine_new(&bad, NULL, &e));
    assert_non_null(strstr(e.text, "batch_max"));
    bad = good;
    bad.queue_max = 0;
    assert_null(engine_new(&bad, NULL, &e));
    bad = good;
    bad.default_target_ns = 0;
    assert_null(engine_new(&bad, NULL, &e));
    bad = good;
    bad.workers = 100000;
    assert_null(engine_new(&bad, NULL, &e));
    engine_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admission_when_idle),
        cmocka_unit_test(admission_behind_a_queue),
        cmocka_unit_test(the_border_answers_when_the_next_section_would_be_late),
        cmocka_unit_test(a_deadline_that_passes_in_the_queue_expires),
        cmocka_unit_test(a_full_queue_sheds_the_less_urgent),
        cmocka_unit_test(cancelling_hands_back_at_once),
        cmocka_unit_test(stopping_drains),
        cmocka_unit_test(stopping_ends_after_a_bad_image),
        cmocka_unit_test(publishing_under_load_loses_nothing),
        cmocka_unit_test(a_request_keeps_its_version),
        cmocka_unit_test(publishing_what_does_not_fit_changes_nothing),
        cmocka_unit_test(metrics_are_kept),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
