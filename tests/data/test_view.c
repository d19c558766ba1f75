/* Images of any size as the input of a network: without augmentation exactly what serving computes,
 * with it the random resized crop that torchvision describes. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "data/batch.h"
#include "fake_folder.h"
#include "image/preprocess.h"
#include "view.h"

enum { SIDE = 16, FLOATS = SIDE * SIDE * 3 };

static struct preprocess normal = {
    SIDE, SIDE, PREPROCESS_COVER, PREPROCESS_BILINEAR, {0.4f, 0.5f, 0.6f}, {0.2f, 0.25f, 0.3f}};

/* The daemon's way: the file's bytes decoded and preprocessed. */
static void test_as_served(void **state)
{
    (void)state;
    static const struct augment flips = {.words = AUGMENT_FLIP};
    static const enum preprocess_resize resizes[] = {PREPROCESS_COVER, PREPROCESS_STRETCH};
    struct dataset *set;
    struct err e = {0};
    assert_int_equal(dataset_open(folder_source, DATA_TRAIN, NULL, &set, &e), 0);
    for (size_t i = 0; i < 2 * dataset_count(set); i++) {
        static float input[FLOATS], served[FLOATS];
        size_t size, at = i / 2;
        struct image image;
        normal.resize = resizes[i % 2];
        char *bytes;
        assert_int_equal(file_read(dataset_file(set, at), 1 << 24, &bytes, &size, &e), 0);
        struct arena *arena = arena_new(1 << 20);
        const struct image_decoding decoding = {.limits = &image_limits_default,
                                                .want = preprocess_want(&normal)};
        assert_int_equal(image_decode(bytes, size, &decoding, arena, &image, &e), 0);
        mem_free(bytes);
        assert_int_equal(preprocess_apply(&normal, &image, arena, served, &e), 0);
        arena_free(arena);
        assert_int_equal(batch_sample(set, at, &normal, NULL, 1, 2, input, &e), 0);
        assert_memory_equal(input, served, sizeof(input));
        /* Crop and flip begin with the same pixels: the middle of a flipped one, not moved. */
        bool same = false;
        for (uint32_t epoch = 0; epoch < 40 && !same; epoch++) {
            assert_int_equal(batch_sample(set, at, &normal, &flips, 1, epoch, input, &e), 0);
            same = memcmp(input, served, sizeof(input)) == 0;
        }
        assert_true(same);
    }
    dataset_free(set);
}

/* With decoded images kept or not, also while they are filled in: the same input. Those that do not
 * fit are not kept, and neither are random crops. */
static void test_kept(void **state)
{
    (void)state;
    struct dataset *sets[2];
    struct err e = {0};
    static float plain[FLOATS], kept[FLOATS];
    const struct augment nothing = {0}, plain_words = {.words = AUGMENT_FLIP | AUGMENT_CROP},
                         random_crop = {.words = AUGMENT_RESIZED_CROP, .scale = 80};
    struct preprocess other = normal;
    other.width = SIDE + 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(dataset_open(folder_source, DATA_TRAIN, NULL, &sets[i], &e), 0);
    const size_t n = dataset_count(sets[0]);
    assert_int_equal(dataset_keep(sets[1], &normal, n * FLOATS - 1, &e), 0);
    assert_int_equal(view_arena_bytes(sets[1], 0, &normal, &nothing),
                     view_arena_bytes(sets[0], 0, &normal, &nothing));
    assert_int_equal(dataset_keep(sets[1], &normal, n * FLOATS, &e), 1);
    for (size_t k = 0; k < 3 * n; k++) {
        const size_t i = k % n;
        const struct augment *augment = k < 2 * n ? &plain_words : &random_crop;
        const uint32_t epoch = (uint32_t)(k / n);
        assert_int_equal(batch_sample(sets[0], i, &normal, augment, 1, epoch, plain, &e), 0);
        assert_int_equal(batch_sample(sets[1], i, &normal, augment, 1, epoch, kept, &e), 0);
        assert_memory_equal(plain, kept, sizeof(plain));
        assert_true(view_arena_bytes(sets[1], i, &normal, &nothing) == 0);
        assert_true(view_arena_bytes(sets[1], i, &normal, &random_crop) > 0);
        assert_true(view_arena_bytes(sets[1], i, &other, &nothing) > 0);
    }
    /* What is kept does not ask the disk. */
    assert_int_equal(remove(dataset_file(sets[1], 0)), 0);
    assert_int_equal(batch_sample(sets[1], 0, &normal, NULL, 1, 0, kept, &e), 0);
    assert_int_equal(batch_sample(sets[0], 0, &normal, NULL, 1, 0, plain, &e), -ENOENT);
    for (int i = 0; i < 2; i++) dataset_free(sets[i]);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct dataset *set;
    struct err e = {0};
    static float input[FLOATS];
    const struct augment both[] = {{0},
                                   {.words = AUGMENT_RESIZED_CROP | AUGMENT_FLIP, .scale = 80}};
    assert_int_equal(dataset_open(folder_source, DATA_TRAIN, NULL, &set, &e), 0);
    for (int k = 0; k < 2; k++) {
        for (unsigned n = 1;; n++) {
            mem_fail_at(n);
            int rc = batch_sample(set, 3, &normal, &both[k], 1, 2, input, &e);
            bool fired = mem_fail_left() == 0;
            mem_fail_at(0);
            assert_int_equal(rc, fired ? -ENOMEM : 0);
            if (fired) continue;
            assert_true(n > 2);
            break;
        }
    }
    dataset_free(set);
}

/* Boxes are inside, of the areas and shapes that are allowed, and their spread is what uniform
 * draws have: mean area share (s + 1) / 2 where nothing has to be drawn again. */
static void test_boxes(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    double area = 0, shape = 0, left = 0;
    for (uint32_t k = 0; k < DRAWS; k++) {
        struct preprocess_box b = view_draw(400, 400, 0.25, 7, k / 100, k % 100);
        assert_true(b.left >= 0 && b.top >= 0 && b.width >= 1 && b.height >= 1);
        assert_true(b.left + b.width <= 400 && b.top + b.height <= 400);
        const double share = b.width * b.height / 160000.0, ratio = (double)b.width / b.height;
        assert_true(share > 0.245 && share <= 1);
        assert_true(ratio > 0.74 && ratio < 1.35);
        area += share;
        shape += log(ratio);
        left += b.width < 400 ? (double)b.left / (400 - b.width) : 0.5;
    }
    /* Large shares fit in fewer shapes and are drawn again more often: below the mean of 0.625. */
    assert_true(area / DRAWS > 0.55 && area / DRAWS < 0.61);
    assert_true(fabs(shape / DRAWS) < 0.01);
    assert_true(fabs(left / DRAWS - 0.5) < 0.02);

    /* Small ones always fit: their mean is exact. */
    area = 0;
    for (uint32_t k = 0; k < DRAWS; k++) {
        struct preprocess_box b = view_draw(4000, 1600, 0.001, 7, 1000 + k / 100, k % 100);
        assert_true(b.left + b.width <= 4000 && b.top + b.height <= 1600);
        area += b.width * b.height / 6400000.0;
    }
    assert_true(area / DRAWS > 0.2 && area / DRAWS < 0.5);

    /* Odd images: something is always shown, the whole of it or a middle of at most 4:3. */
    for (uint32_t k = 0; k < 200; k++) {
        struct preprocess_box b = view_draw(1, 1, 0.08, 7, k, 0);
        assert_true(b.left == 0 && b.top == 0 && b.width == 1 && b.height == 1);
        b = view_draw(1000, 3, 1, 7, k, 1);
        assert_true(b.top == 0 && b.height == 3 && b.width == 4 && b.left == 498);
        b = view_draw(3, 1000, 1, 7, k, 1);
        assert_true(b.left == 0 && b.width == 3 && b.height == 4 && b.top == 498);
    }
}

/* What is shown is the box that is drawn, resized; other augmentations draw what they drew before.
 */
static void test_crop(void **state)
{
    (void)state;
    struct dataset *set;
    struct err e = {0};
    struct image image;
    const struct augment crop = {.words = AUGMENT_RESIZED_CROP, .scale = 500},
                         both = {.words = AUGMENT_RESIZED_CROP | AUGMENT_FLIP, .scale = 500};
    assert_int_equal(dataset_open(folder_source, DATA_TRAIN, NULL, &set, &e), 0);
    struct arena *arena = arena_new(1 << 20);
    assert_int_equal(dataset_image(set, 3, (struct image_want){0, 0}, arena, &image, &e), 0);
    int flips = 0;
    for (uint32_t epoch = 0; epoch < 50; epoch++) {
        static float input[FLOATS], again[FLOATS], expected[FLOATS], turned[FLOATS];
        const uint8_t *pixels;
        struct preprocess_box box = view_draw(image.width, image.height, 0.5, 9, epoch, 3);
        struct arena *scratch = arena_new(1 << 20);
        assert_int_equal(preprocess_cut(&normal, &image, box, scratch, &pixels, &e), 0);
        preprocess_normalise(&normal, pixels, SIDE * SIDE, expected);
        arena_free(scratch);
        assert_int_equal(batch_sample(set, 3, &normal, &crop, 9, epoch, input, &e), 0);
        assert_memory_equal(input, expected, sizeof(input));
        for (int i = 0; i < FLOATS; i++) {
            turned[i] = expected[(i / (3 * SIDE) * SIDE + SIDE - 1 - i / 3 % SIDE) * 3 + i % 3];
        }
        assert_int_equal(batch_sample(set, 3, &normal, &both, 9, epoch, again, &e), 0);
        struct rng rng; /* the third draw of the stream that crop and flip share */
        rng_init(&rng, 9, RNG_AUGMENT, epoch, 3);
        (void)rng_below(&rng, 2 * (SIDE / 8) + 1);
        (void)rng_below(&rng, 2 * (SIDE / 8) + 1);
        const bool flip = rng_below(&rng, 2) == 1;
        assert_memory_equal(again, flip ? turned : expected, sizeof(again));
        flips += flip;
    }
    assert_in_range(flips, 10, 40);
    arena_free(arena);
    dataset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_as_served, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_kept, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_no_memory, folder_begin, folder_end),
        cmocka_unit_test(test_boxes),
        cmocka_unit_test_setup_teardown(test_crop, folder_begin, folder_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
