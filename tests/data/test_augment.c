/* Augmentations of bytes: every operation against PIL, bit for bit; what the policies, Cutout and
 * Random Erasing draw; that none changes what another augmentation does. */
#include "config.h"

#include <math.h>
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
    "shear_x",  "shear_y",      "translate_x", "translate_y", "rotate",
    "color",    "contrast",     "brightness",  "sharpness",   "posterize",
    "solarize", "autocontrast", "equalize",    "invert",      "identity"};

static enum augment_op find_op(const char *name)
{
    int i = 0;
    while (i < AUGMENT_OPS && strcmp(op_names[i], name) != 0) i++;
    assert_true(i < AUGMENT_OPS);
    return (enum augment_op)i;
}

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

/* A file of vectors from its images on; mem_free(). Returns what follows the images. */
static const uint8_t *read_vectors(const char *name, struct picture pictures[IMAGES_MAX],
                                   int *ret_n, char **ret_file, const uint8_t **ret_end)
{
    char path[4096];
    const char *top = getenv("top_srcdir");
    size_t size;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/tests/data/vectors/%s", top != NULL ? top : ".", name);
    if (file_read(path, 1 << 24, ret_file, &size, &e) < 0) fail_msg("%s", e.text);
    const uint8_t *at = (const uint8_t *)*ret_file;
    *ret_end = at + size;
    *ret_n = *at++;
    assert_in_range(*ret_n, 1, IMAGES_MAX);
    for (int i = 0; i < *ret_n; i++) {
        size_t bytes = (size_t)at[0] * at[1] * 3;
        assert_true(bytes <= BYTES_MAX);
        pictures[i] = (struct picture){at[0], at[1], bytes, at + 2};
        at += 2 + bytes;
    }
    return at;
}

static void test_ops(void **state)
{
    (void)state;
    struct picture pictures[IMAGES_MAX];
    char *file;
    const uint8_t *end;
    int n, counts[AUGMENT_OPS] = {0};
    const uint8_t *at = read_vectors("augment.bin", pictures, &n, &file, &end);
    while (at < end) {
        assert_in_range(at[1], 0, AUGMENT_OPS - 1);
        counts[at[1]]++;
        at = check_record(pictures, at);
    }
    assert_ptr_equal(at, end);
    for (int i = 0; i < AUGMENT_IDENTITY; i++) assert_true(counts[i] >= n);
    mem_free(file);
}

enum { SPACE = 14, STRENGTHS = 31, MAGNITUDES = 4, SAMPLES = 12000 };

static uint64_t hash_at(const uint8_t *at, size_t i)
{
    uint64_t hash = 0;
    for (int k = 0; k < 8; k++) hash |= (uint64_t)at[8 * i + (size_t)k] << 8 * k;
    return hash;
}

/* Everything that TrivialAugment can draw is drawn, evenly, and is what PIL makes of it. */
static void check_trivial(const struct picture *p, const uint8_t *hashes)
{
    static uint8_t image[BYTES_MAX], scratch[BYTES_MAX];
    int ops[SPACE] = {0}, strengths[STRENGTHS] = {0}, negatives = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        struct rng rng;
        rng_init(&rng, 5, RNG_TRIVIALAUGMENT, 2, i);
        const uint32_t op = rng_below(&rng, SPACE), strength = rng_below(&rng, STRENGTHS),
                       negative = rng_below(&rng, 2);
        memcpy(image, p->pixels, p->bytes);
        trivialaugment(image, scratch, p->width, p->height, 5, 2, i);
        if (fnv(image, p->bytes) != hash_at(hashes, (op * STRENGTHS + strength) * 2 + negative))
            fail_msg("operation %u, strength %u, negative %u, %dx%d", op, strength, negative,
                     p->width, p->height);
        ops[op]++;
        strengths[strength]++;
        negatives += (int)negative;
    }
    for (int i = 0; i < SPACE; i++) assert_in_range(ops[i], 700, 1020);
    for (int i = 0; i < STRENGTHS; i++) assert_in_range(strengths[i], 300, 480);
    assert_in_range(negatives, SAMPLES / 2 - 300, SAMPLES / 2 + 300);
}

/* RandAugment with one operation against PIL; with three, the same draws one after the other. */
static void check_rand(const struct picture *p, const uint8_t *hashes)
{
    static const int magnitudes[MAGNITUDES] = {0, 9, 14, 30};
    static const char *const space[SPACE] = {"identity",    "autocontrast", "equalize",  "rotate",
                                             "solarize",    "color",        "posterize", "contrast",
                                             "brightness",  "sharpness",    "shear_x",   "shear_y",
                                             "translate_x", "translate_y"};
    static uint8_t image[BYTES_MAX], again[BYTES_MAX], scratch[BYTES_MAX];
    const struct augment_style style = {AUGMENT_GREY, false};
    int ops[SPACE] = {0};
    for (uint32_t i = 0; i < 2000; i++) {
        struct rng rng;
        const uint32_t m = i % MAGNITUDES;
        rng_init(&rng, 6, RNG_RANDAUGMENT, 3, i);
        memcpy(again, p->pixels, p->bytes);
        for (int k = 0; k < 3; k++) {
            const uint32_t op = rng_below(&rng, SPACE), negative = rng_below(&rng, 2);
            const enum augment_op which = find_op(space[op]);
            if (k == 0) {
                memcpy(image, p->pixels, p->bytes);
                randaugment(image, scratch, p->width, p->height, 1, magnitudes[m], 6, 3, i);
                if (fnv(image, p->bytes) != hash_at(hashes, (op * MAGNITUDES + m) * 2 + negative))
                    fail_msg("%s, magnitude %d, negative %u, %dx%d", space[op], magnitudes[m],
                             negative, p->width, p->height);
                ops[op]++;
            }
            augment_perform(
                which, augment_value(which, magnitudes[m], 30, negative == 1, p->width, p->height),
                style, again, scratch, p->width, p->height);
        }
        memcpy(image, p->pixels, p->bytes);
        randaugment(image, scratch, p->width, p->height, 3, magnitudes[m], 6, 3, i);
        assert_memory_equal(image, again, p->bytes);
    }
    for (int i = 0; i < SPACE; i++) assert_in_range(ops[i], 90, 200);
}

static void test_policies(void **state)
{
    (void)state;
    struct picture pictures[IMAGES_MAX];
    char *file;
    const uint8_t *end;
    int n;
    const uint8_t *at = read_vectors("policies.bin", pictures, &n, &file, &end);
    const size_t trivial = (size_t)SPACE * STRENGTHS * 2 * 8,
                 rand = (size_t)SPACE * MAGNITUDES * 16;
    assert_int_equal(end - at, n * (ptrdiff_t)(trivial + rand));
    for (int i = 0; i < n; i++, at += trivial + rand) {
        check_trivial(&pictures[i], at);
        check_rand(&pictures[i], at + trivial);
    }
    mem_free(file);
}

/* Algorithm 1 of the paper, written down a second time, and what follows from it: how often, how
 * large, of what shape. */
static void test_erasing(void **state)
{
    (void)state;
    enum { W = 40, H = 32, N = 4000 };
    static uint8_t image[W * H * 3];
    int erased = 0;
    double shares = 0, bytes = 0, count = 0;
    for (uint32_t i = 0; i < N; i++) {
        struct rng rng;
        int top = 0, left = 0, h = 0, w = 0;
        rng_init(&rng, 3, RNG_ERASING, 7, i);
        const bool is_on = rng_uniform(&rng) < 0.25;
        for (bool fits = !is_on; !fits;) {
            const double se = (0.02 + 0.38 * rng_uniform(&rng)) * W * H,
                         re = 0.3 + (1 / 0.3 - 0.3) * rng_uniform(&rng);
            h = (int)(sqrt(se * re) + 0.5);
            w = (int)(sqrt(se / re) + 0.5);
            left = (int)rng_below(&rng, W);
            top = (int)rng_below(&rng, H);
            fits = left + w <= W && top + h <= H;
        }
        memset(image, 77, sizeof(image));
        erase(image, W, H, 250, 3, 7, i);
        for (int y = 0; y < H; y++) {
            for (int x = 0; x < W; x++) {
                const bool hole = y >= top && y < top + h && x >= left && x < left + w;
                for (int c = 0; c < 3; c++) {
                    const uint8_t value = image[(y * W + x) * 3 + c];
                    if (!hole) assert_int_equal(value, 77);
                    if (hole) bytes += value;
                    count += hole;
                }
            }
        }
        erased += is_on;
        shares += (double)w * h / (W * H);
    }
    assert_in_range(erased, 900, 1100);
    assert_true(shares / erased > 0.1 && shares / erased < 0.21); /* large ones fit less often */
    assert_true(fabs(bytes / count - 127.5) < 1);
    for (uint32_t i = 0; i < 100; i++) { /* nothing to draw from, and always */
        uint8_t pixel[3] = {1, 2, 3};
        erase(pixel, 1, 1, 1000, 3, 7, i);
        memset(image, 77, sizeof(image));
        erase(image, W, H, 1000, 3, 7, i);
        int changed = 0;
        for (int k = 0; k < W * H * 3; k++) changed += image[k] != 77;
        assert_true(changed > 40);
    }
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
    return dataset_open(fake_source, DATA_TRAIN, NULL, &set, &e);
}

static int close_set(void **state)
{
    dataset_free(set);
    return fake_end(state);
}

static void sample(unsigned words, uint32_t epoch, uint8_t *ret_bytes)
{
    static float input[FLOATS];
    const struct augment augment = {
        .words = words, .operations = 3, .magnitude = 12, .erasing = 750};
    assert_int_equal(batch_sample(set, epoch % 4, &identity, &augment, 5, epoch, input, NULL), 0);
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

/* The other policies stand in the policy's place, and Random Erasing comes last. */
static void test_in_order(void **state)
{
    (void)state;
    static uint8_t view[FLOATS], all[FLOATS], scratch[FLOATS];
    const unsigned base = AUGMENT_CROP | AUGMENT_FLIP;
    for (uint32_t epoch = 0; epoch < 60; epoch++) {
        sample(base, epoch, view);
        sample(base | AUGMENT_TRIVIAL | AUGMENT_CUTOUT | AUGMENT_ERASING, epoch, all);
        trivialaugment(view, scratch, SIDE, SIDE, 5, epoch, epoch % 4);
        cutout(view, SIDE, SIDE, 5, epoch, epoch % 4);
        erase(view, SIDE, SIDE, 750, 5, epoch, epoch % 4);
        assert_memory_equal(view, all, FLOATS);
        sample(base, epoch, view);
        sample(base | AUGMENT_RAND, epoch, all);
        randaugment(view, scratch, SIDE, SIDE, 3, 12, 5, epoch, epoch % 4);
        assert_memory_equal(view, all, FLOATS);
    }
}

/* The place in the image of a pixel of the crop, by numpy's definition of "reflect": the sequence
 * 0 1 2 .. n-1 .. 2 1 is repeated for ever. */
static int reflected(int i, int n)
{
    const int period = 2 * n - 2, at = (i % period + period) % period;
    return at < n ? at : period - at;
}

static void test_reflect(void **state)
{
    (void)state;
    static uint8_t whole[FLOATS], view[FLOATS], black[FLOATS];
    int mirrored = 0;
    for (uint32_t epoch = 0; epoch < 80; epoch++) {
        struct rng rng; /* the draws of crop and flip, which stay */
        rng_init(&rng, 5, RNG_AUGMENT, epoch, epoch % 4);
        const int top = (int)rng_below(&rng, 9) - 4, left = (int)rng_below(&rng, 9) - 4;
        const bool flip = rng_below(&rng, 2) == 1;
        sample(0, epoch, whole);
        sample(AUGMENT_CROP | AUGMENT_FLIP | AUGMENT_REFLECT, epoch, view);
        sample(AUGMENT_CROP | AUGMENT_FLIP, epoch, black);
        for (int i = 0; i < FLOATS; i++) {
            const int y = reflected(i / 3 / SIDE + top, SIDE), x = i / 3 % SIDE,
                      across = reflected((flip ? SIDE - 1 - x : x) + left, SIDE);
            assert_int_equal(view[i], whole[(y * SIDE + across) * 3 + i % 3]);
            mirrored += view[i] != black[i];
        }
    }
    assert_true(mirrored > 1000);
}

/* Section 3.6 of the paper: in the first epoch half of the images are mirrored, by chance; then
 * each in every other epoch. */
static void test_alternating(void **state)
{
    (void)state;
    static uint8_t plain[FLOATS], turned[FLOATS], view[FLOATS];
    int first = 0;
    for (uint32_t image = 0; image < 4; image++) {
        bool was = false;
        for (uint32_t epoch = image; epoch < 40; epoch += 4) { /* sample() takes epoch % 4 */
            sample(0, epoch, plain);
            for (int i = 0; i < FLOATS; i++)
                turned[i] = plain[(i / 3 / SIDE * SIDE + SIDE - 1 - i / 3 % SIDE) * 3 + i % 3];
            sample(AUGMENT_ALTERNATING_FLIP, epoch, view);
            const bool flip = memcmp(view, turned, FLOATS) == 0;
            assert_memory_equal(view, flip ? turned : plain, FLOATS);
            if (epoch > image) assert_true(flip == was); /* four epochs later: the same */
            was = flip;
        }
    }
    for (uint32_t image = 0; image < 4; image++) { /* epochs in a row differ */
        static float a[FLOATS], b[FLOATS];
        const struct augment alternating = {.words = AUGMENT_ALTERNATING_FLIP};
        for (uint32_t epoch = 0; epoch < 6; epoch++) {
            assert_int_equal(batch_sample(set, image, &identity, &alternating, 5, epoch, a, NULL),
                             0);
            assert_int_equal(
                batch_sample(set, image, &identity, &alternating, 5, epoch + 1, b, NULL), 0);
            for (int i = 0; i < FLOATS; i++)
                assert_true(a[i] == b[(i / 3 / SIDE * SIDE + SIDE - 1 - i / 3 % SIDE) * 3 + i % 3]);
        }
    }
    for (uint64_t seed = 0; seed < 400; seed++) { /* of the first epoch: by chance */
        static float a[FLOATS], b[FLOATS];
        const struct augment alternating = {.words = AUGMENT_ALTERNATING_FLIP};
        assert_int_equal(batch_sample(set, 1, &identity, &alternating, seed, 0, a, NULL), 0);
        assert_int_equal(batch_sample(set, 1, &identity, NULL, seed, 0, b, NULL), 0);
        first += memcmp(a, b, sizeof(a)) != 0;
    }
    assert_in_range(first, 150, 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_erasing),
        cmocka_unit_test(test_cutout),
        cmocka_unit_test(test_policy),
        cmocka_unit_test_setup_teardown(test_together, open_set, close_set),
        cmocka_unit_test_setup_teardown(test_in_order, open_set, close_set),
        cmocka_unit_test_setup_teardown(test_reflect, open_set, close_set),
        cmocka_unit_test_setup_teardown(test_alternating, open_set, close_set),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
