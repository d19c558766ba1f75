/* Weights of running ensembles against brute force, and where they stand at their bounds. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"

#include "base/mem.h"
#include "base/rng.h"
#include "train/calibrate.h"
#include "../../src/train/weights.h"

enum { CLASSES = 6, EXITS = 4 };

static struct logits make(size_t n)
{
    struct logits l = {.n = n, .n_exits = EXITS, .classes = CLASSES};
    l.values = mem_new((size_t)(EXITS + 1) * n * CLASSES, sizeof(*l.values));
    l.labels = mem_new(n, sizeof(*l.labels));
    assert_non_null(l.values);
    assert_non_null(l.labels);
    return l;
}

static float *at(struct logits *l, int exit, size_t i)
{
    return l->values + ((size_t)exit * l->n + i) * CLASSES;
}

/* Each exit sees the label through noise of its own, at a scale of its own. */
static struct logits noise(uint64_t seed, size_t n)
{
    static const double signal[EXITS] = {0.6, 1, 1.4, 1.5}, scale[EXITS] = {3, 0.5, 1, 2};
    struct logits l = make(n);
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (size_t i = 0; i < n; i++) {
        l.labels[i] = (int32_t)rng_below(&r, CLASSES);
        for (int s = 0; s < EXITS; s++) {
            for (int c = 0; c < CLASSES; c++)
                at(&l, s, i)[c] =
                    (float)(scale[s] * ((c == l.labels[i] ? signal[s] : 0) + rng_normal(&r)));
        }
    }
    return l;
}

/* At the temperature that suits the weights. */
static double nll(struct logits *l, const double *weights, int last)
{
    assert_int_equal(logits_blend(l, weights, last, NULL), 0);
    double t = calibrate_temperature(l, MODEL_RUNNING(last));
    return evaluate_figures(l, MODEL_RUNNING(last), t).nll;
}

static double sum_of(const double *weights, int last)
{
    double sum = 0;
    for (int i = 0; i <= last; i++) {
        assert_true(weights[i] >= 0 && weights[i] <= 1);
        sum += weights[i];
    }
    return sum;
}

static void no_pair_of_weights_is_better(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct logits l = noise(seed, 300);
        double w[EXITS], found;
        weights_fit(&l, 1, w);
        assert_near(sum_of(w, 1), 1, 1e-12);
        found = nll(&l, w, 1);
        for (int k = 0; k <= 200; k++) {
            const double other[2] = {k / 200.0, 1 - k / 200.0};
            assert_true(found <= nll(&l, other, 1) + 1e-9);
        }
        logits_release(&l);
    }
}

static void no_random_weights_are_better(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 0, 0);
    struct logits l = noise(9, 400);
    double w[EXITS], equal[EXITS] = {.25, .25, .25, .25}, again[EXITS];
    weights_fit(&l, EXITS - 1, w);
    assert_near(sum_of(w, EXITS - 1), 1, 1e-12);
    double found = nll(&l, w, EXITS - 1);
    assert_true(found < nll(&l, equal, EXITS - 1) - 0.01);
    for (int k = 0; k < 300; k++) {
        double other[EXITS], sum = 0;
        for (int s = 0; s < EXITS; s++) sum += other[s] = -log(1 - rng_uniform(&r));
        for (int s = 0; s < EXITS; s++) other[s] /= sum;
        assert_true(found <= nll(&l, other, EXITS - 1) + 1e-9);
    }
    weights_fit(&l, EXITS - 1, again);
    assert_memory_equal(w, again, sizeof(w));
    logits_release(&l);
}

static void bounds(void **state)
{
    (void)state;
    struct logits l = noise(3, 200);
    double w[EXITS];
    /* One that is against the label has no part, nor has one that has not learned. */
    for (size_t j = 0; j < l.n * CLASSES; j++) at(&l, 1, 0)[j] = -at(&l, 3, 0)[j];
    l.untrained = 4;
    weights_fit(&l, EXITS - 1, w);
    assert_near(sum_of(w, EXITS - 1), 1, 1e-12);
    assert_true(w[0] > 0 && w[1] == 0 && w[2] == 0 && w[3] > 0);
    /* Two that say the same share a part, of whatever size each. */
    l.untrained = 0;
    memcpy(at(&l, 2, 0), at(&l, 3, 0), l.n * CLASSES * sizeof(float));
    memcpy(at(&l, 1, 0), at(&l, 3, 0), l.n * CLASSES * sizeof(float));
    double one[EXITS] = {w[0], 0, 0, w[3]};
    weights_fit(&l, EXITS - 1, w);
    assert_near(sum_of(w, EXITS - 1), 1, 1e-12);
    assert_near(w[0], one[0], 1e-6);
    logits_release(&l);

    /* All right, by far: no minimum, but an end. */
    l = make(50);
    for (size_t i = 0; i < l.n; i++) {
        l.labels[i] = (int32_t)(i % CLASSES);
        for (int s = 0; s < EXITS; s++) at(&l, s, i)[l.labels[i]] = 10000;
    }
    weights_fit(&l, EXITS - 1, w);
    assert_near(sum_of(w, EXITS - 1), 1, 1e-12);
    /* All wrong: none helps. */
    for (size_t i = 0; i < l.n; i++) l.labels[i] = (int32_t)((i + 1) % CLASSES);
    weights_fit(&l, EXITS - 1, w);
    for (int s = 0; s < EXITS; s++) assert_near(w[s], 0.25, 0);
    logits_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pair_of_weights_is_better),
        cmocka_unit_test(no_random_weights_are_better),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
