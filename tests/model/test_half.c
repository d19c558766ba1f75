/* 16-bit floats: all of them, both ways, and rounding to nearest even between them. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/model/half.h"
#include "../seeded.h"

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The definition (IEEE 754, 3.4): sign, 5 bits of exponent, 10 of fraction. */
static double half_value(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

static void test_all_halves(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = half_to_float((uint16_t)bits);
        if ((bits & 0x7c00) == 0x7c00) {
            assert_true((bits & 0x3ff) != 0 ? isnan(value)
                                            : isinf(value) && (value < 0) == (bits >> 15 == 1));
            if ((bits & 0x3ff) != 0) {
                assert_true(isnan(half_to_float(half_from_float(value))));
                continue;
            }
        } else {
            assert_true((double)value == half_value((uint16_t)bits));
            assert_true((signbit(value) != 0) == (bits >> 15 == 1)); /* of zeros, too */
        }
        assert_int_equal(half_from_float(value), bits);
    }
}

static void test_all_bfloats(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = bfloat_to_float((uint16_t)bits);
        assert_int_equal(bits_of(value), bits << 16);
        if (isnan(value)) {
            assert_true(isnan(bfloat_to_float(bfloat_from_float(value))));
        } else {
            assert_int_equal(bfloat_from_float(value), bits);
        }
    }
}

/* The middle between neighbours goes to the even one, a bit more or less to the nearer. */
static void test_ties(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x7c00; bits++) {
        double low = half_value((uint16_t)bits);
        double high = bits == 0x7bff ? 65536.0 : half_value((uint16_t)(bits + 1));
        float middle = (float)((low + high) / 2); /* exact: 11 bits and one more */
        uint32_t even = bits % 2 == 0 ? bits : bits + 1;
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), bits);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), bits + 1);
        assert_int_equal(half_from_float(-middle), even | 0x8000);
    }
    for (uint32_t bits = 0; bits < 0x7f80; bits++) {
        uint32_t even = bits % 2 == 0 ? bits : bits + 1, middle = bits << 16 | 0x8000;
        assert_int_equal(bfloat_from_float(float_of(middle)), even);
        assert_int_equal(bfloat_from_float(float_of(middle - 1)), bits);
        assert_int_equal(bfloat_from_float(float_of(middle + 1)), bits + 1);
        assert_int_equal(bfloat_from_float(-float_of(middle)), even | 0x8000);
    }
}

static void test_corners(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t half, bfloat;
    } cases[] = {
        {0.0f, 0x0000, 0x0000},
        {-0.0f, 0x8000, 0x8000},
        {1.0f, 0x3c00, 0x3f80},
        {65504.0f, 0x7bff, 0x4780},
        {65519.99f, 0x7bff, 0x4780},
        {65520.0f, 0x7c00, 0x4780},
        {1e10f, 0x7c00, 0x5015},
        {-INFINITY, 0xfc00, 0xff80},
        {3.4028235e38f, 0x7c00, 0x7f80},
        {0x1p-14f, 0x0400, 0x3880}, /* the smallest normal half */
        {0x1p-24f, 0x0001, 0x3380}, /* the smallest subnormal one */
        {0x1p-25f, 0x0000, 0x3300}, /* half of it: to even */
        {0x1.000002p-25f, 0x0001, 0x3300},
        {0x1p-26f, 0x0000, 0x3280},
        {0x1p-149f, 0x0000, 0x0000},
        {0x1p-133f, 0x0000, 0x0001}, /* the smallest bfloat */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(half_from_float(cases[i].value), cases[i].half);
        assert_int_equal(bfloat_from_float(cases[i].value), cases[i].bfloat);
    }
    assert_true(isnan(half_to_float(half_from_float(NAN))));
    assert_true(isnan(bfloat_to_float(bfloat_from_float(float_of(0x7f800001))))); /* not infinity */
}

/* Any float: no half is nearer than the one it becomes. */
static void test_nearest(void **state)
{
    (void)state;
    struct rng rng = seeded(12);
    for (int i = 0; i < 200000; i++) {
        /* Exponents around those that a half has. */
        float value = float_of((95 + rng_below(&rng, 50)) << 23 | rng_below(&rng, 1 << 23));
        uint16_t half = half_from_float(value);
        if (half == 0x7c00) {
            assert_true(value >= 65520.0f);
            continue;
        }
        double distance = fabs(half_value(half) - (double)value);
        if (half > 0)
            assert_true(distance <= fabs(half_value((uint16_t)(half - 1)) - (double)value));
        if (half < 0x7bff)
            assert_true(distance <= fabs(half_value((uint16_t)(half + 1)) - (double)value));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_halves), cmocka_unit_test(test_all_bfloats),
        cmocka_unit_test(test_ties),       cmocka_unit_test(test_corners),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
