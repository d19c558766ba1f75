/* Outcomes: the first one stays, each kind leaves a job in its state, reasons are fit for JSON. */
#include "config.h"

#include "../../src/jobs/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_first_stays(void **state)
{
    (void)state;
    struct outcome o = {OUTCOME_OPEN, ""};
    outcome_set(&o, OUTCOME_FAILED_EXIT, "the training ended with exit code %d", 3);
    outcome_set(&o, OUTCOME_CANCELLED, "cancelled on request");
    assert_int_equal(o.kind, OUTCOME_FAILED_EXIT);
    assert_string_equal(o.reason, "the training ended with exit code 3");
    outcome_add_words(&o, "no \x1b[1mspace\xff left");
    assert_string_equal(o.reason, "the training ended with exit code 3: no ?[1mspace? left");
    for (int i = 0; i < 40; i++) outcome_add_words(&o, "more and more of it");
    assert_int_equal(strlen(o.reason), REASON_MAX - 1);
}

static void test_states(void **state)
{
    (void)state;
    for (int kind = OUTCOME_SUCCEEDED; kind <= OUTCOME_FAILED_STORE; kind++) {
        enum job_state wanted = kind == OUTCOME_SUCCEEDED   ? JOB_SUCCEEDED
                                : kind == OUTCOME_REJECTED  ? JOB_REJECTED
                                : kind == OUTCOME_CANCELLED ? JOB_CANCELLED
                                : kind <= OUTCOME_KILLED    ? JOB_QUEUED
                                                            : JOB_FAILED;
        assert_int_equal(outcome_state((enum outcome_kind)kind), wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_stays),
                                       cmocka_unit_test(test_states)};
    return cmocka_run_group_tests_name("jobs/outcome", tests, NULL, NULL);
}
