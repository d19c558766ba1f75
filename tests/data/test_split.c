/* The split: decided by what images look like and by the split's seed, by nothing else. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "data/split.h"
#include "fake_cifar.h"

enum { N = 60 };

static struct dataset *open_records(const uint32_t *which, size_t n)
{
    struct dataset *set;
    struct err e = {0};
    fake_write_records("train.bin", which, n);
    if (dataset_open(fake_source, DATA_TRAIN, &set, &e) < 0) fail_msg("%s", e.text);
    return set;
}

static void split_of(const struct dataset *set, size_t holdout, uint64_t seed, struct split *ret)
{
    struct err e = {0};
    if (split_make(set, holdout, seed, ret, &e) < 0) fail_msg("%s", e.text);
}

/* Every index once, each list rising. */
static void assert_partition(const struct split *s, size_t n)
{
    bool seen[N] = {false};
    assert_int_equal(s->n_train + s->n_holdout, n);
    for (size_t i = 0; i < s->n_train; i++) {
        assert_true(s->train[i] < n && !seen[s->train[i]]);
        assert_true(i == 0 || s->train[i - 1] < s->train[i]);
        seen[s->train[i]] = true;
    }
    for (size_t i = 0; i < s->n_holdout; i++) {
        assert_true(s->holdout[i] < n && !seen[s->holdout[i]]);
        assert_true(i == 0 || s->holdout[i - 1] < s->holdout[i]);
        seen[s->holdout[i]] = true;
    }
}

/* held[r]: record r is held out. */
static void held_records(const struct split *s, const uint32_t *which, bool held[N])
{
    memset(held, 0, N * sizeof(*held));
    for (size_t i = 0; i < s->n_holdout; i++) held[which[s->holdout[i]]] = true;
}

static void first_records(uint32_t *which)
{
    for (uint32_t i = 0; i < N; i++) which[i] = i;
}

/* Whatever the order of the files, the same images are held out. */
static void test_order(void **state)
{
    (void)state;
    uint32_t which[N];
    bool held[N], again[N];
    struct split s;
    first_records(which);
    struct dataset *set = open_records(which, N);
    split_of(set, 20, 0, &s);
    assert_int_equal(s.n_holdout, 20);
    assert_partition(&s, N);
    held_records(&s, which, held);
    split_release(&s);
    dataset_free(set);

    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 0, 0);
    for (int round = 0; round < 5; round++) {
        for (uint32_t i = N; i > 1; i--) {
            uint32_t k = rng_below(&rng, i), kept = which[i - 1];
            which[i - 1] = which[k];
            which[k] = kept;
        }
        set = open_records(which, N);
        split_of(set, 20, 0, &s);
        assert_partition(&s, N);
        held_records(&s, which, again);
        assert_memory_equal(held, again, sizeof(held));
        split_release(&s);
        dataset_free(set);
    }
}

/* A subset of the images holds the same images back as long as their keys are among its smallest:
 * the order of keys does not depend on what else is there. */
static void test_subset(void **state)
{
    (void)state;
    uint32_t which[N];
    bool few[N], many[N];
    struct split s;
    first_records(which);
    struct dataset *set = open_records(which, N);
    split_of(set, 10, 0, &s);
    held_records(&s, which, few);
    split_release(&s);
    split_of(set, 30, 0, &s);
    held_records(&s, which, many);
    split_release(&s);
    dataset_free(set);
    for (int i = 0; i < N; i++) assert_true(!few[i] || many[i]);

    /* Without the second half of the records that train, the held-out ones stay what they were. */
    uint32_t fewer[N];
    size_t n = 0;
    for (uint32_t i = 0; i < N; i++) {
        if (many[i] || i % 2 == 0) fewer[n++] = i;
    }
    bool again[N];
    set = open_records(fewer, n);
    split_of(set, 30, 0, &s);
    held_records(&s, fewer, again);
    split_release(&s);
    dataset_free(set);
    assert_memory_equal(many, again, sizeof(many));
}

/* The documented key, computed here by hand. */
static void test_key(void **state)
{
    (void)state;
    uint32_t which[N];
    const uint64_t seed = 0x0102030405060708;
    struct split s;
    first_records(which);
    struct dataset *set = open_records(which, N);
    split_of(set, 1, seed, &s);
    uint8_t smallest[SHA256_SIZE];
    uint32_t expected = 0;
    for (uint32_t i = 0; i < N; i++) {
        uint8_t message[8 + 3072] = {8, 7, 6, 5, 4, 3, 2, 1}, digest[SHA256_SIZE];
        memcpy(message + 8, dataset_pixels(set, i), 3072);
        sha256(message, sizeof(message), digest);
        if (i > 0 && memcmp(digest, smallest, sizeof(digest)) > 0) continue;
        memcpy(smallest, digest, sizeof(digest));
        expected = i;
    }
    assert_int_equal(s.n_holdout, 1);
    assert_int_equal(s.holdout[0], expected);
    split_release(&s);
    dataset_free(set);
}

/* Another seed, another choice: about as many in common as chance has. */
static void test_seed(void **state)
{
    (void)state;
    uint32_t which[N];
    bool zero[N], one[N];
    struct split s;
    first_records(which);
    struct dataset *set = open_records(which, N);
    split_of(set, 20, 0, &s);
    held_records(&s, which, zero);
    split_release(&s);
    split_of(set, 20, 1, &s);
    held_records(&s, which, one);
    split_release(&s);
    dataset_free(set);
    int common = 0;
    for (int i = 0; i < N; i++) common += zero[i] && one[i];
    assert_in_range(common, 1, 14); /* 6.7 expected */
}

/* Copies of an image are on one side, even if more are held out than was wished. */
static void test_copies(void **state)
{
    (void)state;
    uint32_t which[N];
    struct split s;
    for (uint32_t i = 0; i < N; i++) which[i] = i % 12; /* five copies of each */
    struct dataset *set = open_records(which, N);
    for (size_t wish = 0; wish <= 55; wish++) {
        split_of(set, wish, 0, &s);
        assert_partition(&s, N);
        assert_int_equal(s.n_holdout, (wish + 4) / 5 * 5);
        for (size_t i = 0; i < s.n_holdout; i++) {
            for (size_t k = 0; k < s.n_train; k++) {
                assert_int_not_equal(which[s.holdout[i]], which[s.train[k]]);
            }
        }
        split_release(&s);
    }
    struct err e = {0};
    assert_int_equal(split_make(set, 56, 0, &s, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "copies"));
    dataset_free(set);
}

static void test_bounds(void **state)
{
    (void)state;
    uint32_t which[N];
    struct split s;
    struct err e = {0};
    first_records(which);
    struct dataset *set = open_records(which, N);
    split_of(set, 0, 0, &s);
    assert_int_equal(s.n_train, N);
    assert_int_equal(s.n_holdout, 0);
    assert_partition(&s, N);
    split_release(&s);
    split_of(set, N - 1, 0, &s);
    assert_int_equal(s.n_train, 1);
    split_release(&s);
    assert_int_equal(split_make(set, N, 0, &s, &e), ERR_RANGE);
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "60 images cannot be held out of 60"));
    assert_int_equal(split_make(set, SIZE_MAX, 0, &s, NULL), ERR_RANGE);
    dataset_free(set);
}

static void test_no_memory(void **state)
{
    (void)state;
    uint32_t which[N];
    first_records(which);
    struct dataset *set = open_records(which, N);
    for (unsigned n = 1;; n++) {
        struct split s;
        struct err e = {0};
        mem_fail_at(n);
        int rc = split_make(set, 9, 0, &s, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 3);
            split_release(&s);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
    }
    dataset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),     cmocka_unit_test(test_subset),
        cmocka_unit_test(test_key),       cmocka_unit_test(test_seed),
        cmocka_unit_test(test_copies),    cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, fake_begin, fake_end);
}
