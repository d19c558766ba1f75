/* Preprocessing: resized as Pillow does it, normalised by the formula, whatever the sizes. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../seeded.h"
#include "image/preprocess.h"
#include "vectors.h"

/* Mean 0 and deviation 1/255: the input is then the bytes themselves. */
static struct preprocess plain(int width, int height, enum preprocess_resize resize)
{
    const float one = 1.0f / 255.0f;
    return (struct preprocess){width,     height,         resize, PREPROCESS_BILINEAR,
                               {0, 0, 0}, {one, one, one}};
}

static int apply(const struct preprocess *p, const struct image *image, float *ret_input)
{
    struct err e = {0};
    struct arena *arena = arena_new(preprocess_arena_bytes(p, image->width, image->height));
    assert_non_null(arena);
    int rc = preprocess_apply(p, image, arena, ret_input, &e);
    arena_free(arena);
    return rc;
}

static void test_normalise(void **state)
{
    (void)state;
    const struct preprocess p = {2,
                                 1,
                                 PREPROCESS_STRETCH,
                                 PREPROCESS_BILINEAR,
                                 {0.5071f, 0.4865f, 0.4409f},
                                 {0.2673f, 0.2564f, 0.2762f}};
    uint8_t pixels[6] = {0, 128, 255, 17, 255, 0};
    struct image image = image_of_pixels(2, 1, pixels);
    float input[6];
    assert_int_equal(apply(&p, &image, input), 0);
    for (int i = 0; i < 6; i++) {
        double expected = (pixels[i] / 255.0 - (double)p.mean[i % 3]) / (double)p.std[i % 3];
        assert_true(input[i] - expected < 1e-6 && expected - input[i] < 1e-6);
    }
}

/* The right size already: the bytes as they are, and no memory. */
static void test_untouched(void **state)
{
    (void)state;
    uint8_t pixels[12 * 3];
    float input[12 * 3];
    for (size_t i = 0; i < sizeof(pixels); i++) pixels[i] = (uint8_t)(7 * i);
    struct image image = image_of_pixels(4, 3, pixels);
    for (int mode = 0; mode < 2; mode++) {
        struct preprocess p = plain(4, 3, (enum preprocess_resize)mode);
        assert_int_equal(preprocess_arena_bytes(&p, 4, 3), 0);
        assert_int_equal(apply(&p, &image, input), 0);
        for (size_t i = 0; i < sizeof(pixels); i++) {
            assert_true(input[i] > pixels[i] - 0.01f && input[i] < pixels[i] + 0.01f);
        }
    }
}

/* tests/image/make_vectors.py says what is in the file. */
static void test_against_pillow(void **state)
{
    (void)state;
    size_t size, at = 0, n_cases = 0, n_off = 0, n_all = 0;
    uint8_t *data = vector_read("resize.bin", &size);
    while (at < size) {
        int32_t head[5];
        memcpy(head, data + at, sizeof(head));
        at += sizeof(head);
        const size_t n_in = (size_t)head[0] * (size_t)head[1] * 3;
        const size_t n_out = (size_t)head[2] * (size_t)head[3] * 3;
        struct image image = image_of_pixels(head[0], head[1], data + at);
        struct preprocess p =
            plain(head[2], head[3], head[4] ? PREPROCESS_COVER : PREPROCESS_STRETCH);
        float *input = mem_new(n_out, sizeof(*input));
        assert_int_equal(apply(&p, &image, input), 0);
        const uint8_t *expected = data + at + n_in;
        for (size_t i = 0; i < n_out; i++) {
            int got = (int)(input[i] + 0.5f);
            if (abs(got - expected[i]) > 1) {
                fail_msg("case %zu, byte %zu: %d, Pillow says %d", n_cases, i, got, expected[i]);
            }
            n_off += got != expected[i];
        }
        n_all += n_out;
        mem_free(input);
        at += n_in + n_out;
        n_cases++;
    }
    assert_int_equal(n_cases, 10);
    assert_true(n_off * 100 < n_all); /* roundings of the last bit, not a shift */
    mem_free(data);
}

/* For any sizes: a mean of pixels lies between them, so the result keeps the range, and one colour
 * stays that colour; preprocess_arena_bytes() is enough. */
static void test_properties(void **state)
{
    (void)state;
    enum { ROUNDS = 300, SIDE_MAX = 90 };
    static const int extremes[][4] = {{8192, 1, 32, 32}, {1, 8192, 32, 32}, {8192, 3, 1, 1},
                                      {1, 1, 64, 64},    {2, 3, 1, 700},    {700, 2, 1, 3}};
    struct rng rng = seeded(5);
    for (size_t round = 0; round < ROUNDS; round++) {
        int sides[4];
        for (size_t i = 0; i < 4; i++) sides[i] = 1 + (int)rng_below(&rng, SIDE_MAX);
        if (round < 2 * (sizeof(extremes) / sizeof(extremes[0]))) {
            memcpy(sides, extremes[round / 2], sizeof(sides));
        }
        const struct preprocess p = plain(sides[2], sides[3], (enum preprocess_resize)(round % 2));
        const size_t n_in = (size_t)sides[0] * (size_t)sides[1] * 3;
        const size_t n_out = (size_t)sides[2] * (size_t)sides[3] * 3;
        uint8_t *pixels = mem_new(n_in, 1);
        float *input = mem_new(n_out, sizeof(*input));
        struct image image = image_of_pixels(sides[0], sides[1], pixels);
        const uint8_t low = (uint8_t)rng_below(&rng, 200), span = (uint8_t)rng_below(&rng, 56);
        const bool flat = round % 3 == 0;
        for (size_t i = 0; i < n_in; i++) {
            pixels[i] = (uint8_t)(low + (flat ? 0 : rng_below(&rng, (uint32_t)span + 1)));
        }
        assert_int_equal(apply(&p, &image, input), 0);
        for (size_t i = 0; i < n_out; i++) {
            float above = flat ? 0 : span;
            if (input[i] < low - 0.01f || input[i] > low + above + 0.01f) {
                fail_msg("%dx%d to %dx%d: %g is not in %d..%d", sides[0], sides[1], sides[2],
                         sides[3], (double)input[i], low, low + span);
            }
        }
        mem_free(pixels);
        mem_free(input);
    }
}

/* COVER looks at the middle: what is outside of it does not matter. */
static void test_cover(void **state)
{
    (void)state;
    uint8_t pixels[4 * 12 * 3];
    float input[4 * 4 * 3];
    struct image image = image_of_pixels(12, 4, pixels);
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 12; x++)
            memset(pixels + (y * 12 + x) * 3, x >= 4 && x < 8 ? 10 * x : 255, 3);
    }
    struct preprocess p = plain(4, 4, PREPROCESS_COVER);
    assert_int_equal(apply(&p, &image, input), 0);
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) {
            float expected = 10.0f * (float)(x + 4), got = input[(y * 4 + x) * 3];
            assert_true(got > expected - 0.01f && got < expected + 0.01f);
        }
    }
}

/* Of a shrunk image only the part is looked at that is the image. */
static void test_shown(void **state)
{
    (void)state;
    uint8_t pixels[4 * 5 * 3], part[4 * 4 * 3];
    float input[3 * 3 * 3], expected[3 * 3 * 3];
    for (int y = 0; y < 4; y++) {
        for (int x = 0; x < 4; x++) memset(part + (y * 4 + x) * 3, 16 * y * x, 3);
        memset(pixels + y * 5 * 3, 255, 3); /* what a mirrored image has at its left */
        memcpy(pixels + (y * 5 + 1) * 3, part + y * 4 * 3, 12);
    }
    struct image shrunk = image_of_pixels(5, 4, pixels), whole = image_of_pixels(4, 4, part);
    shrunk.full_width = shrunk.full_height = 8;
    shrunk.shrink = 2;
    shrunk.shown = (struct image_box){1.5, 0, 3.5, 4};
    for (int k = 0; k < 2; k++) {
        struct preprocess p = plain(3, 3, k == 0 ? PREPROCESS_COVER : PREPROCESS_STRETCH);
        assert_int_equal(apply(&p, &shrunk, input), 0);
        for (int i = 0; i < 3 * 3 * 3; i++) assert_true(input[i] < 200);
        shrunk.shown = (struct image_box){1, 0, 4, 4};
        assert_int_equal(apply(&p, &shrunk, input), 0);
        assert_int_equal(apply(&p, &whole, expected), 0);
        for (int i = 0; i < 9; i++) { /* the left column's triangle reaches over the edge */
            if (i % 3 > 0) assert_memory_equal(input + 3 * i, expected + 3 * i, 12);
        }
        shrunk.shown = (struct image_box){1.5, 0, 3.5, 4};
    }
}

/* Parts are given in pixels of the full image. */
static void test_cut_of_shrunk(void **state)
{
    (void)state;
    uint8_t pixels[8 * 8 * 3];
    struct err e = {0};
    const uint8_t *cut, *expected;
    for (int i = 0; i < 8 * 8 * 3; i++) pixels[i] = (uint8_t)(i * 37);
    struct image image = image_of_pixels(8, 8, pixels), shrunk = image;
    shrunk.full_width = shrunk.full_height = 16;
    shrunk.shrink = 2;
    struct preprocess p = plain(3, 3, PREPROCESS_COVER);
    struct arena *arena = arena_new(1 << 20);
    const struct preprocess_box box = {2, 1, 4, 5}, doubled = {4, 2, 8, 10};
    assert_int_equal(preprocess_cut(&p, &image, box, arena, &expected, &e), 0);
    assert_int_equal(preprocess_cut(&p, &shrunk, doubled, arena, &cut, &e), 0);
    assert_memory_equal(cut, expected, 27);
    arena_free(arena);

    const struct image_want want = preprocess_want(&p);
    assert_true(want.width == 12 && want.height == 12);
    const struct image_want part = preprocess_cut_want(&p, 16, 16, doubled);
    assert_true(part.width == 24 && part.height == 20); /* so that 8x10 pixels keep 12x12 of them */
    const struct preprocess_box all = {0, 0, 16, 16};
    const struct image_want same = preprocess_cut_want(&p, 16, 16, all);
    assert_true(same.width == 12 && same.height == 12);
}

static void test_no_memory(void **state)
{
    (void)state;
    uint8_t pixels[6 * 6 * 3] = {0};
    float input[4 * 4 * 3];
    struct image image = image_of_pixels(6, 6, pixels);
    struct preprocess p = plain(4, 4, PREPROCESS_STRETCH);
    size_t enough = preprocess_arena_bytes(&p, 6, 6);
    bool failed = false;
    for (size_t bytes = 0; bytes <= enough; bytes += 64) {
        struct err e = {0};
        struct arena *arena = arena_new(bytes);
        int rc = preprocess_apply(&p, &image, arena, input, &e);
        assert_true(rc == 0 || (rc == -ENOMEM && e.code == -ENOMEM));
        failed |= rc < 0;
        arena_free(arena);
    }
    assert_true(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise),      cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_against_pillow), cmocka_unit_test(test_properties),
        cmocka_unit_test(test_cover),          cmocka_unit_test(test_shown),
        cmocka_unit_test(test_cut_of_shrunk),  cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
