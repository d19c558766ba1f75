/* Paired comparison against published figures and against what must hold of any. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../near.h"
#include "../seeded.h"

#include "made_logits.h"
#include "train/paired.h"

static void test_published(void **state)
{
    (void)state;
    /* Airways before and after stem cell transplantation: Fagerland, Lydersen and Laake, Statistics
     * in Medicine 33, 2014, 2850-2875, whose difference is the other way about. */
    const struct paired_counts airways = {1, 1, 7, 12};
    struct paired_result r = paired_judge(&airways);
    assert_near(r.difference, 6.0 / 21, 1e-12);
    assert_near(r.low, 0.026, 0.0005);
    assert_near(r.high, 0.507, 0.0005);
    assert_near(r.p, 0.0390625, 1e-9);
    /* Newcombe, Statistics in Medicine 17, 1998, table II: 36, 12, 2, 0. */
    const struct paired_counts newcombe = {36, 12, 2, 0};
    r = paired_judge(&newcombe);
    assert_near(r.difference, -0.2, 1e-12);
    assert_near(r.low, -0.3404, 0.00005);
    assert_near(r.high, -0.0569, 0.00005);
}

/* Binomial coefficients by Pascal's triangle: the tail as its definition has it. */
static double mid_p(int a, int b)
{
    double row[64] = {1}, tail = 0;
    int n = a + b, least = a < b ? a : b;
    for (int i = 1; i <= n; i++) {
        for (int k = i; k > 0; k--) row[k] += row[k - 1];
    }
    for (int k = 0; k < least; k++) tail += row[k];
    return 2 * (tail + row[least] / 2) / exp2(n);
}

static void test_chance(void **state)
{
    (void)state;
    for (int a = 0; a < 30; a++) {
        for (int b = 0; b < 30; b++) {
            const struct paired_counts c = {5, (size_t)a, (size_t)b, 7};
            assert_near(paired_judge(&c).p, mid_p(a, b), 1e-9);
        }
    }
    const struct paired_counts none = {0, 0, 0, 0}, equal = {100, 0, 0, 3};
    assert_near(paired_judge(&none).p, 1, 0);
    assert_near(paired_judge(&equal).p, 1, 0);
    /* Of many images the tail is far below what one binomial coefficient can say. */
    const struct paired_counts many = {30000, 1000, 3000, 16000};
    assert_true(paired_judge(&many).p < 1e-200);
    assert_near(paired_judge(&many).low, 0.04 - 0.00243, 0.0001);
}

static void test_properties(void **state)
{
    (void)state;
    struct rng r = seeded(71);
    for (int i = 0; i < 20000; i++) {
        struct paired_counts c = {rng_below(&r, 40), rng_below(&r, 40), rng_below(&r, 40),
                                  rng_below(&r, 40)};
        if (c.both + c.only_a + c.only_b + c.neither == 0) continue;
        struct paired_counts swapped = {c.both, c.only_b, c.only_a, c.neither};
        struct paired_result x = paired_judge(&c), y = paired_judge(&swapped);
        assert_true(x.low <= x.difference && x.difference <= x.high);
        assert_true(x.low >= -1 && x.high <= 1);
        assert_near(x.low, -y.high, 1e-12);
        assert_near(x.high, -y.low, 1e-12);
        assert_near(x.p, y.p, 1e-12);
        assert_true(x.p > 0 && x.p <= 1);
    }
}

static void test_counts(void **state)
{
    (void)state;
    struct logits a = made_logits(5, 1, 500, 3, 10), b = made_logits(5, 2, 500, 2, 10);
    struct paired_counts c = paired_count(&a, 2, &b, MODEL_ENSEMBLE);
    double n = 500;
    assert_int_equal(c.both + c.only_a + c.only_b + c.neither, 500);
    assert_near((double)(c.both + c.only_a) / n, evaluate_figures(&a, 2, 1).top1, 1e-12);
    assert_near((double)(c.both + c.only_b) / n, evaluate_figures(&b, MODEL_ENSEMBLE, 1).top1,
                1e-12);
    struct paired_counts same = paired_count(&a, 1, &a, 1);
    assert_int_equal(same.only_a + same.only_b, 0);
    logits_release(&a);
    logits_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_chance),
        cmocka_unit_test(test_properties), cmocka_unit_test(test_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
