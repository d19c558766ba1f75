/* Answers by confidence against a walk that is written down again, costs by hand, confusion against
 * what can be counted. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"
#include "../seeded.h"

#include "made_logits.h"
#include "train/confusion.h"
#include "train/early.h"

enum { N = 300, EXITS = 4, CLASSES = 7 };

static double confidence(const struct logits *l, int exit, size_t i, double t)
{
    const float *z = logits_of(l, exit) + i * CLASSES;
    double top = z[0], sum = 0;
    for (int k = 1; k < CLASSES; k++) top = fmax(top, (double)z[k]);
    for (int k = 0; k < CLASSES; k++) sum += exp(((double)z[k] - top) / t);
    return 1 / sum;
}

static struct early *put_all(const struct logits *l, const double *temperatures, int otherwise)
{
    struct early *early = early_new(l->n, EXITS, NULL);
    assert_non_null(early);
    for (int x = 0; x < EXITS; x++) early_put(early, x, l, x, temperatures[x]);
    early_put(early, EXITS, l, otherwise, 1);
    return early;
}

/* The whole way of every image, with what it pays, as one would write it down. */
static void test_walk(void **state)
{
    (void)state;
    const struct early_costs costs = {EXITS, {10, 20, 30, 40}, {1, 2, 3, 4}};
    const double temperatures[EXITS] = {1.5, 1, 0.8, 2};
    const uint64_t seed = 72;
    struct rng r = seeded(seed);
    for (int round = 0; round < 60; round++) {
        struct logits l = made_logits(seed + (uint64_t)round, 1, N, EXITS, CLASSES);
        const int otherwise = rng_below(&r, 2) != 0 ? MODEL_ENSEMBLE : (int)rng_below(&r, EXITS);
        struct early *early = put_all(&l, temperatures, otherwise);
        struct early_rule rule = {{0}};
        for (int i = 0; i < EXITS; i++)
            rule.thresholds[i] = rng_below(&r, 4) == 0 ? 2.0 : rng_uniform(&r);
        if (rng_below(&r, 2) == 0) rule.thresholds[EXITS - 1] = 0;
        struct early_outcome o = early_judge(early, &rule);
        double right = 0, paid = 0, share[EXITS] = {0}, rest = 0;
        for (size_t i = 0; i < N; i++) {
            int answer = -2;
            for (int x = 0; x < EXITS && answer == -2; x++) {
                paid += costs.sections[x];
                if (rule.thresholds[x] > 1) continue;
                paid += costs.heads[x];
                if (confidence(&l, x, i, temperatures[x]) >= rule.thresholds[x]) answer = x;
            }
            if (answer == -2) rest++;
            if (answer >= 0) share[answer]++;
            const float *z = logits_of(&l, answer == -2 ? otherwise : answer) + i * CLASSES;
            right += logits_best(z, CLASSES, NULL) == l.labels[i];
        }
        assert_near(o.top1, right / N, 1e-12);
        assert_near(o.rest, rest / N, 1e-12);
        for (int x = 0; x < EXITS; x++) assert_near(o.share[x], share[x] / N, 1e-12);
        unsigned heads = 0;
        for (int x = 0; x < EXITS; x++) heads |= (unsigned)(rule.thresholds[x] <= 1) << x;
        assert_near(early_mean_cost(&costs, heads, &o), paid / N, 1e-12);
        early_free(early);
        logits_release(&l);
    }
}

static void test_ends(void **state)
{
    (void)state;
    struct logits l = made_logits(1, 1, N, EXITS, CLASSES);
    const double one[EXITS] = {1, 1, 1, 1};
    const struct early_costs costs = {EXITS, {10, 20, 30, 40}, {1, 2, 3, 4}};
    struct early *early = put_all(&l, one, MODEL_ENSEMBLE);
    for (int x = 0; x < EXITS; x++) { /* confidence 0: the first of the mask answers everything */
        struct early_rule rule = early_rule_confidence(1u << x | 1u << 3, 0);
        struct early_outcome o = early_judge(early, &rule);
        assert_near(o.share[x], 1, 0);
        assert_near(o.top1, evaluate_figures(&l, x, 1).top1, 1e-12);
    }
    struct early_rule all = early_rule_confidence(15, 1.0000001);
    struct early_outcome o = early_judge(early, &all);
    assert_near(o.rest, 1, 0);
    assert_near(o.top1, evaluate_figures(&l, MODEL_ENSEMBLE, 1).top1, 1e-12);
    assert_near(early_cost(&costs, 15, 0), 11, 0);
    assert_near(early_cost(&costs, 8, 1), 30, 0);
    assert_near(early_cost(&costs, 15, EXITS), 110, 0);
    assert_near(early_cost(&costs, 15, EXITS - 1), 110, 0);
    early_free(early);

    l.n = 0;
    early = put_all(&l, one, 0);
    assert_near(early_judge(early, &all).top1, 0, 0);
    early_free(early);
    logits_release(&l);
}

static void test_confusion(void **state)
{
    (void)state;
    struct logits l = made_logits(2, 1, N, EXITS, CLASSES);
    uint32_t counts[CLASSES * CLASSES];
    for (int c = MODEL_ENSEMBLE; c < EXITS; c++) {
        confusion_count(&l, c, counts);
        uint32_t right = 0, all = 0;
        for (int i = 0; i < CLASSES; i++) {
            uint32_t row = 0, images = 0;
            for (size_t j = 0; j < N; j++) images += l.labels[j] == i;
            for (int j = 0; j < CLASSES; j++) row += counts[i * CLASSES + j];
            assert_int_equal(row, images);
            right += counts[i * CLASSES + i];
            all += row;
        }
        assert_int_equal(all, N);
        assert_near((double)right / N, evaluate_figures(&l, c, 1).top1, 1e-12);
    }
    logits_release(&l);
}

static void test_memory(void **state)
{
    (void)state;
    unsigned n = 1;
    for (;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        struct early *early = early_new(N, EXITS, &e);
        bool failed = mem_fail_left() == 0;
        mem_fail_at(0);
        assert_int_equal(early == NULL, failed);
        early_free(early);
        if (!failed) break;
        assert_int_equal(e.code, -ENOMEM);
    }
    assert_int_equal(n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk), cmocka_unit_test(test_ends),
                                       cmocka_unit_test(test_confusion),
                                       cmocka_unit_test(test_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
