/* Philox against its published known answers; streams, ranges and distributions. */
#include "config.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Random123 1.14, tests/kat_vectors, the lines "philox4x32 10". */
static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint32_t out[4];
        rng_philox(rows[i].counter, rows[i].key, out);
        assert_memory_equal(out, rows[i].out, sizeof(out));
        /* In place as well. */
        memcpy(out, rows[i].counter, sizeof(out));
        rng_philox(out, rows[i].key, out);
        assert_memory_equal(out, rows[i].out, sizeof(out));
    }
}

/* The layout that checkpoints rely on: key = seed low, high; counter = index, purpose, a, b. */
static void test_cursor_is_the_raw_function(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, UINT64_C(0x0123456789abcdef), RNG_AUGMENT, 17, 4711);
    const uint32_t key[2] = {0x89abcdef, 0x01234567};
    for (uint32_t index = 0; index < 5; index++) {
        const uint32_t counter[4] = {index, RNG_AUGMENT, 17, 4711};
        uint32_t out[4];
        rng_philox(counter, key, out);
        for (int i = 0; i < 4; i++) assert_int_equal(rng_u32(&r), out[i]);
    }
}

static void test_streams_differ(void **state)
{
    (void)state;
    static const struct {
        uint64_t seed;
        enum rng_purpose purpose;
        uint32_t a, b;
    } rows[] = {
        {0, RNG_INIT, 0, 0},  {1, RNG_INIT, 0, 0}, {UINT64_C(1) << 32, RNG_INIT, 0, 0},
        {0, RNG_ORDER, 0, 0}, {0, RNG_INIT, 1, 0}, {0, RNG_INIT, 0, 1},
    };
    enum { N = sizeof(rows) / sizeof(*rows) };
    uint32_t first[N][4];
    for (size_t i = 0; i < N; i++) {
        struct rng r;
        rng_init(&r, rows[i].seed, rows[i].purpose, rows[i].a, rows[i].b);
        for (int k = 0; k < 4; k++) first[i][k] = rng_u32(&r);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(first[i], first[j], sizeof(first[i]));
    }
}

static void test_below(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&r, 1), 0);
    for (uint32_t n = 2; n < 40; n++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint32_t x = rng_below(&r, n);
            assert_true(x < n);
            seen |= UINT64_C(1) << x;
        }
        assert_true(seen == (UINT64_C(1) << n) - 1); /* (1-1/39)^2000 is 3e-23 */
    }
    assert_true(rng_below(&r, UINT32_MAX) < UINT32_MAX);
}

/* n = 3 * 2^30: without the rejection a third of the values would come twice as often, and the
 * lowest third of the range would hold more than its share. */
static void test_below_is_unbiased(void **state)
{
    (void)state;
    enum { DRAWS = 300000 };
    const uint32_t n = UINT32_C(3) << 30;
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    int by_residue[3] = {0};
    for (int i = 0; i < DRAWS; i++) by_residue[rng_below(&r, n) % 3]++;
    for (int k = 0; k < 3; k++) {
        double sigma = sqrt(DRAWS * (1.0 / 3) * (2.0 / 3));
        assert_true(fabs(by_residue[k] - DRAWS / 3.0) < 5 * sigma);
    }
}

static void test_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double u = rng_uniform(&r);
        assert_true(u >= 0.0 && u < 1.0);
        sum += u;
        squares += u * u;
    }
    assert_true(fabs(sum / DRAWS - 0.5) < 5 * sqrt(1.0 / 12 / DRAWS));
    assert_true(fabs(squares / DRAWS - 1.0 / 3) < 5 * sqrt(4.0 / 45 / DRAWS));
    /* The extremes of the words give the extremes of the range, never 1. */
    struct rng high = {.out = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}, .left = 4};
    assert_true(rng_uniform(&high) == 1.0 - 0x1p-53);
    struct rng low = {.left = 4};
    assert_true(rng_uniform(&low) == 0.0);
}

static void test_normal(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0, 0);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0;
    int within = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = rng_normal(&r);
        assert_true(isfinite(x));
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        within += fabs(x) < 1.0;
    }
    /* Moments of N(0,1): 0, 1, 0, 3, whose estimates deviate by sqrt of 1, 2, 15, 96 over n. */
    assert_true(fabs(m1 / DRAWS) < 5 * sqrt(1.0 / DRAWS));
    assert_true(fabs(m2 / DRAWS - 1) < 5 * sqrt(2.0 / DRAWS));
    assert_true(fabs(m3 / DRAWS) < 5 * sqrt(15.0 / DRAWS));
    assert_true(fabs(m4 / DRAWS - 3) < 5 * sqrt(96.0 / DRAWS));
    assert_true(fabs(within / (double)DRAWS - 0.682689) < 5 * sqrt(0.2166 / DRAWS));
    /* The worst words: the logarithm stays finite. */
    struct rng high = {.out = {UINT32_MAX, UINT32_MAX, 0, 0}, .left = 4};
    assert_true(isfinite(rng_normal(&high)));
    struct rng low = {.left = 4};
    assert_true(isfinite(rng_normal(&low)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_cursor_is_the_raw_function),
        cmocka_unit_test(test_streams_differ),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_below_is_unbiased),
        cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_normal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
