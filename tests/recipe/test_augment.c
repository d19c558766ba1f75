/* The words of --augment: what is good reads back, what is not is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/augment.h"

static bool are_equal(const struct augment *a, const struct augment *b)
{
    return a->words == b->words && a->scale == b->scale && a->operations == b->operations &&
           a->magnitude == b->magnitude && a->erasing == b->erasing;
}

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct augment wanted;
        const char *formatted; /* NULL: as it is */
    } good[] = {
        {"none", {0}, NULL},
        {"crop", {.words = AUGMENT_CROP}, NULL},
        {"flip", {.words = AUGMENT_FLIP}, NULL},
        {"crop,flip", {.words = AUGMENT_CROP | AUGMENT_FLIP}, NULL},
        {"flip,crop", {.words = AUGMENT_CROP | AUGMENT_FLIP}, "crop,flip"},
        {"cutout,autoaugment", {.words = AUGMENT_AUTO | AUGMENT_CUTOUT}, "autoaugment,cutout"},
        {"crop,flip,autoaugment,cutout,fill128", {.words = 31}, NULL},
        {"resizedcrop", {.words = AUGMENT_RESIZED_CROP, .scale = 80}, NULL},
        {"resizedcrop:0.08", {.words = AUGMENT_RESIZED_CROP, .scale = 80}, "resizedcrop"},
        {"crop,resizedcrop:0.25",
         {.words = AUGMENT_RESIZED_CROP | AUGMENT_CROP, .scale = 250},
         NULL},
        {"resizedcrop:1", {.words = AUGMENT_RESIZED_CROP, .scale = 1000}, NULL},
        {"resizedcrop:1,resizedcrop:0.001", /* the last one counts */
         {.words = AUGMENT_RESIZED_CROP, .scale = 1},
         "resizedcrop:0.001"},
        {"crop,reflect,altflip",
         {.words = AUGMENT_CROP | AUGMENT_REFLECT | AUGMENT_ALTERNATING_FLIP},
         NULL},
        {"trivialaugment", {.words = AUGMENT_TRIVIAL}, NULL},
        {"randaugment", {.words = AUGMENT_RAND, .operations = 2, .magnitude = 9}, NULL},
        {"randaugment:2:9",
         {.words = AUGMENT_RAND, .operations = 2, .magnitude = 9},
         "randaugment"},
        {"randaugment:3:0", {.words = AUGMENT_RAND, .operations = 3, .magnitude = 0}, NULL},
        {"randaugment:10:30", {.words = AUGMENT_RAND, .operations = 10, .magnitude = 30}, NULL},
        {"erasing", {.words = AUGMENT_ERASING, .erasing = 500}, NULL},
        {"erasing:0.25,cutout",
         {.words = AUGMENT_ERASING | AUGMENT_CUTOUT, .erasing = 250},
         "cutout,erasing:0.25"},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct augment augment = {99, 9, 9, 9, 9};
        char text[AUGMENT_TEXT_MAX];
        assert_int_equal(augment_parse(good[i].text, &augment, NULL), 0);
        assert_true(are_equal(&augment, &good[i].wanted));
        augment_format(&augment, text); /* and back */
        assert_string_equal(text, good[i].formatted != NULL ? good[i].formatted : good[i].text);
        augment = (struct augment){99, 9, 9, 9, 9};
        assert_int_equal(augment_parse(text, &augment, NULL), 0);
        assert_true(are_equal(&augment, &good[i].wanted));
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char all[] = "crop, flip, autoaugment, cutout, fill128, resizedcrop, reflect, "
                              "altflip, trivialaugment, randaugment and erasing";
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "''"},
        {"crop,", "''"},
        {",flip", "''"},
        {"Crop", "'Crop'"},
        {"crop,none", "'none'"},
        {"cropp", "'cropp'"},
        {"crop flip", "'crop flip'"},
        {"crop:0.5", "'crop:0.5'"},
        {"resizedcro:0.5", "'resizedcro:0.5'"},
        {"trivialaugment:3", "'trivialaugment:3'"},
        {"", all},
        {"crop:", all},
        {"resizedcrop:", "'resizedcrop:': behind the colon stands the least share"},
        {"resizedcrop:0", "'resizedcrop:0'"},
        {"resizedcrop:0.0009", "'resizedcrop:0.0009'"},
        {"resizedcrop:1.001", "'resizedcrop:1.001'"},
        {"resizedcrop:-1", "'resizedcrop:-1'"},
        {"resizedcrop:nan", "'resizedcrop:nan'"},
        {"resizedcrop:inf", "'resizedcrop:inf'"},
        {"resizedcrop:0.5x", "'resizedcrop:0.5x'"},
        {"resizedcrop:x", "'resizedcrop:x'"},
        {"resizedcrop:0.5:1", "'resizedcrop:0.5:1'"},
        {"randaugment:2", "'randaugment:2': behind the colon stands how many operations"},
        {"randaugment:", "'randaugment:'"},
        {"randaugment::9", "'randaugment::9'"},
        {"randaugment:2:", "'randaugment:2:'"},
        {"randaugment:0:9", "'randaugment:0:9'"},
        {"randaugment:11:9", "'randaugment:11:9'"},
        {"randaugment:2:31", "'randaugment:2:31'"},
        {"randaugment:2.5:9", "'randaugment:2.5:9'"},
        {"randaugment:2:9:1", "'randaugment:2:9:1'"},
        {"randaugment:2:00000000000000009", "'randaugment:2:00000000000000009'"},
        {"erasing:0", "'erasing:0': behind the colon stands its probability"},
        {"erasing:1.5", "'erasing:1.5'"},
        {"flip,fill128", "fill128 is what crop pads with, but crop is not in the list"},
        {"flip,reflect", "reflect is what crop pads with, but crop is not in the list"},
        {"crop,reflect,fill128", "fill128 and reflect both say what crop pads with"},
        {"altflip,flip", "flip and altflip both say when an image is mirrored: take one of them"},
        {"trivialaugment,autoaugment",
         "autoaugment and trivialaugment both say which operations are drawn"},
        {"randaugment,trivialaugment",
         "trivialaugment and randaugment both say which operations are drawn"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        struct augment augment = {.words = 99};
        assert_int_equal(augment_parse(bad[i].text, &augment, &e), ERR_RANGE);
        if (strstr(e.text, bad[i].words) == NULL) fail_msg("%s: %s", bad[i].text, e.text);
        assert_int_equal(augment.words, 99);
    }
}

/* The longest list fits. */
static void test_longest(void **state)
{
    (void)state;
    struct augment augment;
    char text[AUGMENT_TEXT_MAX];
    static const char all[] = "crop,flip,autoaugment,cutout,fill128,resizedcrop:0.255,reflect,"
                              "altflip,trivialaugment,randaugment:10:30,erasing:0.255";
    assert_int_equal(
        augment_parse("resizedcrop:0.255,randaugment:10:30,erasing:0.255", &augment, NULL), 0);
    augment.words = ~0u;
    augment_format(&augment, text);
    assert_string_equal(text, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_longest)};
    return cmocka_run_group_tests_name("recipe/augment", tests, NULL, NULL);
}
