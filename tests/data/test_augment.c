/* Augmentations of bytes: every operation against PIL, bit for bit; what the policy and Cutout
 * draw; that neither changes what another augmentation does. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/data/augment.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/batch.h"
#include "fake_cifar.h"

enum { IMAGES_MAX = 4, WHOLE_MAX = 900, BYTES_MAX = 3 * 1024 };

static const char *const op_names[AUGMENT_OPS] = {
    "shear_x",    "shear_y",   "translate_x", "translate_y", "rotate",       "color",    "contrast",
    "brightness", "sharpness", "posterize",   "solarize",    "autocontrast", "equalize", "invert"};

static uint64_t fnv(const uint8_t *bytes, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

struct picture {
    int width, height;
    size_t bytes;
    const uint8_t *pixels;
};

/* One record at `at`; returns what follows it. */
static const uint8_t *check_record(const struct picture *pictures, const uint8_t *at)
{
    static uint8_t image[BYTES_MAX], scratch[BYTES_MAX];
    const struct picture *p = &pictures[at[0]];
    enum augment_op op = (enum augment_op)at[1];
    memcpy(image, p->pixels, p->bytes);
    augment_apply(op, at[2], at[3], image, scratch, p->width, p->height);
    bool equal;
    size_t size = p->bytes;
    if (p->bytes <= WHOLE_MAX) {
        equal = memcmp(image, at + 4, p->bytes) == 0;
    } else {
        uint64_t wanted = 0;
        size = 8;
        for (int i = 0; i < 8; i++) wanted |= (uint64_t)at[4 + i] << 8 * i;
        equal = fnv(image, p->bytes) == wanted;
    }
    if (!equal) {
        size_t i = 0;
        while (size > 8 && image[i] == at[4 + i]) i++;
        fail_msg("%s, magnitude %d, negative %d, %dx%d: byte %zu is %d, not %d", op_names[op],
                 at[2], at[3], p->width, p->height, i, image[i], at[4 + i]);
    }
    return at + 4 + size;
}

static void test_ops(void **state)
{
    (void)state;
    char path[4096];
    const char *top = getenv("top_srcdir");
    struct picture pictures[IMAGES_MAX];
    char *file;
    size_t size;
    struct err e = {0};
    int counts[AUGMENT_OPS] = {0};
    snprintf(path, sizeof(path), "%s/tests/data/vectors/augment.bin", top != NULL ? top : ".");
    if (file_read(path, 1 << 24, &file, &size, &e) < 0) fail_msg("%s", e.text);
    const uint8_t *at = (const uint8_t *)file, *end = at + size;
    int n = *at++;
    assert_in_range(n, 1, IMAGES_MAX);
    for (int i = 0; i < n; i++) {
        size_t bytes = (size_t)at[0] * at[1] * 3;
        assert_true(bytes <= BYTES_MAX);
        pictures[i] = (struct picture){at[0], at[1], bytes, at + 2};
        at += 2 + bytes;
    }
    while (at < end) {
        assert_in_range(at[1], 0, AUGMENT_OPS - 1);
        counts[at[1]]++;
        at = check_record(pictures, at);
    }
    assert_ptr_equal(at, end);
    for (int i = 0; i < AUGMENT_OPS; i++) assert_true(counts[i] >= n);
    mem_free(file);
}

/* Where the hole is, by the definition written out again; each border clips it at times. */
static void test_cutout(void **state)
{
    (void)state;
    enum { W = 24, H = 32, EPOCHS = 400 };
    static uint8_t image[W * H * 3];
    int widths[W + 1] = {0}, heights[H + 1] = {0};
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        struct rng rng;
        rng_init(&rng, 3, RNG_CUTOUT, epoch, 9);
        int cy = (int)rng_below(&rng, H), cx = (int)rng_below(&rng, W), black = 0;
        memset(image, 77, sizeof(image));
        cutout(image, W, H, 3, epoch, 9);
        for (int y = 0; y < H; y++) {
            for (int x = 0; x < W; x++) {
                bool hole = y >= cy - 6 && y < cy + 6 && x >= cx - 6 && x < cx + 6;
                for (int c = 0; c < 3; c++)
                    assert_int_equal(image[(y * W + x) * 3 + c], hole ? 0 : 77);
                black += hole;
            }
        }
        assert_in_range(black, 36, 144);
        widths[cx]++;
        heights[cy]++;
    }
    for (int x = 0; x < W; x++) assert_true(widths[x] > 0);
    for (int y = 0; y < H; y++) assert_true(heights[y] > 0);
}

/* The policy, written down a second time: probability in tenths, operation, magnitude; twice. */
static const char *const policy[25] = {
    "1 invert 7 2 contrast 6",          "7 rotate 2 3 translate_x 9",
    "8 sharpness 1 9 sharpness 3",      "5 shear_y 8 7 translate_y 9",
    "5 autocontrast 8 9 equalize 2",    "2 shear_y 7 3 posterize 7",
    "4 color 3 6 brightness 7",         "3 sharpness 9 7 brightness 9",
    "6 equalize 5 5 equalize 1",        "6 contrast 7 6 sharpness 5",
    "7 color 7 5 translate_x 8",        "3 equalize 7 4 autocontrast 8",
    "4 translate_y 3 2 sharpness 6",    "9 brightness 6 2 color 8",
    "5 solarize 2 0 invert 3",          "2 equalize 0 6 autocontrast 0",
    "2 equalize 8 6 equalize 4",        "9 color 9 6 equalize 6",
    "8 autocontrast 4 2 solarize 8",    "1 brightness 3 7 color 0",
    "4 solarize 5 9 autocontrast 3",    "9 translate_y 9 7 translate_y 9",
    "9 autocontrast 2 8 solarize 3",    "8 equalize 8 1 invert 3",
    "7 translate_y 9 9 autocontrast 1",
};

static enum augment_op find_op(const char *name)
{
    int i = 0;
    while (i < AUGMENT_OPS && strcmp(op_names[i], name) != 0) i++;
    assert_true(i < AUGMENT_OPS);
    return (enum augment_op)i;
}

/* What the drawn pair does, from the text above. */
static void expect_policy(uint8_t *image, uint8_t *scratch, int side, uint32_t sample, int *counts)
{
    struct rng rng;
    char ops[2][16];
    int tenths[2], magnitudes[2];
    rng_init(&rng, 5, RNG_AUTOAUGMENT, 2, sample);
    uint32_t number = rng_below(&rng, 25);
    assert_int_equal(sscanf(policy[number], "%d %15s %d %d %15s %d", &tenths[0], ops[0],
                            &magnitudes[0], &tenths[1], ops[1], &magnitudes[1]),
                     6);
    for (int i = 0; i < 2; i++) {
        bool is_done = rng_below(&rng, 10) < (uint32_t)tenths[i],
             negative = rng_below(&rng, 2) == 1;
        if (!is_done) continue;
        augment_apply(find_op(ops[i]), magnitudes[i], negative, image, scratch, side, side);
        counts[2 * number + (unsigned)i]++;
    }
}

static void test_policy(void **state)
{
    (void)state;
    enum { SIDE = 32, N = 2000, BYTES = SIDE * SIDE * 3 };
    static uint8_t original[BYTES], image[BYTES], again[BYTES], scratch[BYTES];
    int counts[50] = {0}, equal_seeds = 0;
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0, 0);
    for (int i = 0; i < BYTES; i++) original[i] = (uint8_t)(20 + rng_below(&rng, 200));
    for (uint32_t i = 0; i < N; i++) {
        memcpy(image, original, BYTES);
        memcpy(again, original, BYTES);
        autoaugment(image, scratch, SIDE, SIDE, 5, 2, i);
        memset(scratch, (int)i, BYTES); /* of what was there before nothing is used */
        expect_policy(again, scratch, SIDE, i, counts);
        assert_memory_equal(image, again, BYTES);
        memcpy(again, original, BYTES);
        autoaugment(again, scratch, SIDE, SIDE, 6, 2, i);
        equal_seeds += memcmp(image, again, BYTES) == 0;
    }
    for (int i = 0; i < 50; i++) /* a probability of 0 is never, one of 0.1 sometimes */
        assert_int_equal(counts[i] > 0, i != 29);
    assert_in_range(equal_seeds, 1, 300); /* most of them where neither did anything */
}

enum { SIDE = 32, FLOATS = SIDE * SIDE * 3 };

static const struct preprocess identity = {
    SIDE, SIDE, PREPROCESS_STRETCH, PREPROCESS_BILINEAR, {0, 0, 0}, {1, 1, 1}};
static struct dataset *set;

static int open_set(void **state)
{
    static const uint32_t which[] = {0, 1, 2, 3};
    struct err e = {0};
    if (fake_begin(state) < 0) return -1;
    fake_write_records("train.bin", which, 4);
    return dataset_open(fake_source, DATA_TRAIN, &set, &e);
}

static int close_set(void **state)
{
    dataset_free(set);
    return fake_end(state);
}

static void sample(unsigned augment, uint32_t epoch, uint8_t *ret_bytes)
{
    static float input[FLOATS];
    assert_int_equal(batch_sample(set, epoch % 4, &identity, augment, 5, epoch, input, NULL), 0);
    for (int i = 0; i < FLOATS; i++) ret_bytes[i] = (uint8_t)(input[i] * 255 + 0.5f);
}

/* What is drawn does not depend on what else is switched on, and the order is crop and flip, the
 * policy, the hole. */
static void test_together(void **state)
{
    (void)state;
    static uint8_t view[FLOATS], all[FLOATS], grey[FLOATS], scratch[FLOATS];
    const unsigned base = AUGMENT_CROP | AUGMENT_FLIP;
    int padded = 0;
    for (uint32_t epoch = 0; epoch < 60; epoch++) {
        sample(base, epoch, view);
        sample(base | AUGMENT_AUTO | AUGMENT_CUTOUT, epoch, all);
        sample(base | AUGMENT_FILL_GREY, epoch, grey);
        for (int i = 0; i < FLOATS; i++) { /* the same view, but for what it is padded with */
            assert_true(view[i] == grey[i] || (view[i] == 0 && grey[i] == 128));
            padded += view[i] != grey[i];
        }
        autoaugment(view, scratch, SIDE, SIDE, 5, epoch, epoch % 4);
        cutout(view, SIDE, SIDE, 5, epoch, epoch % 4);
        assert_memory_equal(view, all, FLOATS);
        sample(0, epoch, view);
        cutout(view, SIDE, SIDE, 5, epoch, epoch % 4);
        sample(AUGMENT_CUTOUT, epoch, all);
        assert_memory_equal(view, all, FLOATS);
    }
    assert_true(padded > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_cutout),
        cmocka_unit_test(test_policy),
        cmocka_unit_test_setup_teardown(test_together, open_set, close_set),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
