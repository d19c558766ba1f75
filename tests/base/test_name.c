/* The rule of names, by examples and against a regular expression. */
#include "config.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "base/name.h"

static void examples(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "7", "_", "-", "a.b", "resnet18-cifar100", "wrn28-12"};
    static const char *const bad[] = {"",    ".",   "..",   ".a",       "A",   "a/b",
                                      "a b", "a\n", "a\\b", "\xc3\xa9", "a:b", "a%2e"};
    char longest[NAME_BYTES_MAX + 2];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) assert_true(name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(name_is_valid(bad[i]));
    memset(longest, 'x', sizeof(longest));
    longest[NAME_BYTES_MAX + 1] = '\0';
    assert_false(name_is_valid(longest));
    longest[NAME_BYTES_MAX] = '\0';
    assert_true(name_is_valid(longest));
}

static void expression(void **state)
{
    (void)state;
    static const char likely[] = "ab09._-..A/ ";
    struct rng rng = seeded(11);
    regex_t regex;
    assert_int_equal(regcomp(&regex, "^[a-z0-9_-][a-z0-9._-]{0,63}$", REG_EXTENDED | REG_NOSUB), 0);
    for (int round = 0; round < 20000; round++) {
        char text[6];
        size_t n = rng_below(&rng, sizeof(text));
        for (size_t i = 0; i < n; i++) text[i] = likely[rng_below(&rng, sizeof(likely) - 1)];
        text[n] = '\0';
        assert_int_equal(name_is_valid(text), regexec(&regex, text, 0, NULL, 0) == 0);
    }
    regfree(&regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples),
        cmocka_unit_test(expression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
