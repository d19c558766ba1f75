/* Figures by hand, temperatures against brute force, thresholds against what they promise. */
#include <math.h>
#include <setjmp.h>
#include <stdbool.h>
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
#include "train/evaluate.h"

static struct logits make(size_t n, int exits, int classes)
{
    struct logits l = {.n = n, .n_exits = exits, .classes = classes};
    l.values = mem_new((size_t)(exits + 1) * n * (size_t)classes, sizeof(*l.values));
    l.labels = mem_new(n, sizeof(*l.labels));
    assert_non_null(l.values);
    assert_non_null(l.labels);
    return l;
}

static void set(struct logits *l, int exit, size_t i, const float *z)
{
    size_t which = (size_t)(exit == MODEL_ENSEMBLE ? l->n_exits : exit);
    memcpy(l->values + (which * l->n + i) * (size_t)l->classes, z, (size_t)l->classes * sizeof(*z));
}

/* Noise around the label, the louder the shallower; scale: how overconfident. */
static struct logits noise(uint64_t seed, size_t n, int exits, int classes, double scale)
{
    struct logits l = make(n, exits, classes);
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (size_t i = 0; i < n; i++) {
        float mean[64] = {0};
        l.labels[i] = (int32_t)rng_below(&r, (uint32_t)classes);
        for (int x = 0; x < exits; x++) {
            float z[64];
            for (int k = 0; k < classes; k++) {
                double signal = k == l.labels[i] ? 1.0 + x : 0.0;
                z[k] = (float)(scale * (signal + rng_normal(&r)));
                mean[k] += z[k] / (float)exits;
            }
            set(&l, x, i, z);
        }
        set(&l, MODEL_ENSEMBLE, i, mean);
    }
    return l;
}

/* Two classes, logits (log c, log (1-c)): the confidence is c exactly. Four images of confidence
 * 0.59, two of them right (the bin up to 9/15), and one of 0.9, right (the bin up to 14/15). */
static void test_figures_by_hand(void **state)
{
    (void)state;
    const double confidence[5] = {0.59, 0.59, 0.59, 0.59, 0.9};
    const int right[5] = {1, 1, 0, 0, 1};
    struct logits l = make(5, 1, 2);
    double nll = 0;
    for (size_t i = 0; i < 5; i++) {
        double c = confidence[i];
        float z[2] = {(float)log(c), (float)log(1 - c)};
        set(&l, 0, i, z);
        l.labels[i] = right[i] ? 0 : 1;
        nll -= log(right[i] ? c : 1 - c) / 5;
    }
    struct training_figures f = evaluate_figures(&l, 0, 1.0);
    assert_near(f.top1, 0.6, 1e-12);
    assert_near(f.top5, 1.0, 0);
    assert_near(f.nll, nll, 1e-7);
    assert_near(f.ece, 0.8 * (0.59 - 0.5) + 0.2 * (1 - 0.9), 1e-6);

    double auroc;
    assert_int_equal(evaluate_auroc(&l, 0, 1.0, &auroc, NULL), 0);
    assert_near(auroc, (1 + 1 + 4 * 0.5) / 6, 1e-12); /* 3 right by 2 wrong, 4 of the pairs equal */

    /* At T = 2 the odds are the root: one bin holds 0.59's c2, another 0.9's. */
    double c2 = 1 / (1 + sqrt(0.41 / 0.59)), d2 = 1 / (1 + sqrt(0.1 / 0.9));
    f = evaluate_figures(&l, 0, 2.0);
    assert_near(f.top1, 0.6, 1e-12);
    assert_near(f.ece, 0.8 * (c2 - 0.5) + 0.2 * (1 - d2), 1e-6);
    logits_release(&l);
}

/* Twenty classes, confidences 0.05 (the first bin) and 0.1 (the second): the one always right, the
 * other always wrong. In one bin they would make up for each other. */
static void test_low_bins(void **state)
{
    (void)state;
    struct logits l = make(2, 1, 20);
    float flat[20] = {0}, peak[20] = {0};
    peak[0] = (float)log(0.1 * 19 / 0.9);
    set(&l, 0, 0, flat);
    set(&l, 0, 1, peak);
    l.labels[1] = 3;
    assert_near(evaluate_figures(&l, 0, 1.0).ece, (1 - 0.05) / 2 + 0.1 / 2, 1e-6);
    logits_release(&l);
}

static void test_places(void **state)
{
    (void)state;
    struct logits l = make(3, 1, 7);
    const float z[7] = {5, 4, 4, 3, 2, 2, 1};
    const int32_t labels[3] = {2, 4, 5}; /* places 2, 4 and (a tie, the later class) 5 */
    for (size_t i = 0; i < 3; i++) {
        set(&l, 0, i, z);
        l.labels[i] = labels[i];
    }
    struct training_figures f = evaluate_figures(&l, 0, 1.0);
    assert_near(f.top1, 0, 0);
    assert_near(f.top5, 2.0 / 3, 1e-12);
    float margin;
    assert_int_equal(logits_best(z, 7, &margin), 0);
    assert_near((double)margin, 1, 0);
    assert_int_equal(logits_best(z + 1, 6, &margin), 0); /* the first of equal ones */
    assert_near((double)margin, 0, 0);
    logits_release(&l);
}

/* A network that overflows is not right: not at the label and not beside it. */
static void test_not_a_number(void **state)
{
    (void)state;
    struct logits l = make(3, 1, 7);
    const float all[7] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN}, one[7] = {0, NAN, 1, 0, 0, 0, 0};
    set(&l, 0, 0, all);
    set(&l, 0, 1, one);
    set(&l, 0, 2, one);
    l.labels[0] = 0;
    l.labels[1] = 1;
    l.labels[2] = 2;
    struct training_figures f = evaluate_figures(&l, 0, 1.0);
    assert_near(f.top1, 0, 0);
    assert_near(f.top5, 1.0 / 3, 1e-12);
    assert_true(isnan(f.nll) && isnan(f.ece));
    logits_release(&l);
}

/* The best of a fine grid is nowhere better than the bisection. */
static void test_temperature(void **state)
{
    (void)state;
    const double scales[] = {0.3, 1, 4};
    for (size_t s = 0; s < 3; s++) {
        struct logits l = noise(11 + s, 400, 2, 10, scales[s]);
        for (int exit = 0; exit < 2; exit++) {
            double t = calibrate_temperature(&l, exit), found = evaluate_figures(&l, exit, t).nll;
            double best = INFINITY, at = 0;
            for (double x = CALIBRATE_TEMPERATURE_MIN; x <= CALIBRATE_TEMPERATURE_MAX; x *= 1.002) {
                double nll = evaluate_figures(&l, exit, x).nll;
                if (nll < best) at = x;
                if (nll < best) best = nll;
            }
            assert_true(found <= best + 1e-12);
            assert_near(t / at, 1, 0.01);
        }
        logits_release(&l);
    }
}

/* Knowing nothing goes to the upper limit, always being right to the lower one. */
static void test_temperature_limits(void **state)
{
    (void)state;
    struct logits l = make(10, 1, 3);
    for (size_t i = 0; i < 10; i++) {
        const float z[3] = {1, 0, 0};
        set(&l, 0, i, z);
        l.labels[i] = 1;
    }
    assert_near(calibrate_temperature(&l, 0), CALIBRATE_TEMPERATURE_MAX, 0);
    for (size_t i = 0; i < 10; i++) l.labels[i] = 0;
    assert_near(calibrate_temperature(&l, 0), CALIBRATE_TEMPERATURE_MIN, 0);
    logits_release(&l);
}

static double confidence(const struct logits *l, int exit, size_t i, double t)
{
    const float *z = logits_of(l, exit) + i * (size_t)l->classes;
    double top = (double)z[logits_best(z, l->classes, NULL)], sum = 0;
    for (int k = 0; k < l->classes; k++) sum += exp(((double)z[k] - top) / t);
    return 1 / sum;
}

/* The confidence of what answers at an exit, and whether it is right. */
static double answer(const struct logits *l, const struct calibration *c, int exit, size_t i,
                     int *ret_right)
{
    bool running = model_answerer(c, exit) != exit;
    float z[64];
    double sum = 0, t = running ? c->running[exit].figures.temperature : c->exits[exit].temperature;
    for (int k = 0; k < l->classes; k++) {
        double mean = 0;
        for (int x = 0; x <= exit; x++) {
            double weight = running ? c->running[exit].weights[x] : x == exit;
            mean += weight * (double)logits_of(l, x)[i * (size_t)l->classes + (size_t)k];
        }
        z[k] = (float)mean;
    }
    int best = logits_best(z, l->classes, NULL);
    for (int k = 0; k < l->classes; k++) sum += exp(((double)z[k] - (double)z[best]) / t);
    *ret_right = best == l->labels[i];
    return 1 / sum;
}

/* Answering by the thresholds: at most a point worse than the deepest, and somebody leaves early.
 */
static void test_thresholds(void **state)
{
    (void)state;
    int blended = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        struct logits l = noise(seed, 500, 3, 10, 3);
        struct calibration c;
        struct err e = {0};
        assert_int_equal(calibrate(&l, &c, &e), 0);
        assert_true(c.present && c.has_thresholds);
        assert_int_equal(c.n_images, 500);
        assert_near(c.thresholds[2], 0, 0);
        size_t right = 0, early = 0;
        for (size_t i = 0; i < l.n; i++) {
            int exit = 0, is_right;
            while (answer(&l, &c, exit, i, &is_right) < c.thresholds[exit]) exit++;
            right += is_right;
            early += exit < 2;
        }
        double last = c.exits[2].top1;
        if (model_answerer(&c, 2) != 2) last = c.running[2].figures.top1;
        blended += model_answerer(&c, 1) != 1;
        assert_true((double)right / 500 >= last - CALIBRATE_TOLERANCE);
        assert_true(early > 0);
        logits_release(&l);
    }
    assert_true(blended > 0);
}

/* Exits that have not learned get no figures, no threshold and no part of an ensemble. */
static void test_untrained(void **state)
{
    (void)state;
    struct logits l = noise(3, 300, 4, 8, 1);
    struct calibration c;
    struct err e = {0};
    l.untrained = 5;
    assert_int_equal(calibrate(&l, &c, &e), 0);
    assert_true(c.exits[0].temperature == 0 && c.exits[2].temperature == 0);
    assert_true(c.exits[1].temperature > 0 && c.exits[3].temperature > 0);
    assert_true(c.thresholds[0] > 1 && c.thresholds[2] > 1);
    for (int i = 0; i < 3; i++) assert_false(c.running[i].present); /* exit 1 would be alone */
    assert_true(c.running[3].present);
    assert_true(c.running[3].weights[0] == 0 && c.running[3].weights[2] == 0);
    assert_near(c.running[3].weights[1] + c.running[3].weights[3], 1, 1e-12);
    l.untrained = 7;
    assert_int_equal(calibrate(&l, &c, &e), 0);
    for (int i = 0; i < 4; i++) assert_false(c.running[i].present);
    logits_release(&l);
}

static void test_classes(void **state)
{
    (void)state;
    struct logits l = make(5, 1, 4);
    struct class_count counts[4];
    static const int32_t labels[5] = {0, 0, 0, 1, 3}, said[5] = {0, 0, 1, 1, 2};
    for (size_t i = 0; i < 5; i++) {
        float z[4] = {0};
        z[said[i]] = 1;
        set(&l, 0, i, z);
        l.labels[i] = labels[i];
    }
    evaluate_classes(&l, 0, counts);
    static const struct class_count want[4] = {{3, 2}, {1, 1}, {0, 0}, {1, 0}};
    for (int c = 0; c < 4; c++) {
        assert_int_equal(counts[c].images, want[c].images);
        assert_int_equal(counts[c].right, want[c].right);
    }
    assert_near(evaluate_balanced(counts, 4), (2.0 / 3 + 1 + 0) / 3, 1e-12); /* without class 2 */
    assert_near(evaluate_balanced(counts + 2, 1), 0, 0);
    logits_release(&l);
}

/* An exit that is always sure and always wrong answers nothing, not even at a confidence of 1. */
static void test_no_threshold(void **state)
{
    (void)state;
    struct logits l = make(10, 2, 2);
    for (size_t i = 0; i < 10; i++) {
        const float wrong[2] = {10000, 0}, good[2] = {0, 1};
        l.labels[i] = 1;
        set(&l, 0, i, wrong);
        set(&l, 1, i, good);
        set(&l, MODEL_ENSEMBLE, i, wrong);
    }
    struct calibration c;
    struct err e = {0};
    assert_int_equal(calibrate(&l, &c, &e), 0);
    assert_near(confidence(&l, 0, 0, c.exits[0].temperature), 1, 0);
    assert_true(c.thresholds[0] > 1);
    logits_release(&l);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct logits l = noise(1, 20, 2, 5, 1);
    for (unsigned n = 1; n <= 5; n++) {
        struct calibration c;
        struct err e = {0};
        mem_fail_at(n);
        assert_true(calibrate(&l, &c, &e) < 0);
        assert_int_equal(mem_fail_left(), 0);
    }
    logits_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_by_hand),
        cmocka_unit_test(test_low_bins),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_temperature),
        cmocka_unit_test(test_temperature_limits),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_untrained),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_no_threshold),
        cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
