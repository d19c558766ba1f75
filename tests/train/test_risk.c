/* Promises about the loss of early answers: the p-value against all outcomes of a small sample,
 * each with its exact chance, and a thousand draws of held-out images whose true loss is known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"
#include "../seeded.h"

#include "made_logits.h"
#include "train/risk.h"

enum { EXITS = 3, CLASSES = 6, POPULATION = 20000, HELD_OUT = 600, DRAWS = 1000 };

static double log_choose(size_t n, size_t a, size_t b)
{
    return lgamma((double)n + 1) - lgamma((double)a + 1) - lgamma((double)b + 1) -
           lgamma((double)(n - a - b) + 1);
}

static double power(double p, size_t n)
{
    return n == 0 ? 0 : (double)n * log(p);
}

/* The chance of a p-value of at most u where the mean is x and a share q of losses is not 0. */
static double chance(size_t n, double x, double q, double u, double spend)
{
    double sum = 0;
    for (size_t lost = 0; lost <= n; lost++) {
        for (size_t won = 0; lost + won <= n; won++) {
            if (risk_p(n, lost, won, x, spend) > u) continue;
            if ((q <= x && won > 0) || (q >= 1 && lost + won < n)) continue;
            sum += exp(log_choose(n, lost, won) + power((q + x) / 2, lost) +
                       power((q - x) / 2, won) + power(1 - q, n - lost - won));
        }
    }
    return sum;
}

static void test_exact(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 60, 150};
    static const double losses[] = {0, 0.005, 0.02, 0.1, 0.3}, disagree[] = {0, .01, .05, .3, 1};
    double largest = 0;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t i = 0; i < 25; i++) {
            const double x = losses[i % 5], q = x + (1 - x) * disagree[i / 5];
            const double got = chance(sizes[s], x, q, 0.05, 0.005);
            if (got > 0.05) fail_msg("n %zu, loss %g of %g: %g", sizes[s], x, q, got);
            largest = fmax(largest, got);
        }
    }
    print_message("# at most %.4f of 0.05\n", largest);
    assert_true(largest > 0.004); /* it says something */
}

static void test_p(void **state)
{
    (void)state;
    assert_near(risk_p(0, 0, 0, 0.01, 0.005), 1, 0);
    assert_near(risk_p(1000, 10, 0, 0.01, 0.005), 1, 0);        /* as much as that */
    assert_near(risk_p(100000, 0, 0, 0.01, 0.005), 0.005, 0);   /* nobody disagrees */
    assert_near(risk_p(100, 0, 100, 0.01, 0.005), 0.005, 1e-9); /* all are better */
    double before = 0;
    for (size_t lost = 0; lost <= 60; lost++) { /* more losses are less of a proof */
        const double p = risk_p(5000, lost, 20, 0.01, 0.005);
        assert_true(p >= before && p <= 1);
        before = p;
    }
    before = 1;
    for (double x = 0.001; x < 1; x *= 1.3) { /* a larger loss is more of one */
        const double p = risk_p(5000, 30, 20, x, 0.005);
        assert_true(p <= before);
        before = p;
    }
    const double bound = risk_bound(5000, 30, 20, 0.95);
    assert_true(risk_p(5000, 30, 20, bound, 0.005) <= 0.05);
    assert_true(risk_p(5000, 30, 20, bound - 1e-5, 0.005) > 0.05);
    assert_near(risk_bound(5000, 30, 20, 0.95), 0.0066, 0.0015); /* 10/5000, 2.5 deviations more */
}

static void test_confidences(void **state)
{
    (void)state;
    assert_near(risk_confidence_at(0), EARLY_NEVER, 0);
    assert_near(risk_confidence_at(10), 0.999, 1e-12);
    assert_near(risk_confidence_at(11), 0.998, 1e-12);
    assert_near(risk_confidence_at(RISK_POINTS - 1), 0, 0);
    for (int i = 1; i < RISK_POINTS; i++)
        assert_true(risk_confidence_at(i) < risk_confidence_at(i - 1));
}

static struct early *early_of(const struct logits *l)
{
    struct early *early = early_new(l->n, EXITS, NULL);
    assert_non_null(early);
    for (int x = 0; x < EXITS; x++) early_put(early, x, l, x, 0.5);
    early_put(early, EXITS, l, EXITS - 1, 0.5);
    return early;
}

/* Images of the population, drawn with replacement, so that the population is the truth. */
static void draw(struct rng *r, const struct logits *all, struct logits *ret)
{
    for (size_t i = 0; i < ret->n; i++) {
        const size_t from = rng_below(r, POPULATION);
        ret->labels[i] = all->labels[from];
        for (size_t x = 0; x <= EXITS; x++)
            memcpy(ret->values + (x * ret->n + i) * CLASSES,
                   all->values + (x * POPULATION + from) * CLASSES, CLASSES * sizeof(float));
    }
}

static double loss_at(const struct early *early, unsigned exits, double confidence)
{
    const struct early_rule rule = early_rule_confidence(exits, confidence);
    const struct early_outcome o = early_judge(early, &rule);
    return ((double)o.lost - (double)o.won) / (double)early_images(early);
}

/* Without a bound: the least confidence whose loss on the held-out images is as wanted. */
static double believe(const struct early *early, unsigned exits, double max_loss)
{
    int i = 0;
    while (i + 1 < RISK_POINTS && loss_at(early, exits, risk_confidence_at(i + 1)) <= max_loss) i++;
    return risk_confidence_at(i);
}

static void test_draws(void **state)
{
    (void)state;
    struct rng r = seeded(16);
    const unsigned exits = (1u << (EXITS - 1)) - 1;
    struct logits all = made_logits(16, 1, POPULATION, EXITS, CLASSES);
    struct logits some = made_logits(16, 1, HELD_OUT, EXITS, CLASSES);
    struct early *truth = early_of(&all);
    double loss[RISK_POINTS][2];
    int late = 0, believed_late = 0, early_answers = 0;
    const double max_loss = 0.05;
    for (int i = 0; i < RISK_POINTS; i++) {
        loss[i][0] = loss_at(truth, exits, risk_confidence_at(i));
        loss[i][1] = loss_at(truth, 2, risk_confidence_at(i)); /* from the second exit on */
    }
    for (int k = 0; k < DRAWS; k++) {
        draw(&r, &all, &some);
        struct early *early = early_of(&some);
        const double chosen = risk_confidence(early, exits, max_loss, 0.95);
        const double naive = believe(early, exits, max_loss);
        int at = 0, naive_at = 0;
        while (risk_confidence_at(at) > chosen) at++;
        while (risk_confidence_at(naive_at) > naive) naive_at++;
        late += loss[at][0] > max_loss || loss[at][1] > max_loss;
        believed_late += loss[naive_at][0] > max_loss;
        early_answers += loss[at][0] > 0.01;
        early_free(early);
    }
    print_message("# %d of %d over the loss; without a bound %d\n", late, DRAWS, believed_late);
    assert_true(late <= DRAWS / 20);
    assert_true(believed_late > DRAWS / 10); /* a test that can fail */
    assert_true(early_answers > DRAWS / 2);  /* and it lets leave who may */
    early_free(truth);
    logits_release(&all);
    logits_release(&some);
}

/* What nobody may answer, and what no image can prove. */
static void test_ends(void **state)
{
    (void)state;
    struct logits l = made_logits(3, 1, 50, EXITS, CLASSES);
    struct early *early = early_of(&l);
    assert_near(risk_confidence(early, 3, 0, 0.95), EARLY_NEVER, 0);
    assert_near(risk_confidence(early, 3, 1, 0.95), 0, 0);
    assert_near(risk_confidence(early, 0, 0, 0.95), 0, 0); /* nobody to lose by */
    early_free(early);
    logits_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_p),
                                       cmocka_unit_test(test_confidences),
                                       cmocka_unit_test(test_draws), cmocka_unit_test(test_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
