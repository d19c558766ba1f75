/* The ranks of a program that was built without MPI, whatever this one was built with. */
#include "config.h"

#include "train/ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void nobody_started(void)
{
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
}

static void test_alone(void **state)
{
    (void)state;
    static const char *const names[] = {NULL, "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ranks *ranks = (struct ranks *)&i;
        struct err e = {0};
        nobody_started();
        if (names[i] != NULL) setenv(names[i], "1", 1);
        assert_int_equal(ranks_open(&ranks, &e), 0);
        assert_null(ranks);
        assert_int_equal(ranks_count(ranks), 1);
        assert_int_equal(ranks_number(ranks), 0);
        ranks_close(ranks);
    }
}

/* Two trainings by themselves would write one file. */
static void test_started_with_others(void **state)
{
    (void)state;
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ranks *ranks;
        struct err e = {0};
        nobody_started();
        setenv(names[i], "2", 1);
        assert_int_equal(ranks_open(&ranks, &e), ERR_UNSUPPORTED);
        assert_non_null(strstr(e.text, "built without MPI"));
        assert_non_null(strstr(e.text, "--with-mpi"));
    }
    nobody_started();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alone),
                                       cmocka_unit_test(test_started_with_others)};
    return cmocka_run_group_tests_name("train/ranks_alone", tests, NULL, NULL);
}
