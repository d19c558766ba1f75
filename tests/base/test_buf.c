/* Buffers: what is appended, the maximum, and that a failed append leaves everything as it was. */
#include "config.h"

#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"

static void test_append(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_append(&b, NULL, 0), 0);
    assert_int_equal(buf_puts(&b, "abc"), 0);
    assert_int_equal(buf_append(&b, "d\0e", 3), 0);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), 0);
    assert_int_equal(b.size, 10);
    assert_memory_equal(b.data, "abcd\0e42-x", 11); /* with the NUL */
    buf_clear(&b);
    assert_int_equal(b.size, 0);
    assert_string_equal(buf_text(&b), "");
    buf_release(&b);
    buf_release(&b);
}

/* Random pieces by all three verbs against a plain array, up to and past the maximum. */
static void test_against_an_array(void **state)
{
    (void)state;
    enum { MAX = 3000 };
    static const uint64_t seed = 7;
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 1, 0);
    for (int round = 0; round < 50; round++) {
        static char want[MAX + 1], piece[701];
        size_t size = 0, max = rng_below(&r, MAX);
        struct buf b;
        buf_init(&b, max);
        for (int i = 0; i < 40; i++) {
            size_t n = rng_below(&r, 700);
            for (size_t k = 0; k < n; k++) piece[k] = (char)('a' + rng_below(&r, 26));
            piece[n] = '\0';
            int verb = (int)rng_below(&r, 3);
            int rc = verb == 0   ? buf_append(&b, piece, n)
                     : verb == 1 ? buf_puts(&b, piece)
                                 : buf_printf(&b, "%s", piece);
            if (size + n <= max) {
                assert_int_equal(rc, 0);
                memcpy(want + size, piece, n);
                size += n;
            } else {
                assert_int_equal(rc, ERR_LIMIT);
            }
            want[size] = '\0';
            assert_int_equal(b.size, size);
            assert_string_equal(buf_text(&b), want);
        }
        buf_release(&b);
    }
}

static void test_exactly_full(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(buf_printf(&b, "%s", "12345"), ERR_LIMIT);
    assert_int_equal(buf_printf(&b, "%s", "1234"), 0);
    assert_int_equal(buf_puts(&b, "5"), ERR_LIMIT);
    assert_int_equal(buf_puts(&b, ""), 0);
    assert_int_equal(buf_append(&b, "x", SIZE_MAX), ERR_LIMIT);
    assert_string_equal(buf_text(&b), "1234");
    buf_release(&b);
    buf_init(&b, SIZE_MAX);
    assert_int_equal(buf_append(&b, "x", SIZE_MAX), ERR_LIMIT);
    assert_int_equal(buf_puts(&b, "ok"), 0);
    buf_release(&b);
}

static void test_take(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    assert_null(buf_take(&b));
    buf_puts(&b, "mine");
    char *text = buf_take(&b);
    assert_string_equal(text, "mine");
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(buf_puts(&b, "next"), 0);
    assert_string_equal(buf_text(&b), "next");
    assert_string_equal(text, "mine");
    buf_clear(&b);
    assert_null(buf_take(&b));
    mem_free(text);
    buf_release(&b);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    char big[2000];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    struct buf b;
    buf_init(&b, 100000);
    mem_fail_at(1);
    assert_int_equal(buf_puts(&b, "x"), -ENOMEM);
    assert_string_equal(buf_text(&b), "");
    buf_puts(&b, "start");
    mem_fail_at(1);
    assert_int_equal(buf_puts(&b, big), -ENOMEM);
    mem_fail_at(1);
    assert_int_equal(buf_printf(&b, "%s", big), -ENOMEM);
    assert_string_equal(buf_text(&b), "start");
    assert_int_equal(buf_puts(&b, big), 0);
    assert_int_equal(b.size, 5 + 1999);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_exactly_full),  cmocka_unit_test(test_take),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
