/* Errors: codes, messages, cutting of what does not fit. */
#include "config.h"

#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_set_stores_and_returns(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_RANGE, "line %d: %s", 7, "too big"), ERR_RANGE);
    assert_int_equal(e.code, ERR_RANGE);
    assert_string_equal(e.text, "line 7: too big");
    assert_int_equal(err_set(NULL, -ENOENT, "%s", "ignored"), -ENOENT);
    assert_int_equal(err_prefix(NULL, "x"), 0);
}

static void test_set_may_quote_its_own_text(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_FORMAT, "inner");
    err_set(&e, ERR_LIMIT, "outer (%s)", e.text);
    assert_string_equal(e.text, "outer (inner)");
}

static void test_prefix(void **state)
{
    (void)state;
    struct err e = {0};
    err_set(&e, ERR_FORMAT, "bad magic");
    assert_int_equal(err_prefix(&e, "%s:%d", "a.bin", 3), ERR_FORMAT);
    assert_string_equal(e.text, "a.bin:3: bad magic");
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    char text[2 * ERR_TEXT_MAX];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct err e = {0};
    err_set(&e, ERR_FORMAT, "%s", text);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
    /* Every length of the prefix around the border: always terminated, never past the end. */
    for (int n = 0; n < ERR_TEXT_MAX + 3; n++) {
        struct err p = {0};
        err_set(&p, ERR_FORMAT, "tail");
        assert_int_equal(err_prefix(&p, "%.*s", n, text), ERR_FORMAT);
        size_t want = (size_t)n + strlen(": tail");
        if (want > ERR_TEXT_MAX - 1) want = ERR_TEXT_MAX - 1;
        assert_int_equal(strlen(p.text), want);
        for (size_t i = 0; i < want; i++) {
            assert_int_equal(p.text[i], i < (size_t)n ? 'a' : ": tail"[i - (size_t)n]);
        }
    }
}

static void test_every_code_has_a_text(void **state)
{
    (void)state;
    for (int code = ERR_USAGE; code <= ERR_FORMAT; code++) {
        assert_string_not_equal(err_text(code), "unknown error");
        for (int other = ERR_USAGE; other < code; other++) {
            assert_string_not_equal(err_text(code), err_text(other));
        }
    }
    assert_string_equal(err_text(-ENOENT), strerror(ENOENT));
    assert_string_equal(err_text(-ENOSPC), strerror(ENOSPC));
    assert_string_equal(err_text(-9999), "unknown error");
    assert_string_equal(err_text(ERR_USAGE - 1), "unknown error");
    assert_string_equal(err_text(INT32_MIN), "unknown error");
    assert_string_equal(err_text(0), "no error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_stores_and_returns),
        cmocka_unit_test(test_set_may_quote_its_own_text),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_every_code_has_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
