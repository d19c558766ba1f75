/* The cost table: what it says between its sizes, what it learns, and that measuring measures. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fixture.h"
#include "../../src/serve/cost.h"

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
        assert_close(cost_answer(cost, 0), 1.1);
        assert_close(cost_answer(cost, 2), 6.3);
        assert_close(cost_answer(cost, MODEL_ENSEMBLE), 6.6);
        struct way way = {.exits = 3, .goal = 2, .last = 2, .heads = 5};
        assert_close(cost_way(cost, &way, 0, 1), 6.4);
        assert_close(cost_way(cost, &way, 1, 2), 10.6);
        /* Known costs do not learn. */
        cost_learn(cost, 1, 100);
        assert_close(cost_slow_down(cost), 1);
        cost_free(cost);
    }
}

static void measuring_measures_and_learns(void **state)
{
    (void)state;
    struct err e = {.code = 0};
    struct model *model = tiny_model("tiny", 7, NULL);
    struct exec *exec = exec_new(model->plan, 24, &e);
    assert_non_null(exec);
    struct cost *cost;
    assert_int_equal(cost_measure(exec, model->net, 24, .2, &cost, &e), 0);
    for (int s = 0; s < TINY_SECTIONS; s++) {
        for (int b = 1; b <= 24; b++) {
            assert_true(cost_section(cost, s, b) > 0 && cost_section(cost, s, b) < 10);
            assert_true(cost_head(cost, s, b) > 0);
        }
    }
    double before = cost_section(cost, 0, 5);
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 3 * before);
    assert_true(fabs(cost_slow_down(cost) - 3) < .01);
    assert_true(fabs(cost_section(cost, 0, 5) - 3 * before) < .01 * before);
    /* Outliers and nonsense are bounded. */
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 1e9);
    assert_true(cost_slow_down(cost) <= 20);
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 0);
    assert_true(cost_slow_down(cost) >= .5);
    cost_learn(cost, 0, 1);
    assert_true(cost_slow_down(cost) < 1);
    cost_free(cost);

    /* No time: sizes above the first are extrapolated. */
    assert_int_equal(cost_measure(exec, model->net, 24, 0, &cost, &e), 0);
    assert_close(cost_section(cost, 2, 24), 24 * cost_section(cost, 2, 1));
    cost_free(cost);

    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_int_equal(cost_measure(exec, model->net, 24, 0, &cost, &e), -ENOMEM);
    }
    mem_fail_at(0);
    exec_free(exec);
    model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_table_is_linear),
        cmocka_unit_test(measuring_measures_and_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
