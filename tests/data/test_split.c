/* The split: decided by what images look like and by the border, by nothing else; each class gives
 * its share; whoever has seen an image is not judged by it, whatever becomes of the set. */
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

enum { N = 240, CLASSES = 6 };

/* An image of the set: what it shows, and what it is called. */
struct record {
    uint32_t image;
    uint8_t class;
};

static struct dataset *open_seeded(const struct record *records, size_t n, uint64_t seed)
{
    const struct dataset_options options = {.key_seed = seed};
    struct dataset *set;
    struct err e = {0};
    uint8_t *data = mem_new(n, FAKE_RECORD);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) {
        fake_record(records[i].image, data + i * FAKE_RECORD);
        data[i * FAKE_RECORD + 1] = records[i].class;
    }
    fake_write("train.bin", data, n * FAKE_RECORD);
    mem_free(data);
    if (dataset_open(fake_source, DATA_TRAIN, &options, &set, &e) < 0) fail_msg("%s", e.text);
    return set;
}

static struct dataset *open_records(const struct record *records, size_t n)
{
    return open_seeded(records, n, 0);
}

/* Classes of 100, 70, 40, 20, 9 and 1 images. */
static void unequal_records(struct record records[N])
{
    static const size_t sizes[CLASSES] = {100, 70, 40, 20, 9, 1};
    size_t at = 0;
    for (uint8_t c = 0; c < CLASSES; c++) {
        for (size_t i = 0; i < sizes[c]; i++, at++) records[at] = (struct record){(uint32_t)at, c};
    }
    assert_int_equal(at, N);
}

static void split_of(const struct dataset *set, size_t holdout, struct split *ret)
{
    struct err e = {0};
    if (split_make(set, holdout, NULL, 0, ret, &e) < 0) fail_msg("%s", e.text);
}

static void split_within(const struct dataset *set, size_t holdout,
                         const struct holdout_border *border, struct split *ret)
{
    struct err e = {0};
    if (split_make(set, holdout, &border, 1, ret, &e) < 0) fail_msg("%s", e.text);
}

/* Every index once, each list rising; the border says the same. */
static void assert_partition(const struct dataset *set, const struct split *s)
{
    const size_t n = dataset_count(set);
    struct split again;
    struct err e = {0};
    bool *seen = mem_new(n, sizeof(*seen));
    assert_int_equal(s->n_train + s->n_holdout, n);
    for (size_t i = 0; i < n; i++) {
        const bool trains = i < s->n_train;
        const uint32_t *list = trains ? s->train : s->holdout;
        const size_t at = trains ? i : i - s->n_train;
        assert_true(list[at] < n && !seen[list[at]] && (at == 0 || list[at - 1] < list[at]));
        seen[list[at]] = true;
    }
    mem_free(seen);
    assert_int_equal(split_by_border(set, &s->border, &again, &e), 0);
    assert_int_equal(again.n_holdout, s->n_holdout);
    assert_memory_equal(again.train, s->train, n * sizeof(*s->train));
    split_release(&again);
}

/* held[image]: it is held out. */
static void held_images(const struct split *s, const struct record *records, bool held[3 * N])
{
    memset(held, 0, 3 * N * sizeof(*held));
    for (size_t i = 0; i < s->n_holdout; i++) held[records[s->holdout[i]].image] = true;
}

static void shuffle(struct record *records, size_t n, struct rng *rng)
{
    for (size_t i = n; i > 1; i--) {
        const uint32_t k = rng_below(rng, (uint32_t)i);
        const struct record kept = records[i - 1];
        records[i - 1] = records[k];
        records[k] = kept;
    }
}

/* Whatever the order of the files, the same images are held out. */
static void test_order(void **state)
{
    (void)state;
    struct record records[N];
    bool held[3 * N], again[3 * N];
    struct split s;
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 0, 0);
    unequal_records(records);
    for (int round = 0; round < 5; round++) {
        struct dataset *set = open_records(records, N);
        split_of(set, 24, &s);
        assert_partition(set, &s);
        held_images(&s, records, round == 0 ? held : again);
        if (round > 0) assert_memory_equal(held, again, sizeof(held));
        split_release(&s);
        dataset_free(set);
        shuffle(records, N, &rng);
    }
}

/* Of each class its part, and at least one image is left to train on. */
static void test_classes(void **state)
{
    (void)state;
    static const struct {
        size_t wish, held[CLASSES];
    } rows[] = {{0, {0}},
                {1, {1, 0}},
                {24, {10, 7, 4, 2, 1, 0}},
                {120, {50, 35, 20, 10, 5, 0}}, /* the half of one is none, since it must train */
                {230, {97, 67, 39, 19, 8, 0}},
                {234, {99, 69, 39, 19, 8, 0}}};
    struct record records[N];
    struct split s;
    struct err e = {0};
    unequal_records(records);
    struct dataset *set = open_records(records, N);
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        size_t held[CLASSES] = {0};
        split_of(set, rows[r].wish, &s);
        assert_partition(set, &s);
        assert_int_equal(s.n_holdout, rows[r].wish);
        for (size_t i = 0; i < s.n_holdout; i++) held[records[s.holdout[i]].class]++;
        for (int c = 0; c < CLASSES; c++) {
            if (rows[r].wish != 230) assert_int_equal(held[c], rows[r].held[c]);
            assert_true(held[c] < (c == 5 ? 1 : 100));
        }
        /* Within a class those with the smallest keys. */
        for (size_t i = 0; i < s.n_holdout; i++) {
            for (size_t k = 0; k < s.n_train; k++) {
                if (records[s.train[k]].class != records[s.holdout[i]].class) continue;
                assert_true(dataset_key(set, s.holdout[i]) < dataset_key(set, s.train[k]));
            }
        }
        split_release(&s);
    }
    assert_int_equal(split_make(set, 235, NULL, 0, &s, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "235 images cannot be held out of 240"));
    assert_non_null(strstr(e.text, "it is 234 at most"));
    assert_int_equal(split_make(set, SIZE_MAX - 1, NULL, 0, &s, NULL), ERR_RANGE);
    dataset_free(set);
}

/* The documented key, computed here by hand. */
static void test_key(void **state)
{
    (void)state;
    struct record records[N];
    unequal_records(records);
    struct dataset *set = open_seeded(records, 8, 0x0102030405060708);
    assert_true(dataset_key_seed(set) == 0x0102030405060708);
    for (size_t i = 0; i < 8; i++) {
        uint8_t message[8 + 3072] = {8, 7, 6, 5, 4, 3, 2, 1}, digest[SHA256_SIZE];
        uint64_t key = 0;
        memcpy(message + 8, dataset_pixels(set, i), 3072);
        sha256(message, sizeof(message), digest);
        for (int k = 0; k < 8; k++) key = key << 8 | digest[k];
        assert_true(dataset_key(set, i) == key);
    }
    dataset_free(set);
}

/* Another seed, another choice: about as many in common as chance has. */
static void test_seed(void **state)
{
    (void)state;
    struct record records[N];
    bool held[2][3 * N];
    unequal_records(records);
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct split s;
        struct dataset *set = open_seeded(records, N, seed);
        split_of(set, 80, &s);
        assert_true(s.border.seed == seed);
        held_images(&s, records, held[seed]);
        split_release(&s);
        dataset_free(set);
    }
    int common = 0;
    for (int i = 0; i < N; i++) common += held[0][i] && held[1][i];
    assert_in_range(common, 10, 45); /* 27 expected */
}

/* A set that has lost images, got new ones, and calls some by other classes: whoever has trained
 * stays in training, whoever has not is held out, of the new ones as large a part, and nobody has
 * seen what his grandchild is judged by. */
static void test_changed(void **state)
{
    (void)state;
    struct record records[N], others[3 * N];
    bool first[3 * N], held[3 * N];
    struct split parent, child, grandchild;
    size_t n = 0, of_new = 0;
    unequal_records(records);
    struct dataset *set = open_records(records, N);
    split_of(set, 60, &parent);
    held_images(&parent, records, first);
    dataset_free(set);
    for (uint32_t i = 0; i < N; i++) {
        if (i % 3 == 0) continue;
        others[n] = records[i];
        others[n++].class += (uint8_t)(i % 5 == 0);
    }
    for (uint32_t i = N; i < 3 * N; i++) others[n++] = (struct record){i, (uint8_t)(i % 9)};
    set = open_records(others, n);
    split_within(set, SPLIT_ALL, &parent.border, &child);
    assert_partition(set, &child);
    held_images(&child, others, held);
    for (size_t i = 0; i < n; i++) {
        const uint32_t image = others[i].image;
        if (image < N) assert_true(held[image] == first[image]);
        of_new += image >= N && held[image];
    }
    assert_in_range(of_new, 80, 160);                       /* a quarter of 480 */
    assert_true(child.border.limit == parent.border.limit); /* nothing had to be changed */
    assert_int_equal(child.border.n_apart, parent.border.n_apart);
    split_release(&child);

    /* Fewer may be asked for, and then the child has seen the others. */
    split_within(set, 50, &parent.border, &child);
    assert_partition(set, &child);
    assert_int_equal(child.n_holdout, 50);
    assert_true(holdout_border_is_within(&child.border, &parent.border));
    assert_false(holdout_border_is_within(&parent.border, &child.border));
    for (size_t i = 0; i < child.n_holdout; i++) {
        const uint64_t key = dataset_key(set, child.holdout[i]);
        assert_true(holdout_border_holds(&parent.border, key));
    }
    dataset_free(set);

    set = open_records(records, N); /* and back */
    split_within(set, SPLIT_ALL, &child.border, &grandchild);
    assert_partition(set, &grandchild);
    assert_true(grandchild.n_holdout > 0);
    held_images(&grandchild, records, held);
    for (size_t i = 0; i < N; i++) assert_true(!held[i] || first[i]);
    split_release(&grandchild);
    split_release(&child);
    split_release(&parent);
    dataset_free(set);
}

/* What lies on both sides of two borders is held out by nobody who learns from both. */
static void test_two_models(void **state)
{
    (void)state;
    struct record records[N];
    struct split a, b, both;
    struct err e = {0};
    unequal_records(records);
    struct dataset *set = open_records(records, N);
    split_of(set, 60, &a);
    split_within(set, 20, &a.border, &b);
    const struct holdout_border *const borders[] = {&a.border, &b.border};
    assert_int_equal(split_make(set, SPLIT_ALL, borders, 2, &both, &e), 0);
    assert_partition(set, &both);
    assert_int_equal(both.n_holdout, 20);
    assert_true(holdout_border_is_within(&both.border, &a.border));
    assert_true(holdout_border_is_within(&both.border, &b.border));
    split_release(&both);
    assert_int_equal(split_make(set, 21, borders, 2, &both, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "only 20: a model cannot be judged"));
    split_release(&b);
    dataset_free(set);

    /* A set of images that were all held out: one of each class trains the child. */
    struct record few[N];
    for (size_t i = 0; i < a.n_holdout; i++) few[i] = records[a.holdout[i]];
    set = open_records(few, a.n_holdout);
    split_within(set, SPLIT_ALL, &a.border, &b);
    assert_partition(set, &b);
    assert_int_equal(b.n_train, CLASSES - 1);
    assert_true(holdout_border_is_within(&b.border, &a.border));
    assert_false(holdout_border_is_within(&a.border, &b.border));
    split_release(&b);
    split_release(&a);
    dataset_free(set);
}

/* Copies of an image are on one side, of whatever class they are. */
static void test_copies(void **state)
{
    (void)state;
    struct record records[N];
    struct split s;
    struct err e = {0};
    for (uint32_t i = 0; i < N; i++) records[i] = (struct record){i / 4, (uint8_t)(i % 3)};
    struct dataset *set = open_records(records, N);
    for (size_t wish = 0; wish <= 236; wish += 13) {
        split_of(set, wish, &s);
        assert_partition(set, &s);
        assert_true(wish == 0 || s.n_holdout > 0);
        for (size_t i = 0; i < s.n_holdout; i++) {
            for (size_t k = 0; k < s.n_train; k++)
                assert_int_not_equal(records[s.holdout[i]].image, records[s.train[k]].image);
        }
        split_release(&s);
    }
    dataset_free(set);
    for (uint32_t i = 0; i < N; i++) records[i] = (struct record){7, (uint8_t)(i % 3)};
    set = open_records(records, N);
    assert_int_equal(split_make(set, 5, NULL, 0, &s, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "copies"));
    dataset_free(set);
}

/* What older programs stored: so many of the smallest keys, of all classes together. */
static void test_count(void **state)
{
    (void)state;
    struct record records[N];
    struct holdout_border b;
    struct split s;
    struct err e = {0};
    unequal_records(records);
    struct dataset *set = open_records(records, N);
    assert_int_equal(split_border_of_count(set, 24, &b, &e), 0);
    assert_int_equal(b.n_apart, 0);
    assert_int_equal(split_by_border(set, &b, &s, &e), 0);
    assert_int_equal(s.n_holdout, 24);
    for (size_t i = 0; i < s.n_holdout; i++) {
        for (size_t k = 0; k < s.n_train; k++)
            assert_true(dataset_key(set, s.holdout[i]) < dataset_key(set, s.train[k]));
    }
    split_release(&s);
    split_within(set, SPLIT_ALL, &b, &s); /* and passed on */
    assert_partition(set, &s);
    assert_true(holdout_border_is_within(&s.border, &b));
    split_release(&s);
    assert_int_equal(split_border_of_count(set, 0, &b, &e), 0);
    assert_true(b.limit == 0);
    assert_int_equal(split_border_of_count(set, N, &b, &e), ERR_RANGE);
    dataset_free(set);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct record records[N];
    struct split first;
    unequal_records(records);
    struct dataset *set = open_records(records, N);
    split_of(set, 60, &first);
    const struct holdout_border *const within = &first.border;
    for (unsigned n = 1;; n++) {
        struct split s, again = {0};
        struct err e = {0};
        mem_fail_at(n);
        int rc = split_make(set, 9, &within, 1, &s, &e);
        if (rc == 0) {
            rc = split_by_border(set, &s.border, &again, &e);
            split_release(&s);
        }
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        split_release(&again);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 6);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
    }
    split_release(&first);
    dataset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),     cmocka_unit_test(test_classes),
        cmocka_unit_test(test_key),       cmocka_unit_test(test_seed),
        cmocka_unit_test(test_changed),   cmocka_unit_test(test_two_models),
        cmocka_unit_test(test_copies),    cmocka_unit_test(test_count),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, fake_begin, fake_end);
}
