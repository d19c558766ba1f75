/* The margin: what all but three of the latest 128 replies took. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/margin.h"

static int longest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void it_is_an_order_statistic(void **state)
{
    (void)state;
    struct margin margin;
    struct rng rng;
    int64_t all[1000], sorted[MARGIN_SAMPLES];
    rng_init(&rng, 5, RNG_TEST, 0, 0);
    margin_init(&margin, 0);
    for (int i = 0; i < 1000; i++) {
        all[i] = (int64_t)rng_below(&rng, i < 500 ? 1000 : 20);
        margin_learn(&margin, all[i], 0);
        if (i < MARGIN_SAMPLES) continue;
        for (int k = 0; k < MARGIN_SAMPLES; k++) sorted[k] = all[i - k];
        qsort(sorted, MARGIN_SAMPLES, sizeof(sorted[0]), longest_first);
        assert_int_equal(margin_ns(&margin), sorted[MARGIN_LONGER - 1]);
    }
    /* What was long ago has no say. */
    assert_true(margin_ns(&margin) < 20);
}

static void it_starts_with_what_it_is_given(void **state)
{
    (void)state;
    struct margin margin;
    margin_init(&margin, 700);
    assert_int_equal(margin_ns(&margin), 700);
    margin_learn(&margin, -5, 0);
    assert_int_equal(margin_ns(&margin), 700);
    for (int i = 0; i < MARGIN_SAMPLES; i++) margin_learn(&margin, -5, 0);
    assert_int_equal(margin_ns(&margin), 0);
}

/* No load leaves a mark, not even one that let nobody in any more. */
static void without_replies_it_is_forgotten(void **state)
{
    (void)state;
    struct margin margin;
    margin_init(&margin, 0);
    for (int i = 0; i < MARGIN_SAMPLES; i++) margin_learn(&margin, 1 << 20, CLOCK_SECOND);
    margin_age(&margin, CLOCK_SECOND + MARGIN_FORGET_NS - 1);
    assert_int_equal(margin_ns(&margin), 1 << 20);
    margin_age(&margin, CLOCK_SECOND + MARGIN_FORGET_NS);
    assert_int_equal(margin_ns(&margin), 1 << 19);
    margin_age(&margin, CLOCK_SECOND + 4 * MARGIN_FORGET_NS);
    assert_int_equal(margin_ns(&margin), 1 << 16);
    margin_age(&margin, 1000 * CLOCK_SECOND);
    assert_int_equal(margin_ns(&margin), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_an_order_statistic),
        cmocka_unit_test(it_starts_with_what_it_is_given),
        cmocka_unit_test(without_replies_it_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
