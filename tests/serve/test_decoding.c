/* Decoding inside of the engine: small images beside large ones, what ends before it is decoded,
 * and that every request comes back once, whatever is in the decoder. A large image is pixels that
 * nobody wrote, so that it takes time and no memory. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "fixture.h"

enum { LARGE = 6000 };

static const char *const nothing[] = {NULL};
static const double free_s[TINY_SECTIONS] = {0};
static struct png png;
static struct input large; /* LARGE x LARGE, some hundred milliseconds */

static struct engine *start_with(struct engine_options *options, struct metrics *metrics)
{
    struct err e = {.code = 0};
    struct engine *engine = engine_new(options, metrics, &e);
    if (engine == NULL) fail_msg("%s", e.text);
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, free_s, free_s);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, NULL), cost), 0);
    return engine;
}

static struct engine *start(unsigned workers, struct metrics *metrics)
{
    struct engine_options options;
    default_options(&options);
    options.workers = workers;
    return start_with(&options, metrics);
}

static void init_large(struct call *call)
{
    call_init(call, sla_of(nothing), &png, 1);
    call->images[0] = large;
}

/* One average over all sizes predicted decoding: after one photograph every small image with a
 * deadline was refused, for ever. (Not all need pass: this machine may stand still for a while.) */
static void a_photograph_is_no_reason_to_refuse_small_images(void **state)
{
    (void)state;
    static const char *const soon[] = {"SLA-Deadline-Ms: 100", NULL};
    struct engine *engine = start(2, NULL);
    struct call call;
    init_large(&call);
    assert_int_equal(call_run(engine, &call), 0);
    call_reset(&call);
    int let_in = 0;
    for (int i = 0; i < 200; i++) {
        call_init(&call, sla_of(soon), &png, 1);
        int rc = engine_submit(engine, &call.request);
        if (rc == 0) call_wait(&call);
        let_in += rc == 0;
        call_reset(&call);
    }
    print_message("# %d of 200 let in\n", let_in);
    assert_true(let_in > 100);
    engine_free(engine);
}

/* Several large ones wait for the one seat of the background: a small one passes them all. */
static void small_images_pass_large_ones(void **state)
{
    (void)state;
    enum { LARGE_ONES = 6 };
    struct engine *engine = start(2, NULL);
    struct call calls[LARGE_ONES], call;
    for (int i = 0; i < LARGE_ONES; i++) {
        init_large(&calls[i]);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    for (int i = 0; i < 3; i++) {
        call_init(&call, sla_of(nothing), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        assert_true(call.request.timing.decode_ns > 0);
        call_reset(&call);
    }
    struct call *last = &calls[LARGE_ONES - 1];
    pthread_mutex_lock(&last->lock);
    assert_int_equal(last->done, 0);
    pthread_mutex_unlock(&last->lock);
    /* One that waits is given up at once, one in work soon. */
    for (int i = 0; i < LARGE_ONES; i++) {
        pthread_mutex_lock(&calls[i].lock); /* done cannot hand it back before the cancel */
        if (calls[i].done == 0) engine_cancel(engine, &calls[i].request);
        pthread_mutex_unlock(&calls[i].lock);
        int rc = call_wait(&calls[i]);
        assert_true(rc == 0 || rc == ERR_CANCELLED);
        if (i == LARGE_ONES - 1) assert_int_equal(rc, ERR_CANCELLED);
        call_reset(&calls[i]);
    }
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

/* Nobody is free for it, and nobody needs to be: the header says it. */
static void what_cannot_be_decoded_waits_for_nobody(void **state)
{
    (void)state;
    struct engine_options options;
    struct blocker blocker;
    struct call busy[2], call;
    default_options(&options);
    options.workers = 1;
    options.decode_memory_max = (size_t)100 << 20;
    struct engine *engine = start_with(&options, NULL);
    worker_block(engine, &blocker);
    for (int i = 0; i < 2; i++) { /* fills a seat of the background, and waits for it */
        init_large(&busy[i]);
        busy[i].images[0].height /= 2;
        busy[i].images[0].size /= 2;
        assert_int_equal(engine_submit(engine, &busy[i].request), 0);
    }
    struct png two[2] = {png, png};
    call_init(&call, sla_of(nothing), two, 2);
    call.images[0] = (struct input){.data = "hello", .size = 5};
    call.images[1] = large; /* needs more than seven eighths of that memory */
    assert_int_equal(engine_submit(engine, &call.request), 0);
    assert_int_equal(call_wait(&call), ERR_UNSUPPORTED);
    assert_non_null(strstr(call.request.error.text, "images[0]: "));
    assert_int_equal(call.request.results[1].status, ERR_LIMIT);
    assert_non_null(strstr(call.request.results[1].error.text, "decoding this 6000x6000"));
    assert_non_null(strstr(call.request.results[1].error.text, "decode.memory_max_bytes"));
    assert_true(call.request.timing.decode_ns == 0);
    call_reset(&call);
    worker_release(&blocker);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_wait(&busy[i]), 0);
        call_reset(&busy[i]);
    }
    engine_free(engine);
}

static void metrics_show_decoding(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "autodidact_decode_waiting{seat=\"foreground\"} 0\n",
        "autodidact_decode_waiting{seat=\"background\"} 1\n",
        "autodidact_decode_in_progress{seat=\"background\"} 1\n",
        "autodidact_decode_in_progress{seat=\"foreground\"} 0\n",
        "autodidact_decode_memory_bytes{seat=\"foreground\"} 0\n",
        "autodidact_decode_prediction_ratio_count{format=\"png\"} 1\n",
        "autodidact_decode_prediction_ratio_count{format=\"jpeg_scans\"} 0\n",
    };
    struct metrics *metrics = metrics_new();
    struct engine *engine = start(1, metrics);
    struct call calls[2], call;
    struct buf out;
    call_init(&call, sla_of(nothing), &png, 1);
    assert_int_equal(call_run(engine, &call), 0);
    call_reset(&call);
    for (int i = 0; i < 2; i++) {
        init_large(&calls[i]);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    buf_init(&out, 1 << 20);
    assert_int_equal(metrics_render(metrics, &out), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(buf_text(&out), lines[i]) == NULL)
            fail_msg("%s is not in:\n%s", lines[i], buf_text(&out));
    assert_null(strstr(buf_text(&out), "decode_memory_bytes{seat=\"background\"} 0"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(call_wait(&calls[i]), 0);
        call_reset(&calls[i]);
    }
    buf_clear(&out);
    assert_int_equal(metrics_render(metrics, &out), 0);
    assert_non_null(strstr(buf_text(&out), "decode_in_progress{seat=\"background\"} 0\n"));
    assert_non_null(strstr(buf_text(&out), "decode_memory_bytes{seat=\"background\"} 0\n"));
    buf_release(&out);
    engine_free(engine);
    metrics_free(metrics);
}

/* A worker that decoded an image for nothing leaves a queue behind that is too long for workers to
 * decode it: the decoder goes on with it. */
static void who_waits_behind_one_that_is_given_up_is_decoded(void **state)
{
    (void)state;
    enum { TIMES = 30, MEDIUM = 1000, MANY = 5 };
    struct engine_options options;
    default_options(&options);
    options.workers = 2;
    struct engine *engine = start_with(&options, NULL);
    for (int i = 0; i < TIMES; i++) {
        struct call medium, many;
        struct png pngs[MANY] = {png, png, png, png, png};
        call_init(&medium, sla_of(nothing), pngs, 1);
        call_init(&many, sla_of(nothing), pngs, MANY);
        medium.images[0] = (struct input){.kind = INPUT_U8,
                                          .width = MEDIUM,
                                          .height = MEDIUM,
                                          .data = large.data,
                                          .size = (size_t)3 * MEDIUM * MEDIUM};
        pthread_mutex_lock(&medium.lock);
        assert_int_equal(engine_submit(engine, &medium.request), 0);
        assert_int_equal(engine_submit(engine, &many.request), 0);
        engine_cancel(engine, &medium.request);
        pthread_mutex_unlock(&medium.lock);
        assert_int_equal(call_wait(&many), 0);
        call_wait(&medium);
        call_reset(&many);
        call_reset(&medium);
    }
    engine_free(engine);
}

/* ---- everything at once ---- */

enum { ASKERS = 4, ROUNDS = 60, AT_ONCE = 3 };

struct asker {
    struct engine *engine;
    pthread_t thread;
    unsigned number;
    int ended[4]; /* answered, cancelled, refused or shed, in other ways */
};

/* Small ones, some with two thousand times their pixels, some broken, of all urgencies. */
static void ask_something(struct call *call, struct rng *rng)
{
    static const char *const urgencies[] = {"Priority: u=1", "Priority: u=3", "Priority: u=6"};
    const char *const headers[] = {urgencies[rng_below(rng, 3)],
                                   rng_below(rng, 4) == 0 ? "SLA-Deadline-Ms: 30" : NULL, NULL};
    struct png pngs[3] = {png, png, png};
    int n = 1 + (int)rng_below(rng, 3);
    call_init(call, sla_of(headers), pngs, n);
    call->request.client = rng_below(rng, 3);
    for (int i = 0; i < n; i++) {
        struct input *image = &call->images[i];
        *image = (struct input){.data = png.bytes, .size = png.size};
        if (rng_below(rng, 8) == 0) image->size /= 2;
        if (rng_below(rng, 6) == 0) *image = large;
        if (image->kind != INPUT_U8) continue;
        image->width = image->height = 300 + (int)rng_below(rng, 1200);
        image->size = 3 * (size_t)image->width * (size_t)image->height;
    }
}

static void *ask(void *arg)
{
    struct asker *asker = arg;
    struct rng rng;
    rng_init(&rng, 5, RNG_TEST, 42, asker->number);
    for (int round = 0; round < ROUNDS; round++) {
        struct call calls[AT_ONCE];
        int rc[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++) {
            ask_something(&calls[i], &rng);
            pthread_mutex_lock(&calls[i].lock); /* done cannot hand it back before the cancel */
            rc[i] = engine_submit(asker->engine, &calls[i].request);
            if (rc[i] == 0 && rng_below(&rng, 5) == 0)
                engine_cancel(asker->engine, &calls[i].request);
            pthread_mutex_unlock(&calls[i].lock);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            int status = rc[i] == 0 ? call_wait(&calls[i]) : rc[i];
            asker->ended[status == 0               ? 0
                         : status == ERR_CANCELLED ? 1
                         : status == ERR_BUSY      ? 2
                                                   : 3]++;
            call_reset(&calls[i]);
        }
    }
    return NULL;
}

static void everything_comes_back_once(void **state)
{
    (void)state;
    struct engine_options options;
    struct asker askers[ASKERS];
    int ended[4] = {0};
    default_options(&options);
    options.workers = 2;
    options.queue_max = 16;
    options.decode_memory_max = (size_t)64 << 20;
    struct engine *engine = start_with(&options, NULL);
    for (unsigned i = 0; i < ASKERS; i++) {
        askers[i] = (struct asker){.engine = engine, .number = i};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        pthread_join(askers[i].thread, NULL);
        for (int k = 0; k < 4; k++) ended[k] += askers[i].ended[k];
    }
    print_message("# %d answered, %d cancelled, %d refused or shed, %d otherwise\n", ended[0],
                  ended[1], ended[2], ended[3]);
    assert_int_equal(ended[0] + ended[1] + ended[2] + ended[3], ASKERS * ROUNDS * AT_ONCE);
    assert_true(ended[0] > 0 && ended[1] > 0);
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_photograph_is_no_reason_to_refuse_small_images),
        cmocka_unit_test(small_images_pass_large_ones),
        cmocka_unit_test(what_cannot_be_decoded_waits_for_nobody),
        cmocka_unit_test(metrics_show_decoding),
        cmocka_unit_test(who_waits_behind_one_that_is_given_up_is_decoded),
        cmocka_unit_test(everything_comes_back_once),
    };
    png_make(&png, 5);
    large = (struct input){
        .kind = INPUT_U8, .width = LARGE, .height = LARGE, .size = (size_t)3 * LARGE * LARGE};
    void *pixels = calloc(large.size, 1);
    if (pixels == NULL) return 1;
    large.data = pixels;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(pixels);
    return rc;
}
