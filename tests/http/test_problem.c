/* Problem documents: their members, and which status an error is. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/http/problem.h"
#include "base/err.h"
#include "http/exchange.h"

static void documents(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(problem_write(&out, 404, "no \"x\""), 0);
    assert_string_equal(buf_text(&out),
                        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                        "\"detail\":\"no \\\"x\\\"\",\"error\":\"no \\\"x\\\"\"}\n");
    buf_release(&out);
    buf_init(&out, 40);
    assert_int_equal(problem_write(&out, 404, "no room"), ERR_LIMIT);
    buf_release(&out);
}

static void statuses(void **state)
{
    (void)state;
    static const struct {
        int code, status;
    } rows[] = {
        {ERR_FORMAT, 400},   {ERR_RANGE, 400},     {ERR_USAGE, 400}, {ERR_NOT_FOUND, 404},
        {ERR_CONFLICT, 409}, {ERR_LIMIT, 413},     {ERR_BUSY, 503},  {ERR_UNSUPPORTED, 422},
        {-ENOMEM, 503},      {ERR_CANCELLED, 499}, {-ENOSPC, 507},   {ERR_DEADLINE, 504},
        {-EIO, 500},         {ERR_DIVERGED, 500},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(problem_status(rows[i].code), rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),
        cmocka_unit_test(statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
