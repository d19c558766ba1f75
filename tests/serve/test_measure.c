/* Measuring measures: every figure is there, and too little time is no error. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/serve/measure.h"
#include "base/mem.h"
#include "fixture.h"

static void measuring_measures_and_learns(void **state)
{
    (void)state;
    struct err e = {.code = 0};
    struct model *model = tiny_model("tiny", 7, NULL);
    struct exec *exec = exec_new(model->plan, 24, &e);
    assert_non_null(exec);
    struct cost *cost;
    assert_int_equal(measure_cost(exec, model->net, 24, .2, &cost, &e), 0);
    for (int s = 0; s < TINY_SECTIONS; s++) {
        for (int b = 1; b <= 24; b++) {
            assert_true(cost_section(cost, s, b) > 0 && cost_section(cost, s, b) < 10);
            assert_true(cost_head(cost, s, b) > 0);
        }
    }
    double before = cost_section(cost, 0, 5);
    for (int i = 0; i < 200; i++) cost_learn(cost, cost_section(cost, 0, 5), 3 * before, false, 0);
    assert_true(fabs(cost_section(cost, 0, 5) - 3 * before) < .01 * before);
    cost_free(cost);

    /* No time: sizes above the first are extrapolated. */
    assert_int_equal(measure_cost(exec, model->net, 24, 0, &cost, &e), 0);
    double want = 24 * cost_section(cost, 2, 1);
    assert_true(fabs(cost_section(cost, 2, 24) - want) < 1e-9 * want);
    cost_free(cost);

    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_int_equal(measure_cost(exec, model->net, 24, 0, &cost, &e), -ENOMEM);
    }
    mem_fail_at(0);
    exec_free(exec);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measuring_measures_and_learns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
