/* Inputs of each kind become what the network takes, or are refused with the reason; nothing is
 * read beyond what is there (sanitizers watch). */
#include "config.h"

#include "decode/work.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../image/vectors.h"
#include "base/mem.h"

enum { WIDTH = 5, HEIGHT = 4, PIXELS = WIDTH * HEIGHT };

static const struct preprocess preprocess = {
    .width = WIDTH, .height = HEIGHT, .mean = {.5f, .25f, .75f}, .std = {.25f, .5f, 1}};

static struct decode_work work_of(enum input_kind kind, int width, int height, size_t bytes)
{
    return (struct decode_work){.kind = kind,
                                .width = width,
                                .height = height,
                                .input_bytes = bytes,
                                .limits = image_limits_default,
                                .preprocess = preprocess};
}

/* A copy of exactly that many bytes, so that reading on is seen. */
static int run(const struct decode_work *work, const void *input, float *ret_output, struct err *e)
{
    struct arena *scratch = NULL;
    void *copy = malloc(work->input_bytes > 0 ? work->input_bytes : 1);
    assert_non_null(copy);
    if (work->input_bytes > 0) memcpy(copy, input, work->input_bytes);
    *e = (struct err){.code = 0};
    int rc = decode_run(work, copy, ret_output, &scratch, NULL, e);
    assert_int_equal(e->code, rc);
    arena_free(scratch);
    free(copy);
    return rc;
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 37 + 11);
}

static void pixels_of_the_networks_size_are_normalised(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS * 3];
    float got[PIXELS * 3], want[PIXELS * 3];
    struct err e;
    fill(pixels, sizeof(pixels));
    preprocess_normalise(&preprocess, pixels, PIXELS, want);
    struct decode_work work = work_of(INPUT_U8, WIDTH, HEIGHT, sizeof(pixels));
    assert_int_equal(run(&work, pixels, got, &e), 0);
    assert_memory_equal(got, want, sizeof(want));
}

static void pixels_of_another_size_are_resized(void **state)
{
    (void)state;
    enum { W = 17, H = 9 };
    uint8_t pixels[W * H * 3];
    float got[PIXELS * 3], want[PIXELS * 3];
    struct err e;
    fill(pixels, sizeof(pixels));
    struct arena *arena = arena_new(1 << 20);
    const struct image image = image_of_pixels(W, H, pixels);
    assert_int_equal(preprocess_apply(&preprocess, &image, arena, want, &e), 0);
    struct decode_work work = work_of(INPUT_U8, W, H, sizeof(pixels));
    assert_int_equal(run(&work, pixels, got, &e), 0);
    assert_memory_equal(got, want, sizeof(want));
    arena_free(arena);
}

/* [3][height][width] at an odd address -> [height][width][3]. */
/* A JPEG is decoded no larger than training and evaluation decode it, so that all see the same. */
static void images_are_decoded_as_in_training(void **state)
{
    (void)state;
    enum { W = 4, H = 2, ARENA_MAX = 1 << 20 };
    struct preprocess small = preprocess;
    small.width = W;
    small.height = H;
    const struct image_decoding decoding = {.limits = &image_limits_default,
                                            .want = preprocess_want(&small)};
    float got[W * H * 3], want[W * H * 3], full[W * H * 3];
    struct image image;
    struct err e;
    size_t size;
    uint8_t *bytes = vector_read("rgb420.jpg", &size);
    struct arena *arena = arena_new(ARENA_MAX);
    assert_non_null(arena);
    assert_int_equal(image_decode(bytes, size, &decoding, arena, &image, &e), 0);
    assert_int_equal(image.shrink, 2);
    assert_int_equal(preprocess_apply(&small, &image, arena, want, &e), 0);
    const struct image_decoding whole = {.limits = &image_limits_default};
    assert_int_equal(image_decode(bytes, size, &whole, arena, &image, &e), 0);
    assert_int_equal(preprocess_apply(&small, &image, arena, full, &e), 0);
    assert_memory_not_equal(full, want, sizeof(want)); /* or nothing would be seen here */

    struct decode_work work = work_of(INPUT_ENCODED, 0, 0, size);
    work.preprocess = small;
    assert_int_equal(run(&work, bytes, got, &e), 0);
    assert_memory_equal(got, want, sizeof(want));
    arena_free(arena);
    mem_free(bytes);
}

static void numbers_are_taken_over(void **state)
{
    (void)state;
    float planes[3 * PIXELS], got[PIXELS * 3];
    unsigned char odd[sizeof(planes) + 1];
    struct arena *scratch = NULL;
    struct err e = {.code = 0};
    for (int i = 0; i < 3 * PIXELS; i++) planes[i] = (float)i / 7 - 3;
    memcpy(odd + 1, planes, sizeof(planes));
    struct decode_work work = work_of(INPUT_F32, WIDTH, HEIGHT, sizeof(planes));
    assert_int_equal(decode_run(&work, odd + 1, got, &scratch, NULL, &e), 0);
    assert_null(scratch);
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < PIXELS; i++)
            assert_memory_equal(&got[3 * i + c], &planes[c * PIXELS + i], sizeof(float));
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    enum { F32 = 3 * PIXELS * sizeof(float) };
    static const struct {
        enum input_kind kind;
        int width, height;
        size_t bytes;
        int rc;
        const char *words;
    } rows[] = {
        {INPUT_U8, WIDTH, HEIGHT, PIXELS * 3 - 1, ERR_RANGE, "59 bytes given"},
        {INPUT_U8, WIDTH, HEIGHT, PIXELS * 3 + 1, ERR_RANGE, "has 60"},
        {INPUT_U8, WIDTH, HEIGHT, 0, ERR_RANGE, "0 bytes"},
        {INPUT_U8, 0, HEIGHT, 0, ERR_RANGE, "0x4"},
        {INPUT_U8, -1, -3, 9, ERR_RANGE, "-1x-3"},
        {INPUT_U8, 16385, 1, 3 * 16385, ERR_LIMIT, "16385"},
        {INPUT_U8, 8000, 8000, 1, ERR_LIMIT, "pixels"},
        {INPUT_F32, WIDTH, HEIGHT, F32 - 4, ERR_RANGE, "236 bytes given"},
        {INPUT_F32, WIDTH, HEIGHT, F32 + 4, ERR_RANGE, "has 240"},
        {INPUT_F32, HEIGHT, WIDTH, F32, ERR_RANGE, "[3,5,4] given, the model takes [3,4,5]"},
        {INPUT_F32, 0, 0, 0, ERR_RANGE, "[3,0,0]"},
        {INPUT_ENCODED, 0, 0, 0, ERR_FORMAT, "empty"},
        {INPUT_ENCODED, 0, 0, 100, ERR_UNSUPPORTED, "neither"},
    };
    static const uint8_t bytes[3 * 16385];
    float got[PIXELS * 3];
    struct err e;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decode_work work =
            work_of(rows[i].kind, rows[i].width, rows[i].height, rows[i].bytes);
        int rc = run(&work, bytes, got, &e);
        if (rc != rows[i].rc || strstr(e.text, rows[i].words) == NULL)
            fail_msg("row %zu: %d %s", i, rc, e.text);
    }
}

static void what_is_not_finite_is_refused(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float got[PIXELS * 3];
    struct err e;
    struct decode_work work = work_of(INPUT_F32, WIDTH, HEIGHT, sizeof(got));
    for (int i = 0; i < 3; i++) {
        float planes[3 * PIXELS] = {0};
        planes[i * (3 * PIXELS - 1) / 2] = bad[i];
        assert_int_equal(run(&work, planes, got, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "not finite"));
    }
}

static void memory_may_be_short(void **state)
{
    (void)state;
    enum { W = 40, H = 30 };
    uint8_t pixels[W * H * 3];
    float got[PIXELS * 3];
    struct err e;
    fill(pixels, sizeof(pixels));
    struct decode_work work = work_of(INPUT_U8, W, H, sizeof(pixels));
    unsigned n = 1;
    for (int rc = -ENOMEM; rc != 0; n++) {
        assert_true(n < 50);
        mem_fail_at(n);
        rc = run(&work, pixels, got, &e);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == -ENOMEM);
    }
    assert_true(n > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_of_the_networks_size_are_normalised),
        cmocka_unit_test(pixels_of_another_size_are_resized),
        cmocka_unit_test(images_are_decoded_as_in_training),
        cmocka_unit_test(numbers_are_taken_over),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(memory_may_be_short),
    };
    return cmocka_run_group_tests_name("work", tests, NULL, NULL);
}
