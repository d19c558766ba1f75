/* The clocks run forwards; points in time are written as RFC 3339 says. */
#include "config.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_monotonic(void **state)
{
    (void)state;
    int64_t last = clock_now();
    assert_true(last > 0);
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now();
        assert_true(now >= last);
        last = now;
    }
    /* Both count nanoseconds: a second of the C library agrees. */
    int64_t difference = clock_real() / CLOCK_SECOND - (int64_t)time(NULL);
    assert_true(difference >= -1 && difference <= 1);
}

static void test_format(void **state)
{
    (void)state;
    /* Seconds since 1970 from `date -u -d ... +%s`. */
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {CLOCK_MS - 1, "1970-01-01T00:00:00.000Z"},
        {CLOCK_MS, "1970-01-01T00:00:00.001Z"},
        {INT64_C(951782399) * CLOCK_SECOND + 999 * CLOCK_MS, "2000-02-28T23:59:59.999Z"},
        {INT64_C(951868799) * CLOCK_SECOND, "2000-02-29T23:59:59.000Z"},
        {INT64_C(1769860800) * CLOCK_SECOND + 999999999, "2026-01-31T12:00:00.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-CLOCK_SECOND, "1969-12-31T23:59:59.000Z"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        clock_format(rows[i].ns, text, sizeof(text));
        assert_string_equal(text, rows[i].text);
    }
    /* The extremes fit too, and a small buffer is not overrun. */
    clock_format(INT64_MAX, text, sizeof(text));
    assert_int_equal(strlen(text), 24);
    clock_format(INT64_MIN, text, sizeof(text));
    assert_int_equal(strlen(text), 24);
    char small[8];
    memset(small, 'x', sizeof(small));
    clock_format(0, small, 7);
    assert_int_equal(small[7], 'x');
    assert_non_null(memchr(small, '\0', 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_monotonic),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
