/* Records of event files against such that make_vectors.py made from the published formats, and
 * without memory. */
#include "config.h"

#include "board/events.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "vectors.h"

static const struct board_scalar points[] = {{"loss/total", 0.1}, {"lr", -1e-3}};
static const struct board_setting options[] = {{"lr", "0.1"}, {"method", "byot"}};

static int put_version(struct buf *b)
{
    return board_put_version(b, 1.5);
}

static int put_scalars(struct buf *b)
{
    return board_put_scalars(b, 2.25, 300, points, 2);
}

static int put_text(struct buf *b)
{
    return board_put_text(b, 3.5, "a tag", "**bold**");
}

static int put_settings(struct buf *b)
{
    return board_put_settings(b, 3.5, options, 2);
}

static const struct {
    int (*put)(struct buf *b);
    const unsigned char *wanted;
    size_t size;
} rows[] = {
    {put_version, version, sizeof(version)},
    {put_scalars, scalars, sizeof(scalars)},
    {put_text, text, sizeof(text)},
    {put_settings, settings, sizeof(settings)},
};

static void test_vectors(void **state)
{
    (void)state;
    struct buf all;
    size_t at = 0;
    buf_init(&all, 1 << 20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(rows[i].put(&all), 0);
        assert_int_equal(all.size - at, rows[i].size);
        assert_memory_equal(all.data + at, rows[i].wanted, rows[i].size);
        at = all.size;
    }
    buf_release(&all);
}

static void test_failures(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b;
        buf_init(&b, rows[i].size - 1);
        assert_true(rows[i].put(&b) < 0);
        assert_int_equal(b.size, 0);
        buf_release(&b);
        int rc = -ENOMEM;
        buf_init(&b, 1 << 20);
        for (unsigned at = 1; rc < 0; at++) {
            assert_int_equal(b.size, 0);
            mem_fail_at(at);
            rc = rows[i].put(&b);
            mem_fail_at(0);
            if (rc < 0) assert_int_equal(rc, -ENOMEM);
        }
        assert_int_equal(b.size, rows[i].size);
        buf_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
