/* What the daemon believes of what a helper writes: a helper that has been taken over may write
 * anything. */
#include "config.h"

#include "../../src/decode/region.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { BYTES = 1000, FLOATS = 12 };

static int set_up(void **state)
{
    static struct region region;
    int fd;
    if (region_make(BYTES, FLOATS * sizeof(float), &fd, NULL) < 0) return -1;
    int rc = region_map(fd, BYTES, FLOATS * sizeof(float), &region, NULL);
    close(fd);
    *state = &region;
    return rc;
}

static int tear_down(void **state)
{
    region_unmap(*state);
    return 0;
}

/* Where there are no pages to be had, which here is behind the end of the file, nothing is written
 * and nobody dies of it. */
static void an_input_without_pages_is_an_error(void **state)
{
    (void)state;
    struct region region;
    int fd = memfd_create("small", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 3 << 16), 0);
    assert_int_equal(region_map(fd, 4 << 16, FLOATS * sizeof(float), &region, NULL), 0);
    close(fd);
    static const unsigned char input[4 << 16] = {1, 2, 3};
    struct decode_job job = {.work = {.input_bytes = sizeof(input)}, .input = input};
    assert_int_equal(region_put(&region, &job), -ENOMEM);
    job.work.input_bytes = 1 << 16;
    assert_int_equal(region_put(&region, &job), 0);
    assert_memory_equal(region.input, input, 1 << 16);
    region_unmap(&region);
}

static void only_codes_of_decoding_are_taken(void **state)
{
    static const struct {
        int says, want;
    } rows[] = {
        {0, 0},
        {ERR_FORMAT, ERR_FORMAT},
        {ERR_LIMIT, ERR_LIMIT},
        {ERR_RANGE, ERR_RANGE},
        {ERR_UNSUPPORTED, ERR_UNSUPPORTED},
        {-ENOMEM, -ENOMEM},
        {ERR_CANCELLED, ERR_CONFLICT}, /* nobody has told it to stop, or nothing would be taken */
        {ERR_DEADLINE, ERR_CONFLICT},
        {ERR_BUSY, ERR_CONFLICT},
        {-EIO, ERR_CONFLICT},
        {1, ERR_CONFLICT},
        {INT_MIN, ERR_CONFLICT},
    };
    struct region *region = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {.code = 0};
        float output[FLOATS];
        err_set(&region->head->outcome, rows[i].says, "words");
        int rc = region_take(region, output, FLOATS, &e);
        if (rc != rows[i].want) fail_msg("row %zu: %d", i, rc);
        assert_int_equal(e.code, rc);
    }
}

/* Without an end, with half a letter there, with what would begin another line. */
static void a_message_is_text(void **state)
{
    struct region *region = *state;
    struct err e = {.code = 0};
    float output[FLOATS];
    region->head->outcome.code = ERR_FORMAT;
    memset(region->head->outcome.text, 0xc3, ERR_TEXT_MAX);
    memcpy(region->head->outcome.text, "a\n\x1b%s", 5);
    assert_int_equal(region_take(region, output, FLOATS, &e), ERR_FORMAT);
    assert_memory_equal(e.text, "a\?\?%s?", 6);
    assert_non_null(memchr(e.text, '\0', ERR_TEXT_MAX));
}

static void numbers_are_finite(void **state)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    struct region *region = *state;
    region->head->outcome.code = 0;
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        float output[FLOATS];
        region->output[FLOATS - 1] = odd[i];
        assert_int_equal(region_take(region, output, FLOATS, NULL), ERR_CONFLICT);
        assert_int_equal(region_take(region, output, FLOATS - 1, NULL), 0);
    }
    region->output[FLOATS - 1] = 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_input_without_pages_is_an_error),
        cmocka_unit_test(only_codes_of_decoding_are_taken),
        cmocka_unit_test(a_message_is_text),
        cmocka_unit_test(numbers_are_finite),
    };
    return cmocka_run_group_tests_name("region", tests, set_up, tear_down);
}
