/* Thresholds for a wish: against every combination there is of a small set, and the budget's rule
 * against the shares that it promises. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../near.h"
#include "../seeded.h"

#include "made_logits.h"
#include "train/tune.h"

enum { EXITS = 3, CLASSES = 6, FEW = 60, MANY = 3000 };

static const struct early_costs costs = {EXITS, {10, 20, 30}, {1, 2, 3}};
static const struct early_heads heads = {{1, 3, 4}, 4}; /* the second asks for the first's, too */

static struct early *early_of(const struct logits *l)
{
    struct early *early = early_new(l->n, EXITS, NULL);
    assert_non_null(early);
    for (int x = 0; x < EXITS; x++) early_put(early, x, l, x, 0.7);
    early_put(early, EXITS, l, EXITS - 1, 0.7);
    return early;
}

static struct tune_wish wish_of(const struct early *early)
{
    return (struct tune_wish){early, 3, &costs, &heads, INFINITY, 0};
}

static double threshold_of(const struct early *early, int exit, size_t i)
{
    return i < FEW ? early_confidence(early, i, exit) : EARLY_NEVER;
}

/* The best of all pairs of thresholds that make a difference. */
static struct tune_result brute(const struct tune_wish *w)
{
    struct tune_result best = {.cost = INFINITY};
    bool found = false;
    for (size_t a = 0; a <= FEW; a++) {
        for (size_t b = 0; b <= FEW; b++) {
            struct tune_result r = {
                .rule = {{threshold_of(w->early, 0, a), threshold_of(w->early, 1, b), 0}}};
            r.outcome = early_judge(w->early, &r.rule);
            r.cost = early_mean_cost(&costs, early_rule_heads(&heads, &r.rule), &r.outcome);
            if (r.cost > w->cost_max || r.outcome.top1 * FEW < w->right_min - 0.5) continue;
            const bool more = r.outcome.top1 > best.outcome.top1, less = r.cost < best.cost;
            const bool better = isinf(w->cost_max)
                                    ? less || (r.cost == best.cost && more)
                                    : more || (r.outcome.top1 == best.outcome.top1 && less);
            if (!found || better) best = r;
            found = true;
        }
    }
    assert_true(found);
    return best;
}

static void test_against_all(void **state)
{
    (void)state;
    struct rng r = seeded(160);
    for (uint64_t round = 0; round < 20; round++) {
        struct logits l = made_logits(round, 1, FEW, EXITS, CLASSES);
        struct early *early = early_of(&l);
        struct tune_wish w = wish_of(early);
        struct tune_result got, best;
        struct err e = {0};
        if (rng_below(&r, 2) != 0) {
            w.cost_max = 15 + 45 * rng_uniform(&r);
        } else {
            w.right_min = (double)FEW * (0.3 + 0.3 * rng_uniform(&r));
        }
        best = brute(&w);
        assert_int_equal(tune_search(&w, &got, &e), 0);
        assert_near(got.outcome.top1, best.outcome.top1, 1e-12);
        assert_near(got.cost, best.cost, 1e-9);
        const struct early_outcome again = early_judge(early, &got.rule);
        assert_near(again.top1, got.outcome.top1, 1e-12);
        assert_near(got.rule.thresholds[EXITS - 1], 0, 0);
        early_free(early);
        logits_release(&l);
    }
}

static void test_budget_rule(void **state)
{
    (void)state;
    struct logits l = made_logits(5, 1, MANY, EXITS, CLASSES);
    struct early *early = early_of(&l);
    struct tune_wish w = wish_of(early);
    double before = 0;
    for (w.cost_max = 15; w.cost_max <= 60; w.cost_max += 5) {
        struct tune_result r, best;
        struct err e = {0};
        assert_int_equal(tune_budget_rule(&w, &r, &e), 0);
        assert_true(r.cost <= w.cost_max && r.cost > w.cost_max - 0.2);
        const double *share = r.outcome.share;
        assert_near(share[1] * share[1], share[0] * share[2],
                    2e-3); /* each is r of the one before */
        assert_true(r.cost > before);
        before = r.cost;
        assert_int_equal(tune_search(&w, &best, &e), 0);
        assert_true(best.outcome.top1 >= r.outcome.top1 && best.cost <= w.cost_max);
    }
    early_free(early);
    logits_release(&l);
}

static void test_too_little(void **state)
{
    (void)state;
    struct logits l = made_logits(6, 1, FEW, EXITS, CLASSES);
    struct early *early = early_of(&l);
    struct tune_wish w = wish_of(early);
    struct tune_result r;
    struct err e = {0};
    w.cost_max = 10.5;
    assert_int_equal(tune_search(&w, &r, &e), ERR_RANGE);
    assert_near(r.cost, 11, 1e-9); /* all at the first exit */
    assert_int_equal(tune_budget_rule(&w, &r, &e), ERR_RANGE);
    for (unsigned n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_true(tune_search(&w, &r, &e) < 0);
        assert_int_equal(mem_fail_left(), 0);
        mem_fail_at(n);
        assert_true(tune_budget_rule(&w, &r, &e) < 0);
        assert_int_equal(mem_fail_left(), 0);
    }
    early_free(early);
    logits_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_all),
                                       cmocka_unit_test(test_budget_rule),
                                       cmocka_unit_test(test_too_little)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
