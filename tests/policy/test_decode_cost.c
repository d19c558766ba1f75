/* What decoding is predicted to take: by size, whatever was decoded before; learned where it was
 * wrong, and forgotten. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "policy/decode_cost.h"

static const struct decode_size thumbnail = {DECODE_PNG,    32, 32, .bytes = 2500, .samples = 3072,
                                             .pixels = 1024};
static const struct decode_size photograph = {
    DECODE_PNG,         4000,           3000, .bytes = 20 << 20, .samples = 36000000,
    .pixels = 12000000, .outputs = 1024};

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * want)) fail_msg("%g, wanted %g", got, want);
}

static void size_is_what_counts(void **state)
{
    (void)state;
    struct decode_cost cost, slow, free_of_charge;
    decode_cost_init(&cost, 1);
    decode_cost_init(&slow, 3);
    decode_cost_init(&free_of_charge, 0);
    double small = decode_cost(&cost, &thumbnail, 0), large = decode_cost(&cost, &photograph, 0);
    assert_true(small > 1e-6 && small < 1e-3 && large > 0.03 && large < 1);
    assert_near(decode_cost(&slow, &photograph, 0), 3 * large, 1e-9);
    assert_true(decode_cost_prior(&cost, &photograph) == large);
    decode_cost_learn(&free_of_charge, &photograph, 1, 0);
    assert_true(decode_cost(&free_of_charge, &photograph, 0) == 0);
    for (int f = 0; f < DECODE_FORMATS; f++) {
        struct decode_size s = photograph;
        s.format = (enum decode_format)f;
        double all = decode_cost_prior(&cost, &s);
        s.samples /= 2;
        assert_true(decode_cost_prior(&cost, &s) < all);
        assert_non_null(decode_format_name(s.format));
    }
}

/* One average over all sizes made thumbnails as dear as the photograph before them, for ever. */
static void a_photograph_says_nothing_of_thumbnails(void **state)
{
    (void)state;
    struct decode_cost cost;
    decode_cost_init(&cost, 1);
    double before = decode_cost(&cost, &thumbnail, 0);
    for (int i = 0; i < 100; i++) decode_cost_learn(&cost, &photograph, 0.5, i * CLOCK_SECOND);
    double after = decode_cost(&cost, &thumbnail, 100 * CLOCK_SECOND);
    assert_true(after == before);
    for (int i = 0; i < 100; i++) decode_cost_learn(&cost, &thumbnail, 1e-5, 100 * CLOCK_SECOND);
    assert_near(decode_cost(&cost, &photograph, 100 * CLOCK_SECOND), 0.5, 0.25);
    assert_near(decode_cost(&cost, &thumbnail, 100 * CLOCK_SECOND), 1e-5, 0.25);
}

/* A machine where an image costs more than was thought, and a byte less: both are learned, from
 * what shows them, in whatever order they come. */
static void sizes_are_learned_apart(void **state)
{
    (void)state;
    struct decode_cost cost;
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 40, 0);
    decode_cost_init(&cost, 1);
    const struct decode_size small = {DECODE_JPEG, 8, 8, .bytes = 300, .samples = 96, .pixels = 64};
    const struct decode_size large = {
        DECODE_JPEG, 4000, 3000, .bytes = 7 << 20, .samples = 18000000, .pixels = 187500};
    double small_s = 5 * decode_cost_prior(&cost, &small);
    double large_s = 0.5 * decode_cost_prior(&cost, &large);
    for (int i = 0; i < 300; i++) {
        double chance = 0.8 + 0.4 * rng_uniform(&rng);
        if (i % 10 == 0)
            decode_cost_learn(&cost, &large, chance * large_s, i * CLOCK_MS);
        else
            decode_cost_learn(&cost, &small, chance * small_s, i * CLOCK_MS);
    }
    assert_near(decode_cost(&cost, &small, 300 * CLOCK_MS), small_s, 0.15);
    assert_near(decode_cost(&cost, &large, 300 * CLOCK_MS), large_s, 0.15);
    /* Other formats know nothing of it. */
    assert_true(decode_cost(&cost, &photograph, 0) == decode_cost_prior(&cost, &photograph));
}

static void an_outlier_is_no_price(void **state)
{
    (void)state;
    struct decode_cost cost;
    decode_cost_init(&cost, 1);
    double usual = decode_cost_prior(&cost, &photograph);
    decode_cost_learn(&cost, &photograph, 1000 * usual, 0);
    assert_true(decode_cost(&cost, &photograph, 0) < 2 * usual);
    for (int i = 0; i < 10; i++) decode_cost_learn(&cost, &photograph, usual, 0);
    assert_near(decode_cost(&cost, &photograph, 0), usual, 0.15);
    decode_cost_learn(&cost, &photograph, 1e-9, 0);
    assert_near(decode_cost(&cost, &photograph, 0), usual, 0.3);
    double before = decode_cost(&cost, &photograph, 0);
    decode_cost_learn(&cost, &photograph, 0, 0); /* nothing was measured */
    assert_true(decode_cost(&cost, &photograph, 0) == before);
}

/* What was learned goes without evidence, and is learned as fast as ever then. */
static void what_was_learned_is_forgotten(void **state)
{
    (void)state;
    struct decode_cost cost;
    decode_cost_init(&cost, 1);
    double usual = decode_cost_prior(&cost, &photograph);
    for (int round = 0; round < 2; round++) {
        int64_t now = round * 600 * CLOCK_SECOND;
        assert_near(decode_cost(&cost, &photograph, now), usual, 0.01);
        for (int i = 0; i < 20; i++) decode_cost_learn(&cost, &photograph, 4 * usual, now);
        double taught = decode_cost(&cost, &photograph, now);
        assert_near(taught, 4 * usual, 0.02);
        assert_near(decode_cost(&cost, &photograph, now + 20 * CLOCK_SECOND), sqrt(usual * taught),
                    0.01);
        /* A clock that was asked earlier by another thread. */
        assert_true(decode_cost(&cost, &photograph, now - CLOCK_SECOND) == taught);
    }
}

/* Whatever is taught: predictions are above nothing, and bounded. */
static void whatever_is_taught(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct decode_cost cost;
        struct rng rng;
        int64_t now = 0;
        rng_init(&rng, seed, RNG_TEST, 41, 0);
        decode_cost_init(&cost, 0.1 + 10 * rng_uniform(&rng));
        for (int i = 0; i < 2000; i++) {
            struct decode_size size = {.format =
                                           (enum decode_format)rng_below(&rng, DECODE_FORMATS),
                                       .bytes = rng_below(&rng, 1 << rng_below(&rng, 31)),
                                       .samples = rng_below(&rng, 1 << rng_below(&rng, 31)),
                                       .pixels = rng_below(&rng, 1 << rng_below(&rng, 28)),
                                       .outputs = rng_below(&rng, 50176)};
            double predicted = decode_cost(&cost, &size, now);
            double prior = decode_cost_prior(&cost, &size);
            if (!(predicted > prior / 21 && predicted < prior * 21))
                fail_msg("seed %d: %g of %g", (int)seed, predicted, prior);
            now += (int64_t)rng_below(&rng, 1 << rng_below(&rng, 31));
            decode_cost_learn(&cost, &size, pow(10, 12 * rng_uniform(&rng) - 9), now);
        }
    }
}

static void a_busy_machine_has_a_pace(void **state)
{
    (void)state;
    struct decode_pace pace;
    decode_pace_init(&pace);
    assert_true(decode_pace(&pace, 0) == 1);
    decode_pace_learn(&pace, 1, 0, 0); /* not known */
    decode_pace_learn(&pace, 1, 2, 0); /* cannot be */
    assert_true(decode_pace(&pace, 0) == 1);
    for (int i = 0; i < 40; i++) decode_pace_learn(&pace, 3, 1, 0);
    assert_near(decode_pace(&pace, 0), 3, 0.01);
    assert_near(decode_pace(&pace, 5 * CLOCK_SECOND), 2, 0.01);
    assert_near(decode_pace(&pace, 100 * CLOCK_SECOND), 1, 0.01);
    for (int i = 0; i < 1000; i++) decode_pace_learn(&pace, 1e9, 1, 0);
    assert_true(decode_pace(&pace, 0) <= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_what_counts),
        cmocka_unit_test(a_photograph_says_nothing_of_thumbnails),
        cmocka_unit_test(sizes_are_learned_apart),
        cmocka_unit_test(an_outlier_is_no_price),
        cmocka_unit_test(what_was_learned_is_forgotten),
        cmocka_unit_test(whatever_is_taught),
        cmocka_unit_test(a_busy_machine_has_a_pace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
