/* The engine gives the answers that the plan gives, whatever the batches; it says which image is
 * bad; it hands every request back once. */
#include "config.h"

#include <errno.h>
#include <float.h>
#include <math.h>
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

static const char *const nothing[] = {NULL};

static struct engine *start(unsigned workers, const struct calibration *calibration)
{
    struct engine_options options;
    struct err e = {.code = 0};
    default_options(&options);
    options.workers = workers;
    struct engine *engine = engine_new(&options, NULL, &e);
    assert_non_null(engine);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, calibration), NULL), 0);
    return engine;
}

/* Batches of other sizes may sum in another order. */
static void assert_near(const float *got, const float *want)
{
    for (int c = 0; c < TINY_CLASSES; c++) {
        double difference = (double)got[c] - (double)want[c];
        if (difference < 0) difference = -difference;
        if (difference > 1e-4)
            fail_msg("class %d: %g, wanted %g", c, (double)got[c], (double)want[c]);
    }
}

static void assert_answer(const struct call *call, int i, const struct png *png, int classifier,
                          enum sla_reason reason)
{
    const struct result *r = &call->request.results[i];
    float want[TINY_CLASSES];
    assert_int_equal(r->status, 0);
    assert_int_equal(r->classifier, classifier);
    assert_string_equal(sla_reason_name(r->reason), sla_reason_name(reason));
    expect_probabilities(call->request.version, png, classifier, want);
    assert_near(r->probabilities, want);
}

static void each_classifier_answers_as_the_plan(void **state)
{
    (void)state;
    struct calibration calibration = tiny_calibration();
    struct engine *engine = start(1, &calibration);
    struct png png;
    png_make(&png, 3);
    static const char *const names[] = {"SLA-Classifier: 1", "SLA-Classifier: 2",
                                        "SLA-Classifier: 3", "SLA-Classifier: 4",
                                        "SLA-Classifier: ensemble"};
    for (int i = 0; i < 5; i++) {
        const char *const headers[] = {names[i], NULL};
        int classifier = i < 4 ? i : MODEL_ENSEMBLE, last = i < 4 ? i : 3;
        struct call call;
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        assert_answer(&call, 0, &png, classifier, SLA_REQUESTED);
        const struct result *r = &call.request.results[0];
        assert_int_equal(r->exits_run, last + 1);
        for (int s = 0; s < TINY_SECTIONS; s++) {
            bool head = classifier == MODEL_ENSEMBLE || s == classifier;
            assert_int_equal(r->batch[s], s <= last ? 1 : 0);
            assert_int_equal(r->exit_probabilities[s] != NULL, head);
            if (!head) continue;
            float want[TINY_CLASSES];
            expect_probabilities(call.request.version, &png, s, want);
            assert_near(r->exit_probabilities[s], want);
        }
        assert_true(call.met);
        assert_true(call.request.timing.decode_ns > 0 && call.request.timing.section_ns[last] > 0);
        call_reset(&call);
    }
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

/* Of exits that have not learned no head runs: not for the ensemble, not for a confidence. */
static void exits_that_have_not_learned_stay_out(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int classifier;
        enum sla_reason reason;
        unsigned heads;
    } rows[] = {
        {"SLA-Classifier: ensemble", MODEL_ENSEMBLE, SLA_REQUESTED, 10},
        {"SLA-Classifier: 2", 1, SLA_REQUESTED, 2},
        {"SLA-Min-Accuracy: 0.4", 1, SLA_ACCURACY, 2},
        {"SLA-Min-Confidence: 0", 1, SLA_CONFIDENCE, 2},
        {"SLA-Min-Confidence: 1", MODEL_ENSEMBLE, SLA_EXHAUSTED, 10},
    };
    struct calibration calibration = tiny_calibration();
    struct engine_options options;
    struct err e = {.code = 0};
    struct png png;
    struct call call;
    default_options(&options);
    options.workers = 1;
    struct engine *engine = engine_new(&options, NULL, &e);
    assert_non_null(engine);
    struct model *model = tiny_model("tiny", 7, &calibration);
    model->training.untrained = 5;
    assert_int_equal(publish_now(engine, model, NULL), 0);
    png_make(&png, 3);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const headers[] = {rows[i].header, NULL};
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        assert_answer(&call, 0, &png, rows[i].classifier, rows[i].reason);
        for (int s = 0; s < TINY_SECTIONS; s++) {
            bool ran = call.request.results[0].exit_probabilities[s] != NULL;
            assert_int_equal(ran, (rows[i].heads >> s & 1) != 0);
        }
        call_reset(&call);
    }
    static const char *const named[] = {"SLA-Classifier: 3", NULL};
    call_init(&call, sla_of(named), &png, 1);
    assert_int_equal(engine_submit(engine, &call.request), ERR_UNSUPPORTED);
    assert_non_null(strstr(call.request.error.text, "has not learned"));
    call_reset(&call);
    engine_free(engine);
}

/* Rule 13 of doc/sla.md: by name, and where it is better than the exit. Weights of 0 need no head.
 */
static void running_ensembles_answer(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int classifier;
        enum sla_reason reason;
        unsigned heads;
    } rows[] = {
        {"SLA-Classifier: ensemble:2", MODEL_RUNNING(1), SLA_REQUESTED, 3},
        {"SLA-Classifier: ensemble:4", MODEL_RUNNING(3), SLA_REQUESTED, 13},
        {"SLA-Classifier: 2", 1, SLA_REQUESTED, 2},
        {"SLA-Min-Accuracy: 0.61", MODEL_RUNNING(1), SLA_ACCURACY, 3},
        {"SLA-Min-Accuracy: 0.66", 2, SLA_ACCURACY, 4},
        {"SLA-Min-Confidence: 1", MODEL_RUNNING(3), SLA_EXHAUSTED, 15},
        {"SLA-Classifier: auto", MODEL_RUNNING(1), SLA_CONFIDENCE, 3},
    };
    struct calibration calibration = tiny_calibration();
    calibration.running[1] = (struct calibration_running){true, {.65, .7}, {0.25, 0.75}};
    calibration.running[3] = (struct calibration_running){true, {.95, .9}, {0.25, 0, 0.25, 0.5}};
    calibration.has_thresholds = true;
    calibration.thresholds[0] = calibration.thresholds[2] = 2;
    struct engine *engine = start(1, &calibration);
    struct png png;
    struct call call;
    png_make(&png, 3);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const headers[] = {rows[i].header, NULL};
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        assert_answer(&call, 0, &png, rows[i].classifier, rows[i].reason);
        for (int s = 0; s < TINY_SECTIONS; s++) {
            bool ran = call.request.results[0].exit_probabilities[s] != NULL;
            if (ran != ((rows[i].heads >> s & 1) != 0)) fail_msg("row %zu, head %d", i, s);
        }
        call_reset(&call);
    }
    /* The confidence that counts is its own. */
    float want[TINY_CLASSES], most = 0;
    char least[64];
    struct version *version = engine_version(engine, "");
    expect_probabilities(version, &png, MODEL_RUNNING(1), want);
    version_unref(version);
    for (int c = 0; c < TINY_CLASSES; c++) most = want[c] > most ? want[c] : most;
    for (int k = 0; k < 2; k++) {
        snprintf(least, sizeof(least), "SLA-Min-Confidence: %.6f",
                 (double)most + (k == 0 ? -0.001 : 0.001));
        const char *const headers[] = {least, "SLA-Min-Accuracy: 0.61", NULL};
        call_init(&call, sla_of(headers), &png, 1);
        assert_int_equal(call_run(engine, &call), 0);
        int classifier = call.request.results[0].classifier;
        assert_int_equal(classifier == MODEL_RUNNING(1), k == 0);
        call_reset(&call);
    }
    static const char *const named[] = {"SLA-Classifier: ensemble:3", NULL};
    call_init(&call, sla_of(named), &png, 1);
    assert_int_equal(engine_submit(engine, &call.request), ERR_UNSUPPORTED);
    call_reset(&call);
    engine_free(engine);
}

static void a_model_without_calibration_answers(void **state)
{
    (void)state;
    struct engine *engine = start(1, NULL);
    struct png png;
    png_make(&png, 4);
    struct call call;
    call_init(&call, sla_of(nothing), &png, 1);
    assert_int_equal(call_run(engine, &call), 0);
    assert_answer(&call, 0, &png, 3, SLA_REQUESTED);
    call_reset(&call);

    static const char *const least[] = {"SLA-Min-Confidence: 0.5", NULL};
    call_init(&call, sla_of(least), &png, 1);
    assert_int_equal(engine_submit(engine, &call.request), ERR_UNSUPPORTED);
    assert_int_equal(call.request.status, ERR_UNSUPPORTED);
    assert_null(call.request.version);
    call_reset(&call);
    engine_free(engine);
}

/* Many requests of all kinds at once, on one worker that is held until all are queued: real
 * batches. */
static void mixed_batches_answer_as_the_plan(void **state)
{
    (void)state;
    enum { CALLS = 40 };
    static const char *const names[] = {"SLA-Classifier: 1",        "SLA-Classifier: 2",
                                        "SLA-Classifier: 3",        "SLA-Classifier: 4",
                                        "SLA-Classifier: ensemble", "SLA-Min-Confidence: 0.4",
                                        "SLA-Min-Accuracy: 0.65",   "SLA-Min-Confidence: 1"};
    struct calibration calibration = tiny_calibration();
    struct engine *engine = start(1, &calibration);
    struct call *calls = calloc(CALLS, sizeof(*calls));
    struct png *pngs = calloc(CALLS, sizeof(*pngs));
    assert_true(calls != NULL && pngs != NULL);
    struct blocker blocker;
    worker_block(engine, &blocker);
    for (int i = 0; i < CALLS; i++) {
        const char *const headers[] = {names[i % 8], NULL};
        png_make(&pngs[i], (unsigned)i);
        call_init(&calls[i], sla_of(headers), &pngs[i], 1);
        assert_int_equal(engine_submit(engine, &calls[i].request), 0);
    }
    assert_int_equal(engine_in_flight(engine), CALLS);
    worker_release(&blocker);
    int largest = 0, confident = 0;
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(call_wait(&calls[i]), 0);
        const struct result *r = &calls[i].request.results[0];
        if (r->batch[0] > largest) largest = r->batch[0];
        if (i % 8 < 5) {
            assert_answer(&calls[i], 0, &pngs[i], i % 8 < 4 ? i % 8 : MODEL_ENSEMBLE,
                          SLA_REQUESTED);
        } else if (i % 8 == 6) {
            assert_answer(&calls[i], 0, &pngs[i], 2, SLA_ACCURACY);
        } else if (i % 8 == 7) {
            /* These weights never reach 1: all heads run, the best on held-out images answers. */
            assert_answer(&calls[i], 0, &pngs[i], MODEL_ENSEMBLE, SLA_EXHAUSTED);
            for (int s = 0; s < TINY_SECTIONS; s++) assert_non_null(r->exit_probabilities[s]);
        } else {
            /* The first exit that is confident enough, and none before it was. */
            float want[TINY_CLASSES];
            int first = TINY_SECTIONS;
            for (int s = TINY_SECTIONS - 1; s >= 0; s--) {
                float most = 0;
                expect_probabilities(calls[i].request.version, &pngs[i], s, want);
                for (int c = 0; c < TINY_CLASSES; c++) most = want[c] > most ? want[c] : most;
                if (most >= 0.4f) first = s;
            }
            if (first < TINY_SECTIONS) {
                confident++;
                assert_answer(&calls[i], 0, &pngs[i], first, SLA_CONFIDENCE);
            } else {
                assert_answer(&calls[i], 0, &pngs[i], MODEL_ENSEMBLE, SLA_EXHAUSTED);
            }
        }
    }
    assert_true(largest > 8);
    print_message("# largest batch %d, %d confident\n", largest, confident);
    for (int i = 0; i < CALLS; i++) call_reset(&calls[i]);
    free(calls);
    free(pngs);
    engine_free(engine);
}

static void several_images_have_results_of_their_own(void **state)
{
    (void)state;
    enum { N = 37 }; /* more than a batch holds */
    struct calibration calibration = tiny_calibration();
    struct engine *engine = start(2, &calibration);
    struct png *pngs = calloc(N, sizeof(*pngs));
    assert_non_null(pngs);
    for (int i = 0; i < N; i++) png_make(&pngs[i], (unsigned)(100 + i));
    static const char *const ensemble[] = {"SLA-Classifier: ensemble", NULL};
    struct call call;
    call_init(&call, sla_of(ensemble), pngs, N);
    assert_int_equal(call_run(engine, &call), 0);
    for (int i = 0; i < N; i++) assert_answer(&call, i, &pngs[i], MODEL_ENSEMBLE, SLA_REQUESTED);
    call_reset(&call);
    free(pngs);
    engine_free(engine);
}

/* The others of its request are answered; what was wrong stands in its result. Without any answer
 * the request has the code of its first image, and says which one it was. */
static void a_bad_image_fails_alone(void **state)
{
    (void)state;
    struct engine *engine = start(1, NULL);
    struct png pngs[3];
    for (unsigned i = 0; i < 3; i++) png_make(&pngs[i], i);
    struct call call;
    call_init(&call, sla_of(nothing), pngs, 3);
    call.images[1].size /= 2;
    assert_int_equal(call_run(engine, &call), 0);
    const struct result *bad = &call.request.results[1];
    assert_int_equal(bad->status, ERR_FORMAT);
    assert_int_equal(bad->error.code, ERR_FORMAT);
    assert_null(strstr(bad->error.text, "images["));
    assert_answer(&call, 0, &pngs[0], 3, SLA_REQUESTED);
    assert_answer(&call, 2, &pngs[2], 3, SLA_REQUESTED);
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 3);
    for (int i = 0; i < 3; i++) call.images[i].size = (size_t)(40 + i);
    assert_int_equal(call_run(engine, &call), ERR_FORMAT);
    assert_int_equal(call.request.error.code, ERR_FORMAT);
    assert_int_equal(strncmp(call.request.error.text, "images[0]: ", 11), 0);
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 1);
    call.images[0] = (struct input){.data = "hello", .size = 5};
    int rc = call_run(engine, &call);
    assert_true(rc == ERR_UNSUPPORTED || rc == ERR_FORMAT);
    assert_int_equal(call.request.error.code, rc);
    assert_null(strstr(call.request.error.text, "images["));
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 1);
    call.images[0].size = 0;
    assert_true(call_run(engine, &call) < 0);
    call_reset(&call);

    /* The engine goes on. */
    call_init(&call, sla_of(nothing), pngs, 3);
    assert_int_equal(call_run(engine, &call), 0);
    call_reset(&call);
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

/* The same image encoded, as pixels, and as numbers: the same answer. */
static void inputs_of_each_kind_are_answered(void **state)
{
    (void)state;
    enum { PIXELS = TINY_SIDE * TINY_SIDE };
    struct engine *engine = start(1, NULL);
    struct err e = {.code = 0};
    struct arena *arena = arena_new(1 << 20);
    struct image image;
    struct png pngs[4];
    for (int i = 0; i < 4; i++) png_make(&pngs[i], 21);
    const struct image_decoding decoding = {.limits = &image_limits_default};
    assert_int_equal(image_decode(pngs[0].bytes, pngs[0].size, &decoding, arena, &image, &e), 0);
    struct version *version = engine_version(engine, "");
    float values[PIXELS * 3], planes[3 * PIXELS];
    preprocess_normalise(&version_model(version)->preprocess, image.pixels, PIXELS, values);
    for (int i = 0; i < PIXELS * 3; i++) planes[i % 3 * PIXELS + i / 3] = values[i];
    uint8_t twice[4 * PIXELS * 3]; /* each pixel four times */
    for (int i = 0; i < 4 * PIXELS; i++) {
        int y = i / (2 * TINY_SIDE) / 2, x = i % (2 * TINY_SIDE) / 2;
        memcpy(twice + 3 * i, image.pixels + 3 * (y * TINY_SIDE + x), 3);
    }
    const struct input inputs[] = {
        {INPUT_ENCODED, 0, 0, pngs[0].bytes, pngs[0].size},
        {INPUT_U8, TINY_SIDE, TINY_SIDE, image.pixels, PIXELS * 3},
        {INPUT_F32, TINY_SIDE, TINY_SIDE, planes, sizeof(planes)},
        {INPUT_U8, 2 * TINY_SIDE, 2 * TINY_SIDE, twice, sizeof(twice)},
    };
    struct call call;
    call_init(&call, sla_of(nothing), pngs, 4);
    memcpy(call.images, inputs, sizeof(inputs));
    assert_int_equal(call_run(engine, &call), 0);
    for (int i = 0; i < 3; i++) assert_answer(&call, i, &pngs[0], 3, SLA_REQUESTED);
    assert_int_equal(call.request.results[3].status, 0); /* resized: nearly the same image */
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 2);
    call.images[1] = (struct input){INPUT_F32, 8, 8, planes, 8 * 8 * 3 * sizeof(float)};
    assert_int_equal(call_run(engine, &call), 0);
    assert_int_equal(call.request.results[1].status, ERR_RANGE);
    assert_non_null(strstr(call.request.results[1].error.text, "[3,8,8] given, the model takes"));
    call_reset(&call);
    version_unref(version);
    arena_free(arena);
    engine_free(engine);
}

static void what_cannot_be_admitted_stays_the_callers(void **state)
{
    (void)state;
    struct engine_options options;
    struct err e;
    default_options(&options);
    options.workers = 1;
    options.queue_max = 4;
    struct engine *engine = engine_new(&options, NULL, &e);
    assert_non_null(engine);
    struct png pngs[5];
    for (unsigned i = 0; i < 5; i++) png_make(&pngs[i], i);
    struct call call;
    call_init(&call, sla_of(nothing), pngs, 1);
    assert_int_equal(engine_submit(engine, &call.request), ERR_NOT_FOUND);
    call_reset(&call);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, NULL), NULL), 0);

    call_init(&call, sla_of(nothing), pngs, 1);
    strcpy(call.request.model_name, "other");
    assert_int_equal(engine_submit(engine, &call.request), ERR_NOT_FOUND);
    assert_non_null(strstr(call.request.error.text, "other"));
    strcpy(call.request.model_name, "tiny");
    assert_int_equal(call_run(engine, &call), 0);
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 5);
    assert_int_equal(engine_submit(engine, &call.request), ERR_LIMIT);
    call_reset(&call);

    static const char *const fifth[] = {"SLA-Classifier: 5", NULL};
    call_init(&call, sla_of(fifth), pngs, 1);
    assert_int_equal(engine_submit(engine, &call.request), ERR_RANGE);
    assert_non_null(strstr(call.request.error.text, "SLA-Classifier"));
    assert_non_null(strstr(call.request.error.text, "1 to 4"));
    call_reset(&call);

    call_init(&call, sla_of(nothing), pngs, 1);
    arena_free(call.request.arena);
    call.request.arena = arena_new(100);
    assert_int_equal(engine_submit(engine, &call.request), -ENOMEM);
    call_reset(&call);
    assert_int_equal(engine_in_flight(engine), 0);
    engine_free(engine);
}

static void thresholds_decide_for_auto(void **state)
{
    (void)state;
    struct calibration calibration = tiny_calibration();
    calibration.has_thresholds = true;
    calibration.thresholds[0] = 1;
    calibration.thresholds[1] = 0.05; /* always reached: there are seven classes */
    calibration.thresholds[2] = 0.5;
    struct engine *engine = start(1, &calibration);
    struct png png;
    png_make(&png, 8);
    static const char *const automatic[] = {"SLA-Classifier: auto", NULL};
    struct call call;
    call_init(&call, sla_of(automatic), &png, 1);
    assert_int_equal(call_run(engine, &call), 0);
    assert_answer(&call, 0, &png, 1, SLA_CONFIDENCE);
    assert_non_null(call.request.results[0].exit_probabilities[0]);
    call_reset(&call);
    engine_free(engine);
}

static void names_and_costs_are_known(void **state)
{
    (void)state;
    struct calibration calibration = tiny_calibration();
    struct engine *engine = start(1, &calibration);
    assert_int_equal(publish_now(engine, tiny_model("second", 8, &calibration), NULL), 0);
    assert_int_equal(publish_now(engine, tiny_model("second", 9, &calibration), NULL), 0);
    const char *names[4];
    assert_int_equal(engine_model_names(engine, names, 4), 2);
    assert_string_equal(names[0], "tiny");
    assert_string_equal(names[1], "second");
    assert_int_equal(engine_model_names(engine, names, 1), 1);
    struct version *version = engine_version(engine, "");
    assert_string_equal(version_model(version)->name, "tiny");
    double before = 0;
    for (int s = 0; s < TINY_SECTIONS; s++) {
        double cost = engine_cost(engine, version, s);
        assert_true(cost > 0);
        assert_true(engine_cost(engine, version, MODEL_ENSEMBLE) >= cost);
        before = cost;
    }
    assert_true(before < 1);
    version_unref(version);
    assert_null(engine_version(engine, "third"));
    engine_free(engine);
}

/* The n-th allocation of an engine's life fails, for every n: an error, never a crash or a leak. */
static void allocations_may_fail(void **state)
{
    (void)state;
    struct calibration calibration = tiny_calibration();
    struct png png;
    png_make(&png, 1);
    unsigned n = 0;
    for (bool fired = true; fired; n++) {
        assert_true(n < 500);
        struct model *model = tiny_model("tiny", 7, &calibration);
        struct engine_options options;
        struct err e = {.code = 0};
        default_options(&options);
        options.workers = 2;
        struct call call;
        call_init(&call, sla_of(nothing), &png, 1);
        const double none[TINY_SECTIONS] = {0};
        mem_fail_at(n + 1);
        struct engine *engine = engine_new(&options, NULL, &e);
        if (engine == NULL) {
            assert_int_equal(e.code, -ENOMEM);
            model_free(model);
        } else {
            struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, none, none);
            int rc = -ENOMEM;
            if (cost != NULL) {
                rc = publish_now(engine, model, cost);
            } else {
                model_free(model);
            }
            if (rc == 0) rc = call_run(engine, &call);
            if (rc != 0) assert_int_equal(rc, -ENOMEM);
        }
        fired = mem_fail_left() == 0;
        mem_fail_at(0);
        engine_free(engine);
        call_reset(&call);
    }
    print_message("# %u allocations failed in turn\n", n - 1);
}

/* Sections that are predicted to take long: idle workers help with them, go when more comes, and
 * every answer is right. */
static void idle_workers_help(void **state)
{
    (void)state;
    enum { WORKERS = 3, CALLS = 6, ROUNDS_MAX = 20000 };
    static const double long_s[TINY_SECTIONS] = {1, 1, 1, 1};
    static const char *const ensemble[] = {"SLA-Classifier: ensemble", NULL};
    struct calibration calibration = tiny_calibration();
    struct engine_options options;
    struct err e = {.code = 0};
    struct metrics *metrics = metrics_new();
    default_options(&options);
    options.workers = WORKERS;
    struct engine *engine = engine_new(&options, metrics, &e);
    assert_non_null(engine);
    struct cost *cost = cost_new_linear(TINY_SECTIONS, 32, long_s, long_s);
    assert_int_equal(publish_now(engine, tiny_model("tiny", 7, &calibration), cost), 0);
    struct png pngs[CALLS];
    for (int i = 0; i < CALLS; i++) png_make(&pngs[i], (unsigned)i);
    struct call *calls = calloc(CALLS, sizeof(*calls));
    assert_non_null(calls);
    int rounds = 0;
    for (bool helped = false; rounds < 200 || (!helped && rounds < ROUNDS_MAX); rounds++) {
        int n = rounds % 3 == 0 ? 1 : CALLS; /* alone, or with others that come meanwhile */
        for (int i = 0; i < n; i++) {
            call_init(&calls[i], sla_of(ensemble), &pngs[i], 1 + (i == 0 && rounds % 5 == 0));
            assert_int_equal(engine_submit(engine, &calls[i].request), 0);
        }
        for (int i = 0; i < n; i++) {
            assert_int_equal(call_wait(&calls[i]), 0);
            assert_answer(&calls[i], 0, &pngs[i], MODEL_ENSEMBLE, SLA_REQUESTED);
            call_reset(&calls[i]);
        }
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(metrics_render(metrics, &out), 0);
        helped = strstr(buf_text(&out), "\nautodidact_helps_total 0\n") == NULL;
        assert_non_null(strstr(buf_text(&out), "\nautodidact_helps_total "));
        buf_release(&out);
    }
    assert_true(rounds < ROUNDS_MAX);
    assert_int_equal(engine_in_flight(engine), 0);
    free(calls);
    engine_free(engine);
    metrics_free(metrics);
}

/* Linear layers of an exit (-1: of all) with these weights and this bias of class 0. */
static void set_linear(const struct net *net, float *params, int exit, float weight, float bias)
{
    size_t n;
    const struct param *p = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (exit >= 0 && p[i].exit != exit) continue;
        if (p[i].role == PARAM_LINEAR_WEIGHT) {
            for (size_t k = 0; k < p[i].size; k++) params[p[i].offset + k] = weight;
        } else if (p[i].role == PARAM_LINEAR_BIAS) {
            params[p[i].offset] = bias;
        }
    }
}

static void overflow_in_second(const struct net *net, float *params)
{
    set_linear(net, params, 1, FLT_MAX, FLT_MAX);
}

static void underflow_in_second(const struct net *net, float *params)
{
    set_linear(net, params, 1, -FLT_MAX, -FLT_MAX);
}

static void overflow_in_sum(const struct net *net, float *params)
{
    set_linear(net, params, -1, 0, FLT_MAX);
}

/* Finite weights whose sums are not: an error that names classifier and version, in no answer a
 * probability of it; what does not need that classifier is answered. */
static void what_is_not_finite_is_an_error(void **state)
{
    (void)state;
    static const struct {
        void (*change)(const struct net *net, float *params);
        const char *asked;  /* classifier */
        const char *broken; /* the one that is named; NULL: an answer */
    } rows[] = {
        {overflow_in_second, "1", NULL},
        {overflow_in_second, "2", "classifier 2 "},
        {overflow_in_second, "3", NULL},
        {overflow_in_second, "ensemble", "classifier 2 "},
        {underflow_in_second, "2", "classifier 2 "},
        {overflow_in_sum, "4", NULL},
        {overflow_in_sum, "ensemble", NULL}, /* a mean of finite numbers is finite */
    };
    struct png png;
    png_make(&png, 3);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char header[40], line[100];
        struct engine_options options;
        struct err e = {.code = 0};
        struct metrics *metrics = metrics_new();
        default_options(&options);
        options.workers = 1;
        struct engine *engine = engine_new(&options, metrics, &e);
        struct model *model = tiny_model_changed("tiny", 7, NULL, rows[i].change);
        assert_int_equal(publish_version(engine, model, 12, NULL), 0);
        snprintf(header, sizeof(header), "SLA-Classifier: %s", rows[i].asked);
        const char *const headers[] = {header, NULL};
        for (int n = 1; n <= 2; n++) {
            const struct png pngs[2] = {png, png};
            struct call call;
            call_init(&call, sla_of(headers), pngs, n);
            int rc = call_run(engine, &call);
            const struct request *r = &call.request;
            if (rows[i].broken == NULL) {
                assert_int_equal(rc, 0);
                for (int c = 0; c < TINY_CLASSES; c++)
                    assert_true(isfinite(r->results[0].probabilities[c]));
            } else {
                if (rc != ERR_DIVERGED) fail_msg("row %zu: %d", i, rc);
                assert_int_equal(r->error.code, ERR_DIVERGED);
                if (strstr(r->error.text, rows[i].broken) == NULL ||
                    strstr(r->error.text, "tiny, version 12") == NULL ||
                    (strncmp(r->error.text, "images[0]: ", 11) == 0) != (n > 1))
                    fail_msg("row %zu: %s", i, r->error.text);
                assert_int_equal(r->results[n - 1].status, ERR_DIVERGED);
            }
            call_reset(&call);
        }
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(metrics_render(metrics, &out), 0);
        snprintf(
            line, sizeof(line), "autodidact_not_finite_total{model=\"tiny\",classifier=\"%s\"} 3\n",
            strcmp(rows[i].asked, "ensemble") == 0 && rows[i].change == overflow_in_sum ? "ensemble"
                                                                                        : "2");
        assert_true((strstr(buf_text(&out), line) != NULL) == (rows[i].broken != NULL));
        buf_release(&out);
        engine_free(engine);
        metrics_free(metrics);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_classifier_answers_as_the_plan),
        cmocka_unit_test(exits_that_have_not_learned_stay_out),
        cmocka_unit_test(running_ensembles_answer),
        cmocka_unit_test(a_model_without_calibration_answers),
        cmocka_unit_test(mixed_batches_answer_as_the_plan),
        cmocka_unit_test(several_images_have_results_of_their_own),
        cmocka_unit_test(a_bad_image_fails_alone),
        cmocka_unit_test(inputs_of_each_kind_are_answered),
        cmocka_unit_test(what_cannot_be_admitted_stays_the_callers),
        cmocka_unit_test(thresholds_decide_for_auto),
        cmocka_unit_test(names_and_costs_are_known),
        cmocka_unit_test(allocations_may_fail),
        cmocka_unit_test(what_is_not_finite_is_an_error),
        cmocka_unit_test(idle_workers_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
