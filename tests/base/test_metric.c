/* Metrics: the text format to the letter, bounds, forgetting, threads, out of memory. */
#include "config.h"

#include "base/metric.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

static const char *const none[] = {NULL};

static void assert_renders(struct metrics *metrics, const char *want)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(metrics_render(metrics, &out), 0);
    assert_string_equal(buf_text(&out), want);
    buf_release(&out);
}

static void test_text_format(void **state)
{
    (void)state;
    static const char *const labels[] = {"model", "code", NULL};
    static const double buckets[] = {0.005, 0.1, 1, 2.5};
    struct metrics *metrics = metrics_new();
    struct metric_family *requests =
        metrics_add(metrics, METRIC_COUNTER, "requests_total", "Requests.\nAll \"of\" them \\o/.",
                    labels, NULL, 0);
    struct metric_family *flight =
        metrics_add(metrics, METRIC_GAUGE, "in_flight", "Now.", NULL, NULL, 0);
    struct metric_family *seconds =
        metrics_add(metrics, METRIC_HISTOGRAM, "wait_seconds", "Waits.", labels + 1, buckets, 4);
    metric_add(metric_series(requests, (const char *[]){"b", "200"}), 3);
    metric_add(metric_series(requests, (const char *[]){"a\"\\\n", ""}), 0.5);
    metric_add(metric_series(requests, (const char *[]){"b", "200"}), 1);
    metric_set(metric_series(flight, NULL), -7);
    struct metric *wait = metric_series(seconds, (const char *[]){"x"});
    static const double values[] = {0.005, 0.0051, 0.1, 1, 1.5, 100, NAN};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) metric_observe(wait, values[i]);
    assert_true(metric_value(wait) == 6);
    assert_renders(metrics, "# HELP requests_total Requests.\\nAll \"of\" them \\\\o/.\n"
                            "# TYPE requests_total counter\n"
                            "requests_total{model=\"b\",code=\"200\"} 4\n"
                            "requests_total{model=\"a\\\"\\\\\\n\",code=\"\"} 0.5\n"
                            "# HELP in_flight Now.\n"
                            "# TYPE in_flight gauge\n"
                            "in_flight -7\n"
                            "# HELP wait_seconds Waits.\n"
                            "# TYPE wait_seconds histogram\n"
                            "wait_seconds_bucket{code=\"x\",le=\"0.005\"} 1\n"
                            "wait_seconds_bucket{code=\"x\",le=\"0.1\"} 3\n"
                            "wait_seconds_bucket{code=\"x\",le=\"1\"} 4\n"
                            "wait_seconds_bucket{code=\"x\",le=\"2.5\"} 5\n"
                            "wait_seconds_bucket{code=\"x\",le=\"+Inf\"} 6\n"
                            "wait_seconds_sum{code=\"x\"} 102.6101\n"
                            "wait_seconds_count{code=\"x\"} 6\n");
    metrics_free(metrics);
}

static void test_without_labels_shows_at_once(void **state)
{
    (void)state;
    static const double buckets[] = {1, INFINITY}; /* +Inf may be said, and stands once */
    struct metrics *metrics = metrics_new();
    metrics_add(metrics, METRIC_COUNTER, "c", "C.", none, NULL, 0);
    metrics_add(metrics, METRIC_HISTOGRAM, "h", "H.", NULL, buckets, 2);
    assert_renders(metrics, "# HELP c C.\n# TYPE c counter\nc 0\n"
                            "# HELP h H.\n# TYPE h histogram\n"
                            "h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n");
    metrics_free(metrics);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {1e15, "1000000000000000"},
        {1769860800, "1769860800"},
        {9007199254740992, "9007199254740992"},
        {9007199254740993e3, "9.007199254740993e+18"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {-1234.5, "-1234.5"},
        {1e-9, "1e-09"},
        {INFINITY, "+Inf"},
        {-INFINITY, "-Inf"},
        {NAN, "NaN"},
    };
    struct metrics *metrics = metrics_new();
    struct metric_family *family = metrics_add(metrics, METRIC_GAUGE, "g", "G.", NULL, NULL, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char want[128];
        metric_set(metric_series(family, NULL), rows[i].value);
        snprintf(want, sizeof(want), "# HELP g G.\n# TYPE g gauge\ng %s\n", rows[i].text);
        assert_renders(metrics, want);
    }
    metrics_free(metrics);
}

static void test_series_are_found_again(void **state)
{
    (void)state;
    static const char *const labels[] = {"a", "b", NULL};
    struct metrics *metrics = metrics_new();
    struct metric_family *family = metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
    char a[2] = "x", b[3] = "yz";
    struct metric *series = metric_series(family, (const char *[]){a, b});
    assert_ptr_equal(metric_series(family, (const char *[]){"x", "yz"}), series);
    /* The same letters cut in another place are another series. */
    assert_ptr_not_equal(metric_series(family, (const char *[]){"xy", "z"}), series);
    a[0] = 'q'; /* values are copied */
    assert_ptr_equal(metric_series(family, (const char *[]){"x", "yz"}), series);
    metric_add(series, 2);
    assert_true(metric_value(series) == 2);
    metrics_free(metrics);
}

static void test_too_many_series(void **state)
{
    (void)state;
    static const char *const labels[] = {"path", NULL};
    struct metrics *metrics = metrics_new();
    struct metric_family *family = metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
    char value[32];
    for (int i = 0; i < METRIC_SERIES_MAX + 50; i++) {
        snprintf(value, sizeof(value), "p%d", i);
        metric_add(metric_series(family, (const char *[]){value}), 1);
    }
    assert_true(metric_value(metric_series(family, (const char *[]){"p0"})) == 1);
    assert_true(metric_value(metric_series(family, (const char *[]){"one more"})) == 50);
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(metrics_render(metrics, &out), 0);
    size_t lines = 0;
    for (const char *s = buf_text(&out); *s != '\0'; s++) lines += *s == '\n';
    assert_int_equal(lines, 2 + METRIC_SERIES_MAX + 1);
    assert_non_null(strstr(buf_text(&out), "\nc{path=\"other\"} 50\n"));
    buf_release(&out);
    metrics_free(metrics);
}

static void test_forget(void **state)
{
    (void)state;
    static const char *const labels[] = {"model", "code", NULL};
    struct metrics *metrics = metrics_new();
    struct metric_family *family = metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
    struct metric *a = metric_series(family, (const char *[]){"a", "1"});
    metric_series(family, (const char *[]){"a", "2"});
    metric_series(family, (const char *[]){"b", "a"});
    metric_forget(family, "model", "a");
    metric_forget(family, "nolabel", "b");
    metric_forget(NULL, "model", "b");
    assert_renders(metrics, "# HELP c C.\n# TYPE c counter\nc{model=\"b\",code=\"a\"} 0\n");
    metric_add(a, 5); /* who still holds it may use it */
    assert_ptr_equal(metric_series(family, (const char *[]){"a", "1"}), a); /* loaded again */
    assert_renders(metrics, "# HELP c C.\n# TYPE c counter\n"
                            "c{model=\"a\",code=\"1\"} 5\nc{model=\"b\",code=\"a\"} 0\n");
    metrics_free(metrics);
}

static void test_sink(void **state)
{
    (void)state;
    struct metric *sink = metric_series(NULL, (const char *[]){"x"});
    assert_non_null(sink);
    metric_add(sink, 1);
    metric_set(sink, 2);
    metric_observe(sink, 3);
    metrics_free(NULL);
}

enum { THREADS = 4, EACH = 20000 };

struct shared {
    struct metrics *metrics;
    struct metric_family *counter, *histogram;
};

static void *hammer(void *arg)
{
    const struct shared *shared = arg;
    for (int i = 0; i < EACH; i++) {
        char value[8];
        snprintf(value, sizeof(value), "%d", i % 37);
        metric_add(metric_series(shared->counter, (const char *[]){value}), 1);
        metric_observe(metric_series(shared->histogram, (const char *[]){value}), i % 3);
        if (i % 4000 != 0) continue;
        struct buf out;
        buf_init(&out, 1 << 20);
        metrics_render(shared->metrics, &out);
        buf_release(&out);
    }
    return NULL;
}

static void test_threads_lose_nothing(void **state)
{
    (void)state;
    static const char *const labels[] = {"n", NULL};
    static const double buckets[] = {0.5, 1.5};
    struct shared s = {.metrics = metrics_new()};
    s.counter = metrics_add(s.metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
    s.histogram = metrics_add(s.metrics, METRIC_HISTOGRAM, "h", "H.", labels, buckets, 2);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &s), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    double sum = 0, count = 0;
    for (int i = 0; i < 37; i++) {
        char value[8];
        snprintf(value, sizeof(value), "%d", i);
        sum += metric_value(metric_series(s.counter, (const char *[]){value}));
        count += metric_value(metric_series(s.histogram, (const char *[]){value}));
    }
    assert_true(sum == THREADS * EACH);
    assert_true(count == THREADS * EACH);
    /* 37 series and no second one of the same name. */
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_render(s.metrics, &out);
    size_t lines = 0;
    for (const char *c = buf_text(&out); *c != '\0'; c++) lines += *c == '\n';
    assert_int_equal(lines, 2 + 37 + 2 + 37 * 5);
    buf_release(&out);
    metrics_free(s.metrics);
}

struct racer {
    struct metric_family *family;
    pthread_barrier_t *barrier;
    struct metric *found[METRIC_SERIES_MAX];
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    for (int i = 0; i < METRIC_SERIES_MAX; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%d", i);
        if (i % 8 == 0) pthread_barrier_wait(racer->barrier); /* side by side again */
        racer->found[i] = metric_series(racer->family, (const char *[]){value});
    }
    return NULL;
}

/* Whoever is first makes the series; the others, who also missed it, must find that one. */
static void test_racing_for_one_series(void **state)
{
    (void)state;
    enum { ROUNDS = 10, RACERS = 2 };
    static const char *const labels[] = {"n", NULL};
    static struct racer racers[RACERS];
    for (int round = 0; round < ROUNDS; round++) {
        struct metrics *metrics = metrics_new();
        struct metric_family *family =
            metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
        pthread_barrier_t barrier;
        pthread_barrier_init(&barrier, NULL, RACERS);
        pthread_t threads[RACERS];
        for (int i = 0; i < RACERS; i++) {
            racers[i].family = family;
            racers[i].barrier = &barrier;
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < RACERS; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < METRIC_SERIES_MAX; i++) {
            assert_ptr_equal(racers[0].found[i], racers[1].found[i]);
        }
        pthread_barrier_destroy(&barrier);
        metrics_free(metrics);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char *const labels[] = {"n", NULL};
    mem_fail_at(1);
    assert_null(metrics_new());
    struct metrics *metrics = metrics_new();
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_null(metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0));
    }
    struct metric_family *family = metrics_add(metrics, METRIC_COUNTER, "c", "C.", labels, NULL, 0);
    mem_fail_at(1);
    struct metric *other = metric_series(family, (const char *[]){"x"});
    assert_non_null(other);
    metric_add(other, 1);
    assert_ptr_not_equal(metric_series(family, (const char *[]){"x"}), other);
    assert_renders(metrics, "# HELP c C.\n# TYPE c counter\nc{n=\"x\"} 0\nc{n=\"other\"} 1\n");
    struct buf out;
    buf_init(&out, 30);
    assert_int_equal(metrics_render(metrics, &out), ERR_LIMIT);
    buf_release(&out);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_format),
        cmocka_unit_test(test_without_labels_shows_at_once),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_series_are_found_again),
        cmocka_unit_test(test_too_many_series),
        cmocka_unit_test(test_forget),
        cmocka_unit_test(test_sink),
        cmocka_unit_test(test_threads_lose_nothing),
        cmocka_unit_test(test_racing_for_one_series),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
