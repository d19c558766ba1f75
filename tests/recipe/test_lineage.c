/* Lineages: what sets say, which are one, what is left of a chain of trainings, and their texts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "recipe/lineage.h"

/* A set of the kind with classes a.. by their letters, that holds out keys below the limit. */
static struct lineage_set made(const char *kind, const char *letters, uint64_t limit)
{
    const struct holdout_border border = {.known = true, .limit = limit};
    const char *labels[8];
    char texts[8][2] = {{0}};
    struct lineage_set set;
    struct err e = {0};
    for (size_t i = 0; letters[i] != '\0'; i++) {
        texts[i][0] = letters[i];
        labels[i] = texts[i];
    }
    if (lineage_set_make(kind, labels, strlen(letters), &border, 0, &set, &e) < 0)
        fail_msg("%s", e.text);
    return set;
}

static void add(struct lineage *l, const char *kind, const char *letters, uint64_t limit)
{
    struct lineage_set set = made(kind, letters, limit);
    struct err e = {0};
    if (lineage_add(l, &set, &e) < 0) fail_msg("%s", e.text);
}

static void test_alike(void **state)
{
    (void)state;
    struct lineage_set a = made("folder", "abc", 5), b = made("folder", "cd", 9),
                       c = made("folder", "de", 5), d = made("cifar10", "abc", 5);
    assert_true(lineage_set_is_alike(&a, &b) && lineage_set_is_alike(&b, &c));
    assert_false(lineage_set_is_alike(&a, &c) || lineage_set_is_alike(&a, &d));
    struct lineage_set twice = made("folder", "aba", 5);
    assert_int_equal(twice.n_classes, 2);
    lineage_set_release(&twice);
    holdout_border_see(&a.border, 77);
    holdout_border_see(&d.border, 78);
    assert_false(lineage_set_has_common(&a, &d));
    holdout_border_see(&d.border, 77);
    assert_true(lineage_set_has_common(&a, &d));
    d.border.seed = 1;
    assert_false(lineage_set_has_common(&a, &d));
    lineage_set_release(&a);
    lineage_set_release(&b);
    lineage_set_release(&c);
    lineage_set_release(&d);
}

/* What another one says, whose border lies within and which has all classes, is not kept. */
static void test_merged(void **state)
{
    (void)state;
    struct lineage l = {.n = 0};
    add(&l, "folder", "ab", 9);
    add(&l, "folder", "a", 9); /* less */
    assert_int_equal(l.n, 1);
    add(&l, "folder", "abc", 10); /* a class more, an image more */
    assert_int_equal(l.n, 2);
    add(&l, "folder", "cd", 9); /* the first one's border, so it is one with it */
    assert_int_equal(l.n, 1);   /* and what stood between is said */
    assert_int_equal(l.sets[0].n_classes, 4);
    add(&l, "cifar10", "ab", 9);
    assert_int_equal(l.n, 2);
    struct lineage_set own = made("folder", "abcdef", 3);
    holdout_border_see(&l.sets[0].border, 1000);
    lineage_drop(&l, &own);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.sets[0].kind, "cifar10");
    assert_int_equal(own.border.n_seen, 1); /* the images are known again */
    lineage_set_release(&own);
    lineage_release(&l);
}

/* Of the keys that were trained on the smallest stay, each once. */
static void test_seen(void **state)
{
    (void)state;
    struct holdout_border b = {.known = true}, other = {.known = true, .seed = 1};
    for (uint64_t i = 0; i < 1000; i++) holdout_border_see(&b, i * 7 % 1000 + 5);
    assert_int_equal(b.n_seen, HOLDOUT_SEEN_MAX);
    for (size_t i = 0; i < HOLDOUT_SEEN_MAX; i++) assert_int_equal(b.seen[i], i + 5);
    holdout_border_see(&b, 1);
    holdout_border_see(&b, 1);
    assert_true(b.seen[0] == 1 && b.seen[1] == 5 && b.seen[63] == 67);
    holdout_border_see(&other, 0);
    holdout_border_see_all(&b, &other); /* another seed's */
    assert_true(b.seen[0] == 1);
}

static void test_limits(void **state)
{
    (void)state;
    struct lineage l = {.n = 0}, copy = {.n = 0};
    struct err e = {0};
    for (uint64_t i = 0; i < LINEAGE_SETS_MAX; i++) {
        const char letter[2] = {(char)('a' + i % 26), '\0'};
        add(&l, i < 26 ? "folder" : "other", letter, 100 + i);
    }
    assert_int_equal(l.n, LINEAGE_SETS_MAX);
    struct lineage_set more = made("cifar10", "a", 1);
    assert_int_equal(lineage_add(&l, &more, &e), ERR_LIMIT);
    assert_int_equal(l.n, LINEAGE_SETS_MAX);
    e = (struct err){.code = 0};
    assert_int_equal(lineage_check(&l, &e), 0);
    l.has_unknown = true;
    assert_int_equal(lineage_add_all(&copy, &l, &e), 0);
    assert_true(copy.n == l.n && copy.has_unknown);
    lineage_release(&copy);
    uint64_t *apart = mem_new(HOLDOUT_APART_MAX, sizeof(*apart));
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < HOLDOUT_APART_MAX; k++) apart[k] = k + 1000 * (i + 1);
        const struct holdout_border b = {
            .known = true, .limit = 5 + i, .apart = apart, .n_apart = HOLDOUT_APART_MAX};
        const char *label = "z";
        struct lineage_set set;
        lineage_set_release(&l.sets[i]);
        assert_int_equal(lineage_set_make("folder", &label, 1, &b, 0, &set, &e), 0);
        l.sets[i] = set;
    }
    assert_int_equal(lineage_check(&l, &e), ERR_LIMIT); /* more than a file may have */
    assert_null(lineage_format(&l));
    mem_free(apart);
    lineage_release(&l);
}

static void test_text(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "unknown\n",
        "cifar100 classes 0123456789abcdef fedcba9876543210 seed 7 limit 1999999999999999 apart "
        "0000000000000001 seen 1999999999999999\n",
        "unknown\nfolder classes 0000000000000000 seed 18446744073709551615 count 5000\n"
        "a-b classes 0000000000000000 seed 0 limit 0000000000000000\n"};
    static const char *const bad[] = {
        "\n",
        "unknown",
        "unknown\nunknown\n",
        "folder\n",
        "folder classes\n",
        "Folder classes 0000000000000000 seed 0 count 1\n",
        "folder classes 0000000000000000\n",
        "folder classes 0000000000000000 \n",
        "folder classes 0000000000000001 0000000000000000 seed 0 count 1\n",
        "folder classes 0000000000000000 seed 0 count 1",
        "folder classes 0000000000000000 seed 0 count -1\n",
        "folder classes 0000000000000000 seed 0 count 1 \n",
        "folder classes 0000000000000000 seed 0 count 9223372036854775808\n",
        "folder classes 0000000000000000 seed 0 limit 0\n",
        "folder classes 0000000000000000 seed 0 limit 0000000000000000 seen\n",
        "abcdefghijklmnopqrstuvwxyzabcdef classes 0000000000000000 seed 0 count 1\n"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct lineage l;
        struct err e = {0};
        if (lineage_parse(good[i], &l, &e) < 0) fail_msg("%s", e.text);
        char *text = lineage_format(&l);
        assert_string_equal(text, good[i]);
        mem_free(text);
        lineage_release(&l);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lineage l;
        struct err e = {0};
        if (lineage_parse(bad[i], &l, &e) != ERR_FORMAT) fail_msg("'%s' is taken", bad[i]);
        assert_int_equal(strncmp(e.text, "line ", 5), 0);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char text[] =
        "folder classes 0000000000000000 seed 0 limit 0000000000000000 apart 0000000000000001\n"
        "folder classes 0000000000000001 seed 0 limit 0000000000000000 apart 0000000000000001\n";
    for (unsigned at = 1;; at++) {
        struct lineage l = {.n = 0}, copy = {.n = 0};
        struct err e = {0};
        char *written = NULL;
        mem_fail_at(at);
        int rc = lineage_parse(text, &l, &e);
        if (rc == 0) rc = lineage_add_all(&copy, &l, &e);
        if (rc == 0) written = lineage_format(&copy);
        const bool failed = mem_fail_left() == 0;
        mem_fail_at(0);
        assert_true(failed == (written == NULL) && (rc == 0 || rc == -ENOMEM));
        mem_free(written);
        lineage_release(&copy);
        lineage_release(&l);
        if (!failed) break;
        assert_true(at < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alike), cmocka_unit_test(test_merged),
        cmocka_unit_test(test_seen),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_text),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests_name("recipe/lineage", tests, NULL, NULL);
}
