/* Lines out of arbitrary pieces of a child's stdout. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/loop/lines.h"
#include "../seeded.h"

static char got[1 << 20];
static size_t got_size;

static void collect(void *arg, const char *text, size_t size)
{
    (void)arg;
    assert_true(strlen(text) <= size && text[size] == '\0');
    assert_true(got_size + size + 1 < sizeof(got));
    memcpy(got + got_size, text, size);
    got_size += size;
    got[got_size++] = '|';
    got[got_size] = '\0';
}

static struct lines lines;

static void test_lines(void **state)
{
    (void)state;
    lines_init(&lines);
    got_size = 0;
    const char text[] = "one\ntwo\r\n\n\rx\r\r\nlast";
    lines_feed(&lines, text, strlen(text), collect, NULL);
    assert_string_equal(got, "one|two||\rx\r|");
    lines_end(&lines, collect, NULL);
    assert_string_equal(got, "one|two||\rx\r|last|");
    lines_end(&lines, collect, NULL);
    assert_string_equal(got, "one|two||\rx\r|last|");
}

/* Whatever the pieces, the lines are the same; those that are too long are missing, and nothing
 * else. */
static void test_lines_property(void **state)
{
    (void)state;
    struct rng rng = seeded(12);
    static char input[1 << 20], expected[1 << 20];
    size_t size = 0, expected_size = 0, too_long = 0;
    for (int i = 0; i < 60; i++) {
        size_t length = rng_below(&rng, 50);
        if (rng_below(&rng, 10) == 0) length = LINES_MAX - 2 + rng_below(&rng, 5);
        if (i < 3) length = LINES_MAX - 1 + (size_t)i;
        if (size + length + 1 >= sizeof(input)) break;
        for (size_t j = 0; j < length; j++) input[size + j] = (char)('a' + rng_below(&rng, 26));
        if (length <= LINES_MAX) {
            memcpy(expected + expected_size, input + size, length);
            expected_size += length;
            expected[expected_size++] = '|';
        } else {
            too_long++;
        }
        size += length;
        input[size++] = '\n';
    }
    lines_init(&lines);
    got_size = 0;
    for (size_t at = 0; at < size;) {
        size_t piece = 1 + rng_below(&rng, rng_below(&rng, 3) == 0 ? 20000 : 30);
        if (piece > size - at) piece = size - at;
        lines_feed(&lines, input + at, piece, collect, NULL);
        at += piece;
    }
    lines_end(&lines, collect, NULL);
    assert_int_equal(got_size, expected_size);
    assert_memory_equal(got, expected, expected_size);
    assert_int_equal(lines.dropped, too_long);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_lines_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
