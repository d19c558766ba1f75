/* Learning rates by hand, and what the parser refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"

#include "recipe/recipe.h"

#define EPS 1e-12

static struct schedule parsed(const char *text)
{
    struct schedule s;
    struct err e = {0};
    assert_int_equal(schedule_parse(text, &s, &e), 0);
    return s;
}

/* The rate of a recipe whose own is 1. */
static double factor(const struct schedule *schedule, int64_t t, int64_t epoch_steps,
                     int64_t epochs, int64_t warmup)
{
    const struct recipe recipe = {
        .rate = 1, .schedule = *schedule, .epochs = epochs, .warmup = warmup};
    return schedule_rate(&recipe, t, epoch_steps);
}

/* 10 epochs of 5 steps, 2 epochs of warm-up: W = 10, S = 50. */
static void test_cosine(void **state)
{
    (void)state;
    struct schedule s = parsed("cosine");
    assert_near(factor(&s, 0, 5, 10, 2), 0.1, EPS); /* not nothing: the first step learns */
    assert_near(factor(&s, 1, 5, 10, 2), 0.2, EPS);
    assert_near(factor(&s, 9, 5, 10, 2), 1.0, EPS);
    assert_near(factor(&s, 10, 5, 10, 2), 1.0, EPS);
    assert_near(factor(&s, 20, 5, 10, 2), 0.5 * (1 + sqrt(0.5)), EPS);
    assert_near(factor(&s, 30, 5, 10, 2), 0.5, EPS);
    assert_near(factor(&s, 49, 5, 10, 2), 0.5 * (1 - cos(M_PI / 40)), EPS);
    assert_near(factor(&s, 50, 5, 10, 2), 0.0, 0);
    assert_near(factor(&s, 0, 5, 10, 0), 1.0, EPS);
}

/* A training that is shorter than its warm-up never leaves it. */
static void test_warmup_only(void **state)
{
    (void)state;
    struct schedule s = parsed("cosine");
    for (int64_t t = 0; t < 5; t++) {
        assert_near(factor(&s, t, 5, 1, 2), (double)(t + 1) / 10, EPS);
    }
}

static void test_steps(void **state)
{
    (void)state;
    struct schedule s = parsed("steps:2,4,7");
    assert_near(factor(&s, 4, 10, 9, 1), 0.5, EPS);
    assert_near(factor(&s, 19, 10, 9, 1), 1.0, EPS);
    assert_near(factor(&s, 20, 10, 9, 1), 0.1, EPS);
    assert_near(factor(&s, 39, 10, 9, 1), 0.1, EPS);
    assert_near(factor(&s, 40, 10, 9, 1), 0.01, EPS);
    assert_near(factor(&s, 89, 10, 9, 1), 0.001, EPS);
}

static void test_linear(void **state)
{
    (void)state;
    struct schedule s = parsed("linear");
    assert_near(factor(&s, 9, 5, 10, 2), 1.0, EPS);
    assert_near(factor(&s, 10, 5, 10, 2), 1.0, EPS);
    assert_near(factor(&s, 30, 5, 10, 2), 0.5, EPS);
    assert_near(factor(&s, 49, 5, 10, 2), 0.025, EPS);
    assert_near(factor(&s, 50, 5, 10, 2), 0.0, 0);
}

/* The paper's (1 - z) / (1/2 + 1/2 (1 - z)). */
static void test_rex(void **state)
{
    (void)state;
    struct schedule s = parsed("rex");
    for (int64_t t = 10; t < 50; t++) {
        const double z = (double)(t - 10) / 40;
        assert_near(factor(&s, t, 5, 10, 2), (1 - z) / (0.5 + 0.5 * (1 - z)), EPS);
    }
    assert_near(factor(&s, 30, 5, 10, 2), 2.0 / 3, EPS);
}

/* What torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=20, pct_start=P,
 * cycle_momentum=False) gives (PyTorch 1.13). */
static void test_one_cycle(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t t;
        double rate;
    } rows[] = {
        {"one-cycle", 0, 0.04},
        {"one-cycle", 1, 0.1316718427},
        {"one-cycle", 3, 0.6683281573},
        {"one-cycle", 5, 1},
        {"one-cycle", 6, 0.987464006235},
        {"one-cycle", 9, 0.81174565395},
        {"one-cycle", 10, 0.716943001791},
        {"one-cycle", 15, 0.18825834605},
        {"one-cycle", 19, 4e-06},
        {"one-cycle:0.5", 0, 0.04},
        {"one-cycle:0.5", 1, 0.0689475420228},
        {"one-cycle:0.5", 3, 0.28},
        {"one-cycle:0.5", 5, 0.60335112528},
        {"one-cycle:0.5", 6, 0.76},
        {"one-cycle:0.5", 9, 1},
        {"one-cycle:0.5", 10, 0.975528356035},
        {"one-cycle:0.5", 15, 0.345494120847},
        {"one-cycle:0.5", 19, 4e-06},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct schedule s = parsed(rows[i].text);
        assert_near(factor(&s, rows[i].t, 5, 4, 2), rows[i].rate, 1e-9);
    }
}

/* torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(T_0=2, T_mult=2), at fractions of an epoch.
 */
static void test_restarts(void **state)
{
    (void)state;
    struct schedule s = parsed("restarts:2,2");
    const double epochs[] = {0, 0.25, 1, 1.75, 2, 3, 4, 5.75, 6, 10, 13.75};
    for (size_t i = 0; i < sizeof(epochs) / sizeof(epochs[0]); i++) {
        const double at = epochs[i],
                     first = at < 2   ? 0
                             : at < 6 ? 2
                                      : 6,
                     length = at < 2   ? 2
                              : at < 6 ? 4
                                       : 8;
        assert_near(factor(&s, 4 + (int64_t)(4 * at), 4, 20, 1),
                    0.5 * (1 + cos(M_PI * (at - first) / length)), EPS);
    }
    s = parsed("restarts:3");
    assert_near(factor(&s, 2 + 3 * 2 * 1000, 2, 5000, 1), 1.0, EPS);
    assert_near(factor(&s, 2 + 3 * 2 * 1000 + 3, 2, 5000, 1), 0.5, EPS);
}

static void test_text(void **state)
{
    (void)state;
    char text[SCHEDULE_TEXT_MAX];
    const char *good[] = {"cosine",        "linear",     "rex",
                          "one-cycle",     "restarts:7", "restarts:10,2",
                          "one-cycle:0.4", "steps:1",    "steps:75,130,180"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct schedule s = parsed(good[i]);
        schedule_format(&s, text);
        assert_string_equal(text, good[i]);
    }
    const char *bad[] = {"",
                         "lineal",
                         "linear:1",
                         "one-cycle:0",
                         "one-cycle:1",
                         "one-cycle:x",
                         "restarts",
                         "restarts:",
                         "restarts:0",
                         "restarts:5,",
                         "restarts:5,0",
                         "restarts:5,2,2",
                         "restarts:5;2",
                         "cosine ",
                         "steps",
                         "steps:",
                         "steps:0",
                         "steps:-3",
                         "steps:5,5",
                         "steps:5,4",
                         "steps:5,",
                         "steps: 5",
                         "steps:5;6",
                         "steps:99999999",
                         "steps:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct schedule s = {.n_milestones = 77};
        struct err e = {0};
        assert_int_equal(schedule_parse(bad[i], &s, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "takes"));
        assert_int_equal(s.n_milestones, 77);
    }
}

/* Sixteen milestones of six digits do not fit into the text of a model: refused, not cut. */
static void test_long_text(void **state)
{
    (void)state;
    char text[256] = "steps:100000";
    for (int i = 1; i < 16; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof(text) - n, ",%d", 100000 + i);
    }
    struct schedule s;
    struct err e = {0};
    assert_int_equal(schedule_parse(text, &s, &e), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cosine),    cmocka_unit_test(test_linear),
        cmocka_unit_test(test_rex),       cmocka_unit_test(test_one_cycle),
        cmocka_unit_test(test_restarts),  cmocka_unit_test(test_warmup_only),
        cmocka_unit_test(test_steps),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
