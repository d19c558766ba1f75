/* Borders: what they say of keys, which lies within which, and their texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "base/mem.h"
#include "recipe/holdout.h"

/* Few keys, so that everything about them can be looked at. */
enum { KEYS = 12 };

static void random_border(struct rng *rng, struct holdout_border *b, uint64_t apart[KEYS])
{
    *b = (struct holdout_border){.known = true, .limit = rng_below(rng, KEYS), .apart = apart};
    for (uint64_t key = 0; key < KEYS; key++) {
        if (rng_below(rng, 3) == 0) apart[b->n_apart++] = key;
    }
}

static void test_sides(void **state)
{
    (void)state;
    struct rng rng = seeded(1);
    size_t within = 0;
    for (int round = 0; round < 20000; round++) {
        uint64_t apart[2][KEYS];
        struct holdout_border a, b;
        random_border(&rng, &a, apart[0]);
        random_border(&rng, &b, apart[1]);
        bool expected = a.limit <= b.limit; /* keys that nobody has named lie between, too */
        for (uint64_t key = 0; key < KEYS; key++) {
            bool is_apart = false;
            for (size_t i = 0; i < a.n_apart; i++) is_apart = is_apart || a.apart[i] == key;
            assert_true(holdout_border_holds(&a, key) == ((key < a.limit) != is_apart));
            if (holdout_border_holds(&a, key) && !holdout_border_holds(&b, key)) expected = false;
        }
        assert_true(holdout_border_is_within(&a, &b) == expected);
        within += expected;
        assert_true(holdout_border_is_within(&a, &a));
        b = a;
        b.seed = 1;
        assert_false(holdout_border_is_within(&a, &b)); /* other keys */
        b = a;
        b.known = false;
        assert_false(holdout_border_is_within(&a, &b));
    }
    assert_true(within > 100);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const good[] = {
        "seed 0 limit 0000000000000000",
        "seed 18446744073709551615 limit ffffffffffffffff apart 0000000000000000",
        "seed 7 limit 1999999999999999 apart 0123456789abcdef 0123456789abcdf0 ffffffffffffffff",
        "seed 7 limit 1999999999999999 apart 0123456789abcdef seen 1999999999999999",
        "seed 7 limit 1999999999999999 seen 1999999999999999 ffffffffffffffff"};
    static const size_t n_apart[] = {0, 1, 3, 1, 0}, n_seen[] = {0, 0, 0, 1, 2};
    static const char *const bad[] = {
        "",
        "seed",
        "seed 0",
        "seed  limit 0000000000000000",
        "seed -1 limit 0000000000000000",
        "seed 18446744073709551616 limit 0000000000000000",
        "seed 99999999999999999999999999999999 limit 0000000000000000",
        "seed 0 limit 000000000000000",
        "seed 0 limit 00000000000000000",
        "seed 0 limit 000000000000000G",
        "seed 0 limit 000000000000000A",
        "seed 0 limit 0000000000000000 ",
        "seed 0 limit 0000000000000000 apart",
        "seed 0 limit 0000000000000000 apart ",
        "seed 0 limit 0000000000000000 apart 01",
        "seed 0 limit 0000000000000000 apart 0000000000000001 0000000000000001",
        "seed 0 limit 0000000000000000 apart 0000000000000002 0000000000000001",
        "seed 0 limit 0000000000000000 apart 0000000000000001  0000000000000002",
        "seed 0 limit 0000000000000000 apart 0000000000000001 000000000000000",
        "seed 0 limit 0000000000000000 apart 0000000000000001 0000000000000002 ",
        "seed 0 limit 0000000000000000 aparT 0000000000000001",
        "seed 0 limit 0000000000000000 seen",
        "seed 0 limit 0000000000000000 seen 0000000000000002 0000000000000001",
        "seed 0 limit 0000000000000000 seen 0000000000000001 apart 0000000000000001"};
    struct holdout_border b, copy;
    struct err e = {0};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (holdout_border_parse(good[i], &b, &e) < 0) fail_msg("%s", e.text);
        assert_true(b.known && b.n_apart == n_apart[i] && b.n_seen == n_seen[i]);
        char *text = holdout_border_format(&b);
        assert_string_equal(text, good[i]);
        mem_free(text);
        assert_int_equal(holdout_border_copy(&b, &copy, &e), 0);
        text = holdout_border_format(&copy);
        assert_string_equal(text, good[i]);
        mem_free(text);
        holdout_border_release(&copy);
        holdout_border_release(&b);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (holdout_border_parse(bad[i], &b, &e) != ERR_FORMAT) fail_msg("'%s' is taken", bad[i]);
    }
    const size_t head = 40, n = HOLDOUT_APART_MAX + 1;
    char *text = mem_new(head + n * 17 + 1, 1);
    strcpy(text, "seed 0 limit 0000000000000000 apart");
    for (size_t i = 0; i < n; i++)
        memcpy(text + strlen("seed 0 limit 0000000000000000 apart") + 17 * i, " 0000000000000000",
               17);
    assert_int_equal(holdout_border_parse(text, &b, &e), ERR_LIMIT);
    mem_free(text);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct holdout_border b = {0}, copy;
    struct err e = {0};
    mem_fail_at(1);
    assert_int_equal(
        holdout_border_parse("seed 0 limit 0000000000000000 apart 0000000000000001", &b, &e),
        -ENOMEM);
    assert_int_equal(
        holdout_border_parse("seed 0 limit 0000000000000000 apart 0000000000000001", &b, &e), 0);
    mem_fail_at(1);
    assert_int_equal(holdout_border_copy(&b, &copy, &e), -ENOMEM);
    mem_fail_at(1);
    assert_null(holdout_border_format(&b));
    holdout_border_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("recipe/holdout", tests, NULL, NULL);
}
