/* Pauses grow up to a bound and begin anew; a cause is news once. */
#include "config.h"

#include "base/retry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static void test_pauses(void **state)
{
    (void)state;
    struct retry retry = {0};
    int64_t before = 0;
    assert_false(retry_worked(&retry));
    for (int i = 0; i < 40; i++) {
        retry_failed(&retry, "full");
        assert_true(retry.pause_ns >= CLOCK_SECOND && retry.pause_ns <= 60 * CLOCK_SECOND);
        assert_true(retry.pause_ns > before || retry.pause_ns == 60 * CLOCK_SECOND);
        before = retry.pause_ns;
    }
    assert_true(retry_worked(&retry));
    assert_false(retry_worked(&retry));
    assert_true(retry_failed(&retry, "full"));
    assert_int_equal(retry.pause_ns, CLOCK_SECOND);
}

static void test_causes(void **state)
{
    (void)state;
    struct retry retry = {0};
    assert_true(retry_failed(&retry, "full"));
    assert_false(retry_failed(&retry, "full"));
    assert_true(retry_failed(&retry, "gone"));
    assert_true(retry_failed(&retry, "full"));
}

static void test_codes(void **state)
{
    (void)state;
    assert_true(err_is_passing(-ENOSPC) && err_is_passing(-ENOMEM) && err_is_passing(-EIO));
    assert_true(err_is_passing(-EROFS) && err_is_passing(ERR_BUSY) && err_is_passing(-EMFILE));
    assert_false(err_is_passing(0) || err_is_passing(ERR_FORMAT) || err_is_passing(-ENOENT));
    assert_true(err_is_disk(-ENOSPC) && err_is_disk(-EROFS) && err_is_disk(-EDQUOT));
    assert_false(err_is_disk(-ENOMEM) || err_is_disk(-EIO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses),
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
