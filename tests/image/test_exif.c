/* Exif's orientation: found where it is, and nothing else in the structure can do harm. What the
 * eight values do to an image is compared with Pillow in test_image.c. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "exif.h"

/* A directory at `at` with one entry, big endian. */
enum { AT = 8, ENTRY = AT + 2, SIZE = AT + 2 + 12 + 4 };

static void make(uint8_t bytes[SIZE], int value)
{
    static const uint8_t usual[SIZE] = {'M', 'M', 0,    42, 0, 0, 0, AT, 0,
                                        1,   1,   0x12, 0,  3, 0, 0, 0,  1};
    memcpy(bytes, usual, SIZE);
    bytes[ENTRY + 9] = (uint8_t)value;
}

/* In a block of exactly its size, so that a byte too far is seen by the sanitizer and valgrind. */
static int orientation(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    assert_non_null(copy);
    if (size > 0) memcpy(copy, bytes, size);
    int value = exif_orientation(copy, size);
    free(copy);
    return value;
}

static void test_values(void **state)
{
    (void)state;
    uint8_t bytes[SIZE];
    for (int value = 0; value < 256; value++) {
        make(bytes, value);
        assert_int_equal(orientation(bytes, SIZE), value >= 1 && value <= 8 ? value : 1);
    }
    make(bytes, 6);
    bytes[ENTRY + 8] = 1; /* 262 */
    assert_int_equal(orientation(bytes, SIZE), 1);
}

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        int at, value;
    } lies[] = {
        {0, 'I'},                        /* one letter of either order */
        {1, 'X'},        {3, 43},        /* another magic */
        {4, 0x80},                       /* the directory far behind the end */
        {7, SIZE},                       /* at the end */
        {7, SIZE - 1},                   /* half its count inside */
        {7, SIZE + 1},   {AT + 1, 0},    /* no entries */
        {ENTRY + 1, 19},                 /* another tag */
        {ENTRY + 3, 4},                  /* another type */
        {ENTRY + 3, 0},  {ENTRY + 7, 2}, /* two values */
        {ENTRY + 7, 0},  {ENTRY + 4, 255},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        uint8_t bytes[SIZE];
        make(bytes, 6);
        bytes[lies[i].at] = (uint8_t)lies[i].value;
        if (orientation(bytes, SIZE) != 1) fail_msg("lie %zu is believed", i);
    }
    /* More entries than there is room for: those that are there count. */
    uint8_t bytes[SIZE];
    make(bytes, 6);
    bytes[AT] = bytes[AT + 1] = 0xff;
    assert_int_equal(orientation(bytes, SIZE), 6);
    for (size_t size = 0; size < SIZE; size++) {
        assert_int_equal(orientation(bytes, size), size < ENTRY + 12 ? 1 : 6);
    }
}

/* Two entries: the first orientation counts, wherever it stands. */
static void test_second_entry(void **state)
{
    (void)state;
    uint8_t bytes[SIZE + 12] = {0};
    make(bytes, 3);
    memmove(bytes + ENTRY + 12, bytes + ENTRY, 12);
    bytes[AT + 1] = 2;
    bytes[ENTRY + 1] = 0x0f;
    assert_int_equal(orientation(bytes, sizeof(bytes)), 3);
    bytes[ENTRY + 1] = 0x12;
    bytes[ENTRY + 9] = 8;
    assert_int_equal(orientation(bytes, sizeof(bytes)), 8);
}

static void test_noise(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 20, RNG_TEST, 0, 0);
    int found = 0;
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[SIZE];
        make(bytes, 1 + (int)rng_below(&rng, 8));
        for (uint32_t k = rng_below(&rng, 4); k > 0; k--) {
            bytes[rng_below(&rng, SIZE)] = (uint8_t)rng_below(&rng, 256);
        }
        int value = orientation(bytes, rng_below(&rng, SIZE + 1));
        assert_in_range(value, 1, 8);
        found += value != 1;
    }
    assert_in_range(found, 1000, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_second_entry),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
