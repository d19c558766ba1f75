/* Batches made ahead: what is in them does not depend on how many threads make them, when, or which
 * was taken before; an image that cannot be read is named when its batch is taken. */
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
#include "data/batch.h"
#include "data/loader.h"
#include "fake_cifar.h"
#include "fake_folder.h"

enum {
    IMAGES = 50,
    TRAINED = 40,
    BATCH = 9,
    STEPS_EPOCH = TRAINED / BATCH,
    STEPS = 3 * STEPS_EPOCH
};
enum { SIZE = 32 * 32 * 3 };

static const struct preprocess normal = {
    32, 32, PREPROCESS_COVER, PREPROCESS_BILINEAR, {0.4f, 0.5f, 0.6f}, {0.2f, 0.25f, 0.3f}};

static const struct augment augment = {.words = AUGMENT_CROP | AUGMENT_FLIP | AUGMENT_CUTOUT};

struct scene {
    struct dataset *set;
    uint32_t images[TRAINED];
    struct loader_setup setup;
};

static void open_scene(struct scene *s, unsigned threads)
{
    uint32_t which[IMAGES];
    struct err e = {0};
    for (uint32_t i = 0; i < IMAGES; i++) which[i] = i;
    fake_write_records("train.bin", which, IMAGES);
    if (dataset_open(fake_source, DATA_TRAIN, NULL, &s->set, &e) < 0) fail_msg("%s", e.text);
    for (uint32_t i = 0; i < TRAINED; i++) s->images[i] = i + 5;
    s->setup = (struct loader_setup){.set = s->set,
                                     .images = s->images,
                                     .n_images = TRAINED,
                                     .preprocess = &normal,
                                     .augment = &augment,
                                     .seed = 11,
                                     .batch = BATCH,
                                     .steps = STEPS,
                                     .threads = threads};
}

static struct loader *make(const struct scene *s)
{
    struct err e = {0};
    struct loader *l = loader_new(&s->setup, &e);
    if (l == NULL) fail_msg("%s", e.text);
    return l;
}

/* The batch of a step, made here. */
static void check_batch(const struct scene *s, int64_t step, const struct loader_batch *b)
{
    static float input[SIZE];
    uint32_t order[TRAINED];
    const uint32_t epoch = (uint32_t)(step / STEPS_EPOCH);
    const struct loader_setup *u = &s->setup;
    batch_order(s->images, TRAINED, u->seed, epoch, order);
    for (size_t i = 0; i < BATCH; i++) {
        const uint32_t image = order[(size_t)(step % STEPS_EPOCH) * BATCH + i];
        assert_int_equal(b->images[i], image);
        assert_int_equal(b->labels[i], dataset_class(s->set, image));
        assert_int_equal(
            batch_sample(s->set, image, &normal, u->augment, u->seed, epoch, input, NULL), 0);
        assert_memory_equal(b->input + i * SIZE, input, sizeof(input));
    }
}

static void test_in_order(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 5; threads += 2) {
        struct scene s;
        struct err e = {0};
        struct loader_batch b;
        open_scene(&s, threads);
        struct loader *l = make(&s);
        assert_true(loader_bytes(l) > (size_t)LOADER_BATCHES * BATCH * SIZE * 4);
        for (int64_t step = 0; step < STEPS; step++) {
            assert_int_equal(loader_take(l, step, &b, &e), 0);
            check_batch(&s, step, &b);
            b.input[0] = 1e9f; /* the taker's own */
        }
        loader_free(l);
        dataset_free(s.set);
    }
}

/* Steps in any order, the same one twice, and given up at any moment. */
static void test_anywhere(void **state)
{
    (void)state;
    struct scene s;
    struct err e = {0};
    struct rng rng;
    rng_init(&rng, 5, RNG_TEST, 0, 0);
    open_scene(&s, 3);
    for (int round = 0; round < 20; round++) {
        struct loader *l = make(&s);
        for (uint32_t n = rng_below(&rng, 6); n > 0; n--) {
            struct loader_batch b;
            const int64_t step = rng_below(&rng, STEPS);
            assert_int_equal(loader_take(l, step, &b, &e), 0);
            check_batch(&s, step, &b);
        }
        loader_free(l);
    }
    dataset_free(s.set);
}

/* An image that has gone since the folder was opened. */
static void test_broken(void **state)
{
    uint32_t images[] = {0, 1, 2, 3, 4};
    struct dataset *set;
    struct err e = {0};
    struct loader_batch b;
    assert_int_equal(folder_begin(state), 0);
    assert_int_equal(dataset_open(folder_source, DATA_TRAIN, NULL, &set, &e), 0);
    assert_int_equal(remove(dataset_file(set, 2)), 0);
    const struct loader_setup setup = {.set = set,
                                       .images = images,
                                       .n_images = 5,
                                       .preprocess = &normal,
                                       .batch = 1,
                                       .steps = 10,
                                       .threads = 2};
    struct loader *l = loader_new(&setup, &e);
    assert_non_null(l);
    for (int64_t step = 0; step < 10; step++) {
        e = (struct err){0};
        int rc = loader_take(l, step, &b, &e);
        assert_int_equal(rc, b.images[0] == 2 ? -ENOENT : 0);
        assert_int_equal(e.code, rc);
        assert_true(rc == 0 || strstr(e.text, "cat/a.PNG") != NULL);
    }
    loader_free(l);
    dataset_free(set);
    folder_end(state);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, 2);
    for (unsigned n = 1;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        struct loader *l = loader_new(&s.setup, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        loader_free(l);
        if (!fired) {
            assert_non_null(l);
            assert_true(n > 10);
            break;
        }
        assert_null(l);
        assert_int_equal(e.code, -ENOMEM);
    }
    dataset_free(s.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_anywhere),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, fake_begin, fake_end);
}
