/* The cost table: what it says between its sizes, and what it learns. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "policy/classifiers.h"
#include "policy/cost.h"

static const double section_s[3] = {1, 2, 3}, head_s[3] = {.1, .2, .3};

static void assert_close(double got, double want)
{
    if (fabs(got - want) > 1e-9 * (1 + fabs(want))) fail_msg("%g, wanted %g", got, want);
}

static void a_known_table_is_linear(void **state)
{
    (void)state;
    for (int batch_max = 1; batch_max <= 40; batch_max += 13) {
        struct cost *cost = cost_new_linear(3, batch_max, section_s, head_s);
        assert_non_null(cost);
        for (int b = 1; b <= 3 * batch_max; b++) {
            assert_close(cost_section(cost, 1, b), 2 * b);
            assert_close(cost_head(cost, 2, b), .3 * b);
        }
        assert_close(cost_answer(cost, 1), 1.1);
        assert_close(cost_answer(cost, 4), 6.3);
        assert_close(cost_answer(cost, 7), 6.6);
        struct way way = {.exits = 3, .goal = 2, .last = 2, .heads = 5};
        assert_close(cost_way(cost, &way, 0, 1), 6.4);
        assert_close(cost_way(cost, &way, 1, 2), 10.6);
        /* Known costs do not learn. */
        cost_learn(cost, 1, 100, false, 0);
        cost_learn(cost, 1, .1, true, 0);
        assert_close(cost_helped(cost), 1);
        assert_close(cost_slow_down(cost), 1);
        cost_free(cost);
    }
}

/* Sizes 1, 2, 4, 8, 16 and 24; the least of what was measured, lines between, and what was not
 * measured in proportion to the size before. */
static void what_was_measured_is_said(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 4, 8, 16, 24};
    struct cost *cost = cost_new(2, 24);
    assert_non_null(cost);
    assert_int_equal(cost_sizes(cost), 6);
    for (int i = 0; i < 6; i++) assert_int_equal(cost_size(cost, i), sizes[i]);
    for (int i = 0; i < 5; i++) {
        for (int s = 0; s < 2; s++) {
            cost_measured(cost, i, s, 3 + i, 1);
            cost_measured(cost, i, s, 2 + i, .5);
            cost_measured(cost, i, s, 4 + i, 2);
        }
    }
    cost_extrapolate(cost, 5);
    assert_close(cost_section(cost, 1, 1), 2);
    assert_close(cost_section(cost, 0, 3), 3.5);
    assert_close(cost_section(cost, 0, 12), 5.5);
    assert_close(cost_head(cost, 1, 16), .5);
    assert_close(cost_section(cost, 0, 24), 9);
    assert_close(cost_section(cost, 0, 25), 11);
    cost_free(cost);
    mem_fail_at(1);
    assert_null(cost_new(2, 24));
    mem_fail_at(0);
}

static void the_slow_down_is_learned(void **state)
{
    (void)state;
    struct cost *cost = cost_new(3, 8);
    for (int i = 0; i < cost_sizes(cost); i++)
        for (int s = 0; s < 3; s++) cost_measured(cost, i, s, cost_size(cost, i), .1);
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 15, false, 0);
    assert_true(fabs(cost_slow_down(cost) - 3) < .01);
    assert_true(fabs(cost_section(cost, 0, 5) - 15) < .05);
    /* Outliers and nonsense are bounded. */
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 1e9, false, 0);
    assert_true(cost_slow_down(cost) <= 20);
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 0, false, 0);
    assert_true(cost_slow_down(cost) >= .5);
    cost_learn(cost, 0, 1, false, 0);
    assert_true(cost_slow_down(cost) < 1);
    cost_free(cost);
}

/* What was helped is learned apart, and without evidence all goes back to what was measured, so
 * that no load leaves a mark: whatever slowed the machine down, two seconds later that is a
 * sixteenth. */
static void what_was_learned_is_forgotten(void **state)
{
    (void)state;
    struct cost *cost = cost_new(1, 1);
    cost_measured(cost, 0, 0, 1, .1);
    for (int i = 0; i < 200; i++)
        cost_learn(cost, cost_section(cost, 0, 1), 2, false, CLOCK_SECOND);
    assert_true(fabs(cost_slow_down(cost) - 2) < .01);
    for (int i = 0; i < 200; i++) cost_learn(cost, 1, .6, true, CLOCK_SECOND);
    assert_true(fabs(cost_slow_down(cost) - 2) < .01 && fabs(cost_helped(cost) - .6) < .01);
    cost_learn(cost, 1, 5, true, CLOCK_SECOND); /* help is no hindrance */
    assert_true(cost_helped(cost) < .7);
    /* Those that were helped keep on coming, and say nothing of a worker alone. */
    for (int i = 0; i < 20; i++)
        cost_learn(cost, 1, .6, true, CLOCK_SECOND + i * (CLOCK_SECOND / 10));
    cost_age(cost, 3 * CLOCK_SECOND);
    assert_true(fabs(cost_slow_down(cost) - 1 - 1. / 16) < .01);
    cost_age(cost, 100 * CLOCK_SECOND);
    assert_true(fabs(cost_slow_down(cost) - 1) < 1e-6 && fabs(cost_helped(cost) - 1) < 1e-6);
    cost_free(cost);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_table_is_linear),
        cmocka_unit_test(what_was_measured_is_said),
        cmocka_unit_test(the_slow_down_is_learned),
        cmocka_unit_test(what_was_learned_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
